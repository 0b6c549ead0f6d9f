//! Two sessions on a virtual network and clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp_packet::Cease;
use inet::{Family, Timestamp};

use super::{at, local, peer};
use crate::timer::Jitter;
use crate::{Conn, Effect, Event, LocalConfig, PeerConfig, Session, Stale, State, Stop};

/// What travels.
enum Travel {
    Dialled { wire: usize },
    Event(Event),
    Frame(Conn, Vec<u8>),
}

/// One TCP connection: what each side calls it, if it has it open.
#[derive(Default)]
struct Wire {
    ends: [Option<Conn>; 2],
    /// When the last thing on its way to each side arrives: TCP keeps the order.
    busy_until: [Timestamp; 2],
}

pub(super) struct Pair {
    pub(super) now: Timestamp,
    pub(super) sessions: [Session; 2],
    wires: Vec<Wire>,
    queue: BTreeMap<(Timestamp, u64), (usize, Travel)>,
    count: u64,
    random: Jitter,
    /// Whether a host answers; a dead one refuses connections.
    alive: [bool; 2],
    /// Nothing gets through, and nobody is told.
    pub(super) cut: bool,
    pub(super) downs: [Vec<(Timestamp, Option<Stale>)>; 2],
    pub(super) flushed: [Vec<(Timestamp, Family)>; 2],
    pub(super) long_lived: [Vec<(Timestamp, Family, Timestamp)>; 2],
}

const SIDES: [u32; 2] = [65001, 65002];

pub(super) fn config(side: usize) -> PeerConfig {
    peer(SIDES[1 - side])
}

pub(super) fn local_of(side: usize) -> LocalConfig {
    local(SIDES[side], ["10.0.0.1", "10.0.0.2"][side])
}

impl Pair {
    pub(super) fn new(seed: u64) -> Pair {
        let session = |side| Session::new(config(side), local_of(side), seed * 2 + side as u64);
        Pair {
            now: Timestamp::ZERO,
            sessions: [session(0), session(1)],
            wires: Vec::new(),
            queue: BTreeMap::new(),
            count: 0,
            random: Jitter::new(seed),
            alive: [true; 2],
            cut: false,
            downs: Default::default(),
            flushed: Default::default(),
            long_lived: Default::default(),
        }
    }

    fn started(seed: u64) -> Pair {
        let mut pair = Pair::new(seed);
        for side in 0..2 {
            pair.tell(side, Event::Start);
        }
        pair
    }

    fn latency(&mut self) -> Duration {
        self.random.spread(Duration::from_millis(20), 5, 200)
    }

    fn travel(&mut self, wire: usize, to: usize, what: Travel) {
        let due = (self.now + self.latency()).max(self.wires[wire].busy_until[to]);
        self.wires[wire].busy_until[to] = due;
        self.count += 1;
        self.queue.insert((due, self.count), (to, what));
    }

    pub(super) fn tell(&mut self, side: usize, event: Event) {
        self.sessions[side].handle(self.now, event);
        self.effects(side);
    }

    fn wire_of(&self, side: usize, conn: Conn) -> Option<usize> {
        self.wires.iter().position(|w| w.ends[side] == Some(conn))
    }

    pub(super) fn effects(&mut self, side: usize) {
        while let Some(effect) = self.sessions[side].poll() {
            match effect {
                Effect::Connect { conn } => {
                    self.wires.push(Wire::default());
                    let wire = self.wires.len() - 1;
                    self.wires[wire].ends[side] = Some(conn);
                    self.travel(wire, 1 - side, Travel::Dialled { wire });
                }
                Effect::Send { conn, bytes } => self.send(side, conn, bytes),
                Effect::Close { conn } => {
                    if let Some(wire) = self.wire_of(side, conn) {
                        self.wires[wire].ends[side] = None;
                        self.end(wire, 1 - side);
                    }
                }
                Effect::Down { stale, .. } => self.downs[side].push((self.now, stale)),
                Effect::FlushStale(family) => self.flushed[side].push((self.now, family)),
                Effect::LongLivedStale { family, until } => {
                    self.long_lived[side].push((self.now, family, until));
                }
                Effect::Up(_) | Effect::Refresh { .. } | Effect::StateChanged(_) => {}
            }
        }
        let established = |s: &Session| s.status().negotiated.is_some();
        for s in &self.sessions {
            assert_eq!(established(s), s.status().state == State::Established);
        }
    }

    fn send(&mut self, side: usize, conn: Conn, bytes: Vec<u8>) {
        let Some(wire) = self.wire_of(side, conn) else { return };
        if let Some(theirs) = self.wires[wire].ends[1 - side] {
            self.travel(wire, 1 - side, Travel::Frame(theirs, bytes));
        }
    }

    /// The other end of a wire is told that it is closed.
    fn end(&mut self, wire: usize, side: usize) {
        if let Some(conn) = self.wires[wire].ends[side] {
            let event = Event::TcpClosed { conn, reason: String::new() };
            self.travel(wire, side, Travel::Event(event));
        }
    }

    fn deliver(&mut self, side: usize, what: Travel) {
        if self.cut {
            return;
        }
        match what {
            Travel::Dialled { wire } => {
                let Some(dialler) = self.wires[wire].ends[1 - side] else { return };
                if self.alive[side] {
                    let conn = Conn::Incoming(wire as u64);
                    self.wires[wire].ends[side] = Some(conn);
                    let answer = Event::TcpConnected { conn: dialler };
                    self.travel(wire, 1 - side, Travel::Event(answer));
                    self.tell(side, Event::TcpAccepted { conn });
                } else {
                    let reason = "refused".into();
                    let answer = Event::TcpFailed { conn: dialler, reason };
                    self.travel(wire, 1 - side, Travel::Event(answer));
                }
            }
            Travel::Event(event) => {
                if let Event::TcpClosed { conn, .. } | Event::TcpFailed { conn, .. } = &event
                    && let Some(wire) = self.wire_of(side, *conn)
                {
                    self.wires[wire].ends[side] = None;
                }
                self.tell(side, event);
            }
            Travel::Frame(conn, bytes) => {
                self.sessions[side].frame(self.now, conn, &bytes);
                self.effects(side);
            }
        }
    }

    pub(super) fn run_until(&mut self, end: Timestamp) {
        loop {
            let travelling = self.queue.keys().next().map(|(due, _)| *due);
            let timers: Vec<_> =
                self.sessions.iter().map(|s| s.wake_at().map(|(due, _)| due)).collect();
            let next = timers.iter().copied().flatten().chain(travelling).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            if travelling == Some(next) {
                if let Some((_, (side, what))) = self.queue.pop_first() {
                    self.deliver(side, what);
                }
                continue;
            }
            for side in 0..2 {
                self.sessions[side].tick(self.now);
                self.effects(side);
            }
        }
        self.now = end;
    }

    /// A side's process dies, its connections end, and nobody answers there.
    pub(super) fn crash(&mut self, side: usize, local: LocalConfig, seed: u64) {
        for wire in 0..self.wires.len() {
            if self.wires[wire].ends[side].take().is_some() {
                self.end(wire, 1 - side);
            }
        }
        self.sessions[side] = Session::new(config(side), local, seed);
        self.alive[side] = false;
    }

    pub(super) fn revive(&mut self, side: usize) {
        self.alive[side] = true;
        self.tell(side, Event::Start);
    }

    fn states(&self) -> [State; 2] {
        [self.sessions[0].status().state, self.sessions[1].status().state]
    }

    /// Both up, on the same connection.
    pub(super) fn check_up(&self, what: &str) {
        assert_eq!(self.states(), [State::Established; 2], "{what}");
        let conn = |s: &Session| s.status().negotiated.as_ref().map(|n| n.conn);
        let wire = |side: usize| self.wire_of(side, conn(&self.sessions[side]).unwrap());
        assert!(wire(0).is_some() && wire(0) == wire(1), "{what}");
    }
}

#[test]
fn both_dial_and_meet_on_one_connection_without_a_flap() {
    for seed in 0..1000 {
        let mut pair = Pair::new(seed);
        let late = pair.random.spread(Duration::from_millis(100), 0, 100);
        pair.tell(0, Event::Start);
        pair.run_until(Timestamp::ZERO + late);
        pair.tell(1, Event::Start);
        pair.run_until(at(6.0));
        pair.check_up(&format!("seed {seed}"));
        pair.run_until(at(300.0));
        pair.check_up(&format!("seed {seed}"));
        for s in &pair.sessions {
            assert_eq!((s.status().flaps, s.status().established), (0, 1), "seed {seed}");
        }
    }
}

#[test]
fn one_side_passive_is_enough_and_both_never_meet() {
    for (passive, up) in [([true, false], true), ([false, true], true), ([true, true], false)] {
        let mut pair = Pair::new(1);
        for (side, passive) in passive.into_iter().enumerate() {
            let config = PeerConfig { passive, ..config(side) };
            pair.sessions[side].reconfigure(Timestamp::ZERO, config);
            pair.tell(side, Event::Start);
        }
        pair.run_until(at(20.0));
        let state = if up { State::Established } else { State::Active };
        assert_eq!(pair.states(), [state; 2], "{passive:?}");
    }
}

#[test]
fn a_cut_cable_ends_both_by_the_hold_time_and_both_come_back() {
    for seed in 0..50 {
        let mut pair = Pair::started(seed);
        pair.run_until(at(100.0));
        pair.check_up("before");
        pair.cut = true;
        pair.run_until(at(191.0));
        for side in 0..2 {
            let (when, stale) = pair.downs[side].first().unwrap();
            // The last KEEPALIVE came 0 to 30 s before the cut.
            assert!((at(159.0)..=at(190.1)).contains(when), "{when:?}");
            // Both set the N bit: the end of the hold time is graceful (RFC 8538).
            assert_eq!(stale.as_ref().unwrap().until, *when + Duration::from_secs(120));
        }
        pair.cut = false;
        pair.run_until(at(220.0));
        pair.check_up("after");
        assert!(pair.flushed.iter().all(Vec::is_empty));
    }
}

#[test]
fn a_crash_is_survived_with_forwarding_kept_or_not() {
    for seed in 0..200 {
        for preserved in [Family::ALL.into(), [Family::Ipv4].into()] {
            let mut pair = Pair::started(seed);
            pair.run_until(at(30.0));
            let restarted = LocalConfig { restarting: true, preserved, ..local_of(1) };
            let kept = restarted.preserved.clone();
            pair.crash(1, restarted, seed + 999);
            pair.run_until(at(40.0));
            let (_, stale) = pair.downs[0].first().unwrap();
            assert_eq!(stale.as_ref().unwrap().families, Family::ALL.into());
            pair.revive(1);
            pair.run_until(at(41.0));
            pair.check_up("dialled at once by the one that is back");
            let negotiated = pair.sessions[0].status().negotiated.clone().unwrap();
            assert!(negotiated.graceful_restart.unwrap().restarted);
            assert_eq!(negotiated.stale, kept);
            let flushed = pair.flushed[0].iter().map(|(_, f)| *f);
            assert!(flushed.eq(Family::ALL.into_iter().filter(|f| !kept.contains(f))));
            pair.run_until(at(300.0));
            assert_eq!(pair.sessions[0].status().flaps, 1);
        }
    }
}

#[test]
fn who_stays_away_is_forgotten_after_its_restart_time() {
    let mut pair = Pair::started(5);
    pair.run_until(at(30.0));
    pair.crash(1, local_of(1), 1);
    pair.run_until(at(200.0));
    let (down, _) = pair.downs[0][0];
    let over = down + Duration::from_secs(120);
    assert_eq!(pair.flushed[0], [(over, Family::Ipv4), (over, Family::Ipv6)]);
    assert!(pair.sessions[0].status().state < State::OpenSent);
}

#[test]
fn garbage_on_the_stream_costs_one_reset() {
    for garbage in [vec![0; 19], vec![0xFF; 19], vec![], vec![0xFF; 5000]] {
        let mut pair = Pair::started(9);
        pair.run_until(at(10.0));
        let conn = pair.sessions[0].status().negotiated.as_ref().unwrap().conn;
        pair.sessions[0].frame(pair.now, conn, &garbage);
        pair.effects(0);
        assert_eq!(pair.states()[0], State::Idle);
        let failure = &pair.sessions[0].status().last_failure.as_ref().unwrap().failure;
        assert!(failure.to_string().starts_with("sent Message Header Error: "), "{failure}");
        pair.run_until(at(20.0));
        pair.check_up("again");
        let failure = &pair.sessions[1].status().last_failure.as_ref().unwrap().failure;
        assert!(failure.to_string().starts_with("received Message Header Error: "), "{failure}");
    }
}

#[test]
fn a_change_that_needs_a_new_open_keeps_the_routes_of_both() {
    for seed in 0..50 {
        let mut pair = Pair::started(seed);
        pair.run_until(at(30.0));
        let changed = PeerConfig { extended_messages: false, ..config(0) };
        assert_eq!(pair.sessions[0].planned(&changed).resets, ["extended_messages"]);
        pair.sessions[0].reconfigure(pair.now, changed);
        pair.effects(0);
        pair.run_until(at(35.0));
        pair.check_up("anew");
        for side in 0..2 {
            // RFC 8538 §3: a Cease that is no Hard Reset keeps the routes where both have the N bit.
            let [(_, Some(stale))] = &pair.downs[side][..] else { panic!("{:?}", pair.downs) };
            assert_eq!(stale.families, Family::ALL.into());
            // RFC 4724 §4.2: both say by the F bit that they still forward.
            let session = &pair.sessions[side];
            assert_eq!(session.status().negotiated.as_ref().unwrap().stale, Family::ALL.into());
            assert!(!session.status().negotiated.as_ref().unwrap().options.extended_message);
        }
        assert!(pair.flushed.iter().all(Vec::is_empty), "until End-of-RIB");
    }
}

#[test]
fn a_stop_is_known_on_the_other_side_and_a_start_mends_it() {
    let mut pair = Pair::started(3);
    pair.run_until(at(10.0));
    let why = Cease::AdministrativeShutdown;
    let communication = Some("new fans".to_owned());
    pair.tell(0, Event::Stop(Stop::Cease { why, communication }));
    pair.run_until(at(60.0));
    assert_eq!(pair.states()[0], State::Idle);
    assert!(pair.downs.iter().all(|d| matches!(d.as_slice(), [(_, None)])));
    pair.tell(0, Event::Start);
    pair.run_until(at(70.0));
    pair.check_up("started");
}

#[test]
fn a_wrong_number_is_seen_on_both_sides_and_mends_when_corrected() {
    let mut pair = Pair::new(4);
    pair.sessions[0].reconfigure(Timestamp::ZERO, peer(65009));
    pair.tell(0, Event::Start);
    pair.tell(1, Event::Start);
    pair.run_until(at(600.0));
    let said = |side: usize| {
        pair.sessions[side].status().last_failure.as_ref().unwrap().failure.to_string()
    };
    assert_eq!(said(0), "sent Open Message Error: Bad Peer AS (2/2)");
    assert_eq!(said(1), "received Open Message Error: Bad Peer AS (2/2)");
    let opens = pair.sessions[0].status().sent.open;
    assert!(opens < 60, "{opens} OPEN messages in ten minutes");
    pair.sessions[0].reconfigure(pair.now, config(0));
    pair.effects(0);
    pair.run_until(at(900.0));
    pair.check_up("corrected");
}

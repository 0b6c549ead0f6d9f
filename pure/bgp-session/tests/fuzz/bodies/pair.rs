//! Two sessions, and TCP between them that comes in pieces, breaks, goes silent and may lie. Once
//! it behaves again, they must find each other.

use std::time::Duration;

use bgp_packet::{MAX_LEN, frame_len};
use bgp_session::{Conn, Effect, Event, PeerConfig, Session, State, Stop};
use inet::Timestamp;

use super::bytes::Bytes;
use super::{asn, local};

/// What the two must have found each other in: an OPEN that never comes is waited for for four
/// minutes, and sessions that did not last are held back for two more.
const FOUND_IN: Duration = Duration::from_secs(1800);

/// More wires than can be in use: the oldest break.
const MOST_WIRES: usize = 16;

/// What is chosen for the two, then steps of a byte and what belongs to it.
pub(crate) fn pair(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut pair = Pair::new(bytes.u8());
    while let Some(step) = bytes.next() {
        pair.step(step, &mut bytes);
    }
    pair.heal();
}

/// One TCP connection.
struct Wire {
    /// What each side calls it, while that side has it.
    ends: [Option<Conn>; 2],
    /// Who has dialled.
    dialler: usize,
    answered: bool,
    /// What is on its way to each side.
    pipes: [Vec<u8>; 2],
    /// What each side has read and is not a whole message yet.
    heads: [Vec<u8>; 2],
    /// Nothing gets through, and nobody is told.
    silent: bool,
    /// What came out was not what was said: the two may have agreed on different things.
    lied: bool,
}

struct Pair {
    now: Timestamp,
    sessions: [Session; 2],
    wires: Vec<Wire>,
    accepted: u64,
}

impl Pair {
    fn new(choice: u8) -> Pair {
        let session = |side: usize| {
            let mut config = PeerConfig::new([10, 0, 0, 9].into(), asn([65002, 65001][side]));
            // At most one may wait for the other to dial.
            config.passive = choice & 3 == 1 + side as u8;
            config.hold_time = if choice & 4 << side != 0 { 9 } else { 90 };
            config.graceful_restart.enabled = choice & 16 << side == 0;
            config.idle_hold.damp = choice & 64 << side == 0;
            Session::new(config, local([65001, 65002][side], [1, 2][side]), side as u64)
        };
        let sessions = [session(0), session(1)];
        let mut pair = Pair { now: Timestamp::ZERO, sessions, wires: Vec::new(), accepted: 0 };
        for side in 0..2 {
            pair.tell(side, Event::Start);
        }
        pair
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        let side = usize::from(step >> 7);
        match step % 16 {
            0..=3 => self.deliver(usize::from(bytes.u8() & 15), side, bytes.u8().into()),
            4..=5 => self.answer(usize::from(bytes.u8() & 15), true),
            6 => self.answer(usize::from(bytes.u8() & 15), false),
            7 => self.hang_up(usize::from(bytes.u8() & 15), side),
            8 => {
                let wire = self.wires.get_mut(usize::from(bytes.u8() & 15));
                wire.into_iter().for_each(|wire| wire.silent = true);
            }
            9 => {
                // One byte on its way changes.
                let (which, at, value) = (usize::from(bytes.u8() & 15), bytes.u8(), bytes.u8());
                let wire = self.wires.get_mut(which);
                if let Some(wire) = wire
                    && let Some(byte) = wire.pipes[side].get_mut(usize::from(at))
                {
                    *byte = value;
                    wire.lied = true;
                }
            }
            10 => self.tell(side, Event::Stop(Stop::Keep)),
            11 => self.tell(side, Event::Start),
            12 => {
                let communication = None;
                self.tell(side, Event::AdminReset { hard: step & 16 != 0, communication });
            }
            13 => {
                let control_plane_independent = step & 16 != 0;
                self.tell(side, Event::BfdDown { control_plane_independent });
            }
            14 => self.settle(),
            _ => match bytes.u8() {
                0 => self.wake(),
                seconds => self.pass(Duration::from_secs(seconds.into())),
            },
        }
    }

    /// Nothing breaks any more: both come up on one connection, and stay.
    fn heal(&mut self) {
        for side in 0..2 {
            self.tell(side, Event::Start);
        }
        for which in 0..self.wires.len() {
            for side in 0..2 {
                if self.wires[which].lied {
                    self.hang_up(which, side);
                }
            }
        }
        let end = self.now + FOUND_IN;
        loop {
            self.settle();
            let states = [0, 1].map(|side| self.sessions[side].status().state);
            if states == [State::Established; 2] && self.of_one_wire() {
                break;
            }
            assert!(self.now < end, "they do not find each other: {states:?}");
            self.wake();
        }
        let established = [0, 1].map(|side| self.sessions[side].status().established);
        let end = self.now + Duration::from_secs(600);
        while self.now < end {
            self.wake();
            self.settle();
        }
        let after = [0, 1].map(|side| self.sessions[side].status().established);
        assert_eq!(after, established, "nothing was wrong, and they went down");
    }

    fn of_one_wire(&self) -> bool {
        let conns = [0, 1].map(|side| {
            self.sessions[side].status().negotiated.as_ref().map(|negotiated| negotiated.conn)
        });
        self.wires.iter().any(|wire| wire.ends == conns && !wire.silent)
    }

    /// All that is on its way arrives.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "they never stop talking");
            let open = |wire: &Wire| !wire.answered && !wire.silent;
            if let Some(which) = self.wires.iter().position(open) {
                self.answer(which, true);
                continue;
            }
            let waits =
                |wire: &Wire| !wire.silent && wire.pipes.iter().any(|pipe| !pipe.is_empty());
            let Some(which) = self.wires.iter().position(waits) else { return };
            for side in 0..2 {
                self.deliver(which, side, usize::MAX);
            }
        }
    }

    /// The first timer runs out.
    fn wake(&mut self) {
        let due = self.sessions.iter().filter_map(|session| session.wake_at()).map(|(due, _)| due);
        let wait = due.min().map_or(Duration::from_secs(600), |due| due.since(self.now));
        self.pass(wait);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for side in 0..2 {
            self.sessions[side].tick(self.now);
            self.effects(side);
        }
    }

    fn tell(&mut self, side: usize, event: Event) {
        self.sessions[side].handle(self.now, event);
        self.effects(side);
    }

    /// Whether a connection that was dialled comes about.
    fn answer(&mut self, which: usize, comes: bool) {
        let Some(wire) = self.wires.get_mut(which).filter(|wire| !wire.answered) else { return };
        wire.answered = true;
        let dialler = wire.dialler;
        let Some(conn) = wire.ends[dialler] else { return };
        if !comes {
            wire.ends[dialler] = None;
            return self.tell(dialler, Event::TcpFailed { conn, reason: "refused".into() });
        }
        self.accepted += 1;
        let theirs = Conn::Incoming(self.accepted);
        wire.ends[1 - dialler] = Some(theirs);
        self.tell(1 - dialler, Event::TcpAccepted { conn: theirs });
        self.tell(dialler, Event::TcpConnected { conn });
    }

    /// Up to so many bytes reach a side, and then what was behind them: the other side's close.
    fn deliver(&mut self, which: usize, side: usize, count: usize) {
        let Some(wire) = self.wires.get_mut(which).filter(|wire| !wire.silent) else { return };
        let count = count.min(wire.pipes[side].len());
        let arrived: Vec<u8> = wire.pipes[side].drain(..count).collect();
        wire.heads[side].extend(arrived);
        while let Some(wire) = self.wires.get_mut(which)
            && let Some(conn) = wire.ends[side]
        {
            match frame_len(&wire.heads[side], MAX_LEN) {
                Ok(Some(len)) if len <= wire.heads[side].len() => {
                    let frame: Vec<u8> = wire.heads[side].drain(..len).collect();
                    self.sessions[side].frame(self.now, conn, &frame);
                    self.effects(side);
                }
                Ok(_) => break,
                Err(notification) => {
                    wire.heads[side].clear();
                    self.tell(side, Event::Reset { conn, notification });
                }
            }
        }
        if let Some(wire) = self.wires.get_mut(which)
            && wire.answered
            && wire.pipes[side].is_empty()
            && wire.ends[1 - side].is_none()
            && let Some(conn) = wire.ends[side].take()
        {
            self.tell(side, Event::TcpClosed { conn, reason: String::new() });
        }
    }

    /// A connection breaks at one side, and what was on its way is lost.
    fn hang_up(&mut self, which: usize, side: usize) {
        let Some(wire) = self.wires.get_mut(which) else { return };
        wire.pipes = Default::default();
        if let Some(conn) = wire.ends[side].take() {
            self.tell(side, Event::TcpClosed { conn, reason: "broken".into() });
        }
    }

    fn effects(&mut self, side: usize) {
        while let Some(effect) = self.sessions[side].poll() {
            match effect {
                Effect::Connect { conn } => self.dial(side, conn),
                Effect::Send { conn, bytes } => {
                    if let Some(wire) = self.wire_of(side, conn) {
                        wire.pipes[1 - side].extend(bytes);
                    }
                }
                Effect::Close { conn } => {
                    if let Some(wire) = self.wire_of(side, conn) {
                        wire.ends[side] = None;
                    }
                }
                Effect::Up(_)
                | Effect::Down { .. }
                | Effect::FlushStale(_)
                | Effect::LongLivedStale { .. }
                | Effect::Refresh { .. }
                | Effect::StateChanged(_) => {}
            }
        }
    }

    fn wire_of(&mut self, side: usize, conn: Conn) -> Option<&mut Wire> {
        self.wires.iter_mut().find(|wire| wire.ends[side] == Some(conn))
    }

    fn dial(&mut self, side: usize, conn: Conn) {
        self.wires.retain(|wire| wire.ends != [None, None]);
        assert!(self.wires.len() < MOST_WIRES, "connections are left behind");
        let mut ends = [None; 2];
        ends[side] = Some(conn);
        self.wires.push(Wire {
            ends,
            dialler: side,
            answered: false,
            pipes: Default::default(),
            heads: Default::default(),
            silent: false,
            lied: false,
        });
    }
}

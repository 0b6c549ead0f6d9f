//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bgp_packet::{
    AddPathMode, Capability, Cease, GracefulRestart, KEEPALIVE, LongLived, Message, Notification,
    Open, Options, PeerKind, RefreshKind, Role, decode, encode_route_refresh, end_of_rib,
};
use bgp_session::{
    AsnMatch, Change, Conn, Effect, Event, LocalConfig, LongLivedConfig, MaxPrefixesAction,
    PeerConfig, Session, State, Stop,
};
use inet::{Asn, Family, Timestamp};

#[path = "../../../../fuzz/bytes.rs"]
mod bytes;
#[path = "bodies/pair.rs"]
mod pair;

use bytes::Bytes;

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("session_fsm", fsm), ("session_pair", two)];

/// More effects than one input can have: each connection said goodbye to, and each family flushed.
const MOST_EFFECTS: usize = 32;

/// Two sessions and the network between them.
pub(crate) fn two(data: &[u8]) {
    pair::pair(data);
}

/// One session, and anything in any order: what is chosen at first, then steps of a byte and what
/// belongs to it.
pub(crate) fn fsm(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let session = Session::new(config(bytes.u16()), local(65001, 1), 7);
    let mut world = World { session, ..World::new() };
    while let Some(step) = bytes.next() {
        world.step(step, &mut bytes);
    }
    // Whatever was before: a stop ends all that there is, and leaves no timer behind.
    let why = Cease::AdministrativeShutdown;
    world.event(Event::Stop(Stop::Cease { why, communication: None }));
    assert!(world.open.is_empty() && world.kept.is_empty() && !world.up);
    assert_eq!(world.session.wake_at(), None);
}

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn local(number: u32, id: u8) -> LocalConfig {
    LocalConfig {
        asn: asn(number),
        router_id: std::net::Ipv4Addr::new(10, 0, 0, id).to_string().parse().unwrap(),
        restarting: false,
        preserved: BTreeSet::new(),
    }
}

/// A configuration out of bits.
fn config(choice: u16) -> PeerConfig {
    let bit = |n: u16| choice & (1 << n) != 0;
    let mut config = PeerConfig::new([10, 0, 0, 9].into(), asn(65002));
    config.passive = bit(0);
    config.hold_time = [90, 0, 3, 65535][usize::from(choice >> 1 & 3)];
    config.graceful_restart.enabled = !bit(3);
    config.long_lived = bit(4).then_some(LongLivedConfig { stale_time: 300 });
    if bit(5) {
        config.families.pop_last();
    }
    config.role = bit(6).then_some(Role::Provider);
    config.role_strict = bit(7);
    config.idle_hold.damp = !bit(8);
    config.asn_match = [
        AsnMatch::Exactly,
        AsnMatch::External,
        AsnMatch::Internal,
        AsnMatch::Ranges(vec![1..=65001, 65002..=65002]),
    ][usize::from(choice >> 9 & 3)]
    .clone();
    config.send_hold_time = bit(11).then_some(30);
    if bit(12) {
        config.add_path.insert(Family::Ipv4, AddPathMode::Both);
    }
    config.extended_messages = !bit(13);
    config.connect_retry_time = if bit(14) { 0 } else { 5 };
    config.shutdown = bit(15).then(|| "new fans".to_owned());
    config
}

/// An OPEN that the session may like, out of bits.
pub(crate) fn open(choice: u8) -> Open {
    let bit = |n: u8| choice & (1 << n) != 0;
    let long_lived = LongLived { family: Family::Ipv4, forwarding: bit(7), stale_time: 600 };
    let gr = GracefulRestart {
        restarted: bit(0),
        notification: bit(1),
        restart_time: 60,
        families: vec![(Family::Ipv4, true), (Family::Ipv6, bit(7))],
    };
    let capabilities = [
        Some(Capability::Multiprotocol(Family::Ipv4)),
        Some(Capability::Multiprotocol(Family::Ipv6)),
        Some(Capability::RouteRefresh),
        Some(Capability::FourOctetAs(asn(65002))),
        (!bit(2)).then_some(Capability::GracefulRestart(gr)),
        bit(3).then_some(Capability::LongLivedGracefulRestart(vec![long_lived])),
        bit(4).then_some(Capability::Role(Role::Customer)),
        bit(5).then(|| Capability::AddPath(vec![(Family::Ipv4, AddPathMode::Both)])),
        bit(5).then_some(Capability::ExtendedMessage),
    ];
    Open {
        asn: asn(65002),
        hold_time: 90,
        router_id: if bit(6) { "9.0.0.1" } else { "10.0.0.2" }.parse().unwrap(),
        capabilities: capabilities.into_iter().flatten().collect(),
    }
}

/// What is between a session and its peer.
struct World {
    now: Timestamp,
    session: Session,
    /// Connections that the session has, and whether TCP is there.
    open: BTreeMap<Conn, bool>,
    dialled: u64,
    accepted: u64,
    up: bool,
    /// What the tables keep as stale.
    kept: BTreeSet<Family>,
}

impl World {
    fn new() -> World {
        World {
            now: Timestamp::ZERO,
            session: Session::new(config(0), local(65001, 1), 7),
            open: BTreeMap::new(),
            dialled: 0,
            accepted: 0,
            up: false,
            kept: BTreeSet::new(),
        }
    }

    /// One of the last connections.
    fn pick(&self, choice: u8) -> Conn {
        let back = u64::from(choice >> 1 & 3);
        match choice & 1 {
            0 => Conn::Outgoing(self.dialled.saturating_sub(back)),
            _ => Conn::Incoming(self.accepted.saturating_sub(back)),
        }
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        let reason = String::new();
        match step % 24 {
            0 => self.event(Event::Start),
            1 => self.event(Event::Stop(Stop::Keep)),
            2 => {
                let why = Cease::AdministrativeReset;
                self.event(Event::Stop(Stop::Cease { why, communication: Some("x".into()) }));
            }
            3 => {
                let conn = Conn::Outgoing(self.dialled);
                self.event(Event::TcpConnected { conn });
            }
            4 => {
                self.accepted += 1;
                self.event(Event::TcpAccepted { conn: Conn::Incoming(self.accepted) });
            }
            5 => {
                let conn = self.pick(bytes.u8());
                self.event(Event::TcpConnected { conn });
            }
            6 => {
                let conn = Conn::Outgoing(self.dialled);
                self.event(Event::TcpFailed { conn, reason });
            }
            7 => {
                let conn = self.pick(bytes.u8());
                self.event(Event::TcpClosed { conn, reason });
            }
            8 => {
                let conn = self.pick(bytes.u8());
                self.event(Event::Reset { conn, notification: Notification::new(3, 1) });
            }
            9 => {
                let conn = self.pick(bytes.u8());
                self.event(Event::Written { conn, waiting: usize::from(bytes.u8()) });
            }
            10 => {
                let control_plane_independent = bytes.u8() & 1 != 0;
                self.event(Event::BfdDown { control_plane_independent });
            }
            11 => self.event(Event::BfdUp),
            12 => {
                let action = match bytes.u16() {
                    0 => MaxPrefixesAction::StayDown,
                    after => MaxPrefixesAction::Restart { after: after.into() },
                };
                self.event(Event::MaxPrefixes { family: Family::Ipv4, limit: 9, action });
            }
            13 => {
                let communication = Some(String::from_utf8_lossy(bytes.counted()).into_owned());
                self.event(Event::AdminReset { hard: step & 0x80 != 0, communication });
            }
            14 => {
                let config = config(bytes.u16());
                let planned = self.session.planned(&config).change();
                assert_eq!(self.session.reconfigure(self.now, config.clone()), planned);
                self.effects(None);
                assert_eq!(self.session.reconfigure(self.now, config), Change::Nothing);
                self.effects(None);
            }
            15 => {
                let local = local(65001 + u32::from(bytes.u8() & 1), 1);
                self.session.reconfigure_local(self.now, local);
                self.effects(None);
            }
            16 => {
                self.session.set_restarting(step & 0x80 != 0);
                self.session.count_sent(self.now, 1, 1);
                self.effects(None);
            }
            17 => self.pass(Duration::from_millis(u64::from(bytes.u16()) * 10)),
            18 => {
                let due = self.session.wake_at().map_or(self.now, |(due, _)| due);
                self.pass(due.since(self.now));
            }
            // The two ways that sessions come up, whole.
            19 => self.frame(Conn::Outgoing(self.dialled), &open(bytes.u8()).encode()),
            20 => self.frame(Conn::Incoming(self.accepted), &open(bytes.u8()).encode()),
            21 => self.frame(self.pick(bytes.u8()), &KEEPALIVE),
            22 => {
                let conn = self.pick(bytes.u8());
                let frame = match bytes.u8() {
                    0 => end_of_rib(Family::Ipv4),
                    1 => end_of_rib(Family::Ipv6),
                    2 => encode_route_refresh(Family::Ipv4, RefreshKind::Begin),
                    3 => encode_route_refresh(Family::Ipv6, RefreshKind::Request),
                    code if code & 0x80 == 0 => Notification::new(code, bytes.u8()).encode(),
                    code => Notification::new(code & 7, bytes.u8()).into_hard_reset().encode(),
                };
                self.frame(conn, &frame);
            }
            _ => {
                // A header that is right, and any body; or nothing that is right.
                let (conn, kind, body) = (self.pick(bytes.u8()), bytes.u8(), bytes.counted());
                let len = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
                let frame = [&[0xFF; 16][..], &len, &[kind % 6], body].concat();
                self.frame(conn, if kind < 0xF0 { &frame } else { body });
            }
        }
    }

    fn event(&mut self, event: Event) {
        let about = match &event {
            Event::TcpConnected { conn }
            | Event::TcpAccepted { conn }
            | Event::TcpFailed { conn, .. }
            | Event::TcpClosed { conn, .. }
            | Event::Reset { conn, .. }
            | Event::Written { conn, .. } => Some(*conn),
            Event::Start
            | Event::Stop(_)
            | Event::BfdDown { .. }
            | Event::BfdUp
            | Event::MaxPrefixes { .. }
            | Event::AdminReset { .. } => None,
        };
        let known = about.is_none_or(|conn| self.open.contains_key(&conn));
        // What the session has closed and hears of again, it may close again.
        let mut comes = None;
        match &event {
            Event::TcpConnected { conn } if known => drop(self.open.insert(*conn, true)),
            Event::TcpConnected { conn } => comes = Some(*conn),
            Event::TcpAccepted { conn } => drop(self.open.insert(*conn, true)),
            Event::TcpFailed { conn, .. } | Event::TcpClosed { conn, .. } => {
                self.open.remove(conn);
            }
            _ => {}
        }
        let silent = !known && !matches!(event, Event::TcpAccepted { .. }) && comes.is_none();
        self.session.handle(self.now, event);
        let effects = self.effects(comes);
        assert!(!silent || effects == 0, "effects of a connection that is gone");
    }

    fn frame(&mut self, conn: Conn, frame: &[u8]) {
        let there = self.open.get(&conn) == Some(&true);
        let update = self.session.frame(self.now, conn, frame).is_some();
        let effects = self.effects(None);
        assert!(there || (effects == 0 && !update), "a connection that is gone has spoken");
        assert!(!update || self.up, "routes without a session");
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.session.tick(self.now);
        self.effects(None);
        assert!(self.session.wake_at().is_none_or(|(due, _)| due > self.now), "left undone");
    }

    /// Takes the effects, which make sense one after the other, and counts them.
    fn effects(&mut self, comes: Option<Conn>) -> usize {
        let mut count = 0;
        while let Some(effect) = self.session.poll() {
            count += 1;
            assert!(count <= MOST_EFFECTS, "effects without end");
            match effect {
                Effect::Connect { conn } => {
                    assert_eq!(conn, Conn::Outgoing(self.dialled + 1));
                    self.dialled += 1;
                    assert_eq!(self.open.insert(conn, false), None);
                }
                Effect::Send { conn, bytes } => {
                    assert_eq!(self.open.get(&conn), Some(&true), "said to nobody");
                    match decode(&bytes, &Options::new(PeerKind::External)) {
                        Ok(Message::Open(_) | Message::Keepalive | Message::Notification(_)) => {}
                        other => panic!("sent {other:?}"),
                    }
                }
                Effect::Close { conn } => {
                    let had = self.open.remove(&conn).is_some();
                    assert!(had || comes == Some(conn), "closed twice: {conn:?}");
                }
                Effect::Up(negotiated) => {
                    assert!(!std::mem::replace(&mut self.up, true), "up twice");
                    assert_eq!(self.open.get(&negotiated.conn), Some(&true));
                    assert_eq!(negotiated.stale, self.kept);
                    assert!(!negotiated.families.is_empty());
                }
                Effect::Down { failure, stale } => {
                    assert!(std::mem::replace(&mut self.up, false), "down twice");
                    assert!(!failure.to_string().is_empty());
                    let stale = stale.map(|stale| stale.families).unwrap_or_default();
                    assert!(self.kept.is_subset(&stale), "what is not kept on is flushed before");
                    self.kept = stale;
                }
                Effect::FlushStale(family) => assert!(self.kept.remove(&family), "none are kept"),
                Effect::LongLivedStale { family, until } => {
                    assert!(self.kept.contains(&family) && until >= self.now);
                }
                Effect::Refresh { .. } => assert!(self.up),
                Effect::StateChanged(_) => {}
            }
        }
        let status = self.session.status();
        assert_eq!(status.state == State::Established, self.up);
        assert_eq!(status.negotiated.is_some(), self.up);
        assert!(status.idle.is_none() || self.open.is_empty(), "idle with connections");
        let of = |outgoing| {
            let same = |conn: &&Conn| matches!(conn, Conn::Outgoing(_)) == outgoing;
            self.open.keys().filter(same).count()
        };
        assert!(of(true) <= 1 && of(false) <= 2, "{:?}", self.open);
        count
    }
}

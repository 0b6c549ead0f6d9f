//! Anything may happen in any order.

use std::collections::BTreeSet;
use std::time::Duration;

use bgp_packet::{
    AddPathMode, Capability, Cease, KEEPALIVE, LongLived, Notification, RefreshKind, Role,
    encode_route_refresh, end_of_rib,
};
use inet::{Family, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{asn, peer, plain_open, session, their_open};
use crate::link::{Queue, Stage};
use crate::session::Mode;
use crate::stale::Kept;
use crate::timer::Timer;
use crate::{
    AsnMatch, Conn, Effect, Event, LongLivedConfig, MaxPrefixesAction, Session, State, Stop,
};

#[derive(Clone, Debug)]
enum Step {
    Start,
    Stop(bool),
    /// The answer to the newest dialled connection, or to an older one.
    Connected(u64),
    Failed(u64),
    Accepted,
    Closed(Pick),
    Frame(Pick, Frame),
    Reset(Pick),
    Reconfigure(u16),
    Written(Pick, usize),
    BfdDown(bool),
    BfdUp,
    MaxPrefixes(Option<u32>),
    AdminReset(bool),
    /// Time passes until the next timer is due, or by so many milliseconds.
    Tick,
    Pass(u64),
}

/// The nth newest connection of a direction.
#[derive(Clone, Copy, Debug)]
struct Pick(bool, u64);

#[derive(Clone, Debug)]
enum Frame {
    Open { gr: bool, restarted: bool, higher: bool, bad_as: bool, more: u8 },
    Keepalive,
    EndOfRib,
    Refresh,
    Notification(u8, u8),
    HardReset(u8, u8),
    Bytes(Vec<u8>),
}

fn pick() -> impl Strategy<Value = Pick> {
    (any::<bool>(), prop_oneof![9 => Just(0u64), 1 => 1..3u64]).prop_map(|(o, n)| Pick(o, n))
}

fn frame() -> impl Strategy<Value = Frame> {
    let open =
        (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1), any::<u8>());
    prop_oneof![
        6 => open.prop_map(|(gr, restarted, higher, bad_as, more)| {
            Frame::Open { gr, restarted, higher, bad_as, more }
        }),
        6 => Just(Frame::Keepalive),
        2 => Just(Frame::EndOfRib),
        1 => Just(Frame::Refresh),
        1 => (1..9u8, 0..11u8).prop_map(|(c, s)| Frame::Notification(c, s)),
        1 => (1..9u8, 0..11u8).prop_map(|(c, s)| Frame::HardReset(c, s)),
        1 => vec(any::<u8>(), 0..40).prop_map(Frame::Bytes),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Start),
        1 => any::<bool>().prop_map(Step::Stop),
        6 => prop_oneof![9 => Just(0u64), 1 => 1..3u64].prop_map(Step::Connected),
        1 => (0..2u64).prop_map(Step::Failed),
        5 => Just(Step::Accepted),
        2 => pick().prop_map(Step::Closed),
        20 => (pick(), frame()).prop_map(|(p, f)| Step::Frame(p, f)),
        1 => pick().prop_map(Step::Reset),
        1 => any::<u16>().prop_map(Step::Reconfigure),
        3 => (pick(), prop_oneof![Just(0usize), 1..9usize]).prop_map(|(p, n)| Step::Written(p, n)),
        1 => any::<bool>().prop_map(Step::BfdDown),
        1 => Just(Step::BfdUp),
        1 => prop::option::of(0..500u32).prop_map(Step::MaxPrefixes),
        1 => any::<bool>().prop_map(Step::AdminReset),
        5 => Just(Step::Tick),
        5 => (0..200_000u64).prop_map(Step::Pass),
    ]
}

fn bytes(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Open { gr, restarted, higher, bad_as, more } => {
            let mut open = if *gr { their_open() } else { plain_open() };
            if let Some(Capability::GracefulRestart(gr)) = open.capabilities.last_mut() {
                gr.restarted = *restarted;
                gr.restart_time = if more & 1 != 0 { 0 } else { gr.restart_time };
            }
            if more & 2 != 0 {
                let long_lived = |family, stale_time| LongLived {
                    family,
                    forwarding: more & 4 != 0,
                    stale_time,
                };
                let all = vec![long_lived(Family::Ipv4, 600), long_lived(Family::Ipv6, 0)];
                open.capabilities.push(Capability::LongLivedGracefulRestart(all));
            }
            if more & 8 != 0 {
                open.capabilities.push(Capability::Role(Role::Customer));
            }
            if more & 16 != 0 {
                let both = vec![(Family::Ipv4, AddPathMode::Both)];
                open.capabilities.push(Capability::AddPath(both));
                open.capabilities.push(Capability::ExtendedMessage);
            }
            if !higher {
                open.router_id = "9.0.0.1".parse().unwrap();
            }
            if *bad_as {
                open.asn = asn(65003);
                open.capabilities.retain(|c| c.code() != 65);
            }
            open.encode()
        }
        Frame::Keepalive => KEEPALIVE.to_vec(),
        Frame::EndOfRib => end_of_rib(Family::Ipv4),
        Frame::Refresh => encode_route_refresh(Family::Ipv4, RefreshKind::Begin),
        Frame::Notification(code, subcode) => Notification::new(*code, *subcode).encode(),
        Frame::HardReset(code, subcode) => {
            Notification::new(*code, *subcode).into_hard_reset().encode()
        }
        Frame::Bytes(bytes) => bytes.clone(),
    }
}

/// The world's side: which connections there were.
#[derive(Default)]
struct World {
    now: Timestamp,
    accepted: u64,
    dialled: u64,
    up: bool,
    /// What the tables keep as stale.
    kept: BTreeSet<Family>,
}

impl World {
    fn conn(&self, pick: Pick) -> Conn {
        match pick {
            Pick(true, n) => Conn::Outgoing(self.dialled.saturating_sub(n)),
            Pick(false, n) => Conn::Incoming(self.accepted.saturating_sub(n)),
        }
    }

    fn apply(&mut self, s: &mut Session, step: &Step) {
        let reason = String::new;
        match step {
            Step::Start => s.handle(self.now, Event::Start),
            Step::Stop(true) => s.handle(self.now, Event::Stop(Stop::Keep)),
            Step::Stop(false) => {
                let why = Cease::AdministrativeReset;
                s.handle(self.now, Event::Stop(Stop::Cease { why, communication: None }));
            }
            Step::Connected(n) => {
                let conn = self.conn(Pick(true, *n));
                s.handle(self.now, Event::TcpConnected { conn });
            }
            Step::Failed(n) => {
                let conn = self.conn(Pick(true, *n));
                s.handle(self.now, Event::TcpFailed { conn, reason: reason() });
            }
            Step::Accepted => {
                self.accepted += 1;
                let conn = Conn::Incoming(self.accepted);
                s.handle(self.now, Event::TcpAccepted { conn });
            }
            Step::Closed(pick) => {
                let conn = self.conn(*pick);
                s.handle(self.now, Event::TcpClosed { conn, reason: reason() });
            }
            Step::Frame(pick, frame) => {
                let was_up = s.status().state == State::Established;
                let update = s.frame(self.now, self.conn(*pick), &bytes(frame)).is_some();
                assert!(!update || was_up || s.status().state == State::Established);
            }
            Step::Reset(pick) => {
                let (conn, notification) = (self.conn(*pick), Notification::new(3, 1));
                s.handle(self.now, Event::Reset { conn, notification });
            }
            Step::Reconfigure(which) => {
                let mut config = peer(65002);
                config.passive = which & 1 != 0;
                config.hold_time = if which & 2 != 0 { 0 } else { 90 };
                if which & 4 != 0 {
                    config.families.pop_last();
                }
                config.graceful_restart.enabled = which & 24 != 0;
                config.shutdown = (which & 0xE0 == 0xE0).then(String::new);
                config.long_lived =
                    (which & 256 != 0).then_some(LongLivedConfig { stale_time: 300 });
                config.role = (which & 512 != 0).then_some(Role::Provider);
                config.role_strict = which & 1024 != 0;
                config.idle_hold.damp = which & 2048 != 0;
                if which & 4096 != 0 {
                    config.asn_match = AsnMatch::External;
                }
                config.send_hold_time = (which & 8192 != 0).then_some(30);
                let planned = s.planned(&config).change();
                assert_eq!(s.reconfigure(self.now, config.clone()), planned);
                assert_eq!(s.reconfigure(self.now, config), crate::Change::Nothing);
            }
            Step::Written(pick, waiting) => {
                let (conn, waiting) = (self.conn(*pick), *waiting);
                s.handle(self.now, Event::Written { conn, waiting });
            }
            Step::BfdDown(control_plane_independent) => {
                let control_plane_independent = *control_plane_independent;
                s.handle(self.now, Event::BfdDown { control_plane_independent });
            }
            Step::BfdUp => s.handle(self.now, Event::BfdUp),
            Step::MaxPrefixes(after) => {
                let action = match after {
                    Some(after) => MaxPrefixesAction::Restart { after: *after },
                    None => MaxPrefixesAction::StayDown,
                };
                let family = Family::Ipv4;
                s.handle(self.now, Event::MaxPrefixes { family, limit: 9, action });
            }
            Step::AdminReset(hard) => {
                let communication = Some("again".to_owned());
                s.handle(self.now, Event::AdminReset { hard: *hard, communication });
            }
            Step::Tick => {
                if let Some((due, _)) = s.wake_at() {
                    self.now = self.now.max(due);
                    s.tick(self.now);
                }
            }
            Step::Pass(millis) => {
                self.now = self.now + Duration::from_millis(*millis);
                s.tick(self.now);
            }
        }
    }

    /// Effects make sense one after the other.
    fn effects(&mut self, s: &mut Session) {
        while let Some(effect) = s.poll() {
            match effect {
                Effect::Connect { conn: Conn::Outgoing(n) } => {
                    assert!(n > self.dialled);
                    self.dialled = n;
                }
                Effect::Connect { conn: Conn::Incoming(_) } => panic!("dialled an incoming one"),
                Effect::Up(negotiated) => {
                    assert!(!std::mem::replace(&mut self.up, true), "up twice");
                    assert_eq!(negotiated.stale, self.kept);
                }
                Effect::Down { stale, .. } => {
                    assert!(std::mem::replace(&mut self.up, false), "down twice");
                    let stale = stale.map(|s| s.families).unwrap_or_default();
                    assert!(self.kept.is_subset(&stale), "what is not kept on is flushed before");
                    self.kept = stale;
                }
                Effect::FlushStale(family) => assert!(self.kept.remove(&family), "none are kept"),
                Effect::LongLivedStale { family, until } => {
                    assert!(self.kept.contains(&family) && until >= self.now);
                }
                Effect::Refresh { .. } => assert!(self.up),
                Effect::Send { .. } | Effect::Close { .. } | Effect::StateChanged(_) => {}
            }
        }
    }
}

/// What always holds between two inputs.
fn check(s: &Session, world: &World) {
    let stages = |f: fn(&Stage) -> bool| s.links.iter().filter(|l| f(&l.stage)).count();
    let established = stages(|stage| matches!(stage, Stage::Established(_)));
    assert!(established <= 1);
    assert_eq!(established == 1, world.up);
    assert_eq!(s.status.state == State::Established, world.up);
    assert_eq!(s.status.negotiated.is_some(), world.up);
    assert!(s.links.iter().filter(|l| l.is_outgoing()).count() <= 1);
    let pending_in = s.links.iter().filter(|l| !l.is_outgoing() && l.state() < State::Established);
    assert!(pending_in.count() <= 1);
    if established == 1 {
        assert_eq!(stages(|stage| matches!(stage, Stage::Dialling)), 0);
    }
    for link in &s.links {
        let hold_time = link.negotiated().map_or(1, |n| n.hold_time);
        let holds = link.state() >= State::OpenSent && hold_time > 0;
        assert_eq!(link.timers.get(Timer::Hold).is_some(), holds, "{link:?}");
        let speaks = link.negotiated().is_some_and(|n| n.keepalive_time > 0);
        assert_eq!(link.timers.get(Timer::Keepalive).is_some(), speaks, "{link:?}");
        // Nothing is due that was not done.
        assert!(
            link.timers.next().is_none_or(|(due, _)| due + Duration::from_secs(240) > world.now)
        );
    }
    for link in &s.links {
        let watched = match &link.stage {
            Stage::Established(n) => link.queue == Queue::Waiting && n.send_hold_time > 0,
            Stage::Dialling | Stage::OpenSent | Stage::OpenConfirm { .. } => false,
        };
        assert_eq!(link.timers.get(Timer::SendHold).is_some(), watched, "{link:?}");
    }
    let set = |timer| s.timers.get(timer).is_some();
    assert!(!set(Timer::Hold) && !set(Timer::Keepalive) && !set(Timer::SendHold));
    assert_eq!(s.status.idle.is_some(), s.mode != Mode::Running);
    match s.mode {
        Mode::Holding | Mode::Damped => assert!(set(Timer::IdleHold)),
        Mode::Blocked => {}
        Mode::Stopped | Mode::Shutdown | Mode::Running => assert!(!set(Timer::IdleHold)),
    }
    assert!(s.mode != Mode::Shutdown || s.config.shutdown.is_some());
    match s.mode {
        Mode::Stopped | Mode::Shutdown | Mode::Blocked | Mode::Holding | Mode::Damped => {
            assert!(s.links.is_empty() && !set(Timer::ConnectRetry));
            assert_eq!(s.status.state, State::Idle);
        }
        // Something always goes on: a connection, a timer, or waiting for the peer to dial.
        Mode::Running => {
            let active = s.links.is_empty() && !s.config.passive;
            assert!(!active || set(Timer::ConnectRetry), "{s:?}");
        }
    }
    assert!(!world.up || (!set(Timer::ConnectRetry) && !set(Timer::Restart)));
    // With `Keep` the stale set stays while stopped.
    assert!(
        s.mode == Mode::Stopped
            || s.stale.is_empty()
            || set(Timer::Restart)
            || set(Timer::StalePath)
            || set(Timer::LongLived)
    );
    assert!(s.stale.keys().eq(&world.kept));
    let long = s.stale.values().any(|kept| matches!(kept, Kept::LongLived { .. }));
    assert_eq!(set(Timer::LongLived), long);
    let a_waiter = |stage: &Stage| matches!(stage, Stage::OpenConfirm { confirmed: true, .. });
    if set(Timer::Collision) && s.links.iter().any(|l| a_waiter(&l.stage)) {
        assert!(s.links.len() > 1);
    }
}

proptest! {
    #[test]
    fn nothing_breaks_it(steps in vec(step(), 1..80)) {
        let mut s = session();
        let mut world = World::default();
        s.handle(world.now, Event::Start);
        world.effects(&mut s);
        for step in &steps {
            world.apply(&mut s, step);
            world.effects(&mut s);
            check(&s, &world);
        }
    }
}

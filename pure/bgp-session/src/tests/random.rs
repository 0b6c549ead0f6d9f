//! Anything may happen in any order.

use std::time::Duration;

use bgp_packet::{Cease, KEEPALIVE, Notification, RefreshKind, encode_route_refresh, end_of_rib};
use inet::{Family, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{asn, peer, plain_open, session, their_open};
use crate::link::Stage;
use crate::session::Mode;
use crate::timer::Timer;
use crate::{Conn, Effect, Event, Session, State, Stop};

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
    Reconfigure(u8),
    /// Time passes until the next timer is due, or by so many milliseconds.
    Tick,
    Pass(u64),
}

/// The nth newest connection of a direction.
#[derive(Clone, Copy, Debug)]
struct Pick(bool, u64);

#[derive(Clone, Debug)]
enum Frame {
    Open { gr: bool, restarted: bool, higher: bool, bad_as: bool },
    Keepalive,
    EndOfRib,
    Refresh,
    Notification(u8, u8),
    Bytes(Vec<u8>),
}

fn pick() -> impl Strategy<Value = Pick> {
    (any::<bool>(), prop_oneof![9 => Just(0u64), 1 => 1..3u64]).prop_map(|(o, n)| Pick(o, n))
}

fn frame() -> impl Strategy<Value = Frame> {
    let open = (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    prop_oneof![
        6 => open.prop_map(|(gr, restarted, higher, bad_as)| {
            Frame::Open { gr, restarted, higher, bad_as }
        }),
        6 => Just(Frame::Keepalive),
        2 => Just(Frame::EndOfRib),
        1 => Just(Frame::Refresh),
        1 => (1..9u8, 0..11u8).prop_map(|(c, s)| Frame::Notification(c, s)),
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
        1 => any::<u8>().prop_map(Step::Reconfigure),
        5 => Just(Step::Tick),
        5 => (0..200_000u64).prop_map(Step::Pass),
    ]
}

fn bytes(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Open { gr, restarted, higher, bad_as } => {
            let mut open = if *gr { their_open() } else { plain_open() };
            if let Some(bgp_packet::Capability::GracefulRestart(gr)) = open.capabilities.last_mut()
            {
                gr.restarted = *restarted;
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
                s.reconfigure(self.now, config);
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
                Effect::Up(_) => assert!(!std::mem::replace(&mut self.up, true), "up twice"),
                Effect::Down { .. } => {
                    assert!(std::mem::replace(&mut self.up, false), "down twice");
                }
                Effect::Refresh { .. } => assert!(self.up),
                Effect::Send { .. }
                | Effect::Close { .. }
                | Effect::FlushStale(_)
                | Effect::StateChanged(_) => {}
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
    let set = |timer| s.timers.get(timer).is_some();
    assert!(!set(Timer::Hold) && !set(Timer::Keepalive));
    assert_eq!(set(Timer::IdleHold), s.mode == Mode::Holding);
    match s.mode {
        Mode::Stopped | Mode::Holding => {
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
    );
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

//! Peers that do not read (RFC 9687), and sessions that do not last (RFC 4271 §8.1.1).

use std::time::Duration;

use bgp_packet::{KEEPALIVE, Notification};
use inet::Timestamp;

use super::goodbyes::closed;
use super::{IN, OUT, at, drain, established, peer, plain_open, sent, session, their_open, words};
use crate::{Conn, Effect, Event, IdleReason, PeerConfig, Session, State};

/// Sessions of two seconds each, dialled by us, one after the other; the last ends at `start` plus
/// some seconds.
pub(super) fn brief_sessions(s: &mut Session, start: Timestamp, count: u32) -> Timestamp {
    let mut now = start;
    for _ in 0..count {
        let dialled = std::iter::from_fn(|| s.poll()).find_map(|effect| match effect {
            Effect::Connect { conn } => Some(conn),
            _ => None,
        });
        let conn = dialled.expect("an attempt");
        s.handle(now, Event::TcpConnected { conn });
        s.frame(now, conn, &plain_open().encode());
        s.frame(now, conn, &KEEPALIVE);
        assert_eq!(s.status().state, State::Established);
        now = now + Duration::from_secs(2);
        s.handle(now, closed(conn));
        if s.status().idle.is_none() {
            now = s.wake_at().unwrap().0;
            s.tick(now);
        }
    }
    now
}

/// The peer speaks but never reads from 10 on, and `waiting` is told: when and how it ends.
fn stuck(mut s: Session, told: &[(f64, usize)]) -> (Option<Timestamp>, String) {
    let mut told = told.iter().copied().peekable();
    drain(&mut s);
    loop {
        let (due, _) = s.wake_at().unwrap();
        if due > at(5000.0) {
            return (None, String::new());
        }
        if let Some((when, waiting)) = told.next_if(|(when, _)| at(*when) <= due) {
            s.handle(at(when), Event::Written { conn: OUT, waiting });
            continue;
        }
        s.frame(due, OUT, &KEEPALIVE);
        s.tick(due);
        let effects = drain(&mut s);
        if s.status().state != State::Established {
            return (Some(due), words(&effects));
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_is_left_after_eight_minutes() {
    let end = |told: &[(f64, usize)]| stuck(established(&plain_open()), told);
    assert_eq!(end(&[(10.0, 500)]), (Some(at(490.0)), "8/0 close down".into()));
    // Any progress begins the time anew.
    let slow: Vec<_> = (1..=20).map(|i| (f64::from(i) * 60.0, 500)).collect();
    assert_eq!(end(&slow).0, Some(at(1680.0)));
    // An empty queue ends it; the next message begins it.
    let (over, _) = end(&[(10.0, 500), (20.0, 0)]);
    assert!(over.is_some_and(|over| over > at(500.0) && over <= at(530.0)), "{over:?}");
    // Nobody tells: nobody is judged.
    assert_eq!(end(&[]).0, None);
    let s = established(&plain_open());
    let failure = |s: &Session| s.status().last_failure.as_ref().unwrap().failure.to_string();
    let mut s = s;
    s.handle(at(10.0), Event::Written { conn: OUT, waiting: 1 });
    while s.status().state == State::Established {
        let (due, _) = s.wake_at().unwrap();
        s.frame(due, OUT, &KEEPALIVE);
        s.tick(due);
    }
    assert_eq!(failure(&s), "sent Send Hold Timer Expired (8/0)");
    assert_eq!(s.status().idle.unwrap().reason, IdleReason::Error);
}

#[test]
fn the_time_is_configured_or_twice_the_hold_time() {
    let time = |send_hold_time, hold_time| {
        let config = PeerConfig { send_hold_time, hold_time, ..peer(65002) };
        let mut open = plain_open();
        open.hold_time = hold_time;
        super::opens::negotiated(config, &open).unwrap().send_hold_time
    };
    assert_eq!(time(None, 90), 480);
    assert_eq!(time(None, 300), 600);
    assert_eq!(time(None, 65535), 131_070);
    assert_eq!(time(Some(60), 90), 60);
    assert_eq!(time(Some(0), 90), 0);
    // Without a hold time there is none (RFC 9687 §3.3).
    assert_eq!(time(None, 0), 0);
    assert_eq!(time(Some(60), 0), 0);
}

#[test]
fn tables_that_send_begin_the_time_too_and_a_new_value_counts_at_the_next_progress() {
    let mut s = established(&plain_open());
    s.handle(at(1.0), Event::Written { conn: OUT, waiting: 0 });
    assert_eq!(s.wake_at().unwrap().1, "keepalive");
    let config = PeerConfig { send_hold_time: Some(3), ..peer(65002) };
    assert_eq!(s.reconfigure(at(1.0), config), crate::Change::Live);
    s.count_sent(at(2.0), 1, 0);
    assert_eq!(s.wake_at().unwrap(), (at(5.0), "send hold time"));
    s.handle(at(3.0), Event::Written { conn: OUT, waiting: 9 });
    assert_eq!(s.wake_at().unwrap(), (at(6.0), "send hold time"));
    s.tick(at(6.0));
    assert_eq!(sent(&drain(&mut s)), [Notification::new(8, 0)]);
}

#[test]
fn graceful_restart_holds_over_a_stuck_connection() {
    let mut s = established(&their_open());
    s.handle(at(1.0), Event::Written { conn: OUT, waiting: 9 });
    s.frame(at(480.0), OUT, &KEEPALIVE);
    while s.status().state == State::Established {
        let (due, _) = s.wake_at().unwrap();
        s.frame(due, OUT, &KEEPALIVE);
        s.tick(due);
    }
    assert!(words(&drain(&mut s)).ends_with("8/0 close down-stale"));
}

#[test]
fn sessions_that_do_not_last_are_damped() {
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    let now = brief_sessions(&mut s, at(0.0), 4);
    let idle = s.status().idle.unwrap();
    assert_eq!((s.status().state, idle.reason), (State::Idle, IdleReason::Oscillation));
    assert_eq!(s.status().connect_retries, 4);
    drain(&mut s);
    // Connections are refused meanwhile.
    s.handle(now, Event::TcpAccepted { conn: IN });
    assert_eq!(words(&drain(&mut s)), "close-in");
    // Longer each time.
    let mut waits = Vec::new();
    let mut now = now;
    for _ in 0..9 {
        let until = s.status().idle.unwrap().until.unwrap();
        waits.push((until - now).as_secs_f64());
        s.tick(until);
        now = brief_sessions(&mut s, until, 1);
    }
    for (i, wait) in waits.iter().enumerate() {
        let base = f64::from(120.min(1 << i));
        assert!((base * 0.75..=(base * 1.25).min(120.0)).contains(wait), "{i}: {wait}");
    }
    // A session that lasts makes it forgotten.
    let until = s.status().idle.unwrap().until.unwrap();
    s.tick(until);
    let conn = drain(&mut s).iter().find_map(|e| match e {
        Effect::Connect { conn } => Some(*conn),
        _ => None,
    });
    let conn = conn.unwrap();
    s.handle(until, Event::TcpConnected { conn });
    s.frame(until, conn, &plain_open().encode());
    s.frame(until, conn, &KEEPALIVE);
    let end = until + Duration::from_secs(121);
    s.handle(end, closed(conn));
    assert_eq!((s.status().state, s.status().idle), (State::Active, None));
}

#[test]
fn damping_can_be_switched_off_and_its_times_chosen() {
    let mut config = peer(65002);
    config.idle_hold.damp = false;
    let mut s = Session::new(config, super::local(65001, "10.0.0.1"), 7);
    s.handle(at(0.0), Event::Start);
    brief_sessions(&mut s, at(0.0), 9);
    assert_eq!(s.status().idle, None);
    // The first wait and the longest.
    let mut config = peer(65002);
    (config.idle_hold.first, config.idle_hold.max) = (10, 15);
    let mut s = Session::new(config, super::local(65001, "10.0.0.1"), 7);
    s.handle(at(0.0), Event::Start);
    for (number, range) in [(1, 7.5..=12.5), (2, 11.25..=15.0), (3, 11.25..=15.0)] {
        let now = s.wake_at().filter(|(_, what)| *what == "idle hold").map_or(at(0.0), |(w, _)| w);
        s.tick(now);
        let conn = Conn::Outgoing(number);
        s.handle(now, Event::TcpConnected { conn });
        s.frame(now, conn, &Notification::new(2, 2).encode());
        let wait = s.status().idle.unwrap().until.unwrap() - now;
        assert!(range.contains(&wait.as_secs_f64()), "{wait:?}");
    }
    assert_eq!(s.status().connect_retries, 3);
    s.handle(at(99.0), Event::Start);
    assert_eq!(s.status().connect_retries, 0);
}

//! Ends of sessions: what is said, what is kept, when the next attempt is made.

use std::time::Duration;

use bgp_packet::{
    Capability, Cease, GracefulRestart, KEEPALIVE, Notification, Open, RefreshKind,
    encode_route_refresh, end_of_rib,
};
use inet::{Family, Timestamp};

use super::{
    IN, OUT, asn, at, drain, established, peer, plain_open, sent, session, their_open, words,
};
use crate::{Change, Conn, Effect, Event, Session, Stale, State, Stop};

pub(super) fn closed(conn: Conn) -> Event {
    Event::TcpClosed { conn, reason: String::new() }
}

pub(super) fn stale_of(effects: &[Effect]) -> Option<Stale> {
    effects.iter().find_map(|e| match e {
        Effect::Down { stale, .. } => stale.clone(),
        _ => None,
    })
}

fn without_n_bit() -> Open {
    let mut open = plain_open();
    open.capabilities.push(Capability::GracefulRestart(GracefulRestart {
        restart_time: 60,
        families: vec![(Family::Ipv4, true)],
        ..GracefulRestart::default()
    }));
    open
}

#[test]
fn the_hold_time_ends_a_session_to_the_instant() {
    let mut s = established(&plain_open());
    s.frame(at(50.25), OUT, &KEEPALIVE);
    let mut last = Timestamp::ZERO;
    while s.status().state == State::Established {
        let (due, _) = s.wake_at().unwrap();
        last = due;
        s.tick(due);
    }
    assert_eq!(last, at(140.25));
    let effects = drain(&mut s);
    assert_eq!(sent(&effects), [Notification::new(4, 0)]);
    let failure = s.status().last_failure.as_ref().unwrap();
    assert_eq!(
        (failure.at, failure.failure.to_string().as_str()),
        (last, "sent Hold Timer Expired (4/0)")
    );
}

#[test]
fn keepalives_come_at_75_to_100_percent() {
    let mut s = established(&plain_open());
    let mut last = at(0.0);
    for _ in 0..50 {
        let (due, what) = s.wake_at().unwrap();
        assert_eq!(what, "keepalive");
        let wait = due - last;
        assert!((Duration::from_millis(22_500)..=Duration::from_secs(30)).contains(&wait));
        s.tick(due);
        assert_eq!(words(&drain(&mut s)), "KEEPALIVE");
        s.frame(due, OUT, &KEEPALIVE);
        last = due;
    }
}

#[test]
fn hold_time_zero_never_ends_nor_speaks() {
    let open = Open { hold_time: 0, ..plain_open() };
    let s = established(&open);
    assert_eq!(s.wake_at(), None);
}

#[test]
fn two_goodbyes() {
    let say = |open: &Open, stop: Stop| {
        let mut s = established(open);
        s.handle(at(1.0), Event::Stop(stop));
        assert_eq!((s.status().state, s.wake_at()), (State::Idle, None));
        drain(&mut s)
    };
    let cease = |why| Stop::Cease { why, communication: Some("bye".into()) };
    assert_eq!(words(&say(&their_open(), Stop::Keep)), "close down");
    let effects = say(&plain_open(), cease(Cease::AdministrativeShutdown));
    assert_eq!(words(&effects), "6/2 close down");
    assert_eq!(sent(&effects)[0].communication().unwrap(), "bye");
    // With the N bit a plain Cease would be graceful (RFC 8538 §3.1).
    let effects = say(&their_open(), cease(Cease::AdministrativeReset));
    assert_eq!(words(&effects), "6/9 close down");
    assert_eq!(sent(&effects)[0].data[..2], [6, 4]);
    assert_eq!(sent(&effects)[0].communication().unwrap(), "bye");
    assert_eq!(words(&say(&without_n_bit(), cease(Cease::PeerDeconfigured))), "6/3 close down");
}

#[test]
fn routes_are_kept_when_the_peer_may_come_back() {
    let check = |open: &Open, event: Event, kept: &[Family]| {
        let mut s = established(open);
        s.handle(at(10.0), event);
        let stale = stale_of(&drain(&mut s));
        let families = stale.iter().flat_map(|s| s.families.iter().copied());
        assert_eq!(families.collect::<Vec<_>>(), kept);
        assert!(stale.is_none_or(|s| s.until == at(70.0)));
    };
    let sends =
        |code, subcode| Event::Reset { conn: OUT, notification: Notification::new(code, subcode) };
    check(&their_open(), closed(OUT), &Family::ALL);
    check(&without_n_bit(), closed(OUT), &[Family::Ipv4]);
    check(&plain_open(), closed(OUT), &[]);
    // RFC 8538: NOTIFICATIONs too, if both set the N bit.
    check(&their_open(), sends(3, 1), &Family::ALL);
    check(&without_n_bit(), sends(3, 1), &[]);
    check(&their_open(), sends(6, 9), &[]);
    let received = |open: &Open, notification: Notification| {
        let mut s = established(open);
        s.frame(at(10.0), OUT, &notification.encode());
        stale_of(&drain(&mut s)).is_some()
    };
    assert!(received(&their_open(), Notification::new(6, 4)));
    assert!(!received(&their_open(), Notification::new(6, 4).into_hard_reset()));
    assert!(!received(&without_n_bit(), Notification::new(6, 4)));
    // A peer that only helps keeps nothing of its own.
    let mut helper = plain_open();
    let gr = GracefulRestart { restart_time: 60, ..GracefulRestart::default() };
    helper.capabilities.push(Capability::GracefulRestart(gr));
    check(&helper, closed(OUT), &[]);
}

/// The peer went away at 10 and is back at 20 with this OPEN.
fn back(open: &Open) -> (Session, String) {
    let mut s = established(&their_open());
    s.handle(at(10.0), closed(OUT));
    drain(&mut s);
    s.handle(at(20.0), Event::TcpAccepted { conn: IN });
    s.frame(at(20.0), IN, &open.encode());
    s.frame(at(20.0), IN, &KEEPALIVE);
    let words = words(&drain(&mut s));
    (s, words)
}

#[test]
fn stale_routes_go_when_the_peer_has_not_kept_them() {
    // F bit for IPv4 only.
    let (mut s, said) = back(&their_open());
    assert_eq!(said, "OPEN KEEPALIVE flush-ipv6 up");
    assert_eq!(s.status().negotiated.as_ref().unwrap().stale, [Family::Ipv4].into());
    // End-of-RIB sweeps, once.
    assert!(s.frame(at(21.0), IN, &end_of_rib(Family::Ipv4)).is_some());
    assert_eq!(words(&drain(&mut s)), "flush-ipv4");
    assert!(s.frame(at(22.0), IN, &end_of_rib(Family::Ipv4)).is_some());
    assert_eq!(words(&drain(&mut s)), "");
    // Without the capability nothing is kept.
    assert_eq!(back(&plain_open()).1, "OPEN KEEPALIVE flush-ipv4 flush-ipv6 up");
}

#[test]
fn stale_routes_go_when_the_time_is_over() {
    let mut s = established(&their_open());
    s.handle(at(10.0), closed(OUT));
    drain(&mut s);
    // Attempts go on, none succeeds.
    let mut flushed = None;
    while let Some((due, _)) = s.wake_at().filter(|(due, _)| *due < at(200.0)) {
        s.tick(due);
        for effect in drain(&mut s) {
            match effect {
                Effect::Connect { conn } => {
                    s.handle(due, Event::TcpFailed { conn, reason: "refused".into() });
                }
                Effect::FlushStale(_) => flushed = Some(due),
                _ => {}
            }
        }
    }
    assert_eq!(flushed, Some(at(70.0)));
    // Back, but without End-of-RIB: six minutes.
    let (mut s, _) = back(&their_open());
    let mut flushed = None;
    while flushed.is_none() {
        let (due, _) = s.wake_at().unwrap();
        s.frame(due, IN, &KEEPALIVE);
        s.tick(due);
        flushed = words(&drain(&mut s)).contains("flush-ipv4").then_some(due);
    }
    assert_eq!(flushed, Some(at(380.0)));
}

#[test]
fn going_away_twice_keeps_nothing_twice() {
    let (mut s, _) = back(&their_open());
    s.handle(at(30.0), closed(IN));
    assert_eq!(words(&drain(&mut s)), "flush-ipv4 down-stale");
    assert_eq!(s.status().flaps, 2);
}

/// Waits until the next attempt, each ending in `end`.
fn waits(
    mut s: Session,
    mut now: Timestamp,
    end: impl Fn(&mut Session, Timestamp, Conn),
) -> Vec<Duration> {
    let mut waits = Vec::new();
    while waits.len() < 10 {
        let conn = drain(&mut s).iter().find_map(|e| match e {
            Effect::Connect { conn } => Some(*conn),
            _ => None,
        });
        if let Some(conn) = conn {
            end(&mut s, now, conn);
            let (due, _) = s.wake_at().unwrap();
            waits.push(due - now);
        }
        let (due, _) = s.wake_at().unwrap();
        now = due;
        s.tick(now);
    }
    waits
}

#[test]
fn errors_make_the_waits_longer_and_refusals_do_not() {
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    let errors = waits(s, at(0.0), |s, now, conn| {
        s.handle(now, Event::TcpConnected { conn });
        s.frame(now, conn, &Notification::new(2, 2).encode());
        assert_eq!(s.status().state, State::Idle);
    });
    for (i, wait) in errors.iter().enumerate() {
        let base = f64::from(120.min(1 << i));
        let range = base * 0.75..=(base * 1.25).min(120.0);
        assert!(range.contains(&wait.as_secs_f64()), "{i}: {wait:?}");
    }
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    let refusals = waits(s, at(0.0), |s, now, conn| {
        s.handle(now, Event::TcpFailed { conn, reason: "refused".into() });
        assert_eq!(s.status().state, State::Active);
    });
    assert!(refusals.iter().all(|w| (3.75..=5.0).contains(&w.as_secs_f64())), "{refusals:?}");
}

#[test]
fn a_clean_end_is_followed_by_a_quick_attempt() {
    for notification in [None, Some(Notification::new(6, 2)), Some(Notification::new(4, 0))] {
        let mut s = established(&plain_open());
        match notification {
            None => s.handle(at(10.0), closed(OUT)),
            Some(n) => drop(s.frame(at(10.0), OUT, &n.encode())),
        }
        let (due, what) = s.wake_at().unwrap();
        assert_eq!(what, "connect retry");
        assert!((at(10.75)..=at(11.0)).contains(&due));
        // Nobody has to wait to be let in.
        s.handle(at(10.1), Event::TcpAccepted { conn: IN });
        assert_eq!(s.status().state, State::OpenSent);
    }
}

#[test]
fn an_errors_wait_refuses_connections_and_a_start_ends_it() {
    let mut s = established(&plain_open());
    s.frame(at(10.0), OUT, &[0; 19]);
    assert_eq!(s.status().state, State::Idle);
    drain(&mut s);
    s.handle(at(10.1), Event::TcpAccepted { conn: IN });
    assert_eq!(words(&drain(&mut s)), "close-in");
    s.handle(at(10.2), Event::Start);
    assert_eq!(words(&drain(&mut s)), "dial");
}

#[test]
fn a_new_configuration_resets_only_where_it_must() {
    let check = |change: fn(&mut crate::PeerConfig), expected: Change, said: &str| {
        let mut s = established(&their_open());
        let mut config = s.config().clone();
        change(&mut config);
        assert_eq!(s.reconfigure(at(10.0), config), expected);
        assert_eq!(words(&drain(&mut s)), said);
    };
    let soft = "6/6 close down-stale";
    check(|_| {}, Change::Nothing, "");
    check(|c| c.hold_time = 30, Change::Live, "");
    check(|c| c.keepalive_time = Some(3), Change::Live, "");
    check(|c| c.passive = true, Change::Live, "");
    check(|c| c.connect_retry_time = 60, Change::Live, "");
    check(|c| c.name = Some("spine0".into()), Change::Live, "");
    check(|c| c.groups = ["a".to_owned()].into(), Change::Live, "");
    check(|c| c.router_id = Some("10.0.0.2".parse().unwrap()), Change::Live, "");
    check(|c| c.router_id = Some("10.0.0.3".parse().unwrap()), Change::Reset, soft);
    check(|c| c.families = [Family::Ipv4].into(), Change::Reset, soft);
    check(|c| c.local_address = Some("10.0.0.1".parse().unwrap()), Change::Reset, soft);
    check(|c| c.ebgp_multihop = Some(2), Change::Reset, soft);
    check(|c| c.graceful_restart.restart_time = 5, Change::Reset, soft);
    check(|c| c.asn = asn(65003), Change::Reset, "6/9 close down");
    // Live means at once.
    let mut s = established(&plain_open());
    let config = crate::PeerConfig { keepalive_time: Some(3), ..peer(65002) };
    s.reconfigure(at(1.0), config);
    assert_eq!(s.status().negotiated.as_ref().unwrap().keepalive_time, 3);
    // A stopped session stays stopped.
    let mut s = session();
    assert_eq!(s.reconfigure(at(0.0), peer(65009)), Change::Reset);
    assert_eq!((drain(&mut s), s.wake_at()), (vec![], None));
}

#[test]
fn our_own_number_or_id_resets_and_the_rest_waits() {
    let mut s = established(&plain_open());
    let mut ours = super::local(65001, "10.0.0.1");
    assert_eq!(s.reconfigure_local(at(1.0), ours.clone()), Change::Nothing);
    ours.restarting = true;
    assert_eq!(s.reconfigure_local(at(1.0), ours.clone()), Change::Live);
    ours.router_id = "10.0.0.7".parse().unwrap();
    assert_eq!(s.reconfigure_local(at(1.0), ours), Change::Reset);
    assert_eq!(words(&drain(&mut s)), "6/6 close down");
}

#[test]
fn passive_and_active_can_be_changed_while_waiting() {
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    drain(&mut s);
    let passive = crate::PeerConfig { passive: true, ..peer(65002) };
    s.reconfigure(at(1.0), passive);
    assert_eq!(words(&drain(&mut s)), "close");
    assert_eq!((s.status().state, s.wake_at()), (State::Active, None));
    s.reconfigure(at(2.0), peer(65002));
    assert_eq!(words(&drain(&mut s)), "dial");
}

#[test]
fn messages_are_counted_and_refreshes_handed_on() {
    let mut s = established(&plain_open());
    s.count_sent(at(0.5), 3, 1);
    s.frame(at(1.0), OUT, &encode_route_refresh(Family::Ipv6, RefreshKind::Request));
    assert_eq!(words(&drain(&mut s)), "refresh");
    s.frame(at(1.0), OUT, &end_of_rib(Family::Ipv4));
    let status = s.status();
    let (r, t) = (status.received, status.sent);
    assert_eq!((r.open, r.update, r.keepalive, r.route_refresh, r.total()), (1, 1, 1, 1, 4));
    assert_eq!((t.open, t.update, t.keepalive, t.route_refresh, t.total()), (1, 3, 1, 1, 6));
    assert_eq!((status.established, status.flaps, status.since), (1, 0, at(0.0)));
    // A family that was not agreed on is skipped.
    let mut open = plain_open();
    open.capabilities.remove(1);
    let mut s = established(&open);
    s.frame(at(1.0), OUT, &encode_route_refresh(Family::Ipv6, RefreshKind::Request));
    assert_eq!(words(&drain(&mut s)), "");
}

/// RFC 7313 §3.1.
#[test]
fn frames_of_a_refresh_count_only_where_both_know_them() {
    let mut knows = plain_open();
    knows.capabilities.push(Capability::EnhancedRouteRefresh);
    for (open, expected) in [(knows, "refresh"), (plain_open(), "")] {
        let mut s = established(&open);
        for kind in [RefreshKind::Begin, RefreshKind::End] {
            s.frame(at(1.0), OUT, &encode_route_refresh(Family::Ipv4, kind));
            assert_eq!(words(&drain(&mut s)), expected, "{kind:?}");
        }
        assert_eq!(s.status().state, State::Established);
    }
}

#[test]
fn what_comes_late_of_a_closed_connection_does_nothing() {
    let mut s = established(&plain_open());
    s.handle(at(1.0), Event::Stop(Stop::Keep));
    s.handle(at(2.0), Event::Start);
    drain(&mut s);
    s.handle(at(2.0), closed(OUT));
    assert!(s.frame(at(2.0), OUT, &KEEPALIVE).is_none());
    s.handle(at(2.0), Event::Reset { conn: OUT, notification: Notification::new(3, 1) });
    assert_eq!(words(&drain(&mut s)), "");
    // A connection that came about while it was given up is closed.
    s.handle(at(2.0), Event::TcpConnected { conn: OUT });
    assert_eq!(words(&drain(&mut s)), "close");
    assert_eq!(s.status().state, State::Connect);
}

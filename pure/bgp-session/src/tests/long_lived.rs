//! Long-lived graceful restart (RFC 9494).

use bgp_packet::{Capability, FamilyFlags, KEEPALIVE, LongLived, Open, end_of_rib};
use inet::{Family, Timestamp};

use super::goodbyes::{closed, stale_of};
use super::{IN, OUT, at, drain, local, peer, plain_open, their_open, words};
use crate::{Conn, Effect, Event, LongLivedConfig, PeerConfig, Session, State};

/// The peer's OPEN with this restart time and this stale time, both F bits set.
pub(super) fn long_lived_open(restart_time: u16, stale_time: u32) -> Open {
    let mut open = their_open();
    let Some(Capability::GracefulRestart(gr)) = open.capabilities.last_mut() else { panic!() };
    gr.restart_time = restart_time;
    gr.families = Family::ALL.map(|family| (family, true)).into();
    let all = Family::ALL.map(|family| LongLived { family, forwarding: true, stale_time });
    open.capabilities.push(Capability::LongLivedGracefulRestart(all.into()));
    open
}

fn config(stale_time: u32) -> PeerConfig {
    PeerConfig { long_lived: Some(LongLivedConfig { stale_time }), ..peer(65002) }
}

fn up(s: &mut Session, now: Timestamp, conn: Conn, open: &Open) -> String {
    s.frame(now, conn, &open.encode());
    s.frame(now, conn, &KEEPALIVE);
    assert_eq!(s.status().state, State::Established);
    words(&drain(s))
}

/// Established at 0 with our stale time 3600.
fn session(open: &Open) -> Session {
    let mut s = Session::new(config(3600), local(65001, "10.0.0.1"), 7);
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    up(&mut s, at(0.0), OUT, open);
    s
}

/// Lets time pass to `end` with nobody answering, and tells when what became of stale routes.
fn pass(s: &mut Session, end: f64) -> Vec<(Timestamp, String)> {
    let mut told = Vec::new();
    while let Some((due, _)) = s.wake_at().filter(|(due, _)| *due <= at(end)) {
        s.tick(due);
        for effect in drain(s) {
            match &effect {
                Effect::Connect { conn } => {
                    let reason = "refused".into();
                    s.handle(due, Event::TcpFailed { conn: *conn, reason });
                }
                Effect::FlushStale(_) | Effect::LongLivedStale { .. } => {
                    told.push((due, words(&[effect])));
                }
                _ => {}
            }
        }
    }
    told
}

#[test]
fn the_shorter_time_counts_and_both_capabilities_are_needed() {
    let agreed = |config: PeerConfig, open: &Open| {
        let n = super::opens::negotiated(config, open).unwrap();
        (n.long_lived.get(&Family::Ipv4).copied(), n.knows_long_lived)
    };
    let both = FamilyFlags::ALL;
    assert_eq!(agreed(config(3600), &long_lived_open(60, 600)), (Some(600), both));
    assert_eq!(agreed(config(100), &long_lived_open(60, 600)), (Some(100), both));
    assert_eq!(agreed(config(100), &long_lived_open(60, 0)), (None, both));
    assert_eq!(agreed(config(100), &their_open()), (None, FamilyFlags::NONE));
    // We do not do it; the peer knows all the same what LLGR_STALE means.
    assert_eq!(agreed(peer(65002), &long_lived_open(60, 600)), (None, both));
    let mut off = config(100);
    off.graceful_restart.enabled = false;
    assert_eq!(agreed(off, &long_lived_open(60, 600)), (None, both));
    // RFC 9494 §3.1: alone it means nothing.
    let mut alone = long_lived_open(60, 600);
    alone.capabilities.retain(|c| c.code() != 64);
    assert_eq!(agreed(config(100), &alone), (None, FamilyFlags::NONE));
    // Only families in use.
    let mut v4 = config(100);
    v4.families = [Family::Ipv4].into();
    let n = super::opens::negotiated(v4, &long_lived_open(60, 600)).unwrap();
    assert!(n.long_lived.keys().eq(&[Family::Ipv4]));
}

#[test]
fn stale_then_long_lived_then_gone() {
    let mut s = session(&long_lived_open(60, 600));
    s.handle(at(10.0), closed(OUT));
    let stale = stale_of(&drain(&mut s)).unwrap();
    assert_eq!((stale.until, stale.families), (at(70.0), Family::ALL.into()));
    assert_eq!(stale.long_lived, Family::ALL.map(|f| (f, at(670.0))).into());
    assert!(s.helping().all(|(_, h)| !h.long_lived && h.until == at(70.0)));
    let expected =
        [(70.0, "long-ipv4"), (70.0, "long-ipv6"), (670.0, "flush-ipv4"), (670.0, "flush-ipv6")];
    let told = pass(&mut s, 100.0);
    assert!(s.helping().all(|(_, h)| h.long_lived && h.until == at(670.0)));
    let told: Vec<_> = told.into_iter().chain(pass(&mut s, 1000.0)).collect();
    assert_eq!(told, expected.map(|(when, what)| (at(when), what.to_owned())));
    assert_eq!(s.helping().count(), 0);
}

#[test]
fn only_some_families_are_kept_for_long() {
    let mut open = long_lived_open(60, 600);
    let Some(Capability::LongLivedGracefulRestart(all)) = open.capabilities.last_mut() else {
        panic!()
    };
    all.pop();
    let mut s = session(&open);
    s.handle(at(10.0), closed(OUT));
    let told: Vec<_> = pass(&mut s, 1000.0).into_iter().map(|(_, what)| what).collect();
    assert_eq!(told, ["long-ipv4", "flush-ipv6", "flush-ipv4"]);
}

#[test]
fn without_a_restart_time_it_begins_at_once() {
    let mut s = session(&long_lived_open(0, 600));
    s.handle(at(10.0), closed(OUT));
    assert_eq!(words(&drain(&mut s)), "down-stale long-ipv4 long-ipv6");
    assert_eq!(pass(&mut s, 609.9), []);
    assert_eq!(pass(&mut s, 610.0).len(), 2);
}

#[test]
fn who_comes_back_keeps_them_until_end_of_rib_if_it_still_forwards() {
    let back = |open: &Open| {
        let mut s = session(&long_lived_open(60, 600));
        s.handle(at(10.0), closed(OUT));
        pass(&mut s, 100.0);
        s.handle(at(200.0), Event::TcpAccepted { conn: IN });
        let said = up(&mut s, at(200.0), IN, open);
        (s, said)
    };
    let (mut s, said) = back(&long_lived_open(60, 600));
    assert_eq!(said, "OPEN KEEPALIVE up");
    assert_eq!(s.status().negotiated.as_ref().unwrap().stale, Family::ALL.into());
    s.frame(at(201.0), IN, &end_of_rib(Family::Ipv4));
    assert_eq!(words(&drain(&mut s)), "flush-ipv4");
    // The other one's End-of-RIB never comes.
    let mut flushed = None;
    while flushed.is_none() {
        let (due, _) = s.wake_at().unwrap();
        s.frame(due, IN, &KEEPALIVE);
        s.tick(due);
        flushed = words(&drain(&mut s)).contains("flush-ipv6").then_some(due);
    }
    assert_eq!(flushed, Some(at(560.0)));
    // Not without the F bit of this capability: that of graceful restart is for its time only.
    let mut lost = long_lived_open(60, 600);
    let Some(Capability::LongLivedGracefulRestart(all)) = lost.capabilities.last_mut() else {
        panic!()
    };
    all[0].forwarding = false;
    assert_eq!(back(&lost).1, "OPEN KEEPALIVE flush-ipv4 up");
    assert_eq!(back(&their_open()).1, "OPEN KEEPALIVE flush-ipv4 flush-ipv6 up");
    assert_eq!(back(&plain_open()).1, "OPEN KEEPALIVE flush-ipv4 flush-ipv6 up");
}

#[test]
fn going_away_again_does_not_prolong_it() {
    let mut s = session(&long_lived_open(60, 600));
    s.handle(at(10.0), closed(OUT));
    pass(&mut s, 100.0);
    s.handle(at(200.0), Event::TcpAccepted { conn: IN });
    up(&mut s, at(200.0), IN, &long_lived_open(60, 600));
    s.frame(at(201.0), IN, &end_of_rib(Family::Ipv6));
    drain(&mut s);
    s.handle(at(300.0), closed(IN));
    let effects = drain(&mut s);
    assert_eq!(words(&effects), "down-stale long-ipv4");
    let stale = stale_of(&effects).unwrap();
    assert_eq!(stale.long_lived, [(Family::Ipv4, at(670.0)), (Family::Ipv6, at(960.0))].into());
    let told = pass(&mut s, 2000.0);
    let expected = [(360.0, "long-ipv6"), (670.0, "flush-ipv4"), (960.0, "flush-ipv6")];
    assert_eq!(told, expected.map(|(when, what)| (at(when), what.to_owned())));
}

#[test]
fn an_end_on_purpose_ends_the_keeping() {
    let away = || {
        let mut s = session(&long_lived_open(60, 600));
        s.handle(at(10.0), closed(OUT));
        pass(&mut s, 100.0);
        s
    };
    let check = |event: Event, expected: &str| {
        let mut s = away();
        s.handle(at(101.0), event);
        let flushes: Vec<_> =
            drain(&mut s).into_iter().filter(|e| matches!(e, Effect::FlushStale(_))).collect();
        assert_eq!(words(&flushes), expected);
    };
    let reset = |hard| Event::AdminReset { hard, communication: None };
    check(reset(true), "flush-ipv4 flush-ipv6");
    check(reset(false), "");
    check(Event::BfdDown { control_plane_independent: true }, "flush-ipv4 flush-ipv6");
    check(Event::BfdDown { control_plane_independent: false }, "");
}

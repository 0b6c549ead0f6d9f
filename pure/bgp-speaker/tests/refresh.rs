//! The peer sends its table anew (RFC 7313), goes away and comes back, against a scripted peer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use bgp_packet::{Capability, LongLived, Open, RefreshKind, encode_route_refresh, end_of_rib};
use bgp_session::State;
use bgp_speaker::*;
use inet::{Family, Prefix};

use common::*;

fn prefixes(numbers: std::ops::Range<u8>) -> Vec<Prefix> {
    numbers.map(|i| prefix(&format!("10.9.{i}.0/24"))).collect()
}

fn enhanced() -> Open {
    let mut open = open();
    open.capabilities.push(Capability::EnhancedRouteRefresh);
    open
}

fn ended(bench: &mut Bench, conn: ConnId) {
    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv4) });
}

fn refresh(bench: &mut Bench, conn: ConnId, kind: RefreshKind) {
    bench.handle(Input::Frame { conn, bytes: encode_route_refresh(Family::Ipv4, kind) });
}

fn connect(bench: &mut Bench, open: &Open) -> ConnId {
    let conn = bench.connect(open);
    assert_eq!(bench.state(PEER), State::Established);
    bench.handle(Input::Room { conn, bytes: 1 << 20 });
    conn
}

/// A peer with this OPEN, and with a limit of prefixes.
fn established(open: &Open, limit: u32) -> (Bench, ConnId) {
    let mut bench = Bench::new(None);
    let mut wanted = doc(&[peer(PEER)], &[]);
    let max = MaxPrefixes { limit, warn_at: 100, action: MaxPrefixesAction::Shut };
    wanted.peers[0].max_prefixes = [(Family::Ipv4, max)].into();
    wanted.peers[0].session.long_lived = Some(bgp_session::LongLivedConfig { stale_time: 1000 });
    bench.desired("file", wanted);
    bench.handle(Input::OwnersReady);
    let conn = connect(&mut bench, open);
    (bench, conn)
}

/// What there is of the peer: received and stale.
fn counts(bench: &Bench) -> (u32, u32) {
    let received = bench.speaker.peer(ip(PEER)).unwrap().families[&Family::Ipv4].received;
    (received.received, received.stale)
}

#[test]
fn a_refresh_within_a_refresh_loses_only_what_is_not_sent_again() {
    let (mut bench, conn) = established(&enhanced(), 100);
    bench.announce(conn, &prefixes(0..4));
    ended(&mut bench, conn);
    refresh(&mut bench, conn, RefreshKind::Begin);
    bench.announce(conn, &prefixes(0..1));
    refresh(&mut bench, conn, RefreshKind::Begin);
    assert_eq!((counts(&bench), bench.speaker.counts().paths), ((0, 4), 4));
    bench.announce(conn, &prefixes(0..3));
    refresh(&mut bench, conn, RefreshKind::End);
    bench.drain();
    assert_eq!((counts(&bench), bench.speaker.counts().paths), ((3, 0), 3));
}

/// RFC 7313 §4: until then the peer's first table is on its way, and ends with End-of-RIB.
#[test]
fn a_refresh_before_end_of_rib_is_ignored() {
    let (mut bench, conn) = established(&enhanced(), 100);
    bench.announce(conn, &prefixes(0..4));
    bench.handle(Input::Closed { conn, reason: "cut".into() });
    assert_eq!(counts(&bench), (0, 4));
    bench.wait(1);
    let conn = connect(&mut bench, &enhanced());
    bench.announce(conn, &prefixes(0..1));
    for kind in [RefreshKind::Begin, RefreshKind::End] {
        refresh(&mut bench, conn, kind);
        assert_eq!((counts(&bench), bench.speaker.counts().paths), ((1, 3), 4), "{kind:?}");
    }
    ended(&mut bench, conn);
    assert_eq!((counts(&bench), bench.speaker.counts().paths), ((1, 0), 1));
    refresh(&mut bench, conn, RefreshKind::Begin);
    assert_eq!(counts(&bench), (0, 1));
}

/// There is no End-of-RIB to wait for.
#[test]
fn a_peer_without_graceful_restart_may_refresh_at_once() {
    let mut plain = enhanced();
    plain.capabilities.retain(|capability| capability.code() != 64);
    let (mut bench, conn) = established(&plain, 100);
    bench.announce(conn, &prefixes(0..2));
    refresh(&mut bench, conn, RefreshKind::Begin);
    assert_eq!(counts(&bench), (0, 2));
    refresh(&mut bench, conn, RefreshKind::End);
    assert_eq!((counts(&bench), bench.speaker.counts().paths), ((0, 0), 0));
}

#[test]
fn who_does_not_know_enhanced_refresh_frames_nothing() {
    let (mut bench, conn) = established(&open(), 100);
    bench.announce(conn, &prefixes(0..2));
    ended(&mut bench, conn);
    refresh(&mut bench, conn, RefreshKind::Begin);
    assert_eq!(counts(&bench), (2, 0));
    refresh(&mut bench, conn, RefreshKind::End);
    assert_eq!((counts(&bench), bench.speaker.counts().paths), ((2, 0), 2));
}

/// RFC 9494 §4.2: long-lived stale routes outlive more than one loss of the session, others are
/// not kept a second time (RFC 4724 §4.2).
#[test]
fn a_second_loss_takes_stale_routes_but_not_long_lived_ones() {
    let mut long_lived = open();
    let family = |family| LongLived { family, forwarding: true, stale_time: 600 };
    let families = Family::ALL.map(family).to_vec();
    long_lived.capabilities.push(Capability::LongLivedGracefulRestart(families));
    for (away, left) in [(10, 1), (61, 4)] {
        let (mut bench, conn) = established(&long_lived, 100);
        bench.announce(conn, &prefixes(0..4));
        bench.handle(Input::Closed { conn, reason: "cut".into() });
        bench.wait(away);
        assert_eq!((counts(&bench), bench.speaker.counts().paths), ((0, 4), 4));
        let conn = connect(&mut bench, &long_lived);
        bench.announce(conn, &prefixes(0..1));
        bench.handle(Input::Closed { conn, reason: "cut again".into() });
        bench.wait(1);
        let paths = bench.speaker.counts().paths;
        assert_eq!((counts(&bench), paths), ((0, left), left as usize), "away for {away} s");
        let marked = |i: u8| {
            let views = bench.speaker.route(&prefix(&format!("10.9.{i}.0/24")));
            views.first().map(|view| {
                view.attributes.communities.contains(&bgp_packet::community::LLGR_STALE)
            })
        };
        assert_eq!(
            [0, 3].map(marked),
            if left == 1 { [Some(false), None] } else { [Some(true); 2] }
        );
        bench.wait(100);
        bench.wait(1000);
        assert_eq!((counts(&bench), bench.speaker.counts().paths), ((0, 0), 0));
    }
}

#[test]
fn a_refresh_is_no_way_around_the_limit_of_prefixes() {
    let (mut bench, conn) = established(&enhanced(), 10);
    bench.announce(conn, &prefixes(0..8));
    ended(&mut bench, conn);
    refresh(&mut bench, conn, RefreshKind::Begin);
    bench.announce(conn, &prefixes(0..10));
    assert_eq!((bench.state(PEER), counts(&bench)), (State::Established, (10, 0)));
    refresh(&mut bench, conn, RefreshKind::Begin);
    bench.announce(conn, &prefixes(10..11));
    assert_eq!(bench.state(PEER), State::Idle);
}

/// What was kept may be another table than that which the peer has now.
#[test]
fn what_is_kept_for_a_restart_is_not_limited() {
    let (mut bench, conn) = established(&enhanced(), 10);
    bench.announce(conn, &prefixes(0..8));
    ended(&mut bench, conn);
    bench.handle(Input::Closed { conn, reason: "cut".into() });
    bench.wait(1);
    let conn = connect(&mut bench, &enhanced());
    bench.announce(conn, &prefixes(20..28));
    assert_eq!((bench.state(PEER), counts(&bench)), (State::Established, (8, 8)));
}

//! What a glance at a peer tells: whether it has to be shown anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use bgp_packet::KEEPALIVE;
use bgp_session::PeerConfig;
use bgp_speaker::*;
use common::*;

const OTHER: &str = "10.0.0.3";

/// [`PEER`] Established, another one not.
fn two() -> (Bench, ConnId) {
    let (mut bench, conn) = Bench::established(&["192.0.2.0/24"]);
    bench.desired("file", doc(&[peer(PEER), peer(OTHER)], &["192.0.2.0/24"]));
    (bench, conn)
}

/// What a glance says of one and of the other, and how far the speaker has come.
fn look(bench: &Bench) -> (Glance, Glance, u64) {
    let [(one, of_one), (other, of_other)] =
        bench.speaker.glances().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((one, other), (ip(PEER).into(), ip(OTHER).into()));
    (of_one, of_other, bench.speaker.changes())
}

#[test]
fn keepalives_are_traffic_and_nothing_else() {
    let (mut bench, conn) = two();
    let (before, traffic) = (look(&bench), bench.speaker.traffic(ip(PEER)).unwrap());
    bench.handle(Input::Frame { conn, bytes: KEEPALIVE.to_vec() });
    bench.wait(30);
    bench.handle(Input::Room { conn, bytes: 1 << 20 });
    assert_eq!(look(&bench), before);
    let now = bench.speaker.traffic(ip(PEER)).unwrap();
    assert_eq!(now.received.keepalive, traffic.received.keepalive + 1);
    assert_eq!(now.sent.keepalive, traffic.sent.keepalive + 1);
    assert_eq!(now, bench.speaker.peer(ip(PEER)).unwrap().traffic());
}

#[test]
fn what_a_peer_announces_is_seen_at_it_alone() {
    let (mut bench, conn) = two();
    let (one, other, changes) = look(&bench);
    bench.announce(conn, &[prefix("198.51.100.0/24")]);
    let now = look(&bench);
    assert_ne!(now.0, one);
    assert_eq!(now.1, other);
    assert!(now.2 > changes);
}

#[test]
fn the_end_of_a_session_is_seen_at_it_alone() {
    let (mut bench, conn) = two();
    let (one, other, changes) = look(&bench);
    bench.handle(Input::Closed { conn, reason: String::new() });
    let now = look(&bench);
    assert_ne!(now.0, one);
    assert_eq!(now.1, other);
    assert!(now.2 > changes);
}

#[test]
fn a_hold_time_that_is_over_is_seen() {
    let (mut bench, _) = two();
    let (one, other, _) = look(&bench);
    bench.wait(90);
    let now = look(&bench);
    assert_ne!(now.0, one);
    assert_eq!(now.1, other);
}

#[test]
fn another_wish_is_seen_at_whom_it_is_about() {
    let (mut bench, _) = two();
    let (one, other, _) = look(&bench);
    let named = PeerConfig { name: Some("spine0".to_owned()), ..peer(OTHER) };
    bench.desired("file", doc(&[peer(PEER), named], &["192.0.2.0/24"]));
    let now = look(&bench);
    assert_eq!(now.0, one);
    assert_ne!(now.1, other);
}

#[test]
fn who_comes_to_the_address_of_another_is_another() {
    let (mut bench, _) = two();
    let (_, other, _) = look(&bench);
    bench.desired("file", doc(&[peer(PEER)], &["192.0.2.0/24"]));
    bench.desired("file", doc(&[peer(PEER), peer(OTHER)], &["192.0.2.0/24"]));
    assert_ne!(look(&bench).1, other);
}

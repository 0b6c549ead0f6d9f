//! Extended messages (RFC 8654) of more prefixes than one call takes in, against scripted peers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use std::net::Ipv4Addr;

use bgp_packet::*;
use bgp_session::{PeerConfig, State};
use bgp_speaker::*;
use inet::{Asn, Family, Prefix};

use common::*;

/// One message holds so many and more.
const MANY: u32 = 16_000;
/// What one call may take in.
const MOST: usize = 512;

fn prefixes(numbers: std::ops::Range<u32>) -> Vec<Prefix> {
    let prefix = |i: u32| Prefix::truncated(Ipv4Addr::from((20 << 24) + (i << 8)).into(), 24);
    numbers.map(|i| prefix(i).unwrap()).collect()
}

fn options() -> Options {
    Options { extended_message: true, ..Options::new(PeerKind::External) }
}

fn announcement(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let next_hop = BgpNextHop { address: ip(PEER), link_local: None };
    let as_path = AsPath { segments: vec![Segment::Sequence(vec![65002])] };
    let raw = encode_attributes(&Attributes::new(Origin::Igp, as_path, next_hop), &options());
    let mut messages = pack(&raw, &next_hop, prefixes(numbers), &options()).unwrap();
    assert_eq!(messages.len(), 1);
    messages.pop().unwrap()
}

fn withdrawal(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let paths = prefixes(numbers).into_iter().map(|prefix| (PathId::NONE, prefix));
    let mut messages = pack_withdrawn_paths(paths, &options());
    assert_eq!(messages.len(), 1);
    messages.pop().unwrap()
}

fn extended() -> Open {
    let mut open = open();
    open.capabilities.extend([Capability::ExtendedMessage, Capability::EnhancedRouteRefresh]);
    open
}

/// With an Established peer that may send long messages, and a next hop that resolves.
fn established(max: Option<MaxPrefixes>) -> (Bench, ConnId) {
    let mut bench = Bench::new(None);
    let mut wanted = doc(&[peer(PEER)], &[]);
    wanted.peers[0].max_prefixes = max.map(|max| (Family::Ipv4, max)).into_iter().collect();
    bench.desired("file", wanted);
    bench.handle(Input::OwnersReady);
    let conn = connect(&mut bench);
    (bench, conn)
}

fn connect(bench: &mut Bench) -> ConnId {
    let conn = bench.connect(&extended());
    assert_eq!(bench.state(PEER), State::Established);
    bench.handle(Input::Room { conn, bytes: 1 << 20 });
    conn
}

fn paths(bench: &Bench) -> usize {
    bench.speaker.counts().paths
}

/// Without going on with anything.
fn say(bench: &mut Bench, conn: ConnId, bytes: Vec<u8>) {
    bench.speaker.handle(bench.now, Input::Frame { conn, bytes });
}

fn counts(bench: &Bench) -> (u32, u32) {
    let received = bench.speaker.peer(ip(PEER)).unwrap().families[&Family::Ipv4].received;
    (received.received, received.stale)
}

/// Goes on until nothing is under way; no call may change more paths than it should.
fn go_on(bench: &mut Bench) -> usize {
    let mut calls = 0;
    while bench.speaker.wake_at().is_some_and(|(at, _)| at <= bench.now) {
        let before = paths(bench);
        bench.speaker.tick(bench.now);
        while let Some(output) = bench.speaker.poll() {
            bench.outputs.push(output);
        }
        assert!(paths(bench).abs_diff(before) <= MOST);
        calls += 1;
    }
    calls
}

#[test]
fn no_call_takes_in_all_of_a_long_update() {
    let (mut bench, conn) = established(None);
    for (message, left) in [(announcement(0..MANY), MANY), (withdrawal(0..MANY), 0)] {
        assert!(message.len() > 60_000);
        let before = paths(&bench);
        say(&mut bench, conn, message);
        assert!(paths(&bench).abs_diff(before) <= MOST, "{}", paths(&bench));
        assert!(go_on(&mut bench) >= MANY as usize / MOST);
        assert_eq!((paths(&bench), counts(&bench)), (left as usize, (left, 0)));
    }
    assert_eq!(bench.state(PEER), State::Established);
}

/// Messages that are no longer than they may be without RFC 8654 are taken in at once.
#[test]
fn an_ordinary_update_is_taken_in_by_the_call_that_tells_of_it() {
    let (mut bench, conn) = established(None);
    let message = announcement(0..1000);
    assert!(message.len() > 4000 && message.len() <= MAX_LEN);
    say(&mut bench, conn, message);
    assert_eq!(paths(&bench), 1000);
}

#[test]
fn what_comes_behind_a_long_update_is_taken_behind_it() {
    let (mut bench, conn) = established(None);
    say(&mut bench, conn, announcement(0..MANY));
    say(&mut bench, conn, withdrawal(MANY - 10..MANY));
    say(&mut bench, conn, announcement(MANY - 5..MANY + 5));
    say(&mut bench, conn, end_of_rib(Family::Ipv4));
    go_on(&mut bench);
    assert_eq!(counts(&bench), (MANY, 0));
    assert!(bench.speaker.route(&prefixes(MANY - 6..MANY - 5)[0]).is_empty());
    assert_eq!(bench.speaker.route(&prefixes(MANY + 4..MANY + 5)[0]).len(), 1);
    // The same within a refresh: what is sent again before its end stays (RFC 7313 §4).
    say(&mut bench, conn, encode_route_refresh(Family::Ipv4, RefreshKind::Begin));
    say(&mut bench, conn, announcement(0..MANY - 20));
    say(&mut bench, conn, encode_route_refresh(Family::Ipv4, RefreshKind::End));
    go_on(&mut bench);
    assert_eq!((counts(&bench), paths(&bench)), ((MANY - 20, 0), MANY as usize - 20));
}

/// The end of the connection comes behind what was said on it (RFC 4724 §4.2): all of it is kept.
/// Until it is seen, nothing is sent there.
#[test]
fn what_came_before_the_end_counts() {
    let notification = Notification::cease(Cease::AdministrativeReset, None).encode();
    for said in [None, Some(notification)] {
        let (mut bench, conn) = established(None);
        say(&mut bench, conn, announcement(0..MANY));
        let noted = said.is_some();
        said.into_iter().for_each(|bytes| say(&mut bench, conn, bytes));
        bench.outputs.clear();
        let reason = String::new();
        bench.speaker.handle(bench.now, Input::Closed { conn, reason });
        assert_eq!(bench.state(PEER), State::Established);
        // A KEEPALIVE that is due meanwhile goes nowhere.
        bench.now = bench.now + std::time::Duration::from_secs(31);
        go_on(&mut bench);
        assert_ne!(bench.state(PEER), State::Established);
        let told = |output: &Output| match output {
            Output::Send { conn: to, .. } | Output::Close { conn: to } => *to == conn,
            _ => false,
        };
        assert!(!bench.outputs.iter().any(told));
        let expected = if noted { (0, 0) } else { (0, MANY) };
        assert_eq!(counts(&bench), expected, "with a NOTIFICATION: {noted}");
        // And the peer can come back.
        bench.wait(5);
        let conn = connect(&mut bench);
        say(&mut bench, conn, announcement(0..10));
        assert_eq!(counts(&bench).0, 10);
    }
}

/// A session that ends for another reason takes nothing in any more.
#[test]
fn a_session_that_has_ended_takes_in_nothing_more() {
    let (mut bench, conn) = established(None);
    say(&mut bench, conn, announcement(0..MANY));
    say(&mut bench, conn, announcement(MANY..MANY + 10));
    let reset = Reset::Hard { communication: None };
    bench.speaker.handle(bench.now, Input::AdminReset { peer: ip(PEER).into(), reset });
    let before = paths(&bench);
    assert!(before <= 3 * MOST);
    go_on(&mut bench);
    assert_eq!(paths(&bench), 0);
    assert!(!bench.speaker.is_full());
    let left =
        |outputs: &[Output]| outputs.iter().filter(|o| matches!(o, Output::Close { .. })).count();
    assert_eq!(left(&bench.outputs), 1);
}

/// The hold time counts from when something came, not from when it is looked at.
#[test]
fn who_has_spoken_is_not_taken_for_dead() {
    let (mut bench, conn) = established(None);
    say(&mut bench, conn, announcement(0..MANY));
    bench.now = bench.now + std::time::Duration::from_secs(80);
    say(&mut bench, conn, KEEPALIVE.to_vec());
    bench.now = bench.now + std::time::Duration::from_secs(20);
    bench.speaker.tick(bench.now);
    assert!(paths(&bench) < MANY as usize);
    assert_eq!(bench.state(PEER), State::Established);
    go_on(&mut bench);
    assert_eq!(counts(&bench), (MANY, 0));
}

/// Others are not kept waiting by one peer's long messages.
#[test]
fn another_peer_is_listened_to_meanwhile() {
    let (mut bench, conn) = established(None);
    let second = PeerConfig { passive: true, ..PeerConfig::new(ip("10.0.0.3"), asn_of(65002)) };
    bench.desired("file", doc(&[peer(PEER), second], &[]));
    let other = ConnId::Accepted(100);
    let (local, remote) = (ip("10.0.0.1"), ip("10.0.0.3").into());
    bench.handle(Input::Accepted { conn: other, local, remote });
    bench.handle(Input::Frame { conn: other, bytes: extended().encode() });
    bench.handle(Input::Frame { conn: other, bytes: KEEPALIVE.to_vec() });
    assert_eq!(bench.state("10.0.0.3"), State::Established);
    say(&mut bench, conn, announcement(0..MANY));
    say(&mut bench, other, announcement(30_000..30_010));
    let received = |bench: &Bench| {
        bench.speaker.peer(ip("10.0.0.3")).unwrap().families[&Family::Ipv4].received.received
    };
    assert_eq!(received(&bench), 10);
    assert!(paths(&bench) < MANY as usize);
    // Two with long messages take turns.
    say(&mut bench, other, announcement(40_000..40_000 + MANY));
    for _ in 0..12 {
        bench.speaker.tick(bench.now);
    }
    assert!(received(&bench) > 1000 && counts(&bench).0 > 1000);
    go_on(&mut bench);
    assert_eq!((counts(&bench).0, received(&bench)), (MANY, MANY + 10));
}

/// Who tells of frames learns when to wait; who does not still keeps no more than a bound.
#[test]
fn what_waits_is_bounded() {
    let (mut bench, conn) = established(None);
    let mut told = 0;
    while !bench.speaker.is_full() {
        say(&mut bench, conn, announcement(0..MANY));
        told += 1;
    }
    assert!((2..=8).contains(&told), "{told}");
    for round in 0..100 {
        say(&mut bench, conn, announcement(round..round + MANY));
    }
    let mut calls = 0;
    while bench.speaker.is_full() {
        bench.speaker.tick(bench.now);
        calls += 1;
    }
    // Of 6 MiB no more than 2 were still there.
    assert!(calls * MOST / 2 < 40 * MANY as usize, "{calls}");
    go_on(&mut bench);
    assert_eq!(counts(&bench), (MANY + 99, 0));
}

#[test]
fn the_limit_of_prefixes_holds_within_a_message() {
    let max = MaxPrefixes { limit: 2000, warn_at: 100, action: MaxPrefixesAction::Shut };
    let (mut bench, conn) = established(Some(max));
    say(&mut bench, conn, announcement(0..MANY));
    let mut most = 0;
    while bench.speaker.wake_at().is_some_and(|(at, _)| at <= bench.now) {
        most = most.max(counts(&bench).0);
        bench.speaker.tick(bench.now);
    }
    assert_eq!(bench.state(PEER), State::Idle);
    assert!(most as usize <= 2000 + MOST, "{most}");
}

/// Those who watch are told of the whole message, once, when all of it was taken in.
#[test]
fn who_watches_is_told_of_it_as_one() {
    let (mut bench, conn) = established(None);
    let message = announcement(0..MANY);
    say(&mut bench, conn, message.clone());
    // Who begins when a part was taken in is told as well: where the others are it cannot know.
    bench.speaker.watch(Watch { updates: true, ..Watch::default() });
    assert_eq!(bench.speaker.poll_watched(), None);
    go_on(&mut bench);
    let told = bench.speaker.poll_watched();
    let Some(Watched::Update { bytes, paths, malformed: false, .. }) = told else {
        panic!("{told:?}");
    };
    let named: Vec<Prefix> = paths.into_iter().map(|(prefix, _)| prefix).collect();
    assert_eq!((bytes, named), (message, prefixes(0..MANY)));
    assert_eq!(bench.speaker.poll_watched(), None);
}

/// What is wrong with a message is said once, whatever it takes to take it in (RFC 7606).
#[test]
fn what_is_wrong_with_it_is_said_once() {
    let (mut bench, conn) = established(None);
    let message = announcement(0..MANY);
    // The only AS number of the path: nobody's.
    let path = message.windows(6).position(|w| w == [2, 1, 0, 0, 0xFD, 0xEA]).unwrap();
    let mut wrong = message;
    wrong[path + 2..path + 6].fill(0);
    say(&mut bench, conn, announcement(0..10));
    say(&mut bench, conn, wrong);
    go_on(&mut bench);
    let malformed = |event: &Event| matches!(event, Event::Malformed { .. });
    assert_eq!(bench.events().iter().filter(|event| malformed(event)).count(), 1);
    assert_eq!((paths(&bench), bench.state(PEER)), (0, State::Established));
}

fn asn_of(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

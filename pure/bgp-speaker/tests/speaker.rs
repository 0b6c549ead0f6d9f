//! One speaker against a scripted peer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use bgp_packet::{Capability, KEEPALIVE, Open, end_of_rib};
use bgp_session::{PeerConfig, State};
use bgp_speaker::*;
use inet::{Family, Prefix};

use common::*;

#[test]
fn a_stranger_is_refused_by_name() {
    let mut bench = Bench::new(None);
    bench.desired("file", doc(&[peer(PEER)], &[]));
    let conn = ConnId::Accepted(9);
    bench.outputs.clear();
    bench.handle(Input::Accepted { conn, local: ip("10.0.0.1"), remote: ip("10.0.0.66").into() });
    let refused = Event::Refused { remote: ip("10.0.0.66").into(), reason: Refusal::NotConfigured };
    assert_eq!(bench.outputs, [Output::Happened(refused), Output::Close { conn }]);
    assert_eq!(Refusal::NotConfigured.to_string(), "not-configured");
}

#[test]
fn a_peer_may_not_have_connections_without_end() {
    let mut bench = Bench::new(None);
    bench.desired("file", doc(&[peer(PEER)], &[]));
    for n in 0..50 {
        let conn = ConnId::Accepted(n);
        bench.handle(Input::Accepted { conn, local: ip("10.0.0.1"), remote: ip(PEER).into() });
    }
    let open = bench.outputs.iter().filter(|o| matches!(o, Output::Adopt { .. })).count();
    assert!(open - bench.closed().min(open) <= 8, "{open} adopted, {} closed", bench.closed());
}

#[test]
fn the_first_owner_by_name_wins_and_the_other_is_told_and_takes_over() {
    let mut bench = Bench::new(None);
    bench.desired("file", doc(&[peer(PEER)], &["10.1.0.0/24"]));
    bench.outputs.clear();
    let other = PeerConfig { hold_time: 30, ..peer(PEER) };
    let mut agent = doc(&[other], &[]);
    agent.global = Some(Global { asn: asn(65009), ..global() });
    bench.desired("agent", agent);
    let names: Vec<&str> = bench.speaker.conflicts().map(Conflict::name).collect();
    assert_eq!(names, ["duplicate-peer", "different-global"]);
    assert_eq!(bench.events().iter().filter(|e| matches!(e, Event::Conflict(_))).count(), 2);
    assert_eq!(bench.speaker.peer(ip(PEER)).unwrap().owner, "agent");
    assert_eq!(bench.speaker.global().unwrap().asn, asn(65009));
    bench.handle(Input::Forget { owner: "agent".into() });
    assert_eq!(bench.speaker.conflicts().count(), 0);
    let peer = bench.speaker.peer(ip(PEER)).unwrap();
    assert_eq!((peer.owner.as_str(), peer.config.hold_time), ("file", 90));
    assert_eq!(bench.speaker.global().unwrap().asn, asn(65000));
}

/// RFC 4271 §6.8: the connection that would lose waits for the other one's OPEN. An UPDATE on it
/// says that the peer has chosen it; its routes must not be lost for coming first.
#[test]
fn the_update_that_ends_a_collision_is_taken_in() {
    let mut bench = Bench::new(None);
    let active = PeerConfig { passive: false, ..peer(PEER) };
    bench.desired("file", doc(&[active], &[]));
    bench.handle(Input::OwnersReady);
    let dialled = bench.outputs.iter().find_map(|output| match output {
        Output::Connect { conn, .. } => Some(*conn),
        _ => None,
    });
    bench.handle(Input::Connected { conn: dialled.unwrap(), local: ip("10.0.0.1") });
    let conn = bench.connect(&Open { router_id: "1.0.0.9".parse().unwrap(), ..open() });
    assert_eq!(bench.state(PEER), State::OpenConfirm);
    bench.announce(conn, &[prefix("10.1.0.0/24")]);
    assert_eq!(bench.state(PEER), State::Established);
    let best = bench.outputs.iter().filter_map(|output| match output {
        Output::Best(best) if !best.paths.is_empty() => Some(best.prefix),
        _ => None,
    });
    assert_eq!(best.collect::<Vec<_>>(), [prefix("10.1.0.0/24")]);
}

#[test]
fn a_session_that_fails_says_why() {
    let mut bench = Bench::new(None);
    bench.desired("file", doc(&[peer(PEER)], &[]));
    bench.outputs.clear();
    bench.connect(&Open { asn: asn(65003), capabilities: vec![], ..open() });
    let reasons: Vec<String> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Session { reason, .. } => reason,
            _ => None,
        })
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("Bad Peer AS")), "{reasons:?}");
}

#[test]
fn nothing_is_encoded_for_a_connection_without_room_and_changes_become_one() {
    let (mut bench, conn) = Bench::established(&["10.1.0.0/24"]);
    bench.said();
    bench.handle(Input::Room { conn, bytes: 0 });
    bench.desired("file", doc(&[peer(PEER)], &[]));
    bench.desired("file", doc(&[peer(PEER)], &["10.1.0.0/24", "10.2.0.0/24"]));
    bench.desired("file", doc(&[peer(PEER)], &["10.2.0.0/24"]));
    assert_eq!(bench.said(), Vec::<String>::new());
    assert_eq!(bench.why("10.2.0.0/24"), "pending");
    bench.handle(Input::Room { conn, bytes: 100 });
    let mut said = bench.said();
    said.sort();
    assert_eq!(said, ["+10.2.0.0/24", "-10.1.0.0/24"]);
    assert_eq!(bench.why("10.2.0.0/24"), "announced");
}

#[test]
fn the_other_family_needs_an_address_of_the_interface() {
    let (mut bench, _) = Bench::established(&["fd01::/64"]);
    assert_eq!(bench.why("fd01::/64"), "no-next-hop");
    assert!(bench.said().contains(&"end of ipv6".to_owned()));
    let address = |ipv6: Option<&str>| Input::LocalAddress {
        peer: ip(PEER).into(),
        link: "eth1".parse().ok(),
        ipv4: None,
        ipv6: ipv6.map(|text| text.parse().unwrap()),
    };
    bench.handle(address(Some("fd00::1")));
    assert_eq!(bench.said(), ["+fd01::/64"]);
    bench.handle(address(None));
    assert_eq!(bench.said(), ["-fd01::/64"]);
}

#[test]
fn a_link_that_goes_down_takes_its_sessions_with_it_at_once() {
    let (mut bench, conn) = Bench::established(&[]);
    let link = "eth1".parse().unwrap();
    let input =
        Input::LocalAddress { peer: ip(PEER).into(), link: Some(link), ipv4: None, ipv6: None };
    bench.handle(input);
    bench.handle(Input::Link { name: "eth0".parse().unwrap(), up: false });
    assert_eq!(bench.state(PEER), State::Established);
    bench.outputs.clear();
    bench.handle(Input::Link { name: link, up: false });
    assert_ne!(bench.state(PEER), State::Established);
    assert!(bench.outputs.contains(&Output::Close { conn }));
    assert_eq!(bench.said(), Vec::<String>::new());
}

#[test]
fn goodbye_with_keep_says_nothing_and_takes_no_route_back() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.announce(conn, &[prefix("10.9.0.0/24")]);
    bench.outputs.clear();
    bench.handle(Input::Shutdown { keep: true });
    assert!(!bench.outputs.iter().any(|o| matches!(o, Output::Best(_) | Output::Untrack(_))));
    assert_eq!(bench.closed(), 1);
    assert_eq!(bench.said(), Vec::<String>::new());
    assert_eq!(bench.speaker.wake_at(), None);
}

#[test]
fn goodbye_without_keep_says_cease_and_takes_routes_back() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.announce(conn, &[prefix("10.9.0.0/24")]);
    bench.outputs.clear();
    bench.handle(Input::Shutdown { keep: false });
    let gone = Best { prefix: prefix("10.9.0.0/24"), paths: vec![], discard: None };
    assert!(bench.outputs.contains(&Output::Best(gone)));
    assert_eq!(bench.said(), ["notification 6/2"]);
    let conn = ConnId::Accepted(77);
    bench.handle(Input::Accepted { conn, local: ip("10.0.0.1"), remote: ip(PEER).into() });
    assert!(bench.outputs.contains(&Output::Close { conn }));
}

#[test]
fn a_peer_taken_out_is_told_so_and_its_routes_go() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.announce(conn, &[prefix("10.9.0.0/24")]);
    bench.outputs.clear();
    bench.desired("file", doc(&[], &[]));
    let gone = Best { prefix: prefix("10.9.0.0/24"), paths: vec![], discard: None };
    assert!(bench.outputs.contains(&Output::Best(gone)));
    assert!(bench.outputs.contains(&Output::Untrack(ip(PEER).into())));
    assert_eq!(bench.said(), ["notification 6/3"]);
    assert_eq!(bench.speaker.counts(), Counts::default());
}

#[test]
fn a_change_of_groups_needs_no_reset() {
    let (mut bench, _) = Bench::established(&["10.1.0.0/24"]);
    bench.said();
    let rack = BTreeSet::from(["rack".to_owned()]);
    let mut wanted = doc(&[peer(PEER)], &["10.1.0.0/24", "10.2.0.0/24"]);
    wanted.originate[1].groups = rack.clone();
    bench.desired("file", wanted.clone());
    assert_eq!(bench.why("10.2.0.0/24"), "not-in-group");
    wanted.peers[0].session.groups = rack;
    bench.desired("file", wanted.clone());
    assert_eq!(bench.why("10.2.0.0/24"), "announced");
    assert!(bench.said().iter().any(|text| text.contains("+10.2.0.0/24")));
    wanted.peers[0].session.groups.clear();
    bench.desired("file", wanted);
    assert!(bench.said().iter().any(|text| text.contains("-10.2.0.0/24")));
    assert_eq!(bench.state(PEER), State::Established);
    assert_eq!(bench.speaker.peer(ip(PEER)).unwrap().status.flaps, 0);
}

#[test]
fn after_a_restart_sessions_wait_for_the_kernel_and_choosing_waits_for_the_peers() {
    let mut bench = Bench::new(Some(Duration::from_secs(60)));
    bench.desired("file", doc(&[peer(PEER)], &["10.1.0.0/24"]));
    assert_eq!(bench.state(PEER), State::Idle);
    bench.handle(Input::KernelSynced { families: BTreeSet::from([Family::Ipv4]) });
    let conn = bench.connect(&open());
    bench.handle(Input::Room { conn, bytes: 1 << 20 });
    let families = vec![(Family::Ipv4, true), (Family::Ipv6, false)];
    assert!(bench.said().contains(&format!("open {:?}", Some((true, families)))));
    bench.announce(conn, &[prefix("10.9.0.0/24")]);
    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv4) });
    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv6) });
    assert_eq!(bench.why("10.1.0.0/24"), "selection-deferred");
    assert!(!bench.outputs.iter().any(|o| matches!(o, Output::Best(_) | Output::Settled)));
    bench.handle(Input::OwnersReady);
    let at = |wanted: &dyn Fn(&Output) -> bool| bench.outputs.iter().position(wanted);
    let best = at(&|o| matches!(o, Output::Best(_)));
    assert!(best.is_some() && best < at(&|o| *o == Output::Settled), "{:?}", bench.outputs);
    assert_eq!(bench.said(), ["+10.1.0.0/24", "end of ipv4", "end of ipv6"]);
    // The next session is one like any other: this process has kept its routes.
    bench.handle(Input::Closed { conn, reason: String::new() });
    bench.wait(10);
    bench.said();
    bench.connect(&open());
    let families = Family::ALL.map(|family| (family, true)).to_vec();
    let said = bench.said();
    assert!(said.contains(&format!("open {:?}", Some((false, families)))), "{said:?}");
}

/// RFC 4724 §4.1 would not wait for it; some say for minutes that they have restarted.
#[test]
fn after_a_restart_a_peer_that_has_restarted_too_is_waited_for_a_moment() {
    let restarted = || {
        let mut open = open();
        for capability in &mut open.capabilities {
            if let Capability::GracefulRestart(restart) = capability {
                restart.restarted = true;
            }
        }
        open
    };
    let begin = || {
        let mut bench = Bench::new(Some(Duration::from_secs(60)));
        bench.handle(Input::KernelSynced { families: BTreeSet::from(Family::ALL) });
        bench.desired("file", doc(&[peer(PEER)], &["10.1.0.0/24"]));
        bench.handle(Input::OwnersReady);
        let conn = bench.connect(&restarted());
        bench.handle(Input::Room { conn, bytes: 1 << 20 });
        assert!(!bench.outputs.contains(&Output::Settled));
        (bench, conn)
    };
    let (mut bench, conn) = begin();
    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv4) });
    assert!(!bench.outputs.contains(&Output::Settled));
    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv6) });
    assert!(bench.outputs.contains(&Output::Settled), "its table is there");

    let (mut bench, _) = begin();
    let due = bench.speaker.wake_at().expect("a timer").0;
    assert!(due <= bench.now + Duration::from_secs(5), "{due:?}");
    bench.wait(4);
    assert!(!bench.outputs.contains(&Output::Settled));
    bench.wait(1);
    assert!(bench.outputs.contains(&Output::Settled), "it waits for us, maybe");
    assert!(bench.events().contains(&Event::SelectionBegan { timed_out: false }));

    // Something else comes at that very moment: it is due still.
    let (mut bench, conn) = begin();
    bench.now = bench.now + Duration::from_secs(5);
    bench.handle(Input::Frame { conn, bytes: KEEPALIVE.to_vec() });
    assert!(bench.speaker.wake_at().is_some_and(|(at, _)| at <= bench.now));
    bench.wait(0);
    assert!(bench.outputs.contains(&Output::Settled));
}

#[test]
fn after_a_restart_choosing_does_not_wait_for_ever() {
    let mut bench = Bench::new(Some(Duration::from_secs(60)));
    bench.handle(Input::KernelSynced { families: BTreeSet::new() });
    bench.desired("file", doc(&[peer(PEER)], &["10.1.0.0/24"]));
    bench.wait(59);
    assert!(!bench.outputs.contains(&Output::Settled));
    bench.wait(1);
    assert!(bench.outputs.contains(&Output::Settled));
    assert!(bench.events().contains(&Event::SelectionBegan { timed_out: true }));
}

#[test]
fn who_is_told_to_be_nobody_settles_too() {
    let mut bench = Bench::new(Some(Duration::from_secs(60)));
    bench.handle(Input::KernelSynced { families: BTreeSet::new() });
    bench.handle(Input::OwnersReady);
    assert!(bench.outputs.contains(&Output::Settled));
}

#[test]
fn a_long_walk_is_cut_into_calls_and_says_so() {
    let (mut bench, conn) = Bench::established(&[]);
    let many: Vec<Prefix> = (0..20_000u32)
        .map(|n| prefix(&format!("10.{}.{}.{}/32", n >> 16, (n >> 8) & 255, n & 255)))
        .collect();
    bench.announce(conn, &many);
    assert_eq!(
        bench.speaker.peer(ip(PEER)).unwrap().families[&Family::Ipv4].received.received,
        20_000
    );
    bench.outputs.clear();
    // Without graceful restart for an orderly Cease: all paths go.
    let cease = bgp_packet::Notification::new(6, 2);
    bench.speaker.handle(bench.now, Input::Frame { conn, bytes: cease.encode() });
    let mut calls = 0;
    while let Some((at, "table walk")) = bench.speaker.wake_at() {
        assert_eq!(at, bench.now);
        bench.speaker.tick(bench.now);
        calls += 1;
    }
    assert!((10..100).contains(&calls), "{calls}");
    bench.drain();
    let gone = bench.outputs.iter().filter(|o| matches!(o, Output::Best(_))).count();
    assert_eq!(gone, 20_000);
    assert_eq!(bench.speaker.counts().paths, 0);
}

/// A table that comes in is as many best paths as prefixes; peers hear of the first of them before
/// the FIB has heard of the last.
#[test]
fn peers_are_served_while_best_paths_are_told() {
    let mut bench = Bench::new(None);
    let other = PeerConfig { passive: true, ..PeerConfig::new(ip("10.0.0.3"), asn(65003)) };
    bench.desired("file", doc(&[peer(PEER), other], &[]));
    bench.handle(Input::OwnersReady);
    let from = bench.connect(&open());
    let to = ConnId::Accepted(99);
    let remote = ip("10.0.0.3").into();
    bench.handle(Input::Accepted { conn: to, local: ip("10.0.0.1"), remote });
    let capabilities = vec![Capability::FourOctetAs(asn(65003))];
    let router_id = "3.3.3.3".parse().unwrap();
    let theirs = Open { asn: asn(65003), router_id, capabilities, ..open() };
    bench.handle(Input::Frame { conn: to, bytes: theirs.encode() });
    bench.handle(Input::Frame { conn: to, bytes: KEEPALIVE.to_vec() });
    assert_eq!(bench.state("10.0.0.3"), State::Established);
    bench.handle(Input::Room { conn: to, bytes: 1 << 20 });
    // The next hop resolves from here on.
    bench.announce(from, &[prefix("10.9.0.0/16")]);
    bench.outputs.clear();
    let many: Vec<Prefix> =
        (0..2000u32).map(|n| prefix(&format!("10.1.{}.{}/32", n >> 8, n & 255))).collect();
    bench.announce(from, &many);
    let is_send = |output: &Output| matches!(output, Output::Send { conn, .. } if *conn == to);
    let first = bench.outputs.iter().position(is_send).unwrap();
    assert!(first <= 256, "{first} best paths were told before");
    let bests = bench.outputs.iter().filter(|output| matches!(output, Output::Best(_))).count();
    let said: usize = bench.said().iter().map(|said| said.split('+').count() - 1).sum();
    assert_eq!((bests, said), (many.len(), many.len()));
}

//! Peers that have no address of their own: those on a link, and those that connect from a prefix.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use std::collections::BTreeSet;

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Capability, Options, Origin, PeerKind, Segment,
    encode_attributes, pack,
};
use bgp_policy::Action;
use bgp_session::{PeerConfig, State};
use bgp_speaker::*;
use inet::{Family, LinkName, ScopedAddr};

use common::*;

#[test]
fn who_comes_from_a_prefix_is_a_peer_until_it_is_away() {
    let mut bench = Bench::new(None);
    let mut wanted = doc(&[], &["10.1.0.0/24"]);
    let mut template = Peer::from(peer("0.0.0.0"));
    template.session.passive = false;
    template.rules.export = Some(policy("none", Action::Reject));
    let range = |text: &str, peer: &Peer| DynamicNeighbors {
        prefix: prefix(text),
        limit: 1,
        peer: peer.clone(),
    };
    wanted.dynamic = vec![range("10.0.0.0/24", &template), range("10.0.0.0/16", &template)];
    bench.desired("file", wanted.clone());
    let known = bench.outputs.iter().find_map(|output| match output {
        Output::Peers(peers) => Some(peers.iter().map(|peer| peer.who).collect::<Vec<_>>()),
        _ => None,
    });
    let within = |text| Who::Within(prefix(text));
    assert_eq!(known.unwrap(), [within("10.0.0.0/16"), within("10.0.0.0/24")]);
    let conn = bench.connect(&open());
    assert_eq!(bench.state(PEER), State::Established);
    let snapshot = bench.speaker.peer(ip(PEER)).unwrap();
    assert_eq!(snapshot.source, PeerSource::Dynamic(prefix("10.0.0.0/24")));
    assert!(snapshot.config.passive);
    assert_eq!(bench.why("10.1.0.0/24"), "rejected-by-policy");
    // No second one, and nobody from elsewhere.
    bench.outputs.clear();
    for (n, remote, reason) in
        [(1000, "10.0.0.3", Refusal::TooManyDynamic), (1001, "10.7.0.3", Refusal::NotConfigured)]
    {
        let (conn, remote) = (ConnId::Accepted(n), ip(remote));
        bench.handle(Input::Accepted { conn, local: ip("10.0.0.1"), remote: remote.into() });
        assert!(
            bench
                .outputs
                .contains(&Output::Happened(Event::Refused { remote: remote.into(), reason }))
        );
    }
    // What is wanted of all is wanted of it.
    wanted.dynamic[0].peer.rules.export = None;
    bench.desired("file", wanted.clone());
    assert_eq!(bench.state(PEER), State::Established);
    assert_ne!(bench.why("10.1.0.0/24"), "rejected-by-policy");
    bench.handle(Input::Closed { conn, reason: String::new() });
    assert!(bench.speaker.peer(ip(PEER)).is_some(), "people want to see why");
    // Its routes are kept for 60 s, and after that it is remembered for a while.
    bench.wait(300);
    bench.wait(300);
    assert!(bench.speaker.peer(ip(PEER)).is_none());
    assert!(bench.events().contains(&Event::Removed { peer: ip(PEER).into() }));
    assert_eq!(bench.speaker.wake_at(), None);
    // Another one may come now.
    bench.connect(&open());
    wanted.dynamic.clear();
    bench.desired("file", wanted);
    assert!(bench.speaker.peer(ip(PEER)).is_none());
    assert_eq!(bench.said().last().unwrap(), "notification 6/3");
}

#[test]
fn an_idle_dynamic_neighbor_makes_place_for_another() {
    let mut bench = Bench::new(None);
    let mut wanted = doc(&[], &[]);
    let peer = Peer::from(peer("0.0.0.0"));
    wanted.dynamic = vec![DynamicNeighbors { prefix: prefix("10.0.0.0/24"), limit: 1, peer }];
    bench.desired("file", wanted);
    for n in 1..6 {
        let (conn, remote) = (ConnId::Accepted(n), ip(&format!("10.0.0.{n}")));
        bench.handle(Input::Accepted { conn, local: ip("10.0.0.100"), remote: remote.into() });
        assert!(
            bench.outputs.iter().any(|o| matches!(o, Output::Adopt { conn: c, .. } if *c == conn))
        );
        // It never said anything: nothing is lost with it.
        bench.handle(Input::Closed { conn, reason: String::new() });
        bench.wait(20);
        assert_eq!(bench.speaker.peers().count(), 1);
    }
}

#[test]
fn a_neighbor_on_a_link_is_found_and_told_ipv4_routes_over_ipv6() {
    let mut bench = Bench::new(None);
    let link: LinkName = "eth1".parse().unwrap();
    let mut wanted = doc(&[], &["10.1.0.0/24", "fd01::/64"]);
    let mut found = Peer::from(PeerConfig::new(ip("::"), asn(65002)));
    found.session.ipv4_over_ipv6 = true;
    wanted.unnumbered = vec![Unnumbered { link, peer: found }];
    bench.desired("file", wanted);
    assert!(bench.outputs.contains(&Output::Find(BTreeSet::from([link]))));
    assert!(bench.outputs.iter().any(|output| match output {
        Output::Peers(peers) => peers.len() == 1 && peers[0].who == Who::On(link),
        _ => false,
    }));
    assert_eq!(bench.speaker.peers().count(), 0);
    let address: ScopedAddr = "fe80::2%eth1".parse().unwrap();
    let neighbor = |text: Option<&str>| Input::Neighbor {
        link,
        address: text.map(|text| text.parse().unwrap()),
    };
    bench.handle(neighbor(None));
    bench.handle(neighbor(Some("fe80::2")));
    let dialled = bench.outputs.iter().find_map(|output| match output {
        Output::Connect { conn, peer, tcp, ttl: 1, .. } => Some((*conn, peer.ip(), tcp.interface)),
        _ => None,
    });
    let (conn, to, over) = dialled.unwrap();
    assert_eq!((to, over), (address.address(), Some(link)));
    bench.handle(Input::Connected { conn, local: ip("fe80::1") });
    let mut open = open();
    open.capabilities.push(Capability::ExtendedNextHop(vec![Family::Ipv4]));
    bench.handle(Input::Frame { conn, bytes: open.encode() });
    bench.handle(Input::Frame { conn, bytes: bgp_packet::KEEPALIVE.to_vec() });
    bench.handle(Input::Room { conn, bytes: 1 << 20 });
    for (family, text) in [(Family::Ipv4, "10.1.0.0/24"), (Family::Ipv6, "fd01::/64")] {
        let told: Vec<_> = bench.speaker.adj_rib_out(&address, family).collect();
        assert_eq!(told.len(), 1, "{text}");
        assert_eq!((told[0].0, told[0].1.next_hop.address), (prefix(text), ip("fe80::1")));
    }
    // Silence means nothing; another address is another peer.
    bench.handle(neighbor(None));
    assert_eq!(bench.speaker.peer(address).unwrap().status.state, State::Established);
    bench.handle(neighbor(Some("fe80::3")));
    assert!(bench.speaker.peer(address).is_none());
    let snapshot = bench.speaker.peer(ScopedAddr::new(ip("fe80::3"), Some(link))).unwrap();
    assert_eq!(snapshot.source, PeerSource::Unnumbered(link));
}

#[test]
fn two_owners_of_one_link_or_prefix_are_told_so() {
    let mut bench = Bench::new(None);
    let link: LinkName = "eth1".parse().unwrap();
    let wanted = |hold_time| {
        let session = PeerConfig { hold_time, ..peer("::") };
        let peer = Peer::from(session);
        let range =
            DynamicNeighbors { prefix: prefix("10.0.0.0/24"), limit: 5, peer: peer.clone() };
        Desired {
            global: Some(global()),
            unnumbered: vec![Unnumbered { link, peer }],
            dynamic: vec![range],
            ..Desired::default()
        }
    };
    bench.desired("file", wanted(30));
    bench.desired("agent", wanted(60));
    let names: Vec<&str> = bench.speaker.conflicts().map(Conflict::name).collect();
    assert_eq!(names, ["duplicate-unnumbered", "duplicate-dynamic"]);
    bench.connect(&open());
    let hold_time = |bench: &Bench| bench.speaker.peer(ip(PEER)).unwrap().config.hold_time;
    assert_eq!(hold_time(&bench), 60);
    bench.handle(Input::Forget { owner: "agent".into() });
    assert_eq!(bench.speaker.conflicts().count(), 0);
    assert_eq!(hold_time(&bench), 30);
    assert_eq!(bench.state(PEER), State::Established);
}

/// RFC 4724 §4.1: of those that connect nobody knows who is still to come back.
#[test]
fn after_a_restart_choosing_waits_the_whole_time_for_dynamic_neighbors() {
    let wait = std::time::Duration::from_secs(60);
    let mut bench = Bench::new(Some(wait));
    bench.handle(Input::KernelSynced { families: BTreeSet::new() });
    let mut wanted = doc(&[], &["10.1.0.0/24"]);
    let peer = Peer::from(peer("0.0.0.0"));
    wanted.dynamic = vec![DynamicNeighbors { prefix: prefix("10.0.0.0/24"), limit: 1, peer }];
    bench.desired("file", wanted);
    bench.handle(Input::OwnersReady);
    bench.wait(59);
    assert!(!bench.outputs.contains(&Output::Settled));
    bench.wait(1);
    assert!(bench.outputs.contains(&Output::Settled));
}

/// One router often has the same link-local address on each of its links, and every router may.
#[test]
fn neighbors_of_one_address_on_two_links_are_two() {
    let mut bench = Bench::new(None);
    let link = |n: usize| -> LinkName { format!("eth{n}").parse().unwrap() };
    let at = |n: usize| ScopedAddr::new(ip("fe80::1"), Some(link(n)));
    let mut wanted = doc(&[], &[]);
    // Two that are found, and two that are configured.
    let found =
        |n| Unnumbered { link: link(n), peer: Peer::from(PeerConfig::new(ip("::"), asn(65002))) };
    wanted.unnumbered = vec![found(0), found(1)];
    let configured = |n| {
        let mut peer = Peer::from(PeerConfig::new(ip("fe80::1"), asn(65002)));
        peer.tcp.interface = Some(link(n));
        peer
    };
    wanted.peers = vec![configured(2), configured(3)];
    bench.desired("file", wanted);
    for n in 0..2 {
        let address = Some("fe80::1".parse().unwrap());
        bench.handle(Input::Neighbor { link: link(n), address });
    }
    assert_eq!(bench.speaker.conflicts().count(), 0);
    let peers: Vec<ScopedAddr> = bench.speaker.peers().map(|peer| peer.wanted.key()).collect();
    assert_eq!(peers, [0, 1, 2, 3].map(at));

    // All four say the very same bytes.
    for n in 0..4 {
        let conn = ConnId::Accepted(n as u64);
        bench.handle(Input::Accepted { conn, local: ip("fe80::2"), remote: at(n) });
        bench.handle(Input::Frame { conn, bytes: open().encode() });
        bench.handle(Input::Frame { conn, bytes: bgp_packet::KEEPALIVE.to_vec() });
        assert_eq!(bench.speaker.peer(at(n)).unwrap().status.state, State::Established);
        let next_hop = BgpNextHop { address: ip("fe80::1"), link_local: None };
        let as_path = AsPath { segments: vec![Segment::Sequence(vec![65002])] };
        let options = Options::new(PeerKind::External);
        let attributes = Attributes::new(Origin::Igp, as_path, next_hop);
        let raw = encode_attributes(&attributes, &options);
        for bytes in pack(&raw, &next_hop, [prefix("fd01::/64")], &options).unwrap() {
            bench.handle(Input::Frame { conn, bytes });
        }
    }
    for n in 0..4 {
        assert!(bench.outputs.contains(&Output::Track(at(n))));
        bench.handle(Input::NextHop { address: at(n), metric: Some(0) });
    }
    let used = |bench: &Bench| -> Vec<ScopedAddr> {
        let best = bench.outputs.iter().rev().find_map(|output| match output {
            Output::Best(best) => Some(best.clone()),
            _ => None,
        });
        best.unwrap()
            .paths
            .iter()
            .map(|path| path.peer)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    assert_eq!(used(&bench), [0, 1, 2, 3].map(at));
    // What is lost on one link is there on the others.
    bench.handle(Input::NextHop { address: at(1), metric: None });
    assert_eq!(used(&bench), [0, 2, 3].map(at));
    bench.handle(Input::Link { name: link(2), up: false });
    assert_ne!(bench.speaker.peer(at(2)).unwrap().status.state, State::Established);
    assert_eq!(bench.speaker.peer(at(3)).unwrap().status.state, State::Established);
}

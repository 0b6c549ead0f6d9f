//! The fuzzers' corpora, replayed without a fuzzer, and their first seeds.

#![allow(clippy::unwrap_used)]

#[path = "fuzz/bodies.rs"]
mod bodies;
#[path = "../../../fuzz/replay.rs"]
mod corpora;

use bgp_packet::*;
use bodies::{choice, options};
use inet::{Asn, Family, Prefix, RouterId};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn the_corpora_have_no_findings() {
    corpora::replay(bodies::ALL);
}

#[test]
fn options_are_one_byte() {
    for byte in 0..=u8::MAX {
        assert_eq!(choice(&options(byte)), byte);
    }
}

/// Writes what is missing and fails then: a changed seed is a file to commit.
#[test]
fn the_seeds_are_in_the_corpora() {
    let mut missing = Vec::new();
    for (target, name, bytes) in seeds() {
        assert!(bodies::ALL.iter().any(|(known, _)| *known == target), "{target}");
        let file = corpora::corpus().join(target).join(format!("seed-{name}"));
        if std::fs::read(&file).ok().as_ref() != Some(&bytes) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, bytes).unwrap();
            missing.push(file);
        }
    }
    assert!(missing.is_empty(), "written now, to be committed: {missing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// A little fuzzing without a fuzzer: damaged seeds.
    #[test]
    fn damaged_seeds_have_no_findings(
        which in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in 0..20usize,
    ) {
        let (target, _, mut bytes) = seeds().swap_remove(which.index(seeds().len()));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // Half of them stay whole.
        bytes.truncate(bytes.len() - cut.saturating_sub(10).min(bytes.len() - 1));
        let (_, body) = bodies::ALL.iter().find(|(known, _)| *known == target).unwrap();
        body(&bytes);
    }
}

type Seed = (&'static str, &'static str, Vec<u8>);

/// Valid messages that touch each part of the decoders.
fn seeds() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = Vec::new();
    let body = |frame: &[u8]| frame[HEADER_LEN..].to_vec();
    let with = |byte: u8, bytes: &[u8]| [&[byte], bytes].concat();
    for (name, open) in opens() {
        let frame = open.encode();
        seeds.push(("packet_frame", name, with(0, &frame)));
        seeds.push(("packet_open", name, body(&frame)));
    }
    let notifications = [
        ("cease", Notification::cease(Cease::AdministrativeShutdown, Some("back at noon"))),
        ("prefixes", Notification::max_prefixes(Family::Ipv6, 1000).into_hard_reset()),
        ("role", Notification::role_mismatch()),
    ];
    for (name, notification) in notifications {
        seeds.push(("packet_notification", name, body(&notification.encode())));
    }
    let refresh = encode_route_refresh(Family::Ipv6, RefreshKind::Begin);
    seeds.push(("packet_refresh", "begin", body(&refresh)));
    seeds.push(("packet_frame", "refresh", with(0, &refresh)));
    seeds.push(("packet_frame", "keepalive", with(0, &KEEPALIVE)));
    for (name, byte, family, next_hop) in [
        ("ipv4", 0b0000_0000, Family::Ipv4, "10.0.0.1"),
        ("ipv6", 0b0000_0001, Family::Ipv6, "fd00::1"),
        ("two-octet", 0b0000_0010, Family::Ipv4, "10.0.0.1"),
        ("add-path-ipv4", 0b0000_1000, Family::Ipv4, "10.0.0.1"),
        ("add-path-ipv6", 0b0001_0000, Family::Ipv6, "fd00::1"),
        ("ipv4-over-ipv6", 0b0010_1000, Family::Ipv4, "fe80::1"),
    ] {
        let options = options(byte);
        let next_hop = BgpNextHop::from(next_hop.parse::<std::net::IpAddr>().unwrap());
        let set = encode_attributes(&attributes(next_hop), &options);
        let paths = [(PathId(1), prefix(family, 0)), (PathId(7), prefix(family, 1))];
        let frames = pack_paths(&set, &next_hop, paths, &options).unwrap();
        seeds.push(("packet_update", name, with(byte, &body(&frames[0]))));
        seeds.push(("packet_attributes", name, with(byte, &set)));
    }
    let gone = [(PathId(1), prefix(Family::Ipv4, 2)), (PathId(2), prefix(Family::Ipv6, 2))];
    let frames = pack_withdrawn_paths(gone, &options(0b0001_1000));
    seeds.push(("packet_update", "withdraw-ipv4", with(0b0001_1000, &body(&frames[0]))));
    seeds.push(("packet_update", "withdraw-ipv6", with(0b0001_1000, &body(&frames[1]))));
    seeds.push(("packet_update", "end-of-rib", with(0, &body(&end_of_rib(Family::Ipv6)))));
    seeds
}

fn opens() -> [(&'static str, Open); 2] {
    let asn = Asn::new(4_200_000_001).unwrap();
    let open = Open {
        asn,
        hold_time: 90,
        router_id: "10.0.0.2".parse::<RouterId>().unwrap(),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4),
            Capability::Multiprotocol(Family::Ipv6),
            Capability::RouteRefresh,
            Capability::ExtendedNextHop(vec![Family::Ipv4]),
            Capability::ExtendedMessage,
            Capability::Role(Role::Customer),
            Capability::GracefulRestart(GracefulRestart {
                restarted: true,
                notification: true,
                restart_time: 120,
                families: vec![(Family::Ipv4, true), (Family::Ipv6, false)],
            }),
            Capability::FourOctetAs(asn),
            Capability::AddPath(vec![(Family::Ipv4, AddPathMode::Both)]),
            Capability::EnhancedRouteRefresh,
            Capability::LongLivedGracefulRestart(vec![LongLived {
                family: Family::Ipv4,
                forwarding: true,
                stale_time: 86400,
            }]),
        ],
    };
    let mut long = open.clone();
    long.capabilities.push(Capability::Unknown { code: 200, value: vec![7; 200] });
    [("open", open), ("open-extended", long)]
}

fn prefix(family: Family, n: u8) -> Prefix {
    match family {
        Family::Ipv4 => Prefix::new([10, n, 0, 0].into(), 16 + n),
        Family::Ipv6 => Prefix::new([0xFD00, u16::from(n), 0, 0, 0, 0, 0, 0].into(), 32 + n),
    }
    .unwrap()
}

fn attributes(next_hop: BgpNextHop) -> Attributes {
    let segments = vec![Segment::Sequence(vec![65001, 4_200_000_001]), Segment::Set(vec![7, 9])];
    Attributes {
        med: Some(5),
        local_pref: Some(200),
        atomic_aggregate: true,
        aggregator: Some((Asn::new(4_200_000_001).unwrap(), [10, 0, 0, 9].into())),
        communities: vec![community::NO_EXPORT, 65001 << 16 | 1],
        originator_id: Some([10, 0, 0, 3].into()),
        cluster_list: vec![[10, 0, 0, 4].into()],
        extended_communities: vec![community::encode_link_bandwidth(65001, 1.25e9, true)],
        large_communities: vec![[65001, 1, 2]],
        only_to_customer: Some(Asn::new(65001).unwrap()),
        unknown: vec![UnknownAttribute { flags: 0xC0, code: 99, value: vec![1, 2] }],
        ..Attributes::new(Origin::Igp, AsPath { segments }, next_hop)
    }
}

//! What is written is read back; what is damaged never panics.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_packet::*;
use inet::{Asn, Family, Prefix, RouterId};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..65536u32, 1..=u32::MAX].prop_map(|n| Asn::new(n).unwrap())
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
}

fn prefix(family: Family) -> BoxedStrategy<Prefix> {
    match family {
        Family::Ipv4 => (any::<u32>(), 0..=32u8)
            .prop_map(|(a, l)| Prefix::truncated(Ipv4Addr::from(a).into(), l).unwrap())
            .boxed(),
        Family::Ipv6 => (any::<u128>(), 0..=128u8)
            .prop_map(|(a, l)| Prefix::truncated(Ipv6Addr::from(a).into(), l).unwrap())
            .boxed(),
    }
}

fn next_hop(family: Family) -> BoxedStrategy<BgpNextHop> {
    match family {
        Family::Ipv4 => {
            any::<u16>().prop_map(|a| IpAddr::from([10, 0, (a >> 8) as u8, a as u8]).into()).boxed()
        }
        Family::Ipv6 => (any::<u16>(), option::of(any::<u16>()))
            .prop_map(|(a, l)| BgpNextHop {
                address: IpAddr::from([0xFD00, 0, 0, 0, 0, 0, 0, a]),
                link_local: l.map(|l| Ipv6Addr::from([0xFE80, 0, 0, 0, 0, 0, 0, l])),
            })
            .boxed(),
    }
}

fn segment() -> impl Strategy<Value = Segment> {
    let numbers = || vec(prop_oneof![1..65536u32, 1..=u32::MAX], 1..5);
    prop_oneof![numbers().prop_map(Segment::Sequence), numbers().prop_map(Segment::Set)]
}

prop_compose! {
    fn attributes()(
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        segments in vec(segment(), 0..4),
        med in option::of(any::<u32>()),
        local_pref in any::<u32>(),
        atomic_aggregate in any::<bool>(),
        aggregator in option::of((asn(), any::<u32>().prop_map(Ipv4Addr::from))),
        communities in vec(any::<u32>(), 0..100),
        originator_id in option::of(any::<u32>().prop_map(Ipv4Addr::from)),
        cluster_list in vec(any::<u32>().prop_map(Ipv4Addr::from), 0..4),
        extended_communities in vec(any::<[u8; 8]>(), 0..4),
        large_communities in vec(any::<[u32; 3]>(), 0..4),
        unknown in btree_set(100..255u8, 0..3),
    ) -> Attributes {
        let next_hop = BgpNextHop::from(IpAddr::from([10, 0, 0, 1]));
        let unknown = unknown.into_iter();
        Attributes {
            med,
            local_pref: Some(local_pref),
            atomic_aggregate,
            aggregator,
            communities,
            originator_id,
            cluster_list,
            extended_communities,
            large_communities,
            unknown: unknown
                .map(|code| UnknownAttribute { flags: 0xE0, code, value: vec![code; 300] })
                .collect(),
            ..Attributes::new(origin, AsPath { segments }, next_hop)
        }
    }
}

fn capability() -> impl Strategy<Value = Capability> {
    let gr = (any::<bool>(), any::<bool>(), 0..4096u16, vec((family(), any::<bool>()), 0..3));
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        Just(Capability::EnhancedRouteRefresh),
        gr.prop_map(|(restarted, notification, restart_time, families)| {
            Capability::GracefulRestart(GracefulRestart {
                restarted,
                notification,
                restart_time,
                families,
            })
        }),
        (71..=255u8, vec(any::<u8>(), 0..80))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(internal, four, extended)| Options {
        four_octet_as: four,
        extended_message: extended,
        ..Options::new(if internal { PeerKind::Internal } else { PeerKind::External })
    })
}

/// Looks at everything that a frame leads to.
fn read_all(frame: &[u8], options: &Options) {
    if let Ok(Some(len)) = frame_len(frame, options.max_len()) {
        assert!((19..=options.max_len()).contains(&len));
    }
    match decode(frame, options) {
        Ok(Message::Update(update)) => {
            for nlri in update.withdrawn.iter().chain(update.reach.iter().map(|r| &r.nlri)) {
                assert!(nlri.iter().all(|p| p.family() == nlri.family()));
                assert!(!nlri.is_empty() && nlri.iter().next().is_some());
            }
            for reach in &update.reach {
                let _ = update.attributes.decode(options, reach.next_hop);
            }
        }
        Ok(Message::Notification(n)) => drop((n.to_string(), n.communication())),
        Ok(_) => {}
        Err(n) => assert!(n.encode().len() <= MAX_LEN),
    }
}

/// Damage: bytes changed, the end cut off; the length field then says so or not.
fn damage(frame: &mut Vec<u8>, changes: &[(prop::sample::Index, u8)], cut: usize, honest: bool) {
    frame.truncate(frame.len().saturating_sub(cut));
    if frame.len() > 16 {
        for (at, value) in changes {
            let at = 16 + at.index(frame.len() - 16);
            frame[at] = *value;
        }
    }
    if honest && frame.len() >= 18 {
        let len = (frame.len() as u16).to_be_bytes();
        frame[16..18].copy_from_slice(&len);
    }
}

proptest! {
    #[test]
    fn an_open_comes_back(
        asn in asn(),
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        id in 1..=u32::MAX,
        mut capabilities in vec(capability(), 0..12),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0..30usize,
        honest in any::<bool>(),
    ) {
        capabilities.push(Capability::FourOctetAs(asn));
        let router_id = RouterId::new(Ipv4Addr::from(id)).unwrap();
        let open = Open { asn, hold_time, router_id, capabilities };
        let options = Options::new(PeerKind::External);
        let mut frame = open.encode();
        prop_assert_eq!(decode(&frame, &options), Ok(Message::Open(open)));
        damage(&mut frame, &changes, cut, honest);
        read_all(&frame, &options);
    }

    #[test]
    fn routes_come_back(
        (family, next_hop, prefixes) in family().prop_flat_map(|f| {
            (Just(f), next_hop(f), vec(prefix(f), 1..1200))
        }),
        attributes in attributes(),
        options in options(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0..30usize,
        honest in any::<bool>(),
    ) {
        let encoded = encode_attributes(&attributes, &options);
        let mut expected = Attributes { next_hop, ..attributes };
        if options.kind == PeerKind::External {
            expected.local_pref = None;
            expected.originator_id = None;
            expected.cluster_list.clear();
        }
        let mut messages = pack(&encoded, &next_hop, prefixes.clone(), &options).unwrap();
        let mut back = Vec::new();
        for message in &messages {
            prop_assert!(message.len() <= options.max_len());
            let Ok(Message::Update(update)) = decode(message, &options) else {
                return Err(TestCaseError::fail("no UPDATE"));
            };
            prop_assert!(update.withdrawn.is_empty() && update.malformed.is_empty());
            prop_assert_eq!(update.reach.len(), 1);
            prop_assert_eq!(update.reach[0].next_hop, next_hop);
            back.extend(update.reach[0].nlri.iter());
            let Verdict::Accept(got, discarded) = update.attributes.decode(&options, next_hop)
            else {
                return Err(TestCaseError::fail("not accepted"));
            };
            prop_assert!(discarded.is_empty());
            prop_assert_eq!(got.as_path.hops(), expected.as_path.hops());
            // Neighboring sequences may be joined by AS4_PATH; written, they are the same.
            prop_assert_eq!(got.as_path.to_string(), expected.as_path.to_string());
            let as_path = expected.as_path.clone();
            prop_assert_eq!(&Attributes { as_path, ..got }, &expected);
        }
        prop_assert_eq!(back, prefixes);
        // Only the last message may be less than full.
        let longest = 1 + usize::from(family.bits() / 8);
        let full = messages.split_last().map_or(&[][..], |(_, full)| full);
        prop_assert!(full.iter().all(|m| m.len() + longest > options.max_len()));
        damage(&mut messages[0], &changes, cut, honest);
        read_all(&messages[0], &options);
    }

    #[test]
    fn any_bytes_are_survived(
        kind in 0..7u8,
        body in vec(any::<u8>(), 0..200),
        options in options(),
    ) {
        let mut frame = vec![0xFF; 16];
        frame.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
        frame.push(kind);
        frame.extend_from_slice(&body);
        read_all(&frame, &options);
        read_all(&body, &options);
    }

    #[test]
    fn any_attributes_are_survived(
        list in vec((any::<u8>(), 0..40u8, vec(any::<u8>(), 0..20), -1..2i8), 0..8),
        options in options(),
    ) {
        let mut bytes = Vec::new();
        for (flags, code, value, lie) in list {
            bytes.extend_from_slice(&[flags & !0x10, code]);
            bytes.push((value.len() as u8).wrapping_add_signed(lie));
            bytes.extend_from_slice(&value);
        }
        let mut body = vec![0, 0];
        body.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        body.extend_from_slice(&bytes);
        body.extend_from_slice(&[8, 10]);
        let mut frame = vec![0xFF; 16];
        frame.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
        frame.push(2);
        frame.extend_from_slice(&body);
        read_all(&frame, &options);
    }
}

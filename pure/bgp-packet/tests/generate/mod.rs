//! Messages for the tests that want any.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_packet::*;
use inet::{Asn, Family, Prefix};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(crate) fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..65536u32, 1..=u32::MAX].prop_map(|n| Asn::new(n).unwrap())
}

pub(crate) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
}

pub(crate) fn prefix(family: Family) -> BoxedStrategy<Prefix> {
    match family {
        Family::Ipv4 => (any::<u32>(), 0..=32u8)
            .prop_map(|(a, l)| Prefix::truncated(Ipv4Addr::from(a).into(), l).unwrap())
            .boxed(),
        Family::Ipv6 => (any::<u128>(), 0..=128u8)
            .prop_map(|(a, l)| Prefix::truncated(Ipv6Addr::from(a).into(), l).unwrap())
            .boxed(),
    }
}

pub(crate) fn next_hop(family: Family) -> BoxedStrategy<BgpNextHop> {
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

pub(crate) fn segment() -> impl Strategy<Value = Segment> {
    let numbers = || vec(prop_oneof![1..65536u32, 1..=u32::MAX], 1..5);
    prop_oneof![numbers().prop_map(Segment::Sequence), numbers().prop_map(Segment::Set)]
}

prop_compose! {
    pub(crate) fn attributes()(
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
        large_communities in btree_set(any::<[u32; 3]>(), 0..4),
        only_to_customer in option::of(asn()),
        unknown in btree_set(160..=254u8, 0..3),
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
            large_communities: large_communities.into_iter().collect(),
            only_to_customer,
            unknown: unknown
                .map(|code| UnknownAttribute { flags: 0xE0, code, value: vec![code; 300] })
                .collect(),
            ..Attributes::new(origin, AsPath { segments }, next_hop)
        }
    }
}

pub(crate) fn capability() -> impl Strategy<Value = Capability> {
    let gr = (any::<bool>(), any::<bool>(), 0..4096u16, vec((family(), any::<bool>()), 0..3));
    let mode = || {
        prop_oneof![Just(AddPathMode::Receive), Just(AddPathMode::Send), Just(AddPathMode::Both)]
    };
    let long_lived = (family(), any::<bool>(), 0..=LongLived::MAX_STALE_TIME)
        .prop_map(|(family, forwarding, stale_time)| LongLived { family, forwarding, stale_time });
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        vec(family(), 0..3).prop_map(Capability::ExtendedNextHop),
        prop::sample::select(&Role::ALL[..]).prop_map(Capability::Role),
        vec((family(), mode()), 0..3).prop_map(Capability::AddPath),
        vec(long_lived, 0..3).prop_map(Capability::LongLivedGracefulRestart),
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
        (72..=255u8, vec(any::<u8>(), 0..80))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let families =
        || (any::<bool>(), any::<bool>()).prop_map(|(ipv4, ipv6)| FamilyFlags { ipv4, ipv6 });
    (any::<[bool; 4]>(), families()).prop_map(|([internal, four, extended, over], add_path)| {
        Options {
            four_octet_as: four,
            extended_message: extended,
            add_path_receive: add_path,
            add_path_send: add_path,
            ipv4_over_ipv6: over,
            ..Options::new(if internal { PeerKind::Internal } else { PeerKind::External })
        }
    })
}

/// Options, a next hop, and paths of a family that may have it.
pub(crate) fn routes(
    count: usize,
) -> impl Strategy<Value = (Options, BgpNextHop, Vec<(PathId, Prefix)>)> {
    (options(), family(), any::<bool>()).prop_flat_map(move |(options, family, over)| {
        let hop = if over && options.ipv4_over_ipv6 { Family::Ipv6 } else { family };
        let ids = options.add_path_send.has(family);
        let id = any::<u32>().prop_map(move |id| PathId(if ids { id } else { 0 }));
        (Just(options), next_hop(hop), vec((id, prefix(family)), 1..count))
    })
}

/// The attributes that come back from a peer of this kind.
pub(crate) fn as_received(set: Attributes, next_hop: BgpNextHop, options: &Options) -> Attributes {
    let mut set = Attributes { next_hop, ..set };
    if options.kind == PeerKind::External {
        set.local_pref = None;
        set.originator_id = None;
        set.cluster_list.clear();
    }
    set
}

/// Damage: bytes changed, the end cut off; the length field then says so or not.
pub(crate) fn damage(
    frame: &mut Vec<u8>,
    changes: &[(prop::sample::Index, u8)],
    cut: usize,
    honest: bool,
) {
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

/// One attribute of a list that is about to be damaged.
#[derive(Clone, Debug)]
pub(crate) struct Loose {
    pub(crate) flags: u8,
    pub(crate) code: u8,
    pub(crate) value: Vec<u8>,
}

/// A damage to one attribute of a list: framing stays whole.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Flag(u8),
    Byte(prop::sample::Index, u8),
    Shorter(usize),
    Longer(Vec<u8>),
    Twice,
    Gone,
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop::sample::select(&[0x80u8, 0x40, 0x20][..]).prop_map(Change::Flag),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, to)| Change::Byte(at, to)),
        (1..9usize).prop_map(Change::Shorter),
        vec(any::<u8>(), 1..9).prop_map(Change::Longer),
        Just(Change::Twice),
        Just(Change::Gone),
    ]
}

/// The attributes of an UPDATE without withdrawn routes, and the NLRI behind them.
pub(crate) fn taken_apart(frame: &[u8]) -> (Vec<Loose>, Vec<u8>) {
    let len = usize::from(u16::from_be_bytes([frame[21], frame[22]]));
    let (mut bytes, nlri) = frame[23..].split_at(len);
    let mut all = Vec::new();
    while let [flags, code, rest @ ..] = bytes {
        let (len, rest) = if flags & 0x10 == 0 {
            (usize::from(rest[0]), &rest[1..])
        } else {
            (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..])
        };
        let (value, rest) = rest.split_at(len);
        all.push(Loose { flags: flags & !0x10, code: *code, value: value.to_vec() });
        bytes = rest;
    }
    (all, nlri.to_vec())
}

/// An UPDATE of such attributes and NLRI.
pub(crate) fn put_together(attributes: &[Loose], nlri: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for one in attributes {
        bytes.extend([one.flags | 0x10, one.code]);
        bytes.extend((one.value.len() as u16).to_be_bytes());
        bytes.extend(&one.value);
    }
    let mut frame = vec![0xFF; 16];
    frame.extend(((23 + bytes.len() + nlri.len()) as u16).to_be_bytes());
    frame.extend([2, 0, 0]);
    frame.extend((bytes.len() as u16).to_be_bytes());
    frame.extend(bytes);
    frame.extend(nlri);
    frame
}

/// Does a damage to the attribute that `at` points to.
pub(crate) fn apply(attributes: &mut Vec<Loose>, at: prop::sample::Index, change: &Change) {
    let at = at.index(attributes.len());
    match change {
        Change::Flag(bit) => attributes[at].flags ^= bit,
        Change::Byte(which, to) => {
            let value = &mut attributes[at].value;
            if !value.is_empty() {
                let which = which.index(value.len());
                value[which] = *to;
            }
        }
        Change::Shorter(by) => {
            let value = &mut attributes[at].value;
            value.truncate(value.len().saturating_sub(*by));
        }
        Change::Longer(more) => attributes[at].value.extend(more),
        Change::Twice => {
            let twin = attributes[at].clone();
            attributes.push(twin);
        }
        Change::Gone => drop(attributes.remove(at)),
    }
}

/// What RFC 7606 makes of an UPDATE; an attribute that is discarded leaves it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Accepted,
    Withdrawn,
    Reset,
}

/// What we make of an UPDATE with one reach at most.
pub(crate) fn our_outcome(frame: &[u8], options: &Options) -> Outcome {
    let Ok(Message::Update(update)) = decode(frame, options) else { return Outcome::Reset };
    if !update.malformed.is_empty() {
        return Outcome::Withdrawn;
    }
    let Some(reach) = update.reach.first() else { return Outcome::Accepted };
    match update.attributes.decode(options, reach.next_hop) {
        Verdict::Accept(..) => Outcome::Accepted,
        Verdict::TreatAsWithdraw(_) => Outcome::Withdrawn,
        Verdict::Reset(_) => Outcome::Reset,
    }
}

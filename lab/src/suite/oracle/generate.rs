//! Messages of our codec, each with what has to be read in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use bgp_packet::{
    AddPathMode, AsPath, Attributes, BgpNextHop, Capability, Cease, FamilyFlags, GracefulRestart,
    KEEPALIVE, Notification, Open, Options, Origin, PathId, PeerKind, RefreshKind, Segment,
    UnknownAttribute, encode_attributes, encode_route_refresh, pack_paths, pack_withdrawn,
};
use inet::{Asn, Family, Prefix, RouterId};

use super::damage::codes;
use super::fields::{self, CODES, Fields, put};
use crate::bench::random::Random;

/// A message and what stands in it.
pub(super) struct Sample {
    pub(super) frame: Vec<u8>,
    /// As whom we read it.
    pub(super) options: Options,
    pub(super) fields: Fields,
}

/// Everything that stands in an UPDATE is compared, LOCAL_PREF and ORIGINATOR_ID too.
pub(super) fn options() -> Options {
    Options { ipv4_over_ipv6: true, ..Options::new(PeerKind::Internal) }
}

/// A message of some kind.
pub(super) fn message(random: &mut Random) -> Result<Sample> {
    match random.below(10) {
        0..=1 => routes(random, Family::Ipv4, Family::Ipv4, false),
        2 => routes(random, Family::Ipv4, Family::Ipv4, true),
        3..=4 => routes(random, Family::Ipv6, Family::Ipv6, false),
        // RFC 8950: IPv4 routes with an IPv6 next hop.
        5 => routes(random, Family::Ipv4, Family::Ipv6, false),
        6 => withdrawal(random, Family::Ipv4),
        7 => withdrawal(random, Family::Ipv6),
        8 => open(random),
        _ => small(random),
    }
}

fn number(random: &mut Random) -> u32 {
    match random.below(2) {
        0 => 1 + random.below(65_535) as u32,
        _ => 65_536 + random.below(4_000_000_000) as u32,
    }
}

fn any(random: &mut Random) -> u32 {
    random.next() as u32
}

/// Up to 40 prefixes. None is a default route: tshark takes that for the first half of a path id
/// (RFC 7911), since nothing in an UPDATE says whether there are any.
fn prefixes(random: &mut Random, family: Family) -> Result<Vec<Prefix>> {
    let count = 1 + random.below(40);
    let one = |_| {
        let length = 1 + random.below(u64::from(family.bits())) as u8;
        let address: IpAddr = match family {
            Family::Ipv4 => Ipv4Addr::from(random.next() as u32).into(),
            Family::Ipv6 => {
                Ipv6Addr::from((u128::from(random.next()) << 64) | u128::from(random.next())).into()
            }
        };
        Ok(Prefix::truncated(address, length)?)
    };
    (0..count).map(one).collect()
}

fn attributes(random: &mut Random, hop: Family) -> Result<Attributes> {
    let next_hop = match hop {
        Family::Ipv4 => IpAddr::from([10, 0, random.next() as u8, 1]).into(),
        Family::Ipv6 => BgpNextHop {
            address: IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, random.next() as u16]),
            link_local: (random.below(2) == 0)
                .then(|| Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0, 0, random.next() as u16])),
        },
    };
    let mut segments = Vec::new();
    for _ in 0..random.below(4) {
        let numbers = (0..1 + random.below(5)).map(|_| number(random)).collect();
        let set = random.below(4) == 0;
        segments.push(if set { Segment::Set(numbers) } else { Segment::Sequence(numbers) });
    }
    let origin = [Origin::Igp, Origin::Egp, Origin::Incomplete][random.below(3) as usize];
    let mut some = |odds: u64| random.below(odds) == 0;
    let (med, aggregated, originator, otc) = (some(2), some(3), some(3), some(4));
    let aggregator = Asn::new(number(random))?;
    let list = |random: &mut Random, most: u64| 0..random.below(most);
    Ok(Attributes {
        med: med.then(|| any(random)),
        local_pref: Some(any(random)),
        atomic_aggregate: aggregated,
        aggregator: aggregated.then(|| (aggregator, any(random).into())),
        // tshark has fields of their own for those of AS 0 and 65535, which are reserved.
        communities: list(random, 30).map(|_| (1 << 16) | (any(random) % 0xfffe_0000)).collect(),
        originator_id: originator.then(|| any(random).into()),
        cluster_list: list(random, 4).map(|_| any(random).into()).collect(),
        extended_communities: list(random, 4)
            .map(|_| {
                let [a, b, c, d] = any(random).to_be_bytes();
                [0, 2, c, d, a, b, c, d]
            })
            .collect(),
        large_communities: list(random, 4)
            .map(|_| [any(random), any(random), any(random)])
            .collect(),
        only_to_customer: if otc { Some(Asn::new(number(random))?) } else { None },
        unknown: (200..200 + random.below(3) as u8)
            .map(|code| UnknownAttribute { flags: 0xe0, code, value: vec![code; 300] })
            .collect(),
        ..Attributes::new(origin, AsPath { segments }, next_hop)
    })
}

pub(super) fn routes(
    random: &mut Random,
    family: Family,
    hop: Family,
    ids: bool,
) -> Result<Sample> {
    let set = attributes(random, hop)?;
    let prefixes = prefixes(random, family)?;
    let flags = if ids { FamilyFlags::NONE.with(family) } else { FamilyFlags::NONE };
    let options = Options { add_path_send: flags, add_path_receive: flags, ..options() };
    // The high octet 0, as a router counts them, is what tshark knows path ids by.
    let id = |random: &mut Random| PathId(if ids { 1 + random.below(5_000) as u32 } else { 0 });
    let paths: Vec<(PathId, Prefix)> = prefixes.iter().map(|p| (id(random), *p)).collect();
    let encoded = encode_attributes(&set, &options);
    let frame = one(pack_paths(&encoded, &set.next_hop, paths.iter().copied(), &options)?)?;
    let mut fields = fields::message(2, frame.len());
    put(&mut fields, CODES, codes(&frame));
    fields::attributes(&set, &mut fields);
    fields::next_hop(&set, family, &mut fields);
    let place = fields::place(family, hop);
    fields::prefixes(&prefixes, place, &mut fields);
    if ids {
        put(&mut fields, "bgp.nlri_path_id", paths.iter().map(|(id, _)| id.0));
    }
    Ok(Sample { frame, options, fields })
}

fn withdrawal(random: &mut Random, family: Family) -> Result<Sample> {
    let prefixes = prefixes(random, family)?;
    let frame = one(pack_withdrawn(prefixes.iter().copied(), &options()))?;
    let mut fields = fields::message(2, frame.len());
    let place = match family {
        Family::Ipv4 => "bgp.withdrawn_prefix",
        Family::Ipv6 => {
            put(&mut fields, CODES, [15]);
            "bgp.mp_unreach_nlri_ipv6_prefix"
        }
    };
    fields::prefixes(&prefixes, place, &mut fields);
    Ok(Sample { frame, options: options(), fields })
}

fn one(frames: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    match <[Vec<u8>; 1]>::try_from(frames) {
        Ok([frame]) => Ok(frame),
        Err(frames) => bail!("{} messages instead of one", frames.len()),
    }
}

fn open(random: &mut Random) -> Result<Sample> {
    let asn = Asn::new(number(random))?;
    let families = vec![(Family::Ipv4, random.below(2) == 0), (Family::Ipv6, false)];
    let mut capabilities = vec![
        Capability::Multiprotocol(Family::Ipv4),
        Capability::Multiprotocol(Family::Ipv6),
        Capability::RouteRefresh,
        Capability::ExtendedNextHop(vec![Family::Ipv4]),
        Capability::ExtendedMessage,
        Capability::GracefulRestart(GracefulRestart {
            restarted: random.below(2) == 0,
            notification: random.below(2) == 0,
            restart_time: random.below(4096) as u16,
            families,
        }),
        Capability::AddPath(vec![
            (Family::Ipv4, AddPathMode::Both),
            (Family::Ipv6, AddPathMode::Send),
        ]),
        Capability::EnhancedRouteRefresh,
    ];
    capabilities.retain(|_| random.below(4) != 0);
    capabilities.push(Capability::FourOctetAs(asn));
    let router_id = RouterId::new(Ipv4Addr::from(0x0a00_0001 + random.below(1 << 20) as u32))?;
    let hold_time = 3 + random.below(60_000) as u16;
    let open = Open { asn, hold_time, router_id, capabilities };
    let frame = open.encode();
    let mut fields = fields::message(1, frame.len());
    fields::open(&open, &mut fields);
    Ok(Sample { frame, options: options(), fields })
}

fn small(random: &mut Random) -> Result<Sample> {
    let mut fields;
    let frame = match random.below(4) {
        0 => {
            fields = fields::message(4, KEEPALIVE.len());
            KEEPALIVE.to_vec()
        }
        1 => {
            let frame = encode_route_refresh(Family::Ipv6, RefreshKind::End);
            fields = fields::message(5, frame.len());
            put(&mut fields, "bgp.route_refresh.afi", [2]);
            put(&mut fields, "bgp.route_refresh.subtype", [2]);
            frame
        }
        2 => {
            let words = "back at noon";
            let frame = Notification::cease(Cease::AdministrativeShutdown, Some(words)).encode();
            fields = fields::message(3, frame.len());
            put(&mut fields, "bgp.notify.major_error", [6]);
            put(&mut fields, "bgp.notify.minor_error_cease", [2]);
            put(&mut fields, "bgp.notify.communication", [words]);
            frame
        }
        _ => {
            let subcode = 1 + random.below(11) as u8;
            let frame = Notification::new(3, subcode).encode();
            fields = fields::message(3, frame.len());
            put(&mut fields, "bgp.notify.major_error", [3]);
            put(&mut fields, "bgp.notify.minor_error_update", [subcode]);
            frame
        }
    };
    Ok(Sample { frame, options: options(), fields })
}

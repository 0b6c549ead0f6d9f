//! Our codec beside that of rustbgpd: each reads what the other writes, and both make the same of
//! damaged attributes, but for differences that are named here.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod generate;

use std::net::IpAddr;

use bgp_packet::*;
use bytes::{Bytes, BytesMut};
use generate::{
    Loose, Outcome, apply, as_received, asn, attributes, capability, change, our_outcome,
    put_together, routes, taken_apart,
};
use inet::{Asn, Family, Prefix, RouterId};
use proptest::collection::vec;
use proptest::prelude::*;
use rustbgpd_wire as other;
use rustbgpd_wire::{Afi, ErrorDisposition, PathAttribute, Safi};

/// What they refuse by RFC 9774 §3 and we leave to policy: AS_SET. Sequences instead.
fn without_sets(mut set: Attributes) -> Attributes {
    for segment in &mut set.as_path.segments {
        *segment = Segment::Sequence(segment.numbers().to_vec());
    }
    set
}

fn their_families(options: &Options) -> Vec<(Afi, Safi)> {
    let families = [(Family::Ipv4, Afi::Ipv4), (Family::Ipv6, Afi::Ipv6)];
    let used = families.into_iter().filter(|(family, _)| options.add_path_receive.has(*family));
    used.map(|(_, afi)| (afi, Safi::Unicast)).collect()
}

fn their_update(frame: &[u8]) -> Option<other::UpdateMessage> {
    match other::decode_message(&mut Bytes::copy_from_slice(frame), u16::MAX) {
        Ok(other::Message::Update(update)) => Some(update),
        _ => None,
    }
}

fn their_parse(
    frame: &[u8],
    options: &Options,
) -> Option<(other::ParsedUpdate, Vec<ErrorDisposition>)> {
    let internal = options.kind == PeerKind::Internal;
    let revised = their_update(frame)?
        .parse_revised(
            options.four_octet_as,
            internal,
            options.add_path_receive.ipv4,
            &their_families(options),
        )
        .ok()?;
    let dispositions = revised.malformed.iter().map(|m| m.disposition).collect();
    Some((revised.update, dispositions))
}

fn v4_path(entry: &other::Ipv4NlriEntry) -> (PathId, Prefix) {
    let prefix = Prefix::new(entry.prefix.addr.into(), entry.prefix.len).unwrap();
    (PathId(entry.path_id), prefix)
}

fn path(entry: &other::NlriEntry) -> (PathId, Prefix) {
    let prefix = match entry.prefix {
        other::Prefix::V4(p) => Prefix::new(p.addr.into(), p.len),
        other::Prefix::V6(p) => Prefix::new(p.addr.into(), p.len),
    };
    (PathId(entry.path_id), prefix.unwrap())
}

/// Their UPDATE in our words: announced paths and a set.
fn in_our_words(update: &other::ParsedUpdate) -> (Vec<(PathId, Prefix)>, Attributes) {
    let mut paths: Vec<_> = update.announced.iter().map(v4_path).collect();
    let nowhere = BgpNextHop::from(IpAddr::from([0; 4]));
    let mut set = Attributes::new(Origin::Incomplete, AsPath::default(), nowhere);
    for attribute in &update.attributes {
        match attribute {
            PathAttribute::Origin(origin) => {
                set.origin = match origin {
                    other::Origin::Igp => Origin::Igp,
                    other::Origin::Egp => Origin::Egp,
                    other::Origin::Incomplete => Origin::Incomplete,
                }
            }
            PathAttribute::AsPath(path) => {
                let segments = path.segments.iter().map(|segment| match segment {
                    other::AsPathSegment::AsSet(numbers) => Segment::Set(numbers.clone()),
                    other::AsPathSegment::AsSequence(numbers) => Segment::Sequence(numbers.clone()),
                });
                set.as_path.segments = segments.collect();
            }
            PathAttribute::NextHop(address) => set.next_hop = IpAddr::from(*address).into(),
            PathAttribute::Med(med) => set.med = Some(*med),
            PathAttribute::LocalPref(preference) => set.local_pref = Some(*preference),
            PathAttribute::AtomicAggregate => set.atomic_aggregate = true,
            PathAttribute::Aggregator(a) => {
                set.aggregator = Some((Asn::new(a.asn).unwrap(), a.router_id));
            }
            PathAttribute::Communities(all) => set.communities.clone_from(all),
            PathAttribute::OriginatorId(id) => set.originator_id = Some(*id),
            PathAttribute::ClusterList(all) => set.cluster_list.clone_from(all),
            PathAttribute::ExtendedCommunities(all) => {
                set.extended_communities = all.iter().map(|c| c.as_u64().to_be_bytes()).collect();
            }
            PathAttribute::LargeCommunities(all) => {
                let parts =
                    |c: &other::LargeCommunity| [c.global_admin, c.local_data1, c.local_data2];
                set.large_communities = all.iter().map(parts).collect();
            }
            PathAttribute::OnlyToCustomer(asn) => {
                set.only_to_customer = Some(Asn::new(*asn).unwrap());
            }
            PathAttribute::MpReachNlri(mp) => {
                paths.extend(mp.announced.iter().map(path));
                set.next_hop =
                    BgpNextHop { address: mp.next_hop, link_local: mp.link_local_next_hop };
            }
            PathAttribute::Unknown(raw) => set.unknown.push(UnknownAttribute {
                flags: raw.flags & !0x10,
                code: raw.type_code,
                value: raw.data.to_vec(),
            }),
            other => panic!("not written by us: {other:?}"),
        }
    }
    (paths, set)
}

fn ours(frame: &[u8], options: &Options) -> (Vec<(PathId, Prefix)>, Attributes) {
    let Ok(Message::Update(update)) = decode(frame, options) else { panic!("{frame:?}") };
    let [reach] = update.reach.as_slice() else { panic!("{update:?}") };
    match update.attributes.decode(options, reach.next_hop) {
        Verdict::Accept(set, discarded) if discarded.is_empty() => {
            (reach.nlri.paths().collect(), set)
        }
        other => panic!("{other:?}"),
    }
}

/// What they make of an UPDATE.
fn their_outcome(frame: &[u8], options: &Options) -> Outcome {
    let Some((update, dispositions)) = their_parse(frame, options) else { return Outcome::Reset };
    let reaches =
        |a: &PathAttribute| matches!(a, PathAttribute::MpReachNlri(mp) if !mp.announced.is_empty());
    let body = !update.announced.is_empty();
    let routes = body || update.attributes.iter().any(reaches);
    let external = options.kind == PeerKind::External;
    let validated = other::validate::validate_update_attributes_with_context(
        &update.attributes,
        routes,
        body,
        external,
        Default::default(),
    );
    let semantic = validated.err().map(|e| e.error.disposition);
    let worst = dispositions.into_iter().chain(semantic).max();
    match worst {
        None | Some(ErrorDisposition::AttributeDiscard) => Outcome::Accepted,
        // RFC 7606 §5.2, which is left to their session.
        Some(ErrorDisposition::TreatAsWithdraw) if !routes => Outcome::Reset,
        Some(ErrorDisposition::TreatAsWithdraw) => Outcome::Withdrawn,
        Some(ErrorDisposition::SessionReset) => Outcome::Reset,
    }
}

/// Where the two differ with reason, by name; the first that applies.
fn difference(attributes: &[Loose], options: &Options) -> Option<&'static str> {
    let external = options.kind == PeerKind::External;
    let any = |is: &dyn Fn(&Loose) -> bool| attributes.iter().any(is);
    let has = |code: u8| any(&|a| a.code == code);
    let unknown = |a: &Loose| a.code >= 160;
    if any(&|a| a.code == 2 && segments(&a.value).iter().any(|kind| matches!(kind, 1 | 4))) {
        return Some("AS_SET: they withdraw by RFC 9774, we leave it to policy");
    }
    if any(&|a| a.flags & 0x20 != 0 && !unknown(a)) {
        return Some("Partial bit: they check it, RFC 7606 §3 c names the other two bits alone");
    }
    if any(&|a| unknown(a) && a.flags & 0x80 == 0) {
        return Some("unknown well-known: they withdraw, RFC 4271 §6.3 resets and stands");
    }
    if !external && !has(5) {
        return Some("no LOCAL_PREF inside the AS: they do not miss it (RFC 7606 §3 d)");
    }
    let flags = |a: &Loose| a.flags & 0xC0;
    if external
        && any(&|a| matches!((a.code, flags(a)), (5, 0 | 0x80 | 0xC0) | (9 | 10, 0 | 0x40 | 0xC0)))
    {
        return Some("internal attributes from outside: we discard them whatever their flags");
    }
    if !external && !has(3) && !has(14) {
        return Some("no NEXT_HOP inside the AS: they do not miss it (RFC 7606 §3 d)");
    }
    if has(3) && has(14) {
        return Some("NEXT_HOP beside MP_REACH_NLRI: we do not read it (RFC 4760 §3)");
    }
    let ours = |a: &Loose| matches!(a.value.get(..3), None | Some([0, 1 | 2, 1]));
    if any(&|a| a.code == 14 && !ours(a)) {
        return Some("a family that is not ours: we skip its routes, they have their own list");
    }
    if any(&|a| a.code == 14 && unusual_next_hop(&a.value)) {
        return Some(
            "IPv6 next hops: we read an empty or link-local first one, and pass over a \
                     second one that is not link-local",
        );
    }
    if any(&|a| a.code == 3 && matches!(a.value.first(), Some(0 | 240..))) {
        return Some("NEXT_HOP in 0/8 or 240/4: we refuse all of it, they one address of each");
    }
    None
}

/// Whether the next hops of MP_REACH_NLRI are not one global address, or one and a link-local.
fn unusual_next_hop(value: &[u8]) -> bool {
    let link_local = |hop: &[u8]| hop.first() == Some(&0xFE) && hop[1] & 0xC0 == 0x80;
    match value.get(4..) {
        Some([0 | 240.., ..]) if value[3] == 4 => true,
        Some(hops) if value[3] == 16 && hops.len() >= 16 => link_local(hops),
        Some(hops) if value[3] == 32 && hops.len() >= 32 => {
            let (first, second) = hops.split_at(16);
            first[..16] == [0; 16] || link_local(first) || !link_local(second)
        }
        _ => false,
    }
}

/// The types of the segments of a path, as far as it can be read.
fn segments(mut path: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [kind, count, rest @ ..] = path {
        kinds.push(*kind);
        path = rest.get(usize::from(*count) * 4..).unwrap_or_default();
    }
    kinds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn both_make_the_same_of_damaged_attributes(
        (options, next_hop, paths) in routes(3),
        set in attributes().prop_map(without_sets),
        changes in vec((any::<prop::sample::Index>(), change()), 1..3),
    ) {
        let options = Options { four_octet_as: true, extended_message: true, ..options };
        // Also what an external peer must not send.
        let encoded = encode_attributes(&set, &Options { kind: PeerKind::Internal, ..options });
        let frame = pack_paths(&encoded, &next_hop, paths, &options).unwrap().remove(0);
        let (mut attributes, nlri) = taken_apart(&frame);
        for (at, change) in &changes {
            apply(&mut attributes, *at, change);
        }
        if difference(&attributes, &options).is_none() {
            let frame = put_together(&attributes, &nlri);
            let (ours, theirs) = (our_outcome(&frame, &options), their_outcome(&frame, &options));
            prop_assert_eq!(ours, theirs, "{:02x?}", attributes);
        }
    }
}

proptest! {
    #[test]
    fn each_reads_the_routes_that_the_other_writes(
        (options, next_hop, paths) in routes(60),
        set in attributes().prop_map(without_sets),
    ) {
        // AS4_PATH they hand up as it is: numbers of four octets alone can be compared.
        let options = Options { four_octet_as: true, ..options };
        let set = as_received(set, next_hop, &options);
        let encoded = encode_attributes(&set, &options);
        for frame in pack_paths(&encoded, &next_hop, paths.clone(), &options).unwrap() {
            let said = ours(&frame, &options);
            prop_assert_eq!(&said.1, &set);
            let (update, malformed) = their_parse(&frame, &options).unwrap();
            prop_assert_eq!(&malformed, &[]);
            prop_assert_eq!(&in_our_words(&update), &said);

            let again = other::UpdateMessage::try_build(
                &update.announced,
                &update.withdrawn,
                &update.attributes,
                true,
                options.add_path_send.has(paths[0].1.family()),
                other::Ipv4UnicastMode::Body,
            );
            let mut theirs = BytesMut::new();
            again.unwrap().encode_with_limit(&mut theirs, u16::MAX).unwrap();
            // Theirs may come out a little longer than ours.
            let roomy = Options { extended_message: true, ..options };
            prop_assert_eq!(ours(&theirs, &roomy), said);
        }
    }

    #[test]
    fn they_read_the_withdrawals_that_we_write((options, _, paths) in routes(60)) {
        let mut back = Vec::new();
        for frame in pack_withdrawn_paths(paths.clone(), &options) {
            let (update, malformed) = their_parse(&frame, &options).unwrap();
            prop_assert_eq!(malformed, []);
            back.extend(update.withdrawn.iter().map(v4_path));
            for attribute in &update.attributes {
                let PathAttribute::MpUnreachNlri(mp) = attribute else { panic!() };
                back.extend(mp.withdrawn.iter().map(path));
            }
        }
        prop_assert_eq!(back, paths);
    }

    #[test]
    fn each_reads_the_open_that_the_other_writes(
        asn in asn(),
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        id in 1..=u32::MAX,
        mut capabilities in vec(capability(), 0..8),
    ) {
        // Codes they know and we do not.
        capabilities.retain(|c| !matches!(c, Capability::Unknown { code: 71..=77 , .. }));
        capabilities.push(Capability::FourOctetAs(asn));
        let router_id = RouterId::new(id.into()).unwrap();
        let open = Open { asn, hold_time, router_id, capabilities };
        let read = other::decode_message(&mut Bytes::from(open.encode()), MAX_LEN as u16).unwrap();
        let other::Message::Open(theirs) = &read else { panic!("{read:?}") };
        prop_assert_eq!(theirs.four_byte_as(), asn.get());
        prop_assert_eq!((theirs.hold_time, theirs.bgp_identifier), (hold_time, id.into()));
        let written = other::encode_message(&read).unwrap();
        let options = Options::new(PeerKind::External);
        prop_assert_eq!(decode(&written, &options), Ok(Message::Open(open)));
    }

    #[test]
    fn each_reads_the_notification_that_the_other_writes(
        code in 1..=8u8,
        subcode in any::<u8>(),
        data in vec(any::<u8>(), 0..300),
    ) {
        let ours = Notification::with_data(code, subcode, data);
        let read = other::decode_message(&mut Bytes::from(ours.encode()), MAX_LEN as u16).unwrap();
        let other::Message::Notification(theirs) = &read else { panic!("{read:?}") };
        prop_assert_eq!((theirs.code.as_u8(), theirs.subcode), (code, subcode));
        prop_assert_eq!(&theirs.data[..], &ours.data[..]);
        let written = other::encode_message(&read).unwrap();
        let options = Options::new(PeerKind::External);
        prop_assert_eq!(decode(&written, &options), Ok(Message::Notification(ours)));
    }
}

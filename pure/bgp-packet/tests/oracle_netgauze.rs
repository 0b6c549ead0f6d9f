//! Our codec beside that of NetGauze: what we write goes through it and comes back the same, and
//! it refuses no damaged UPDATE that we find faultless, nor we one that it reads, but for
//! differences that are named here.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod generate;

use std::collections::HashMap;
use std::net::IpAddr;

use bgp_packet::*;
use generate::{
    Loose, Outcome, apply, as_received, asn, attributes, capability, change, our_outcome,
    put_together, routes, taken_apart,
};
use inet::{Family, Prefix, RouterId};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_iana::address_family::AddressType;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::collection::vec;
use proptest::prelude::*;

/// It refuses NLRI that are no unicast addresses; we leave those to policy.
fn unicast((id, prefix): (PathId, Prefix)) -> (PathId, Prefix) {
    let address = match prefix.address() {
        IpAddr::V4(a) => IpAddr::from((u32::from(a) & 0x7FFF_FFFF).to_be_bytes()),
        IpAddr::V6(a) => IpAddr::from((u128::from(a) & !(1 << 127)).to_be_bytes()),
    };
    (id, Prefix::truncated(address, prefix.len()).unwrap())
}

/// Kinds of extended communities that it does not write as it has read them, while we pass each one
/// on as it came. Source AS (RFC 6514 §4) becomes a route target; of multicast flags and the default
/// gateway, of EVPN's MAC Mobility, ESI Label (RFC 7432 §7.7, §7.5) and Layer 2 Attributes (RFC 8214
/// §3.1) the octets and bits become 0 that it counts as reserved.
const WRITTEN_ANEW: [[u8; 2]; 7] = [
    [0x00, 0x09],
    [0x02, 0x09],
    [0x03, 0x09],
    [0x03, 0x0D],
    [0x06, 0x00],
    [0x06, 0x01],
    [0x06, 0x04],
];

fn without_anew(mut set: Attributes) -> Attributes {
    set.extended_communities
        .retain(|community| !WRITTEN_ANEW.iter().any(|kind| community.starts_with(kind)));
    set
}

#[test]
fn it_writes_only_those_anew() {
    let options = Options { extended_message: true, ..Options::new(PeerKind::External) };
    let next_hop = BgpNextHop::from(IpAddr::from([10, 0, 0, 1]));
    let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
    let mut anew = Vec::new();
    for kind in 0..=255 {
        let each = |sub| [kind, sub, 0x81, 0x92, 0xA3, 0xB4, 0xC5, 0xD6];
        let sent: Vec<[u8; 8]> = (0..=255).map(each).collect();
        let set = Attributes {
            extended_communities: sent.clone(),
            ..Attributes::new(Origin::Igp, AsPath::default(), next_hop)
        };
        let encoded = encode_attributes(&set, &options);
        let paths = [(PathId::NONE, prefix)];
        let frame = pack_paths(&encoded, &next_hop, paths, &options).unwrap().remove(0);
        let back = said(&through(&frame, &options), &options).1.extended_communities;
        assert_eq!(back.len(), sent.len());
        let other = sent.iter().zip(&back).filter(|(sent, back)| sent != back);
        anew.extend(other.map(|(sent, _)| [sent[0], sent[1]]));
    }
    assert_eq!(anew, WRITTEN_ANEW);
}

fn read(frame: &[u8], options: &Options) -> Result<BgpMessage, String> {
    let families =
        [(Family::Ipv4, AddressType::Ipv4Unicast), (Family::Ipv6, AddressType::Ipv6Unicast)];
    let add_path: HashMap<_, _> = families
        .into_iter()
        .map(|(family, theirs)| (theirs, options.add_path_receive.has(family)))
        .collect();
    let four = options.four_octet_as;
    let mut context =
        BgpParsingContext::new(four, HashMap::new(), add_path, true, true, true, true);
    let read = BgpMessage::parse(&mut SliceReader::new(frame), &mut context);
    read.map_err(|error| error.to_string())
}

/// The message through their hands.
fn through(frame: &[u8], options: &Options) -> Vec<u8> {
    let message = read(frame, options).unwrap_or_else(|why| panic!("{why}: {frame:02x?}"));
    let mut bytes = Vec::new();
    message.write(&mut bytes).unwrap();
    bytes
}

fn said(frame: &[u8], options: &Options) -> (Vec<(PathId, Prefix)>, Attributes) {
    let Ok(Message::Update(update)) = decode(frame, options) else { panic!("{frame:02x?}") };
    let [reach] = update.reach.as_slice() else { panic!("{update:?}") };
    match update.attributes.decode(options, reach.next_hop) {
        Verdict::Accept(set, discarded) if discarded.is_empty() => {
            (reach.nlri.paths().collect(), set)
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn routes_go_through_its_hands(
        (options, next_hop, paths) in routes(60),
        set in attributes(),
    ) {
        // Theirs may come out a little longer than ours.
        let options = Options { extended_message: true, ..options };
        let set = without_anew(set);
        let paths: Vec<_> = paths.into_iter().map(unicast).collect();
        let encoded = encode_attributes(&set, &options);
        let expected = (paths.clone(), as_received(set, next_hop, &options));
        for frame in pack_paths(&encoded, &next_hop, paths, &options).unwrap() {
            prop_assert_eq!(said(&through(&frame, &options), &options), expected.clone());
        }
    }

    #[test]
    fn withdrawals_go_through_its_hands((options, _, paths) in routes(60)) {
        let options = Options { extended_message: true, ..options };
        let paths: Vec<_> = paths.into_iter().map(unicast).collect();
        let mut back = Vec::new();
        for frame in pack_withdrawn_paths(paths.clone(), &options) {
            let frame = through(&frame, &options);
            let Ok(Message::Update(update)) = decode(&frame, &options) else { panic!() };
            back.extend(update.withdrawn.iter().flat_map(Nlri::paths));
        }
        prop_assert_eq!(back, paths);
    }

    #[test]
    fn opens_go_through_its_hands(
        asn in asn(),
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        // It wants a BGP Identifier to be a host's address; RFC 6286 §2.1 does not.
        id in 0x0A00_0001..=0x0AFF_FFFFu32,
        mut capabilities in vec(capability(), 0..6),
    ) {
        capabilities.retain(|c| !matches!(c, Capability::Unknown { .. }));
        capabilities.push(Capability::FourOctetAs(asn));
        let router_id = RouterId::new(id.into()).unwrap();
        let open = Open { asn, hold_time, router_id, capabilities };
        let options = Options::new(PeerKind::External);
        let back = through(&open.encode(), &options);
        prop_assert_eq!(decode(&back, &options), Ok(Message::Open(open)));
    }
}

#[test]
fn small_messages_go_through_its_hands() {
    let options = Options::new(PeerKind::External);
    let refreshes = Family::ALL.map(|family| encode_route_refresh(family, RefreshKind::Begin));
    let mut frames = vec![KEEPALIVE.to_vec()];
    frames.extend(refreshes);
    frames.extend(Family::ALL.map(end_of_rib));
    frames.extend([
        Notification::cease(Cease::AdministrativeShutdown, Some("noon")).encode(),
        Notification::max_prefixes(Family::Ipv4, 7).encode(),
        Notification::role_mismatch().encode(),
        Notification::new(4, 0).encode(),
    ]);
    for frame in frames {
        let back = through(&frame, &options);
        assert_eq!(decode(&back, &options), decode(&frame, &options));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn both_make_the_same_of_damaged_attributes(
        (options, next_hop, paths) in routes(3),
        set in attributes(),
        changes in vec((any::<prop::sample::Index>(), change()), 1..3),
    ) {
        let options = Options { four_octet_as: true, extended_message: true, ..options };
        let encoded = encode_attributes(&set, &options);
        let paths: Vec<_> = paths.into_iter().map(unicast).collect();
        let frame = pack_paths(&encoded, &next_hop, paths, &options).unwrap().remove(0);
        let (mut attributes, nlri) = taken_apart(&frame);
        for (at, change) in &changes {
            apply(&mut attributes, *at, change);
        }
        if difference(&attributes, &options).is_none() {
            let frame = put_together(&attributes, &nlri);
            // It knows no verdicts: it reads a message, or stops at the first fault.
            let ours = our_outcome(&frame, &options) == Outcome::Accepted;
            let theirs = read(&frame, &options);
            // A damaged prefix may be no unicast one, see above.
            prop_assume!(!theirs.as_ref().is_err_and(|why| why.contains("valid IPv4 unicast")
                || why.contains("valid IPv6 unicast")));
            prop_assert_eq!(ours, theirs.is_ok(), "{:?}: {:02x?}", theirs.err(), attributes);
        }
    }
}

/// Where the two differ with reason, by name; the first that applies.
fn difference(attributes: &[Loose], options: &Options) -> Option<&'static str> {
    let internal = options.kind == PeerKind::Internal;
    let any = |is: &dyn Fn(&Loose) -> bool| attributes.iter().any(is);
    let has = |code: u8| any(&|a| a.code == code);
    let mandatory = has(1) && has(2) && (has(3) || has(14)) && (has(5) || !internal);
    if !mandatory {
        return Some("missing attributes: it does not ask for any (RFC 7606 §3 d)");
    }
    if any(&|a| attributes.iter().filter(|b| b.code == a.code).count() > 1) {
        return Some("an attribute twice: it reads both (RFC 7606 §3 g)");
    }
    let sound = |a: &Loose| match a.code {
        6 => a.flags == 0x40 && a.value.is_empty(),
        7 => a.flags == 0xC0 && a.value.len() == 8 && a.value[..4] != [0; 4],
        _ => true,
    };
    if !attributes.iter().all(sound) {
        return Some("what is discarded: it refuses or reads it (RFC 7606 §7.6, §7.7)");
    }
    if any(&|a| a.flags & 0x20 != 0 && a.code < 160) {
        return Some("Partial bit: it checks it, RFC 7606 §3 c names the other two bits alone");
    }
    if any(&|a| a.code == 14 && !matches!(a.value.get(..3), None | Some([0, 1 | 2, 1]))) {
        return Some("a family that is not ours: we skip its routes, it has its own list");
    }
    if any(&|a| a.code >= 160 && a.flags & 0x80 == 0) {
        return Some("unknown well-known: it keeps it, RFC 4271 §6.3 resets");
    }
    if any(&|a| matches!(a.code, 9 | 35) && a.value.len() > 4) {
        return Some("longer ORIGINATOR_ID, OTC: the rest is not read (RFC 7606 §7.9, 9234 §5)");
    }
    // Lists: an empty one is read.
    if any(&|a| matches!(a.code, 8 | 10 | 16 | 32) && a.value.is_empty()) {
        return Some("an empty list: it reads it (RFC 7606 §7.8, §7.10, §7.14)");
    }
    if any(&|a| a.code == 2 && has_zero(&a.value)) || any(&|a| a.code == 35 && a.value == [0; 4]) {
        return Some("AS 0: it reads it (RFC 7607 §2)");
    }
    let over = options.ipv4_over_ipv6;
    let known_length = |value: &[u8]| match *value {
        [0, 1, 1, len, ..] => len == 4 || (over && matches!(len, 16 | 32)),
        [0, 2, 1, len, ..] => matches!(len, 16 | 32),
        _ => true,
    };
    if any(&|a| a.code == 14 && !known_length(&a.value)) {
        return Some("lengths of next hops: it takes more of them (RFC 7606 §7.11, RFC 8950 §4)");
    }
    if any(&|a| matches!(a.code, 3 | 14) && unusual_next_hop(a.code, &a.value)) {
        return Some("a next hop that is no host's: it does not look (RFC 4271 §6.3)");
    }
    None
}

/// Whether a number of a path, as far as it can be read, is 0.
fn has_zero(mut path: &[u8]) -> bool {
    while let [_, count, rest @ ..] = path {
        let (numbers, tail) = rest.split_at(rest.len().min(usize::from(*count) * 4));
        if numbers.chunks(4).any(|number| number == [0; 4]) {
            return true;
        }
        path = tail;
    }
    false
}

/// Whether an IPv4 next hop is outside 1/8 to 223/8 or in 127/8, or the first IPv6 one outside
/// the global and unique local ones.
fn unusual_next_hop(code: u8, value: &[u8]) -> bool {
    let ipv4 = |first: &u8| matches!(first, 0 | 127 | 224..);
    match (code, value) {
        (3, [first, ..]) | (14, [_, _, _, 4, first, ..]) => ipv4(first),
        (14, [_, _, _, 16 | 32, first, ..]) => matches!(first, 0 | 0xFF),
        _ => false,
    }
}

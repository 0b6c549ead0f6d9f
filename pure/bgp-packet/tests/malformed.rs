//! RFC 7606: each malformation and its outcome.

#![allow(clippy::unwrap_used)]

use bgp_packet::*;

const EXTERNAL: Options = Options::new(PeerKind::External);
const INTERNAL: Options = Options::new(PeerKind::Internal);
const OLD: Options = Options { four_octet_as: false, ..EXTERNAL };

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE9];
const OLD_PATH: &[u8] = &[0x40, 2, 4, 2, 1, 0xFD, 0xE9];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 10, 0, 0, 1];
const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 100];
const MP_REACH: &[u8] =
    &[0x80, 14, 22, 0, 2, 1, 16, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const NLRI: &[u8] = &[8, 10];

/// What becomes of an UPDATE.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Outcome {
    Accept,
    /// Accepted, less an attribute of this type.
    Discard(u8),
    /// Treated as withdrawn because of an attribute of this type.
    Withdraw(u8),
    /// The session ends with this Update Message Error.
    Reset(u8),
}
use Outcome::*;

fn outcome(options: &Options, attributes: &[&[u8]], nlri: &[u8]) -> Outcome {
    let attributes = attributes.concat();
    let mut frame = vec![0xFF; 16];
    frame.extend_from_slice(&((23 + attributes.len() + nlri.len()) as u16).to_be_bytes());
    frame.extend_from_slice(&[2, 0, 0]);
    frame.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    frame.extend_from_slice(&attributes);
    frame.extend_from_slice(nlri);
    let update = match decode(&frame, options) {
        Ok(Message::Update(update)) => update,
        Ok(other) => panic!("{other:?}"),
        Err(n) => {
            assert_eq!(n.code, 3);
            return Reset(n.subcode);
        }
    };
    if let Some(m) = update.malformed.first() {
        assert!(update.reach.is_empty() && !update.withdrawn.is_empty(), "{update:?}");
        return Withdraw(m.code);
    }
    let Some(reach) = update.reach.first() else {
        return Accept;
    };
    match update.attributes.decode(options, reach.next_hop) {
        Verdict::Accept(_, discarded) => discarded.first().map_or(Accept, |m| Discard(m.code)),
        Verdict::TreatAsWithdraw(all) => Withdraw(all[0].code),
        Verdict::Reset(n) => Reset(n.subcode),
    }
}

#[test]
fn every_malformation_has_its_outcome() {
    let e = &EXTERNAL;
    let i = &INTERNAL;
    #[rustfmt::skip]
    let table: &[(&str, &Options, &[&[u8]], Outcome)] = &[
        ("all is well", e, &[ORIGIN, PATH, NEXT_HOP], Accept),
        ("an empty path", i, &[ORIGIN, &[0x40, 2, 0], NEXT_HOP, LOCAL_PREF], Accept),
        ("extended length where it is not needed", e, &[&[0x50, 1, 0, 1, 0], PATH, NEXT_HOP], Accept),
        // §3 c: flags.
        ("ORIGIN optional", e, &[&[0xC0, 1, 1, 0], PATH, NEXT_HOP], Withdraw(1)),
        ("AS_PATH non-transitive", e, &[ORIGIN, &[0, 2, 0], NEXT_HOP], Withdraw(2)),
        ("NEXT_HOP optional", e, &[ORIGIN, PATH, &[0xC0, 3, 4, 10, 0, 0, 1]], Withdraw(3)),
        ("MED transitive", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 4, 4, 0, 0, 0, 1]], Withdraw(4)),
        ("COMMUNITIES non-transitive", e, &[ORIGIN, PATH, NEXT_HOP, &[0x80, 8, 4, 0, 0, 0, 1]], Withdraw(8)),
        ("AGGREGATOR well-known", e, &[ORIGIN, PATH, NEXT_HOP, &[0x40, 7, 8, 0, 0, 0, 1, 1, 1, 1, 1]], Withdraw(7)),
        ("Partial set on ORIGIN is no error", e, &[&[0x60, 1, 1, 0], PATH, NEXT_HOP], Accept),
        // §3 d: missing.
        ("no ORIGIN", e, &[PATH, NEXT_HOP], Withdraw(1)),
        ("no AS_PATH", e, &[ORIGIN, NEXT_HOP], Withdraw(2)),
        ("no NEXT_HOP", e, &[ORIGIN, PATH], Withdraw(3)),
        ("no LOCAL_PREF inside the AS", i, &[ORIGIN, PATH, NEXT_HOP], Withdraw(5)),
        // §3 g: twice.
        ("ORIGIN twice", e, &[ORIGIN, ORIGIN, PATH, NEXT_HOP], Discard(1)),
        ("the second ORIGIN is not even read", e, &[ORIGIN, &[0x40, 1, 1, 9], PATH, NEXT_HOP], Discard(1)),
        ("an unknown one twice", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 99, 0], &[0xC0, 99, 0]], Discard(99)),
        ("MP_REACH twice", e, &[MP_REACH, MP_REACH, ORIGIN, PATH], Reset(1)),
        ("MP_UNREACH twice", e, &[&[0x80, 15, 3, 0, 2, 1], &[0x80, 15, 3, 0, 2, 1]], Reset(1)),
        // §3 h: the strongest wins.
        ("discard and withdraw", e, &[ORIGIN, &[0x40, 6, 1, 0], &[0x40, 2, 1, 0], NEXT_HOP], Withdraw(2)),
        // §4: lengths.
        ("an attribute longer than the list", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 8, 8, 0, 0, 0, 1]], Withdraw(0)),
        ("two bytes left over", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 8]], Withdraw(0)),
        // §7.1 ORIGIN.
        ("ORIGIN of 3", e, &[&[0x40, 1, 1, 3], PATH, NEXT_HOP], Withdraw(1)),
        ("ORIGIN of two bytes", e, &[&[0x40, 1, 2, 0, 0], PATH, NEXT_HOP], Withdraw(1)),
        // §7.2 AS_PATH.
        ("unknown segment", e, &[ORIGIN, &[0x40, 2, 6, 9, 1, 0, 0, 0, 1], NEXT_HOP], Withdraw(2)),
        ("confederation segment", e, &[ORIGIN, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], NEXT_HOP], Withdraw(2)),
        ("segment overrun", e, &[ORIGIN, &[0x40, 2, 6, 2, 2, 0, 0, 0, 1], NEXT_HOP], Withdraw(2)),
        ("one byte left of a segment", e, &[ORIGIN, &[0x40, 2, 7, 2, 1, 0, 0, 0, 1, 2], NEXT_HOP], Withdraw(2)),
        ("empty segment", e, &[ORIGIN, &[0x40, 2, 2, 2, 0], NEXT_HOP], Withdraw(2)),
        ("AS 0 (RFC 7607)", e, &[ORIGIN, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], NEXT_HOP], Withdraw(2)),
        // §7.3 NEXT_HOP.
        ("NEXT_HOP of three bytes", e, &[ORIGIN, PATH, &[0x40, 3, 3, 10, 0, 0]], Withdraw(3)),
        ("NEXT_HOP of 16 bytes", e, &[ORIGIN, PATH, &[0x40, 3, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]], Withdraw(3)),
        ("NEXT_HOP 0.0.0.0", e, &[ORIGIN, PATH, &[0x40, 3, 4, 0, 0, 0, 0]], Withdraw(3)),
        ("NEXT_HOP multicast", e, &[ORIGIN, PATH, &[0x40, 3, 4, 224, 0, 0, 5]], Withdraw(3)),
        ("NEXT_HOP broadcast", e, &[ORIGIN, PATH, &[0x40, 3, 4, 255, 255, 255, 255]], Withdraw(3)),
        // §7.4 MED, §7.5 LOCAL_PREF.
        ("MED of three bytes", e, &[ORIGIN, PATH, NEXT_HOP, &[0x80, 4, 3, 0, 0, 1]], Withdraw(4)),
        ("LOCAL_PREF from outside", e, &[ORIGIN, PATH, NEXT_HOP, LOCAL_PREF], Discard(5)),
        ("bad LOCAL_PREF from outside", e, &[ORIGIN, PATH, NEXT_HOP, &[0x40, 5, 1, 0]], Discard(5)),
        ("bad LOCAL_PREF from inside", i, &[ORIGIN, PATH, NEXT_HOP, &[0x40, 5, 1, 0]], Withdraw(5)),
        // §7.6 ATOMIC_AGGREGATE, §7.7 AGGREGATOR.
        ("ATOMIC_AGGREGATE with a value", e, &[ORIGIN, PATH, NEXT_HOP, &[0x40, 6, 1, 0]], Discard(6)),
        ("AGGREGATOR of six bytes", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 7, 6, 0, 1, 1, 1, 1, 1]], Discard(7)),
        ("AGGREGATOR of six bytes, two-octet", &OLD, &[ORIGIN, OLD_PATH, NEXT_HOP, &[0xC0, 7, 6, 0, 1, 1, 1, 1, 1]], Accept),
        ("AGGREGATOR of AS 0", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1]], Discard(7)),
        // §7.8 COMMUNITIES, §7.14 extended, RFC 8092 §6 large.
        ("no community", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 8, 0]], Withdraw(8)),
        ("a community and a half", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 8, 6, 0, 0, 0, 1, 0, 0]], Withdraw(8)),
        ("extended community of seven", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 16, 7, 0, 0, 0, 0, 0, 0, 0]], Withdraw(16)),
        ("large community of eight", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 32, 8, 0, 0, 0, 0, 0, 0, 0, 0]], Withdraw(32)),
        // §7.9 ORIGINATOR_ID, §7.10 CLUSTER_LIST.
        ("ORIGINATOR_ID from outside", e, &[ORIGIN, PATH, NEXT_HOP, &[0x80, 9, 4, 1, 1, 1, 1]], Discard(9)),
        ("CLUSTER_LIST from outside", e, &[ORIGIN, PATH, NEXT_HOP, &[0x80, 10, 3, 1, 1, 1]], Discard(10)),
        ("ORIGINATOR_ID of three", i, &[ORIGIN, PATH, NEXT_HOP, LOCAL_PREF, &[0x80, 9, 3, 1, 1, 1]], Withdraw(9)),
        ("CLUSTER_LIST of six", i, &[ORIGIN, PATH, NEXT_HOP, LOCAL_PREF, &[0x80, 10, 6, 1, 1, 1, 1, 1, 1]], Withdraw(10)),
        // RFC 6793 §6.
        ("AS4_PATH from a four-octet speaker", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 17, 6, 2, 1, 0, 0, 0, 1]], Discard(17)),
        ("malformed AS4_PATH", &OLD, &[ORIGIN, OLD_PATH, NEXT_HOP, &[0xC0, 17, 6, 3, 1, 0, 0, 0, 1]], Discard(17)),
        ("AS4_AGGREGATOR of six", &OLD, &[ORIGIN, OLD_PATH, NEXT_HOP, &[0xC0, 18, 6, 0, 1, 1, 1, 1, 1]], Discard(18)),
        // RFC 4271 §6.3: unknown ones.
        ("unknown well-known", e, &[ORIGIN, PATH, NEXT_HOP, &[0x40, 99, 0]], Reset(2)),
        ("unknown optional transitive", e, &[ORIGIN, PATH, NEXT_HOP, &[0xC0, 99, 1, 7]], Accept),
        ("unknown optional non-transitive", e, &[ORIGIN, PATH, NEXT_HOP, &[0x80, 99, 1, 7]], Accept),
    ];
    for (what, options, attributes, expected) in table {
        assert_eq!(outcome(options, attributes, NLRI), *expected, "{what}");
    }
}

#[test]
fn what_hides_the_routes_resets() {
    let good: &[&[u8]] = &[ORIGIN, PATH, NEXT_HOP];
    // RFC 4271 §6.3, RFC 7606 §5.3: the NLRI field itself.
    assert_eq!(outcome(&EXTERNAL, good, &[33, 10, 0, 0, 0, 0]), Reset(10));
    assert_eq!(outcome(&EXTERNAL, good, &[24, 10, 0]), Reset(10));
    // §5.2: attributes, no routes: what would be treat-as-withdraw resets.
    assert_eq!(outcome(&EXTERNAL, good, &[]), Accept);
    assert_eq!(outcome(&EXTERNAL, &[&[0x40, 1, 1, 9]], &[]), Reset(6));
    assert_eq!(outcome(&EXTERNAL, &[&[0x40, 1, 2, 0, 0]], &[]), Reset(5));
    assert_eq!(outcome(&EXTERNAL, &[&[0xC0, 1, 1, 0]], &[]), Reset(4));
    assert_eq!(outcome(&EXTERNAL, &[ORIGIN, &[0xC0, 8, 9]], &[]), Reset(1));
    assert_eq!(outcome(&EXTERNAL, &[&[0x40, 6, 1, 0]], &[]), Accept);
    // MP_REACH and MP_UNREACH (§7.11, §7.12; RFC 4760 §7).
    assert_eq!(outcome(&EXTERNAL, &[&[0x80, 14, 4, 0, 2, 1, 16]], &[]), Reset(9));
    assert_eq!(outcome(&EXTERNAL, &[&[0x80, 14, 2, 0, 2]], &[]), Reset(9));
    assert_eq!(outcome(&EXTERNAL, &[&[0x80, 15, 4, 0, 2, 1, 129]], &[]), Reset(9));
}

#[test]
fn mp_reach_stands_and_falls_with_its_own_next_hop() {
    let check = |mp: &[u8], rest: &[&[u8]], expected| {
        let all: Vec<&[u8]> = [&[mp], rest].concat();
        assert_eq!(outcome(&EXTERNAL, &all, &[]), expected);
    };
    check(MP_REACH, &[ORIGIN, PATH], Accept);
    // A NEXT_HOP beside it means nothing, not even a malformed one (RFC 4760 §3).
    check(MP_REACH, &[ORIGIN, PATH, &[0xC0, 3, 1, 0]], Accept);
    let with = |at: usize, value: u8| {
        let mut mp = MP_REACH.to_vec();
        mp[at] = value;
        mp
    };
    check(&with(0, 0xC0), &[ORIGIN, PATH], Withdraw(14));
    check(&with(7, 0xFF), &[ORIGIN, PATH], Withdraw(14));
    check(MP_REACH, &[PATH], Withdraw(1));
    // A family that is not ours is skipped whole.
    check(&with(5, 128), &[ORIGIN, PATH], Accept);
}

fn accepted(options: &Options, attributes: &[&[u8]]) -> Attributes {
    let raw = RawAttributes { bytes: attributes.concat().into() };
    let next_hop = BgpNextHop::from("10.0.0.1".parse::<std::net::IpAddr>().unwrap());
    match raw.decode(options, next_hop) {
        Verdict::Accept(attributes, _) => attributes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn as4_path_gives_back_the_true_numbers() {
    // AS_PATH 65001 23456 {23456 7}, AS4_PATH of its last parts.
    let path: &[u8] = &[0x40, 2, 12, 2, 2, 0xFD, 0xE9, 0x5B, 0xA0, 1, 2, 0x5B, 0xA0, 0, 7];
    let path_of = |as4: &[u8], more: &[u8]| {
        accepted(&OLD, &[ORIGIN, path, NEXT_HOP, more, as4]).as_path.to_string()
    };
    let as4: &[u8] = &[0xC0, 17, 16, 2, 1, 0, 1, 0, 1, 1, 2, 0, 1, 0, 2, 0, 0, 0, 7];
    assert_eq!(path_of(as4, &[]), "65001 65537 {65538,7}");
    // Longer than AS_PATH: not believed.
    let long: &[u8] = &[0xC0, 17, 18, 2, 4, 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 4];
    assert_eq!(path_of(long, &[]), "65001 23456 {23456,7}");
    // Aggregated again by a two-octet speaker: both AS4 attributes are out of date.
    let aggregator: &[u8] = &[0xC0, 7, 6, 0xFD, 0xE9, 10, 0, 0, 1];
    let by_trans: &[u8] = &[0xC0, 7, 6, 0x5B, 0xA0, 10, 0, 0, 1];
    let as4_aggregator: &[u8] = &[0xC0, 18, 8, 0, 1, 0, 5, 10, 0, 0, 9];
    let both = |one: &[u8]| [one, as4_aggregator].concat();
    assert_eq!(path_of(as4, &both(aggregator)), "65001 23456 {23456,7}");
    assert_eq!(path_of(as4, aggregator), "65001 65537 {65538,7}");
    assert_eq!(path_of(as4, &both(by_trans)), "65001 65537 {65538,7}");
    let got = accepted(&OLD, &[ORIGIN, path, NEXT_HOP, by_trans, as4_aggregator]).aggregator;
    let (asn, address) = got.unwrap();
    assert_eq!((asn.get(), address.to_string().as_str()), (65541, "10.0.0.9"));
}

#[test]
fn unknown_transitive_attributes_travel_on_as_partial() {
    let unknown: &[u8] = &[0xC0, 99, 2, 1, 2];
    let attributes = accepted(&EXTERNAL, &[ORIGIN, PATH, NEXT_HOP, unknown]);
    let encoded = encode_attributes(&attributes, &EXTERNAL);
    assert!(encoded.ends_with(&[0xE0, 99, 2, 1, 2]), "{encoded:?}");
}

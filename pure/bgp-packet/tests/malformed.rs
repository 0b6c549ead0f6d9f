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

/// An attribute as it should be: its name, flags, type and value.
type Good = (&'static str, u8, u8, &'static [u8]);

/// What is done to each attribute, in the order of the tables' columns.
///
/// `good` as it should be; `opt`, `trans` with the Optional or Transitive bit turned (§3 c);
/// `part` with the Partial bit, which is nobody's fault; `ext` with a length of two octets;
/// `twice` (§3 g); `none`: it is missing (§3 d); `empty`, `short`, `long`: no value, the value
/// less its last octet, and with a zero behind it; `over`: longer than the list says (§4).
const COLUMNS: &str = "good opt trans part ext twice none empty short long over";

fn with_column(column: &str, (_, flags, code, value): Good) -> Vec<u8> {
    let make = |flags: u8, value: &[u8]| [&[flags, code, value.len() as u8], value].concat();
    let shorter = || value.split_last().map_or(value, |(_, rest)| rest);
    match column {
        "good" => make(flags, value),
        "opt" => make(flags ^ 0x80, value),
        "trans" => make(flags ^ 0x40, value),
        "part" => make(flags | 0x20, value),
        "ext" => [&[flags | 0x10, code, 0, value.len() as u8], value].concat(),
        "twice" => make(flags, value).repeat(2),
        "none" => Vec::new(),
        "empty" => make(flags, &[]),
        "short" => make(flags, shorter()),
        "long" => make(flags, &[value, &[0]].concat()),
        "over" => {
            let mut bytes = make(flags, value);
            bytes[2] += 1;
            bytes
        }
        _ => panic!("{column}"),
    }
}

/// `A` accepted, `D` less this attribute, `W` treated as withdrawn because of it, `L` because of
/// the list as a whole, `R` with a subcode: reset.
fn expected(word: &str, code: u8) -> Outcome {
    match word {
        "A" => Accept,
        "D" => Discard(code),
        "W" => Withdraw(code),
        "L" => Withdraw(0),
        reset => Reset(reset.strip_prefix('R').unwrap().parse().unwrap()),
    }
}

#[rustfmt::skip]
const GOOD: &[Good] = &[
    ("ORIGIN", 0x40, 1, &[0]),
    ("AS_PATH", 0x40, 2, &[2, 1, 0, 0, 0xFD, 0xE9]),
    ("NEXT_HOP", 0x40, 3, &[10, 0, 0, 1]),
    ("MULTI_EXIT_DISC", 0x80, 4, &[0, 0, 0, 1]),
    ("LOCAL_PREF", 0x40, 5, &[0, 0, 0, 100]),
    ("ATOMIC_AGGREGATE", 0x40, 6, &[]),
    ("AGGREGATOR", 0xC0, 7, &[0, 0, 0xFD, 0xE9, 10, 0, 0, 9]),
    ("COMMUNITIES", 0xC0, 8, &[0xFD, 0xE9, 0, 1]),
    ("ORIGINATOR_ID", 0x80, 9, &[10, 0, 0, 3]),
    ("CLUSTER_LIST", 0x80, 10, &[10, 0, 0, 4]),
    ("MP_REACH_NLRI", 0x80, 14, &[0, 2, 1, 16, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 16, 0xFD, 0]),
    ("MP_UNREACH_NLRI", 0x80, 15, &[0, 2, 1, 16, 0xFD, 0]),
    ("EXTENDED_COMMUNITIES", 0xC0, 16, &[0, 2, 0xFD, 0xE9, 0, 0, 0, 1]),
    ("AS4_PATH", 0xC0, 17, &[2, 1, 0, 1, 0, 1]),
    ("AS4_AGGREGATOR", 0xC0, 18, &[0, 1, 0, 1, 10, 0, 0, 9]),
    ("LARGE_COMMUNITY", 0xC0, 32, &[0, 0, 0xFD, 0xE9, 0, 0, 0, 1, 0, 0, 0, 2]),
    ("ONLY_TO_CUSTOMER", 0xC0, 35, &[0, 0, 0xFD, 0xE9]),
    ("unknown transitive", 0xC0, 99, &[1]),
    ("unknown", 0x80, 98, &[1]),
];

/// Each attribute × each malformation from an external peer.
const FROM_EXTERNAL: &str = "
    ORIGIN                A  W  W  A  A  D  W  W  W  W  L
    AS_PATH               A  W  W  A  A  D  W  A  W  W  L
    NEXT_HOP              A  W  W  A  A  D  W  W  W  W  L
    MULTI_EXIT_DISC       A  W  W  A  A  D  A  W  W  W  L
    LOCAL_PREF            D  D  D  D  D  D  A  D  D  D  L
    ATOMIC_AGGREGATE      A  W  W  A  A  D  A  A  A  D  L
    AGGREGATOR            A  W  W  A  A  D  A  D  D  D  L
    COMMUNITIES           A  W  W  A  A  D  A  W  W  W  L
    ORIGINATOR_ID         D  D  D  D  D  D  A  D  D  D  L
    CLUSTER_LIST          D  D  D  D  D  D  A  D  D  D  L
    MP_REACH_NLRI         A  R9 R9 A  A  R1 A  R9 R9 A  R1
    MP_UNREACH_NLRI       A  R9 R9 A  A  R1 A  R9 R9 A  L
    EXTENDED_COMMUNITIES  A  W  W  A  A  D  A  W  W  W  L
    AS4_PATH              D  D  D  D  D  D  A  D  D  D  L
    AS4_AGGREGATOR        D  D  D  D  D  D  A  D  D  D  L
    LARGE_COMMUNITY       A  W  W  A  A  D  A  W  W  W  L
    ONLY_TO_CUSTOMER      A  W  W  A  A  D  A  W  W  W  L
    unknown transitive    A  R2 A  A  A  D  A  A  A  A  L
    unknown               A  R2 A  A  A  D  A  A  A  A  L
";

/// The same from an internal peer.
const FROM_INTERNAL: &str = "
    ORIGIN                A  W  W  A  A  D  W  W  W  W  L
    AS_PATH               A  W  W  A  A  D  W  A  W  W  L
    NEXT_HOP              A  W  W  A  A  D  W  W  W  W  L
    MULTI_EXIT_DISC       A  W  W  A  A  D  A  W  W  W  L
    LOCAL_PREF            A  W  W  A  A  D  W  W  W  W  L
    ATOMIC_AGGREGATE      A  W  W  A  A  D  A  A  A  D  L
    AGGREGATOR            A  W  W  A  A  D  A  D  D  D  L
    COMMUNITIES           A  W  W  A  A  D  A  W  W  W  L
    ORIGINATOR_ID         A  W  W  A  A  D  A  W  W  W  L
    CLUSTER_LIST          A  W  W  A  A  D  A  W  W  W  L
    MP_REACH_NLRI         A  R9 R9 A  A  R1 A  R9 R9 A  R1
    MP_UNREACH_NLRI       A  R9 R9 A  A  R1 A  R9 R9 A  L
    EXTENDED_COMMUNITIES  A  W  W  A  A  D  A  W  W  W  L
    AS4_PATH              D  D  D  D  D  D  A  D  D  D  L
    AS4_AGGREGATOR        D  D  D  D  D  D  A  D  D  D  L
    LARGE_COMMUNITY       A  W  W  A  A  D  A  W  W  W  L
    ONLY_TO_CUSTOMER      A  W  W  A  A  D  A  W  W  W  L
    unknown transitive    A  R2 A  A  A  D  A  A  A  A  L
    unknown               A  R2 A  A  A  D  A  A  A  A  L
";

/// Where AS numbers have two octets, AS4_* mean something (RFC 6793 §6).
const FROM_OLD: &str = "
    AS4_PATH              A  W  W  A  A  D  A  D  D  D  L
    AS4_AGGREGATOR        A  W  W  A  A  D  A  D  D  D  L
";

#[test]
fn every_attribute_and_every_malformation_has_its_outcome() {
    for (table, options) in
        [(FROM_EXTERNAL, &EXTERNAL), (FROM_INTERNAL, &INTERNAL), (FROM_OLD, &OLD)]
    {
        let rows: Vec<&str> = table.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        assert!(rows.len() == GOOD.len() || options == &OLD);
        for row in rows {
            let good = *GOOD.iter().find(|good| row.starts_with(&format!("{} ", good.0))).unwrap();
            let words: Vec<&str> = row[good.0.len()..].split_whitespace().collect();
            assert_eq!(words.len(), COLUMNS.split(' ').count(), "{row}");
            for (word, column) in words.into_iter().zip(COLUMNS.split(' ')) {
                let attribute = with_column(column, good);
                let got = outcome_of(options, good.2, &attribute);
                assert_eq!(got, expected(word, good.2), "{} {column}, {options:?}", good.0);
            }
        }
    }
}

/// The attribute behind those a route must have; MP_REACH_NLRI brings routes of its own.
fn outcome_of(options: &Options, code: u8, attribute: &[u8]) -> Outcome {
    let path = if options.four_octet_as { PATH } else { OLD_PATH };
    let local_pref = if options.kind == PeerKind::Internal { LOCAL_PREF } else { &[] };
    let with_routes = code != 14;
    let next_hop = if with_routes { NEXT_HOP } else { &[] };
    let mut all: Vec<&[u8]> = vec![ORIGIN, path, next_hop, local_pref];
    all.retain(|one| one.get(1) != Some(&code));
    all.push(attribute);
    outcome(options, &all, if with_routes { NLRI } else { &[] })
}

#[test]
fn values_that_make_no_sense_have_their_outcome() {
    let e = &EXTERNAL;
    let i = &INTERNAL;
    #[rustfmt::skip]
    let table: &[(&str, &Options, &[u8], Outcome)] = &[
        // RFC 7606 §7.1.
        ("ORIGIN of 3", e, &[0x40, 1, 1, 3], Withdraw(1)),
        // §7.2, RFC 5065 §5, RFC 7607 §2.
        ("unknown segment", e, &[0x40, 2, 6, 9, 1, 0, 0, 0, 1], Withdraw(2)),
        ("confederation sequence", i, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], Withdraw(2)),
        ("confederation set", e, &[0x40, 2, 6, 4, 1, 0, 0, 0, 1], Withdraw(2)),
        ("segment overrun", e, &[0x40, 2, 6, 2, 2, 0, 0, 0, 1], Withdraw(2)),
        ("segment underrun", e, &[0x40, 2, 7, 2, 1, 0, 0, 0, 1, 2], Withdraw(2)),
        ("empty segment", e, &[0x40, 2, 2, 2, 0], Withdraw(2)),
        ("an empty one behind another", e, &[0x40, 2, 8, 2, 1, 0, 0, 0, 1, 1, 0], Withdraw(2)),
        ("AS 0", e, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], Withdraw(2)),
        ("AS 0 in a set", i, &[0x40, 2, 10, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0], Withdraw(2)),
        ("AS_SET", e, &[0x40, 2, 6, 1, 1, 0, 0, 0, 1], Accept),
        ("numbers of two octets where there are four", e, &[0x40, 2, 4, 2, 1, 0xFD, 0xE9], Withdraw(2)),
        // §7.3, RFC 4271 §6.3.
        ("NEXT_HOP of 16 octets", e, &[0x40, 3, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], Withdraw(3)),
        ("NEXT_HOP 0.0.0.0", e, &[0x40, 3, 4, 0, 0, 0, 0], Withdraw(3)),
        ("NEXT_HOP in 0/8", e, &[0x40, 3, 4, 0, 1, 2, 3], Withdraw(3)),
        ("NEXT_HOP loopback", e, &[0x40, 3, 4, 127, 0, 0, 1], Withdraw(3)),
        ("NEXT_HOP multicast", e, &[0x40, 3, 4, 224, 0, 0, 5], Withdraw(3)),
        ("NEXT_HOP reserved", i, &[0x40, 3, 4, 240, 0, 0, 1], Withdraw(3)),
        ("NEXT_HOP broadcast", e, &[0x40, 3, 4, 255, 255, 255, 255], Withdraw(3)),
        // §7.7, RFC 7607 §2.
        ("AGGREGATOR of six octets", e, &[0xC0, 7, 6, 0, 1, 1, 1, 1, 1], Discard(7)),
        ("AGGREGATOR of six octets, two-octet", &OLD, &[0xC0, 7, 6, 0, 1, 1, 1, 1, 1], Accept),
        ("AGGREGATOR of eight octets, two-octet", &OLD, &[0xC0, 7, 8, 0, 0, 0, 1, 1, 1, 1, 1], Discard(7)),
        ("AGGREGATOR of AS 0", e, &[0xC0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1], Discard(7)),
        // §7.8, §7.10, §7.14, RFC 8092 §6.
        ("a community and a half", e, &[0xC0, 8, 6, 0, 0, 0, 1, 0, 0], Withdraw(8)),
        ("CLUSTER_LIST of six", i, &[0x80, 10, 6, 1, 1, 1, 1, 1, 1], Withdraw(10)),
        ("extended community of 12", e, &[0xC0, 16, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Withdraw(16)),
        ("large community of 8", i, &[0xC0, 32, 8, 0, 0, 0, 0, 0, 0, 0, 0], Withdraw(32)),
        // RFC 6793 §6.
        ("AS4_PATH of an unknown segment", &OLD, &[0xC0, 17, 6, 9, 1, 0, 0, 0, 1], Discard(17)),
        ("AS4_PATH of AS 0", &OLD, &[0xC0, 17, 6, 2, 1, 0, 0, 0, 0], Discard(17)),
        ("AS4_PATH with a confederation segment", &OLD, &[0xC0, 17, 6, 3, 1, 0, 0, 0, 1], Accept),
        ("AS4_AGGREGATOR of AS 0", &OLD, &[0xC0, 18, 8, 0, 0, 0, 0, 1, 1, 1, 1], Discard(18)),
        // RFC 9234 §5.
        ("OTC of two octets", e, &[0xC0, 35, 2, 0xFD, 0xE9], Withdraw(35)),
        ("OTC of AS 0", i, &[0xC0, 35, 4, 0, 0, 0, 0], Withdraw(35)),
        // RFC 4271 §6.3.
        ("type 0 as well-known", e, &[0x40, 0, 0], Reset(2)),
        ("type 255", e, &[0xC0, 255, 0], Accept),
    ];
    for (what, options, attribute, expected) in table {
        assert_eq!(outcome_of(options, attribute[1], attribute), *expected, "{what}");
    }
}

#[test]
fn of_several_malformations_the_strongest_counts() {
    let e = &EXTERNAL;
    let bad_atomic: &[u8] = &[0x40, 6, 1, 0];
    let bad_path: &[u8] = &[0x40, 2, 1, 0];
    // RFC 7606 §3 h.
    assert_eq!(outcome(e, &[ORIGIN, bad_atomic, bad_path, NEXT_HOP], NLRI), Withdraw(2));
    assert_eq!(outcome(e, &[ORIGIN, bad_path, NEXT_HOP, &[0x40, 99, 0]], NLRI), Reset(2));
    // §3 g: the second one is not even read.
    assert_eq!(outcome(e, &[ORIGIN, &[0x40, 1, 1, 9], PATH, NEXT_HOP], NLRI), Discard(1));
    // §4: one or two octets left over.
    for left in [&[0xC0][..], &[0xC0, 8]] {
        assert_eq!(outcome(e, &[ORIGIN, PATH, NEXT_HOP, left], NLRI), Withdraw(0));
    }
}

#[test]
fn a_malformed_attribute_takes_all_routes_of_the_message() {
    // Both kinds of routes in one message: MP_REACH_NLRI's and the NLRI field's (RFC 7606 §2).
    let both = |mp: &[u8], next_hop: &[u8]| outcome(&EXTERNAL, &[mp, ORIGIN, PATH, next_hop], NLRI);
    assert_eq!(both(MP_REACH, NEXT_HOP), Accept);
    assert_eq!(both(MP_REACH, &[]), Withdraw(3));
    assert_eq!(both(MP_REACH, &[0x40, 3, 3, 10, 0, 0]), Withdraw(3));
    // A next hop that is only no host's takes the routes that have it.
    let mut multicast = MP_REACH.to_vec();
    multicast[7] = 0xFF;
    let attributes = [&multicast, ORIGIN, PATH, NEXT_HOP].concat();
    let mut body = vec![0, 0, 0, attributes.len() as u8];
    body.extend([&attributes, NLRI].concat());
    let mut frame = vec![0xFF; 16];
    frame.extend([0, 19 + body.len() as u8, 2]);
    frame.extend(body);
    let Ok(Message::Update(update)) = decode(&frame, &EXTERNAL) else { panic!() };
    let families = |all: Vec<&Nlri<'_>>| all.iter().map(|n| n.family()).collect::<Vec<_>>();
    assert_eq!(families(update.withdrawn.iter().collect()), [inet::Family::Ipv6]);
    let reach = update.reach.iter().map(|reach| &reach.nlri);
    assert_eq!(families(reach.collect()), [inet::Family::Ipv4]);
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
    check(&with(0, 0xC0), &[ORIGIN, PATH], Reset(9));
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

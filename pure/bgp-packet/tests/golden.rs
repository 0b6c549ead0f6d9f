//! Messages as bytes, written out by hand from the RFCs' figures.

#![allow(clippy::unwrap_used)]

use bgp_packet::*;
use inet::{Asn, Family, Prefix, RouterId};

const OPTIONS: Options = Options::new(PeerKind::External);

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

fn open() -> Open {
    Open {
        asn: asn(4_200_000_001),
        hold_time: 90,
        router_id: "10.0.0.2".parse::<RouterId>().unwrap(),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4),
            Capability::Multiprotocol(Family::Ipv6),
            Capability::RouteRefresh,
            Capability::FourOctetAs(asn(4_200_000_001)),
            Capability::GracefulRestart(GracefulRestart {
                restarted: true,
                notification: true,
                restart_time: 120,
                families: vec![(Family::Ipv4, true), (Family::Ipv6, false)],
            }),
        ],
    }
}

#[rustfmt::skip]
const OPEN_BODY: [u8; 48] = [
    4, 0x5B, 0xA0, 0, 90, 10, 0, 0, 2, 38, 2, 36,
    1, 4, 0, 1, 0, 1,
    1, 4, 0, 2, 0, 1,
    2, 0,
    65, 4, 0xFA, 0x56, 0xEA, 0x01,
    64, 10, 0xC0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0,
    6, 0, 70, 0,
];

#[test]
fn an_open_is_the_bytes_of_the_rfc() {
    let mut open = open();
    open.capabilities.push(Capability::ExtendedMessage);
    open.capabilities.push(Capability::EnhancedRouteRefresh);
    let bytes = message(1, &OPEN_BODY);
    assert_eq!(open.encode(), bytes);
    assert_eq!(decode(&bytes, &OPTIONS), Ok(Message::Open(open)));
}

#[test]
fn an_open_with_two_octet_lengths_is_read() {
    // RFC 9072 §2, with the first length ignored as it shall be.
    let mut body = vec![4, 0xFD, 0xE8, 0, 180, 10, 0, 0, 3, 255, 255, 0, 9, 2, 0, 6];
    body.extend_from_slice(&[1, 4, 0, 2, 0, 1]);
    let Ok(Message::Open(open)) = decode(&message(1, &body), &OPTIONS) else { panic!() };
    assert_eq!(open.asn, asn(65000));
    assert_eq!(open.capabilities, [Capability::Multiprotocol(Family::Ipv6)]);
}

#[test]
fn long_capabilities_take_two_octet_lengths_and_come_back() {
    let mut open = open();
    for code in 200..206 {
        open.capabilities.push(Capability::Unknown { code, value: vec![code; 100] });
    }
    let bytes = open.encode();
    assert_eq!(bytes[28..31], [255, 255, 2]);
    assert_eq!(decode(&bytes, &OPTIONS), Ok(Message::Open(open)));
}

#[test]
fn families_without_multiprotocol_are_ipv4_alone() {
    let mut open = open();
    assert_eq!(open.families(), Family::ALL.into_iter().collect());
    open.capabilities.clear();
    assert_eq!(open.families(), [Family::Ipv4].into_iter().collect());
    // Only VPNv4 offered: none of ours.
    open.capabilities.push(Capability::Unknown { code: 1, value: vec![0, 1, 0, 128] });
    assert!(open.families().is_empty());
}

fn check_refused(bytes: &[u8], code: u8, subcode: u8) {
    let notification = decode(bytes, &OPTIONS).unwrap_err();
    assert_eq!((notification.code, notification.subcode), (code, subcode), "{bytes:?}");
}

#[test]
fn a_bad_header_is_refused_by_its_subcode() {
    let good = KEEPALIVE;
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        bytes
    };
    check_refused(&with(3, 0), 1, 1);
    check_refused(&with(17, 18), 1, 2);
    check_refused(&with(17, 20), 1, 2);
    check_refused(&with(18, 9), 1, 3);
    check_refused(&with(18, 1), 1, 2);
    check_refused(&with(18, 2), 1, 2);
    check_refused(&[], 1, 2);
    assert_eq!(frame_len(&good, MAX_LEN), Ok(Some(19)));
    assert_eq!(frame_len(&good[..18], MAX_LEN), Ok(None));
    // Longer than 4096 only where it was agreed on, and never an OPEN.
    let mut long = message(2, &[0; 4]);
    long[16..18].copy_from_slice(&5000u16.to_be_bytes());
    let refused = frame_len(&long, MAX_LEN).unwrap_err();
    assert_eq!(refused, Notification::with_data(1, 2, 5000u16.to_be_bytes()));
    assert_eq!(frame_len(&long, MAX_EXTENDED_LEN), Ok(Some(5000)));
    long[18] = 1;
    assert!(frame_len(&long, MAX_EXTENDED_LEN).is_err());
}

#[test]
fn a_bad_open_is_refused_by_its_subcode() {
    let check = |at: usize, values: &[u8], subcode: u8| {
        let mut body = OPEN_BODY;
        body[at..at + values.len()].copy_from_slice(values);
        check_refused(&message(1, &body), 2, subcode);
    };
    check(0, &[3], 1);
    check(28, &[0, 0, 0, 0], 2);
    check(3, &[0, 2], 6);
    check(5, &[0, 0, 0, 0], 3);
    check(10, &[7], 4);
    check(9, &[37], 0);
    check(11, &[35], 0);
    check(13, &[200], 0);
    // AS 0 without the four-octet capability.
    check_refused(&message(1, &[4, 0, 0, 0, 90, 10, 0, 0, 2, 0]), 2, 2);
}

#[test]
fn updates_are_the_bytes_of_the_rfc() {
    let path = AsPath { segments: vec![Segment::Sequence(vec![65001, 65002])] };
    let next_hop = BgpNextHop::from("169.254.1.1".parse::<std::net::IpAddr>().unwrap());
    let mut attributes = Attributes::new(Origin::Igp, path, next_hop);
    attributes.med = Some(7);
    attributes.local_pref = Some(100);
    attributes.communities = vec![community::NO_EXPORT];
    #[rustfmt::skip]
    let encoded = [
        0x40, 1, 1, 0,
        0x40, 2, 10, 2, 2, 0, 0, 0xFD, 0xE9, 0, 0, 0xFD, 0xEA,
        0x80, 4, 4, 0, 0, 0, 7,
        0xC0, 8, 4, 0xFF, 0xFF, 0xFF, 0x01,
    ];
    assert_eq!(encode_attributes(&attributes, &OPTIONS), encoded);
    let v4 = prefixes(&["10.1.0.0/29", "10.0.0.0/8", "0.0.0.0/0", "10.0.1.0/32"]);
    let packed = pack(&encoded, &next_hop, v4.clone(), &OPTIONS).unwrap();
    #[rustfmt::skip]
    let expected = message(2, &[
        0, 0, 0, 38,
        0x40, 1, 1, 0,
        0x40, 2, 10, 2, 2, 0, 0, 0xFD, 0xE9, 0, 0, 0xFD, 0xEA,
        0x40, 3, 4, 169, 254, 1, 1,
        0x80, 4, 4, 0, 0, 0, 7,
        0xC0, 8, 4, 0xFF, 0xFF, 0xFF, 0x01,
        29, 10, 1, 0, 0,
        8, 10,
        0,
        32, 10, 0, 1, 0,
    ]);
    assert_eq!(packed, [expected]);
    let Ok(Message::Update(update)) = decode(&packed[0], &OPTIONS) else { panic!() };
    assert_eq!(update.reach[0].nlri.iter().collect::<Vec<_>>(), v4);
    assert_eq!(update.reach[0].next_hop, next_hop);
    attributes.local_pref = None;
    let verdict = update.attributes.decode(&OPTIONS, next_hop);
    assert_eq!(verdict, Verdict::Accept(attributes, vec![]));
}

#[test]
fn ipv6_goes_into_mp_reach_with_both_next_hops() {
    let next_hop = BgpNextHop {
        address: "fd00::1".parse().unwrap(),
        link_local: Some("fe80::1".parse().unwrap()),
    };
    let v6 = prefixes(&["fd97::10/128", "fd00:1::/64"]);
    let packed = pack(&[0x40, 1, 1, 0], &next_hop, v6.clone(), &OPTIONS).unwrap();
    assert_eq!(packed.len(), 1);
    assert_eq!(packed[0][21..32], [0, 4 + 63 + 4, 0x90, 14, 0, 63, 0, 2, 1, 32, 0xFD]);
    let mut wire = packed[0].clone();
    let Ok(Message::Update(update)) = decode(&wire, &OPTIONS) else { panic!() };
    assert_eq!(update.reach[0].next_hop, next_hop);
    assert_eq!(update.reach[0].nlri.iter().collect::<Vec<_>>(), v6);
    assert_eq!(update.attributes.bytes, &[0x40, 1, 1, 0][..]);
    // A length that is no IPv6 next hop's hides where the routes begin.
    wire[30] = 24;
    check_refused(&wire, 3, 9);
}

#[test]
fn ipv4_in_mp_reach_is_read_too() {
    let mut body = vec![0, 0, 0, 18];
    body.extend_from_slice(&[0x40, 1, 1, 0]);
    body.extend_from_slice(&[0x80, 14, 11, 0, 1, 1, 4, 10, 0, 0, 9, 0, 8, 10]);
    let frame = message(2, &body);
    let Ok(Message::Update(update)) = decode(&frame, &OPTIONS) else { panic!() };
    assert_eq!(update.reach[0].nlri.iter().collect::<Vec<_>>(), prefixes(&["10.0.0.0/8"]));
    assert_eq!(update.reach[0].next_hop.address, "10.0.0.9".parse::<std::net::IpAddr>().unwrap());
}

#[test]
fn end_of_rib_of_both_families_and_only_that() {
    let read = |bytes: &[u8]| {
        let Ok(Message::Update(update)) = decode(bytes, &OPTIONS) else { panic!() };
        (update.end_of_rib, update.withdrawn.len(), update.reach.len())
    };
    assert_eq!(end_of_rib(Family::Ipv4), message(2, &[0, 0, 0, 0]));
    assert_eq!(end_of_rib(Family::Ipv6), message(2, &[0, 0, 0, 7, 0x90, 15, 0, 3, 0, 2, 1]));
    for family in Family::ALL {
        assert_eq!(read(&end_of_rib(family)), (Some(family), 0, 0));
    }
    assert_eq!(read(&message(2, &[0, 1, 0, 0, 0])), (None, 1, 0));
    // Withdrawn IPv4 beside an empty MP_UNREACH_NLRI is no End-of-RIB.
    let both = [0, 1, 0, 0, 7, 0x90, 15, 0, 3, 0, 2, 1];
    assert_eq!(read(&message(2, &both)), (None, 1, 0));
    // Nor is one of a family that is not in use.
    let v4_only = Options { ipv6: false, ..OPTIONS };
    let frame = end_of_rib(Family::Ipv6);
    let Ok(Message::Update(update)) = decode(&frame, &v4_only) else { panic!() };
    assert_eq!(update.end_of_rib, None);
}

#[test]
fn withdrawals_fill_messages_of_each_family() {
    let v4 = (0..3000u32).map(|i| Prefix::host(std::net::Ipv4Addr::from(i << 4).into()));
    let v6 = (0..500u128).map(|i| Prefix::host(std::net::Ipv6Addr::from(i << 9).into()));
    let all: Vec<_> = v4.chain(v6).collect();
    let messages = pack_withdrawn(all.clone(), &OPTIONS);
    assert!(messages.iter().all(|m| m.len() <= MAX_LEN));
    // 4073 bytes hold 814 prefixes of 5, 4066 hold 239 of 17.
    assert_eq!(messages.len(), 4 + 3);
    let mut back = Vec::new();
    for message in &messages {
        let Ok(Message::Update(update)) = decode(message, &OPTIONS) else { panic!() };
        back.extend(update.withdrawn.iter().flat_map(Nlri::iter));
    }
    assert_eq!(back, all);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let v4 = BgpNextHop::from("10.0.0.1".parse::<std::net::IpAddr>().unwrap());
    let v6 = prefixes(&["fd00::/8"]);
    assert_eq!(pack(&[], &v4, v6.clone(), &OPTIONS), Err(PackError::NextHopFamily(v6[0])));
    let huge = vec![0; 4090];
    assert_eq!(
        pack(&huge, &v4, prefixes(&["10.0.0.0/8"]), &OPTIONS),
        Err(PackError::TooLong(4097))
    );
    let extended = Options { extended_message: true, ..OPTIONS };
    assert_eq!(pack(&huge, &v4, prefixes(&["10.0.0.0/8"]), &extended).unwrap().len(), 1);
}

#[test]
fn refreshes_are_read_and_unknown_ones_skipped() {
    let refresh = |body: &[u8]| decode(&message(5, body), &OPTIONS).map(|m| format!("{m:?}"));
    for (kind, subtype) in
        [(RefreshKind::Request, 0), (RefreshKind::Begin, 1), (RefreshKind::End, 2)]
    {
        let bytes = encode_route_refresh(Family::Ipv6, kind);
        assert_eq!(bytes, message(5, &[0, 2, subtype, 1]));
        let message = Message::RouteRefresh { family: Family::Ipv6, kind };
        assert_eq!(decode(&bytes, &OPTIONS), Ok(message));
    }
    assert_eq!(refresh(&[0, 1, 3, 1]).unwrap(), "Ignored");
    assert_eq!(refresh(&[0, 1, 0, 128]).unwrap(), "Ignored");
    assert_eq!(refresh(&[0, 1, 0, 1, 0]).unwrap_err().code, 7);
}

#[test]
fn notifications_speak() {
    let check = |n: &Notification, words: &str| {
        assert_eq!(n.to_string(), words);
        assert_eq!(decode(&n.encode(), &OPTIONS), Ok(Message::Notification(n.clone())));
    };
    check(&Notification::new(2, 2), "Open Message Error: Bad Peer AS (2/2)");
    check(&Notification::new(4, 0), "Hold Timer Expired (4/0)");
    check(&Notification::new(9, 9), "Unknown Error: Unknown Subcode (9/9)");
    let cease = Notification::cease(Cease::AdministrativeShutdown, Some("back at 12:00"));
    assert_eq!(cease.data, b"\x0Dback at 12:00");
    check(&cease, "Cease: Administrative Shutdown (6/2), \"back at 12:00\"");
    let hard = cease.into_hard_reset();
    assert!(hard.is_hard_reset());
    check(
        &hard,
        "Cease: Hard Reset (6/9), Cease: Administrative Shutdown (6/2), \"back at 12:00\"",
    );
    // Only these two subcodes carry words; long ones are cut between characters.
    assert!(Notification::cease(Cease::PeerDeconfigured, Some("x")).data.is_empty());
    let long = Notification::cease(Cease::AdministrativeReset, Some(&"ä".repeat(200)));
    assert_eq!(long.data.len(), 255);
    // What a peer sends may be anything.
    let evil = Notification::with_data(6, 2, *b"\x04a\x1b[m");
    assert_eq!(evil.communication().unwrap(), "a\u{FFFD}[m");
    assert_eq!(Notification::with_data(6, 2, *b"\x09short").communication(), None);
}

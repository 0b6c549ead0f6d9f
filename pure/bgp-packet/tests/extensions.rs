//! The bytes of what extends BGP, written out by hand from the RFCs' figures.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

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

fn open_with(capabilities: Vec<Capability>) -> Open {
    let router_id = "10.0.0.2".parse::<RouterId>().unwrap();
    Open { asn: Asn::new(65001).unwrap(), hold_time: 90, router_id, capabilities }
}

fn open_bytes(capabilities: &[u8]) -> Vec<u8> {
    let mut body = vec![4, 0xFD, 0xE9, 0, 90, 10, 0, 0, 2];
    body.push(capabilities.len() as u8 + 2);
    body.extend([2, capabilities.len() as u8]);
    body.extend(capabilities);
    message(1, &body)
}

fn read_open(capabilities: &[u8]) -> Open {
    match decode(&open_bytes(capabilities), &OPTIONS) {
        Ok(Message::Open(open)) => open,
        other => panic!("{other:?}"),
    }
}

fn hop(text: &str) -> BgpNextHop {
    BgpNextHop::from(text.parse::<IpAddr>().unwrap())
}

fn path(id: u32, prefix: &str) -> (PathId, Prefix) {
    (PathId(id), prefix.parse().unwrap())
}

fn update<'a>(frame: &'a [u8], options: &Options) -> Update<'a> {
    match decode(frame, options) {
        Ok(Message::Update(update)) => update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn capabilities_are_the_bytes_of_the_rfcs() {
    let long_lived = |family, forwarding, stale_time| LongLived { family, forwarding, stale_time };
    #[rustfmt::skip]
    let table: &[(Capability, &[u8])] = &[
        // RFC 8950 §4: AFI 1, SAFI 1 in two octets, next hop AFI 2.
        (Capability::ExtendedNextHop(vec![Family::Ipv4]), &[5, 6, 0, 1, 0, 1, 0, 2]),
        // RFC 8654 §3.
        (Capability::ExtendedMessage, &[6, 0]),
        // RFC 9234 §4.1.
        (Capability::Role(Role::Provider), &[9, 1, 0]),
        (Capability::Role(Role::RouteServer), &[9, 1, 1]),
        (Capability::Role(Role::RouteServerClient), &[9, 1, 2]),
        (Capability::Role(Role::Customer), &[9, 1, 3]),
        (Capability::Role(Role::Peer), &[9, 1, 4]),
        // RFC 7911 §4.
        (
            Capability::AddPath(vec![
                (Family::Ipv4, AddPathMode::Receive),
                (Family::Ipv6, AddPathMode::Both),
            ]),
            &[69, 8, 0, 1, 1, 1, 0, 2, 1, 3],
        ),
        (Capability::AddPath(vec![(Family::Ipv6, AddPathMode::Send)]), &[69, 4, 0, 2, 1, 2]),
        // RFC 9494 §3.1: flags, then 24 bits of seconds.
        (
            Capability::LongLivedGracefulRestart(vec![
                long_lived(Family::Ipv4, true, 86_400),
                long_lived(Family::Ipv6, false, 0x00FF_FFFF),
            ]),
            &[71, 14, 0, 1, 1, 0x80, 1, 0x51, 0x80, 0, 2, 1, 0, 0xFF, 0xFF, 0xFF],
        ),
    ];
    for (capability, bytes) in table {
        let mut written = Vec::new();
        capability.encode(&mut written);
        assert_eq!(written, *bytes, "{capability:?}");
        let open = open_with(vec![capability.clone()]);
        assert_eq!(open.encode(), open_bytes(bytes));
        assert_eq!(read_open(bytes), open);
        assert_eq!(capability.code(), bytes[0]);
    }
}

#[test]
fn families_sart_lacks_are_left_out_of_a_capability() {
    let check = |bytes: &[u8], expected| assert_eq!(read_open(bytes).capabilities, [expected]);
    // VPN-IPv4 over IPv6, and IPv4 over IPv4, beside ours.
    check(
        &[5, 18, 0, 1, 0, 128, 0, 2, 0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 1],
        Capability::ExtendedNextHop(vec![Family::Ipv4]),
    );
    check(
        &[69, 8, 0, 25, 70, 3, 0, 1, 1, 2],
        Capability::AddPath(vec![(Family::Ipv4, AddPathMode::Send)]),
    );
    check(&[71, 7, 0, 25, 70, 0, 0, 0, 1], Capability::LongLivedGracefulRestart(Vec::new()));
}

#[test]
fn malformed_capabilities_are_ignored() {
    // RFC 5492 §3; RFC 7911 §4 for a mode that has no meaning.
    for bytes in [
        &[5, 5, 0, 1, 0, 1, 0][..],
        &[6, 1, 0],
        &[9, 0],
        &[9, 2, 0, 0],
        &[9, 1, 5],
        &[69, 3, 0, 1, 1],
        &[69, 4, 0, 1, 1, 0],
        &[69, 8, 0, 1, 1, 1, 0, 2, 1, 4],
        &[71, 6, 0, 1, 1, 0x80, 0, 0],
    ] {
        let unknown = Capability::Unknown { code: bytes[0], value: bytes[2..].to_vec() };
        assert_eq!(read_open(bytes).capabilities, [unknown]);
    }
}

#[test]
fn an_open_tells_what_its_capabilities_say_together() {
    let open = read_open(&[69, 8, 0, 1, 1, 1, 0, 1, 1, 2, 69, 4, 0, 2, 1, 3]);
    assert_eq!(open.add_path(Family::Ipv4), Some(AddPathMode::Send));
    assert_eq!(open.add_path(Family::Ipv6), Some(AddPathMode::Both));
    assert_eq!(read_open(&[2, 0]).add_path(Family::Ipv4), None);
    assert!(AddPathMode::Both.sends() && AddPathMode::Both.receives());
    assert!(AddPathMode::Send.sends() && !AddPathMode::Send.receives());
    assert!(!AddPathMode::Receive.sends() && AddPathMode::Receive.receives());

    let open = read_open(&[5, 6, 0, 1, 0, 1, 0, 2]);
    assert_eq!(open.extended_next_hop(), FamilyFlags::NONE.with(Family::Ipv4));

    let open = read_open(&[71, 7, 0, 1, 1, 0, 0, 0, 1, 71, 7, 0, 1, 1, 0x80, 0, 0, 2]);
    let last = LongLived { family: Family::Ipv4, forwarding: true, stale_time: 2 };
    assert_eq!(open.long_lived(), [last]);
}

#[test]
fn roles_of_an_open_are_one_or_a_mismatch() {
    let role = |bytes: &[u8]| read_open(bytes).role();
    assert_eq!(role(&[2, 0]), Ok(None));
    assert_eq!(role(&[9, 1, 3]), Ok(Some(Role::Customer)));
    // RFC 9234 §4.2: the same one twice is one.
    assert_eq!(role(&[9, 1, 3, 9, 1, 3]), Ok(Some(Role::Customer)));
    let mismatch = Notification::new(2, 11);
    assert_eq!(role(&[9, 1, 3, 9, 1, 4]), Err(mismatch.clone()));
    assert_eq!(role(&[9, 1, 77]), Err(mismatch.clone()));
    assert_eq!(role(&[9, 2, 3, 3]), Ok(None));
    assert_eq!(mismatch.to_string(), "Open Message Error: Role Mismatch (2/11)");
}

#[test]
fn roles_fit_as_the_table_of_the_rfc_says() {
    use Role::*;
    let pairs = [(Provider, Customer), (RouteServer, RouteServerClient), (Peer, Peer)];
    for one in Role::ALL {
        for other in Role::ALL {
            let fits = pairs.contains(&(one, other)) || pairs.contains(&(other, one));
            assert_eq!(one.fits(other), fits, "{one} and {other}");
        }
        assert_eq!(one.to_string().parse(), Ok(one));
    }
    assert_eq!(RouteServerClient.to_string(), "route-server-client");
    assert!("transit".parse::<Role>().unwrap_err().to_string().contains("\"transit\""));
}

/// RFC 7911 §3: four octets of path id before each prefix.
#[test]
fn path_ids_stand_before_prefixes() {
    let both = Options { add_path_receive: FamilyFlags::ALL, ..OPTIONS };
    let both = Options { add_path_send: FamilyFlags::ALL, ..both };
    let paths = [path(1, "10.0.0.0/8"), path(0x0102_0304, "10.0.0.0/8"), path(0, "0.0.0.0/0")];
    let origin = [0x40, 1, 1, 0];
    let packed = pack_paths(&origin, &hop("10.0.0.9"), paths, &both).unwrap();
    #[rustfmt::skip]
    let expected = message(2, &[
        0, 0, 0, 11,
        0x40, 1, 1, 0,
        0x40, 3, 4, 10, 0, 0, 9,
        0, 0, 0, 1, 8, 10,
        1, 2, 3, 4, 8, 10,
        0, 0, 0, 0, 0,
    ]);
    assert_eq!(packed, [expected]);
    let read = update(&packed[0], &both);
    assert!(read.reach[0].nlri.has_path_ids());
    assert_eq!(read.reach[0].nlri.paths().collect::<Vec<_>>(), paths);
    assert_eq!(read.reach[0].nlri.iter().collect::<Vec<_>>(), paths.map(|(_, prefix)| prefix));

    let gone = [path(7, "fd00::/16"), path(8, "10.0.0.0/8")];
    let packed = pack_withdrawn_paths(gone, &both);
    assert_eq!(packed[0], message(2, &[0, 6, 0, 0, 0, 8, 8, 10, 0, 0]));
    #[rustfmt::skip]
    let v6 = [0, 0, 0, 14, 0x90, 15, 0, 10, 0, 2, 1, 0, 0, 0, 7, 16, 0xFD, 0];
    assert_eq!(packed[1], message(2, &v6));
    assert_eq!(update(&packed[1], &both).withdrawn[0].paths().next(), Some(gone[0]));

    // Without ids: the same functions, one direction, one family.
    let v6_only = Options { add_path_receive: FamilyFlags::NONE.with(Family::Ipv6), ..OPTIONS };
    assert_eq!(update(&packed[1], &v6_only).withdrawn[0].paths().next(), Some(gone[0]));
    assert_eq!(decode(&packed[0], &v6_only).unwrap_err().subcode, 10);
    let plain = pack_paths(&origin, &hop("10.0.0.9"), [path(9, "10.0.0.0/8")], &OPTIONS);
    assert_eq!(plain, pack(&origin, &hop("10.0.0.9"), [gone[1].1], &OPTIONS));
}

#[test]
fn malformed_nlri_with_path_ids_resets() {
    let options = Options { add_path_receive: FamilyFlags::ALL, ..OPTIONS };
    let refused = |body: &[u8]| {
        let n = decode(&message(2, body), &options).unwrap_err();
        (n.code, n.subcode)
    };
    // Withdrawn: an id alone, a prefix without its octets, a length over 32 (RFC 7606 §5.3).
    assert_eq!(refused(&[0, 4, 0, 0, 0, 1, 0, 0]), (3, 10));
    assert_eq!(refused(&[0, 6, 0, 0, 0, 1, 16, 10, 0, 0]), (3, 10));
    assert_eq!(refused(&[0, 10, 0, 0, 0, 1, 33, 10, 0, 0, 0, 0, 0, 0]), (3, 10));
    // The NLRI field: half an id behind a good prefix.
    assert_eq!(refused(&[0, 0, 0, 0, 0, 0, 0, 1, 8, 10, 0, 0]), (3, 10));
    // MP_UNREACH_NLRI (RFC 7606 §5.4 leaves the reset of RFC 4760 §7).
    assert_eq!(refused(&[0, 0, 0, 9, 0x80, 15, 6, 0, 2, 1, 0, 0, 1]), (3, 9));
    // End-of-RIB has no NLRI and so no ids.
    for family in Family::ALL {
        assert_eq!(update(&end_of_rib(family), &options).end_of_rib, Some(family));
    }
}

#[test]
fn path_ids_take_room_in_a_message() {
    let options = Options { add_path_send: FamilyFlags::ALL, ..OPTIONS };
    let paths = || (0..3000u32).map(|n| (PathId(n), Prefix::host(IpAddr::from(n.to_be_bytes()))));
    let messages = pack_paths(&[], &hop("10.0.0.1"), paths(), &options).unwrap();
    // 4096 - 19 - 4 - 7 bytes hold 451 of 9.
    assert_eq!(messages.len(), 3000usize.div_ceil(451));
    assert_eq!(messages[0].len(), 30 + 451 * 9);
    let receive = Options { add_path_receive: FamilyFlags::ALL, ..OPTIONS };
    let back = messages.iter().flat_map(|m| update(m, &receive).reach[0].nlri.paths());
    assert!(back.eq(paths()));
    // 4056 bytes of attributes leave 10, enough for a path of 9; 4061 leave 5, for one without id.
    let long = vec![0; 4056];
    let one = [path(1, "10.0.0.1/32")];
    assert!(pack_paths(&long, &hop("10.0.0.1"), one, &options).is_ok());
    assert!(pack_paths(&[0; 4058], &hop("10.0.0.1"), one, &options).is_err());
    assert!(pack_paths(&[0; 4061], &hop("10.0.0.1"), one, &OPTIONS).is_ok());
}

/// RFC 8950 §4: IPv4 routes in MP_REACH_NLRI with AFI 1 and a next hop of 16 or 32 octets.
#[test]
fn ipv4_goes_over_an_ipv6_next_hop() {
    let options = Options { ipv4_over_ipv6: true, ..OPTIONS };
    let prefixes: Vec<Prefix> = vec!["10.0.0.0/8".parse().unwrap()];
    let local = BgpNextHop {
        address: "fe80::1".parse().unwrap(),
        link_local: Some("fe80::1".parse().unwrap()),
    };
    let fe80 = [0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let none = [0; 16];
    let frame = |hops: &[&[u8]]| {
        let hops = hops.concat();
        let mut value = vec![0, 1, 1, hops.len() as u8];
        value.extend(hops);
        value.extend([0, 8, 10]);
        let mut body = vec![0, 0, 0, value.len() as u8 + 4, 0x90, 14, 0, value.len() as u8];
        body.extend(value);
        message(2, &body)
    };
    let short = hop("fe80::1");
    assert_eq!(pack(&[], &short, prefixes.clone(), &options).unwrap(), [frame(&[&fe80])]);
    assert_eq!(pack(&[], &local, prefixes.clone(), &options).unwrap(), [frame(&[&fe80, &fe80])]);
    for (bytes, next_hop) in [
        (frame(&[&fe80]), short),
        (frame(&[&fe80, &fe80]), local),
        // Some leave the global address empty.
        (frame(&[&none, &fe80]), local),
        (frame(&[&[10, 0, 0, 9]]), hop("10.0.0.9")),
    ] {
        let read = update(&bytes, &options);
        assert_eq!(read.reach[0].next_hop, next_hop);
        assert_eq!(read.reach[0].nlri.iter().collect::<Vec<_>>(), prefixes);
        assert_eq!(read.reach[0].nlri.family(), Family::Ipv4);
    }
    // Lengths of no next hop, and any IPv6 one where it was not agreed on (RFC 7606 §7.11).
    assert_eq!(decode(&frame(&[&fe80, &[0; 8]]), &options).unwrap_err().subcode, 9);
    assert_eq!(decode(&frame(&[&fe80]), &OPTIONS).unwrap_err().subcode, 9);
    let refused = pack(&[], &short, prefixes.clone(), &OPTIONS);
    assert_eq!(refused, Err(PackError::NextHopFamily(prefixes[0])));
    // IPv6 never goes over an IPv4 next hop, nor are both families mixed.
    let v6: Prefix = "fd00::/8".parse().unwrap();
    assert_eq!(pack(&[], &hop("10.0.0.1"), [v6], &options), Err(PackError::NextHopFamily(v6)));
    let mixed = pack(&[], &short, [prefixes[0], v6], &options);
    assert_eq!(mixed, Err(PackError::NextHopFamily(v6)));
    // IPv4 keeps its own form where its next hop is IPv4.
    let plain = pack(&[], &hop("10.0.0.1"), prefixes.clone(), &options);
    assert_eq!(plain, pack(&[], &hop("10.0.0.1"), prefixes, &OPTIONS));
}

/// RFC 8654 §4: all but OPEN and KEEPALIVE may be long, each way by who offered it.
#[test]
fn long_messages_are_for_those_who_offered_them() {
    let both = Options { extended_message: true, ..OPTIONS };
    let receive = Options { extended_receive: true, ..OPTIONS };
    assert_eq!((OPTIONS.max_len(), OPTIONS.max_receive_len()), (4096, 4096));
    assert_eq!((receive.max_len(), receive.max_receive_len()), (4096, 65535));
    assert_eq!((both.max_len(), both.max_receive_len()), (65535, 65535));
    for (kind, may_be_long) in [(1, false), (2, true), (3, true), (4, false), (5, true)] {
        let frame = message(kind, &[0; 5000]);
        for options in [&both, &receive] {
            let len = frame_len(&frame, options.max_receive_len());
            assert_eq!(len.is_ok(), may_be_long, "type {kind}");
        }
        let refused = decode(&frame, &OPTIONS).unwrap_err();
        assert_eq!(refused, Notification::with_data(1, 2, 5019u16.to_be_bytes()));
    }
    let withdrawn = (0..20_000u32).map(|n| Prefix::host(IpAddr::from(n.to_be_bytes())));
    let messages = pack_withdrawn(withdrawn.clone(), &both);
    assert_eq!(messages.len(), 2);
    let back = messages.iter().flat_map(|m| update(m, &receive).withdrawn[0].iter());
    assert!(back.eq(withdrawn));
    // A NOTIFICATION can be read by all, whatever it quotes.
    assert_eq!(Notification::with_data(3, 2, vec![0; 9000]).encode().len(), MAX_LEN);
}

/// RFC 9072 §2: the longer form begins where 255 octets do not do.
#[test]
fn optional_parameters_are_extended_when_they_must_be() {
    let open = |len| open_with(vec![Capability::Unknown { code: 200, value: vec![1; len] }]);
    let short = open(251).encode();
    assert_eq!(short[28..33], [255, 2, 253, 200, 251]);
    let long = open(252).encode();
    assert_eq!(long[28..37], [255, 255, 1, 1, 2, 0, 254, 200, 252]);
    for len in [251, 252, 255] {
        assert_eq!(decode(&open(len).encode(), &OPTIONS), Ok(Message::Open(open(len))));
    }
    let body = |tail: &[u8]| [&[4, 0xFD, 0xE9, 0, 90, 10, 0, 0, 2][..], tail].concat();
    let read = |tail: &[u8]| decode(&message(1, &body(tail)), &OPTIONS).map(drop);
    // Any first length but 0; several parameters; lengths that do not fit; another parameter.
    assert!(read(&[1, 255, 0, 10, 2, 0, 2, 2, 0, 2, 0, 2, 70, 0]).is_ok());
    let subcode = |tail: &[u8]| read(tail).unwrap_err().subcode;
    assert_eq!(subcode(&[255, 255, 0, 6, 2, 0, 2, 2, 0]), 0);
    assert_eq!(subcode(&[255, 255, 0, 5, 2, 0, 3, 2, 0]), 0);
    assert_eq!(subcode(&[255, 255, 0, 5, 3, 0, 2, 2, 0]), 4);
    assert_eq!(subcode(&[255, 255, 0]), 0);
}

#[test]
fn notifications_of_the_extensions_are_the_bytes_of_the_rfcs() {
    let check = |n: &Notification, body: &[u8], words: &str| {
        assert_eq!(n.encode(), message(3, body));
        assert_eq!(decode(&n.encode(), &OPTIONS), Ok(Message::Notification(n.clone())));
        assert_eq!(n.to_string(), words);
    };
    // RFC 4486 §4: AFI, SAFI, upper bound.
    let prefixes = Notification::max_prefixes(Family::Ipv6, 1000);
    let words = "Cease: Maximum Number of Prefixes Reached (6/1), over 1000 of ipv6";
    check(&prefixes, &[6, 1, 0, 2, 1, 0, 0, 3, 0xE8], words);
    assert_eq!(prefixes.prefix_limit(), Some((Family::Ipv6, 1000)));
    // RFC 8538 §3.1: code, subcode and data of what it stands for.
    let hard = prefixes.clone().into_hard_reset();
    let words = format!("Cease: Hard Reset (6/9), {words}");
    check(&hard, &[6, 9, 6, 1, 0, 2, 1, 0, 0, 3, 0xE8], &words);
    assert_eq!(hard.inner(), Some(prefixes));
    assert_eq!(hard.prefix_limit(), Some((Family::Ipv6, 1000)));
    assert_eq!(hard.clone().into_hard_reset().inner(), None);
    assert_eq!(Notification::cease(Cease::HardReset, None).inner(), None);
    // RFC 9003 §2: one octet of length, up to 255 of UTF-8; none is not the same as empty.
    let shutdown = |text| Notification::cease(Cease::AdministrativeShutdown, text);
    let words = "Cease: Administrative Shutdown (6/2)";
    check(&shutdown(None), &[6, 2], words);
    check(&shutdown(Some("")), &[6, 2, 0], words);
    check(&shutdown(Some("för")), b"\x06\x02\x04f\xC3\xB6r", &format!("{words}, \"för\""));
    // RFC 9234 §4.2, RFC 9687 §3, RFC 9384 §3.
    check(&Notification::role_mismatch(), &[2, 11], "Open Message Error: Role Mismatch (2/11)");
    let words = "Send Hold Timer Expired (8/0)";
    check(&Notification::send_hold_timer_expired(), &[8, 0], words);
    check(&Notification::cease(Cease::BfdDown, None), &[6, 10], "Cease: BFD Down (6/10)");
    // A limit of a family that is not ours, or a bad length, says nothing.
    for data in [&[0, 1, 128, 0, 0, 0, 9][..], &[0, 1, 1, 0, 0, 9], &[]] {
        assert_eq!(Notification::with_data(6, 1, data).prefix_limit(), None);
    }
}

/// RFC 9234 §5: OTC, type 35, optional and transitive.
#[test]
fn only_to_customer_is_read_and_written() {
    let mut set = Attributes::new(Origin::Igp, AsPath::default(), hop("10.0.0.1"));
    set.only_to_customer = Some(Asn::new(65001).unwrap());
    set.unknown = [255, 34, 36]
        .map(|code| UnknownAttribute { flags: 0xE0, code, value: Vec::new() })
        .to_vec();
    let bytes = encode_attributes(&set, &OPTIONS);
    #[rustfmt::skip]
    let expected = [
        0x40, 1, 1, 0,
        0x40, 2, 0,
        0xE0, 34, 0,
        0xC0, 35, 4, 0, 0, 0xFD, 0xE9,
        0xE0, 36, 0,
        0xE0, 255, 0,
    ];
    assert_eq!(bytes, expected);
    let raw = RawAttributes { bytes: bytes.into() };
    let Verdict::Accept(view, _) = raw.view(&OPTIONS, hop("10.0.0.1")) else { panic!() };
    assert_eq!(view.only_to_customer, set.only_to_customer);
    set.unknown.sort_by_key(|unknown| unknown.code);
    assert_eq!(view.to_attributes(), set);
}

/// RFC 8092 §2: a large community that came twice is removed, and none is sent twice.
#[test]
fn large_communities_are_there_once() {
    let mut set = Attributes::new(Origin::Igp, AsPath::default(), hop("10.0.0.1"));
    set.large_communities = vec![[1, 2, 3], [0, 0, 1], [1, 2, 3]];
    let bytes = encode_attributes(&set, &OPTIONS);
    assert_eq!(bytes[7..10], [0xC0, 32, 24]);
    let mut twice = bytes[..7].to_vec();
    twice.extend([0xC0, 32, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    twice.extend([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    let raw = RawAttributes { bytes: twice.into() };
    let Verdict::Accept(read, _) = raw.decode(&OPTIONS, hop("10.0.0.1")) else { panic!() };
    assert_eq!(read.large_communities, [[1, 2, 3]]);
}

/// RFC 10005 §2: type 0x00 or 0x40, subtype 4, two octets of AS, bytes a second as IEEE 754.
#[test]
fn link_bandwidth_is_the_lowest_that_makes_sense() {
    use community::{encode_link_bandwidth as encode, link_bandwidth as of};
    // 10 Gbit/s.
    let transitive = [0x00, 0x04, 0xFD, 0xE9, 0x4E, 0x95, 0x02, 0xF9];
    let local = [0x40, 0x04, 0xFD, 0xE9, 0x4E, 0x95, 0x02, 0xF9];
    assert_eq!(encode(65001, 1.25e9, true), transitive);
    assert_eq!(encode(65001, 1.25e9, false), local);
    assert_eq!((of(&[transitive]), of(&[local]), of(&[])), (Some(1.25e9), Some(1.25e9), None));
    assert_eq!(of(&[local, encode(1, 5.0, true), transitive]), Some(5.0));
    assert_eq!(of(&[local, encode(1, 0.0, true)]), Some(0.0));
    for nonsense in [f32::NAN, f32::INFINITY, -1.0] {
        assert_eq!(of(&[encode(1, nonsense, false)]), None);
        assert_eq!(of(&[encode(1, nonsense, false), local]), Some(1.25e9));
    }
    assert_eq!(of(&[[0x00, 0x02, 0, 1, 0, 0, 0, 1]]), None);
}

#[test]
fn well_known_communities_have_their_numbers() {
    assert_eq!(community::LLGR_STALE, 0xFFFF_0006);
    assert_eq!(community::NO_LLGR, 0xFFFF_0007);
}

#[test]
fn family_flags_are_sets() {
    let v6 = FamilyFlags::NONE.with(Family::Ipv6);
    assert!(v6.has(Family::Ipv6) && !v6.has(Family::Ipv4));
    assert_eq!(Family::ALL.into_iter().collect::<FamilyFlags>(), FamilyFlags::ALL);
    assert_eq!(FamilyFlags::default(), FamilyFlags::NONE);
}

#[test]
fn what_is_sent_does_not_depend_on_what_is_received() {
    let send = Options { add_path_send: FamilyFlags::ALL, ipv4_over_ipv6: true, ..OPTIONS };
    let receive = Options { add_path_receive: FamilyFlags::ALL, extended_receive: true, ..send };
    assert_eq!(receive.sending(), send);
    assert_ne!(send.sending(), OPTIONS);
}

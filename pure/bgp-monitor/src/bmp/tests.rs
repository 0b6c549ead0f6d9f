use super::*;

/// Bytes from hexadecimal digits; spaces and line ends mean nothing.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

const AT: WallTime = WallTime { seconds: 0x0102_0304, micros: 5 };
const PEER: &str =
    "0000000000000000 000000000000000000000000 0a000001 0000fde9 01010101 01020304 00000005";
const MARKER: &str = "ffffffffffffffffffffffffffffffff";

fn peer() -> Peer {
    Peer {
        kind: PeerKind::Global,
        address: [10, 0, 0, 1].into(),
        asn: 65001,
        router_id: [1, 1, 1, 1].into(),
    }
}

fn loc_rib(filtered: bool) -> Peer {
    Peer { kind: PeerKind::LocRib { distinguisher: 0, filtered }, ..peer() }
}

fn check(message: &Message<'_>, expect: &str) {
    let mut bytes = vec![0xee];
    encode(message, &mut bytes).unwrap();
    assert_eq!(bytes[1..], hex(expect), "{message:?}");
    let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), bytes.len() - 1);
}

fn monitoring<'a>(peer: &'a Peer, view: View, two: bool, update: &'a [u8]) -> Message<'a> {
    Message::RouteMonitoring { peer, at: AT, view, two_octet_as: two, update }
}

#[test]
fn a_connection_begins_and_ends() {
    let information = ["hi".to_owned()];
    let begin = Message::Initiation { name: "r1", description: "sart", information: &information };
    check(&begin, "03 0000001a 04 0000 0002 6869 0001 0004 73617274 0002 0002 7231");
    let end = |reason, information| Message::Termination { reason, information };
    check(&end(Termination::OutOfResources, ""), "03 0000000c 05 0001 0002 0002");
    check(&end(Termination::Administrative, "x"), "03 00000011 05 0000 0001 78 0001 0002 0000");
    check(&end(Termination::AdministrativeForGood, ""), "03 0000000c 05 0001 0002 0004");
}

#[test]
fn the_views_of_a_route_are_flags() {
    let update = end_of_rib(Family::Ipv4);
    let peer = peer();
    for (view, two, flags) in [
        (View::InPrePolicy, false, "00"),
        (View::InPrePolicy, true, "20"),
        (View::InPostPolicy, false, "40"),
        (View::OutPrePolicy, false, "10"),
        (View::OutPostPolicy, true, "70"),
    ] {
        let expect = format!("03 00000047 00 00 {flags} {PEER} {MARKER} 0017 02 0000 0000");
        check(&monitoring(&peer, view, two, &update), &expect);
    }
    let v6 = Peer { address: "2001:db8::1".parse().unwrap(), ..peer };
    let six =
        "0000000000000000 20010db8000000000000000000000001 0000fde9 01010101 01020304 00000005";
    let expect = format!("03 00000047 00 00 c0 {six} {MARKER} 0017 02 0000 0000");
    check(&monitoring(&v6, View::InPostPolicy, false, &update), &expect);
}

#[test]
fn a_loc_rib_is_a_peer_without_address() {
    let update = end_of_rib(Family::Ipv6);
    let header =
        "0000000000000000 00000000000000000000000000000000 0000fde9 01010101 01020304 00000005";
    for (filtered, flags) in [(false, "00"), (true, "80")] {
        let expect =
            format!("03 0000004d 00 03 {flags} {header} {MARKER} 001d 02 0000 0006 800f03 000201");
        // Four octets always: the flag is not told.
        check(&monitoring(&loc_rib(filtered), View::Loc, true, &update), &expect);
    }
    let down = Down::LocRibGone("global".to_owned());
    let message = Message::PeerDown { peer: &loc_rib(false), at: AT, down: &down };
    check(&message, &format!("03 0000003b 02 03 00 {header} 06 0003 0006 676c6f62616c"));
}

#[test]
fn each_reason_of_a_peer_down_has_its_number() {
    let notification = hex(&format!("{MARKER} 0015 03 0602"));
    let pdu = format!("{MARKER} 0015 03 0602");
    for (down, length, expect) in [
        (Down::WeNotified(notification.clone()), "00000046", format!("01 {pdu}")),
        (Down::WeClosed(24), "00000033", "02 0018".to_owned()),
        (Down::PeerNotified(notification), "00000046", format!("03 {pdu}")),
        (Down::PeerClosed, "00000031", "04".to_owned()),
        (Down::Unmonitored, "00000031", "05".to_owned()),
    ] {
        let message = Message::PeerDown { peer: &peer(), at: AT, down: &down };
        check(&message, &format!("03 {length} 02 00 00 {PEER} {expect}"));
    }
}

#[test]
fn a_peer_up_carries_both_opens() {
    let open = |id: &str| format!("{MARKER} 001d 01 04 fde9 00b4 {id} 00");
    let up = Up {
        local_address: [10, 0, 0, 2].into(),
        local_port: 179,
        remote_port: 0x8000,
        sent_open: hex(&open("02020202")),
        received_open: hex(&open("01010101")),
        information: vec!["i".to_owned()],
        table: Some("global".to_owned()),
    };
    let expect = format!(
        "03 0000008d 03 00 00 {PEER} 000000000000000000000000 0a000002 00b3 8000 {} {} 0000 0001 69 0003 0006 676c6f62616c",
        open("02020202"),
        open("01010101"),
    );
    check(&Message::PeerUp { peer: &peer(), at: AT, up: &up }, &expect);
}

#[test]
fn statistics_are_counters_and_gauges() {
    let statistics = [
        Statistic::RejectedPrefixes(1),
        Statistic::RoutesIn(2),
        Statistic::RoutesInOf(Family::Ipv6, 3),
        Statistic::WithdrawnUpdates(4),
    ];
    let expect = format!(
        "03 0000005f 01 00 00 {PEER} 00000004 0000 0004 00000001 0007 0008 0000000000000002 \
         0009 000b 0002 01 0000000000000003 000b 0004 00000004"
    );
    check(&Message::Statistics { peer: &peer(), at: AT, statistics: &statistics }, &expect);
}

#[test]
fn what_would_break_the_stream_is_refused_and_leaves_nothing() {
    let whole = end_of_rib(Family::Ipv4);
    let refused = |message: &Message<'_>| {
        let mut bytes = vec![1, 2];
        let error = encode(message, &mut bytes).unwrap_err();
        assert_eq!(bytes, [1, 2]);
        error.to_string()
    };
    let peer = peer();
    let short = refused(&monitoring(&peer, View::InPrePolicy, false, &whole[..22]));
    assert_eq!(short, "22 bytes that are not one whole BGP message");
    let two = [&whole[..], &whole[..]].concat();
    assert!(refused(&monitoring(&peer, View::InPrePolicy, false, &two)).starts_with("46 bytes"));
    assert!(refused(&monitoring(&peer, View::InPrePolicy, false, &[])).starts_with("0 bytes"));
    assert!(refused(&monitoring(&peer, View::Loc, false, &whole)).contains("view Loc"));
    let loc = loc_rib(false);
    assert!(refused(&monitoring(&loc, View::InPostPolicy, false, &whole)).contains("InPostPolicy"));
    let down = Down::WeNotified(vec![0xff; 19]);
    refused(&Message::PeerDown { peer: &peer, at: AT, down: &down });
}

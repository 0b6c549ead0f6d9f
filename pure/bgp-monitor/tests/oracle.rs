//! What is written here, read by another program's parser.

#![allow(clippy::unwrap_used)]

use bgp_monitor::WallTime;
use bgp_monitor::bmp::{self, Down, Peer, PeerKind, Statistic, Termination, Up, View, end_of_rib};
use bgp_monitor::mrt;
use bgpkit_parser::models::{Bgp4MpEnum, BgpMessage, MrtMessage, TableDumpV2Message};
use bgpkit_parser::parser::bmp::messages::{
    BmpMessage, BmpMessageBody, BmpPeerType, PeerDownReason,
};
use bgpkit_parser::parser::bmp::parse_bmp_msg;
use bgpkit_parser::parser::mrt::mrt_record::parse_mrt_record;
use inet::Family;

const AT: WallTime = WallTime { seconds: 1_700_000_000, micros: 250_000 };

fn peer() -> Peer {
    Peer {
        kind: PeerKind::Global,
        address: "2001:db8::1".parse().unwrap(),
        asn: 4_200_000_000,
        router_id: [1, 1, 1, 1].into(),
    }
}

fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xff; 16][..], &length, &[kind], body].concat()
}

/// An OPEN of AS_TRANS with the capability of four-octet AS numbers.
fn open() -> Vec<u8> {
    pdu(1, &[4, 0x5b, 0xa0, 0, 90, 1, 1, 1, 1, 8, 2, 6, 65, 4, 0xfa, 0x56, 0xea, 0])
}

/// 10.0.0.0/8 over 10.0.0.9 by AS 4200000000.
fn update() -> Vec<u8> {
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 1, 0xfa, 0x56, 0xea, 0],
        &[0x40, 3, 4, 10, 0, 0, 9],
    ]
    .concat();
    let length = u8::try_from(attributes.len()).unwrap();
    pdu(2, &[&[0, 0, 0, length][..], &attributes, &[8, 10]].concat())
}

fn read(message: &bmp::Message<'_>) -> BmpMessage {
    let mut bytes = Vec::new();
    bmp::encode(message, &mut bytes).unwrap();
    let mut bytes = bytes::Bytes::from(bytes);
    let read = parse_bmp_msg(&mut bytes).unwrap();
    assert!(bytes.is_empty());
    read
}

#[test]
fn another_reader_understands_our_bmp() {
    let peer = peer();
    let update = update();
    let message = bmp::Message::RouteMonitoring {
        peer: &peer,
        at: AT,
        view: View::InPostPolicy,
        two_octet_as: false,
        update: &update,
    };
    let seen = read(&message);
    let header = seen.per_peer_header.unwrap();
    assert_eq!((header.peer_ip, header.peer_asn.to_u32()), (peer.address, peer.asn));
    assert_eq!((header.peer_bgp_id, header.timestamp), (peer.router_id, 1_700_000_000.25));
    assert!(format!("{:?}", header.peer_flags).contains("IS_POST_POLICY"), "{header:?}");
    let BmpMessageBody::RouteMonitoring(body) = seen.message_body else { panic!("not routes") };
    let BgpMessage::Update(update) = body.bgp_message else { panic!("no UPDATE") };
    assert_eq!(update.announced_prefixes[0].prefix.to_string(), "10.0.0.0/8");

    let up = Up {
        local_address: "2001:db8::2".parse().unwrap(),
        local_port: 179,
        remote_port: 40000,
        sent_open: open(),
        received_open: open(),
        information: vec!["word".to_owned()],
        table: None,
    };
    let seen = read(&bmp::Message::PeerUp { peer: &peer, at: AT, up: &up });
    let BmpMessageBody::PeerUpNotification(body) = seen.message_body else { panic!("not up") };
    assert_eq!((body.local_addr, body.local_port), (up.local_address, 179));
    assert_eq!(body.remote_port, 40000);
    assert_eq!(body.tlvs[0].info_value, "word");
    assert!(matches!(body.sent_open, BgpMessage::Open(_)));

    let downs = [
        (Down::WeNotified(pdu(3, &[6, 2])), 1),
        (Down::WeClosed(24), 2),
        (Down::PeerNotified(pdu(3, &[6, 2])), 3),
        (Down::PeerClosed, 4),
        (Down::Unmonitored, 5),
    ];
    for (down, number) in downs {
        let seen = read(&bmp::Message::PeerDown { peer: &peer, at: AT, down: &down });
        let BmpMessageBody::PeerDownNotification(body) = seen.message_body else {
            panic!("not down")
        };
        assert_eq!(body.reason, PeerDownReason::try_from(number).unwrap());
    }

    let statistics = [Statistic::RejectedPrefixes(3), Statistic::RoutesInOf(Family::Ipv6, 9)];
    let seen = read(&bmp::Message::Statistics { peer: &peer, at: AT, statistics: &statistics });
    let BmpMessageBody::StatsReport(body) = seen.message_body else { panic!("no statistics") };
    assert_eq!((body.stats_count, body.counters.len()), (2, 2));
    assert_eq!((body.counters[0].stat_len, body.counters[1].stat_len), (4, 11));
}

#[test]
fn another_reader_understands_our_loc_rib_and_our_ends() {
    let peer = Peer { kind: PeerKind::LocRib { distinguisher: 0, filtered: false }, ..peer() };
    let update = end_of_rib(Family::Ipv6);
    let message = bmp::Message::RouteMonitoring {
        peer: &peer,
        at: AT,
        view: View::Loc,
        two_octet_as: false,
        update: &update,
    };
    let seen = read(&message);
    assert_eq!(seen.per_peer_header.unwrap().peer_type, BmpPeerType::LocalRib);
    let BmpMessageBody::RouteMonitoring(body) = seen.message_body else { panic!("not routes") };
    assert!(body.is_end_of_rib());

    let begin = bmp::Message::Initiation { name: "r1", description: "sart", information: &[] };
    let BmpMessageBody::InitiationMessage(body) = read(&begin).message_body else {
        panic!("no beginning")
    };
    assert_eq!(body.tlvs.len(), 2);
    let end = bmp::Message::Termination { reason: Termination::Redundant, information: "" };
    let BmpMessageBody::TerminationMessage(body) = read(&end).message_body else {
        panic!("no end")
    };
    assert_eq!(body.tlvs.len(), 1);
}

#[test]
fn another_reader_understands_our_mrt() {
    let mut file = Vec::new();
    let index = mrt::PeerIndex {
        collector: [9, 9, 9, 9].into(),
        view: String::new(),
        peers: vec![mrt::IndexedPeer {
            router_id: [1, 1, 1, 1].into(),
            address: "2001:db8::1".parse().unwrap(),
            asn: 4_200_000_000,
        }],
    };
    mrt::write_peer_index(AT, &index, &mut file).unwrap();
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0xfa, 0x56, 0xea, 0];
    mrt::append_next_hop(&mut attributes, "2001:db8::9".parse().unwrap(), None);
    for (add_path, path_id) in [(false, 0), (true, 7)] {
        let entries = vec![mrt::RibEntry { peer: 0, since: 5, path_id, attributes: &attributes }];
        let prefix = "2001:db8:1::/48".parse().unwrap();
        let rib = mrt::Rib { sequence: 0, prefix, add_path, entries };
        mrt::write_rib(AT, &rib, &mut file).unwrap();
    }
    let session = mrt::Session {
        peer_asn: 4_200_000_000,
        local_asn: 65000,
        interface: 0,
        peer: [10, 0, 0, 1].into(),
        local: [10, 0, 0, 2].into(),
    };
    let bytes = update();
    let (four_octet_as, local, add_path) = (true, false, false);
    let message = mrt::Message { session, four_octet_as, local, add_path, bytes: &bytes };
    mrt::write_message(AT, &message, &mut file).unwrap();
    let (old, new) = (mrt::State::OpenConfirm, mrt::State::Established);
    mrt::write_state_change(AT, &session, old, new, &mut file).unwrap();

    let mut rest = &file[..];
    let mut next = || parse_mrt_record(&mut rest).unwrap();
    let MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(table)) = next().message
    else {
        panic!("no peers")
    };
    assert_eq!(table.id_peer_map[&0].peer_asn.to_u32(), 4_200_000_000);
    for path_id in [None, Some(7)] {
        let MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(rib)) = next().message else {
            panic!("no table")
        };
        assert_eq!(rib.prefix.prefix.to_string(), "2001:db8:1::/48");
        assert_eq!(rib.rib_entries[0].path_id, path_id);
        let attributes = &rib.rib_entries[0].attributes;
        assert_eq!(attributes.as_path().unwrap().to_string(), "4200000000");
        let reach = attributes.get_reachable_nlri().unwrap();
        assert_eq!(reach.next_hop_addr().to_string(), "2001:db8::9");
    }
    let record = next();
    assert_eq!(record.common_header.microsecond_timestamp, Some(250_000));
    let MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(message)) = record.message else {
        panic!("no message")
    };
    assert_eq!(message.peer_asn.to_u32(), 4_200_000_000);
    let BgpMessage::Update(update) = message.bgp_message else { panic!("no UPDATE") };
    assert_eq!(update.attributes.as_path().unwrap().to_string(), "4200000000");
    let MrtMessage::Bgp4Mp(Bgp4MpEnum::StateChange(change)) = next().message else {
        panic!("no change")
    };
    assert_eq!(format!("{:?}", change.new_state), "Established");
    assert!(rest.is_empty());
}

//! What is written is read again, byte for byte as RFC 6396 draws it, and damaged files do no harm.

#![allow(clippy::unwrap_used)]

use bgp_monitor::WallTime;
use bgp_monitor::mrt::*;

const AT: WallTime = WallTime { seconds: 0x0102_0304, micros: 0x0000_0506 };

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn index() -> PeerIndex {
    let router_id = [1, 1, 1, 1].into();
    PeerIndex {
        collector: [9, 9, 9, 9].into(),
        view: "v".to_owned(),
        peers: vec![
            IndexedPeer { router_id, address: [10, 0, 0, 1].into(), asn: 65001 },
            IndexedPeer { router_id, address: "2001:db8::1".parse().unwrap(), asn: 4_200_000_000 },
        ],
    }
}

fn rib<'a>(prefix: &str, add_path: bool, attributes: &'a [u8]) -> Rib<'a> {
    let path_id = if add_path { 7 } else { 0 };
    let entry = RibEntry { peer: 1, since: 0x0a0b_0c0d, path_id, attributes };
    Rib { sequence: 3, prefix: prefix.parse().unwrap(), add_path, entries: vec![entry, entry] }
}

fn session(v6: bool) -> Session {
    let [peer, local] = if v6 { ["2001:db8::1", "2001:db8::2"] } else { ["10.0.0.1", "10.0.0.2"] };
    Session {
        peer_asn: 65001,
        local_asn: 65002,
        interface: 4,
        peer: peer.parse().unwrap(),
        local: local.parse().unwrap(),
    }
}

fn keepalive() -> Vec<u8> {
    hex("ffffffffffffffffffffffffffffffff 0013 04")
}

/// The record is these bytes, and they are this record, also when they come one by one.
fn check(record: &Record<'_>, micros: bool, expect: &str) {
    let mut bytes = Vec::new();
    match record {
        Record::PeerIndex(index) => write_peer_index(AT, index, &mut bytes).unwrap(),
        Record::Rib(rib) => write_rib(AT, rib, &mut bytes).unwrap(),
        Record::Message(message) => write_message(AT, message, &mut bytes).unwrap(),
        Record::StateChange(StateChange { session, old, new }) => {
            write_state_change(AT, session, old.unwrap(), new.unwrap(), &mut bytes).unwrap();
        }
        Record::TableDump(_) | Record::Other { .. } => unreachable!("not written"),
    }
    assert_eq!(bytes, hex(expect), "{record:?}");
    let mut reader = Reader::default();
    let (last, first) = bytes.split_last().unwrap();
    for byte in first {
        reader.push(&[*byte]);
        assert_eq!(reader.next_record(), None);
    }
    assert!(matches!(reader.finish(), Err(ReadError::CutShort { offset: 0 })));
    reader.push(&[*last]);
    let at = WallTime { micros: if micros { AT.micros } else { 0 }, ..AT };
    assert_eq!(reader.next_record(), Some(Ok(Entry { at, record: record.clone() })));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn tables_are_as_drawn() {
    check(
        &Record::PeerIndex(index()),
        false,
        "01020304 000d 0001 0000002f 09090909 0001 76 0002 \
         02 01010101 0a000001 0000fde9 \
         03 01010101 20010db8000000000000000000000001 fa56ea00",
    );
    check(
        &Record::Rib(rib("10.128.0.0/9", false, &[0x40, 1, 1, 0])),
        false,
        "01020304 000d 0002 00000021 00000003 09 0a80 0002 \
         0001 0a0b0c0d 0004 40010100 0001 0a0b0c0d 0004 40010100",
    );
    check(
        &Record::Rib(rib("0.0.0.0/0", true, &[])),
        false,
        "01020304 000d 0008 0000001f 00000003 00 0002 \
         0001 0a0b0c0d 00000007 0000 0001 0a0b0c0d 00000007 0000",
    );
    check(
        &Record::Rib(rib("2001:db8::/32", false, &[])),
        false,
        "01020304 000d 0004 0000001b 00000003 20 20010db8 0002 0001 0a0b0c0d 0000 0001 0a0b0c0d 0000",
    );
    check(
        &Record::Rib(rib("2001:db8::/32", true, &[])),
        false,
        "01020304 000d 000a 00000023 00000003 20 20010db8 0002 \
         0001 0a0b0c0d 00000007 0000 0001 0a0b0c0d 00000007 0000",
    );
}

#[test]
fn messages_are_as_drawn() {
    let bytes = keepalive();
    let pdu = "ffffffffffffffffffffffffffffffff 0013 04";
    let v4 = "0004 0001 0a000001 0a000002";
    for (four_octet_as, local, add_path, subtype, asns, length) in [
        (false, false, false, "0001", "fde9 fdea", "00000027"),
        (true, false, false, "0004", "0000fde9 0000fdea", "0000002b"),
        (false, true, false, "0006", "fde9 fdea", "00000027"),
        (true, true, false, "0007", "0000fde9 0000fdea", "0000002b"),
        (false, false, true, "0008", "fde9 fdea", "00000027"),
        (true, false, true, "0009", "0000fde9 0000fdea", "0000002b"),
        (false, true, true, "000a", "fde9 fdea", "00000027"),
        (true, true, true, "000b", "0000fde9 0000fdea", "0000002b"),
    ] {
        let message =
            Message { session: session(false), four_octet_as, local, add_path, bytes: &bytes };
        let expect = format!("01020304 0011 {subtype} {length} 00000506 {asns} {v4} {pdu}");
        check(&Record::Message(message), true, &expect);
    }
    let change = StateChange {
        session: session(true),
        old: Some(State::OpenConfirm),
        new: Some(State::Established),
    };
    check(
        &Record::StateChange(change),
        true,
        "01020304 0011 0005 00000034 00000506 0000fde9 0000fdea 0004 0002 \
         20010db8000000000000000000000001 20010db8000000000000000000000002 0005 0006",
    );
}

#[test]
fn the_old_table_dump_is_read() {
    let route = "0a010000 10 01 0a0b0c0d 0a000001 fde9 0004 40010100";
    let one = TableDumpRoute {
        prefix: "10.1.0.0/16".parse().unwrap(),
        since: 0x0a0b_0c0d,
        peer: [10, 0, 0, 1].into(),
        asn: 65001,
        attributes: &[0x40, 1, 1, 0],
    };
    for (length, text, routes) in [
        ("0000001a", route.to_owned(), vec![one]),
        ("00000030", format!("{route}{route}"), vec![one, one]),
        // An early writer left four bytes out of its lengths.
        ("0000002c", format!("{route}{route}"), vec![one, one]),
    ] {
        let mut reader = Reader::default();
        reader.push(&hex(&format!("01020304 000c 0001 {length} 0000 0005 {text}")));
        let expect = TableDump { view: 0, sequence: 5, routes };
        let entry = reader.next_record().unwrap().unwrap();
        assert_eq!(entry.record, Record::TableDump(expect));
    }
}

#[test]
fn other_records_and_malformed_ones_are_passed_over() {
    let mut reader = Reader::default();
    // An unknown type; a prefix of 33 bits; a byte too many; then a good one.
    reader.push(&hex("00000000 0099 0001 00000002 abcd"));
    reader.push(&hex("00000000 000d 0002 0000000c 00000000 21 0a00000000 0000"));
    reader.push(&hex("00000000 000d 0002 00000008 00000000 00 0000 ff"));
    let mut good = Vec::new();
    write_rib(AT, &rib("10.0.0.0/8", false, &[]), &mut good).unwrap();
    reader.push(&good);
    let other = Record::Other { kind: 0x99, subtype: 1, body: &[0xab, 0xcd] };
    assert_eq!(reader.next_record().unwrap().unwrap().record, other);
    for offset in [14, 38] {
        let malformed = ReadError::Malformed { offset, kind: 13, subtype: 2 };
        assert_eq!(reader.next_record(), Some(Err(malformed)));
    }
    assert!(matches!(reader.next_record().unwrap().unwrap().record, Record::Rib(_)));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn a_record_too_long_ends_the_reading() {
    let mut reader = Reader::new(1000);
    reader.push(&hex("00000000 000d 0002 000003e9 00"));
    let error = ReadError::TooLong { offset: 0, length: 1001 };
    assert_eq!(reader.next_record(), Some(Err(error)));
    reader.push(&[0; 100]);
    assert_eq!(reader.next_record(), None);
    assert_eq!(reader.finish(), Err(error));
}

#[test]
fn damaged_bytes_never_panic() {
    let mut file = Vec::new();
    write_peer_index(AT, &index(), &mut file).unwrap();
    write_rib(AT, &rib("10.0.0.0/8", true, &[0x40, 1, 1, 0]), &mut file).unwrap();
    let bytes = keepalive();
    let message = Message {
        session: session(true),
        four_octet_as: true,
        local: false,
        add_path: false,
        bytes: &bytes,
    };
    write_message(AT, &message, &mut file).unwrap();
    let mut read = 0;
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] = value;
            let mut reader = Reader::new(1 << 16);
            reader.push(&damaged);
            for _ in 0..10 {
                match reader.next_record() {
                    Some(Ok(_)) => read += 1,
                    Some(Err(_)) => {}
                    None => break,
                }
            }
        }
    }
    assert!(read > file.len(), "{read}");
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let mut bytes = vec![1];
    let long = vec![0; 65536];
    let error = write_rib(AT, &rib("10.0.0.0/8", false, &long), &mut bytes).unwrap_err();
    assert_eq!(error.to_string(), "65536 bytes of attributes: a record holds at most 65535");
    let mixed = Session { local: "::1".parse().unwrap(), ..session(false) };
    let error = write_state_change(AT, &mixed, State::Idle, State::Connect, &mut bytes);
    assert_eq!(error, Err(WriteError::MixedFamilies));
    let message = Message {
        session: session(false),
        four_octet_as: true,
        local: false,
        add_path: false,
        bytes: &[0xff; 18],
    };
    assert!(matches!(write_message(AT, &message, &mut bytes), Err(WriteError::NotWhole(_))));
    assert_eq!(bytes, [1]);
}

//! The fuzzers' corpora, replayed without a fuzzer, and their first seeds.

#![allow(clippy::unwrap_used)]

#[path = "fuzz/bodies.rs"]
mod bodies;
#[path = "../../../fuzz/replay.rs"]
mod corpora;
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use bgp_monitor::WallTime;
use bgp_monitor::mrt::{
    IndexedPeer, Message, PeerIndex, Rib, RibEntry, Session, State, write_message,
    write_peer_index, write_rib, write_state_change,
};

#[test]
fn the_corpora_have_no_findings() {
    corpora::replay(bodies::ALL);
}

#[test]
fn the_seeds_are_in_the_corpora() {
    seeds::keep(bodies::ALL, &first());
}

#[test]
fn damaged_seeds_have_no_findings() {
    seeds::damage(bodies::ALL, &first(), 500);
}

/// A file of each kind of record, and a collector that is told of sessions, tables and routes.
fn first() -> Vec<seeds::Seed> {
    let collector: &[u8] = &[
        // Views; dialled, connected with room; a session with whole OPENs comes up.
        0b11_0011, 15, 0, 0x20, 0, 0x45, 0, 2, 1, 2, 0, 0,
        // Its tables are asked for, and answered in two parts; a route, and one that is not whole.
        10, 0, 5, 0, 3, 1, 2, 3, 10, 0, 0, 0x59, 0, 2, 8, 8, 0x59, 0xFF, 1, 9, 11, 0, 9, 1, 0,
    ];
    // Numbers, no room for a while, the session goes, the connection too.
    let ends: &[u8] = &[0x4D, 4, 0, 0, 0x58, 15, 14, 0xFF, 0xFF, 4, 0xFF, 0xFF, 0x47, 3, 15, 2, 15];
    // Nothing more is taken: the station is left.
    let stalled: &[u8] = &[4, 0, 0, 0x58, 15, 15, 15, 1, 0xFF, 0xFF];
    vec![
        ("monitor_mrt", "tables", [&[0xFF], &tables()[..]].concat()),
        ("monitor_mrt", "messages", [&[7], &messages()[..]].concat()),
        ("monitor_mrt", "old-tables", [&[1], &old_tables()[..]].concat()),
        ("monitor_station", "told", [collector, ends].concat()),
        ("monitor_station", "stalled", [collector, stalled].concat()),
    ]
}

const AT: WallTime = WallTime { seconds: 7, micros: 8 };

fn tables() -> Vec<u8> {
    let mut bytes = Vec::new();
    let peer = |address: &str| IndexedPeer {
        router_id: [1; 4].into(),
        address: address.parse().unwrap(),
        asn: 65001,
    };
    let peers = vec![peer("10.0.0.1"), peer("2001:db8::1")];
    let index = PeerIndex { collector: [9; 4].into(), view: "v".into(), peers };
    write_peer_index(AT, &index, &mut bytes).unwrap();
    let attributes = &[0x40, 1, 1, 0];
    let entries = vec![RibEntry { peer: 1, since: 5, path_id: 0, attributes }; 2];
    for (prefix, add_path) in [("10.128.0.0/9", false), ("2001:db8::/32", true)] {
        let (prefix, entries) = (prefix.parse().unwrap(), entries.clone());
        write_rib(AT, &Rib { sequence: 3, prefix, add_path, entries }, &mut bytes).unwrap();
    }
    bytes
}

fn messages() -> Vec<u8> {
    let mut bytes = Vec::new();
    let keepalive = [&[0xFF; 16][..], &[0, 19, 4]].concat();
    for (peer, local) in [("10.0.0.1", "10.0.0.2"), ("fe80::1", "fe80::2")] {
        let (peer, local) = (peer.parse().unwrap(), local.parse().unwrap());
        let session = Session { peer_asn: 65001, local_asn: 65002, interface: 4, peer, local };
        write_state_change(AT, &session, State::OpenConfirm, State::Established, &mut bytes)
            .unwrap();
        let message = Message {
            session,
            four_octet_as: true,
            local: false,
            add_path: false,
            bytes: &keepalive,
        };
        write_message(AT, &message, &mut bytes).unwrap();
    }
    bytes
}

/// A record of the first kind of table dump, with one route; the reader's only.
fn old_tables() -> Vec<u8> {
    let route = [10, 0, 0, 0, 8, 1, 0, 0, 0, 5, 10, 0, 0, 1, 0xFD, 0xE9, 0, 4, 0x40, 1, 1, 0];
    let body = [&[0, 0, 0, 1][..], &route].concat();
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0, 0, 0, 7, 0, 12, 0, 1][..], &len, &body].concat()
}

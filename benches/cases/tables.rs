//! The tables: intake, decision, what peers are told, longest match.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{Message, Options, PeerKind, decode, encode_attributes, pack, pack_withdrawn};
use bgp_rib::{
    Cursor, Fill, Filter, NextHops, PeerId, Query, Rib, SessionFacts, Settings, Track, View,
};
use gungraun::prelude::*;
use inet::{Family, RouterId};

use super::{Case, Work, address, asn, attributes, prefix};

pub(crate) const CASES: &[Case] = &[
    Case::new("first_paths", "take the first path of each prefix", 1000, first_paths),
    Case::new("fourth_paths", "take a fourth path of each prefix", 1000, fourth_paths),
    Case::new("same_paths", "take what is there already", 1000, same_paths),
    Case::new(
        "farther_next_hop",
        "a next hop is farther: choose of four again",
        1000,
        farther_next_hop,
    ),
    Case::new("first_told", "tell a peer its table, 100 sets", 1000, first_told),
    Case::new("others_told", "tell 16 more peers of its group", 16000, others_told),
    Case::new("withdrawn", "withdraw all, tell two peers", 10_000, withdrawn),
    Case::new("changes_told", "tell 1,000 peers of a group ten changes", 10_000, changes_told),
    Case::new("longest_match", "longest match in 10,000 prefixes", 1000, longest_match),
];

#[library_benchmark]
#[bench::first_paths(first_paths())]
#[bench::fourth_paths(fourth_paths())]
#[bench::same_paths(same_paths())]
#[bench::farther_next_hop(farther_next_hop())]
#[bench::first_told(first_told())]
#[bench::others_told(others_told())]
#[bench::withdrawn(withdrawn())]
#[bench::changes_told(changes_told())]
#[bench::longest_match(longest_match())]
fn count(mut work: Work) -> Work {
    work();
    work
}

library_benchmark_group!(name = rib, benchmarks = count);

const OPTIONS: Options = Options::new(PeerKind::External);

fn router_id(number: u32) -> RouterId {
    RouterId::try_from(Ipv4Addr::from(number)).unwrap()
}

/// Tables, and so many eBGP peers whose sessions are up.
fn tables(peers: u32) -> (Rib, Vec<PeerId>) {
    let mut rib = Rib::new(1, Settings::new(asn(65000), router_id(1)));
    let next_hops = NextHops { ipv4: Some(address(0)), ..NextHops::default() };
    let ids: Vec<_> = (1..=peers)
        .map(|number| {
            let id = rib.add_peer(address(number)).unwrap();
            let facts = SessionFacts::new(router_id(number + 1), asn(65000 + number), OPTIONS);
            rib.session_up(id, SessionFacts { next_hops, ..facts });
            id
        })
        .collect();
    settle(&mut rib);
    (rib, ids)
}

/// What a peer says of the first `count` prefixes, ten of a set.
fn announced(sender: u32, count: u32) -> Vec<Vec<u8>> {
    let sets = (0..count / 10).map(|set| {
        let set_bytes = encode_attributes(&attributes(sender, set), &OPTIONS);
        let hop = address(sender).into();
        pack(&set_bytes, &hop, (set * 10..(set + 1) * 10).map(prefix), &OPTIONS).unwrap()
    });
    sets.flatten().collect()
}

fn take(rib: &mut Rib, from: PeerId, frames: &[Vec<u8>]) {
    for frame in frames {
        let Ok(Message::Update(update)) = decode(frame, &OPTIONS) else { panic!("no UPDATE") };
        rib.update(from, &OPTIONS, &update);
    }
    settle(rib);
}

/// All is decided and told to the kernel.
fn settle(rib: &mut Rib) {
    loop {
        while let Some(track) = rib.poll_track() {
            if let Track::Begin(address) = track {
                rib.next_hop(address, Some(1));
            }
        }
        while rib.has_work() {
            rib.work(1000);
        }
        if rib.poll_best().is_none() {
            return;
        }
        while rib.poll_best().is_some() {}
    }
}

fn told(rib: &mut Rib, peer: PeerId) -> usize {
    let mut len = 0;
    loop {
        match rib.fill(peer) {
            Fill::Nothing => return len,
            Fill::Busy => {}
            Fill::Bytes { bytes, .. } => len += bytes.len(),
        }
    }
}

/// Tables whose first `senders` peers have announced 1000 prefixes each.
fn filled(peers: u32, senders: u32) -> (Rib, Vec<PeerId>) {
    let (mut rib, ids) = tables(peers);
    for (sender, id) in (1..=senders).zip(&ids) {
        take(&mut rib, *id, &announced(sender, 1000));
    }
    (rib, ids)
}

fn first_paths() -> Work {
    let (mut rib, ids) = tables(1);
    let frames = announced(1, 1000);
    Box::new(move || take(&mut rib, ids[0], &frames))
}

fn fourth_paths() -> Work {
    let (mut rib, ids) = filled(4, 3);
    let frames = announced(4, 1000);
    Box::new(move || take(&mut rib, ids[3], &frames))
}

fn same_paths() -> Work {
    let (mut rib, ids) = filled(1, 1);
    let frames = announced(1, 1000);
    Box::new(move || take(&mut rib, ids[0], &frames))
}

fn farther_next_hop() -> Work {
    let (mut rib, _) = filled(4, 4);
    Box::new(move || {
        rib.next_hop(address(1), Some(2));
        settle(&mut rib);
    })
}

fn first_told() -> Work {
    let (mut rib, ids) = filled(2, 1);
    Box::new(move || assert!(told(&mut rib, ids[1]) > 4000))
}

fn others_told() -> Work {
    let (mut rib, ids) = filled(18, 1);
    told(&mut rib, ids[1]);
    Box::new(move || {
        for id in &ids[2..] {
            assert!(told(&mut rib, *id) > 4000);
        }
    })
}

fn withdrawn() -> Work {
    let (mut rib, ids) = tables(2);
    take(&mut rib, ids[0], &announced(1, 10_000));
    for id in &ids {
        told(&mut rib, *id);
    }
    // In another order than they came: 7 divides no number of tens.
    let prefixes = (0..10_000).map(|n| prefix(n * 7 % 10_000));
    let frames = pack_withdrawn(prefixes, &OPTIONS);
    Box::new(move || {
        take(&mut rib, ids[0], &frames);
        let len: usize = ids.iter().map(|id| told(&mut rib, *id)).sum();
        assert!(len > 40_000 && rib.counts().prefixes == 0);
    })
}

fn changes_told() -> Work {
    let (mut rib, ids) = tables(1000);
    for id in &ids {
        told(&mut rib, *id);
    }
    take(&mut rib, ids[0], &announced(1, 10));
    Box::new(move || {
        let len: usize = ids.iter().map(|id| told(&mut rib, *id)).sum();
        assert!(len > 999 * 40);
    })
}

fn longest_match() -> Work {
    let (mut rib, ids) = tables(1);
    take(&mut rib, ids[0], &announced(1, 10_000));
    Box::new(move || {
        for number in 0..1000_u32 {
            let host: IpAddr = Ipv4Addr::from(0x1400_0009 + ((number * 9) << 8)).into();
            let filter = Filter::LongestMatch(host);
            let query = Query { family: Family::Ipv4, view: View::Used, filter };
            assert_eq!(black_box(rib.page(&query, Cursor(0), 1)).rows.len(), 1);
        }
    })
}

//! Many withdrawals at once.

use std::net::IpAddr;

use bgp_packet::pack_withdrawn_paths;

use super::*;

/// More than are kept in their order beside the order itself, and no multiple of anything.
const MANY: u32 = 70_001;

fn number(n: u32) -> Prefix {
    Prefix::truncated(IpAddr::V4((0x0100_0000 + (n << 8)).into()), 24).unwrap()
}

fn wide(n: u32) -> Prefix {
    Prefix::truncated(IpAddr::V6((0x2001 << 112 | u128::from(n) << 64).into()), 64).unwrap()
}

impl Bench {
    fn withdraw_all(&mut self, from: PeerId, prefixes: impl Iterator<Item = Prefix>) {
        let options = self.heard[&from].options.unwrap();
        let paths = prefixes.map(|prefix| (PathId::NONE, prefix));
        for frame in pack_withdrawn_paths(paths, &options) {
            self.frame(from, &frame, &options);
        }
    }

    fn announce_all(&mut self, from: PeerId, hop: &str, prefixes: impl Iterator<Item = Prefix>) {
        let options = self.heard[&from].options.unwrap();
        let attributes = attributes(&[65001], hop);
        let raw = encode_attributes(&attributes, &options);
        for frame in pack(&raw, &attributes.next_hop, prefixes, &options).unwrap() {
            self.frame(from, &frame, &options);
        }
    }
}

#[test]
fn what_is_withdrawn_together_goes_whatever_stands_beside_it() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let other = bench.peer(2, PeerKind::External);
    let to = bench.peer(3, PeerKind::External);
    bench.announce_all(from, "10.0.0.1", (0..300).map(number));
    bench.announce_all(from, "fd00::1", (0..300).map(wide));
    bench.announce_all(other, "10.0.0.2", (100..110).map(number));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 600);
    // Each twice, with some between them that nobody has announced; not the last ones.
    let twice = (0..290).flat_map(|n| [number(n), number(n + 5000), number(n)]);
    bench.withdraw_all(from, twice);
    let twice = (0..290).flat_map(|n| [wide(n), wide(n + 5000), wide(n)]);
    bench.withdraw_all(from, twice);
    bench.settle();
    let left = |n: u32| (100..110).contains(&n) || n >= 290;
    let left: BTreeSet<Prefix> =
        (0..300).filter(|n| left(*n)).map(number).chain((290..300).map(wide)).collect();
    assert_eq!(bench.heard[&to].routes.keys().copied().collect::<BTreeSet<_>>(), left);
    let counts = bench.rib.counts();
    assert_eq!((counts.prefixes, counts.paths, counts.attribute_sets), (30, 30, 3));
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).received, 10);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv6).received, 10);
}

#[test]
fn a_peer_far_behind_is_told_of_every_withdrawal() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.announce_all(from, "10.0.0.1", (0..MANY).map(number));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), MANY as usize);
    // Nobody hears anything until all is withdrawn, in another order, and a few are back again.
    let step = |n: u32| number((u64::from(n) * 15_485_863 % u64::from(MANY)) as u32);
    bench.withdraw_all(from, (0..MANY).map(step));
    bench.announce_all(from, "10.0.0.1", (0..5).map(step));
    bench.settle();
    let back: BTreeSet<Prefix> = (0..5).map(step).collect();
    assert_eq!(bench.heard[&to].routes.keys().copied().collect::<BTreeSet<_>>(), back);
    assert_eq!(bench.rib.counts().prefixes, 5);
}

#[test]
fn hundreds_of_peers_come_and_go_in_one_group() {
    let mut bench = Bench::new();
    let peers: Vec<PeerId> = (1..=250).map(|n| bench.peer(n, PeerKind::External)).collect();
    bench.announce_all(peers[0], "10.0.0.1", (0..20).map(number));
    bench.settle();
    for (n, peer) in peers.iter().enumerate().skip(1).filter(|(n, _)| n % 3 == 0) {
        bench.heard.remove(peer);
        bench.rib.session_down(*peer, &BTreeSet::new());
        if n % 2 == 0 {
            bench.up(*peer, session(n as u8 + 1, PeerKind::External));
        }
    }
    bench.withdraw_all(peers[0], (0..10).map(number));
    bench.settle();
    assert_eq!(bench.rib.counts().groups, 2);
    let told = bench.heard.iter().filter(|(peer, _)| **peer != peers[0]);
    assert!(told.clone().all(|(_, heard)| heard.routes.len() == 10));
    assert_eq!(told.count(), 249 - 42);
}

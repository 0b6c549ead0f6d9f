use std::num::NonZeroU8;

use bgp_packet::FamilyFlags;

use super::*;

const PREFIX: &str = "10.1.0.0/24";

pub(super) fn with_paths(n: u8, kind: PeerKind, send: AddPathSend) -> SessionFacts {
    let mut facts = session(n, kind);
    facts.options.add_path_send = FamilyFlags::ALL;
    facts.options.add_path_receive = FamilyFlags::ALL;
    facts.rules.add_path_send = send;
    facts
}

impl Bench {
    fn peer_with_paths(&mut self, n: u8, kind: PeerKind, send: AddPathSend) -> PeerId {
        let id = self.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap();
        self.up(id, with_paths(n, kind, send));
        id
    }

    /// Second numbers of the AS paths that a peer has heard of the prefix.
    fn heard_from(&self, id: PeerId) -> BTreeSet<u32> {
        let paths = self.heard[&id].paths.values();
        paths.map(|a| a.as_path.segments[0].numbers()[1]).collect()
    }
}

#[test]
fn several_paths_of_a_peer_stand_beside_each_other_and_go_one_by_one() {
    let mut bench = Bench::new();
    let from = bench.peer_with_paths(1, PeerKind::External, AddPathSend::Best);
    let to = bench.peer(2, PeerKind::External);
    bench.announce_path(from, 7, &attributes(&[65001, 1], "10.0.0.1"), &[PREFIX]);
    bench.announce_path(from, 9, &attributes(&[65001], "10.0.0.1"), &[PREFIX]);
    bench.settle();
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).received, 2);
    assert_eq!(bench.rib.paths(&prefix(PREFIX))[0].path_id, PathId(9));
    assert_eq!(bench.hears(to, PREFIX).unwrap().as_path.hops(), 2);
    bench.withdraw_path(from, 9, &[PREFIX]);
    bench.settle();
    assert_eq!(bench.hears(to, PREFIX).unwrap().as_path.hops(), 3);
    bench.withdraw_path(from, 8, &[PREFIX]);
    bench.withdraw_path(from, 7, &[PREFIX]);
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 0);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4), InCounts::default());
}

#[test]
fn best_some_and_all_paths_are_told_and_each_keeps_its_id() {
    let mut bench = Bench::new();
    let froms: Vec<_> = (1..=4).map(|n| bench.peer(n, PeerKind::External)).collect();
    let two = AddPathSend::BestN(NonZeroU8::new(2).unwrap());
    let tos = [AddPathSend::Best, two, AddPathSend::All];
    let tos: Vec<_> = (5..)
        .zip(tos)
        .map(|(n, send)| bench.peer_with_paths(n, PeerKind::External, send))
        .collect();
    for (n, from) in (1..).zip(&froms) {
        let path: Vec<u32> = (0..n).map(|i| 65000 + n + i * 100).collect();
        bench.announce(*from, &attributes(&path, &format!("10.0.0.{n}")), &[PREFIX]);
    }
    bench.settle();
    let heard = |bench: &Bench| tos.iter().map(|id| bench.heard_from(*id)).collect::<Vec<_>>();
    let sets = |sets: [&[u32]; 3]| sets.map(|set| set.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(heard(&bench), sets([&[65001], &[65001, 65002], &[65001, 65002, 65003, 65004]]));
    let ids = |bench: &Bench| -> BTreeMap<u32, PathId> {
        let paths = bench.heard[&tos[2]].paths.iter();
        paths.map(|((_, id), a)| (a.as_path.segments[0].numbers()[1], *id)).collect()
    };
    let before = ids(&bench);
    bench.withdraw(froms[0], &[PREFIX]);
    bench.settle();
    assert_eq!(heard(&bench), sets([&[65002], &[65002, 65003], &[65002, 65003, 65004]]));
    for (from, id) in ids(&bench) {
        assert_eq!(before[&from], id);
    }
    assert_eq!(bench.rib.out_count(tos[2], Family::Ipv4), 3);
}

#[test]
fn nobody_is_told_of_its_own_paths_and_members_at_one_place_share_the_rest() {
    let mut bench = Bench::new();
    let ids: Vec<_> =
        (1..=3).map(|n| bench.peer_with_paths(n, PeerKind::External, AddPathSend::All)).collect();
    for (n, id) in (1..).zip(&ids) {
        let path = attributes(&[65000 + n], &format!("10.0.0.{n}"));
        bench.announce_path(*id, 4, &path, &[PREFIX]);
    }
    bench.settle();
    for (n, id) in (1..).zip(&ids) {
        let others = (1..=3).filter(|other| *other != n).map(|other| 65000 + other).collect();
        assert_eq!(bench.heard_from(*id), others);
    }
    assert_eq!(bench.rib.counts().groups, 2);
    bench.heard.remove(&ids[0]);
    bench.rib.session_down(ids[0], &BTreeSet::new());
    bench.settle();
    assert_eq!(bench.heard_from(ids[1]), BTreeSet::from([65003]));
}

#[test]
fn with_other_rules_what_a_peer_holds_and_no_longer_gets_is_withdrawn() {
    let mut bench = Bench::new();
    let froms: Vec<_> = (1..=3).map(|n| bench.peer(n, PeerKind::External)).collect();
    let to = bench.peer_with_paths(5, PeerKind::External, AddPathSend::All);
    for (n, from) in (1..).zip(&froms) {
        bench.announce(*from, &attributes(&[65000 + n], &format!("10.0.0.{n}")), &[PREFIX]);
    }
    bench.settle();
    assert_eq!(bench.heard_from(to).len(), 3);
    bench.rib.session_changed(to, with_paths(5, PeerKind::External, AddPathSend::Best));
    // While the peer has not been told yet, a path goes.
    bench.withdraw(froms[2], &[PREFIX]);
    bench.settle();
    assert_eq!(bench.heard_from(to).len(), 1);
}

#[test]
fn a_peer_has_so_many_paths_to_a_prefix_and_one_too_many_is_ignored() {
    let mut bench = Bench::new();
    let from = bench.peer_with_paths(1, PeerKind::External, AddPathSend::Best);
    let to = bench.peer_with_paths(2, PeerKind::External, AddPathSend::All);
    let most = MAX_PATHS as u32;
    let announce = |bench: &mut Bench, ids: std::ops::RangeInclusive<u32>| {
        for id in ids {
            let path = attributes(&[1000 + id], "10.0.0.1");
            bench.announce_path(from, id, &path, &[PREFIX]);
        }
    };
    let counts = |bench: &Bench| {
        let counts = bench.rib.in_counts(from, Family::Ipv4);
        (counts.received, counts.accepted, counts.stale, bench.rib.counts().paths as u32)
    };
    announce(&mut bench, 1..=most + 36);
    bench.settle();
    assert_eq!(counts(&bench), (most, most, 0, most));
    assert_eq!(bench.rib.counts().attribute_sets, MAX_PATHS);
    assert_eq!(bench.heard_from(to).len(), MAX_PATHS);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).left_out, 36);
    assert_eq!(bench.left_out, [prefix(PREFIX)]);
    // Those that are there change as ever; a place that is free is taken.
    bench.announce_path(from, 1, &attributes(&[7], "10.0.0.1"), &[PREFIX]);
    bench.withdraw_path(from, most + 1, &[PREFIX]);
    bench.withdraw_path(from, 2, &[PREFIX]);
    bench.announce_path(from, most + 1, &attributes(&[8], "10.0.0.1"), &[PREFIX]);
    bench.settle();
    assert_eq!(counts(&bench), (most, most, 0, most));
    assert!(bench.heard_from(to).is_superset(&BTreeSet::from([7, 8])));
    // Another peer has as many of its own.
    let other = bench.peer(3, PeerKind::External);
    bench.announce(other, &attributes(&[65003], "10.0.0.3"), &[PREFIX]);
    assert_eq!(bench.rib.in_counts(other, Family::Ipv4).received, 1);
    bench.withdraw(other, &[PREFIX]);
    // What is kept from before a restart makes way for what comes after it.
    bench.heard.remove(&from);
    bench.rib.session_down(from, &Family::ALL.into_iter().collect());
    bench.up(from, with_paths(1, PeerKind::External, AddPathSend::Best));
    announce(&mut bench, 1001..=1010);
    bench.settle();
    assert_eq!(counts(&bench), (10, 10, most - 10, most));
    announce(&mut bench, 1011..=1100);
    bench.settle();
    assert_eq!(counts(&bench), (most, most, 0, most));
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(counts(&bench), (most, most, 0, most));
    // A refresh is no other session: what it has left out so far stays counted (RFC 7313 §4).
    let left_out = |bench: &Bench| bench.rib.in_counts(from, Family::Ipv4).left_out;
    let before = left_out(&bench);
    assert!(before > 0);
    bench.rib.mark_stale(from, Family::Ipv4);
    assert_eq!(left_out(&bench), before);
    bench.heard.remove(&from);
    bench.rib.session_down(from, &BTreeSet::new());
    bench.settle();
    assert_eq!((bench.rib.counts().paths, bench.rib.counts().attribute_sets), (0, 0));
}

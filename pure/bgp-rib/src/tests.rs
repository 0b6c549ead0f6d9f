mod add_path;
mod aggregates;
mod bench;
mod budget;
mod explain;
mod policy;
mod random;
mod reflection;
mod refresh;
mod rules;
mod sharing;
mod stalled;
mod withdraw;

use std::collections::{BTreeMap, BTreeSet};

use bgp_packet::{
    Attributes, BgpNextHop, Options, PathId, PeerKind, RefreshKind, community, encode_attributes,
    pack,
};
use inet::{Asn, Family, Prefix};

use crate::*;
use bench::*;

#[test]
fn towards_another_as_we_prepend_and_are_the_next_hop_and_keep_inner_things_to_ourselves() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let learned = Attributes {
        med: Some(5),
        communities: vec![1, 2],
        extended_communities: vec![[0; 8], [0x40, 0, 0, 0, 0, 0, 0, 0]],
        ..attributes(&[65001, 7], "10.0.0.1")
    };
    bench.announce(from, &learned, &["10.1.0.0/24"]);
    bench.settle();
    let expect = Attributes {
        communities: vec![1, 2],
        extended_communities: vec![[0; 8]],
        ..attributes(&[AS, 65001, 7], "10.0.0.100")
    };
    assert_eq!(bench.heard[&to].routes, BTreeMap::from([(prefix("10.1.0.0/24"), expect)]));
    assert_eq!(bench.why(from, "10.1.0.0/24"), "split-horizon");
    assert_eq!(bench.heard[&from].routes, BTreeMap::new());
    assert_eq!(bench.heard[&to].end_of_rib, Family::ALL.into_iter().collect());
    assert_eq!(bench.installed[&prefix("10.1.0.0/24")], [ip("10.0.0.1")]);
}

#[test]
fn inside_the_as_paths_keep_their_next_hop_and_go_one_step_only() {
    let mut bench = Bench::new();
    let outside = bench.peer(1, PeerKind::External);
    let inside = bench.peer(2, PeerKind::Internal);
    let inside2 = bench.peer(3, PeerKind::Internal);
    bench.announce(
        outside,
        &Attributes { med: Some(5), ..attributes(&[65001], "10.0.0.1") },
        &["10.1.0.0/24"],
    );
    let learned = Attributes { local_pref: Some(200), ..attributes(&[], "10.9.9.9") };
    bench.announce(inside, &learned, &["10.2.0.0/24"]);
    bench.settle();
    let expect =
        Attributes { med: Some(5), local_pref: Some(100), ..attributes(&[65001], "10.0.0.1") };
    assert_eq!(bench.heard[&inside2].routes, BTreeMap::from([(prefix("10.1.0.0/24"), expect)]));
    assert_eq!(bench.why(inside2, "10.2.0.0/24"), "internal-to-internal");
    assert!(bench.heard[&outside].routes.contains_key(&prefix("10.2.0.0/24")));
}

#[test]
fn the_paths_of_one_set_are_equal() {
    let mut bench = Bench::new();
    let states = |bench: &Bench| -> Vec<_> {
        bench.rib.paths(&prefix("10.1.0.0/24")).iter().map(|path| path.state).collect()
    };
    for n in [1, 2] {
        let from = bench.peer(n, PeerKind::External);
        let path = attributes(&[65000 + u32::from(n)], &format!("10.0.0.{n}"));
        bench.announce(from, &path, &["10.1.0.0/24"]);
        bench.settle();
        let best = PathState::Best(if n == 1 { Step::OnlyPath } else { Step::Equal });
        assert_eq!(states(&bench).first(), Some(&best));
    }
    assert_eq!(states(&bench)[1..], [PathState::Multipath(Step::RouterId)]);
    let longer = bench.peer(3, PeerKind::External);
    bench.announce(longer, &attributes(&[65003, 1], "10.0.0.3"), &["10.1.0.0/24"]);
    bench.settle();
    let step = Step::AsPathLength;
    assert_eq!(
        states(&bench),
        [PathState::Best(step), PathState::Multipath(Step::RouterId), PathState::Lost(step)]
    );
}

#[test]
fn own_routes_win_are_never_installed_and_go_to_their_groups_only() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let id = bench.rib.add_peer(ip("10.0.0.2")).unwrap();
    let racks = BTreeSet::from(["rack".to_owned()]);
    bench.up(id, SessionFacts { groups: racks.clone(), ..session(2, PeerKind::External) });
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
    let route =
        OwnRoute { med: Some(9), groups: racks, communities: vec![community::NO_EXPORT], ..own() };
    bench.rib.originate(&prefix("10.1.0.0/24"), Some(&route));
    bench.settle();
    assert_eq!(bench.installed, BTreeMap::new());
    let heard = &bench.heard[&id].routes[&prefix("10.1.0.0/24")];
    assert_eq!((heard.med, heard.communities.len()), (Some(9), 1));
    assert_eq!(bench.why(from, "10.1.0.0/24"), "not-in-group");
    let states: Vec<_> =
        bench.rib.paths(&prefix("10.1.0.0/24")).iter().map(|path| path.state).collect();
    assert_eq!(states, [PathState::Best(Step::Local), PathState::Lost(Step::Local)]);
    bench.rib.originate(&prefix("10.1.0.0/24"), None);
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
}

#[test]
fn without_transit_nothing_learned_is_told_and_switching_it_needs_no_reset() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.rib.originate(&prefix("10.2.0.0/24"), Some(&own()));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
    bench.rib.configure(Settings { transit: false, ..settings() });
    bench.settle();
    assert_eq!(bench.why(to, "10.1.0.0/24"), "no-transit");
    assert_eq!(bench.heard[&to].routes.len(), 1);
    bench.rib.configure(settings());
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
}

#[test]
fn well_known_communities_are_honoured() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let other = bench.peer(2, PeerKind::External);
    let inside = bench.peer(3, PeerKind::Internal);
    let tagged = |c| Attributes { communities: vec![c], ..attributes(&[65001], "10.0.0.1") };
    bench.announce(from, &tagged(community::NO_EXPORT), &["10.1.0.0/24"]);
    bench.announce(from, &tagged(community::NO_ADVERTISE), &["10.2.0.0/24"]);
    bench.announce(from, &tagged(community::GRACEFUL_SHUTDOWN), &["10.3.0.0/24"]);
    bench.announce(other, &attributes(&[65002, 1, 2, 3], "10.0.0.2"), &["10.3.0.0/24"]);
    bench.settle();
    assert_eq!(bench.why(other, "10.1.0.0/24"), "no-export");
    assert_eq!(bench.why(inside, "10.1.0.0/24"), "announced");
    assert_eq!(bench.why(inside, "10.2.0.0/24"), "no-advertise");
    assert_eq!(bench.installed[&prefix("10.3.0.0/24")], [ip("10.0.0.2")]);
}

#[test]
fn what_cannot_be_used_says_why() {
    let mut bench = Bench::new();
    bench.resolve = false;
    let from = bench.peer(1, PeerKind::External);
    bench.announce(from, &attributes(&[65001, AS], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.2.0.0/24"]);
    bench.announce(from, &attributes(&[65001], "10.0.0.100"), &["10.3.0.0/24"]);
    bench.settle();
    let state = |bench: &Bench, text| bench.rib.paths(&prefix(text)).first().map(|p| p.state);
    assert_eq!(state(&bench, "10.1.0.0/24"), Some(PathState::Ineligible(Ineligible::AsLoop)));
    let unresolved = PathState::Ineligible(Ineligible::UnresolvedNextHop);
    assert_eq!(state(&bench, "10.2.0.0/24"), Some(unresolved));
    // Our own address as next hop: as if withdrawn.
    assert_eq!(state(&bench, "10.3.0.0/24"), None);
    assert_eq!(
        bench.rib.in_counts(from, Family::Ipv4),
        InCounts { received: 2, accepted: 1, stale: 0, left_out: 0 }
    );
    assert_eq!(bench.why(from, "10.2.0.0/24"), "no-route");
    bench.rib.next_hop(ip("10.0.0.1"), Some(1));
    bench.settle();
    assert_eq!(state(&bench, "10.2.0.0/24"), Some(PathState::Best(Step::OnlyPath)));
    bench.rib.next_hop(ip("10.0.0.1"), None);
    bench.settle();
    assert_eq!(bench.installed, BTreeMap::new());
}

#[test]
fn without_an_address_of_the_family_nothing_is_announced_until_there_is_one() {
    let mut bench = Bench::new();
    let id = bench.rib.add_peer(ip("10.0.0.1")).unwrap();
    let v4_only = NextHops { ipv4: Some(ip("10.0.0.100")), ..NextHops::default() };
    bench.up(id, SessionFacts { next_hops: v4_only, ..session(1, PeerKind::External) });
    bench.rib.originate(&prefix("fd01::/64"), Some(&own()));
    bench.settle();
    assert_eq!(bench.why(id, "fd01::/64"), "no-next-hop");
    bench.rib.session_changed(id, session(1, PeerKind::External));
    bench.settle();
    assert_eq!(bench.why(id, "fd01::/64"), "announced");
    let without = SessionFacts { next_hops: v4_only, ..session(1, PeerKind::External) };
    bench.rib.session_changed(id, without);
    bench.settle();
    assert_eq!(bench.heard[&id].routes, BTreeMap::new());
}

#[test]
fn stale_paths_are_used_until_renewed_or_flushed_and_do_not_outlive_a_second_restart() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let both = &["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), both);
    bench.settle();
    let all = Family::ALL.into_iter().collect();
    bench.heard.clear();
    bench.rib.session_down(from, &all);
    bench.settle();
    assert_eq!(bench.installed.len(), 2);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).stale, 2);
    bench.up(from, session(1, PeerKind::External));
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &both[..1]);
    bench.settle();
    assert_eq!(bench.installed.len(), 2);
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(bench.installed.keys().copied().collect::<Vec<_>>(), [prefix(both[0])]);
    // Restarts twice without sending anything in between.
    bench.heard.clear();
    bench.rib.session_down(from, &all);
    bench.up(from, session(1, PeerKind::External));
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
    bench.heard.clear();
    // The session says so before it goes down.
    Family::ALL.into_iter().for_each(|family| bench.rib.flush_stale(from, family));
    bench.rib.session_down(from, &all);
    bench.settle();
    assert_eq!(bench.installed.len(), 0);
    assert_eq!(bench.rib.counts(), Counts::default());
}

#[test]
fn peers_told_the_same_share_a_group_and_equal_sets_are_kept_once() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let ids: Vec<_> = (2..10).map(|n| bench.peer(n, PeerKind::External)).collect();
    let prefixes: Vec<String> = (0..200).map(|n| format!("10.1.{n}.0/24")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &prefixes);
    bench.settle();
    let counts = bench.rib.counts();
    assert_eq!((counts.groups, counts.attribute_sets, counts.paths), (2, 1, 200));
    assert_eq!(bench.heard[&ids[0]].bytes, bench.heard[&ids[7]].bytes);
    bench.withdraw(from, &prefixes);
    bench.settle();
    bench.rib.remove_peer(from);
    bench.heard.remove(&from);
    bench.settle();
    assert_eq!(bench.rib.counts(), Counts { groups: 2, ..Counts::default() });
}

#[test]
fn after_a_restart_nothing_is_chosen_or_told_before_select() {
    let mut bench = Bench::new();
    bench.rib.defer();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.rib.originate(&prefix("10.2.0.0/24"), Some(&own()));
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    for _ in 0..10 {
        bench.rib.work(100);
    }
    assert!(!bench.hear(to) && bench.rib.poll_best().is_none() && !bench.rib.is_settled());
    assert_eq!(bench.why(to, "10.1.0.0/24"), "selection-deferred");
    bench.rib.select();
    bench.settle();
    assert!(bench.rib.is_settled());
    assert_eq!((bench.heard[&to].routes.len(), bench.heard[&to].end_of_rib.len()), (2, 2));
    assert_eq!(bench.installed.len(), 1);
}

#[test]
fn attributes_that_leave_no_room_for_a_prefix_are_not_announced() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    // The longest that fits into a message; with our AS number in front it no longer does.
    let path: Vec<u32> = std::iter::once(65001).chain(2..250).collect();
    let long = |n| Attributes { communities: vec![9; n], ..attributes(&path, "10.0.0.1") };
    let fits = (700..1000).rev().find(|n| {
        let raw = encode_attributes(&long(*n), &Options::new(PeerKind::External));
        let hop = BgpNextHop { address: ip("10.0.0.1"), link_local: None };
        pack(&raw, &hop, [prefix("10.1.0.0/24")], &Options::new(PeerKind::External)).is_ok()
    });
    bench.announce(from, &long(fits.unwrap()), &["10.1.0.0/24"]);
    while bench.install() || bench.hear(to) || bench.hear(from) {}
    assert_eq!(bench.heard[&to].routes, BTreeMap::new());
}

#[test]
fn who_begins_to_listen_is_told_of_every_best_path() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24", "10.2.0.0/24"]);
    bench.announce(from, &attributes(&[65001], "fd00::1"), &["fd00:1::/64"]);
    bench.rib.originate(&prefix("10.3.0.0/24"), Some(&own()));
    bench.settle();
    let told = std::mem::take(&mut bench.installed);
    assert_eq!(told.len(), 3);
    bench.rib.tell_best_again();
    bench.settle();
    assert_eq!(bench.installed, told);
    assert!(!bench.install());
}

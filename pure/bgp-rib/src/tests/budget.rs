//! No call does more than a bounded part of what is to be done: steps are counted, not time.

use std::net::IpAddr;

use bgp_packet::FamilyFlags;

use super::policy::{accept, rejects_within};
use super::*;
use crate::steps;

/// What one call is asked to do, and may do beside it.
const BUDGET: usize = 1000;
const MOST: usize = 3 * BUDGET;

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range
        .map(|n| Prefix::truncated(IpAddr::V4((0x0a00_0000 + (n << 8)).into()), 24).unwrap())
        .map(|prefix| prefix.to_string())
        .collect()
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

fn exports(text: &str) -> Rules {
    Rules { export: Some(rejects_within(text)), ..Rules::default() }
}

impl Bench {
    /// Goes on as the speaker does, no call doing too much; gives how many it took.
    fn walk(&mut self) -> usize {
        let mut calls = 0;
        while self.rib.has_work() {
            let steps = steps::of(|| self.rib.work(BUDGET));
            assert!(steps <= MOST, "{steps} steps in one call");
            calls += 1;
        }
        calls
    }
}

/// A peer far behind, whose rules change: what it was not told is not gone through for that, and
/// still it learns what is gone.
#[test]
fn a_change_of_rules_does_not_go_through_what_a_peer_was_not_told() {
    let many = numbers(0..12_000);
    for again in [false, true] {
        let mut bench = Bench::new();
        let from = bench.peer(1, PeerKind::External);
        let to = bench.peer(2, PeerKind::External);
        bench.announce(from, &attributes(&[65001], "10.0.0.1"), &texts(&many));
        bench.settle();
        assert_eq!(bench.heard[&to].routes.len(), many.len());
        bench.withdraw(from, &texts(&many[..11_000]));
        let rules = exports("10.46.0.0/16");
        let steps = steps::of(|| {
            bench.rib.session_changed(to, with_rules(2, PeerKind::External, rules));
        });
        assert!(steps <= MOST, "{steps}");
        if again {
            // Before it was told anything it goes back, and some are there again.
            bench.announce(from, &attributes(&[65001], "10.0.0.1"), &texts(&many[..5]));
            let steps = steps::of(|| bench.rib.session_changed(to, session(2, PeerKind::External)));
            assert!(steps <= MOST, "{steps}");
        }
        bench.settle();
        let left = if again { 1005 } else { 1000 - 224 };
        assert_eq!(bench.heard[&to].routes.len(), left);
        assert_eq!(bench.rib.counts().prefixes, if again { 1005 } else { 1000 });
    }
}

/// The same where the session ends instead of being told: nothing is kept for it.
#[test]
fn nothing_is_kept_for_who_has_changed_its_rules_and_gone() {
    let many = numbers(0..3000);
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let stays = bench.peer(3, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &texts(&many));
    bench.settle();
    bench.withdraw(from, &texts(&many));
    bench.rib.session_changed(to, with_rules(2, PeerKind::External, exports("10.46.0.0/16")));
    while bench.hear(stays) || bench.install() {}
    assert_eq!(bench.rib.counts().prefixes, many.len());
    bench.heard.remove(&to);
    bench.rib.session_down(to, &BTreeSet::new());
    bench.settle();
    assert_eq!((bench.rib.counts().prefixes, bench.rib.counts().groups), (0, 2));
}

/// With path ids a prefix may stay while a path of it goes.
#[test]
fn a_path_that_is_gone_is_withdrawn_also_after_a_change_of_rules() {
    let mut bench = Bench::new();
    let [one, two] = [1, 2].map(|n| bench.peer(n, PeerKind::External));
    let id = bench.rib.add_peer(ip("10.0.0.3")).unwrap();
    let mut facts = session(3, PeerKind::External);
    facts.options.add_path_send = FamilyFlags::NONE.with(Family::Ipv4);
    facts.rules.add_path_send = AddPathSend::All;
    bench.up(id, facts.clone());
    let all = ["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(one, &attributes(&[65001], "10.0.0.1"), &all);
    bench.announce(two, &attributes(&[65002], "10.0.0.2"), &all);
    bench.settle();
    assert_eq!(bench.heard[&id].paths.len(), 4);
    // One path of the one, both of the other.
    bench.withdraw(one, &all);
    bench.withdraw(two, &all[1..]);
    facts.rules.export = Some(accept(Default::default()));
    bench.rib.session_changed(id, facts.clone());
    facts.rules.export = None;
    bench.rib.session_changed(id, facts);
    bench.settle();
    assert_eq!(bench.heard[&id].paths.len(), 1);
}

/// What has come and gone before the FIB was told needs no word to it, and not all in one call.
#[test]
fn what_is_no_news_for_the_fib_is_passed_over_a_part_at_a_time() {
    let many = numbers(0..5000);
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    for text in &many {
        bench.rib.originate(&prefix(text), Some(&own()));
    }
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["11.0.0.0/24"]);
    bench.rib.next_hop(ip("10.0.0.1"), Some(1));
    while bench.rib.has_work() {
        bench.rib.work(BUDGET);
    }
    let mut told = 0;
    while told == 0 || bench.rib.has_work() {
        let steps = steps::of(|| told += usize::from(bench.rib.poll_best().is_some()));
        assert!(steps <= MOST, "{steps}");
        assert!(told == 1 || bench.rib.has_work(), "somebody must ask again");
        bench.rib.work(BUDGET);
    }
    bench.installed.insert(prefix("11.0.0.0/24"), vec![ip("10.0.0.1")]);
    bench.settle();
}

/// What all groups have been told is forgotten a part at a time, of all of them together.
#[test]
fn groups_share_what_a_call_forgets() {
    let many = numbers(0..5000);
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let mut slow = Vec::new();
    for n in 0..8 {
        for at in [10 + n, 20 + n] {
            let peer = bench.peer_with(at, PeerKind::External, exports(&format!("11.{n}.0.0/16")));
            slow.extend(Some(peer).filter(|_| at >= 20));
        }
    }
    bench.settle();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &texts(&many));
    bench.rib.next_hop(ip("10.0.0.1"), Some(1));
    while bench.rib.has_work() {
        bench.rib.work(BUDGET);
    }
    let quick: Vec<PeerId> = bench.heard.keys().filter(|id| !slow.contains(id)).copied().collect();
    for id in quick {
        while bench.hear(id) {}
    }
    for id in slow {
        bench.heard.remove(&id);
        bench.rib.session_down(id, &BTreeSet::new());
    }
    assert!(bench.walk() >= 8 * (many.len() - 2048) / BUDGET);
    bench.settle();
}

/// Many aggregates, which all come and go at once.
#[test]
fn aggregates_come_a_part_at_a_time_and_their_walks_count_look_ups() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let many = numbers(0..4000);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &texts(&many));
    bench.settle();
    // Of each length one that has all of them, and many that have few.
    let long = (8..20).map(|len| format!("10.0.0.0/{len}"));
    let all: Vec<String> =
        long.chain((0..1000).map(|n| format!("10.{}.{}.0/22", n / 64, n % 64 * 4))).collect();
    let wanted: BTreeMap<Prefix, Aggregate> =
        all.iter().map(|text| (prefix(text), super::aggregates::summary())).collect();
    bench.rib.aggregate(wanted.clone());
    let mut before = bench.rib.counts().paths;
    while bench.rib.has_work() {
        let steps = steps::of(|| bench.rib.work(BUDGET));
        assert!(steps <= MOST, "{steps}");
        let paths = bench.rib.counts().paths;
        assert!(paths - before <= 2 * BUDGET / 4, "{}", paths - before);
        before = paths;
    }
    assert_eq!(before, many.len() + wanted.len());
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 1, "the shortest one keeps all others back");
    bench.rib.aggregate(BTreeMap::new());
    bench.walk();
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), many.len());
    assert_eq!(bench.rib.counts().paths, many.len());
}

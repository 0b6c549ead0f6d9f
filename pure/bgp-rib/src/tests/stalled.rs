//! Peers that take nothing while the rules towards them change.

use super::add_path::with_paths;
use super::policy::rejects_within;
use super::*;
use crate::steps;

/// The session of a peer at 10.0.0.2, with path ids or without.
fn facts(ids: bool, export: Option<&str>) -> SessionFacts {
    let mut facts = match ids {
        true => with_paths(2, PeerKind::External, AddPathSend::All),
        false => session(2, PeerKind::External),
    };
    facts.rules.export = export.map(rejects_within);
    facts
}

fn texts(all: std::ops::Range<u32>) -> Vec<String> {
    all.map(|n| format!("10.{}.{}.0/24", n % 8 + n / 2048 * 8, n / 8 % 256)).collect()
}

/// What it holds must still be known, whether it is told a little in between or nothing.
#[test]
fn however_often_the_rules_change_one_group_is_kept_for_what_a_peer_was_not_told() {
    for (ids, hears) in [(false, 0), (false, 3), (true, 0), (true, 3)] {
        let mut bench = Bench::new();
        let from = bench.peer(1, PeerKind::External);
        let other = bench.peer(3, PeerKind::External);
        let to = bench.rib.add_peer(ip("10.0.0.2")).unwrap();
        bench.up(to, facts(ids, None));
        let all = texts(0..400);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        bench.announce(from, &attributes(&[65001], "10.0.0.1"), &all[..200]);
        bench.announce(other, &attributes(&[65003], "10.0.0.3"), &all[100..300]);
        bench.settle();
        assert_eq!(bench.heard[&to].paths.len(), if ids { 400 } else { 300 });
        for round in 0..60 {
            // Some go, some come, and some come back.
            bench.withdraw(from, &all[round * 2..round * 2 + 3]);
            bench.withdraw(other, &all[100 + round..102 + round]);
            bench.announce(from, &attributes(&[65001], "10.0.0.1"), &all[300 + round..301 + round]);
            bench.announce(other, &attributes(&[65003, 7], "10.0.0.3"), &all[round..round + 1]);
            let (third, len) = (round as u32 % 8, 16 + round as u8 / 8);
            let within = Prefix::truncated(ip(&format!("10.{third}.{round}.0")), len).unwrap();
            bench.rib.session_changed(to, facts(ids, Some(&within.to_string())));
            while bench.rib.has_work() {
                bench.rib.work(50);
            }
            while bench.install() || bench.hear(from) {}
            if hears > 0 && round % hears == 0 {
                bench.hear(to);
            }
            let groups = bench.rib.counts().groups;
            assert!(groups <= 6, "{groups} groups after {round} changes");
        }
        bench.settle();
        bench.rib.session_changed(to, facts(ids, None));
        bench.settle();
        let groups = bench.rib.counts().groups;
        assert_eq!(groups, if ids { 4 } else { 2 }, "what was kept has gone");
    }
}

/// Of the groups only the one that keeps something for the peer is asked what it may hold.
#[test]
fn a_walk_with_path_ids_does_not_look_at_every_group_for_each_prefix() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    for n in 0..20 {
        let export = Some(rejects_within(&format!("11.{n}.0.0/16")));
        bench.peer_with(20 + n, PeerKind::External, Rules { export, ..Rules::default() });
    }
    let to = bench.rib.add_peer(ip("10.0.0.2")).unwrap();
    bench.up(to, facts(true, None));
    let all = texts(0..500);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &all);
    bench.settle();
    assert!(bench.rib.counts().groups > 40);
    bench.withdraw(from, &all[..10]);
    bench.rib.session_changed(to, facts(true, Some("10.1.0.0/16")));
    let steps = steps::of(|| while bench.hear(to) {});
    assert!(steps <= 2 * all.len(), "{steps} steps");
    bench.settle();
}

/// What is kept for who has moved says nothing to others, who pass over it a part at a time.
#[test]
fn what_is_kept_for_a_peer_that_has_moved_is_no_news_for_others() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.rib.add_peer(ip("10.0.0.2")).unwrap();
    bench.up(to, facts(false, Some("10.0.0.0/8")));
    let rules = facts(false, Some("10.0.0.0/8")).rules;
    let stays = bench.peer_with(3, PeerKind::External, rules);
    bench.settle();
    bench.rib.originate(&prefix("11.0.0.0/24"), Some(&own()));
    bench.rib.session_changed(to, facts(false, None));
    while bench.hear(stays) {}
    let before = bench.heard[&stays].bytes;
    let all = texts(0..12_000);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &all);
    bench.rib.next_hop(ip("10.0.0.1"), Some(1));
    while bench.rib.has_work() {
        bench.rib.work(1000);
    }
    while bench.rib.waits(stays) {
        let steps = steps::of(|| _ = bench.hear(stays));
        assert!(steps <= 10_000, "{steps} steps");
    }
    assert_eq!(bench.heard[&stays].bytes, before);
    bench.withdraw(from, &all[1..]);
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
    assert_eq!(bench.rib.counts().prefixes, 2);
}

/// Rules and routes change and a peer is told a little of it, all by chance: in the end it has heard
/// what it is told, and so has one that stays in the group it was in first.
fn history(seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) % sides) as usize
    };
    let ids = seed.is_multiple_of(2);
    let mut bench = Bench::new();
    let sources = [1, 3].map(|n| bench.peer(n, PeerKind::External));
    let to = bench.rib.add_peer(ip("10.0.0.2")).unwrap();
    let stays = bench.rib.add_peer(ip("10.0.0.4")).unwrap();
    bench.up(to, facts(ids, None));
    bench.up(stays, facts(ids, None));
    for source in sources {
        bench.announce(source, &attributes(&[65001], "10.0.0.1"), &["11.0.0.0/24"]);
    }
    bench.settle();
    let all = texts(0..40);
    for _ in 0..200 {
        let (text, source) = (&all[roll(40)][..], sources[roll(2)]);
        match roll(8) {
            0..=2 => {
                let path = [65001, 7, 8];
                bench.announce(source, &attributes(&path[..1 + roll(3)], "10.0.0.1"), &[text]);
            }
            3 | 4 => bench.withdraw(source, &[text]),
            5 => {
                let within = format!("10.{}.0.0/16", roll(10));
                let export = Some(&within[..]).filter(|_| roll(4) > 0);
                bench.rib.session_changed(to, facts(ids, export));
            }
            6 => _ = bench.hear(to),
            _ => {
                bench.rib.work(10);
                bench.hear(stays);
                bench.install();
            }
        }
        assert!(bench.rib.counts().groups <= 8);
    }
    bench.settle();
}

#[test]
fn what_a_peer_holds_is_known_whatever_it_was_told_in_between() {
    for seed in 1..=150 {
        let result = std::panic::catch_unwind(|| history(seed));
        assert!(result.is_ok(), "seed {seed}: replay with history({seed})");
    }
}

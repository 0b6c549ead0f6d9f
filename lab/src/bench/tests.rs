use std::collections::HashSet;
use std::sync::Arc;

use super::cell::Usage;
use super::daemon::Daemon;
use super::feed::{self, Feeds, Way};
use super::model::{Held, Index};
use super::report::{Figures, Spread};
use super::table::Table;
use super::template::{Shape, render};
use super::wire::{self, Set};
use super::works::{Measure, Row, Subject};
use super::{kernel, real};

fn table() -> Table {
    let (paths, _) = (vec![vec![1, 2, 3], vec![4], vec![5, 6]], ());
    Table::generate(7, 20_000, &paths)
}

/// The bytes as a router gives them on: its AS number in front, itself as next hop.
fn through_router(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut bodies = Vec::new();
    while let Some((kind, body, size)) = wire::frame(rest).unwrap() {
        assert_eq!(kind, wire::UPDATE);
        let [withdrawn, attributes, nlri] = wire::parts(body).unwrap();
        let mut out = Vec::new();
        let mut keys = Vec::new();
        wire::prefixes(withdrawn, |key| keys.push(key)).unwrap();
        wire::withdraw(keys.drain(..), &mut out);
        if !nlri.is_empty() {
            let (path, _) = wire::path_and_next_hop(attributes).unwrap();
            let mut longer = vec![2, path[1] + 1];
            longer.extend_from_slice(&feed::ROUTER_ASN.to_be_bytes());
            longer.extend_from_slice(&path[2..]);
            wire::prefixes(nlri, |key| keys.push(key)).unwrap();
            let attributes = wire::attributes(&Set::default(), &longer, feed::ROUTER);
            wire::announce(&attributes, keys.into_iter(), &mut out);
        }
        let mut out = &out[..];
        while let Some((_, body, size)) = wire::frame(out).unwrap() {
            bodies.push(body.to_vec());
            out = &out[size..];
        }
        rest = &rest[size..];
    }
    assert!(rest.is_empty());
    bodies
}

fn learn(held: &mut Held, bodies: &[Vec<u8>]) {
    for body in bodies {
        held.update(body).unwrap();
    }
}

fn announced(senders: usize) -> (Table, Feeds) {
    let table = table();
    let feeds = feed::announce(&table, senders, Way::Router, 7);
    (table, feeds)
}

#[test]
fn a_table_is_like_the_internets_and_the_same_for_a_seed() {
    let (one, two) = (table(), table());
    assert_eq!(one.keys, two.keys);
    assert_eq!(one.sets, two.sets);
    assert_eq!((one.real, one.keys.len(), one.sets.len()), (20_000, 20_200, 5_320));
    assert_eq!(one.keys.iter().collect::<HashSet<_>>().len(), one.keys.len());
    let lengths: f64 = one.keys.iter().map(|key| f64::from(wire::length(*key))).sum();
    let mean = lengths / one.keys.len() as f64;
    assert!((22.5..23.2).contains(&mean), "mean length {mean}");
    let members: usize = (0..one.sets.len()).map(|set| one.members(set).len()).sum();
    assert_eq!(members, one.real);
    assert!((0..one.sets.len()).all(|set| !one.members(set).is_empty()));
    for key in &one.keys {
        let first = wire::address(*key) >> 24;
        assert!((1..224).contains(&first) && first != 10 && first != 127, "{}", wire::text(*key));
        let host = wire::address(*key) & !(u32::MAX << (32 - u32::from(wire::length(*key))));
        assert_eq!(host, 0, "{}", wire::text(*key));
    }
}

#[test]
fn an_index_finds_all_and_nothing_else() {
    let keys = table().keys;
    let index = Index::new(&keys[..10_000]);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(index.find(*key), (number < 10_000).then_some(number));
    }
}

#[test]
fn receivers_of_a_router_that_does_right_are_complete_only_at_the_end() {
    let (_, feeds) = announced(3);
    let streams: Vec<_> = feeds.bytes.iter().map(|bytes| through_router(bytes)).collect();
    for receiver in 0..4_u16 {
        let mut held = Held::new(&feeds.model, receiver);
        for (sender, bodies) in streams.iter().enumerate() {
            // Its own routes may come back from a router that sends to a group; they count nothing.
            assert!(sender == usize::from(receiver) || !held.complete());
            learn(&mut held, bodies);
        }
        assert!(held.complete(), "{}", held.complaint());
    }
}

#[test]
fn the_stream_has_withdrawals_and_changes_in_mid_run() {
    let (table, feeds) = announced(1);
    let bodies = through_router(&feeds.bytes[0]);
    let (mut withdrawn, mut announced) = (0, 0);
    for body in &bodies {
        let [gone, _, nlri] = wire::parts(body).unwrap();
        wire::prefixes(gone, |_| withdrawn += 1).unwrap();
        wire::prefixes(nlri, |_| announced += 1).unwrap();
    }
    assert!(withdrawn > 3 * table.real / 200, "{withdrawn} withdrawals");
    assert!(announced > table.keys.len() + 3 * table.real / 200, "{announced} announcements");
}

#[test]
fn a_missing_stale_or_wrong_route_is_seen() {
    let (table, feeds) = announced(1);
    let bodies = through_router(&feeds.bytes[0]);
    let set = &table.sets[0];
    let prefix = table.keys[table.members(0)[0] as usize];
    let good = wire::path_value(&[feed::ROUTER_ASN, feed::asn(0)], &set.path);
    let bad = wire::path_value(&[feed::ROUTER_ASN], &[4_000_000_000]);
    let announce = |path: &[u8], next_hop: u32, key: u64| {
        let mut out = Vec::new();
        let attributes = wire::attributes(set, path, next_hop);
        wire::announce(&attributes, std::iter::once(key), &mut out);
        out[19..].to_vec()
    };
    let mut gone = Vec::new();
    wire::withdraw(std::iter::once(prefix), &mut gone);
    let ghost = table.keys[table.real];
    let wrongs = [
        (gone[19..].to_vec(), "is missing"),
        (announce(&good, feed::ROUTER + 9, prefix), "nobody sent"),
        (announce(&bad, feed::ROUTER, prefix), "nobody sent"),
        (announce(&good, feed::ROUTER, ghost), "is stale"),
        (announce(&good, feed::ROUTER, wire::key(0x0900_0000, 9)), "which nobody sent"),
    ];
    for (body, says) in wrongs {
        let mut held = Held::new(&feeds.model, 1);
        learn(&mut held, &bodies);
        assert!(held.complete());
        held.update(&body).unwrap();
        assert!(!held.complete());
        assert!(held.complaint().contains(says), "{}", held.complaint());
    }
}

#[test]
fn after_the_withdrawal_nothing_is_held() {
    let (table, feeds) = announced(2);
    let gone = feed::withdraw(&table, &feeds.model, 2);
    let mut held = Held::new(&feeds.model, 2);
    for bytes in &feeds.bytes {
        learn(&mut held, &through_router(bytes));
    }
    held.expect(Arc::clone(&gone.model));
    assert!(!held.complete());
    for bytes in &gone.bytes {
        learn(&mut held, &through_router(bytes));
    }
    assert!(held.complete(), "{}", held.complaint());
}

#[test]
fn of_eight_senders_the_first_has_the_shortest_paths() {
    let table = table();
    let feeds = feed::same(&table, 8);
    let mut held = Held::new(&feeds.model, 8);
    for bytes in feeds.bytes.iter().skip(1) {
        learn(&mut held, &through_router(bytes));
    }
    assert!(!held.complete());
    learn(&mut held, &through_router(&feeds.bytes[0]));
    assert!(held.complete(), "{}", held.complaint());
}

#[test]
fn malformed_bytes_are_refused_and_never_panic() {
    let (_, feeds) = announced(1);
    let bytes = &feeds.bytes[0][..40_000];
    assert!(wire::frame(&[0xff; 19]).unwrap().is_none());
    assert_eq!(wire::frame(&[0; 19]).unwrap_err(), wire::Broken);
    for start in 0..2_000 {
        let body = &bytes[start..start + 300];
        if let Ok([withdrawn, attributes, nlri]) = wire::parts(body) {
            let _ = wire::prefixes(withdrawn, |_| {});
            let _ = wire::path_and_next_hop(attributes);
            let _ = wire::prefixes(nlri, |_| {});
        }
    }
}

#[test]
fn paths_come_out_of_a_table_dump() {
    let entry = |attributes: &[u8]| {
        let mut body = vec![0; 20];
        body.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
        body.extend_from_slice(attributes);
        let mut out = vec![0, 0, 0, 0, 0, 12, 0, 1];
        out.extend_from_slice(&(body.len() as u32).to_be_bytes());
        out.extend_from_slice(&body);
        out
    };
    let sequence = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 2, 0x0b, 0x62, 0, 7];
    let set = [0x40, 2, 4, 1, 1, 0, 7];
    let private = [0x40, 2, 4, 2, 1, 0xff, 0xf0];
    let all = [entry(&sequence), entry(&set), entry(&private), entry(&sequence)].concat();
    assert_eq!(real::parse(&all), vec![vec![2914, 7]]);
    assert_eq!(real::parse(&all[..all.len() - 1]).len(), 1);
}

#[test]
fn templates_repeat_and_choose() {
    let text = "a\n# @each peer\np {address} {asn} {number}\n# @end\n# @if kernel\nk\n# @end\n\
                # @if no kernel\nn\n# @end\nz\n";
    assert_eq!(
        render(text, Shape { peers: 2, kernel: true }),
        "a\np 10.0.1.1 65001 0\np 10.0.1.2 65002 1\nk\nz\n"
    );
    assert_eq!(render(text, Shape { peers: 0, kernel: false }), "a\nn\nz\n");
}

#[test]
fn medians_and_ratios() {
    let spread = |values: &[f64]| Spread::of(values.to_vec()).unwrap();
    assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
    assert_eq!(spread(&[1.0, 2.0]).median, 1.5);
    assert!(Spread::of(Vec::new()).is_none());
    assert_eq!(spread(&[1.0, 1.0]).ratio(spread(&[2.0, 2.0])), 0.5);
    // Ours lies among theirs, so nobody can say who is faster.
    assert_eq!(spread(&[1.0, 1.1]).ratio(spread(&[0.9, 2.0, 2.1])), 1.0);
}

#[test]
fn who_is_far_behind_is_not_run_again() {
    let mut figures = Figures::default();
    let mut run = |row, subject, seconds| {
        figures.put(row, subject, 10, Measure { seconds, usage: Usage::default() });
    };
    let [sart, bird, gobgp] = [Daemon::Sart, Daemon::Bird, Daemon::Gobgp].map(Subject::Daemon);
    run(Row::Announce, Subject::Generator, 0.1);
    run(Row::Announce, sart, 1.0);
    run(Row::Announce, bird, 25.0);
    run(Row::Announce, gobgp, 25.1);
    run(Row::Withdraw, bird, 100.0);
    let behind = figures.far_behind(&[Row::Announce].into());
    assert_eq!(behind.into_iter().collect::<Vec<_>>(), [gobgp]);
}

#[test]
fn gateways_of_a_table_follow_its_sets() {
    let table = table();
    let (bytes, want) = feed::gateways(&table, |set| 0x0a00_0801 + (set % 10) as u32);
    assert_eq!(want.iter().filter(|gateway| **gateway != 0).count(), table.real);
    assert_eq!(want.iter().collect::<HashSet<_>>().len(), 11);
    assert!(wire::frame(&bytes).unwrap().is_some());
}

#[test]
fn the_listener_follows_routes_in_a_namespace_of_its_own() {
    if !crate::sys::is_root() {
        eprintln!("skipped: namespaces need root");
        return;
    }
    // A thread of its own: the rest of the process stays in the machine's namespace.
    let done = std::thread::spawn(|| {
        super::cell::enter_own_network().unwrap();
        let table = Table::generate(3, 2_000, &[vec![1]]);
        let (_, want) = feed::gateways(&table, |_| 0x7f00_0002);
        let open = super::netlink::open;
        let mut monitor = kernel::Monitor::new(open(true).unwrap(), &table.keys);
        monitor.expect(want.clone());
        assert!(!monitor.complete());
        // There is no such link: the writer must say so.
        let refused = kernel::write_raw(&open(false).unwrap(), &table.keys, &want, 999);
        assert!(refused.is_err());
        monitor.ask().unwrap();
        monitor.read().unwrap();
        assert!(monitor.complaint().contains("0 of 2000"), "{}", monitor.complaint());
    });
    done.join().unwrap();
}

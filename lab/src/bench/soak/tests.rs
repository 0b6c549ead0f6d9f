use std::time::{Duration, Instant};

use super::churn::Churn;
use super::markers::Markers;
use super::others::numbers;
use crate::bench::SEED;
use crate::bench::feed::{self, Way};
use crate::bench::model::{Held, Index, Model, Sight};
use crate::bench::table::Table;
use crate::bench::wire;

fn table() -> Table {
    let paths: Vec<Vec<u32>> = (1..400).map(|n| vec![n, n + 1]).collect();
    Table::generate(SEED, 3_000, &paths)
}

/// Hands every UPDATE of a stream to a receiver as a router in between would.
fn feed(held: &mut Held, mut bytes: &[u8], sender: usize) {
    while let Some((kind, body, size)) = wire::frame(bytes).expect("a stream") {
        assert_eq!(kind, wire::UPDATE);
        let [withdrawn, attributes, nlri] = wire::parts(body).expect("an UPDATE");
        let mut out = Vec::new();
        let list = |bytes: &[u8]| {
            let mut keys = Vec::new();
            wire::prefixes(bytes, |key| keys.push(key)).expect("prefixes");
            keys.into_iter()
        };
        wire::withdraw(list(withdrawn), &mut out);
        if !nlri.is_empty() {
            let (path, next_hop) = wire::path_and_next_hop(attributes).expect("attributes");
            assert_eq!(next_hop, feed::address(sender));
            let numbers: Vec<u32> =
                path[2..].chunks(4).map(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]])).collect();
            let set = wire::Set::default();
            let path = wire::path_value(&[feed::ROUTER_ASN], &numbers);
            wire::announce(&wire::attributes(&set, &path, feed::ROUTER), list(nlri), &mut out);
        }
        let mut rest = out.as_slice();
        while let Some((_, body, size)) = wire::frame(rest).expect("a stream") {
            held.update(body).expect("an UPDATE");
            rest = &rest[size..];
        }
        bytes = &bytes[size..];
    }
}

#[test]
fn the_model_knows_where_changes_end_and_all_comes_back() {
    let table = table();
    let feeds = feed::announce(&table, 2, Way::Router, SEED);
    let mut held = Held::new(&feeds.model, 2);
    for (sender, bytes) in feeds.bytes.iter().enumerate() {
        feed(&mut held, bytes, sender);
    }
    assert!(held.complete(), "{}", held.complaint());

    let mut churn = Churn::new(&table, 2, SEED);
    let mut made = 0;
    for round in 0..200 {
        let mut out = Vec::new();
        made += churn.changes(round % 2, 50, &mut out);
        feed(&mut held, &out, round % 2);
    }
    assert!(made >= 200 * 50);
    assert!(!held.complete(), "changes change something");
    let mut paths = feeds.model.paths.clone();
    let want = churn.want(&feeds.model.want, &mut paths);
    let gone = want[..table.real].iter().filter(|path| **path == 0).count();
    assert!((1..table.real / 50).contains(&gone), "{gone} are withdrawn");
    let model = Model {
        keys: table.keys.clone(),
        index: Index::new(&table.keys),
        paths,
        next_hop: feeds.model.next_hop,
        want,
        from: feeds.model.from.clone(),
    };
    held.expect(model.into());
    assert!(held.complete(), "{}", held.complaint());

    for sender in 0..2 {
        let mut out = Vec::new();
        churn.restore(sender, &mut out);
        feed(&mut held, &out, sender);
    }
    held.expect(feeds.model.clone());
    assert!(held.complete(), "{}", held.complaint());
}

#[test]
fn markers_are_timed_once_each_receiver_has_seen_them() {
    let table = table();
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    let mut markers = Markers::new(&table, 1, 2);
    let count = markers.prefixes().len();
    assert_eq!(count, 30);
    let mut out = Vec::new();
    markers.send(0, start, &mut out);
    let one = out.len();
    assert!(one > 0);
    markers.send(0, after(19), &mut out);
    assert_eq!(out.len(), one, "the next is not due yet");
    let sight = |present, ms| Sight { prefix: table.real, present, at: after(ms) };
    markers.seen(0, &[sight(false, 1), sight(true, 5), sight(true, 6)]);
    markers.seen(1, &[sight(true, 9)]);

    // All others and the first once more: it goes. The second one's news is under way still.
    markers.send(0, after(20 * count as u64 + 20), &mut out);
    markers.seen(0, &[sight(false, 20 * count as u64 + 30)]);
    assert!(markers.ways().is_err(), "some are under way");

    let mut markers = Markers::new(&table, 1, 1);
    markers.send(0, start, &mut out);
    markers.seen(0, &[sight(true, 5)]);
    assert!(!markers.leave(0).is_empty());
    markers.seen(0, &[Sight { prefix: table.real, present: false, at: Instant::now() }]);
    let ways = markers.ways().expect("all are through");
    assert_eq!((ways.count(), ways.late), (2, 0));
    assert!(ways.per_mille(500) <= ways.per_mille(990));
    assert!(ways.per_mille(1000) >= Duration::from_millis(5));
}

#[test]
fn a_list_of_cores_is_read() {
    assert_eq!(numbers("\t0-2,5\n"), [0, 1, 2, 5]);
    assert_eq!(numbers("3"), [3]);
    assert_eq!(numbers("x"), [0; 0]);
}

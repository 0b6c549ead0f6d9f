//! The fuzzers' corpora, replayed without a fuzzer, and their first seeds.

#![allow(clippy::unwrap_used)]

#[path = "fuzz/bodies.rs"]
mod bodies;
#[path = "../../../fuzz/replay.rs"]
mod corpora;
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

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

/// Both messages, and a link on which a neighbor comes, goes and is replaced.
fn first() -> Vec<seeds::Seed> {
    let advertisement = neighbor_discovery::advertisement();
    let with_options = [&advertisement[..], &[1, 1, 2, 3, 4, 5, 6, 7], &[5; 40]].concat();
    let steps: &[&[u8]] = &[
        &[0, 3],
        // Two neighbors; the second waits for the first one's silence.
        &[5, 0, 0, 0, 3, 5, 1, 0, 9, 2, 0x80, 0, 5, 1, 0, 9],
        // Its lifetime ends.
        &[3, 3, 3, 3, 3],
        // A question, a wrong hop limit, a wrong address, bytes, and the link goes.
        &[4, 0, 3, 4, 0x41, 5, 0x80, 0, 0, 6, 0, 3, 134, 0, 0, 1, 0],
    ];
    vec![
        ("discovery_message", "solicitation", neighbor_discovery::solicitation()),
        ("discovery_message", "advertisement", advertisement),
        ("discovery_message", "options", with_options),
        ("discovery_link", "neighbors", steps.concat()),
    ]
}

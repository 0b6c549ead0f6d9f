//! The fuzzers' corpora, replayed without a fuzzer, and their first seeds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

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
    seeds::damage(bodies::ALL, &first(), 100);
}

/// Speakers that meet, lose each other in each way, and are told something else meanwhile.
fn first() -> Vec<seeds::Seed> {
    let seed = |name, parts: &[&[u8]]| ("speaker_scenario", name, parts.concat());
    // What a host does has its number, and whom it is about, in the upper half.
    let (one, two) = (0x10, 0x20);
    let meet: &[u8] = &[15, 40];
    vec![
        seed("calm", &[&[0b10_01]]),
        seed("pieces", &[&[5], &[0, 0, 0, 0, 2, 0, 19, 2, 1, 40, 2, 2, 200, 3, 3, 6, 20, 7, 7, 7]]),
        seed("rules", &[&[0xFF], meet, &[9, 7, one | 9, 14, two | 9, 3, 15, 4, 9, 0, 8, 0]]),
        seed("broken", &[&[3], meet, &[4, 0, 4, 1, 15, 1, 5, 0, 5, 3, 6, 200, 7, 7, 3, 1]]),
        seed("resets", &[&[9], meet, &[10, 0, 10, 1, one | 10, 2, two | 10, 3, 2, 1, 30, 15, 2]]),
        seed("peers", &[&[1], meet, &[11, 15, 9, 8, 63, 11, one | 11, 15, 60, two | 11, 12]]),
        seed("restarts", &[&[7], meet, &[14, 1, 15, 9, one | 14, 0, 14, 3, 6, 9, two | 14, 2]]),
        seed("links", &[&[7], meet, &[13, 0, 15, 1, one | 13, 0, 13, 1, 1, 0, 1, 1, 6, 99, 7]]),
    ]
}

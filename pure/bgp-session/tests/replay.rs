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

/// Sessions that come up on either connection or both, end in each way, and are kept and forgotten.
fn first() -> Vec<seeds::Seed> {
    let seed = |target, name, parts: &[&[u8]]| (target, name, parts.concat());
    // Started, dialled, the peer's OPEN with graceful restart, and its KEEPALIVE.
    let up: &[u8] = &[0, 3, 19, 0b1000_0010, 21, 0];
    let both: &[u8] = &[0, 3, 4, 20, 0, 19, 0, 21, 0, 21, 1];
    let raw: &[u8] = &[23, 0, 2, 4, 0, 0, 0, 0, 23, 0, 0xFF, 2, 1, 2];
    vec![
        seed("session_fsm", "up", &[&[0, 0], up, &[22, 0, 0, 22, 0, 2, 18, 18, 18]]),
        seed("session_fsm", "kept", &[&[0, 0x10], &[0, 3, 19, 0x8A, 21, 0, 7, 0, 18, 18, 18]]),
        seed("session_fsm", "collision", &[&[0, 0], both, &[18, 17, 1, 0, 22, 1, 6, 2]]),
        seed("session_fsm", "bytes", &[&[0, 0], up, raw, &[18, 18]]),
        seed(
            "session_fsm",
            "people",
            &[&[0, 0], up, &[14, 0x80, 0, 14, 0, 0, 13, 1, b'x', 12, 0, 9]],
        ),
        seed("session_fsm", "bfd", &[&[0, 0], up, &[10, 0, 11, 9, 0, 9, 16, 15, 1, 1, 0, 2]]),
        seed("session_pair", "found", &[&[0], &[4, 0, 4, 1, 14, 15, 0, 15, 9]]),
        seed(
            "session_pair",
            "pieces",
            &[&[1], &[4, 0, 0, 0, 9, 128, 0, 40, 0, 0, 200, 128, 0, 3, 14]],
        ),
        seed(
            "session_pair",
            "broken",
            &[&[0], &[14, 7, 0, 15, 3, 8, 0, 8, 1, 15, 200, 15, 0, 12, 140]],
        ),
        seed(
            "session_pair",
            "lies",
            &[&[4], &[4, 0, 9, 0, 30, 7, 14, 9, 0, 16, 0, 14, 10, 15, 7, 139]],
        ),
    ]
}

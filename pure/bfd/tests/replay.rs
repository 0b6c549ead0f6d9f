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

/// Packets of each kind, and sessions that come up, are changed, lost and left.
fn first() -> Vec<seeds::Seed> {
    // Version 1, Up with P, multiplier 3, both discriminators, 50 ms each way.
    let packet = [0x20, 0xE0, 3, 24, 0, 0, 0, 9, 0, 0, 0, 7, 0, 0, 0xC3, 0x50, 0, 0, 0xC3, 0x50];
    let packet = [&packet[..], &[0; 4]].concat();
    let mut signed = [&packet[..], &[1, 9, 1, b's', b'e', b'c', b'r', b'e', b't']].concat();
    (signed[1], signed[3]) = (signed[1] | 4, 33);
    // Wanted, the neighbor Down without our name, then Init, then Up; Up with P; silence.
    let up = [0, 1, 0, 0, 2, 5, 0, 1 | 64, 12, 5, 0, 2, 12, 2, 5, 0, 3, 12, 5, 0, 3 | 4, 12];
    let all = [0, 15, 0, 0, 0x1B, 0, 2, 32, 3, 4, 2, 5, 1, 1 | 64, 0, 5, 2, 2, 63, 5, 3, 3, 16];
    let changed = [0, 1, 0x1B, 2, 5, 0, 3 | 8, 12, 2, 0, 1, 0, 4, 2, 0, 1, 0, 0, 0, 0];
    let raw = [&[4, 0, 24][..], &packet, &[4, 9, 3, 0x20, 0, 0]].concat();
    vec![
        ("bfd_packet", "up", packet.clone()),
        ("bfd_packet", "signed", signed),
        ("bfd_machine", "up-and-lost", [&up[..], &[3, 3, 3, 1, 0xFF, 0xFF, 2]].concat()),
        ("bfd_machine", "changed", [&up[..], &changed].concat()),
        ("bfd_machine", "full", [&all[..], &[2, 2, 0, 8, 0, 0, 1, 1, 0]].concat()),
        ("bfd_machine", "bytes", [&up[..], &raw].concat()),
    ]
}

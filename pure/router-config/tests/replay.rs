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

/// Small documents that together have each part.
fn first() -> Vec<seeds::Seed> {
    let texts = [
        (
            "router",
            "asn: 65000\nrouter_id: 10.0.0.1\nmulti_path: true\nport: 1179\n\
             grpc: 127.0.0.1:5000\nfib: {table: 254}\ntransit: false\n",
        ),
        (
            "neighbors",
            "neighbors:\n- {address: 10.0.0.2, asn: 65001, hold_time: 9, groups: [a]}\n\
             - address: fe80::2\n  interface: eth0\n  asn: external\n  bfd: {interval: 50}\n  \
             password: \"se\\\"cret: 1\"\n  shutdown: 'moving: back at 5'\n  \
             max_prefixes: {ipv4: {limit: 10, warn_at: 75}, ipv6: 9}\n  add_path: true\n",
        ),
        (
            "paths",
            "paths:\n- prefixes: [10.1.0.0/16, 'fd00::/48']\n  attributes: {origin: igp, med: 5, \
             communities: [65000:1, no-export], large_communities: '1:2:3'}\n  groups: [a]\n",
        ),
        (
            "policies",
            "policies:\n  p:\n  - match: {communities: {any: [1:1]}, med: 1..7}\n    \
             set: {prepend: 2, local_pref: 50}\n    action: accept\nneighbors: [{address: 10.0.0.1, \
             asn: 1, import: [p]}]\n",
        ),
        ("json", r#"{"asn":65000,"router_id":"10.0.0.1","paths":[{"prefixes":["10.0.0.0/8"]}]}"#),
        (
            "tcp-ao",
            "templates: {t: {asn: external, tcp_ao: {keys: [{id: 0, key: \"a: b\"}]}}}\n\
             neighbors:\n- address: 10.0.0.2\n  asn: 65001\n  tcp_ao:\n    keys:\n    \
             - {id: 1, key_file: /k, algorithm: hmac-sha1-96}\n    \
             - {send_id: 2, recv_id: 3, key: k, algorithm: aes-128-cmac-96}\n    \
             include_options: false\n- {interface: eth0, template: t}\n",
        ),
        ("refused", "asn: 0\nneighbours: []\nneighbors: [{asn: x}, {asn: x}]\n"),
    ];
    texts.map(|(name, text)| ("config_document", name, text.as_bytes().to_vec())).to_vec()
}

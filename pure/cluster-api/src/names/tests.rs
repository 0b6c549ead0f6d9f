use std::net::IpAddr;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn names_are_the_ones_users_know() {
    assert_eq!(block("default-pod", 0), "default-pod-0");
    assert_eq!(block("p", 31), "p-31");
    assert_eq!(
        peer(Some("spine0"), "sart-worker", 65001, ip("9.9.9.9")),
        "spine0-sart-worker-65001-9.9.9.9"
    );
    assert_eq!(peer(None, "sart-worker", 65001, ip("9.9.9.9")), "sart-worker-65001-9.9.9.9");
    assert_eq!(
        peer(Some("t"), "n", 65000, ip("fd00::1")),
        "t-n-65000-fd00-0000-0000-0000-0000-0000-0000-0001"
    );
    assert_eq!(claim(ip("10.0.1.0")), "10.0.1.0");
    assert_eq!(claim(ip("2001:db8::")), "2001-0db8-0000-0000-0000-0000-0000-0000");
    assert_eq!(advertisement("web", ip("10.0.1.7")), "web-10.0.1.7");
}

#[test]
fn a_long_name_is_cut_and_keeps_apart() {
    let (a, b) = ("a".repeat(252), "b".repeat(252));
    let name = joined(&[&a, "1"]);
    assert_eq!(name.len(), MAX);
    assert_ne!(name, joined(&[&a, "2"]));
    assert_ne!(name, joined(&[&b, "1"]));
    assert_eq!(name, joined(&[&a, "1"]));
    assert_eq!(joined(&[&a]), a, "252 characters fit");
}

#[test]
fn a_hash_knows_where_a_part_ends() {
    // Both join to `a-b-c`.
    assert_ne!(hashed(&["a-b", "c"]), hashed(&["a", "b-c"]));
    // Golden: stored names must not change with the code.
    assert_eq!(hashed(&["a-b", "c"]), "a-b-c-f03bd84a");
}

#[test]
fn a_label_has_63_characters_at_most() {
    assert_eq!(label("sart-worker"), "sart-worker");
    assert_eq!(label(&"n".repeat(64)).len(), LABEL_MAX);
    let dotted = format!("{}.{}", "n".repeat(53), "m".repeat(30));
    assert!(!label(&dotted).contains(".-"), "a label's value has no '.' before '-'");
}

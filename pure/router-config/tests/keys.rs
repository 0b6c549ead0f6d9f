//! An unknown key is told with the known one that it is nearest to.

#![allow(clippy::unwrap_used)]

use router_config::{Document, Reason};

/// What is said of a document's only problem, before the list of keys.
fn told(text: &str) -> String {
    let problems = Document::parse(text, "r").unwrap_err();
    let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
    assert_eq!(problem.reason, Reason::UnknownKey, "{text}");
    problem.message.split_once("; there are: ").unwrap().0.to_owned()
}

#[test]
fn a_misspelt_key_is_told_with_the_nearest() {
    for (key, meant) in [
        ("neighbours", "neighbors"),
        ("nieghbors", "neighbors"),
        ("routerId", "router_id"),
        ("router-id", "router_id"),
        ("multipath", "multi_path"),
        ("ans", "asn"),
    ] {
        let expect = format!("unknown key `{key}` (did you mean `{meant}`?)");
        assert_eq!(told(&format!("{key}: 1")), expect);
    }
    let peer = |key: &str| told(&format!("neighbors: [{{address: 10.0.0.1, asn: 1, {key}: 9}}]"));
    assert_eq!(peer("hold_tme"), "unknown key `hold_tme` (did you mean `hold_time`?)");
    assert_eq!(peer("Next-Hop"), "unknown key `Next-Hop` (did you mean `next_hop`?)");
}

#[test]
fn nothing_is_guessed_of_another_word() {
    for key in ["speed", "x", "as", "vrf"] {
        assert_eq!(told(&format!("{key}: 1")), format!("unknown key `{key}`"));
    }
    let long = "n".repeat(1_000);
    assert_eq!(told(&format!("{long}: 1")), format!("unknown key `{long}`"));
}

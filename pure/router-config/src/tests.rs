use inet::{Asn, Family};

use crate::{AttributeSet, Document, GracefulRestart, Neighbor, PathGroup};

/// Parses and compares the problems, one a line.
#[track_caller]
fn refused(text: &str, expect: &str) {
    let problems = Document::parse(text, "r.yaml").expect_err("the document was accepted");
    let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(got.join("\n"), expect.trim());
}

#[track_caller]
fn accepted(text: &str) -> Document {
    match Document::parse(text, "r.yaml") {
        Ok(document) => document,
        Err(problems) => panic!("refused: {problems:?}"),
    }
}

const V01: &str = r#"
asn: 65000
router_id: 10.0.0.2
multi_path: true
fib_endpoint: localhost:5001
exporter: localhost:5002
neighbors:
  - {name: spine0, asn: 65010, router_id: 10.0.0.3, address: 10.0.0.3, passive: false}
paths:
  - {prefixes: [10.0.10.0/24], attributes: {origin: igp, local_pref: "100"}}
"#;

#[test]
fn the_file_of_v01_is_read_unchanged() {
    let document = accepted(V01);
    assert_eq!(document.asn, Asn::new(65000).ok());
    assert_eq!(document.fib_table(), Some(254));
    assert_eq!(document.paths[0].attributes.local_pref, Some(100));
    let desired = document.desired("r.yaml").unwrap();
    let global = desired.global.unwrap();
    assert!(global.multi_path == bgp_speaker::Multipath::ALL && global.transit);
    assert_eq!(desired.peers[0].session.hold_time, 90);
    assert_eq!(desired.peers[0].session.name.as_deref(), Some("spine0"));
    assert_eq!(desired.originate[0].prefix.to_string(), "10.0.10.0/24");
}

#[test]
fn json_is_read_too() {
    let document =
        accepted(r#"{"asn": 65000, "neighbors": [{"address": "fd00::1", "asn": "1.5"}]}"#);
    assert_eq!(document.neighbors[0].asn.get(), 65541);
}

#[test]
fn what_is_written_is_read_back() {
    let mut neighbor = Neighbor::new("fd00::1".parse().unwrap(), Asn::new(4_200_000_000).unwrap());
    neighbor.name = Some("no".to_owned());
    neighbor.families = Some([Family::Ipv6].into());
    neighbor.graceful_restart = Some(GracefulRestart { enabled: Some(false), restart_time: None });
    neighbor.groups = ["1.5".to_owned(), "a: b".to_owned()].into();
    neighbor.hold_time = Some(9);
    let document = Document {
        asn: Asn::new(65000).ok(),
        router_id: "10.0.0.2".parse().ok(),
        transit: Some(false),
        fib: Some(crate::Fib { table: 254 }),
        grpc: "[::1]:5000".parse().ok(),
        neighbors: vec![neighbor],
        paths: vec![PathGroup {
            attributes: AttributeSet {
                origin: Some(bgp_packet::Origin::Incomplete),
                communities: vec![65000 << 16 | 100, bgp_packet::community::NO_EXPORT],
                large_communities: vec![[1, 2, u32::MAX]],
                ..AttributeSet::default()
            },
            ..PathGroup::new(["10.0.0.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()])
        }],
        ..Document::default()
    };
    let text = document.to_yaml().unwrap();
    assert_eq!(accepted(&text), document, "{text}");
    assert_eq!(accepted(&Document::default().to_yaml().unwrap()), Document::default());
    let v01 = accepted(V01);
    assert_eq!(accepted(&v01.to_yaml().unwrap()), v01);
}

#[test]
fn each_problem_has_its_place_and_all_are_found() {
    refused(
        "asn: 0\nrouter_id: 10.0.0\nspeed: fast\nneighbors:\n  - {address: 10.0.0.1, asn: 1, bfd: 7}\n  - address: 10.0.0.2\n    hold_time: 2\n    passive: yes\n",
        r#"
r.yaml:1:6: asn: AS number 0 is reserved (bad-value)
r.yaml:2:12: router_id: not a router id: "10.0.0" (bad-value)
r.yaml:3:1: unknown key `speed`; there are: asn, router_id, cluster_id, multi_path, transit, require_policy, default_local_pref, port, grpc, health_port, fib, fib_endpoint, fib_table, exporter, endpoint, channels, prefix_lists, community_lists, as_path_lists, policies, templates, neighbors, dynamic_neighbors, redistribute, aggregates, bmp, mrt, paths (unknown-key)
r.yaml:5:38: bfd: 7 is not a mapping (bad-value)
r.yaml:6:5: `asn` is missing (missing)
r.yaml:7:16: hold_time: it is 0 or at least 3 seconds (bad-value)
r.yaml:8:14: passive: "yes" is not true or false (bad-value)
"#,
    );
}

#[test]
fn doubles_are_refused() {
    refused(
        "asn: 1\nasn: 2\nneighbors:\n- {address: 10.0.0.1, asn: 1, name: a}\n- {address: 10.0.0.1, asn: 2, name: a}\npaths:\n- {prefixes: [10.0.0.0/8, 10.0.0.0/8]}\n",
        r#"
r.yaml:2:1: the key `asn` is there twice (doubled)
r.yaml:5:3: neighbor 10.0.0.1 is there twice, first on line 4 (doubled)
r.yaml:5:3: the name "a" is there twice, first on line 4 (doubled)
r.yaml:7:27: prefix 10.0.0.0/8 is there twice, first on line 7 (doubled)
"#,
    );
}

#[test]
fn impossible_values_are_refused() {
    refused(
        "neighbors:\n- {address: fe80::1, asn: 1}\n- {address: 224.0.0.1, asn: 1}\n- {address: 10.0.0.1, asn: 1, local_address: 'fd00::1'}\n- {address: 10.0.0.2, asn: 1, hold_time: 3, keepalive_time: 4}\n- {address: 10.0.0.3, asn: 1, families: []}\n- {address: 10.0.0.4, asn: 1, graceful_restart: {restart_time: 4096}}\n",
        r#"
r.yaml:2:13: address: fe80::1: a link-local address needs an `interface` (bad-value)
r.yaml:3:13: address: 224.0.0.1: no host has this address (bad-value)
r.yaml:4:46: local_address: fd00::1 is not of the family of 10.0.0.1 (bad-value)
r.yaml:5:61: keepalive_time: it is more than the hold time, 3 (bad-value)
r.yaml:6:41: families: at least one is needed (bad-value)
r.yaml:7:64: restart_time: 4096 is not a number from 1 to 4095 (bad-value)
"#,
    );
    refused(
        "paths:\n- prefixes: [10.0.0.1/24]\n  attributes: {origin: x, med: -1, communities: ['1:70000']}\n",
        r#"
r.yaml:2:14: prefixes: 10.0.0.1/24 has host bits set (did you mean 10.0.0.0/24?) (bad-value)
r.yaml:3:24: origin: "x" is not an origin (igp, egp or incomplete) (bad-value)
r.yaml:3:32: med: -1 is not a number from 0 to 4294967295 (bad-value)
r.yaml:3:50: communities: "1:70000" is not a community (65000:100, or a well-known name such as no-export) (bad-value)
"#,
    );
}

#[test]
fn a_keepalive_equal_to_the_hold_time_is_accepted() {
    accepted("neighbors: [{address: 10.0.0.1, asn: 1, hold_time: 30, keepalive_time: 30}]");
}

#[test]
fn syntax_errors_have_a_place() {
    let problems = Document::parse("asn: [1\nb: 2\n", "r.yaml").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].place.is_some(), "{problems:?}");
    assert_eq!(problems[0].reason, crate::Reason::Syntax);
    let not_a_map = Document::parse("- 1\n", "r.yaml").unwrap_err();
    assert_eq!(
        not_a_map[0].to_string(),
        "r.yaml:1:1: the document: a list is not a mapping (bad-value)"
    );
}

#[test]
fn asn_and_router_id_come_together() {
    let document = accepted("asn: 65000");
    let problem = document.desired("r.yaml").unwrap_err();
    assert_eq!(
        problem.to_string(),
        "r.yaml: `router_id` is missing: it comes together with `asn` (missing)"
    );
    assert!(accepted("").desired("r.yaml").unwrap().global.is_none());
    assert!(accepted("# nothing\n").is_empty());
}

#[test]
fn a_document_laid_over_replaces_what_it_names() {
    let mut document = accepted(V01);
    document.merge(accepted(
        "multi_path: false\nneighbors: [{address: 10.0.0.3, asn: 7}, {address: 10.0.0.4, asn: 8}]\npaths: [{prefixes: [10.0.10.0/24, 10.0.11.0/24], attributes: {med: 5}}]",
    ));
    let expect = accepted(
        r#"
asn: 65000
router_id: 10.0.0.2
multi_path: false
fib_endpoint: localhost:5001
exporter: localhost:5002
neighbors: [{address: 10.0.0.3, asn: 7}, {address: 10.0.0.4, asn: 8}]
paths: [{prefixes: [10.0.10.0/24, 10.0.11.0/24], attributes: {med: 5}}]
"#,
    );
    assert_eq!(document, expect);
    assert!(document.remove_neighbor(&"10.0.0.4".parse().unwrap()));
    assert!(!document.remove_neighbor(&"10.0.0.4".parse().unwrap()));
    assert!(document.remove_path(&"10.0.10.0/24".parse().unwrap()));
    assert!(!document.remove_path(&"10.0.10.0/24".parse().unwrap()));
    assert_eq!(document.paths[0].prefixes.len(), 1);
    assert!(document.remove_path(&"10.0.11.0/24".parse().unwrap()));
    assert!(document.paths.is_empty());
}

#[test]
fn a_difference_is_told_in_words() {
    let old = accepted(
        "asn: 1\nneighbors: [{address: 10.0.0.1, asn: 1}, {address: 10.0.0.2, asn: 1}, {address: 10.0.0.3, asn: 1}]\npaths: [{prefixes: [10.1.0.0/24, 10.2.0.0/24]}]",
    );
    let new = accepted(
        "asn: 2\nfib: {}\nneighbors: [{address: 10.0.0.1, asn: 2, name: a}, {address: 10.0.0.2, asn: 1, groups: [x]}, {address: 10.0.0.4, asn: 1}]\npaths: [{prefixes: [10.1.0.0/24], attributes: {med: 1}}, {prefixes: [10.3.0.0/24]}]",
    );
    let diff = old.diff(&new);
    assert_eq!(
        diff.changes,
        [
            "asn: 1 → 2",
            "fib.table: not set → 254",
            "neighbor 10.0.0.1: asn, name changed",
            "neighbor 10.0.0.2: groups changed",
            "neighbor 10.0.0.4 AS 1 is added",
            "neighbor 10.0.0.3 is removed",
            "path 10.1.0.0/24 has other attributes",
            "path 10.3.0.0/24 is added",
            "path 10.2.0.0/24 is removed",
        ]
    );
    let resets: Vec<_> = diff.resets.iter().map(|(a, why)| format!("{a}: {why}")).collect();
    assert_eq!(resets, ["10.0.0.1: asn changed", "10.0.0.3: it is removed"]);
    assert!(new.diff(&new).is_empty());
    // Written out or left out, a default is the same.
    let default = accepted("neighbors: [{address: 10.0.0.1, asn: 1, hold_time: 90}]");
    assert!(accepted("neighbors: [{address: 10.0.0.1, asn: 1}]").diff(&default).is_empty());
}

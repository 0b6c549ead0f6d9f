//! Policies in the document: read, written, read again; and what is refused, with its place.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use router_config::Document;

#[track_caller]
fn accepted(text: &str) -> Document {
    match Document::parse(text, "r.yaml") {
        Ok(document) => document,
        Err(problems) => panic!("refused: {problems:?}"),
    }
}

#[track_caller]
fn refused(text: &str, expect: &[&str]) {
    let problems = Document::parse(text, "r").expect_err("it was accepted");
    let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(got, expect, "{text}");
}

const POLICIES: &str = r#"
asn: 65000
router_id: 10.0.0.1
prefix_lists:
  ours: [10.0.0.0/8 ge 16 le 24, "fd00::/8 le 64", {prefix: 192.0.2.0/24}, {prefix: 198.51.100.0/24, ge: 25}]
  nothing: []
community_lists:
  customers: [65000:100, "65000:*", "*:666", no-export, 65000:100-199]
  mixed: [65000:1, 65000:1:2, rt:65000:100]
as_path_lists:
  transit: [^65001 .* 65002$, ^$, 65003, "[64512-65534]"]
policies:
  from-spine:
    statements:
      - name: bogons
        match: {prefix: [ours, 0.0.0.0/0], family: ipv4}
        action: reject
      - match:
          prefix: {any: [ours], none: [10.9.0.0/16 le 24]}
          next_hop: [10.0.0.0/8]
          peer: [10.0.0.1, 10.1.0.0/16, spine0, "group:spines"]
          peer_asn: [65001, 64512..65534]
          learned_from: {none: [fd00::1]}
          source: [ebgp, connected, local]
          origin: [igp, incomplete]
          local_pref: 100..200
          med: 5
          weight: ..10
          communities: {any: [customers], all: [65000:1, blackhole], none: ["65000:9*0"]}
          extended_communities: [rt:65000:*, soo:10.0.0.1:7, raw:4004*, "bandwidth:65000:125000000", "bandwidth:*:*"]
          large_communities: ["65000:*:1-9"]
          community_count: 3..
          as_path: {any: [transit, 65009 .*], none: [^666]}
          as_path_length: ..20
          as_path_contains: [65010]
          origin_as: [65020]
          neighbor_as: [65030..65039]
        set:
          local_pref: {add: 10}
          med: {subtract: 5}
          weight: 7
          origin: egp
          next_hop: self
          prepend: {asn: 65009, count: 3}
          communities: {remove: [customers, "65000:*"], add: [65000:1, no-export]}
          extended_communities: [rt:65000:1, "rt:4200000000:7", "soo:10.0.0.1:5", raw:0102030405060708]
          large_communities: {replace: [65000:1:2], add: [65000:1:3]}
        action: accept
    default: accept
  plain:
    - set: {prepend: 2, med: remove, next_hop: 10.0.0.9, communities: []}
    - set: {next_hop: unchanged, local_pref: 5, discard: true}
    - set: {next_hop: peer}
      action: accept
  empty: {}
"#;

#[test]
fn policies_are_read_and_written() {
    let text = POLICIES.replace("65000:9*0", "65000:9");
    let document = accepted(&text);
    let written = document.to_yaml().unwrap();
    assert_eq!(accepted(&written), document, "{written}");
    let set = document.policies("r").unwrap();
    assert_eq!(set.names().collect::<Vec<_>>(), ["empty", "from-spine", "plain"]);
    let shown = set.get("plain").unwrap().to_string();
    assert_eq!(
        shown,
        "policy plain
  1 set {med: remove, next_hop: 10.0.0.9, prepend: 2, communities: {replace: []}} next
  2 set {local_pref: 5, next_hop: unchanged, discard: true} next
  3 set {next_hop: peer} accept"
    );
    let shown = set.get("from-spine").unwrap().to_string();
    assert!(shown.contains("bogons: match {prefix: [ours, 0.0.0.0/0], family: ipv4} reject"));
    assert!(shown.ends_with("\n  default accept"));
    // Policies that nobody uses have no effect by themselves.
    assert!(document.desired("r").is_ok());
    assert_eq!(document.diff(&accepted("asn: 65000")).changes.len(), 9);
}

#[test]
fn policies_that_cannot_be_are_refused_with_their_place() {
    refused(
        &POLICIES.replace("65000:9*0", "65000:9*"),
        &[
            "r:29:77: communities: \"65000:9*\" is not a pattern of communities (65000:100, 65000:*, 65000:100-199, or a name such as no-export) (bad-value)",
        ],
    );
    let policy = |statement: &str| format!("policies:\n  p:\n  - {statement}\n");
    let cases: &[(&str, &str)] = &[
        ("{match: {prefix: [x]}, action: accept}", "3:23: prefix: there is no prefix list \"x\""),
        ("{match: {as_path: x}, action: accept}", "3:23: as_path: there is no AS path list \"x\""),
        (
            "{match: {communities: [x]}, action: accept}",
            "3:28: communities: there is no community list \"x\"",
        ),
        (
            "{match: {med: 9..1}, action: next}",
            "3:19: med: \"9..1\" is not a number or a range (5, 5..9, 5.., ..9)",
        ),
        ("{match: {med: []}, action: next}", "3:19: med: a list is not a text"),
        ("{match: {prefix: []}, action: next}", "3:22: prefix: at least one is needed"),
        ("{match: {as_path: {}}, action: next}", "3:23: as_path: at least one is needed"),
        (
            "{match: {prefix: {all: [::/0]}}, action: next}",
            "3:23: unknown key `all`; there are: any, none",
        ),
        (
            "{match: {as_path: [1 ^]}, action: next}",
            "3:24: as_path: the pattern \"1 ^\" is wrong at character 3: `^` stands at the beginning, outside of brackets",
        ),
        (
            "{match: {prefix: [10.0.0.0/8 le 7]}, action: next}",
            "3:23: prefix: 10.0.0.0/8 le 7: the lengths must be in the order 8 <= ge <= le <= 32",
        ),
        (
            "{match: {rpki: valid}, action: next}",
            "3:14: unknown key `rpki`; there are: prefix, family, next_hop, peer, peer_asn, learned_from, source, origin, local_pref, med, weight, communities, extended_communities, large_communities, community_count, as_path, as_path_length, as_path_contains, origin_as, neighbor_as",
        ),
        (
            "{match: {source: [bgp]}, action: next}",
            "3:23: source: \"bgp\" is not a source (local, aggregate, ebgp, ibgp, connected, static or kernel)",
        ),
        ("{action: drop}", "3:14: action: \"drop\" is not an action (accept, reject or next)"),
        ("{match: {med: 1}}", "3:5: a statement without `set` needs an `action`"),
        ("{set: {med: 1}, action: reject}", "3:11: set: a rejected route is not changed"),
        ("{set: {med: -10}}", "3:17: med: to take from it, write {subtract: 10}"),
        ("{set: {med: {add: 1, subtract: 2}}}", "3:17: med: either `add` or `subtract` is needed"),
        ("{set: {med: +10}}", "3:17: med: to add to it, write {add: 10}"),
        (
            "{set: {local_pref: remove}}",
            "3:24: local_pref: \"remove\" is not a number from 0 to 4294967295",
        ),
        ("{set: {prepend: 33}}", "3:21: prepend: 33 is not a number from 1 to 32"),
        ("{set: {prepend: {asn: 0}}}", "3:27: asn: \"0\" is not an AS number or `own`"),
        ("{set: {communities: {}}}", "3:25: communities: `replace`, `remove` or `add` is needed"),
        (
            "{set: {next_hop: me}}",
            "3:22: next_hop: \"me\" is not an address, self, peer or unchanged",
        ),
        (
            "{set: {communities: ['65000:*']}}",
            "3:26: communities: \"65000:*\" is not a community (65000:100, or a well-known name such as no-export)",
        ),
        (
            "{set: {communities: {replace: [], remove: ['1:*']}}}",
            "3:47: communities: with `replace` there is nothing to remove",
        ),
    ];
    for (statement, expect) in cases {
        let text = policy(statement);
        let problems = Document::parse(&text, "r").expect_err(statement);
        let got: Vec<String> = problems
            .iter()
            .map(|p| {
                let at = p.place.unwrap();
                format!("{}:{}: {}", at.line, at.column, p.message)
            })
            .collect();
        assert_eq!(got, [*expect], "{statement}");
    }
    refused(
        "community_lists: {mixed: [1:1, 1:2:3]}\npolicies:\n  no-export: []\n  p: [{match: {communities: mixed}, action: accept}]\n  q: {default: maybe}\n",
        &[
            "r:3:3: policies: \"no-export\" is not a name (a letter, then up to 62 letters, digits, -, _ or .; no well-known community) (bad-value)",
            "r:4:29: communities: the community list \"mixed\" has 1:2:3, which is none of `communities` (bad-value)",
            "r:5:16: default: \"maybe\" is not accept or reject (bad-value)",
        ],
    );
}

#[test]
fn a_part_may_name_what_stands_in_the_rest() {
    let part = "policies: {p: [{match: {prefix: ours}, action: accept}]}";
    assert!(Document::parse(part, "r").is_err());
    let part = Document::parse_part(part, "r").unwrap();
    let problem = part.desired("r").unwrap_err();
    assert_eq!(
        problem.to_string(),
        "r: policy \"p\", statement 1, prefix: there is no prefix list \"ours\" (bad-value)"
    );
    let mut whole = accepted("prefix_lists: {ours: [10.0.0.0/8], other: []}");
    whole.merge(part);
    assert!(whole.desired("r").is_ok());
    assert_eq!(accepted(&whole.to_yaml().unwrap()), whole);
    // Only the names are not looked up; all else is.
    assert!(Document::parse_part("policies: {p: [{action: drop}]}", "r").is_err());
}

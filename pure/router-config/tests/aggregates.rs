//! Aggregates in the document.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use bgp_packet::Origin;
use bgp_speaker::{Discard, Origination};
use router_config::Document;

/// Reads, writes, reads.
fn again(text: &str) -> Document {
    let document = accepted(text);
    assert_eq!(accepted(&document.to_yaml().unwrap()), document);
    document
}

fn accepted(text: &str) -> Document {
    Document::parse(text, "r").unwrap()
}

fn refused(text: &str, expect: &[&str]) {
    let problems = Document::parse(text, "r").expect_err("it was accepted");
    let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(got, expect, "{text}");
}

#[test]
fn aggregates_have_attributes_groups_and_a_way_to_drop_the_rest() {
    let document = again(
        r#"
policies: {mark: [{action: accept}]}
aggregates:
  - {prefix: 10.0.0.0/8}
  - prefix: fd00::/16
    summary_only: true
    discard: unreachable
    attributes: {origin: incomplete, local_pref: 50, med: 7, communities: ["65000:1", no-export], large_communities: ["65000:1:2"]}
    policy: mark
    groups: [spines]
  - {prefix: 0.0.0.0/0, discard: none, summary_only: false}
"#,
    );
    let aggregates = document.desired("r").unwrap().aggregates;
    let discards: Vec<_> = aggregates.iter().map(|a| (a.summary_only, a.discard)).collect();
    let (blackhole, unreachable) = (Discard::Blackhole, Discard::Unreachable);
    assert_eq!(discards, [(false, Some(blackhole)), (true, Some(unreachable)), (false, None)]);
    let policies: Vec<_> =
        aggregates.iter().map(|a| a.policy.as_ref().map(|policy| policy.name())).collect();
    assert_eq!(policies, [None, Some("mark"), None]);
    let Origination { origin, local_pref, med, communities, groups, .. } = &aggregates[1].route;
    assert_eq!((*origin, *local_pref, *med), (Origin::Incomplete, Some(50), Some(7)));
    assert_eq!((communities.len(), groups.len()), (2, 1));
    refused(
        "aggregates:\n  - {prefix: 10.0.0.1/8, discard: drop}\n  - {summary_only: 1}\n  - {prefix: 10.0.0.0/8}\n  - {prefix: 10.0.0.0/8, policy: p, attributes: {weight: 1}, only: x}\n",
        &[
            "r:2:14: prefix: 10.0.0.1/8 has host bits set (did you mean 10.0.0.0/8?) (bad-value)",
            "r:2:35: discard: \"drop\" is not one of blackhole, unreachable and none (bad-value)",
            "r:3:5: `prefix` is missing (missing)",
            "r:3:20: summary_only: 1 is not true or false (bad-value)",
            "r:5:5: aggregate 10.0.0.0/8 is there twice (doubled)",
            "r:5:34: policy: there is no policy \"p\" (bad-value)",
            "r:5:50: unknown key `weight`; there are: origin, local_pref, med, multi_exit_disc, communities, large_communities (unknown-key)",
            "r:5:62: unknown key `only`; there are: prefix, summary_only, discard, attributes, policy, groups (unknown-key)",
        ],
    );
    let changed =
        |text| accepted("aggregates: [{prefix: 10.0.0.0/8}]").diff(&accepted(text)).changes;
    assert_eq!(changed("aggregates: [{prefix: 10.0.0.0/8}]"), [""; 0]);
    assert_eq!(
        changed("aggregates: [{prefix: 10.0.0.0/8, discard: none}]"),
        ["aggregates changed"]
    );
}

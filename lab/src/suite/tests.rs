use std::collections::BTreeSet;

use super::audit::Range;
use super::checks::Counted;
use super::rbac::{Right, verdict};
use super::report::{Ending, Tally};
use super::{alone, cases, groups};
use crate::progress::Progress;

#[test]
fn cargo_s_tests_are_counted_by_name() {
    let text = "\
running 5 tests
test a::one ... ok
SKIPPED: two: this kernel has no MD5
test a::two ... ok
test a::three ... FAILED
test a::four ... SKIPPED: four: no namespaces
ok
test src/lib.rs - doc (line 3) ... ok
test slow ... ignored, needs a day
test result: FAILED. 4 passed; 1 failed; 1 ignored
";
    let counted = Counted::read(text);
    assert_eq!(counted.passed, ["a::one", "src/lib.rs - doc (line 3)"]);
    assert_eq!(counted.failed, ["a::three"]);
    assert_eq!(
        counted.skipped,
        [
            ("two".to_owned(), "this kernel has no MD5".to_owned()),
            ("four".to_owned(), "no namespaces".to_owned()),
            ("slow".to_owned(), "ignored, needs a day".to_owned()),
        ]
    );
}

#[test]
fn a_test_that_runs_itself_again_counts_once() {
    let text = "\
     Running tests/a.rs (target/debug/deps/a-1)
running 2 tests
running 1 test
test one ... ok
test result: ok. 1 passed
test one ... ok
test two ... SKIPPED: two: no VRF
ok
test two ... ok
     Running tests/b.rs (target/debug/deps/b-1)
test one ... ok
";
    let counted = Counted::read(text);
    assert_eq!((counted.passed.len(), counted.skipped.len()), (2, 1));
}

#[test]
fn the_last_line_counts() {
    let (progress, took) = (Progress::silent(), std::time::Duration::ZERO);
    let mut tally = Tally::default();
    assert!(tally.is_empty());
    tally.note(&progress, "a", took, Ending::Passed);
    tally.note(&progress, "b", took, Ending::Skipped("no kernel".into()));
    assert!(tally.all_well());
    assert_eq!(tally.to_string(), "skipped:\n  b: no kernel\n1 passed, 0 failed, 1 skipped");
    tally.note(&progress, "c", took, Ending::Failed(anyhow::anyhow!("broken")));
    assert!(!tally.all_well());
    let last = tally.to_string().lines().last().map(str::to_owned);
    assert_eq!(last.as_deref(), Some("1 passed, 1 failed, 1 skipped"));
}

#[test]
fn ranges_contain_what_they_cover() {
    for (range, address, expect) in [
        ("10.1.0.0/29", "10.1.0.7", true),
        ("10.1.0.0/29", "10.1.0.8", false),
        ("10.1.0.0", "10.1.0.0", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("fd00::/124", "fd00::f", true),
        ("fd00::/124", "fd00::10", false),
        ("::/0", "10.1.0.0", false),
    ] {
        let range = Range::parse(range).expect("a range");
        assert_eq!(range.contains(address.parse().expect("an address")), expect, "{range}");
    }
    assert!(Range::parse("default").is_none());
}

fn right(verb: &str, resource: &str) -> Right {
    Right {
        account: "sart-controller".into(),
        group: String::new(),
        resource: resource.into(),
        verb: verb.into(),
    }
}

#[test]
fn a_right_that_nobody_used_is_found() {
    let given = BTreeSet::from([right("get", "nodes"), right("delete", "nodes")]);
    let used = BTreeSet::from([right("get", "nodes")]);
    let error = verdict(&given, &used, &BTreeSet::new(), &mut |_| {}).expect_err("one is unused");
    assert!(error.to_string().contains("never used: sart-controller delete nodes"), "{error}");
    verdict(&used, &used, &BTreeSet::new(), &mut |_| {}).expect("all are used");
    let refused = BTreeSet::from(["sart-controller get pods: no".to_owned()]);
    let error = verdict(&used, &used, &refused, &mut |_| {}).expect_err("one was refused");
    assert!(error.to_string().contains("refused (403): sart-controller get pods"), "{error}");
    let any = BTreeSet::from([right("*", "nodes")]);
    let error = verdict(&any, &any, &BTreeSet::new(), &mut |_| {}).expect_err("no bounds");
    assert!(error.to_string().contains("a right without bounds"), "{error}");
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for group in cases::GROUPS {
        assert!(!group.cases.is_empty(), "{}", group.name);
        for case in group.cases {
            assert!(names.insert((group.name, case.name)), "{}/{}", group.name, case.name);
        }
    }
    let one = groups::wanted(Some("security/"), false);
    assert_eq!(one.len(), 1);
    assert!(groups::wanted(Some("no such case"), true).is_empty());
}

#[test]
fn what_takes_hours_must_be_asked_for() {
    let names = |name: Option<&str>, long| -> Vec<String> {
        let wanted = alone::wanted(&crate::places::checkout(), name, long);
        wanted.expect("the fuzz targets").into_iter().map(|case| case.name).collect()
    };
    assert_eq!(names(None, false), ["oracle/tshark", "soak/changes-under-load"]);
    assert_eq!(names(Some("soak"), false), ["soak/changes-under-load"]);
    assert_eq!(names(Some("soak/two"), false), ["soak/two-minutes"]);
    assert_eq!(names(Some("soak/kernel"), false), ["soak/kernel"]);
    assert_eq!(names(Some("fuzz"), false), [""; 0]);
    assert_eq!(names(Some("fuzz/packet_open"), false), ["fuzz/packet_open"]);
    let all = names(None, true);
    assert!(all.contains(&"bench/bgp".to_owned()) && all.len() > 20, "{all:?}");
}

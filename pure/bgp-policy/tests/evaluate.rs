//! What policies say of routes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod naive;

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp_packet::{AsPath, Attributes, Origin, Segment};
use bgp_policy::{
    Action, Adjust, CommunityEdit, Conditions, Decided, Definition, Definitions, NextHopChange,
    Own, PeerFacts, Policy, PolicySet, Prepend, PrependAs, RouteFacts, Sets, Source,
    StandardPattern, Statement, Term, Terms, Unresolved, Verdict, is_name,
};
use inet::Asn;

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn route() -> Attributes {
    let path = AsPath { segments: vec![Segment::Sequence(vec![65001, 65002, 65003])] };
    let mut attributes = Attributes::new(Origin::Igp, path, address("10.0.0.1").into());
    attributes.communities = vec![65000 << 16 | 100, 65001 << 16 | 666];
    attributes.large_communities = vec![[65000, 1, 2]];
    attributes.med = Some(50);
    attributes
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn facts(prefix: &str) -> RouteFacts<'static> {
    RouteFacts::new(prefix.parse().unwrap(), Source::Ebgp, asn(65000))
}

/// A policy of one statement that accepts what fulfils the conditions.
fn only(conditions: Conditions) -> Policy {
    let statement = Statement { conditions, ..Statement::new(Action::Accept) };
    let definition = Definition { statements: vec![statement], default: None };
    definition.resolve("p", &lists()).unwrap()
}

fn lists() -> Definitions {
    let mut lists = Definitions::default();
    let ours = ["10.0.0.0/8 ge 16 le 24", "fd00::/8"].map(|text| text.parse().unwrap());
    lists.prefix_lists.insert("ours".to_owned(), ours.to_vec());
    lists.prefix_lists.insert("nothing".to_owned(), Vec::new());
    let mixed = ["65000:*", "65000:1:2"].map(|text| text.parse().unwrap());
    lists.community_lists.insert("mixed".to_owned(), mixed.to_vec());
    lists.community_lists.insert("tens".to_owned(), vec!["65000:100-109".parse().unwrap()]);
    lists.as_path_lists.insert("long".to_owned(), vec![". . .".parse().unwrap()]);
    lists
}

fn terms<T: std::str::FromStr<Err: std::fmt::Debug>>(list: &[&str]) -> Terms<Term<T>> {
    let term = |text: &&str| match is_name(text) {
        true => Term::List((*text).to_owned()),
        false => Term::Value(text.parse().unwrap()),
    };
    Terms::any(list.iter().map(term))
}

#[test]
fn each_condition_is_asked() {
    type Fill = fn(&mut Conditions);
    let cases: &[(&str, Fill, bool)] = &[
        ("prefix in a list", |c| c.prefix = Some(terms(&["ours"])), true),
        ("prefix itself", |c| c.prefix = Some(terms(&["10.1.0.0/16"])), true),
        ("its parent alone", |c| c.prefix = Some(terms(&["10.0.0.0/8"])), false),
        ("an empty list", |c| c.prefix = Some(terms(&["nothing"])), false),
        (
            "none of an empty list",
            |c| {
                c.prefix = Some(Terms { any: vec![], all: vec![], ..none(&["nothing"]) });
            },
            true,
        ),
        ("none of ours", |c| c.prefix = Some(none(&["ours"])), false),
        ("family", |c| c.family = Some(inet::Family::Ipv4), true),
        ("other family", |c| c.family = Some(inet::Family::Ipv6), false),
        ("next hop", |c| c.next_hop = Some(terms(&["10.0.0.0/24"])), true),
        ("other next hop", |c| c.next_hop = Some(terms(&["10.0.0.2/32"])), false),
        ("peer by group", |c| c.peer = Some(Terms::any(["group:spines".parse().unwrap()])), true),
        ("peer by name", |c| c.peer = Some(Terms::any(["spine0".parse().unwrap()])), true),
        ("peer by prefix", |c| c.peer = Some(Terms::any(["10.9.0.0/16".parse().unwrap()])), true),
        ("other peer", |c| c.peer = Some(Terms::any(["10.9.0.2".parse().unwrap()])), false),
        ("peer's AS", |c| c.peer_asn = vec!["65001..65002".parse().unwrap()], true),
        (
            "learned from nobody",
            |c| c.learned_from = Some(Terms::any(["spine0".parse().unwrap()])),
            false,
        ),
        ("source", |c| c.source = vec![Source::Ibgp, Source::Ebgp], true),
        ("other source", |c| c.source = vec!["connected".parse().unwrap()], false),
        ("origin", |c| c.origin = vec![Origin::Igp], true),
        ("other origin", |c| c.origin = vec![Origin::Egp, Origin::Incomplete], false),
        ("default preference", |c| c.local_pref = Some(100.into()), true),
        ("other preference", |c| c.local_pref = Some("..99".parse().unwrap()), false),
        ("med", |c| c.med = Some("50..60".parse().unwrap()), true),
        ("other med", |c| c.med = Some(49.into()), false),
        ("weight", |c| c.weight = Some(0.into()), true),
        ("other weight", |c| c.weight = Some("1..".parse().unwrap()), false),
        ("communities", |c| c.communities = Some(terms(&["tens"])), true),
        ("other communities", |c| c.communities = Some(terms(&["65001:100", "no-export"])), false),
        (
            "all communities",
            |c| {
                c.communities =
                    Some(Terms { all: terms(&["tens", "*:666"]).any, ..Terms::default() });
            },
            true,
        ),
        (
            "not all communities",
            |c| {
                c.communities =
                    Some(Terms { all: terms(&["tens", "*:667"]).any, ..Terms::default() });
            },
            false,
        ),
        ("no such community", |c| c.communities = Some(none(&["65009:*"])), true),
        ("such a community", |c| c.communities = Some(none(&["65009:*", "tens"])), false),
        ("large", |c| c.large_communities = Some(terms(&["65000:*:2"])), true),
        ("other large", |c| c.large_communities = Some(terms(&["65000:*:3"])), false),
        ("extended", |c| c.extended_communities = Some(terms(&["rt:*:*"])), false),
        ("count", |c| c.community_count = Some(3.into()), true),
        ("other count", |c| c.community_count = Some("4..".parse().unwrap()), false),
        ("path list", |c| c.as_path = Some(terms(&["long"])), true),
        ("path", |c| c.as_path = Some(terms(&["^65001"])), true),
        ("other path", |c| c.as_path = Some(terms(&["^65002", "65001$"])), false),
        ("length", |c| c.as_path_length = Some(3.into()), true),
        ("other length", |c| c.as_path_length = Some("..2".parse().unwrap()), false),
        ("contains", |c| c.as_path_contains = vec![65002.into()], true),
        ("not contains", |c| c.as_path_contains = vec![65004.into()], false),
        ("origin AS", |c| c.origin_as = vec![65003.into()], true),
        ("other origin AS", |c| c.origin_as = vec![65001.into()], false),
        ("neighbor AS", |c| c.neighbor_as = vec![65001.into()], true),
        ("other neighbor AS", |c| c.neighbor_as = vec![65003.into()], false),
    ];
    let groups = BTreeSet::from(["spines".to_owned()]);
    let peer = PeerFacts {
        name: Some("spine0"),
        groups: &groups,
        ..PeerFacts::new(address("10.9.0.1"), asn(65001))
    };
    let facts = RouteFacts { peer: Some(peer), ..facts("10.1.0.0/16") };
    for (what, fill, expect) in cases {
        let mut conditions = Conditions::default();
        fill(&mut conditions);
        let outcome = only(conditions).evaluate(&facts, &route());
        assert_eq!(outcome.verdict == Verdict::Accept, *expect, "{what}");
        assert!(outcome.changes.is_empty());
    }
}

#[test]
fn a_link_local_peer_is_that_of_its_link() {
    let check = |term: &str, link: &str, expect: bool| {
        let address: inet::ScopedAddr = format!("fe80::1%{link}").parse().unwrap();
        let facts =
            RouteFacts { peer: Some(PeerFacts::new(address, asn(65001))), ..facts("10.1.0.0/16") };
        let conditions =
            Conditions { peer: Some(Terms::any([term.parse().unwrap()])), ..Default::default() };
        let outcome = only(conditions).evaluate(&facts, &route());
        assert_eq!(outcome.verdict == Verdict::Accept, expect, "{term} at {link}");
    };
    check("fe80::1%eth0", "eth0", true);
    check("fe80::1%eth0", "eth1", false);
    check("fe80::1", "eth1", true);
    check("fe80::/10", "eth1", true);
    for wrong in ["10.0.0.1%eth0", "fe80::1%"] {
        assert!(wrong.parse::<bgp_policy::PeerTerm>().is_err(), "{wrong}");
    }
}

fn none<T: std::str::FromStr<Err: std::fmt::Debug>>(list: &[&str]) -> Terms<Term<T>> {
    Terms { none: terms(list).any, ..Terms::default() }
}

#[test]
fn each_change_is_made() {
    type Case = (&'static str, fn(&mut Sets), fn(&mut Attributes));
    let cases: &[Case] = &[
        ("local_pref", |s| s.local_pref = Some(Adjust::Set(7)), |a| a.local_pref = Some(7)),
        ("local_pref +", |s| s.local_pref = Some(Adjust::Add(7)), |a| a.local_pref = Some(107)),
        ("med -", |s| s.med = Some(Adjust::Subtract(60)), |a| a.med = Some(0)),
        ("med +", |s| s.med = Some(Adjust::Add(u32::MAX)), |a| a.med = Some(u32::MAX)),
        ("no med", |s| s.med = Some(Adjust::Remove), |a| a.med = None),
        ("origin", |s| s.origin = Some(Origin::Egp), |a| a.origin = Origin::Egp),
        (
            "next hop",
            |s| s.next_hop = Some(NextHopChange::Address(address("10.7.7.7"))),
            |a| a.next_hop = address("10.7.7.7").into(),
        ),
        (
            "own next hop",
            |s| s.next_hop = Some(NextHopChange::Own),
            |a| a.next_hop = address("10.0.0.99").into(),
        ),
        ("the peer unknown", |s| s.next_hop = Some(NextHopChange::Peer), |_| {}),
        (
            "prepend",
            |s| s.prepend = Some(Prepend { asn: PrependAs::Own, count: 2 }),
            |a| {
                a.as_path.segments =
                    vec![Segment::Sequence(vec![65000, 65000, 65001, 65002, 65003])];
            },
        ),
        (
            "add",
            |s| {
                let add = vec![65000 << 16 | 100, 7];
                s.communities = Some(CommunityEdit { add, ..CommunityEdit::default() });
            },
            |a| a.communities.push(7),
        ),
        (
            "remove",
            |s| {
                let remove = terms(&["tens"]).any;
                s.communities = Some(CommunityEdit { remove, ..CommunityEdit::default() });
            },
            |a| a.communities = vec![65001 << 16 | 666],
        ),
        (
            "replace",
            |s| {
                let replace = Some(vec![]);
                s.large_communities = Some(CommunityEdit { replace, ..CommunityEdit::default() });
            },
            |a| a.large_communities.clear(),
        ),
    ];
    let own = Own { next_hop: Some(address("10.0.0.99").into()), ..Own::new(asn(65000)) };
    for (what, fill, change) in cases {
        let mut statement = Statement::new(Action::Accept);
        fill(&mut statement.set);
        let definition = Definition { statements: vec![statement], default: None };
        let policy = definition.resolve("p", &lists()).unwrap();
        let outcome = policy.evaluate(&facts("10.0.0.0/8"), &route());
        let (mut got, mut expect, mut weight) = (route(), route(), 0);
        outcome.changes.apply(&mut got, &mut weight, &own);
        change(&mut expect);
        assert_eq!(got, expect, "{what}");
        assert!(!outcome.changes.is_empty() && !outcome.changes.sets_weight(), "{what}");
    }
}

#[test]
fn a_full_segment_is_not_made_longer() {
    let mut statement = Statement::new(Action::Accept);
    statement.set.prepend = Some(Prepend { asn: PrependAs::Given(asn(7)), count: 2 });
    let policy = Definition { statements: vec![statement], default: None };
    let policy = policy.resolve("p", &lists()).unwrap();
    let mut long = route();
    long.as_path.segments = vec![Segment::Sequence(vec![1; 254])];
    let outcome = policy.evaluate(&facts("10.0.0.0/8"), &long);
    outcome.changes.apply(&mut long, &mut 0, &Own::new(asn(65000)));
    let lengths: Vec<usize> = long.as_path.segments.iter().map(|s| s.numbers().len()).collect();
    assert_eq!(lengths, [2, 254]);
}

/// The statements of a policy are asked in order, and later ones see what earlier ones changed.
#[test]
fn statements_are_asked_in_order() {
    let mut tag = Statement::new(Action::Next);
    tag.name = Some("tag".to_owned());
    tag.set.communities = Some(CommunityEdit { add: vec![7], ..CommunityEdit::default() });
    tag.set.weight = Some(Adjust::Set(9));
    let mut tagged = Statement::new(Action::Accept);
    tagged.conditions.communities = Some(terms::<StandardPattern>(&["0:7"]));
    tagged.conditions.weight = Some(9.into());
    tagged.set.local_pref = Some(Adjust::Set(5));
    let mut other = Statement::new(Action::Reject);
    other.conditions.prefix = Some(terms(&["10.5.0.0/16 le 32"]));
    let mut definitions = lists();
    let one = Definition { statements: vec![other, tag], default: None };
    let two = Definition { statements: vec![tagged], default: Some(Verdict::Reject) };
    definitions.policies.insert("one".to_owned(), one);
    definitions.policies.insert("two".to_owned(), two);
    let set = PolicySet::new(&definitions).unwrap();
    let chain = set.chain(["one", "two"]).unwrap();
    assert_eq!(chain.name(), "one, two");
    assert!(chain.needs_prefix() && !set.get("two").unwrap().needs_prefix());
    assert!(set.get("two").unwrap().needs().weight);
    // A later statement would see the peer's address as the next hop.
    let mut to_peer = Statement::new(Action::Next);
    to_peer.set.next_hop = Some(NextHopChange::Peer);
    let to_peer = Definition { statements: vec![to_peer], default: None };
    assert!(to_peer.resolve("p", &definitions).unwrap().needs().peer);

    let accepted = chain.explain(&facts("10.4.0.0/16"), &route());
    assert_eq!(accepted.outcome, chain.evaluate(&facts("10.4.0.0/16"), &route()));
    assert_eq!(accepted.outcome.verdict, Verdict::Accept);
    assert_eq!(accepted.decided.to_string(), "statement 1 of policy two");
    let steps: Vec<_> = accepted.steps.iter().map(|s| (s.number, s.failed, s.changed)).collect();
    assert_eq!(steps, [(1, Some("prefix"), false), (2, None, true), (1, None, true)]);
    let (mut attributes, mut weight) = (route(), 0);
    accepted.outcome.changes.apply(&mut attributes, &mut weight, &Own::new(asn(65000)));
    assert_eq!((attributes.local_pref, weight), (Some(5), 9));
    assert!(attributes.communities.contains(&7));

    let rejected = chain.explain(&facts("10.5.1.0/24"), &route());
    assert_eq!(rejected.decided.to_string(), "statement 1 of policy one");
    assert_eq!(rejected.outcome.verdict, Verdict::Reject);
    // The other way round nothing is tagged yet: the default of `two` decides.
    let turned = set.chain(["two", "one"]).unwrap();
    let explained = turned.explain(&facts("10.4.0.0/16"), &route());
    assert_eq!(explained.decided, Decided::Default { policy: "two".to_owned() });
    // Alone, `one` decides nothing, and nothing is kept of what it changed.
    let alone = set.get("one").unwrap().explain(&facts("10.4.0.0/16"), &route());
    assert_eq!(alone.decided, Decided::Nothing);
    assert_eq!(alone.outcome.verdict, Verdict::Reject);
    assert!(alone.outcome.changes.is_empty());
}

#[test]
fn policies_are_equal_when_they_say_the_same() {
    let mut definitions = lists();
    let mut statement = Statement::new(Action::Accept);
    statement.conditions.prefix = Some(terms(&["ours"]));
    let definition = Definition { statements: vec![statement], default: None };
    definitions.policies.insert("p".to_owned(), definition);
    let policy = |d: &Definitions| PolicySet::new(d).unwrap().get("p").unwrap();
    let one = policy(&definitions);
    assert_eq!(one, policy(&definitions));
    definitions.prefix_lists.insert("other".to_owned(), Vec::new());
    assert_eq!(one, policy(&definitions), "a list that it does not name");
    definitions.prefix_lists.insert("ours".to_owned(), vec!["::/0".parse().unwrap()]);
    assert_ne!(one, policy(&definitions), "its list has other content");
}

#[test]
fn names_that_stand_for_nothing_are_told() {
    let mut statement = Statement::new(Action::Accept);
    statement.name = Some("s".to_owned());
    statement.conditions.prefix = Some(terms(&["no"]));
    statement.conditions.communities = Some(terms(&["mixed"]));
    statement.set.communities =
        Some(CommunityEdit { remove: terms(&["no"]).any, ..CommunityEdit::default() });
    let definition = Definition { statements: vec![statement], default: None };
    let problems = definition.resolve("p", &lists()).unwrap_err();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "policy \"p\", statement 1 (s), prefix: there is no prefix list \"no\"",
            "policy \"p\", statement 1 (s): the community list \"mixed\" has 65000:1:2, which is none of `communities`",
            "policy \"p\", statement 1 (s), communities: there is no community list \"no\"",
        ]
    );
    let unknown = PolicySet::default().chain(["x"]).unwrap_err();
    assert!(matches!(unknown, Unresolved::Unknown { kind: "policy", .. }));
}

#[test]
fn the_last_word_about_dropping_counts() {
    let says = |words: &[Option<bool>]| {
        let statement = |discard: &Option<bool>| Statement {
            set: Sets { discard: *discard, weight: Some(Adjust::Set(1)), ..Sets::default() },
            ..Statement::default()
        };
        let statements = words.iter().map(statement).collect();
        let definition = Definition { statements, default: Some(Verdict::Accept) };
        let policy = definition.resolve("p", &Definitions::default()).unwrap();
        let prefix = "10.0.0.1/32".parse().unwrap();
        let facts = RouteFacts::new(prefix, Source::Ebgp, Asn::new(65000).unwrap());
        let next_hop = IpAddr::from([10, 0, 0, 2]).into();
        let outcome =
            policy.evaluate(&facts, &Attributes::new(Origin::Igp, AsPath::default(), next_hop));
        assert!(!outcome.changes.sets_attributes());
        outcome.changes.discards()
    };
    assert!(!says(&[]) && !says(&[None]));
    assert!(says(&[Some(true)]) && says(&[Some(true), None]));
    assert!(!says(&[Some(true), Some(false)]));
}

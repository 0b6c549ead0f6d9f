//! The same language, evaluated in the plainest way, compared on generated policies and routes.

use bgp_packet::{AsPath, Attributes, Origin, Segment};
use bgp_policy::{
    Action, Adjust, CommunityEdit, CommunityKind, Conditions, Definition, Definitions, Own,
    PathPattern, PrefixRange, PrefixSet, RouteFacts, Sets, Source, StandardPattern, Statement,
    Term, Terms, Verdict,
};
use inet::{Asn, Prefix};
use proptest::prelude::*;

/// A pattern of an AS path as a tree, and its text.
#[derive(Clone, Debug)]
enum Tree {
    One(u32),
    Any,
    Then(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    Repeat(Box<Tree>, char),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Tree::One(n) => n.to_string(),
            Tree::Any => ".".to_owned(),
            Tree::Then(a, b) => format!("{} {}", a.text(), b.text()),
            Tree::Or(a, b) => format!("({}|{})", a.text(), b.text()),
            Tree::Repeat(a, sign) => format!("({}){sign}", a.text()),
        }
    }

    /// All places where a match that begins at `from` may end.
    fn ends(&self, path: &[u32], from: usize) -> Vec<usize> {
        match self {
            Tree::One(n) => {
                path.get(from).filter(|at| *at == n).map(|_| from + 1).into_iter().collect()
            }
            Tree::Any => path.get(from).map(|_| from + 1).into_iter().collect(),
            Tree::Then(a, b) => {
                a.ends(path, from).into_iter().flat_map(|at| b.ends(path, at)).collect()
            }
            Tree::Or(a, b) => [a.ends(path, from), b.ends(path, from)].concat(),
            Tree::Repeat(a, sign) => {
                let mut found = if *sign == '+' { a.ends(path, from) } else { vec![from] };
                if *sign == '?' {
                    found.extend(a.ends(path, from));
                    return found;
                }
                let mut next = 0;
                while let Some(at) = found.get(next).copied() {
                    for end in a.ends(path, at) {
                        if !found.contains(&end) {
                            found.push(end);
                        }
                    }
                    next += 1;
                }
                found
            }
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![(1u32..4).prop_map(Tree::One), Just(Tree::Any)];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| Tree::Then(a.into(), b.into())),
            two.prop_map(|(a, b)| Tree::Or(a.into(), b.into())),
            (inner, prop::sample::select(vec!['*', '+', '?']))
                .prop_map(|(a, sign)| Tree::Repeat(a.into(), sign)),
        ]
    })
}

fn prefix() -> impl Strategy<Value = Prefix> {
    // Few bits, so that prefixes lie in each other.
    let v4 = (0u32..16, 0u8..=32).prop_map(|(bits, len)| {
        Prefix::truncated(std::net::Ipv4Addr::from(bits << 28 | bits << 6).into(), len).unwrap()
    });
    let v6 = (0u128..8, 0u8..=128).prop_map(|(bits, len)| {
        Prefix::truncated(std::net::Ipv6Addr::from(bits << 125 | bits).into(), len).unwrap()
    });
    prop_oneof![v4, v6]
}

fn range() -> impl Strategy<Value = PrefixRange> {
    (prefix(), 0u8..=128, 0u8..=128).prop_map(|(prefix, a, b)| {
        let clamp = |n: u8| n.clamp(prefix.len(), prefix.family().bits());
        let (a, b) = (clamp(a), clamp(b));
        PrefixRange::new(prefix, Some(a.min(b)), Some(a.max(b))).unwrap()
    })
}

/// What the generated statements are made of.
#[derive(Clone, Debug)]
struct Plain {
    prefixes: Vec<PrefixRange>,
    communities: Option<(Vec<u32>, Vec<u32>, Vec<u32>)>,
    path: Option<Tree>,
    add: Option<u32>,
    remove: Option<u32>,
    local_pref: Option<u32>,
    action: Action,
}

fn plain() -> impl Strategy<Value = Plain> {
    let some = || prop::collection::vec(0u32..6, 0..3);
    let action =
        prop::sample::select(vec![Action::Accept, Action::Reject, Action::Next, Action::Next]);
    (
        prop::collection::vec(range(), 0..3),
        prop::option::of((some(), some(), some())),
        prop::option::of(tree()),
        prop::option::of(0u32..6),
        prop::option::of(0u32..6),
        prop::option::of(1u32..50),
        action,
    )
        .prop_map(|(prefixes, communities, path, add, remove, local_pref, action)| Plain {
            prefixes,
            communities,
            path,
            add,
            remove,
            local_pref,
            action,
        })
}

impl Plain {
    fn statement(&self) -> Statement {
        let pattern = |n: &u32| Term::Value(format!("0:{n}").parse::<StandardPattern>().unwrap());
        let mut conditions = Conditions::default();
        if !self.prefixes.is_empty() {
            conditions.prefix = Some(Terms::any(self.prefixes.iter().map(|r| Term::Value(*r))));
        }
        conditions.communities = self.communities.as_ref().map(|(any, all, none)| Terms {
            any: any.iter().map(pattern).collect(),
            all: all.iter().map(pattern).collect(),
            none: none.iter().map(pattern).collect(),
        });
        conditions.as_path = self.path.as_ref().map(|tree| {
            let pattern: PathPattern = format!("^{}$", tree.text()).parse().unwrap();
            Terms::any([Term::Value(pattern)])
        });
        let mut set = Sets { local_pref: self.local_pref.map(Adjust::Add), ..Sets::default() };
        if self.add.is_some() || self.remove.is_some() {
            set.communities = Some(CommunityEdit {
                replace: None,
                remove: self.remove.iter().map(pattern).collect(),
                add: self.add.into_iter().collect(),
            });
        }
        Statement { name: None, conditions, set, action: self.action }
    }

    fn holds(&self, prefix: &Prefix, route: &Attributes, path: &[u32]) -> bool {
        let in_range = |range: &PrefixRange| {
            let (ge, le) = range.lengths();
            range.prefix().covers(prefix) && ge <= prefix.len() && prefix.len() <= le
        };
        let has = |n: &u32| route.communities.contains(n);
        let prefix_holds = self.prefixes.is_empty() || self.prefixes.iter().any(in_range);
        let communities_hold = self.communities.as_ref().is_none_or(|(any, all, none)| {
            (any.is_empty() || any.iter().any(has)) && all.iter().all(has) && !none.iter().any(has)
        });
        let path_holds =
            self.path.as_ref().is_none_or(|tree| tree.ends(path, 0).contains(&path.len()));
        prefix_holds && communities_hold && path_holds
    }

    fn change(&self, route: &mut Attributes) {
        if let Some(n) = self.local_pref {
            route.local_pref = Some(route.local_pref.unwrap_or(100) + n);
        }
        route.communities.retain(|c| Some(*c) != self.remove);
        if let Some(add) = self.add.filter(|add| !route.communities.contains(add)) {
            route.communities.push(add);
        }
    }
}

proptest! {
    #[test]
    fn a_policy_says_what_the_plain_reading_says(
        statements in prop::collection::vec(plain(), 0..6),
        default in prop::option::of(prop::sample::select(vec![Verdict::Accept, Verdict::Reject])),
        prefix in prefix(),
        path in prop::collection::vec(1u32..4, 0..6),
        communities in prop::collection::btree_set(0u32..6, 0..4),
    ) {
        let segments = if path.is_empty() { vec![] } else { vec![Segment::Sequence(path.clone())] };
        let hop: std::net::IpAddr = "10.0.0.1".parse().unwrap();
        let mut route = Attributes::new(Origin::Igp, AsPath { segments }, hop.into());
        route.communities = communities.into_iter().collect();

        let mut expect = route.clone();
        let mut verdict = None;
        for statement in &statements {
            if statement.holds(&prefix, &expect, &path) {
                statement.change(&mut expect);
                match statement.action {
                    Action::Accept => verdict = Some(Verdict::Accept),
                    Action::Reject => verdict = Some(Verdict::Reject),
                    Action::Next => continue,
                }
                break;
            }
        }
        let verdict = verdict.or(default).unwrap_or(Verdict::Reject);

        let definition = Definition {
            statements: statements.iter().map(Plain::statement).collect(),
            default,
        };
        let policy = definition.resolve("p", &Definitions::default()).unwrap();
        let own = Asn::new(65000).unwrap();
        let facts = RouteFacts::new(prefix, Source::Ebgp, own);
        let outcome = policy.evaluate(&facts, &route);
        prop_assert_eq!(outcome.verdict, verdict);
        prop_assert_eq!(&policy.explain(&facts, &route).outcome, &outcome);
        if verdict == Verdict::Accept {
            let mut got = route.clone();
            outcome.changes.apply(&mut got, &mut 0, &Own::new(own));
            prop_assert_eq!(got, expect);
        } else {
            prop_assert!(outcome.changes.is_empty());
        }
        if !policy.needs_prefix() {
            let other = RouteFacts { prefix: "192.0.2.0/24".parse().unwrap(), ..facts };
            prop_assert_eq!(policy.evaluate(&other, &route), outcome);
        }
    }

    #[test]
    fn a_prefix_set_is_its_ranges(ranges in prop::collection::vec(range(), 0..12), prefix in prefix()) {
        let set: PrefixSet = ranges.iter().copied().collect();
        prop_assert_eq!(set.matches(&prefix), ranges.iter().any(|range| range.matches(&prefix)));
        let address = prefix.address();
        let inside = ranges.iter().any(|range| range.prefix().contains(&address));
        prop_assert_eq!(set.contains(&address), inside);
        for range in &ranges {
            prop_assert_eq!(range.to_string().parse::<PrefixRange>().unwrap(), *range);
        }
    }

    #[test]
    fn extended_communities_come_back(octets in any::<[u8; 8]>(), kind in 0u8..4, sub in 0u8..6) {
        for octets in [octets, {
            let mut known = octets;
            (known[0], known[1]) = (kind, sub);
            known
        }] {
            let text = bgp_policy::ExtendedPattern::write(&octets);
            prop_assert_eq!(bgp_policy::ExtendedPattern::read(&text).unwrap(), octets);
        }
    }

    #[test]
    fn no_text_breaks_the_readers(text in "[0-9 ^$.*+?|()\\[\\]_,:x-]{0,24}") {
        if let Ok(pattern) = text.parse::<PathPattern>() {
            pattern.matches(&AsPath::default());
        }
        if let Ok(pattern) = text.parse::<bgp_policy::CommunityPattern>() {
            let again: bgp_policy::CommunityPattern = pattern.to_string().parse().unwrap();
            prop_assert_eq!(again, pattern);
        }
        let _ = text.parse::<PrefixRange>();
    }
}

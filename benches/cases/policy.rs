//! Policies asked about routes.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use bgp_policy::{
    Action, Adjust, Conditions, Definition, Definitions, Own, Policy, PrefixSet, RouteFacts, Sets,
    Source, Statement, Term, Terms, Verdict,
};
use gungraun::prelude::*;

use super::{Case, Work, asn, attributes, prefix};

pub(crate) const CASES: &[Case] = &[
    Case::new("evaluate", "evaluate a policy of four statements", 1000, evaluate),
    Case::new("change", "evaluate it and make its changes", 1000, change),
    Case::new("in_list", "find an address in a list of 1,000 prefixes", 1000, in_list),
];

#[library_benchmark]
#[bench::evaluate(evaluate())]
#[bench::change(change())]
#[bench::in_list(in_list())]
fn count(mut work: Work) -> Work {
    work();
    work
}

library_benchmark_group!(name = policies, benchmarks = count);

/// Refuses by prefix, community and path, and then prefers by a list of 1000 prefixes.
fn policy() -> Policy {
    let mut lists = Definitions::default();
    let list = (0..1000).map(|n| format!("{} le 32", prefix(n)).parse().unwrap());
    lists.prefix_lists.insert("ours".to_owned(), list.collect());
    let bogons = ["10.0.0.0/8 le 32", "192.168.0.0/16 le 32", "0.0.0.0/0 ge 25"];
    lists.prefix_lists.insert("bogons".to_owned(), bogons.map(|t| t.parse().unwrap()).to_vec());
    let named = |name: &str| Some(Terms::any([Term::List(name.to_owned())]));
    let reject = |conditions| Statement { conditions, ..Statement::new(Action::Reject) };
    let statements = vec![
        reject(Conditions { prefix: named("bogons"), ..Conditions::default() }),
        reject(Conditions {
            communities: Some(Terms::any([Term::Value("65001:600-699".parse().unwrap())])),
            ..Conditions::default()
        }),
        reject(Conditions {
            as_path: Some(Terms::any([Term::Value("64666$".parse().unwrap())])),
            ..Conditions::default()
        }),
        Statement {
            conditions: Conditions { prefix: named("ours"), ..Conditions::default() },
            set: Sets { local_pref: Some(Adjust::Set(200)), ..Sets::default() },
            ..Statement::new(Action::Accept)
        },
    ];
    Definition { statements, default: None }.resolve("p", &lists).unwrap()
}

fn evaluate() -> Work {
    let policy = policy();
    let set = attributes(1, 1);
    Box::new(move || {
        for number in 0..1000 {
            let facts = RouteFacts::new(prefix(number), Source::Ebgp, asn(65000));
            let outcome = policy.evaluate(black_box(&facts), &set);
            assert_eq!(outcome.verdict, Verdict::Accept);
        }
    })
}

fn change() -> Work {
    let policy = policy();
    let mut set = attributes(1, 1);
    let own = Own::new(asn(65000));
    Box::new(move || {
        for number in 0..1000 {
            let facts = RouteFacts::new(prefix(number), Source::Ebgp, asn(65000));
            let outcome = policy.evaluate(black_box(&facts), &set);
            let mut weight = 0;
            outcome.changes.apply(black_box(&mut set), &mut weight, &own);
        }
    })
}

fn in_list() -> Work {
    let list: PrefixSet = (0..1000).map(|n| prefix(n * 2).into()).collect();
    Box::new(move || {
        let found = (0..1000_u32).filter(|number| {
            let host: IpAddr = Ipv4Addr::from(0x1400_0009 + (number << 8)).into();
            list.contains(black_box(&host))
        });
        assert_eq!(found.count(), 500);
    })
}

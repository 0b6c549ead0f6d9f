//! Equal policies become one value, and others are told apart at once.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use bgp_policy::{
    Action, Conditions, Definition, Definitions, Policy, PolicySet, Shared, Statement, Term, Terms,
    Verdict,
};

/// Policies `a` and `b`, read anew; the list that `a` asks ends with a prefix of this length.
fn read(last: u8) -> PolicySet {
    let mut definitions = Definitions::default();
    let mut list: Vec<_> = (0..100).map(|n| format!("10.{n}.0.0/16").parse().unwrap()).collect();
    list.push(format!("192.0.2.0/{last}").parse().unwrap());
    definitions.prefix_lists.insert("l".to_owned(), list);
    let prefix = Some(Terms::any([Term::List("l".to_owned())]));
    let conditions = Conditions { prefix, ..Conditions::default() };
    let statements = vec![Statement { conditions, ..Statement::new(Action::Accept) }];
    definitions.policies.insert("a".to_owned(), Definition { statements, default: None });
    let default = Some(Verdict::Reject);
    definitions.policies.insert("b".to_owned(), Definition { statements: vec![], default });
    PolicySet::new(&definitions).unwrap()
}

fn chain(set: &PolicySet, names: &[&str]) -> Policy {
    set.chain(names.iter().copied()).unwrap()
}

#[test]
fn what_is_equal_becomes_one_and_nothing_else_does() {
    let chains: [&[&str]; 5] = [&["a"], &["b"], &["a", "b"], &["b", "a"], &[]];
    let (old, again, other) = (read(24), read(24), read(25));
    let mut shared = Shared::default();
    let known: Vec<Policy> = chains.iter().map(|names| chain(&old, names)).collect();
    known.iter().for_each(|policy| shared.learn(policy));
    // Two peers of a document that is read again have two values each time.
    for _ in 0..2 {
        for (names, known) in chains.iter().zip(&known) {
            let mut policy = chain(&again, names);
            assert!(policy == *known && !policy.is_same(known));
            shared.share(&mut policy);
            assert!(policy.is_same(known), "{names:?}");
            // Its last prefix alone is another: `b` is the same still.
            let mut policy = chain(&other, names);
            let before = policy.clone();
            shared.share(&mut policy);
            assert_eq!(policy, before, "sharing changes nothing");
            assert_eq!(policy.is_same(known), !names.contains(&"a"), "{names:?}");
        }
    }
}

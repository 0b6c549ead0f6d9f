use bgp_policy::{Action, Definition, Definitions, KernelSource, PolicySet, Statement};
use inet::{Asn, Timestamp};

use super::*;
use crate::{
    Aggregation, DynamicNeighbors, Global, Input, Origination, Redistribution, SpeakerConfig,
    Unnumbered,
};

fn peer(policy: &Policy, n: u8) -> Peer {
    let mut peer = Peer::new([10, 0, 0, n].into(), Asn::new(65001).unwrap());
    (peer.rules.import, peer.rules.export) = (Some(policy.clone()), Some(policy.clone()));
    peer
}

/// Wherever a policy can stand, read anew.
fn doc(med: u32) -> Desired {
    let mut definitions = Definitions::default();
    let statements = vec![Statement::new(Action::Accept)];
    definitions.policies.insert("p".to_owned(), Definition { statements, default: None });
    let set = PolicySet::new(&definitions).unwrap();
    // As a document gives it: each peer has a chain of its own.
    let policy = || set.get("p").unwrap();
    let prefix = "10.1.0.0/16".parse().unwrap();
    Desired {
        global: Some(Global::new(Asn::new(65000).unwrap(), "1.1.1.1".parse().unwrap())),
        peers: vec![peer(&policy(), 1), peer(&policy(), 2)],
        unnumbered: vec![Unnumbered { link: "eth0".parse().unwrap(), peer: peer(&policy(), 0) }],
        dynamic: vec![DynamicNeighbors { prefix, limit: 1, peer: peer(&policy(), 0) }],
        originate: vec![Origination { med: Some(med), ..Origination::new(prefix) }],
        redistribute: vec![Redistribution {
            source: KernelSource::Static,
            table: 254,
            policy: Some(policy()),
        }],
        aggregates: vec![Aggregation {
            route: Origination::new(prefix),
            summary_only: false,
            discard: None,
            policy: Some(policy()),
        }],
    }
}

#[test]
fn a_document_that_is_read_again_keeps_the_policies_that_are_in_force() {
    let now = Timestamp::default();
    let mut speaker = Speaker::new(now, SpeakerConfig { seed: 1, restarting: None });
    let owner = || "file".to_owned();
    speaker.handle(now, Input::Desired { owner: owner(), doc: doc(1) });
    let first = speaker.owners[&owner()].policies().next().unwrap().clone();
    for med in [2, 3] {
        speaker.handle(now, Input::Desired { owner: owner(), doc: doc(med) });
        assert_eq!(speaker.owners[&owner()].originate[0].med, Some(med));
        let policies: Vec<&Policy> = speaker.owners[&owner()].policies().collect();
        assert_eq!(policies.len(), 10);
        assert!(policies.iter().all(|policy| policy.is_same(&first)));
        let peers = speaker.peers.values().filter_map(|peer| peer.wanted.rules.import.as_ref());
        assert_eq!(peers.filter(|policy| policy.is_same(&first)).count(), 2);
    }
    // Another owner's are the same ones too.
    speaker.handle(now, Input::Desired { owner: "cli".to_owned(), doc: doc(3) });
    assert!(speaker.owners["cli"].policies().all(|policy| policy.is_same(&first)));
}

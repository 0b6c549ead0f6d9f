use bgp_policy::{
    Action, Adjust, CommunityEdit, Conditions, Definition, Definitions, NextHopChange, PeerTerm,
    Policy, PolicySet, Prepend, PrependAs, Sets, Statement, Term, Terms,
};

use super::*;

pub(super) fn policy(statements: Vec<Statement>) -> Policy {
    let definition = Definition { statements, default: None };
    let policies = BTreeMap::from([("test".to_owned(), definition)]);
    let set = PolicySet::new(&Definitions { policies, ..Definitions::default() }).unwrap();
    set.get("test").unwrap()
}

pub(super) fn statement(conditions: Conditions, set: Sets, action: Action) -> Statement {
    Statement { name: Some("only".to_owned()), conditions, set, action }
}

pub(super) fn accept(set: Sets) -> Policy {
    policy(vec![statement(Conditions::default(), set, Action::Accept)])
}

/// Rejects what lies within a prefix, accepts the rest.
pub(super) fn rejects_within(text: &str) -> Policy {
    let range = format!("{text} le 32").parse().unwrap();
    let within = Terms::any([Term::Value(range)]);
    let conditions = Conditions { prefix: Some(within), ..Conditions::default() };
    let accepts = statement(Conditions::default(), Sets::default(), Action::Accept);
    policy(vec![statement(conditions, Sets::default(), Action::Reject), accepts])
}

fn import(policy: Policy) -> Rules {
    Rules { import: Some(policy), ..Rules::default() }
}

fn export(policy: Policy) -> Rules {
    Rules { export: Some(policy), ..Rules::default() }
}

#[test]
fn import_policy_changes_what_is_chosen_and_told_and_what_was_received_stays() {
    let mut bench = Bench::new();
    let prefers = accept(Sets { local_pref: Some(Adjust::Set(300)), ..Sets::default() });
    let plain = bench.peer(1, PeerKind::External);
    let preferred = bench.peer_with(2, PeerKind::External, import(prefers));
    let inside = bench.peer(3, PeerKind::Internal);
    bench.announce(plain, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.announce(preferred, &attributes(&[65002, 7, 8], "10.0.0.2"), &["10.1.0.0/24"]);
    bench.settle();
    assert_eq!(bench.installed[&prefix("10.1.0.0/24")], [ip("10.0.0.2")]);
    assert_eq!(bench.hears(inside, "10.1.0.0/24").unwrap().local_pref, Some(300));
    let query = |view| Query { family: Family::Ipv4, view, filter: Filter::All };
    let local_pref = |view| -> Vec<_> {
        let page = bench.rib.page(&query(view), Cursor::default(), 10);
        page.rows.iter().map(|row| row.attributes.local_pref).collect()
    };
    assert_eq!(local_pref(View::Received(preferred)), [None]);
    assert_eq!(local_pref(View::Accepted(preferred)), [Some(300)]);
    assert_eq!(bench.rib.counts().attribute_sets, 3);
}

#[test]
fn a_changed_import_policy_is_taken_over_without_the_peer_sending_anything() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let both = ["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &both);
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
    let rules = import(rejects_within("10.1.0.0/16"));
    bench.rib.session_changed(from, with_rules(1, PeerKind::External, rules));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.keys().copied().collect::<Vec<_>>(), [prefix(both[1])]);
    let why = PathState::Ineligible(Ineligible::RejectedByPolicy);
    assert_eq!(bench.state(both[0]), Some(why));
    let counts = bench.rib.in_counts(from, Family::Ipv4);
    assert_eq!(counts, InCounts { received: 2, accepted: 1, ..InCounts::default() });
    bench.rib.session_changed(from, session(1, PeerKind::External));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 2);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).accepted, 2);
    assert_eq!(bench.rib.counts().attribute_sets, 1);
}

#[test]
fn a_changed_export_policy_withdraws_and_announces() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let other = bench.peer(3, PeerKind::External);
    let both = ["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &both);
    bench.settle();
    let rules = export(rejects_within("10.1.0.0/16"));
    bench.rib.session_changed(to, with_rules(2, PeerKind::External, rules));
    bench.settle();
    assert_eq!(bench.why(to, both[0]), "rejected-by-policy");
    assert_eq!(bench.heard[&to].routes.len(), 1);
    assert_eq!(bench.heard[&other].routes.len(), 2);
    let med = accept(Sets { med: Some(Adjust::Set(50)), ..Sets::default() });
    bench.rib.session_changed(to, with_rules(2, PeerKind::External, export(med)));
    bench.settle();
    assert_eq!(bench.hears(to, both[0]).unwrap().med, Some(50));
    assert_eq!(bench.hears(other, both[0]).unwrap().med, None);
}

#[test]
fn a_policy_that_says_the_next_hop_is_obeyed_and_one_that_cannot_be_said_is_not_announced() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let next_hop = |change| accept(Sets { next_hop: Some(change), ..Sets::default() });
    let own = bench.peer_with(2, PeerKind::Internal, export(next_hop(NextHopChange::Own)));
    let kept = next_hop(NextHopChange::Unchanged);
    let unchanged = bench.peer_with(3, PeerKind::External, export(kept));
    let wrong = next_hop(NextHopChange::Address(ip("fd00::1")));
    let unfit = bench.peer_with(4, PeerKind::External, export(wrong));
    let peer = bench.peer_with(5, PeerKind::External, export(next_hop(NextHopChange::Peer)));
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    let hop = |id| bench.hears(id, "10.1.0.0/24").map(|a| a.next_hop.address);
    assert_eq!(hop(own), Some(ip("10.0.0.100")));
    assert_eq!(hop(unchanged), Some(ip("10.0.0.1")));
    assert_eq!(hop(peer), Some(ip("10.0.0.5")));
    assert_eq!(hop(unfit), None);
    assert_eq!(bench.why(unfit, "10.1.0.0/24"), "no-next-hop");
}

#[test]
fn without_a_policy_an_external_peer_may_be_refused_both_ways_and_inside_nothing_changes() {
    let strict = Rules { without_policy: WithoutPolicy::Reject, ..Rules::default() };
    let mut bench = Bench::new();
    let outside = bench.peer_with(1, PeerKind::External, strict.clone());
    let inside = bench.peer_with(2, PeerKind::Internal, strict);
    bench.announce(outside, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    let learned = Attributes { local_pref: Some(100), ..attributes(&[], "10.9.9.9") };
    bench.announce(inside, &learned, &["10.2.0.0/24"]);
    bench.settle();
    let why = PathState::Ineligible(Ineligible::NoImportPolicy);
    assert_eq!(bench.state("10.1.0.0/24"), Some(why));
    assert_eq!(bench.why(outside, "10.2.0.0/24"), "no-export-policy");
    assert_eq!(bench.installed.len(), 1);
}

#[test]
fn the_heaviest_path_wins_before_local_pref() {
    let mut bench = Bench::new();
    let weighty = accept(Sets { weight: Some(Adjust::Set(10)), ..Sets::default() });
    let heavy = bench.peer_with(1, PeerKind::Internal, import(weighty));
    let preferred = bench.peer(2, PeerKind::Internal);
    let learned = |pref, hop| Attributes { local_pref: Some(pref), ..attributes(&[], hop) };
    bench.announce(heavy, &learned(1, "10.9.9.1"), &["10.1.0.0/24"]);
    bench.announce(preferred, &learned(500, "10.9.9.2"), &["10.1.0.0/24"]);
    bench.settle();
    assert_eq!(bench.state("10.1.0.0/24"), Some(PathState::Best(Step::Weight)));
    assert_eq!(bench.installed[&prefix("10.1.0.0/24")], [ip("10.9.9.1")]);
}

#[test]
fn what_a_policy_says_of_whom_a_route_was_learned_from_follows_what_that_peer_is() {
    let blue = Terms::any([PeerTerm::Group("blue".to_owned())]);
    let from_blue = Conditions { learned_from: Some(blue), ..Conditions::default() };
    let med = Sets { med: Some(Adjust::Set(50)), ..Sets::default() };
    let accepts = statement(Conditions::default(), Sets::default(), Action::Accept);
    let rules = export(policy(vec![statement(from_blue, med, Action::Accept), accepts]));
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer_with(2, PeerKind::External, rules.clone());
    let several = bench.rib.add_peer(ip("10.0.0.3")).unwrap();
    let mut facts = with_rules(3, PeerKind::External, rules);
    facts.options.add_path_send = bgp_packet::FamilyFlags::ALL;
    bench.up(several, facts);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    for (groups, expect) in [(vec![], None), (vec!["blue"], Some(50)), (vec!["red"], None)] {
        let groups = groups.into_iter().map(str::to_owned).collect();
        let facts = SessionFacts { groups, ..session(1, PeerKind::External) };
        bench.rib.session_changed(from, facts);
        bench.settle();
        assert_eq!(bench.hears(to, "10.1.0.0/24").unwrap().med, expect);
        assert_eq!(bench.hears(several, "10.1.0.0/24").unwrap().med, expect);
    }
}

/// RFC 4271 §9.1.2.2 c: the AS that the route came from, not one that import has put before it.
#[test]
fn meds_are_compared_by_the_as_that_has_sent_them() {
    let prepends = |asn, count| {
        let prepend = Some(Prepend { asn: PrependAs::Given(asn), count });
        import(accept(Sets { prepend, ..Sets::default() }))
    };
    let used = |paths: [&[u32]; 2], rules: [Rules; 2]| {
        let mut bench = Bench::new();
        for ((n, path), rules) in (1..).zip(paths).zip(rules) {
            let from = bench.peer_with(n, PeerKind::External, rules);
            let path = attributes(path, &format!("10.0.0.{n}"));
            let path = Attributes { med: Some(u32::from(n)), ..path };
            bench.announce(from, &path, &["10.1.0.0/24"]);
        }
        bench.settle();
        bench.installed[&prefix("10.1.0.0/24")].len()
    };
    let local_as = Some(LocalAs { asn: asn(64999), prepend: true, replace: false });
    let local = Rules { local_as, ..Rules::default() };
    assert_eq!(used([&[65001], &[65002]], [local.clone(), local]), 2);
    let given = || prepends(asn(64998), 1);
    assert_eq!(used([&[65001], &[65002]], [given(), given()]), 2);
    assert_eq!(used([&[65001], &[65001]], [given(), prepends(asn(64997), 1)]), 1);
    assert_eq!(used([&[65001, 1], &[65001]], [Rules::default(), given()]), 1);
}

#[test]
fn our_own_number_for_an_import_policy_is_that_of_the_session() {
    let prepend = Some(Prepend { asn: PrependAs::Own, count: 1 });
    let local_as = Some(LocalAs { asn: asn(64999), prepend: false, replace: false });
    for (local_as, expect) in [(None, "65000 65001"), (local_as, "64999 65001")] {
        let rules = import(accept(Sets { prepend, ..Sets::default() }));
        let mut bench = Bench::new();
        let from = bench.peer_with(1, PeerKind::External, Rules { local_as, ..rules });
        bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
        bench.settle();
        let paths = bench.rib.paths(&prefix("10.1.0.0/24"));
        assert_eq!(paths[0].attributes.as_path.to_string(), expect);
    }
}

/// RFC 7999 §3.3: the traffic is dropped, wherever the next hop is, and the path goes on.
#[test]
fn an_import_policy_drops_what_goes_to_a_prefix() {
    let blackhole = Term::Value("blackhole".parse().unwrap());
    let tagged = Conditions { communities: Some(Terms::any([blackhole])), ..Conditions::default() };
    let drops = Sets { discard: Some(true), ..Sets::default() };
    let rules = import(policy(vec![
        statement(tagged, drops, Action::Accept),
        statement(Conditions::default(), Sets::default(), Action::Accept),
    ]));
    let mut bench = Bench::new();
    bench.resolve = false;
    let from = bench.peer_with(1, PeerKind::External, rules.clone());
    let plain = bench.peer(2, PeerKind::External);
    let to = bench.peer(3, PeerKind::External);
    let tag = |hop| {
        let communities = vec![community::BLACKHOLE];
        Attributes { communities, ..attributes(&[65001], hop) }
    };
    let (text, dropped) = ("10.1.0.9/32", prefix("10.1.0.9/32"));
    bench.announce(from, &tag("192.0.2.1"), &[text]);
    bench.settle();
    assert_eq!(bench.discards, BTreeMap::from([(dropped, Discard::Blackhole)]));
    assert_eq!(bench.state(text), Some(PathState::Best(Step::OnlyPath)));
    assert!(bench.rib.paths(&dropped)[0].discard);
    let heard = bench.hears(to, text).unwrap();
    assert_eq!((heard.next_hop.address, heard.communities.len()), (ip("10.0.0.100"), 1));

    // One as good that forwards takes no part, and is used once the other is gone.
    bench.rib.next_hop(ip("10.0.0.2"), Some(0));
    bench.announce(plain, &attributes(&[65002], "10.0.0.2"), &[text]);
    bench.rib.next_hop(ip("10.0.0.2"), Some(0));
    bench.settle();
    assert_eq!((bench.rib.paths(&dropped).len(), bench.discards.len()), (2, 1));
    bench.withdraw(from, &[text]);
    bench.settle();
    assert_eq!(bench.discards, BTreeMap::new());
    assert_eq!(bench.installed[&dropped], [ip("10.0.0.2")]);

    // Nor does one that drops when the best path forwards.
    let last = bench.rib.add_peer(ip("10.0.0.4")).unwrap();
    bench.up(last, with_rules(4, PeerKind::External, rules));
    bench.announce(last, &tag("192.0.2.1"), &[text]);
    bench.settle();
    assert_eq!(bench.installed[&dropped], [ip("10.0.0.2")]);
    let paths = bench.rib.paths(&dropped);
    assert!(!paths[0].discard && paths[1].discard, "{paths:?}");

    // The same set without the community's policy: the next hop counts again.
    bench.withdraw(plain, &[text]);
    bench.settle();
    assert_eq!(bench.discards.len(), 1);
    bench.rib.session_changed(last, session(4, PeerKind::External));
    bench.settle();
    assert_eq!((bench.discards.len(), bench.installed.len()), (0, 0));
    assert_eq!(bench.state(text), Some(PathState::Ineligible(Ineligible::UnresolvedNextHop)));
    bench.withdraw(last, &[text]);
    bench.settle();
    assert_eq!(bench.rib.counts(), Counts { groups: 2, ..Counts::default() });
}

/// What drops takes no place among those that forward, and they take none beside what drops.
#[test]
fn a_path_that_drops_is_put_aside_before_the_others_are_counted() {
    let drops = || import(accept(Sets { discard: Some(true), ..Sets::default() }));
    let mut bench = Bench::new();
    let multipath = Multipath { ebgp: 2, ..Multipath::ALL };
    bench.rib.configure(Settings { multipath, ..settings() });
    let text = "10.1.0.0/24";
    let mut peers = Vec::new();
    for (n, rules) in [(1, Rules::default()), (2, drops()), (3, Rules::default()), (4, drops())] {
        let from = bench.peer_with(n, PeerKind::External, rules);
        let path = attributes(&[65000 + u32::from(n)], &format!("10.0.0.{n}"));
        bench.announce(from, &path, &[text]);
        // What drops is at distance 0, and these are to be as good.
        bench.rib.next_hop(ip(&format!("10.0.0.{n}")), Some(0));
        peers.push(from);
    }
    bench.resolve = false;
    bench.settle();
    assert_eq!(bench.installed[&prefix(text)], [ip("10.0.0.1"), ip("10.0.0.3")]);
    let states = |bench: &Bench| -> Vec<_> {
        let paths = bench.rib.paths(&prefix(text));
        paths.iter().map(|path| (path.peer.0, format!("{:?}", path.state))).collect()
    };
    let is = |n, state: &str| (n, state.to_owned());
    let aside = |n| is(n, "Lost(Discard)");
    let behind = is(3, "Multipath(RouterId)");
    assert_eq!(states(&bench), [is(1, "Best(Discard)"), behind, aside(2), aside(4)]);
    let explained = bench.rib.explain_best(&prefix(text));
    let last_two = &explained.steps[explained.steps.len() - 2..];
    let shown: Vec<_> = last_two.iter().map(|s| (s.step.to_string(), s.out.clone())).collect();
    assert_eq!(shown, [("discard".to_owned(), vec![2, 3]), ("router-id".to_owned(), vec![])]);
    let values: Vec<_> = last_two[0].values.iter().flatten().collect();
    assert_eq!(values, ["forwards", "forwards", "drops", "drops"]);

    // The best one drops: of those as good none is used.
    bench.withdraw(peers[0], &[text]);
    bench.settle();
    assert_eq!((bench.installed.len(), bench.discards.len()), (0, 1));
    assert_eq!(states(&bench)[0].0, peers[1].0);
    let others: BTreeSet<_> = states(&bench)[1..].iter().cloned().collect();
    assert_eq!(others, BTreeSet::from([is(3, "Lost(Discard)"), is(4, "Lost(RouterId)")]));
}

/// RFC 4360 §6: what is non-transitive stays inside, but a policy's word is meant for the peer.
#[test]
fn an_export_policy_tells_another_as_a_link_bandwidth() {
    let bandwidth = |n| community::encode_link_bandwidth(65000, n, false);
    let add = CommunityEdit { add: vec![bandwidth(5.0)], ..CommunityEdit::default() };
    let sets = Sets { extended_communities: Some(add), ..Sets::default() };
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer_with(2, PeerKind::External, export(accept(sets)));
    let plain = bench.peer(3, PeerKind::External);
    let inside = bench.peer(4, PeerKind::Internal);
    let extended_communities = vec![bandwidth(9.0)];
    let learned = Attributes { extended_communities, ..attributes(&[65001], "10.0.0.1") };
    bench.announce(from, &learned, &["10.1.0.0/24"]);
    bench.settle();
    let heard = |id| bench.hears(id, "10.1.0.0/24").unwrap().extended_communities.clone();
    assert_eq!(heard(to), [bandwidth(5.0)]);
    assert_eq!(heard(plain), [[0; 8]; 0]);
    assert_eq!(heard(inside), [bandwidth(9.0)]);
}

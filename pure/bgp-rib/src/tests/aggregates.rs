//! Aggregates (RFC 4271 §9.2.2.2).

use std::net::Ipv4Addr;

use bgp_policy::Source;

use super::*;

pub(super) fn aggregate() -> Aggregate {
    Aggregate { route: own(), summary_only: false, discard: Some(Discard::Blackhole) }
}

pub(super) fn summary() -> Aggregate {
    Aggregate { summary_only: true, ..aggregate() }
}

impl Bench {
    pub(super) fn aggregates(&mut self, all: &[(&str, Aggregate)]) {
        let all = all.iter().map(|(text, aggregate)| (prefix(text), aggregate.clone()));
        self.rib.aggregate(all.collect());
    }

    fn hears_all(&self, id: PeerId) -> Vec<String> {
        self.heard[&id].routes.keys().map(ToString::to_string).collect()
    }

    /// As [`Bench::settle`], in the smallest steps; each time what a peer has heard is looked at.
    fn settle_slowly(&mut self, id: PeerId, look: impl Fn(&Heard)) {
        while self.rib.has_work() || self.rib.waits(id) {
            self.rib.work(1);
            look(&self.heard[&id]);
            self.hear(id);
            look(&self.heard[&id]);
        }
        self.settle();
    }
}

/// Whether a path of the prefix is an aggregate's.
pub(super) fn is_there(bench: &Bench, prefix: &Prefix) -> bool {
    bench.rib.paths(prefix).iter().any(|path| path.source == Source::Aggregate)
}

const ALL: &str = "10.0.0.0/8";

#[test]
fn an_aggregate_is_there_while_a_longer_prefix_is_used() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::Internal);
    let communities = vec![7];
    let route = OwnRoute { med: Some(5), communities: communities.clone(), ..own() };
    bench.aggregates(&[(ALL, Aggregate { route, ..aggregate() })]);
    let learned = attributes(&[65001, 7], "10.0.0.1");
    // Neither the prefix itself nor what lies beside it.
    bench.announce(from, &learned, &[ALL, "11.0.0.0/24"]);
    bench.settle();
    assert!(!is_there(&bench, &prefix(ALL)) && bench.discards.is_empty());
    bench.announce(from, &learned, &["10.1.0.0/24", "10.2.0.0/24"]);
    bench.settle();
    let expect = Attributes {
        med: Some(5),
        local_pref: Some(100),
        communities,
        atomic_aggregate: true,
        aggregator: Some((asn(AS), Ipv4Addr::new(1, 1, 1, 1))),
        ..attributes(&[], "10.0.0.100")
    };
    assert_eq!(bench.hears(to, ALL), Some(&expect));
    assert_eq!(bench.hears(from, ALL).unwrap().as_path, attributes(&[AS], "1.1.1.1").as_path);
    assert_eq!(bench.heard[&to].routes.len(), 4, "the longer ones too");
    assert_eq!(bench.discards, BTreeMap::from([(prefix(ALL), Discard::Blackhole)]));
    assert!(!bench.installed.contains_key(&prefix(ALL)));
    let paths = bench.rib.paths(&prefix(ALL));
    let shown = paths.iter().map(|path| (path.peer, path.source, path.path_id));
    let here = (PeerId::LOCAL, Source::Aggregate, PathId::NONE);
    assert!(shown.eq([here, (from, Source::Ebgp, PathId::NONE)]));
    // One stays, and then none that can be used.
    bench.withdraw(from, &["10.1.0.0/24"]);
    bench.settle();
    assert!(is_there(&bench, &prefix(ALL)));
    bench.rib.next_hop(ip("10.0.0.1"), None);
    bench.settle();
    assert!(!is_there(&bench, &prefix(ALL)) && bench.discards.is_empty());
    bench.rib.next_hop(ip("10.0.0.1"), Some(1));
    bench.settle();
    assert!(is_there(&bench, &prefix(ALL)));
    bench.withdraw(from, &["10.2.0.0/24"]);
    bench.settle();
    assert_eq!(bench.hears(to, ALL).unwrap().aggregator, None, "the learned one is left");
    assert_eq!(bench.installed[&prefix(ALL)], [ip("10.0.0.1")]);
}

#[test]
fn one_aggregate_can_be_what_a_shorter_one_waits_for() {
    let mut bench = Bench::new();
    let to = bench.peer(2, PeerKind::External);
    bench.aggregates(&[(ALL, aggregate()), ("10.1.0.0/16", summary()), ("fd00::/16", aggregate())]);
    bench.rib.originate(&prefix("10.1.2.0/24"), Some(&own()));
    bench.rib.originate(&prefix("10.1.2.0/25"), Some(&own()));
    bench.settle();
    assert_eq!(bench.hears_all(to), [ALL, "10.1.0.0/16"]);
    assert_eq!(bench.why(to, "10.1.2.0/25"), "suppressed-by-aggregate");
    // Both count for both; the longer aggregate is one more for the shorter.
    bench.rib.originate(&prefix("10.1.2.0/24"), None);
    bench.settle();
    assert_eq!(bench.hears_all(to), [ALL, "10.1.0.0/16"]);
    bench.rib.originate(&prefix("10.1.2.0/25"), None);
    bench.settle();
    assert_eq!(bench.hears_all(to), [""; 0]);
    bench.aggregates(&[]);
    bench.settle();
    assert_eq!(bench.rib.counts(), Counts { groups: 2, ..Counts::default() });
}

#[test]
fn with_summary_only_the_longer_prefixes_are_told_to_nobody() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.aggregates(&[(ALL, summary())]);
    bench.settle();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24", "10.2.0.0/24"]);
    let at_most = |heard: &Heard| assert!(heard.routes.keys().all(|p| *p == prefix(ALL)));
    bench.settle_slowly(to, at_most);
    assert_eq!(bench.hears_all(to), [ALL]);
    assert_eq!(bench.installed.len(), 2, "they are used");
    for peer in [to, from] {
        let why = bench.rib.explain_export(peer, &prefix("10.1.0.0/24"));
        let refused = Some(Reason::SuppressedByAggregate);
        assert!(peer == from || why.paths[0].refused == refused);
    }
    assert_eq!(bench.why(to, "10.1.0.0/24"), "suppressed-by-aggregate");
    // Who comes later is told the same.
    let late = bench.peer(3, PeerKind::Internal);
    bench.settle_slowly(late, at_most);
    assert_eq!(bench.hears_all(late), [ALL]);
    bench.rib.session_down(from, &BTreeSet::new());
    bench.heard.remove(&from);
    bench.settle_slowly(to, at_most);
    assert_eq!(bench.hears_all(to), [""; 0]);
}

#[test]
fn a_change_of_aggregates_leaves_no_address_without_a_route() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let longer: Vec<String> = (0..50).map(|n| format!("10.1.{n}.0/24")).collect();
    let longer: Vec<&str> = longer.iter().map(String::as_str).collect();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &longer);
    bench.settle();
    let covered = |heard: &Heard| {
        let all = heard.routes.contains_key(&prefix(ALL));
        assert!(all || heard.routes.len() == 50, "{:?}", heard.routes.keys());
    };
    bench.aggregates(&[(ALL, summary())]);
    bench.settle_slowly(to, covered);
    assert_eq!(bench.hears_all(to), [ALL]);
    // Other attributes, and the longer ones again.
    let route = OwnRoute { med: Some(1), ..own() };
    bench.aggregates(&[(ALL, Aggregate { route, discard: None, ..aggregate() })]);
    bench.settle_slowly(to, |heard| assert!(heard.routes.contains_key(&prefix(ALL))));
    assert_eq!(bench.hears(to, ALL).unwrap().med, Some(1));
    assert_eq!((bench.heard[&to].routes.len(), bench.discards.len()), (51, 0));
    bench.aggregates(&[(ALL, summary())]);
    bench.settle_slowly(to, covered);
    assert_eq!((bench.hears_all(to).len(), bench.discards.len()), (1, 1));
    bench.aggregates(&[]);
    bench.settle_slowly(to, covered);
    assert_eq!((bench.heard[&to].routes.len(), bench.discards.len()), (50, 0));
    // Taken back while it is still on its way out.
    bench.aggregates(&[(ALL, summary())]);
    bench.settle();
    bench.aggregates(&[]);
    bench.rib.work(1);
    bench.aggregates(&[(ALL, summary())]);
    bench.settle_slowly(to, covered);
    assert_eq!(bench.hears_all(to), [ALL]);
}

#[test]
fn without_transit_only_own_prefixes_count() {
    let mut bench = Bench::new();
    bench.rib.configure(Settings { transit: false, ..settings() });
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.aggregates(&[(ALL, aggregate())]);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    bench.settle();
    assert_eq!(bench.hears_all(to), [""; 0]);
    bench.rib.originate(&prefix("10.1.0.0/24"), Some(&own()));
    bench.settle();
    assert_eq!(bench.hears_all(to), [ALL, "10.1.0.0/24"]);
    bench.rib.originate(&prefix("10.1.0.0/24"), None);
    bench.settle();
    assert_eq!(bench.hears_all(to), [""; 0]);
    bench.rib.configure(settings());
    bench.settle();
    assert_eq!(bench.hears_all(to), [ALL, "10.1.0.0/24"]);
    bench.rib.configure(Settings { transit: false, ..settings() });
    bench.settle();
    assert_eq!(bench.hears_all(to), [""; 0]);
}

#[test]
fn the_prefix_may_be_originated_for_itself_too() {
    let mut bench = Bench::new();
    let to = bench.peer(2, PeerKind::External);
    let route = OwnRoute { local_pref: Some(200), med: Some(9), ..own() };
    bench.rib.originate(&prefix(ALL), Some(&route));
    bench.aggregates(&[(ALL, aggregate())]);
    bench.settle();
    assert!(!is_there(&bench, &prefix(ALL)) && bench.discards.is_empty());
    bench.rib.originate(&prefix("10.1.0.0/24"), Some(&own()));
    bench.settle();
    assert_eq!(bench.hears(to, ALL).unwrap().med, Some(9), "the better one is told");
    assert_eq!(bench.discards.len(), 1);
    let unreachable = Aggregate { discard: Some(Discard::Unreachable), ..aggregate() };
    bench.aggregates(&[(ALL, unreachable)]);
    bench.settle();
    assert_eq!(bench.discards, BTreeMap::from([(prefix(ALL), Discard::Unreachable)]));
    bench.rib.originate(&prefix(ALL), None);
    bench.settle();
    assert!(bench.hears(to, ALL).unwrap().atomic_aggregate);
    bench.rib.originate(&prefix("10.1.0.0/24"), None);
    bench.settle();
    assert_eq!((bench.hears(to, ALL), bench.discards.len()), (None, 0));
}

#[test]
fn after_a_restart_aggregates_wait_for_the_choice_too() {
    let mut bench = Bench::new();
    bench.rib.defer();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.aggregates(&[(ALL, summary())]);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["10.1.0.0/24"]);
    for _ in 0..10 {
        bench.rib.work(100);
    }
    assert!(!bench.hear(to) && bench.rib.poll_best().is_none() && !bench.rib.is_settled());
    bench.rib.select();
    bench.settle_slowly(to, |heard| assert!(heard.routes.len() <= 1));
    assert_eq!(bench.hears_all(to), [ALL]);
    assert_eq!((bench.installed.len(), bench.discards.len()), (1, 1));
}

#[test]
fn with_another_router_id_the_aggregator_is_another() {
    let mut bench = Bench::new();
    bench.aggregates(&[(ALL, aggregate())]);
    bench.rib.originate(&prefix("10.1.0.0/24"), Some(&own()));
    bench.settle();
    bench.rib.configure(Settings { router_id: "3.3.3.3".parse().unwrap(), ..settings() });
    bench.settle();
    let aggregator = bench.rib.paths(&prefix(ALL))[0].attributes.aggregator;
    assert_eq!(aggregator, Some((asn(AS), Ipv4Addr::new(3, 3, 3, 3))));
}

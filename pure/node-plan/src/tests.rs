use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster_api::{NodeBGPReason, NodeBGPState, PeerDigest, SessionState};
use inet::{Family, Timestamp};
use serde_json::{Value, json};

use cluster_api::world::Seen;

use crate::*;

const ME: &str = "n1";

/// A planner, its clock, and the last of each wanted state.
struct Agent {
    planner: NodePlanner,
    now: Timestamp,
    document: Option<router_config::Document>,
    blocks: Option<Vec<HeldBlock>>,
    status: Option<cluster_api::NodeBGPStatus>,
    documents: usize,
}

impl Agent {
    fn new(pods: bool, services: bool) -> Agent {
        let config = NodeConfig {
            node: ME.into(),
            pods,
            services,
            fib_table: pods.then_some(254),
            classes: ClassRule { require_class: false },
        };
        Agent {
            planner: NodePlanner::new(config),
            now: Timestamp::ZERO,
            document: None,
            blocks: None,
            status: None,
            documents: 0,
        }
    }

    fn listed() -> Agent {
        let mut agent = Agent::new(true, true);
        for list in empty_lists() {
            agent.planner.handle(agent.now, list);
        }
        for node in ["n1", "n2", "n3"] {
            agent.node(node, "True");
        }
        agent.change(Change::NodeBgps(put(json!({
            "metadata": {"name": ME},
            "spec": {"asn": 65010, "routerId": "10.0.0.1", "speaker": {"path": "127.0.0.1:5000"}},
        }))));
        agent.change(pool("services", "10.0.1.0/24", "service", None));
        agent
    }

    fn change(&mut self, change: Change) {
        self.planner.handle(self.now, change);
        self.after(Duration::from_secs(2));
    }

    fn after(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.planner.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.planner.tick(self.now);
            while let Some(want) = self.planner.poll() {
                match want {
                    Want::Router(document) => {
                        self.document = Some(*document);
                        self.documents += 1;
                    }
                    Want::Blocks(blocks) => self.blocks = Some(blocks),
                    Want::Status(status) => self.status = Some(*status),
                }
            }
        }
        self.now = end;
    }

    fn node(&mut self, name: &str, ready: &str) {
        self.change(Change::Nodes(boxed(json!({
            "metadata": {"name": name},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "addresses": [
                    {"type": "InternalIP", "address": "192.0.2.1"},
                    {"type": "InternalIP", "address": "2001:db8::1"},
                ],
            },
        }))));
    }

    fn paths(&self) -> Vec<String> {
        let groups = self.document.iter().flat_map(|d| &d.paths);
        groups.flat_map(|g| &g.prefixes).map(ToString::to_string).collect()
    }
}

fn put<T: serde::de::DeserializeOwned>(object: Value) -> Seen<T> {
    Seen::Put(serde_json::from_value(object).unwrap())
}

fn boxed<T: serde::de::DeserializeOwned>(object: Value) -> Box<Seen<T>> {
    Box::new(put(object))
}

fn none<T>() -> Seen<T> {
    Seen::All { objects: vec![], bad: vec![], version: "1".into() }
}

fn empty_lists() -> Vec<Change> {
    vec![
        Change::Blocks(none()),
        Change::EndpointSlices(none()),
        Change::NodeBgps(none()),
        Change::Nodes(Box::new(none())),
        Change::Peers(none()),
        Change::Pools(none()),
        Change::Services(none()),
    ]
}

fn pool(name: &str, cidr: &str, kind: &str, group: Option<&str>) -> Change {
    let annotations = group.map(|g| json!({"bgppeer.sart.terassyi.net/group": g}));
    Change::Pools(put(json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"cidr": cidr, "type": kind, "allocType": "bit", "autoAssign": true},
    })))
}

fn block(name: &str, cidr: &str, node: &str) -> Change {
    Change::Blocks(put(json!({
        "metadata": {"name": name},
        "spec": {"cidr": cidr, "type": "pod", "poolRef": "pods", "nodeRef": node,
                 "autoAssign": true},
    })))
}

fn service(name: &str, policy: &str, addresses: &[&str]) -> Change {
    let ingress: Vec<Value> = addresses.iter().map(|a| json!({"ip": a})).collect();
    Change::Services(put(json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "externalTrafficPolicy": policy},
        "status": {"loadBalancer": {"ingress": ingress}},
    })))
}

/// Endpoints as (node, ready, serving).
fn slice(service: &str, endpoints: &[(&str, bool, bool)]) -> Change {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(node, ready, serving)| {
            json!({
                "addresses": ["10.1.0.1"], "nodeName": node,
                "conditions": {"ready": ready, "serving": serving, "terminating": !ready},
            })
        })
        .collect();
    Change::EndpointSlices(put(json!({
        "metadata": {"name": format!("{service}-x"), "namespace": "default",
                     "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints,
    })))
}

#[test]
fn nothing_is_wanted_before_every_watch_has_listed() {
    let mut agent = Agent::new(true, true);
    let mut lists = empty_lists();
    let last = lists.pop().unwrap();
    for list in lists {
        agent.change(list);
    }
    agent.change(block("pods-0", "10.1.0.0/29", ME));
    assert_eq!((&agent.document, &agent.blocks), (&None, &None));
    agent.change(last);
    assert_eq!(agent.blocks.as_ref().map(Vec::len), Some(1));
    assert_eq!(agent.document, Some(router_config::Document::default()), "no NodeBGP yet");
}

#[test]
fn own_blocks_are_announced_and_held_others_are_not() {
    let mut agent = Agent::listed();
    agent.change(pool("pods", "10.1.0.0/24", "pod", Some("spines")));
    agent.change(block("pods-0", "10.1.0.0/29", ME));
    agent.change(block("pods-1", "10.1.0.8/29", "n2"));
    assert_eq!(agent.paths(), ["10.1.0.0/29"]);
    let document = agent.document.clone().unwrap();
    assert_eq!(document.transit, Some(false), "a node is no transit");
    assert_eq!(document.paths[0].groups, BTreeSet::from(["spines".to_owned()]));
    assert_eq!(agent.blocks.clone().unwrap()[0].name, "pods-0");
    agent.change(Change::Blocks(none()));
    assert_eq!(agent.paths(), [""; 0]);
}

#[test]
fn mode_lb_installs_nothing_and_holds_no_block() {
    let mut agent = Agent::new(false, true);
    for list in empty_lists() {
        agent.change(list);
    }
    agent.change(Change::NodeBgps(put(json!({
        "metadata": {"name": ME}, "spec": {"asn": 65010, "routerId": "10.0.0.1"},
    }))));
    agent.change(block("pods-0", "10.1.0.0/29", ME));
    assert_eq!(agent.document.unwrap().fib, None);
    assert_eq!(agent.blocks, Some(vec![]));
}

#[test]
fn local_services_follow_their_endpoints() {
    type Endpoints = &'static [(&'static str, bool, bool)];
    let cases: &[(Endpoints, bool)] = &[
        (&[], false),
        (&[("n1", true, true)], true),
        (&[("n2", true, true)], false),
        (&[("n1", false, true)], true),
        (&[("n1", false, false)], false),
        // A node whose endpoint terminates is left while another node has a ready one.
        (&[("n1", false, true), ("n2", true, true)], false),
        (&[("n1", false, true), ("n2", false, true)], true),
    ];
    for (endpoints, announced) in cases {
        let mut agent = Agent::listed();
        agent.change(service("web", "Local", &["10.0.1.0"]));
        agent.change(slice("web", endpoints));
        assert_eq!(agent.paths().contains(&"10.0.1.0/32".to_owned()), *announced, "{endpoints:?}");
        let withheld = agent.status.unwrap().router.unwrap().withheld;
        let reasons: Vec<&str> = withheld.iter().map(|w| w.reason.as_str()).collect();
        let expected: &[&str] = if *announced { &[] } else { &["no-local-endpoints"] };
        assert_eq!(reasons, expected, "{endpoints:?}");
    }
}

#[test]
fn cluster_services_are_announced_by_all_and_foreign_addresses_by_none() {
    let mut agent = Agent::listed();
    agent.change(service("web", "Cluster", &["10.0.1.0", "198.51.100.1"]));
    assert_eq!(agent.paths(), ["10.0.1.0/32"]);
    agent.change(Change::Services(none()));
    assert_eq!(agent.paths(), [""; 0]);
}

#[test]
fn an_outage_of_the_api_holds_services_for_a_minute_an_outage_of_pods_does_not() {
    for outage in [true, false] {
        let mut agent = Agent::listed();
        agent.change(service("web", "Local", &["10.0.1.0"]));
        agent.change(slice("web", &[("n1", true, true)]));
        if outage {
            agent.node("n1", "Unknown");
            agent.node("n2", "Unknown");
        }
        agent.change(slice("web", &[("n1", false, false)]));
        assert_eq!(agent.paths().len(), usize::from(outage), "at once");
        agent.after(Duration::from_secs(55));
        assert_eq!(agent.paths().len(), usize::from(outage), "before the hold ends");
        agent.after(Duration::from_secs(10));
        assert_eq!(agent.paths().len(), 0, "after the hold");
    }
}

#[test]
fn of_two_peers_with_one_address_the_older_is_used_and_a_peer_of_another_node_never() {
    let mut agent = Agent::listed();
    let peer = |name: &str, node: &str, asn: u32, made: &str| {
        let spec = json!({"asn": asn, "addr": "9.9.9.9", "nodeBGPRef": node, "holdTime": 15});
        let meta = json!({"name": name, "creationTimestamp": made});
        Change::Peers(put(json!({"metadata": meta, "spec": spec})))
    };
    agent.change(peer("a-young", ME, 65002, "2026-01-02T00:00:00Z"));
    agent.change(peer("b-old", ME, 65001, "2026-01-01T00:00:00Z"));
    agent.change(peer("c-other", "n2", 65003, "2025-01-01T00:00:00Z"));
    let neighbors = agent.document.clone().unwrap().neighbors;
    assert_eq!(neighbors.len(), 1);
    assert_eq!((neighbors[0].asn.get(), neighbors[0].hold_time), (65001, Some(15)));
    agent.change(Change::Router(RouterFact {
        reachable: true,
        applied: Some(Ok(())),
        peers: vec![PeerFact {
            address: "9.9.9.9".parse().unwrap(),
            digest: PeerDigest {
                name: String::new(),
                state: SessionState::Established,
                since: None,
                last_error: None,
                backoff: None,
                received: Some(3),
                sent: Some(1),
                not_advertised: vec![],
            },
        }],
        failures: 0,
    }));
    let router = agent.status.clone().unwrap().router.unwrap();
    assert_eq!((router.peers.len(), router.peers[0].name.as_str()), (1, "b-old"));
}

#[test]
fn a_speaker_away_from_the_node_is_an_invalid_configuration() {
    for (path, ok) in [
        ("127.0.0.1:5000", true),
        ("localhost:5000", true),
        ("http://[::1]:5000", true),
        ("unix:/run/sart/router.sock", true),
        ("10.0.0.7:5000", false),
        ("router.example:5000", false),
    ] {
        let mut agent = Agent::listed();
        let before = agent.documents;
        agent.change(Change::Router(RouterFact {
            reachable: true,
            applied: Some(Ok(())),
            ..RouterFact::default()
        }));
        agent.change(Change::NodeBgps(put(json!({
            "metadata": {"name": ME},
            "spec": {"asn": 65099, "routerId": "10.0.0.1", "speaker": {"path": path}},
        }))));
        let last = agent.status.unwrap().conditions.unwrap().pop().unwrap();
        let expected = if ok {
            (NodeBGPState::Available, NodeBGPReason::Configured)
        } else {
            (NodeBGPState::Unavailable, NodeBGPReason::InvalidConfiguration)
        };
        assert_eq!((last.status, last.reason), expected, "{path}");
        assert_eq!(agent.documents > before, ok, "{path}: the router keeps what it has");
    }
}

#[test]
fn status_is_written_at_most_once_a_second() {
    let mut agent = Agent::listed();
    let mut written = 0;
    for round in 0..100u32 {
        let fact = RouterFact { reachable: true, failures: round, ..RouterFact::default() };
        agent.planner.handle(agent.now, Change::Router(fact));
        agent.status = None;
        agent.after(Duration::from_millis(100));
        written += usize::from(agent.status.is_some());
    }
    assert!((9..=11).contains(&written), "{written} in ten seconds");
}

#[test]
fn a_node_bgp_that_is_made_anew_gets_its_status() {
    let mut agent = Agent::listed();
    let made = |uid: &str| {
        Change::NodeBgps(put(json!({
            "metadata": {"name": ME, "uid": uid},
            "spec": {"asn": 65010, "routerId": "10.0.0.1", "speaker": {"path": "127.0.0.1:5000"}},
        })))
    };
    for uid in ["first", "second"] {
        agent.change(made(uid));
        agent.after(Duration::from_secs(2));
        assert!(agent.status.take().is_some(), "{uid}");
    }
    agent.change(made("second"));
    agent.after(Duration::from_secs(2));
    assert_eq!(agent.status, None, "nothing new");
}

#[test]
fn pools_are_chosen_by_pod_before_namespace_before_auto() {
    let both = BTreeSet::from(Family::ALL);
    let v4 = BTreeSet::from([Family::Ipv4]);
    let v6 = BTreeSet::from([Family::Ipv6]);
    let pool = |families: &BTreeSet<Family>, auto_assign| PodPool {
        families: families.clone(),
        auto_assign,
    };
    let pools = BTreeMap::from([
        ("auto4".to_owned(), pool(&v4, true)),
        ("auto6".to_owned(), pool(&v6, true)),
        ("named".to_owned(), pool(&v4, false)),
        ("dual".to_owned(), pool(&both, false)),
    ]);
    let check = |pod, namespace, expect: Result<&[&str], NoPool>| {
        let chosen = choose(pod, namespace, &pools, &both);
        let chosen = chosen
            .map(|all| all.iter().map(|c| format!("{} {}", c.pool, c.family)).collect::<Vec<_>>());
        let expect = expect.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(chosen, expect, "{pod:?} {namespace:?}");
    };
    check(None, None, Ok(&["auto4 ipv4", "auto6 ipv6"]));
    check(Some("named"), Some("dual"), Ok(&["named ipv4", "auto6 ipv6"]));
    check(None, Some("dual"), Ok(&["dual ipv4", "dual ipv6"]));
    check(Some("named,auto4"), None, Ok(&["named ipv4", "auto4 ipv4", "auto6 ipv6"]));
    check(Some(" , "), Some("named"), Ok(&["named ipv4", "auto6 ipv6"]));
    check(Some("nowhere"), None, Err(NoPool::Unknown("nowhere".into())));
    assert_eq!(choose(None, None, &BTreeMap::new(), &both), Err(NoPool::NoAuto));
}

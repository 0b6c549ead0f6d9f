//! Chance decides what users do and what goes wrong: late, repeated and repeated whole watches,
//! writes that fail, or are done though they seem to fail, controllers that die or take over.

use std::collections::BTreeMap;

use cluster_api::world::{Kind, Outcome};
use cluster_plan::{Settings, plan};
use inet::Prefix;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cluster::{Api, Controller, WATCHED, now};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A user makes or changes the Service of this number: what it asks for.
    Service(u8, Ask),
    DeleteService(u8),
    Pool(u8),
    DeletePool(u8),
    Auto(u8),
    Node(u8),
    DeleteNode(u8),
    Request(u8, u8),
    /// An agent gives a block back.
    GiveBack(u8),
    ClusterBgp(u8),
    DeleteClusterBgp(u8),
    /// A watch tells up to so many events.
    Watch(u8, u8),
    Repeat(u8),
    List(u8),
    /// A write ends: which one, and how.
    End(u8, End),
    /// The controller dies and another starts.
    Restart,
    /// It loses the lead, and gets it back.
    Pause,
    /// Time passes, in milliseconds.
    Wait(u16),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Any,
    Other,
    Both,
    Dual,
    Wanted(u8),
    ClusterIp,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    /// The answer is lost.
    DoneButLate,
    Failed,
}

fn step() -> impl Strategy<Value = Step> {
    let ask = prop_oneof![
        3 => Just(Ask::Any),
        1 => Just(Ask::Other),
        1 => Just(Ask::Both),
        1 => Just(Ask::Dual),
        1 => (0u8..6).prop_map(Ask::Wanted),
        1 => Just(Ask::ClusterIp),
    ];
    let end =
        prop_oneof![8 => Just(End::Done), 1 => Just(End::DoneButLate), 1 => Just(End::Failed)];
    prop_oneof![
        6 => (0u8..6, ask).prop_map(|(n, ask)| Step::Service(n, ask)),
        2 => (0u8..6).prop_map(Step::DeleteService),
        3 => (0u8..6).prop_map(Step::Pool),
        1 => (0u8..6).prop_map(Step::DeletePool),
        1 => (0u8..6).prop_map(Step::Auto),
        2 => (0u8..3).prop_map(Step::Node),
        1 => (0u8..3).prop_map(Step::DeleteNode),
        2 => (0u8..3, 0u8..6).prop_map(|(node, pool)| Step::Request(node, pool)),
        1 => (0u8..4).prop_map(Step::GiveBack),
        1 => (0u8..2).prop_map(Step::ClusterBgp),
        1 => (0u8..2).prop_map(Step::DeleteClusterBgp),
        20 => (0u8..11, 1u8..8).prop_map(|(kind, many)| Step::Watch(kind, many)),
        1 => (0u8..11).prop_map(Step::Repeat),
        1 => (0u8..11).prop_map(Step::List),
        20 => (0u8..4, end).prop_map(|(place, end)| Step::End(place, end)),
        1 => Just(Step::Restart),
        1 => Just(Step::Pause),
        3 => (1u16..3000).prop_map(Step::Wait),
    ]
}

struct Run {
    api: Api,
    controller: Controller,
    at: u64,
    requests: u32,
    /// The addresses of Services that nobody has asked to change since.
    settled: BTreeMap<u8, Vec<String>>,
}

fn kind(number: u8) -> Kind {
    WATCHED[usize::from(number) % WATCHED.len()]
}

/// The pools by number: name, CIDR, type, block size, auto. Some cannot be together.
const POOLS: [(&str, &str, &str, Option<u8>, bool); 6] = [
    ("auto", "10.0.1.0/30", "service", None, true),
    ("other", "10.0.2.0/29", "service", Some(30), false),
    ("over", "10.0.2.4/30", "service", None, true),
    ("six", "fd00::/126", "service", None, true),
    ("pods", "10.1.0.0/28", "pod", Some(30), true),
    ("pods-0", "10.1.0.8/29", "pod", Some(31), false),
];

impl Run {
    fn new() -> Run {
        let mut run = Run {
            api: Api::default(),
            controller: Controller::new(Settings::default()),
            at: 0,
            requests: 0,
            settled: BTreeMap::new(),
        };
        // An empty list of nodes is not believed, so one stays.
        run.api.create(Kind::Node, "", "stays", json!({}));
        run.controller.lead(0, true);
        run
    }

    fn step(&mut self, step: Step) {
        let at = self.at;
        match step {
            Step::Service(number, ask) => self.service(number, ask),
            Step::DeleteService(number) => {
                self.settled.remove(&number);
                self.api.delete(Kind::Service, "default", &format!("s{number}"));
            }
            Step::Pool(number) => {
                let (name, cidr, kind, size, auto) = POOLS[usize::from(number)];
                let mut spec = json!({ "cidr": cidr, "type": kind, "autoAssign": auto });
                if let Some(size) = size {
                    spec["blockSize"] = json!(size);
                }
                self.api.create(Kind::AddressPool, "", name, json!({ "spec": spec }));
            }
            Step::DeletePool(number) => {
                self.api.delete(Kind::AddressPool, "", POOLS[usize::from(number)].0);
            }
            Step::Auto(number) => {
                let (name, .., auto) = POOLS[usize::from(number)];
                self.api.patch(
                    Kind::AddressPool,
                    "",
                    name,
                    json!({ "spec": { "autoAssign": !auto } }),
                );
            }
            Step::Node(number) => {
                let labels =
                    json!({ "sart.terassyi.net/asn": (65010 + u32::from(number)).to_string() });
                let address = format!("172.18.0.{}", number + 2);
                let addresses = json!([{ "type": "InternalIP", "address": address }]);
                let body = json!({ "metadata": { "labels": labels }, "status": { "addresses": addresses } });
                self.api.create(Kind::Node, "", &format!("n{number}"), body);
            }
            Step::DeleteNode(number) => self.api.delete(Kind::Node, "", &format!("n{number}")),
            Step::Request(node, pool) => {
                self.requests += 1;
                let (pool, ..) = POOLS[usize::from(pool)];
                let body = json!({ "spec": { "pool": pool, "node": format!("n{node}") } });
                self.api.create(Kind::BlockRequest, "", &format!("r{}", self.requests), body);
            }
            Step::GiveBack(index) => {
                self.api.delete(Kind::AddressBlock, "", &format!("pods-{index}"));
            }
            Step::ClusterBgp(number) => {
                let spec = json!({
                    "asnSelector": { "from": "label" },
                    "routerIdSelector": { "from": "internalAddress" },
                    "peers": [{ "peerConfig": { "asn": 65000, "addr": format!("9.9.9.{number}") } }],
                });
                self.api.create(
                    Kind::ClusterBGP,
                    "",
                    &format!("c{number}"),
                    json!({ "spec": spec }),
                );
            }
            Step::DeleteClusterBgp(number) => {
                self.api.delete(Kind::ClusterBGP, "", &format!("c{number}"));
            }
            Step::Watch(number, many) => {
                for _ in 0..many {
                    self.controller.watch(&self.api, at, kind(number));
                }
            }
            Step::Repeat(number) => self.controller.repeat(&self.api, at, kind(number)),
            Step::List(number) => self.controller.list(&self.api, at, kind(number)),
            Step::End(place, end) => {
                let (place, api) = (usize::from(place), &mut self.api);
                self.controller.end(at, place, |write| match end {
                    End::Done => api.write(write),
                    End::DoneButLate => {
                        api.write(write);
                        Outcome::Later("no answer".to_owned())
                    }
                    End::Failed => Outcome::Later("no connection".to_owned()),
                });
            }
            Step::Restart => {
                // What was under way may still happen, or not.
                for (place, (_, write)) in
                    std::mem::take(&mut self.controller.under_way).iter().enumerate()
                {
                    if place % 2 == 0 {
                        self.api.write(write);
                    }
                }
                self.controller = Controller::new(Settings::default());
                self.controller.lead(at, true);
            }
            Step::Pause => {
                self.controller.lead(at, false);
                self.controller.poll(at);
                self.controller.lead(at, true);
            }
            Step::Wait(milliseconds) => self.at += u64::from(milliseconds),
        }
        self.controller.poll(self.at);
        self.nothing_is_wrong();
    }

    fn service(&mut self, number: u8, ask: Ask) {
        self.settled.remove(&number);
        let (mut spec, mut annotations) =
            (json!({ "type": "LoadBalancer", "ipFamilies": ["IPv4"] }), json!({}));
        let pool = "sart.terassyi.net/addresspool";
        let wanted = "sart.terassyi.net/loadBalancerIPs";
        annotations[pool] = Value::Null;
        annotations[wanted] = Value::Null;
        match ask {
            Ask::Any => {}
            Ask::Other => annotations[pool] = json!("other"),
            Ask::Both => annotations[pool] = json!("auto,other"),
            Ask::Dual => {
                spec["ipFamilies"] = json!(["IPv4", "IPv6"]);
                spec["ipFamilyPolicy"] = json!("PreferDualStack");
            }
            Ask::Wanted(last) => annotations[wanted] = json!(format!("10.0.1.{last}")),
            Ask::ClusterIp => spec["type"] = json!("ClusterIP"),
        }
        let name = format!("s{number}");
        let body = json!({ "metadata": { "annotations": annotations }, "spec": spec });
        if self.api.get(Kind::Service, "default", &name).is_some() {
            self.api.patch(Kind::Service, "default", &name, body);
        } else {
            let mut body = body;
            let all = body["metadata"]["annotations"].as_object_mut().unwrap();
            all.retain(|_, value| !value.is_null());
            self.api.create(Kind::Service, "default", &name, body);
        }
    }

    /// What must hold at every moment, whatever the controller knows.
    fn nothing_is_wrong(&self) {
        let mut shown_by: BTreeMap<String, String> = BTreeMap::new();
        for service in self.api.all(Kind::Service) {
            let name = service["metadata"]["name"].as_str().unwrap();
            for address in shown(service) {
                let claim = self.api.all(Kind::AddressClaim).into_iter().find(|claim| {
                    claim["spec"]["address"] == address.as_str()
                        && claim["spec"]["holderUid"] == service["metadata"]["uid"]
                });
                let deleting = !service["metadata"]["deletionTimestamp"].is_null();
                assert!(claim.is_some() || deleting, "{name} shows {address} without a claim");
                let other = shown_by.insert(address.clone(), name.to_owned());
                assert!(other.is_none() || deleting, "{address} of {name} and {other:?}");
            }
        }
        let mut blocks: Vec<(Prefix, &str)> = Vec::new();
        for block in self.api.all(Kind::AddressBlock) {
            let name = block["metadata"]["name"].as_str().unwrap();
            let cidr: Prefix = block["spec"]["cidr"].as_str().unwrap().parse().unwrap();
            if let Some((_, other)) = blocks.iter().find(|(other, _)| other.overlaps(&cidr)) {
                panic!("blocks {other} and {name} overlap");
            }
            blocks.push((cidr, name));
        }
        for (number, before) in &self.settled {
            let service = self.api.get(Kind::Service, "default", &format!("s{number}"));
            let have = service.map(shown).unwrap_or_default();
            let kept = before.iter().all(|address| have.contains(address));
            assert!(kept, "s{number} had {before:?}, has {have:?}, and nobody asked");
        }
    }

    /// Nothing happens any more: all must be as it should.
    fn settle(&mut self) {
        for kind in WATCHED {
            self.controller.list(&self.api, self.at, kind);
        }
        let late: Vec<_> = std::mem::take(&mut self.controller.under_way).into_iter().collect();
        for (ticket, write) in late {
            self.controller.under_way.push_back((ticket, write));
        }
        self.at = self.controller.settle(&mut self.api, self.at, 400_000);
        self.nothing_is_wrong();
        let left = plan(&self.api.world(), &Settings::default(), &now(self.at));
        assert!(left.is_empty(), "the plain plan wants more: {left:#?}");
        let uids: Vec<&Value> =
            self.api.all(Kind::Service).into_iter().map(|s| &s["metadata"]["uid"]).collect();
        for claim in self.api.all(Kind::AddressClaim) {
            assert!(uids.contains(&&claim["spec"]["holderUid"]), "leaked: {claim}");
        }
        let nodes: Vec<&Value> =
            self.api.all(Kind::Node).into_iter().map(|n| &n["metadata"]["name"]).collect();
        for block in self.api.all(Kind::AddressBlock) {
            let node = &block["spec"]["nodeRef"];
            assert!(node.is_null() || nodes.contains(&node), "leaked: {block}");
        }
        for service in self.api.all(Kind::Service) {
            let number = service["metadata"]["name"].as_str().unwrap()[1..].parse().unwrap();
            if service["spec"]["type"] == "LoadBalancer" {
                self.settled.insert(number, shown(service));
            } else {
                assert_eq!(shown(service), Vec::<String>::new());
            }
        }
    }
}

fn shown(service: &Value) -> Vec<String> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
    let ips = ingress.into_iter().flatten().filter_map(|entry| entry["ip"].as_str());
    ips.map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_address_twice_none_leaked_none_moved(
        first in proptest::collection::vec(step(), 1..120),
        second in proptest::collection::vec(step(), 1..60),
    ) {
        let mut run = Run::new();
        first.into_iter().for_each(|step| run.step(step));
        run.settle();
        second.into_iter().for_each(|step| run.step(step));
        run.settle();
    }
}

//! What users write, and what becomes of it.

use cluster_api::world::Kind;
use cluster_plan::Settings;
use serde_json::{Value, json};

use crate::cluster::{Api, Controller};

/// A cluster with one controller that leads; time goes on as it is used.
struct Bed {
    api: Api,
    controller: Controller,
    at: u64,
}

impl Bed {
    fn new() -> Bed {
        Bed::with(Settings::default())
    }

    fn with(settings: Settings) -> Bed {
        let mut bed = Bed { api: Api::default(), controller: Controller::new(settings), at: 0 };
        bed.controller.lead(0, true);
        bed
    }

    fn pool(&mut self, name: &str, cidr: &str, kind: &str, size: Option<u8>, auto: bool) {
        let mut spec = json!({ "cidr": cidr, "type": kind, "allocType": "bit", "autoAssign": auto });
        if let Some(size) = size {
            spec["blockSize"] = json!(size);
        }
        self.api.create(Kind::AddressPool, "", name, json!({ "spec": spec }));
    }

    /// The test bed's pools for Services.
    fn pools(&mut self) {
        self.pool("auto", "10.0.1.0/24", "service", None, true);
        self.pool("other", "10.0.100.0/24", "service", None, false);
        self.pool("auto6", "fd00:100::/112", "service", None, true);
    }

    fn service(&mut self, name: &str, annotations: Value, spec: Value) {
        let mut whole = json!({ "type": "LoadBalancer", "ipFamilies": ["IPv4"] });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let body = json!({ "metadata": { "annotations": annotations }, "spec": whole });
        self.api.create(Kind::Service, "default", name, body);
    }

    fn node(&mut self, name: &str, asn: &str, last: u8) {
        let mut labels = json!({ "bgp": "a" });
        if !asn.is_empty() {
            labels["sart.terassyi.net/asn"] = json!(asn);
        }
        let addresses = json!([{ "type": "InternalIP", "address": format!("172.18.0.{last}") }]);
        let body = json!({ "metadata": { "labels": labels }, "status": { "addresses": addresses } });
        self.api.create(Kind::Node, "", name, body);
    }

    fn request(&mut self, name: &str, pool: &str, node: &str) {
        let body = json!({ "spec": { "pool": pool, "node": node } });
        self.api.create(Kind::BlockRequest, "", name, body);
    }

    fn settle(&mut self) -> &mut Bed {
        self.at = self.controller.settle(&mut self.api, self.at, 3_000);
        self
    }

    /// The addresses that a Service shows.
    fn shown(&self, name: &str) -> String {
        let service = self.api.get(Kind::Service, "default", name).unwrap();
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned();
        let ips = ingress.unwrap_or_default();
        let ips: Vec<String> = ips
            .iter()
            .map(|entry| {
                assert_eq!(entry["ipMode"], "VIP");
                entry["ip"].as_str().unwrap().to_owned()
            })
            .collect();
        ips.join(",")
    }

    fn names(&self, kind: Kind) -> String {
        let names = self.api.all(kind).into_iter();
        let names: Vec<&str> = names.map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
        names.join(" ")
    }

    /// Whether something was told of an object for this reason.
    fn told(&self, name: &str, reason: &str) -> bool {
        let start = format!("{name} {reason}: ");
        self.controller.notes().iter().any(|note| note.starts_with(&start))
    }

    fn condition(&self, kind: Kind, namespace: &str, name: &str, of: &str) -> String {
        let object = self.api.get(kind, namespace, name).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|c| c["type"] == of);
        found.map_or(String::new(), |c| {
            format!("{} {}", c["status"].as_str().unwrap(), c["reason"].as_str().unwrap())
        })
    }
}

/// One Service in the test bed: its annotations and spec to the addresses and the refusal.
fn check(annotations: Value, spec: Value, addresses: &str, refusal: &str) {
    let mut bed = Bed::new();
    bed.pools();
    bed.service("first", json!({}), json!({}));
    bed.settle();
    assert_eq!(bed.shown("first"), "10.0.1.0");
    bed.service("web", annotations.clone(), spec.clone());
    bed.settle();
    assert_eq!(bed.shown("web"), addresses, "{annotations} {spec}\n{:?}", bed.controller.notes());
    let condition = bed.condition(Kind::Service, "default", "web", "sart.terassyi.net/Assigned");
    if refusal.is_empty() {
        assert_eq!(condition, "True Assigned", "{annotations} {spec}");
    } else {
        assert!(bed.told("web", refusal), "{refusal} not in {:?}", bed.controller.notes());
        assert!(condition.starts_with("False "), "{condition}");
    }
}

const POOL: &str = "sart.terassyi.net/addresspool";
const WANTED: &str = "sart.terassyi.net/loadBalancerIPs";

#[test]
fn services_get_the_addresses_they_ask_for() {
    let dual = json!({ "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack" });
    check(json!({}), json!({}), "10.0.1.1", "");
    check(json!({}), json!({ "ipFamilies": ["IPv6"] }), "fd00:100::", "");
    check(json!({}), dual.clone(), "10.0.1.1,fd00:100::", "");
    check(json!({ POOL: "other" }), json!({}), "10.0.100.0", "");
    check(json!({ POOL: "auto,other" }), json!({}), "10.0.1.1,10.0.100.0", "");
    check(json!({ POOL: "other, auto6" }), dual, "10.0.100.0,fd00:100::", "");
    check(json!({ WANTED: "10.0.1.77" }), json!({}), "10.0.1.77", "");
    check(json!({ WANTED: "10.0.1.77,10.0.1.78" }), json!({}), "10.0.1.77,10.0.1.78", "");
    // One wanted of b, any of a.
    check(json!({ POOL: "auto,other", WANTED: "10.0.100.9" }), json!({}), "10.0.1.1,10.0.100.9", "");
    check(json!({}), json!({ "loadBalancerClass": "sart.terassyi.net/bgp" }), "10.0.1.1", "");
}

#[test]
fn services_are_refused_by_name() {
    check(json!({ POOL: "nowhere" }), json!({}), "", "unknown-pool");
    check(json!({ POOL: "auto,nowhere" }), json!({}), "10.0.1.1", "unknown-pool");
    check(json!({ POOL: "auto6" }), json!({}), "", "family-mismatch");
    check(json!({ WANTED: "10.9.9.9" }), json!({}), "", "address-outside-pool");
    check(json!({ WANTED: "10.0.100.9" }), json!({}), "", "address-outside-pool");
    check(json!({ WANTED: "10.0.1.0" }), json!({}), "", "address-taken");
    check(json!({ WANTED: "fd00:100::1" }), json!({}), "10.0.1.1", "family-mismatch");
    check(json!({ WANTED: "rubbish" }), json!({}), "", "invalid-address");
    check(json!({ POOL: "auto,other", WANTED: "10.0.1.0" }), json!({}), "10.0.100.0", "address-taken");
}

#[test]
fn another_class_is_left_alone() {
    let untouched = |bed: &Bed, name: &str| {
        let service = bed.api.get(Kind::Service, "default", name).unwrap();
        service["status"].is_null() && service["metadata"]["finalizers"].is_null()
    };
    let mut bed = Bed::with(Settings { require_class: true });
    bed.pools();
    bed.service("classless", json!({}), json!({}));
    bed.service("theirs", json!({}), json!({ "loadBalancerClass": "example.com/lb" }));
    bed.service("ours", json!({}), json!({ "loadBalancerClass": "sart.terassyi.net/bgp" }));
    bed.service("inner", json!({}), json!({ "type": "ClusterIP" }));
    bed.settle();
    assert!(untouched(&bed, "classless") && untouched(&bed, "theirs") && untouched(&bed, "inner"));
    assert_eq!(bed.shown("ours"), "10.0.1.0");
    // Without any pool for Services they are somebody else's, and nobody is told anything.
    let mut bed = Bed::new();
    bed.pool("pods", "10.1.0.0/24", "pod", Some(29), true);
    bed.service("web", json!({}), json!({}));
    bed.settle();
    assert!(untouched(&bed, "web") && bed.controller.notes.is_empty());
}

#[test]
fn a_service_has_its_objects_and_gives_them_back() {
    let mut bed = Bed::new();
    bed.pools();
    bed.service("web", json!({ POOL: "auto,other" }), json!({}));
    bed.service("local", json!({}), json!({}));
    bed.settle();
    assert_eq!(bed.names(Kind::AddressClaim), "10.0.1.0 10.0.1.1 10.0.100.0");
    assert_eq!(bed.names(Kind::BGPAdvertisement), "local-10.0.1.0 web-10.0.1.1 web-10.0.100.0");
    let advertisement = bed.api.get(Kind::BGPAdvertisement, "default", "web-10.0.1.1").unwrap();
    assert_eq!(advertisement["spec"], json!({ "cidr": "10.0.1.1/32", "type": "service", "protocol": "ipv4" }));
    assert_eq!(advertisement["metadata"]["labels"]["kubernetes.io/service-name"], "web");
    let claim = bed.api.get(Kind::AddressClaim, "", "10.0.1.1").unwrap();
    assert_eq!(claim["spec"]["holder"], "default/web");
    assert_eq!(claim["spec"]["block"], "auto");
    assert_eq!(bed.names(Kind::AddressBlock), "auto auto6 other");

    bed.api.delete(Kind::Service, "default", "web");
    bed.settle();
    assert!(bed.api.get(Kind::Service, "default", "web").is_none(), "the finalizer holds it");
    assert_eq!(bed.names(Kind::AddressClaim), "10.0.1.0");
    assert_eq!(bed.names(Kind::BGPAdvertisement), "local-10.0.1.0");

    bed.api.patch(Kind::Service, "default", "local", json!({ "spec": { "type": "ClusterIP" } }));
    bed.settle();
    assert_eq!(bed.shown("local"), "");
    assert_eq!(bed.names(Kind::AddressClaim), "");
    assert_eq!(bed.names(Kind::BGPAdvertisement), "");
    let local = bed.api.get(Kind::Service, "default", "local").unwrap();
    assert_eq!(local["metadata"]["finalizers"], json!([]));
}

#[test]
fn an_address_moves_only_when_asked_to() {
    let mut bed = Bed::new();
    bed.pools();
    bed.service("a", json!({}), json!({}));
    bed.service("b", json!({}), json!({}));
    bed.settle();
    assert_eq!((bed.shown("a"), bed.shown("b")), ("10.0.1.0".into(), "10.0.1.1".into()));
    // A lower one is free, the pool is no auto pool any more, the pool is gone: it stays.
    bed.api.delete(Kind::Service, "default", "a");
    bed.settle();
    assert_eq!(bed.shown("b"), "10.0.1.1");
    bed.api.patch(Kind::AddressPool, "", "auto", json!({ "spec": { "autoAssign": false } }));
    bed.api.patch(Kind::AddressPool, "", "other", json!({ "spec": { "autoAssign": true } }));
    bed.settle();
    assert_eq!(bed.shown("b"), "10.0.1.1");
    bed.api.delete(Kind::AddressPool, "", "auto");
    bed.settle();
    assert_eq!(bed.shown("b"), "10.0.1.1");
    // Asked to go to a pool that is not there: it stays where it is until it can go.
    let ask = |pool: &str| json!({ "metadata": { "annotations": { POOL: pool } } });
    bed.api.patch(Kind::Service, "default", "b", ask("later"));
    bed.settle();
    assert_eq!(bed.shown("b"), "10.0.1.1");
    assert!(bed.told("b", "unknown-pool"));
    bed.pool("later", "10.0.7.0/24", "service", None, false);
    bed.settle();
    assert_eq!(bed.shown("b"), "10.0.7.0");
    assert_eq!(bed.names(Kind::AddressClaim), "10.0.7.0");
    assert_eq!(bed.names(Kind::BGPAdvertisement), "b-10.0.7.0");
}

#[test]
fn what_v0_1_assigned_stays() {
    let mut bed = Bed::new();
    bed.pools();
    bed.service("a", json!({}), json!({}));
    bed.service("b", json!({}), json!({}));
    let shown = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.1.0" }] } } });
    bed.api.patch(Kind::Service, "default", "b", shown);
    let old = json!({ "metadata": { "finalizers": ["service.sart.terassyi.net/finalizer", "else/finalizer"] } });
    bed.api.patch(Kind::Service, "default", "a", old);
    bed.settle();
    assert_eq!((bed.shown("a"), bed.shown("b")), ("10.0.1.1".into(), "10.0.1.0".into()));
    let a = bed.api.get(Kind::Service, "default", "a").unwrap();
    assert_eq!(
        a["metadata"]["finalizers"],
        json!(["else/finalizer", "service.kubernetes.io/load-balancer-cleanup"])
    );
}

#[test]
fn who_waits_gets_what_becomes_free() {
    let mut bed = Bed::new();
    bed.pool("tiny", "10.0.1.0/31", "service", Some(32), true);
    for name in ["a", "b", "c"] {
        bed.service(name, json!({}), json!({}));
    }
    bed.settle();
    assert_eq!(bed.shown("c"), "");
    assert!(bed.told("c", "pool-exhausted"));
    assert_eq!(bed.names(Kind::AddressBlock), "tiny-0 tiny-1");
    assert_eq!(bed.condition(Kind::AddressPool, "", "tiny", "HasRoom"), "False PoolExhausted");
    bed.api.delete(Kind::Service, "default", "a");
    bed.settle();
    assert_eq!(bed.shown("c"), "10.0.1.0");
    // An empty block is given back.
    bed.api.delete(Kind::Service, "default", "b");
    bed.at = bed.controller.settle(&mut bed.api, bed.at, 60_000);
    assert_eq!(bed.names(Kind::AddressBlock), "tiny-0");
    let pool = bed.api.get(Kind::AddressPool, "", "tiny").unwrap();
    assert_eq!(pool["status"]["free"]["ipv4"], 1);
    assert_eq!(pool["status"]["maxBlocks"], 2);
}

#[test]
fn of_pools_that_cannot_be_together_the_oldest_wins() {
    let mut bed = Bed::new();
    bed.pool("one", "10.0.1.0/24", "service", None, true);
    bed.pool("two", "10.0.1.128/25", "service", None, false);
    bed.pool("three", "10.0.3.0/24", "service", None, true);
    bed.pool("six", "fd00::/112", "service", None, true);
    bed.settle();
    assert_eq!(bed.condition(Kind::AddressPool, "", "one", "Ready"), "True Accepted");
    assert_eq!(bed.condition(Kind::AddressPool, "", "two", "Ready"), "False PoolOverlap");
    assert_eq!(bed.condition(Kind::AddressPool, "", "three", "Ready"), "True Accepted");
    assert_eq!(bed.condition(Kind::AddressPool, "", "three", "AutoAssign"), "False SecondAutoAssign");
    assert_eq!(bed.condition(Kind::AddressPool, "", "six", "AutoAssign"), "True Accepted");
    assert!(bed.told("two", "pool-overlap") && bed.told("three", "second-auto-assign"));
    assert_eq!(bed.names(Kind::AddressBlock), "one six three");
    bed.api.delete(Kind::AddressPool, "", "one");
    bed.settle();
    assert_eq!(bed.condition(Kind::AddressPool, "", "two", "Ready"), "True Accepted");
    assert_eq!(bed.condition(Kind::AddressPool, "", "three", "AutoAssign"), "True Accepted");
}

#[test]
fn nodes_get_the_lowest_free_blocks() {
    let mut bed = Bed::new();
    bed.pool("pods", "10.1.0.0/28", "pod", Some(29), true);
    for (name, last) in [("n0", 2), ("n1", 3), ("n2", 4)] {
        bed.node(name, "65010", last);
    }
    bed.request("r0", "pods", "n0");
    bed.request("r1", "pods", "n1");
    bed.settle();
    assert_eq!(bed.names(Kind::BlockRequest), "", "a request goes when its block is there");
    assert_eq!(bed.names(Kind::AddressBlock), "pods-0 pods-1");
    let block = bed.api.get(Kind::AddressBlock, "", "pods-1").unwrap();
    assert_eq!(
        block["spec"],
        json!({ "cidr": "10.1.0.8/29", "type": "pod", "poolRef": "pods", "nodeRef": "n1", "autoAssign": true })
    );
    assert_eq!(block["status"]["index"], 1);
    assert_eq!(block["metadata"]["labels"]["addressblock.sart.terassyi.net/node"], "n1");
    assert_eq!(block["metadata"]["labels"]["sart.terassyi.net/addresspool"], "pods");
    assert_eq!(bed.names(Kind::BGPAdvertisement), "pods-0 pods-1");
    assert!(bed.api.get(Kind::BGPAdvertisement, "kube-system", "pods-0").is_some());

    bed.request("r2", "pods", "n2");
    bed.request("r3", "nowhere", "n2");
    bed.settle();
    assert_eq!(bed.condition(Kind::BlockRequest, "", "r2", "Ready"), "False PoolExhausted");
    assert_eq!(bed.condition(Kind::BlockRequest, "", "r3", "Ready"), "False UnknownPool");
    assert!(bed.told("r2", "pool-exhausted") && bed.told("pods", "pool-exhausted"));
    // Given back by its node's agent.
    bed.api.delete(Kind::AddressBlock, "", "pods-0");
    bed.settle();
    let block = bed.api.get(Kind::AddressBlock, "", "pods-0").unwrap();
    assert_eq!(block["spec"]["nodeRef"], "n2");
    // A node that is gone for long loses its blocks, one that comes back does not.
    bed.api.delete(Kind::Node, "", "n1");
    bed.at = bed.controller.settle(&mut bed.api, bed.at, 30_000);
    assert_eq!(bed.names(Kind::AddressBlock), "pods-0 pods-1");
    bed.at = bed.controller.settle(&mut bed.api, bed.at, 60_000);
    assert_eq!(bed.names(Kind::AddressBlock), "pods-0");
}

#[test]
fn a_pool_named_as_a_block_is_refused() {
    let mut bed = Bed::new();
    bed.pool("p", "10.1.0.0/24", "pod", Some(29), true);
    bed.node("n0", "65010", 2);
    bed.request("r", "p", "n0");
    bed.settle();
    bed.pool("p-0", "10.2.0.0/24", "service", None, false);
    bed.settle();
    assert_eq!(bed.condition(Kind::AddressPool, "", "p-0", "Ready"), "False NameTaken");
    // The other way round the block takes another name.
    bed.pool("p-1", "10.3.0.0/24", "service", None, false);
    bed.settle();
    bed.request("r2", "p", "n0");
    bed.settle();
    assert_eq!(bed.names(Kind::AddressBlock), "p-0 p-1 p-1-025895ec");
    assert_eq!(bed.condition(Kind::AddressPool, "", "p-1", "Ready"), "True Accepted");
}

fn test_bed_bgp(bed: &mut Bed) {
    for (name, asn, addr) in [("spine0", 65001, "9.9.9.9"), ("spine1", 65002, "7.7.7.7")] {
        let spec = json!({ "asn": asn, "addr": addr, "holdTime": 30, "groups": ["to-spine0"] });
        bed.api.create(Kind::BGPPeerTemplate, "", name, json!({ "spec": spec }));
    }
    let spec = json!({
        "nodeSelector": { "bgp": "a" },
        "asnSelector": { "from": "label" }, "routerIdSelector": { "from": "internalAddress" },
        "speaker": { "path": "127.0.0.1:5000", "multipath": true },
        "peers": [
            { "peerTemplateRef": "spine0", "nodeBGPSelector": { "bgp": "a" } },
            { "peerTemplateRef": "spine1", "peerConfig": { "holdTime": 90 } },
        ],
    });
    bed.api.create(Kind::ClusterBGP, "", "cluster", json!({ "spec": spec }));
}

#[test]
fn cluster_bgps_become_node_bgps_and_peers() {
    let mut bed = Bed::new();
    bed.node("n0", "65010", 2);
    bed.node("n1", "", 3);
    test_bed_bgp(&mut bed);
    bed.settle();
    assert_eq!(bed.names(Kind::NodeBGP), "n0");
    assert_eq!(bed.names(Kind::BGPPeer), "spine0-n0-65001-9.9.9.9 spine1-n0-65002-7.7.7.7");
    let node = bed.api.get(Kind::NodeBGP, "", "n0").unwrap();
    assert_eq!((&node["spec"]["asn"], &node["spec"]["routerId"]), (&json!(65010), &json!("172.18.0.2")));
    assert_eq!(node["metadata"]["labels"]["bgp"], "a");
    assert_eq!(node["status"]["clusterBgpRefs"], json!(["cluster"]));
    let peer = bed.api.get(Kind::BGPPeer, "", "spine1-n0-65002-7.7.7.7").unwrap();
    assert_eq!(peer["spec"]["holdTime"], 90, "peerConfig overrides the template");
    assert_eq!(peer["metadata"]["labels"]["bgppeer.sart.terassyi.net/node"], "n0");
    assert_eq!(bed.condition(Kind::ClusterBGP, "", "cluster", "Ready"), "False MissingAsn");
    assert!(bed.told("n1", "missing-asn") && bed.told("cluster", "missing-asn"));
    let cluster = bed.api.get(Kind::ClusterBGP, "", "cluster").unwrap();
    assert_eq!(cluster["status"]["desiredNodes"], json!(["n0", "n1"]));
    assert_eq!(cluster["status"]["nodes"], json!(["n0"]));

    let label = json!({ "metadata": { "labels": { "sart.terassyi.net/asn": "65020" } } });
    bed.api.patch(Kind::Node, "", "n1", label);
    bed.api.patch(Kind::BGPPeerTemplate, "", "spine0", json!({ "spec": { "groups": null } }));
    bed.settle();
    assert_eq!(bed.names(Kind::NodeBGP), "n0 n1");
    assert_eq!(bed.condition(Kind::ClusterBGP, "", "cluster", "Ready"), "True Accepted");
    let peer = bed.api.get(Kind::BGPPeer, "", "spine0-n0-65001-9.9.9.9").unwrap();
    assert!(peer["spec"]["groups"].is_null(), "what the template lost is lost");

    let label = json!({ "metadata": { "labels": { "bgp": null } } });
    bed.api.patch(Kind::Node, "", "n1", label);
    bed.settle();
    assert_eq!(bed.names(Kind::NodeBGP), "n0");
    assert_eq!(bed.names(Kind::BGPPeer), "spine0-n0-65001-9.9.9.9 spine1-n0-65002-7.7.7.7");
}

#[test]
fn of_two_cluster_bgps_the_older_decides_and_peers_are_united() {
    let mut bed = Bed::new();
    bed.node("n0", "65010", 2);
    test_bed_bgp(&mut bed);
    let spec = json!({
        "asnSelector": { "from": "asn", "asn": 64512 }, "routerIdSelector": { "from": "internalAddress" },
        "speaker": { "path": "127.0.0.1:5000", "multipath": true },
        "peers": [
            { "peerConfig": { "asn": 65003, "addr": "fd00::5" } },
            { "peerTemplateRef": "nowhere" },
            { "peerConfig": { "addr": "1.1.1.1" } },
        ],
    });
    bed.api.create(Kind::ClusterBGP, "", "second", json!({ "spec": spec }));
    bed.settle();
    let node = bed.api.get(Kind::NodeBGP, "", "n0").unwrap();
    assert_eq!(node["spec"]["asn"], 65010);
    assert_eq!(
        bed.names(Kind::BGPPeer),
        "n0-65003-fd00-0000-0000-0000-0000-0000-0000-0005 \
         spine0-n0-65001-9.9.9.9 spine1-n0-65002-7.7.7.7"
    );
    assert_eq!(bed.condition(Kind::ClusterBGP, "", "second", "Conflict"), "True Conflict");
    assert_eq!(bed.condition(Kind::ClusterBGP, "", "second", "Ready"), "False UnknownTemplate");
    assert!(bed.told("second", "incomplete-peer"));
    assert_eq!(bed.condition(Kind::ClusterBGP, "", "cluster", "Conflict"), "");
}

#[test]
fn peers_made_by_hand_stay_and_doubles_are_told() {
    let mut bed = Bed::new();
    bed.node("n0", "65010", 2);
    let by_hand = |addr: &str| {
        json!({ "spec": { "asn": 65001, "addr": addr, "nodeBGPRef": "n0",
            "speaker": { "path": "127.0.0.1:5000" } } })
    };
    bed.api.create(Kind::BGPPeer, "", "mine", by_hand("9.9.9.9"));
    // Made by hand under the name that the other would have.
    bed.api.create(Kind::BGPPeer, "", "spine1-n0-65002-7.7.7.7", by_hand("8.8.8.8"));
    test_bed_bgp(&mut bed);
    bed.settle();
    assert_eq!(
        bed.names(Kind::BGPPeer),
        "mine spine0-n0-65001-9.9.9.9 spine1-n0-65002-7.7.7.7 spine1-n0-65002-7.7.7.7-2f66bd10"
    );
    let double = bed.api.get(Kind::BGPPeer, "", "spine0-n0-65001-9.9.9.9").unwrap();
    let reason = double["status"]["conditions"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("duplicate-peer: BGPPeer mine is older"), "{reason}");
    bed.api.delete(Kind::ClusterBGP, "", "cluster");
    bed.settle();
    assert_eq!(bed.names(Kind::BGPPeer), "mine spine1-n0-65002-7.7.7.7");
    assert_eq!(bed.names(Kind::NodeBGP), "");
}

#[test]
fn a_report_of_an_agent_becomes_the_status_of_peers_and_advertisements() {
    let mut bed = Bed::new();
    bed.pools();
    bed.node("n0", "65010", 2);
    test_bed_bgp(&mut bed);
    bed.service("web", json!({}), json!({}));
    bed.settle();
    let (spine0, spine1) = ("spine0-n0-65001-9.9.9.9", "spine1-n0-65002-7.7.7.7");
    let report = |state: &str, error: Value| {
        json!({ "status": { "router": { "announcing": ["10.0.1.0/32"], "announced": 1, "peers": [
            { "name": spine0, "state": "Established" },
            { "name": spine1, "state": state, "lastError": error },
        ] } } })
    };
    let error = json!("NOTIFICATION sent: OPEN Message Error, Bad Peer AS");
    bed.api.patch(Kind::NodeBGP, "", "n0", report("Idle", error.clone()));
    bed.settle();
    let peer = bed.api.get(Kind::BGPPeer, "", spine1).unwrap();
    let last = |peer: &Value| peer["status"]["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last(peer), json!({ "status": "Idle", "reason": error }));
    assert_eq!(peer["status"]["session"]["lastError"], error);
    let advertisement = bed.api.get(Kind::BGPAdvertisement, "default", "web-10.0.1.0").unwrap();
    assert_eq!(
        advertisement["status"]["peers"],
        json!({ spine0: "Advertised", spine1: "NotAdvertised" })
    );
    assert_eq!(advertisement["status"]["exceptions"], json!([{ "peer": spine1, "reason": "Idle" }]));

    bed.api.patch(Kind::NodeBGP, "", "n0", report("Established", Value::Null));
    bed.settle();
    let peer = bed.api.get(Kind::BGPPeer, "", spine1).unwrap();
    assert_eq!(last(peer), json!({ "status": "Established", "reason": "" }));
    assert!(peer["status"]["session"]["lastError"].is_null());
    let advertisement = bed.api.get(Kind::BGPAdvertisement, "default", "web-10.0.1.0").unwrap();
    assert_eq!(advertisement["status"]["counts"], json!({ "advertised": 2, "notAdvertised": 0 }));
    assert!(advertisement["status"]["exceptions"].is_null());
}

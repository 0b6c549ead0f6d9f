//! What users write on Services, and what becomes of it.

use cluster_api::world::Kind;
use cluster_plan::Settings;
use serde_json::{Value, json};

use crate::bed::Bed;

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
    check(
        json!({ POOL: "auto,other", WANTED: "10.0.100.9" }),
        json!({}),
        "10.0.1.1,10.0.100.9",
        "",
    );
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
    check(json!({ WANTED: "fd00:100::1" }), json!({}), "", "family-mismatch");
    check(json!({ WANTED: "rubbish" }), json!({}), "", "invalid-address");
    check(
        json!({ POOL: "auto,other", WANTED: "10.0.1.0" }),
        json!({}),
        "10.0.100.0",
        "address-taken",
    );
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
    assert_eq!(
        advertisement["spec"],
        json!({ "cidr": "10.0.1.1/32", "type": "service", "protocol": "ipv4" })
    );
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
fn work_grows_with_what_changes() {
    let mut bed = Bed::new();
    bed.pool("auto", "10.0.0.0/16", "service", None, true);
    for number in 0..400 {
        bed.service(&format!("s{number}"), json!({}), json!({}));
    }
    bed.settle();
    let before = bed.controller.planner.figures().computed;
    assert!(before < 400 * 12, "{before} tasks for 400 Services");
    bed.service("one-more", json!({}), json!({}));
    bed.settle();
    assert_eq!(bed.shown("one-more"), "10.0.1.144");
    let after = bed.controller.planner.figures().computed - before;
    assert!(after < 30, "{after} tasks for one Service more");
}

//! What one object alone can get wrong is refused, by name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use kube::core::cel::Validator;
use serde_json::{Value, json};

/// The messages with which an object of this kind is refused, joined by `; `.
fn refusals(kind: &str, spec: Value, old: Option<Value>) -> String {
    let definition =
        cluster_api::definitions().into_iter().find(|d| d.spec.names.kind == kind).unwrap();
    let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema;
    let schema = serde_json::to_value(schema).unwrap();
    let old = old.map(|spec| json!({ "spec": spec }));
    match Validator::new().validate(&schema, &json!({ "spec": spec }), old.as_ref()) {
        Ok(()) => String::new(),
        Err(errors) => {
            let messages = errors.iter().map(|error| error.message.clone());
            messages.collect::<Vec<_>>().join("; ")
        }
    }
}

fn check(kind: &str, spec: Value, expect: &str) {
    let got = refusals(kind, spec.clone(), None);
    let fits = if expect.is_empty() { got.is_empty() } else { got.contains(expect) };
    assert!(fits, "{kind} {spec}\n  said {got:?}\n  not  {expect:?}");
}

fn check_change(kind: &str, old: Value, new: Value, expect: &str) {
    let got = refusals(kind, new.clone(), Some(old.clone()));
    let fits = if expect.is_empty() { got.is_empty() } else { got.contains(expect) };
    assert!(fits, "{kind} {old} -> {new}\n  said {got:?}\n  not  {expect:?}");
}

#[test]
fn pools() {
    let pool = |cidr: &str| json!({ "cidr": cidr, "type": "service", "allocType": "bit" });
    let sized = |cidr: &str, size: u8| json!({ "cidr": cidr, "type": "pod", "allocType": "bit", "blockSize": size });
    check("AddressPool", pool("10.0.1.0/24"), "");
    check("AddressPool", pool("2001:db8::/64"), "");
    check("AddressPool", pool("10.0.1.1/24"), "without host bits");
    check("AddressPool", pool("10.0.1.0"), "must be address/length");
    check("AddressPool", pool("rubbish"), "must be address/length");
    check("AddressPool", sized("10.1.0.0/24", 29), "");
    check("AddressPool", sized("10.1.0.0/24", 24), "");
    check("AddressPool", sized("10.1.0.0/24", 32), "");
    check("AddressPool", sized("10.1.0.0/24", 23), "blockSize: must lie between");
    check("AddressPool", sized("10.1.0.0/24", 33), "blockSize: must lie between");
    check("AddressPool", sized("fd00::/64", 122), "");
    check(
        "AddressPool",
        json!({ "cidr": "10.0.0.0/24", "cidrs": ["fd00::/64"], "type": "pod", "blockSize": 29 }),
        "blockSize: must lie between",
    );
    check(
        "AddressPool",
        json!({ "cidr": "10.0.0.0/24", "cidrs": ["fd00::1/64"], "type": "service" }),
        "each must be address/length",
    );
    check("AddressPool", json!({ "cidr": "10.1.0.0/24", "type": "pod" }), "blockSize: is needed");
    check(
        "AddressPool",
        json!({ "cidr": "10.1.0.0/24", "type": "network", "blockSize": 29 }),
        "type network: not built yet",
    );
    for key in ["serviceSelector", "namespaceSelector", "nodeSelector"] {
        let mut spec = pool("10.0.1.0/24");
        spec[key] = json!({ "matchLabels": { "a": "b" } });
        check("AddressPool", spec, &format!("{key}: not built yet"));
    }
}

#[test]
fn pools_are_immutable_but_for_auto_assign_and_appended_cidrs() {
    let old = json!({ "cidr": "10.1.0.0/24", "type": "pod", "allocType": "bit", "blockSize": 29,
        "cidrs": ["10.2.0.0/24", "10.3.0.0/24"] });
    let with = |key: &str, value: Value| {
        let mut new = old.clone();
        new[key] = value;
        new
    };
    check_change("AddressPool", old.clone(), with("autoAssign", json!(true)), "");
    check_change("AddressPool", old.clone(), with("cidr", json!("10.9.0.0/24")), "is immutable");
    check_change("AddressPool", old.clone(), with("type", json!("service")), "is immutable");
    check_change(
        "AddressPool",
        old.clone(),
        with("blockSize", json!(30)),
        "blockSize: is immutable",
    );
    let mut without = old.clone();
    without.as_object_mut().unwrap().remove("cidrs");
    check_change("AddressPool", without.clone(), old.clone(), "");
    check_change("AddressPool", old.clone(), without, "cidrs: may only be appended to");
    let more = json!(["10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"]);
    check_change("AddressPool", old.clone(), with("cidrs", more), "");
    let swapped = json!(["10.3.0.0/24", "10.2.0.0/24"]);
    check_change("AddressPool", old.clone(), with("cidrs", swapped), "cidrs: may only be appended");
    let put_before = json!(["10.4.0.0/24", "10.2.0.0/24", "10.3.0.0/24"]);
    check_change("AddressPool", old.clone(), with("cidrs", put_before), "cidrs: may only");
}

#[test]
fn peers() {
    let speaker = json!({ "path": "127.0.0.1:5000" });
    let peer = |more: Value| {
        let mut spec =
            json!({ "asn": 65000, "addr": "9.9.9.9", "nodeBGPRef": "n", "speaker": speaker });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    check("BGPPeer", peer(json!({})), "");
    check("BGPPeer", peer(json!({ "addr": "fd00::1" })), "");
    check("BGPPeer", peer(json!({ "addr": "router" })), "must be an IPv4 or IPv6 address");
    check("BGPPeer", peer(json!({ "holdTime": 30, "keepaliveTime": 30 })), "");
    check(
        "BGPPeer",
        peer(json!({ "holdTime": 30, "keepaliveTime": 31 })),
        "must not be over holdTime",
    );
    check("BGPPeer", peer(json!({ "holdTime": 0 })), "");
    check("BGPPeer", peer(json!({ "holdTime": 2 })), "0 or at least 3");
    let unbuilt = [
        ("ttlSecurity", json!(true)),
        ("passwordSecretRef", json!({ "name": "s" })),
        ("interface", json!("eth0")),
        ("bfd", json!({ "enabled": true })),
    ];
    for (key, value) in unbuilt {
        let expect = format!("{key}: not built yet");
        check("BGPPeer", peer(json!({ key: value })), &expect);
        check("BGPPeerTemplate", json!({ key: value }), &expect);
        let cluster = json!({
            "asnSelector": { "from": "label" }, "routerIdSelector": { "from": "internalAddress" },
            "speaker": speaker, "peers": [{ "peerConfig": { key: value } }],
        });
        check("ClusterBGP", cluster, &expect);
    }
}

#[test]
fn cluster_bgps() {
    let cluster = |asn: Value, id: Value, peers: Value| {
        json!({ "asnSelector": asn, "routerIdSelector": id,
            "speaker": { "path": "127.0.0.1:5000" }, "peers": peers })
    };
    let (label, internal) = (json!({ "from": "label" }), json!({ "from": "internalAddress" }));
    check("ClusterBGP", cluster(label.clone(), internal.clone(), json!([])), "");
    check(
        "ClusterBGP",
        cluster(json!({ "from": "asn" }), internal.clone(), json!([])),
        "asn: is needed with from: asn",
    );
    check(
        "ClusterBGP",
        cluster(json!({ "from": "asn", "asn": 1 }), internal.clone(), json!([])),
        "",
    );
    check(
        "ClusterBGP",
        cluster(label.clone(), json!({ "from": "routerId" }), json!([])),
        "routerId: is needed with from: routerId",
    );
    check(
        "ClusterBGP",
        cluster(label.clone(), json!({ "from": "routerId", "routerId": "0.0.0.0" }), json!([])),
        "not 0.0.0.0",
    );
    check(
        "ClusterBGP",
        cluster(label, internal, json!([{ "nodeBGPSelector": { "bgp": "a" } }])),
        "peerTemplateRef or peerConfig is needed",
    );
}

#[test]
fn claims_and_requests_never_change() {
    let request = |node: &str| json!({ "pool": "p", "node": node });
    check_change("BlockRequest", request("a"), request("b"), "is immutable");
    let claim = |address: &str| {
        json!({ "address": address, "holderKind": "Service", "holder": "d/w", "holderUid": "u",
            "pool": "p", "block": "b" })
    };
    check("AddressClaim", claim("10.0.1.0"), "");
    check_change("AddressClaim", claim("10.0.1.0"), claim("10.0.1.1"), "is immutable");
}

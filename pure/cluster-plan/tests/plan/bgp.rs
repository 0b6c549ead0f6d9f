//! ClusterBGPs, NodeBGPs, BGPPeers and what is reported of them.

use cluster_api::world::Kind;
use serde_json::{Value, json};

use crate::bed::Bed;

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
    assert_eq!(
        (&node["spec"]["asn"], &node["spec"]["routerId"]),
        (&json!(65010), &json!("172.18.0.2"))
    );
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
fn only_a_peer_made_by_hand_is_told_that_its_node_is_unknown() {
    let mut bed = Bed::new();
    let peer = |addr: &str, labels: Value| {
        let spec = json!({ "asn": 65001, "addr": addr, "nodeBGPRef": "n0",
            "speaker": { "path": "127.0.0.1:5000" } });
        json!({ "metadata": { "labels": labels }, "spec": spec })
    };
    let made = json!({ "app.kubernetes.io/managed-by": "sart" });
    bed.api.create(Kind::BGPPeer, "", "mine", peer("9.9.9.9", json!({})));
    bed.api.create(Kind::BGPPeer, "", "made", peer("8.8.8.8", made));
    bed.settle();
    assert!(bed.told("mine", "unknown-node"));
    assert!(!bed.told("made", "unknown-node"), "its node comes, or it goes");

    bed.node("n0", "65010", 2);
    test_bed_bgp(&mut bed);
    bed.settle();
    bed.api.delete(Kind::ClusterBGP, "", "cluster");
    bed.settle();
    assert_eq!(bed.names(Kind::NodeBGP), "");
    assert!(!bed.told("spine0-n0-65001-9.9.9.9", "unknown-node"), "it goes with its node");
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
    let last =
        |peer: &Value| peer["status"]["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last(peer), json!({ "status": "Idle", "reason": error }));
    assert_eq!(peer["status"]["session"]["lastError"], error);
    let advertisement = bed.api.get(Kind::BGPAdvertisement, "default", "web-10.0.1.0").unwrap();
    assert_eq!(
        advertisement["status"]["peers"],
        json!({ spine0: "Advertised", spine1: "NotAdvertised" })
    );
    assert_eq!(
        advertisement["status"]["exceptions"],
        json!([{ "peer": spine1, "reason": "Idle" }])
    );

    bed.api.patch(Kind::NodeBGP, "", "n0", report("Established", Value::Null));
    bed.settle();
    let peer = bed.api.get(Kind::BGPPeer, "", spine1).unwrap();
    assert_eq!(last(peer), json!({ "status": "Established", "reason": "" }));
    assert!(peer["status"]["session"]["lastError"].is_null());
    let advertisement = bed.api.get(Kind::BGPAdvertisement, "default", "web-10.0.1.0").unwrap();
    assert_eq!(advertisement["status"]["counts"], json!({ "advertised": 2, "notAdvertised": 0 }));
    assert!(advertisement["status"]["exceptions"].is_null());
}

#[test]
fn a_speaker_away_from_the_node_is_refused_by_name() {
    for (path, reason) in [
        ("127.0.0.1:5000", "True Accepted"),
        ("unix:/run/sart/router.sock", "True Accepted"),
        ("10.0.0.1:5000", "False SpeakerNotLocal"),
    ] {
        let mut bed = Bed::new();
        let spec = json!({
            "nodeSelector": { "bgp": "none" },
            "asnSelector": { "from": "asn", "asn": 65500 },
            "routerIdSelector": { "from": "internalAddress" },
            "speaker": { "path": path },
        });
        bed.api.create(Kind::ClusterBGP, "", "far", json!({ "spec": spec }));
        bed.settle();
        assert_eq!(bed.condition(Kind::ClusterBGP, "", "far", "Ready"), reason, "{path}");
    }
}

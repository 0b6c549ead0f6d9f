//! Pools and blocks.

use cluster_api::world::Kind;
use serde_json::json;

use crate::bed::Bed;

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
    assert_eq!(
        bed.condition(Kind::AddressPool, "", "three", "AutoAssign"),
        "False SecondAutoAssign"
    );
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

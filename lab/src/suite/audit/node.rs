//! Each node's kernel against the API's pods and blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::world::{Host, World};
use super::{Findings, Range};

/// Interfaces that the lab itself puts into a node.
const CABLES: &[&str] = &["eth0", "eth1", "eth2", "eth3"];

pub(super) fn check(world: &World, wrong: &mut Findings) {
    if !world.gives_pods() {
        return;
    }
    for node in &world.nodes {
        if let Some(host) = world.hosts.get(node) {
            pods_have_links(world, node, host, wrong);
            blocks_have_routes(world, node, host, wrong);
            blocks_are_used(world, node, wrong);
        }
    }
}

/// Each pod has its address in its namespace and a host route to it, and nothing else has.
fn pods_have_links(world: &World, node: &str, host: &Host, wrong: &mut Findings) {
    let pods = world.pods.iter().filter(|pod| pod.node == node && !pod.host_network);
    let mut wanted: BTreeSet<IpAddr> = BTreeSet::new();
    for pod in pods.filter(|pod| !pod.ending && !pod.addresses.is_empty()) {
        wanted.extend(&pod.addresses);
        let inside = host.pods.iter().any(|own| pod.addresses.iter().all(|a| own.contains(a)));
        if !inside {
            wrong.add(format!("{node}: no namespace has {:?} of pod {}", pod.addresses, pod.name));
        }
        for address in &pod.addresses {
            let held = world.blocks.iter().any(|block| {
                block.for_pods
                    && block.node.as_deref() == Some(node)
                    && block.range.contains(*address)
            });
            if !held {
                wrong
                    .add(format!("{node}: {address} of pod {} is in none of its blocks", pod.name));
            }
        }
    }
    let present: BTreeSet<IpAddr> = host.pods.iter().flatten().copied().collect();
    for address in present.difference(&wanted) {
        wrong.add(format!("{node}: a namespace has {address}, but no pod does"));
    }

    let mut used = BTreeSet::new();
    let mut routed = BTreeSet::new();
    for route in &host.routes {
        let single = route.to == Range::host(route.to.address);
        if !(single && route.kind == "unicast" && world.in_pools(&route.to, true)) {
            continue;
        }
        // A one-address block of another node comes from BGP and has a gateway.
        if !route.gateways.is_empty() {
            continue;
        }
        used.extend(route.devices.iter().cloned());
        routed.insert(route.to.address);
        if !wanted.contains(&route.to.address) {
            wrong.add(format!("{node}: route {} is left over", route.to));
        }
        if route.devices.iter().any(|device| !host.veths.contains(device)) {
            wrong.add(format!("{node}: route {} leads to no pod's link", route.to));
        }
    }
    for address in wanted.difference(&routed) {
        wrong.add(format!("{node}: no route to {address}"));
    }
    for link in &host.veths {
        if !used.contains(link) && !CABLES.contains(&link.as_str()) {
            wrong.add(format!("{node}: link {link} belongs to no pod"));
        }
    }
}

/// Each block is unreachable on its own node, and only there. Of a one-address block that is in
/// use the pod's own route takes the place.
fn blocks_have_routes(world: &World, node: &str, host: &Host, wrong: &mut Findings) {
    let is = |range: Range, kind: &str| {
        host.routes.iter().any(|route| route.to == range && route.kind == kind)
    };
    let own = |range: &Range| {
        world
            .blocks
            .iter()
            .any(|b| b.for_pods && b.node.as_deref() == Some(node) && b.range == *range)
    };
    for block in world.blocks.iter().filter(|b| b.for_pods && b.node.as_deref() == Some(node)) {
        let single = block.range == Range::host(block.range.address);
        let in_use = single && is(block.range, "unicast");
        if !is(block.range, "unreachable") && !in_use {
            wrong.add(format!("{node}: no unreachable route for block {}", block.range));
        }
    }
    for route in host.routes.iter().filter(|route| route.kind == "unreachable") {
        if world.in_pools(&route.to, true) && !own(&route.to) {
            wrong.add(format!("{node}: unreachable {} is left over", route.to));
        }
        if world.in_pools(&route.to, false) {
            wrong.add(format!("{node}: unreachable {} hides a Service's address", route.to));
        }
    }
}

/// At most one spare block of each pool; the others are given back.
fn blocks_are_used(world: &World, node: &str, wrong: &mut Findings) {
    let used = |range: &Range| {
        world.pods.iter().any(|pod| pod.addresses.iter().any(|address| range.contains(*address)))
    };
    let mut empty: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for block in world.blocks.iter().filter(|b| b.for_pods && b.node.as_deref() == Some(node)) {
        if !used(&block.range) {
            empty.entry(&block.pool).or_default().push(block.range.to_string());
        }
    }
    for (pool, blocks) in empty.into_iter().filter(|(_, blocks)| blocks.len() > 1) {
        wrong.add(format!("{node}: keeps {} empty blocks of {pool}: {blocks:?}", blocks.len()));
    }
}

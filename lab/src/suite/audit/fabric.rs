//! The routers' kernels against what the nodes have to announce.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::world::World;
use super::{Findings, Range};

/// Routers that have sessions with the nodes themselves.
const FIRST: &[&str] = &["spine0", "spine1", "router0"];
/// The router above the spines.
const SECOND: &str = "core0";

pub(super) fn check(world: &World, wrong: &mut Findings) {
    if world.speaking.is_empty() {
        return;
    }
    let wanted = wanted(world);
    for router in FIRST.iter().filter(|router| world.hosts.contains_key(**router)) {
        check_router(world, router, &wanted, wrong);
    }
    check_core(world, &wanted, wrong);
}

/// Each prefix, and the nodes that announce it.
fn wanted(world: &World) -> BTreeMap<Range, BTreeSet<String>> {
    let mut wanted = BTreeMap::new();
    for block in world.blocks.iter().filter(|block| block.for_pods) {
        if let Some(node) = block.node.iter().find(|node| world.speaking.contains(*node)) {
            wanted.insert(block.range, BTreeSet::from([node.clone()]));
        }
    }
    for service in world.services.iter().filter(|service| service.ours) {
        let nodes: BTreeSet<String> = if service.local {
            service.endpoints.intersection(&world.speaking).cloned().collect()
        } else {
            world.speaking.clone()
        };
        for address in service.addresses.iter().filter(|_| !nodes.is_empty()) {
            wanted.insert(Range::host(*address), nodes.clone());
        }
    }
    wanted
}

fn check_router(
    world: &World,
    router: &str,
    wanted: &BTreeMap<Range, BTreeSet<String>>,
    wrong: &mut Findings,
) {
    let mut found = BTreeSet::new();
    for route in world.hosts.get(router).iter().flat_map(|host| &host.routes) {
        let ours = world.in_pools(&route.to, true) || world.in_pools(&route.to, false);
        if !ours {
            continue;
        }
        let owner = |gateway: &IpAddr| match world.owner.get(gateway) {
            Some(node) => node.clone(),
            None => format!("{gateway}, which is no node's"),
        };
        let nodes: BTreeSet<String> = route.gateways.iter().map(owner).collect();
        found.insert(route.to);
        match wanted.get(&route.to) {
            None => wrong.add(format!("{router}: route {} is left over, to {nodes:?}", route.to)),
            Some(expected) if *expected != nodes => wrong
                .add(format!("{router}: {} leads to {nodes:?} instead of {expected:?}", route.to)),
            Some(_) => {}
        }
    }
    for range in wanted.keys().filter(|range| !found.contains(range)) {
        wrong.add(format!("{router}: no route to {range}"));
    }
}

/// Above both spines, everything is reached over both.
fn check_core(world: &World, wanted: &BTreeMap<Range, BTreeSet<String>>, wrong: &mut Findings) {
    let Some(core) = world.hosts.get(SECOND) else { return };
    let mut found = BTreeSet::new();
    for route in &core.routes {
        if world.in_pools(&route.to, true) || world.in_pools(&route.to, false) {
            found.insert(route.to);
            if !wanted.contains_key(&route.to) {
                wrong.add(format!("{SECOND}: route {} is left over", route.to));
            } else if route.devices.len() != 2 {
                wrong.add(format!("{SECOND}: {} goes over {:?} only", route.to, route.devices));
            }
        }
    }
    for range in wanted.keys().filter(|range| !found.contains(range)) {
        wrong.add(format!("{SECOND}: no route to {range}"));
    }
}

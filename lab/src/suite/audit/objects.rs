//! The API's objects against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::world::World;
use super::{Findings, Range};
use crate::suite::ctx::text;

pub(super) fn check(world: &World, wrong: &mut Findings) {
    no_address_twice(world, wrong);
    claims_have_holders(world, wrong);
    blocks_have_pools(world, wrong);
    advertisements_have_origins(world, wrong);
}

fn no_address_twice(world: &World, wrong: &mut Findings) {
    let mut holders: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
    let pods = world.pods.iter().filter(|pod| !pod.host_network && !pod.ending);
    for pod in pods {
        for address in &pod.addresses {
            let holder = format!("pod {}/{}", pod.namespace, pod.name);
            holders.entry(*address).or_default().push(holder);
        }
    }
    for service in &world.services {
        for address in &service.addresses {
            let holder = format!("service {}/{}", service.namespace, service.name);
            holders.entry(*address).or_default().push(holder);
        }
    }
    for (address, holders) in holders {
        if holders.len() > 1 {
            wrong.add(format!("{address} is held by {}", holders.join(" and ")));
        }
    }
}

fn claims_have_holders(world: &World, wrong: &mut Findings) {
    let given: BTreeSet<IpAddr> = world
        .services
        .iter()
        .filter(|service| service.ours)
        .flat_map(|service| service.addresses.iter().copied())
        .collect();
    let mut claimed = BTreeSet::new();
    for (name, spec) in &world.claims {
        // An IPv6 address is written with `-` in a name.
        let Some(address) = claimed_address(name) else {
            wrong.add(format!("AddressClaim {name} is not named as an address: {spec}"));
            continue;
        };
        claimed.insert(address);
        if !given.contains(&address) {
            wrong.add(format!("AddressClaim {name} is leaked: no Service has it ({spec})"));
        }
    }
    for address in given.difference(&claimed) {
        wrong.add(format!("a Service has {address} without an AddressClaim"));
    }
}

/// The address that an AddressClaim is named as.
pub(super) fn claimed_address(name: &str) -> Option<IpAddr> {
    name.parse().ok().or_else(|| name.replace('-', ":").parse().ok())
}

fn blocks_have_pools(world: &World, wrong: &mut Findings) {
    for block in &world.blocks {
        let pool = world.pools.iter().find(|pool| {
            pool.name == block.pool
                && pool.for_pods == block.for_pods
                && pool.range.contains(block.range.address)
        });
        if pool.is_none() {
            wrong.add(format!(
                "AddressBlock {} lies in no range of pool {}",
                block.name, block.pool
            ));
        }
        if let Some(node) = block.node.as_ref().filter(|node| !world.nodes.contains(node)) {
            wrong.add(format!("AddressBlock {} belongs to {node}, which is no node", block.name));
        }
    }
}

fn advertisements_have_origins(world: &World, wrong: &mut Findings) {
    let mut advertised = BTreeSet::new();
    for (namespace, name, spec) in &world.advertisements {
        let Some(range) = Range::parse(text(spec, "/cidr")) else {
            wrong.add(format!("BGPAdvertisement {namespace}/{name} has no prefix: {spec}"));
            continue;
        };
        advertised.insert(range);
        let origin = match text(spec, "/type") {
            "pod" => world.blocks.iter().any(|block| block.for_pods && block.range == range),
            _ => world.services.iter().any(|service| {
                service.namespace == *namespace
                    && service.addresses.iter().any(|own| Range::host(*own) == range)
            }),
        };
        if !origin {
            wrong.add(format!("BGPAdvertisement {namespace}/{name} of {range} is left over"));
        }
    }
    let blocks = world.blocks.iter().filter(|block| block.for_pods && block.node.is_some());
    let services = world.services.iter().filter(|service| service.ours);
    let wanted = blocks
        .map(|block| block.range)
        .chain(services.flat_map(|s| s.addresses.iter().map(|own| Range::host(*own))));
    for range in wanted {
        if !advertised.contains(&range) {
            wrong.add(format!("no BGPAdvertisement of {range}"));
        }
    }
}

//! What address management wants to know of pools.

use std::collections::BTreeSet;

use cluster_api::AddressType;
use inet::Prefix;

use crate::world::World;

/// One pool of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolFact {
    /// Serves pods that name no pool.
    pub auto_assign: bool,
    /// The pool's CIDRs, in the order in which blocks are counted.
    pub cidrs: Vec<Prefix>,
    /// Prefix length of a block; none: each CIDR is one.
    pub block_size: Option<u8>,
    /// How many blocks exist.
    pub blocks: usize,
    /// How many nodes hold none.
    pub nodes_without: usize,
}

pub(crate) fn of(world: &World) -> Vec<(String, PoolFact)> {
    let pods = world.pools.iter().filter(|(_, p)| p.kind == AddressType::Pod);
    pods.map(|(key, pool)| {
        let blocks = world.blocks.values().filter(|b| b.pool == key.name);
        let holders: BTreeSet<&String> = blocks.clone().filter_map(|b| b.node.as_ref()).collect();
        let without = world.nodes.keys().filter(|node| !holders.contains(&node.name)).count();
        let fact = PoolFact {
            auto_assign: pool.auto_assign,
            cidrs: pool.cidrs.clone(),
            block_size: pool.block_size,
            blocks: blocks.count(),
            nodes_without: without,
        };
        (key.name.clone(), fact)
    })
    .collect()
}

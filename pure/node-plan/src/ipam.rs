//! The addresses of this node's pods: which block has which address, who holds it, when another
//! block is needed and which can be given back.
//!
//! It is memory only and decides at once: no ADD waits here. Blocks and pools come in whole, as the
//! cluster has them; at the start the records of the links that exist are put back with
//! [`NodeIpam::restore`]. An address is taken from the lowest block that has room.

mod water;

use std::collections::BTreeMap;
use std::net::IpAddr;

use address_pool::{AddressSet, BlockSize, Pool};
use inet::{Family, Prefix, Timestamp};

pub use crate::pools::Choice as PoolChoice;
pub use water::{AGAIN, GRACE, Need, Urgency};

/// Who holds addresses: one interface of one container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The runtime's id of the container.
    pub container_id: String,
    /// The interface's name in the pod.
    pub ifname: String,
}

/// An address and where it is from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assigned {
    /// The address.
    pub address: IpAddr,
    /// Its pool; empty if it was restored and neither its record nor a block names one.
    pub pool: String,
}

/// A block of this node, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeBlock {
    /// Its addresses.
    pub prefix: Prefix,
    /// Its pool.
    pub pool: String,
}

/// One family of a pool, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolFacts {
    /// The pool.
    pub pool: String,
    /// The family.
    pub family: Family,
    /// Whether pods that name no pool use it.
    pub auto: bool,
    /// The prefix length of its blocks.
    pub block_len: u8,
    /// Blocks that no node has.
    pub free_blocks: u64,
    /// Nodes that could have pods and have no block of the pool.
    pub nodes_without: u64,
}

/// Why there are no addresses. [`Refusal::name`] is what people see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node's blocks are full; a new block will help.
    #[error("the {family} blocks of pool {pool} on this node have no free address")]
    NoRoom {
        /// The pool.
        pool: String,
        /// The family.
        family: Family,
    },
    /// The node's blocks are full, and the pool has no block left.
    #[error("pool {pool} has no free {family} block")]
    Exhausted {
        /// The pool.
        pool: String,
        /// The family.
        family: Family,
    },
    /// No such pool, or none with this family.
    #[error("there is no pool {pool} with {family} addresses for pods")]
    UnknownPool {
        /// The pool.
        pool: String,
        /// The family.
        family: Family,
    },
    /// Nothing was asked for.
    #[error("no pool is chosen for the pod")]
    NoPool,
}

impl PoolFacts {
    /// A pool as the planner tells it, once for each of its families.
    ///
    /// Blocks are told for the pool as a whole, so of a pool with two families fewer may seem free
    /// than are: it then gets no spare blocks sooner than it must.
    pub fn of(name: &str, fact: &crate::PoolFact) -> Vec<PoolFacts> {
        let size = fact.block_size.map_or(BlockSize::WHOLE, BlockSize::one);
        let Ok(pool) = Pool::new(name, fact.cidrs.clone(), size) else { return Vec::new() };
        let families = Family::ALL.into_iter().filter(|family| pool.has_family(*family));
        families
            .map(|family| {
                let longest = pool.cidrs().iter().filter(|c| c.family() == family).map(Prefix::len);
                PoolFacts {
                    pool: name.to_owned(),
                    family,
                    auto: fact.auto_assign,
                    block_len: fact.block_size.or(longest.max()).unwrap_or_default(),
                    free_blocks: pool.block_count_of(family).saturating_sub(fact.blocks as u64),
                    nodes_without: fact.nodes_without as u64,
                }
            })
            .collect()
    }
}

impl Refusal {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::NoRoom { .. } => "no-room",
            Refusal::Exhausted { .. } => "pool-exhausted",
            Refusal::UnknownPool { .. } => "unknown-pool",
            Refusal::NoPool => "no-pool",
        }
    }
}

/// The books of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeIpam {
    blocks: BTreeMap<Prefix, Block>,
    pools: BTreeMap<PoolChoice, PoolFacts>,
    /// False until the pools have been told once: until then none is unknown.
    pools_known: bool,
    held: BTreeMap<Holder, Vec<Assigned>>,
    /// Who was refused for want of room and may still be waiting.
    waiting: BTreeMap<Holder, Vec<PoolChoice>>,
}

#[derive(Clone, Debug)]
struct Block {
    pool: String,
    addresses: AddressSet,
    since: Since,
    /// Being given back: nothing is taken from it any more.
    leaving: bool,
    /// Not given back before.
    not_before: Timestamp,
}

/// Since when a block is as empty as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Never used since it arrived.
    Arrived(Timestamp),
    Used,
    Emptied(Timestamp),
}

impl NodeIpam {
    /// Books without blocks and holders.
    pub fn new() -> NodeIpam {
        NodeIpam::default()
    }

    /// The node's blocks are these and no others. True if something changed, so that who waits may
    /// try again. Addresses in a block that went away stay with their holders.
    pub fn set_blocks(&mut self, now: Timestamp, blocks: &[NodeBlock]) -> bool {
        let wanted: BTreeMap<Prefix, &NodeBlock> = blocks.iter().map(|b| (b.prefix, b)).collect();
        let before = self.blocks.len();
        self.blocks.retain(|prefix, _| wanted.contains_key(prefix));
        let mut changed = self.blocks.len() != before;
        for (prefix, block) in wanted {
            match self.blocks.get_mut(&prefix) {
                Some(known) if known.pool == block.pool => {}
                Some(known) => {
                    known.pool.clone_from(&block.pool);
                    changed = true;
                }
                None => {
                    let block = self.arrived(now, block);
                    self.blocks.insert(prefix, block);
                    changed = true;
                }
            }
        }
        changed
    }

    /// The pools for pods are these and no others, each once per family. True if something changed.
    pub fn set_pools(&mut self, pools: Vec<PoolFacts>) -> bool {
        let keyed = pools
            .into_iter()
            .map(|facts| (PoolChoice { pool: facts.pool.clone(), family: facts.family }, facts));
        let pools: BTreeMap<PoolChoice, PoolFacts> = keyed.collect();
        let changed = !self.pools_known || self.pools != pools;
        self.pools = pools;
        self.pools_known = true;
        changed
    }

    /// Puts back what a link's record says. Holders of an address that another holds already are
    /// returned: both keep it, and it stays in use until both are gone.
    pub fn restore(
        &mut self,
        records: impl IntoIterator<Item = (Holder, Vec<Assigned>)>,
    ) -> Vec<(Holder, IpAddr)> {
        let mut twice = Vec::new();
        for (holder, assigned) in records {
            for Assigned { address, .. } in &assigned {
                if self.holder_of(address).is_some_and(|other| *other != holder) {
                    twice.push((holder.clone(), *address));
                }
                self.mark_used(address);
            }
            self.held.insert(holder, assigned);
        }
        twice
    }

    /// One address for each choice, in order, or none at all. Whoever holds addresses already gets
    /// the same again, whatever is chosen now. After [`Refusal::NoRoom`] and
    /// [`Refusal::Exhausted`] the holder counts as waiting until it is served, released or
    /// [forgotten](NodeIpam::stop_waiting).
    pub fn allocate(
        &mut self,
        holder: &Holder,
        choices: &[PoolChoice],
    ) -> Result<Vec<Assigned>, Refusal> {
        if let Some(held) = self.held.get(holder) {
            return Ok(held.clone());
        }
        if choices.is_empty() {
            return Err(Refusal::NoPool);
        }
        let mut taken: Vec<(Prefix, Assigned)> = Vec::new();
        for choice in choices {
            match self.take(choice) {
                Some(found) => taken.push(found),
                None => {
                    self.put_back(&taken);
                    return Err(self.refuse(holder, choice, choices));
                }
            }
        }
        for (prefix, _) in &taken {
            if let Some(block) = self.blocks.get_mut(prefix) {
                block.since = Since::Used;
            }
        }
        let assigned: Vec<Assigned> = taken.into_iter().map(|(_, assigned)| assigned).collect();
        self.waiting.remove(holder);
        self.held.insert(holder.clone(), assigned.clone());
        Ok(assigned)
    }

    /// Frees what a holder has; nothing if it has nothing.
    pub fn release(&mut self, now: Timestamp, holder: &Holder) -> Vec<Assigned> {
        self.waiting.remove(holder);
        let Some(freed) = self.held.remove(holder) else { return Vec::new() };
        for Assigned { address, .. } in &freed {
            if self.holder_of(address).is_some() {
                continue;
            }
            if let Some(block) = self.block_of(address)
                && block.addresses.release(address)
                && block.addresses.is_empty()
            {
                block.since = Since::Emptied(now);
            }
        }
        freed
    }

    /// A holder that was refused waits no more.
    pub fn stop_waiting(&mut self, holder: &Holder) {
        self.waiting.remove(holder);
    }

    /// What a holder has.
    pub fn held_by(&self, holder: &Holder) -> Option<&[Assigned]> {
        self.held.get(holder).map(Vec::as_slice)
    }

    /// All holders and what they have.
    pub fn holders(&self) -> impl Iterator<Item = (&Holder, &[Assigned])> {
        self.held.iter().map(|(holder, assigned)| (holder, assigned.as_slice()))
    }

    /// Who holds an address; one of them, should there be several.
    pub fn holder_of(&self, address: &IpAddr) -> Option<&Holder> {
        let has = |assigned: &[Assigned]| assigned.iter().any(|a| a.address == *address);
        self.held.iter().find(|(_, assigned)| has(assigned)).map(|(holder, _)| holder)
    }

    /// The blocks with their pools and how many of their addresses are used.
    pub fn blocks(&self) -> impl Iterator<Item = (Prefix, &str, usize)> {
        self.blocks
            .iter()
            .map(|(prefix, block)| (*prefix, block.pool.as_str(), block.addresses.used()))
    }

    /// Addresses that are held and lie in none of the blocks: the cluster's books and the kernel's
    /// disagree, and someone should look.
    pub fn strays(&self) -> impl Iterator<Item = (&Holder, IpAddr)> {
        let all = self.held.iter().flat_map(|(h, assigned)| assigned.iter().map(move |a| (h, a)));
        all.filter(|(_, a)| !self.blocks.keys().any(|prefix| prefix.contains(&a.address)))
            .map(|(holder, a)| (holder, a.address))
    }

    fn arrived(&self, now: Timestamp, block: &NodeBlock) -> Block {
        let mut addresses = AddressSet::new(block.prefix);
        for assigned in self.held.values().flatten() {
            // Refused are those of other blocks, and what is held twice.
            let _ = addresses.claim(assigned.address);
        }
        let since = if addresses.is_empty() { Since::Arrived(now) } else { Since::Used };
        Block { pool: block.pool.clone(), addresses, since, leaving: false, not_before: now }
    }

    fn mark_used(&mut self, address: &IpAddr) {
        if let Some(block) = self.block_of(address) {
            // Already used is already so.
            let _ = block.addresses.claim(*address);
            block.since = Since::Used;
        }
    }

    fn block_of(&mut self, address: &IpAddr) -> Option<&mut Block> {
        self.blocks.values_mut().find(|block| block.addresses.contains(address))
    }

    fn take(&mut self, choice: &PoolChoice) -> Option<(Prefix, Assigned)> {
        let usable = self.blocks.iter_mut().filter(|(prefix, block)| {
            prefix.family() == choice.family && block.pool == choice.pool && !block.leaving
        });
        for (prefix, block) in usable {
            if let Some(address) = block.addresses.allocate() {
                return Some((*prefix, Assigned { address, pool: choice.pool.clone() }));
            }
        }
        None
    }

    /// Undoes an allocation that failed half way; the blocks are as empty as they were before.
    fn put_back(&mut self, taken: &[(Prefix, Assigned)]) {
        for (prefix, assigned) in taken {
            if let Some(block) = self.blocks.get_mut(prefix) {
                block.addresses.release(&assigned.address);
            }
        }
    }

    fn refuse(&mut self, holder: &Holder, choice: &PoolChoice, all: &[PoolChoice]) -> Refusal {
        let PoolChoice { pool, family } = choice.clone();
        let facts = self.pools.get(choice);
        if facts.is_none() && self.pools_known {
            return Refusal::UnknownPool { pool, family };
        }
        self.waiting.insert(holder.clone(), all.to_vec());
        match facts {
            Some(PoolFacts { free_blocks: 0, .. }) => Refusal::Exhausted { pool, family },
            Some(_) | None => Refusal::NoRoom { pool, family },
        }
    }
}

#[cfg(test)]
mod tests;

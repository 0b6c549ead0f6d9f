//! When a node asks for another block, and which it gives back.

use std::collections::BTreeMap;
use std::time::Duration;

use inet::{Prefix, Timestamp};

use super::{Block, NodeIpam, PoolChoice, PoolFacts, Since};

/// For how long a block is kept that nobody has used yet, or that is an auto pool's last one.
pub const GRACE: Duration = Duration::from_secs(60);

/// For how long a block that could not be given back is kept.
pub const AGAIN: Duration = Duration::from_secs(5);

/// Another block is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Of this pool and family.
    pub of: PoolChoice,
    /// How soon.
    pub urgency: Urgency,
}

/// How soon a block is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Before the node runs out.
    Spare,
    /// A pod waits for it.
    Waited,
}

/// What a node has of one pool and family.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    blocks: usize,
    used: u128,
    free: u128,
}

impl NodeIpam {
    /// The blocks that are wanted now, each pool and family once; those that pods wait for first.
    ///
    /// A spare is wanted when a quarter of a block's addresses, or one, are left; but not of blocks
    /// of one address, where it would be one spare for each pod, and not if other nodes that have
    /// no block at all would then find none.
    pub fn needs(&self) -> Vec<Need> {
        let levels = self.levels();
        let mut needs = Vec::new();
        for (choice, missing) in self.missing(&levels) {
            if missing > 0 {
                needs.push(Need { of: choice, urgency: Urgency::Waited });
            }
        }
        for (choice, facts) in &self.pools {
            let waited = needs.iter().any(|need| need.of == *choice);
            let level = levels.get(choice).copied().unwrap_or_default();
            let in_use = level.used > 0;
            let fair = facts.free_blocks > facts.nodes_without;
            if !waited && in_use && fair && !single(facts) && level.free <= low_water(facts) {
                needs.push(Need { of: choice.clone(), urgency: Urgency::Spare });
            }
        }
        needs
    }

    /// The blocks that are given back now. From here on nothing is taken from them; they are gone
    /// once [`NodeIpam::set_blocks`] comes without them, and stay after [`NodeIpam::keep`].
    ///
    /// An empty block is given back if enough is left without it: so much that no spare would be
    /// wanted soon. Two wait for [`GRACE`]: an auto pool's last block, for the next pod surely
    /// comes, and one that nobody has used yet, for whoever asked for it may come again.
    pub fn give_back(&mut self, now: Timestamp) -> Vec<Prefix> {
        let mut levels = self.levels();
        let mut given = Vec::new();
        // The highest go first, so that the lowest fill up.
        let prefixes: Vec<Prefix> = self.blocks.keys().rev().copied().collect();
        for prefix in prefixes {
            let due = self.returnable_at(&prefix, &levels).is_some_and(|at| at <= now);
            if let Some(block) = self.blocks.get_mut(&prefix).filter(|_| due) {
                block.leaving = true;
                given.push(prefix);
                let choice = PoolChoice { pool: block.pool.clone(), family: prefix.family() };
                if let Some(level) = levels.get_mut(&choice) {
                    level.blocks = level.blocks.saturating_sub(1);
                    level.free = level.free.saturating_sub(prefix.size());
                }
            }
        }
        given
    }

    /// A block could not be given back: it is used again, and given back in [`AGAIN`] at the
    /// soonest.
    pub fn keep(&mut self, now: Timestamp, block: &Prefix) {
        if let Some(block) = self.blocks.get_mut(block) {
            block.leaving = false;
            block.not_before = now + AGAIN;
        }
    }

    /// When [`NodeIpam::give_back`] should next be asked, if nothing else happens.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let levels = self.levels();
        self.blocks.keys().filter_map(|prefix| self.returnable_at(prefix, &levels)).min()
    }

    /// From when on a block may go; none while it may not.
    fn returnable_at(
        &self,
        prefix: &Prefix,
        levels: &BTreeMap<PoolChoice, Level>,
    ) -> Option<Timestamp> {
        let empty = |block: &&Block| !block.leaving && block.addresses.is_empty();
        let block = self.blocks.get(prefix).filter(empty)?;
        let choice = PoolChoice { pool: block.pool.clone(), family: prefix.family() };
        if self.waiting.values().flatten().any(|w| *w == choice) {
            return None;
        }
        let level = levels.get(&choice).copied().unwrap_or_default();
        let facts = self.pools.get(&choice);
        let last = level.blocks <= 1;
        let without_it = level.free.saturating_sub(prefix.size());
        // Twice the mark, or a pod more and a pod less would have it come and go.
        let enough = |facts: &PoolFacts| single(facts) || without_it > 2 * low_water(facts);
        if level.used > 0 && !facts.is_none_or(enough) {
            return None;
        }
        let auto = facts.is_some_and(|facts| facts.auto);
        let at = match block.since {
            Since::Used => return None,
            Since::Arrived(at) => at + GRACE,
            Since::Emptied(at) if auto && last => at + GRACE,
            Since::Emptied(at) => at,
        };
        Some(at.max(block.not_before))
    }

    fn levels(&self) -> BTreeMap<PoolChoice, Level> {
        let mut levels: BTreeMap<PoolChoice, Level> = BTreeMap::new();
        let staying = self.blocks.iter().filter(|(_, block)| !block.leaving);
        for (prefix, Block { pool, addresses, .. }) in staying {
            let choice = PoolChoice { pool: pool.clone(), family: prefix.family() };
            let level = levels.entry(choice).or_default();
            level.blocks += 1;
            level.used += addresses.used() as u128;
            level.free = level.free.saturating_add(addresses.free());
        }
        levels
    }

    /// How many addresses those who wait lack, per pool and family.
    fn missing(&self, levels: &BTreeMap<PoolChoice, Level>) -> BTreeMap<PoolChoice, u128> {
        let mut missing: BTreeMap<PoolChoice, u128> = BTreeMap::new();
        for choice in self.waiting.values().flatten() {
            *missing.entry(choice.clone()).or_default() += 1;
        }
        for (choice, count) in &mut missing {
            let free = levels.get(choice).map_or(0, |level| level.free);
            *count = count.saturating_sub(free);
        }
        missing
    }
}

/// How few free addresses are too few.
fn low_water(facts: &PoolFacts) -> u128 {
    (block_size(facts) / 4).clamp(1, 64)
}

fn single(facts: &PoolFacts) -> bool {
    block_size(facts) <= 1
}

fn block_size(facts: &PoolFacts) -> u128 {
    let host_bits = facts.family.bits().saturating_sub(facts.block_len);
    1u128.checked_shl(u32::from(host_bits)).unwrap_or(u128::MAX)
}

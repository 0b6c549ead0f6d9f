use std::collections::BTreeMap;

use cluster_api::AddressType;

use super::Planner;
use crate::pools::Pools;

/// Numbers for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Tasks computed, and writes that failed, since the start.
    pub computed: u64,
    /// Writes that failed since the start.
    pub failed: u64,
    /// Per pool: its type, the blocks that it can have, and has.
    pub pools: BTreeMap<String, (AddressType, u64, u64)>,
    /// Advertisements per type and protocol.
    pub advertisements: BTreeMap<(AddressType, cluster_api::Protocol), u64>,
    /// Peers that get an advertisement, and that do not, over all advertisements.
    pub advertised: (u64, u64),
    /// Objects waiting after a failed write.
    pub backing_off: u64,
}

impl Planner {
    /// Numbers for metrics.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures {
            computed: self.computed,
            failed: self.failed,
            backing_off: self.failures.len() as u64,
            ..Figures::default()
        };
        for (name, entry) in Pools::of(&self.world).iter() {
            let max = entry.pool.as_ref().map_or(0, |pool| pool.block_count());
            figures.pools.insert(name.clone(), (entry.kind, max, 0));
        }
        for block in self.world.blocks.values() {
            if let Some((_, _, cut)) = figures.pools.get_mut(&block.spec.pool_ref) {
                *cut += 1;
            }
        }
        for advertisement in self.world.advertisements.values() {
            let kind = (advertisement.spec.kind, advertisement.spec.protocol);
            *figures.advertisements.entry(kind).or_default() += 1;
            if let Some(counts) = advertisement.status.as_ref().and_then(|status| status.counts) {
                figures.advertised.0 += u64::from(counts.advertised);
                figures.advertised.1 += u64::from(counts.not_advertised);
            }
        }
        figures
    }
}

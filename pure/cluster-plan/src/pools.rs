//! Which pools may be used: of those that cannot be together, the oldest.

use std::collections::BTreeMap;
use std::net::IpAddr;

use address_pool::{BlockSize, Pool};
use cluster_api::condition::{Fact, READY};
use cluster_api::world::ObjectKey;
use cluster_api::{AddressType, Refusal, names};
use inet::{Family, Prefix};

use crate::world::{World, age};

/// The condition of a pool that wants to be used where none is named.
pub(crate) const AUTO_ASSIGN: &str = "AutoAssign";

/// One pool and what was decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: AddressType,
    /// The pool as it is cut; none if it cannot be.
    pub(crate) pool: Option<Pool>,
    /// Why nothing new is taken from it.
    pub(crate) refused: Option<(Refusal, String)>,
    /// Why it is not used where none is named, though it wants to be.
    pub(crate) auto_refused: Option<String>,
    /// Whether it wants to be used where none is named.
    pub(crate) auto: bool,
}

/// All pools and what was decided about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pools {
    entries: BTreeMap<String, Entry>,
    autos: BTreeMap<(AddressType, Family), String>,
}

impl Pools {
    /// Decides about all pools of a world.
    pub(crate) fn of(world: &World) -> Pools {
        let mut pools = Pools::default();
        let mut by_age: Vec<_> = world.pools.values().collect();
        by_age.sort_by_cached_key(|pool| age(&pool.metadata));
        let mut accepted: Vec<Pool> = Vec::new();
        for object in by_age {
            let name = object.metadata.name.clone().unwrap_or_default();
            let spec = &object.spec;
            let size = spec.block_size.map_or(BlockSize::WHOLE, BlockSize::one);
            let (pool, mut refused) = match Pool::new(name.as_str(), spec.all_cidrs(), size) {
                Ok(pool) => (Some(pool), None),
                Err(why) => (None, Some((Refusal::PoolOverlap, why.to_string()))),
            };
            if let Some(pool) = &pool {
                refused = name_taken(world, &name).or_else(|| overlap(pool, &accepted));
            }
            let mut entry =
                Entry { kind: spec.kind, pool, refused, auto_refused: None, auto: spec.is_auto() };
            if let (Some(pool), None) = (&entry.pool, &entry.refused) {
                if entry.auto {
                    entry.auto_refused = pools.claim_auto(spec.kind, pool);
                }
                accepted.push(pool.clone());
            }
            pools.entries.insert(name, entry);
        }
        pools
    }

    /// Makes a pool the one that is used where none is named, for each of its families; or tells
    /// which older one is.
    fn claim_auto(&mut self, kind: AddressType, pool: &Pool) -> Option<String> {
        let families = || Family::ALL.into_iter().filter(|family| pool.has_family(*family));
        if let Some(older) = families().find_map(|family| self.autos.get(&(kind, family))) {
            return Some(format!("pool {older} is older and autoAssign too"));
        }
        for family in families() {
            self.autos.insert((kind, family), pool.name().to_owned());
        }
        None
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// The pool that is used where none is named.
    pub(crate) fn auto(&self, kind: AddressType, family: Family) -> Option<&String> {
        self.autos.get(&(kind, family))
    }

    /// A pool from which new addresses of a type may be taken.
    pub(crate) fn usable(&self, name: &str, kind: AddressType) -> Result<&Pool, (Refusal, String)> {
        let unknown = || (Refusal::UnknownPool, format!("there is no AddressPool {name}"));
        let entry = self.entries.get(name).ok_or_else(unknown)?;
        if entry.kind != kind {
            let message = format!("AddressPool {name} is not of this type");
            return Err((Refusal::PoolType, message));
        }
        match (&entry.pool, &entry.refused) {
            (Some(pool), None) => Ok(pool),
            (_, Some((why, _))) => {
                Err((Refusal::PoolRefused, format!("AddressPool {name} is refused itself ({why})")))
            }
            (None, None) => Err((Refusal::PoolRefused, format!("AddressPool {name} is refused"))),
        }
    }
}

impl Entry {
    /// What the pool's conditions say.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![match &self.refused {
            None => Fact::holds(READY, "Accepted", "addresses are taken from this pool"),
            Some((why, message)) => Fact::refused(READY, *why, message),
        }];
        if self.auto {
            facts.push(match (&self.refused, &self.auto_refused) {
                (Some((why, _)), _) => {
                    Fact::refused(AUTO_ASSIGN, Refusal::PoolRefused, format!("see Ready ({why})"))
                }
                (None, None) => Fact::holds(AUTO_ASSIGN, "Accepted", "used where no pool is named"),
                (None, Some(message)) => {
                    Fact::refused(AUTO_ASSIGN, Refusal::SecondAutoAssign, message)
                }
            });
        }
        facts
    }

    /// The refusals to tell people of.
    pub(crate) fn refusals(&self) -> Vec<(Refusal, String)> {
        let auto = self.auto_refused.clone().map(|why| (Refusal::SecondAutoAssign, why));
        self.refused.clone().into_iter().chain(auto).collect()
    }
}

fn name_taken(world: &World, name: &str) -> Option<(Refusal, String)> {
    let block = world.blocks.named(name)?;
    let other = &block.spec.pool_ref;
    (other != name).then(|| {
        (Refusal::NameTaken, format!("an AddressBlock of pool {other} has the name {name}"))
    })
}

fn overlap(pool: &Pool, older: &[Pool]) -> Option<(Refusal, String)> {
    let (other, own, theirs) = address_pool::first_overlap(pool, older)?;
    let message =
        format!("{own} shares addresses with {theirs} of the older pool {}", other.name());
    Some((Refusal::PoolOverlap, message))
}

/// The name that a block has, or will have.
pub(crate) fn block_name(world: &World, pool: &Pool, index: u64, cidr: Prefix) -> String {
    let plain = match pool.block_name(index) {
        name if name.len() <= names::MAX => name,
        _ => names::block(pool.name(), index),
    };
    let hashed = || names::hashed(&[pool.name(), &index.to_string()]);
    let is_ours = |name: &str| {
        let block = world.blocks.get(&ObjectKey::cluster(name));
        block.map(|block| block.spec.pool_ref == pool.name() && block.spec.cidr == cidr)
    };
    match is_ours(&plain) {
        Some(true) => plain,
        Some(false) => hashed(),
        // It stays what it is, also when the name that it could not have is free again.
        None if is_ours(&hashed()) == Some(true) => hashed(),
        None => plain,
    }
}

/// The name of the block that holds an address.
pub(crate) fn block_name_of(world: &World, pool: &Pool, address: &IpAddr) -> Option<String> {
    let (index, cidr) = pool.block_holding(address)?;
    Some(block_name(world, pool, index, cidr))
}

//! Which pools a pod takes its addresses from.

use std::collections::{BTreeMap, BTreeSet};

use cluster_api::text;
use inet::Family;

/// A pool of pods as far as choosing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPool {
    /// The families of its CIDRs.
    pub families: BTreeSet<Family>,
    /// Serves pods that name no pool.
    pub auto_assign: bool,
}

/// One address to be taken: the pool and the family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Choice {
    /// The pool's name.
    pub pool: String,
    /// The family of the address.
    pub family: Family,
}

/// Why no pool serves a pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPool {
    /// An annotation names a pool that does not exist or is not for pods.
    #[error("no AddressPool of type pod is named {0:?}")]
    Unknown(String),
    /// The pod names no pool and no pool has `autoAssign`.
    #[error("the pod names no AddressPool and none of type pod has autoAssign")]
    NoAuto,
}

impl NoPool {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            NoPool::Unknown(_) => "unknown-pool",
            NoPool::NoAuto => "no-auto-pool",
        }
    }
}

/// Chooses for a pod: its own annotation before its namespace's before the `autoAssign` pools.
///
/// A pool that is named gives one address of each of its families that the node has; a family that
/// no named pool covers comes from its `autoAssign` pool, if there is one.
pub fn choose(
    pod: Option<&str>,
    namespace: Option<&str>,
    pools: &BTreeMap<String, PodPool>,
    node_families: &BTreeSet<Family>,
) -> Result<Vec<Choice>, NoPool> {
    let named = |list: &&str| !text::list(list).is_empty();
    let list = pod.filter(named).or(namespace.filter(named)).unwrap_or_default();
    let mut choices = Vec::new();
    for name in text::list(list) {
        let pool = pools.get(&name).ok_or_else(|| NoPool::Unknown(name.clone()))?;
        for family in pool.families.intersection(node_families) {
            choices.push(Choice { pool: name.clone(), family: *family });
        }
    }
    let covered: BTreeSet<Family> = choices.iter().map(|c| c.family).collect();
    for family in node_families.difference(&covered) {
        let auto = pools.iter().find(|(_, p)| p.auto_assign && p.families.contains(family));
        choices.extend(auto.map(|(name, _)| Choice { pool: name.clone(), family: *family }));
    }
    if choices.is_empty() { Err(NoPool::NoAuto) } else { Ok(choices) }
}

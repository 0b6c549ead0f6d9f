//! Blocks: nodes' requests, the blocks of service pools, and the advertisements of pods' blocks.

use std::collections::{BTreeMap, BTreeSet};

use address_pool::Pool;
use cluster_api::condition::{Fact, READY, says};
use cluster_api::world::{Action, Kind, ObjectKey, Target};
use cluster_api::{AddressBlock, AddressType, BlockRequest, Protocol, Refusal, keys, names};
use inet::{Family, Prefix};
use serde_json::{Value, json};

use crate::index::Index;
use crate::pools::block_name;
use crate::slots::Why;
use crate::task::Steps;
use crate::world::{World, age, annotation};

/// On a block: the UID of the request that it was made for. A request whose block is there is done,
/// also when the controller died between the two writes.
pub(crate) const REQUEST: &str = "sart.terassyi.net/request";

/// What is to do next for all blocks.
pub(crate) fn steps(world: &World, index: &Index) -> Steps {
    let mut steps = Steps::default();
    let mut books = Books::of(world, index);
    requests(world, index, &mut books, &mut steps);
    service_blocks(index, &mut books, &mut steps);
    for (key, block) in world.blocks.iter() {
        upkeep(index, key, block, &mut steps);
    }
    advertisements(world, &mut steps);
    steps
}

/// Which blocks are cut.
struct Books<'a> {
    world: &'a World,
    index: &'a Index,
    /// Per pool the indexes in use, those of creations under way among them.
    used: BTreeMap<String, BTreeSet<u64>>,
    /// Blocks that lie where another pool is now.
    strangers: Vec<Prefix>,
    names: BTreeSet<String>,
}

impl Books<'_> {
    fn of<'a>(world: &'a World, index: &'a Index) -> Books<'a> {
        let mut books = Books {
            world,
            index,
            used: BTreeMap::new(),
            strangers: Vec::new(),
            names: index.block_intents.keys().cloned().collect(),
        };
        let existing = world.blocks.values().map(|b| (b.spec.pool_ref.clone(), b.spec.cidr));
        let coming = index.block_intents.values().map(|b| (b.pool.clone(), b.cidr));
        for (pool, cidr) in existing.chain(coming) {
            let entry = index.pools.get(&pool).and_then(|entry| entry.pool.as_ref());
            match entry.and_then(|pool| pool.index_of(&cidr)) {
                Some(at) => {
                    books.used.entry(pool).or_default().insert(at);
                }
                None => books.strangers.push(cidr),
            }
        }
        for (name, entry) in index.pools.iter().filter(|(_, entry)| entry.refused.is_some()) {
            // A refused pool keeps the blocks that it has.
            let cut = books.used.get(name).into_iter().flatten();
            books.strangers.extend(cut.filter_map(|at| entry.pool.as_ref()?.block(*at)));
        }
        books
    }

    /// The lowest free block of a pool, which then is in use.
    fn take(&mut self, pool: &Pool, family: Option<Family>) -> Option<(u64, Prefix)> {
        loop {
            let used = self.used.entry(pool.name().to_owned()).or_default();
            let at = match family {
                Some(family) => pool.lowest_free_of(family, used),
                None => pool.lowest_free(used),
            }?;
            used.insert(at);
            let cidr = pool.block(at)?;
            // Addresses that Services hold are theirs, whatever the pools say now.
            if !self.meets_another(&cidr) && self.index.held_in(&cidr) == 0 {
                return Some((at, cidr));
            }
        }
    }

    /// Whether a block of another pool lies there: left by a pool that is gone or refused.
    fn meets_another(&self, cidr: &Prefix) -> bool {
        self.strangers.iter().any(|other| other.overlaps(cidr))
    }

    /// A name for a new block that neither exists nor is about to.
    fn name(&mut self, pool: &Pool, at: u64, cidr: Prefix) -> String {
        let mut name = block_name(self.world, pool, at, cidr);
        if self.names.contains(&name) {
            name = names::hashed(&[pool.name(), &at.to_string()]);
        }
        self.names.insert(name.clone());
        name
    }
}

fn requests(world: &World, index: &Index, books: &mut Books<'_>, steps: &mut Steps) {
    let answered: BTreeSet<&str> =
        world.blocks.values().filter_map(|block| annotation(&block.metadata, REQUEST)).collect();
    let coming: BTreeSet<&str> =
        index.block_intents.values().filter_map(|block| block.request.as_deref()).collect();
    let mut by_age: Vec<_> = world.requests.values().collect();
    by_age.sort_by_cached_key(|request| age(&request.metadata));
    for request in by_age {
        let uid = request.metadata.uid.clone().unwrap_or_default();
        if answered.contains(uid.as_str()) {
            steps.delete(Kind::BlockRequest, request);
            continue;
        }
        if coming.contains(uid.as_str()) || world.nodes.named(&request.spec.node).is_none() {
            continue;
        }
        let family = request.spec.family.map(Family::from);
        let pool = match index.pools.usable(&request.spec.pool, AddressType::Pod) {
            Ok(pool) => pool,
            Err(why) => {
                refuse(request, why, steps);
                continue;
            }
        };
        match books.take(pool, family) {
            Some((at, cidr)) => {
                let name = books.name(pool, at, cidr);
                let auto = index.pools.get(pool.name()).is_some_and(|entry| entry.auto);
                let node = Some((request.spec.node.as_str(), uid.as_str()));
                let body = block(pool.name(), cidr, AddressType::Pod, auto, node);
                steps.write(Target::cluster(Kind::AddressBlock, &name), Action::Create(body));
            }
            None => {
                let message = format!(
                    "AddressPool {} has no free block for node {}",
                    pool.name(),
                    request.spec.node
                );
                let about = Target::cluster(Kind::AddressPool, pool.name());
                let pool = world.pools.named(pool.name());
                let uid = pool.and_then(|pool| pool.metadata.uid.clone());
                steps.refuse(about, uid, Refusal::PoolExhausted, &message);
                refuse(request, (Refusal::PoolExhausted, message), steps);
            }
        }
    }
}

/// Says on a request why it waits.
fn refuse(request: &BlockRequest, why: Why, steps: &mut Steps) {
    let name = request.metadata.name.clone().unwrap_or_default();
    let target = Target::cluster(Kind::BlockRequest, &name);
    let (why, message) = why;
    steps.refuse(target.clone(), request.metadata.uid.clone(), why, &message);
    let fact = Fact::refused(READY, why, &message);
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice());
    if says(conditions.unwrap_or_default(), std::slice::from_ref(&fact)) {
        return;
    }
    // A request has one condition and is written by nobody else: its time is when it was made.
    let body = json!({ "status": { "conditions": [{
        "type": fact.kind, "status": "False", "reason": fact.reason, "message": fact.message,
        "lastTransitionTime": request.metadata.creation_timestamp,
    }] } });
    steps.write(target, Action::MergeStatus(body));
}

/// The body of a new block; `node` comes with the UID of its request.
fn block(
    pool: &str,
    cidr: Prefix,
    kind: AddressType,
    auto: bool,
    node: Option<(&str, &str)>,
) -> Value {
    let mut body = json!({
        "metadata": { "labels": {
            keys::ADDRESS_POOL: names::label(pool),
            keys::MANAGED_BY: keys::MANAGED_BY_SART,
        } },
        "spec": { "cidr": cidr, "type": kind, "poolRef": pool, "autoAssign": auto },
    });
    if let Some((node, request)) = node {
        body["metadata"]["labels"][keys::BLOCK_NODE] = json!(names::label(node));
        body["metadata"]["annotations"] = json!({ REQUEST: request });
        body["spec"]["nodeRef"] = json!(node);
    }
    body
}

/// A service pool without `blockSize` is one block for each CIDR, always; with it, the blocks that
/// hold an address are there.
fn service_blocks(index: &Index, books: &mut Books<'_>, steps: &mut Steps) {
    let services = index.pools.iter().filter(|(_, entry)| entry.kind == AddressType::Service);
    for (name, entry) in services {
        let (Some(pool), None) = (&entry.pool, &entry.refused) else { continue };
        for at in wanted_blocks(index, pool) {
            let used = books.used.entry(name.clone()).or_default();
            if !used.insert(at) {
                continue;
            }
            let Some(cidr) = pool.block(at).filter(|cidr| !books.meets_another(cidr)) else {
                continue;
            };
            let name = books.name(pool, at, cidr);
            let body = block(pool.name(), cidr, AddressType::Service, entry.auto, None);
            steps.write(Target::cluster(Kind::AddressBlock, &name), Action::Create(body));
        }
    }
}

/// The indexes of the blocks that a service pool needs.
pub(crate) fn wanted_blocks(index: &Index, pool: &Pool) -> BTreeSet<u64> {
    let mut wanted = BTreeSet::new();
    for cidr in pool.cidrs() {
        if pool.block_size().of(cidr.family()).is_none() {
            wanted.extend(pool.index_of(cidr));
            continue;
        }
        // From one held address to the first one behind its block.
        let mut from = Some(cidr.address());
        while let Some(address) = from.and_then(|from| index.next_held(cidr, from)) {
            let Some((at, block)) = pool.block_holding(&address) else { break };
            wanted.insert(at);
            let behind = cidr.offset_of(&block.last_address()).and_then(|last| last.checked_add(1));
            from = behind.and_then(|behind| cidr.nth(behind));
        }
    }
    wanted
}

/// Keeps an existing block equal to its pool.
fn upkeep(index: &Index, key: &ObjectKey, block: &AddressBlock, steps: &mut Steps) {
    let Some(entry) = index.pools.get(&block.spec.pool_ref) else { return };
    let target = Target::cluster(Kind::AddressBlock, &key.name);
    if block.spec.auto_assign != entry.auto {
        let body = json!({ "spec": { "autoAssign": entry.auto } });
        steps.write(target, Action::Merge(body));
        return;
    }
    let at = entry.pool.as_ref().and_then(|pool| pool.index_of(&block.spec.cidr));
    if let Some(at) = at
        && block.status.as_ref().is_none_or(|status| status.index != at)
    {
        steps.write(target, Action::MergeStatus(json!({ "status": { "index": at } })));
    }
}

/// Each block of pods that a node holds has an advertisement, and no other has.
fn advertisements(world: &World, steps: &mut Steps) {
    for (key, block) in world.blocks.iter() {
        let of_pods = block.spec.kind == AddressType::Pod && block.spec.node_ref.is_some();
        let place = ObjectKey::new(keys::SYSTEM_NAMESPACE, &key.name);
        if !of_pods || world.advertisements.get(&place).is_some() {
            continue;
        }
        let body = json!({
            "metadata": { "labels": { keys::MANAGED_BY: keys::MANAGED_BY_SART } },
            "spec": {
                "cidr": block.spec.cidr,
                "type": AddressType::Pod,
                "protocol": Protocol::from(block.spec.cidr.family()),
            },
        });
        let target = Target::new(Kind::BGPAdvertisement, keys::SYSTEM_NAMESPACE, &key.name);
        steps.write(target, Action::Create(body));
    }
    if world.blocks.bad().next().is_some() {
        return;
    }
    for (key, advertisement) in world.advertisements.iter() {
        let of_pods = advertisement.spec.kind == AddressType::Pod;
        if !of_pods || key.namespace != keys::SYSTEM_NAMESPACE {
            continue;
        }
        let block = world.blocks.named(&key.name);
        if block.is_none_or(|block| block.spec.cidr != advertisement.spec.cidr) {
            steps.delete(Kind::BGPAdvertisement, advertisement);
        }
    }
}

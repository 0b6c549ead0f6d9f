//! What nobody needs any more: collected when it was seen so twice and for a grace period.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster_api::world::{Action, Kind, ObjectKey, Target};
use cluster_api::{AddressType, HolderKind, keys};
use inet::Timestamp;
use kube::Resource;

use crate::bgp::is_made;
use crate::blocks::wanted_blocks;
use crate::index::Index;
use crate::task::Steps;
use crate::world::{Now, World, label};

/// Between two looks.
pub(crate) const EVERY: Duration = Duration::from_secs(10);
/// What a node left behind stays so long: nodes come back.
const NODE_GRACE: Duration = Duration::from_secs(60);
/// Everything else.
const GRACE: Duration = Duration::from_secs(30);

/// What was seen without need, since when and how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspects {
    seen: BTreeMap<(Target, Option<String>), (Timestamp, u32)>,
}

impl Suspects {
    /// Looks once; deletes what has been without need for long enough.
    pub(crate) fn look(&mut self, world: &World, index: &Index, now: &Now) -> Steps {
        let mut steps = Steps::default();
        let mut still = BTreeMap::new();
        for (target, uid, grace) in unneeded(world, index) {
            let suspect = (target, uid);
            let before = self.seen.get(&suspect).copied();
            let (since, looks) = before.unwrap_or((now.at, 0));
            if looks >= 1 && now.at.since(since) >= grace {
                let (target, uid) = suspect.clone();
                steps.write(target, Action::Delete { uid, version: None });
            }
            still.insert(suspect, (since, looks.saturating_add(1)));
        }
        self.seen = still;
        steps
    }
}

type Unneeded = Vec<(Target, Option<String>, Duration)>;

fn unneeded(world: &World, index: &Index) -> Unneeded {
    let mut found = Vec::new();
    // An empty list of nodes is rather a mistake than the truth.
    if world.nodes.bad().next().is_none() && !world.nodes.is_empty() {
        of_gone_nodes(world, &mut found);
    }
    if world.services.bad().next().is_none() {
        of_gone_services(world, index, &mut found);
    }
    if world.pools.bad().next().is_none() && world.claims.bad().next().is_none() {
        empty_service_blocks(world, index, &mut found);
    }
    found
}

fn push<K: Resource>(found: &mut Unneeded, kind: Kind, object: &K, grace: Duration) {
    let key = ObjectKey::of(object);
    let target = Target::new(kind, &key.namespace, &key.name);
    found.push((target, object.meta().uid.clone(), grace));
}

fn of_gone_nodes(world: &World, found: &mut Unneeded) {
    let gone = |node: &str| world.nodes.named(node).is_none();
    for block in world.blocks.values() {
        if block.spec.node_ref.as_deref().is_some_and(gone) {
            push(found, Kind::AddressBlock, block, NODE_GRACE);
        }
    }
    for request in world.requests.values() {
        if gone(&request.spec.node) {
            push(found, Kind::BlockRequest, request, NODE_GRACE);
        }
    }
    for (key, node) in world.node_bgps.iter() {
        let managed = label(&node.metadata, keys::MANAGED_BY) == Some(keys::MANAGED_BY_SART);
        if managed && gone(&key.name) {
            push(found, Kind::NodeBGP, node, NODE_GRACE);
        }
    }
    for peer in world.peers.values() {
        if is_made(peer) && gone(&peer.spec.node_bgp_ref) {
            push(found, Kind::BGPPeer, peer, NODE_GRACE);
        }
    }
}

fn of_gone_services(world: &World, index: &Index, found: &mut Unneeded) {
    for claim in world.claims.values() {
        if claim.spec.holder_kind != HolderKind::Service {
            continue;
        }
        let (namespace, name) = claim.spec.holder.split_once('/').unwrap_or_default();
        let service = world.services.get(&ObjectKey::new(namespace, name));
        let uid = service.and_then(|service| service.metadata.uid.as_deref());
        if uid != Some(claim.spec.holder_uid.as_str()) {
            push(found, Kind::AddressClaim, claim, GRACE);
        }
    }
    for (key, advertisement) in world.advertisements.iter() {
        let service = label(&advertisement.metadata, keys::SERVICE_NAME);
        let gone = service.is_some_and(|name| {
            world.services.get(&ObjectKey::new(&key.namespace, name)).is_none()
        });
        if gone && index.is_of_service(key) {
            push(found, Kind::BGPAdvertisement, advertisement, GRACE);
        }
    }
}

/// Blocks of Services without an address in them, unless they are a whole pool.
fn empty_service_blocks(world: &World, index: &Index, found: &mut Unneeded) {
    let mut wanted: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for block in world.blocks.values() {
        let empty = index.held_in(&block.spec.cidr) == 0;
        if block.spec.kind != AddressType::Service || block.spec.node_ref.is_some() || !empty {
            continue;
        }
        let name = block.spec.pool_ref.as_str();
        let pool = index.pools.get(name).and_then(|entry| entry.pool.as_ref());
        let needed = pool.is_some_and(|pool| {
            let wanted = wanted.entry(name).or_insert_with(|| wanted_blocks(index, pool));
            pool.index_of(&block.spec.cidr).is_some_and(|at| wanted.contains(&at))
        });
        if !needed {
            push(found, Kind::AddressBlock, block, GRACE);
        }
    }
}

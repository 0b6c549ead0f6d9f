//! What there is to compute, and its result.

use std::collections::BTreeSet;

use cluster_api::Refusal;
use cluster_api::world::{Action, Kind, Note, ObjectKey, Target, Write};
use kube::Resource;

use crate::index::{BlockIntent, Index};
use crate::world::{Now, Settings, World};
use crate::{bgp, blocks, leftovers, pools, service, status};

/// One subject whose next writes are computed together. In the order in which they matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Decide anew which pools may be used.
    Pools,
    /// Take v0.1's finalizers from an object.
    Leftover(Target),
    /// BlockRequests, AddressBlocks and the advertisements of pods' blocks.
    Blocks,
    /// One Service.
    Service(ObjectKey),
    /// One node's NodeBGP and BGPPeers.
    Node(String),
    /// The status of every ClusterBGP.
    Clusters,
    /// The status of one node's BGPPeers.
    Peers(String),
    /// The status of one BGPAdvertisement.
    Advertisement(ObjectKey),
    /// The status of one AddressPool and of its Services' blocks.
    Pool(String),
    /// Look for what nobody needs any more.
    Collect,
}

/// What a task wants next.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Steps {
    /// Writes that may be done at the same time.
    pub(crate) writes: Vec<Write>,
    /// What a person must know.
    pub(crate) notes: Vec<Note>,
    /// Not all could be had: ask again when pools or addresses change.
    pub(crate) waiting: bool,
}

impl Steps {
    pub(crate) fn write(&mut self, target: Target, action: Action) {
        self.writes.push(Write { target, action });
    }

    /// Deletes an object, if it still is this one.
    pub(crate) fn delete<K: Resource>(&mut self, kind: Kind, object: &K) {
        let key = ObjectKey::of(object);
        let target = Target::new(kind, &key.namespace, &key.name);
        let uid = object.meta().uid.clone();
        self.write(target, Action::Delete { uid, version: None });
    }

    /// Tells of a refusal.
    pub(crate) fn refuse(&mut self, about: Target, uid: Option<String>, why: Refusal, what: &str) {
        let (reason, message) = (why.name().to_owned(), what.to_owned());
        self.notes.push(Note { about, uid, warning: true, reason, message });
    }
}

/// Computes one task. `Pools` and `Collect` are the planner's own: they keep more than a world.
pub(crate) fn steps(
    world: &World,
    index: &Index,
    settings: &Settings,
    now: &Now,
    task: &Task,
) -> Steps {
    match task {
        Task::Pools | Task::Collect => Steps::default(),
        Task::Leftover(target) => leftovers::steps(world, target),
        Task::Blocks => blocks::steps(world, index),
        Task::Service(key) => service::steps(world, index, settings, now, key),
        Task::Node(name) => bgp::node_steps(world, index, name),
        Task::Clusters => bgp::cluster_steps(world, now),
        Task::Peers(node) => status::peers(world, index, node),
        Task::Advertisement(key) => status::advertisement(world, index, key),
        Task::Pool(name) => status::pool(world, index, now, name),
    }
}

/// Every task that a world has.
pub(crate) fn all(world: &World) -> BTreeSet<Task> {
    let mut tasks = BTreeSet::from([Task::Blocks, Task::Clusters]);
    tasks.extend(world.services.iter().map(|(key, _)| Task::Service(key.clone())));
    let nodes: BTreeSet<String> = world
        .nodes
        .iter()
        .map(|(key, _)| key.name.clone())
        .chain(world.node_bgps.iter().map(|(key, _)| key.name.clone()))
        .chain(world.peers.values().map(|peer| peer.spec.node_bgp_ref.clone()))
        .collect();
    tasks.extend(nodes.iter().cloned().map(Task::Node));
    tasks.extend(nodes.into_iter().map(Task::Peers));
    tasks.extend(world.advertisements.iter().map(|(key, _)| Task::Advertisement(key.clone())));
    tasks.extend(world.pools.iter().map(|(key, _)| Task::Pool(key.name.clone())));
    tasks.extend(leftovers::all(world).into_iter().map(Task::Leftover));
    tasks
}

/// All that a world needs next, computed from nothing else: the plain reference of the
/// [`Planner`](crate::Planner), and what a change of manifests would bring.
pub fn plan(world: &World, settings: &Settings, now: &Now) -> Vec<Write> {
    if !world.listed() {
        return Vec::new();
    }
    let mut index = Index::of(world);
    let mut writes = Vec::new();
    for task in all(world) {
        for write in steps(world, &index, settings, now, &task).writes {
            intend(&mut index, &task, &write);
            writes.push(write);
        }
    }
    writes
}

/// Counts what a write takes as taken while it is under way.
pub(crate) fn intend(index: &mut Index, task: &Task, write: &Write) {
    let Action::Create(body) = &write.action else { return };
    let text = |path: &str| body.pointer(path).and_then(|value| value.as_str());
    match (write.target.kind, task) {
        (Kind::AddressClaim, Task::Service(key)) => {
            if let Some(address) = text("/spec/address").and_then(|text| text.parse().ok()) {
                index.intend(address, key);
            }
        }
        (Kind::AddressBlock, _) => {
            let cidr = text("/spec/cidr").and_then(|text| text.parse().ok());
            if let (Some(cidr), Some(pool)) = (cidr, text("/spec/poolRef")) {
                let request = body.pointer("/metadata/annotations");
                let request = request.and_then(|all| all.get(blocks::REQUEST)?.as_str());
                let request = request.map(str::to_owned);
                let intent = BlockIntent { pool: pool.to_owned(), cidr, request };
                index.block_intents.insert(write.target.name.clone(), intent);
            }
        }
        _ => {}
    }
}

/// The write is over, one way or the other.
pub(crate) fn intent_over(index: &mut Index, write: &Write) {
    let Action::Create(body) = &write.action else { return };
    match write.target.kind {
        Kind::AddressClaim => {
            let text = body.pointer("/spec/address").and_then(|value| value.as_str());
            if let Some(address) = text.and_then(|text| text.parse().ok()) {
                index.intent_over(address);
            }
        }
        Kind::AddressBlock => {
            index.block_intents.remove(&write.target.name);
        }
        _ => {}
    }
}

/// What was decided about the pools, to tell people of.
pub(crate) fn pool_notes(world: &World, pools: &pools::Pools) -> Vec<Note> {
    let mut steps = Steps::default();
    for (name, entry) in pools.iter() {
        let uid = world.pools.named(name).and_then(|pool| pool.metadata.uid.clone());
        for (why, message) in entry.refusals() {
            steps.refuse(Target::cluster(Kind::AddressPool, name), uid.clone(), why, &message);
        }
    }
    steps.notes
}

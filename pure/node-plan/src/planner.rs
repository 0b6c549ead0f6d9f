//! The planner itself: changes in, whole wanted states out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use cluster_api::world::ObjectKey;
use cluster_api::{
    AddressType, BGPPeer, NodeBGP, NodeBGPCondition, NodeBGPReason, NodeBGPState, NodeBGPStatus,
    PeerDigest, RouterStatus, Withheld, keys,
};
use inet::{Family, Prefix, Timestamp};
use router_config::Document;

use crate::document::{RouterView, document, winners};
use crate::world::{Change, World};
use crate::{ClassRule, PodPool, PoolFact, Verdict, decide, facts};

/// Changes are gathered for so long before the router's document is made anew.
const GATHER: Duration = Duration::from_millis(50);

/// The node's status is written at most this often.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// For so long a Service stays announced after its local endpoints vanished together with the
/// control plane's sight of many nodes.
const MASS_UNKNOWN_HOLD: Duration = Duration::from_secs(60);

/// What does not change while an agent runs.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The node's name.
    pub node: String,
    /// Modes `cni` and `dual`: this node has blocks of pods and announces them.
    pub pods: bool,
    /// Modes `lb` and `dual`: this node announces Services.
    pub services: bool,
    /// The kernel table that learned routes go to; none in mode `lb`.
    pub fib_table: Option<u32>,
    /// Which Services are ours.
    pub classes: ClassRule,
}

/// What the router tells of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouterFact {
    /// Whether it answers.
    pub reachable: bool,
    /// Whether the last document was taken, or the sentence it was refused with; none before.
    pub applied: Option<Result<(), String>>,
    /// Its peers.
    pub peers: Vec<PeerFact>,
    /// How often it could not be reached or configured.
    pub failures: u32,
}

/// One peer of the router.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerFact {
    /// The peer's address.
    pub address: IpAddr,
    /// What is reported of it; the planner fills in the BGPPeer's name.
    pub digest: PeerDigest,
}

/// A block of pods that this node holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldBlock {
    /// The AddressBlock's name.
    pub name: String,
    /// Its pool.
    pub pool: String,
    /// Its addresses.
    pub prefix: Prefix,
}

/// A wanted state, whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    /// All that the agent wants of the router.
    Router(Box<Document>),
    /// The blocks that this node holds: the addresses pods get, and the `unreachable` routes.
    Blocks(Vec<HeldBlock>),
    /// The agent's part of `NodeBGP.status`.
    Status(Box<NodeBGPStatus>),
}

/// The agent's planner.
#[derive(Debug)]
pub struct NodePlanner {
    config: NodeConfig,
    world: World,
    /// When the wanted states are made anew; none while nothing changed.
    plan_at: Option<Timestamp>,
    /// Services that stay announced until then (see [`MASS_UNKNOWN_HOLD`]).
    held: BTreeMap<ObjectKey, Timestamp>,
    /// Services announced by the last plan.
    announced: BTreeSet<ObjectKey>,
    /// Services that the last plan did not announce, and why.
    withheld: Vec<Withheld>,
    last_document: Option<Document>,
    last_blocks: Option<Vec<HeldBlock>>,
    /// The status wanted last, and the UID of the NodeBGP that it was wanted for.
    last_status: Option<(Option<String>, NodeBGPStatus)>,
    status_not_before: Timestamp,
    conditions: Vec<NodeBGPCondition>,
    wants: VecDeque<Want>,
}

impl NodePlanner {
    /// A planner that knows nothing yet.
    pub fn new(config: NodeConfig) -> NodePlanner {
        NodePlanner {
            config,
            world: World::default(),
            plan_at: None,
            held: BTreeMap::new(),
            announced: BTreeSet::new(),
            withheld: Vec::new(),
            last_document: None,
            last_blocks: None,
            last_status: None,
            status_not_before: Timestamp::ZERO,
            conditions: Vec::new(),
            wants: VecDeque::new(),
        }
    }

    /// Takes a change in. Call [`NodePlanner::tick`] at [`NodePlanner::wake_at`] afterwards.
    pub fn handle(&mut self, now: Timestamp, change: Change) {
        self.world.apply(&self.config.node, self.config.classes, change);
        if self.conditions.is_empty()
            && let Some(status) = self.node_bgp().and_then(|n| n.status.as_ref())
        {
            // What an agent before this one wrote goes on.
            self.conditions = status.conditions.clone().unwrap_or_default();
        }
        self.plan_at.get_or_insert(now + GATHER);
    }

    /// When [`NodePlanner::tick`] has work.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let held = self.held.values().min().copied();
        [self.plan_at, held].into_iter().flatten().min()
    }

    /// Makes the wanted states anew where it is time. Nothing is wanted before every watch has
    /// listed once.
    pub fn tick(&mut self, now: Timestamp) {
        if self.wake_at().is_none_or(|at| at > now) || !self.world.all_listed() {
            if self.plan_at.is_some_and(|at| at <= now) {
                self.plan_at = None;
            }
            return;
        }
        self.plan_at = None;
        self.want_blocks();
        let announce = self.announcements(now);
        let refused = self.want_document(&announce);
        self.want_status(now, &announce, refused);
    }

    /// The next wanted state, if any.
    pub fn poll(&mut self) -> Option<Want> {
        self.wants.pop_front()
    }

    /// Whether every watch has listed once.
    pub fn is_ready(&self) -> bool {
        self.world.all_listed()
    }

    /// The families of the node's InternalIPs.
    pub fn families(&self) -> BTreeSet<Family> {
        self.world.families(&self.config.node)
    }

    /// The pools of pods, by name.
    pub fn pod_pools(&self) -> BTreeMap<String, PodPool> {
        self.world.pod_pools()
    }

    /// What address management wants to know of each pool of pods.
    pub fn pool_facts(&self) -> Vec<(String, PoolFact)> {
        facts::of(&self.world)
    }

    fn node_bgp(&self) -> Option<&NodeBGP> {
        self.world.node_bgps.get(&ObjectKey::cluster(&self.config.node))
    }

    fn peers(&self) -> BTreeMap<&str, &BGPPeer> {
        self.world.peers.iter().map(|(key, peer)| (key.name.as_str(), peer)).collect()
    }

    fn want_blocks(&mut self) {
        let mine = self.world.blocks.iter().filter(|(_, b)| {
            self.config.pods
                && b.kind == AddressType::Pod
                && b.node.as_deref() == Some(self.config.node.as_str())
        });
        let blocks: Vec<HeldBlock> = mine
            .map(|(key, b)| HeldBlock {
                name: key.name.clone(),
                pool: b.pool.clone(),
                prefix: b.prefix,
            })
            .collect();
        if self.last_blocks.as_ref() != Some(&blocks) {
            self.last_blocks = Some(blocks.clone());
            self.wants.push_back(Want::Blocks(blocks));
        }
    }

    /// What this node announces, each with the groups it is limited to.
    fn announcements(&mut self, now: Timestamp) -> BTreeMap<Prefix, BTreeSet<String>> {
        let mut announce: BTreeMap<Prefix, BTreeSet<String>> = BTreeMap::new();
        for block in self.last_blocks.iter().flatten() {
            let pool = self.world.pools.get(&ObjectKey::cluster(&block.pool));
            announce.insert(block.prefix, pool.map(|p| p.groups.clone()).unwrap_or_default());
        }
        if !self.config.services {
            return announce;
        }
        self.withheld.clear();
        let outage = self.world.many_nodes_unknown();
        let mut announced = BTreeSet::new();
        for (key, service) in &self.world.services {
            let slices = self.world.slices.of(key);
            match decide(&self.config.node, service, slices) {
                Verdict::Announce => {
                    self.held.remove(key);
                }
                Verdict::NoLocalEndpoints => {
                    let until = match self.held.get(key) {
                        Some(until) => *until,
                        None if outage && self.announced.contains(key) => now + MASS_UNKNOWN_HOLD,
                        None => now,
                    };
                    if until <= now {
                        self.held.remove(key);
                        let reason = "no-local-endpoints".to_owned();
                        self.withheld.push(Withheld { service: key.to_string(), reason });
                        continue;
                    }
                    self.held.insert(key.clone(), until);
                }
            }
            announced.insert(key.clone());
            for address in &service.addresses {
                let of_pool = self.world.pools.values().find(|p| {
                    p.kind == AddressType::Service && p.cidrs.iter().any(|c| c.contains(address))
                });
                // An address that no pool of ours holds was given by somebody else.
                let Some(pool) = of_pool else { continue };
                let groups = if service.groups.is_empty() { &pool.groups } else { &service.groups };
                announce.insert(Prefix::host(*address), groups.clone());
            }
        }
        self.held.retain(|key, _| announced.contains(key));
        self.announced = announced;
        announce
    }

    /// Wants a new document where it differs; gives the sentence if none can be made.
    fn want_document(&mut self, announce: &BTreeMap<Prefix, BTreeSet<String>>) -> Option<String> {
        let view = RouterView {
            node_bgp: self.node_bgp().map(|n| &n.spec),
            peers: self.peers(),
            announce: announce.clone(),
            fib_table: self.config.fib_table,
        };
        match document(&view) {
            Ok(document) => {
                if self.last_document.as_ref() != Some(&document) {
                    self.last_document = Some(document.clone());
                    self.wants.push_back(Want::Router(Box::new(document)));
                }
                None
            }
            Err(sentence) => Some(sentence),
        }
    }

    fn want_status(
        &mut self,
        now: Timestamp,
        announce: &BTreeMap<Prefix, BTreeSet<String>>,
        refused: Option<String>,
    ) {
        let Some(node_bgp) = self.node_bgp() else {
            self.last_status = None;
            return;
        };
        let uid = node_bgp.metadata.uid.clone();
        if now < self.status_not_before {
            let at = self.plan_at.get_or_insert(self.status_not_before);
            *at = (*at).min(self.status_not_before);
            return;
        }
        let router = &self.world.router;
        let (state, reason) = match (&refused, &router.applied) {
            (Some(_), _) | (None, Some(Err(_))) => {
                (NodeBGPState::Unavailable, NodeBGPReason::InvalidConfiguration)
            }
            (None, Some(Ok(()))) if router.reachable => {
                (NodeBGPState::Available, NodeBGPReason::Configured)
            }
            (None, Some(Ok(())) | None) => {
                (NodeBGPState::Unavailable, NodeBGPReason::NotConfigured)
            }
        };
        let condition = NodeBGPCondition { status: state, reason };
        if self.conditions.last() != Some(&condition) {
            self.conditions.push(condition);
            let surplus = self.conditions.len().saturating_sub(keys::KEPT_CONDITIONS);
            self.conditions.drain(..surplus);
        }
        let last_error = refused.or_else(|| router.applied.clone().and_then(Result::err));
        let status = NodeBGPStatus {
            backoff: Some(router.failures),
            cluster_bgp_refs: None,
            conditions: Some(self.conditions.clone()),
            router: Some(RouterStatus {
                announcing: announce.keys().copied().take(keys::LISTED_PREFIXES).collect(),
                announced: u32::try_from(announce.len()).unwrap_or(u32::MAX),
                peers: self.peer_digests(),
                withheld: self.withheld.iter().take(keys::LISTED_EXCEPTIONS).cloned().collect(),
                last_error,
            }),
        };
        let wanted = (uid, status);
        if self.last_status.as_ref() != Some(&wanted) {
            let status = wanted.1.clone();
            self.last_status = Some(wanted);
            self.status_not_before = now + STATUS_INTERVAL;
            self.wants.push_back(Want::Status(Box::new(status)));
        }
    }

    fn peer_digests(&self) -> Vec<PeerDigest> {
        let mut digests: Vec<PeerDigest> = winners(&self.peers())
            .filter_map(|(name, spec)| {
                let fact = self.world.router.peers.iter().find(|f| f.address == spec.addr)?;
                let mut digest = PeerDigest { name: name.to_owned(), ..fact.digest.clone() };
                digest.not_advertised.truncate(keys::LISTED_EXCEPTIONS);
                Some(digest)
            })
            .collect();
        digests.sort_by(|a, b| a.name.cmp(&b.name));
        digests
    }
}

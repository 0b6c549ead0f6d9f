//! What the planner keeps of the cluster's objects.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cluster_api::world::{ObjectKey, Seen};
use cluster_api::{AddressBlock, AddressPool, AddressType, BGPPeer, NodeBGP, keys, text};
use inet::{Family, Prefix};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;

use crate::announce::Slices;
use crate::{ClassRule, PodPool, RouterFact, ServiceView, SliceView};

/// What happened: a watch tells, or the router does.
#[derive(Clone, Debug)]
pub enum Change {
    /// Of AddressBlocks.
    Blocks(Seen<AddressBlock>),
    /// Of EndpointSlices.
    EndpointSlices(Seen<EndpointSlice>),
    /// Of NodeBGPs.
    NodeBgps(Seen<NodeBGP>),
    /// Of Nodes.
    Nodes(Box<Seen<Node>>),
    /// Of BGPPeers.
    Peers(Seen<BGPPeer>),
    /// Of AddressPools.
    Pools(Seen<AddressPool>),
    /// Of the router, as it is now.
    Router(RouterFact),
    /// Of Services.
    Services(Seen<Service>),
}

/// The watches; each must have listed once before anything is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    Blocks,
    EndpointSlices,
    NodeBgps,
    Nodes,
    Peers,
    Pools,
    Services,
}

/// How many watches there are.
const WATCHES: usize = 7;

#[derive(Clone, Debug)]
pub(crate) struct BlockView {
    pub(crate) prefix: Prefix,
    pub(crate) pool: String,
    pub(crate) kind: AddressType,
    pub(crate) node: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct PoolView {
    pub(crate) cidrs: Vec<Prefix>,
    pub(crate) block_size: Option<u8>,
    pub(crate) kind: AddressType,
    pub(crate) auto_assign: bool,
    pub(crate) groups: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    /// The Ready condition is Unknown: the control plane has lost sight of the node.
    pub(crate) unknown: bool,
    pub(crate) addresses: Vec<IpAddr>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) blocks: BTreeMap<ObjectKey, BlockView>,
    pub(crate) node_bgps: BTreeMap<ObjectKey, NodeBGP>,
    pub(crate) nodes: BTreeMap<ObjectKey, NodeView>,
    pub(crate) peers: BTreeMap<ObjectKey, BGPPeer>,
    pub(crate) pools: BTreeMap<ObjectKey, PoolView>,
    pub(crate) services: BTreeMap<ObjectKey, ServiceView>,
    pub(crate) slices: Slices,
    pub(crate) router: RouterFact,
    listed: BTreeSet<Watch>,
}

impl World {
    /// Takes a change in. Objects of other nodes that do not matter here are dropped at the door.
    pub(crate) fn apply(&mut self, me: &str, rule: ClassRule, change: Change) {
        let listed = match change {
            Change::Blocks(seen) => {
                let listed = is_list(&seen).then_some(Watch::Blocks);
                see(&mut self.blocks, seen, BlockView::of);
                listed
            }
            Change::EndpointSlices(seen) => {
                let listed = is_list(&seen).then_some(Watch::EndpointSlices);
                for (key, slice) in edits(self.slices.keys(), seen) {
                    self.slices.set(key, slice.map(|s| SliceView::of(&s)));
                }
                listed
            }
            Change::NodeBgps(seen) => {
                let listed = is_list(&seen).then_some(Watch::NodeBgps);
                see(&mut self.node_bgps, seen, |n: NodeBGP| {
                    (n.metadata.name.as_deref() == Some(me)).then_some(n)
                });
                listed
            }
            Change::Nodes(seen) => {
                let listed = is_list(&seen).then_some(Watch::Nodes);
                see(&mut self.nodes, *seen, |n: Node| Some(NodeView::of(&n)));
                listed
            }
            Change::Peers(seen) => {
                let listed = is_list(&seen).then_some(Watch::Peers);
                see(&mut self.peers, seen, |p: BGPPeer| (p.spec.node_bgp_ref == me).then_some(p));
                listed
            }
            Change::Pools(seen) => {
                let listed = is_list(&seen).then_some(Watch::Pools);
                see(&mut self.pools, seen, |p: AddressPool| Some(PoolView::of(&p)));
                listed
            }
            Change::Router(router) => {
                self.router = router;
                None
            }
            Change::Services(seen) => {
                let listed = is_list(&seen).then_some(Watch::Services);
                see(&mut self.services, seen, |s: Service| ServiceView::of(&s, rule));
                listed
            }
        };
        self.listed.extend(listed);
    }

    pub(crate) fn all_listed(&self) -> bool {
        self.listed.len() == WATCHES
    }

    /// Whether the control plane has lost sight of many nodes at once: half of them, at least two.
    /// That is more often an outage of the API than of the network.
    pub(crate) fn many_nodes_unknown(&self) -> bool {
        let unknown = self.nodes.values().filter(|n| n.unknown).count();
        unknown >= 2 && unknown * 2 >= self.nodes.len()
    }

    pub(crate) fn families(&self, node: &str) -> BTreeSet<Family> {
        let addresses = self
            .nodes
            .get(&ObjectKey::cluster(node))
            .map(|n| n.addresses.as_slice())
            .unwrap_or_default();
        addresses.iter().map(Family::of).collect()
    }

    pub(crate) fn pod_pools(&self) -> BTreeMap<String, PodPool> {
        let pods = self.pools.iter().filter(|(_, p)| p.kind == AddressType::Pod);
        pods.map(|(key, p)| {
            let families = p.cidrs.iter().map(Prefix::family).collect();
            (key.name.clone(), PodPool { families, auto_assign: p.auto_assign })
        })
        .collect()
    }
}

impl BlockView {
    /// None for a block that is being deleted.
    fn of(block: AddressBlock) -> Option<BlockView> {
        let view = BlockView {
            prefix: block.spec.cidr,
            pool: block.spec.pool_ref,
            kind: block.spec.kind,
            node: block.spec.node_ref,
        };
        block.metadata.deletion_timestamp.is_none().then_some(view)
    }
}

impl PoolView {
    fn of(pool: &AddressPool) -> PoolView {
        let annotations = pool.metadata.annotations.as_ref();
        let groups = annotations.and_then(|a| a.get(keys::PEER_GROUP));
        PoolView {
            cidrs: pool.spec.all_cidrs(),
            block_size: pool.spec.block_size,
            kind: pool.spec.kind,
            auto_assign: pool.spec.is_auto(),
            groups: groups.map(|g| text::list(g)).unwrap_or_default().into_iter().collect(),
        }
    }
}

impl NodeView {
    fn of(node: &Node) -> NodeView {
        let status = node.status.as_ref();
        let mut conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
        let ready = conditions.rfind(|c| c.type_ == "Ready");
        let addresses = status.and_then(|s| s.addresses.as_ref()).into_iter().flatten();
        NodeView {
            unknown: ready.is_some_and(|c| c.status == "Unknown"),
            addresses: addresses
                .filter(|a| a.type_ == "InternalIP")
                .filter_map(|a| a.address.parse().ok())
                .collect(),
        }
    }
}

fn is_list<K>(seen: &Seen<K>) -> bool {
    matches!(seen, Seen::All { .. })
}

/// What a watch told, as the objects to set (or remove, without one) among those known by key.
/// An object that cannot be read stays as it was last.
fn edits<'a, K: Resource>(
    known: impl Iterator<Item = &'a ObjectKey>,
    seen: Seen<K>,
) -> Vec<(ObjectKey, Option<K>)> {
    match seen {
        Seen::Put(object) => vec![(ObjectKey::of(&object), Some(object))],
        Seen::Gone(object) => vec![(ObjectKey::of(&object), None)],
        Seen::Bad(_, _) => vec![],
        Seen::All { objects, bad, version: _ } => {
            let unreadable: BTreeSet<ObjectKey> = bad.into_iter().map(|(key, _)| key).collect();
            let gone = known.filter(|key| !unreadable.contains(key)).cloned().map(|k| (k, None));
            // Removed first and then set, so that what is still there is there in the end.
            gone.chain(objects.into_iter().map(|o| (ObjectKey::of(&o), Some(o)))).collect()
        }
    }
}

fn see<K: Resource, V>(
    views: &mut BTreeMap<ObjectKey, V>,
    seen: Seen<K>,
    view: impl Fn(K) -> Option<V>,
) {
    for (key, object) in edits(views.keys(), seen) {
        match object.and_then(&view) {
            Some(view) => views.insert(key, view),
            None => views.remove(&key),
        };
    }
}

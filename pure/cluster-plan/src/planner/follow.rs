//! From a changed object to the tasks that it touches.

use cluster_api::world::{Kind, ObjectKey, Target};

use super::Planner;
use crate::leftovers;
use crate::task::Task;
use crate::world::Now;

impl Planner {
    /// Lays what the API server stored over the world.
    pub(super) fn stored(&mut self, now: &Now, kind: Kind, object: serde_json::Value) {
        use serde_json::from_value as read;
        let world = &mut self.world;
        let key = match kind {
            Kind::AddressPool => read(object).ok().and_then(|o| world.pools.wrote(o)),
            Kind::AddressBlock => read(object).ok().and_then(|o| world.blocks.wrote(o)),
            Kind::BlockRequest => read(object).ok().and_then(|o| world.requests.wrote(o)),
            Kind::AddressClaim => read(object).ok().and_then(|o| world.claims.wrote(o)),
            Kind::BGPPeerTemplate => read(object).ok().and_then(|o| world.templates.wrote(o)),
            Kind::ClusterBGP => read(object).ok().and_then(|o| world.clusters.wrote(o)),
            Kind::NodeBGP => read(object).ok().and_then(|o| world.node_bgps.wrote(o)),
            Kind::BGPPeer => read(object).ok().and_then(|o| world.peers.wrote(o)),
            Kind::BGPAdvertisement => read(object).ok().and_then(|o| world.advertisements.wrote(o)),
            Kind::Service => read(object).ok().and_then(|o| world.services.wrote(o)),
            Kind::Node => read(object).ok().and_then(|o| world.nodes.wrote(o)),
            Kind::EndpointSlice
            | Kind::ValidatingWebhookConfiguration
            | Kind::MutatingWebhookConfiguration => None,
        };
        self.changed(now, kind, key);
    }

    pub(super) fn deleted(&mut self, now: &Now, kind: Kind, key: ObjectKey) {
        let world = &mut self.world;
        match kind {
            Kind::AddressPool => world.pools.deleted(&key),
            Kind::AddressBlock => world.blocks.deleted(&key),
            Kind::BlockRequest => world.requests.deleted(&key),
            Kind::AddressClaim => world.claims.deleted(&key),
            Kind::BGPPeerTemplate => world.templates.deleted(&key),
            Kind::ClusterBGP => world.clusters.deleted(&key),
            Kind::NodeBGP => world.node_bgps.deleted(&key),
            Kind::BGPPeer => world.peers.deleted(&key),
            Kind::BGPAdvertisement => world.advertisements.deleted(&key),
            Kind::Service => world.services.deleted(&key),
            Kind::Node => world.nodes.deleted(&key),
            Kind::EndpointSlice
            | Kind::ValidatingWebhookConfiguration
            | Kind::MutatingWebhookConfiguration => {}
        }
        self.changed(now, kind, [key]);
    }

    /// Follows changed objects with the index, and marks what they touch.
    pub(super) fn changed(
        &mut self,
        now: &Now,
        kind: Kind,
        keys: impl IntoIterator<Item = ObjectKey>,
    ) {
        for key in keys {
            let target = Target::new(kind, &key.namespace, &key.name);
            if leftovers::has(&self.world, &target) {
                self.mark(now, Task::Leftover(target));
            }
            match kind {
                Kind::AddressPool => {
                    self.mark(now, Task::Pools);
                    self.mark(now, Task::Pool(key.name));
                }
                Kind::AddressBlock => {
                    self.index.block(&key, self.world.blocks.get(&key));
                    self.mark(now, Task::Blocks);
                    if self.world.pools.named(&key.name).is_some() {
                        self.mark(now, Task::Pools);
                    }
                    self.mark_pools(now);
                }
                Kind::BlockRequest => self.mark(now, Task::Blocks),
                Kind::AddressClaim => self.claim_changed(now, &key),
                Kind::BGPPeerTemplate | Kind::ClusterBGP => {
                    let nodes: Vec<_> =
                        self.world.nodes.iter().map(|(key, _)| key.name.clone()).collect();
                    for node in nodes {
                        self.mark(now, Task::Node(node));
                    }
                    self.mark(now, Task::Clusters);
                }
                Kind::NodeBGP => {
                    let prefixes = self.index.node_bgp(&key, self.world.node_bgps.get(&key));
                    let touched: Vec<ObjectKey> = prefixes
                        .iter()
                        .flat_map(|prefix| self.index.advertisements_for(prefix).cloned())
                        .collect();
                    for advertisement in touched {
                        self.mark(now, Task::Advertisement(advertisement));
                    }
                    self.mark(now, Task::Node(key.name.clone()));
                    self.mark(now, Task::Peers(key.name));
                    self.mark(now, Task::Clusters);
                }
                Kind::BGPPeer => {
                    for node in self.index.peer(&key, self.world.peers.get(&key)) {
                        self.mark(now, Task::Node(node.clone()));
                        self.mark(now, Task::Peers(node));
                    }
                }
                Kind::BGPAdvertisement => {
                    let object = self.world.advertisements.get(&key);
                    match self.index.advertisement(&key, object) {
                        Some(service) => self.mark(now, Task::Service(service)),
                        None => self.mark(now, Task::Blocks),
                    }
                    self.mark(now, Task::Advertisement(key));
                }
                Kind::Service => {
                    if self.index.service(&key, self.world.services.get(&key)) {
                        self.mark_waiting(now);
                    }
                    self.mark(now, Task::Service(key));
                }
                Kind::Node => {
                    self.mark(now, Task::Node(key.name));
                    self.mark(now, Task::Clusters);
                    self.mark(now, Task::Blocks);
                }
                Kind::EndpointSlice
                | Kind::ValidatingWebhookConfiguration
                | Kind::MutatingWebhookConfiguration => {}
            }
        }
    }

    fn claim_changed(&mut self, now: &Now, key: &ObjectKey) {
        let claim = self.world.claims.get(key);
        let released = claim.is_none();
        for service in self.index.claim(key, claim) {
            self.mark(now, Task::Service(service));
        }
        self.mark(now, Task::Blocks);
        self.mark_pools(now);
        if released {
            self.mark_waiting(now);
        }
    }

    pub(super) fn pools_changed(&mut self, now: &Now) {
        self.mark(now, Task::Blocks);
        self.mark_pools(now);
        self.mark_waiting(now);
    }

    fn mark_pools(&mut self, now: &Now) {
        let pools: Vec<String> = self.world.pools.iter().map(|(key, _)| key.name.clone()).collect();
        for pool in pools {
            self.mark(now, Task::Pool(pool));
        }
    }

    fn mark_waiting(&mut self, now: &Now) {
        for service in self.waiting.clone() {
            self.mark(now, Task::Service(service));
        }
    }
}

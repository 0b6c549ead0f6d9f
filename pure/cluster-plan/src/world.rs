use cluster_api::world::{Mirror, ObjectKey};
use cluster_api::{
    AddressBlock, AddressClaim, AddressPool, BGPAdvertisement, BGPPeer, BGPPeerTemplate,
    BlockRequest, ClusterBGP, NodeBGP,
};
use inet::Timestamp;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// This moment on both clocks.
#[derive(Clone, Debug)]
pub struct Now {
    /// For waiting.
    pub at: Timestamp,
    /// For people: the times in conditions.
    pub wall: Time,
}

/// What the controller was told at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Services without a `loadBalancerClass` are somebody else's.
    pub require_class: bool,
}

/// All objects that the controller decides by.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// AddressPools.
    pub pools: Mirror<AddressPool>,
    /// AddressBlocks.
    pub blocks: Mirror<AddressBlock>,
    /// BlockRequests.
    pub requests: Mirror<BlockRequest>,
    /// AddressClaims.
    pub claims: Mirror<AddressClaim>,
    /// BGPPeerTemplates.
    pub templates: Mirror<BGPPeerTemplate>,
    /// ClusterBGPs.
    pub clusters: Mirror<ClusterBGP>,
    /// NodeBGPs.
    pub node_bgps: Mirror<NodeBGP>,
    /// BGPPeers.
    pub peers: Mirror<BGPPeer>,
    /// BGPAdvertisements.
    pub advertisements: Mirror<BGPAdvertisement>,
    /// Services.
    pub services: Mirror<Service>,
    /// Nodes.
    pub nodes: Mirror<Node>,
}

impl World {
    /// Whether every kind has been listed once: nothing is decided before.
    pub fn listed(&self) -> bool {
        self.unlisted().is_empty()
    }

    /// The kinds that have not been listed yet.
    pub fn unlisted(&self) -> Vec<&'static str> {
        let kinds = [
            ("AddressPool", self.pools.listed()),
            ("AddressBlock", self.blocks.listed()),
            ("BlockRequest", self.requests.listed()),
            ("AddressClaim", self.claims.listed()),
            ("BGPPeerTemplate", self.templates.listed()),
            ("ClusterBGP", self.clusters.listed()),
            ("NodeBGP", self.node_bgps.listed()),
            ("BGPPeer", self.peers.listed()),
            ("BGPAdvertisement", self.advertisements.listed()),
            ("Service", self.services.listed()),
            ("Node", self.nodes.listed()),
        ];
        kinds.into_iter().filter(|(_, listed)| !listed).map(|(kind, _)| kind).collect()
    }

    /// Whether all that decides who has which peers can be read. If not, none is taken away.
    pub(crate) fn peers_are_certain(&self) -> bool {
        self.clusters.bad().next().is_none()
            && self.templates.bad().next().is_none()
            && self.node_bgps.bad().next().is_none()
            && self.nodes.bad().next().is_none()
    }
}

/// What decides who is older: the time of creation, then the name.
pub(crate) fn age(meta: &ObjectMeta) -> (Option<Time>, ObjectKey) {
    let name = meta.name.clone().unwrap_or_default();
    let namespace = meta.namespace.clone().unwrap_or_default();
    (meta.creation_timestamp.clone(), ObjectKey { namespace, name })
}

/// A label's value.
pub(crate) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

/// An annotation's value.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

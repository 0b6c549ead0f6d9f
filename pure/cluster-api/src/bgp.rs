use std::collections::BTreeMap;
use std::net::SocketAddr;

use inet::{Asn, Prefix, RouterId};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BGPPeerSpec, BGPPeerTemplateSpec, SessionState, keys, rules};

/// Which nodes speak BGP, as whom, and with whom.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "ClusterBGP",
    plural = "clusterbgps",
    shortname = "cb",
    category = "sart",
    derive = "PartialEq",
    status = "ClusterBGPStatus",
    doc = "Which nodes speak BGP, as whom, and with whom.",
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBGPSpec {
    /// Labels of the nodes that speak; every node if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Where a node's AS number comes from.
    pub asn_selector: AsnSelector,
    /// Where a node's router id comes from.
    pub router_id_selector: RouterIdSelector,
    /// The nodes' routers.
    #[serde(default)]
    pub speaker: Speaker,
    /// Peers of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub peers: Option<Vec<ClusterPeer>>,
}

/// Where a node's AS number comes from.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from != 'asn' || has(self.asn)")
    .message("asn: is needed with from: asn").field_path(".from"))]
pub struct AsnSelector {
    /// `asn`: the number given here. `label`: the node's label `sart.terassyi.net/asn`.
    pub from: AsnFrom,
    /// The AS number for `from: asn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 4294967295u32))]
    pub asn: Option<Asn>,
}

/// Where a node's AS number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AsnFrom {
    /// The number in the selector.
    Asn,
    /// The node's label.
    Label,
}

/// Where a node's router id comes from.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from != 'routerId' || has(self.routerId)")
    .message("routerId: is needed with from: routerId").field_path(".from"))]
pub struct RouterIdSelector {
    /// `internalAddress`: the node's IPv4 InternalIP. `label`: the node's label
    /// `sart.terassyi.net/router-id`. `routerId`: the one given here.
    pub from: RouterIdFrom,
    /// The router id for `from: routerId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 15))]
    #[x_kube(validation = rules::router_id())]
    pub router_id: Option<RouterId>,
}

/// Where a node's router id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RouterIdFrom {
    /// The node's first IPv4 InternalIP.
    InternalAddress,
    /// The node's label.
    Label,
    /// The one in the selector.
    RouterId,
}

/// A node's router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Speaker {
    /// gRPC address of the router on the node: loopback or the unix socket, nothing else.
    #[serde(default = "default_path")]
    #[schemars(length(max = 253))]
    pub path: String,
    /// Seconds that a call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4294967295u32))]
    pub timeout: Option<u64>,
    /// Whether all equally good paths are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipath: Option<bool>,
}

impl Speaker {
    /// Whether the path stays on the node: loopback, `localhost` or a unix socket.
    pub fn is_local(&self) -> bool {
        if self.path.starts_with("unix:") || self.path.starts_with('/') {
            return true;
        }
        let host_port = self.path.strip_prefix("http://").unwrap_or(&self.path);
        match host_port.parse::<SocketAddr>() {
            Ok(address) => address.ip().is_loopback(),
            Err(_) => host_port.split(':').next() == Some("localhost"),
        }
    }
}

impl Default for Speaker {
    fn default() -> Speaker {
        Speaker { path: default_path(), timeout: None, multipath: None }
    }
}

fn default_path() -> String {
    keys::DEFAULT_SPEAKER.to_owned()
}

/// A peer of the nodes that a ClusterBGP selects.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.peerTemplateRef) || has(self.peerConfig)")
    .message("peerTemplateRef or peerConfig is needed"))]
pub struct ClusterPeer {
    /// Name of a BGPPeerTemplate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub peer_template_ref: Option<String>,
    /// The peer itself; what is given here overrides the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_config: Option<BGPPeerTemplateSpec>,
    /// Labels of the NodeBGPs that have this peer; all that the ClusterBGP selects if left out.
    #[serde(rename = "nodeBGPSelector", default, skip_serializing_if = "Option::is_none")]
    pub node_bgp_selector: Option<BTreeMap<String, String>>,
}

/// What became of a ClusterBGP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBGPStatus {
    /// Nodes that it selects, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_nodes: Option<Vec<String>>,
    /// Nodes that have a NodeBGP from it, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
    /// `Ready`, and `Conflict` where an older ClusterBGP says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The router of one node; named as the node, with its labels.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "NodeBGP",
    plural = "nodebgps",
    shortname = "nb",
    category = "sart",
    derive = "PartialEq",
    status = "NodeBGPStatus",
    doc = "The router of one node; named as the node, with its labels.",
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn"),
    printcolumn(name = "ROUTERID", type_ = "string", json_path = ".spec.routerId"),
    printcolumn(name = "BACKOFF", type_ = "integer", json_path = ".status.backoff"),
    printcolumn(name = "STATUS", type_ = "string", json_path = ".status.conditions[-1:].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeBGPSpec {
    /// The router's AS number.
    #[schemars(with = "u32", range(min = 1, max = 4294967295u32))]
    pub asn: Asn,
    /// The router's BGP Identifier.
    #[schemars(with = "String", length(max = 15))]
    #[x_kube(validation = rules::router_id())]
    pub router_id: RouterId,
    /// Where the router is reached.
    #[serde(default)]
    pub speaker: Speaker,
    /// The peers that ClusterBGPs give this node; each becomes a BGPPeer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub peers: Option<Vec<NodePeer>>,
}

/// A peer of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodePeer {
    /// The BGPPeer's name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The BGPPeer's spec.
    pub spec: BGPPeerSpec,
}

/// What is known of a node's router. `clusterBgpRefs` is the controller's, the rest the agent's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeBGPStatus {
    /// How often the router could not be reached or configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<u32>,
    /// The ClusterBGPs that select the node, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_bgp_refs: Option<Vec<String>>,
    /// The last states, newest last, at most 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<NodeBGPCondition>>,
    /// The router now, as its agent sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterStatus>,
}

/// One state that a node's router was in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeBGPCondition {
    /// Whether the router can be used.
    pub status: NodeBGPState,
    /// Why.
    pub reason: NodeBGPReason,
}

/// Whether a node's router can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeBGPState {
    /// It can.
    Available,
    /// It cannot.
    Unavailable,
}

/// Why a node's router can be used or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeBGPReason {
    /// It has not taken the configuration yet.
    NotConfigured,
    /// It runs as this object says.
    Configured,
    /// The configuration cannot be used.
    InvalidConfiguration,
}

/// The router now: a digest, counts and exceptions, written by the node's agent at most once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterStatus {
    /// What this node originates, sorted, at most 4096.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub announcing: Vec<Prefix>,
    /// How many prefixes this node originates.
    #[serde(default)]
    pub announced: u32,
    /// Its peers, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerDigest>,
    /// Services that this node does not announce, and why, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
    /// A sentence where the configuration cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A Service that a node does not announce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withheld {
    /// Namespace and name of the Service, joined by `/`.
    pub service: String,
    /// Why, for instance `no-local-endpoints`.
    pub reason: String,
}

/// One peer of the router now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerDigest {
    /// The BGPPeer's name.
    pub name: String,
    /// The session's state.
    pub state: SessionState,
    /// Since when it is in that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The last error in words, for instance a NOTIFICATION.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How often the session was lost or could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<u32>,
    /// Prefixes received and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u32>,
    /// Prefixes announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u32>,
    /// Prefixes of `announcing` that this peer does not get, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_advertised: Vec<NotAdvertised>,
}

/// A prefix that a peer does not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotAdvertised {
    /// The prefix.
    #[schemars(with = "String")]
    pub prefix: Prefix,
    /// Why, for instance `no-next-hop`.
    pub reason: String,
}

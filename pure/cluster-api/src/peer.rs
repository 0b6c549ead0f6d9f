use std::net::IpAddr;

use inet::{Asn, Family};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Speaker, rules};

/// An address family by name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IPv4 unicast.
    Ipv4,
    /// IPv6 unicast.
    Ipv6,
}

impl From<Family> for Protocol {
    fn from(family: Family) -> Protocol {
        match family {
            Family::Ipv4 => Protocol::Ipv4,
            Family::Ipv6 => Protocol::Ipv6,
        }
    }
}

impl From<Protocol> for Family {
    fn from(protocol: Protocol) -> Family {
        match protocol {
            Protocol::Ipv4 => Family::Ipv4,
            Protocol::Ipv6 => Family::Ipv6,
        }
    }
}

/// A value of a key that is refused by its name until it is built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NotBuilt(pub serde_json::Map<String, serde_json::Value>);

impl JsonSchema for NotBuilt {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NotBuilt".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// Graceful restart towards a peer (RFC 4724).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GracefulRestart {
    /// Whether it is offered; true if left out.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Seconds that the peer shall keep our routes while we restart; 120 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4095))]
    pub restart_time: Option<u16>,
}

fn yes() -> bool {
    true
}

/// A reference to a key of a Secret in `kube-system`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The key in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub key: Option<String>,
}

/// What several peers have in common; also what a ClusterBGP says of one peer itself.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "BGPPeerTemplate",
    plural = "bgppeertemplates",
    shortname = "bpt",
    category = "sart",
    derive = "PartialEq",
    doc = "What several BGP peers have in common.",
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::keepalive(),
    validation = rules::not_built("ttlSecurity"),
    validation = rules::not_built("passwordSecretRef"),
    validation = rules::not_built("interface"),
    validation = rules::not_built("bfd")
)]
pub struct BGPPeerTemplateSpec {
    /// The peer's AS number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 4294967295u32))]
    pub asn: Option<Asn>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 45))]
    #[x_kube(validation = rules::address())]
    pub addr: Option<IpAddr>,
    /// Hold time in seconds, 0 or at least 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    #[x_kube(validation = rules::hold_time())]
    pub hold_time: Option<u32>,
    /// Seconds between keepalives, at most the hold time; a third of it if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub keepalive_time: Option<u32>,
    /// Names of capabilities to offer; all that apply if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub capabilities: Option<Vec<String>>,
    /// Groups that announcements can be limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub groups: Option<Vec<String>>,
    /// Address families to offer; both if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub families: Option<Vec<Protocol>>,
    /// Graceful restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Seconds between attempts to connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub connect_retry_time: Option<u32>,
    /// The local address of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 45))]
    #[x_kube(validation = rules::address())]
    pub local_address: Option<IpAddr>,
    /// TTL of packets to an external peer that is not directly connected; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub ebgp_multihop: Option<u8>,
    /// Not built yet: least TTL of packets from the peer (RFC 5082).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<bool>,
    /// Not built yet: the session's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretRef>,
    /// Not built yet: the link to an unnumbered peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub interface: Option<String>,
    /// Not built yet: bidirectional forwarding detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<NotBuilt>,
}

impl BGPPeerTemplateSpec {
    /// This configuration over a template: what is left out here is the template's.
    pub fn over(&self, template: &BGPPeerTemplateSpec) -> BGPPeerTemplateSpec {
        let (own, base) = (self.clone(), template.clone());
        BGPPeerTemplateSpec {
            asn: own.asn.or(base.asn),
            addr: own.addr.or(base.addr),
            hold_time: own.hold_time.or(base.hold_time),
            keepalive_time: own.keepalive_time.or(base.keepalive_time),
            capabilities: own.capabilities.or(base.capabilities),
            groups: own.groups.or(base.groups),
            families: own.families.or(base.families),
            graceful_restart: own.graceful_restart.or(base.graceful_restart),
            connect_retry_time: own.connect_retry_time.or(base.connect_retry_time),
            local_address: own.local_address.or(base.local_address),
            ebgp_multihop: own.ebgp_multihop.or(base.ebgp_multihop),
            ttl_security: own.ttl_security.or(base.ttl_security),
            password_secret_ref: own.password_secret_ref.or(base.password_secret_ref),
            interface: own.interface.or(base.interface),
            bfd: own.bfd.or(base.bfd),
        }
    }
}

/// One BGP peer of one node's router. Made from ClusterBGPs, or by hand.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "BGPPeer",
    plural = "bgppeers",
    shortname = "bp",
    category = "sart",
    derive = "PartialEq",
    status = "BGPPeerStatus",
    doc = "One BGP peer of one node's router. Made from ClusterBGPs, or by hand.",
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn"),
    printcolumn(name = "ADDRESS", type_ = "string", json_path = ".spec.addr"),
    printcolumn(name = "NODEBGP", type_ = "string", json_path = ".spec.nodeBGPRef"),
    printcolumn(name = "CLUSTERBGP", type_ = "string", json_path = ".spec.clusterBGPRef"),
    printcolumn(name = "BACKOFF", type_ = "integer", json_path = ".status.backoff"),
    printcolumn(name = "STATUS", type_ = "string", json_path = ".status.conditions[-1:].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "SINCE", type_ = "date", json_path = ".status.session.since", priority = 1),
    printcolumn(
        name = "LASTERROR",
        type_ = "string",
        json_path = ".status.session.lastError",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::keepalive(),
    validation = rules::not_built("ttlSecurity"),
    validation = rules::not_built("passwordSecretRef"),
    validation = rules::not_built("interface"),
    validation = rules::not_built("bfd")
)]
pub struct BGPPeerSpec {
    /// The peer's AS number.
    #[schemars(with = "u32", range(min = 1, max = 4294967295u32))]
    pub asn: Asn,
    /// The peer's address.
    #[schemars(with = "String", length(max = 45))]
    #[x_kube(validation = rules::address())]
    pub addr: IpAddr,
    /// Hold time in seconds, 0 or at least 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    #[x_kube(validation = rules::hold_time())]
    pub hold_time: Option<u32>,
    /// Seconds between keepalives, at most the hold time; a third of it if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub keepalive_time: Option<u32>,
    /// Names of capabilities to offer; all that apply if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub capabilities: Option<Vec<String>>,
    /// The NodeBGP (and node) whose router has this peer.
    #[serde(rename = "nodeBGPRef")]
    #[schemars(length(max = 253))]
    pub node_bgp_ref: String,
    /// The ClusterBGP it was made from; absent if made by hand.
    #[serde(rename = "clusterBGPRef", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub cluster_bgp_ref: Option<String>,
    /// Where the node's router is reached.
    #[serde(default)]
    pub speaker: Speaker,
    /// Groups that announcements can be limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub groups: Option<Vec<String>>,
    /// Address families to offer; both if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub families: Option<Vec<Protocol>>,
    /// Graceful restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Seconds between attempts to connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub connect_retry_time: Option<u32>,
    /// The local address of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 45))]
    #[x_kube(validation = rules::address())]
    pub local_address: Option<IpAddr>,
    /// TTL of packets to an external peer that is not directly connected; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub ebgp_multihop: Option<u8>,
    /// Not built yet: least TTL of packets from the peer (RFC 5082).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<bool>,
    /// Not built yet: the session's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretRef>,
    /// Not built yet: the link to an unnumbered peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub interface: Option<String>,
    /// Not built yet: bidirectional forwarding detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<NotBuilt>,
}

/// The state of a session (RFC 4271 §8.2.2).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum SessionState {
    /// The router has not told yet.
    #[default]
    Unknown,
    /// Not trying to connect.
    Idle,
    /// Waiting for the connection.
    Connect,
    /// Between two attempts to connect.
    Active,
    /// OPEN sent.
    OpenSent,
    /// OPEN received, KEEPALIVE awaited.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

/// What is known of a peer; written by the controller from what its node reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BGPPeerStatus {
    /// How often the session was lost or could not be made.
    #[serde(default)]
    pub backoff: u32,
    /// The last states, newest last, at most 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<BGPPeerCondition>>,
    /// The session now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

/// One state that the session was in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BGPPeerCondition {
    /// The state.
    pub status: SessionState,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// The session now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The state.
    #[serde(default)]
    pub state: SessionState,
    /// Since when it is in that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The last error in words, for instance a NOTIFICATION.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Prefixes received and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u32>,
    /// Prefixes announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u32>,
}

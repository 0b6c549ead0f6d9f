use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What is attached to what: the key of every request but STATUS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    /// The network's name in the CNI configuration.
    pub network: String,
    /// The runtime's id of the sandbox.
    pub container_id: String,
    /// The interface's name in the pod.
    pub ifname: String,
}

/// The pod that addresses are for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, if the runtime told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Its annotations in sart's domain, if the runtime handed annotations over; an empty map says
    /// that the pod has none, nothing at all that they are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Choose addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allocate {
    /// For this pod.
    pub pod: Pod,
}

/// Make links, into the namespace whose descriptor comes with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wire {
    /// The namespace's path in the runtime's view: the `sandbox` of the result, for people.
    pub netns: String,
    /// The link's MTU in bytes; none: the uplink's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// What the plugin asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "UPPERCASE", deny_unknown_fields)]
pub enum Request {
    /// Attach a container.
    Add {
        /// Its key.
        attachment: Attachment,
        /// The addresses wanted.
        allocate: Allocate,
        /// The links wanted; none: addresses alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wire: Option<Wire>,
    },
    /// Detach a container; success also when nothing is left to detach.
    Del {
        /// Its key.
        attachment: Attachment,
    },
    /// See whether a container is still attached as it was.
    Check {
        /// Its key.
        attachment: Attachment,
        /// The addresses that ADD gave, as the runtime remembers them.
        addresses: Vec<IpAddr>,
    },
    /// Whether ADD can be served at all.
    Status {},
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done, or was already so.
    Ok(Done),
    /// It is not done.
    Error(Refusal),
}

/// What was done: both parts for ADD, empty for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Done {
    /// The addresses chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated: Option<Allocated>,
    /// The links made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wired: Option<Wired>,
}

/// The addresses of an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allocated {
    /// In the order of the pools asked for; IPv4 before IPv6 within a pool.
    pub addresses: Vec<AllocatedAddress>,
}

/// One address and where it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllocatedAddress {
    /// The address.
    pub address: IpAddr,
    /// Its pool.
    pub pool: String,
}

/// The two ends of a pod's link, and where its default routes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wired {
    /// The end on the node.
    pub host: Link,
    /// The end in the pod.
    pub pod: Link,
    /// The link-scope gateway of each family that the pod has an address of.
    pub gateways: Vec<IpAddr>,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its hardware address, `xx:xx:xx:xx:xx:xx`.
    pub mac: String,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// The CNI error code: 1 to 11 and 50 to 99 as the specification has them, 100 and up our own.
    pub code: u32,
    /// The refusal's name, e.g. `no-room`.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// More for people, seldom needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

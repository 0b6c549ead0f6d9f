use std::collections::BTreeMap;

use inet::Prefix;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AddressType, Protocol, rules};

/// What is announced for a block of pods or an address of a Service, and to whom.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "BGPAdvertisement",
    plural = "bgpadvertisements",
    shortname = "ba",
    category = "sart",
    namespaced,
    derive = "PartialEq",
    status = "BGPAdvertisementStatus",
    doc = "What is announced for a block of pods or an address of a Service, and to whom.",
    printcolumn(name = "CIDR", type_ = "string", json_path = ".spec.cidr"),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "PROTOCOL", type_ = "string", json_path = ".spec.protocol"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BGPAdvertisementSpec {
    /// The announced prefix.
    #[schemars(with = "String", length(max = 43))]
    #[x_kube(validation = rules::cidr())]
    pub cidr: Prefix,
    /// What the addresses are for.
    #[serde(rename = "type")]
    pub kind: AddressType,
    /// The prefix's family.
    pub protocol: Protocol,
    /// Path attributes; reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub attrs: Option<Vec<String>>,
}

/// Who gets the announcement, as the nodes report it; written by the controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BGPAdvertisementStatus {
    /// Peers by name: all up to 256, beyond that only those that should get it and do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<BTreeMap<String, Advertised>>,
    /// How many peers get it and how many do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<AdvertisementCounts>,
    /// Peers that do not get it and why, at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<AdvertisementException>,
}

/// Whether a peer gets the announcement.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Advertised {
    /// It does.
    Advertised,
    /// It should, but does not.
    NotAdvertised,
    /// It is being withdrawn.
    Withdraw,
}

/// How many peers get an announcement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvertisementCounts {
    /// Peers that get it.
    pub advertised: u32,
    /// Peers that should, but do not.
    pub not_advertised: u32,
}

/// A peer that does not get an announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdvertisementException {
    /// The BGPPeer's name.
    pub peer: String,
    /// Why, for instance `no-next-hop`.
    pub reason: String,
}

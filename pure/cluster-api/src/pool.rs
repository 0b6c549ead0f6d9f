use std::net::IpAddr;

use inet::{Family, Prefix};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NotBuilt, rules};

/// Addresses for pods or Services.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "AddressPool",
    plural = "addresspools",
    shortname = "ap",
    category = "sart",
    derive = "PartialEq",
    status = "AddressPoolStatus",
    doc = "Addresses for pods or Services, cut into AddressBlocks.",
    printcolumn(name = "CIDR", type_ = "string", json_path = ".spec.cidr"),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "BLOCKSIZE", type_ = "integer", json_path = ".spec.blockSize"),
    printcolumn(name = "AUTO", type_ = "boolean", json_path = ".spec.autoAssign"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'pod' || has(self.blockSize)")
        .message("blockSize: is needed for type pod").field_path(".type"),
    validation = block_size(),
    validation = rules::immutable_field("blockSize"),
    validation = appended(),
    validation = rules::not_built("serviceSelector"),
    validation = rules::not_built("namespaceSelector"),
    validation = rules::not_built("nodeSelector")
)]
pub struct AddressPoolSpec {
    /// The pool's first CIDR, without host bits.
    #[schemars(with = "String", length(max = 43))]
    #[x_kube(validation = rules::cidr(), validation = rules::immutable())]
    pub cidr: Prefix,
    /// More CIDRs, also of the other family. They may be appended to, never changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 32), inner(length(max = 43)))]
    #[x_kube(validation = rules::cidrs())]
    pub cidrs: Vec<Prefix>,
    /// Whom the addresses are for: `pod` or `service` (`network` is reserved).
    #[serde(rename = "type")]
    #[x_kube(
        validation = rules::immutable(),
        validation = Rule::new("self != 'network'").message("type network: not built yet")
    )]
    pub kind: AddressType,
    /// How an address is chosen: `bit` takes the lowest free one.
    #[serde(default)]
    #[x_kube(validation = rules::immutable())]
    pub alloc_type: AllocType,
    /// Prefix length of a block. A service pool without it is one block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 128))]
    pub block_size: Option<u8>,
    /// Whether the pool is used where none is named; at most one per type and family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// Not built yet: Services that may use the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<NotBuilt>,
    /// Not built yet: namespaces that may use the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NotBuilt>,
    /// Not built yet: nodes that may use the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<NotBuilt>,
}

/// `blockSize` lies between the length of each CIDR and the bits of its family.
fn block_size() -> Rule {
    Rule::new(
        "!has(self.blockSize) || ([self.cidr] + (has(self.cidrs) ? self.cidrs : [])).all(c, \
         isCIDR(c) && cidr(c).prefixLength() <= self.blockSize \
         && self.blockSize <= (cidr(c).ip().family() == 4 ? 32 : 128))",
    )
    .message("blockSize: must lie between the length of each CIDR and 32 (IPv4) or 128 (IPv6)")
    .field_path(".blockSize")
}

/// `cidrs` keeps what it has, in order.
fn appended() -> Rule {
    Rule::new(
        "!has(oldSelf.cidrs) || (has(self.cidrs) && \
         oldSelf.cidrs.all(c, self.cidrs.indexOf(c) == oldSelf.cidrs.indexOf(c)))",
    )
    .message("cidrs: may only be appended to")
    .field_path(".cidrs")
}

impl AddressPoolSpec {
    /// All CIDRs, in the order in which blocks are counted.
    pub fn all_cidrs(&self) -> Vec<Prefix> {
        std::iter::once(self.cidr).chain(self.cidrs.iter().copied()).collect()
    }

    /// Whether the pool is used where none is named.
    pub fn is_auto(&self) -> bool {
        self.auto_assign.unwrap_or(false)
    }
}

/// What addresses are for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AddressType {
    /// Pods; blocks belong to nodes.
    Pod,
    /// Services of type LoadBalancer.
    Service,
    /// Secondary networks; reserved.
    Network,
}

/// How an address is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllocType {
    /// The lowest free address.
    #[default]
    Bit,
}

/// A number for each address family; absent where the family is. Values over 2^63-1 are shown as it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PerFamily {
    /// IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<i64>,
    /// IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<i64>,
}

impl PerFamily {
    /// Adds to a family's number, which is zero if absent.
    pub fn add(&mut self, family: Family, count: u128) {
        let slot = match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        *slot = Some(slot.unwrap_or(0).saturating_add(count));
    }

    /// A family's number.
    pub fn get(&self, family: Family) -> Option<i64> {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

/// What the controller knows of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolStatus {
    /// Addresses in the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<PerFamily>,
    /// Addresses in use; for pods as their nodes report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<PerFamily>,
    /// Addresses not in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<PerFamily>,
    /// Blocks that are cut now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<i64>,
    /// Blocks that can be cut at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_blocks: Option<i64>,
    /// `Ready`: whether the pool is used, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A part of a pool, held by a node (pods) or by the controller (Services).
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "AddressBlock",
    plural = "addressblocks",
    shortname = "ab",
    category = "sart",
    derive = "PartialEq",
    status = "AddressBlockStatus",
    doc = "A part of an AddressPool, held by a node (pods) or by the controller (Services).",
    printcolumn(name = "CIDR", type_ = "string", json_path = ".spec.cidr"),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "POOLREF", type_ = "string", json_path = ".spec.poolRef"),
    printcolumn(name = "NODEREF", type_ = "string", json_path = ".spec.nodeRef"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable_field("nodeRef"))]
pub struct AddressBlockSpec {
    /// The block's addresses.
    #[schemars(with = "String", length(max = 43))]
    #[x_kube(validation = rules::cidr(), validation = rules::immutable())]
    pub cidr: Prefix,
    /// Whom the addresses are for.
    #[serde(rename = "type")]
    #[x_kube(validation = rules::immutable())]
    pub kind: AddressType,
    /// The pool it was cut from.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::immutable())]
    pub pool_ref: String,
    /// The node that holds it; absent for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_ref: Option<String>,
    /// Whether its pool is used where none is named.
    #[serde(default)]
    pub auto_assign: bool,
}

/// What is known of a block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressBlockStatus {
    /// The block's place in its pool, counted over all CIDRs.
    #[serde(default)]
    pub index: u64,
    /// Addresses in use: the node's agent writes it for pods, the controller for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A node's wish for one more block of a pool. Deleted by the controller when the block is there.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "BlockRequest",
    plural = "blockrequests",
    shortname = "br",
    category = "sart",
    derive = "PartialEq",
    status = "BlockRequestStatus",
    doc = "A node's wish for one more AddressBlock of a pool.",
    printcolumn(name = "POOL", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "NODE", type_ = "string", json_path = ".spec.node"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable())]
pub struct BlockRequestSpec {
    /// The pool to cut a block from.
    #[schemars(length(max = 253))]
    pub pool: String,
    /// The node that shall hold it.
    #[schemars(length(max = 253))]
    pub node: String,
    /// Only a block of this family will do; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<crate::Protocol>,
}

/// Why a request waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockRequestStatus {
    /// `Ready`: false with the reason while no block can be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// One address in use, named as the address: who could create it holds the address.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sart.terassyi.net",
    version = "v1alpha2",
    kind = "AddressClaim",
    plural = "addressclaims",
    shortname = "ac",
    category = "sart",
    derive = "PartialEq",
    doc = "One address in use. Its name is the address, so that nothing else can hold it.",
    printcolumn(name = "ADDRESS", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "HOLDER", type_ = "string", json_path = ".spec.holder"),
    printcolumn(name = "POOL", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable())]
pub struct AddressClaimSpec {
    /// The address.
    #[schemars(with = "String", length(max = 45))]
    #[x_kube(validation = rules::address())]
    pub address: IpAddr,
    /// The kind of what holds it.
    pub holder_kind: HolderKind,
    /// Namespace and name of what holds it, joined by `/`.
    #[schemars(length(max = 320))]
    pub holder: String,
    /// The holder's UID: a holder of the same name made anew does not inherit the address.
    #[schemars(length(max = 128))]
    pub holder_uid: String,
    /// The pool the address is from.
    #[schemars(length(max = 253))]
    pub pool: String,
    /// The block the address is from.
    #[schemars(length(max = 253))]
    pub block: String,
}

/// What can hold an address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum HolderKind {
    /// A Service of type LoadBalancer.
    Service,
    /// A pod.
    Pod,
}

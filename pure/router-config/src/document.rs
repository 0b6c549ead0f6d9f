use std::collections::BTreeSet;
use std::net::SocketAddr;

use bgp_packet::Origin;
use bgp_policy::Definitions;
use inet::{Asn, Prefix, RouterId};
use serde::Serialize;

use crate::parts::{Aggregate, Bmp, Channel, FibOptions, FibPlace, Mrt, MultiPath, Redistribute};
use crate::peer::{DynamicNeighbors, Neighbor, Unnumbered};
use crate::text;

/// The version of the document's form. A router refuses a document of a later one.
pub const SCHEMA_VERSION: u32 = 1;

/// The kernel table that best routes are written to when none is named: the main table.
pub const DEFAULT_FIB_TABLE: u32 = 254;

/// All that one owner wants of the router. Keys that are left out are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The router's AS number. Comes with `router_id`.
    pub asn: Option<Asn>,
    /// The router's BGP Identifier. Comes with `asn`.
    pub router_id: Option<RouterId>,
    /// The identifier of our cluster of reflectors (RFC 4456 §8); the router id when left out.
    pub cluster_id: Option<RouterId>,
    /// Use all equally good paths; false when left out.
    pub multi_path: Option<bool>,
    /// How many, and which; written as `multi_path` too, which is then true.
    pub multi_path_rules: Option<MultiPath>,
    /// Announce what was learned to other peers; true when left out. The agent says false.
    pub transit: Option<bool>,
    /// Without a policy an eBGP peer's routes are neither taken nor sent (RFC 8212); false when left
    /// out.
    pub require_policy: Option<bool>,
    /// What a path without LOCAL_PREF counts as; 100 when left out.
    pub default_local_pref: Option<u32>,
    /// The TCP port that BGP is heard on; 179 when left out.
    pub port: Option<u16>,
    /// The address of the read-only gRPC API; 127.0.0.1:5000 when left out.
    pub grpc: Option<SocketAddr>,
    /// The port of health and metrics; 8001 when left out.
    pub health_port: Option<u16>,
    /// Write the best routes into the kernel.
    pub fib: Option<Fib>,
    /// How they are written; part of `fib`.
    pub fib_options: FibOptions,
    /// v0.1's way to say `fib`: the endpoint itself has no meaning any more.
    pub fib_endpoint: Option<String>,
    /// v0.1's kernel table, beside `fib_endpoint`.
    pub fib_table: Option<u32>,
    /// v0.1's exporter; without meaning.
    pub exporter: Option<String>,
    /// The address of the API of `sartd fib`; 127.0.0.1:5001 when left out.
    pub endpoint: Option<SocketAddr>,
    /// Channels of `sartd fib`, by name.
    pub channels: Vec<Channel>,
    /// Policies and the lists they name; written as `policies`, `prefix_lists`,
    /// `community_lists` and `as_path_lists`.
    pub definitions: Definitions,
    /// The peers; no two have the same address or name.
    pub neighbors: Vec<Neighbor>,
    /// Peers that are found on a link; written among `neighbors`.
    pub unnumbered: Vec<Unnumbered>,
    /// Peers that are accepted from a prefix.
    pub dynamic_neighbors: Vec<DynamicNeighbors>,
    /// Routes of the kernel that are announced.
    pub redistribute: Vec<Redistribute>,
    /// Prefixes that stand for longer ones.
    pub aggregates: Vec<Aggregate>,
    /// Stations that are told all.
    pub bmp: Vec<Bmp>,
    /// Files of routes and messages.
    pub mrt: Option<Mrt>,
    /// The prefixes that are originated; none is there twice.
    pub paths: Vec<PathGroup>,
}

/// Best routes go into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fib {
    /// The kernel's table, 1 to 2^32 - 1; not looked at where [`FibOptions::vrf`] is given.
    pub table: u32,
}

/// Prefixes that are originated with the same attributes, for the same groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PathGroup {
    /// The prefixes, at least one.
    pub prefixes: Vec<Prefix>,
    /// Their path attributes.
    #[serde(skip_serializing_if = "AttributeSet::is_empty")]
    pub attributes: AttributeSet,
    /// Only to peers of one of these groups; to all when empty.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
}

/// Path attributes of originated prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AttributeSet {
    /// ORIGIN; IGP when left out.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::origin")]
    pub origin: Option<Origin>,
    /// LOCAL_PREF towards iBGP peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// COMMUNITIES (RFC 1997), written `65000:100`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "text::communities")]
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY (RFC 8092), written `65000:1:2`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "text::large_communities")]
    pub large_communities: Vec<[u32; 3]>,
}

impl Document {
    /// Whether nothing at all is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Document::default()
    }

    /// The kernel table that best routes are written to; nothing is written when there is none.
    pub fn fib_place(&self) -> Option<FibPlace> {
        let table = match (&self.fib, &self.fib_endpoint) {
            (Some(fib), _) => fib.table,
            (None, Some(_)) => self.fib_table.unwrap_or(DEFAULT_FIB_TABLE),
            (None, None) => return None,
        };
        Some(self.fib_options.vrf.map_or(FibPlace::Table(table), FibPlace::Vrf))
    }

    /// Its number, where that is given.
    pub fn fib_table(&self) -> Option<u32> {
        match self.fib_place()? {
            FibPlace::Table(table) => Some(table),
            FibPlace::Vrf(_) => None,
        }
    }

    /// The document as YAML; [`Document::parse`] gives the same document back.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(self)
    }
}

impl PathGroup {
    /// Prefixes with default attributes, for all peers.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> PathGroup {
        PathGroup { prefixes: prefixes.into_iter().collect(), ..PathGroup::default() }
    }
}

impl AttributeSet {
    pub(crate) fn is_empty(&self) -> bool {
        *self == AttributeSet::default()
    }
}

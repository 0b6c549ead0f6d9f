use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bgp_packet::Origin;
use inet::{Asn, Family, Prefix, RouterId};
use serde::Serialize;

use crate::text;

/// The version of the document's form. A router refuses a document of a later one.
pub const SCHEMA_VERSION: u32 = 1;

/// The kernel table that best routes are written to when none is named: the main table.
pub const DEFAULT_FIB_TABLE: u32 = 254;

/// All that one owner wants of the router. Keys that are left out are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The router's AS number. Comes with `router_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// The router's BGP Identifier. Comes with `asn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<RouterId>,
    /// Use all equally good paths; false when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_path: Option<bool>,
    /// Announce what was learned to other peers; true when left out. The agent says false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit: Option<bool>,
    /// The TCP port that BGP is heard on; 179 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The address of the read-only gRPC API; 127.0.0.1:5000 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<SocketAddr>,
    /// The port of health and metrics; 8001 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_port: Option<u16>,
    /// Write the best routes into the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fib: Option<Fib>,
    /// v0.1's way to say `fib`: the endpoint itself has no meaning any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fib_endpoint: Option<String>,
    /// v0.1's kernel table, beside `fib_endpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fib_table: Option<u32>,
    /// v0.1's exporter; without meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter: Option<String>,
    /// The peers; no two have the same address or name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbors: Vec<Neighbor>,
    /// The prefixes that are originated; none is there twice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathGroup>,
}

/// Best routes go into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fib {
    /// The kernel's table, 1 to 2^32 - 1.
    pub table: u32,
}

/// One peer; `None` is the speaker's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbor {
    /// A name for people, unique in the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The peer's address: the key.
    pub address: IpAddr,
    /// The AS number the peer must have.
    pub asn: Asn,
    /// The BGP Identifier the peer must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<RouterId>,
    /// The TCP port dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Never dial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<bool>,
    /// Source address of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_address: Option<IpAddr>,
    /// TTL of an eBGP session that crosses routers, 1 to 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp_multihop: Option<u8>,
    /// Seconds: 0 or 3 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<u16>,
    /// Seconds, at most the hold time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<u16>,
    /// Seconds between attempts to connect, 1 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_retry_time: Option<u16>,
    /// Families offered; both when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub families: Option<BTreeSet<Family>>,
    /// Graceful restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Groups that the peer is in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
}

/// Graceful restart of one peer (RFC 4724).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GracefulRestart {
    /// Offer it and help the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Seconds, 1 to 4095.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_time: Option<u16>,
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
    pub fn fib_table(&self) -> Option<u32> {
        match (&self.fib, &self.fib_endpoint) {
            (Some(fib), _) => Some(fib.table),
            (None, Some(_)) => Some(self.fib_table.unwrap_or(DEFAULT_FIB_TABLE)),
            (None, None) => None,
        }
    }

    /// The document as YAML; [`Document::parse`] gives the same document back.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(self)
    }
}

impl Neighbor {
    /// A neighbor with defaults for all but address and AS number.
    pub fn new(address: IpAddr, asn: Asn) -> Neighbor {
        Neighbor {
            name: None,
            address,
            asn,
            router_id: None,
            port: None,
            passive: None,
            local_address: None,
            ebgp_multihop: None,
            hold_time: None,
            keepalive_time: None,
            connect_retry_time: None,
            families: None,
            graceful_restart: None,
            groups: BTreeSet::new(),
        }
    }
}

impl PathGroup {
    /// Prefixes with default attributes, for all peers.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> PathGroup {
        PathGroup { prefixes: prefixes.into_iter().collect(), ..PathGroup::default() }
    }
}

impl AttributeSet {
    fn is_empty(&self) -> bool {
        *self == AttributeSet::default()
    }
}

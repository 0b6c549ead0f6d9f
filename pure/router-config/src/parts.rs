//! Parts of the document beside peers and paths.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bgp_policy::KernelSource;
use inet::{Family, LinkName, Prefix};
use serde::Serialize;

use crate::document::AttributeSet;
use crate::text;

/// How many equally good paths are used, and what counts as equally good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MultiPath {
    /// Paths of eBGP, 1 to 64; 64 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp: Option<u8>,
    /// Paths of iBGP, 1 to 64; 64 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ibgp: Option<u8>,
    /// AS paths need only be equally long; true when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relax_as_path: Option<bool>,
    /// Weigh the paths by their link bandwidth community; false when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_bandwidth: Option<bool>,
}

/// How routes are written into the kernel, beside the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FibOptions {
    /// The VRF whose table they go to: then no table is given by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<LinkName>,
    /// The kernel's metric, 1 to 2^32 - 1; 4271 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Use the kernel's next-hop objects; when left out (`auto`), where it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_objects: Option<bool>,
    /// Which source wins: the smaller distance.
    #[serde(skip_serializing_if = "Distances::is_empty")]
    pub distance: Distances,
}

/// The distance of each source, 1 to 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Distances {
    /// Learned by eBGP; 20 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp: Option<u8>,
    /// Learned by iBGP; 200 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ibgp: Option<u8>,
    /// Originated here; 200 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<u8>,
}

/// Routes of the kernel that are announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redistribute {
    /// Whose.
    #[serde(serialize_with = "text::display")]
    pub source: KernelSource,
    /// The kernel's table; the main table when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// The policy that they go through; all are taken as they are when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A prefix that is announced while a longer one in it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aggregate {
    /// The prefix.
    pub prefix: Prefix,
    /// Do not announce the longer ones; false when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary_only: Option<bool>,
    /// The route that the kernel is given; `blackhole` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard: Option<Discard>,
    /// Its path attributes.
    #[serde(skip_serializing_if = "AttributeSet::is_empty")]
    pub attributes: AttributeSet,
    /// The policy that it goes through; it is taken as it is when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only to peers of one of these groups; to all when empty.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
}

/// What is done with packets to an aggregate that no longer prefix takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discard {
    /// They are dropped.
    Blackhole,
    /// They are dropped, and the sender is told.
    Unreachable,
    /// Nothing: the kernel is given no route.
    None,
}

/// A station that is told all (RFC 7854).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bmp {
    /// Its address.
    pub address: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// Which tables; `pre_policy` when left out.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tables: BTreeSet<BmpTable>,
    /// Seconds between reports of counters, 1 to 86400; none when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics_interval: Option<u32>,
    /// Seconds between attempts to connect, 1 to 65535; 30 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_retry_time: Option<u16>,
    /// MiB that may wait for it, 1 to 1024; 16 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<u16>,
}

/// What a station is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BmpTable {
    /// Routes as received (RFC 7854).
    PrePolicy,
    /// Routes as accepted (RFC 7854).
    PostPolicy,
    /// The best routes (RFC 9069).
    LocRib,
}

/// Files of routes and messages (RFC 6396).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mrt {
    /// Where they are written: an absolute path.
    pub directory: String,
    /// Seconds between two dumps of the table, 60 to 604800; none when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_interval: Option<u32>,
    /// Seconds that one file of messages has, 60 to 604800; none when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updates_interval: Option<u32>,
}

/// A channel of `sartd fib`: it takes routes from its subscribers, keeps the best of each prefix
/// and gives it to its publishers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// The name, unique in the document.
    pub name: String,
    /// The family.
    pub ip_version: Family,
    /// Where routes come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscribers: Vec<ChannelEnd>,
    /// Where routes go to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publishers: Vec<ChannelEnd>,
}

/// One end of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "protocol", rename_all = "lowercase")]
pub enum ChannelEnd {
    /// Tables of the kernel, at least one of either kind.
    Kernel {
        /// By number.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tables: Vec<u32>,
        /// Those of VRFs, by the names of their devices.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        vrfs: Vec<LinkName>,
    },
    /// A router, by its API.
    Bgp {
        /// Where that is.
        endpoint: RouterEnd,
    },
}

/// A table of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FibPlace {
    /// By its number, 1 to 2^32 - 1.
    Table(u32),
    /// That of a VRF, by the name of its device.
    Vrf(LinkName),
}

impl ChannelEnd {
    /// The kernel's tables that it is; none for a router.
    pub fn places(&self) -> impl Iterator<Item = FibPlace> + '_ {
        let (tables, vrfs): (&[u32], &[LinkName]) = match self {
            ChannelEnd::Kernel { tables, vrfs } => (tables, vrfs),
            ChannelEnd::Bgp { .. } => (&[], &[]),
        };
        let vrfs = vrfs.iter().copied().map(FibPlace::Vrf);
        tables.iter().copied().map(FibPlace::Table).chain(vrfs)
    }
}

/// As in "where routes are": `100`, `vrf blue`.
impl fmt::Display for FibPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FibPlace::Table(table) => write!(f, "{table}"),
            FibPlace::Vrf(name) => write!(f, "vrf {name}"),
        }
    }
}

/// Where a router's API is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouterEnd {
    /// A unix socket, by its path.
    Socket(String),
    /// An address and a TCP port.
    Tcp(SocketAddr),
}

impl RouterEnd {
    /// The socket of the router of this machine: what is meant when nothing is said.
    pub const DEFAULT_SOCKET: &'static str = "/run/sart/router.sock";
}

impl fmt::Display for RouterEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouterEnd::Socket(path) => f.write_str(path),
            RouterEnd::Tcp(address) => write!(f, "{address}"),
        }
    }
}

impl Serialize for RouterEnd {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl FibOptions {
    /// Whether all is left out.
    pub fn is_empty(&self) -> bool {
        *self == FibOptions::default()
    }
}

impl Distances {
    /// Whether something is said of learned routes.
    pub(crate) fn of_learned(&self) -> bool {
        self.ebgp.is_some() || self.ibgp.is_some()
    }

    fn is_empty(&self) -> bool {
        *self == Distances::default()
    }
}

//! The kernel's side in plain values: what it holds and what changes there.

use std::fmt;
use std::net::IpAddr;

use inet::{LinkName, Prefix};

/// The kernel's number of a link; valid in one network namespace, while the link lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkIndex(pub u32);

/// One way out of the machine: a link and, unless the destination is on it, a gateway on that link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// The gateway; none when the destination itself is on the link.
    pub gateway: Option<IpAddr>,
    /// The link.
    pub link: LinkIndex,
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gateway {
            Some(gateway) => write!(f, "{gateway}%{}", self.link.0),
            None => write!(f, "%{}", self.link.0),
        }
    }
}

/// What a kernel route does with a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelTarget {
    /// Forwarded over these, evenly; sorted, without doubles, not empty.
    Legs(Vec<Leg>),
    /// Dropped silently.
    Blackhole,
    /// Dropped, and the sender told.
    Unreachable,
}

/// A route as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// Which packets.
    pub prefix: Prefix,
    /// The routing table's number; 254 is `main`.
    pub table: u32,
    /// Who put it there (`RTPROT_*`); 2 is the kernel itself, 186 is BGP.
    pub protocol: u8,
    /// Its priority: the lower wins.
    pub metric: u32,
    /// What is done.
    pub target: KernelTarget,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its name.
    pub name: LinkName,
    /// Whether it is set up *and* has a carrier.
    pub up: bool,
}

/// An address of this machine on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkAddress {
    /// The link that has it.
    pub link: LinkIndex,
    /// The address.
    pub address: IpAddr,
}

/// All that the kernel holds of what the table looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All links.
    pub links: Vec<Link>,
    /// All addresses.
    pub addresses: Vec<LinkAddress>,
    /// All routes of the tables that are read.
    pub routes: Vec<KernelRoute>,
}

/// How a single route changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteNews {
    /// A further route.
    Added,
    /// In place of another of the same prefix and metric.
    Replaced,
    /// Gone; for IPv6 possibly only the named legs of it.
    Removed,
}

/// What the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// Everything anew: at the start, and whenever single news may have been lost.
    Snapshot(Snapshot),
    /// One route changed, not by our own hand.
    Route(RouteNews, KernelRoute),
    /// A link is new or has changed.
    Link(Link),
    /// A link is gone.
    LinkGone(LinkIndex),
    /// An address is there.
    Address(LinkAddress),
    /// An address is gone.
    AddressGone(LinkAddress),
}

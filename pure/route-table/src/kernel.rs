//! The kernel's side in plain values: what it holds and what changes there.

use std::fmt;
use std::net::IpAddr;

use inet::{LinkName, Prefix};

/// The kernel's number of a link; valid in one network namespace, while the link lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkIndex(pub u32);

/// The number of a next-hop object (`ip nexthop`); valid in one network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// One way out of the machine: a link and, unless the destination is on it, a gateway on that link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// The gateway; none when the destination itself is on the link.
    pub gateway: Option<IpAddr>,
    /// The link.
    pub link: LinkIndex,
    /// Its share of the packets beside the other legs', 1 to 256.
    pub weight: u16,
}

impl Leg {
    /// A leg of weight 1.
    pub const fn new(gateway: Option<IpAddr>, link: LinkIndex) -> Leg {
        Leg { gateway, link, weight: 1 }
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, "{gateway}")?;
        }
        write!(f, "%{}", self.link.0)?;
        if self.weight != 1 {
            write!(f, "*{}", self.weight)?;
        }
        Ok(())
    }
}

/// What a kernel route does with a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelTarget {
    /// Forwarded over these by weight; sorted, without doubles, not empty.
    Legs(Vec<Leg>),
    /// Dropped silently.
    Blackhole,
    /// Dropped, and the sender told.
    Unreachable,
    /// Dropped, and the sender told that it is not allowed.
    Prohibit,
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
    /// The next-hop object that it uses; the legs are then that object's, where the kernel says them.
    pub object: Option<ObjectId>,
}

/// A next-hop object as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelObject {
    /// Its number.
    pub id: ObjectId,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// What it is.
    pub content: ObjectContent,
}

/// What a next-hop object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectContent {
    /// A gateway on a link.
    Leg {
        /// The gateway.
        gateway: IpAddr,
        /// The link.
        link: LinkIndex,
    },
    /// Several of those, with weights of 1 to 256; sorted, without doubles.
    Group(Vec<(ObjectId, u16)>),
    /// Something that we never make.
    Other,
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
    /// The link that it is a part of (a bridge, a bond, a VRF).
    pub master: Option<LinkIndex>,
    /// The table, when this link is itself a VRF.
    pub vrf_table: Option<u32>,
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
    /// All next-hop objects; none when this kernel has no such thing, or none are to be used.
    pub objects: Option<Vec<KernelObject>>,
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
    /// A next-hop object is new or has changed, not by our own hand.
    Object(KernelObject),
    /// A next-hop object is gone.
    ObjectGone(ObjectId),
}

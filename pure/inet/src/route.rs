use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{LinkName, Prefix};

/// Where a packet goes next: an address, and where that alone is not enough, the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextHop {
    /// The gateway's address.
    pub address: IpAddr,
    /// The link to send on; needed for a link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<LinkName>,
    /// The second, link-local address of an IPv6 next hop (RFC 2545 §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Ipv6Addr>,
}

/// Whether the address means something on its link alone (RFC 4291 §2.5.6). 169.254/16 is routed
/// like any other: fabrics use it for their links.
pub fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> NextHop {
        NextHop { address, interface: None, link_local: None }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if let Some(link_local) = self.link_local {
            write!(f, " ({link_local})")?;
        }
        if let Some(interface) = self.interface {
            write!(f, "%{interface}")?;
        }
        Ok(())
    }
}

/// What a route does with a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteTarget {
    /// Forwarded to one of these, evenly (ECMP); sorted, without doubles, never empty.
    Via(Vec<NextHop>),
    /// Forwarded on a link without a gateway (a connected or link-scope route).
    Link(LinkName),
    /// Dropped silently.
    Blackhole,
    /// Dropped, and the sender told (ICMP unreachable).
    Unreachable,
}

/// One route: a prefix and what is done with packets to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// Which packets.
    pub prefix: Prefix,
    /// What is done with them.
    pub target: RouteTarget,
}

//! A pod's link: a veth pair between the node and the pod, without bridge and NAT.
//!
//! ```text
//!   node                                              pod
//!   sart0123456789a                                   eth0   10.1.0.0/32, fd00::/128 (no DAD)
//!     alias  = the record                               default via 169.254.1.1 (onlink)
//!     10.1.0.0/32, fd00::/128 dev sart…                 default via fe80::1
//!     neighbors of the pod's addresses, permanent       neighbors of the gateways, permanent
//! ```
//!
//! The gateways are on no link: both ends know each other's hardware address for good, so no ARP
//! and no neighbor discovery is ever spoken between them. The hardware addresses are set, not left
//! to chance, for otherwise udev may change them behind our back.
//!
//! The alias of the node's end is the [`Record`] of who has which address, and is written last: a
//! link without it is half made and may be removed. Whoever starts anew reads [`list`].
//!
//! Everything here blocks for some milliseconds; the node's side is the calling thread's namespace.

mod attach;
mod check;
mod message;
mod record;
mod rtnl;
mod uplink;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::protocol;
use crate::routes::{Owner, TABLE_MAIN};
use crate::sysctl::SysctlError;

pub use attach::{Attached, End, attach, detach, list, remove_half_made};
pub use check::check;
pub use record::{HostLink, Record, RecordError, host_name};
pub use uplink::uplink_mtu;

/// The node's routes to pods' addresses. Their metric is better than that of the agent's other
/// routes: a block of one address has an `unreachable` route for the very same prefix.
pub const ROUTES: Owner = Owner { table: TABLE_MAIN, protocol: protocol::AGENT, metric: 512 };

/// Where a pod's IPv4 default route goes.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Where a pod's IPv6 default route goes.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The gateway for a family of the address.
pub const fn gateway_for(address: &IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(GATEWAY_V4),
        IpAddr::V6(_) => IpAddr::V6(GATEWAY_V6),
    }
}

/// Why a pod's link can't be made, removed or found right.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The descriptor is no network namespace.
    #[error("the descriptor is no network namespace")]
    NoNamespace,
    /// The namespace is the node's own: a pod on the host's network has no link.
    #[error("the namespace is the node's own")]
    OwnNamespace,
    /// The pod already has an interface of this name.
    #[error("the pod already has an interface {0}")]
    InterfaceTaken(String),
    /// A link with the name that is wanted on the node belongs to something else.
    #[error("the node's link {0} belongs to something else")]
    LinkTaken(String),
    /// The record doesn't fit into an alias.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// CHECK: something is not as ADD left it.
    #[error("{0}")]
    Wrong(String),
    /// A setting can't be made.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// The kernel said no.
    #[error("{what}")]
    Kernel {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl PodError {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            PodError::NoNamespace => "no-namespace",
            PodError::OwnNamespace => "host-namespace",
            PodError::InterfaceTaken(_) => "interface-taken",
            PodError::LinkTaken(_) => "link-taken",
            PodError::Record(error) => error.name(),
            PodError::Wrong(_) => "not-as-attached",
            PodError::Sysctl(_) | PodError::Kernel { .. } => "kernel",
        }
    }
}

/// Says what was being done when the kernel said no.
trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, PodError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, PodError> {
        self.map_err(|source| PodError::Kernel { what: what(), source })
    }
}

#[cfg(test)]
mod tests;

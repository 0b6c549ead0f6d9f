//! What our side of a session looks like: the interface towards a peer and its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::{LinkName, NextHop};
use route_table::{LinkIndex, Resolution, RouteTable};

/// The interface towards a peer, and the addresses on it that can be said as next hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) link: Option<LinkName>,
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
}

/// Looks the interface towards a peer up: where packets to it leave, else where our address of
/// the session is. Our address of the session is the first choice of its family.
pub(super) fn towards(table: &RouteTable, peer: IpAddr, local: IpAddr) -> Facts {
    let leaving = match table.resolve(&NextHop::from(peer)) {
        Resolution::Resolved { legs, .. } => legs.first().map(|leg| leg.link),
        Resolution::Unresolved(_) => None,
    };
    let having = || table.links().map(|link| link.index).find(|link| has(table, *link, local));
    let Some(index) = leaving.or_else(having) else {
        let mut facts = Facts::default();
        facts.take(local);
        return facts;
    };
    let mut facts = Facts {
        link: table.links().find(|link| link.index == index).map(|link| link.name),
        ..Facts::default()
    };
    facts.take(local);
    for address in table.addresses(index) {
        facts.take(address);
    }
    facts
}

fn has(table: &RouteTable, link: LinkIndex, address: IpAddr) -> bool {
    table.addresses(link).any(|a| a == address)
}

impl Facts {
    /// Keeps an address unless one of its family is there, or nobody else could reach it.
    fn take(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(a) if !a.is_loopback() => {
                self.ipv4.get_or_insert(a);
            }
            IpAddr::V6(a) if !a.is_loopback() && !a.is_unicast_link_local() => {
                self.ipv6.get_or_insert(a);
            }
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
    }
}

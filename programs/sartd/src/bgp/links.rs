//! What our side of a session looks like: the interface towards a peer and its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::{LinkName, NextHop, ScopedAddr};
use route_table::{LinkIndex, Resolution, RouteTable};

/// The interface towards a peer, and the addresses on it that can be said as next hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) link: Option<LinkName>,
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
}

/// Looks the interface towards a peer up: a link-local one's own, else where packets to it
/// leave, else where our address of the session is. Our address of the session is the first choice
/// of its family.
pub(super) fn towards(table: &RouteTable, peer: ScopedAddr, local: IpAddr) -> Facts {
    let known = peer.link().and_then(|name| table.links().find(|link| link.name == name));
    let leaving = || match table.resolve(&NextHop::from(peer.address())) {
        Resolution::Resolved { legs, .. } => legs.first().map(|leg| leg.link),
        Resolution::Unresolved(_) => None,
    };
    let having = || table.links().map(|link| link.index).find(|link| has(table, *link, local));
    let Some(index) = known.map(|link| link.index).or_else(leaving).or_else(having) else {
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use inet::{ScopedAddr, Timestamp};
    use kernel::fib::config;
    use kernel::routes::Owner;
    use route_table::{
        Input, KernelEvent, KernelRoute, KernelTarget, Leg, Link, LinkAddress, LinkIndex,
        RouteTable, Snapshot,
    };

    /// eth0 (management) and up1 towards the peer's loopback 9.9.9.9; `lo` has 10.0.0.2.
    fn table() -> RouteTable {
        let link = |n: u32, name: &str| Link {
            index: LinkIndex(n),
            name: name.parse().unwrap(),
            up: true,
            master: None,
            vrf_table: None,
        };
        let address =
            |n: u32, text: &str| LinkAddress { link: LinkIndex(n), address: text.parse().unwrap() };
        let route = |prefix: &str, gateway: Option<&str>, n: u32| KernelRoute {
            prefix: prefix.parse().unwrap(),
            table: 254,
            protocol: 2,
            metric: 0,
            target: KernelTarget::Legs(vec![Leg::new(
                gateway.map(|g| g.parse().unwrap()),
                LinkIndex(n),
            )]),
            object: None,
        };
        let snapshot = Snapshot {
            links: vec![link(1, "lo"), link(2, "eth0"), link(3, "up1")],
            addresses: vec![
                address(1, "127.0.0.1"),
                address(1, "10.0.0.2"),
                address(2, "172.18.0.2"),
                address(2, "fc00::2"),
                address(3, "169.254.1.2"),
                address(3, "fe80::2"),
                address(3, "fd01::2"),
            ],
            routes: vec![
                route("169.254.1.0/24", None, 3),
                route("9.9.9.9/32", Some("169.254.1.1"), 3),
                route("172.18.0.0/16", None, 2),
            ],
            objects: None,
        };
        let mut table = RouteTable::new(config(Owner::ROUTER, false));
        table.handle(Timestamp::ZERO, Input::Kernel(KernelEvent::Snapshot(snapshot)));
        while table.poll().is_some() {}
        table
    }

    #[track_caller]
    fn check(peer: &str, local: &str, expect: &str) {
        let (peer, local): (ScopedAddr, IpAddr) = (peer.parse().unwrap(), local.parse().unwrap());
        let facts = super::towards(&table(), peer, local);
        let text = |value: Option<String>| value.unwrap_or("none".to_owned());
        let got = format!(
            "{} {} {}",
            text(facts.link.map(|link| link.to_string())),
            text(facts.ipv4.map(|address| address.to_string())),
            text(facts.ipv6.map(|address| address.to_string())),
        );
        assert_eq!(got, expect);
    }

    #[test]
    fn the_interface_towards_the_peer_gives_the_other_family() {
        check("9.9.9.9", "169.254.1.2", "up1 169.254.1.2 fd01::2");
        check("172.18.0.9", "172.18.0.2", "eth0 172.18.0.2 fc00::2");
    }

    #[test]
    fn a_link_local_peer_is_on_its_link() {
        check("fe80::1%up1", "fe80::2", "up1 169.254.1.2 fd01::2");
    }

    #[test]
    fn the_address_of_the_session_comes_first() {
        check("9.9.9.9", "10.0.0.2", "up1 10.0.0.2 fd01::2");
    }

    #[test]
    fn a_peer_behind_no_route_is_reached_from_where_our_address_is() {
        check("192.0.2.1", "172.18.0.2", "eth0 172.18.0.2 fc00::2");
        check("192.0.2.1", "192.0.2.9", "none 192.0.2.9 none");
    }
}

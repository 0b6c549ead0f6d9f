use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteAttribute;

use super::attach::open;
use super::message::{self, LinkState};
use super::record::is_host_name;
use super::rtnl::Rtnl;
use super::{Doing as _, PodError};

/// What a link has when nothing says otherwise.
const ETHERNET: u32 = 1500;

/// Addresses for documentation (RFC 5737, RFC 3849): only a default route leads there.
const SOMEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The MTU for pods' links: the smallest of the links that default routes use; without a default
/// route, of all links that are up; without those, 1500.
pub fn uplink_mtu() -> Result<u32, PodError> {
    let mut host = open()?;
    let mut smallest = None;
    for address in SOMEWHERE {
        for index in outgoing(&mut host, address) {
            let answer = host
                .get(message::get_link_by_index(index))
                .doing(|| format!("asking for link {index}"))?;
            let mtu = answer.as_ref().and_then(LinkState::of).map(|link| link.mtu);
            smallest = smallest.into_iter().chain(mtu).min();
        }
    }
    match smallest {
        Some(mtu) => Ok(mtu),
        None => {
            let all =
                host.dump(message::get_links(None)).doing(|| "listing the node's links".into())?;
            let links = all.iter().filter_map(LinkState::of);
            let usable = links.filter(|l| l.up && !l.loopback && !is_host_name(&l.name));
            Ok(usable.map(|link| link.mtu).min().unwrap_or(ETHERNET))
        }
    }
}

/// The links of the route to an address: several with ECMP, none without a route.
fn outgoing(host: &mut Rtnl, address: IpAddr) -> Vec<u32> {
    let Ok(Some(RouteNetlinkMessage::NewRoute(route))) = host.get(message::get_route_to(address))
    else {
        return Vec::new();
    };
    let links = route.attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    });
    links.collect()
}

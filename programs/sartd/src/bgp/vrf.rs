//! A router in a VRF: routes in its table, connections over its links, both while it is there.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use bgp_speaker::TcpPeer;
use inet::{LinkName, Timestamp};
use route_table::{LinkIndex, RouteTable};
use router_config::FibPlace;
use sockets::Listen;

use super::router::Router;

/// Where BGP is heard: on a port; in a VRF, if there is one, by its device as it is now.
pub(super) type Heard = (u16, Option<(LinkName, Option<LinkIndex>)>);

/// The number of a place's table now; none while its VRF is not there. Blocks while the kernel tells
/// its links.
pub(super) fn table_of(place: FibPlace) -> io::Result<Option<u32>> {
    match place {
        FibPlace::Table(table) => Ok(Some(table)),
        FibPlace::Vrf(name) => {
            let links = kernel::links::list()?;
            Ok(links.iter().find(|link| link.name == name).and_then(|link| link.vrf_table))
        }
    }
}

/// Why a name leads to no table.
pub(crate) fn no_vrf(table: &RouteTable, name: LinkName) -> String {
    match table.links().any(|link| link.name == name) {
        true => format!("{name} is no VRF"),
        false => format!("there is no VRF {name}"),
    }
}

impl Router {
    /// Links have changed: the VRF's device may have come, have gone, or be another one.
    pub(super) fn follow_vrf(&mut self, now: Timestamp) {
        if self.parts.placement.vrf.is_some() {
            self.place_fib(now);
            self.listen();
        }
    }

    /// Listens where BGP is to be heard, and dials there.
    pub(super) fn listen(&mut self) {
        let port = self.parts.owners.port();
        let index = |name: &LinkName| self.parts.table.vrf(name).map(|(index, _)| index);
        let vrf = self.bound_to().map(|name| (name, index(&name)));
        let before = self.heard.replace((port, vrf));
        if before == Some((port, vrf)) {
            return;
        }
        let name = |vrf: Option<(LinkName, Option<LinkIndex>)>| vrf.map(|(name, _)| name);
        if before.is_some_and(|(_, before)| name(before) != name(vrf)) {
            self.bind_peers();
        }
        self.deaf.clear();
        match vrf {
            None => self.parts.sockets.listen(port),
            // A socket that is bound to a device does not follow its name.
            Some((name, index)) => {
                self.parts.sockets.listen_on(&[]);
                if index.is_some() {
                    self.parts.sockets.listen_on(&within(name, port));
                }
            }
        }
    }

    /// The VRF that connections are bound to, unless an interface is given for them.
    pub(super) fn bound_to(&self) -> Option<LinkName> {
        self.parts.owners.fib().and_then(|(_, options)| options.vrf)
    }

    /// Connections that are dialled from now on are bound as is wanted now.
    fn bind_peers(&mut self) {
        let peers = self.parts.edges.tcp_peers();
        let peers = peers.map(|(who, tcp)| TcpPeer { who: *who, tcp: tcp.clone() });
        self.tcp_peers(peers.collect());
    }
}

/// Both families on a port, in this VRF alone.
fn within(vrf: LinkName, port: u16) -> [Listen; 2] {
    let any: [SocketAddr; 2] =
        [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
    any.map(|address| Listen { interface: Some(vrf), ..Listen::on(address) })
}

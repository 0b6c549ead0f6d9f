//! The netlink messages of a pod's link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use inet::Prefix;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::routes::Owner;

/// What sart wants to know of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkState {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) loopback: bool,
    pub(super) mtu: u32,
    pub(super) hardware: Vec<u8>,
    pub(super) alias: Option<String>,
    /// The other end's index, in whichever namespace that is.
    pub(super) peer: Option<u32>,
    pub(super) veth: bool,
}

impl LinkState {
    pub(super) fn of(message: &RouteNetlinkMessage) -> Option<LinkState> {
        let RouteNetlinkMessage::NewLink(message) = message else {
            return None;
        };
        let mut link = LinkState {
            index: message.header.index,
            name: String::new(),
            up: message.header.flags.contains(LinkFlags::Up),
            loopback: message.header.flags.contains(LinkFlags::Loopback),
            mtu: 0,
            hardware: Vec::new(),
            alias: None,
            peer: None,
            veth: false,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Address(address) => link.hardware.clone_from(address),
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias.clone()),
                LinkAttribute::Link(peer) => link.peer = Some(*peer),
                LinkAttribute::LinkInfo(info) => {
                    link.veth = info.contains(&LinkInfo::Kind(InfoKind::Veth));
                }
                _ => {}
            }
        }
        Some(link)
    }
}

/// A veth pair; the second end in a namespace.
pub(super) fn new_veth(
    (host, host_mac): (&str, [u8; 6]),
    (pod, pod_mac): (&str, [u8; 6]),
    namespace: BorrowedFd<'_>,
    mtu: u32,
) -> RouteNetlinkMessage {
    let end = |name: &str, mac: [u8; 6]| {
        let mut end = LinkMessage::default();
        end.attributes.push(LinkAttribute::IfName(name.to_owned()));
        end.attributes.push(LinkAttribute::Address(mac.to_vec()));
        end.attributes.push(LinkAttribute::Mtu(mtu));
        end
    };
    let mut peer = end(pod, pod_mac);
    peer.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
    let mut link = end(host, host_mac);
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    RouteNetlinkMessage::NewLink(link)
}

pub(super) fn get_link(name: &str) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    RouteNetlinkMessage::GetLink(link)
}

pub(super) fn get_link_by_index(index: u32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    RouteNetlinkMessage::GetLink(link)
}

/// All links of a kind, or all.
pub(super) fn get_links(kind: Option<InfoKind>) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    if let Some(kind) = kind {
        link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
    }
    RouteNetlinkMessage::GetLink(link)
}

pub(super) fn set_up(index: u32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    RouteNetlinkMessage::SetLink(link)
}

pub(super) fn set_alias(index: u32, alias: &str) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
    RouteNetlinkMessage::SetLink(link)
}

pub(super) fn delete_link(index: u32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    RouteNetlinkMessage::DelLink(link)
}

/// An address of its own, /32 or /128; IPv6 without duplicate address detection, which would hold
/// it back for a second or more, and can find nobody on a link of two.
pub(super) fn new_address(index: u32, address: IpAddr) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(&address);
    message.header.prefix_len = bits(&address);
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    if address.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    RouteNetlinkMessage::NewAddress(message)
}

pub(super) fn get_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// A neighbor that is never asked for.
pub(super) fn new_neighbor(index: u32, address: IpAddr, hardware: [u8; 6]) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(&address);
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(hardware.to_vec()));
    RouteNetlinkMessage::NewNeighbour(message)
}

pub(super) fn get_neighbors(address: IpAddr) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(&address);
    RouteNetlinkMessage::GetNeighbour(message)
}

/// The node's route to one of a pod's addresses.
pub(super) fn host_route(index: u32, address: IpAddr, owner: Owner) -> RouteNetlinkMessage {
    let mut message = route(&Prefix::host(address), owner.protocol.into());
    // The pod is on the link: no gateway.
    message.header.scope = match address {
        IpAddr::V4(_) => RouteScope::Link,
        IpAddr::V6(_) => RouteScope::Universe,
    };
    message.attributes.push(RouteAttribute::Priority(owner.metric));
    message.attributes.push(RouteAttribute::Oif(index));
    RouteNetlinkMessage::NewRoute(message)
}

/// The pod's default route.
pub(super) fn default_route(index: u32, gateway: IpAddr) -> RouteNetlinkMessage {
    let mut message =
        route(&Prefix::default_route(inet::Family::of(&gateway)), RouteProtocol::Static);
    // No address of the pod is in one network with the gateway.
    message.header.flags = RouteFlags::Onlink;
    message.attributes.push(RouteAttribute::Gateway(gateway.into()));
    message.attributes.push(RouteAttribute::Oif(index));
    RouteNetlinkMessage::NewRoute(message)
}

/// All routes of a family.
pub(super) fn get_routes(family: inet::Family) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = match family {
        inet::Family::Ipv4 => AddressFamily::Inet,
        inet::Family::Ipv6 => AddressFamily::Inet6,
    };
    RouteNetlinkMessage::GetRoute(message)
}

/// The route that a packet to this address takes, as it stands in the table.
pub(super) fn get_route_to(address: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(&address);
    message.header.destination_prefix_length = bits(&address);
    message.header.flags = RouteFlags::FibMatch;
    message.attributes.push(RouteAttribute::Destination(address.into()));
    RouteNetlinkMessage::GetRoute(message)
}

fn route(prefix: &Prefix, protocol: RouteProtocol) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(&prefix.address());
    message.header.destination_prefix_length = prefix.len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = protocol;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    if prefix.len() > 0 {
        message.attributes.push(RouteAttribute::Destination(prefix.address().into()));
    }
    message
}

fn family(address: &IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn bits(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => Ipv4Addr::BITS as u8,
        IpAddr::V6(_) => Ipv6Addr::BITS as u8,
    }
}

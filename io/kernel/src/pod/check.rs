use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use inet::Family;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute};
use netlink_packet_route::route::{RouteAddress, RouteAttribute};

use super::attach::{find, open, refuse_own};
use super::message::{self, LinkState};
use super::record::{Record, hardware_addresses, host_name};
use super::rtnl::Rtnl;
use super::{Doing as _, PodError, gateway_for};
use crate::netns;

/// Whether a pod's link is as [`super::attach`] left it, on both sides: links up and each other's
/// ends, addresses, routes, neighbors, record.
pub fn check(namespace: BorrowedFd<'_>, record: &Record) -> Result<(), PodError> {
    refuse_own(namespace)?;
    let mut host = open()?;
    let name = host_name(&record.container_id, &record.ifname);
    let (host_mac, pod_mac) = hardware_addresses(&record.container_id, &record.ifname);
    let link = present(find(&mut host, name.as_str())?, || format!("the node has no link {name}"))?;
    let alias = record.to_alias()?;
    expect(link.alias.as_deref() == Some(alias.as_str()), || {
        format!("the record of {name} is {:?}", link.alias.as_deref().unwrap_or_default())
    })?;
    expect(link.up, || format!("{name} is down"))?;
    expect(link.hardware == host_mac, || format!("{name} has another hardware address"))?;
    for address in &record.addresses {
        let route = routed_to(&mut host, *address)?;
        expect(route == Some((link.index, Family::of(address).bits())), || {
            format!("the node doesn't route {address} to {name}")
        })?;
        neighbor(&mut host, &link, *address, &pod_mac)?;
    }
    netns::within(namespace, || check_pod(record, link.index, &pod_mac, &host_mac))
        .doing(|| "entering the pod's namespace".into())?
}

fn check_pod(
    record: &Record,
    host_index: u32,
    pod_mac: &[u8],
    host_mac: &[u8],
) -> Result<(), PodError> {
    let name = &record.ifname;
    let mut pod = open()?;
    let link = present(find(&mut pod, name)?, || format!("the pod has no interface {name}"))?;
    expect(link.veth && link.peer == Some(host_index), || {
        format!("the pod's {name} is not the other end of the node's link")
    })?;
    expect(link.up, || format!("the pod's {name} is down"))?;
    expect(link.hardware == pod_mac, || format!("the pod's {name} has another hardware address"))?;
    let all = pod.dump(message::get_addresses()).doing(|| "listing the pod's addresses".into())?;
    for address in &record.addresses {
        expect(all.iter().any(|m| has_address(m, link.index, *address)), || {
            format!("the pod's {name} lacks the address {address}")
        })?;
        let gateway = gateway_for(address);
        expect(has_default(&mut pod, link.index, gateway)?, || {
            format!("the pod has no default route via {gateway}")
        })?;
        neighbor(&mut pod, &link, gateway, host_mac)?;
    }
    Ok(())
}

/// The link and the length of the prefix by which an address is routed.
fn routed_to(rtnl: &mut Rtnl, address: IpAddr) -> Result<Option<(u32, u8)>, PodError> {
    match rtnl.get(message::get_route_to(address)) {
        Ok(Some(RouteNetlinkMessage::NewRoute(route))) => {
            let oif = route.attributes.iter().find_map(|a| match a {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
            Ok(oif.map(|oif| (oif, route.header.destination_prefix_length)))
        }
        Ok(_) => Ok(None),
        // "No route" has several forms, `unreachable` among them.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ESRCH | libc::EINVAL)
            ) =>
        {
            Ok(None)
        }
        Err(source) => {
            Err(PodError::Kernel { what: format!("asking for the route to {address}"), source })
        }
    }
}

fn has_address(message: &RouteNetlinkMessage, index: u32, address: IpAddr) -> bool {
    match message {
        RouteNetlinkMessage::NewAddress(message) => {
            message.header.index == index
                && message
                    .attributes
                    .iter()
                    .any(|a| matches!(a, AddressAttribute::Address(found) if *found == address))
        }
        _ => false,
    }
}

fn has_default(pod: &mut Rtnl, index: u32, gateway: IpAddr) -> Result<bool, PodError> {
    let all = pod
        .dump(message::get_routes(Family::of(&gateway)))
        .doing(|| "listing the pod's routes".into())?;
    let gateway = RouteAddress::from(gateway);
    Ok(all.iter().any(|message| match message {
        RouteNetlinkMessage::NewRoute(route) => {
            route.header.destination_prefix_length == 0
                && route.attributes.contains(&RouteAttribute::Oif(index))
                && route.attributes.contains(&RouteAttribute::Gateway(gateway.clone()))
        }
        _ => false,
    }))
}

fn neighbor(
    rtnl: &mut Rtnl,
    link: &LinkState,
    address: IpAddr,
    hardware: &[u8],
) -> Result<(), PodError> {
    let all = rtnl.dump(message::get_neighbors(address)).doing(|| "listing neighbors".into())?;
    let wanted = NeighbourAttribute::Destination(NeighbourAddress::from(address));
    let found = all.iter().any(|message| match message {
        RouteNetlinkMessage::NewNeighbour(neighbor) => {
            neighbor.header.ifindex == link.index
                && neighbor.attributes.contains(&wanted)
                && neighbor
                    .attributes
                    .contains(&NeighbourAttribute::LinkLayerAddress(hardware.to_vec()))
        }
        _ => false,
    });
    expect(found, || format!("{} doesn't know its neighbor {address}", link.name))
}

fn present<T>(found: Option<T>, otherwise: impl FnOnce() -> String) -> Result<T, PodError> {
    found.ok_or_else(|| PodError::Wrong(otherwise()))
}

fn expect(so: bool, otherwise: impl FnOnce() -> String) -> Result<(), PodError> {
    if so { Ok(()) } else { Err(PodError::Wrong(otherwise())) }
}

use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use inet::{Family, LinkName};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::link::InfoKind;

use super::message::{self, LinkState};
use super::record::{self, HostLink, Record, host_name};
use super::rtnl::Rtnl;
use super::{Doing as _, PodError, ROUTES, check, gateway_for};
use crate::netns;
use crate::sysctl;

/// A pod's link as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The end on the node.
    pub host: End,
    /// The end in the pod.
    pub pod: End,
    /// The gateways of the pod's default routes, IPv4 first.
    pub gateways: Vec<IpAddr>,
}

/// One end of a pod's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub hardware: [u8; 6],
    /// Its MTU in bytes.
    pub mtu: u32,
}

impl End {
    /// The hardware address as people write it.
    pub fn mac(&self) -> String {
        let [a, b, c, d, e, f] = self.hardware;
        format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// Makes a pod's link as the record says. A link that is already so is left alone; one of the same
/// container that is not is made anew. When it fails, nothing is left.
pub fn attach(namespace: BorrowedFd<'_>, record: &Record, mtu: u32) -> Result<Attached, PodError> {
    refuse_own(namespace)?;
    // Refused before anything is made.
    let alias = record.to_alias()?;
    let attached = describe(record, mtu);
    let mut host = open()?;
    if let Some(link) = find_ours(&mut host, record)? {
        if link.mtu == mtu && check(namespace, record).is_ok() {
            return Ok(attached);
        }
        delete(&mut host, &link)?;
    }
    for gateway in &attached.gateways {
        forward(Family::of(gateway))?;
    }
    create(&mut host, namespace, &attached)?;
    let made = configure(&mut host, namespace, record, &attached, &alias);
    if made.is_err() {
        // What is left without a record is removed at the next start, if not now.
        let _ = find_ours(&mut host, record).map(|link| link.map(|l| delete(&mut host, &l)));
    }
    made.map(|()| attached)
}

/// Removes a container's link: true if there was one. The other end and all routes go with it;
/// with the pod's namespace they are gone already.
pub fn detach(container_id: &str, ifname: &str) -> Result<bool, PodError> {
    let mut host = open()?;
    let name = host_name(container_id, ifname);
    let Some(link) = find(&mut host, name.as_str())? else {
        return Ok(false);
    };
    match link.alias.as_deref().map(Record::from_alias) {
        // Half made, and of nobody else, for the name is this container's.
        None => {}
        Some(Some(record)) if record.is_of(container_id, ifname) => {}
        // Another's link is not ours to remove, and ours doesn't exist.
        Some(_) => return Ok(false),
    }
    delete(&mut host, &link).map(|()| true)
}

/// The pods' links on this node, and those whose making was interrupted.
pub fn list() -> Result<Vec<HostLink>, PodError> {
    let mut host = open()?;
    let request = message::get_links(Some(InfoKind::Veth));
    let links = host.dump(request).doing(|| "listing the node's links".into())?;
    let ours = links
        .iter()
        .filter_map(LinkState::of)
        .filter(|link| link.veth && record::is_host_name(&link.name));
    Ok(ours
        .filter_map(|link| {
            let name: LinkName = link.name.parse().ok()?;
            match link.alias.as_deref().map(Record::from_alias) {
                None => Some(HostLink::HalfMade { name }),
                Some(Some(record)) => Some(HostLink::Recorded { name, record }),
                // Somebody else's alias: not ours after all.
                Some(None) => None,
            }
        })
        .collect())
}

/// Removes a link that [`list`] found half made, unless it has been finished since.
pub fn remove_half_made(name: LinkName) -> Result<(), PodError> {
    let mut host = open()?;
    match find(&mut host, name.as_str())? {
        Some(link) if link.alias.is_none() && record::is_host_name(&link.name) => {
            delete(&mut host, &link)
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn open() -> Result<Rtnl, PodError> {
    Rtnl::open().doing(|| "opening a netlink socket".into())
}

pub(super) fn find(rtnl: &mut Rtnl, name: &str) -> Result<Option<LinkState>, PodError> {
    match rtnl.get(message::get_link(name)) {
        Ok(answer) => Ok(answer.as_ref().and_then(LinkState::of)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(source) => {
            Err(PodError::Kernel { what: format!("looking for the link {name}"), source })
        }
    }
}

pub(super) fn refuse_own(namespace: BorrowedFd<'_>) -> Result<(), PodError> {
    if !netns::is_network_namespace(namespace) {
        return Err(PodError::NoNamespace);
    }
    let own = netns::own().doing(|| "opening the node's namespace".into())?;
    match netns::same(namespace, own.as_fd()).doing(|| "comparing namespaces".into())? {
        true => Err(PodError::OwnNamespace),
        false => Ok(()),
    }
}

/// The container's link on the node, with or without its record; an error if the name is another's.
fn find_ours(host: &mut Rtnl, record: &Record) -> Result<Option<LinkState>, PodError> {
    let name = host_name(&record.container_id, &record.ifname);
    let Some(link) = find(host, name.as_str())? else {
        return Ok(None);
    };
    let other = match link.alias.as_deref().map(Record::from_alias) {
        None => !link.veth,
        Some(Some(found)) => !found.is_of(&record.container_id, &record.ifname),
        Some(None) => true,
    };
    if other { Err(PodError::LinkTaken(link.name)) } else { Ok(Some(link)) }
}

fn delete(host: &mut Rtnl, link: &LinkState) -> Result<(), PodError> {
    match host.change(message::delete_link(link.index), 0) {
        // The pod's namespace went at the same time.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => other.doing(|| format!("deleting the link {}", link.name)),
    }
}

fn describe(record: &Record, mtu: u32) -> Attached {
    let (host, pod) = record::hardware_addresses(&record.container_id, &record.ifname);
    let name = host_name(&record.container_id, &record.ifname);
    let mut gateways: Vec<IpAddr> = record.addresses.iter().map(gateway_for).collect();
    gateways.sort();
    gateways.dedup();
    Attached {
        host: End { name: name.as_str().to_owned(), hardware: host, mtu },
        pod: End { name: record.ifname.clone(), hardware: pod, mtu },
        gateways,
    }
}

fn create(
    host: &mut Rtnl,
    namespace: BorrowedFd<'_>,
    Attached { host: near, pod: far, .. }: &Attached,
) -> Result<(), PodError> {
    let request = message::new_veth(
        (&near.name, near.hardware),
        (&far.name, far.hardware),
        namespace,
        near.mtu,
    );
    match host.change(request, NLM_F_CREATE | NLM_F_EXCL) {
        // The node's name was free a moment ago, so it is the pod's that is taken.
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            Err(PodError::InterfaceTaken(far.name.clone()))
        }
        other => other.doing(|| format!("making the links {} and {}", near.name, far.name)),
    }
}

fn configure(
    host: &mut Rtnl,
    namespace: BorrowedFd<'_>,
    record: &Record,
    attached: &Attached,
    alias: &str,
) -> Result<(), PodError> {
    let near = &attached.host;
    let link = find(host, &near.name)?
        .ok_or_else(|| PodError::Wrong(format!("the link {} went away", near.name)))?;
    for gateway in &attached.gateways {
        prepare_host_link(&near.name, Family::of(gateway))?;
    }
    host.change(message::set_up(link.index), 0).doing(|| format!("setting {} up", near.name))?;

    netns::within(namespace, || configure_pod(record, attached))
        .doing(|| "entering the pod's namespace".into())??;

    for address in &record.addresses {
        let neighbor = message::new_neighbor(link.index, *address, attached.pod.hardware);
        host.change(neighbor, NLM_F_CREATE | NLM_F_REPLACE)
            .doing(|| format!("setting the neighbor {address} on {}", near.name))?;
        let route = message::host_route(link.index, *address, ROUTES);
        host.change(route, NLM_F_CREATE | NLM_F_REPLACE)
            .doing(|| format!("routing {address} to {}", near.name))?;
    }
    // Last: from here on the link is whole.
    host.change(message::set_alias(link.index, alias), 0)
        .doing(|| format!("writing the record of {}", near.name))
}

/// The pod's side, on a thread in its namespace.
fn configure_pod(record: &Record, attached: &Attached) -> Result<(), PodError> {
    let name = &attached.pod.name;
    if record.addresses.iter().any(IpAddr::is_ipv6) {
        sysctl::write(&format!("net/ipv6/conf/{name}/disable_ipv6"), "0")?;
    }
    let mut pod = open()?;
    let link = find(&mut pod, name)?
        .ok_or_else(|| PodError::Wrong(format!("the pod's {name} went away")))?;
    pod.change(message::set_up(link.index), 0).doing(|| format!("setting the pod's {name} up"))?;
    for address in &record.addresses {
        pod.change(message::new_address(link.index, *address), NLM_F_CREATE | NLM_F_REPLACE)
            .doing(|| format!("giving the pod's {name} the address {address}"))?;
    }
    for gateway in &attached.gateways {
        let neighbor = message::new_neighbor(link.index, *gateway, attached.host.hardware);
        pod.change(neighbor, NLM_F_CREATE | NLM_F_REPLACE)
            .doing(|| format!("setting the pod's neighbor {gateway}"))?;
        pod.change(message::default_route(link.index, *gateway), NLM_F_CREATE | NLM_F_EXCL)
            .doing(|| format!("setting the pod's default route via {gateway}"))?;
    }
    Ok(())
}

/// Lets the node forward packets of a family that its pods have. Not of another: a node that
/// forwards IPv6 takes no default route from router advertisements any more.
fn forward(family: Family) -> Result<(), PodError> {
    let key = match family {
        Family::Ipv4 => "net/ipv4/ip_forward",
        Family::Ipv6 => "net/ipv6/conf/all/forwarding",
    };
    sysctl::write(key, "1")?;
    Ok(())
}

/// Forwarding on, whatever the node's default for new links is; and with strict reverse path
/// filtering a pod can't send with an IPv4 address that is not its own.
fn prepare_host_link(name: &str, family: Family) -> Result<(), PodError> {
    let settings = match family {
        Family::Ipv4 => [("ipv4", "forwarding", "1"), ("ipv4", "rp_filter", "1")],
        Family::Ipv6 => [("ipv6", "disable_ipv6", "0"), ("ipv6", "forwarding", "1")],
    };
    for (family, key, value) in settings {
        sysctl::write(&format!("net/{family}/conf/{name}/{key}"), value)?;
    }
    Ok(())
}

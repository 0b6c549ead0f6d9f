//! Routes, links and addresses as rtnetlink writes them.

use std::net::IpAddr;

use inet::{Family, LinkName, Prefix};
use route_table::{
    Action, Change, KernelEvent, KernelRoute, KernelTarget, Leg, Link, LinkAddress, LinkIndex,
    ObjectId, RouteNews,
};

use crate::nexthop;
use crate::routes::Owner;
use crate::wire::{self, Message, Writer};

pub(crate) const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
pub(crate) const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
pub(crate) const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
pub(crate) const GET_ROUTE: u16 = 26;

pub(crate) const F_REQUEST: u16 = 0x001;
pub(crate) const F_ACK: u16 = 0x004;
pub(crate) const F_DUMP: u16 = 0x300;
pub(crate) const F_REPLACE: u16 = 0x100;
pub(crate) const F_EXCL: u16 = 0x200;
pub(crate) const F_CREATE: u16 = 0x400;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;

const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;

pub(crate) const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;

const RTNH_DEAD: u8 = 1;
const RTNH_ONLINK: u8 = 4;
const RTM_CLONED: u32 = 0x200;

const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
const IFLA_NAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VRF_TABLE: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_DAD_FAILED: u32 = 0x08;
const IFA_TENTATIVE: u32 = 0x40;

/// The number of an address family.
pub(crate) const fn family_number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => libc::AF_INET as u8,
        Family::Ipv6 => libc::AF_INET6 as u8,
    }
}

/// Reads any message that the table looks at; others are nothing.
pub(crate) fn event(message: &Message<'_>) -> Option<KernelEvent> {
    match message.kind {
        NEW_LINK => link(message.payload).map(KernelEvent::Link),
        DELETE_LINK => link(message.payload).map(|link| KernelEvent::LinkGone(link.index)),
        NEW_ADDRESS => address(message.payload).map(|(usable, address)| match usable {
            true => KernelEvent::Address(address),
            false => KernelEvent::AddressGone(address),
        }),
        DELETE_ADDRESS => {
            address(message.payload).map(|(_, address)| KernelEvent::AddressGone(address))
        }
        NEW_ROUTE => {
            let replaced = message.flags & F_REPLACE != 0;
            let news = if replaced { RouteNews::Replaced } else { RouteNews::Added };
            route(message.payload).map(|route| KernelEvent::Route(news, route))
        }
        DELETE_ROUTE => {
            route(message.payload).map(|route| KernelEvent::Route(RouteNews::Removed, route))
        }
        nexthop::NEW => nexthop::object(message.payload).map(KernelEvent::Object),
        nexthop::DELETE => {
            nexthop::object(message.payload).map(|object| KernelEvent::ObjectGone(object.id))
        }
        _ => None,
    }
}

fn link(bytes: &[u8]) -> Option<Link> {
    // A bridge tells of its ports in messages of its own family: those are no links.
    if wire::read_u8(bytes, 0)? != libc::AF_UNSPEC as u8 {
        return None;
    }
    let index = wire::read_u32(bytes, 4)?;
    let flags = wire::read_u32(bytes, 8)?;
    let (mut name, mut master, mut vrf_table) = (None, None, None);
    for (kind, value) in wire::attributes(bytes.get(16..)?) {
        match kind {
            IFLA_NAME => {
                let text = value.strip_suffix(&[0]).and_then(|v| std::str::from_utf8(v).ok());
                name = text.and_then(|text| text.parse().ok());
            }
            IFLA_MASTER => master = wire::read_u32(value, 0).filter(|n| *n != 0).map(LinkIndex),
            IFLA_LINKINFO => vrf_table = vrf(value),
            _ => {}
        }
    }
    // The kernel takes names that we do not write anywhere; such a link is known by its number.
    let name: LinkName = match name {
        Some(name) => name,
        None => format!("if{index}").parse().ok()?,
    };
    let up = flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING;
    Some(Link { index: LinkIndex(index), name, up, master, vrf_table })
}

/// The table of a VRF; none for other kinds of links.
fn vrf(info: &[u8]) -> Option<u32> {
    let find = |wanted: u16| wire::attributes(info).find(|(kind, _)| *kind == wanted);
    let (_, kind) = find(IFLA_INFO_KIND)?;
    let (_, data) = find(IFLA_INFO_DATA)?;
    if kind.strip_suffix(&[0]).unwrap_or(kind) != b"vrf" {
        return None;
    }
    let (_, table) = wire::attributes(data).find(|(kind, _)| *kind == IFLA_VRF_TABLE)?;
    wire::read_u32(table, 0)
}

/// An address, and whether it can be used yet (duplicate address detection, RFC 4862 §5.4).
fn address(bytes: &[u8]) -> Option<(bool, LinkAddress)> {
    let link = LinkIndex(wire::read_u32(bytes, 4)?);
    let mut flags = u32::from(wire::read_u8(bytes, 2)?);
    let (mut local, mut peer) = (None, None);
    for (kind, value) in wire::attributes(bytes.get(8..)?) {
        match kind {
            IFA_LOCAL => local = wire::read_address(value),
            IFA_ADDRESS => peer = wire::read_address(value),
            IFA_FLAGS => flags = wire::read_u32(value, 0)?,
            _ => {}
        }
    }
    // With a peer, IFA_ADDRESS is the other end; IPv6 without one has no IFA_LOCAL.
    let address = local.or(peer)?;
    Some((flags & (IFA_TENTATIVE | IFA_DAD_FAILED) == 0, LinkAddress { link, address }))
}

/// Reads a route; none if it is of a kind that forwards or drops no ordinary packets (local,
/// broadcast, multicast, by type of service or source, or a cached exception).
pub(crate) fn route(bytes: &[u8]) -> Option<KernelRoute> {
    let header: &[u8; 12] = bytes.first_chunk()?;
    let [family, len, source_len, tos, table, protocol, _scope, kind, flags @ ..] = *header;
    let flags = u32::from_ne_bytes(flags);
    if flags & RTM_CLONED != 0 || tos != 0 || source_len != 0 {
        return None;
    }
    let family = match i32::from(family) {
        libc::AF_INET => Family::Ipv4,
        libc::AF_INET6 => Family::Ipv6,
        _ => return None,
    };
    let mut destination = Prefix::default_route(family).address();
    let (mut table, mut metric) = (u32::from(table), 0);
    let (mut link, mut gateway, mut legs, mut object) = (None, None, Vec::new(), None);
    for (kind, value) in wire::attributes(bytes.get(12..)?) {
        match kind {
            RTA_DST => destination = wire::read_address(value)?,
            RTA_TABLE => table = wire::read_u32(value, 0)?,
            RTA_PRIORITY => metric = wire::read_u32(value, 0)?,
            RTA_OIF => link = Some(LinkIndex(wire::read_u32(value, 0)?)),
            RTA_GATEWAY | RTA_VIA => gateway = Some(read_gateway(kind, value)?),
            RTA_NH_ID => object = wire::read_u32(value, 0).map(ObjectId),
            RTA_MULTIPATH => legs = read_legs(value),
            _ => {}
        }
    }
    let target = match kind {
        RTN_UNICAST => {
            let dead = flags & u32::from(RTNH_DEAD) != 0;
            legs.extend(link.filter(|_| !dead).map(|link| Leg::new(gateway, link)));
            legs.sort_unstable();
            legs.dedup();
            KernelTarget::Legs(legs)
        }
        RTN_BLACKHOLE => KernelTarget::Blackhole,
        RTN_UNREACHABLE => KernelTarget::Unreachable,
        RTN_PROHIBIT => KernelTarget::Prohibit,
        _ => return None,
    };
    let prefix = Prefix::new(destination, len).ok()?;
    Some(KernelRoute { prefix, table, protocol, metric, target, object })
}

pub(crate) fn read_gateway(kind: u16, value: &[u8]) -> Option<IpAddr> {
    match kind {
        // A gateway of the other family stands behind its family's number (RFC 8950's use).
        RTA_VIA => wire::read_address(value.get(2..)?),
        _ => wire::read_address(value),
    }
}

/// The legs of a multipath route that are not dead.
fn read_legs(mut bytes: &[u8]) -> Vec<Leg> {
    let mut legs = Vec::new();
    while let Some((len, leg)) = read_leg(bytes) {
        legs.extend(leg);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    legs
}

fn read_leg(bytes: &[u8]) -> Option<(usize, Option<Leg>)> {
    let len = usize::from(wire::read_u16(bytes, 0)?);
    let whole = bytes.get(..len)?;
    let flags = wire::read_u8(whole, 2)?;
    let weight = u16::from(wire::read_u8(whole, 3)?) + 1;
    let link = LinkIndex(wire::read_u32(whole, 4)?);
    let gateway = wire::attributes(whole.get(8..)?)
        .filter(|(kind, _)| matches!(*kind, RTA_GATEWAY | RTA_VIA))
        .find_map(|(kind, value)| read_gateway(kind, value));
    Some((len, (flags & RTNH_DEAD == 0).then_some(Leg { gateway, link, weight })))
}

/// Writes one change as a message. The reply comes only on failure, unless F_ACK is added.
pub(crate) fn write_change(
    out: &mut Writer,
    sequence: u32,
    owner: &Owner,
    sources: &[IpAddr],
    change: &Change,
) {
    let prefix = &change.prefix;
    match &change.action {
        Action::Replace(target) => {
            out.begin(NEW_ROUTE, F_REQUEST | F_CREATE | F_REPLACE, sequence);
            let (kind, scope, legs): (u8, u8, &[Leg]) = match target {
                KernelTarget::Legs(legs) if legs.iter().all(|leg| leg.gateway.is_none()) => {
                    (RTN_UNICAST, SCOPE_LINK, legs)
                }
                KernelTarget::Legs(legs) => (RTN_UNICAST, SCOPE_UNIVERSE, legs),
                KernelTarget::Blackhole => (RTN_BLACKHOLE, SCOPE_UNIVERSE, &[]),
                KernelTarget::Unreachable => (RTN_UNREACHABLE, SCOPE_UNIVERSE, &[]),
                KernelTarget::Prohibit => (RTN_PROHIBIT, SCOPE_UNIVERSE, &[]),
            };
            let flags = match legs {
                [leg] => leg_flags(leg),
                _ => 0,
            };
            write_route_header(out, prefix, owner, scope, kind, flags);
            match legs {
                [] => {}
                [leg] => {
                    out.attribute_u32(RTA_OIF, leg.link.0);
                    write_gateway(out, prefix, leg);
                }
                legs => out.nested(RTA_MULTIPATH, |out| {
                    for leg in legs {
                        write_leg(out, prefix, leg);
                    }
                }),
            }
            if !legs.is_empty() {
                write_source(out, prefix, sources);
            }
        }
        Action::Via(object) => {
            out.begin(NEW_ROUTE, F_REQUEST | F_CREATE | F_REPLACE, sequence);
            write_route_header(out, prefix, owner, SCOPE_UNIVERSE, RTN_UNICAST, 0);
            out.attribute_u32(RTA_NH_ID, object.0);
            write_source(out, prefix, sources);
        }
        Action::Delete => {
            out.begin(DELETE_ROUTE, F_REQUEST, sequence);
            // Type 0 and scope "nowhere" match any of this prefix, protocol and metric.
            write_route_header(out, prefix, owner, SCOPE_NOWHERE, 0, 0);
        }
    }
    out.end();
}

fn write_source(out: &mut Writer, prefix: &Prefix, sources: &[IpAddr]) {
    let source = sources.iter().find(|source| Family::of(source) == prefix.family());
    if let Some(source) = source {
        out.attribute_address(RTA_PREFSRC, source);
    }
}

fn write_route_header(
    out: &mut Writer,
    prefix: &Prefix,
    owner: &Owner,
    scope: u8,
    kind: u8,
    flags: u8,
) {
    let family = family_number(prefix.family());
    // The one-byte field is too small for most tables; RTA_TABLE counts.
    out.put(&[family, prefix.len(), 0, 0, 0, owner.protocol, scope, kind]);
    out.put(&u32::from(flags).to_ne_bytes());
    out.attribute_address(RTA_DST, &prefix.address());
    out.attribute_u32(RTA_TABLE, owner.table);
    out.attribute_u32(RTA_PRIORITY, owner.metric);
}

fn write_leg(out: &mut Writer, prefix: &Prefix, leg: &Leg) {
    let at = out.len();
    // Length (patched below), flags, weight minus one, link.
    out.put(&[0, 0, leg_flags(leg), leg.weight.clamp(1, 256).wrapping_sub(1) as u8]);
    out.put(&leg.link.0.to_ne_bytes());
    write_gateway(out, prefix, leg);
    out.patch_len(at);
}

fn write_gateway(out: &mut Writer, prefix: &Prefix, leg: &Leg) {
    match &leg.gateway {
        None => {}
        Some(gateway) if Family::of(gateway) == prefix.family() => {
            out.attribute_address(RTA_GATEWAY, gateway);
        }
        Some(gateway) => out.nested(RTA_VIA, |out| {
            out.put(&u16::from(family_number(Family::of(gateway))).to_ne_bytes());
            match gateway {
                IpAddr::V4(a) => out.put(&a.octets()),
                IpAddr::V6(a) => out.put(&a.octets()),
            }
        }),
    }
}

/// A gateway is on its link by the word of the route that it was taken from, which the kernel's own
/// look-up need not bear out: that route may say `onlink` itself.
fn leg_flags(leg: &Leg) -> u8 {
    leg.gateway.map_or(0, |gateway| gateway_flags(&gateway))
}

pub(crate) fn gateway_flags(gateway: &IpAddr) -> u8 {
    match gateway {
        IpAddr::V6(gateway) if gateway.is_unicast_link_local() => 0,
        IpAddr::V4(_) | IpAddr::V6(_) => RTNH_ONLINK,
    }
}

/// Writes a request for all objects of a kind; for routes, those of one table (0: all).
pub(crate) fn write_dump(out: &mut Writer, kind: u16, family: u8, table: u32) {
    out.clear();
    out.begin(kind, F_REQUEST | F_DUMP, 1);
    match kind {
        GET_ROUTE => {
            out.put(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            if table != 0 {
                out.attribute_u32(RTA_TABLE, table);
            }
        }
        GET_LINK => out.put(&[0; 16]),
        nexthop::GET => out.put(&[0; 8]),
        _ => out.put(&[family, 0, 0, 0, 0, 0, 0, 0]),
    }
    out.end();
}

//! The links and their addresses, as they are now.

use std::io;

use route_table::{KernelEvent, Link, LinkAddress};

use crate::message;
use crate::socket::Netlink;

/// All links of this thread's network namespace. Blocks for as long as the kernel takes to answer.
pub fn list() -> io::Result<Vec<Link>> {
    read_links(&mut Netlink::open()?)
}

/// All usable addresses (IPv6: those past duplicate address detection). Blocks likewise.
pub fn addresses() -> io::Result<Vec<LinkAddress>> {
    read_addresses(&mut Netlink::open()?)
}

pub(crate) fn read_links(netlink: &mut Netlink) -> io::Result<Vec<Link>> {
    netlink.dump(message::GET_LINK, 0, 0, |message| match message::event(message) {
        Some(KernelEvent::Link(link)) => Some(link),
        _ => None,
    })
}

pub(crate) fn read_addresses(netlink: &mut Netlink) -> io::Result<Vec<LinkAddress>> {
    netlink.dump(message::GET_ADDRESS, 0, 0, |message| match message::event(message) {
        Some(KernelEvent::Address(address)) => Some(address),
        _ => None,
    })
}

//! The four calls on a routing netlink socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A socket in the calling thread's network namespace; one that listens hears of IPv4 routes and
/// next hops.
pub(super) fn open(listens: bool) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 512 << 20)?;
    option(&fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 8 << 20)?;
    // Without an address of its own the kernel counts it as the sender and tells it nothing.
    // SAFETY: an all-zero address is a valid value; the pointer and the size are those of it.
    let bound = unsafe {
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), size)
    };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    let groups = if listens { &[libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_NEXTHOP][..] } else { &[] };
    for group in groups.iter().copied() {
        option(&fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group as libc::c_int)?;
    }
    Ok(fd)
}

fn option(fd: &OwnedFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the size are those of one live integer.
    let done = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), size)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one live slice.
    let count = unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one live slice.
    let count = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

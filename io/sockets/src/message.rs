//! One datagram with what the kernel knows about its way: TTL, interface, destination.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libc::c_int;
use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, Socket};
use tokio::io::unix::AsyncFd;

use crate::options::set_int;

/// A datagram's way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// So many bytes of the buffer are it.
    pub(crate) len: usize,
    pub(crate) remote: SocketAddr,
    /// Its destination.
    pub(crate) local: IpAddr,
    /// The index of the interface that it came in by.
    pub(crate) link: u32,
    pub(crate) ttl: u8,
}

/// Lets the kernel tell the way of what a socket receives.
pub(crate) fn tell_way(socket: &Socket, ipv4: bool) -> io::Result<()> {
    let options: [(c_int, c_int); 2] = if ipv4 {
        [(libc::IPPROTO_IP, libc::IP_RECVTTL), (libc::IPPROTO_IP, libc::IP_PKTINFO)]
    } else {
        [
            (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        ]
    };
    options.into_iter().try_for_each(|(level, name)| set_int(socket, level, name, 1))
}

/// Lets the runtime tell when a socket can be read.
pub(crate) fn watch(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a `Socket` owns its one descriptor from its making to its drop: it always gives the
    // same one, and the `AsyncFd` that owns it ends before it does.
    let watched = unsafe { AsyncFd::register(socket) };
    watched.map_err(io::Error::from)
}

/// Receives one datagram; what does not fit the buffer is cut off. Nothing comes of one whose way
/// the kernel does not tell.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<Way>> {
    let mut control = [0_u8; 128];
    // It must have room for the longer family.
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0);
    let mut remote = SockAddr::from(any);
    let (len, told) = {
        let mut buffers = [MaybeUninitSlice::new(uninit(buffer))];
        let mut header = MsgHdrMut::new()
            .with_addr(&mut remote)
            .with_buffers(&mut buffers)
            .with_control(uninit(&mut control));
        let len = socket.recvmsg(&mut header, 0)?;
        (len, header.control_len())
    };
    let (mut ttl, mut came) = (None, None);
    let mut rest = control.get(..told).unwrap_or_default();
    while let Some(((level, kind), data, after)) = cut(rest) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                ttl = data.first_chunk().map(|ttl| c_int::from_ne_bytes(*ttl));
            }
            // `struct in_pktinfo`: index, our address, destination.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let index = data.first_chunk().map(|index| u32::from_ne_bytes(*index));
                let address = data.get(8..).and_then(|rest| rest.first_chunk::<4>());
                came = index.zip(address.map(|address| IpAddr::from(*address)));
            }
            // `struct in6_pktinfo`: destination, index.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let address = data.first_chunk::<16>();
                let address = address.map(|address| Ipv6Addr::from(*address).into());
                let index = data.get(16..).and_then(|rest| rest.first_chunk());
                came = index.map(|index| u32::from_ne_bytes(*index)).zip(address);
            }
            _ => {}
        }
        rest = after;
    }
    let ttl = ttl.and_then(|ttl| u8::try_from(ttl).ok());
    Ok(remote.as_socket().zip(came).zip(ttl).map(|((remote, (link, local)), ttl)| Way {
        len,
        remote,
        local,
        link,
        ttl,
    }))
}

/// Cuts the first control message off: its level and type, its data, and what follows.
#[expect(clippy::type_complexity, reason = "three words that are used once")]
fn cut(control: &[u8]) -> Option<((c_int, c_int), &[u8], &[u8])> {
    const WORD: usize = size_of::<usize>();
    const HEADER: usize = WORD + 2 * size_of::<c_int>();
    let len = usize::from_ne_bytes(*control.first_chunk::<WORD>()?);
    let level = c_int::from_ne_bytes(*control.get(WORD..)?.first_chunk()?);
    let kind = c_int::from_ne_bytes(*control.get(WORD + size_of::<c_int>()..)?.first_chunk()?);
    let data = control.get(HEADER..len)?;
    let after = control.get(len.next_multiple_of(WORD)..).unwrap_or_default();
    Some(((level, kind), data, after))
}

fn uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let (start, len) = (bytes.as_mut_ptr().cast::<MaybeUninit<u8>>(), bytes.len());
    // SAFETY: both types have one layout, the borrow goes over to the result, and the kernel, the
    // only one to write through it, writes initialised bytes.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}

//! Socket options that no library has: TCP keys, minimum TTL, names of interfaces.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::Duration;

use inet::{AoKey, LinkName, Secret, wipe};
use libc::c_int;
use socket2::{SockRef, Socket, TcpKeepalive};

use crate::ao::{self, Place, whole};
use crate::peers::Auth;

/// `TCP_MD5SIG_FLAG_PREFIX` and `TCP_MD5SIG_FLAG_IFINDEX` of linux/tcp.h.
const MD5_FLAG_PREFIX: u8 = 1;
const MD5_FLAG_DEVICE: u8 = 2;
/// The length of `struct tcp_md5sig`.
const MD5_LEN: usize = 216;

/// The length of `struct sockaddr_storage`.
pub(crate) const ADDRESS_LEN: usize = 128;

/// Ends a TCP connection whose other end acknowledges nothing, or takes nothing, for so long
/// (RFC 5482), be there anything to send or not.
///
/// # Errors
/// What the kernel says.
pub fn end_when_silent(socket: &impl AsFd, after: Duration) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_user_timeout(Some(after))?;
    let (idle, every) = (after / 2, after / 6);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(idle).with_interval(every).with_retries(3),
    )
}

/// Sets an option from bytes laid out as the kernel's struct.
pub(crate) fn set(socket: &impl AsFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let len = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are those of one living slice, which the kernel only
    // reads; the descriptor is open for as long as `socket` is borrowed.
    let set = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an option that is a number.
pub(crate) fn set_int(
    socket: &impl AsFd,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    set(socket, level, name, &value.to_ne_bytes())
}

/// Received segments must have at least this TTL or hop limit (RFC 5082).
pub(crate) fn set_min_ttl(socket: &impl AsFd, remote: IpAddr, ttl: u8) -> io::Result<()> {
    match remote {
        IpAddr::V4(_) => set_int(socket, libc::IPPROTO_IP, libc::IP_MINTTL, ttl.into()),
        IpAddr::V6(_) => set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, ttl.into()),
    }
}

/// Gives a socket that is to connect the keys of its peer.
///
/// # Errors
/// As the kernel says it; or, where it has no such thing, a sentence that says so.
pub(crate) fn dial_with(socket: &impl AsFd, peer: IpAddr, auth: &Auth) -> io::Result<()> {
    match auth {
        Auth::None => Ok(()),
        Auth::Md5(secret) => md5(socket, whole(peer), None, Some(secret)),
        Auth::Ao(keys) => ao::dial(socket, peer, keys),
    }
}

/// Gives a connection that came in the keys of its peer: it may have come before its listener had
/// them. `others` are as for [`ao::accepted`], `device` is what its listener is bound to.
///
/// # Errors
/// As the kernel says it, or that the connection is not signed as it must be.
pub(crate) fn accept_with(
    socket: &impl AsFd,
    peer: IpAddr,
    device: Option<u32>,
    auth: &Auth,
    others: &[(Place, AoKey)],
) -> io::Result<()> {
    match auth {
        Auth::None => Ok(()),
        Auth::Md5(secret) => md5(socket, whole(peer), device, Some(secret)),
        Auth::Ao(keys) => ao::accepted(socket, peer, keys, others),
    }
}

/// Changes the keys of a connection that lives: it goes on if the peer changes its own in time.
/// `device` is what the listener is bound to that it came from.
///
/// # Errors
/// As the kernel says it: the connection must end then.
pub(crate) fn rekey(
    socket: &impl AsFd,
    peer: IpAddr,
    device: Option<u32>,
    old: &Auth,
    new: &Auth,
) -> io::Result<()> {
    match (old, new) {
        (Auth::None, Auth::None) => Ok(()),
        // The kernel puts it in the other's place.
        (Auth::None | Auth::Md5(_), Auth::Md5(secret)) => {
            md5(socket, whole(peer), device, Some(secret))
        }
        (Auth::Md5(_), Auth::None) => without_md5(socket, whole(peer), device),
        (Auth::Ao(old), Auth::Ao(new)) => ao::rekey(socket, peer, old, new),
        (Auth::None | Auth::Md5(_), Auth::Ao(_)) | (Auth::Ao(_), Auth::None | Auth::Md5(_)) => {
            // RFC 5925 §7.
            Err(io::Error::other("a connection has TCP-AO from its first segment or never"))
        }
    }
}

/// Takes from a listener the keys of a place that are not wanted there.
///
/// # Errors
/// As the kernel says it.
pub(crate) fn unlisten_with(
    socket: &impl AsFd,
    place: Place,
    device: Option<u32>,
    has: &mut Auth,
    wanted: &Auth,
) -> io::Result<()> {
    match (&mut *has, wanted) {
        // Of MD5 the kernel puts one key in the other's place: there is no moment without.
        (Auth::None, _) | (Auth::Md5(_), Auth::Md5(_)) => {}
        (Auth::Md5(_), Auth::None | Auth::Ao(_)) => {
            without_md5(socket, place, device)?;
            *has = Auth::None;
        }
        (Auth::Ao(keys), wanted) => {
            let stays = if let Auth::Ao(wanted) = wanted { wanted.as_slice() } else { &[] };
            while let Some(at) = keys.iter().position(|key| !stays.contains(key)) {
                // What the kernel keeps is tried again: it would let in who signs with it.
                if let Some(key) = keys.get(at) {
                    ao::unlisten(socket, place, key)?;
                }
                keys.remove(at);
            }
        }
    }
    Ok(())
}

/// Gives a listener the keys of a place that it has not yet.
///
/// # Errors
/// As the kernel says it; or, where it has no such thing, a sentence that says so.
pub(crate) fn listen_with(
    socket: &impl AsFd,
    place: Place,
    device: Option<u32>,
    has: &mut Auth,
    wanted: &Auth,
) -> io::Result<()> {
    match wanted {
        Auth::None => {}
        Auth::Md5(_) if has == wanted => {}
        Auth::Md5(secret) => {
            md5(socket, place, device, Some(secret))?;
            *has = wanted.clone();
        }
        Auth::Ao(keys) => {
            for key in keys {
                match has {
                    Auth::Ao(has) if has.contains(key) => continue,
                    Auth::Ao(_) | Auth::None | Auth::Md5(_) => {}
                }
                ao::listen(socket, place, key)?;
                match has {
                    Auth::Ao(has) => has.push(key.clone()),
                    Auth::None | Auth::Md5(_) => *has = Auth::Ao(vec![key.clone()]),
                }
            }
        }
    }
    Ok(())
}

/// Takes a key of MD5 away. One that is not there is away already.
fn without_md5(socket: &impl AsFd, place: Place, device: Option<u32>) -> io::Result<()> {
    match md5(socket, place, device, None) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        removed => removed,
    }
}

/// Sets or takes away the key of a place, in the VRF whose device this is. What comes in there has
/// a copy of its listener's key that is of the VRF, too: only a key of the VRF takes its place.
fn md5(
    socket: &impl AsFd,
    place: Place,
    device: Option<u32>,
    secret: Option<&Secret>,
) -> io::Result<()> {
    let in_vrf = |device| {
        let mut value = md5_value(place, device, secret);
        let set = set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG_EXT, &value);
        wipe(&mut value);
        set
    };
    let set = match in_vrf(device) {
        // The device is an interface, or has gone.
        Err(error) if device.is_some() && error.raw_os_error() == Some(libc::EINVAL) => {
            in_vrf(None)
        }
        set => set,
    };
    set.map_err(|error| explain(error, "TCP MD5 (CONFIG_TCP_MD5SIG)"))
}

pub(crate) fn explain(error: io::Error, what: &str) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT) => {
            io::Error::new(io::ErrorKind::Unsupported, format!("this kernel has no {what}"))
        }
        Some(libc::ENOMEM) => {
            let words = "a socket has no room for more keys (sysctl net.core.optmem_max)";
            io::Error::new(io::ErrorKind::OutOfMemory, words)
        }
        Some(_) | None => error,
    }
}

/// `struct tcp_md5sig`; a key of no length takes the old one away.
fn md5_value((peer, bits): Place, device: Option<u32>, secret: Option<&Secret>) -> Vec<u8> {
    let secret = secret.map(Secret::reveal).unwrap_or_default().as_bytes();
    let flags = if device.is_some() { MD5_FLAG_PREFIX | MD5_FLAG_DEVICE } else { MD5_FLAG_PREFIX };
    let mut value = Vec::with_capacity(MD5_LEN);
    value.extend(address(peer));
    value.extend([flags, bits]);
    value.extend((secret.len() as u16).to_ne_bytes());
    value.extend(device.unwrap_or_default().to_ne_bytes());
    value.extend(secret);
    value.resize(MD5_LEN, 0);
    value
}

/// `struct sockaddr_storage` without port and scope.
pub(crate) fn address(address: IpAddr) -> [u8; ADDRESS_LEN] {
    let mut value = [0; ADDRESS_LEN];
    let (family, at, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, 4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, 8, v6.octets().to_vec()),
    };
    let family = (family as u16).to_ne_bytes();
    for (to, from) in value.iter_mut().zip(family) {
        *to = from;
    }
    for (to, from) in value.iter_mut().skip(at).zip(octets) {
        *to = from;
    }
    value
}

/// Whether an interface is up and works.
pub(crate) fn has_carrier(socket: &Socket, name: LinkName) -> bool {
    // SAFETY: all bytes zero is a value of it: numbers, an array of them, and null pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // A name has at most IFNAMSIZ - 1 bytes: the last stays zero.
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    // SAFETY: the kernel reads the name and writes the flags, both within the request.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    // SAFETY: the call has written this member of the union, and zero was one of its values before.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    let wanted = libc::IFF_UP | libc::IFF_RUNNING;
    asked == 0 && flags & wanted == wanted
}

/// The index of an interface; nothing when it is not there.
pub(crate) fn link_index(name: LinkName) -> Option<u32> {
    let mut text = name.as_str().as_bytes().to_vec();
    text.push(0);
    // SAFETY: the text ends with a NUL and lives over the call, which only reads it.
    let index = unsafe { libc::if_nametoindex(text.as_ptr().cast()) };
    (index != 0).then_some(index)
}

/// The name of an interface; nothing when it is not there.
pub(crate) fn link_name(index: u32) -> Option<LinkName> {
    let mut text = [0_u8; libc::IF_NAMESIZE];
    // SAFETY: the kernel's library writes at most IF_NAMESIZE bytes, the size of the array.
    let found = unsafe { libc::if_indextoname(index, text.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    let text = text.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;

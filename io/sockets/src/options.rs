//! Socket options that no library has: TCP keys, minimum TTL, names of interfaces.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::Duration;

use inet::LinkName;
use libc::c_int;
use socket2::{SockRef, Socket, TcpKeepalive};

use crate::peers::{AoAlgorithm, AoKey, Auth};
use crate::secret::{Secret, wipe};

/// `TCP_MD5SIG_FLAG_PREFIX` of linux/tcp.h.
const MD5_FLAG_PREFIX: u8 = 1;
/// The length of `struct tcp_md5sig`.
const MD5_LEN: usize = 216;

/// Options and lengths of linux/tcp.h since 6.7.
const TCP_AO_ADD_KEY: c_int = 38;
const TCP_AO_DEL_KEY: c_int = 39;
const AO_ADD_LEN: usize = 288;
const AO_DEL_LEN: usize = 144;

/// The length of `struct sockaddr_storage`.
const ADDRESS_LEN: usize = 128;

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

/// Gives a socket the key of a peer or of a prefix of peers, in place of the one before.
///
/// # Errors
/// As the kernel says it; or, where it has no such thing, a sentence that says so.
pub(crate) fn add_key(socket: &impl AsFd, peer: IpAddr, bits: u8, auth: &Auth) -> io::Result<()> {
    match auth {
        Auth::None => Ok(()),
        Auth::Md5(secret) => md5(socket, peer, bits, Some(secret)),
        Auth::Ao(key) => {
            let mut value = ao_add(peer, bits, key);
            let set = set(socket, libc::IPPROTO_TCP, TCP_AO_ADD_KEY, &value);
            wipe(&mut value);
            match set {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
                set => set.map_err(|error| explain(error, "TCP-AO (Linux 6.7 with CONFIG_TCP_AO)")),
            }
        }
    }
}

/// Takes a key away. One that is not there is away already.
pub(crate) fn remove_key(
    socket: &impl AsFd,
    peer: IpAddr,
    bits: u8,
    auth: &Auth,
) -> io::Result<()> {
    let removed = match auth {
        Auth::None => Ok(()),
        Auth::Md5(_) => md5(socket, peer, bits, None),
        Auth::Ao(key) => {
            let value = ao_delete(peer, bits, key);
            set(socket, libc::IPPROTO_TCP, TCP_AO_DEL_KEY, &value)
        }
    };
    match removed {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        removed => removed,
    }
}

fn md5(socket: &impl AsFd, peer: IpAddr, bits: u8, secret: Option<&Secret>) -> io::Result<()> {
    let mut value = md5_value(peer, bits, secret);
    let set = set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG_EXT, &value);
    wipe(&mut value);
    set.map_err(|error| explain(error, "TCP MD5 (CONFIG_TCP_MD5SIG)"))
}

fn explain(error: io::Error, what: &str) -> io::Error {
    if error.raw_os_error() == Some(libc::ENOPROTOOPT) {
        return io::Error::new(io::ErrorKind::Unsupported, format!("this kernel has no {what}"));
    }
    error
}

/// `struct tcp_md5sig`; a key of no length takes the old one away.
fn md5_value(peer: IpAddr, bits: u8, secret: Option<&Secret>) -> Vec<u8> {
    let secret = secret.map(Secret::bytes).unwrap_or_default();
    let mut value = Vec::with_capacity(MD5_LEN);
    value.extend(address(peer));
    value.extend([MD5_FLAG_PREFIX, bits]);
    value.extend((secret.len() as u16).to_ne_bytes());
    value.extend([0; 4]);
    value.extend(secret);
    value.resize(MD5_LEN, 0);
    value
}

/// `struct tcp_ao_add`.
fn ao_add(peer: IpAddr, bits: u8, key: &AoKey) -> Vec<u8> {
    let (name, mac): (&[u8], u8) = match key.algorithm {
        AoAlgorithm::HmacSha1 => (b"hmac(sha1)", 12),
        AoAlgorithm::AesCmac => (b"cmac(aes128)", 12),
        AoAlgorithm::HmacSha256 => (b"hmac(sha256)", 16),
    };
    let secret = key.secret.bytes();
    let mut value = Vec::with_capacity(AO_ADD_LEN);
    value.extend(address(peer));
    value.extend(name);
    value.resize(ADDRESS_LEN + 64, 0);
    value.extend([0; 4]);
    // A listening socket has no next key to ask for, and takes no such bit.
    value.extend(0_u32.to_ne_bytes());
    value.extend([0; 2]);
    value.extend([bits, key.send_id, key.receive_id, mac, 0, secret.len() as u8]);
    value.extend(secret);
    value.resize(AO_ADD_LEN, 0);
    value
}

/// `struct tcp_ao_del`.
fn ao_delete(peer: IpAddr, bits: u8, key: &AoKey) -> Vec<u8> {
    let mut value = Vec::with_capacity(AO_DEL_LEN);
    value.extend(address(peer));
    value.extend([0; 10]);
    value.extend([bits, key.send_id, key.receive_id]);
    value.resize(AO_DEL_LEN, 0);
    value
}

/// `struct sockaddr_storage` without port and scope.
fn address(address: IpAddr) -> [u8; ADDRESS_LEN] {
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

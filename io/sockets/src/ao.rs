//! TCP-AO (RFC 5925), as Linux has it since 6.7: keys of listeners and of connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _};

use inet::{AoAlgorithm, AoKey, Secret, wipe};
use libc::c_int;
use socket2::{Domain, Socket, Type};

use crate::options::{ADDRESS_LEN, address, explain, set};
use crate::peers::covering;

/// Options and lengths of linux/tcp.h since 6.7.
const TCP_AO_ADD_KEY: c_int = 38;
const TCP_AO_DEL_KEY: c_int = 39;
const TCP_AO_INFO: c_int = 40;
const ADD_LEN: usize = 288;
const DEL_LEN: usize = 144;
const INFO_LEN: usize = 48;

/// The key flag `TCP_AO_KEYF_EXCLUDE_OPT`.
const EXCLUDE_OPTIONS: u8 = 1 << 1;

/// Bits of the structs' second word, in the order of its bit fields.
const SET_CURRENT: u32 = flag(0);
const SET_RNEXT: u32 = flag(1);
const DEL_ASYNC: u32 = flag(2);

/// An address and the bits of it that count.
pub(crate) type Place = (IpAddr, u8);

/// What the kernel has of TCP-AO: asked of sockets that nothing is done with, so that it is known
/// before anybody listens or dials.
#[derive(Debug, Default)]
pub struct Probe {
    asked: Vec<((bool, AoAlgorithm), Option<String>)>,
}

impl Probe {
    /// Why connections over IPv4 or IPv6 cannot have these keys.
    pub fn refusal(&mut self, ipv4: bool, keys: &[AoKey]) -> Option<String> {
        keys.iter().find_map(|key| {
            let question = (ipv4, key.algorithm);
            if let Some((_, answer)) = self.asked.iter().find(|(asked, _)| *asked == question) {
                return answer.clone();
            }
            let answer = probe(ipv4, key.algorithm).err().map(|error| error.to_string());
            self.asked.push((question, answer.clone()));
            answer
        })
    }
}

fn probe(ipv4: bool, algorithm: AoAlgorithm) -> io::Result<()> {
    let (family, peer) = match ipv4 {
        true => (Domain::IPV4, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        false => (Domain::IPV6, IpAddr::V6(Ipv6Addr::LOCALHOST)),
    };
    let secret = Secret::new("probe").map_err(io::Error::other)?;
    let key = AoKey { send_id: 0, receive_id: 0, algorithm, include_options: true, secret };
    add(&Socket::new(family, Type::STREAM, None)?, whole(peer), &key, 0)
}

/// Gives a socket that is to connect its keys. It begins with the first.
pub(crate) fn dial(socket: &impl AsFd, peer: IpAddr, keys: &[AoKey]) -> io::Result<()> {
    for (nth, key) in keys.iter().enumerate() {
        let flags = if nth == 0 { SET_CURRENT | SET_RNEXT } else { 0 };
        add(socket, whole(peer), key, flags)?;
    }
    Ok(())
}

/// Sees to it that a connection that came in is signed with a key of its peer's, and has all of
/// them. `others` are keys of its listener that are not the peer's, but whose place it is in.
pub(crate) fn accepted(
    socket: &impl AsFd,
    peer: IpAddr,
    keys: &[AoKey],
    others: &[(Place, AoKey)],
) -> io::Result<()> {
    if !is_signed(socket)? {
        return Err(io::Error::other("it came without TCP-AO"));
    }
    for (place, key) in others {
        match remove(socket, *place, key, Removal::IfUnused) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            // It is what the connection began with.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                let why = "it is signed with a TCP-AO key that is not its own";
                return Err(io::Error::other(why));
            }
            removed => removed?,
        }
    }
    for key in keys {
        match add(socket, whole(peer), key, 0) {
            // Its listener had it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            added => added?,
        }
    }
    ask_for(socket, keys)
}

/// Brings a connection from its old keys to its new ones, if it can go on.
pub(crate) fn rekey(
    socket: &impl AsFd,
    peer: IpAddr,
    old: &[AoKey],
    new: &[AoKey],
) -> io::Result<()> {
    let added = || new.iter().filter(|key| !old.contains(key));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for key in old.iter().filter(|key| !new.contains(key)) {
        // An id is free for its new key only when the old one has gone.
        let in_the_way = added().any(|new| new.collides(key));
        if in_the_way { first.push(key) } else { last.push(key) }
    }
    let stays = new.iter().find(|key| old.contains(key));
    for key in first {
        remove_anywhere(socket, peer, key, stays)?;
    }
    for key in added() {
        add(socket, whole(peer), key, 0)?;
    }
    for key in last {
        remove_anywhere(socket, peer, key, new.first())?;
    }
    ask_for(socket, new)
}

/// Gives a listener a key of a peer or of a prefix of peers.
pub(crate) fn listen(socket: &impl AsFd, place: Place, key: &AoKey) -> io::Result<()> {
    add(socket, place, key, 0)
}

/// Takes a key from a listener. One that is not there is away already.
pub(crate) fn unlisten(socket: &impl AsFd, place: Place, key: &AoKey) -> io::Result<()> {
    match remove(socket, place, key, Removal::Listener) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        removed => removed,
    }
}

/// How a key is taken away.
#[derive(Clone, Copy)]
enum Removal<'k> {
    /// From a listener, which signs nothing: the kernel need not wait for readers of the key.
    Listener,
    /// Unless the connection uses it.
    IfUnused,
    /// The connection goes on with this one.
    For(&'k AoKey),
}

fn add(socket: &impl AsFd, place: Place, key: &AoKey, flags: u32) -> io::Result<()> {
    let mut value = add_value(place, key, flags);
    let added = set(socket, libc::IPPROTO_TCP, TCP_AO_ADD_KEY, &value);
    wipe(&mut value);
    added.map_err(|error| match error.raw_os_error() {
        Some(libc::EEXIST) => io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "another TCP-AO key of these addresses has the id {} or {} (RFC 5925 section 3.1)",
                key.send_id, key.receive_id
            ),
        ),
        Some(libc::ENOENT) => {
            let (name, _) = name_of(key.algorithm);
            io::Error::new(io::ErrorKind::Unsupported, format!("this kernel has no {name}"))
        }
        Some(libc::EISCONN) => io::Error::other("it came without TCP-AO"),
        Some(_) | None => explain(error, "TCP-AO (Linux 6.7 with CONFIG_TCP_AO)"),
    })
}

fn remove(socket: &impl AsFd, place: Place, key: &AoKey, how: Removal<'_>) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, TCP_AO_DEL_KEY, &del_value(place, key, how))
}

/// Takes a key from a connection, which goes on with another one if it has used this. What came
/// from a listener stands in the place that it had there.
fn remove_anywhere(
    socket: &impl AsFd,
    peer: IpAddr,
    key: &AoKey,
    instead: Option<&AoKey>,
) -> io::Result<()> {
    for place in covering(peer) {
        let removed = match (remove(socket, place, key, Removal::IfUnused), instead) {
            (Err(error), Some(other)) if error.raw_os_error() == Some(libc::EBUSY) => {
                remove(socket, place, key, Removal::For(other))
            }
            (removed, _) => removed,
        };
        match removed {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                let why = "the TCP-AO key that it is signed with is no more";
                return Err(io::Error::other(why));
            }
            removed => return removed,
        }
    }
    Ok(())
}

/// Asks the peer to sign with the first of its keys (RNextKeyID). What we sign with is what the
/// peer asks for: the kernel follows it.
fn ask_for(socket: &impl AsFd, keys: &[AoKey]) -> io::Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
    set(socket, libc::IPPROTO_TCP, TCP_AO_INFO, &info_value(first))
}

/// Whether a connection has TCP-AO.
fn is_signed(socket: &impl AsFd) -> io::Result<bool> {
    let mut value = [0_u8; INFO_LEN];
    let mut len = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    let fd = socket.as_fd().as_raw_fd();
    let to = value.as_mut_ptr();
    // SAFETY: the kernel writes at most `len` bytes, the size of the array, and the length that
    // it wrote; both live over the call. The descriptor is open while `socket` is borrowed.
    let got =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, TCP_AO_INFO, to.cast(), &raw mut len) };
    if got == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(false) } else { Err(error) }
}

/// The kernel's name of an algorithm, and the length of its code.
fn name_of(algorithm: AoAlgorithm) -> (&'static str, u8) {
    match algorithm {
        AoAlgorithm::HmacSha1 => ("hmac(sha1)", 12),
        AoAlgorithm::AesCmac => ("cmac(aes128)", 12),
        AoAlgorithm::HmacSha256 => ("hmac(sha256)", 16),
    }
}

/// A peer's own place.
pub(crate) fn whole(peer: IpAddr) -> Place {
    (peer, if peer.is_ipv4() { 32 } else { 128 })
}

/// Bit fields begin at the word's low end where bytes do, too.
const fn flag(nth: u32) -> u32 {
    if cfg!(target_endian = "big") { 1 << (31 - nth) } else { 1 << nth }
}

fn key_flags(key: &AoKey) -> u8 {
    if key.include_options { 0 } else { EXCLUDE_OPTIONS }
}

/// `struct tcp_ao_add`.
fn add_value((peer, bits): Place, key: &AoKey, flags: u32) -> Vec<u8> {
    let (name, mac) = name_of(key.algorithm);
    let secret = key.secret.reveal().as_bytes();
    // Never moved as it grows: all that the key was written to is wiped.
    let mut value = Vec::with_capacity(ADD_LEN);
    value.extend(address(peer));
    value.extend(name.as_bytes());
    value.resize(ADDRESS_LEN + 64, 0);
    value.extend([0; 4]);
    value.extend(flags.to_ne_bytes());
    value.extend([0; 2]);
    let len = secret.len() as u8;
    value.extend([bits, key.send_id, key.receive_id, mac, key_flags(key), len]);
    value.extend(secret);
    value.resize(ADD_LEN, 0);
    value
}

/// `struct tcp_ao_del`.
fn del_value((peer, bits): Place, key: &AoKey, how: Removal<'_>) -> Vec<u8> {
    let (flags, current, rnext) = match how {
        Removal::Listener => (DEL_ASYNC, 0, 0),
        Removal::IfUnused => (0, 0, 0),
        Removal::For(other) => (SET_CURRENT | SET_RNEXT, other.send_id, other.receive_id),
    };
    let mut value = Vec::with_capacity(DEL_LEN);
    value.extend(address(peer));
    value.extend([0; 4]);
    value.extend(flags.to_ne_bytes());
    value.extend([0; 2]);
    // The flags of a key are no part of what it is found by.
    value.extend([bits, key.send_id, key.receive_id, current, rnext, 0]);
    value.resize(DEL_LEN, 0);
    value
}

/// `struct tcp_ao_info_opt` that asks for a key.
fn info_value(key: &AoKey) -> Vec<u8> {
    let mut value = Vec::with_capacity(INFO_LEN);
    value.extend(SET_RNEXT.to_ne_bytes());
    value.extend([0, 0, 0, key.receive_id]);
    value.resize(INFO_LEN, 0);
    value
}

#[cfg(test)]
mod tests;

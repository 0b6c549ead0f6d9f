//! The few BGP messages that a load generator needs (RFC 4271, 6793), written apart from the
//! router's own codec: what both got wrong would not be seen otherwise.

use std::net::Ipv4Addr;

/// The longest message without RFC 8654.
const MAX: usize = 4096;
const HEADER: usize = 19;

pub(super) const OPEN: u8 = 1;
pub(super) const UPDATE: u8 = 2;
pub(super) const NOTIFICATION: u8 = 3;
pub(super) const KEEPALIVE: u8 = 4;

/// An IPv4 prefix in one number: the address above the lowest byte, which is the length.
pub(super) type Key = u64;

pub(super) fn key(address: u32, length: u8) -> Key {
    u64::from(address) << 8 | u64::from(length)
}

pub(super) fn address(key: Key) -> u32 {
    (key >> 8) as u32
}

pub(super) fn length(key: Key) -> u8 {
    key as u8
}

/// As people write it.
pub(super) fn text(key: Key) -> String {
    format!("{}/{}", Ipv4Addr::from(address(key)), length(key))
}

/// One attribute set as a sender gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) origin: u8,
    pub(super) path: Vec<u32>,
    pub(super) med: Option<u32>,
    pub(super) communities: Vec<u32>,
}

fn message(kind: u8, body: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&[0, 0, kind]);
    body(out);
    let length = (out.len() - start) as u16;
    out[start + 16..start + 18].copy_from_slice(&length.to_be_bytes());
}

/// OPEN for IPv4 unicast with route refresh and 4-octet AS numbers.
pub(super) fn open(asn: u32, hold_time: u16, id: Ipv4Addr) -> Vec<u8> {
    let mut out = Vec::new();
    message(
        OPEN,
        |out| {
            out.push(4);
            out.extend_from_slice(&u16::try_from(asn).unwrap_or(23456).to_be_bytes());
            out.extend_from_slice(&hold_time.to_be_bytes());
            out.extend_from_slice(&id.octets());
            let mut capabilities = vec![1, 4, 0, 1, 0, 1, 2, 0, 65, 4];
            capabilities.extend_from_slice(&asn.to_be_bytes());
            out.extend_from_slice(&[capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
            out.extend_from_slice(&capabilities);
        },
        &mut out,
    );
    out
}

pub(super) fn keepalive() -> Vec<u8> {
    let mut out = Vec::new();
    message(KEEPALIVE, |_| {}, &mut out);
    out
}

/// The value of AS_PATH: one AS_SEQUENCE of `first` and the rest. Paths are far shorter than 255.
pub(super) fn path_value(first: &[u32], rest: &[u32]) -> Vec<u8> {
    let mut out = vec![2, (first.len() + rest.len()) as u8];
    for asn in first.iter().chain(rest) {
        out.extend_from_slice(&asn.to_be_bytes());
    }
    out
}

/// The path attributes of a set as the sender with this AS number gives them.
pub(super) fn attributes(set: &Set, path: &[u8], next_hop: u32) -> Vec<u8> {
    let mut out = vec![0x40, 1, 1, set.origin, 0x40, 2, path.len() as u8];
    out.extend_from_slice(path);
    out.extend_from_slice(&[0x40, 3, 4]);
    out.extend_from_slice(&next_hop.to_be_bytes());
    if let Some(med) = set.med {
        out.extend_from_slice(&[0x80, 4, 4]);
        out.extend_from_slice(&med.to_be_bytes());
    }
    if !set.communities.is_empty() {
        out.extend_from_slice(&[0xc0, 8, set.communities.len() as u8 * 4]);
        for community in &set.communities {
            out.extend_from_slice(&community.to_be_bytes());
        }
    }
    out
}

fn push_prefix(key: Key, out: &mut Vec<u8>) {
    out.push(length(key));
    let bytes = usize::from(length(key)).div_ceil(8);
    out.extend_from_slice(&address(key).to_be_bytes()[..bytes]);
}

/// UPDATEs that announce prefixes with one attribute set, as many in each as fit.
pub(super) fn announce(attributes: &[u8], keys: impl Iterator<Item = Key>, out: &mut Vec<u8>) {
    let room = MAX - HEADER - 4 - attributes.len();
    in_chunks(keys, room, |nlri| {
        let body = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
            out.extend_from_slice(attributes);
            out.extend_from_slice(nlri);
        };
        message(UPDATE, body, out);
    });
}

/// UPDATEs that withdraw prefixes.
pub(super) fn withdraw(keys: impl Iterator<Item = Key>, out: &mut Vec<u8>) {
    in_chunks(keys, MAX - HEADER - 4, |nlri| {
        let body = |out: &mut Vec<u8>| {
            out.extend_from_slice(&(nlri.len() as u16).to_be_bytes());
            out.extend_from_slice(nlri);
            out.extend_from_slice(&[0, 0]);
        };
        message(UPDATE, body, out);
    });
}

fn in_chunks(keys: impl Iterator<Item = Key>, room: usize, mut each: impl FnMut(&[u8])) {
    let mut nlri = Vec::with_capacity(room);
    for key in keys {
        if nlri.len() + 5 > room {
            each(&nlri);
            nlri.clear();
        }
        push_prefix(key, &mut nlri);
    }
    if !nlri.is_empty() {
        each(&nlri);
    }
}

/// The End-of-RIB marker of IPv4 unicast (RFC 4724 §2).
pub(super) fn end_of_rib(out: &mut Vec<u8>) {
    message(UPDATE, |out| out.extend_from_slice(&[0; 4]), out);
}

/// A message's type, its body, and the bytes that it takes.
pub(super) type Frame<'a> = (u8, &'a [u8], usize);

/// The first whole message of the bytes; `None` when more are needed.
///
/// # Errors
/// When the bytes cannot be a BGP stream.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    let Some(header) = bytes.get(..HEADER) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    if length < HEADER {
        return Err(Broken);
    }
    Ok(bytes.get(HEADER..length).map(|body| (header[18], body, length)))
}

/// Bytes that no BGP speaker may send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed message")]
pub(super) struct Broken;

/// The three parts of an UPDATE's body: withdrawn routes, attributes, announced routes.
pub(super) fn parts(body: &[u8]) -> Result<[&[u8]; 3], Broken> {
    let (withdrawn, rest) = counted(body)?;
    let (attributes, nlri) = counted(rest)?;
    Ok([withdrawn, attributes, nlri])
}

fn counted(bytes: &[u8]) -> Result<(&[u8], &[u8]), Broken> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(Broken)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(Broken)
}

/// AS_PATH's value and NEXT_HOP out of path attributes.
pub(super) fn path_and_next_hop(mut bytes: &[u8]) -> Result<(&[u8], u32), Broken> {
    let (mut path, mut next_hop) = (None, None);
    while let Some(([flags, kind, length], rest)) = bytes.split_first_chunk::<3>() {
        let (length, rest) = if flags & 0x10 == 0 {
            (usize::from(*length), rest)
        } else {
            let (low, rest) = rest.split_first().ok_or(Broken)?;
            (usize::from(u16::from_be_bytes([*length, *low])), rest)
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(Broken)?;
        match kind {
            2 => path = Some(value),
            3 => next_hop = Some(u32::from_be_bytes(value.try_into().map_err(|_| Broken)?)),
            _ => {}
        }
        bytes = rest;
    }
    Ok((path.ok_or(Broken)?, next_hop.ok_or(Broken)?))
}

/// Calls `each` with every prefix of a field of routes.
pub(super) fn prefixes(mut bytes: &[u8], mut each: impl FnMut(Key)) -> Result<(), Broken> {
    while let Some((length, rest)) = bytes.split_first() {
        if *length > 32 {
            return Err(Broken);
        }
        let size = usize::from(*length).div_ceil(8);
        let (value, rest) = rest.split_at_checked(size).ok_or(Broken)?;
        let mut address = [0; 4];
        address[..size].copy_from_slice(value);
        each(key(u32::from_be_bytes(address), *length));
        bytes = rest;
    }
    Ok(())
}

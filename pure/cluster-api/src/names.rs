//! The names of the objects that sart makes.
//!
//! A name that is too long, or taken by an object with other parents, ends in `-` and 8 hex digits
//! of a hash of the parts, so that it stays the same for the same parts.

use std::net::IpAddr;

/// The longest name of an object (a DNS subdomain).
pub const MAX: usize = 253;

/// The longest value of a label.
pub const LABEL_MAX: usize = 63;

/// An address as a part of a name: IPv6 as eight full groups joined by `-`.
pub fn address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:04x}"));
            groups.join("-")
        }
    }
}

/// An AddressClaim: the address itself.
pub fn claim(of: IpAddr) -> String {
    address(of)
}

/// An AddressBlock that is not its whole pool: `<pool>-<index>`.
pub fn block(pool: &str, index: u64) -> String {
    joined(&[pool, &index.to_string()])
}

/// A BlockRequest of a node: `<pool>-<node>`.
pub fn block_request(pool: &str, node: &str) -> String {
    joined(&[pool, node])
}

/// A BGPPeer: `<template>-<node>-<asn>-<addr>`, without a template `<node>-<asn>-<addr>`.
pub fn peer(template: Option<&str>, node: &str, asn: u32, addr: IpAddr) -> String {
    let (asn, addr) = (asn.to_string(), address(addr));
    match template {
        Some(template) => joined(&[template, node, &asn, &addr]),
        None => joined(&[node, &asn, &addr]),
    }
}

/// The BGPAdvertisement of a Service's address: `<service>-<address>`.
pub fn advertisement(service: &str, of: IpAddr) -> String {
    joined(&[service, &address(of)])
}

/// The parts joined by `-`, cut and hashed where that is too long.
pub fn joined(parts: &[&str]) -> String {
    let name = parts.join("-");
    if name.len() <= MAX { name } else { hashed(parts) }
}

/// The parts joined by `-` with their hash: for a name that is too long or taken by an object with
/// other parents. The same parts give the same name.
pub fn hashed(parts: &[&str]) -> String {
    with_hash(&parts.join("-"), parts, MAX)
}

/// A text as the value of a label: itself, or cut and hashed.
pub fn label(value: &str) -> String {
    if value.len() <= LABEL_MAX { value.to_owned() } else { with_hash(value, &[value], LABEL_MAX) }
}

fn with_hash(name: &str, parts: &[&str], max: usize) -> String {
    // Room for `-` and 8 digits. Names are ASCII; anything else is cut at a character's start.
    let mut end = name.len().min(max - 9);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let head = name.get(..end).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{head}-{:08x}", hash(parts))
}

/// FNV-1a over the parts, each ended by a byte that no name contains.
fn hash(parts: &[&str]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use inet::Prefix;

use super::record::{Message, PeerIndex, Rib, Session};
use super::{BGP4MP_ET, State, TABLE_DUMP_V2};
use crate::wire::{NotWhole, Put, WallTime, whole};

/// Why a record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A count or length above 65535.
    #[error("{0} {1}: a record holds at most 65535")]
    TooMany(usize, &'static str),
    /// The message is cut short.
    #[error(transparent)]
    NotWhole(#[from] NotWhole),
    /// A session between an IPv4 and an IPv6 address.
    #[error("both ends of a session have addresses of one family")]
    MixedFamilies,
}

/// Appends the peers of a table (PEER_INDEX_TABLE); it comes before all `write_rib` of a file.
pub fn write_peer_index(
    at: WallTime,
    index: &PeerIndex,
    to: &mut Vec<u8>,
) -> Result<(), WriteError> {
    record(at, TABLE_DUMP_V2, 1, to, |to| {
        to.bytes(&index.collector.octets());
        to.u16(count(index.view.len(), "bytes of a view's name")?);
        to.bytes(index.view.as_bytes());
        to.u16(count(index.peers.len(), "peers")?);
        for peer in &index.peers {
            // Bit 0: IPv6. Bit 1: the AS number has four octets.
            to.u8(if peer.address.is_ipv6() { 3 } else { 2 });
            to.bytes(&peer.router_id.octets());
            to.address(peer.address);
            to.u32(peer.asn);
        }
        Ok(())
    })
}

/// Appends the paths of one prefix (RIB_IPV4_UNICAST and its kin).
pub fn write_rib(at: WallTime, rib: &Rib<'_>, to: &mut Vec<u8>) -> Result<(), WriteError> {
    let subtype = match (rib.prefix.address(), rib.add_path) {
        (IpAddr::V4(_), false) => 2,
        (IpAddr::V6(_), false) => 4,
        (IpAddr::V4(_), true) => 8,
        (IpAddr::V6(_), true) => 10,
    };
    record(at, TABLE_DUMP_V2, subtype, to, |to| {
        to.u32(rib.sequence);
        put_prefix(to, &rib.prefix);
        to.u16(count(rib.entries.len(), "paths")?);
        for entry in &rib.entries {
            to.u16(entry.peer);
            to.u32(entry.since);
            if rib.add_path {
                to.u32(entry.path_id);
            }
            to.u16(count(entry.attributes.len(), "bytes of attributes")?);
            to.bytes(entry.attributes);
        }
        Ok(())
    })
}

/// Appends the short MP_REACH_NLRI that stands for an IPv6 next hop in [`write_rib`]'s attributes
/// (RFC 6396 §4.3.4). A link-local address may follow the global one (RFC 2545 §3).
pub fn append_next_hop(attributes: &mut Vec<u8>, next_hop: Ipv6Addr, link_local: Option<Ipv6Addr>) {
    let length = if link_local.is_some() { 32 } else { 16 };
    attributes.bytes(&[0x80, 14, length + 1, length]);
    attributes.bytes(&next_hop.octets());
    if let Some(link_local) = link_local {
        attributes.bytes(&link_local.octets());
    }
}

/// Appends a message with its microseconds (BGP4MP_ET).
pub fn write_message(
    at: WallTime,
    message: &Message<'_>,
    to: &mut Vec<u8>,
) -> Result<(), WriteError> {
    whole(message.bytes)?;
    let subtype = match (message.four_octet_as, message.local, message.add_path) {
        (false, false, false) => 1,
        (true, false, false) => 4,
        (false, true, false) => 6,
        (true, true, false) => 7,
        (false, false, true) => 8,
        (true, false, true) => 9,
        (false, true, true) => 10,
        (true, true, true) => 11,
    };
    record(at, BGP4MP_ET, subtype, to, |to| {
        put_session(to, &message.session, message.four_octet_as)?;
        to.bytes(message.bytes);
        Ok(())
    })
}

/// Appends a change of state with its microseconds (BGP4MP_STATE_CHANGE_AS4 in BGP4MP_ET).
pub fn write_state_change(
    at: WallTime,
    session: &Session,
    old: State,
    new: State,
    to: &mut Vec<u8>,
) -> Result<(), WriteError> {
    record(at, BGP4MP_ET, 5, to, |to| {
        put_session(to, session, true)?;
        to.u16(old.code());
        to.u16(new.code());
        Ok(())
    })
}

/// Appends a record (RFC 6396 §2, §3). Nothing is appended when it is refused.
fn record(
    at: WallTime,
    kind: u16,
    subtype: u16,
    to: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let start = to.len();
    to.u32(at.seconds);
    to.u16(kind);
    to.u16(subtype);
    to.u32(0);
    let content = to.len();
    if kind == BGP4MP_ET {
        to.u32(at.micros);
    }
    let result = body(to);
    match result {
        Ok(()) => {
            let length = to.len().saturating_sub(content);
            to.length_at(content.saturating_sub(4), length);
        }
        Err(_) => to.truncate(start),
    }
    result
}

fn put_session(to: &mut Vec<u8>, session: &Session, four: bool) -> Result<(), WriteError> {
    for asn in [session.peer_asn, session.local_asn] {
        if four {
            to.u32(asn);
        } else {
            // AS_TRANS stands for what does not fit (RFC 6793 §4.2.2).
            to.u16(u16::try_from(asn).unwrap_or(23456));
        }
    }
    to.u16(session.interface);
    let afi = match (session.peer, session.local) {
        (IpAddr::V4(_), IpAddr::V4(_)) => 1,
        (IpAddr::V6(_), IpAddr::V6(_)) => 2,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(WriteError::MixedFamilies);
        }
    };
    to.u16(afi);
    to.address(session.peer);
    to.address(session.local);
    Ok(())
}

/// As in an UPDATE: the length in bits, then as many bytes as are needed.
fn put_prefix(to: &mut Vec<u8>, prefix: &Prefix) {
    to.u8(prefix.len());
    let mut octets = Vec::with_capacity(16);
    octets.address(prefix.address());
    octets.truncate(usize::from(prefix.len().div_ceil(8)));
    to.bytes(&octets);
}

fn count(count: usize, what: &'static str) -> Result<u16, WriteError> {
    u16::try_from(count).map_err(|_| WriteError::TooMany(count, what))
}

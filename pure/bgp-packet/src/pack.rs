//! Routes to UPDATE messages.

use std::net::IpAddr;

use inet::{Family, Prefix};

use crate::encode::put_attribute;
use crate::update::next_attribute;
use crate::verdict::{FLAG_EXTENDED_LEN, FLAG_OPTIONAL, FLAG_TRANSITIVE, kind};
use crate::wire::{self, Reader};
use crate::{BgpNextHop, HEADER_LEN, Options, PathId};

/// Why routes do not fit into an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Attributes and one prefix are longer than a message; such a route is not announced
    /// (RFC 4271 §9.2).
    #[error("the attributes are {0} bytes long and leave no room for a prefix")]
    TooLong(usize),
    /// An IPv4 prefix needs an IPv4 next hop, an IPv6 prefix an IPv6 one.
    #[error("the next hop of {0} is of the other family")]
    NextHopFamily(Prefix),
}

/// UPDATE messages that announce `prefixes`, each as full as it can be; [`pack_paths`] with the
/// path id 0.
pub fn pack(
    attributes: &[u8],
    next_hop: &BgpNextHop,
    prefixes: impl IntoIterator<Item = Prefix>,
    options: &Options,
) -> Result<Vec<Vec<u8>>, PackError> {
    pack_paths(attributes, next_hop, without_id(prefixes), options)
}

/// UPDATE messages that announce paths, each as full as it can be. Path ids are written where
/// `options.add_path_send` has the family (RFC 7911 §3).
///
/// `attributes` come from [`crate::encode_attributes`]. All prefixes are of one family: the next hop's,
/// or IPv4 over an IPv6 one where `options.ipv4_over_ipv6` (RFC 8950). IPv4 with its own kind of
/// next hop goes into the NLRI field, all else into MP_REACH_NLRI, which is the first attribute
/// (RFC 7606 §5.1).
pub fn pack_paths(
    attributes: &[u8],
    next_hop: &BgpNextHop,
    paths: impl IntoIterator<Item = (PathId, Prefix)>,
    options: &Options,
) -> Result<Vec<Vec<u8>>, PackError> {
    let mut paths = paths.into_iter().peekable();
    let own = Family::of(&next_hop.address);
    let family = match paths.peek() {
        Some((_, first)) if first.family() == Family::Ipv4 && options.ipv4_over_ipv6 => {
            Family::Ipv4
        }
        _ => own,
    };
    let add_path = options.add_path_send.has(family);
    let mut head = Vec::new();
    let attributes = match next_hop.address {
        IpAddr::V4(address) => with_next_hop(attributes, address.octets()),
        IpAddr::V6(address) => {
            wire::put_family(&mut head, family);
            let link_local = next_hop.link_local.map(|a| a.octets());
            head.push(if link_local.is_some() { 32 } else { 16 });
            head.extend_from_slice(&address.octets());
            head.extend(link_local.into_iter().flatten());
            head.push(0);
            attributes.to_vec()
        }
    };
    // Header, the two length fields, and the MP attribute's own four bytes.
    let mp = if head.is_empty() { 0 } else { head.len() + 4 };
    let fixed = HEADER_LEN + 4 + attributes.len() + mp;
    // One prefix is never longer than this, so that all of a set fit or none does.
    let longest = if add_path { 5 } else { 1 } + usize::from(family.bits() / 8);
    let room = options.max_len().checked_sub(fixed).filter(|room| *room >= longest);
    let room = room.ok_or(PackError::TooLong(attributes.len()))?;
    let write = |nlri: &[u8]| {
        let mut body = vec![0, 0];
        if head.is_empty() {
            body.extend_from_slice(&wire::len16(attributes.len()));
            body.extend_from_slice(&attributes);
            body.extend_from_slice(nlri);
        } else {
            body.extend_from_slice(&wire::len16(mp + nlri.len() + attributes.len()));
            body.extend_from_slice(&[FLAG_OPTIONAL | FLAG_EXTENDED_LEN, kind::MP_REACH]);
            body.extend_from_slice(&wire::len16(head.len() + nlri.len()));
            body.extend_from_slice(&head);
            body.extend_from_slice(nlri);
            body.extend_from_slice(&attributes);
        }
        wire::message(wire::UPDATE, &body)
    };
    let mut chunks = Chunks::new(room, add_path);
    for (id, prefix) in paths {
        if prefix.family() != family {
            return Err(PackError::NextHopFamily(prefix));
        }
        chunks.push(id, &prefix);
    }
    Ok(chunks.finish().iter().map(|nlri| write(nlri)).collect())
}

/// The attributes with NEXT_HOP in its place by type code.
fn with_next_hop(attributes: &[u8], address: [u8; 4]) -> Vec<u8> {
    let mut reader = Reader::new(attributes);
    let mut at = 0;
    while next_attribute(&mut reader).is_some_and(|a| a.code < kind::NEXT_HOP) {
        at = attributes.len() - reader.len();
    }
    let (before, after) = attributes.split_at_checked(at).unwrap_or((attributes, &[]));
    let mut bytes = before.to_vec();
    put_attribute(&mut bytes, FLAG_TRANSITIVE, kind::NEXT_HOP, 4);
    bytes.extend_from_slice(&address);
    bytes.extend_from_slice(after);
    bytes
}

/// UPDATE messages that withdraw `prefixes`, of both families mixed, each as full as it can be;
/// [`pack_withdrawn_paths`] with the path id 0.
pub fn pack_withdrawn(
    prefixes: impl IntoIterator<Item = Prefix>,
    options: &Options,
) -> Vec<Vec<u8>> {
    pack_withdrawn_paths(without_id(prefixes), options)
}

/// UPDATE messages that withdraw paths, of both families mixed, each as full as it can be. Path
/// ids are written where `options.add_path_send` has the family (RFC 7911 §3). IPv4 goes into
/// the field of its own whatever its next hop was, since every receiver reads that.
pub fn pack_withdrawn_paths(
    paths: impl IntoIterator<Item = (PathId, Prefix)>,
    options: &Options,
) -> Vec<Vec<u8>> {
    let room = options.max_len() - HEADER_LEN - 4;
    // MP_UNREACH_NLRI's header, AFI and SAFI.
    let mut v4 = Chunks::new(room, options.add_path_send.ipv4);
    let mut v6 = Chunks::new(room - 7, options.add_path_send.ipv6);
    for (id, prefix) in paths {
        match prefix.family() {
            Family::Ipv4 => v4.push(id, &prefix),
            Family::Ipv6 => v6.push(id, &prefix),
        }
    }
    let v4 = v4.finish().into_iter().map(|nlri| {
        let body = [&wire::len16(nlri.len())[..], &nlri, &[0, 0]].concat();
        wire::message(wire::UPDATE, &body)
    });
    let v6 = v6.finish().into_iter().map(|nlri| mp_unreach(Family::Ipv6, &nlri));
    v4.chain(v6).collect()
}

fn without_id(
    prefixes: impl IntoIterator<Item = Prefix>,
) -> impl Iterator<Item = (PathId, Prefix)> {
    prefixes.into_iter().map(|prefix| (PathId::NONE, prefix))
}

/// The End-of-RIB marker of a family (RFC 4724 §2).
pub fn end_of_rib(family: Family) -> Vec<u8> {
    match family {
        Family::Ipv4 => wire::message(wire::UPDATE, &[0; 4]),
        Family::Ipv6 => mp_unreach(family, &[]),
    }
}

/// An UPDATE with MP_UNREACH_NLRI alone (RFC 4760 §4).
fn mp_unreach(family: Family, nlri: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(nlri.len() + 3);
    wire::put_family(&mut value, family);
    value.extend_from_slice(nlri);
    let mut attribute = vec![FLAG_OPTIONAL | FLAG_EXTENDED_LEN, kind::MP_UNREACH];
    attribute.extend_from_slice(&wire::len16(value.len()));
    attribute.extend_from_slice(&value);
    let mut body = vec![0, 0];
    body.extend_from_slice(&wire::len16(attribute.len()));
    body.extend_from_slice(&attribute);
    wire::message(wire::UPDATE, &body)
}

/// NLRI cut into pieces of at most `room` bytes.
struct Chunks {
    room: usize,
    add_path: bool,
    full: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Chunks {
    fn new(room: usize, add_path: bool) -> Chunks {
        Chunks { room, add_path, full: Vec::new(), open: Vec::new() }
    }

    fn push(&mut self, id: PathId, prefix: &Prefix) {
        let bytes = usize::from(prefix.len()).div_ceil(8);
        let id_len = if self.add_path { 4 } else { 0 };
        if self.open.len() + id_len + 1 + bytes > self.room {
            self.full.push(std::mem::take(&mut self.open));
        }
        if self.add_path {
            self.open.extend_from_slice(&id.0.to_be_bytes());
        }
        self.open.push(prefix.len());
        match prefix.address() {
            IpAddr::V4(a) => self.open.extend(a.octets().iter().take(bytes)),
            IpAddr::V6(a) => self.open.extend(a.octets().iter().take(bytes)),
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        self.full
    }
}

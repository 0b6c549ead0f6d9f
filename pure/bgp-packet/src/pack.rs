//! Routes to UPDATE messages.

use std::net::IpAddr;

use inet::{Asn, Family, Prefix};

use crate::update::next_attribute;
use crate::verdict::{
    FLAG_EXTENDED_LEN, FLAG_OPTIONAL, FLAG_PARTIAL, FLAG_TRANSITIVE, expected_flags, kind,
};
use crate::wire::{self, Reader};
use crate::{AsPath, Attributes, BgpNextHop, HEADER_LEN, Options, Origin, PeerKind, Segment};

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

/// The attributes' bytes as they stand in an UPDATE, less NEXT_HOP and MP_REACH_NLRI, which
/// [`pack`] adds: encoded once for all the peers that get them with the same options.
///
/// Towards an external peer LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are left out
/// (RFC 4271 §5.1.5, RFC 4456 §8).
pub fn encode_attributes(attributes: &Attributes, options: &Options) -> Vec<u8> {
    let a = attributes;
    let internal = options.kind == PeerKind::Internal;
    let mut all: Vec<(u8, u8, Vec<u8>)> = Vec::new();
    let mut put = |code: u8, value: Vec<u8>| {
        all.push((code, expected_flags(code).unwrap_or(FLAG_OPTIONAL), value));
    };
    let origin = match a.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    put(kind::ORIGIN, vec![origin]);
    put(kind::AS_PATH, as_path(&a.as_path, options.four_octet_as));
    if let Some(med) = a.med {
        put(kind::MED, med.to_be_bytes().to_vec());
    }
    if let (Some(local_pref), true) = (a.local_pref, internal) {
        put(kind::LOCAL_PREF, local_pref.to_be_bytes().to_vec());
    }
    if a.atomic_aggregate {
        put(kind::ATOMIC_AGGREGATE, Vec::new());
    }
    if let Some((asn, address)) = a.aggregator {
        let four_octets = [&asn.get().to_be_bytes()[..], &address.octets()].concat();
        if options.four_octet_as {
            put(kind::AGGREGATOR, four_octets);
        } else {
            let two = [&asn.as_two_octets().to_be_bytes()[..], &address.octets()].concat();
            put(kind::AGGREGATOR, two);
            if asn.get() > u32::from(u16::MAX) {
                put(kind::AS4_AGGREGATOR, four_octets);
            }
        }
    }
    if !options.four_octet_as && needs_as4(&a.as_path) {
        put(kind::AS4_PATH, as_path(&a.as_path, true));
    }
    if !a.communities.is_empty() {
        let octets = a.communities.iter().flat_map(|c| c.to_be_bytes());
        put(kind::COMMUNITIES, octets.collect());
    }
    if let (Some(id), true) = (a.originator_id, internal) {
        put(kind::ORIGINATOR_ID, id.octets().to_vec());
    }
    if !a.cluster_list.is_empty() && internal {
        put(kind::CLUSTER_LIST, a.cluster_list.iter().flat_map(|id| id.octets()).collect());
    }
    if !a.extended_communities.is_empty() {
        put(kind::EXTENDED_COMMUNITIES, a.extended_communities.concat());
    }
    if !a.large_communities.is_empty() {
        let octets = a.large_communities.iter().flatten().flat_map(|n| n.to_be_bytes());
        put(kind::LARGE_COMMUNITY, octets.collect());
    }
    for unknown in &a.unknown {
        // We do not know it and pass it on: Partial (RFC 4271 §5).
        all.push((unknown.code, unknown.flags | FLAG_PARTIAL, unknown.value.clone()));
    }
    all.sort_by_key(|(code, ..)| *code);
    let mut bytes = Vec::new();
    for (code, flags, value) in &all {
        put_attribute(&mut bytes, *flags, *code, value);
    }
    bytes
}

/// Appends one attribute; the Extended Length bit follows from the value (RFC 4271 §4.3).
fn put_attribute(to: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(len) => to.extend_from_slice(&[flags & !FLAG_EXTENDED_LEN, code, len]),
        Err(_) => {
            to.extend_from_slice(&[flags | FLAG_EXTENDED_LEN, code]);
            to.extend_from_slice(&wire::len16(value.len().min(usize::from(u16::MAX))));
        }
    }
    to.extend_from_slice(value);
}

/// AS_PATH with numbers of two or four octets; long segments are cut into several.
fn as_path(path: &AsPath, four_octets: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in &path.segments {
        let kind = match segment {
            Segment::Set(_) => 1,
            Segment::Sequence(_) => 2,
        };
        for numbers in segment.numbers().chunks(255) {
            bytes.extend_from_slice(&[kind, u8::try_from(numbers.len()).unwrap_or(u8::MAX)]);
            for &asn in numbers {
                match (four_octets, u16::try_from(asn)) {
                    (true, _) => bytes.extend_from_slice(&asn.to_be_bytes()),
                    (false, Ok(asn)) => bytes.extend_from_slice(&asn.to_be_bytes()),
                    (false, Err(_)) => {
                        bytes.extend_from_slice(&Asn::TRANS.as_two_octets().to_be_bytes());
                    }
                }
            }
        }
    }
    bytes
}

/// Whether a number does not fit two octets (RFC 6793 §4.2.2).
fn needs_as4(path: &AsPath) -> bool {
    path.segments.iter().flat_map(Segment::numbers).any(|&asn| asn > u32::from(u16::MAX))
}

/// UPDATE messages that announce `prefixes`, each as full as it can be.
///
/// `attributes` come from [`encode_attributes`]. All prefixes are of the next hop's family; IPv4
/// goes into the NLRI field, IPv6 into MP_REACH_NLRI, which is the first attribute
/// (RFC 7606 §5.1).
pub fn pack(
    attributes: &[u8],
    next_hop: &BgpNextHop,
    prefixes: impl IntoIterator<Item = Prefix>,
    options: &Options,
) -> Result<Vec<Vec<u8>>, PackError> {
    let family = Family::of(&next_hop.address);
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
    let longest = 1 + usize::from(family.bits() / 8);
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
    let mut chunks = Chunks::new(room);
    for prefix in prefixes {
        if prefix.family() != family {
            return Err(PackError::NextHopFamily(prefix));
        }
        chunks.push(&prefix);
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
    put_attribute(&mut bytes, FLAG_TRANSITIVE, kind::NEXT_HOP, &address);
    bytes.extend_from_slice(after);
    bytes
}

/// UPDATE messages that withdraw `prefixes`, of both families mixed, each as full as it can be.
pub fn pack_withdrawn(
    prefixes: impl IntoIterator<Item = Prefix>,
    options: &Options,
) -> Vec<Vec<u8>> {
    let room = options.max_len() - HEADER_LEN - 4;
    // MP_UNREACH_NLRI's header, AFI and SAFI.
    let (mut v4, mut v6) = (Chunks::new(room), Chunks::new(room - 7));
    for prefix in prefixes {
        match prefix.family() {
            Family::Ipv4 => v4.push(&prefix),
            Family::Ipv6 => v6.push(&prefix),
        }
    }
    let v4 = v4.finish().into_iter().map(|nlri| {
        let body = [&wire::len16(nlri.len())[..], &nlri, &[0, 0]].concat();
        wire::message(wire::UPDATE, &body)
    });
    let v6 = v6.finish().into_iter().map(|nlri| mp_unreach(Family::Ipv6, &nlri));
    v4.chain(v6).collect()
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
    full: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Chunks {
    fn new(room: usize) -> Chunks {
        Chunks { room, full: Vec::new(), open: Vec::new() }
    }

    fn push(&mut self, prefix: &Prefix) {
        let bytes = usize::from(prefix.len()).div_ceil(8);
        if self.open.len() + 1 + bytes > self.room {
            self.full.push(std::mem::take(&mut self.open));
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

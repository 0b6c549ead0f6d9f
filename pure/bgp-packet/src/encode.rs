//! Attributes to bytes.

use inet::Asn;

use crate::verdict::{FLAG_EXTENDED_LEN, FLAG_OPTIONAL, FLAG_PARTIAL, expected_flags, kind};
use crate::view::without_doubles;
use crate::wire;
use crate::{AsPath, Attributes, Options, Origin, PeerKind, Segment, UnknownAttribute};

/// The attributes' bytes as they stand in an UPDATE, less NEXT_HOP and MP_REACH_NLRI, which
/// [`crate::pack_paths`] adds: encoded once for all the peers that get them with the same options.
///
/// Towards an external peer LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are left out
/// (RFC 4271 §5.1.5, RFC 4456 §8). Attributes stand in the order of their type codes.
pub fn encode_attributes(attributes: &Attributes, options: &Options) -> Vec<u8> {
    let a = attributes;
    let internal = options.kind == PeerKind::Internal;
    let four_octets = options.four_octet_as;
    let mut to = Writer::new(&a.unknown);
    let origin = match a.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    to.put(kind::ORIGIN, &[origin]);
    to.as_path(kind::AS_PATH, &a.as_path, four_octets);
    if let Some(med) = a.med {
        to.put(kind::MED, &med.to_be_bytes());
    }
    if let (Some(local_pref), true) = (a.local_pref, internal) {
        to.put(kind::LOCAL_PREF, &local_pref.to_be_bytes());
    }
    if a.atomic_aggregate {
        to.put(kind::ATOMIC_AGGREGATE, &[]);
    }
    if let Some((asn, address)) = a.aggregator {
        let mut value = Vec::with_capacity(8);
        put_number(&mut value, asn.get(), four_octets);
        value.extend_from_slice(&address.octets());
        to.put(kind::AGGREGATOR, &value);
    }
    to.list(kind::COMMUNITIES, &a.communities, 4, |to, c| to.extend_from_slice(&c.to_be_bytes()));
    if let (Some(id), true) = (a.originator_id, internal) {
        to.put(kind::ORIGINATOR_ID, &id.octets());
    }
    if internal {
        to.list(kind::CLUSTER_LIST, &a.cluster_list, 4, |to, id| {
            to.extend_from_slice(&id.octets());
        });
    }
    to.list(kind::EXTENDED_COMMUNITIES, &a.extended_communities, 8, |to, c| {
        to.extend_from_slice(c);
    });
    if !four_octets && needs_as4(&a.as_path) {
        to.as_path(kind::AS4_PATH, &a.as_path, true);
    }
    if let (Some((asn, address)), false) = (a.aggregator, four_octets)
        && asn.get() > u32::from(u16::MAX)
    {
        to.put(kind::AS4_AGGREGATOR, &[asn.get().to_be_bytes(), address.octets()].concat());
    }
    let large = without_doubles(a.large_communities.iter().copied());
    to.list(kind::LARGE_COMMUNITY, &large, 12, |to, parts| {
        to.extend(parts.iter().flat_map(|n| n.to_be_bytes()));
    });
    if let Some(asn) = a.only_to_customer {
        to.put(kind::ONLY_TO_CUSTOMER, &asn.get().to_be_bytes());
    }
    to.finish()
}

/// Appends an attribute's head; the Extended Length bit follows from the length (RFC 4271 §4.3).
pub(crate) fn put_attribute(to: &mut Vec<u8>, flags: u8, code: u8, len: usize) {
    match u8::try_from(len) {
        Ok(len) => to.extend_from_slice(&[flags & !FLAG_EXTENDED_LEN, code, len]),
        Err(_) => {
            to.extend_from_slice(&[flags | FLAG_EXTENDED_LEN, code]);
            to.extend_from_slice(&wire::len16(len.min(usize::from(u16::MAX))));
        }
    }
}

/// Attributes in the order of their codes, with the unknown ones put between.
struct Writer<'a> {
    bytes: Vec<u8>,
    /// Still to be written, the lowest code last.
    unknown: Vec<&'a UnknownAttribute>,
}

impl<'a> Writer<'a> {
    fn new(unknown: &'a [UnknownAttribute]) -> Writer<'a> {
        let mut unknown: Vec<_> = unknown.iter().collect();
        unknown.sort_by_key(|u| std::cmp::Reverse(u.code));
        Writer { bytes: Vec::with_capacity(128), unknown }
    }

    fn head(&mut self, code: u8, len: usize) {
        self.unknown_before(u16::from(code));
        let flags = expected_flags(code).unwrap_or(FLAG_OPTIONAL);
        put_attribute(&mut self.bytes, flags, code, len);
    }

    fn put(&mut self, code: u8, value: &[u8]) {
        self.head(code, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// A list, left out when it is empty.
    fn list<T>(&mut self, code: u8, all: &[T], octets: usize, write: impl Fn(&mut Vec<u8>, &T)) {
        if all.is_empty() {
            return;
        }
        self.head(code, all.len() * octets);
        for one in all {
            write(&mut self.bytes, one);
        }
    }

    /// A path with numbers of two or four octets; long segments are cut into several.
    fn as_path(&mut self, code: u8, path: &AsPath, four_octets: bool) {
        let octets = if four_octets { 4 } else { 2 };
        let len = |segment: &Segment| {
            let count = segment.numbers().len();
            2 * count.div_ceil(255) + octets * count
        };
        self.head(code, path.segments.iter().map(len).sum());
        for segment in &path.segments {
            let kind = match segment {
                Segment::Set(_) => 1,
                Segment::Sequence(_) => 2,
            };
            for numbers in segment.numbers().chunks(255) {
                self.bytes.extend([kind, u8::try_from(numbers.len()).unwrap_or(u8::MAX)]);
                for &asn in numbers {
                    put_number(&mut self.bytes, asn, four_octets);
                }
            }
        }
    }

    /// We do not know them and pass them on: Partial (RFC 4271 §5).
    fn unknown_before(&mut self, code: u16) {
        while let Some(u) = self.unknown.pop_if(|u| u16::from(u.code) < code) {
            put_attribute(&mut self.bytes, u.flags | FLAG_PARTIAL, u.code, u.value.len());
            self.bytes.extend_from_slice(&u.value);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.unknown_before(u16::MAX);
        self.bytes
    }
}

/// One AS number; AS_TRANS where it does not fit (RFC 6793 §4.2.2).
fn put_number(to: &mut Vec<u8>, asn: u32, four_octets: bool) {
    match (four_octets, u16::try_from(asn)) {
        (true, _) => to.extend_from_slice(&asn.to_be_bytes()),
        (false, Ok(asn)) => to.extend_from_slice(&asn.to_be_bytes()),
        (false, Err(_)) => to.extend_from_slice(&Asn::TRANS.as_two_octets().to_be_bytes()),
    }
}

/// Whether a number does not fit two octets (RFC 6793 §4.2.2).
fn needs_as4(path: &AsPath) -> bool {
    path.segments.iter().flat_map(Segment::numbers).any(|&asn| asn > u32::from(u16::MAX))
}

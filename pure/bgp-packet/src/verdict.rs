//! Path attributes, and what RFC 7606 makes of bad ones.

use inet::Asn;

use crate::notification::code;
use crate::update::{RawAttribute, next_attribute};
use crate::wire::Reader;
use crate::{
    AsPath, Attributes, BgpNextHop, Notification, Options, Origin, PeerKind, Segment,
    UnknownAttribute,
};

/// What becomes of the routes of an UPDATE (RFC 7606 §2).
// The large variant is the usual one, and it is moved once.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Usable; some attributes may have been discarded (named in the list, RFC 7606 §2).
    Accept(Attributes, Vec<Malformation>),
    /// All announced prefixes are to be treated as withdrawn.
    TreatAsWithdraw(Vec<Malformation>),
    /// The session must be reset with this NOTIFICATION.
    Reset(Notification),
}

/// One malformed attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformation {
    /// Attribute type code; 0 is the list of attributes as a whole.
    pub code: u8,
    /// What is wrong, in words.
    pub reason: &'static str,
}

impl Malformation {
    /// The NOTIFICATION where the session cannot survive it (RFC 4271 §6.3).
    pub(crate) fn notification(&self) -> Notification {
        let subcode = match (self.code, self.reason) {
            (_, WRONG_FLAGS) => 4,
            (_, WRONG_LENGTH) => 5,
            (kind::ORIGIN, _) => 6,
            (kind::AS_PATH, _) => 11,
            (kind::NEXT_HOP, _) => 8,
            (0, _) => 1,
            _ => 9,
        };
        Notification::new(code::UPDATE, subcode)
    }
}

pub(crate) const FLAG_OPTIONAL: u8 = 0x80;
pub(crate) const FLAG_TRANSITIVE: u8 = 0x40;
pub(crate) const FLAG_PARTIAL: u8 = 0x20;
pub(crate) const FLAG_EXTENDED_LEN: u8 = 0x10;

/// Attribute type codes.
pub(crate) mod kind {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const NEXT_HOP: u8 = 3;
    pub(crate) const MED: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const ATOMIC_AGGREGATE: u8 = 6;
    pub(crate) const AGGREGATOR: u8 = 7;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
    pub(crate) const MP_REACH: u8 = 14;
    pub(crate) const MP_UNREACH: u8 = 15;
    pub(crate) const EXTENDED_COMMUNITIES: u8 = 16;
    pub(crate) const AS4_PATH: u8 = 17;
    pub(crate) const AS4_AGGREGATOR: u8 = 18;
    pub(crate) const LARGE_COMMUNITY: u8 = 32;
}

/// The Optional and Transitive bits an attribute must have; none for one sart does not know.
pub(crate) fn expected_flags(code: u8) -> Option<u8> {
    Some(match code {
        kind::ORIGIN
        | kind::AS_PATH
        | kind::NEXT_HOP
        | kind::LOCAL_PREF
        | kind::ATOMIC_AGGREGATE => FLAG_TRANSITIVE,
        kind::MED
        | kind::ORIGINATOR_ID
        | kind::CLUSTER_LIST
        | kind::MP_REACH
        | kind::MP_UNREACH => FLAG_OPTIONAL,
        kind::AGGREGATOR
        | kind::COMMUNITIES
        | kind::EXTENDED_COMMUNITIES
        | kind::AS4_PATH
        | kind::AS4_AGGREGATOR
        | kind::LARGE_COMMUNITY => FLAG_OPTIONAL | FLAG_TRANSITIVE,
        _ => return None,
    })
}

const WRONG_FLAGS: &str = "wrong flags";
const WRONG_LENGTH: &str = "wrong length";

/// How bad one attribute is.
enum Fault {
    /// As if it were not there (RFC 7606 §2, attribute discard).
    Discard(&'static str),
    /// Treat-as-withdraw.
    Withdraw(&'static str),
}

use Fault::{Discard, Withdraw};

/// What is collected while walking.
#[derive(Default)]
struct Found {
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<(Asn, std::net::Ipv4Addr)>,
    seen: [u64; 4],
}

/// Decodes an attribute set. `routes` is false for a set without routes, where no attribute is
/// mandatory.
pub(crate) fn decide(
    bytes: &[u8],
    options: &Options,
    next_hop: BgpNextHop,
    routes: bool,
) -> Verdict {
    let mut found = Found::default();
    let mut attributes = Attributes::new(Origin::Incomplete, AsPath::default(), next_hop);
    let mut discarded = Vec::new();
    let mut withdraw = Vec::new();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let Some(raw) = next_attribute(&mut reader) else {
            // RFC 7606 §4.
            withdraw.push(Malformation { code: 0, reason: "attribute longer than the list" });
            break;
        };
        if found.seen_before(raw.code) {
            // RFC 7606 §3 g: the first one counts.
            discarded.push(Malformation { code: raw.code, reason: "came twice" });
            continue;
        }
        if expected_flags(raw.code).is_none() && raw.flags & FLAG_OPTIONAL == 0 {
            // RFC 4271 §6.3, left as it was by RFC 7606. The data is the attribute.
            let mut data = vec![raw.flags | FLAG_EXTENDED_LEN, raw.code];
            data.extend_from_slice(&crate::wire::len16(raw.value.len()));
            data.extend_from_slice(raw.value);
            return Verdict::Reset(Notification::with_data(code::UPDATE, 2, data));
        }
        match one(raw, options, &mut attributes, &mut found) {
            Ok(()) => {}
            Err(Discard(reason)) => discarded.push(Malformation { code: raw.code, reason }),
            Err(Withdraw(reason)) => withdraw.push(Malformation { code: raw.code, reason }),
        }
    }
    if routes {
        // RFC 7606 §3 d. What was there but malformed is in the list already.
        let reason = "missing";
        for code in [kind::ORIGIN, kind::AS_PATH, kind::LOCAL_PREF] {
            let mandatory = code != kind::LOCAL_PREF || options.kind == PeerKind::Internal;
            if mandatory && !found.has_seen(code) {
                withdraw.push(Malformation { code, reason });
            }
        }
    }
    if !withdraw.is_empty() {
        withdraw.extend(discarded);
        return Verdict::TreatAsWithdraw(withdraw);
    }
    attributes.origin = found.origin.unwrap_or(Origin::Incomplete);
    attributes.as_path = found.as_path.unwrap_or_default();
    merge_as4(&mut attributes, found.as4_path, found.as4_aggregator);
    Verdict::Accept(attributes, discarded)
}

impl Found {
    fn has_seen(&self, code: u8) -> bool {
        let word = self.seen.get(usize::from(code / 64)).copied().unwrap_or_default();
        word & (1 << (code % 64)) != 0
    }

    /// Notes the code and says whether it was noted before.
    fn seen_before(&mut self, code: u8) -> bool {
        let before = self.has_seen(code);
        if let Some(word) = self.seen.get_mut(usize::from(code / 64)) {
            *word |= 1 << (code % 64);
        }
        before
    }
}

/// One attribute: RFC 7606 §7, its subsections in order.
fn one(
    raw: RawAttribute<'_>,
    options: &Options,
    attributes: &mut Attributes,
    found: &mut Found,
) -> Result<(), Fault> {
    let mut reader = Reader::new(raw.value);
    let external = options.kind == PeerKind::External;
    // These an external peer must not send: discarded unread (RFC 7606 §7.5, §7.9, §7.10).
    if external && matches!(raw.code, kind::LOCAL_PREF | kind::ORIGINATOR_ID | kind::CLUSTER_LIST) {
        return Err(Discard("not from an external peer"));
    }
    // AS4_* mean something only from a peer with two-octet numbers (RFC 6793 §3).
    if options.four_octet_as && matches!(raw.code, kind::AS4_PATH | kind::AS4_AGGREGATOR) {
        return Err(Discard("not from a peer with four-octet numbers"));
    }
    let flags = raw.flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE);
    if expected_flags(raw.code).is_some_and(|expected| expected != flags) {
        return Err(match raw.code {
            // NEXT_HOP was judged with the routes that use it.
            kind::NEXT_HOP | kind::MP_REACH | kind::MP_UNREACH => return Ok(()),
            // RFC 6793 §6.
            kind::AS4_PATH | kind::AS4_AGGREGATOR => Discard(WRONG_FLAGS),
            // RFC 7606 §3 c.
            _ => Withdraw(WRONG_FLAGS),
        });
    }
    match raw.code {
        kind::ORIGIN => {
            found.origin = Some(match raw.value {
                [0] => Origin::Igp,
                [1] => Origin::Egp,
                [2] => Origin::Incomplete,
                [_] => return Err(Withdraw("unknown origin")),
                _ => return Err(Withdraw(WRONG_LENGTH)),
            });
        }
        kind::AS_PATH => {
            found.as_path = Some(as_path(reader, options.four_octet_as).map_err(Withdraw)?);
        }
        kind::NEXT_HOP | kind::MP_REACH | kind::MP_UNREACH => {}
        kind::MED => attributes.med = Some(exactly(&mut reader, Reader::u32, Withdraw)?),
        kind::LOCAL_PREF => {
            attributes.local_pref = Some(exactly(&mut reader, Reader::u32, Withdraw)?);
        }
        kind::ATOMIC_AGGREGATE if raw.value.is_empty() => attributes.atomic_aggregate = true,
        kind::ATOMIC_AGGREGATE => return Err(Discard(WRONG_LENGTH)),
        kind::AGGREGATOR => {
            attributes.aggregator = Some(aggregator(&mut reader, options.four_octet_as)?);
        }
        kind::COMMUNITIES => attributes.communities = list(reader, Reader::u32)?,
        kind::ORIGINATOR_ID => {
            attributes.originator_id = Some(exactly(&mut reader, Reader::ipv4, Withdraw)?);
        }
        kind::CLUSTER_LIST => attributes.cluster_list = list(reader, Reader::ipv4)?,
        kind::EXTENDED_COMMUNITIES => {
            attributes.extended_communities = list(reader, Reader::array::<8>)?;
        }
        kind::AS4_PATH => found.as4_path = Some(as_path(reader, true).map_err(Discard)?),
        kind::AS4_AGGREGATOR => found.as4_aggregator = Some(aggregator(&mut reader, true)?),
        kind::LARGE_COMMUNITY => {
            attributes.large_communities = list(reader, |r| Some([r.u32()?, r.u32()?, r.u32()?]))?;
        }
        // Unknown: kept only if it may travel on (RFC 4271 §9).
        _ if raw.flags & FLAG_TRANSITIVE != 0 => attributes.unknown.push(UnknownAttribute {
            flags: raw.flags & !FLAG_EXTENDED_LEN,
            code: raw.code,
            value: raw.value.to_vec(),
        }),
        _ => {}
    }
    Ok(())
}

/// A value of fixed length.
fn exactly<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Option<T>,
    fault: fn(&'static str) -> Fault,
) -> Result<T, Fault> {
    match read(reader) {
        Some(value) if reader.is_empty() => Ok(value),
        _ => Err(fault(WRONG_LENGTH)),
    }
}

/// One or more values of fixed length (RFC 7606 §7.8, §7.10, §7.14; RFC 8092 §6).
fn list<'a, T>(
    mut reader: Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Option<T>,
) -> Result<Vec<T>, Fault> {
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(read(&mut reader).ok_or(Withdraw(WRONG_LENGTH))?);
    }
    if values.is_empty() { Err(Withdraw(WRONG_LENGTH)) } else { Ok(values) }
}

/// AGGREGATOR and AS4_AGGREGATOR (RFC 7606 §7.7, RFC 7607 §2, RFC 6793 §6).
fn aggregator(
    reader: &mut Reader<'_>,
    four_octets: bool,
) -> Result<(Asn, std::net::Ipv4Addr), Fault> {
    let read = |r: &mut Reader<'_>| Some((number(r, four_octets)?, r.ipv4()?));
    let (asn, address) = exactly(reader, read, Discard)?;
    Ok((Asn::new(asn).map_err(|_| Discard("AS 0"))?, address))
}

/// One AS number of two or four octets.
fn number(reader: &mut Reader<'_>, four_octets: bool) -> Option<u32> {
    if four_octets { reader.u32() } else { reader.u16().map(u32::from) }
}

/// AS_PATH and AS4_PATH (RFC 7606 §7.2). Confederation segments are malformed: none of our
/// peers is in a confederation with us (RFC 5065 §5).
fn as_path(mut reader: Reader<'_>, four_octets: bool) -> Result<AsPath, &'static str> {
    const LENGTHS: &str = "segment longer than the path";
    let mut segments = Vec::new();
    while !reader.is_empty() {
        let (kind, count) = (reader.u8().ok_or(LENGTHS)?, usize::from(reader.u8().ok_or(LENGTHS)?));
        let width = if four_octets { 4 } else { 2 };
        let mut bytes = Reader::new(reader.take(count * width).ok_or(LENGTHS)?);
        let mut numbers = Vec::with_capacity(count);
        while let Some(asn) = number(&mut bytes, four_octets) {
            numbers.push(asn);
        }
        if numbers.is_empty() {
            return Err("empty segment");
        }
        if numbers.contains(&0) {
            // RFC 7607 §2.
            return Err("AS 0");
        }
        segments.push(match kind {
            1 => Segment::Set(numbers),
            2 => Segment::Sequence(numbers),
            _ => return Err("unknown segment type"),
        });
    }
    Ok(AsPath { segments })
}

/// RFC 6793 §4.2.3: the true numbers of a path that went through speakers with two-octet ones.
fn merge_as4(
    attributes: &mut Attributes,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<(Asn, std::net::Ipv4Addr)>,
) {
    if let (Some((asn, _)), Some(as4_aggregator)) = (attributes.aggregator, as4_aggregator) {
        if asn != Asn::TRANS {
            // Aggregated again by a two-octet speaker: both AS4_* are older than that.
            return;
        }
        attributes.aggregator = Some(as4_aggregator);
    }
    let Some(as4_path) = as4_path else { return };
    let Some(mut ahead) = attributes.as_path.hops().checked_sub(as4_path.hops()) else {
        return;
    };
    let mut segments = Vec::new();
    for segment in &attributes.as_path.segments {
        if ahead == 0 {
            break;
        }
        let part = match segment {
            Segment::Sequence(numbers) => {
                Segment::Sequence(numbers.iter().take(ahead).copied().collect())
            }
            Segment::Set(numbers) => Segment::Set(numbers.clone()),
        };
        ahead -= part.hops();
        segments.push(part);
    }
    for segment in as4_path.segments {
        match (segments.last_mut(), segment) {
            (Some(Segment::Sequence(head)), Segment::Sequence(tail))
                if head.len() + tail.len() <= 255 =>
            {
                head.extend(tail);
            }
            (_, segment) => segments.push(segment),
        }
    }
    attributes.as_path = AsPath { segments };
}

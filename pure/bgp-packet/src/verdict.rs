//! Path attributes, and what RFC 7606 makes of bad ones.

use std::net::Ipv4Addr;

use inet::Asn;

use crate::notification::code;
use crate::update::{RawAttribute, next_attribute};
use crate::view::{PathBytes, number};
use crate::wire::Reader;
use crate::{
    AsPathView, Attributes, AttributesView, BgpNextHop, Item, Items, Notification, Options, Origin,
    PeerKind,
};

/// What becomes of the routes of an UPDATE (RFC 7606 §2).
// The large variant is the usual one, and it is moved once.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<A = Attributes> {
    /// Usable; some attributes may have been discarded (named in the list, RFC 7606 §2).
    Accept(A, Vec<Malformation>),
    /// All announced prefixes are to be treated as withdrawn.
    TreatAsWithdraw(Vec<Malformation>),
    /// The session must be reset with this NOTIFICATION.
    Reset(Notification),
}

impl<A> Verdict<A> {
    /// The same verdict on what `make` makes of an accepted set.
    pub fn map<B>(self, make: impl FnOnce(A) -> B) -> Verdict<B> {
        match self {
            Verdict::Accept(set, discarded) => Verdict::Accept(make(set), discarded),
            Verdict::TreatAsWithdraw(why) => Verdict::TreatAsWithdraw(why),
            Verdict::Reset(notification) => Verdict::Reset(notification),
        }
    }
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
    pub(crate) const ONLY_TO_CUSTOMER: u8 = 35;
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
        | kind::LARGE_COMMUNITY
        | kind::ONLY_TO_CUSTOMER => FLAG_OPTIONAL | FLAG_TRANSITIVE,
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
struct Found<'a> {
    origin: Option<Origin>,
    as_path: PathBytes<'a>,
    as4_path: Option<PathBytes<'a>>,
    as4_aggregator: Option<(Asn, Ipv4Addr)>,
    seen: Seen,
}

/// The type codes that have been met.
#[derive(Default)]
pub(crate) struct Seen([u64; 4]);

impl Seen {
    pub(crate) fn has(&self, code: u8) -> bool {
        let word = self.0.get(usize::from(code / 64)).copied().unwrap_or_default();
        word & (1 << (code % 64)) != 0
    }

    /// Notes the code and says whether it was noted before.
    pub(crate) fn before(&mut self, code: u8) -> bool {
        let before = self.has(code);
        if let Some(word) = self.0.get_mut(usize::from(code / 64)) {
            *word |= 1 << (code % 64);
        }
        before
    }
}

/// Decodes an attribute set. `routes` is false for a set without routes, where no attribute is
/// mandatory.
pub(crate) fn decide<'a>(
    bytes: &'a [u8],
    options: &Options,
    next_hop: BgpNextHop,
    routes: bool,
) -> Verdict<AttributesView<'a>> {
    let mut found = Found::default();
    let mut attributes = AttributesView::new(next_hop);
    let mut discarded = Vec::new();
    let mut withdraw = Vec::new();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let Some(raw) = next_attribute(&mut reader) else {
            // RFC 7606 §4.
            withdraw.push(Malformation { code: 0, reason: "attribute longer than the list" });
            break;
        };
        if found.seen.before(raw.code) {
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
            Ok(Use::Read) => {}
            Ok(Use::PassOn) => attributes.with_unknown = bytes,
            Err(Discard(reason)) => discarded.push(Malformation { code: raw.code, reason }),
            Err(Withdraw(reason)) => withdraw.push(Malformation { code: raw.code, reason }),
        }
    }
    if routes {
        // RFC 7606 §3 d. What was there but malformed is in the list already.
        let reason = "missing";
        for code in [kind::ORIGIN, kind::AS_PATH, kind::LOCAL_PREF] {
            let mandatory = code != kind::LOCAL_PREF || options.kind == PeerKind::Internal;
            if mandatory && !found.seen.has(code) {
                withdraw.push(Malformation { code, reason });
            }
        }
    }
    if !withdraw.is_empty() {
        withdraw.extend(discarded);
        return Verdict::TreatAsWithdraw(withdraw);
    }
    attributes.origin = found.origin.unwrap_or(Origin::Incomplete);
    merge_as4(&mut attributes, &found);
    Verdict::Accept(attributes, discarded)
}

/// What an attribute is there for.
enum Use {
    /// It is understood, or of no use.
    Read,
    /// It is not understood and travels on.
    PassOn,
}

/// One attribute: RFC 7606 §7, its subsections in order.
fn one<'a>(
    raw: RawAttribute<'a>,
    options: &Options,
    attributes: &mut AttributesView<'a>,
    found: &mut Found<'a>,
) -> Result<Use, Fault> {
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
        return match raw.code {
            // NEXT_HOP was judged with the routes that use it.
            kind::NEXT_HOP | kind::MP_REACH | kind::MP_UNREACH => Ok(Use::Read),
            // RFC 7606 §3 c; no RFC says otherwise of any attribute here.
            _ => Err(Withdraw(WRONG_FLAGS)),
        };
    }
    let value = raw.value;
    let four_octets = options.four_octet_as;
    match raw.code {
        kind::ORIGIN => {
            found.origin = Some(match value {
                [0] => Origin::Igp,
                [1] => Origin::Egp,
                [2] => Origin::Incomplete,
                [_] => return Err(Withdraw("unknown origin")),
                _ => return Err(Withdraw(WRONG_LENGTH)),
            });
        }
        kind::AS_PATH => {
            found.as_path = PathBytes::as_path(value, four_octets).map_err(Withdraw)?;
        }
        kind::NEXT_HOP | kind::MP_REACH | kind::MP_UNREACH => {}
        kind::MED => attributes.med = Some(exactly(value, Reader::u32, Withdraw)?),
        kind::LOCAL_PREF => attributes.local_pref = Some(exactly(value, Reader::u32, Withdraw)?),
        kind::ATOMIC_AGGREGATE if value.is_empty() => attributes.atomic_aggregate = true,
        kind::ATOMIC_AGGREGATE => return Err(Discard(WRONG_LENGTH)),
        kind::AGGREGATOR => attributes.aggregator = Some(aggregator(value, four_octets)?),
        kind::COMMUNITIES => attributes.communities = list(value)?,
        kind::ORIGINATOR_ID => {
            attributes.originator_id = Some(exactly(value, Reader::ipv4, Withdraw)?);
        }
        kind::CLUSTER_LIST => attributes.cluster_list = list(value)?,
        kind::EXTENDED_COMMUNITIES => attributes.extended_communities = list(value)?,
        // RFC 6793 §6: less than one segment is malformed.
        kind::AS4_PATH if value.is_empty() => return Err(Discard(WRONG_LENGTH)),
        kind::AS4_PATH => {
            found.as4_path = Some(PathBytes::as4_path(value).map_err(Discard)?);
        }
        kind::AS4_AGGREGATOR => found.as4_aggregator = Some(aggregator(value, true)?),
        kind::LARGE_COMMUNITY => attributes.large_communities = list(value)?,
        // RFC 9234 §5.
        kind::ONLY_TO_CUSTOMER => {
            let asn = exactly(value, Reader::u32, Withdraw)?;
            attributes.only_to_customer = Some(Asn::new(asn).map_err(|_| Withdraw("AS 0"))?);
        }
        // Unknown: kept only if it may travel on (RFC 4271 §9).
        _ if raw.flags & FLAG_TRANSITIVE != 0 => return Ok(Use::PassOn),
        _ => {}
    }
    Ok(Use::Read)
}

/// A value of fixed length.
fn exactly<'a, T>(
    value: &'a [u8],
    read: impl Fn(&mut Reader<'a>) -> Option<T>,
    fault: fn(&'static str) -> Fault,
) -> Result<T, Fault> {
    let mut reader = Reader::new(value);
    match read(&mut reader) {
        Some(value) if reader.is_empty() => Ok(value),
        _ => Err(fault(WRONG_LENGTH)),
    }
}

/// One or more values of fixed length (RFC 7606 §7.8, §7.10, §7.14; RFC 8092 §6).
fn list<T: Item>(value: &[u8]) -> Result<Items<'_, T>, Fault> {
    Items::new(value).ok_or(Withdraw(WRONG_LENGTH))
}

/// AGGREGATOR and AS4_AGGREGATOR (RFC 7606 §7.7, RFC 7607 §2, RFC 6793 §6).
fn aggregator(value: &[u8], four_octets: bool) -> Result<(Asn, Ipv4Addr), Fault> {
    let read = |r: &mut Reader<'_>| Some((number(r, four_octets)?, r.ipv4()?));
    let (asn, address) = exactly(value, read, Discard)?;
    Ok((Asn::new(asn).map_err(|_| Discard("AS 0"))?, address))
}

/// RFC 6793 §4.2.3: the true numbers of a path that went through speakers with two-octet ones.
fn merge_as4<'a>(attributes: &mut AttributesView<'a>, found: &Found<'a>) {
    let mut as4_path = found.as4_path;
    if let (Some((asn, _)), Some(as4_aggregator)) = (attributes.aggregator, found.as4_aggregator) {
        if asn == Asn::TRANS {
            attributes.aggregator = Some(as4_aggregator);
        } else {
            // Aggregated again by a two-octet speaker: both AS4_* are older than that.
            as4_path = None;
        }
    }
    let merged = AsPathView::new(found.as_path, as4_path);
    attributes.as_path = merged.noting_sets(found.as_path, found.as4_path);
}

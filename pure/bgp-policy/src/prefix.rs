//! Prefixes with a range of lengths, and sets of them that are searched quickly.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use inet::{Family, Prefix, PrefixError};
use serde::{Serialize, Serializer};

/// A prefix and the lengths that are meant: itself and all in it that are `ge` to `le` bits long.
///
/// Text: `10.0.0.0/8` (only itself), `10.0.0.0/8 le 24` (8 to 24), `10.0.0.0/8 ge 16` (16 to 32),
/// `10.0.0.0/8 ge 16 le 24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixRange {
    prefix: Prefix,
    ge: u8,
    le: u8,
}

/// Why a text is no prefix range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixRangeError {
    /// The prefix is wrong.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// Something else than `ge N` and `le N` follows the prefix.
    #[error("{0:?} is not a prefix with lengths (10.0.0.0/8 ge 16 le 24)")]
    Syntax(String),
    /// The lengths are not in the order: prefix length, `ge`, `le`, the family's bits.
    #[error("{text}: the lengths must be in the order {len} <= ge <= le <= {bits}")]
    Order {
        /// What was read.
        text: String,
        /// The prefix's own length.
        len: u8,
        /// 32 or 128.
        bits: u8,
    },
}

impl PrefixRange {
    /// A prefix with lengths; what is left out follows the other, as in the text form.
    pub fn new(
        prefix: Prefix,
        ge: Option<u8>,
        le: Option<u8>,
    ) -> Result<PrefixRange, PrefixRangeError> {
        let (len, bits) = (prefix.len(), prefix.family().bits());
        let (low, high) = match (ge, le) {
            (None, None) => (len, len),
            (Some(ge), None) => (ge, bits),
            (None, Some(le)) => (len, le),
            (Some(ge), Some(le)) => (ge, le),
        };
        if len <= low && low <= high && high <= bits {
            return Ok(PrefixRange { prefix, ge: low, le: high });
        }
        let part = |name: &str, n: Option<u8>| n.map_or(String::new(), |n| format!(" {name} {n}"));
        let text = format!("{prefix}{}{}", part("ge", ge), part("le", le));
        Err(PrefixRangeError::Order { text, len, bits })
    }

    /// The prefix.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// The shortest and the greatest length that are meant.
    pub fn lengths(&self) -> (u8, u8) {
        (self.ge, self.le)
    }

    /// Whether the prefix is one of those meant.
    pub fn matches(&self, prefix: &Prefix) -> bool {
        (self.ge..=self.le).contains(&prefix.len()) && self.prefix.covers(prefix)
    }
}

impl From<Prefix> for PrefixRange {
    fn from(prefix: Prefix) -> PrefixRange {
        PrefixRange { prefix, ge: prefix.len(), le: prefix.len() }
    }
}

impl FromStr for PrefixRange {
    type Err = PrefixRangeError;
    fn from_str(text: &str) -> Result<PrefixRange, PrefixRangeError> {
        let syntax = || PrefixRangeError::Syntax(text.to_owned());
        let mut words = text.split_whitespace();
        let prefix: Prefix = words.next().ok_or_else(syntax)?.parse()?;
        let (mut ge, mut le) = (None, None);
        while let Some(word) = words.next() {
            let number = words.next().and_then(|n| n.parse::<u8>().ok()).ok_or_else(syntax)?;
            let place = match word {
                "ge" => &mut ge,
                "le" => &mut le,
                _ => return Err(syntax()),
            };
            if place.replace(number).is_some() {
                return Err(syntax());
            }
        }
        PrefixRange::new(prefix, ge, le)
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, bits) = (self.prefix.len(), self.prefix.family().bits());
        self.prefix.fmt(f)?;
        match (self.ge, self.le) {
            (ge, le) if ge == len && le == len => Ok(()),
            (ge, le) if ge == len => write!(f, " le {le}"),
            (ge, le) if le == bits => write!(f, " ge {ge}"),
            (ge, le) => write!(f, " ge {ge} le {le}"),
        }
    }
}

impl Serialize for PrefixRange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A set of prefix ranges: one binary search for each length that its prefixes have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PrefixSet {
    ipv4: Lengths,
    ipv6: Lengths,
}

/// The entries of one family by the length of their prefix, shortest first.
type Lengths = Vec<(u8, Vec<Entry>)>;

/// The prefix's bits as a number, and the lengths meant. Sorted; entries with the same bits do not
/// overlap or touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    bits: u128,
    ge: u8,
    le: u8,
}

impl PrefixSet {
    /// Whether a range of the set has the prefix.
    pub fn matches(&self, prefix: &Prefix) -> bool {
        let (lengths, address) = match prefix.address() {
            IpAddr::V4(a) => (&self.ipv4, u128::from(u32::from(a)) << 96),
            IpAddr::V6(a) => (&self.ipv6, u128::from(a)),
        };
        let len = prefix.len();
        lengths.iter().take_while(|(at, _)| *at <= len).any(|(at, entries)| {
            let bits = high_bits(address, *at);
            let from = entries.partition_point(|entry| entry.bits < bits);
            let same = entries.iter().skip(from).take_while(|entry| entry.bits == bits);
            same.into_iter().any(|entry| (entry.ge..=entry.le).contains(&len))
        })
    }

    /// Whether a prefix of the set has the address in it; lengths do not count. This is how next
    /// hops are compared.
    pub fn contains(&self, address: &IpAddr) -> bool {
        let (lengths, bits) = match address {
            IpAddr::V4(a) => (&self.ipv4, u128::from(u32::from(*a)) << 96),
            IpAddr::V6(a) => (&self.ipv6, u128::from(*a)),
        };
        lengths.iter().any(|(at, entries)| {
            let bits = high_bits(bits, *at);
            entries.binary_search_by_key(&bits, |entry| entry.bits).is_ok()
        })
    }
}

impl FromIterator<PrefixRange> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixRange>>(ranges: I) -> PrefixSet {
        let mut all: Vec<(Family, u8, Entry)> = ranges
            .into_iter()
            .map(|range| {
                let bits = match range.prefix.address() {
                    IpAddr::V4(a) => u128::from(u32::from(a)) << 96,
                    IpAddr::V6(a) => u128::from(a),
                };
                let entry = Entry { bits, ge: range.ge, le: range.le };
                (range.prefix.family(), range.prefix.len(), entry)
            })
            .collect();
        all.sort_unstable();
        let mut set = PrefixSet::default();
        for (family, len, entry) in all {
            let lengths = match family {
                Family::Ipv4 => &mut set.ipv4,
                Family::Ipv6 => &mut set.ipv6,
            };
            if lengths.last().is_none_or(|(last, _)| *last != len) {
                lengths.push((len, Vec::new()));
            }
            let Some((_, entries)) = lengths.last_mut() else {
                continue;
            };
            match entries.last_mut() {
                // Sorted by `ge`: what begins inside or right behind the last one makes it longer.
                Some(last) if last.bits == entry.bits && entry.ge <= last.le.saturating_add(1) => {
                    last.le = last.le.max(entry.le);
                }
                Some(_) | None => entries.push(entry),
            }
        }
        set
    }
}

/// The first `len` bits of an address that stands at the top of the number; the rest zero.
fn high_bits(bits: u128, len: u8) -> u128 {
    match len {
        0 => 0,
        len => bits & (u128::MAX << (128 - u32::from(len.min(128)))),
    }
}

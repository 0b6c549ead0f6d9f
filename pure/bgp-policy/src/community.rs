//! Patterns and text forms of the three kinds of communities.

mod extended;
mod part;

use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use bgp_packet::{Attributes, community};
use serde::{Serialize, Serializer};

pub use extended::{ExtendedPattern, Use};
pub use part::Part;

/// Why a text is no community, or no pattern of communities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct CommunityTextError {
    pub(crate) text: String,
    pub(crate) wanted: &'static str,
}

/// One kind of communities, told by its type of pattern.
pub trait CommunityKind:
    Clone + PartialEq + Eq + Hash + fmt::Debug + fmt::Display + FromStr<Err = CommunityTextError>
{
    /// A community of this kind.
    type Value: Copy + PartialEq + Eq + Hash + fmt::Debug;

    /// What the kind is called: `communities`, `extended_communities` or `large_communities`.
    const KEY: &'static str;

    /// Whether the pattern has the community.
    fn matches(&self, value: &Self::Value) -> bool;

    /// The route's communities of this kind.
    fn list(attributes: &Attributes) -> &[Self::Value];

    /// The route's communities of this kind, to be changed.
    fn list_mut(attributes: &mut Attributes) -> &mut Vec<Self::Value>;

    /// Reads one community.
    fn read(text: &str) -> Result<Self::Value, CommunityTextError>;

    /// Writes one community so that [`CommunityKind::read`] gives it back.
    fn write(value: &Self::Value) -> String;

    /// The entry of a list, if it is of this kind.
    fn of(entry: &CommunityPattern) -> Option<&Self>;
}

/// Standard communities (RFC 1997): `65000:100`, `65000:*`, `*:100-199`, `no-export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StandardPattern([Part; 2]);

/// Large communities (RFC 8092): `65000:1:2`, `65000:*:*`, `65000:1:100-199`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LargePattern([Part; 3]);

/// A pattern of any kind, as community lists have them; the kind shows in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommunityPattern {
    /// Two numbers, or a well-known name.
    Standard(StandardPattern),
    /// `rt:`, `soo:`, `bandwidth:` or `raw:`.
    Extended(ExtendedPattern),
    /// Three numbers.
    Large(LargePattern),
}

/// The names of well-known communities (IANA's registry).
const WELL_KNOWN: [(&str, u32); 8] = [
    ("graceful-shutdown", community::GRACEFUL_SHUTDOWN),
    ("llgr-stale", 0xFFFF_0006),
    ("no-llgr", 0xFFFF_0007),
    ("blackhole", community::BLACKHOLE),
    ("no-export", community::NO_EXPORT),
    ("no-advertise", community::NO_ADVERTISE),
    ("no-export-subconfed", community::NO_EXPORT_SUBCONFED),
    ("no-peer", community::NO_PEER),
];

const STANDARD: &str = "a community (65000:100, or a well-known name such as no-export)";
const STANDARD_PATTERN: &str =
    "a pattern of communities (65000:100, 65000:*, 65000:100-199, or a name such as no-export)";
const LARGE: &str = "a large community (65000:1:2)";
const LARGE_PATTERN: &str = "a pattern of large communities (65000:1:2, 65000:*:*)";

/// Whether the text is the name of a well-known community.
pub(crate) fn is_well_known(text: &str) -> bool {
    well_known(text).is_some()
}

fn well_known(text: &str) -> Option<u32> {
    let found = WELL_KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value)
}

fn halves(value: u32) -> [u32; 2] {
    [value >> 16, value & 0xFFFF]
}

impl CommunityKind for StandardPattern {
    type Value = u32;
    const KEY: &'static str = "communities";

    fn matches(&self, value: &u32) -> bool {
        self.0.iter().zip(halves(*value)).all(|(part, number)| part.matches(number))
    }

    fn list(attributes: &Attributes) -> &[u32] {
        &attributes.communities
    }

    fn list_mut(attributes: &mut Attributes) -> &mut Vec<u32> {
        &mut attributes.communities
    }

    fn read(text: &str) -> Result<u32, CommunityTextError> {
        let error = || CommunityTextError { text: text.to_owned(), wanted: STANDARD };
        if let Some(value) = well_known(text) {
            return Ok(value);
        }
        let (high, low) = text.split_once(':').ok_or_else(error)?;
        let number = |text: &str| text.parse::<u16>().map(u32::from).map_err(|_| error());
        Ok(number(high)? << 16 | number(low)?)
    }

    fn write(value: &u32) -> String {
        match WELL_KNOWN.iter().find(|(_, known)| known == value) {
            Some((name, _)) => (*name).to_owned(),
            None => format!("{}:{}", value >> 16, value & 0xFFFF),
        }
    }

    fn of(entry: &CommunityPattern) -> Option<&StandardPattern> {
        match entry {
            CommunityPattern::Standard(pattern) => Some(pattern),
            CommunityPattern::Extended(_) | CommunityPattern::Large(_) => None,
        }
    }
}

impl FromStr for StandardPattern {
    type Err = CommunityTextError;
    fn from_str(text: &str) -> Result<StandardPattern, CommunityTextError> {
        if let Some(value) = well_known(text) {
            return Ok(StandardPattern(halves(value).map(Part::one)));
        }
        let parts = part::parts::<2>(text, u16::MAX.into());
        let error = || CommunityTextError { text: text.to_owned(), wanted: STANDARD_PATTERN };
        parts.map(StandardPattern).ok_or_else(error)
    }
}

impl fmt::Display for StandardPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Some(high), Some(low)] = self.0.map(|part| part.only()) {
            return f.write_str(&StandardPattern::write(&(high << 16 | low)));
        }
        part::write(f, &self.0)
    }
}

impl CommunityKind for LargePattern {
    type Value = [u32; 3];
    const KEY: &'static str = "large_communities";

    fn matches(&self, value: &[u32; 3]) -> bool {
        self.0.iter().zip(value).all(|(part, number)| part.matches(*number))
    }

    fn list(attributes: &Attributes) -> &[[u32; 3]] {
        &attributes.large_communities
    }

    fn list_mut(attributes: &mut Attributes) -> &mut Vec<[u32; 3]> {
        &mut attributes.large_communities
    }

    fn read(text: &str) -> Result<[u32; 3], CommunityTextError> {
        let parts = part::parts::<3>(text, u32::MAX);
        let error = || CommunityTextError { text: text.to_owned(), wanted: LARGE };
        match parts.map(|parts| parts.map(|part| part.only())) {
            Some([Some(a), Some(b), Some(c)]) => Ok([a, b, c]),
            Some(_) | None => Err(error()),
        }
    }

    fn write([a, b, c]: &[u32; 3]) -> String {
        format!("{a}:{b}:{c}")
    }

    fn of(entry: &CommunityPattern) -> Option<&LargePattern> {
        match entry {
            CommunityPattern::Large(pattern) => Some(pattern),
            CommunityPattern::Standard(_) | CommunityPattern::Extended(_) => None,
        }
    }
}

impl FromStr for LargePattern {
    type Err = CommunityTextError;
    fn from_str(text: &str) -> Result<LargePattern, CommunityTextError> {
        let error = || CommunityTextError { text: text.to_owned(), wanted: LARGE_PATTERN };
        part::parts::<3>(text, u32::MAX).map(LargePattern).ok_or_else(error)
    }
}

impl fmt::Display for LargePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        part::write(f, &self.0)
    }
}

impl FromStr for CommunityPattern {
    type Err = CommunityTextError;
    fn from_str(text: &str) -> Result<CommunityPattern, CommunityTextError> {
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_well_known(text) {
            return text.parse().map(CommunityPattern::Extended);
        }
        match text.matches(':').count() {
            2 => text.parse().map(CommunityPattern::Large),
            _ => text.parse().map(CommunityPattern::Standard),
        }
    }
}

impl fmt::Display for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommunityPattern::Standard(pattern) => pattern.fmt(f),
            CommunityPattern::Extended(pattern) => pattern.fmt(f),
            CommunityPattern::Large(pattern) => pattern.fmt(f),
        }
    }
}

impl Serialize for CommunityPattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

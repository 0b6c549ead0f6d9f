//! Small values of the language, each with its text form.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use inet::{Asn, Prefix, ScopedAddr};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Why a text is not the value that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct ValueError {
    text: String,
    wanted: &'static str,
}

impl ValueError {
    pub(crate) fn new(text: &str, wanted: &'static str) -> ValueError {
        ValueError { text: text.to_owned(), wanted }
    }
}

/// The numbers from `min` to `max`, both within. Text: `5`, `5..9`, `5..`, `..9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberRange {
    min: u32,
    max: u32,
}

impl NumberRange {
    /// The numbers from `min` to `max`; none when `max` is the smaller.
    pub fn new(min: u32, max: u32) -> Option<NumberRange> {
        (min <= max).then_some(NumberRange { min, max })
    }

    /// The smallest.
    pub fn min(&self) -> u32 {
        self.min
    }

    /// The greatest.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Whether the number lies within.
    pub fn contains(&self, number: u32) -> bool {
        (self.min..=self.max).contains(&number)
    }
}

impl From<u32> for NumberRange {
    fn from(number: u32) -> NumberRange {
        NumberRange { min: number, max: number }
    }
}

impl FromStr for NumberRange {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<NumberRange, ValueError> {
        let error = || ValueError::new(text, "a number or a range (5, 5..9, 5.., ..9)");
        let number = |text: &str, left_out: u32| match text.trim() {
            "" => Ok(left_out),
            text => text.parse::<u32>().map_err(|_| error()),
        };
        let range = match text.split_once("..") {
            None => text.trim().parse::<u32>().ok().map(NumberRange::from),
            Some((min, max)) if !(min.trim().is_empty() && max.trim().is_empty()) => {
                NumberRange::new(number(min, 0)?, number(max, u32::MAX)?)
            }
            Some(_) => None,
        };
        range.ok_or_else(error)
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, max) if min == max => min.fmt(f),
            (0, max) if max < u32::MAX => write!(f, "..{max}"),
            (min, u32::MAX) => write!(f, "{min}.."),
            (min, max) => write!(f, "{min}..{max}"),
        }
    }
}

impl Serialize for NumberRange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.min == self.max { s.serialize_u32(self.min) } else { s.collect_str(self) }
    }
}

/// How a number is changed. Written `5`, `{add: 5}`, `{subtract: 5}`; MED knows `remove` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Adjust {
    /// It becomes this.
    Set(u32),
    /// This is added; it stops at 2^32 - 1.
    Add(u32),
    /// This is taken away; it stops at 0.
    Subtract(u32),
    /// The attribute is taken out.
    Remove,
}

impl Adjust {
    /// The number after the change, from what is there now; `missing` is what "nothing" counts as.
    pub(crate) fn apply(self, now: Option<u32>, missing: u32) -> Option<u32> {
        let base = now.unwrap_or(missing);
        match self {
            Adjust::Set(number) => Some(number),
            Adjust::Add(number) => Some(base.saturating_add(number)),
            Adjust::Subtract(number) => Some(base.saturating_sub(number)),
            Adjust::Remove => None,
        }
    }
}

impl fmt::Display for Adjust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Adjust::Set(number) => number.fmt(f),
            Adjust::Add(number) => write!(f, "{{add: {number}}}"),
            Adjust::Subtract(number) => write!(f, "{{subtract: {number}}}"),
            Adjust::Remove => f.write_str("remove"),
        }
    }
}

impl Serialize for Adjust {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (key, number) = match self {
            Adjust::Set(number) => return s.serialize_u32(*number),
            Adjust::Remove => return s.serialize_str("remove"),
            Adjust::Add(number) => ("add", number),
            Adjust::Subtract(number) => ("subtract", number),
        };
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry(key, number)?;
        map.end()
    }
}

/// Which peers: an address, a prefix, a name, or `group:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerTerm {
    /// The peer with this address; a link-local one without its link is that of each link.
    Address(ScopedAddr),
    /// All with an address in the prefix.
    Prefix(Prefix),
    /// The peer with this name.
    Name(String),
    /// All of this group.
    Group(String),
}

impl FromStr for PeerTerm {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<PeerTerm, ValueError> {
        let error = || ValueError::new(text, "a peer (an address, a prefix, a name or group:NAME)");
        if let Some(group) = text.strip_prefix("group:") {
            return match group {
                "" => Err(error()),
                group => Ok(PeerTerm::Group(group.to_owned())),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(PeerTerm::Address(address));
        }
        // A misspelt one is nobody's name.
        if text.split_once('%').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok()) {
            return Err(error());
        }
        if text.contains('/') {
            return text.parse().map(PeerTerm::Prefix).map_err(|_| error());
        }
        if text.is_empty() { Err(error()) } else { Ok(PeerTerm::Name(text.to_owned())) }
    }
}

impl fmt::Display for PeerTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerTerm::Address(address) => address.fmt(f),
            PeerTerm::Prefix(prefix) => prefix.fmt(f),
            PeerTerm::Name(name) => f.write_str(name),
            PeerTerm::Group(group) => write!(f, "group:{group}"),
        }
    }
}

/// Whose number is put before the AS path: `own`, or a given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrependAs {
    /// Ours.
    Own,
    /// This one.
    Given(Asn),
}

impl FromStr for PrependAs {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<PrependAs, ValueError> {
        if text == "own" {
            return Ok(PrependAs::Own);
        }
        let given = text.parse().map(PrependAs::Given);
        given.map_err(|_| ValueError::new(text, "an AS number or `own`"))
    }
}

impl fmt::Display for PrependAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrependAs::Own => f.write_str("own"),
            PrependAs::Given(asn) => asn.fmt(f),
        }
    }
}

//! NLRI: prefixes in wire form, with path ids where they were agreed on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::{Family, Prefix};

use crate::wire::Reader;

/// Which of several paths to a prefix is meant (RFC 7911 §3); chosen by who sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

impl PathId {
    /// What stands where path ids were not agreed on.
    pub const NONE: PathId = PathId(0);
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Prefixes of one family, still in wire form. Checked: each has a legal length and all its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nlri<'a> {
    family: Family,
    add_path: bool,
    bytes: &'a [u8],
}

/// The prefixes of an [`Nlri`] in wire order.
#[derive(Clone, Debug)]
pub struct Prefixes<'a>(Paths<'a>);

/// The path ids and prefixes of an [`Nlri`] in wire order.
#[derive(Clone, Debug)]
pub struct Paths<'a> {
    family: Family,
    add_path: bool,
    reader: Reader<'a>,
}

impl<'a> Nlri<'a> {
    /// Checks every prefix (RFC 7606 §5.3, and so with path ids, RFC 7911 §3); host bits are no
    /// error, they mean nothing (RFC 4271 §4.3).
    pub(crate) fn new(family: Family, add_path: bool, bytes: &'a [u8]) -> Option<Nlri<'a>> {
        let nlri = Nlri { family, add_path, bytes };
        let mut paths = nlri.paths();
        while !paths.reader.is_empty() {
            paths.next()?;
        }
        Some(nlri)
    }

    /// The family of all the prefixes.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The prefixes in wire order; doubles are not removed.
    pub fn iter(&self) -> Prefixes<'a> {
        Prefixes(self.paths())
    }

    /// Path ids and prefixes in wire order; the id is [`PathId::NONE`] where none was agreed on.
    pub fn paths(&self) -> Paths<'a> {
        Paths { family: self.family, add_path: self.add_path, reader: Reader::new(self.bytes) }
    }

    /// Whether path ids stand in the message.
    pub fn has_path_ids(&self) -> bool {
        self.add_path
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// What is still to be taken of an [`Nlri`], with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NlriRest {
    family: Family,
    add_path: bool,
    bytes: Vec<u8>,
    taken: usize,
}

impl NlriRest {
    pub(crate) fn new(nlri: &Nlri<'_>) -> NlriRest {
        let Nlri { family, add_path, bytes } = *nlri;
        NlriRest { family, add_path, bytes: bytes.to_vec(), taken: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken >= self.bytes.len()
    }

    /// The next prefixes, so many at most.
    pub(crate) fn take(&mut self, most: usize) -> Nlri<'_> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let whole = Nlri { family: self.family, add_path: self.add_path, bytes: rest };
        let mut paths = whole.paths();
        // They were checked: at the end there is nothing left.
        paths.by_ref().take(most.max(1)).for_each(drop);
        let len = rest.len() - paths.reader.len();
        self.taken += len;
        Nlri { bytes: rest.get(..len).unwrap_or_default(), ..whole }
    }
}

impl<'a> IntoIterator for &Nlri<'a> {
    type Item = Prefix;
    type IntoIter = Prefixes<'a>;
    fn into_iter(self) -> Prefixes<'a> {
        self.iter()
    }
}

impl Iterator for Prefixes<'_> {
    type Item = Prefix;
    fn next(&mut self) -> Option<Prefix> {
        self.0.next().map(|(_, prefix)| prefix)
    }
}

impl Iterator for Paths<'_> {
    type Item = (PathId, Prefix);
    fn next(&mut self) -> Option<(PathId, Prefix)> {
        let id = if self.add_path { PathId(self.reader.u32()?) } else { PathId::NONE };
        let len = self.reader.u8()?;
        let bytes = self.reader.take(usize::from(len).div_ceil(8))?;
        let address = match self.family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::from(padded::<4>(bytes)?)),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(padded::<16>(bytes)?)),
        };
        Some((id, Prefix::truncated(address, len).ok()?))
    }
}

/// The bytes with zeros behind them; none if there are too many.
fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut array = [0; N];
    array.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(array)
}

//! Patterns over AS paths, matched in time linear in the path.
//!
//! A pattern becomes a position automaton (Glushkov): one state for each atom, the successors of
//! an atom a set of bits. A step of the match is a few words of bit operations for each live state,
//! whatever the pattern: there is nothing to back-track.

mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use bgp_packet::{AsPath, Segment};
use serde::{Serialize, Serializer};

pub use parse::PathPatternError;

use crate::value::NumberRange;

/// The greatest number of atoms (numbers, ranges and dots) in a pattern.
pub const MAX_ATOMS: usize = 254;

/// A pattern over the numbers of an AS path, nearest AS first, like `^65001 .* 65002$`.
///
/// | written | matches |
/// |---|---|
/// | `65001` | this number |
/// | `[64512-65534 65550]` | one of these numbers or ranges |
/// | `.` | any one number |
/// | `x*` `x+` `x?` | any times, at least once, at most once |
/// | `x y` | one after the other (`_` counts as a space) |
/// | `(x\|y)` | either |
/// | `^` `$` | the path's beginning and end; without them a pattern matches anywhere |
///
/// `^` and `$` stand only at the beginning and end of the pattern, or of an alternative that is not
/// in brackets. An AS_SET is one step; a number matches it when it is in the set. `^$` is the empty
/// path: a route of our own AS.
#[derive(Clone)]
pub struct PathPattern(Arc<Automaton>);

/// A set of atoms, by their position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bits([u64; 4]);

#[derive(Debug)]
struct Automaton {
    text: String,
    /// What each position matches.
    atoms: Vec<Atom>,
    /// Which positions may come first.
    first: Bits,
    /// Which positions may come after each.
    follow: Vec<Bits>,
    /// Which positions may be the last.
    last: Bits,
    /// The empty path matches.
    empty: bool,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Atom {
    Any,
    OneOf(Vec<NumberRange>),
}

/// One step of a path.
#[derive(Clone, Copy)]
enum Hop<'a> {
    One(u32),
    Set(&'a [u32]),
}

impl PathPattern {
    /// Whether the pattern is found in the path.
    pub fn matches(&self, path: &AsPath) -> bool {
        let automaton = &*self.0;
        let mut hops = path.segments.iter().flat_map(|segment| {
            let (ones, set) = match segment {
                Segment::Sequence(numbers) => (numbers.as_slice(), None),
                Segment::Set(numbers) => (&[] as &[u32], Some(Hop::Set(numbers))),
            };
            ones.iter().map(|number| Hop::One(*number)).chain(set)
        });
        let Some(hop) = hops.next() else {
            return automaton.empty;
        };
        let mut live = automaton.keep(automaton.first, hop);
        for hop in hops {
            let mut next = Bits::default();
            for position in live.iter() {
                if let Some(follow) = automaton.follow.get(position) {
                    next.add_all(follow);
                }
            }
            live = automaton.keep(next, hop);
            if live == Bits::default() {
                return false;
            }
        }
        live.meets(&automaton.last)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Automaton {
    /// The positions that match the hop.
    fn keep(&self, positions: Bits, hop: Hop<'_>) -> Bits {
        let mut kept = Bits::default();
        for position in positions.iter() {
            if self.atoms.get(position).is_some_and(|atom| atom.matches(hop)) {
                kept.add(position);
            }
        }
        kept
    }
}

impl Atom {
    fn matches(&self, hop: Hop<'_>) -> bool {
        let Atom::OneOf(ranges) = self else {
            return true;
        };
        let one = |number: u32| ranges.iter().any(|range| range.contains(number));
        match hop {
            Hop::One(number) => one(number),
            Hop::Set(numbers) => numbers.iter().any(|number| one(*number)),
        }
    }
}

impl Bits {
    fn add(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }

    fn add_all(&mut self, other: &Bits) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    fn meets(&self, other: &Bits) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;
    fn from_str(text: &str) -> Result<PathPattern, PathPatternError> {
        parse::pattern(text).map(|automaton| PathPattern(Arc::new(automaton)))
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &PathPattern) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for PathPattern {}

impl Hash for PathPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.text, f)
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0.text)
    }
}

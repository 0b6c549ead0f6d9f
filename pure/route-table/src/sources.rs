//! The names of sources, and the distances that people know.

use std::collections::BTreeMap;

use crate::SourceId;

/// Distances as routers have them; the lower wins.
pub mod distance {
    /// Routes put there by hand.
    pub const STATIC: u8 = 1;
    /// Routes learned from another AS.
    pub const BGP_EXTERNAL: u8 = 20;
    /// Routes of programs that say nothing of a distance.
    pub const OTHER: u8 = 150;
    /// Routes learned inside the AS.
    pub const BGP_INTERNAL: u8 = 200;
    /// Discard routes of what is originated here.
    pub const LOCAL: u8 = 200;
}

/// Named sources and their numbers. A name keeps its number for as long as the program runs.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    names: Vec<String>,
    numbers: BTreeMap<String, SourceId>,
}

impl Sources {
    /// The number of a name, given out when it is new; none when all 65,535 are.
    pub fn number(&mut self, name: &str) -> Option<SourceId> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = SourceId(u16::try_from(self.names.len()).ok()?);
        if number == SourceId::AGGREGATES {
            return None;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }

    /// The number of a name that has one.
    pub fn find(&self, name: &str) -> Option<SourceId> {
        self.numbers.get(name).copied()
    }

    /// The name of a number.
    pub fn name(&self, number: SourceId) -> Option<&str> {
        self.names.get(usize::from(number.0)).map(String::as_str)
    }

    /// All names in the order of their numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

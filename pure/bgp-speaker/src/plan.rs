use inet::ScopedAddr;
use std::collections::BTreeSet;

use crate::Conflict;

/// What an owner's document would do, said before it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Peers that would be there.
    pub added: Vec<ScopedAddr>,
    /// Peers that would be no more, their sessions ended.
    pub removed: Vec<ScopedAddr>,
    /// Peers whose sessions would be ended and begun anew, and the fields that are the reason.
    pub resets: Vec<(ScopedAddr, Vec<&'static str>)>,
    /// Peers whose fields would be taken over without touching the session.
    pub live: Vec<(ScopedAddr, Vec<&'static str>)>,
    /// Where the documents would not fit together, but do now.
    pub conflicts: BTreeSet<Conflict>,
}

impl Plan {
    /// Whether no peer would notice. (Routes may still change.)
    pub fn is_empty(&self) -> bool {
        *self == Plan::default()
    }
}

//! What a group knows of a prefix, of a member and of a chunk of messages.

use crate::group::said::Said;
use crate::group::{NOBODY, NONE};
use crate::peer::{NextHops, PeerId};

/// What the group knows of one prefix. "Holders" are all members but the one whose path it is:
/// that peer's number, or `NOBODY` or `ANYONE`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// When it changed last. Listed while some member has not come past that.
    pub(super) seq: u64,
    pub(super) before: u32,
    pub(super) after: u32,
    /// How many members have their cursor here.
    pub(super) cursors: u16,
    /// Holders once all have come past.
    pub(crate) now: u16,
    /// Holders among those who have not come past.
    pub(crate) held: u16,
}

impl Default for Out {
    fn default() -> Out {
        Out { seq: 0, before: NONE, after: NONE, cursors: 0, now: NOBODY, held: NOBODY }
    }
}

/// What a group with path ids knows of one prefix beside [`Out`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Several {
    /// What is announced: local path ids, and whose paths they are.
    pub(crate) now: Vec<(u16, u16)>,
    /// Path ids that those who have not come past may hold.
    pub(crate) held: Vec<u16>,
}

/// A peer in a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    /// Changes before this one were sent.
    pub(super) pos: u64,
    /// The first change not sent; none: all were.
    pub(super) cursor: u32,
    /// The next entry of the walk over the whole table.
    pub(crate) walk: Option<u32>,
    /// Where the walk ends, once it has begun: what is new since then is told as a change.
    pub(crate) walk_end: Option<u32>,
    /// During the walk, prefixes that are not for the peer are withdrawn too.
    pub(crate) resync: bool,
    /// End-of-RIB is due after the walk (RFC 4724 §2).
    pub(crate) end_of_rib: bool,
    /// The walk answers a ROUTE-REFRESH, and must be framed (RFC 7313 §4).
    pub(crate) framed: bool,
    /// The frame's beginning was sent.
    pub(crate) begun: bool,
    /// Whose turn it is of walk and changes.
    pub(crate) turn: bool,
}

/// What a member takes along into another group: the walk there ends what the walk here began.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) end_of_rib: bool,
    pub(crate) framed: bool,
    pub(crate) begun: bool,
}

/// What was encoded for one member, for others at the same place.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) next_hops: NextHops,
    pub(crate) said: Said,
    pub(crate) end: End,
}

/// Where a chunk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Walk(u32),
    /// The number of the first change.
    Change(u64),
}

/// Where a chunk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The entry that the walk comes to next.
    Walk(u32),
    /// The last change: its entry and its number.
    Change(u32, u64),
}

/// Where a member stands after a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Walk(Option<u32>),
    /// The next change; none: all were sent.
    Change(Option<u32>),
}

impl Member {
    /// What is due to the peer in whichever group.
    pub(crate) fn due(&self) -> Moved {
        let Member { end_of_rib, framed, begun, .. } = *self;
        Moved { end_of_rib, framed, begun }
    }

    /// Whether the member's walk is still to come by an entry.
    pub(crate) fn comes_by(&self, idx: u32) -> bool {
        self.walk.is_some_and(|cursor| cursor <= idx) && self.walk_end.is_none_or(|end| idx < end)
    }
}

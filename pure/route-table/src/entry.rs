//! One prefix: what the sources offer, what the kernel holds, what is under way.
//!
//! Large tables are made of these, so they hold numbers of interned values.

use std::time::Duration;

use inet::{Prefix, Timestamp};

use crate::intern::Id;
use crate::{KernelTarget, ObjectId, SourceId};

/// The first pause after a refused write; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause between two tries of one write.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why the kernel refused a write: its error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

/// Where an entry is kept.
pub(crate) type Place = u32;

/// What one source wants for a prefix. The order is the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) distance: u8,
    pub(crate) source: SourceId,
    pub(crate) target: Id,
}

/// The offers for a prefix, sorted by preference: mostly one.
#[derive(Clone, Debug, Default)]
pub(crate) enum Offers {
    #[default]
    None,
    One(Offer),
    Several(Vec<Offer>),
}

impl Offers {
    pub(crate) fn as_slice(&self) -> &[Offer] {
        match self {
            Offers::None => &[],
            Offers::One(offer) => std::slice::from_ref(offer),
            Offers::Several(offers) => offers,
        }
    }

    /// Takes a source's offer away and puts the new one, if any, in its place of preference; gives
    /// the old one.
    pub(crate) fn put(&mut self, source: SourceId, new: Option<Offer>) -> Option<Offer> {
        let mut all = match std::mem::take(self) {
            Offers::None => Vec::new(),
            Offers::One(old) if old.source == source => {
                *self = new.map_or(Offers::None, Offers::One);
                return Some(old);
            }
            Offers::One(old) => vec![old],
            Offers::Several(all) => all,
        };
        let old = all.iter().position(|o| o.source == source).map(|at| all.remove(at));
        if let Some(new) = new {
            let at = all.partition_point(|o| (o.distance, o.source) < (new.distance, new.source));
            all.insert(at, new);
        }
        *self = match all.as_slice() {
            [] => Offers::None,
            [one] => Offers::One(*one),
            [_, _, ..] => Offers::Several(all),
        };
        old
    }
}

/// What a route in the kernel says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    /// Everything itself.
    Direct(KernelTarget),
    /// See this object.
    Object(ObjectId),
}

/// What the kernel holds for a prefix under our name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Actual {
    /// Nothing.
    #[default]
    Absent,
    /// This.
    Present(Id),
    /// Someone interfered, or a write failed: only writing again makes it known. It may still be
    /// what is named.
    Unknown(Option<Id>),
}

impl Actual {
    pub(crate) fn held(self) -> Option<Id> {
        match self {
            Actual::Absent => None,
            Actual::Present(held) => Some(held),
            Actual::Unknown(held) => held,
        }
    }
}

/// A write on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    /// What was written; none for a deletion.
    pub(crate) held: Option<Id>,
    /// News of this route came meanwhile: before or after the write, nobody knows.
    pub(crate) disturbed: bool,
    /// Something that matters for it happened meanwhile on our side.
    pub(crate) again: bool,
}

/// A refused write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) errno: Errno,
    pub(crate) tries: u32,
    pub(crate) retry_at: Timestamp,
}

impl Failure {
    /// One more failure after `before`: each pause is twice as long as the one before.
    pub(crate) fn after(before: Option<Failure>, now: Timestamp, errno: Errno) -> Failure {
        let tries = before.map_or(1, |failure| failure.tries.saturating_add(1));
        let pause = RETRY_MIN.saturating_mul(1 << (tries - 1).min(16)).min(RETRY_MAX);
        Failure { errno, tries, retry_at: now + pause }
    }
}

/// One prefix.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) prefix: Prefix,
    pub(crate) offers: Offers,
    pub(crate) actual: Actual,
    pub(crate) flight: Option<Flight>,
    /// The [`moment`] since which the kernel lags behind; 0: it does not.
    pub(crate) since: u32,
    /// Found in the kernel, and no source has spoken of it yet.
    pub(crate) adopted: bool,
    /// Waits for its turn to be decided.
    pub(crate) queued: bool,
    /// The last write was refused.
    pub(crate) failed: bool,
}

/// Milliseconds of a time, never 0; they start anew after 49 days.
pub(crate) fn moment(now: Timestamp) -> u32 {
    (now.elapsed().as_millis() as u32).max(1)
}

impl Entry {
    pub(crate) fn new(prefix: Prefix) -> Entry {
        Entry {
            prefix,
            offers: Offers::None,
            actual: Actual::Absent,
            flight: None,
            since: 0,
            adopted: false,
            queued: false,
            failed: false,
        }
    }

    /// Whether nothing is left to remember.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.offers, Offers::None)
            && self.flight.is_none()
            && self.actual == Actual::Absent
    }
}

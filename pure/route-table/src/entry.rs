//! One prefix: what the sources offer, what the kernel holds, what is under way.

use std::collections::BTreeSet;
use std::time::Duration;

use inet::{NextHop, RouteTarget, Timestamp};

use crate::{KernelTarget, SourceId};

/// The first pause after a refused write; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause between two tries of one write.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why the kernel refused a write: its error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

/// What one source wants for a prefix. The order is the order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) distance: u8,
    pub(crate) source: SourceId,
    pub(crate) target: RouteTarget,
}

/// What the kernel holds for a prefix under our name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Actual {
    /// Nothing.
    #[default]
    Absent,
    /// This.
    Present(KernelTarget),
    /// Someone interfered, or a write failed: only writing again makes it known.
    Unknown,
}

/// A write on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// What was written; none for a deletion.
    pub(crate) target: Option<KernelTarget>,
    /// News of this route came meanwhile: before or after the write, nobody knows.
    pub(crate) disturbed: bool,
}

/// A refused write.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) target: Option<KernelTarget>,
    pub(crate) errno: Errno,
    pub(crate) tries: u32,
    pub(crate) retry_at: Timestamp,
}

/// One prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Sorted by preference.
    pub(crate) offers: Vec<Offer>,
    pub(crate) actual: Actual,
    pub(crate) flight: Option<Flight>,
    pub(crate) failure: Option<Failure>,
    /// Found in the kernel, and no source has spoken of it yet.
    pub(crate) adopted: bool,
}

impl Entry {
    /// Puts, replaces or takes away a source's offer; tells whether that changed anything.
    pub(crate) fn offer(
        &mut self,
        source: SourceId,
        distance: u8,
        target: Option<RouteTarget>,
    ) -> bool {
        let old =
            self.offers.iter().position(|o| o.source == source).map(|at| self.offers.remove(at));
        let new = target.map(|target| Offer { distance, source, target });
        let changed = old != new;
        if let Some(new) = new {
            let at = self
                .offers
                .partition_point(|o| (o.distance, o.source) < (new.distance, new.source));
            self.offers.insert(at, new);
            self.adopted = false;
        }
        changed
    }

    /// The next hops of all offers.
    pub(crate) fn next_hops(&self) -> BTreeSet<NextHop> {
        self.offers
            .iter()
            .flat_map(|offer| match &offer.target {
                RouteTarget::Via(hops) => hops.as_slice(),
                RouteTarget::Link(_) | RouteTarget::Blackhole | RouteTarget::Unreachable => &[],
            })
            .copied()
            .collect()
    }

    /// Whether nothing is left to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.flight.is_none() && self.actual == Actual::Absent
    }

    /// News of our route from outside.
    pub(crate) fn observe(&mut self, actual: Actual) {
        match &mut self.flight {
            Some(flight) => flight.disturbed = true,
            None => self.actual = actual,
        }
    }

    /// The result of the write in flight.
    pub(crate) fn landed(&mut self, now: Timestamp, result: Result<(), Errno>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        match result {
            Ok(()) => {
                self.failure = None;
                self.actual = match (flight.disturbed, flight.target) {
                    (true, _) => Actual::Unknown,
                    (false, Some(target)) => Actual::Present(target),
                    (false, None) => Actual::Absent,
                };
            }
            Err(errno) => {
                let before = self.failure.as_ref().filter(|f| f.target == flight.target);
                let tries = before.map_or(1, |f| f.tries.saturating_add(1));
                let pause = RETRY_MIN.saturating_mul(1 << (tries - 1).min(16)).min(RETRY_MAX);
                let retry_at = now + pause;
                self.failure = Some(Failure { target: flight.target, errno, tries, retry_at });
                self.actual = Actual::Unknown;
            }
        }
    }

    /// Whether the same write was refused and its pause is not over.
    pub(crate) fn must_wait(&self, now: Timestamp, target: Option<&KernelTarget>) -> bool {
        self.failure.as_ref().is_some_and(|f| f.target.as_ref() == target && now < f.retry_at)
    }
}

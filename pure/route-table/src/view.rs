//! What people and metrics see.

use inet::Prefix;

use crate::entry::{Actual, Held};
use crate::{Errno, KernelTarget, ObjectId, RouteTable, SourceId};

/// How a prefix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteState {
    /// In the kernel as wanted.
    Installed,
    /// A write is due or under way.
    Pending,
    /// No offer's next hop resolves.
    Unresolved,
    /// A foreign route with our metric is in its place.
    Blocked,
    /// The kernel refused it; it is tried again.
    Failed(Errno),
    /// Found in the kernel at the start; no source has spoken of it yet.
    Stale,
    /// Nothing is written in this mode.
    NotInstalled,
}

/// One prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The prefix.
    pub prefix: Prefix,
    /// The source that won and its distance; none when nothing is offered or nothing resolves.
    pub winner: Option<(SourceId, u8)>,
    /// What the kernel shall hold.
    pub wanted: Option<KernelTarget>,
    /// What it holds, as far as known.
    pub actual: Option<KernelTarget>,
    /// The next-hop object that the kernel's route names.
    pub object: Option<ObjectId>,
    /// How it stands.
    pub state: RouteState,
}

/// How many prefixes are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// In the kernel as wanted.
    pub installed: usize,
    /// A write is due or under way.
    pub pending: usize,
    /// Nothing resolves.
    pub unresolved: usize,
    /// A foreign route is in the place.
    pub blocked: usize,
    /// Refused by the kernel.
    pub failed: usize,
    /// Adopted and not yet wanted.
    pub stale: usize,
    /// Known, and not written in this mode.
    pub not_installed: usize,
}

impl RouteTable {
    /// All prefixes in order, with how they stand.
    pub fn routes(&self) -> impl Iterator<Item = RouteView> {
        self.routes_after(None)
    }

    /// The prefixes behind one, in order, with how they stand; none: from the first on.
    pub fn routes_after(&self, after: Option<Prefix>) -> impl Iterator<Item = RouteView> {
        self.places.after(after).filter_map(|(prefix, _)| self.route(&prefix))
    }

    /// One prefix.
    pub fn route(&self, prefix: &Prefix) -> Option<RouteView> {
        let place = self.places.get(prefix)?;
        let entry = self.entry(place)?;
        let choice = self.choose(entry);
        let winner = choice.as_ref().and_then(|c| entry.offers.as_slice().get(c.offer));
        let winner = winner.map(|offer| (offer.source, offer.distance));
        let wanted = choice.as_ref().and_then(|choice| self.kernel_target(choice));
        let actual = match entry.actual {
            Actual::Present(held) => match self.held.value(held) {
                Some(Held::Direct(target)) => Some(target.clone()),
                Some(Held::Object(object)) => self.objects.legs_of(*object).map(KernelTarget::Legs),
                None => None,
            },
            Actual::Absent | Actual::Unknown(_) => None,
        };
        let object = entry.actual.held().and_then(|held| match self.held.value(held) {
            Some(Held::Object(object)) => Some(*object),
            Some(Held::Direct(_)) | None => None,
        });
        let state = match &wanted {
            Some(_) if self.is_blocked(prefix) => RouteState::Blocked,
            Some(_) | None if entry.failed => {
                self.refused(place).map_or(RouteState::Pending, RouteState::Failed)
            }
            None if entry.adopted => RouteState::Stale,
            None if entry.offers.as_slice().is_empty() => RouteState::Pending,
            None if !self.config.writes() => RouteState::NotInstalled,
            None => RouteState::Unresolved,
            Some(_) if wanted == actual && entry.flight.is_none() => RouteState::Installed,
            Some(_) => self.refused(place).map_or(RouteState::Pending, RouteState::Failed),
        };
        Some(RouteView { prefix: *prefix, winner, wanted, actual, object, state })
    }

    /// Counts by state. It walks the table: for a scrape, not for a loop.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for view in self.routes() {
            *match view.state {
                RouteState::Installed => &mut stats.installed,
                RouteState::Pending => &mut stats.pending,
                RouteState::Unresolved => &mut stats.unresolved,
                RouteState::Blocked => &mut stats.blocked,
                RouteState::Failed(_) => &mut stats.failed,
                RouteState::Stale => &mut stats.stale,
                RouteState::NotInstalled => &mut stats.not_installed,
            } += 1;
        }
        stats
    }
}

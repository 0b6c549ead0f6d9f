//! What people and metrics see.

use inet::Prefix;

use crate::entry::Actual;
use crate::{Errno, KernelTarget, RouteTable, SourceId};

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
        self.entries.keys().filter_map(|prefix| self.route(prefix))
    }

    /// One prefix.
    pub fn route(&self, prefix: &Prefix) -> Option<RouteView> {
        let entry = self.entries.get(prefix)?;
        let wanted = self.wanted(prefix);
        let winner = wanted.as_ref().and_then(|(at, _)| entry.offers.get(*at));
        let winner = winner.map(|offer| (offer.source, offer.distance));
        let wanted = wanted.map(|(_, target)| target);
        let actual = match &entry.actual {
            Actual::Present(target) => Some(target.clone()),
            Actual::Absent | Actual::Unknown => None,
        };
        let state = match (&wanted, &entry.failure) {
            (Some(_), _) if self.is_blocked(prefix) => RouteState::Blocked,
            (_, Some(failure)) => RouteState::Failed(failure.errno),
            (None, None) if entry.adopted => RouteState::Stale,
            (None, None) if entry.offers.is_empty() => RouteState::Pending,
            (None, None) if !self.config.install => RouteState::NotInstalled,
            (None, None) => RouteState::Unresolved,
            (Some(_), None) if wanted == actual && entry.flight.is_none() => RouteState::Installed,
            (Some(_), None) => RouteState::Pending,
        };
        Some(RouteView { prefix: *prefix, winner, wanted, actual, state })
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

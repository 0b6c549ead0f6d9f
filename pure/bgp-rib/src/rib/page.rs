//! Tables page by page: no page looks at more than a bounded number of entries.

use std::net::IpAddr;

use bgp_packet::{Attributes, PathId};
use bgp_policy::Source;
use inet::{Family, Prefix};

use crate::decision::Ineligible;
use crate::peer::{PeerId, at};
use crate::rib::{PathState, Rib};

/// Most entries that one page looks at.
const LOOKS: u32 = 2000;
/// Most rows of one page.
const ROWS: usize = 500;

/// What is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of this family. Prefixes and addresses of the other one match nothing.
    pub family: Family,
    /// Which table.
    pub view: View,
    /// Which prefixes.
    pub filter: Filter,
}

/// Which table is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What a peer has sent, as it came (Adj-RIB-In).
    Received(PeerId),
    /// What import lets through of it, as import leaves it.
    Accepted(PeerId),
    /// All paths (Loc-RIB, and those that lost).
    Paths,
    /// The paths that are used.
    Used,
    /// What a peer is told (Adj-RIB-Out).
    Sent(PeerId),
}

/// Which prefixes are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All.
    All,
    /// This one.
    Exact(Prefix),
    /// Those within it, and it.
    Within(Prefix),
    /// The longest one with the address that has rows in the table seen.
    LongestMatch(IpAddr),
}

/// Where the next page begins. Prefixes keep their place while they are there, so that pages
/// neither leave out nor repeat one that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub u32);

/// Some rows, in the tables' own order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows; there may be none although there is a next page.
    pub rows: Vec<Row>,
    /// Where to go on; none: that was all.
    pub next: Option<Cursor>,
}

/// One path of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The prefix.
    pub prefix: Prefix,
    /// Whom it was learned from; of what is sent: whom it is sent to.
    pub peer: PeerId,
    /// Where the path is from; none of what is sent.
    pub source: Option<Source>,
    /// The path id: the sender's, of what is sent ours; 0 without.
    pub path_id: PathId,
    /// The attributes, as the view has them.
    pub attributes: Attributes,
    /// Weight from the import policy; 0 as received, and of what is sent.
    pub weight: u32,
    /// The import policy asks to drop what goes to the prefix.
    pub discard: bool,
    /// Kept from before a restart of the peer.
    pub stale: bool,
    /// What became of the path; none of what is sent.
    pub state: Option<PathState>,
}

impl Rib {
    /// One page: at most `limit` rows and a few more of one prefix, and at most 500.
    pub fn page(&self, query: &Query, from: Cursor, limit: usize) -> Page {
        let table = &self.families[at(query.family)].table;
        let one = |prefix: &Prefix| {
            let idx = table.find(self.keyed, prefix).filter(|_| prefix.family() == query.family);
            idx.map(|idx| self.rows(query, idx)).unwrap_or_default()
        };
        let within = match query.filter {
            Filter::Exact(prefix) => return Page { rows: one(&prefix), next: None },
            Filter::LongestMatch(address) => {
                let lens = (0..=Family::of(&address).bits()).rev();
                let prefixes = lens.filter_map(|len| Prefix::truncated(address, len).ok());
                let found = prefixes.map(|prefix| one(&prefix)).find(|rows| !rows.is_empty());
                return Page { rows: found.unwrap_or_default(), next: None };
            }
            Filter::Within(prefix) => Some(prefix),
            Filter::All => None,
        };
        let end = table.end().min(from.0.saturating_add(LOOKS));
        let mut page = Page::default();
        let mut idx = from.0;
        while idx < end && page.rows.len() < limit.clamp(1, ROWS) {
            if table.prefix(idx).is_some_and(|prefix| within.is_none_or(|w| w.covers(&prefix))) {
                page.rows.extend(self.rows(query, idx));
            }
            idx += 1;
        }
        page.next = if idx < table.end() { Some(Cursor(idx)) } else { None };
        page
    }

    fn rows(&self, query: &Query, idx: u32) -> Vec<Row> {
        let rib = &self.families[at(query.family)];
        let Some(prefix) = rib.table.prefix(idx) else { return Vec::new() };
        let row = |view: crate::rib::PathView| Row {
            prefix,
            peer: view.peer,
            source: Some(view.source),
            path_id: view.path_id,
            attributes: view.attributes,
            weight: view.weight,
            discard: view.discard,
            stale: view.stale,
            state: Some(view.state),
        };
        let views = || self.views(rib, idx).into_iter();
        match query.view {
            View::Paths => views().map(row).collect(),
            View::Used => {
                let used = |state| matches!(state, PathState::Best(_) | PathState::Multipath(_));
                views().filter(|view| used(view.state)).map(row).collect()
            }
            View::Accepted(peer) => {
                views().filter(|v| v.peer == peer && !is_refused(v.state)).map(row).collect()
            }
            View::Received(peer) => {
                if rib.table.paths(idx).iter().all(|path| path.peer != peer) {
                    return Vec::new();
                }
                let mine = views().filter(|view| view.peer == peer);
                let raw = mine.filter_map(|view| {
                    let mut paths = rib.table.paths(idx).iter();
                    let path = paths.find(|path| u32::from(path.local) == view.local_id.0)?;
                    self.path_view(query.family, path, true, view.state)
                });
                raw.map(row).collect()
            }
            View::Sent(peer) => {
                let sent = self.sent(peer, rib, idx).into_iter();
                let row = |(prefix, path_id, attributes)| Row {
                    prefix,
                    peer,
                    source: None,
                    path_id,
                    attributes,
                    weight: 0,
                    discard: false,
                    stale: false,
                    state: None,
                };
                sent.map(row).collect()
            }
        }
    }
}

/// Whether import has refused the path.
fn is_refused(state: PathState) -> bool {
    let PathState::Ineligible(why) = state else { return false };
    match why {
        Ineligible::Dead
        | Ineligible::AsLoop
        | Ineligible::OwnOriginator
        | Ineligible::ClusterLoop
        | Ineligible::RejectedByPolicy
        | Ineligible::NoImportPolicy
        | Ineligible::RouteLeak
        | Ineligible::NotLongLived
        | Ineligible::AsSet => true,
        Ineligible::UnresolvedNextHop | Ineligible::SelectionDeferred => false,
    }
}

//! Tables page by page, and why a route is used or told.

use bgp_packet::{Attributes, PathId};
use bgp_policy::{Explanation, Source};
use bgp_rib::{ComparedStep, Cursor, Filter, PathState, Query, Reason, View};
use inet::{Family, Prefix, ScopedAddr};

use super::Speaker;
use crate::RouteView;

/// A table that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// What a peer has sent, as it came (Adj-RIB-In).
    Received(ScopedAddr),
    /// What import lets through of it, as import leaves it.
    Accepted(ScopedAddr),
    /// All paths (Loc-RIB, and those that lost).
    Paths,
    /// The paths that are used.
    Used,
    /// What a peer is told (Adj-RIB-Out).
    Sent(ScopedAddr),
}

/// Some rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablePage {
    /// The rows; there may be none although there is a next page.
    pub rows: Vec<TableRow>,
    /// Where to go on; none: that was all.
    pub next: Option<Cursor>,
}

/// One path of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The prefix.
    pub prefix: Prefix,
    /// Whom it was learned from, none: originated here; of what is sent: whom it is sent to.
    pub peer: Option<ScopedAddr>,
    /// Where the path is from; none of what is sent.
    pub source: Option<Source>,
    /// The path id: the sender's, of what is sent ours; 0 without.
    pub path_id: PathId,
    /// The attributes, as the table has them.
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

/// All paths to a prefix, and each step of the decision between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestView {
    /// The paths, best first; those that take no part come last.
    pub paths: Vec<RouteView>,
    /// The steps at which several paths were left, in order; values and places are of `paths`.
    pub steps: Vec<ComparedStep>,
}

/// Why a peer is, or is not, told of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportView {
    /// In one word.
    pub reason: Reason,
    /// Each path that the peer would be told of if nothing spoke against it.
    pub paths: Vec<ExportedView>,
}

/// A path on its way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedView {
    /// Whom it was learned from; none: originated here.
    pub from: Option<ScopedAddr>,
    /// The path id that the peer is told; 0 without.
    pub path_id: PathId,
    /// Why the path is not told; none when it is.
    pub refused: Option<Reason>,
    /// What the export policy says of it, if there is one.
    pub policy: Option<Explanation>,
    /// As it stands on the wire.
    pub sent: Option<Attributes>,
}

impl Speaker {
    /// One page of a table: at most `limit` rows, a few more of one prefix, and at most 500. No
    /// page takes long. None for an unknown peer.
    pub fn page(
        &self,
        family: Family,
        table: Table,
        filter: Filter,
        from: Cursor,
        limit: usize,
    ) -> Option<TablePage> {
        let id = |address| self.peers.get(&address).map(|peer| peer.id);
        let view = match table {
            Table::Received(peer) => View::Received(id(peer)?),
            Table::Accepted(peer) => View::Accepted(id(peer)?),
            Table::Paths => View::Paths,
            Table::Used => View::Used,
            Table::Sent(peer) => View::Sent(id(peer)?),
        };
        let Some(rib) = &self.rib else { return Some(TablePage::default()) };
        let page = rib.page(&Query { family, view, filter }, from, limit);
        let row = |row: bgp_rib::Row| TableRow {
            prefix: row.prefix,
            peer: self.address_of(row.peer),
            source: row.source,
            path_id: row.path_id,
            attributes: row.attributes,
            weight: row.weight,
            discard: row.discard,
            stale: row.stale,
            state: row.state,
        };
        Some(TablePage { rows: page.rows.into_iter().map(row).collect(), next: page.next })
    }

    /// Why the paths to a prefix that are used are the best: each step of the decision.
    pub fn explain_best(&self, prefix: &Prefix) -> BestView {
        let Some(rib) = &self.rib else { return BestView { paths: vec![], steps: vec![] } };
        let explained = rib.explain_best(prefix);
        BestView { paths: self.views(explained.paths), steps: explained.steps }
    }

    /// Why a peer is, or is not, told of a prefix, and what it is told; none for an unknown peer.
    pub fn explain_export(
        &self,
        peer: impl Into<ScopedAddr>,
        prefix: &Prefix,
    ) -> Option<ExportView> {
        let id = self.peers.get(&peer.into())?.id;
        let Some(rib) = &self.rib else {
            return Some(ExportView { reason: Reason::NotEstablished, paths: vec![] });
        };
        let explained = rib.explain_export(id, prefix);
        let path = |path: bgp_rib::ExportedPath| ExportedView {
            from: self.address_of(path.from),
            path_id: path.path_id,
            refused: path.refused,
            policy: path.policy,
            sent: path.sent,
        };
        let paths = explained.paths.into_iter().map(path).collect();
        Some(ExportView { reason: explained.reason, paths })
    }

    /// What the peer's import policy says of a path that it has sent; none without peer, policy or
    /// path. Of several paths the first.
    pub fn explain_import(
        &self,
        peer: impl Into<ScopedAddr>,
        prefix: &Prefix,
    ) -> Option<Explanation> {
        let id = self.peers.get(&peer.into())?.id;
        self.rib.as_ref()?.explain_import(id, prefix)
    }
}

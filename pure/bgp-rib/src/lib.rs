//! BGP tables: interned attributes, decision process, multipath, update groups.
//!
//! A [`Rib`] holds the paths of all peers, chooses, and knows what each peer is to be told.
//! It does nothing itself: [`Rib::work`] goes on with walks over the table, [`Rib::poll_best`]
//! gives what changed for the FIB, [`Rib::poll_track`] which next hops are to be followed, and
//! [`Rib::fill`] the next messages for a peer.
//!
//! Attribute sets are kept once, by a keyed hash of the bytes they came in, and decoded when asked
//! for. A path names two of them: as received, and as import has left it; so a changed policy is a
//! walk over the table and no peer is asked for anything. A session that ends leaves its paths where they are: their epoch says
//! that they are stale or dead, and a walk removes them later.

#![forbid(unsafe_code)]

mod aggregate;
mod ahead;
mod attrs;
mod decision;
mod export;
mod family;
mod group;
mod hash;
mod hops;
mod import;
mod index;
mod pages;
mod peer;
mod rib;
mod rules;
mod steps;
mod table;

pub use aggregate::{Aggregate, Discard};
pub use decision::{Ineligible, MAX_PATHS, Step};
pub use export::Reason;
pub use family::{Best, BestPath};
pub use hops::Track;
pub use peer::{InCounts, NextHops, PeerId, SessionFacts};
pub use rib::{
    BestExplanation, ComparedStep, Counts, Cursor, ExportExplanation, ExportedPath, Fill, Filter,
    OwnRoute, Page, PathState, PathView, Query, Rib, Row, Settings, Updated, View,
};
pub use rules::{AddPathSend, LocalAs, Multipath, NextHopMode, Rules, WithoutPolicy};

#[cfg(test)]
mod tests;

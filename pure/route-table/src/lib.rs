//! Routes of several sources to one winner per prefix; next hops resolved; wanted minus actual is
//! changes.
//!
//! The table is a machine without I/O: [`RouteTable::handle`] takes what happened,
//! [`RouteTable::poll`] gives what is to be done, [`RouteTable::wake_at`] says when
//! [`RouteTable::tick`] is due.
//!
//! ```text
//! sources (BGP, static, …) ── Offer / Set ───▶ ┌────────────┐ ── Change, Object ──▶ kernel (io/kernel)
//! kernel ── Snapshot, routes, links, objects ▶ │ RouteTable │ ◀─ Applied ──
//! speaker ── Track / Redistribute ───────────▶ └────────────┘ ── NextHop, Link, Redistributed ─▶ speaker
//! ```
//!
//! * Each source offers at most one target per prefix, with a distance. The offer with the lowest
//!   distance that resolves wins (ties: the lower [`SourceId`]).
//! * A next hop is resolved as the kernel would look it up: longest match, then lowest metric, over
//!   the kernel's foreign routes and over our own winners, recursively and for each ECMP leg. The
//!   kernel refuses a gateway that is only reachable via another, so a route is written with the
//!   gateways that are on a link. A route is never resolved through itself.
//! * A default route resolves nothing unless [`Config::resolve_via_default`] says so: a management
//!   network's default route would otherwise keep every path alive after its cable is cut.
//! * Where the kernel has next-hop objects ([`Config::objects`], [`Snapshot::objects`]), a route names
//!   a group of next hops, one for each set of next hops that is offered. When these lead elsewhere,
//!   the group is changed in place: one message for all routes. Without objects, and for routes that
//!   would lead through themselves, routes carry their legs.
//! * Nothing is written before the first [`KernelEvent::Snapshot`]. Routes of ours that it holds are
//!   adopted: they stay until a source offers their prefix or [`Input::Sweep`] comes.
//! * A route is ours by table, protocol *and* metric. All others are foreign: read, never written.
//!   A foreign route with our metric for the same prefix blocks ours ([`RouteState::Blocked`]).
//! * One write per prefix is in flight at a time. A refused write is tried again with back-off.
//!
//! The program's loop: hand in inputs, then take outputs until there are none, collecting the
//! [`Write`]s, in their order, into a batch for the kernel; hand each result back ([`Write::done`]).

#![forbid(unsafe_code)]

mod configure;
mod counters;
mod decide;
mod entry;
mod facts;
mod intern;
mod kernel;
mod lengths;
mod moves;
mod object;
mod objects;
mod offers;
mod places;
mod redistribute;
mod resolve;
mod sources;
mod table;
mod target;
mod view;
mod words;

pub use counters::{Counters, LAG_BUCKETS, Lag};
pub use entry::Errno;
pub use kernel::{
    KernelEvent, KernelObject, KernelRoute, KernelTarget, Leg, Link, LinkAddress, LinkIndex,
    ObjectContent, ObjectId, RouteNews, Snapshot,
};
pub use redistribute::{Origin, Redistributed, Selector};
pub use resolve::{MAX_LEGS, Resolution, Unresolved};
pub use sources::{Sources, distance};
pub use table::RouteTable;
pub use target::{Hop, MAX_WEIGHT, Target};
pub use view::{RouteState, RouteView, Stats};
pub use words::{
    Action, Change, Config, Input, ObjectAction, ObjectChange, ObjectIds, Output, SourceId, Write,
};

#[cfg(test)]
mod tests;

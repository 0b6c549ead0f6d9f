//! The words that go in and out.

use std::net::IpAddr;

use inet::{LinkName, NextHop, Prefix, Route, RouteTarget};

use crate::{Errno, KernelEvent, KernelTarget, Resolution};

/// Who offers routes: numbered by the program, the lower wins a tie of distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);

/// Which kernel routes are ours, and how to use the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The table that is written.
    pub table: u32,
    /// Our protocol id.
    pub protocol: u8,
    /// The metric of all our routes.
    pub metric: u32,
    /// Whether routes are written at all; without it next hops are still followed.
    pub install: bool,
    /// Whether a default route may resolve next hops.
    pub resolve_via_default: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// All that a source wants, at one distance; what it wanted before and isn't here is dropped.
    Set {
        /// The source.
        source: SourceId,
        /// Its distance, 0 to 255; the lowest wins.
        distance: u8,
        /// Its routes. Of a doubled prefix the last counts.
        routes: Vec<Route>,
    },
    /// What a source wants for one prefix; none: nothing any more.
    Update {
        /// The source.
        source: SourceId,
        /// Its distance.
        distance: u8,
        /// The prefix.
        prefix: Prefix,
        /// What is to be done with packets to it.
        target: Option<RouteTarget>,
    },
    /// News of the kernel.
    Kernel(KernelEvent),
    /// Tell where this next hop leads: once now, then at each change.
    Track(NextHop),
    /// No more of that.
    Untrack(NextHop),
    /// The kernel's answer to a [`Change`]. "Already so" is success.
    Applied {
        /// The change's prefix.
        prefix: Prefix,
        /// What came of it.
        result: Result<(), Errno>,
    },
    /// Adopted routes that no source has spoken of go now (End-of-RIB, or the restart time is over).
    Sweep,
    /// Write routes, or from now on none: ours are then removed, adopted ones at [`Input::Sweep`].
    /// `Install(false)` and `Sweep` are the goodbye that leaves nothing behind.
    Install(bool),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this to the kernel and answer with [`Input::Applied`].
    Change(Change),
    /// Where a tracked next hop leads now.
    NextHop(NextHop, Resolution),
    /// A link came up (with carrier) or went down.
    Link {
        /// The link.
        name: LinkName,
        /// Whether packets can pass.
        up: bool,
    },
    /// All addresses of a link, sorted, after a change.
    Addresses {
        /// The link.
        name: LinkName,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
}

/// One write to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which route of ours.
    pub prefix: Prefix,
    /// What with it.
    pub action: Action,
}

/// What to do with a route of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be there with this target, in place of what is there.
    Replace(KernelTarget),
    /// Be gone.
    Delete,
}

//! The words that go in and out.

use std::net::IpAddr;

use inet::{LinkName, NextHop, Prefix, Route, RouteTarget};

use crate::{
    Errno, KernelEvent, KernelTarget, ObjectContent, ObjectId, Redistributed, Resolution, Selector,
    Target,
};

/// Who offers routes: numbered by the program, the lower wins a tie of distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);

impl SourceId {
    /// Discard routes of aggregates. They resolve no next hop and hide no route that does: whether
    /// they are there depends on routes whose next hops resolve.
    pub const AGGREGATES: SourceId = SourceId(u16::MAX);
}

/// The numbers that our next-hop objects may have, first and last; nobody else uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectIds {
    /// The lowest.
    pub first: u32,
    /// The highest.
    pub last: u32,
}

impl ObjectIds {
    /// Whether a number is among them.
    pub const fn contains(&self, id: ObjectId) -> bool {
        self.first <= id.0 && id.0 <= self.last
    }
}

/// Which kernel routes are ours, and how to use the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The table that is written; 0: there is none now, and so nothing is written.
    pub table: u32,
    /// The VRF whose table that is: next hops are on links that are a part of it.
    pub vrf: Option<LinkName>,
    /// Our protocol id.
    pub protocol: u8,
    /// The metric of all our routes.
    pub metric: u32,
    /// Whether routes are written at all; without it next hops are still followed.
    pub install: bool,
    /// Whether a default route may resolve next hops.
    pub resolve_via_default: bool,
    /// The tables over whose routes next hops are resolved: for a VRF its own alone.
    pub lookup: Vec<u32>,
    /// The numbers of our next-hop objects; none: routes carry their legs themselves. Where the
    /// kernel knows no objects ([`crate::Snapshot::objects`]), they do so too.
    pub objects: Option<ObjectIds>,
}

impl Config {
    /// Whether routes are written: they are to be, and there is a table for them.
    pub(crate) fn writes(&self) -> bool {
        self.install && self.table != 0
    }
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
    /// The same with weights and all kinds of targets.
    SetTargets {
        /// The source.
        source: SourceId,
        /// Its distance.
        distance: u8,
        /// Its routes. Of a doubled prefix the last counts.
        routes: Vec<(Prefix, Target)>,
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
    /// The same with weights and all kinds of targets.
    Offer {
        /// The source.
        source: SourceId,
        /// Its distance.
        distance: u8,
        /// The prefix.
        prefix: Prefix,
        /// What is to be done with packets to it.
        target: Option<Target>,
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
    /// The kernel's answer to an [`ObjectChange`]. "Already so" is success, but for
    /// [`ObjectAction::Create`].
    ObjectApplied {
        /// The object.
        id: ObjectId,
        /// What came of it.
        result: Result<(), Errno>,
    },
    /// Adopted routes that no source has spoken of go now (End-of-RIB, or the restart time is over).
    Sweep,
    /// Write routes, or from now on none: ours are then removed, adopted ones at [`Input::Sweep`].
    /// `Install(false)` and `Sweep` are the goodbye that leaves nothing behind.
    Install(bool),
    /// Our routes belong into another place from now on, or are written in another way. What is
    /// written under way may end up in either place. The kernel is to be read anew: nothing is
    /// written before the next snapshot. [`Input::Sweep`] is due again afterwards. `install` is not
    /// looked at.
    Configure(Config),
    /// The places, by table and metric, where routes of our protocol are no more than what we have
    /// left there: they are not looked at.
    Former(Vec<(u32, u32)>),
    /// Which routes of others are told of as [`Output::Redistributed`]: what is not selected any
    /// more is taken back, what is newly selected is told of.
    Redistribute(Vec<Selector>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this to the kernel, after all that was put out before, and answer with
    /// [`Input::Applied`].
    Change(Change),
    /// Write this likewise, and answer with [`Input::ObjectApplied`].
    Object(ObjectChange),
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
    /// A selected route of others is there or has changed; none: it is there no more.
    Redistributed(Prefix, Option<Redistributed>),
}

/// One write to the kernel. Writes are done in the order in which they were put out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Of a route.
    Route(Change),
    /// Of a next-hop object.
    Object(ObjectChange),
}

impl Write {
    /// The answer to this write.
    pub fn done(&self, result: Result<(), Errno>) -> Input {
        match self {
            Write::Route(change) => Input::Applied { prefix: change.prefix, result },
            Write::Object(change) => Input::ObjectApplied { id: change.id, result },
        }
    }
}

impl From<Change> for Write {
    fn from(change: Change) -> Write {
        Write::Route(change)
    }
}

impl From<ObjectChange> for Write {
    fn from(change: ObjectChange) -> Write {
        Write::Object(change)
    }
}

/// One write of a route of ours.
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
    /// Be there by way of this next-hop object, in place of what is there.
    Via(ObjectId),
    /// Be gone.
    Delete,
}

/// One write of a next-hop object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which object of ours.
    pub id: ObjectId,
    /// What with it.
    pub action: ObjectAction,
}

/// What to do with a next-hop object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectAction {
    /// Be there, where nothing of that number is: what is there is somebody else's.
    Create(ObjectContent),
    /// Be there, in place of what is there; the routes that use it follow at once.
    Replace(ObjectContent),
    /// Be gone.
    Delete,
}

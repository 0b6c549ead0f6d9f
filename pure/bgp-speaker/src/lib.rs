//! Joins sessions and tables into one deterministic BGP speaker, and no more.
//!
//! # How it is driven
//!
//! ```text
//! let mut speaker = Speaker::new(now, SpeakerConfig { seed, restarting });
//! speaker.handle(now, input);                       // something happened
//! if speaker.wake_at() <= now { speaker.tick(now) } // a timer, or a walk that goes on
//! while let Some(output) = speaker.poll() { … }     // what is to be done, in this order
//! ```
//!
//! After each `handle` and `tick`, `poll` until it is empty. No call takes long: a walk over a
//! table goes on in the next `tick`, and [`Speaker::wake_at`] says `now` as long as there is one.
//! An UPDATE too long for one call is taken in so too, and what its peer says behind it waits. While
//! [`Speaker::is_full`] more waits than should: frames are left where they are until it does not.
//!
//! # What the program around it does
//!
//! * **Start:** if own routes were found in the kernel, `restarting` is set and the first input is
//!   [`Input::KernelSynced`] with the families found: sessions do not start before. Then the
//!   stored documents ([`Input::Desired`]), then [`Input::OwnersReady`] when every stored owner
//!   has spoken. [`Output::Settled`] comes when each prefix has been chosen for: stale kernel
//!   routes that were not renewed by a [`Output::Best`] are swept then, and `KernelSynced` is told
//!   again with the families whose routes are in the kernel (the F bit of later OPENs).
//! * **Connections:** dial at [`Output::Connect`], and answer with [`Input::Connected`] or
//!   [`Input::ConnectFailed`]. Accept from anybody, number it, tell [`Input::Accepted`]; it is
//!   answered by [`Output::Adopt`] (set the TTL) or by [`Output::Close`]. Each whole frame is an
//!   [`Input::Frame`]. After `Connected` and `Accepted`, and whenever the send buffer has drained,
//!   tell [`Input::Room`]: routes are only sent while there is some. [`Output::Close`] means:
//!   flush, close, forget; nothing more is told of that connection.
//! * **Addresses:** [`Input::LocalAddress`] before `Connected`/`Accepted`, and when it changes.
//! * **Next hops:** each [`Output::Track`] is answered by [`Input::NextHop`], again whenever the
//!   answer changes, until [`Output::Untrack`].
//! * **TCP:** [`Output::Peers`] says who may connect, with which keys and how far away: it comes
//!   before the first connection that needs it.
//! * **Unnumbered peers:** [`Output::Find`] says on which links neighbors are to be found, answered
//!   by [`Input::Neighbor`].
//! * **BFD:** [`Output::Bfd`] says which sessions there are to be; [`Input::Bfd`] what they see.
//! * **Routes of the kernel:** [`Output::Redistribute`] says which are wanted, answered by
//!   [`Input::Redistribute`], again whenever one changes.
//! * **Monitoring:** [`Speaker::watch`] says what is told by [`Speaker::poll_watched`].
//! * **End:** [`Input::Shutdown`], then `poll` until empty.

#![forbid(unsafe_code)]

mod ao;
mod desired;
mod event;
mod io;
mod peer;
mod plan;
mod speaker;
mod watch;

pub use ao::{AoChange, TcpAo, ao_change};
pub use bgp_rib::{
    AddPathSend, Best, BestPath, ComparedStep, Counts, Cursor, Discard, Filter, InCounts,
    Ineligible, MAX_PATHS, Multipath, NextHopMode, PathState, Reason, Rules, Step, WithoutPolicy,
};
pub use desired::{
    Aggregation, Desired, DynamicNeighbors, Global, Origination, Redistribution, Unnumbered,
};
pub use event::{Conflict, Event, Refusal};
pub use io::{ConnId, Input, KernelRoute, Output, Reset};
pub use peer::{
    BfdOptions, BfdSession, MaxPrefixes, MaxPrefixesAction, Peer, PeerSource, TcpOptions, TcpPeer,
    Who,
};
pub use plan::Plan;
pub use speaker::{
    BestView, ExportView, ExportedView, FamilySnapshot, Glance, PeerSnapshot, RouteView, Speaker,
    SpeakerConfig, Table, TablePage, TableRow, Traffic,
};
pub use watch::{Established, Watch, Watched};

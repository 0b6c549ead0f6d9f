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
//! * **End:** [`Input::Shutdown`], then `poll` until empty.

#![forbid(unsafe_code)]

mod desired;
mod io;
mod speaker;

pub use bgp_rib::{Best, BestPath, Counts, InCounts, Ineligible, PathState, Reason, Step};
pub use desired::{Desired, Global, Origination};
pub use io::{Conflict, ConnId, Event, Input, Output, Refusal};
pub use speaker::{FamilySnapshot, PeerSnapshot, RouteView, Speaker, SpeakerConfig};

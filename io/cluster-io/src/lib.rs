//! Watches to changes for the planners, their writes to the API server, the leader's Lease.
//!
//! The only room that talks to the API server. It decides nothing: what is seen goes to a planner
//! as [`Seen`], what the planner wants comes back as [`Write`], and each write's [`Outcome`] tells
//! the planner whether to wait, look again or give up.
//!
//! [`Seen`]: cluster_api::world::Seen
//! [`Write`]: cluster_api::world::Write
//! [`Outcome`]: cluster_api::world::Outcome

mod client;
mod events;
mod lease;
mod watch;
mod writer;

pub use client::{ClientError, client};
pub use events::Recorder;
pub use lease::{Leadership, LeaseName, lead};
pub use watch::{Scope, Watches};
pub use writer::Writer;

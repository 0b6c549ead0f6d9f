//! The controller's planner: a world of objects to the writes it needs.
//!
//! [`plan`] is the plain form: all that a world needs now, computed from nothing else. [`Planner`]
//! does the same step by step: it computes again only what a change touched, keeps what the world
//! does not show (writes under way, grace periods), and is tested against [`plan`].
//!
//! ```text
//! watches ──Change──▶ World + Index ──▶ tasks that a change touched ──▶ Write, Note
//!                        ▲                                               │
//!                        └───────────────── Outcome ◀────────────────────┘
//! ```
//!
//! Each task computes the *next* writes for one subject (a Service, a node, all blocks), never a
//! sequence: when they are done it is asked again, so a crash between two writes needs no care.

#![forbid(unsafe_code)]

mod bgp;
mod blocks;
mod gc;
mod index;
pub mod lease;
pub mod leftovers;
mod planner;
mod pools;
mod service;
mod slots;
mod status;
mod task;
mod world;

pub use planner::{Change, Figures, Output, Planner, Ticket};
pub use task::plan;
pub use world::{Now, Settings, World};

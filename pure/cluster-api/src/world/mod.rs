//! What a planner knows of the cluster and what it asks of it.
//!
//! A [`Mirror`] is what the watch of one kind has told, with the planner's own writes laid over it
//! until the watch has passed them. A [`Write`] is one request to the API server.

mod mirror;
mod write;

pub use mirror::{Mirror, ObjectKey, Seen};
pub use write::{Action, Kind, Note, Outcome, Target, Write};

#[cfg(test)]
mod tests;

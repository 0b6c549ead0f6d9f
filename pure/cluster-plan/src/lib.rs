//! The controller's planner: a world of objects to the writes it needs.

#![forbid(unsafe_code)]

//! The planner against an API server: scenarios by hand, and thousands by chance.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod bed;
mod bgp;
mod blocks;
mod chance;
mod cluster;
mod services;

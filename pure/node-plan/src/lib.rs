//! The agent's planner: what this node wants of its router, its blocks and its status.
//!
//! [`NodePlanner`] is fed with changes of the cluster's objects and with what the router tells, and
//! gives out whole wanted states ([`Want`]), each only when it differs from the one before. The
//! addresses of pods are [`ipam`]'s; which pool serves a pod is decided by [`choose`].

#![forbid(unsafe_code)]

mod announce;
mod document;
mod facts;
mod planner;
mod pools;
mod world;

pub use announce::{ServiceView, SliceView, Verdict, decide};
pub use cluster_api::ClassRule;
pub use document::{RouterView, document};
pub use facts::PoolFact;
pub use planner::{HeldBlock, NodeConfig, NodePlanner, PeerFact, RouterFact, Want};
pub use pools::{Choice, NoPool, PodPool, choose};
pub use world::Change;

#[cfg(test)]
mod tests;

pub mod ipam;

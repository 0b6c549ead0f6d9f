//! The agent's side of the CNI: pods' addresses and links.
//!
//! ```text
//!  sart-cni ──▶ server ──▶ calls ─┬─▶ PodSource   which pools            (watches)
//!               socket,    ADD,   ├─▶ Books       which addresses        (memory)
//!               limits     DEL …  └─▶ Links       links, routes, records (kernel)
//!                                      ▲
//!               collect ───────────────┘  what the kernel still has, read back and compared
//! ```
//!
//! [`Server::start`] reads the kernel back before it opens its socket. No call holds a lock while
//! it waits for a block; calls for one container go one after another.

mod books;
mod calls;
mod collect;
mod install;
mod links;
mod locks;
mod metrics;
mod server;

use std::future::Future;

use cni_wire::{Pod, Refusal};
use node_plan::ipam::PoolChoice;

pub(crate) use books::Books;
pub(crate) use install::{Install, install};
pub(crate) use links::KernelLinks;
pub(crate) use metrics::CallMetrics;
pub(crate) use server::{Config, Server};

/// Tells which pools a pod takes its addresses from.
pub(crate) trait PodSource: Send + Sync + 'static {
    /// One choice for each address. The pod's annotations are used if the call brought them, else
    /// they are looked up. It may wait some seconds for the pod to be seen; a pod that stays
    /// unknown is [`try_later`], never a guess.
    fn pools_of(&self, pod: &Pod) -> impl Future<Output = Result<Vec<PoolChoice>, Refusal>> + Send;
}

/// CNI error codes that the agent gives.
mod code {
    pub(super) const UNKNOWN_CONTAINER: u32 = 3;
    pub(super) const ENVIRONMENT: u32 = 4;
    pub(super) const DECODING: u32 = 6;
    pub(super) const TRY_LATER: u32 = 11;
    /// The first that is a plugin's own.
    pub(super) const REFUSED: u32 = 100;
    pub(super) const KERNEL: u32 = 101;
}

/// CNI error 11: what is missing may come, and the runtime tries again.
pub(crate) fn try_later(reason: &str, message: impl Into<String>) -> Refusal {
    refusal(code::TRY_LATER, reason, message)
}

/// What is wrong must be changed by someone; the runtime tries again all the same.
pub(crate) fn refuse(reason: &str, message: impl Into<String>) -> Refusal {
    refusal(code::REFUSED, reason, message)
}

fn refusal(code: u32, reason: &str, message: impl Into<String>) -> Refusal {
    Refusal { code, reason: reason.to_owned(), message: message.into(), details: None }
}

#[cfg(test)]
mod tests;

//! The router's gRPC API over unix sockets and TCP (`proto/sart/v1/router.proto`).
//!
//! **Client** (agent, `sart`): [`RouterClient::new`] takes an [`Endpoint`] (`/run/sart/router.sock`
//! or `127.0.0.1:5000`) and connects when first used, and again after the router was away. Each call
//! has a time limit. [`CallError::Unreachable`] says that no router answers; everything else is the
//! router's own word. A document that is refused is no error: [`v1::ApplyReply`] then has
//! `accepted: false` and the problems with their places.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use node_api::{Endpoint, RouterClient, v1};
//! let router = RouterClient::new(Endpoint::Unix("/run/sart/router.sock".into()), None)?;
//! let reply = router.apply("agent", 1, "asn: 65000\nrouter_id: 10.0.0.2\n", false).await?;
//! assert!(reply.accepted, "{:?}", reply.problems);
//! let mut neighbors = router.watch_neighbors().await?;
//! while let Some(list) = neighbors.message().await? {
//!     for neighbor in list.neighbors {
//!         println!("{} {}", neighbor.address, neighbor.state().words());
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! **Server** (`sartd bgp`): [`Server`] turns each request into a [`Call`] on a bounded channel, with
//! a [`Reply`] to answer through, so that the one task which owns the router handles them in order.
//! Watches of lists are served from `tokio::sync::watch` channels ([`Views`]) without asking that task,
//! and [`Server::events`] is where it tells of what happens: a bounded ring, in which a slow watcher
//! misses the oldest and is told how many.
//! The unix socket is mode 0600 and checks the peer's uid; over TCP changes need the token.

mod call;
mod client;
mod demand;
mod events;
mod fib;
mod fib_client;
mod guard;
mod incoming;
mod listeners;
mod reader;
mod reflection;
mod server;
mod service;
mod token;
mod words;

/// The generated messages, client and server. Each message serialises to JSON by serde.
#[allow(missing_docs, clippy::all, clippy::unwrap_used, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("sart.v1");
}

/// The description of the router's API (an encoded `FileDescriptorSet`).
pub const ROUTER_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/router-descriptors.bin"));

/// The description of the FIB controller's API (an encoded `FileDescriptorSet`).
pub const FIB_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fib-descriptors.bin"));

pub use call::{Call, Refusal, Reply, Views};
pub use client::{CallError, Endpoint, EndpointError, RouterClient};
pub use demand::OnDemand;
pub use events::Events;
pub use fib::{DEFAULT_FIB_SOCKET, DEFAULT_FIB_TCP, FibCall, FibServer};
pub use fib_client::FibClient;
pub use listeners::ServerError;
pub use server::{DEFAULT_SOCKET, DEFAULT_TCP, Server};
pub use token::{Token, TokenError};

/// The version of the document's form that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

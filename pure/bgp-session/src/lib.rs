//! One BGP peer: state machine, timers, collision, capabilities, graceful restart.
//!
//! A [`Session`] is told what happens ([`Session::handle`], [`Session::frame`]) and what time it
//! is ([`Session::tick`]), and says what is to be done ([`Session::poll`]). It does nothing itself.

#![forbid(unsafe_code)]

mod config;
mod effect;
mod link;
mod negotiate;
mod receive;
mod recover;
mod session;
mod timer;

pub use config::{Change, GracefulRestartConfig, LocalConfig, PeerConfig};
pub use effect::{
    Conn, Counters, Effect, Event, Failure, LastFailure, Negotiated, Stale, State, Status, Stop,
};
pub use session::Session;

#[cfg(test)]
mod tests;

//! One BGP peer: state machine, timers, collision, capabilities, graceful restart.
//!
//! A [`Session`] is told what happens ([`Session::handle`], [`Session::frame`]) and what time it
//! is ([`Session::tick`]), and says what is to be done ([`Session::poll`]). It does nothing itself.

#![forbid(unsafe_code)]

mod admin;
mod bfd;
mod capabilities;
mod config;
mod effect;
mod failure;
mod link;
mod negotiate;
mod planned;
mod receive;
mod recover;
mod session;
mod stale;
mod timer;

pub use capabilities::words as capability_words;
pub use config::{
    AsnMatch, GracefulRestartConfig, IdleHold, LocalAs, LocalConfig, LongLivedConfig, PeerConfig,
};
pub use effect::{
    Conn, Counters, Effect, Event, Helping, Idle, IdleReason, MaxPrefixesAction, Negotiated, Stale,
    State, Status, Stop,
};
pub use failure::{By, Detail, Failure, FailureReport, LastFailure, NotificationReport};
pub use planned::{Change, Planned};
pub use session::Session;

#[cfg(test)]
mod tests;

//! Bidirectional Forwarding Detection (RFC 5880) over one hop (RFC 5881) and several (RFC 5883).
//!
//! [`Bfd`] holds all sessions of a process and speaks asynchronous mode only: no echo, no demand
//! mode of its own (a peer's demand bit is obeyed), no authentication (such packets are discarded
//! by name). It has no clock and no socket: time and packets come in by [`Bfd::handle`] and
//! [`Bfd::tick`], packets and changes of state go out by [`Bfd::poll`].
//!
//! Without authentication the TTL is the fence of single-hop sessions: what has not 255 came over
//! a router, and is discarded (RFC 5881 §5). Discriminators are drawn from a secret seed.

#![forbid(unsafe_code)]

mod config;
mod counters;
mod machine;
mod packet;
mod random;
mod session;
mod status;

pub use config::{
    Config, ConfigError, Hop, Key, MAX_INTERVAL, MIN_INTERVAL, MULTI_HOP_PORT, SINGLE_HOP_PORT,
    SOURCE_PORTS, TTL,
};
pub use counters::{Counters, Discard};
pub use machine::{Arrival, Bfd, DEFAULT_MAX_SESSIONS, Input, Output, Seed};
pub use packet::{Diagnostic, LEN, Packet, State, decode, encode};
pub use status::{Cause, Change, Status};

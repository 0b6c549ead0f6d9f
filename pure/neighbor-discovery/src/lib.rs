//! Finds the router at the other end of a link by IPv6 router advertisements (RFC 4861).
//!
//! BGP on a link without addresses ("unnumbered") needs the neighbor's link-local address. Both
//! ends advertise themselves as routers, with lifetime 0: no host may take one as its default
//! router. [`Discovery`] is one link's end of it, without a clock and without a socket.

#![forbid(unsafe_code)]

mod discovery;
mod message;

pub use discovery::{Discovery, INTERVAL, Input, Output, SILENCE};
pub use message::{Ignored, Message, advertisement, decode, solicitation};

//! BGP's TCP: listening, connecting, and cutting streams into frames.
//!
//! [`Sockets`] is what the router's task holds: each call returns at once, and what comes of it
//! arrives as an [`Event`] on one bounded channel. A connection is one task. It reads no further
//! while the channel is full, and it holds at most [`SEND_BUFFER`] bytes that were not sent yet
//! ([`Event::Room`] tells that there is room again, [`Sockets::room`] how much).
//!
//! Frames are cut by their header's length alone; nothing is decoded. A header that is wrong is
//! handed over as a frame of its own, and is the last: decoding it gives the NOTIFICATION.

mod connection;
mod event;
mod listen;
mod sockets;

pub use event::{ConnId, Event};
pub use sockets::{Dial, MAX_PER_PEER, SEND_BUFFER, Sockets};

//! BGP's sockets: TCP cut into frames, BFD's UDP ([`BfdSockets`]), and the discovery of neighbors
//! on links without addresses ([`Neighbors`]).
//!
//! [`Sockets`] is what the router's task holds: each call returns at once, and what comes of it
//! arrives as an [`Event`] on one bounded channel. A connection is one task. It reads no further
//! while the channel is full, and it holds at most [`SEND_BUFFER`] bytes that were not sent yet
//! ([`Event::Room`] tells that there is room again, [`Sockets::room`] how much).
//!
//! Frames are cut by their header's length alone; nothing is decoded. A header that is wrong is
//! handed over as a frame of its own, and is the last: decoding it gives the NOTIFICATION.

mod ao;
mod bfd_udp;
mod connection;
mod event;
mod listen;
mod message;
mod neighbors;
mod options;
mod peers;
mod shared;
mod sockets;

pub use ao::Probe as AoProbe;
pub use bfd_udp::{BfdSockets, Datagram};
pub use event::{ConnId, Event, frames};
pub use listen::Listen;
pub use neighbors::{Found, Neighbors};
pub use options::end_when_silent;
pub use peers::{Auth, Peer, PeerError, Who};
pub use sockets::{Dial, MAX_ACCEPTED, MAX_PER_PEER, SEND_BUFFER, Sockets};

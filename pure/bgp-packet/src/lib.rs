//! BGP messages: bytes to values and back (RFC 4271 and its extensions).
//!
//! [`frame_len`] cuts a stream, [`decode`] reads one frame, [`RawAttributes::decode`] reads an
//! attribute set and says what RFC 7606 makes of it; [`encode_attributes`] and [`pack`] write.

#![forbid(unsafe_code)]

mod attribute;
mod decode;
mod message;
mod notification;
mod options;
mod pack;
mod update;
mod verdict;
mod wire;

pub use attribute::*;
pub use decode::{decode, frame_len};
pub use message::*;
pub use notification::*;
pub use options::*;
pub use pack::*;
pub use update::{Nlri, Prefixes, RawAttributes, Reach, Update};
pub use verdict::{Malformation, Verdict};

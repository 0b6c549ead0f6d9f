//! BGP messages: bytes to values and back (RFC 4271 and its extensions).
//!
//! [`frame_len`] cuts a stream, [`decode`] reads one frame, [`RawAttributes::decode`] reads an
//! attribute set and says what RFC 7606 makes of it ([`RawAttributes::view`] without a copy);
//! [`encode_attributes`] and [`pack_paths`] write.

#![forbid(unsafe_code)]

mod attribute;
mod capability;
pub mod community;
mod decode;
mod encode;
mod message;
mod nlri;
mod notification;
mod options;
mod pack;
mod rest;
mod update;
mod verdict;
mod view;
mod wire;

pub use attribute::*;
pub use capability::*;
pub use decode::{decode, frame_len};
pub use encode::encode_attributes;
pub use message::*;
pub use nlri::{Nlri, PathId, Paths, Prefixes};
pub use notification::*;
pub use options::*;
pub use pack::*;
pub use rest::UpdateRest;
pub use update::{RawAttributes, Reach, Update};
pub use verdict::{Malformation, Verdict};
pub use view::{AsPathView, AttributesView, Item, Items, Numbers, SegmentView};

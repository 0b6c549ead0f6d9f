//! BGP messages: bytes to values and back (RFC 4271 and its extensions).

#![forbid(unsafe_code)]

mod attribute;
mod message;
mod notification;
mod update;

pub use attribute::*;
pub use message::*;
pub use notification::*;
pub use update::*;

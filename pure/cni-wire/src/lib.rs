//! The line between the CNI plugin and the agent: one versioned JSON request, one JSON reply.
//!
//! ```text
//! plugin -> agent   {"version":1,"request":{"command":"ADD","attachment":{…},"allocate":{…},"wire":{…}}}\n
//! agent -> plugin   {"version":1,"ok":{"allocated":{…},"wired":{…}}}\n
//!                or {"version":1,"error":{"code":11,"reason":"no-room","message":"…"}}\n
//! ```
//!
//! The pod's network namespace goes beside the request as a file descriptor. Choosing addresses
//! ([`Allocate`]) and making links ([`Wire`]) are separate parts of a request: a secondary network
//! will want the first alone.
//!
//! Both sides refuse fields that they don't know, by name. A line has at most [`MAX_LINE`] bytes.

#![forbid(unsafe_code)]

mod line;
mod message;

pub use line::{LineError, decode_reply, decode_request, encode_reply, encode_request};
pub use message::{
    Allocate, Allocated, AllocatedAddress, Attachment, Done, Link, Pod, Refusal, Reply, Request,
    Wire, Wired,
};

/// The version of the line that this crate speaks.
pub const VERSION: u32 = 1;

/// The longest line, newline included, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// Where the agent listens.
pub const SOCKET_PATH: &str = "/run/sart/agent.sock";

/// The file into which a serving agent writes, every few seconds, for how many seconds the machine
/// has been up. It tells the plugin for how long an agent that doesn't answer has been away.
pub const SERVED_PATH: &str = "/run/sart/agent.served";

#[cfg(test)]
mod tests;

//! A CNI plugin library: the protocol between a container runtime and a network plugin, as the CNI
//! specification 0.3.1 to 1.1.0 has it. It does no network work and knows nothing of sart.
//!
//! A plugin is one function from a [`Call`] to an [`Answer`]; [`run`] does the rest: it reads the
//! environment and standard input, validates both, owns standard output, and writes one result or
//! one error in the version that the caller speaks.
//!
//! ```no_run
//! use cni::{Added, Answer, Call, Error, ErrorCode};
//!
//! fn main() -> std::process::ExitCode {
//!     cni::run(|call| match call {
//!         Call::Add { .. } => Ok(Answer::Added(Added::default())),
//!         Call::Del { .. } | Call::Check { .. } | Call::Status { .. } => Ok(Answer::Done),
//!         Call::Gc { .. } => Err(Error::new(ErrorCode::InvalidEnvironment, "GC is not supported")),
//!     })
//! }
//! ```

mod call;
mod config;
mod error;
mod result;
mod run;
#[cfg(feature = "socket")]
pub mod socket;
mod version;

pub use call::{Attachment, Call, ValidAttachment};
pub use config::Config;
pub use error::{Error, ErrorCode};
pub use result::{Added, Cidr, CidrError, Dns, Interface, Ip, Route};
pub use run::{Answer, Output, answer, run};
pub use version::Version;

#[cfg(test)]
mod tests;

//! The words of the network: prefixes, AS numbers, next hops, routes and virtual time.
//!
//! Every type here is a value that cannot be wrong: a [`Prefix`] has no host bits, a [`RouterId`]
//! is not zero, a [`LinkName`] and a [`Secret`] fit the kernel. Text and serde forms are the ones people type.

#![forbid(unsafe_code)]

mod ao;
mod asn;
mod link;
mod mix;
mod prefix;
mod route;
mod scoped;
mod secret;
mod time;

pub use ao::{AoAlgorithm, AoAlgorithmError, AoKey};
pub use asn::{Asn, AsnError, RouterId, RouterIdError};
pub use link::{LinkName, LinkNameError};
pub use mix::split_mix;
pub use prefix::{Family, Prefix, PrefixError};
pub use route::{NextHop, Route, RouteTarget, is_link_local};
pub use scoped::{ScopedAddr, ScopedAddrError};
pub use secret::{Secret, SecretError, wipe};
pub use time::Timestamp;

#[cfg(test)]
mod tests;

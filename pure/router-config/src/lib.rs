//! The router's document: YAML or JSON to a checked configuration, each error with its place.
//!
//! One [`Document`] is all that one owner wants of the router: the file of `sartd bgp -f`, what the
//! agent applies over gRPC, what `sart` edits, and what the router stores per owner under its run
//! directory. It is read with [`Document::parse`], which finds as many [`Problem`]s as it can in
//! one go, or built in code and written with [`Document::to_yaml`]; the two are inverse.
//!
//! [`Document::desired`] gives the speaker's share of it; [`Document::fib_table`] the FIB's.

#![forbid(unsafe_code)]

mod ao;
mod convert;
mod diff;
mod document;
mod edit;
mod fields;
mod parse;
mod parts;
mod peer;
mod problem;
mod text;
mod tree;
mod write;

pub use ao::{AoKey, AoSecret, TcpAo};
pub use convert::Host;
pub use diff::{Diff, key_of};
pub use document::{AttributeSet, DEFAULT_FIB_TABLE, Document, Fib, PathGroup, SCHEMA_VERSION};
pub use parts::{
    Aggregate, Bmp, BmpTable, Channel, ChannelEnd, Discard, Distances, FibOptions, FibPlace, Mrt,
    MultiPath, Redistribute, RouterEnd,
};
pub use peer::{
    AddPath, AddPathSend, AsnMatch, Bfd, DynamicNeighbors, GracefulRestart, LocalAs, LongLived,
    MaxPrefixes, MaxPrefixesAction, Neighbor, NextHopMode, Unnumbered,
};
pub use problem::{Place, Problem, Reason};
pub use text::{CommunityError, parse_community, parse_large_community, parse_origin};

#[cfg(test)]
mod tests;

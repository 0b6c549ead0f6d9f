//! Joins sessions and tables into one deterministic BGP speaker.

#![forbid(unsafe_code)]

mod desired;

pub use desired::{Desired, Global, Origination};

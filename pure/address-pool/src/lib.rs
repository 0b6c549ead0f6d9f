//! Pools of addresses cut into blocks, blocks into addresses.
//!
//! A [`Pool`] is a list of CIDRs and the size of its blocks; it keeps no books: which blocks are in
//! use is the caller's knowledge (objects in the cluster). An [`AddressSet`] is the books of one
//! block: which of its addresses are in use.
//!
//! ```text
//! pool 10.1.0.0/24, blockSize 29       block 0       block 1              block 31
//!                                      10.1.0.0/29   10.1.0.8/29   …      10.1.0.248/29
//! ```
//!
//! Blocks are cut from the start of the first CIDR, the index counts over all CIDRs in order, and
//! a network's first and last addresses are used like any other.

#![forbid(unsafe_code)]

mod pool;
mod set;

pub use pool::{BlockSize, MAX_BLOCKS_PER_CIDR, Pool, PoolError, first_overlap};
pub use set::{AddressSet, ClaimError};

#[cfg(test)]
mod tests;

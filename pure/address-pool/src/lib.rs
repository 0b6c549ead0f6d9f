//! Pools of addresses cut into blocks, blocks into addresses.

#![forbid(unsafe_code)]

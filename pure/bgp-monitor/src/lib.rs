//! What monitoring stations and archives read: BMP and MRT.
//!
//! [`bmp`] writes the messages of BMP (RFC 7854, 8671, 9069); [`Station`] is one connection to a
//! monitoring station, as a machine without sockets or clock. [`mrt`] writes and reads the files of
//! RFC 6396 and RFC 8050. BGP messages and attributes pass through as bytes: this crate frames
//! them and checks only that they are whole.

#![forbid(unsafe_code)]

pub mod bmp;
pub mod mrt;
mod station;
mod wire;

pub use station::{
    Cursor, Happened, Input, Lost, Output, PeerKey, Standing, Station, StationConfig, TablePart,
    Views,
};
pub use wire::{NotWhole, WallTime};

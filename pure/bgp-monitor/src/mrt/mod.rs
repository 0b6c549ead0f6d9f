//! MRT files: routing tables and messages as archives keep them (RFC 6396, RFC 8050).
//!
//! The functions here append one record each to a buffer; [`Reader`] takes bytes as they come and
//! gives records. Attributes are bytes, as RFC 4271 writes them, with AS numbers of four octets in
//! table dumps of version 2.

mod read;
mod record;
mod write;

pub use read::{ReadError, Reader};
pub use record::{
    Entry, IndexedPeer, Message, PeerIndex, Record, Rib, RibEntry, Session, StateChange, TableDump,
    TableDumpRoute,
};
pub use write::{
    WriteError, append_next_hop, write_message, write_peer_index, write_rib, write_state_change,
};

/// Legacy table dump (RFC 6396 §4.2).
const TABLE_DUMP: u16 = 12;
/// RFC 6396 §4.3.
const TABLE_DUMP_V2: u16 = 13;
/// RFC 6396 §4.4.
const BGP4MP: u16 = 16;
/// BGP4MP with microseconds (RFC 6396 §3).
const BGP4MP_ET: u16 = 17;

/// States of RFC 4271 §8.2.2 as BGP4MP numbers them (RFC 6396 §4.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// 1.
    Idle,
    /// 2.
    Connect,
    /// 3.
    Active,
    /// 4.
    OpenSent,
    /// 5.
    OpenConfirm,
    /// 6.
    Established,
}

impl State {
    fn code(self) -> u16 {
        match self {
            State::Idle => 1,
            State::Connect => 2,
            State::Active => 3,
            State::OpenSent => 4,
            State::OpenConfirm => 5,
            State::Established => 6,
        }
    }

    fn of(code: u16) -> Option<State> {
        Some(match code {
            1 => State::Idle,
            2 => State::Connect,
            3 => State::Active,
            4 => State::OpenSent,
            5 => State::OpenConfirm,
            6 => State::Established,
            _ => return None,
        })
    }
}

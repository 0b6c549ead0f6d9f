use std::net::{IpAddr, Ipv4Addr};

use inet::Prefix;

use super::State;
use crate::wire::WallTime;

/// One record, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was written, or when the message came.
    pub at: WallTime,
    /// What it holds.
    pub record: Record<'a>,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The peers that the following `Rib` records name by number.
    PeerIndex(PeerIndex),
    /// The paths of one prefix.
    Rib(Rib<'a>),
    /// Routes in the old form.
    TableDump(TableDump<'a>),
    /// A BGP message as it came or went.
    Message(Message<'a>),
    /// A session's change of state.
    StateChange(StateChange),
    /// Anything else, such as multicast tables.
    Other {
        /// MRT type.
        kind: u16,
        /// MRT subtype.
        subtype: u16,
        /// Its content.
        body: &'a [u8],
    },
}

/// PEER_INDEX_TABLE (RFC 6396 §4.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIndex {
    /// The collector's BGP Identifier.
    pub collector: Ipv4Addr,
    /// The view's name; may be empty.
    pub view: String,
    /// The peers, counted from 0; at most 65535.
    pub peers: Vec<IndexedPeer>,
}

/// A peer of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedPeer {
    /// Its BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Its address.
    pub address: IpAddr,
    /// Its AS number.
    pub asn: u32,
}

/// RIB_IPV4_UNICAST, RIB_IPV6_UNICAST and their ADDPATH forms (RFC 6396 §4.3.2, RFC 8050 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rib<'a> {
    /// Counts from 0 in a file.
    pub sequence: u32,
    /// Of all entries.
    pub prefix: Prefix,
    /// Entries carry path identifiers.
    pub add_path: bool,
    /// The paths.
    pub entries: Vec<RibEntry<'a>>,
}

/// One path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RibEntry<'a> {
    /// Its peer's place in the peer index.
    pub peer: u16,
    /// Unix time in seconds when it came.
    pub since: u32,
    /// RFC 7911's path identifier; 0 without.
    pub path_id: u32,
    /// Path attributes. An MP_REACH_NLRI holds the next hop's length and the next hop alone
    /// (RFC 6396 §4.3.4).
    pub attributes: &'a [u8],
}

/// A legacy TABLE_DUMP (RFC 6396 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDump<'a> {
    /// Of several views in a file.
    pub view: u16,
    /// Counts, and begins anew after 65535.
    pub sequence: u16,
    /// One, or several in files of before 2001.
    pub routes: Vec<TableDumpRoute<'a>>,
}

/// One path of a [`TableDump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableDumpRoute<'a> {
    /// Where to.
    pub prefix: Prefix,
    /// Unix time in seconds when it came.
    pub since: u32,
    /// The peer's address.
    pub peer: IpAddr,
    /// The peer's AS number, of two octets.
    pub asn: u16,
    /// Path attributes, AS numbers of two octets.
    pub attributes: &'a [u8],
}

/// The two ends of a session in BGP4MP. Both addresses are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The peer's AS number.
    pub peer_asn: u32,
    /// Our AS number.
    pub local_asn: u32,
    /// The interface's number; 0: not known.
    pub interface: u16,
    /// The peer's address.
    pub peer: IpAddr,
    /// Our address.
    pub local: IpAddr,
}

/// BGP4MP_MESSAGE in its eight forms (RFC 6396 §4.4.2, RFC 8050 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Between whom.
    pub session: Session,
    /// AS paths in the message have four octets a number.
    pub four_octet_as: bool,
    /// Our router sent it.
    pub local: bool,
    /// NLRI in the message carry path identifiers.
    pub add_path: bool,
    /// The whole message.
    pub bytes: &'a [u8],
}

/// BGP4MP_STATE_CHANGE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Between whom.
    pub session: Session,
    /// Before; none: a number that RFC 6396 does not know.
    pub old: Option<State>,
    /// After; none as above.
    pub new: Option<State>,
}

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp_packet::{Options, PathId};
use bgp_session::Failure;
use inet::{Asn, Family, Prefix, RouterId, ScopedAddr, Timestamp};

use crate::ConnId;

/// What somebody watches: of the rest nothing is told, and nothing is kept for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Sessions that come and go.
    pub sessions: bool,
    /// What peers send, and what import makes of it.
    pub updates: bool,
    /// Prefixes whose paths in use change.
    pub used: bool,
}

/// What those who watch are told, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A session is Established.
    Up(Box<Established>),
    /// One no longer is.
    Down {
        /// The peer.
        peer: ScopedAddr,
        /// Why.
        failure: Failure,
    },
    /// A peer has sent an UPDATE, and it has been taken in.
    Update {
        /// The peer.
        peer: ScopedAddr,
        /// The whole message.
        bytes: Vec<u8>,
        /// All paths that are named in it, announced or withdrawn.
        paths: Vec<(Prefix, PathId)>,
        /// Something in it was wrong and survived, so that not all was taken as it stands
        /// (RFC 7606).
        malformed: bool,
    },
    /// Paths that a peer did not send again in a refresh are gone (RFC 7313 §4).
    Swept {
        /// The peer.
        peer: ScopedAddr,
    },
    /// What import makes of a peer's routes may be something else once no walk is under way
    /// ([`crate::Speaker::is_walking`]).
    Imported {
        /// The peer.
        peer: ScopedAddr,
    },
    /// The paths in use of a prefix have changed.
    Used(Prefix),
}

/// A session that is Established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// The peer.
    pub peer: ScopedAddr,
    /// The connection.
    pub conn: ConnId,
    /// Our address, where known.
    pub local: Option<IpAddr>,
    /// The peer's AS number.
    pub asn: Asn,
    /// Ours, as the peer knows it.
    pub own_asn: Asn,
    /// The peer's BGP Identifier.
    pub router_id: RouterId,
    /// The families in use.
    pub families: BTreeSet<Family>,
    /// How messages are read and written.
    pub options: Options,
    /// Since when.
    pub since: Timestamp,
    /// The OPEN that we sent, whole.
    pub sent_open: Vec<u8>,
    /// The OPEN that we received, whole.
    pub received_open: Vec<u8>,
}

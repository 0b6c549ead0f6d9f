//! The messages of the BGP Monitoring Protocol, version 3 (RFC 7854, 8671, 9069).

mod encode;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use inet::Family;

pub use encode::{EncodeError, encode, end_of_rib};

use crate::WallTime;

/// What a peer of a monitored router is (RFC 7854 §4.2, RFC 9069 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// A peer of the global instance (type 0).
    Global,
    /// A peer in a VRF, by its route distinguisher (type 1).
    Distinguished(u64),
    /// A peer of an instance with a local meaning (type 2).
    Local(u64),
    /// Not a peer but the router's own table of best paths (type 3). `distinguisher` is 0 for the
    /// default table.
    LocRib {
        /// Of the VRF.
        distinguisher: u64,
        /// Not all of the table is reported (flag F).
        filtered: bool,
    },
}

/// The peer that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// Its address; not written for a Loc-RIB.
    pub address: IpAddr,
    /// Its AS number; the router's own for a Loc-RIB.
    pub asn: u32,
    /// Its BGP Identifier; the router's own for a Loc-RIB.
    pub router_id: Ipv4Addr,
}

/// Which table a route is in, seen from the monitored router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Adj-RIB-In before the import policy.
    InPrePolicy,
    /// Adj-RIB-In after the import policy (flag L).
    InPostPolicy,
    /// Loc-RIB (RFC 9069). The peer's kind says it; there are no flags for it.
    Loc,
    /// Adj-RIB-Out before the export policy (RFC 8671, flag O).
    OutPrePolicy,
    /// Adj-RIB-Out after the export policy, as it is sent (RFC 8671, flags O and L).
    OutPostPolicy,
}

/// Why a session ended (RFC 7854 §4.9). Messages are whole NOTIFICATIONs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// We closed it with this NOTIFICATION (1).
    WeNotified(Vec<u8>),
    /// We closed it without one, at this event of RFC 4271 §8.1; 0: none fits (2).
    WeClosed(u16),
    /// The peer closed it with this NOTIFICATION (3).
    PeerNotified(Vec<u8>),
    /// The peer or the network closed it (4).
    PeerClosed,
    /// The session may be up: it is not monitored any more (5).
    Unmonitored,
    /// The Loc-RIB is gone, with the table's name (6, RFC 9069 §5.3).
    LocRibGone(String),
}

/// What is told when a session is up (RFC 7854 §4.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Our address; not written for a Loc-RIB, and neither are the ports.
    pub local_address: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// The OPEN that we sent, whole. For a Loc-RIB both are made up, with the capabilities that its
    /// UPDATEs need (RFC 9069 §5.2).
    pub sent_open: Vec<u8>,
    /// The OPEN that we received, whole.
    pub received_open: Vec<u8>,
    /// Free texts.
    pub information: Vec<String>,
    /// The table's name, told for a Loc-RIB: `global` or a VRF's.
    pub table: Option<String>,
}

/// One counter or gauge of a peer (RFC 7854 §4.8, RFC 8671 §6.2). Counters start at the session's
/// begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Prefixes that the import policy refused (0).
    RejectedPrefixes(u32),
    /// Prefixes announced again with nothing new (1).
    DuplicateAnnouncements(u32),
    /// Withdrawals of what was not there (2).
    DuplicateWithdrawals(u32),
    /// Updates refused for a loop in CLUSTER_LIST (3).
    ClusterListLoops(u32),
    /// Updates refused for a loop in AS_PATH (4).
    AsPathLoops(u32),
    /// Updates refused for our own ORIGINATOR_ID (5).
    OriginatorIds(u32),
    /// Routes in the Adj-RIB-In (7).
    RoutesIn(u64),
    /// Routes in the Loc-RIB (8).
    RoutesLoc(u64),
    /// Routes in the Adj-RIB-In of a family (9).
    RoutesInOf(Family, u64),
    /// Routes in the Loc-RIB of a family (10).
    RoutesLocOf(Family, u64),
    /// UPDATEs treated as withdrawals (11, RFC 7606).
    WithdrawnUpdates(u32),
    /// Prefixes treated as withdrawn (12).
    WithdrawnPrefixes(u32),
    /// Routes in the Adj-RIB-Out before policy (14).
    RoutesOutPrePolicy(u64),
    /// Routes in the Adj-RIB-Out after policy (15).
    RoutesOut(u64),
    /// Routes of a family in the Adj-RIB-Out after policy (17).
    RoutesOutOf(Family, u64),
}

/// Why a connection to a station is ended (RFC 7854 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// The operator or the configuration said so (0).
    Administrative,
    /// No reason is given (1).
    Unspecified,
    /// The router cannot keep up with it (2).
    OutOfResources,
    /// There is a connection to this station already (3).
    Redundant,
    /// As `Administrative`, and it is not to be tried again (4).
    AdministrativeForGood,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Begins a connection.
    Initiation {
        /// sysName of RFC 1213.
        name: &'a str,
        /// sysDescr of RFC 1213.
        description: &'a str,
        /// Free texts.
        information: &'a [String],
    },
    /// Ends a connection.
    Termination {
        /// Why.
        reason: Termination,
        /// For people; may be empty.
        information: &'a str,
    },
    /// A session is up.
    PeerUp {
        /// Whose.
        peer: &'a Peer,
        /// Since when.
        at: WallTime,
        /// Its particulars.
        up: &'a Up,
    },
    /// A session is down.
    PeerDown {
        /// Whose.
        peer: &'a Peer,
        /// Since when.
        at: WallTime,
        /// Why.
        down: &'a Down,
    },
    /// Routes came or went.
    RouteMonitoring {
        /// Of whom.
        peer: &'a Peer,
        /// When.
        at: WallTime,
        /// In which table.
        view: View,
        /// AS paths have two octets a number (flag A). A Loc-RIB has four always (RFC 9069 §5.4.1).
        two_octet_as: bool,
        /// One whole UPDATE.
        update: &'a [u8],
    },
    /// Counters of a peer.
    Statistics {
        /// Of whom.
        peer: &'a Peer,
        /// When.
        at: WallTime,
        /// What was counted.
        statistics: &'a [Statistic],
    },
}

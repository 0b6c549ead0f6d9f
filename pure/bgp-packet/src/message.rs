use inet::{Asn, Family, RouterId};

use crate::{Notification, Update};

/// A decoded BGP message (RFC 4271 §4). `Update` borrows the frame it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// RFC 4271 §4.2.
    Open(Open),
    /// RFC 4271 §4.3.
    Update(Update<'a>),
    /// RFC 4271 §4.5.
    Notification(Notification),
    /// RFC 4271 §4.4.
    Keepalive,
    /// RFC 2918, RFC 7313.
    RouteRefresh {
        /// The family asked for.
        family: Family,
        /// Request, or the borders of an enhanced refresh.
        kind: RefreshKind,
    },
}

/// An OPEN message (RFC 4271 §4.2, RFC 5492).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sender's AS number: from the four-octet capability when present (RFC 6793 §4.1).
    pub asn: Asn,
    /// Proposed hold time in seconds: 0 or at least 3 (checked when decoding).
    pub hold_time: u16,
    /// The sender's BGP Identifier.
    pub router_id: RouterId,
    /// What the sender can do, in the order of the message.
    pub capabilities: Vec<Capability>,
}

/// One capability (RFC 5492).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Code 1 (RFC 4760 §8), for a family sart knows; others stay `Unknown`.
    Multiprotocol(Family),
    /// Code 2 (RFC 2918).
    RouteRefresh,
    /// Code 6 (RFC 8654).
    ExtendedMessage,
    /// Code 64 (RFC 4724 §3, RFC 8538 §2).
    GracefulRestart(GracefulRestart),
    /// Code 65 (RFC 6793 §3).
    FourOctetAs(Asn),
    /// Code 70 (RFC 7313 §3.1).
    EnhancedRouteRefresh,
    /// Any other, kept as it came.
    Unknown {
        /// The capability code.
        code: u8,
        /// Its value, at most 255 bytes.
        value: Vec<u8>,
    },
}

/// The Graceful Restart capability (RFC 4724 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R bit: the sender has restarted.
    pub restarted: bool,
    /// N bit: hold-timer expiry and NOTIFICATION are graceful too (RFC 8538 §2).
    pub notification: bool,
    /// Seconds, 0 to 4095, that the sender needs to come back.
    pub restart_time: u16,
    /// Families, each with the F bit: forwarding state was preserved.
    pub families: Vec<(Family, bool)>,
}

/// The subtype of a ROUTE-REFRESH message (RFC 7313 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshKind {
    /// 0: send the Adj-RIB-Out again.
    Request,
    /// 1: a refresh begins.
    Begin,
    /// 2: a refresh ends.
    End,
}

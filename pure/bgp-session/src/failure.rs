//! Why a session or an attempt at one ended, and what can be told of it.

use std::fmt;

use bgp_packet::{Notification, Role};
use inet::{Asn, Family, RouterId, Timestamp};

use crate::State;

/// Why a session or an attempt at one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// We sent this NOTIFICATION.
    Sent(Notification),
    /// The peer sent this NOTIFICATION.
    Received(Notification),
    /// The connection was closed or broke; in words where known.
    TcpClosed(String),
    /// No connection could be made, in words.
    TcpFailed(String),
    /// Stopped here, without a NOTIFICATION.
    Stopped,
    /// The peer has restarted and connected anew (RFC 4724 §5).
    PeerRestarted,
    /// BFD lost the peer, which may be restarting: nothing was sent (RFC 5882 §4.3.2).
    BfdDown,
}

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// We.
    Us,
    /// The peer.
    Peer,
    /// Neither: the path between us.
    Network,
}

/// The last thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// What.
    pub failure: Failure,
    /// The state that the connection was in.
    pub state: State,
    /// What we know beyond the NOTIFICATION's bytes.
    pub detail: Option<Detail>,
}

/// A failure taken apart, for those who show it. All texts are safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReport {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: By,
    /// The state that the connection was in.
    pub state: State,
    /// The NOTIFICATION, if there was one.
    pub notification: Option<NotificationReport>,
    /// What the data say and what else is known.
    pub details: Vec<Detail>,
    /// All in one line.
    pub words: String,
}

/// A NOTIFICATION taken apart (RFC 4271 §4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationReport {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// The code's name.
    pub code_words: &'static str,
    /// The subcode's name; none for 0.
    pub subcode_words: Option<&'static str>,
    /// The data as they came or went, in bytes.
    pub data: Vec<u8>,
}

/// One thing known of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A word from the people at the other end, or ours to them (RFC 9003).
    Communication(String),
    /// Inside a Hard Reset (RFC 8538 §3.1).
    HardReset {
        /// The error in words.
        inner: String,
    },
    /// The peer has another AS number than it must have (RFC 4271 §6.2).
    PeerAsn {
        /// The one in its OPEN.
        got: Asn,
        /// What is wanted, in words.
        wanted: String,
    },
    /// The peer's BGP Identifier is ours, or not the wanted one (RFC 4271 §6.2, RFC 6286 §2.2).
    RouterId {
        /// The one in its OPEN.
        got: RouterId,
        /// The wanted one; none where any but ours would do.
        wanted: Option<RouterId>,
    },
    /// What one end misses in the other's OPEN (RFC 5492 §3), in words.
    Capabilities(Vec<String>),
    /// The roles do not fit (RFC 9234 §4.2).
    Roles {
        /// Ours.
        ours: Role,
        /// The peer's; none where it told none, or none that has a meaning.
        theirs: Option<Role>,
    },
    /// More prefixes than allowed (RFC 4486 §4).
    MaxPrefixes {
        /// Of this family.
        family: Family,
        /// The limit.
        limit: u32,
    },
    /// The highest BGP version that is spoken (RFC 4271 §6.2).
    Version(u16),
    /// The length that a message claimed (RFC 4271 §6.1).
    Length(u16),
    /// A message type that is unknown or has no place (RFC 4271 §6.1, RFC 6608 §3).
    MessageType(u8),
    /// The attribute at fault, by its type code (RFC 4271 §6.3).
    Attribute {
        /// The type code.
        code: u8,
        /// How many bytes of it are in the data.
        len: usize,
    },
}

impl Failure {
    /// By whom it was ended.
    pub fn by(&self) -> By {
        match self {
            Failure::Sent(_) | Failure::Stopped => By::Us,
            Failure::Received(_) | Failure::PeerRestarted => By::Peer,
            Failure::TcpClosed(why) if why.is_empty() => By::Peer,
            Failure::TcpClosed(_) | Failure::TcpFailed(_) | Failure::BfdDown => By::Network,
        }
    }

    /// The NOTIFICATION of it.
    pub fn notification(&self) -> Option<&Notification> {
        match self {
            Failure::Sent(notification) | Failure::Received(notification) => Some(notification),
            Failure::TcpClosed(_)
            | Failure::TcpFailed(_)
            | Failure::Stopped
            | Failure::PeerRestarted
            | Failure::BfdDown => None,
        }
    }
}

impl LastFailure {
    /// All that can be told of it.
    pub fn report(&self) -> FailureReport {
        let notification = self.failure.notification();
        let mut details: Vec<Detail> = self.detail.clone().into_iter().collect();
        for detail in notification.map(decoded).unwrap_or_default() {
            // What we noted ourselves says more than the bytes.
            let same = |d: &Detail| std::mem::discriminant(d) == std::mem::discriminant(&detail);
            if !details.iter().any(same) {
                details.push(detail);
            }
        }
        let mut words = self.failure.to_string();
        for detail in &details {
            match detail {
                // The NOTIFICATION's own words have them.
                Detail::Communication(_) | Detail::HardReset { .. } => {}
                Detail::PeerAsn { .. }
                | Detail::RouterId { .. }
                | Detail::Capabilities(_)
                | Detail::Roles { .. }
                | Detail::MaxPrefixes { .. }
                | Detail::Version(_)
                | Detail::Length(_)
                | Detail::MessageType(_)
                | Detail::Attribute { .. } => words.push_str(&format!(": {detail}")),
            }
        }
        FailureReport {
            at: self.at,
            by: self.failure.by(),
            state: self.state,
            notification: notification.map(|n| NotificationReport {
                code: n.code,
                subcode: n.subcode,
                code_words: n.code_words(),
                subcode_words: n.subcode_words(),
                data: n.data.clone(),
            }),
            details,
            words,
        }
    }
}

/// What the data of a NOTIFICATION say.
fn decoded(notification: &Notification) -> Vec<Detail> {
    if let Some(inner) = notification.inner() {
        let mut details = vec![Detail::HardReset { inner: inner.to_string() }];
        details.extend(decoded(&inner));
        return details;
    }
    let data = notification.data.as_slice();
    let detail = match (notification.code, notification.subcode, data) {
        (1, 2, [high, low]) => Some(Detail::Length(u16::from_be_bytes([*high, *low]))),
        (1, 3, [kind]) | (5, _, [kind]) => Some(Detail::MessageType(*kind)),
        (2, 1, [high, low]) => Some(Detail::Version(u16::from_be_bytes([*high, *low]))),
        (2, 3, [a, b, c, d]) => RouterId::new([*a, *b, *c, *d].into())
            .ok()
            .map(|got| Detail::RouterId { got, wanted: None }),
        (2, 7, _) => Some(capabilities(data)).filter(|c| !c.is_empty()).map(Detail::Capabilities),
        // An attribute begins with its flags, then its code (RFC 4271 §4.3).
        (3, 2..=9, [_, code, ..]) => Some(Detail::Attribute { code: *code, len: data.len() }),
        (6, 1, _) => {
            notification.prefix_limit().map(|(family, limit)| Detail::MaxPrefixes { family, limit })
        }
        _ => None,
    };
    detail.into_iter().chain(notification.communication().map(Detail::Communication)).collect()
}

/// The capabilities in the data of an Unsupported Capability (RFC 5492 §3), in words; at most 16.
fn capabilities(mut data: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    while let [code, len, rest @ ..] = data {
        let len = usize::from(*len);
        let Some(value) = rest.get(..len).filter(|_| words.len() < 16) else { break };
        words.push(capability(*code, value));
        data = rest.get(len..).unwrap_or_default();
    }
    words
}

fn capability(code: u8, value: &[u8]) -> String {
    let name = match code {
        1 => "multiprotocol",
        2 => "route-refresh",
        5 => "extended-next-hop",
        6 => "extended-message",
        9 => "role",
        64 => "graceful-restart",
        65 => "four-octet-as",
        69 => "add-path",
        70 => "enhanced-route-refresh",
        71 => "long-lived-graceful-restart",
        _ => return format!("capability {code}"),
    };
    match (code, value) {
        (1, [0, 1, _, 1]) => format!("{name} {}", Family::Ipv4),
        (1, [0, 2, _, 1]) => format!("{name} {}", Family::Ipv6),
        (1, [a, b, _, safi]) => format!("{name} {}/{safi}", u16::from_be_bytes([*a, *b])),
        _ => name.to_owned(),
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            By::Us => "us",
            By::Peer => "peer",
            By::Network => "network",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Sent(n) => write!(f, "sent {n}"),
            Failure::Received(n) => write!(f, "received {n}"),
            Failure::TcpClosed(why) if why.is_empty() => f.write_str("the peer closed TCP"),
            Failure::TcpClosed(why) => write!(f, "TCP broke: {why}"),
            Failure::TcpFailed(why) => write!(f, "cannot connect: {why}"),
            Failure::Stopped => f.write_str("stopped here"),
            Failure::PeerRestarted => f.write_str("the peer restarted"),
            Failure::BfdDown => f.write_str("BFD lost the peer"),
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Detail::Communication(text) => write!(f, "{text:?}"),
            Detail::HardReset { inner } => write!(f, "hard reset for {inner}"),
            Detail::PeerAsn { got, wanted } => {
                write!(f, "the peer is AS {got}, wanted is {wanted}")
            }
            Detail::RouterId { got, wanted: Some(wanted) } => {
                write!(f, "the router id is {got}, wanted is {wanted}")
            }
            Detail::RouterId { got, wanted: None } => write!(f, "router id {got}"),
            Detail::Capabilities(missing) => write!(f, "missing {}", missing.join(", ")),
            Detail::Roles { ours, theirs: Some(theirs) } => {
                write!(f, "we are {ours}, the peer says {theirs}")
            }
            Detail::Roles { ours, theirs: None } => {
                write!(f, "we are {ours}, the peer tells no role")
            }
            Detail::MaxPrefixes { family, limit } => {
                write!(f, "more than {limit} {family} prefixes")
            }
            Detail::Version(version) => write!(f, "version {version} is spoken"),
            Detail::Length(length) => write!(f, "length {length}"),
            Detail::MessageType(kind) => write!(f, "message type {kind}"),
            Detail::Attribute { code, len } => write!(f, "attribute {code}, {len} bytes"),
        }
    }
}

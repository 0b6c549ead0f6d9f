use std::fmt;

use inet::Family;

use crate::wire::{self, Reader};

/// A NOTIFICATION (RFC 4271 §4.5): why a session ends.
///
/// Shown in words: `Open Message Error: Bad Peer AS (2/2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code, 1 to 8.
    pub code: u8,
    /// Error subcode; 0 is unspecific.
    pub subcode: u8,
    /// Data; for Cease 2 and 4 a shutdown communication (RFC 9003).
    pub data: Vec<u8>,
}

/// Why a session is ended on purpose (Cease, RFC 4486, RFC 8538, RFC 9384).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cease {
    /// 1: more prefixes than allowed.
    MaximumPrefixes = 1,
    /// 2: shut down by a person or program; may carry a communication (RFC 9003).
    AdministrativeShutdown = 2,
    /// 3: the peer was removed from the configuration.
    PeerDeconfigured = 3,
    /// 4: reset by a person or program; may carry a communication (RFC 9003).
    AdministrativeReset = 4,
    /// 5: a connection that is not wanted now.
    ConnectionRejected = 5,
    /// 6: the configuration changed.
    ConfigurationChange = 6,
    /// 7: the loser of a collision (RFC 4271 §6.8).
    CollisionResolution = 7,
    /// 8: no memory or other means left.
    OutOfResources = 8,
    /// 9: graceful restart must not be used (RFC 8538 §3).
    HardReset = 9,
    /// 10: BFD found the path dead (RFC 9384).
    BfdDown = 10,
}

/// Error codes (RFC 4271 §4.5, RFC 7313 §5, RFC 9687 §3).
pub(crate) mod code {
    pub(crate) const HEADER: u8 = 1;
    pub(crate) const OPEN: u8 = 2;
    pub(crate) const UPDATE: u8 = 3;
    pub(crate) const CEASE: u8 = 6;
    pub(crate) const ROUTE_REFRESH: u8 = 7;
    pub(crate) const SEND_HOLD_TIMER: u8 = 8;
}

impl Notification {
    /// A NOTIFICATION without data.
    pub fn new(code: u8, subcode: u8) -> Notification {
        Notification { code, subcode, data: Vec::new() }
    }

    /// A NOTIFICATION with data.
    pub fn with_data(code: u8, subcode: u8, data: impl Into<Vec<u8>>) -> Notification {
        Notification { code, subcode, data: data.into() }
    }

    /// A Cease. A communication is sent with the shutdown and reset subcodes only (RFC 9003 §2),
    /// cut to 255 bytes.
    pub fn cease(why: Cease, communication: Option<&str>) -> Notification {
        let data = match (why, communication) {
            (Cease::AdministrativeShutdown | Cease::AdministrativeReset, Some(text)) => {
                let text = cut(text, 255);
                let mut data = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
                data.extend_from_slice(text.as_bytes());
                data
            }
            _ => Vec::new(),
        };
        Notification { code: code::CEASE, subcode: why as u8, data }
    }

    /// The Cease for more prefixes of a family than allowed, with the limit (RFC 4486 §4).
    pub fn max_prefixes(family: Family, limit: u32) -> Notification {
        let mut data = Vec::with_capacity(7);
        wire::put_family(&mut data, family);
        data.extend_from_slice(&limit.to_be_bytes());
        Notification { code: code::CEASE, subcode: Cease::MaximumPrefixes as u8, data }
    }

    /// The roles of the two ends do not fit (RFC 9234 §4.2).
    pub fn role_mismatch() -> Notification {
        Notification::new(code::OPEN, 11)
    }

    /// The peer took nothing from us for too long (RFC 9687 §3).
    pub fn send_hold_timer_expired() -> Notification {
        Notification::new(code::SEND_HOLD_TIMER, 0)
    }

    /// The same error as a Hard Reset: graceful restart must not be used after it
    /// (RFC 8538 §3.1).
    pub fn into_hard_reset(self) -> Notification {
        let mut data = vec![self.code, self.subcode];
        data.extend(self.data);
        Notification { code: code::CEASE, subcode: Cease::HardReset as u8, data }
    }

    /// Whether graceful restart must not be used after this one (RFC 8538 §3.1).
    pub fn is_hard_reset(&self) -> bool {
        self.code == code::CEASE && self.subcode == Cease::HardReset as u8
    }

    /// What a Hard Reset was made of, if it says so; never a Hard Reset itself (RFC 8538 §3.1).
    pub fn inner(&self) -> Option<Notification> {
        let mut reader = Reader::new(&self.data);
        let (code, subcode) = (reader.u8()?, reader.u8()?);
        let inner = Notification { code, subcode, data: reader.rest().to_vec() };
        (self.is_hard_reset() && !inner.is_hard_reset()).then_some(inner)
    }

    /// The communication of an administrative shutdown or reset (RFC 9003 §2), with what could
    /// upset a terminal replaced; also that inside a Hard Reset.
    pub fn communication(&self) -> Option<String> {
        if let Some(inner) = self.inner() {
            return inner.communication();
        }
        let may_carry = [Cease::AdministrativeShutdown as u8, Cease::AdministrativeReset as u8];
        if self.code != code::CEASE || !may_carry.contains(&self.subcode) {
            return None;
        }
        let mut reader = Reader::new(&self.data);
        let len = usize::from(reader.u8()?);
        let text = String::from_utf8_lossy(reader.take(len)?);
        let safe = |c: char| {
            if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }
        };
        (len > 0).then(|| text.chars().map(safe).collect())
    }

    /// The family and the limit that a Cease for too many prefixes names, if it does
    /// (RFC 4486 §4); also one inside a Hard Reset.
    pub fn prefix_limit(&self) -> Option<(Family, u32)> {
        if let Some(inner) = self.inner() {
            return inner.prefix_limit();
        }
        if self.code != code::CEASE || self.subcode != Cease::MaximumPrefixes as u8 {
            return None;
        }
        let mut reader = Reader::new(&self.data);
        let (family, limit) = (reader.family()??, reader.u32()?);
        reader.is_empty().then_some((family, limit))
    }

    /// The code in words.
    pub fn code_words(&self) -> &'static str {
        match self.code {
            1 => "Message Header Error",
            2 => "Open Message Error",
            3 => "Update Message Error",
            4 => "Hold Timer Expired",
            5 => "Finite State Machine Error",
            6 => "Cease",
            7 => "Route-Refresh Message Error",
            8 => "Send Hold Timer Expired",
            _ => "Unknown Error",
        }
    }

    /// The subcode in words; none for 0.
    pub fn subcode_words(&self) -> Option<&'static str> {
        Some(match (self.code, self.subcode) {
            (_, 0) => return None,
            (1, 1) => "Connection Not Synchronized",
            (1, 2) => "Bad Message Length",
            (1, 3) => "Bad Message Type",
            (2, 1) => "Unsupported Version Number",
            (2, 2) => "Bad Peer AS",
            (2, 3) => "Bad BGP Identifier",
            (2, 4) => "Unsupported Optional Parameter",
            (2, 5) => "Authentication Failure",
            (2, 6) => "Unacceptable Hold Time",
            (2, 7) => "Unsupported Capability",
            (2, 11) => "Role Mismatch",
            (3, 1) => "Malformed Attribute List",
            (3, 2) => "Unrecognized Well-known Attribute",
            (3, 3) => "Missing Well-known Attribute",
            (3, 4) => "Attribute Flags Error",
            (3, 5) => "Attribute Length Error",
            (3, 6) => "Invalid ORIGIN Attribute",
            (3, 7) => "AS Routing Loop",
            (3, 8) => "Invalid NEXT_HOP Attribute",
            (3, 9) => "Optional Attribute Error",
            (3, 10) => "Invalid Network Field",
            (3, 11) => "Malformed AS_PATH",
            (5, 1) => "Unexpected Message in OpenSent",
            (5, 2) => "Unexpected Message in OpenConfirm",
            (5, 3) => "Unexpected Message in Established",
            (6, 1) => "Maximum Number of Prefixes Reached",
            (6, 2) => "Administrative Shutdown",
            (6, 3) => "Peer De-configured",
            (6, 4) => "Administrative Reset",
            (6, 5) => "Connection Rejected",
            (6, 6) => "Other Configuration Change",
            (6, 7) => "Connection Collision Resolution",
            (6, 8) => "Out of Resources",
            (6, 9) => "Hard Reset",
            (6, 10) => "BFD Down",
            (7, 1) => "Invalid Message Length",
            _ => "Unknown Subcode",
        })
    }

    /// The whole message.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![self.code, self.subcode];
        body.extend_from_slice(&self.data);
        // Data may be a copy of something long; what does not fit says no more.
        body.truncate(crate::MAX_LEN - crate::HEADER_LEN);
        wire::message(wire::NOTIFICATION, &body)
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code_words())?;
        if let Some(words) = self.subcode_words() {
            write!(f, ": {words}")?;
        }
        write!(f, " ({}/{})", self.code, self.subcode)?;
        if let Some(inner) = self.inner() {
            return write!(f, ", {inner}");
        }
        match (self.communication(), self.prefix_limit()) {
            (Some(text), _) => write!(f, ", {text:?}"),
            (None, Some((family, limit))) => write!(f, ", over {limit} of {family}"),
            (None, None) => Ok(()),
        }
    }
}

/// The longest beginning of at most `max` bytes that ends between characters.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

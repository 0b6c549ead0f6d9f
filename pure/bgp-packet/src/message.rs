use std::collections::BTreeSet;

use inet::{Asn, Family, RouterId};

use crate::wire;
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
    /// A well-formed message that means nothing to us and is skipped: a ROUTE-REFRESH of an
    /// unknown family or subtype (RFC 2918 §4, RFC 7313 §5).
    Ignored,
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

/// A KEEPALIVE message, whole (RFC 4271 §4.4).
pub const KEEPALIVE: [u8; 19] =
    [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 4];

impl Open {
    /// The whole message. Capabilities over 255 bytes in all use the longer form of RFC 9072 §2;
    /// what goes beyond a message is left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capability.encode(&mut capabilities);
        }
        let mut body = vec![4];
        body.extend_from_slice(&self.asn.as_two_octets().to_be_bytes());
        body.extend_from_slice(&self.hold_time.to_be_bytes());
        body.extend_from_slice(&self.router_id.get().to_be_bytes());
        match u8::try_from(capabilities.len() + 2) {
            _ if capabilities.is_empty() => body.push(0),
            // One parameter of type 2 with all the capabilities (RFC 5492 §4).
            Ok(len) => body.extend_from_slice(&[len, 2, len - 2]),
            Err(_) => {
                let len = capabilities.len();
                body.extend_from_slice(&[255, 255]);
                body.extend_from_slice(&wire::len16(len + 3));
                body.push(2);
                body.extend_from_slice(&wire::len16(len));
            }
        }
        body.extend_from_slice(&capabilities);
        wire::message(wire::OPEN, &body)
    }

    /// The sender's graceful restart capability; of several the last counts (RFC 4724 §3).
    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities.iter().rev().find_map(|c| match c {
            Capability::GracefulRestart(gr) => Some(gr),
            _ => None,
        })
    }

    /// The families the sender offers. Without any Multiprotocol capability that is IPv4
    /// unicast alone (RFC 4760 §8).
    pub fn families(&self) -> BTreeSet<Family> {
        let multiprotocol = |c: &Capability| {
            matches!(c, Capability::Multiprotocol(_) | Capability::Unknown { code: 1, .. })
        };
        if !self.capabilities.iter().any(multiprotocol) {
            return BTreeSet::from([Family::Ipv4]);
        }
        let families = self.capabilities.iter().filter_map(|c| match c {
            Capability::Multiprotocol(family) => Some(*family),
            _ => None,
        });
        families.collect()
    }

    /// Whether the sender has this capability.
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }
}

impl Capability {
    /// The capability's code.
    pub fn code(&self) -> u8 {
        match self {
            Capability::Multiprotocol(_) => 1,
            Capability::RouteRefresh => 2,
            Capability::ExtendedMessage => 6,
            Capability::GracefulRestart(_) => 64,
            Capability::FourOctetAs(_) => 65,
            Capability::EnhancedRouteRefresh => 70,
            Capability::Unknown { code, .. } => *code,
        }
    }

    /// Appends code, length and value (RFC 5492 §4).
    pub fn encode(&self, to: &mut Vec<u8>) {
        let mut value = Vec::new();
        match self {
            Capability::Multiprotocol(family) => {
                value.extend_from_slice(&wire::afi(*family).to_be_bytes());
                value.extend_from_slice(&[0, 1]);
            }
            Capability::RouteRefresh
            | Capability::ExtendedMessage
            | Capability::EnhancedRouteRefresh => {}
            Capability::GracefulRestart(gr) => {
                let mut flags_and_time = gr.restart_time & 0x0FFF;
                flags_and_time |= if gr.restarted { 0x8000 } else { 0 };
                flags_and_time |= if gr.notification { 0x4000 } else { 0 };
                value.extend_from_slice(&flags_and_time.to_be_bytes());
                for (family, preserved) in &gr.families {
                    wire::put_family(&mut value, *family);
                    value.push(if *preserved { 0x80 } else { 0 });
                }
            }
            Capability::FourOctetAs(asn) => value.extend_from_slice(&asn.get().to_be_bytes()),
            Capability::Unknown { value: kept, .. } => value.extend_from_slice(kept),
        }
        value.truncate(usize::from(u8::MAX));
        // With what is in the message already there must be room: 4096 less header and fields.
        if to.len() + value.len() + 2 <= 4000 {
            to.push(self.code());
            to.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
            to.extend_from_slice(&value);
        }
    }
}

/// A whole ROUTE-REFRESH message (RFC 2918 §3, RFC 7313 §3.2).
pub fn encode_route_refresh(family: Family, kind: RefreshKind) -> Vec<u8> {
    let [high, low] = wire::afi(family).to_be_bytes();
    let subtype = match kind {
        RefreshKind::Request => 0,
        RefreshKind::Begin => 1,
        RefreshKind::End => 2,
    };
    wire::message(wire::ROUTE_REFRESH, &[high, low, subtype, 1])
}

use std::collections::BTreeSet;

use inet::{Asn, Family, RouterId};

use crate::wire;
use crate::{
    AddPathMode, Capability, FamilyFlags, GracefulRestart, LongLived, Notification, Role, Update,
};

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

    /// What the sender wants of path ids in this family; of several the last counts
    /// (RFC 7911 §4).
    pub fn add_path(&self, family: Family) -> Option<AddPathMode> {
        let all = self.capabilities.iter().filter_map(|c| match c {
            Capability::AddPath(modes) => Some(modes),
            _ => None,
        });
        all.flatten().rev().find(|(of, _)| *of == family).map(|(_, mode)| *mode)
    }

    /// The families whose routes may be sent to the sender with an IPv6 next hop (RFC 8950 §4).
    pub fn extended_next_hop(&self) -> FamilyFlags {
        let all = self.capabilities.iter().filter_map(|c| match c {
            Capability::ExtendedNextHop(families) => Some(families),
            _ => None,
        });
        all.flatten().copied().collect()
    }

    /// The families whose routes are kept for long over the sender's restart, of several for a
    /// family the last (RFC 9494 §3.1).
    pub fn long_lived(&self) -> Vec<LongLived> {
        let mut families: Vec<LongLived> = Vec::new();
        for capability in &self.capabilities {
            let Capability::LongLivedGracefulRestart(all) = capability else { continue };
            for one in all {
                families.retain(|f| f.family != one.family);
                families.push(*one);
            }
        }
        families
    }

    /// The sender's role, if it tells one. Several that differ, or one that has no meaning, is a
    /// Role Mismatch (RFC 9234 §4.2), to be sent where we told ours.
    pub fn role(&self) -> Result<Option<Role>, Notification> {
        let mut told = None;
        for capability in &self.capabilities {
            let role = match capability {
                Capability::Role(role) => *role,
                // A length that is not 1 makes it malformed: ignored (RFC 5492 §3).
                Capability::Unknown { code: 9, value } if value.len() == 1 => {
                    return Err(Notification::role_mismatch());
                }
                _ => continue,
            };
            if told.replace(role).is_some_and(|before| before != role) {
                return Err(Notification::role_mismatch());
            }
        }
        Ok(told)
    }

    /// Whether the sender has this capability.
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
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

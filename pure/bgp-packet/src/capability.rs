use std::fmt;
use std::str::FromStr;

use inet::{Asn, Family};

use crate::wire::{self, Reader};

/// One capability (RFC 5492).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Code 1 (RFC 4760 §8), for a family sart knows; others stay `Unknown`.
    Multiprotocol(Family),
    /// Code 2 (RFC 2918).
    RouteRefresh,
    /// Code 5 (RFC 8950 §4): families whose routes may be sent to the sender with an IPv6 next
    /// hop. Of the triples, those of families sart lacks are left out.
    ExtendedNextHop(Vec<Family>),
    /// Code 6 (RFC 8654).
    ExtendedMessage,
    /// Code 9 (RFC 9234 §4.1). A role without meaning stays `Unknown`: see [`crate::Open::role`].
    Role(Role),
    /// Code 64 (RFC 4724 §3, RFC 8538 §2).
    GracefulRestart(GracefulRestart),
    /// Code 65 (RFC 6793 §3).
    FourOctetAs(Asn),
    /// Code 69 (RFC 7911 §4), with the families sart knows.
    AddPath(Vec<(Family, AddPathMode)>),
    /// Code 70 (RFC 7313 §3.1).
    EnhancedRouteRefresh,
    /// Code 71 (RFC 9494 §3.1), with the families sart knows.
    LongLivedGracefulRestart(Vec<LongLived>),
    /// Any other, or a malformed one, kept as it came.
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

/// One family of the Long-Lived Graceful Restart capability (RFC 9494 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LongLived {
    /// The family.
    pub family: Family,
    /// F bit: forwarding state was preserved.
    pub forwarding: bool,
    /// Seconds, 0 to 16777215, that routes are kept after the restart time.
    pub stale_time: u32,
}

impl LongLived {
    /// The longest stale time, in seconds: the field has 24 bits.
    pub const MAX_STALE_TIME: u32 = 0x00FF_FFFF;
}

/// What a speaker does with path ids in a family (RFC 7911 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddPathMode {
    /// 1: it can receive several paths of a prefix.
    Receive = 1,
    /// 2: it can send them.
    Send = 2,
    /// 3: both.
    Both = 3,
}

impl AddPathMode {
    /// Whether it can receive several paths.
    pub const fn receives(self) -> bool {
        matches!(self, AddPathMode::Receive | AddPathMode::Both)
    }

    /// Whether it can send several paths.
    pub const fn sends(self) -> bool {
        matches!(self, AddPathMode::Send | AddPathMode::Both)
    }
}

/// What a speaker is to its external peer (RFC 9234 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 0: the peer buys transit from it.
    Provider = 0,
    /// 1: a route server, and the peer its client.
    RouteServer = 1,
    /// 2: a client of the peer, a route server.
    RouteServerClient = 2,
    /// 3: it buys transit from the peer.
    Customer = 3,
    /// 4: both exchange their own and their customers' routes.
    Peer = 4,
}

/// A text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role (provider, route-server, route-server-client, customer or peer): {0:?}")]
pub struct RoleError(String);

impl Role {
    /// All roles, by their number.
    pub const ALL: [Role; 5] =
        [Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];

    /// Whether the two may face each other (RFC 9234 §4.2).
    pub const fn fits(self, other: Role) -> bool {
        match self {
            Role::Provider => matches!(other, Role::Customer),
            Role::RouteServer => matches!(other, Role::RouteServerClient),
            Role::RouteServerClient => matches!(other, Role::RouteServer),
            Role::Customer => matches!(other, Role::Provider),
            Role::Peer => matches!(other, Role::Peer),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Role::Provider => "provider",
            Role::RouteServer => "route-server",
            Role::RouteServerClient => "route-server-client",
            Role::Customer => "customer",
            Role::Peer => "peer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Role, RoleError> {
        let found = Role::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| RoleError(text.to_owned()))
    }
}

impl Capability {
    /// The capability's code.
    pub fn code(&self) -> u8 {
        match self {
            Capability::Multiprotocol(_) => 1,
            Capability::RouteRefresh => 2,
            Capability::ExtendedNextHop(_) => 5,
            Capability::ExtendedMessage => 6,
            Capability::Role(_) => 9,
            Capability::GracefulRestart(_) => 64,
            Capability::FourOctetAs(_) => 65,
            Capability::AddPath(_) => 69,
            Capability::EnhancedRouteRefresh => 70,
            Capability::LongLivedGracefulRestart(_) => 71,
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
            Capability::ExtendedNextHop(families) => {
                for family in families {
                    // The SAFI has two octets here.
                    value.extend_from_slice(&wire::afi(*family).to_be_bytes());
                    value.extend_from_slice(&[0, 1]);
                    value.extend_from_slice(&wire::afi(Family::Ipv6).to_be_bytes());
                }
            }
            Capability::Role(role) => value.push(*role as u8),
            Capability::GracefulRestart(gr) => {
                let mut flags_and_time = gr.restart_time & 0x0FFF;
                flags_and_time |= if gr.restarted { 0x8000 } else { 0 };
                flags_and_time |= if gr.notification { 0x4000 } else { 0 };
                value.extend_from_slice(&flags_and_time.to_be_bytes());
                for (family, preserved) in &gr.families {
                    wire::put_family(&mut value, *family);
                    value.push(forwarding_flag(*preserved));
                }
            }
            Capability::FourOctetAs(asn) => value.extend_from_slice(&asn.get().to_be_bytes()),
            Capability::AddPath(modes) => {
                for (family, mode) in modes {
                    wire::put_family(&mut value, *family);
                    value.push(*mode as u8);
                }
            }
            Capability::LongLivedGracefulRestart(families) => {
                for one in families {
                    wire::put_family(&mut value, one.family);
                    value.push(forwarding_flag(one.forwarding));
                    let time = one.stale_time.min(LongLived::MAX_STALE_TIME).to_be_bytes();
                    value.extend_from_slice(&time[1..]);
                }
            }
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

    /// One capability; a known one with a value that makes no sense counts as unknown
    /// (RFC 5492 §3).
    pub(crate) fn decode(code: u8, value: &[u8]) -> Capability {
        known(code, value).unwrap_or_else(|| Capability::Unknown { code, value: value.to_vec() })
    }
}

/// F bit, the first one.
const fn forwarding_flag(preserved: bool) -> u8 {
    if preserved { 0x80 } else { 0 }
}

fn known(code: u8, value: &[u8]) -> Option<Capability> {
    let mut reader = Reader::new(value);
    let capability = match code {
        1 => {
            let (afi, _reserved, safi) = (reader.u16()?, reader.u8()?, reader.u8()?);
            Capability::Multiprotocol(wire::family(afi, safi)?)
        }
        2 => Capability::RouteRefresh,
        5 => {
            let families = items(&mut reader, |r| {
                let (afi, safi, next_hop_afi) = (r.u16()?, r.u16()?, r.u16()?);
                let family = u8::try_from(safi).ok().and_then(|safi| wire::family(afi, safi));
                Some(family.filter(|_| next_hop_afi == wire::afi(Family::Ipv6)))
            })?;
            Capability::ExtendedNextHop(families)
        }
        6 => Capability::ExtendedMessage,
        9 => {
            let number = reader.u8()?;
            Capability::Role(Role::ALL.into_iter().find(|role| *role as u8 == number)?)
        }
        64 => {
            let flags_and_time = reader.u16()?;
            let families = items(&mut reader, |r| {
                let (family, flags) = (r.family()?, r.u8()?);
                Some(family.map(|family| (family, flags & 0x80 != 0)))
            })?;
            Capability::GracefulRestart(GracefulRestart {
                restarted: flags_and_time & 0x8000 != 0,
                notification: flags_and_time & 0x4000 != 0,
                restart_time: flags_and_time & 0x0FFF,
                families,
            })
        }
        65 => Capability::FourOctetAs(Asn::new(reader.u32()?).ok()?),
        69 => Capability::AddPath(items(&mut reader, |r| {
            // Another mode makes the whole capability one that is not understood (RFC 7911 §4).
            let (family, mode) = (r.family()?, add_path_mode(r.u8()?)?);
            Some(family.map(|family| (family, mode)))
        })?),
        70 => Capability::EnhancedRouteRefresh,
        71 => Capability::LongLivedGracefulRestart(items(&mut reader, |r| {
            let (family, flags, high, low) = (r.family()?, r.u8()?, r.u8()?, r.u16()?);
            let stale_time = u32::from(high) << 16 | u32::from(low);
            let forwarding = flags & 0x80 != 0;
            Some(family.map(|family| LongLived { family, forwarding, stale_time }))
        })?),
        _ => return None,
    };
    reader.is_empty().then_some(capability)
}

fn add_path_mode(mode: u8) -> Option<AddPathMode> {
    match mode {
        1 => Some(AddPathMode::Receive),
        2 => Some(AddPathMode::Send),
        3 => Some(AddPathMode::Both),
        _ => None,
    }
}

/// Entries until the end; those of families sart lacks (inner none) are left out, and a broken
/// one (outer none) breaks the whole.
fn items<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Option<Option<T>>,
) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.extend(read(reader)?);
    }
    Some(all)
}

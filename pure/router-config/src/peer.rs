//! One peer as the document has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use bgp_packet::Role;
use inet::{Asn, Family, LinkName, Prefix, RouterId, ScopedAddr, Secret};
use serde::Serialize;

use crate::ao::TcpAo;

/// One peer; `None` is the speaker's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// A name for people, unique in the document.
    pub name: Option<String>,
    /// The peer's address: the key. [`Neighbor::NO_ADDRESS`] in what is no peer by itself: the
    /// settings of unnumbered and dynamic neighbors.
    pub address: IpAddr,
    /// The AS number the peer must have, when `asn_match` is [`AsnMatch::Exactly`].
    pub asn: Asn,
    /// Which AS numbers the peer may have; written as `asn` too.
    pub asn_match: AsnMatch,
    /// The BGP Identifier the peer must have.
    pub router_id: Option<RouterId>,
    /// The TCP port dialled.
    pub port: Option<u16>,
    /// Never dial.
    pub passive: Option<bool>,
    /// Source address of the session.
    pub local_address: Option<IpAddr>,
    /// The interface that the session is bound to.
    pub interface: Option<LinkName>,
    /// TTL of an eBGP session that crosses routers, 1 to 255.
    pub ebgp_multihop: Option<u8>,
    /// How many hops the peer is away at most, 1 to 254 (RFC 5082).
    pub ttl_security: Option<u8>,
    /// The key of TCP MD5 (RFC 2385).
    pub password: Option<Secret>,
    /// The file that has this key; the program reads it.
    pub password_file: Option<String>,
    /// TCP-AO (RFC 5925), in place of a password.
    pub tcp_ao: Option<TcpAo>,
    /// Seconds: 0 or 3 to 65535.
    pub hold_time: Option<u16>,
    /// Seconds, at most the hold time.
    pub keepalive_time: Option<u16>,
    /// Seconds between attempts to connect, 1 to 65535.
    pub connect_retry_time: Option<u16>,
    /// Seconds that nothing can be sent before the session is given up (RFC 9687).
    pub send_hold_time: Option<u16>,
    /// Families offered; both when left out.
    pub families: Option<BTreeSet<Family>>,
    /// IPv4 routes with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: Option<bool>,
    /// Messages of up to 65535 octets (RFC 8654).
    pub extended_messages: Option<bool>,
    /// Graceful restart.
    pub graceful_restart: Option<GracefulRestart>,
    /// Long-lived graceful restart (RFC 9494).
    pub long_lived_graceful_restart: Option<LongLived>,
    /// Several paths of a prefix (RFC 7911).
    pub add_path: Option<AddPath>,
    /// Another AS number of ours towards this peer.
    pub local_as: Option<LocalAs>,
    /// How often our AS number may stand in a path that the peer sends, 0 to 10.
    pub allow_own_as: Option<u8>,
    /// Take paths with an AS_SET, which else count as withdrawn (RFC 9774).
    pub accept_as_sets: Option<bool>,
    /// Replace the peer's AS number by ours in what it is sent.
    pub as_override: Option<bool>,
    /// Take private AS numbers out of what it is sent.
    pub remove_private_as: Option<bool>,
    /// The next hop of what it is sent.
    pub next_hop: Option<NextHopMode>,
    /// It is a client of ours (RFC 4456).
    pub route_reflector_client: Option<bool>,
    /// What we are to the peer (RFC 9234).
    pub role: Option<Role>,
    /// Only with a peer that says its role too.
    pub role_strict: Option<bool>,
    /// Policies for what it sends, in order.
    pub import: Vec<String>,
    /// Policies for what it is sent, in order.
    pub export: Vec<String>,
    /// How many prefixes it may send.
    pub max_prefixes: BTreeMap<Family, MaxPrefixes>,
    /// Watched by BFD (RFC 5880).
    pub bfd: Option<Bfd>,
    /// Administratively down, with this communication (RFC 9003), which may be empty.
    pub shutdown: Option<String>,
    /// Groups that the peer is in.
    pub groups: BTreeSet<String>,
}

/// A peer that is found on a link by its router advertisements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnumbered {
    /// The link: the key.
    pub interface: LinkName,
    /// The rest; its address is [`Neighbor::NO_ADDRESS`].
    pub settings: Neighbor,
}

/// Peers that are accepted from a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicNeighbors {
    /// Their addresses: the key.
    pub prefix: Prefix,
    /// How many there may be at once; 100 when left out.
    pub limit: Option<u32>,
    /// The rest; its address is [`Neighbor::NO_ADDRESS`].
    pub settings: Neighbor,
}

/// Which AS numbers a peer may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AsnMatch {
    /// The one given.
    #[default]
    Exactly,
    /// Any but ours.
    External,
    /// Ours.
    Internal,
    /// One in these ranges.
    Ranges(Vec<RangeInclusive<u32>>),
}

/// Another AS number of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LocalAs {
    /// The number, which the OPEN message has.
    pub asn: Asn,
    /// Put it before the paths that the peer sends; true when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepend: Option<bool>,
    /// Send only it, without our own AS number; false when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
}

/// The next hop of what a peer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NextHopMode {
    /// As RFC 4271 §5.1.3 has it.
    Auto,
    /// Always ours.
    #[serde(rename = "self")]
    Own,
    /// As received.
    Unchanged,
}

/// Several paths of a prefix (RFC 7911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AddPath {
    /// Which paths are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<AddPathSend>,
    /// Receive them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<bool>,
}

/// Which paths are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddPathSend {
    /// The best one.
    Best,
    /// This many of the best, 2 to 255.
    BestN(u8),
    /// All.
    All,
}

/// How many prefixes of a family a peer may send (RFC 4486).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MaxPrefixes {
    /// The number.
    pub limit: u32,
    /// Percent of it that are told, 1 to 100; 80 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<u8>,
    /// What is done when there are more; `restart` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<MaxPrefixesAction>,
    /// Seconds until the session is tried again, with `restart`; 60 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_after: Option<u32>,
}

/// What is done when a peer sends too many prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MaxPrefixesAction {
    /// It is told, nothing else.
    Warn,
    /// The session ends and is tried again after a time.
    Restart,
    /// The session ends until a person resets it.
    Shut,
}

/// BFD of one peer (RFC 5880).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bfd {
    /// Use it; true when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Milliseconds between packets that we send, 10 to 60000; 300 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit: Option<u32>,
    /// Milliseconds between packets that we can take, 10 to 60000; 300 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<u32>,
    /// Packets lost until the peer counts as down, 1 to 255; 3 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<u8>,
    /// Over several hops (RFC 5883); when left out, as the session is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multihop: Option<bool>,
    /// Never send first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<bool>,
}

/// Graceful restart of one peer (RFC 4724).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GracefulRestart {
    /// Offer it and help the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Seconds, 1 to 4095.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_time: Option<u16>,
}

/// Long-lived graceful restart of one peer (RFC 9494).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LongLived {
    /// Seconds that its routes are kept as stale, 1 to 16777215.
    pub stale_time: u32,
}

impl Neighbor {
    /// What stands for the address where there is none.
    pub const NO_ADDRESS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    /// What it is known by: its address, a link-local one with its interface.
    pub fn scoped_address(&self) -> ScopedAddr {
        ScopedAddr::new(self.address, self.interface)
    }

    /// A neighbor with defaults for all but address and AS number.
    pub fn new(address: IpAddr, asn: Asn) -> Neighbor {
        Neighbor {
            name: None,
            address,
            asn,
            asn_match: AsnMatch::Exactly,
            router_id: None,
            port: None,
            passive: None,
            local_address: None,
            interface: None,
            ebgp_multihop: None,
            ttl_security: None,
            password: None,
            password_file: None,
            tcp_ao: None,
            hold_time: None,
            keepalive_time: None,
            connect_retry_time: None,
            send_hold_time: None,
            families: None,
            extended_next_hop: None,
            extended_messages: None,
            graceful_restart: None,
            long_lived_graceful_restart: None,
            add_path: None,
            local_as: None,
            allow_own_as: None,
            accept_as_sets: None,
            as_override: None,
            remove_private_as: None,
            next_hop: None,
            route_reflector_client: None,
            role: None,
            role_strict: None,
            import: Vec::new(),
            export: Vec::new(),
            max_prefixes: BTreeMap::new(),
            bfd: None,
            shutdown: None,
            groups: BTreeSet::new(),
        }
    }

    /// The AS numbers it may have, as they are written.
    pub fn asn_text(&self) -> String {
        match &self.asn_match {
            AsnMatch::Exactly => self.asn.to_string(),
            AsnMatch::External => "external".to_owned(),
            AsnMatch::Internal => "internal".to_owned(),
            AsnMatch::Ranges(ranges) => {
                let ranges = ranges.iter().map(|r| format!("{}..{}", r.start(), r.end()));
                ranges.collect::<Vec<_>>().join(",")
            }
        }
    }
}

impl Serialize for AddPathSend {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            AddPathSend::Best => s.serialize_str("best"),
            AddPathSend::BestN(count) => s.serialize_u8(*count),
            AddPathSend::All => s.serialize_str("all"),
        }
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use bgp_packet::{AddPathMode, LongLived, PeerKind, Role};
use inet::{Asn, Family};

/// What is wanted of one peer. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The peer's address: the key; one session per address.
    pub address: IpAddr,
    /// A name for people; the address where none is given.
    pub name: Option<String>,
    /// The AS number the peer must have, with [`AsnMatch::Exactly`].
    pub asn: Asn,
    /// Which AS numbers the peer may have; exactly `asn` by default.
    pub asn_match: AsnMatch,
    /// What we call ourselves towards this peer, instead of our own AS number (RFC 7705).
    pub local_as: Option<LocalAs>,
    /// The peer's BGP Identifier, when it must be a certain one.
    pub router_id: Option<inet::RouterId>,
    /// TCP port dialled; 179 by default.
    pub port: u16,
    /// Never dial, only accept.
    pub passive: bool,
    /// Administratively down, with a word to the people at the other end (RFC 9003); it may be
    /// empty. The session stays Idle, started or not, until this is none again.
    pub shutdown: Option<String>,
    /// Source address of the session.
    pub local_address: Option<IpAddr>,
    /// TTL of an eBGP session that may cross routers; 1 without it (iBGP: 255).
    pub ebgp_multihop: Option<u8>,
    /// Proposed hold time: 0 or 3 to 65535; 90 by default.
    pub hold_time: u16,
    /// Keepalive interval; a third of the negotiated hold time without it.
    pub keepalive_time: Option<u16>,
    /// How long the peer may take nothing of what we send (RFC 9687); 0 is for ever. Without it
    /// 8 minutes, or twice the negotiated hold time where that is more.
    pub send_hold_time: Option<u16>,
    /// Time between attempts to connect; 120 by RFC, 5 by default here.
    pub connect_retry_time: u16,
    /// How long a peer is left alone after errors.
    pub idle_hold: IdleHold,
    /// Families offered; the intersection with the peer's is used.
    pub families: BTreeSet<Family>,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: GracefulRestartConfig,
    /// Routes are kept beyond the restart time (RFC 9494); needs graceful restart.
    pub long_lived: Option<LongLivedConfig>,
    /// Offer messages of up to 65535 bytes (RFC 8654); on by default.
    pub extended_messages: bool,
    /// Several paths of a prefix, by family (RFC 7911); of a family not named here, none.
    pub add_path: BTreeMap<Family, AddPathMode>,
    /// Offer IPv4 routes over an IPv6 next hop (RFC 8950). Off by default, on for a link-local
    /// peer.
    pub ipv4_over_ipv6: bool,
    /// What we are to the peer, told to eBGP peers only (RFC 9234).
    pub role: Option<Role>,
    /// Refuse a peer that tells no role (RFC 9234 §4.2).
    pub role_strict: bool,
    /// Names of the groups the peer is in: announcements may be meant for some groups only.
    pub groups: BTreeSet<String>,
}

/// Which AS numbers a peer may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AsnMatch {
    /// The one in [`PeerConfig::asn`].
    #[default]
    Exactly,
    /// Any but ours.
    External,
    /// Ours.
    Internal,
    /// Any in one of these ranges.
    Ranges(Vec<RangeInclusive<u32>>),
}

/// Another AS number of ours for one peer (RFC 7705).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAs {
    /// The number in our OPEN.
    pub asn: Asn,
    /// Put it in front of the AS paths learned from the peer.
    pub prepend: bool,
    /// Send AS paths with this number only, not with our own behind it.
    pub replace: bool,
}

/// Graceful restart as configured for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GracefulRestartConfig {
    /// Offer it, and help the peer restart.
    pub enabled: bool,
    /// Seconds, 1 to 4095; 120 by default.
    pub restart_time: u16,
}

/// Long-lived graceful restart as configured for a peer (RFC 9494).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLivedConfig {
    /// Seconds, 1 to 16777215: what we ask of the peer, and the most that we grant it.
    pub stale_time: u32,
}

/// The back-off after errors (IdleHoldTime and DampPeerOscillations, RFC 4271 §8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleHold {
    /// The first wait in seconds, doubled by each further error in a row; 1 by default.
    pub first: u16,
    /// The longest wait in seconds; 120 by default.
    pub max: u16,
    /// Wait likewise when sessions are short time and again, though each ended cleanly; on by
    /// default.
    pub damp: bool,
}

impl Default for GracefulRestartConfig {
    fn default() -> Self {
        GracefulRestartConfig { enabled: true, restart_time: 120 }
    }
}

impl Default for IdleHold {
    fn default() -> Self {
        IdleHold { first: 1, max: 120, damp: true }
    }
}

impl LocalAs {
    /// This number in front of ours, both ways.
    pub fn new(asn: Asn) -> LocalAs {
        LocalAs { asn, prepend: true, replace: false }
    }
}

impl PeerConfig {
    /// A peer with defaults for all but address and AS number.
    pub fn new(address: IpAddr, asn: Asn) -> PeerConfig {
        PeerConfig {
            address,
            name: None,
            asn,
            asn_match: AsnMatch::Exactly,
            local_as: None,
            router_id: None,
            port: 179,
            passive: false,
            shutdown: None,
            local_address: None,
            ebgp_multihop: None,
            hold_time: 90,
            keepalive_time: None,
            send_hold_time: None,
            connect_retry_time: 5,
            idle_hold: IdleHold::default(),
            families: Family::ALL.into_iter().collect(),
            graceful_restart: GracefulRestartConfig::default(),
            long_lived: None,
            extended_messages: true,
            add_path: BTreeMap::new(),
            ipv4_over_ipv6: matches!(address, IpAddr::V6(a) if a.is_unicast_link_local()),
            role: None,
            role_strict: false,
            groups: BTreeSet::new(),
        }
    }

    /// Our AS number as this peer sees it; `ours` is the speaker's.
    pub fn own_asn(&self, ours: Asn) -> Asn {
        self.local_as.map_or(ours, |local| local.asn)
    }

    /// Whether the peer may have this AS number; `ours` is the speaker's.
    pub fn admits(&self, asn: Asn, ours: Asn) -> bool {
        match &self.asn_match {
            AsnMatch::Exactly => asn == self.asn,
            AsnMatch::External => asn != self.own_asn(ours),
            AsnMatch::Internal => asn == self.own_asn(ours),
            AsnMatch::Ranges(ranges) => ranges.iter().any(|range| range.contains(&asn.get())),
        }
    }

    /// Whether the peer is in another AS or in ours, as far as can be said before its OPEN: a
    /// peer that may be either counts as another AS, so that its TTL is the narrower one. What
    /// holds in the end is in [`crate::Negotiated::options`].
    pub fn expected_kind(&self, ours: Asn) -> PeerKind {
        let internal = match &self.asn_match {
            AsnMatch::Exactly => self.asn == self.own_asn(ours),
            AsnMatch::Internal => true,
            AsnMatch::External | AsnMatch::Ranges(_) => false,
        };
        if internal { PeerKind::Internal } else { PeerKind::External }
    }

    /// The stale time told and granted, 0 where long-lived graceful restart is not wanted.
    pub(crate) fn stale_time(&self) -> u32 {
        let wanted = self.long_lived.filter(|_| self.graceful_restart.enabled);
        wanted.map_or(0, |wanted| wanted.stale_time.min(LongLived::MAX_STALE_TIME))
    }
}

/// What all sessions of this speaker share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    /// Our AS number.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: inet::RouterId,
    /// We have restarted: the R bit in our next OPEN messages (RFC 4724 §3). Cleared by
    /// [`crate::Session::set_restarting`] once End-of-RIB was sent or the time is over.
    pub restarting: bool,
    /// Families whose routes were found in the kernel at start: the F bit (RFC 4724 §3).
    pub preserved: BTreeSet<Family>,
}

use std::collections::BTreeSet;
use std::net::IpAddr;

use inet::{Asn, Family};

/// What is wanted of one peer. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The peer's address: the key; one session per address.
    pub address: IpAddr,
    /// A name for people; the address where none is given.
    pub name: Option<String>,
    /// The AS number the peer must have.
    pub asn: Asn,
    /// The peer's BGP Identifier, when it must be a certain one.
    pub router_id: Option<inet::RouterId>,
    /// TCP port dialled; 179 by default.
    pub port: u16,
    /// Never dial, only accept.
    pub passive: bool,
    /// Source address of the session.
    pub local_address: Option<IpAddr>,
    /// TTL of an eBGP session that may cross routers; 1 without it (iBGP: 255).
    pub ebgp_multihop: Option<u8>,
    /// Proposed hold time: 0 or 3 to 65535; 90 by default.
    pub hold_time: u16,
    /// Keepalive interval; a third of the negotiated hold time without it.
    pub keepalive_time: Option<u16>,
    /// Time between attempts to connect; 120 by RFC, 5 by default here.
    pub connect_retry_time: u16,
    /// Families offered; the intersection with the peer's is used.
    pub families: BTreeSet<Family>,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: GracefulRestartConfig,
    /// Names of the groups the peer is in: announcements may be meant for some groups only.
    pub groups: BTreeSet<String>,
}

/// Graceful restart as configured for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GracefulRestartConfig {
    /// Offer it, and help the peer restart.
    pub enabled: bool,
    /// Seconds, 1 to 4095; 120 by default.
    pub restart_time: u16,
}

impl Default for GracefulRestartConfig {
    fn default() -> Self {
        GracefulRestartConfig { enabled: true, restart_time: 120 }
    }
}

impl PeerConfig {
    /// A peer with defaults for all but address and AS number.
    pub fn new(address: IpAddr, asn: Asn) -> PeerConfig {
        PeerConfig {
            address,
            name: None,
            asn,
            router_id: None,
            port: 179,
            passive: false,
            local_address: None,
            ebgp_multihop: None,
            hold_time: 90,
            keepalive_time: None,
            connect_retry_time: 5,
            families: Family::ALL.into_iter().collect(),
            graceful_restart: GracefulRestartConfig::default(),
            groups: BTreeSet::new(),
        }
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

/// What a new configuration does to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing is different.
    Nothing,
    /// Taken over without touching the session; a hold time counts from the next session on.
    Live,
    /// The session was ended with Cease/Other Configuration Change and begins anew.
    Reset,
}

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The UDP port that single-hop packets go to (RFC 5881 §4).
pub const SINGLE_HOP_PORT: u16 = 3784;

/// The UDP port that multihop packets go to (RFC 5883 §5).
pub const MULTI_HOP_PORT: u16 = 4784;

/// The UDP ports that packets come from, each session its own (RFC 5881 §4).
pub const SOURCE_PORTS: RangeInclusive<u16> = 49152..=65535;

/// The TTL or hop limit of all that is sent, and the one that single-hop packets must arrive with
/// (RFC 5881 §5).
pub const TTL: u8 = 255;

/// The shortest interval that may be configured.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The longest interval that may be configured.
pub const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// How far the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// On the same link (RFC 5881).
    Single,
    /// Over routers (RFC 5883).
    Multi,
}

impl Hop {
    /// The UDP port that packets go to.
    pub fn port(self) -> u16 {
        match self {
            Hop::Single => SINGLE_HOP_PORT,
            Hop::Multi => MULTI_HOP_PORT,
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hop::Single => "single-hop",
            Hop::Multi => "multihop",
        })
    }
}

/// What a session is between, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Over one hop or several.
    pub hop: Hop,
    /// The peer's address.
    pub peer: IpAddr,
    /// Our address; any when left out.
    pub local: Option<IpAddr>,
    /// The kernel's index of the interface; 0 is any. Link-local peers need one.
    pub link: u32,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The shortest time between two packets that we would like to send, 10 ms to 60 s.
    pub desired_min_tx: Duration,
    /// The shortest time between two packets that we can receive, 10 ms to 60 s; or 0: the peer
    /// shall send none periodically, and its silence means nothing (RFC 5880 §6.8.1).
    pub required_min_rx: Duration,
    /// So many packets may be lost before the peer calls us down, 1 to 255.
    pub multiplier: u8,
    /// Sends nothing before the peer has (RFC 5880 §6.1).
    pub passive: bool,
    /// The C bit: our BFD lives on when the control plane dies (RFC 5882 §4.3).
    pub control_plane_independent: bool,
    /// What multihop packets must arrive with at least; 1 lets all pass. Single-hop packets must
    /// have 255 whatever is said here.
    pub minimum_ttl: u8,
    /// Administratively down: the peer is told so, and no failure is meant (RFC 5880 §6.8.16).
    pub shutdown: bool,
}

impl Default for Config {
    /// 300 ms, three packets: what other routers do unasked.
    fn default() -> Config {
        Config {
            desired_min_tx: Duration::from_millis(300),
            required_min_rx: Duration::from_millis(300),
            multiplier: 3,
            passive: false,
            control_plane_independent: false,
            minimum_ttl: 1,
            shutdown: false,
        }
    }
}

/// Why a session cannot be as it was configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `desired_min_tx` lies outside its range.
    #[error("the BFD transmit interval must be 10 ms to 60 s, not {0:?}")]
    Transmit(Duration),
    /// `required_min_rx` lies outside its range.
    #[error("the BFD receive interval must be 0 or 10 ms to 60 s, not {0:?}")]
    Receive(Duration),
    /// `multiplier` is 0 (RFC 5880 §6.8.1).
    #[error("the BFD multiplier must be 1 to 255, not 0")]
    Multiplier,
    /// The peer is link-local, and no interface is given.
    #[error("BFD with the link-local peer {0} needs its interface")]
    NoLink(IpAddr),
    /// Peer and local address are of two families.
    #[error("the BFD peer {peer} and the local address {local} are of two families")]
    Families {
        /// The peer's address.
        peer: IpAddr,
        /// Ours.
        local: IpAddr,
    },
    /// There are as many sessions as may be.
    #[error("there are {0} BFD sessions already, and no more may be")]
    TooMany(usize),
}

impl Config {
    /// Whether a session of this kind can be.
    ///
    /// # Errors
    /// The first value that is out of its range.
    pub fn check(&self, key: &Key) -> Result<(), ConfigError> {
        let legal = MIN_INTERVAL..=MAX_INTERVAL;
        if !legal.contains(&self.desired_min_tx) {
            return Err(ConfigError::Transmit(self.desired_min_tx));
        }
        if !self.required_min_rx.is_zero() && !legal.contains(&self.required_min_rx) {
            return Err(ConfigError::Receive(self.required_min_rx));
        }
        if self.multiplier == 0 {
            return Err(ConfigError::Multiplier);
        }
        let link_local = match key.peer {
            IpAddr::V4(_) => false,
            IpAddr::V6(peer) => peer.is_unicast_link_local(),
        };
        if link_local && key.link == 0 {
            return Err(ConfigError::NoLink(key.peer));
        }
        match key.local {
            Some(local) if local.is_ipv4() != key.peer.is_ipv4() => {
                Err(ConfigError::Families { peer: key.peer, local })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The TTL or hop limit that packets must arrive with at least.
    pub(crate) fn least_ttl(&self, hop: Hop) -> u8 {
        match hop {
            Hop::Single => TTL,
            Hop::Multi => self.minimum_ttl,
        }
    }
}

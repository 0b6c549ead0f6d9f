use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use bgp_packet::PeerKind;
use bgp_rib::Rules;
use bgp_session::PeerConfig;
use inet::{Asn, Family, LinkName, Prefix, ScopedAddr, Secret, is_link_local};

use crate::ao::TcpAo;

/// All that is wanted of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The session. Its address is the key; of a link-local one the interface, too.
    pub session: PeerConfig,
    /// What holds for its routes. `local_as` and `role` are those of the session, whatever is
    /// said here; [`crate::Global::require_policy`] is stronger than `without_policy`.
    pub rules: Rules,
    /// What its TCP connections must have.
    pub tcp: TcpOptions,
    /// Watched by BFD (RFC 5880).
    pub bfd: Option<BfdOptions>,
    /// How many prefixes it may send.
    pub max_prefixes: BTreeMap<Family, MaxPrefixes>,
}

/// What a peer's TCP connections must have, beside what its session says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The key of TCP MD5 (RFC 2385).
    pub password: Option<Secret>,
    /// The keys of TCP-AO (RFC 5925); not together with the other.
    pub ao: Option<TcpAo>,
    /// How many hops the peer is away at most, 1 to 254 (RFC 5082).
    pub ttl_security: Option<u8>,
    /// Over this interface or VRF only.
    pub interface: Option<LinkName>,
}

/// BFD with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BfdOptions {
    /// Intervals and such.
    pub config: bfd::Config,
    /// Over one hop or several; without, as far as the session may go.
    pub hop: Option<bfd::Hop>,
}

/// How many prefixes of a family a peer may send (RFC 4486).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPrefixes {
    /// So many are allowed.
    pub limit: u32,
    /// So many percent of it are told of, 1 to 100.
    pub warn_at: u8,
    /// What follows when there are more.
    pub action: MaxPrefixesAction,
}

/// What follows when a peer has sent too many prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPrefixesAction {
    /// It is told of, nothing else.
    Warn,
    /// The session ends, and is tried again after so many seconds.
    Restart {
        /// Seconds.
        after: u32,
    },
    /// The session ends, and stays so until a person resets it.
    Shut,
}

/// Where a peer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerSource {
    /// It has been configured by its address.
    Configured,
    /// It was found on this link.
    Unnumbered(LinkName),
    /// It has connected from this prefix of dynamic neighbors.
    Dynamic(Prefix),
}

/// Who may connect, and who is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The one with this address.
    Address(ScopedAddr),
    /// All within this prefix.
    Within(Prefix),
    /// The one on this link, by its link-local address.
    On(LinkName),
}

/// A peer or a kind of peers as TCP must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpPeer {
    /// Who it is.
    pub who: Who,
    /// What its connections must have.
    pub tcp: TcpOptions,
}

/// A BFD session that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// With whom.
    pub peer: ScopedAddr,
    /// From which address, if it matters.
    pub local: Option<IpAddr>,
    /// Over which interface, if it matters.
    pub interface: Option<LinkName>,
    /// Over one hop or several.
    pub hop: bfd::Hop,
    /// Intervals and such.
    pub config: bfd::Config,
}

impl From<PeerConfig> for Peer {
    fn from(session: PeerConfig) -> Peer {
        Peer {
            session,
            rules: Rules::default(),
            tcp: TcpOptions::default(),
            bfd: None,
            max_prefixes: BTreeMap::new(),
        }
    }
}

impl Peer {
    /// A peer with defaults for all but address and AS number.
    pub fn new(address: IpAddr, asn: Asn) -> Peer {
        PeerConfig::new(address, asn).into()
    }

    /// What it is known by: its address, a link-local one with its interface.
    pub fn key(&self) -> ScopedAddr {
        ScopedAddr::new(self.session.address, self.tcp.interface)
    }

    /// The same peer at another address: for those that are found or accepted.
    pub(crate) fn at(&self, address: ScopedAddr) -> Peer {
        let mut peer = self.clone();
        peer.session.address = address.address();
        if let Some(link) = address.link() {
            peer.tcp.interface = Some(link);
        }
        peer
    }

    /// The TTL or hop limit of the packets to it; `asn` is the speaker's.
    pub(crate) fn ttl(&self, asn: Asn) -> u8 {
        let external = self.session.expected_kind(asn) == PeerKind::External;
        match (self.tcp.ttl_security, external, self.session.ebgp_multihop) {
            // RFC 5082 §3.
            (Some(_), _, _) | (None, false, _) => 255,
            (None, true, Some(ttl)) => ttl,
            (None, true, None) => 1,
        }
    }

    /// How far away the peer is; `asn` is the speaker's.
    pub(crate) fn hop(&self, asn: Asn) -> bfd::Hop {
        let external = self.session.expected_kind(asn) == PeerKind::External;
        let guessed = match (self.tcp.ttl_security, external, self.session.ebgp_multihop) {
            (Some(1), _, _) => bfd::Hop::Single,
            (Some(_), _, _) => bfd::Hop::Multi,
            (None, _, _) if is_link_local(&self.session.address) => bfd::Hop::Single,
            (None, true, None | Some(1)) => bfd::Hop::Single,
            (None, true, Some(_)) | (None, false, _) => bfd::Hop::Multi,
        };
        self.bfd.and_then(|options| options.hop).unwrap_or(guessed)
    }

    /// The BFD session that is wanted; none while the peer is administratively down.
    pub(crate) fn bfd_session(&self, asn: Asn) -> Option<BfdSession> {
        let options = self.bfd.filter(|_| self.session.shutdown.is_none())?;
        Some(BfdSession {
            peer: self.key(),
            local: self.session.local_address,
            interface: self.tcp.interface,
            hop: self.hop(asn),
            config: options.config,
        })
    }
}

impl TcpOptions {
    /// The TTL or hop limit that packets must arrive with at least (RFC 5082 §3).
    pub fn min_ttl(&self) -> Option<u8> {
        // One hop is a neighbor on the link: 255.
        self.ttl_security.map(|hops| u8::MAX - hops.saturating_sub(1))
    }
}

impl fmt::Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerSource::Configured => f.write_str("configured"),
            PeerSource::Unnumbered(link) => write!(f, "unnumbered on {link}"),
            PeerSource::Dynamic(prefix) => write!(f, "dynamic in {prefix}"),
        }
    }
}

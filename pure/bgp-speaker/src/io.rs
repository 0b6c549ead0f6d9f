use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bgp_packet::{Malformation, Notification};
use bgp_rib::Best;
use bgp_session::State;
use inet::{Asn, Family, LinkName, Prefix, RouterId, Timestamp};

use crate::Desired;

/// A TCP connection. A number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnId {
    /// Dialled at [`Output::Connect`]; the speaker chose the number.
    Dialled(u64),
    /// Accepted; whoever accepts chose the number.
    Accepted(u64),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// All that an owner wants now, in place of what it wanted before.
    Desired {
        /// Who: `agent`, `cli`, `file`. The first by name wins where two differ.
        owner: String,
        /// What.
        doc: Desired,
    },
    /// The owner wants nothing any more.
    Forget {
        /// Who.
        owner: String,
    },
    /// Every owner that had spoken before the restart has spoken again.
    OwnersReady,
    /// Someone has connected.
    Accepted {
        /// The new connection, [`ConnId::Accepted`].
        conn: ConnId,
        /// Our address.
        local: IpAddr,
        /// Theirs.
        remote: IpAddr,
    },
    /// A connection dialled is there.
    Connected {
        /// Which.
        conn: ConnId,
        /// Our address.
        local: IpAddr,
    },
    /// A connection dialled cannot be made.
    ConnectFailed {
        /// Which.
        conn: ConnId,
        /// Why, in words.
        reason: String,
    },
    /// A whole message, header included, at most 65535 bytes.
    Frame {
        /// On which connection.
        conn: ConnId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The stream cannot be cut into frames; says what the peer is told (RFC 4271 §6.1).
    BadFrame {
        /// On which connection.
        conn: ConnId,
        /// From [`bgp_packet::frame_len`].
        notification: Notification,
    },
    /// How many bytes the send buffer takes now; replaces what was told before.
    Room {
        /// Of which connection.
        conn: ConnId,
        /// Free bytes, in total.
        bytes: usize,
    },
    /// A connection was closed by the other end, or broke.
    Closed {
        /// Which.
        conn: ConnId,
        /// Why, in words; empty for an orderly end.
        reason: String,
    },
    /// How a next hop resolves now.
    NextHop {
        /// The address of an [`Output::Track`].
        address: IpAddr,
        /// How far away it is; none: it does not resolve.
        metric: Option<u32>,
    },
    /// What the interface towards a peer is, and its global addresses.
    LocalAddress {
        /// Towards this peer.
        peer: IpAddr,
        /// The interface.
        link: Option<LinkName>,
        /// Its IPv4 address.
        ipv4: Option<Ipv4Addr>,
        /// Its global IPv6 address.
        ipv6: Option<Ipv6Addr>,
    },
    /// A link has, or has lost, its carrier, or is gone.
    Link {
        /// Which.
        name: LinkName,
        /// Whether it works.
        up: bool,
    },
    /// The kernel holds routes of ours, of these families (the F bit, RFC 4724 §3).
    KernelSynced {
        /// Which.
        families: BTreeSet<Family>,
    },
    /// The process ends.
    Shutdown {
        /// TCP is closed without a NOTIFICATION, and the routes stay; else a Cease is sent.
        keep: bool,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial.
    Connect {
        /// The name of the new connection.
        conn: ConnId,
        /// Whom.
        peer: SocketAddr,
        /// From which address, if it matters.
        local: Option<IpAddr>,
        /// TTL or hop limit of its packets.
        ttl: u8,
    },
    /// An accepted connection is wanted.
    Adopt {
        /// Which.
        conn: ConnId,
        /// TTL or hop limit of its packets.
        ttl: u8,
    },
    /// Send these bytes: one or more whole messages.
    Send {
        /// On which connection.
        conn: ConnId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Send what waits, close, forget. Also stops dialling.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// A prefix is reached by these paths from now on.
    Best(Best),
    /// Tell how this address resolves, now and when that changes.
    Track(IpAddr),
    /// No longer.
    Untrack(IpAddr),
    /// Each prefix was chosen for since the start, and all [`Output::Best`] are out.
    Settled,
    /// For people.
    Happened(Event),
}

/// What people want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session has another state.
    Session {
        /// The peer.
        peer: IpAddr,
        /// Its name, or its address.
        name: String,
        /// The state.
        state: State,
        /// Why the session, or an attempt at one, has just ended; in words.
        reason: Option<String>,
    },
    /// An inbound connection was closed.
    Refused {
        /// From where.
        remote: IpAddr,
        /// Why.
        reason: Refusal,
    },
    /// Two owners want different things, or one thing twice.
    Conflict(Conflict),
    /// A peer sent something wrong which the session survived (RFC 7606).
    Malformed {
        /// The peer.
        peer: IpAddr,
        /// What.
        what: Vec<Malformation>,
    },
    /// After a restart: choosing waits for the peers' tables (RFC 4724 §4.1).
    SelectionDeferred {
        /// At most until then.
        until: Timestamp,
    },
    /// After a restart: choosing has begun.
    SelectionBegan {
        /// Because the time was over, not because all had spoken.
        timed_out: bool,
    },
}

/// Why an inbound connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No peer has this address.
    NotConfigured,
    /// The peer has as many connections as it may.
    TooManyConnections,
    /// We are about to end.
    ShuttingDown,
}

/// Where owners' documents do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// Two owners, or one twice, want a peer with this address.
    DuplicatePeer {
        /// The address.
        address: IpAddr,
        /// Whose wish counts.
        owner: String,
        /// Whose does not.
        ignored: String,
    },
    /// Two owners give different AS numbers, router ids or modes.
    DifferentGlobal {
        /// Whose wish counts.
        owner: String,
        /// Whose does not.
        ignored: String,
        /// The AS number in force.
        asn: Asn,
        /// The router id in force.
        router_id: RouterId,
    },
    /// A prefix is originated twice, differently.
    DuplicatePrefix {
        /// The prefix.
        prefix: Prefix,
        /// Whose wish counts.
        owner: String,
        /// Whose does not.
        ignored: String,
    },
    /// There are more peers than there can be.
    TooManyPeers {
        /// The one that is left out.
        address: IpAddr,
    },
}

impl Conflict {
    /// The name of the refusal.
    pub fn name(&self) -> &'static str {
        match self {
            Conflict::DuplicatePeer { .. } => "duplicate-peer",
            Conflict::DifferentGlobal { .. } => "different-global",
            Conflict::DuplicatePrefix { .. } => "duplicate-prefix",
            Conflict::TooManyPeers { .. } => "too-many-peers",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name())?;
        match self {
            Conflict::DuplicatePeer { address, owner, ignored } => {
                write!(f, "{address} is a peer of {owner}; that of {ignored} is ignored")
            }
            Conflict::DifferentGlobal { owner, ignored, asn, router_id } => write!(
                f,
                "AS {asn}, router id {router_id} and modes of {owner} hold; those of {ignored} \
                 differ and are ignored"
            ),
            Conflict::DuplicatePrefix { prefix, owner, ignored } => {
                write!(f, "{prefix} is originated by {owner}; that of {ignored} is ignored")
            }
            Conflict::TooManyPeers { address } => write!(f, "{address} is left out"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Refusal::NotConfigured => "not-configured",
            Refusal::TooManyConnections => "too-many-connections",
            Refusal::ShuttingDown => "shutting-down",
        })
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnId::Dialled(n) => write!(f, "dialled {n}"),
            ConnId::Accepted(n) => write!(f, "accepted {n}"),
        }
    }
}

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bgp_packet::Notification;
use bgp_policy::KernelSource;
use bgp_rib::Best;
use inet::{Family, LinkName, Prefix, ScopedAddr};

use crate::{BfdSession, Desired, Event, TcpOptions, TcpPeer};

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
        remote: ScopedAddr,
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
        address: ScopedAddr,
        /// How far away it is; none: it does not resolve.
        metric: Option<u32>,
    },
    /// What the interface towards a peer is, and its global addresses.
    LocalAddress {
        /// Towards this peer.
        peer: ScopedAddr,
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
    /// The neighbor on an unnumbered link has this link-local address: one that was found, or one
    /// that has just connected over the link (before [`Input::Accepted`]). What was found stays
    /// until another address is told; none says that there was nothing yet, or nothing any more.
    Neighbor {
        /// The link.
        link: LinkName,
        /// The neighbor's address.
        address: Option<Ipv6Addr>,
    },
    /// What BFD says of a peer. Not told when a side has only switched it off.
    Bfd {
        /// The peer.
        peer: ScopedAddr,
        /// Whether it is seen.
        up: bool,
        /// The C bit of its last packet (RFC 5880 §4.1).
        control_plane_independent: bool,
    },
    /// Routes of the kernel, as far as [`Output::Redistribute`] asks for them, are there, are
    /// different, or are gone.
    Redistribute {
        /// The best one per prefix, or none.
        changes: Vec<(Prefix, Option<KernelRoute>)>,
    },
    /// A person wants a session anew, or its routes.
    AdminReset {
        /// The peer.
        peer: ScopedAddr,
        /// What exactly.
        reset: Reset,
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

/// A route of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// Who put it there.
    pub source: KernelSource,
    /// Its table.
    pub table: u32,
}

/// What a person wants of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Ask the peer for all its routes (RFC 2918), where it can answer.
    SoftIn,
    /// Send it all its routes again.
    SoftOut,
    /// Both.
    Soft,
    /// End the session with a Cease and begin anew. Ends each wait too.
    Hard {
        /// A word to the people at the other end (RFC 9003).
        communication: Option<String>,
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
        /// What it must have; in [`Output::Peers`] too, which has come before.
        tcp: TcpOptions,
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
    Track(ScopedAddr),
    /// No longer.
    Untrack(ScopedAddr),
    /// Each prefix was chosen for since the start, and all [`Output::Best`] are out.
    Settled,
    /// All peers as TCP must know them: who may connect, and with what keys. In place of the last
    /// one; comes before the first connection that needs it.
    Peers(Vec<TcpPeer>),
    /// The links on which neighbors are to be found, in place of the last ones: answered by
    /// [`Input::Neighbor`].
    Find(BTreeSet<LinkName>),
    /// All BFD sessions that are wanted, in place of the last ones.
    Bfd(Vec<BfdSession>),
    /// Routes of the kernel that are wanted, by source and table, in place of the last ones:
    /// answered by [`Input::Redistribute`].
    Redistribute(BTreeSet<(KernelSource, u32)>),
    /// For people.
    Happened(Event),
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnId::Dialled(n) => write!(f, "dialled {n}"),
            ConnId::Accepted(n) => write!(f, "accepted {n}"),
        }
    }
}

use std::collections::BTreeSet;
use std::fmt;

use bgp_packet::{Cease, GracefulRestart, Notification, Options, RefreshKind};
use inet::{Asn, Family, RouterId, Timestamp};
use serde::{Deserialize, Serialize};

/// One TCP connection of a peer; the number tells an old one from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conn {
    /// Dialled by us; the session chooses the number.
    Outgoing(u64),
    /// Accepted from the peer's address; who accepts chooses the number, never the same again.
    Incoming(u64),
}

/// What a session is told. Frames come through [`crate::Session::frame`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Begin, or begin again after a stop (RFC 4271 §8.1.2 ManualStart).
    Start,
    /// End, and stay so until the next start.
    Stop(Stop),
    /// The connection asked for by [`Effect::Connect`] is there.
    TcpConnected {
        /// Which one.
        conn: Conn,
    },
    /// The peer has connected.
    TcpAccepted {
        /// Its new name.
        conn: Conn,
    },
    /// The connection asked for cannot be made.
    TcpFailed {
        /// Which one.
        conn: Conn,
        /// Why, in words for a person.
        reason: String,
    },
    /// A connection was closed or broke. Not told for those closed by [`Effect::Close`].
    TcpClosed {
        /// Which one.
        conn: Conn,
        /// Why, in words for a person; empty for an orderly end.
        reason: String,
    },
    /// Tables or stream found an error: this NOTIFICATION is sent and the connection closed.
    Reset {
        /// Which one.
        conn: Conn,
        /// What is said to the peer.
        notification: Notification,
    },
}

/// How a session is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// TCP is closed without a NOTIFICATION: the peer keeps our routes if graceful restart was
    /// negotiated (RFC 4724 §4).
    Keep,
    /// A Cease is sent (RFC 4486).
    Cease {
        /// Its subcode.
        why: Cease,
        /// A word to the people at the other end (RFC 9003).
        communication: Option<String>,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dial the peer; answered by TcpConnected or TcpFailed.
    Connect {
        /// The name of the new connection.
        conn: Conn,
    },
    /// Send these bytes: one whole message.
    Send {
        /// On which connection.
        conn: Conn,
        /// A whole message.
        bytes: Vec<u8>,
    },
    /// Send what waits and close, or stop dialling. The session forgets the connection: nothing
    /// more of it needs to be told.
    Close {
        /// Which one.
        conn: Conn,
    },
    /// Established: UPDATE messages go to `Negotiated::conn`, the initial table first.
    Up(Box<Negotiated>),
    /// No longer Established.
    Down {
        /// Why, and by whom.
        failure: Failure,
        /// Routes to be kept as stale; those of other families go at once.
        stale: Option<Stale>,
    },
    /// Routes of this family that are still stale go now (RFC 4724 §4.2): End-of-RIB came, the
    /// peer did not keep its forwarding state, or the time is over.
    FlushStale(Family),
    /// The peer asks for, begins or ends a refresh (RFC 2918, RFC 7313).
    Refresh {
        /// A family in use.
        family: Family,
        /// Which of the three.
        kind: RefreshKind,
    },
    /// The state that is shown has changed.
    StateChanged(State),
}

/// Routes of a peer that restarts (RFC 4724 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Families whose routes are kept.
    pub families: BTreeSet<Family>,
    /// When they go, unless the peer is back by then; the session tells by
    /// [`Effect::FlushStale`].
    pub until: Timestamp,
}

/// What both ends agreed on in their OPEN messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The connection that won.
    pub conn: Conn,
    /// How messages are read and written; says also eBGP or iBGP.
    pub options: Options,
    /// Families in use: both ends named them.
    pub families: BTreeSet<Family>,
    /// The peer's AS number.
    pub asn: Asn,
    /// The peer's BGP Identifier.
    pub router_id: RouterId,
    /// Hold time in seconds; 0 means none.
    pub hold_time: u16,
    /// Mean seconds between KEEPALIVE messages; 0 means none.
    pub keepalive_time: u16,
    /// The peer answers ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Both know BoRR and EoRR: an answer to a refresh is framed by them (RFC 7313).
    pub enhanced_refresh: bool,
    /// The peer's graceful restart capability. `restarted` means: do not wait for its
    /// End-of-RIB before sending ours (RFC 4724 §4.1).
    pub graceful_restart: Option<GracefulRestart>,
    /// Families whose routes from before are still held as stale until End-of-RIB.
    pub stale: BTreeSet<Family>,
}

/// The state of RFC 4271 §8.2.2; of two connections the one that is further.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum State {
    /// Stopped, or waiting after an error.
    #[default]
    Idle,
    /// Waiting to dial, or for the peer to.
    Active,
    /// Dialling.
    Connect,
    /// Connected, OPEN sent.
    OpenSent,
    /// The peer's OPEN is accepted.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

/// Why a session or an attempt at one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// We sent this NOTIFICATION.
    Sent(Notification),
    /// The peer sent this NOTIFICATION.
    Received(Notification),
    /// The connection was closed or broke; in words where known.
    TcpClosed(String),
    /// No connection could be made, in words.
    TcpFailed(String),
    /// Stopped here, without a NOTIFICATION.
    Stopped,
    /// The peer has restarted and connected anew (RFC 4724 §5).
    PeerRestarted,
}

/// A failure and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// What.
    pub failure: Failure,
}

/// Messages by type, one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// OPEN messages.
    pub open: u64,
    /// UPDATE messages.
    pub update: u64,
    /// NOTIFICATION messages.
    pub notification: u64,
    /// KEEPALIVE messages.
    pub keepalive: u64,
    /// ROUTE-REFRESH messages.
    pub route_refresh: u64,
}

/// A session as it is shown to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// The last thing that went wrong; kept while the session is up.
    pub last_failure: Option<LastFailure>,
    /// How often Established was lost.
    pub flaps: u64,
    /// How often Established was reached.
    pub established: u64,
    /// Messages received.
    pub received: Counters,
    /// Messages sent.
    pub sent: Counters,
    /// What was agreed on, while Established.
    pub negotiated: Option<Box<Negotiated>>,
}

impl Counters {
    /// All together.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Idle => "Idle",
            State::Active => "Active",
            State::Connect => "Connect",
            State::OpenSent => "OpenSent",
            State::OpenConfirm => "OpenConfirm",
            State::Established => "Established",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Sent(n) => write!(f, "sent {n}"),
            Failure::Received(n) => write!(f, "received {n}"),
            Failure::TcpClosed(why) if why.is_empty() => f.write_str("the peer closed TCP"),
            Failure::TcpClosed(why) => write!(f, "TCP broke: {why}"),
            Failure::TcpFailed(why) => write!(f, "cannot connect: {why}"),
            Failure::Stopped => f.write_str("stopped here"),
            Failure::PeerRestarted => f.write_str("the peer restarted"),
        }
    }
}

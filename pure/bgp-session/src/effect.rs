use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bgp_packet::{
    Capability, Cease, FamilyFlags, GracefulRestart, Notification, Options, RefreshKind, Role,
};
use inet::{Asn, Family, RouterId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Failure, LastFailure};

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
    /// TCP has taken bytes of this connection. Told of each connection whenever its queue has
    /// become empty, and at least once a minute while it gets shorter; a connection of which
    /// this was never told has no send hold time (RFC 9687).
    Written {
        /// Which one.
        conn: Conn,
        /// Bytes that still wait.
        waiting: usize,
    },
    /// BFD has lost the peer (RFC 5882 §4.2). Not told when the peer, or a person here, has only
    /// switched BFD off.
    BfdDown {
        /// The peer's C bit in the last packet: its BFD outlives its control plane
        /// (RFC 5880 §4.1), so that forwarding is dead and not only BGP.
        control_plane_independent: bool,
    },
    /// BFD sees the peer. A session that waits to dial does so at once.
    BfdUp,
    /// The tables hold more prefixes of a family than allowed: Cease with subcode 1 (RFC 4486).
    MaxPrefixes {
        /// The family.
        family: Family,
        /// The limit.
        limit: u32,
        /// What then.
        action: MaxPrefixesAction,
    },
    /// A person wants the session anew: Cease with subcode 4 (RFC 4486). Ends every wait too, also
    /// that after too many prefixes; stopped and shut down sessions stay so.
    AdminReset {
        /// Routes are not to be kept over it (RFC 8538 §3.1).
        hard: bool,
        /// A word to the people at the other end (RFC 9003).
        communication: Option<String>,
    },
}

/// What follows when a peer has sent too many prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPrefixesAction {
    /// Idle for so many seconds, then a new session.
    Restart {
        /// Seconds.
        after: u32,
    },
    /// Idle until [`Event::AdminReset`] or [`Event::Start`].
    StayDown,
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
    /// Routes of this family that are stale are kept for longer (RFC 9494 §4.2): from now on they
    /// carry LLGR_STALE, are the last choice, and go only to peers that know what it means; those
    /// with NO_LLGR go.
    LongLivedStale {
        /// The family.
        family: Family,
        /// When they go; the session tells by [`Effect::FlushStale`].
        until: Timestamp,
    },
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
    /// Of these, the ones that are kept for longer, and until when: [`Effect::LongLivedStale`]
    /// tells when that begins, at once if `until` is no later than now (RFC 9494).
    pub long_lived: BTreeMap<Family, Timestamp>,
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
    /// Our AS number as the peer knows it: in our OPEN.
    pub own_asn: Asn,
    /// The peer's role, if it told one; of eBGP peers only (RFC 9234).
    pub role: Option<Role>,
    /// How many seconds beyond the restart time the peer's routes are kept, where that is more
    /// than none (RFC 9494).
    pub long_lived: BTreeMap<Family, u32>,
    /// Of the families of the peer's long-lived capability, those with the F bit: it has kept
    /// forwarding (RFC 9494 §4.2).
    pub long_lived_forwarding: BTreeSet<Family>,
    /// The families of the peer's long-lived capability: routes with LLGR_STALE may be sent to it
    /// (RFC 9494 §4.3).
    pub knows_long_lived: FamilyFlags,
    /// Seconds that the peer may take nothing of what we send (RFC 9687); 0 means for ever.
    pub send_hold_time: u32,
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

/// Why a session is Idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IdleReason {
    /// Not started, or stopped.
    Stopped,
    /// Administratively down by the configuration.
    Shutdown,
    /// The peer sent too many prefixes.
    MaxPrefixes,
    /// Waiting after an error.
    Error,
    /// Waiting since sessions were short time and again.
    Oscillation,
}

/// Why a session is Idle, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Why.
    pub reason: IdleReason,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Routes of one family that are kept for a peer that went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helping {
    /// They are long-lived stale ones already (RFC 9494).
    pub long_lived: bool,
    /// When they go, or when the long-lived time begins.
    pub until: Timestamp,
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
    /// The capabilities of our OPEN: of the session that is up, else of the last attempt.
    pub offered: Arc<[Capability]>,
    /// The capabilities of the peer's OPEN, likewise; none before it has sent one.
    pub received_capabilities: Arc<[Capability]>,
    /// Why it is Idle, while it is.
    pub idle: Option<Idle>,
    /// Attempts and sessions that ended since the last start (ConnectRetryCounter,
    /// RFC 4271 §8.1.1).
    pub connect_retries: u64,
    /// What BFD says of the peer; none before it said anything.
    pub bfd_up: Option<bool>,
}

impl Counters {
    /// All together.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }
}

impl fmt::Display for IdleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            IdleReason::Stopped => "stopped",
            IdleReason::Shutdown => "shutdown",
            IdleReason::MaxPrefixes => "max-prefixes",
            IdleReason::Error => "error",
            IdleReason::Oscillation => "oscillation",
        })
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

use std::fmt;

use bgp_packet::Malformation;
use bgp_session::State;
use inet::{Asn, Family, LinkName, Prefix, RouterId, ScopedAddr, Timestamp};

use crate::{MaxPrefixesAction, PeerSource};

/// What people want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session has another state.
    Session {
        /// The peer.
        peer: ScopedAddr,
        /// Its name, or its address.
        name: String,
        /// The state.
        state: State,
        /// Why the session, or an attempt at one, has just ended; in words.
        reason: Option<String>,
    },
    /// There is a new peer.
    Added {
        /// The peer.
        peer: ScopedAddr,
        /// Where it comes from.
        source: PeerSource,
    },
    /// A peer is no more.
    Removed {
        /// The peer.
        peer: ScopedAddr,
    },
    /// A peer has sent many prefixes, or too many.
    MaxPrefixes {
        /// The peer.
        peer: ScopedAddr,
        /// The family.
        family: Family,
        /// How many it has sent.
        count: u32,
        /// How many it may.
        limit: u32,
        /// What is done; none: it is a warning that there may soon be too many.
        exceeded: Option<MaxPrefixesAction>,
    },
    /// BFD has found or lost a peer.
    Bfd {
        /// The peer.
        peer: ScopedAddr,
        /// Whether it is seen.
        up: bool,
    },
    /// An inbound connection was closed.
    Refused {
        /// From where.
        remote: ScopedAddr,
        /// Why.
        reason: Refusal,
    },
    /// Two owners want different things, or one thing twice.
    Conflict(Conflict),
    /// A peer sent something wrong which the session survived (RFC 7606).
    Malformed {
        /// The peer.
        peer: ScopedAddr,
        /// What.
        what: Vec<Malformation>,
    },
    /// A peer has sent more paths to one prefix than are taken, for the first time in its session
    /// (RFC 7911).
    PathsLeftOut {
        /// The peer.
        peer: ScopedAddr,
        /// The prefix.
        prefix: Prefix,
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
    /// There are as many dynamic neighbors of the prefix as may be.
    TooManyDynamic,
    /// We are about to end.
    ShuttingDown,
}

/// Where owners' documents do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// Two owners, or one twice, want a peer with this address.
    DuplicatePeer {
        /// The address.
        address: ScopedAddr,
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
    /// An aggregate is there twice, differently.
    DuplicateAggregate {
        /// The prefix.
        prefix: Prefix,
        /// Whose wish counts.
        owner: String,
        /// Whose does not.
        ignored: String,
    },
    /// Two owners, or one twice, want the neighbor on a link.
    DuplicateUnnumbered {
        /// The link.
        link: LinkName,
        /// Whose wish counts.
        owner: String,
        /// Whose does not.
        ignored: String,
    },
    /// Two owners, or one twice, want dynamic neighbors of a prefix.
    DuplicateDynamic {
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
        address: ScopedAddr,
    },
}

impl Conflict {
    /// The name of the refusal.
    pub fn name(&self) -> &'static str {
        match self {
            Conflict::DuplicatePeer { .. } => "duplicate-peer",
            Conflict::DifferentGlobal { .. } => "different-global",
            Conflict::DuplicatePrefix { .. } => "duplicate-prefix",
            Conflict::DuplicateAggregate { .. } => "duplicate-aggregate",
            Conflict::DuplicateUnnumbered { .. } => "duplicate-unnumbered",
            Conflict::DuplicateDynamic { .. } => "duplicate-dynamic",
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
            Conflict::DuplicateAggregate { prefix, owner, ignored } => {
                write!(f, "{prefix} is an aggregate of {owner}; that of {ignored} is ignored")
            }
            Conflict::DuplicateUnnumbered { link, owner, ignored } => {
                write!(
                    f,
                    "the neighbor on {link} is a peer of {owner}; that of {ignored} is ignored"
                )
            }
            Conflict::DuplicateDynamic { prefix, owner, ignored } => {
                write!(
                    f,
                    "{prefix} has dynamic neighbors of {owner}; those of {ignored} are ignored"
                )
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
            Refusal::TooManyDynamic => "too-many-dynamic-neighbors",
            Refusal::ShuttingDown => "shutting-down",
        })
    }
}

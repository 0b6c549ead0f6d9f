//! One connection of a peer.

use std::sync::Arc;

use bgp_packet::{Capability, Options, PeerKind};

use crate::timer::TimerTable;
use crate::{Conn, Detail, Negotiated, State};

/// A connection, how far it is, and its own timers (hold, keepalive and send hold).
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) conn: Conn,
    pub(crate) stage: Stage,
    pub(crate) timers: TimerTable,
    pub(crate) queue: Queue,
    /// The capabilities of our OPEN, and of the peer's.
    pub(crate) offered: Arc<[Capability]>,
    pub(crate) received: Arc<[Capability]>,
    /// What is known of its failure beyond the NOTIFICATION.
    pub(crate) detail: Option<Detail>,
}

/// What was told of the bytes that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Nothing yet: who does not tell can't be judged.
    Unwatched,
    /// None wait.
    Empty,
    /// Some wait.
    Waiting,
}

/// How far a connection is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Waiting for TCP.
    Dialling,
    /// Our OPEN is sent.
    OpenSent,
    /// The peer's OPEN is accepted.
    OpenConfirm {
        negotiated: Box<Negotiated>,
        /// The KEEPALIVE is here too; only another connection's claim keeps this one waiting.
        confirmed: bool,
    },
    /// Routes are exchanged.
    Established(Box<Negotiated>),
}

impl Link {
    pub(crate) fn new(conn: Conn, stage: Stage) -> Link {
        Link {
            conn,
            stage,
            timers: TimerTable::default(),
            queue: Queue::Unwatched,
            offered: Arc::default(),
            received: Arc::default(),
            detail: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.stage {
            Stage::Dialling => State::Connect,
            Stage::OpenSent => State::OpenSent,
            Stage::OpenConfirm { .. } => State::OpenConfirm,
            Stage::Established(_) => State::Established,
        }
    }

    /// What the two OPENs gave, once both are here.
    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        match &self.stage {
            Stage::Dialling | Stage::OpenSent => None,
            Stage::OpenConfirm { negotiated, .. } | Stage::Established(negotiated) => {
                Some(negotiated)
            }
        }
    }

    pub(crate) fn negotiated_mut(&mut self) -> Option<&mut Negotiated> {
        match &mut self.stage {
            Stage::Dialling | Stage::OpenSent => None,
            Stage::OpenConfirm { negotiated, .. } | Stage::Established(negotiated) => {
                Some(negotiated)
            }
        }
    }

    /// How to read what comes.
    pub(crate) fn options(&self, kind: PeerKind) -> Options {
        self.negotiated().map_or(Options::new(kind), |n| n.options)
    }

    pub(crate) fn is_outgoing(&self) -> bool {
        matches!(self.conn, Conn::Outgoing(_))
    }
}

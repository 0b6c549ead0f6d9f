//! A long UPDATE is taken in piece by piece. What its peer says meanwhile waits behind it, so that
//! all is taken in the order in which it came: also the end of the connection.

use std::collections::VecDeque;

use bgp_packet::{MAX_LEN, Message, Notification, UpdateRest, decode};
use bgp_rib::{Rib, Updated};
use bgp_session::{Conn, Event as SessionEvent};
use inet::ScopedAddr;

use super::{Connection, Speaker};
use crate::{ConnId, Event};

/// Prefixes of a piece, where there are few update groups.
const PIECE: usize = 512;
/// More prefixes than an UPDATE has that is no extended message (RFC 8654).
const SHORT: usize = 2048;
/// Octets of an announced prefix, about.
const PREFIX: usize = 4;
/// So many octets wait at most before who tells of frames should wait too.
const ENOUGH: usize = 256 << 10;
/// So many wait at most whatever is told: then the oldest are taken in at once.
const MOST: usize = 2 << 20;
/// What takes up room beside octets.
const BESIDE: usize = 64;

/// Who has a backlog, and how much it is.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    /// In the order in which they have their turn, each once.
    turns: VecDeque<ScopedAddr>,
    bytes: usize,
}

/// What a peer has said and was not taken in yet.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    long: Option<Long>,
    late: VecDeque<(ConnId, Late)>,
}

/// An UPDATE of which a part was taken in.
#[derive(Debug)]
struct Long {
    conn: ConnId,
    inner: Conn,
    len: usize,
    rest: UpdateRest,
    updated: Updated,
    /// The whole, for those who watch by then.
    frame: Vec<u8>,
}

/// What comes from a connection.
#[derive(Debug)]
pub(super) enum Late {
    Frame(Vec<u8>),
    Bad(Notification),
    Closed(String),
}

impl Backlogs {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

impl Late {
    fn len(&self) -> usize {
        BESIDE
            + match self {
                Late::Frame(bytes) => bytes.len(),
                Late::Bad(notification) => notification.data.len(),
                Late::Closed(reason) => reason.len(),
            }
    }
}

impl Speaker {
    /// Whether so much waits to be taken in that frames should be told of later: call
    /// [`Speaker::tick`] until it does not. Nothing is lost if they are told all the same, but a
    /// call may take longer then.
    pub fn is_full(&self) -> bool {
        self.backlogs.bytes > ENOUGH
    }

    /// Something comes from a connection.
    pub(super) fn came(&mut self, conn: ConnId, what: Late) {
        let Some(connection) = self.conns.get_mut(&conn) else { return };
        let (address, inner) = (connection.peer, connection.conn);
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(backlog) = &mut peer.backlog else {
            self.take(conn, what);
            return self.bound_backlogs();
        };
        match &what {
            Late::Frame(_) => peer.session.heard(self.now, inner),
            Late::Bad(_) => {}
            // What came before counts; but nothing can be sent any more.
            Late::Closed(_) => (connection.gone, connection.room) = (true, 0),
        }
        self.backlogs.bytes += what.len();
        backlog.late.push_back((conn, what));
        self.run(address);
        self.bound_backlogs();
    }

    /// Whatever is told, no more than this waits.
    fn bound_backlogs(&mut self) {
        while self.backlogs.bytes > MOST && !self.backlogs.is_empty() {
            self.work_backlog();
        }
    }

    fn take(&mut self, conn: ConnId, what: Late) {
        match what {
            Late::Frame(bytes) => self.frame(conn, bytes),
            Late::Bad(notification) => {
                if let Some(Connection { peer, conn, .. }) = self.conns.get(&conn).copied() {
                    self.tell(peer, SessionEvent::Reset { conn, notification });
                }
            }
            Late::Closed(reason) => {
                if let Some(Connection { peer, conn, .. }) = self.forget_conn(conn) {
                    self.tell(peer, SessionEvent::TcpClosed { conn, reason });
                }
            }
        }
    }

    /// An UPDATE of the peer's session that is too long for one call.
    pub(super) fn begin_long(
        &mut self,
        address: ScopedAddr,
        (conn, inner): (ConnId, Conn),
        rest: UpdateRest,
        frame: Vec<u8>,
    ) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if peer.backlog.is_none() {
            self.backlogs.turns.push_back(address);
        }
        // Its parts are copied.
        let len = 2 * frame.len();
        let updated = Updated::default();
        peer.backlog.get_or_insert_default().long =
            Some(Long { conn, inner, len, rest, updated, frame });
        self.backlogs.bytes += len;
    }

    /// Takes in the next piece of what the next peer has said.
    pub(super) fn work_backlog(&mut self) {
        let Some(address) = self.backlogs.turns.pop_front() else { return };
        let Some(rib) = &self.rib else { return };
        let mut left = rib.at_the_cost_of(PIECE);
        while left > 0 {
            let Some(peer) = self.peers.get_mut(&address) else { return };
            let Some(backlog) = &mut peer.backlog else { return };
            if backlog.long.is_some() {
                self.take_piece(address, left);
                break;
            }
            let Some((conn, what)) = backlog.late.pop_front() else {
                peer.backlog = None;
                return;
            };
            self.backlogs.bytes -= what.len();
            left = left.saturating_sub(what.len().div_ceil(PREFIX));
            self.take(conn, what);
        }
        self.backlogs.turns.push_back(address);
    }

    /// Takes in up to so many prefixes of a long UPDATE, if its session still is there.
    fn take_piece(&mut self, address: ScopedAddr, most: usize) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(backlog) = &mut peer.backlog else { return };
        let Some(mut long) = backlog.long.take() else { return };
        let up = peer.up.as_ref().filter(|up| up.conn == long.conn);
        let (Some(up), Some(rib)) = (up, &mut self.rib) else {
            self.backlogs.bytes -= long.len;
            return;
        };
        let options = up.negotiated.options;
        if let Some(piece) = long.rest.take(most) {
            long.updated.and_then(rib.update(peer.id, &options, &piece));
        }
        if long.rest.is_empty() || long.updated.reset.is_some() {
            self.backlogs.bytes -= long.len;
            let Long { inner, updated, frame, .. } = long;
            if self.tap.watch.updates
                && let Ok(Message::Update(update)) = decode(&frame, &options)
            {
                self.tap.update(address, &frame, &update, !updated.is_whole());
            }
            self.taken(address, inner, updated);
        } else {
            backlog.long = Some(long);
        }
        self.check_limits(address);
    }

    /// What follows from an UPDATE that was taken in.
    pub(super) fn taken(&mut self, address: ScopedAddr, conn: Conn, updated: Updated) {
        if !updated.malformed.is_empty() {
            let event = Event::Malformed { peer: address, what: updated.malformed };
            self.outputs.push_back(crate::Output::Happened(event));
        }
        if let Some(prefix) = updated.left_out {
            let event = Event::PathsLeftOut { peer: address, prefix };
            self.outputs.push_back(crate::Output::Happened(event));
        }
        if let Some(notification) = updated.reset {
            self.tell(address, SessionEvent::Reset { conn, notification });
        }
    }

    /// Nothing of what the peer has said counts any more.
    pub(super) fn forget_backlog(&mut self, address: ScopedAddr) {
        let peer = self.peers.get_mut(&address);
        let Some(Backlog { long, late }) = peer.and_then(|peer| peer.backlog.take()) else {
            return;
        };
        let late: usize = late.iter().map(|(_, what)| what.len()).sum();
        self.backlogs.bytes -= late + long.map_or(0, |long| long.len);
        self.backlogs.turns.retain(|other| *other != address);
    }
}

/// Whether an UPDATE of so many octets is more than one call should take in.
pub(super) fn is_long(rib: &Rib, len: usize) -> bool {
    len > MAX_LEN.min(PREFIX * rib.at_the_cost_of(SHORT))
}

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use inet::{Family, Timestamp};

use super::io::{Cursor, Lost, Output, PeerKey, PeerUp, StationConfig, TablePart, Views};
use super::views_of;
use crate::bmp::{EncodeError, Message, View, encode};

/// The most bytes handed over at once.
const PIECE: usize = 64 << 10;

/// A queue must hold some UPDATEs of 65535 bytes.
const LEAST_QUEUE: usize = 1 << 20;

/// The least part of a table that is asked for.
const LEAST_CHUNK: usize = 4096;

/// A table of a peer.
type Table = (PeerKey, View, Family);

/// What the collector is still to be told, in order.
#[derive(Debug)]
enum Step {
    PeerUp(PeerKey),
    Dump(Table, Cursor, Again),
}

/// Whether the collector knows of the table in an earlier form.
type Again = bool;

/// A connection that stands.
#[derive(Debug)]
pub(super) struct Link {
    views: Views,
    max_queued: usize,
    dump_chunk: usize,
    stall_time: Duration,
    since: Timestamp,
    /// The time of the last event.
    now: Timestamp,
    room: usize,
    queue: VecDeque<u8>,
    /// Messages queued since the last look.
    messages: u64,
    overrun: bool,
    /// The last message that could not be written.
    refused: Option<EncodeError>,
    /// Since when something waits that the collector does not take.
    waits_since: Option<Timestamp>,
    next_statistics: Option<Timestamp>,
    steps: VecDeque<Step>,
    /// The table that was asked for and has not been answered, and the question's number.
    asked: Option<(Table, u64, Again)>,
    /// Peers whose coming up has been told.
    known: BTreeSet<PeerKey>,
    /// Tables whose dump has begun: their live updates are told.
    begun: BTreeSet<(PeerKey, View)>,
}

impl Link {
    pub(super) fn new(config: &StationConfig, now: Timestamp, room: usize) -> Link {
        let max_queued = config.max_queued.max(LEAST_QUEUE);
        Link {
            views: config.views,
            max_queued,
            // A part that is asked for, and one UPDATE above it, fits beside what waits.
            dump_chunk: config.dump_chunk.clamp(LEAST_CHUNK, max_queued / 4),
            stall_time: config.stall_time,
            since: now,
            now,
            room,
            queue: VecDeque::new(),
            messages: 0,
            overrun: false,
            refused: None,
            waits_since: None,
            next_statistics: config.statistics_interval.map(|every| now + every),
            steps: VecDeque::new(),
            asked: None,
            known: BTreeSet::new(),
            begun: BTreeSet::new(),
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Queues a message, and says whether. One with broken bytes is left out, and one too many ends
    /// the connection.
    pub(super) fn queue(&mut self, message: &Message<'_>) -> bool {
        let mut bytes = Vec::new();
        if let Err(error) = encode(message, &mut bytes) {
            self.refused = Some(error);
            return false;
        }
        if self.queue.len().saturating_add(bytes.len()) > self.max_queued {
            self.overrun = true;
        }
        if self.overrun {
            return false;
        }
        self.queue.extend(bytes);
        self.messages += 1;
        self.waits_since.get_or_insert(self.now);
        true
    }

    /// The last message that could not be written, once.
    pub(super) fn refused(&mut self) -> Option<EncodeError> {
        self.refused.take()
    }

    /// It is this late.
    pub(super) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(super) fn room(&mut self, room: usize) {
        // More room than was left is the collector taking bytes.
        if room > self.room {
            self.waits_since = self.waits_since.map(|_| self.now);
        }
        self.room = room;
    }

    /// Bytes to send now.
    pub(super) fn send(&mut self) -> Option<Vec<u8>> {
        let count = self.queue.len().min(self.room).min(PIECE);
        if count == 0 {
            return None;
        }
        self.room = self.room.saturating_sub(count);
        let piece = self.queue.drain(..count).collect();
        if self.queue.is_empty() {
            self.waits_since = None;
        }
        Some(piece)
    }

    /// A peer's coming up, and its tables, are to be told.
    pub(super) fn plan(&mut self, key: PeerKey) {
        self.steps.push_back(Step::PeerUp(key));
    }

    /// Nothing of this peer is to be told any more. Says whether the collector knows of it.
    pub(super) fn forget(&mut self, key: PeerKey) -> bool {
        self.steps.retain(|step| match step {
            Step::PeerUp(of) | Step::Dump((of, ..), ..) => *of != key,
        });
        self.begun.retain(|(of, _)| *of != key);
        if self.asked.is_some_and(|((of, ..), ..)| of == key) {
            self.asked = None;
        }
        self.known.remove(&key)
    }

    pub(super) fn knows(&self, key: PeerKey) -> bool {
        self.known.contains(&key)
    }

    /// Whether updates of this table are told: before its dump begins, the dump will tell them.
    pub(super) fn live(&self, key: PeerKey, view: View) -> bool {
        self.begun.contains(&(key, view))
    }

    /// Whether this is the part that was asked for; then its table goes on or is done. What is
    /// given says whether it is told once more.
    pub(super) fn answered(&mut self, part: &TablePart) -> Option<Again> {
        let table = (part.key, part.view, part.family);
        let (_, _, again) =
            self.asked.take_if(|asked| (asked.0, asked.1) == (table, part.ticket))?;
        if let Some(next) = part.next {
            self.steps.push_front(Step::Dump(table, next, again));
        }
        Some(again)
    }

    /// A table is to be told once more, unless that is still to be begun.
    pub(super) fn again(&mut self, key: PeerKey, view: View, families: &[Family]) {
        if !self.live(key, view) {
            return;
        }
        for family in families {
            let table = (key, view, *family);
            let waits = |step: &Step| match step {
                Step::PeerUp(_) => false,
                Step::Dump(of, from, _) => *of == table && *from == Cursor::default(),
            };
            if !self.steps.iter().any(waits) {
                self.steps.push_back(Step::Dump(table, Cursor::default(), true));
            }
        }
    }

    /// Whether all tables have been told.
    pub(super) fn is_live(&self) -> bool {
        self.steps.is_empty() && self.asked.is_none()
    }

    /// How many messages were queued since the last call.
    pub(super) fn take_messages(&mut self) -> u64 {
        std::mem::take(&mut self.messages)
    }

    /// Takes the next steps while little waits. `ticket` numbers the questions.
    pub(super) fn settle(
        &mut self,
        peers: &BTreeMap<PeerKey, Arc<PeerUp>>,
        ticket: &mut u64,
        outputs: &mut VecDeque<Output>,
    ) {
        while self.asked.is_none() && self.queue.len() < self.dump_chunk && !self.overrun {
            let Some(step) = self.steps.pop_front() else { break };
            match step {
                Step::PeerUp(key) => {
                    if let Some(peer) = peers.get(&key) {
                        self.introduce(key, peer);
                    }
                }
                Step::Dump(table, from, again) => {
                    let (key, view, family) = table;
                    *ticket = ticket.wrapping_add(1);
                    self.asked = Some((table, *ticket, again));
                    self.begun.insert((key, view));
                    let (ticket, budget) = (*ticket, self.dump_chunk);
                    let dump = Output::Dump { ticket, key, view, family, from, again, budget };
                    outputs.push_back(dump);
                }
            }
        }
    }

    fn introduce(&mut self, key: PeerKey, peer: &PeerUp) {
        if !self.queue(&Message::PeerUp { peer: &peer.peer, at: peer.at, up: &peer.up }) {
            return;
        }
        self.known.insert(key);
        // Its tables come before the next peer's: the steps are put in front, in order.
        let tables: Vec<Table> = views_of(&peer.peer, self.views)
            .flat_map(|view| peer.families.iter().map(move |family| (key, view, *family)))
            .collect();
        for table in tables.into_iter().rev() {
            self.steps.push_front(Step::Dump(table, Cursor::default(), false));
        }
    }

    pub(super) fn broken(&self) -> Option<Lost> {
        self.overrun.then_some(Lost::TooSlow)
    }

    /// How long it has stood.
    pub(super) fn stood(&self, now: Timestamp) -> Duration {
        now.since(self.since)
    }

    pub(super) fn stalled_at(&self) -> Option<Timestamp> {
        self.waits_since.map(|since| since + self.stall_time)
    }

    pub(super) fn statistics_at(&self) -> Option<Timestamp> {
        self.next_statistics
    }

    pub(super) fn statistics_due(&mut self, now: Timestamp, every: Option<Duration>) -> bool {
        match (self.next_statistics, every) {
            (Some(at), Some(every)) if at <= now => {
                self.next_statistics = Some(now + every);
                true
            }
            _ => false,
        }
    }
}

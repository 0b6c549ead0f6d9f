//! One connection to a monitoring station, as a machine without sockets or clock.
//!
//! The owner tells [`Input`]s and does [`Output`]s, and calls [`Station::tick`] at
//! [`Station::wake_at`]. Sessions that are up are told always, connected or not; the station keeps
//! them, and tells them to the collector first after each connect. Tables are not kept here: with
//! [`Output::Dump`] a part of one is asked for, and only when the buffers have room, so that a slow
//! collector slows the dump and not the router. Live updates are queued up to a limit; a collector
//! that does not keep up is disconnected and begins anew later.

mod io;
mod link;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use inet::Timestamp;

pub use io::{
    Cursor, Happened, Input, Lost, Output, PeerKey, Standing, StationConfig, TablePart, Views,
};

use crate::bmp::{self, Down, Message, Peer, Termination, View};
use crate::wire::WallTime;
use io::PeerUp;
use link::Link;

/// A connection to one monitoring station (RFC 7854 §3.2, we dial).
#[derive(Debug)]
pub struct Station {
    config: StationConfig,
    state: State,
    /// Sessions that are up, whether the collector knows or not.
    peers: BTreeMap<PeerKey, Arc<PeerUp>>,
    /// How often in a row it was tried and did not last.
    failures: u32,
    jitter: u64,
    /// The number of the last question for a table.
    ticket: u64,
    outputs: VecDeque<Output>,
    messages: u64,
}

#[derive(Debug)]
enum State {
    /// Not begun.
    New,
    /// Waits until this moment to dial.
    Waiting(Timestamp),
    Connecting,
    Connected(Box<Link>),
    /// For good.
    Stopped,
}

impl Station {
    /// A station that is not dialled before the first [`Station::tick`].
    pub fn new(config: StationConfig) -> Station {
        Station {
            jitter: config.seed,
            config,
            state: State::New,
            peers: BTreeMap::new(),
            failures: 0,
            ticket: 0,
            outputs: VecDeque::new(),
            messages: 0,
        }
    }

    /// The name that the configuration gives it.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Bytes queued for the collector; never above `max_queued`.
    pub fn queued(&self) -> usize {
        match &self.state {
            State::Connected(link) => link.queued(),
            State::New | State::Waiting(_) | State::Connecting | State::Stopped => 0,
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match &self.state {
            State::New | State::Waiting(_) => Standing::Waiting,
            State::Connecting => Standing::Connecting,
            State::Connected(link) if link.is_live() => Standing::Live,
            State::Connected(_) => Standing::Dumping,
            State::Stopped => Standing::Stopped,
        }
    }

    /// Messages that were queued for the collector, over all connections.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// What happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        if let State::Connected(link) = &mut self.state {
            link.at(now);
        }
        match input {
            Input::Connected { room } => self.connected(now, room),
            Input::ConnectFailed(reason) => {
                if matches!(self.state, State::Connecting) {
                    self.lost(now, Lost::ConnectFailed(reason), false);
                }
            }
            Input::Closed(reason) => {
                if matches!(self.state, State::Connected(_)) {
                    self.lost(now, Lost::Closed(reason), false);
                }
            }
            Input::Room(room) => {
                if let State::Connected(link) = &mut self.state {
                    link.room(room);
                }
            }
            Input::PeerUp { key, peer, at, up, families } => {
                self.peer_up(key, PeerUp { peer, at, up, families });
            }
            Input::PeerDown { key, at, down } => self.peer_down(key, at, &down),
            Input::Update { key, view, at, two_octet_as, update } => {
                if let (State::Connected(link), Some(peer)) =
                    (&mut self.state, self.peers.get(&key))
                    && link.live(key, view)
                {
                    let peer = &peer.peer;
                    let update = &update;
                    let sent = Message::RouteMonitoring { peer, at, view, two_octet_as, update };
                    link.queue(&sent);
                }
            }
            Input::Again { key, view } => {
                if let (State::Connected(link), Some(peer)) =
                    (&mut self.state, self.peers.get(&key))
                {
                    link.again(key, view, &peer.families);
                }
            }
            Input::Dumped(part) => self.dumped(&part),
            Input::Statistics { key, at, statistics } => {
                if let (State::Connected(link), Some(up)) = (&mut self.state, self.peers.get(&key))
                    && link.knows(key)
                {
                    let statistics = &statistics;
                    link.queue(&Message::Statistics { peer: &up.peer, at, statistics });
                }
            }
            Input::Shutdown(reason) => self.shutdown(reason),
        }
        self.go_on(now);
    }

    /// Time has come.
    pub fn tick(&mut self, now: Timestamp) {
        if let State::Connected(link) = &mut self.state {
            link.at(now);
        }
        match &mut self.state {
            State::New => self.dial(),
            State::Waiting(until) if *until <= now => self.dial(),
            State::Connected(link) => {
                if link.stalled_at().is_some_and(|at| at <= now) {
                    self.lost(now, Lost::Stalled, true);
                } else if link.statistics_due(now, self.config.statistics_interval) {
                    self.outputs.push_back(Output::AskStatistics);
                }
            }
            State::Waiting(_) | State::Connecting | State::Stopped => {}
        }
        self.go_on(now);
    }

    /// When to call [`Station::tick`].
    pub fn wake_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::New => Some(Timestamp::ZERO),
            State::Waiting(until) => Some(*until),
            State::Connected(link) => {
                [link.stalled_at(), link.statistics_at()].into_iter().flatten().min()
            }
            State::Connecting | State::Stopped => None,
        }
    }

    /// What is to be done; ask until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let State::Connected(link) = &mut self.state else { return None };
        if let Some(bytes) = link.send() {
            return Some(Output::Send(bytes));
        }
        // What was sent may have made room for the next part of a table.
        link.settle(&self.peers, &mut self.ticket, &mut self.outputs);
        self.outputs.pop_front().or_else(|| link.send().map(Output::Send))
    }

    fn dial(&mut self) {
        self.state = State::Connecting;
        self.outputs.push_back(Output::Connect);
    }

    fn connected(&mut self, now: Timestamp, room: usize) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        let mut link = Box::new(Link::new(&self.config, now, room));
        link.queue(&Message::Initiation {
            name: &self.config.sys_name,
            description: &self.config.sys_descr,
            information: &self.config.information,
        });
        for key in self.peers.keys() {
            link.plan(*key);
        }
        self.state = State::Connected(link);
        self.outputs.push_back(Output::Happened(Happened::Connected));
    }

    fn peer_up(&mut self, key: PeerKey, up: PeerUp) {
        // A session that is up already and comes up again was lost in between.
        if self.peers.contains_key(&key) {
            self.peer_down(key, up.at, &Down::PeerClosed);
        }
        self.peers.insert(key, Arc::new(up));
        if let State::Connected(link) = &mut self.state {
            link.plan(key);
        }
    }

    fn peer_down(&mut self, key: PeerKey, at: WallTime, down: &Down) {
        let Some(up) = self.peers.remove(&key) else { return };
        if let State::Connected(link) = &mut self.state
            && link.forget(key)
        {
            link.queue(&Message::PeerDown { peer: &up.peer, at, down });
        }
    }

    fn dumped(&mut self, part: &TablePart) {
        let State::Connected(link) = &mut self.state else { return };
        let Some(up) = self.peers.get(&part.key) else { return };
        let Some(again) = link.answered(part) else { return };
        let (peer, at, view) = (&up.peer, part.at, part.view);
        for update in &part.updates {
            let two_octet_as = part.two_octet_as;
            link.queue(&Message::RouteMonitoring { peer, at, view, two_octet_as, update });
        }
        if part.next.is_none() && !again {
            // RFC 7854 §5: the end of each table is told.
            let update = &bmp::end_of_rib(part.family);
            link.queue(&Message::RouteMonitoring { peer, at, view, two_octet_as: false, update });
        }
    }

    fn shutdown(&mut self, reason: Termination) {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Connected(mut link) => {
                // What is whole in the queue goes, as far as there is room, and the last word.
                link.queue(&Message::Termination { reason, information: "" });
                while let Some(bytes) = link.send() {
                    self.outputs.push_back(Output::Send(bytes));
                }
                self.outputs.push_back(Output::Close);
            }
            State::Connecting => self.outputs.push_back(Output::Close),
            State::New | State::Waiting(_) | State::Stopped => {}
        }
        self.outputs.push_back(Output::Happened(Happened::Stopped));
    }

    /// Goes on with what the collector is still to be told, as far as there is room.
    fn go_on(&mut self, now: Timestamp) {
        let State::Connected(link) = &mut self.state else { return };
        link.settle(&self.peers, &mut self.ticket, &mut self.outputs);
        self.messages += link.take_messages();
        if let Some(error) = link.refused() {
            self.outputs.push_back(Output::Happened(Happened::Refused(error)));
        }
        if let Some(lost) = link.broken() {
            self.lost(now, lost, true);
        }
    }

    /// The connection is over. It is tried again after 30, 60 … 720 s (RFC 7854 §3.2), ± 25 %.
    fn lost(&mut self, now: Timestamp, lost: Lost, close: bool) {
        if close {
            self.outputs.push_back(Output::Close);
        }
        let (first, most) = (self.config.retry_first, self.config.retry_most);
        // One that reads too slowly has stood for a while each time.
        let well = if matches!(lost, Lost::Closed(_)) { first } else { most };
        if let State::Connected(link) = &self.state
            && link.stood(now) >= well
        {
            self.failures = 0;
        }
        // Nobody is there to hear the answers.
        self.outputs.retain(|output| !matches!(output, Output::Dump { .. }));
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(most);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting(now + self.spread(wait));
        self.outputs.push_back(Output::Happened(Happened::Lost(lost)));
    }

    /// The wait, between three quarters and five quarters of it.
    fn spread(&mut self, wait: Duration) -> Duration {
        let percent = u32::try_from(inet::split_mix(&mut self.jitter) % 51).unwrap_or(25);
        wait.saturating_mul(75 + percent) / 100
    }
}

/// The views of a peer in the order in which they are dumped.
fn views_of(peer: &Peer, views: Views) -> impl Iterator<Item = View> {
    let loc_rib = matches!(peer.kind, bmp::PeerKind::LocRib { .. });
    [
        (View::Loc, loc_rib),
        (View::InPrePolicy, !loc_rib && views.in_pre_policy),
        (View::InPostPolicy, !loc_rib && views.in_post_policy),
        (View::OutPrePolicy, !loc_rib && views.out_pre_policy),
        (View::OutPostPolicy, !loc_rib && views.out_post_policy),
    ]
    .into_iter()
    .filter_map(|(view, wanted)| wanted.then_some(view))
}

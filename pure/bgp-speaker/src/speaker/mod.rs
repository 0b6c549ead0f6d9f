mod backlog;
mod explain;
mod find;
mod limits;
mod merge;
mod own;
mod sessions;
mod shared;
mod view;
mod wanted;
mod watch;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Duration;

use bgp_policy::KernelSource;
use bgp_rib::{Fill, OwnRoute, PeerId, Rib, Track};
use bgp_session::{Conn, Event as SessionEvent, IdleReason, LocalConfig, Session, Stop};
use inet::{Family, LinkName, Prefix, ScopedAddr, Timestamp};

use crate::{
    BfdSession, Conflict, ConnId, Desired, DynamicNeighbors, Event, Global, Input, KernelRoute,
    Output, Peer, PeerSource, Redistribution, Refusal, TcpOptions, TcpPeer,
};
use backlog::Late;
use limits::Level;

pub use explain::{BestView, ExportView, ExportedView, Table, TablePage, TableRow};
pub use view::{FamilySnapshot, Glance, PeerSnapshot, RouteView, Traffic};

/// Table entries looked at in one call.
const WALK: usize = 1000;
/// Best paths told one after another before peers have their turn, if something waits for them.
const BESTS: u32 = 256;
/// Own routes taken over in one call.
const OWN_ROUTES: usize = 500;
/// Connections that a peer may have at once: one that is up, one each way that is new, and those
/// of a peer that has lost its memory and dials anew.
const CONNECTIONS: usize = 8;

/// What a speaker is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// For jitter, and the key of the hashes: must not be known to peers.
    pub seed: u64,
    /// Our routes were in the kernel when we started: choosing waits for all peers' tables, at
    /// most this long (RFC 4724 §4.1). A good deal less than the restart time that peers know,
    /// or they give up while we wait for one that does not come.
    pub restarting: Option<Duration>,
}

/// A BGP speaker. See the crate's page for how it is driven.
#[derive(Debug)]
pub struct Speaker {
    now: Timestamp,
    seed: u64,
    owners: BTreeMap<String, Desired>,
    global: Option<Global>,
    conflicts: BTreeSet<Conflict>,
    /// Own routes in force, and those still to be taken over by the tables, once there are tables.
    own: BTreeMap<Prefix, OwnRoute>,
    own_changes: BTreeSet<Prefix>,
    redistribute: Vec<Redistribution>,
    /// Routes of the kernel, as far as they were told of.
    kernel: BTreeMap<Prefix, KernelRoute>,
    rib: Option<Rib>,
    peers: BTreeMap<ScopedAddr, PeerState>,
    dynamic: BTreeMap<Prefix, (String, DynamicNeighbors)>,
    /// The links on which neighbors are to be found, and what TCP must know of them.
    unnumbered: BTreeMap<LinkName, TcpOptions>,
    /// What was found on links.
    neighbors: BTreeMap<LinkName, ScopedAddr>,
    conns: BTreeMap<ConnId, Connection>,
    next_conn: u64,
    timers: BTreeSet<(Timestamp, ScopedAddr)>,
    /// When dynamic neighbors are forgotten.
    forgets: BTreeSet<(Timestamp, ScopedAddr)>,
    told: Told,
    tap: watch::Tap,
    /// The interface towards the last address that was told of and is no peer's.
    stranger: Option<(ScopedAddr, LinkFacts)>,
    /// The peer that is looked at first for something to send.
    turn: Option<ScopedAddr>,
    /// What of what takes longer than one call was done last.
    working: work::Turn,
    backlogs: backlog::Backlogs,
    /// Best paths that were told since no peer had anything to be sent.
    bests: u32,
    busy: bool,
    /// See [`Speaker::changes`].
    changes: u64,
    outputs: VecDeque<Output>,
    preserved: BTreeSet<Family>,
    kernel_synced: bool,
    owners_ready: bool,
    selection: Selection,
    /// When it was asked last whether all tables are there: who was waited for until then is not
    /// any more.
    asked: Timestamp,
    settled_told: bool,
    ending: Option<Ending>,
}

/// After a restart of ours, a peer that has restarted as well is waited for no longer than this from
/// its session's begin. RFC 4724 §4.1 does not wait for it at all, lest two wait for each other; but
/// daemons say for minutes that they have restarted (FRR: two), and choosing without their tables
/// takes legs from routes that the kernel has kept, and gives them back a moment later.
const RESTARTED_TOO: Duration = Duration::from_secs(5);

/// After a restart: whether prefixes are chosen for (RFC 4724 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    Deferred { until: Timestamp },
    On { restarted: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Keep,
    Remove,
}

#[derive(Debug)]
struct PeerState {
    id: PeerId,
    owner: String,
    source: PeerSource,
    /// All that is wanted of it, as it is in force.
    wanted: Peer,
    session: Session,
    conns: BTreeMap<Conn, ConnId>,
    /// Of connections that are not Established yet.
    opens: watch::OpensOf,
    up: Option<Up>,
    backlog: Option<backlog::Backlog>,
    timer: Option<(Timestamp, &'static str)>,
    link: LinkFacts,
    /// How near its limits it is.
    levels: BTreeMap<Family, Level>,
    /// When a dynamic neighbor without a connection is forgotten.
    forget_at: Option<Timestamp>,
    /// [`Speaker::changes`] when something of it or its session has changed last.
    changed: u64,
}

/// The sets that were told last.
#[derive(Debug, Default)]
struct Told {
    peers: Vec<TcpPeer>,
    links: BTreeSet<LinkName>,
    bfd: Vec<BfdSession>,
    routes: BTreeSet<(KernelSource, u32)>,
}

/// An Established session.
#[derive(Clone, Debug)]
struct Up {
    conn: ConnId,
    local: Option<IpAddr>,
    negotiated: bgp_session::Negotiated,
    opens: watch::Opens,
    /// Families whose End-of-RIB has come.
    complete: BTreeSet<Family>,
    since: Timestamp,
}

impl Up {
    /// Until when its table is waited for though it has restarted, too.
    fn waited_for(&self) -> Option<Timestamp> {
        let restart = self.negotiated.graceful_restart.as_ref()?;
        restart.restarted.then(|| self.since + RESTARTED_TOO)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LinkFacts {
    link: Option<LinkName>,
    ipv4: Option<std::net::Ipv4Addr>,
    ipv6: Option<std::net::Ipv6Addr>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    peer: ScopedAddr,
    conn: Conn,
    local: Option<IpAddr>,
    /// Free bytes of the send buffer; below zero after messages that do not wait for room.
    room: i64,
    /// The most that was ever told.
    capacity: usize,
    /// It has ended, and what came before that is still to be taken in.
    gone: bool,
}

impl Speaker {
    /// A speaker without peers.
    pub fn new(now: Timestamp, config: SpeakerConfig) -> Speaker {
        let mut outputs = VecDeque::new();
        let selection = match config.restarting {
            Some(time) => {
                let until = now + time;
                outputs.push_back(Output::Happened(Event::SelectionDeferred { until }));
                Selection::Deferred { until }
            }
            None => Selection::On { restarted: false },
        };
        Speaker {
            now,
            seed: config.seed,
            owners: BTreeMap::new(),
            global: None,
            conflicts: BTreeSet::new(),
            own: BTreeMap::new(),
            own_changes: BTreeSet::new(),
            redistribute: Vec::new(),
            kernel: BTreeMap::new(),
            rib: None,
            peers: BTreeMap::new(),
            dynamic: BTreeMap::new(),
            unnumbered: BTreeMap::new(),
            neighbors: BTreeMap::new(),
            conns: BTreeMap::new(),
            next_conn: 0,
            timers: BTreeSet::new(),
            forgets: BTreeSet::new(),
            told: Told::default(),
            tap: watch::Tap::default(),
            stranger: None,
            turn: None,
            working: work::Turn::default(),
            backlogs: backlog::Backlogs::default(),
            bests: 0,
            busy: false,
            changes: 0,
            outputs,
            preserved: BTreeSet::new(),
            kernel_synced: config.restarting.is_none(),
            owners_ready: false,
            selection,
            asked: now,
            settled_told: false,
            ending: None,
        }
    }

    /// Something happened. [`Speaker::poll`] until empty afterwards.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = now;
        if !matches!(input, Input::Frame { .. } | Input::Room { .. }) {
            self.changes += 1;
        }
        match input {
            Input::Desired { owner, doc } => {
                let doc = self.with_shared_policies(doc);
                if self.owners.get(&owner) != Some(&doc) {
                    self.owners.insert(owner, doc);
                    self.apply();
                }
            }
            Input::Forget { owner } => {
                if self.owners.remove(&owner).is_some() {
                    self.apply();
                }
            }
            Input::OwnersReady => {
                self.owners_ready = true;
                self.select_if_complete();
            }
            Input::Accepted { conn, local, remote } => self.accepted(conn, local, remote),
            Input::Connected { conn, local } => {
                if let Some(connection) = self.conns.get_mut(&conn) {
                    connection.local = Some(local);
                    let (peer, conn) = (connection.peer, connection.conn);
                    self.tell(peer, SessionEvent::TcpConnected { conn });
                }
            }
            Input::ConnectFailed { conn, reason } => {
                if let Some(Connection { peer, conn, .. }) = self.forget_conn(conn) {
                    self.tell(peer, SessionEvent::TcpFailed { conn, reason });
                }
            }
            Input::Frame { conn, bytes } => self.came(conn, Late::Frame(bytes)),
            Input::BadFrame { conn, notification } => self.came(conn, Late::Bad(notification)),
            Input::Room { conn, bytes } => self.room(conn, bytes),
            Input::Closed { conn, reason } => self.came(conn, Late::Closed(reason)),
            Input::NextHop { address, metric } => {
                if let Some(rib) = &mut self.rib {
                    rib.next_hop(address, metric);
                }
            }
            Input::LocalAddress { peer, link, ipv4, ipv6 } => {
                self.local_address(peer, LinkFacts { link, ipv4, ipv6 });
            }
            Input::Link { name, up: false } => self.link_down(name),
            // The sessions over it are dialled again when their time has come.
            Input::Link { up: true, .. } => {}
            Input::Neighbor { link, address } => self.neighbor(link, address),
            Input::Bfd { peer, up, control_plane_independent } => {
                self.bfd(peer, up, control_plane_independent);
            }
            Input::Redistribute { changes } => self.kernel_routes(changes),
            Input::AdminReset { peer, reset } => self.admin_reset(peer, reset),
            Input::KernelSynced { families } => {
                self.preserved = families;
                self.kernel_synced = true;
                self.tell_local();
                for peer in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.tell(peer, SessionEvent::Start);
                }
            }
            Input::Shutdown { keep } => self.shut_down(keep),
        }
        self.work();
    }

    /// Does what is due. Early calls do nothing but go on with walks.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.busy = false;
        while let Some((at, peer)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.remove(&(at, peer));
            if let Some(entry) = self.peers.get_mut(&peer) {
                entry.timer = None;
                entry.session.tick(now);
                self.run(peer);
            }
        }
        self.forget_idle();
        if let Selection::Deferred { until } = self.selection {
            match until <= now {
                true => self.select(true),
                false => self.select_if_complete(),
            }
        }
        self.work();
    }

    /// Whether a session's time is up by now: what its peer has said in time is to be told before,
    /// even to a speaker that is full.
    pub fn has_due_timer(&self, now: Timestamp) -> bool {
        self.timers.first().is_some_and(|(at, _)| *at <= now)
    }

    /// When [`Speaker::tick`] is to be called, and why.
    pub fn wake_at(&self) -> Option<(Timestamp, &'static str)> {
        if self.ending == Some(Ending::Keep) {
            return None;
        }
        if self.has_work() {
            return Some((self.now, "table walk"));
        }
        let session = self.timers.first().and_then(|(_, peer)| self.peers.get(peer)?.timer);
        let deferral = match self.selection {
            Selection::Deferred { until } => {
                let waits = self.peers.values().filter_map(|peer| peer.up.as_ref()?.waited_for());
                let next = waits.filter(|at| *at > self.asked).min();
                Some((next.map_or(until, |at| at.min(until)), "selection deferral"))
            }
            Selection::On { .. } => None,
        };
        let forget = self.forgets.first().map(|(at, _)| (*at, "idle dynamic neighbor"));
        session.into_iter().chain(deferral).chain(forget).min_by_key(|(at, _)| *at)
    }

    /// [`Output::Best`] comes once more for every prefix with a path: for who has not listened so
    /// far.
    pub fn tell_best_again(&mut self) {
        if let Some(rib) = &mut self.rib {
            rib.tell_best_again();
        }
    }

    /// A number that grows whenever something of what is shown may look different, but for
    /// [`Traffic`]: KEEPALIVE messages alone leave it as it is.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A peer may look different from now on.
    fn note(&mut self, address: ScopedAddr) {
        self.changes += 1;
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.changed = self.changes;
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.ending == Some(Ending::Keep) {
            return None;
        }
        if let Some(rib) = &mut self.rib {
            match rib.poll_track() {
                Some(Track::Begin(address)) => return Some(Output::Track(address)),
                Some(Track::End(address)) => return Some(Output::Untrack(address)),
                None => {}
            }
        }
        // A table that comes in leaves as many best paths to be told as it has prefixes: peers do
        // not wait for the last of them.
        if self.bests >= BESTS {
            match self.next_send() {
                Some(output) => return Some(output),
                None => self.bests = 0,
            }
        }
        if let Some(best) = self.rib.as_mut().and_then(Rib::poll_best) {
            self.bests += 1;
            return Some(Output::Best(best));
        }
        if let Some(output) = self.settled() {
            return Some(output);
        }
        self.next_send()
    }

    fn settled(&mut self) -> Option<Output> {
        let Selection::On { restarted } = self.selection else { return None };
        let spoken = self.owners_ready || restarted;
        // Without an AS number there are no tables, and nothing to wait for.
        let chosen = self
            .rib
            .as_ref()
            .is_none_or(|rib| self.own_changes.is_empty() && rib.is_settled() && !rib.has_work());
        if self.settled_told || !spoken || !chosen {
            return None;
        }
        self.settled_told = true;
        // RFC 4724 §4.1: from here on we are like any other speaker.
        for peer in self.peers.values_mut() {
            peer.session.set_restarting(false);
        }
        Some(Output::Settled)
    }

    /// Messages for the next peer that has room for them.
    fn next_send(&mut self) -> Option<Output> {
        let rib = self.rib.as_mut()?;
        // Those after the last one served, then the others.
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let before = self.turn.map(|last| (Bound::Unbounded, Bound::Included(last)));
        let ranges = [Some((after, Bound::Unbounded)), before];
        for range in ranges.into_iter().flatten() {
            for (address, peer) in self.peers.range_mut(range) {
                let Some(up) = &peer.up else { continue };
                let Some(connection) = self.conns.get_mut(&up.conn) else { continue };
                if connection.room <= 0 || !rib.waits(peer.id) {
                    continue;
                }
                match rib.fill(peer.id) {
                    Fill::Nothing => {}
                    Fill::Busy => {
                        self.busy = true;
                        self.changes += 1;
                    }
                    Fill::Bytes { bytes, updates, refreshes } => {
                        connection.room = spend(connection.room, bytes.len());
                        peer.session.count_sent(self.now, updates, refreshes);
                        self.turn = Some(*address);
                        self.changes += 1;
                        return Some(Output::Send { conn: up.conn, bytes });
                    }
                }
            }
        }
        None
    }

    /// RFC 4724 §4.1: choosing begins when every peer has sent its table, does no graceful
    /// restart, or has restarted itself [a moment ago](RESTARTED_TOO); not before all owners have
    /// spoken.
    fn select_if_complete(&mut self) {
        self.asked = self.now;
        let complete = |peer: &PeerState| match &peer.up {
            Some(up) => {
                up.negotiated.graceful_restart.is_none()
                    || up.complete == up.negotiated.families
                    || up.waited_for().is_some_and(|at| at <= self.now)
            }
            // Who is not to come is not waited for.
            None => peer.session.status().idle.is_some_and(|idle| match idle.reason {
                IdleReason::Shutdown | IdleReason::MaxPrefixes => true,
                IdleReason::Stopped | IdleReason::Error | IdleReason::Oscillation => false,
            }),
        };
        let deferred = matches!(self.selection, Selection::Deferred { .. });
        // Of dynamic neighbors nobody knows who is still to come.
        let found = self.dynamic.is_empty()
            && self.unnumbered.keys().all(|link| self.neighbors.contains_key(link));
        if deferred && found && self.owners_ready && self.peers.values().all(complete) {
            self.select(false);
        }
    }

    fn select(&mut self, timed_out: bool) {
        self.selection = Selection::On { restarted: true };
        if let Some(rib) = &mut self.rib {
            rib.select();
        }
        self.outputs.push_back(Output::Happened(Event::SelectionBegan { timed_out }));
    }

    fn shut_down(&mut self, keep: bool) {
        self.ending = Some(if keep { Ending::Keep } else { Ending::Remove });
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.forget_backlog(peer);
            let stop = match keep {
                true => Stop::Keep,
                false => Stop::Cease {
                    why: bgp_packet::Cease::AdministrativeShutdown,
                    communication: None,
                },
            };
            self.tell(peer, SessionEvent::Stop(stop));
        }
        // The peers are told that BFD is switched off: with `keep` the forwarding goes on.
        if !std::mem::take(&mut self.told.bfd).is_empty() {
            self.outputs.push_back(Output::Bfd(Vec::new()));
        }
    }

    /// What sessions must know of us.
    fn local(&self, global: &Global) -> LocalConfig {
        LocalConfig {
            asn: global.asn,
            router_id: global.router_id,
            restarting: matches!(self.selection, Selection::Deferred { .. })
                || (self.selection == Selection::On { restarted: true } && !self.settled_told),
            preserved: self.preserved.clone(),
        }
    }

    fn refuse(&mut self, conn: ConnId, remote: ScopedAddr, reason: Refusal) {
        self.outputs.push_back(Output::Happened(Event::Refused { remote, reason }));
        self.outputs.push_back(Output::Close { conn });
    }
}

fn spend(room: i64, bytes: usize) -> i64 {
    room.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX))
}

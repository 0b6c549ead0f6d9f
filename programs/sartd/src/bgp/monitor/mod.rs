//! Those who are told all that happens: BMP stations and MRT files.
//!
//! The router's task tells them of changes at the end of each turn ([`Monitor::turn`]), and gives
//! them their tables in slices, so that none of them holds it up.

mod batch;
mod files;
mod link;
mod metrics;
mod mrt;
mod peers;
mod split;
mod stations;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use bgp_monitor::bmp::{Down, View};
use bgp_monitor::{Input, PeerKey, WallTime};
use bgp_packet::PathId;
use bgp_speaker::{Established, Global, Speaker, Watch, Watched};
use inet::{Asn, Prefix, RouterId, ScopedAddr, Timestamp};
use node_api::v1;
use router_config::{Bmp, BmpTable};

use self::batch::Batch;
pub(super) use self::metrics::Shown;
use self::mrt::Mrt;
use self::peers::{OWN_TABLE, OWN_TABLE_NAME, down, own_table_up, peer_up};
use self::stations::Stations;
use super::clock::Clock;
use super::conns::Conns;
use super::router::Router;

/// How long a turn may take to tell changes, as long as not too many are left over: those that come
/// together are told together.
const CHANGES_TIME: Duration = Duration::from_millis(5);

/// Changes that may be left over for the next turn.
const BACKLOG: usize = 32_768;

/// Changes between two looks at the clock.
const LOOK: usize = 64;

/// All of them, and what they must know.
pub(super) struct Monitor {
    clock: Clock,
    /// What the router is called.
    host: String,
    seed: u64,
    watch: Watch,
    /// Somebody hears of each change of best paths.
    best: bool,
    sessions: BTreeMap<ScopedAddr, Session>,
    last_key: u32,
    /// Of whom the router's own table was told to be.
    own: Option<(Asn, RouterId)>,
    stations: Stations,
    mrt: Option<Mrt>,
    changes: Changes,
}

/// A session that is up.
struct Session {
    key: PeerKey,
    established: Established,
    at: WallTime,
    /// Our port and the peer's.
    ports: (u16, u16),
}

/// What was not told yet: told together, so that many prefixes become few messages.
#[derive(Default)]
struct Changes {
    used: BTreeSet<Prefix>,
    /// The same, for those who watch the router's events.
    best: BTreeSet<Prefix>,
    /// Paths whose outcome of import is told.
    accepted: BTreeMap<ScopedAddr, BTreeSet<(Prefix, PathId)>>,
    /// Paths of messages that were not taken as they stand: what was taken is told.
    mended: BTreeMap<ScopedAddr, BTreeSet<(Prefix, PathId)>>,
    /// Peers whose import is another one.
    imported: BTreeSet<ScopedAddr>,
}

/// As much as a turn tells of changes.
struct Slice {
    began: Instant,
    /// Changes that are still to be told.
    left: usize,
    over: bool,
}

impl Slice {
    fn took_one(&mut self) {
        self.left = self.left.saturating_sub(1);
        let look = self.left.is_multiple_of(LOOK) && self.left <= BACKLOG;
        self.over = look && self.began.elapsed() >= CHANGES_TIME;
    }
}

impl Changes {
    /// How many paths and prefixes.
    fn paths(&self) -> usize {
        let of_peers = self.accepted.values().chain(self.mended.values());
        self.used.len() + of_peers.map(BTreeSet::len).sum::<usize>()
    }
}

/// What is looked at, at one moment.
struct World<'a> {
    now: Timestamp,
    wall: WallTime,
    speaker: &'a Speaker,
    sessions: &'a BTreeMap<ScopedAddr, Session>,
}

impl Monitor {
    pub(super) fn new(clock: Clock) -> Monitor {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Monitor {
            clock,
            host: host.trim().to_owned(),
            seed: RandomState::new().hash_one(std::process::id()),
            watch: Watch::default(),
            best: false,
            sessions: BTreeMap::new(),
            last_key: 0,
            own: None,
            stations: Stations::new(),
            mrt: None,
            changes: Changes::default(),
        }
    }

    /// Those that are wanted from now on.
    pub(super) fn want(
        &mut self,
        bmp: &[Bmp],
        mrt: Option<&router_config::Mrt>,
        speaker: &mut Speaker,
        conns: &Conns,
    ) {
        let now = self.clock.now();
        if self.mrt.as_ref().map(Mrt::wanted) != mrt {
            self.mrt = mrt.map(|wanted| Mrt::new(wanted.clone(), self.clock, now));
        }
        let new = self.stations.want(bmp, self.seed, &self.host, now);
        let messages = self.mrt.as_ref().is_some_and(Mrt::has_messages);
        let watch = Watch {
            sessions: messages || !self.stations.is_empty(),
            updates: messages
                || self.stations.any_has(BmpTable::PrePolicy)
                || self.stations.any_has(BmpTable::PostPolicy),
            used: self.wants_used(),
        };
        let before = self.watch_for(watch, speaker);
        // Known to no one yet: all of them are told below.
        for at in new {
            for session in self.sessions.values() {
                self.stations.tell(now, Some(at), &peer_up(session));
            }
            if let Some(own) = self.own {
                self.stations.tell(now, Some(at), &own_table_up(own, wall(&self.clock, now)));
            }
        }
        match (before.sessions, watch.sessions) {
            (false, true) => {
                // They stood before: a file of updates does not begin with their coming up.
                let mrt = self.mrt.take();
                for established in speaker.established() {
                    self.up(now, established, conns);
                }
                self.mrt = mrt;
            }
            (true, false) => {
                self.sessions.clear();
                let best = std::mem::take(&mut self.changes.best);
                self.changes = Changes { best, ..Changes::default() };
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Whether somebody hears of each change of best paths: then [`Monitor::next_used`] has them.
    pub(super) fn want_best(&mut self, best: bool, speaker: &mut Speaker) {
        self.best = best;
        if !best {
            self.changes.best.clear();
        }
        self.watch_for(Watch { used: self.wants_used(), ..self.watch }, speaker);
    }

    /// Whether a station is told of the router's own table.
    fn tells_own_table(&self) -> bool {
        self.stations.any_has(BmpTable::LocRib)
    }

    fn wants_used(&self) -> bool {
        self.best || self.tells_own_table()
    }

    /// Says to the speaker what is watched from now on; gives what was before.
    fn watch_for(&mut self, watch: Watch, speaker: &mut Speaker) -> Watch {
        let before = std::mem::replace(&mut self.watch, watch);
        if before != watch {
            speaker.watch(watch);
        }
        before
    }

    /// A prefix that is reached by other paths now.
    pub(super) fn next_used(&mut self) -> Option<Prefix> {
        self.changes.best.pop_first()
    }

    /// Tells what has happened, and gives some more of the tables. `settled`: each prefix was
    /// chosen for since the start. Gives whether a station is shown otherwise now.
    pub(super) fn turn(&mut self, speaker: &mut Speaker, conns: &Conns, settled: bool) -> bool {
        let now = self.clock.now();
        if self.watch != Watch::default() {
            while let Some(told) = speaker.poll_watched() {
                self.told(now, told, conns);
            }
            self.own_table(now, speaker.global());
            self.tell_changes(now, speaker);
        }
        let wall = wall(&self.clock, now);
        let world = World { now, wall, speaker, sessions: &self.sessions };
        let news = self.stations.turn(&world);
        if let Some(mrt) = &mut self.mrt {
            mrt.turn(&world, settled);
        }
        news
    }

    /// When [`Monitor::turn`] is to be called at the latest.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let files = self.mrt.as_ref().and_then(Mrt::wake_at);
        let left = self.changes.paths() > 0 || !self.changes.best.is_empty();
        let changes = left.then_some(Timestamp::ZERO);
        [self.stations.wake_at(), files, changes].into_iter().flatten().min()
    }

    /// Waits for news of a connection, and takes them.
    pub(super) async fn news(&mut self) {
        let event = self.stations.next().await;
        self.stations.link(self.clock.now(), event);
    }

    /// Goodbyes to the stations, and files with their last names.
    pub(super) async fn end(&mut self) {
        self.stations.end(self.clock.now()).await;
        if let Some(mrt) = self.mrt.take() {
            mrt.end().await;
        }
    }

    /// Stations and files as the API shows them.
    pub(super) fn show(&self) -> (Vec<v1::Station>, Option<v1::MrtFiles>) {
        let unix = |at| self.clock.unix(at);
        (self.stations.show(unix), self.mrt.as_ref().map(Mrt::show))
    }

    /// Whether files are written: of what becomes of them there is no news, it is to be looked at.
    pub(super) fn writes_files(&self) -> bool {
        self.mrt.is_some()
    }

    /// What a person should know.
    pub(super) fn conditions(&self) -> Vec<(&'static str, String)> {
        let (stations, files) = self.show();
        let stations = stations.into_iter().filter(|station| {
            matches!(station.state.as_str(), "Waiting" | "Connecting")
                && !station.last_error.is_empty()
        });
        let stations = stations.map(|station| {
            ("StationLost", format!("BMP station {}: {}", station.address, station.last_error))
        });
        let files = files.filter(|files| !files.last_error.is_empty());
        stations.chain(files.map(|files| ("MrtFailed", files.last_error))).collect()
    }

    fn told(&mut self, now: Timestamp, told: Watched, conns: &Conns) {
        let at = wall(&self.clock, now);
        match told {
            Watched::Up(established) => self.up(now, *established, conns),
            Watched::Down { peer, failure } => self.down(now, peer, &down(&failure)),
            Watched::Update { peer, bytes, paths, malformed } => {
                let Some(session) = self.sessions.get(&peer) else { return };
                if let Some(mrt) = &mut self.mrt {
                    mrt.message(at, session, &paths, &bytes);
                }
                if self.stations.any_has(BmpTable::PostPolicy) {
                    self.changes.accepted.entry(peer).or_default().extend(&paths);
                }
                if malformed {
                    self.changes.mended.entry(peer).or_default().extend(paths);
                } else {
                    let (key, view) = (session.key, View::InPrePolicy);
                    let two_octet_as = !session.established.options.four_octet_as;
                    let update = Input::Update { key, view, at, two_octet_as, update: bytes };
                    self.stations.tell(now, None, &update);
                }
            }
            // What went is not known any more: the station begins anew with this peer.
            Watched::Swept { peer } => {
                let Some(session) = self.sessions.get(&peer) else { return };
                let gone = Input::PeerDown { key: session.key, at, down: Down::Unmonitored };
                self.stations.tell(now, None, &gone);
                self.stations.tell(now, None, &peer_up(session));
            }
            Watched::Imported { peer } => {
                self.changes.imported.insert(peer);
            }
            Watched::Used(prefix) => {
                if self.tells_own_table() {
                    self.changes.used.insert(prefix);
                }
                if self.best {
                    self.changes.best.insert(prefix);
                }
            }
        }
    }

    fn up(&mut self, now: Timestamp, established: Established, conns: &Conns) {
        self.last_key = self.last_key.wrapping_add(1).max(1);
        let session = Session {
            key: PeerKey(self.last_key),
            at: wall(&self.clock, established.since),
            ports: conns.ports(established.conn),
            established,
        };
        if let Some(mrt) = &mut self.mrt {
            mrt.state(wall(&self.clock, now), &session, true);
        }
        self.stations.tell(now, None, &peer_up(&session));
        self.sessions.insert(session.established.peer, session);
    }

    fn down(&mut self, now: Timestamp, peer: ScopedAddr, down: &Down) {
        let Some(session) = self.sessions.remove(&peer) else { return };
        let at = wall(&self.clock, now);
        if let Some(mrt) = &mut self.mrt {
            mrt.state(at, &session, false);
        }
        let told = Input::PeerDown { key: session.key, at, down: down.clone() };
        self.stations.tell(now, None, &told);
        self.changes.accepted.remove(&peer);
        self.changes.mended.remove(&peer);
        self.changes.imported.remove(&peer);
    }

    /// The router's own table is there while somebody is told of it and it has a name.
    fn own_table(&mut self, now: Timestamp, global: Option<&Global>) {
        let wanted = global.filter(|_| self.tells_own_table()).map(|g| (g.asn, g.router_id));
        if wanted == self.own {
            return;
        }
        let at = wall(&self.clock, now);
        if self.own.is_some() {
            let down = Down::LocRibGone(OWN_TABLE_NAME.to_owned());
            self.stations.tell(now, None, &Input::PeerDown { key: OWN_TABLE, at, down });
        }
        self.own = wanted;
        if let Some(own) = wanted {
            self.stations.tell(now, None, &own_table_up(own, at));
        }
    }

    fn tell_changes(&mut self, now: Timestamp, speaker: &Speaker) {
        let at = wall(&self.clock, now);
        let mut tell = |key, view, batch: Batch| {
            for update in batch.finish() {
                let input = Input::Update { key, view, at, two_octet_as: false, update };
                self.stations.tell(now, None, &input);
            }
        };
        let mut slice = Slice { began: Instant::now(), left: self.changes.paths(), over: false };
        let Changes { used, best: _, accepted, mended, imported } = &mut self.changes;
        let mut batch = Batch::new(batch::options(None));
        while !slice.over
            && let Some(prefix) = used.pop_first()
        {
            batch.put(prefix, PathId::NONE, speaker.best_path(&prefix).as_ref());
            slice.took_one();
        }
        tell(OWN_TABLE, View::Loc, batch);
        for (paths, view) in [(mended, View::InPrePolicy), (accepted, View::InPostPolicy)] {
            while !slice.over
                && let Some(mut of_peer) = paths.first_entry()
            {
                let peer = *of_peer.key();
                let Some(session) = self.sessions.get(&peer) else {
                    of_peer.remove();
                    continue;
                };
                let mut batch = Batch::new(batch::options(Some(&session.established.options)));
                while !slice.over
                    && let Some((prefix, id)) = of_peer.get_mut().pop_first()
                {
                    let path = speaker.path_in(peer, &prefix, id, view == View::InPostPolicy);
                    batch.put(prefix, id, path.as_ref());
                    slice.took_one();
                }
                if of_peer.get().is_empty() {
                    of_peer.remove();
                }
                tell(session.key, view, batch);
            }
        }
        if !imported.is_empty() && !speaker.is_walking() {
            for peer in std::mem::take(imported) {
                let Some(session) = self.sessions.get(&peer) else { continue };
                let again = Input::Again { key: session.key, view: View::InPostPolicy };
                self.stations.tell(now, None, &again);
            }
        }
    }
}

impl Router {
    /// Those who are told all are told what is new, and some more of the tables.
    pub(super) fn tell_monitors(&mut self) {
        let best = *self.parts.best_watchers.borrow_and_update() > 0;
        self.monitor.want_best(best, &mut self.parts.speaker);
        if self.monitor.turn(&mut self.parts.speaker, &self.conns, self.settled) {
            self.parts.publisher.changed();
        }
        let (now, began) = (self.parts.clock.now(), Instant::now());
        while began.elapsed() < CHANGES_TIME
            && let Some(prefix) = self.monitor.next_used()
        {
            self.tell_best(now, &prefix);
        }
    }

    /// The owners' documents have changed.
    pub(super) fn monitors_wanted(&mut self) {
        let (stations, mrt) = (self.parts.owners.stations(), self.parts.owners.mrt());
        self.monitor.want(&stations, mrt, &mut self.parts.speaker, &self.conns);
    }
}

fn wall(clock: &Clock, at: Timestamp) -> WallTime {
    WallTime::from_unix(clock.wall(at))
}

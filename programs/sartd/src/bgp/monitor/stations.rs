//! BMP stations (RFC 7854): the machine of each, its connection, and the tables that it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bgp_monitor::bmp::{Statistic, Termination, View};
use bgp_monitor::{
    Happened, Input, Lost, Output, PeerKey, Standing, Station, StationConfig, TablePart, Views,
};
use bgp_speaker::{Cursor, Filter, PathState, Table};
use inet::{Family, Timestamp};
use node_api::v1;
use router_config::{Bmp, BmpTable};
use tokio::sync::mpsc;

use super::batch::{self, Batch};
use super::link::{Link, LinkEvent, ROOM};
use super::{OWN_TABLE, World};
use crate::bgp::answers::{SLICE, STEP};

/// Events of connections that may wait; a task whose event waits sends nothing more.
const EVENTS: usize = 64;

/// Bytes of one part of a table.
const PART: usize = 64 << 10;

/// All stations.
pub(super) struct Stations {
    entries: BTreeMap<SocketAddr, Entry>,
    sender: mpsc::Sender<(u64, LinkEvent)>,
    events: mpsc::Receiver<(u64, LinkEvent)>,
    last_link: u64,
}

/// A station.
struct Entry {
    wanted: Bmp,
    station: Station,
    link: Option<Link>,
    /// A part of a table that it asks for.
    asked: Option<Asked>,
    standing: Standing,
    /// Since when it stands so.
    since: Timestamp,
    bytes: u64,
    losses: u64,
    error: Option<(String, Timestamp)>,
}

struct Asked {
    ticket: u64,
    key: PeerKey,
    view: View,
    family: Family,
    from: bgp_monitor::Cursor,
    again: bool,
    budget: usize,
}

impl Stations {
    pub(super) fn new() -> Stations {
        let (sender, events) = mpsc::channel(EVENTS);
        Stations { entries: BTreeMap::new(), sender, events, last_link: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether some station is told of one of these tables.
    pub(super) fn any_has(&self, table: BmpTable) -> bool {
        self.entries.values().any(|entry| tables(&entry.wanted).contains(&table))
    }

    /// Those that are wanted: the others are told goodbye, and so are those that change. Gives
    /// the places of the new ones, which know of nobody yet.
    pub(super) fn want(
        &mut self,
        wanted: &[Bmp],
        seed: u64,
        host: &str,
        now: Timestamp,
    ) -> Vec<SocketAddr> {
        let place = |bmp: &Bmp| SocketAddr::new(bmp.address, bmp.port);
        let wanted: BTreeMap<SocketAddr, &Bmp> = wanted.iter().map(|b| (place(b), b)).collect();
        let stays = |at: &SocketAddr, entry: &Entry| wanted.get(at) == Some(&&entry.wanted);
        let gone: Vec<SocketAddr> =
            self.entries.iter().filter(|(at, e)| !stays(at, e)).map(|(at, _)| *at).collect();
        for at in gone {
            if let Some(mut entry) = self.entries.remove(&at) {
                tokio::spawn(entry.end(at, now));
            }
        }
        let mut new = Vec::new();
        for (at, bmp) in wanted {
            self.entries.entry(at).or_insert_with(|| {
                new.push(at);
                Entry::new(bmp.clone(), at, seed, host, now)
            });
        }
        new
    }

    /// Tells all stations, or one.
    pub(super) fn tell(&mut self, now: Timestamp, only: Option<SocketAddr>, input: &Input) {
        for (at, entry) in &mut self.entries {
            if only.is_none_or(|only| only == *at) && entry.hears(input) {
                entry.station.handle(now, input.clone());
            }
        }
    }

    /// The next event of a connection.
    pub(super) async fn next(&mut self) -> (u64, LinkEvent) {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Takes an event of a connection.
    pub(super) fn link(&mut self, now: Timestamp, (id, event): (u64, LinkEvent)) {
        let of = |entry: &&mut Entry| entry.link.as_ref().is_some_and(|link| link.id == id);
        let Some(entry) = self.entries.values_mut().find(of) else { return };
        let Some(link) = &mut entry.link else { return };
        let input = match event {
            LinkEvent::Connected => Input::Connected { room: link.room },
            LinkEvent::Sent(bytes) => {
                link.room = (link.room + bytes).min(ROOM);
                entry.bytes += bytes as u64;
                Input::Room(link.room)
            }
            LinkEvent::Failed(reason) => {
                entry.link = None;
                Input::ConnectFailed(reason)
            }
            LinkEvent::Closed(reason) => {
                entry.link = None;
                Input::Closed(reason)
            }
        };
        entry.station.handle(now, input);
    }

    /// Does what the stations want done; of their tables one part each. Gives whether one of them
    /// is somewhere else now, or is lost for another reason.
    pub(super) fn turn(&mut self, world: &World<'_>) -> bool {
        let mut news = false;
        for (at, entry) in &mut self.entries {
            let before = (entry.standing, entry.error.clone());
            entry.turn(*at, world, &self.sender, &mut self.last_link);
            news |= before.0 != entry.standing || before.1 != entry.error;
        }
        news
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let at = |entry: &Entry| match entry.asked {
            Some(_) => Some(Timestamp::ZERO),
            None => entry.station.wake_at(),
        };
        self.entries.values().filter_map(at).min()
    }

    /// Says goodbye to all; done when they have heard it, or after a second.
    pub(super) async fn end(&mut self, now: Timestamp) {
        let ends = std::mem::take(&mut self.entries);
        let ends: Vec<_> =
            ends.into_iter().map(|(at, mut entry)| tokio::spawn(entry.end(at, now))).collect();
        for end in ends {
            let _ = end.await;
        }
    }

    /// As the API shows them.
    pub(super) fn show(&self, unix: impl Fn(Timestamp) -> u64) -> Vec<v1::Station> {
        let one = |(at, entry): (&SocketAddr, &Entry)| v1::Station {
            address: at.to_string(),
            tables: tables(&entry.wanted).iter().map(|table| word(*table).to_owned()).collect(),
            state: match entry.standing {
                Standing::Waiting | Standing::Stopped => "Waiting",
                Standing::Connecting => "Connecting",
                Standing::Dumping => "Dumping",
                Standing::Live => "Live",
            }
            .to_owned(),
            since: unix(entry.since),
            messages: entry.station.messages(),
            bytes: entry.bytes,
            queued_bytes: entry.station.queued() as u64,
            losses: entry.losses,
            last_error: entry.error.as_ref().map(|(text, _)| text.clone()).unwrap_or_default(),
            last_error_at: entry.error.as_ref().map_or(0, |(_, at)| unix(*at)),
        };
        self.entries.iter().map(one).collect()
    }
}

impl Entry {
    fn new(wanted: Bmp, at: SocketAddr, seed: u64, host: &str, now: Timestamp) -> Entry {
        let has = |table| tables(&wanted).contains(&table);
        let retry = wanted.connect_retry_time.map_or(30, u64::from);
        let config = StationConfig {
            sys_name: host.to_owned(),
            sys_descr: concat!("sart ", env!("CARGO_PKG_VERSION")).to_owned(),
            views: Views {
                in_pre_policy: has(BmpTable::PrePolicy),
                in_post_policy: has(BmpTable::PostPolicy),
                ..Views::default()
            },
            max_queued: usize::from(wanted.buffer.unwrap_or(16)) << 20,
            dump_chunk: PART,
            statistics_interval: wanted.statistics_interval.map(|s| Duration::from_secs(s.into())),
            retry_first: Duration::from_secs(retry),
            retry_most: Duration::from_secs(retry.max(720)),
            seed,
            ..StationConfig::new(&at.to_string())
        };
        Entry {
            station: Station::new(config),
            wanted,
            link: None,
            asked: None,
            standing: Standing::Waiting,
            since: now,
            bytes: 0,
            losses: 0,
            error: None,
        }
    }

    /// The router's own table is a peer that only those hear of who want it.
    fn hears(&self, input: &Input) -> bool {
        let key = match input {
            Input::PeerUp { key, .. } | Input::PeerDown { key, .. } => *key,
            Input::Update { key, view, .. } | Input::Again { key, view } => match view {
                View::InPrePolicy => return tables(&self.wanted).contains(&BmpTable::PrePolicy),
                View::InPostPolicy => return tables(&self.wanted).contains(&BmpTable::PostPolicy),
                View::Loc | View::OutPrePolicy | View::OutPostPolicy => *key,
            },
            Input::Connected { .. }
            | Input::ConnectFailed(_)
            | Input::Closed(_)
            | Input::Room(_)
            | Input::Dumped(_)
            | Input::Statistics { .. }
            | Input::Shutdown(_) => return true,
        };
        key != OWN_TABLE || tables(&self.wanted).contains(&BmpTable::LocRib)
    }

    fn turn(
        &mut self,
        at: SocketAddr,
        world: &World<'_>,
        sender: &mpsc::Sender<(u64, LinkEvent)>,
        last_link: &mut u64,
    ) {
        let now = world.now;
        if self.station.wake_at().is_some_and(|at| at <= now) {
            self.station.tick(now);
        }
        let mut answered = false;
        loop {
            while let Some(output) = self.station.poll() {
                match output {
                    Output::Connect => {
                        *last_link += 1;
                        self.link = Some(Link::dial(*last_link, at, sender.clone()));
                    }
                    Output::Send(bytes) => {
                        if let Some(link) = &mut self.link {
                            link.send(bytes);
                        }
                    }
                    Output::Close => {
                        if let Some(link) = self.link.take() {
                            tokio::spawn(link.close());
                        }
                    }
                    Output::Dump { ticket, key, view, family, from, again, budget } => {
                        let asked = Asked { ticket, key, view, family, from, again, budget };
                        self.asked = Some(asked);
                    }
                    Output::AskStatistics => self.statistics(world),
                    Output::Happened(happened) => self.happened(at, now, happened),
                }
            }
            let Some(asked) = self.asked.take_if(|_| !answered) else { break };
            answered = true;
            self.station.handle(now, Input::Dumped(part(&asked, world)));
        }
        let standing = self.station.standing();
        if std::mem::replace(&mut self.standing, standing) != standing {
            self.since = now;
        }
    }

    fn happened(&mut self, at: SocketAddr, now: Timestamp, happened: Happened) {
        match happened {
            Happened::Connected => tracing::info!(station = %at, "a BMP station is connected"),
            Happened::Lost(lost) => {
                self.asked = None;
                let established = !matches!(lost, Lost::ConnectFailed(_));
                self.losses += u64::from(established);
                let text = lost.to_string();
                // An attempt that fails as the one before is no news.
                if self.error.as_ref().is_none_or(|(last, _)| *last != text) {
                    tracing::warn!(station = %at, reason = text, "no BMP station");
                }
                self.error = Some((text, now));
            }
            Happened::Refused(error) => tracing::warn!(station = %at, %error, "not told"),
            Happened::Stopped => tracing::info!(station = %at, "a BMP station is not wanted now"),
        }
    }

    fn statistics(&mut self, world: &World<'_>) {
        let at = world.wall;
        for session in world.sessions.values() {
            let Some(peer) = world.speaker.peer(session.established.peer) else { continue };
            let received = |family| {
                peer.families.get(family).map_or(0, |counts| u64::from(counts.received.received))
            };
            let sent =
                |family| peer.families.get(family).map_or(0, |counts| u64::from(counts.sent));
            let families = &session.established.families;
            let mut statistics = vec![
                Statistic::RoutesIn(families.iter().map(received).sum()),
                Statistic::RoutesOut(families.iter().map(sent).sum()),
            ];
            for family in families {
                statistics.push(Statistic::RoutesInOf(*family, received(family)));
                statistics.push(Statistic::RoutesOutOf(*family, sent(family)));
            }
            self.station.handle(world.now, Input::Statistics { key: session.key, at, statistics });
        }
        if tables(&self.wanted).contains(&BmpTable::LocRib) {
            let prefixes = world.speaker.counts().prefixes as u64;
            let statistics = vec![Statistic::RoutesLoc(prefixes)];
            self.station.handle(world.now, Input::Statistics { key: OWN_TABLE, at, statistics });
        }
    }

    /// The last word, and the end.
    fn end(&mut self, at: SocketAddr, now: Timestamp) -> impl Future<Output = ()> + use<> {
        self.station.handle(now, Input::Shutdown(Termination::Administrative));
        while let Some(output) = self.station.poll() {
            if let (Output::Send(bytes), Some(link)) = (output, &mut self.link) {
                link.send(bytes);
            }
        }
        tracing::info!(station = %at, "a BMP station is told goodbye");
        let closing = self.link.take().map(Link::close);
        async move {
            if let Some(closing) = closing {
                closing.await;
            }
        }
    }
}

/// What a station is told of.
fn tables(wanted: &Bmp) -> BTreeSet<BmpTable> {
    match wanted.tables.is_empty() {
        true => BTreeSet::from([BmpTable::PrePolicy]),
        false => wanted.tables.clone(),
    }
}

fn word(table: BmpTable) -> &'static str {
    match table {
        BmpTable::PrePolicy => "pre_policy",
        BmpTable::PostPolicy => "post_policy",
        BmpTable::LocRib => "loc_rib",
    }
}

/// As much of a table as one slice of time gives, or as is asked for.
fn part(asked: &Asked, world: &World<'_>) -> TablePart {
    let Asked { ticket, key, view, family, from, again, budget } = *asked;
    let (began, speaker) = (Instant::now(), world.speaker);
    let session = world.sessions.values().find(|session| session.key == key);
    let peer = session.map(|session| session.established.peer);
    let table = match (view, peer) {
        (View::Loc, _) => Some(Table::Used),
        (View::InPrePolicy, Some(peer)) => Some(Table::Received(peer)),
        // Of a table told before, what is refused now must be withdrawn.
        (View::InPostPolicy, Some(peer)) if again => Some(Table::Received(peer)),
        (View::InPostPolicy, Some(peer)) => Some(Table::Accepted(peer)),
        (View::InPrePolicy | View::InPostPolicy, None)
        | (View::OutPrePolicy | View::OutPostPolicy, _) => None,
    };
    let mut batch = Batch::new(batch::options(session.map(|s| &s.established.options)));
    let mut next = u32::try_from(from.0).ok().map(Cursor);
    while let (Some(cursor), Some(table)) = (next, table)
        && batch.size() < budget
    {
        let page = speaker.page(family, table, Filter::All, cursor, STEP);
        let Some(page) = page else {
            next = None;
            break;
        };
        for row in page.rows {
            let best = matches!(row.state, Some(PathState::Best(_)));
            match (view, peer) {
                (View::Loc, _) if best => {
                    batch.put(row.prefix, bgp_packet::PathId::NONE, Some(&row.attributes));
                }
                (View::Loc, _) => {}
                // What was kept from before a restart was never told on this session.
                _ if row.stale => {}
                (View::InPostPolicy, Some(peer)) if again => {
                    let now = speaker.path_in(peer, &row.prefix, row.path_id, true);
                    batch.put(row.prefix, row.path_id, now.as_ref());
                }
                _ => batch.put(row.prefix, row.path_id, Some(&row.attributes)),
            }
        }
        next = page.next;
        if began.elapsed() >= SLICE {
            break;
        }
    }
    let next = next.filter(|_| table.is_some()).map(|next| bgp_monitor::Cursor(next.0.into()));
    let (at, updates) = (world.wall, batch.finish());
    TablePart { ticket, key, view, family, at, two_octet_as: false, updates, next }
}

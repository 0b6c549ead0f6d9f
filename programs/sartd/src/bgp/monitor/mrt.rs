//! MRT (RFC 6396): which records there are, and when a file begins.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bgp_monitor::WallTime;
use bgp_monitor::mrt::{
    IndexedPeer, Message, PeerIndex, Rib, RibEntry, Session as Ends, State, append_next_hop,
    write_message, write_peer_index, write_rib, write_state_change,
};
use bgp_packet::{Attributes, Options, PathId, PeerKind, encode_attributes};
use bgp_speaker::{Cursor, Filter, Ineligible, PathState, Table, TableRow};
use inet::{Family, Prefix, ScopedAddr, Timestamp};
use node_api::v1;

use super::files::{Files, Kind};
use super::{Session, World, split};
use crate::bgp::answers::{SLICE, STEP};
use crate::bgp::clock::Clock;

/// When a table goes on whose disk does not keep up.
const LATER: Duration = Duration::from_millis(50);

/// How long the last files may take to be whole, and how often that is looked at.
const END_TIME: Duration = Duration::from_secs(3);
const END_STEP: Duration = Duration::from_millis(5);

/// The files that are wanted.
pub(super) struct Mrt {
    wanted: router_config::Mrt,
    clock: Clock,
    files: Files,
    /// Messages of this turn, and how many.
    messages: (Vec<u8>, u64),
    /// When the next file begins; at once before the first.
    next_updates: Option<Timestamp>,
    next_table: Option<Timestamp>,
    dump: Option<Dump>,
}

/// A table that is being written.
struct Dump {
    at: WallTime,
    /// Places in the peer index; none: what is originated here.
    peers: BTreeMap<Option<ScopedAddr>, (u16, u32)>,
    sequence: u32,
    family: Family,
    cursor: Cursor,
}

impl Mrt {
    pub(super) fn new(wanted: router_config::Mrt, clock: Clock, now: Timestamp) -> Mrt {
        Mrt {
            files: Files::new(PathBuf::from(&wanted.directory)),
            next_updates: wanted.updates_interval.map(|_| now),
            next_table: wanted.table_interval.map(|_| now),
            wanted,
            clock,
            messages: (Vec::new(), 0),
            dump: None,
        }
    }

    pub(super) fn wanted(&self) -> &router_config::Mrt {
        &self.wanted
    }

    pub(super) fn has_messages(&self) -> bool {
        self.wanted.updates_interval.is_some()
    }

    /// A message has come.
    pub(super) fn message(
        &mut self,
        at: WallTime,
        session: &Session,
        paths: &[(Prefix, PathId)],
        bytes: &[u8],
    ) {
        if !self.has_messages() {
            return;
        }
        let options = &session.established.options;
        let with_ids = |prefix: &Prefix| options.add_path_receive.has(prefix.family());
        let add_path = paths.first().is_some_and(|(prefix, _)| with_ids(prefix));
        if paths.iter().all(|(prefix, _)| with_ids(prefix) == add_path) {
            return self.record(at, session, add_path, bytes);
        }
        match split::by_family(bytes, options) {
            Ok(parts) => {
                for (add_path, part) in parts {
                    self.record(at, session, add_path, &part);
                }
            }
            Err(error) => self.wrote(Err(error.to_string())),
        }
    }

    fn record(&mut self, at: WallTime, session: &Session, add_path: bool, bytes: &[u8]) {
        let four_octet_as = session.established.options.four_octet_as;
        let message =
            Message { session: ends(session), four_octet_as, local: false, add_path, bytes };
        let written = write_message(at, &message, &mut self.messages.0);
        self.wrote(written.map_err(|error| error.to_string()));
    }

    /// A session has come up, or is down.
    pub(super) fn state(&mut self, at: WallTime, session: &Session, up: bool) {
        if !self.has_messages() {
            return;
        }
        let (old, new) = match up {
            true => (State::OpenConfirm, State::Established),
            false => (State::Established, State::Idle),
        };
        let written = write_state_change(at, &ends(session), old, new, &mut self.messages.0);
        self.wrote(written.map_err(|error| error.to_string()));
    }

    fn wrote(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.messages.1 += 1,
            Err(error) => tracing::debug!(error, "no MRT record"),
        }
    }

    /// Begins files whose time has come, and gives them what there is.
    pub(super) fn turn(&mut self, world: &World<'_>, settled: bool) {
        let now = world.now;
        if let Some(interval) = self.wanted.updates_interval {
            if self.next_updates.is_some_and(|at| at <= now) {
                self.next_updates = Some(self.after(now, interval));
                self.files.begin(Kind::Updates, world.wall.seconds.into());
            }
            if !self.messages.0.is_empty() {
                let (bytes, records) = std::mem::take(&mut self.messages);
                self.files.write(Kind::Updates, bytes, records);
            }
        }
        if let Some(interval) = self.wanted.table_interval
            && settled
            && self.dump.is_none()
            && self.next_table.is_some_and(|at| at <= now)
        {
            self.next_table = Some(self.after(now, interval));
            self.dump = self.begin(world);
        }
        if self.dump.is_some() && self.files.has_room() {
            self.go_on(world);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let dump = self.dump.as_ref().map(|_| match self.files.has_room() {
            true => Timestamp::ZERO,
            false => self.clock.now() + LATER,
        });
        // One that waits for the router to settle is begun by the turn in which it has.
        let table = self.next_table.filter(|at| self.dump.is_none() && *at > self.clock.now());
        [dump, self.next_updates, table].into_iter().flatten().min()
    }

    /// Ends the files; done when they have their names, or after three seconds.
    pub(super) async fn end(mut self) {
        let (bytes, records) = std::mem::take(&mut self.messages);
        if !bytes.is_empty() {
            self.files.write(Kind::Updates, bytes, records);
        }
        let Some(thread) = self.files.end() else { return };
        let until = Instant::now() + END_TIME;
        // The disk is not waited for as long as it likes.
        while !thread.is_finished() && Instant::now() < until {
            tokio::time::sleep(END_STEP).await;
        }
    }

    pub(super) fn show(&self) -> v1::MrtFiles {
        let told = self.files.told();
        let now = self.clock.now();
        let unix = self.clock.wall(now).as_secs();
        let next = |at: Option<Timestamp>| at.map_or(0, |at| unix + at.since(now).as_secs());
        v1::MrtFiles {
            directory: self.wanted.directory.clone(),
            files: told.files,
            bytes: told.bytes,
            lost_records: told.lost,
            last_error: told.error,
            last_table: told.last_table,
            next_table: next(self.next_table),
            next_updates: next(self.next_updates),
        }
    }

    /// The next moment that is a multiple of the interval by the clock on the wall.
    fn after(&self, now: Timestamp, interval: u32) -> Timestamp {
        let interval = u64::from(interval.max(1));
        now + Duration::from_secs(interval - self.clock.wall(now).as_secs() % interval)
    }

    /// Begins a table; not without a router id, which is in it.
    fn begin(&self, world: &World<'_>) -> Option<Dump> {
        let global = world.speaker.global()?;
        let id = Ipv4Addr::from(global.router_id.get());
        let own = IndexedPeer {
            router_id: id,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            asn: global.asn.get(),
        };
        let seconds =
            |at: Timestamp| u32::try_from(self.clock.wall(at).as_secs()).unwrap_or(u32::MAX);
        let mut index = PeerIndex { collector: id, view: String::new(), peers: vec![own] };
        let mut peers = BTreeMap::from([(None, (0, seconds(Timestamp::ZERO)))]);
        for peer in world.speaker.peers() {
            let Ok(place) = u16::try_from(index.peers.len()) else { break };
            let negotiated = peer.status.negotiated.as_deref();
            let router_id = negotiated.map_or(0, |n| n.router_id.get());
            let asn = negotiated.map_or(peer.config.asn, |n| n.asn).get();
            let address = peer.wanted.key();
            index.peers.push(IndexedPeer {
                router_id: router_id.into(),
                address: address.address(),
                asn,
            });
            peers.insert(Some(address), (place, seconds(peer.status.since)));
        }
        self.files.begin(Kind::Table, world.wall.seconds.into());
        let mut bytes = Vec::new();
        if let Err(error) = write_peer_index(world.wall, &index, &mut bytes) {
            tracing::warn!(%error, "no MRT table");
            return None;
        }
        self.files.write(Kind::Table, bytes, 1);
        let (family, cursor) = (Family::Ipv4, Cursor::default());
        Some(Dump { at: world.wall, peers, sequence: 0, family, cursor })
    }

    fn go_on(&mut self, world: &World<'_>) {
        let Some(dump) = &mut self.dump else { return };
        let (began, mut bytes, first) = (Instant::now(), Vec::new(), dump.sequence);
        let mut done = false;
        while !done && began.elapsed() < SLICE {
            let (family, cursor) = (dump.family, dump.cursor);
            let page = world.speaker.page(family, Table::Paths, Filter::All, cursor, STEP);
            let page = page.unwrap_or_default();
            for rows in page.rows.chunk_by(|a, b| a.prefix == b.prefix) {
                dump.rib(rows, &mut bytes);
            }
            (dump.family, dump.cursor) = match (page.next, family) {
                (Some(next), _) => (family, next),
                (None, Family::Ipv4) => (Family::Ipv6, Cursor::default()),
                (None, Family::Ipv6) => {
                    done = true;
                    (family, cursor)
                }
            };
        }
        if !bytes.is_empty() {
            self.files.write(Kind::Table, bytes, u64::from(dump.sequence.wrapping_sub(first)));
        }
        if done {
            self.dump = None;
            self.files.finish(Kind::Table);
        }
    }
}

impl Dump {
    /// The paths of one prefix that import lets through.
    fn rib(&mut self, rows: &[TableRow], to: &mut Vec<u8>) {
        let Some(prefix) = rows.first().map(|row| row.prefix) else { return };
        let known = |row: &&TableRow| !is_refused(row.state.as_ref());
        let paths: Vec<(u16, u32, u32, Vec<u8>)> = rows
            .iter()
            .filter(known)
            .filter_map(|row| {
                // A peer that came after the table was begun is not in its index.
                let (peer, since) = *self.peers.get(&row.peer)?;
                Some((peer, since, row.path_id.0, attributes(&prefix, &row.attributes)))
            })
            .collect();
        if paths.is_empty() {
            return;
        }
        let add_path = paths.iter().any(|(_, _, path_id, _)| *path_id != 0);
        let entries = paths.iter().map(|(peer, since, path_id, attributes)| RibEntry {
            peer: *peer,
            since: *since,
            path_id: *path_id,
            attributes,
        });
        let rib = Rib { sequence: self.sequence, prefix, add_path, entries: entries.collect() };
        match write_rib(self.at, &rib, to) {
            Ok(()) => self.sequence = self.sequence.wrapping_add(1),
            Err(error) => tracing::debug!(%error, %prefix, "no MRT record"),
        }
    }
}

/// Whether import has refused the path.
fn is_refused(state: Option<&PathState>) -> bool {
    match state {
        Some(PathState::Best(_) | PathState::Multipath(_) | PathState::Lost(_)) | None => false,
        Some(PathState::Ineligible(why)) => match why {
            Ineligible::UnresolvedNextHop | Ineligible::SelectionDeferred => false,
            Ineligible::Dead
            | Ineligible::AsLoop
            | Ineligible::AsSet
            | Ineligible::OwnOriginator
            | Ineligible::ClusterLoop
            | Ineligible::RejectedByPolicy
            | Ineligible::NoImportPolicy
            | Ineligible::RouteLeak
            | Ineligible::NotLongLived => true,
        },
    }
}

/// As they stand in a table: with the next hop, and without the prefix.
fn attributes(prefix: &Prefix, of: &Attributes) -> Vec<u8> {
    let mut bytes = encode_attributes(of, &Options::new(PeerKind::Internal));
    match (prefix.family(), of.next_hop.address) {
        (Family::Ipv4, IpAddr::V4(address)) => {
            bytes.extend([0x40, 3, 4]);
            bytes.extend(address.octets());
        }
        // What is originated here has no next hop of its own.
        (Family::Ipv6, IpAddr::V4(_)) => append_next_hop(&mut bytes, Ipv6Addr::UNSPECIFIED, None),
        (Family::Ipv4 | Family::Ipv6, IpAddr::V6(address)) => {
            append_next_hop(&mut bytes, address, of.next_hop.link_local);
        }
    }
    bytes
}

fn ends(session: &Session) -> Ends {
    let established = &session.established;
    let unspecified = match established.peer.address() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Ends {
        peer_asn: established.asn.get(),
        local_asn: established.own_asn.get(),
        interface: 0,
        peer: established.peer.address(),
        local: established.local.unwrap_or(unspecified),
    }
}

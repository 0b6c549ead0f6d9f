//! The kernel's half of the route table.
//!
//! ```no_run
//! # async fn router() -> Result<(), kernel::routes::RouteError> {
//! use kernel::fib::Fib;
//! use kernel::routes::Owner;
//! let Fib { routes, mut events } = Fib::open(Owner::ROUTER, &[])?;
//! loop {
//!     let event = events.next().await?; // first a Snapshot; safe in `select!`
//!     // table.handle(now, Input::Kernel(event)); collect the writes of table.poll(), then
//!     // for (write, result) in writes.zip(routes.write(writes).await) { … write.done(result) … }
//! }
//! # }
//! ```
//!
//! Single news are not all that there is: the kernel drops IPv4 routes without a word when a link
//! goes down, an address goes away or a next-hop object does, and overruns a reader that is too slow. After each of these
//! all is read anew, a moment later, and given as one more [`KernelEvent::Snapshot`].

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use inet::{Family, LinkName};
use route_table::{
    Config, KernelEvent, KernelRoute, KernelTarget, Leg, LinkIndex, ObjectContent, ObjectId,
    Snapshot,
};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::links;
use crate::message;
use crate::routes::{OwnRoutes, Owner, RouteError, TABLE_MAIN};
use crate::socket::Netlink;

/// How long after a sign of silent changes all is read anew: their burst is over by then.
const SETTLE: Duration = Duration::from_millis(20);
/// The pause after reading failed.
const RETRY: Duration = Duration::from_secs(1);
/// The most news kept while all is read anew; over that, it is read once more.
const MAX_KEPT: usize = 100_000;

/// The multicast groups of links, addresses and routes (`RTNLGRP_*`).
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// That of next-hop objects (Linux 5.3).
const GROUP_OBJECTS: u32 = 32;
/// All is not read anew for more than one part of the time in so many.
const READ_SHARE: u32 = 5;

/// Our routes in the kernel, and the news of all that matters for them.
#[derive(Debug)]
pub struct Fib {
    /// For writing.
    pub routes: OwnRoutes,
    /// For reading.
    pub events: FibEvents,
}

/// The route table's configuration for an owner: next hops are resolved over its table and `main`,
/// and written as objects where the kernel knows them.
pub fn config(owner: Owner, install: bool) -> Config {
    let Owner { table, protocol, metric } = owner;
    let mut lookup = vec![table, TABLE_MAIN];
    lookup.dedup();
    let (vrf, objects) = (None, owner.object_ids());
    Config { table, vrf, protocol, metric, install, resolve_via_default: false, lookup, objects }
}

/// The same for the table of a VRF, which is a world of its own. While it is not there its owner's
/// table is 0: nothing is written, and no next hop resolves.
pub fn vrf_config(vrf: LinkName, owner: Owner, install: bool) -> Config {
    let objects = owner.object_ids().filter(|_| owner.table != 0);
    Config { vrf: Some(vrf), lookup: vec![owner.table], objects, ..config(owner, install) }
}

impl Fib {
    /// Opens both ways in the calling thread's network namespace, inside a tokio runtime with
    /// timers. Reads the owner's table and `main`. `sources`: see [`OwnRoutes::open`].
    pub fn open(owner: Owner, sources: &[IpAddr]) -> Result<Fib, RouteError> {
        Fib::open_reading(owner, sources, &[TABLE_MAIN])
    }

    /// The same, reading the owner's table (0: none) and these.
    pub fn open_reading(
        owner: Owner,
        sources: &[IpAddr],
        tables: &[u32],
    ) -> Result<Fib, RouteError> {
        let routes = OwnRoutes::open(owner, sources)?;
        let mut all = vec![owner.table];
        all.extend_from_slice(tables);
        all.sort_unstable();
        all.dedup();
        // For the kernel that would be all tables.
        all.retain(|table| *table != 0);
        let events = FibEvents::open(all, routes.port())?;
        Ok(Fib { routes, events })
    }
}

/// What happens in the kernel, but for what our own writer does.
#[derive(Debug)]
pub struct FibEvents {
    tables: Vec<u32>,
    monitor: AsyncFd<MonitorSocket>,
    /// Opened with the monitor, so that it is of the same namespace.
    reader: Option<Netlink>,
    ready: VecDeque<KernelEvent>,
    /// News that came while all was being read: they follow the snapshot.
    kept: Vec<KernelEvent>,
    reading: Option<JoinHandle<(Netlink, io::Result<Snapshot>)>>,
    read_at: Option<Instant>,
    /// When the last reading began, and how long it took.
    last_read: (Instant, Duration),
    up: BTreeMap<LinkIndex, bool>,
}

#[derive(Debug)]
struct MonitorSocket(Netlink);

impl std::os::fd::AsRawFd for MonitorSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.socket.as_raw_fd()
    }
}

impl FibEvents {
    fn open(tables: Vec<u32>, own_port: u32) -> io::Result<FibEvents> {
        let monitor = Netlink::open()?;
        monitor.set_receive_buffer(16 << 20)?;
        monitor.ignore_port(own_port)?;
        for group in GROUPS {
            monitor.socket.add_membership(group)?;
        }
        // A kernel without them has none to tell of.
        let _ = monitor.socket.add_membership(GROUP_OBJECTS);
        monitor.socket.set_non_blocking(true)?;
        // SAFETY: the socket is open, is owned by the AsyncFd until that is dropped (and closed only
        // then, by its own Drop), and `as_raw_fd` always names this one descriptor.
        let monitor = unsafe { AsyncFd::register(MonitorSocket(monitor)) }?;
        let reader = Netlink::open()?;
        reader.socket.set_netlink_get_strict_chk(true)?;
        Ok(FibEvents {
            tables,
            monitor,
            reader: Some(reader),
            ready: VecDeque::new(),
            kept: Vec::new(),
            reading: None,
            read_at: Some(Instant::now()),
            last_read: (Instant::now(), Duration::ZERO),
            up: BTreeMap::new(),
        })
    }

    /// The next event. May be dropped and called again; an error is final.
    pub async fn next(&mut self) -> io::Result<KernelEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if self.reading.is_none()
                && self.read_at.is_some_and(|at| at <= Instant::now())
                && let Some(mut reader) = self.reader.take()
            {
                self.read_at = None;
                self.last_read.0 = Instant::now();
                let tables = self.tables.clone();
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    let snapshot = read_all(&mut reader, &tables);
                    (reader, snapshot)
                }));
            }
            let due = if self.reading.is_none() { self.read_at } else { None };
            tokio::select! {
                done = finished(&mut self.reading) => self.read(done?),
                guard = self.monitor.readable_mut() => {
                    let mut guard = guard?;
                    guard.clear_ready();
                    self.drain()?;
                }
                () = until(due) => {}
            }
        }
    }

    fn read(&mut self, (reader, snapshot): (Netlink, io::Result<Snapshot>)) {
        self.reading = None;
        self.reader = Some(reader);
        self.last_read.1 = self.last_read.0.elapsed();
        match snapshot {
            Ok(snapshot) => {
                self.up = snapshot.links.iter().map(|link| (link.index, link.up)).collect();
                self.ready.push_back(KernelEvent::Snapshot(snapshot));
                for event in std::mem::take(&mut self.kept) {
                    self.note(event);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the kernel's routes; trying again");
                self.ready.extend(std::mem::take(&mut self.kept));
                self.read_at = Some(Instant::now() + RETRY);
            }
        }
    }

    /// Reads all news that are there.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let mut news = Vec::new();
            let monitor = &mut self.monitor.get_mut().0;
            let more = monitor.receive(0, |message| news.extend(message::event(&message)));
            match more {
                Ok(more) => {
                    for event in news {
                        self.take(event);
                    }
                    if !more {
                        return Ok(());
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    tracing::debug!("news of the kernel were lost; reading all anew");
                    self.read_soon();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, event: KernelEvent) {
        if let KernelEvent::Route(_, route) = &event
            && !self.tables.contains(&route.table)
        {
            return;
        }
        if self.reading.is_none() {
            return self.note(event);
        }
        self.kept.push(event);
        if self.kept.len() > MAX_KEPT {
            self.kept.clear();
            self.read_soon();
        }
    }

    /// Hands an event on; one that silent changes go with has all read anew.
    fn note(&mut self, event: KernelEvent) {
        let silent = match &event {
            KernelEvent::Link(link) => {
                self.up.insert(link.index, link.up).is_some_and(|was| was != link.up)
            }
            KernelEvent::LinkGone(index) => self.up.remove(index).is_some(),
            KernelEvent::AddressGone(_) | KernelEvent::ObjectGone(_) => true,
            // A kernel may be told to leave out the legs behind an object.
            KernelEvent::Route(_, route) => is_bare(route),
            KernelEvent::Snapshot(_) | KernelEvent::Address(_) | KernelEvent::Object(_) => false,
        };
        if silent {
            self.read_soon();
        }
        self.ready.push_back(event);
    }

    fn read_soon(&mut self) {
        let (began, took) = self.last_read;
        let earliest = began + took.saturating_mul(READ_SHARE);
        self.read_at.get_or_insert_with(|| earliest.max(Instant::now() + SETTLE));
    }
}

/// Links first: a route whose link came later is then seen with a link that is not there, never
/// the other way round, and the news that follow mend it.
fn read_all(netlink: &mut Netlink, tables: &[u32]) -> io::Result<Snapshot> {
    let links = links::read_links(netlink)?;
    let addresses = links::read_addresses(netlink)?;
    let objects = netlink.objects()?;
    let mut routes = Vec::new();
    for table in tables {
        for family in Family::ALL {
            let number = message::family_number(family);
            routes.extend(netlink.dump(message::GET_ROUTE, number, *table, |message| {
                message::route(message.payload).filter(|route| route.table == *table)
            })?);
        }
    }
    if routes.iter().any(is_bare) {
        let by_id: BTreeMap<ObjectId, &ObjectContent> =
            objects.iter().flatten().map(|object| (object.id, &object.content)).collect();
        for route in routes.iter_mut().filter(|route| is_bare(route)) {
            let legs = route.object.map(|id| legs_behind(&by_id, id, 1)).unwrap_or_default();
            route.target = KernelTarget::Legs(legs);
        }
    }
    Ok(Snapshot { links, addresses, routes, objects })
}

/// Whether a route names an object and not the legs behind it.
fn is_bare(route: &KernelRoute) -> bool {
    route.object.is_some() && route.target == KernelTarget::Legs(Vec::new())
}

fn legs_behind(
    objects: &BTreeMap<ObjectId, &ObjectContent>,
    id: ObjectId,
    weight: u16,
) -> Vec<Leg> {
    match objects.get(&id) {
        Some(ObjectContent::Leg { gateway, link }) => {
            vec![Leg { gateway: Some(*gateway), link: *link, weight }]
        }
        Some(ObjectContent::Group(members)) => {
            let leg = |(id, weight): &(ObjectId, u16)| match objects.get(id) {
                Some(ObjectContent::Leg { gateway, link }) => {
                    Some(Leg { gateway: Some(*gateway), link: *link, weight: *weight })
                }
                Some(ObjectContent::Group(_) | ObjectContent::Other) | None => None,
            };
            let mut legs: Vec<Leg> = members.iter().filter_map(leg).collect();
            legs.sort_unstable();
            legs
        }
        Some(ObjectContent::Other) | None => Vec::new(),
    }
}

async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> io::Result<T> {
    match task {
        Some(task) => task.await.map_err(io::Error::other),
        None => pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

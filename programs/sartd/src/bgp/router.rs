//! The one task that owns the speaker and the route table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bgp_packet::PeerKind;
use bgp_speaker::{Best, ConnId, Event, Input, Output, Speaker};
use inet::{Family, NextHop, Prefix, RouteTarget, Timestamp};
use kernel::fib::{Fib, FibEvents};
use kernel::routes::OwnRoutes;
use node_api::Call;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use route_table::{Change, Errno, KernelEvent, Resolution, RouteTable, SourceId};
use sockets::{Dial, Sockets};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::clock::{Clock, Quiet};
use super::links::{self, Facts};
use super::owners::Owners;
use super::publish::Publisher;

/// BGP as a source of routes, and its distances: the ones that people know.
pub(super) const BGP: SourceId = SourceId(0);
const EXTERNAL_DISTANCE: u8 = 20;
const INTERNAL_DISTANCE: u8 = 200;

/// How long a dial may take.
const DIAL_TIME: Duration = Duration::from_secs(10);

/// Events of one kind that are taken one after another before the others have their turn.
const BURST: usize = 64;

/// Outputs that are worked on before inputs have their turn again.
const OUTPUTS: usize = 4096;

/// Kernel writes of one batch.
const BATCH: usize = 4096;

/// The pause before the kernel's news are asked for again after they stopped.
const REOPEN: Duration = Duration::from_secs(1);

/// How long stale kernel routes stay after choosing began. A peer that has restarted itself is not
/// waited for (RFC 4724 §4.1), but its routes are on their way.
const SWEEP_DELAY: Duration = Duration::from_secs(10);

/// How long closing the connections may take at the end.
const CLOSE_TIME: Duration = Duration::from_secs(3);

/// What a router is made of.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) speaker: Speaker,
    pub(super) table: RouteTable,
    /// The kernel's table that `table` writes to.
    pub(super) table_id: u32,
    pub(super) owners: Owners,
    pub(super) sockets: Sockets,
    pub(super) routes: OwnRoutes,
    pub(super) publisher: Publisher,
    pub(super) loop_time: Histogram,
    pub(super) write_failures: Counter,
    pub(super) restarting: bool,
}

/// Where news come from.
pub(super) struct Inputs {
    pub(super) sockets: mpsc::Receiver<sockets::Event>,
    pub(super) kernel: FibEvents,
    pub(super) calls: mpsc::Receiver<Call>,
}

/// The router.
pub(super) struct Router {
    pub(super) parts: Parts,
    /// The speaker's names of connections, and the sockets'.
    conns: HashMap<sockets::ConnId, ConnId>,
    socket_of: HashMap<ConnId, sockets::ConnId>,
    /// Our address of the session, by peer.
    local_addresses: BTreeMap<IpAddr, IpAddr>,
    /// Writes that wait for the batch under way.
    changes: Vec<Change>,
    writing: Option<JoinHandle<Written>>,
    /// The port that is listened on; none before the first time.
    port: Option<u16>,
    /// Addresses on which listening fails, and why.
    pub(super) deaf: BTreeMap<std::net::SocketAddr, String>,
    /// Why the kernel's news stopped.
    pub(super) kernel_lost: Option<String>,
    /// When they are asked for again.
    reopen_at: Option<Timestamp>,
    pub(super) settled: bool,
    /// When kernel routes of the run before that nobody has renewed are to go.
    sweep_at: Option<Timestamp>,
    owners_ready: bool,
    /// Outputs were left over.
    more: bool,
    quiet: Quiet,
}

type Written = Vec<(Prefix, Result<(), Errno>)>;

impl Router {
    pub(super) fn new(parts: Parts) -> Router {
        Router {
            parts,
            conns: HashMap::new(),
            socket_of: HashMap::new(),
            local_addresses: BTreeMap::new(),
            changes: Vec::new(),
            writing: None,
            port: None,
            deaf: BTreeMap::new(),
            kernel_lost: None,
            reopen_at: None,
            settled: false,
            sweep_at: None,
            owners_ready: false,
            more: false,
            quiet: Quiet::default(),
        }
    }

    /// Runs until `told` to end.
    pub(super) async fn run(
        mut self,
        mut inputs: Inputs,
        told: impl Future<Output = ()>,
    ) -> Router {
        tokio::pin!(told);
        self.wanted_changed();
        loop {
            let started = Instant::now();
            self.settle();
            self.write();
            self.publish();
            self.parts.loop_time.observe(started.elapsed().as_secs_f64());
            let clock = self.parts.clock;
            let wake = self.wake_at().map(|at| clock.instant(at));
            let reopen = self.reopen_at.map(|at| clock.instant(at));
            tokio::select! {
                () = &mut told => return self,
                Some(event) = inputs.sockets.recv() => {
                    self.socket(event);
                    for _ in 1..BURST {
                        let Ok(event) = inputs.sockets.try_recv() else { break };
                        self.settle();
                        self.socket(event);
                    }
                    self.parts.publisher.changed();
                }
                event = inputs.kernel.next(), if self.kernel_lost.is_none() => {
                    self.kernel(event);
                    self.parts.publisher.changed();
                }
                () = until(reopen) => {
                    if let Some(events) = self.reopen_kernel() {
                        inputs.kernel = events;
                    }
                    self.parts.publisher.changed();
                }
                written = finished(&mut self.writing) => self.written(written),
                Some(call) = inputs.calls.recv() => {
                    self.call(call);
                    self.parts.publisher.changed();
                }
                () = until(wake) => self.tick(),
            }
        }
    }

    /// Ends the sessions, with or without a word, and takes the routes away or leaves them.
    pub(super) async fn goodbye(mut self, keep: bool) -> anyhow::Result<()> {
        let now = self.parts.clock.now();
        self.parts.speaker.handle(now, Input::Shutdown { keep });
        while let Some(output) = self.parts.speaker.poll() {
            match output {
                Output::Send { .. } | Output::Close { .. } => self.speaker_output(now, output),
                Output::Connect { .. }
                | Output::Adopt { .. }
                | Output::Best(_)
                | Output::Track(_)
                | Output::Untrack(_)
                | Output::Settled
                | Output::Happened(_) => {}
            }
        }
        self.parts.sockets.shut_down(CLOSE_TIME).await;
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        if !keep {
            let removed = self.parts.routes.remove_all().await?;
            self.parts.owners.store().set_running(false)?;
            tracing::info!(removed, "our routes are taken away");
        }
        Ok(())
    }

    /// Does what the machines want done, as long as it is not too much at once.
    pub(super) fn settle(&mut self) {
        let now = self.parts.clock.now();
        for _ in 0..OUTPUTS {
            if let Some(output) = self.parts.speaker.poll() {
                self.speaker_output(now, output);
            } else if let Some(output) = self.parts.table.poll() {
                self.table_output(now, output);
            } else {
                self.more = false;
                return;
            }
        }
        self.more = true;
    }

    fn speaker_output(&mut self, now: Timestamp, output: Output) {
        match output {
            Output::Connect { conn, peer, local, ttl } => {
                let dial = Dial { remote: peer, local, ttl, timeout: DIAL_TIME };
                let socket = self.parts.sockets.connect(dial);
                self.conns.insert(socket, conn);
                self.socket_of.insert(conn, socket);
            }
            Output::Adopt { conn, ttl } => {
                if let Some(socket) = self.socket_of.get(&conn) {
                    self.parts.sockets.adopt(*socket, ttl);
                }
            }
            Output::Send { conn, bytes } => {
                if let Some(socket) = self.socket_of.get(&conn) {
                    self.parts.sockets.send(*socket, bytes);
                }
            }
            Output::Close { conn } => {
                if let Some(socket) = self.socket_of.remove(&conn) {
                    self.conns.remove(&socket);
                    self.parts.sockets.close(socket);
                }
            }
            Output::Best(best) => self.best(now, best),
            Output::Track(address) => {
                self.table_input(now, route_table::Input::Track(NextHop::from(address)));
            }
            Output::Untrack(address) => {
                self.table_input(now, route_table::Input::Untrack(NextHop::from(address)));
            }
            Output::Settled => {
                self.settled = true;
                self.sweep_at = Some(if self.parts.restarting { now + SWEEP_DELAY } else { now });
                // From here on a session that is lost leaves the forwarding state as it is.
                let families = Family::ALL.into_iter().collect();
                self.tell(now, Input::KernelSynced { families });
                tracing::info!("every prefix was chosen for");
            }
            Output::Happened(event) => self.happened(event),
        }
    }

    fn best(&mut self, now: Timestamp, best: Best) {
        let distance = match best.paths.first().map(|path| path.kind) {
            Some(PeerKind::External) | None => EXTERNAL_DISTANCE,
            Some(PeerKind::Internal) => INTERNAL_DISTANCE,
        };
        let hops: BTreeSet<NextHop> =
            best.paths.iter().map(|path| NextHop::from(path.next_hop.address)).collect();
        let target = (!hops.is_empty()).then(|| RouteTarget::Via(hops.into_iter().collect()));
        let prefix = best.prefix;
        self.table_input(now, route_table::Input::Update { source: BGP, distance, prefix, target });
    }

    fn table_output(&mut self, now: Timestamp, output: route_table::Output) {
        match output {
            route_table::Output::Change(change) => self.changes.push(change),
            route_table::Output::NextHop(hop, resolution) => {
                let metric = match resolution {
                    Resolution::Resolved { metric, .. } => Some(metric),
                    Resolution::Unresolved(_) => None,
                };
                self.tell(now, Input::NextHop { address: hop.address, metric });
            }
            route_table::Output::Link { name, up } => {
                self.tell(now, Input::Link { name, up });
                self.refresh_local_addresses(now);
            }
            route_table::Output::Addresses { .. } => self.refresh_local_addresses(now),
        }
    }

    pub(super) fn tell(&mut self, now: Timestamp, input: Input) {
        self.parts.speaker.handle(now, input);
    }

    fn table_input(&mut self, now: Timestamp, input: route_table::Input) {
        self.parts.table.handle(now, input);
    }

    fn socket(&mut self, event: sockets::Event) {
        use sockets::Event::{
            Accepted, Closed, ConnectFailed, Connected, Frame, ListenFailed, Listening, Room,
        };
        let now = self.parts.clock.now();
        match event {
            Listening { address } => {
                self.deaf.remove(&address);
                tracing::info!(%address, "listening for BGP");
            }
            ListenFailed { address, reason } => {
                tracing::warn!(%address, reason, "cannot listen for BGP; sessions we dial work");
                self.deaf.insert(address, reason);
            }
            Accepted { conn, local, remote } => {
                let speaker = ConnId::Accepted(conn.get());
                self.conns.insert(conn, speaker);
                self.socket_of.insert(speaker, conn);
                self.local_address(now, remote.ip(), local.ip());
                let (local, remote) = (local.ip(), remote.ip());
                self.tell(now, Input::Accepted { conn: speaker, local, remote });
            }
            Connected { conn, local, remote } => {
                let Some(speaker) = self.conns.get(&conn).copied() else { return };
                self.local_address(now, remote.ip(), local.ip());
                self.tell(now, Input::Connected { conn: speaker, local: local.ip() });
            }
            ConnectFailed { conn, reason } => {
                if let Some(conn) = self.gone(conn) {
                    self.tell(now, Input::ConnectFailed { conn, reason });
                }
            }
            Frame { conn, bytes } => {
                if let Some(speaker) = self.conns.get(&conn).copied() {
                    self.tell(now, Input::Frame { conn: speaker, bytes });
                }
            }
            Room { conn } => {
                if let Some(speaker) = self.conns.get(&conn).copied() {
                    let bytes = self.parts.sockets.room(conn);
                    self.tell(now, Input::Room { conn: speaker, bytes });
                }
            }
            Closed { conn, reason } => {
                if let Some(conn) = self.gone(conn) {
                    self.tell(now, Input::Closed { conn, reason });
                }
            }
        }
    }

    /// Forgets a connection that has ended; gives the speaker's name of it, if it was still wanted.
    fn gone(&mut self, socket: sockets::ConnId) -> Option<ConnId> {
        self.parts.sockets.forget(socket);
        let speaker = self.conns.remove(&socket)?;
        self.socket_of.remove(&speaker);
        Some(speaker)
    }

    fn local_address(&mut self, now: Timestamp, peer: IpAddr, local: IpAddr) {
        // Told also when it is as before: the speaker, which compares itself, may have made the
        // peer anew in between.
        let Facts { link, ipv4, ipv6 } = links::towards(&self.parts.table, peer, local);
        self.local_addresses.insert(peer, local);
        self.tell(now, Input::LocalAddress { peer, link, ipv4, ipv6 });
    }

    /// Links or addresses have changed.
    fn refresh_local_addresses(&mut self, now: Timestamp) {
        let known: Vec<_> = self.local_addresses.iter().map(|(p, local)| (*p, *local)).collect();
        for (peer, local) in known {
            self.local_address(now, peer, local);
        }
    }

    fn kernel(&mut self, event: std::io::Result<KernelEvent>) {
        match event {
            Ok(event) => {
                let now = self.parts.clock.now();
                if matches!(event, KernelEvent::Snapshot(_)) {
                    self.parts.publisher.kernel_read();
                }
                self.table_input(now, route_table::Input::Kernel(event));
            }
            Err(error) => {
                tracing::error!(%error, "the kernel's news stopped");
                self.kernel_lost = Some(error.to_string());
                self.reopen_at = Some(self.parts.clock.now() + REOPEN);
            }
        }
    }

    /// Opens both ways to the kernel anew; all is then read again.
    fn reopen_kernel(&mut self) -> Option<FibEvents> {
        match Fib::open(self.parts.routes.owner(), &[]) {
            Ok(Fib { routes, events }) => {
                self.parts.routes = routes;
                (self.kernel_lost, self.reopen_at) = (None, None);
                Some(events)
            }
            Err(error) => {
                self.kernel_lost = Some(error.to_string());
                self.reopen_at = Some(self.parts.clock.now() + REOPEN);
                None
            }
        }
    }

    /// Begins the next batch of kernel writes, when none is under way.
    fn write(&mut self) {
        if self.writing.is_some() || self.changes.is_empty() {
            return;
        }
        let rest = self.changes.split_off(self.changes.len().min(BATCH));
        let batch = std::mem::replace(&mut self.changes, rest);
        let routes = self.parts.routes.clone();
        self.writing = Some(tokio::spawn(async move {
            let prefixes: Vec<Prefix> = batch.iter().map(|change| change.prefix).collect();
            prefixes.into_iter().zip(routes.apply(batch).await).collect()
        }));
    }

    fn written(&mut self, written: Written) {
        let now = self.parts.clock.now();
        for (prefix, result) in written {
            if let Err(errno) = result {
                self.parts.write_failures.inc();
                if self.quiet.may_log() {
                    let error = std::io::Error::from_raw_os_error(errno.0);
                    tracing::warn!(%prefix, %error, "the kernel refused a route; tried again");
                }
            }
            self.table_input(now, route_table::Input::Applied { prefix, result });
        }
        self.parts.publisher.changed();
    }

    fn tick(&mut self) {
        let now = self.parts.clock.now();
        if self.parts.speaker.wake_at().is_some_and(|(at, _)| at <= now) {
            self.parts.speaker.tick(now);
        }
        if self.parts.table.wake_at().is_some_and(|at| at <= now) {
            self.parts.table.tick(now);
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.table_input(now, route_table::Input::Sweep);
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let speaker = self.parts.speaker.wake_at().map(|(at, _)| at);
        let more = self.more.then(|| self.parts.clock.now());
        let (table, publisher) = (self.parts.table.wake_at(), self.parts.publisher.wake_at());
        [speaker, table, publisher, self.sweep_at, more].into_iter().flatten().min()
    }

    /// The owners' documents have changed: what follows from them besides the speaker.
    pub(super) fn wanted_changed(&mut self) {
        let now = self.parts.clock.now();
        if !self.owners_ready && self.parts.owners.silent().is_empty() {
            self.owners_ready = true;
            self.tell(now, Input::OwnersReady);
        }
        let known = self.parts.speaker.peers().map(|peer| peer.config.address).collect();
        self.parts.sockets.set_known(known);
        let port = self.parts.owners.port();
        if self.port.replace(port) != Some(port) {
            self.deaf.clear();
            self.parts.sockets.listen(port);
        }
        let install = self.parts.owners.fib_table() == Some(self.parts.table_id);
        self.table_input(now, route_table::Input::Install(install));
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Session { peer, name, state, reason } => match reason {
                Some(reason) => tracing::warn!(%peer, name, %state, reason, "session"),
                None => tracing::info!(%peer, name, %state, "session"),
            },
            Event::Refused { remote, reason } => {
                if self.quiet.may_log() {
                    tracing::info!(%remote, %reason, "BGP connection refused");
                }
            }
            Event::Conflict(conflict) => tracing::warn!("{conflict}"),
            Event::Malformed { peer, what } => {
                if self.quiet.may_log() {
                    tracing::warn!(%peer, ?what, "a malformed UPDATE was survived (RFC 7606)");
                }
            }
            Event::SelectionDeferred { until } => {
                let until = self.parts.clock.unix(until);
                tracing::info!(until, "choosing waits for the peers' tables");
            }
            Event::SelectionBegan { timed_out } => tracing::info!(timed_out, "choosing begins"),
        }
    }
}

/// The result of a task, once; never when there is none.
async fn finished(task: &mut Option<JoinHandle<Written>>) -> Written {
    let Some(handle) = task else { return std::future::pending().await };
    let written = handle.await;
    *task = None;
    // A task that panicked has answered nothing; the route table learns from the kernel's news.
    written.unwrap_or_default()
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

//! The one task that owns the speaker and the route table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bgp_speaker::{Input, Output, Speaker};
use inet::{Family, NextHop, ScopedAddr, Timestamp};
use kernel::fib::FibEvents;
use kernel::routes::OwnRoutes;
use node_api::{Call, Events};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use route_table::{Resolution, RouteTable, Write};
use sockets::{Event, Found, Sockets};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::answers::Answers;
use super::burst;
use super::clock::{Clock, Quiet};
use super::conns::Conns;
use super::edges::{self, Edges};
use super::file::{Read, Reader};
use super::installs::Installs;
use super::listeners::Failures;
use super::metrics::Scrape;
use super::monitor::Monitor;
use super::owners::Owners;
use super::place::Placement;
use super::publish::Publisher;
use super::start::SELECTION_DEFERRAL;
use super::vrf::Heard;
use super::writes::{WAITING, Written, ended, finished};

/// Outputs that are worked on before inputs have their turn again.
const OUTPUTS: usize = 4096;

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
    /// Where its routes are in the kernel.
    pub(super) placement: Placement,
    /// The kernel's tables that are read.
    pub(super) tables: BTreeSet<u32>,
    pub(super) owners: Owners,
    pub(super) file: Reader,
    pub(super) sockets: Sockets,
    pub(super) routes: OwnRoutes,
    pub(super) edges: Edges,
    pub(super) events: Events,
    pub(super) publisher: Publisher,
    pub(super) loop_time: Histogram,
    pub(super) write_failures: Counter,
    pub(super) restarting: bool,
    /// What the API and health cannot listen on.
    pub(super) unheard: watch::Receiver<Failures>,
    /// How many hear of changes of best paths.
    pub(super) best_watchers: watch::Receiver<usize>,
}

/// Where news come from.
pub(super) struct Inputs {
    pub(super) sockets: mpsc::Receiver<Event>,
    pub(super) kernel: FibEvents,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) neighbors: mpsc::Receiver<Found>,
    pub(super) files: mpsc::Receiver<Read>,
    pub(super) scrapes: mpsc::Receiver<Scrape>,
}

/// The router.
pub(super) struct Router {
    pub(super) parts: Parts,
    pub(super) conns: Conns,
    pub(super) monitor: Monitor,
    /// Next hops that are followed, by their addresses.
    tracked: BTreeMap<ScopedAddr, NextHop>,
    /// Writes that wait for the batch under way.
    pub(super) changes: Vec<Write>,
    pub(super) writing: Option<JoinHandle<Written>>,
    /// Where BGP is heard; none before the first time.
    pub(super) heard: Option<Heard>,
    /// Addresses on which listening fails, and why.
    pub(super) deaf: BTreeMap<std::net::SocketAddr, String>,
    /// Why the kernel's news stopped.
    pub(super) kernel_lost: Option<String>,
    /// The kernel's news from now on.
    pub(super) reopened: Option<FibEvents>,
    /// When they are asked for again.
    pub(super) reopen_at: Option<Timestamp>,
    pub(super) settled: bool,
    /// When kernel routes of the run before that nobody has renewed are to go.
    sweep_at: Option<Timestamp>,
    owners_ready: bool,
    /// When owners that have not spoken are no longer waited for.
    owners_until: Timestamp,
    pub(super) installs: Installs,
    /// Outputs were left over.
    more: bool,
    /// Long answers under way.
    pub(super) answers: Answers,
    pub(super) quiet: Quiet,
}

impl Router {
    pub(super) fn new(parts: Parts) -> Router {
        Router {
            owners_until: parts.clock.now() + SELECTION_DEFERRAL,
            monitor: Monitor::new(parts.clock),
            parts,
            conns: Conns::default(),
            tracked: BTreeMap::new(),
            changes: Vec::new(),
            writing: None,
            heard: None,
            deaf: BTreeMap::new(),
            kernel_lost: None,
            reopened: None,
            reopen_at: None,
            settled: false,
            sweep_at: None,
            owners_ready: false,
            installs: Installs::default(),
            more: false,
            answers: Answers::default(),
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
        // The peers' keys are in force before the listener opens.
        self.settle();
        while self.more {
            self.settle();
        }
        self.wanted_changed();
        // Each branch below sets it: a turn begins when there is something to do.
        let mut woken = Instant::now();
        loop {
            // Not one of the branches below: they take turns, and time does not wait. What has
            // come in is read first, so that no timer ends a session that has spoken.
            if self.wake_at().is_some_and(|at| at <= self.parts.clock.now()) {
                let speaker = &self.parts.speaker;
                if !speaker.is_full() || speaker.has_due_timer(self.parts.clock.now()) {
                    self.take_events(&mut inputs.sockets, None);
                }
                self.tick();
            }
            self.settle();
            self.write();
            // Only now is it known whether something is still to be written.
            self.look_at_places(self.parts.clock.now());
            self.publish();
            self.work();
            self.tell_monitors();
            if let Some(events) = self.reopened.take() {
                inputs.kernel = events;
            }
            self.parts.loop_time.observe(woken.elapsed().as_secs_f64());
            let clock = self.parts.clock;
            let wake = self.wake_at().map(|at| clock.instant(at));
            let reopen = self.reopen_at.map(|at| clock.instant(at));
            tokio::select! {
                () = &mut told => return self,
                event = inputs.kernel.next(), if self.kernel_lost.is_none() => {
                    woken = Instant::now();
                    self.kernel(event);
                    self.parts.publisher.changed();
                }
                () = until(reopen) => {
                    woken = Instant::now();
                    self.reopen(self.parts.clock.now());
                    self.parts.publisher.changed();
                }
                () = self.parts.edges.bfd.changed() => {
                    woken = Instant::now();
                    self.bfd_news();
                    self.parts.publisher.changed();
                }
                Some(found) = inputs.neighbors.recv() => {
                    woken = Instant::now();
                    self.found(&found);
                    self.parts.publisher.changed();
                }
                () = self.monitor.news() => {
                    woken = Instant::now();
                    self.parts.publisher.changed();
                }
                Ok(()) = self.parts.unheard.changed() => {
                    woken = Instant::now();
                    self.parts.publisher.changed();
                }
                // They hear of what changes from the end of this turn on.
                Ok(()) = self.parts.best_watchers.changed() => woken = Instant::now(),
                // It is published below.
                () = self.parts.publisher.asked() => woken = Instant::now(),
                written = finished(&mut self.writing) => {
                    woken = Instant::now();
                    self.written(written);
                }
                removed = ended(&mut self.parts.placement.removing) => {
                    woken = Instant::now();
                    self.parts.placement.removing = None;
                    self.removed(removed);
                }
                Some(call) = inputs.calls.recv() => {
                    woken = Instant::now();
                    self.call(call);
                }
                Some(read) = inputs.files.recv() => {
                    woken = Instant::now();
                    self.reloaded(read);
                    self.parts.publisher.changed();
                }
                Some(scrape) = inputs.scrapes.recv() => {
                    woken = Instant::now();
                    self.scraped(&scrape);
                }
                () = until(wake) => woken = Instant::now(),
                // The runtime's timers have whole milliseconds: work that goes on waits for none.
                () = tokio::task::yield_now(), if self.is_busy() => woken = Instant::now(),
                // The last: `select!` begins with any of them and goes on in order, so that whoever
                // came behind this one would seldom be asked while messages pour in.
                Some(event) = inputs.sockets.recv(), if !self.parts.speaker.is_full() => {
                    woken = Instant::now();
                    self.take_events(&mut inputs.sockets, Some(event));
                }
            }
        }
    }

    /// Takes this event and those that wait behind it, up to a burst.
    fn take_events(&mut self, waiting: &mut mpsc::Receiver<Event>, first: Option<Event>) {
        burst::take(waiting, first, |event| self.socket(event));
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
                | Output::Peers(_)
                | Output::Find(_)
                | Output::Bfd(_)
                | Output::Redistribute(_)
                | Output::Settled
                | Output::Happened(_) => {}
            }
        }
        self.tell_monitors();
        let (bfd, sockets) = (self.parts.edges.bfd, self.parts.sockets);
        let sessions = async {
            bfd.stop().await;
            sockets.shut_down(CLOSE_TIME).await;
        };
        tokio::join!(self.monitor.end(), sessions);
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        if let Some(removing) = self.parts.placement.removing.take() {
            let _ = removing.await;
        }
        if !keep {
            let mut removed = 0;
            for owner in self.parts.placement.owners() {
                removed += OwnRoutes::open(owner, &[])?.remove_all().await?;
            }
            self.parts.placement.forget()?;
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
            } else if let Some(output) = self.poll_table() {
                self.table_output(now, output);
            } else {
                self.more = false;
                return;
            }
        }
        self.more = true;
    }

    /// Further writes only when the kernel has got on with those that wait.
    fn poll_table(&mut self) -> Option<route_table::Output> {
        match self.changes.len() < WAITING {
            true => self.parts.table.poll(),
            false => self.parts.table.poll_news(),
        }
    }

    fn speaker_output(&mut self, now: Timestamp, output: Output) {
        match output {
            Output::Connect { conn, peer, local, ttl, tcp } => {
                self.dial(now, conn, peer, local, (ttl, &tcp));
            }
            Output::Adopt { conn, ttl } => {
                if let Some(socket) = self.conns.socket(conn) {
                    self.parts.sockets.adopt(socket, ttl);
                }
            }
            Output::Send { conn, bytes } => {
                if let Some(socket) = self.conns.socket(conn) {
                    self.parts.sockets.send(socket, bytes);
                }
            }
            Output::Close { conn } => {
                if let Some(socket) = self.conns.remove(conn) {
                    self.parts.sockets.close(socket);
                }
            }
            Output::Best(best) => self.best(now, &best),
            Output::Track(address) => {
                let hop = edges::next_hop(address);
                self.tracked.insert(address, hop);
                self.table_input(now, route_table::Input::Track(hop));
                // Told at once: each path over it would be chosen without it, and then again.
                if self.parts.table.is_synced() {
                    let metric = metric(&self.parts.table.resolve(&hop));
                    self.tell(now, Input::NextHop { address, metric });
                }
            }
            Output::Untrack(address) => {
                // The link may be another one by now.
                if let Some(hop) = self.tracked.remove(&address) {
                    self.table_input(now, route_table::Input::Untrack(hop));
                }
            }
            Output::Peers(peers) => self.tcp_peers(peers),
            Output::Find(links) => self.find(&links),
            Output::Bfd(sessions) => self.bfd_wanted(sessions),
            Output::Redistribute(wanted) => self.redistribute(now, &wanted),
            Output::Settled => {
                self.settled = true;
                self.parts.publisher.changed();
                self.sweep_at = Some(if self.parts.restarting { now + SWEEP_DELAY } else { now });
                // From here on a session that is lost leaves the forwarding state as it is.
                let families = Family::ALL.into_iter().collect();
                self.tell(now, Input::KernelSynced { families });
                tracing::info!("every prefix was chosen for");
            }
            Output::Happened(event) => self.happened(now, event),
        }
    }

    fn table_output(&mut self, now: Timestamp, output: route_table::Output) {
        match output {
            route_table::Output::Change(change) => self.changes.push(change.into()),
            route_table::Output::Object(change) => self.changes.push(change.into()),
            route_table::Output::Redistributed(prefix, route) => {
                self.redistributed(now, prefix, route.as_ref());
            }
            route_table::Output::NextHop(hop, resolution) => {
                let metric = metric(&resolution);
                let address = ScopedAddr::new(hop.address, hop.interface);
                self.tell(now, Input::NextHop { address, metric });
            }
            route_table::Output::Link { name, up } => {
                self.tell(now, Input::Link { name, up });
                self.refresh_local_addresses(now);
                self.refresh_bfd();
            }
            route_table::Output::Addresses { .. } => {
                self.refresh_local_addresses(now);
                self.refresh_bfd();
            }
        }
    }

    pub(super) fn tell(&mut self, now: Timestamp, input: Input) {
        self.parts.speaker.handle(now, input);
    }

    pub(super) fn table_input(&mut self, now: Timestamp, input: route_table::Input) {
        self.parts.table.handle(now, input);
        self.parts.publisher.fib_changed();
    }

    fn tick(&mut self) {
        let now = self.parts.clock.now();
        if self.parts.speaker.wake_at().is_some_and(|(at, _)| at <= now) {
            self.parts.speaker.tick(now);
        }
        if self.parts.table.wake_at().is_some_and(|at| at <= now) {
            self.parts.table.tick(now);
            self.parts.publisher.fib_changed();
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.table_input(now, route_table::Input::Sweep);
        }
        if self.owners_until <= now {
            self.owners_ready(now);
        }
    }

    /// Stale routes of the run before were swept.
    pub(super) fn is_swept(&self) -> bool {
        self.settled && self.sweep_at.is_none()
    }

    /// Not all of what the machines want done was taken up.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// The machines have work for now; what is done in slices beside them is not meant.
    fn is_busy(&self) -> bool {
        let now = self.parts.clock.now();
        self.more || self.parts.speaker.wake_at().is_some_and(|(at, _)| at <= now)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let speaker = self.parts.speaker.wake_at().map(|(at, _)| at);
        let more = (self.more || !self.answers.is_empty()).then(|| self.parts.clock.now());
        let (table, publisher) = (self.parts.table.wake_at(), self.parts.publisher.wake_at());
        let owners = (!self.owners_ready).then_some(self.owners_until);
        let placement = self.parts.placement.wake_at();
        let all = [speaker, table, publisher, self.sweep_at, owners, more, placement];
        all.into_iter().chain([self.monitor.wake_at()]).flatten().min()
    }

    /// The owners' documents have changed: what follows from them besides the speaker.
    pub(super) fn wanted_changed(&mut self) {
        let now = self.parts.clock.now();
        if self.parts.owners.silent().is_empty() {
            self.owners_ready(now);
        }
        self.place_fib(now);
        self.listen();
        self.install(now, self.parts.owners.fib().is_some());
        self.monitors_wanted();
    }

    /// All owners have spoken, or those that have not are no longer waited for.
    fn owners_ready(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.owners_ready, true) {
            self.tell(now, Input::OwnersReady);
        }
    }
}

/// How far away a next hop is; none: it does not resolve.
fn metric(resolution: &Resolution) -> Option<u32> {
    match resolution {
        Resolution::Resolved { metric, .. } => Some(*metric),
        Resolution::Unresolved(_) => None,
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

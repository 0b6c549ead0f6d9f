//! The one task that owns the controller, and what it hears from.

mod ends;
mod vrf;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use health::{CheckHandle, Checks};
use inet::{Prefix, Timestamp};
use kernel::fib::{Fib, FibEvents};
use kernel::routes::{OwnRoutes, Owner, TABLE_MAIN};
use node_api::{FibCall, FibServer, Refusal, Token};
use prometheus_client::registry::Registry;
use route_table::{Input, KernelEvent, Write};
use router_config::{Channel, ChannelEnd, FibPlace, RouterEnd};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::bgp::{self, Heard};
use super::controller::{Controller, Do, Owners};
use super::kept::Kept;
use super::metrics::{Count, Metrics, Missing};
use super::show;
use super::tables::Tables;
use crate::bgp::open_health;

/// Events that wait for the controller's task.
const WAITING: usize = 256;
/// Events that are taken one after another before what follows from them is done.
const BURST: usize = 1024;
/// Kernel writes of one batch.
const BATCH: usize = 4096;
/// How often a port of health and metrics that is taken is tried again.
const HEALTH_AGAIN: Duration = Duration::from_secs(5);
/// How often routes are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How long counting may hold the controller's task at once.
const SLICE: Duration = Duration::from_micros(400);

/// What the controller runs with.
pub(super) struct Settings {
    pub(super) endpoint: SocketAddr,
    pub(super) health_port: u16,
    pub(super) socket: PathBuf,
    pub(super) token: Option<Token>,
    pub(super) keep: bool,
    pub(super) restart_time: Duration,
    pub(super) channels: Vec<Channel>,
}

/// What happened outside.
enum News {
    /// Of a table's way to the kernel, by its number.
    Kernel(FibPlace, u64, KernelEvent),
    KernelLost(FibPlace, u64, std::io::Error),
    Written(FibPlace, Vec<Input>),
    /// Nothing of ours is in a table any more that is not written.
    Emptied(u32),
    Router(Heard),
}

/// A table's way to the kernel.
struct Writer {
    /// The table's number; none: its VRF is not there.
    number: Option<u32>,
    /// Which way it is: news of those before are not heard.
    way: u64,
    listener: AbortHandle,
    routes: OwnRoutes,
    /// Tables that the VRF had before, which are to be emptied.
    left: Vec<OwnRoutes>,
    waiting: Vec<Write>,
    under_way: bool,
}

struct Running {
    start: Instant,
    controller: Controller,
    writers: BTreeMap<FibPlace, Writer>,
    /// Tables with routes of ours.
    tables: Tables,
    /// Those of them that are being emptied, or soon will be.
    emptying: BTreeSet<u32>,
    /// Why VRFs have no table.
    missing: BTreeMap<FibPlace, String>,
    /// What each router is to announce for a channel; none: as before.
    routers: BTreeMap<(RouterEnd, String), watch::Sender<Option<BTreeSet<Prefix>>>>,
    /// Those that tell them.
    tellers: JoinSet<()>,
    trouble: BTreeMap<RouterEnd, String>,
    news: mpsc::Sender<News>,
    token: Option<Token>,
    kept: Kept<Owners>,
    metrics: Metrics,
    kernel: CheckHandle,
    /// Tables that were not read since the start.
    unread: BTreeSet<FibPlace>,
    /// Something may be counted otherwise.
    changed: bool,
    /// A count under way.
    count: Option<Count>,
}

/// Runs until a signal ends it.
pub(super) async fn run(settings: Settings) -> anyhow::Result<()> {
    let Settings { endpoint, health_port, socket, token, keep, restart_time, channels } = settings;
    let (news, mut heard) = mpsc::channel(WAITING);
    let _held = ends::alone(&socket)?;
    let kept = Kept::<Owners>::open(&socket, "owners");
    let controller = Controller::new(channels.clone(), kept.last());
    let checks = Checks::new();
    let metrics = Metrics::default();
    let mut running = Running {
        start: Instant::now(),
        kernel: checks.add("kernel", "its routes were not read yet"),
        unread: controller.tables.keys().copied().collect(),
        metrics: metrics.clone(),
        changed: true,
        count: None,
        tables: Tables::open(&socket),
        emptying: BTreeSet::new(),
        missing: BTreeMap::new(),
        kept,
        controller,
        writers: BTreeMap::new(),
        routers: BTreeMap::new(),
        tellers: JoinSet::new(),
        trouble: BTreeMap::new(),
        news,
        token: token.clone(),
    };
    running.open_tables()?;
    running.open_routers(&channels);
    running.check();

    let (calls, mut requests) = mpsc::channel(64);
    let mut server = FibServer::new(calls);
    server.listen_unix(&socket).context(ends::NO_SOCKET)?;
    let bound = server.listen_tcp(endpoint, token).await?;
    let registry = Arc::new(metrics.registry());
    tokio::spawn(serve_health(health_port, checks, registry));
    tracing::info!(%bound, health_port, channels = channels.len(), "the FIB controller runs");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sweep = tokio::time::sleep(restart_time);
    tokio::pin!(sweep);
    let mut swept = false;
    let mut count = tokio::time::interval(COUNT_EVERY);
    count.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        running.work();
        let wake = running.controller.wake_at();
        let wake = wake.map(|at| tokio::time::Instant::from(running.start + at.elapsed()));
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(news) = heard.recv() => {
                running.take(news)?;
                for _ in 1..BURST {
                    let Ok(news) = heard.try_recv() else { break };
                    running.take(news)?;
                }
            }
            Some(call) = requests.recv() => running.call(call),
            () = &mut sweep, if !swept => {
                swept = true;
                let now = running.now();
                running.controller.sweep(now);
                running.kept.keep(running.controller.owners());
                running.empty_others()?;
            }
            () = until(wake) => {
                let now = running.now();
                running.controller.tick(now);
            }
            // In between all else, a slice at a time.
            () = std::future::ready(()), if running.count.is_some() => {
                running.go_on_counting();
                continue;
            }
            _ = count.tick() => {
                if std::mem::take(&mut running.changed) {
                    running.count.get_or_insert_default();
                }
                continue;
            }
        }
        running.changed = true;
    }
    tracing::info!(keep, "ending");
    server.stop().await;
    running.goodbye(keep, heard).await
}

impl Running {
    fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.start.elapsed())
    }

    fn open_tables(&mut self) -> anyhow::Result<()> {
        for place in self.controller.tables.keys() {
            let number = match place {
                FibPlace::Table(number) => Some(*number),
                // Its device is found among the links that are read at first.
                FibPlace::Vrf(_) => None,
            };
            if let Some(number) = number
                && self.controller.writes(*place)
            {
                self.tables.add(number);
            }
            let (routes, listener) = open(*place, 0, number, &self.news)?;
            let (left, waiting, under_way) = (Vec::new(), Vec::new(), false);
            let writer = Writer { number, way: 0, listener, routes, left, waiting, under_way };
            self.writers.insert(*place, writer);
        }
        Ok(())
    }

    fn open_routers(&mut self, channels: &[Channel]) {
        let mut asked = BTreeSet::new();
        for channel in channels {
            for end in &channel.subscribers {
                if let ChannelEnd::Bgp { endpoint } = end
                    && asked.insert((endpoint.clone(), channel.ip_version))
                {
                    let (from, to) = mpsc::channel(1);
                    tokio::spawn(bgp::listen(endpoint.clone(), channel.ip_version, from));
                    tokio::spawn(forward(to, self.news.clone()));
                }
            }
            for end in &channel.publishers {
                if let ChannelEnd::Bgp { endpoint } = end {
                    let (sender, prefixes) = watch::channel(None);
                    let (name, token) = (channel.name.clone(), self.token.clone());
                    let tell = bgp::tell(endpoint.clone(), name.clone(), token, prefixes);
                    self.tellers.spawn(tell);
                    self.routers.insert((endpoint.clone(), name), sender);
                }
            }
        }
    }

    fn take(&mut self, news: News) -> anyhow::Result<()> {
        let now = self.now();
        match news {
            News::Kernel(table, way, event) => {
                if !self.is_way(table, way) {
                    return Ok(());
                }
                let (whole, of_links) = match &event {
                    KernelEvent::Snapshot(_) => (true, true),
                    KernelEvent::Link(_) | KernelEvent::LinkGone(_) => (false, true),
                    KernelEvent::Route(..)
                    | KernelEvent::Address(_)
                    | KernelEvent::AddressGone(_)
                    | KernelEvent::Object(_)
                    | KernelEvent::ObjectGone(_) => (false, false),
                };
                self.controller.kernel(now, table, event);
                if of_links {
                    self.follow(table)?;
                }
                // With the way changed, all is read again.
                if whole && self.is_way(table, way) && self.unread.remove(&table) {
                    self.check();
                }
            }
            News::KernelLost(table, way, _) if !self.is_way(table, way) => {}
            News::KernelLost(table, _, error) => {
                // Routes stay; whoever started this starts it again, and it finds them.
                return Err(error).with_context(|| format!("the kernel's news of table {table}"));
            }
            News::Emptied(table) => {
                self.emptying.remove(&table);
                self.tables.remove(table);
                self.follow_missing()?;
            }
            News::Written(table, answers) => {
                if let Some(writer) = self.writers.get_mut(&table) {
                    writer.under_way = false;
                }
                for answer in answers {
                    self.controller.input(now, table, answer);
                }
            }
            News::Router(Heard { endpoint, family, routes, problem }) => {
                match problem {
                    Some(problem) => self.trouble.insert(endpoint.clone(), problem),
                    None => self.trouble.remove(&endpoint),
                };
                self.controller.router(now, &endpoint, family, routes.as_ref());
            }
        }
        Ok(())
    }

    /// Does what is to be done.
    fn work(&mut self) {
        let now = self.now();
        for todo in self.controller.poll(now) {
            match todo {
                Do::Write(table, write) => {
                    if let Some(writer) = self.writers.get_mut(&table) {
                        writer.waiting.push(write);
                    }
                }
                Do::Announce(channel, endpoint, prefixes) => {
                    if let Some(router) = self.routers.get(&(endpoint, channel)) {
                        let prefixes = Some(prefixes);
                        router.send_if_modified(|known| {
                            let changed = *known != prefixes;
                            *known = prefixes;
                            changed
                        });
                    }
                }
            }
        }
        for (number, writer) in &mut self.writers {
            if writer.under_way {
                continue;
            }
            for left in writer.left.drain(..) {
                vrf::empty(left, self.news.clone());
            }
            if writer.waiting.is_empty() {
                continue;
            }
            writer.under_way = true;
            let rest = writer.waiting.split_off(writer.waiting.len().min(BATCH));
            let batch = std::mem::replace(&mut writer.waiting, rest);
            let (table, routes, news) = (*number, writer.routes.clone(), self.news.clone());
            let failures = self.metrics.write_failures.clone();
            tokio::spawn(async move {
                let results = routes.write(batch.clone()).await;
                let refused = results.iter().filter(|result| result.is_err()).count();
                if refused > 0 {
                    failures.inc_by(refused as u64);
                    tracing::warn!(%table, refused, "the kernel refused writes; tried again");
                }
                let answers = batch.iter().zip(results).map(|(w, result)| w.done(result)).collect();
                let _ = news.send(News::Written(table, answers)).await;
            });
        }
    }

    fn call(&mut self, call: FibCall) {
        let now = self.now();
        match call {
            FibCall::Set(request, reply) => {
                let answer = self.controller.set(now, &request);
                self.kept.keep(self.controller.owners());
                reply.send(answer.map_err(Refusal::Invalid));
            }
            FibCall::Forget(request, reply) => {
                self.controller.forget(now, &request.owner, &request.channel);
                self.kept.keep(self.controller.owners());
                reply.send(Ok(node_api::v1::SetRoutesReply {
                    accepted: true,
                    ..Default::default()
                }));
            }
            FibCall::Channels(reply) => {
                let trouble = |endpoint: &RouterEnd| self.trouble.get(endpoint).cloned();
                let missing = |place| self.missing.get(&place).cloned();
                reply.send(Ok(show::channels(&self.controller, trouble, missing)));
            }
            FibCall::Routes(request, reply) => {
                reply.send(show::routes(&self.controller, &request));
            }
        }
    }

    /// Ready when all tables were read.
    fn check(&self) {
        if self.unread.is_empty() {
            self.kernel.pass();
        }
    }

    /// Counts a little further for the next scrapes.
    fn go_on_counting(&mut self) {
        let Some(count) = &mut self.count else { return };
        let missing = Missing { routers: self.trouble.len(), vrfs: self.missing.len() };
        if count.go_on(SLICE, &self.controller, missing, &self.metrics) {
            self.count = None;
        }
    }
}

/// Opens a table's way to the kernel; news come from now on.
fn open(
    table: FibPlace,
    way: u64,
    number: Option<u32>,
    news: &mpsc::Sender<News>,
) -> anyhow::Result<(OwnRoutes, AbortHandle)> {
    let owner = Owner::FIB.in_table(number.unwrap_or_default());
    let Fib { routes, events } = Fib::open_reading(owner, &[], &[TABLE_MAIN])
        .with_context(|| format!("cannot talk to the kernel about table {table}"))?;
    let listener = tokio::spawn(listen(table, way, events, news.clone()));
    Ok((routes, listener.abort_handle()))
}

async fn listen(table: FibPlace, way: u64, mut events: FibEvents, news: mpsc::Sender<News>) {
    loop {
        let event = events.next().await;
        let lost = event.is_err();
        let told = match event {
            Ok(event) => News::Kernel(table, way, event),
            Err(error) => News::KernelLost(table, way, error),
        };
        if news.send(told).await.is_err() || lost {
            return;
        }
    }
}

/// Another program's port does not keep routes out of the kernel: it is tried again.
async fn serve_health(port: u16, checks: Checks, registry: Arc<Registry>) {
    let mut warned = false;
    loop {
        match open_health(port, &checks, &registry).await {
            // Served for as long as it is held.
            Ok(_server) => std::future::pending().await,
            Err(error) if !warned => {
                tracing::warn!(
                    port,
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "HealthListenFailed"
                );
                warned = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(HEALTH_AGAIN).await;
    }
}

async fn forward(mut from: mpsc::Receiver<Heard>, to: mpsc::Sender<News>) {
    while let Some(heard) = from.recv().await {
        if to.send(News::Router(heard)).await.is_err() {
            return;
        }
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

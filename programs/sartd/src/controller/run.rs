//! The loop: watches and outcomes into the planner, its writes and notes out of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cluster_api::keys;
use cluster_api::world::{Action, Note, Outcome, Seen, Target};
use cluster_io::{LeaseName, Recorder, Scope, Watches, Writer, lead};
use cluster_plan::{Change, Now, Output, Planner, Settings, Ticket};
use health::{Checks, Server};
use inet::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use kube::{Api, Client, Resource};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::metrics::Metrics;
use super::{Args, leftovers};

/// Writes under way at the API server.
const WRITES: usize = 32;
/// Writes handed out by the planner and not done yet; it is not asked for more beyond that.
const HANDED_OUT: usize = 256;
/// Notes that wait to be told; more are dropped.
const NOTES: usize = 4096;
/// Changes that wait for the planner; the watches wait beyond that.
const CHANGES: usize = 1024;
/// Changes taken at once before the planner is asked for writes.
const AT_ONCE: usize = 512;
const METRICS_EVERY: Duration = Duration::from_secs(2);
/// At the end: for writes under way, then for giving the Lease back.
const GOODBYE: Duration = Duration::from_secs(4);

type Wrote = (Ticket, Outcome);

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let name = args.name.clone().unwrap_or_else(|| format!("controller-{}", std::process::id()));
    let client = cluster_io::client().await?;
    let checks = Checks::new();
    let listed = checks.add("listed", "nothing has been listed yet");
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let registry = Arc::new(registry);
    let _server = serve(&args, &checks, &registry).await?;

    let (mut watches, mut changes) = Watches::new(CHANGES);
    watch_all(&mut watches, &client);
    let lease = LeaseName {
        namespace: args.namespace.clone(),
        name: keys::CONTROLLER.to_owned(),
        holder: name.clone(),
    };
    let (give_back, stop_election) = oneshot::channel::<()>();
    let (mut leadership, election) = lead(client.clone(), lease, async {
        // Told to stop, or the loop is gone: either way it is over.
        let _over = stop_election.await;
    });
    let election = tokio::spawn(election);
    let writer = Writer::new(client.clone(), keys::CONTROLLER, WRITES);
    let notes = tell_notes(Recorder::new(client.clone(), keys::CONTROLLER, &name));
    let (done, mut outcomes) = mpsc::channel::<Wrote>(HANDED_OUT);
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    let mut metrics_tick = tokio::time::interval(METRICS_EVERY);
    let mut cleaned = false;

    let start = Instant::now();
    let mut planner = Planner::new(Settings { require_class: args.require_class });
    let mut handed_out = 0usize;
    info!(replica = name, "started");
    loop {
        let wake = wait(&planner, start, leadership.until(), handed_out);
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(change) = changes.recv() => {
                let now = now(start);
                planner.handle(&now, change);
                // A burst is taken as one, so that nothing is computed for what is past already.
                for _ in 0..AT_ONCE {
                    let Ok(change) = changes.try_recv() else { break };
                    planner.handle(&now, change);
                }
            }
            Some((ticket, outcome)) = outcomes.recv() => {
                handed_out = handed_out.saturating_sub(1);
                planner.handle(&now(start), Change::Wrote(ticket, outcome));
            }
            going_on = leadership.changed() => anyhow::ensure!(going_on, "the election ended"),
            _ = metrics_tick.tick() => metrics.show(&planner),
            () = tokio::time::sleep(wake) => {}
        }
        let leads = leadership.leads();
        if planner.leads() != leads {
            planner.handle(&now(start), Change::Leading(leads));
            if leads && !cleaned {
                cleaned = true;
                tokio::spawn(leftovers::clean(client.clone(), writer.clone()));
            }
        }
        match planner.world().unlisted().as_slice() {
            [] => listed.pass(),
            kinds => listed.fail(&format!("not listed yet: {}", kinds.join(", "))),
        }
        while handed_out < HANDED_OUT {
            match planner.poll(&now(start)) {
                Some(Output::Write(ticket, write)) => {
                    handed_out += 1;
                    let (writer, done) = (writer.clone(), done.clone());
                    tokio::spawn(async move {
                        let outcome = writer.write(&write).await;
                        log(&write.target, &write.action, &outcome);
                        // Nobody listens any more at the end.
                        let _over = done.send((ticket, outcome)).await;
                    });
                }
                Some(Output::Note(note)) => {
                    if notes.try_send(note).is_err() {
                        debug!("too many notes at once, one was dropped");
                    }
                }
                None => break,
            }
        }
    }
    info!("ending");
    drop(done);
    // What is under way is over before another may lead.
    let rest = async { while outcomes.recv().await.is_some() {} };
    if timeout(GOODBYE, rest).await.is_err() {
        warn!("some writes are still under way");
    }
    drop(give_back);
    if timeout(GOODBYE, election).await.is_err() {
        warn!("the Lease could not be given back in time");
    }
    Ok(())
}

/// How long nothing is to do unless something happens.
fn wait(
    planner: &Planner,
    start: Instant,
    leads_until: Option<Instant>,
    handed_out: usize,
) -> Duration {
    let mut wait = Duration::from_secs(10);
    if handed_out < HANDED_OUT
        && let Some(at) = planner.wake_at()
    {
        wait = wait.min(at.since(now(start).at));
    }
    if planner.leads()
        && let Some(until) = leads_until
    {
        wait = wait.min(until.saturating_duration_since(Instant::now()));
    }
    wait
}

fn now(start: Instant) -> Now {
    Now { at: Timestamp::from_elapsed(start.elapsed()), wall: Time(jiff::Timestamp::now()) }
}

async fn serve(args: &Args, checks: &Checks, registry: &Arc<Registry>) -> anyhow::Result<Server> {
    let at = |address| SocketAddr::new(address, args.http_port);
    let first = Server::start(at(args.http_address), checks.clone(), registry.clone()).await;
    match first {
        // A host without IPv6.
        Err(_) if args.http_address.is_unspecified() && args.http_address.is_ipv6() => {
            let address = at(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            Ok(Server::start(address, checks.clone(), registry.clone()).await?)
        }
        other => Ok(other?),
    }
}

fn watch_all(watches: &mut Watches<Change>, client: &Client) {
    watch(watches, client, Change::Pool);
    watch(watches, client, Change::Block);
    watch(watches, client, Change::Request);
    watch(watches, client, Change::Claim);
    watch(watches, client, Change::Template);
    watch(watches, client, Change::Cluster);
    watch(watches, client, Change::NodeBgp);
    watch(watches, client, Change::Peer);
    watch(watches, client, Change::Advertisement);
    watch(watches, client, Change::Service);
    watch(watches, client, Change::Node);
}

/// Watches all objects of a kind.
fn watch<K>(
    watches: &mut Watches<Change>,
    client: &Client,
    wrap: impl Fn(Seen<K>) -> Change + Send + Sync + 'static,
) where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
    K: Send + Sync + 'static,
{
    watches.add(Api::all(client.clone()), Scope::default(), wrap);
}

/// Tells notes one after the other, apart from the loop.
fn tell_notes(recorder: Recorder) -> mpsc::Sender<Note> {
    let (send, mut notes) = mpsc::channel::<Note>(NOTES);
    tokio::spawn(async move {
        while let Some(note) = notes.recv().await {
            recorder.tell(&note).await;
        }
    });
    send
}

pub(super) fn log(target: &Target, action: &Action, outcome: &Outcome) {
    let (kind, namespace, name) = (target.kind.name(), &target.namespace, &target.name);
    let what = match action {
        Action::Create(_) => "create",
        Action::Apply(_) | Action::Merge(_) => "change",
        Action::ApplyStatus(_) | Action::MergeStatus(_) => "status",
        Action::Delete { .. } => "delete",
    };
    match outcome {
        Outcome::Done(_) => debug!(kind, namespace, name, what, "written"),
        Outcome::Exists | Outcome::Conflict => {
            debug!(kind, namespace, name, what, "changed meanwhile, looking again");
        }
        Outcome::Later(why) => debug!(kind, namespace, name, what, why, "cannot write now"),
        Outcome::Refused(why) => warn!(kind, namespace, name, what, why, "the API server refuses"),
    }
}

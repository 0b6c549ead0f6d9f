//! From flags and files to a running router, and its end.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bgp_speaker::{Input, Speaker, SpeakerConfig};
use health::Checks;
use inet::Family;
use kernel::fib::Fib;
use kernel::routes::{OwnRoutes, Owner, RouteError, TABLE_MAIN};
use node_api::{Server, Token, Views};
use route_table::RouteTable;
use router_config::Document;
use sockets::{Neighbors, Sockets};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::bfd_task::BfdTask;
use super::clock::Clock;
use super::edges::Edges;
use super::file::{Reader, Source};
use super::listeners::{Failures, Listeners};
use super::metrics::Metrics;
use super::owners::{FILE, Owners};
use super::place::Placement;
use super::publish::Publisher;
use super::router::{Inputs, Parts, Router};
use super::store::Store;
use super::{Args, OnExit, vrf};

/// How long choosing waits for the peers' tables after a restart (RFC 4724 §4.1, Selection Deferral
/// Timer), and after any start for owners that stay silent. Well below the time for which peers keep
/// our routes.
pub(super) const SELECTION_DEFERRAL: Duration = Duration::from_secs(30);

/// How long the kernel's routes may take to be read at the start.
const KERNEL_TIME: Duration = Duration::from_secs(60);

/// Requests that may wait for the router's task.
const CALLS: usize = 64;

/// The document of the file with the flags laid over it; none when neither is given.
pub(super) fn document(source: &Source) -> anyhow::Result<Option<Document>> {
    let document = source.read().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })?;
    Ok(source.is_there(&document).then_some(document))
}

/// Runs the router until a signal ends it.
pub(super) async fn run(
    args: Args,
    source: Source,
    document: Option<Document>,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    // Before anything else: without a handler it would end the router.
    let hangup = signal(SignalKind::hangup())?;
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let (grpc, health_port) = source.addresses(document.as_ref());
    if token.is_some() && !grpc.ip().to_canonical().is_loopback() {
        tracing::warn!(
            address = %grpc,
            "token-in-clear: whoever changes the router over the network shows the token; keep \
             `grpc` on 127.0.0.1, and go through ssh or the unix socket"
        );
    }

    let store = Store::open(&args.run_dir)?;
    let was_running = store.was_running();
    let mut owners = Owners::new(store, args.expect_owner.iter().cloned().collect());
    let mut desired = owners.load();
    if let Some(document) = document {
        desired.push((FILE.to_owned(), owners.set_file(document)?));
    }

    let install = owners.fib().is_some();
    let placement = match owners.fib() {
        Some((place, options)) => {
            let table = vrf::table_of(place).context("cannot read the kernel's links")?;
            Placement::open(&args.run_dir, Some((place, options, table)))
        }
        None => Placement::open(&args.run_dir, None),
    };
    let mut tables = owners.redistributed_tables();
    tables.extend([placement.place.table, TABLE_MAIN]);
    let Fib { routes, events: mut kernel_events } =
        open(placement.owner(), &tables).context("cannot talk to the kernel")?;
    // Before any session: a next hop that does not resolve yet would take routes away that the run
    // before has left.
    let first = tokio::time::timeout(KERNEL_TIME, kernel_events.next())
        .await
        .context("the kernel does not tell its routes")?
        .context("cannot read the kernel's routes")?;
    let mut table = RouteTable::new(placement.config(install));
    table.handle(clock.now(), placement.former());
    table.handle(clock.now(), route_table::Input::Kernel(first));
    let found = found(&placement).await.context("cannot read the kernel's routes")?;
    let restarting = was_running || found > 0;
    // The F bit says that what we announced is still forwarded. It is where our routes are still
    // in the kernel, and where none are written at all.
    let preserved =
        if found == 0 && install { BTreeSet::new() } else { BTreeSet::from(Family::ALL) };
    owners.store().set_running(true).context("cannot write to the run directory")?;

    let now = clock.now();
    let config = SpeakerConfig {
        seed: RandomState::new().hash_one(std::process::id()),
        restarting: restarting.then_some(SELECTION_DEFERRAL),
    };
    let mut speaker = Speaker::new(now, config);
    if restarting {
        tracing::info!(kernel_routes = found, "restarting: a router ran here before");
        speaker.handle(now, Input::KernelSynced { families: preserved });
    }
    for (owner, doc) in desired {
        speaker.handle(now, Input::Desired { owner, doc });
    }
    if speaker.global().is_none() {
        tracing::warn!(
            waiting_for = args.expect_owner.join(", "),
            "NotConfigured: no owner has given an AS number and a router id; until one does (a \
             file with -f, --as with --router-id, `sart bgp apply`) no session begins"
        );
    }

    let (calls, requests) = mpsc::channel(CALLS);
    let checks = Checks::new();
    let (metrics, scrapes) = Metrics::new();
    let publisher = Publisher::new(&checks);
    let views = Views { neighbors: publisher.neighbors(), advertised: publisher.advertised() };
    let mut server = Server::new(calls, views);
    server.listen_unix(&args.run_dir.join("router.sock"))?;
    let loop_time = metrics.loop_time();
    let write_failures = metrics.write_failures();
    let events = server.events();
    let best_watchers = events.best_watchers();
    let (failures, unheard) = watch::channel(Failures::new());
    let mut listeners = Listeners {
        server,
        grpc,
        token,
        health_port,
        checks,
        registry: Arc::new(metrics.registry()),
        failures,
        api: false,
        health: None,
    };
    listeners.open().await;

    let (sockets, socket_events) = Sockets::batched();
    let (search, neighbors) = Neighbors::new();
    let edges = Edges::new(search, BfdTask::start(clock));
    let (file, files) = Reader::new(source, (grpc, health_port));
    let hangups = file.at_each(hangup);
    let parts = Parts {
        clock,
        speaker,
        table,
        placement,
        tables,
        owners,
        file,
        sockets,
        routes,
        edges,
        events,
        publisher,
        loop_time,
        write_failures,
        restarting,
        unheard,
        best_watchers,
    };
    parts.publisher.kernel_read();
    let inputs = Inputs {
        sockets: socket_events,
        kernel: kernel_events,
        calls: requests,
        neighbors,
        files,
        scrapes,
    };
    let router = Router::new(parts);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = listeners.keep_trying() => {}
            () = hangups => {}
        }
    };
    let router = router.run(inputs, told).await;
    tracing::info!(on_exit = ?args.on_exit, "ending");
    listeners.server.stop().await;
    tokio::select! {
        done = router.goodbye(args.on_exit == OnExit::Keep) => done,
        _ = terminate.recv() => anyhow::bail!("told to end twice: ended without a goodbye"),
        _ = interrupt.recv() => anyhow::bail!("told to end twice: ended without a goodbye"),
    }
}

/// How many routes of the run before are in the kernel, in whichever of its places.
async fn found(placement: &Placement) -> Result<usize, RouteError> {
    let mut found = 0;
    for owner in placement.owners() {
        found += OwnRoutes::open(owner, &[])?.list().await?.len();
    }
    Ok(found)
}

/// Opens both ways to the kernel, reading these tables.
pub(super) fn open(owner: Owner, tables: &BTreeSet<u32>) -> Result<Fib, RouteError> {
    Fib::open_reading(owner, &[], &tables.iter().copied().collect::<Vec<_>>())
}

fn read_token(path: &Path) -> anyhow::Result<Token> {
    let name = || format!("the token file {}", path.display());
    let text = fs::read_to_string(path).with_context(name)?;
    Token::new(&text).with_context(name)
}

//! From flags and files to a running router, and its end.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bgp_speaker::{Input, Speaker, SpeakerConfig};
use health::Checks;
use inet::Family;
use kernel::fib::Fib;
use kernel::routes::{Owner, RouteError, TABLE_MAIN};
use node_api::{Server, Token, Views};
use route_table::RouteTable;
use router_config::Document;
use sockets::{Neighbors, Sockets};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::bfd_task::BfdTask;
use super::clock::Clock;
use super::edges::Edges;
use super::listeners::{Failures, Listeners};
use super::metrics::Metrics;
use super::owners::{self, FILE, Owners};
use super::publish::Publisher;
use super::router::{Inputs, Parts, Router};
use super::store::Store;
use super::{Args, OnExit};

/// The largest configuration file.
const MAX_FILE: u64 = 64 << 20;

/// How long choosing waits for the peers' tables after a restart (RFC 4724 §4.1, Selection Deferral
/// Timer), and after any start for owners that stay silent. Well below the time for which peers keep
/// our routes.
pub(super) const SELECTION_DEFERRAL: Duration = Duration::from_secs(30);

/// How long the kernel's routes may take to be read at the start.
const KERNEL_TIME: Duration = Duration::from_secs(60);

/// Requests that may wait for the router's task.
const CALLS: usize = 64;

/// The document of the file with the flags laid over it; none when neither is given.
pub(super) fn document(args: &Args) -> anyhow::Result<Option<Document>> {
    let mut document = match &args.file {
        Some(path) => read_document(path)?,
        None => Document::default(),
    };
    let flags = Document {
        asn: args.asn,
        router_id: args.router_id,
        fib_endpoint: args.fib.clone(),
        exporter: args.exporter.clone(),
        ..Document::default()
    };
    document.merge(flags);
    if let Some(table) = args.table_id {
        match &mut document.fib {
            Some(fib) => fib.table = table,
            None => document.fib_table = Some(table),
        }
    }
    if document.exporter.is_some() {
        tracing::warn!("`exporter` has no meaning any more: routes are shown by `sart`");
    }
    if document.fib_endpoint.is_some() {
        tracing::warn!("the endpoint of `fib` has no meaning any more: the kernel is written to");
    }
    // Checked here, so that a wrong file ends the program with a sentence.
    owners::desired(&document, &name(args))?;
    Ok((args.file.is_some() || !document.is_empty()).then_some(document))
}

fn name(args: &Args) -> String {
    args.file.as_deref().map_or(FILE.to_owned(), |path| path.display().to_string())
}

fn read_document(path: &Path) -> anyhow::Result<Document> {
    let name = path.display().to_string();
    let file = fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(text.len() as u64 <= MAX_FILE, "{name} is larger than {MAX_FILE} bytes");
    Document::parse(&text, &name).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}

/// Runs the router until a signal ends it.
pub(super) async fn run(args: Args, document: Option<Document>) -> anyhow::Result<()> {
    let clock = Clock::start();
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let (grpc, health_port) = addresses(&args, document.as_ref())?;

    let store = Store::open(&args.run_dir)?;
    let was_running = store.was_running();
    let mut owners = Owners::new(store, args.expect_owner.iter().cloned().collect());
    let mut desired = owners.load();
    if let Some(document) = document {
        desired.push((FILE.to_owned(), owners.set_file(document)?));
    }

    let table_id = owners.fib_table_or_default();
    let install = owners.fib_table().is_some();
    let owner = Owner::ROUTER.in_table(table_id);
    let mut tables = owners.redistributed_tables();
    tables.extend([table_id, TABLE_MAIN]);
    let Fib { routes, events: mut kernel_events } =
        open(owner, &tables).context("cannot talk to the kernel")?;
    // Before any session: a next hop that does not resolve yet would take routes away that the run
    // before has left.
    let first = tokio::time::timeout(KERNEL_TIME, kernel_events.next())
        .await
        .context("the kernel does not tell its routes")?
        .context("cannot read the kernel's routes")?;
    let mut table = RouteTable::new(kernel::fib::config(owner, install));
    table.handle(clock.now(), route_table::Input::Kernel(first));
    let found = routes.list().await.context("cannot read the kernel's routes")?;
    let restarting = was_running || !found.is_empty();
    // The F bit says that what we announced is still forwarded. It is where our routes are still
    // in the kernel, and where none are written at all.
    let preserved =
        if found.is_empty() && install { BTreeSet::new() } else { BTreeSet::from(Family::ALL) };
    owners.store().set_running(true).context("cannot write to the run directory")?;

    let now = clock.now();
    let config = SpeakerConfig {
        seed: RandomState::new().hash_one(std::process::id()),
        restarting: restarting.then_some(SELECTION_DEFERRAL),
    };
    let mut speaker = Speaker::new(now, config);
    if restarting {
        tracing::info!(kernel_routes = found.len(), "restarting: a router ran here before");
        speaker.handle(now, Input::KernelSynced { families: preserved });
    }
    for (owner, doc) in desired {
        speaker.handle(now, Input::Desired { owner, doc });
    }

    let (calls, requests) = mpsc::channel(CALLS);
    let checks = Checks::new();
    let metrics = Metrics::new();
    let publisher = Publisher::new(&checks, metrics.view());
    let views = Views { neighbors: publisher.neighbors(), advertised: publisher.advertised() };
    let mut server = Server::new(calls, views);
    server.listen_unix(&args.run_dir.join("router.sock"))?;
    let loop_time = metrics.loop_time();
    let write_failures = metrics.write_failures();
    let events = server.events();
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
    let parts = Parts {
        clock,
        speaker,
        table,
        table_id,
        tables,
        owners,
        sockets,
        routes,
        edges,
        events,
        publisher,
        loop_time,
        write_failures,
        restarting,
        unheard,
    };
    parts.publisher.kernel_read();
    let inputs =
        Inputs { sockets: socket_events, kernel: kernel_events, calls: requests, neighbors };
    let router = Router::new(parts);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = listeners.keep_trying() => {}
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

/// Opens both ways to the kernel, reading these tables.
pub(super) fn open(owner: Owner, tables: &BTreeSet<u32>) -> Result<Fib, RouteError> {
    Fib::open_reading(owner, &[], &tables.iter().copied().collect::<Vec<_>>())
}

/// Where the API and health listen: flags before the file before the defaults.
fn addresses(args: &Args, document: Option<&Document>) -> anyhow::Result<(SocketAddr, u16)> {
    let grpc = args.grpc.or(document.and_then(|d| d.grpc));
    let health_port = args.health_port.or(document.and_then(|d| d.health_port));
    Ok((grpc.map_or_else(|| node_api::DEFAULT_TCP.parse(), Ok)?, health_port.unwrap_or(8001)))
}

fn read_token(path: &Path) -> anyhow::Result<Token> {
    let name = || format!("the token file {}", path.display());
    let text = fs::read_to_string(path).with_context(name)?;
    Token::new(&text).with_context(name)
}

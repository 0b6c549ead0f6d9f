//! `sartd agent`: the node side of Kubernetes.
//!
//! ```text
//!  watches ─▶ plan ─┬▶ router.rs   the document        ─▶ sartd bgp
//!                   ├▶ blocks.rs   blocks, routes      ─▶ kernel, BlockRequests
//!                   └▶ status.rs   NodeBGP.status      ─▶ API server
//!  sart-cni ─▶ cni/ ─▶ blocks.rs (addresses), pods.rs (which pools), kernel (links)
//! ```
//!
//! One task owns the planner; each arrow out of it is a `watch` channel that holds the latest
//! wanted state, so a slow receiver skips to what is wanted now.

mod args;
mod blocks;
mod cni;
mod metrics;
mod plan;
mod pods;
mod router;
mod status;

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

pub(crate) use args::Args;

/// The agent's tasks: each runs until the agent stops.
type Parts = tokio::task::JoinSet<()>;

pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    args.log.init()?;
    args.warn_of_what_has_no_meaning();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = metrics::Metrics::register(&mut registry);
    let calls = cni::CallMetrics::register(&mut registry);
    let checks = health::Checks::new();
    let address = (args.http_address, args.http_port).into();
    let _health = health::Server::start(address, checks.clone(), Arc::new(registry)).await?;

    let client = cluster_io::client().await?;
    let router = node_api::RouterClient::new(args.router.clone(), None)?;
    let writer = cluster_io::Writer::new(client.clone(), cluster_api::keys::AGENT, 4);
    info!(node = args.node_name, mode = ?args.mode, "agent starts");

    let (facts, heard) = mpsc::channel(16);
    let (planned, wants) = plan::start(&client, &args, heard, &checks, &metrics);
    let mut parts = Parts::new();
    parts.spawn(planned);
    parts.spawn(router::follow(router, wants.document.clone(), facts));
    let node = args.node_name.clone();
    parts.spawn(status::write(writer.clone(), node, wants.status.clone(), metrics.clone()));
    if args.serves_pods() {
        serve_pods(&args, client, writer, wants, metrics, calls, &checks, &mut parts).await?;
    }

    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => info!("told to stop"),
        _ = tokio::signal::ctrl_c() => info!("interrupted"),
        // No part ends by itself: one that did has panicked or lost what it needs.
        Some(ended) = parts.join_next() => {
            ended.context("a part of the agent failed")?;
            anyhow::bail!("a part of the agent ended");
        }
    }
    Ok(())
}

/// Modes `cni` and `dual`: the kernel is read back, then the socket opens, then the plugin's
/// configuration makes the node Ready.
#[allow(clippy::too_many_arguments)]
async fn serve_pods(
    args: &Args,
    client: kube::Client,
    writer: cluster_io::Writer,
    wants: plan::Wants,
    metrics: metrics::Metrics,
    calls: cni::CallMetrics,
    checks: &health::Checks,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let serving = checks.add("cni", "the CNI socket is not open yet");
    let books = cni::Books::new();
    let pods = Arc::new(pods::Pods::new(client, wants.pods.clone()));
    let config = cni::Config { run_dir: args.run_dir.clone() };
    let server = cni::Server::start(&config, books.clone(), pods.clone(), calls).await?;
    parts.spawn(server.run());
    let node = args.node_name.clone();
    parts.spawn(async move { pods.follow(&node).await });
    let routes = blocks::open_routes().context("cannot open a netlink socket")?;
    parts.spawn(blocks::hold(books.clone(), routes, wants.blocks.clone(), wants.pods));
    let node = args.node_name.clone();
    let demand = blocks::Demand { books, writer, node, blocks: wants.blocks, metrics };
    parts.spawn(demand.follow());
    let install = args.install();
    tokio::task::spawn_blocking(move || cni::install(&install))
        .await
        .context("installing the CNI plugin was cut short")??;
    serving.pass();
    Ok(())
}

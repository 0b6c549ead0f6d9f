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
mod metrics;
mod plan;
mod router;
mod status;

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

pub(crate) use args::Args;

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
    let checks = health::Checks::new();
    let address = (args.http_address, args.http_port).into();
    let _health = health::Server::start(address, checks.clone(), Arc::new(registry)).await?;

    let client = cluster_io::client().await?;
    let router = node_api::RouterClient::new(args.router.clone(), None)?;
    info!(node = args.node_name, mode = ?args.mode, "agent starts");

    let (facts, heard) = mpsc::channel(16);
    let (planned, wants) = plan::start(&client, &args, heard, &checks, &metrics);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(planned);
    tasks.spawn(router::follow(router, wants.document, facts));
    let writer = cluster_io::Writer::new(client.clone(), cluster_api::keys::AGENT, 4);
    tasks.spawn(status::write(writer, args.node_name.clone(), wants.status, metrics.clone()));

    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => info!("told to stop"),
        _ = tokio::signal::ctrl_c() => info!("interrupted"),
        // No task ends by itself: one that did has panicked.
        Some(ended) = tasks.join_next() => ended.context("a part of the agent failed")?,
    }
    Ok(())
}

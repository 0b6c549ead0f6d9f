//! `sartd bgp`: the node's router.
//!
//! One task owns the speaker and the route table ([`router`]); it hears of connections, the kernel,
//! the API and time, and does what the two machines want done. Everything else here is wiring.

mod answers;
mod bfd_task;
mod burst;
mod calls;
mod clock;
mod conns;
mod edges;
mod file;
mod happened;
mod ignored;
mod installs;
mod keys;
mod links;
mod listeners;
mod metrics;
mod monitor;
mod neighbors;
mod owners;
mod place;
#[cfg(test)]
mod place_tests;
mod publish;
mod replies;
mod router;
mod secrets;
mod show;
mod start;
mod store;
mod tables;
mod vrf;
mod writes;

use std::net::SocketAddr;
use std::path::PathBuf;

use inet::{Asn, RouterId};

use crate::logging::LogArgs;

pub(crate) use listeners::open_health;
pub(crate) use metrics::{fib as encode_fib, fib_counters as encode_fib_counters};
pub(crate) use place::owners_of as fib_owners;
pub(crate) use publish::Census;
pub(crate) use store::{LOCK, remove_all as remove_run_dir, write_whole};
pub(crate) use vrf::no_vrf;

/// Where the router keeps its socket and the stored documents.
pub(crate) const RUN_DIR: &str = "/run/sart";

/// The flags of `sartd bgp`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The configuration file (YAML or JSON).
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// AS number; overrides the file's.
    #[arg(short, long = "as", value_name = "ASN")]
    asn: Option<Asn>,
    /// BGP Identifier, written like an IPv4 address; overrides the file's.
    #[arg(short, long, value_name = "ID")]
    router_id: Option<RouterId>,
    /// Write the best routes into the kernel. The endpoint itself has no meaning any more.
    #[arg(long, value_name = "ENDPOINT")]
    fib: Option<String>,
    /// The kernel's table that routes are written to [default: 254, or the file's].
    #[arg(long, value_name = "TABLE", value_parser = clap::value_parser!(u32).range(1..))]
    table_id: Option<u32>,
    /// Without meaning; accepted as in v0.1.
    #[arg(long, value_name = "ENDPOINT")]
    exporter: Option<String>,
    /// Port of health and metrics [default: 8001, or the file's].
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// Address of the gRPC API: reading, and changes with the token of --token-file
    /// [default: 127.0.0.1:5000, or the file's].
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
    /// A file with the token that allows changes over TCP; without it TCP is read-only.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// What becomes of sessions and routes when the router ends.
    #[arg(long, value_enum, default_value_t = OnExit::Remove)]
    on_exit: OnExit,
    /// Where the API's socket and the stored documents are.
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    run_dir: PathBuf,
    /// An owner (agent) whose document is waited for after a restart. May be given several times.
    #[arg(long, value_name = "NAME")]
    expect_owner: Vec<String>,
    #[command(flatten)]
    log: LogArgs,
}

/// The two goodbyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnExit {
    /// Peers are not told, routes stay: another router follows at once.
    Keep,
    /// Peers are told (Cease), our routes are deleted.
    Remove,
}

/// Runs the router until it is told to end.
pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    args.log.init()?;
    let source = file::Source::new(&args);
    let document = start::document(&source)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sartd-bgp")
        .enable_all()
        .build()?;
    runtime.block_on(start::run(args, source, document))
}

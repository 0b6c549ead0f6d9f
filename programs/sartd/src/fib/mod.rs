//! `sartd fib`: the FIB controller alone.
//!
//! A channel takes routes of one family from its subscribers (tables of the kernel, a router, and
//! any program that hands them over by gRPC) and gives the best per prefix to its publishers.

mod bgp;
mod channel;
mod controller;
mod kept;
mod metrics;
mod run;
mod show;
mod tables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use node_api::Token;
use router_config::Document;

use crate::logging::LogArgs;

/// The port of health and metrics; a router on the same machine has the one before.
const DEFAULT_HEALTH_PORT: u16 = 8002;

/// What a controller with the default socket holds, beside it, for as long as it runs.
pub(crate) const LOCK: &str = "fib.lock";

/// The largest configuration file.
const MAX_FILE: u64 = 16 << 20;

/// The flags of `sartd fib`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The configuration file (YAML or JSON) with the channels.
    #[arg(short, long, visible_short_alias = 'c', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Address of the gRPC API [default: 127.0.0.1:5001, or the file's].
    #[arg(short, long, value_name = "ADDRESS")]
    endpoint: Option<SocketAddr>,
    /// Where the API's unix socket is, by which changes are allowed.
    #[arg(long, value_name = "FILE", default_value = node_api::DEFAULT_FIB_SOCKET)]
    socket: PathBuf,
    /// A file with the token that allows changes over TCP, and that routers on this machine are told.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Port of health and metrics [default: 8002, or the file's].
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// What becomes of the routes when the controller ends.
    #[arg(long, value_enum, default_value_t = OnExit::Remove)]
    on_exit: OnExit,
    /// Seconds for which routes of the run before stay when nobody has renewed them.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    restart_time: u64,
    #[command(flatten)]
    log: LogArgs,
}

/// The two goodbyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnExit {
    /// Routes stay: another controller follows at once.
    Keep,
    /// Our routes are deleted.
    Remove,
}

/// Runs the controller until it is told to end.
pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    args.log.init()?;
    let document = match &args.file {
        Some(path) => read(path)?,
        None => Document::default(),
    };
    channel::check(&document.channels)?;
    let token = match &args.token_file {
        Some(path) => {
            let name = || format!("the token file {}", path.display());
            let text = std::fs::read_to_string(path).with_context(name)?;
            Some(Token::new(&text).with_context(name)?)
        }
        None => None,
    };
    let endpoint = match args.endpoint.or(document.endpoint) {
        Some(endpoint) => endpoint,
        None => node_api::DEFAULT_FIB_TCP.parse()?,
    };
    if token.is_some() {
        channel::check_token(&document.channels)?;
        if !endpoint.ip().is_loopback() {
            tracing::warn!(%endpoint, "token-in-clear: whoever changes routes over the network shows the token");
        }
    }
    let settings = run::Settings {
        endpoint,
        health_port: args.health_port.or(document.health_port).unwrap_or(DEFAULT_HEALTH_PORT),
        socket: args.socket,
        token,
        keep: args.on_exit == OnExit::Keep,
        restart_time: Duration::from_secs(args.restart_time),
        channels: document.channels,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sartd-fib")
        .enable_all()
        .build()?;
    runtime.block_on(run::run(settings))
}

fn read(path: &Path) -> anyhow::Result<Document> {
    use std::io::Read as _;
    let name = path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(text.len() as u64 <= MAX_FILE, "{name} is larger than {MAX_FILE} bytes");
    let document = Document::parse(&text, &name).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })?;
    let only = Document {
        endpoint: document.endpoint,
        health_port: document.health_port,
        channels: document.channels.clone(),
        ..Document::default()
    };
    anyhow::ensure!(
        document == only,
        "{name}: `sartd fib` takes `endpoint`, `health_port` and `channels` alone"
    );
    Ok(document)
}

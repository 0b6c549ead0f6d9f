//! The socket that the plugin talks to.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cni_wire::{MAX_LINE, Refusal, Reply, Request};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::calls::Calls;
use super::links::Links;
use super::locks::Locks;
use super::{Books, CallMetrics, KernelLinks, PodSource, code, collect, refusal};

/// How many calls may be open at once. Others wait in the listener's backlog.
const CALLS: usize = 128;
/// For how long a request may take to arrive, and a reply to be taken.
const TRANSFER: Duration = Duration::from_secs(5);
/// How often the plugin is told that the agent serves; it looks after a minute.
const SERVED: Duration = Duration::from_secs(5);

/// Where and how to serve.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The directory of the socket, `/run/sart`; a directory, so that the socket can be made anew
    /// while the plugin sees the same directory.
    pub(crate) run_dir: PathBuf,
}

/// Serves calls on a socket.
pub(crate) struct Server<P, L = KernelLinks> {
    listener: UnixListener,
    calls: Calls<P, L>,
    collector: (Books, Arc<L>, Locks),
    metrics: CallMetrics,
    served: PathBuf,
    /// Who may call, besides root: whoever the agent itself runs as.
    uid: u32,
}

impl<P: PodSource> Server<P> {
    /// Reads the kernel back, then opens the socket: from here on calls are accepted, and served
    /// as soon as [`Server::run`] runs.
    pub(crate) async fn start(
        config: &Config,
        books: Books,
        pods: Arc<P>,
        metrics: CallMetrics,
    ) -> anyhow::Result<Server<P>> {
        Server::start_with(config, books, pods, Arc::new(KernelLinks), metrics).await
    }
}

impl<P: PodSource, L: Links> Server<P, L> {
    pub(super) async fn start_with(
        config: &Config,
        books: Books,
        pods: Arc<P>,
        links: Arc<L>,
        metrics: CallMetrics,
    ) -> anyhow::Result<Server<P, L>> {
        collect::recover(&books, &links).await?;
        let socket = config.run_dir.join(file_name(cni_wire::SOCKET_PATH));
        let listener =
            bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        info!(socket = %socket.display(), "serving the CNI plugin");
        let locks = Locks::default();
        Ok(Server {
            listener,
            calls: Calls::new(books.clone(), pods, links.clone(), locks.clone()),
            collector: (books, links, locks),
            metrics,
            served: config.run_dir.join(file_name(cni_wire::SERVED_PATH)),
            uid: fs::metadata("/proc/self").context("cannot tell the own user")?.uid(),
        })
    }

    /// Serves for ever.
    pub(crate) async fn run(self) {
        let Server { listener, calls, collector: (books, links, locks), metrics, served, uid } =
            self;
        // First, so that a plugin that was ever answered finds it.
        mark(&served);
        tokio::join!(
            accept(listener, calls, metrics, uid),
            collect::collect(books, links, locks),
            keep_marking(served),
        );
    }
}

async fn accept<P: PodSource, L: Links>(
    listener: UnixListener,
    calls: Calls<P, L>,
    metrics: CallMetrics,
    uid: u32,
) {
    let room = Arc::new(Semaphore::new(CALLS));
    loop {
        // Never closed, so there is always a permit sooner or later.
        let permit = room.clone().acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, _)) => {
                let (calls, metrics) = (calls.clone(), metrics.clone());
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &calls, &metrics, uid).await {
                        debug!(error = format!("{error:#}"), "a call went away");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others must end before it goes on.
                warn!(%error, "cannot accept a call");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One call: a line and a descriptor in, a line out.
async fn answer<P: PodSource, L: Links>(
    mut stream: UnixStream,
    calls: &Calls<P, L>,
    metrics: &CallMetrics,
    uid: u32,
) -> anyhow::Result<()> {
    let peer = stream.peer_cred().context("cannot tell who calls")?;
    if peer.uid() != 0 && peer.uid() != uid {
        warn!(uid = peer.uid(), pid = peer.pid(), "a call from another user is refused");
        return Ok(());
    }
    let (line, netns) = timeout(TRANSFER, receive(&stream))
        .await
        .context("the request did not arrive in time")?
        .context("cannot read the request")?;
    let start = Instant::now();
    let (command, result) = match cni_wire::decode_request(&line) {
        Ok(request) => (command(&request), calls.serve(request, netns).await),
        Err(error) => ("INVALID", Err(not_understood(&error))),
    };
    let failed = result.as_ref().err().map(|refusal| refusal.code);
    metrics.answered(command, failed, start.elapsed());
    if let Err(Refusal { code, reason, message, details }) = &result {
        warn!(command, code, reason, details, "{message}");
    }
    let reply = cni_wire::encode_reply(&result.map_or_else(Reply::Error, Reply::Ok))?;
    timeout(TRANSFER, stream.write_all(&reply))
        .await
        .context("the reply was not taken in time")??;
    Ok(())
}

/// Reads up to the first newline, the other side's end, or one byte more than a line may have.
async fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut line = Vec::new();
    let mut netns = None;
    let mut part = vec![0; 16 << 10];
    while line.len() <= MAX_LINE {
        let read = || cni::socket::receive(stream.as_fd(), &mut part);
        let (n, fd) = stream.async_io(Interest::READABLE, read).await?;
        netns = netns.or(fd);
        let got = part.get(..n).unwrap_or_default();
        line.extend_from_slice(got);
        if n == 0 || got.contains(&b'\n') {
            break;
        }
    }
    Ok((line, netns))
}

fn command(request: &Request) -> &'static str {
    match request {
        Request::Add { .. } => "ADD",
        Request::Del { .. } => "DEL",
        Request::Check { .. } => "CHECK",
        Request::Status {} => "STATUS",
    }
}

fn not_understood(error: &cni_wire::LineError) -> Refusal {
    let mut refusal = refusal(code::DECODING, error.name(), error.to_string());
    refusal.details = std::error::Error::source(error).map(ToString::to_string);
    refusal
}

/// Bound under another name and renamed, so that the socket that plugins see is always one that is
/// served, and only root's.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = socket.parent() {
        fs::create_dir_all(dir)?;
    }
    let temporary = socket.with_extension(format!("{}.new", std::process::id()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
    fs::rename(&temporary, socket)?;
    Ok(listener)
}

async fn keep_marking(path: PathBuf) {
    loop {
        sleep(SERVED).await;
        mark(&path);
    }
}

/// Writes down for how long the machine has been up: the plugin tells by it for how long an agent
/// that doesn't answer has been away.
fn mark(path: &Path) {
    if let Err(error) = write_mark(path) {
        warn!(%error, path = %path.display(), "cannot write that the agent serves");
    }
}

fn write_mark(path: &Path) -> io::Result<()> {
    let uptime = fs::read_to_string("/proc/uptime")?;
    let seconds = uptime.split_whitespace().next().unwrap_or_default();
    let temporary = path.with_extension("new");
    fs::write(&temporary, format!("{seconds}\n"))?;
    fs::rename(&temporary, path)
}

fn file_name(path: &str) -> &Path {
    Path::new(path).file_name().map_or(Path::new(path), Path::new)
}

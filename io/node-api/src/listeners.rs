//! What the router's and the FIB controller's servers share: sockets, limits, an orderly end.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::server::Router;

use crate::guard::Access;
use crate::incoming::incoming;

/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long stopping waits for requests that run.
const STOP_TIME: Duration = Duration::from_secs(1);

/// How often a silent connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The unix socket.
    #[error("cannot listen on {0}")]
    Unix(PathBuf, #[source] io::Error),
    /// The TCP port.
    #[error("cannot listen on {0}")]
    Tcp(SocketAddr, #[source] io::Error),
}

/// An API's listeners. Dropping it stops them and removes the unix socket.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Whose API it is, for the log.
    whose: &'static str,
    stop: watch::Sender<bool>,
    socket: Option<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listeners {
    pub(crate) fn new(whose: &'static str) -> Listeners {
        let (stop, _) = watch::channel(false);
        Listeners { whose, stop, socket: None, tasks: Vec::new() }
    }

    /// Becomes true when the listeners stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn unix(&mut self, path: &Path, router: Router) -> Result<(), ServerError> {
        let listener =
            bind_unix(path).map_err(|error| ServerError::Unix(path.to_owned(), error))?;
        self.socket = Some(path.to_owned());
        self.spawn(|stopped| router.serve_with_incoming_shutdown(incoming(listener), stopped));
        Ok(())
    }

    /// Gives the address, with the port that was chosen when it was 0.
    pub(crate) async fn tcp(
        &mut self,
        address: SocketAddr,
        router: Router,
    ) -> Result<SocketAddr, ServerError> {
        let failed = |error| ServerError::Tcp(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        self.spawn(|stopped| router.serve_with_incoming_shutdown(incoming(listener), stopped));
        Ok(bound)
    }

    /// Stops listening, lets requests that run come to their end, and closes all connections.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.send(true);
        for task in std::mem::take(&mut self.tasks) {
            let _ = tokio::time::timeout(STOP_TIME, task).await;
        }
    }

    fn spawn<F>(&mut self, serve: impl FnOnce(Stopped) -> F)
    where
        F: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    {
        let (serving, whose) = (serve(stopped(self.stopping())), self.whose);
        self.tasks.push(tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "{whose}'s API stopped");
            }
        }));
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// A server without services, with the limits of a listener with this access.
pub(crate) fn limited(access: &Access) -> tonic::transport::Server {
    let requests = access.requests();
    tonic::transport::Server::builder()
        .timeout(REQUEST_TIME)
        .concurrency_limit_per_connection(requests as usize)
        .max_concurrent_streams(requests)
        .http2_max_header_list_size(16 << 10)
        .http2_keepalive_interval(Some(PING_EVERY))
}

type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn stopped(mut stop: watch::Receiver<bool>) -> Stopped {
    Box::pin(async move {
        // An error means that the server was dropped, which stops it too.
        let _ = stop.wait_for(|stop| *stop).await;
    })
}

/// The socket is mode 0600 and appears whole: it is bound under another name in the same directory
/// and renamed over what is there.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    // Nobody knows the temporary name yet, so nobody connects before the mode is right.
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}

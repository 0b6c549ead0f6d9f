use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::transport::server::Router;

use crate::call::{Call, Views};
use crate::events::Events;
use crate::guard::{Access, Guard, MAX_READ};
use crate::incoming::incoming;
use crate::service::Service;
use crate::token::Token;
use crate::v1::router_server::RouterServer;

/// Where the router's unix socket is when nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/sart/router.sock";

/// Where the router's read-only TCP API is when nothing else is said.
pub const DEFAULT_TCP: &str = "127.0.0.1:5000";

/// The largest request: a document of some hundred thousand prefixes.
const MAX_REQUEST: usize = 16 << 20;

/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long stopping waits for requests that run.
const STOP_TIME: Duration = Duration::from_secs(1);

/// How often a silent connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// The API's listeners. Dropping it stops them and removes the unix socket.
#[derive(Debug)]
pub struct Server {
    calls: mpsc::Sender<Call>,
    views: Views,
    events: Events,
    stop: watch::Sender<bool>,
    socket: Option<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

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

impl Server {
    /// A server without listeners, whose requests go to `calls`.
    pub fn new(calls: mpsc::Sender<Call>, views: Views) -> Server {
        let (stop, _) = watch::channel(false);
        let events = Events::new();
        Server { calls, views, events, stop, socket: None, tasks: Vec::new() }
    }

    /// Where to tell of what happens.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Listens on a unix socket, for all calls. The socket is mode 0600 and appears whole: it is
    /// bound under another name in the same directory and renamed over what is there.
    pub fn listen_unix(&mut self, path: &Path) -> Result<(), ServerError> {
        let listener =
            bind_unix(path).map_err(|error| ServerError::Unix(path.to_owned(), error))?;
        self.socket = Some(path.to_owned());
        let router = self.router(Access::Full);
        self.spawn(|stopped| router.serve_with_incoming_shutdown(incoming(listener), stopped));
        Ok(())
    }

    /// Listens on TCP: reading for everyone who can connect, changes with the token.
    /// Gives the address, with the port that was chosen when it was 0.
    pub async fn listen_tcp(
        &mut self,
        address: SocketAddr,
        token: Option<Token>,
    ) -> Result<SocketAddr, ServerError> {
        let failed = |error| ServerError::Tcp(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let router = self.router(Access::Guarded(token));
        self.spawn(|stopped| router.serve_with_incoming_shutdown(incoming(listener), stopped));
        Ok(bound)
    }

    /// Stops listening, lets requests that run come to their end, and closes all connections.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        for task in std::mem::take(&mut self.tasks) {
            let _ = tokio::time::timeout(STOP_TIME, task).await;
        }
    }

    fn router(&self, access: Access) -> Router {
        let stop = self.stop.subscribe();
        let (calls, views) = (self.calls.clone(), self.views.clone());
        let service = Service::new(calls, views, self.events.clone(), stop);
        let limited = |limit| RouterServer::new(service.clone()).max_decoding_message_size(limit);
        let requests = access.requests();
        let guard = Guard::new(access, "the router", limited(MAX_REQUEST), limited(MAX_READ));
        // Both versions: tools ask for either.
        let (old, new) = (reflection().build_v1alpha().ok(), reflection().build_v1().ok());
        tonic::transport::Server::builder()
            .timeout(REQUEST_TIME)
            .concurrency_limit_per_connection(requests as usize)
            .max_concurrent_streams(requests)
            .http2_max_header_list_size(16 << 10)
            .http2_keepalive_interval(Some(PING_EVERY))
            .add_service(guard)
            .add_optional_service(new.map(|new| new.max_decoding_message_size(MAX_READ)))
            .add_optional_service(old.map(|old| old.max_decoding_message_size(MAX_READ)))
    }

    fn spawn<F>(&mut self, serve: impl FnOnce(Stopped) -> F)
    where
        F: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    {
        let serving = serve(stopped(self.stop.subscribe()));
        self.tasks.push(tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the router's API stopped");
            }
        }));
    }
}

/// Answers what the API looks like, to tools that know nothing of it.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::DESCRIPTORS)
}

type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn stopped(mut stop: watch::Receiver<bool>) -> Stopped {
    Box::pin(async move {
        // An error means that the server was dropped, which stops it too.
        let _ = stop.wait_for(|stop| *stop).await;
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

pub(crate) fn bind_unix(path: &Path) -> io::Result<UnixListener> {
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

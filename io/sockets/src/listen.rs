//! The listeners: bound again and again until they are, and never stopped by a failed accept.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::connection;
use crate::event::{Event, canonical, peer};
use crate::sockets::Shared;

/// How often a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The pause after an accept that failed (no file descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The shortest time between two lines of log about connections that were refused.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The kernel's queue of connections that were not accepted yet.
const BACKLOG: i32 = 128;

/// Both families' "any" address.
pub(crate) fn any(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

/// Listens until it is aborted.
pub(crate) async fn run(address: SocketAddr, events: mpsc::Sender<Event>, shared: Arc<Shared>) {
    let mut failed_with = None;
    let listener = loop {
        match bind(address) {
            Ok(listener) => break listener,
            // A kernel without the family hears nothing there, and nothing is missing.
            Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => return,
            Err(error) => {
                let reason = error.to_string();
                if failed_with.as_ref() != Some(&reason) {
                    failed_with = Some(reason.clone());
                    if events.send(Event::ListenFailed { address, reason }).await.is_err() {
                        return;
                    }
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    };
    let address = listener.local_addr().unwrap_or(address);
    if events.send(Event::Listening { address }).await.is_err() {
        return;
    }
    let mut refused = Refused::default();
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => accept(stream, remote, &events, &shared, &mut refused),
            Err(error) => {
                tracing::warn!(%error, "a BGP connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

const EAFNOSUPPORT: i32 = 97;

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of the run before may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn accept(
    stream: TcpStream,
    remote: SocketAddr,
    events: &mpsc::Sender<Event>,
    shared: &Shared,
    refused: &mut Refused,
) {
    let from = peer(remote);
    if let Err(reason) = shared.admit(from) {
        return refused.note(remote, reason);
    }
    let (conn, remote) = (shared.next_id(), canonical(remote));
    shared
        .spawn(conn, from, true, |link| connection::accepted(link, events.clone(), stream, remote));
}

/// Refused connections, logged now and then and counted in between.
#[derive(Default)]
struct Refused {
    logged: Option<Instant>,
    unlogged: u64,
}

impl Refused {
    fn note(&mut self, remote: SocketAddr, reason: &str) {
        if self.logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            self.unlogged += 1;
            return;
        }
        tracing::info!(%remote, reason, more = self.unlogged, "BGP connection refused");
        *self = Refused { logged: Some(Instant::now()), unlogged: 0 };
    }
}

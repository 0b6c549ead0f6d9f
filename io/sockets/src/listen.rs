//! The listeners: bound again and again until they are, and never stopped by a failed accept.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inet::LinkName;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::event::{Event, canonical};
use crate::options::link_index;
use crate::shared::Shared;
use crate::sockets::MAX_TTL;

/// How often a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The pause after an accept that failed (no file descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The shortest time between two lines of log about connections that were refused.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The kernel's queue of connections that were not accepted yet, unless said otherwise.
const BACKLOG: u16 = 128;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// The address and port; an unspecified address is all of its family.
    pub address: SocketAddr,
    /// Only on this interface, or in this VRF.
    pub interface: Option<LinkName>,
    /// So many connections may wait to be accepted.
    pub backlog: u16,
}

impl Listen {
    /// On an address, whatever the interface.
    pub fn on(address: SocketAddr) -> Listen {
        Listen { address, interface: None, backlog: BACKLOG }
    }
}

/// Both families' "any" address.
pub(crate) fn any(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

/// Listens until it is aborted; not before `ending` is closed, since what is ending may have the port.
pub(crate) async fn run(
    listen: Listen,
    ending: Option<watch::Receiver<()>>,
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
) {
    if let Some(mut ending) = ending {
        let _ = ending.changed().await;
    }
    let address = listen.address;
    let mut failed_with = None;
    let (listener, device) = loop {
        match bind(&listen, &shared) {
            Ok(bound) => break bound,
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
            Ok((stream, remote)) => {
                if let Err(reason) = shared.accept(stream, canonical(remote), device, &events) {
                    refused.note(remote, &reason);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a BGP connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

const EAFNOSUPPORT: i32 = 97;

/// A listener, and the interface or VRF that it is bound to.
fn bind(listen: &Listen, shared: &Shared) -> io::Result<(Arc<TcpListener>, Option<u32>)> {
    let address = listen.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of the run before may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Some(interface) = listen.interface {
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
    }
    // A neighbor with TTL security drops a SYN-ACK that has less (RFC 5082 §3).
    match address {
        SocketAddr::V4(_) => socket.set_ttl_v4(MAX_TTL)?,
        SocketAddr::V6(_) => socket.set_unicast_hops_v6(MAX_TTL)?,
    }
    socket.bind(&address.into())?;
    let device = listen.interface.and_then(link_index);
    // Keys come before the first connection may.
    Ok((shared.arm(socket, listen, device)?, device))
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

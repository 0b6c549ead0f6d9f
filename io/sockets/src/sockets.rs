use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::connection::{self, Command};
use crate::event::{ConnId, Event, canonical};
use crate::listen;

/// Bytes that may wait to be sent on one connection.
pub const SEND_BUFFER: usize = 256 << 10;

/// What may be given beyond the room that was told: KEEPALIVE and NOTIFICATION are sent anyway.
const SEND_SLACK: usize = 128 << 10;

/// Connections that one peer may have open with us at once. A collision takes two (RFC 4271 §6.8).
pub const MAX_PER_PEER: usize = 4;

/// Events that may wait for the owner.
const EVENTS: usize = 512;

/// DSCP CS6, the class of routing protocols (RFC 4594 §3.2).
const CS6: u32 = 0xC0;

/// A connection to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The peer.
    pub remote: SocketAddr,
    /// The address to come from; the kernel's choice without it.
    pub local: Option<IpAddr>,
    /// TTL or hop limit, 1 to 255.
    pub ttl: u8,
    /// How long it may take.
    pub timeout: Duration,
}

/// All of the router's BGP connections. Dropping it closes them at once.
#[derive(Debug)]
pub struct Sockets {
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

/// What the listeners' tasks share with the owner.
#[derive(Debug)]
pub(crate) struct Shared {
    next: AtomicU64,
    known: Mutex<HashSet<IpAddr>>,
    connections: Mutex<HashMap<ConnId, Connection>>,
    /// Connections that still send what waits.
    closing: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Connection {
    commands: mpsc::UnboundedSender<Command>,
    /// Bytes that were given and not sent yet.
    waiting: Arc<AtomicUsize>,
    remote: IpAddr,
    incoming: bool,
    task: JoinHandle<()>,
}

impl Sockets {
    /// No connections, no listeners; events come out of the channel.
    pub fn new() -> (Sockets, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let shared = Arc::new(Shared {
            next: AtomicU64::new(1),
            known: Mutex::default(),
            connections: Mutex::default(),
            closing: Mutex::default(),
        });
        (Sockets { events, shared, listeners: Vec::new() }, receiver)
    }

    /// Listens on a port of all addresses of both families, in place of the port before.
    /// A port that is taken is tried again and again; see [`Event::ListenFailed`].
    pub fn listen(&mut self, port: u16) {
        for old in self.listeners.drain(..) {
            old.abort();
        }
        for address in listen::any(port) {
            let (events, shared) = (self.events.clone(), Arc::clone(&self.shared));
            self.listeners.push(tokio::spawn(listen::run(address, events, shared)));
        }
    }

    /// Sets who may connect. Connections that are there stay.
    pub fn set_known(&self, known: HashSet<IpAddr>) {
        *self.shared.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Begins to connect; answered by `Connected` or `ConnectFailed`.
    pub fn connect(&self, dial: Dial) -> ConnId {
        let conn = self.shared.next_id();
        let connect = async move {
            match tokio::time::timeout(dial.timeout, self::dial(dial)).await {
                Ok(connected) => connected.map_err(|error| error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        };
        self.shared.spawn(conn, dial.remote.ip(), false, |link| {
            connection::dial(link, self.events.clone(), connect)
        });
        conn
    }

    /// Takes an accepted connection: nothing is read from it before. `ttl` is the TTL or hop limit
    /// of what is sent on it, 1 to 255.
    pub fn adopt(&self, conn: ConnId, ttl: u8) {
        if let Some(connection) = self.shared.lock().get(&conn) {
            let _ = connection.commands.send(Command::Adopt { ttl });
        }
    }

    /// How many bytes may be given to a connection now; 0 when it is not there.
    pub fn room(&self, conn: ConnId) -> usize {
        let connections = self.shared.lock();
        let waiting = connections.get(&conn).map(|c| c.waiting.load(Ordering::Relaxed));
        waiting.map_or(0, |waiting| SEND_BUFFER.saturating_sub(waiting))
    }

    /// Gives whole messages to be sent. A connection that is not there swallows them; one that was
    /// given far more than its room is closed.
    pub fn send(&self, conn: ConnId, bytes: Vec<u8>) {
        let mut connections = self.shared.lock();
        let Some(connection) = connections.get_mut(&conn) else {
            return;
        };
        let waiting = connection.waiting.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        let command = if waiting > SEND_BUFFER + SEND_SLACK {
            Command::Overflow
        } else {
            Command::Send(bytes)
        };
        // A task that has ended has told so by an event.
        let _ = connection.commands.send(command);
    }

    /// Sends what waits, then closes; a dial is broken off. No event of it is worth anything now.
    pub fn close(&self, conn: ConnId) {
        if let Some(connection) = self.shared.lock().remove(&conn) {
            // Without its sender the task sends what waits and ends by itself.
            drop(connection.commands);
            let mut closing = self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner);
            closing.retain(|task| !task.is_finished());
            closing.push(connection.task);
        }
    }

    /// Forgets a connection that has ended by itself.
    pub fn forget(&self, conn: ConnId) {
        self.shared.lock().remove(&conn);
    }

    /// Closes all, and waits until what waits is sent, also on connections that were closed before;
    /// but at most so long.
    pub async fn shut_down(mut self, at_most: Duration) {
        for listener in self.listeners.drain(..) {
            listener.abort();
        }
        for conn in self.shared.lock().keys().copied().collect::<Vec<_>>() {
            self.close(conn);
        }
        let tasks = std::mem::take(
            &mut *self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(at_most, all).await;
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
        for connection in self.shared.lock().values() {
            connection.task.abort();
        }
    }
}

impl Shared {
    pub(crate) fn next_id(&self) -> ConnId {
        ConnId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConnId, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection from there is let in: a known peer without too many of them.
    pub(crate) fn admit(&self, remote: IpAddr) -> Result<(), &'static str> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&remote) {
            return Err("no neighbor has this address");
        }
        let open = self.lock().values().filter(|c| c.incoming && c.remote == remote).count();
        if open >= MAX_PER_PEER { Err("it has too many connections open") } else { Ok(()) }
    }

    /// Starts the task of a connection and keeps its handle.
    pub(crate) fn spawn<F>(
        &self,
        conn: ConnId,
        remote: IpAddr,
        incoming: bool,
        run: impl FnOnce(connection::Link) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (commands, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let link = connection::Link { conn, commands: receiver, waiting: Arc::clone(&waiting) };
        // Held over the spawn: the task's first event must find the entry.
        let mut connections = self.lock();
        let task = tokio::spawn(run(link));
        let remote = remote.to_canonical();
        connections.insert(conn, Connection { commands, waiting, remote, incoming, task });
    }
}

async fn dial(dial: Dial) -> io::Result<TcpStream> {
    let remote = canonical(dial.remote);
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    set_options(SockRef::from(&socket), remote.ip(), dial.ttl)?;
    if let Some(local) = dial.local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(remote).await
}

/// What every BGP connection has: no delay, the TTL, the class of routing protocols.
pub(crate) fn set_options(socket: SockRef<'_>, remote: IpAddr, ttl: u8) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    match remote {
        IpAddr::V4(_) => {
            socket.set_ttl_v4(ttl.into())?;
            socket.set_tos_v4(CS6)
        }
        IpAddr::V6(_) => {
            socket.set_unicast_hops_v6(ttl.into())?;
            socket.set_tclass_v6(CS6)
        }
    }
}

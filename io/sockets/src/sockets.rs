use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::connection::{self, Command};
use crate::event::{ConnId, Event, canonical};
use crate::listen::{self, Listen};
use crate::options::{self, link_index};
use crate::peers::{Peer, PeerError, scope};
use crate::shared::{Began, Connection, Shared, State};

/// Bytes that may wait to be sent on one connection.
pub const SEND_BUFFER: usize = 256 << 10;

/// What may wait beyond that before more is given: the last chunk that there was room for may be
/// larger than the room, and KEEPALIVE and NOTIFICATION are sent anyway.
const SEND_SLACK: usize = 256 << 10;

/// Connections that one peer may have open with us at once. A collision takes two (RFC 4271 §6.8).
pub const MAX_PER_PEER: usize = 4;

/// Accepted connections with one peer that may be closing at once, beside those.
pub(crate) const MAX_CLOSING: usize = 8;

/// Accepted connections that may be open at once, of all peers together.
pub const MAX_ACCEPTED: usize = 4096;

/// What all segments leave with where the peer judges it (RFC 5082 §3).
pub(crate) const MAX_TTL: u32 = 255;

/// Events that may wait for the owner.
const EVENTS: usize = 512;

/// The same where an event has all frames of a read: they are up to 128 KiB each.
const BATCHES: usize = 64;

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
    listeners: Vec<(Listen, JoinHandle<()>)>,
    /// Closed as soon as the listeners that were ended have gone.
    ending: Option<watch::Receiver<()>>,
}

impl Sockets {
    /// No connections, no listeners; events come out of the channel.
    pub fn new() -> (Sockets, mpsc::Receiver<Event>) {
        Sockets::with(EVENTS, false)
    }

    /// The same, but [`Event::Frame`] has all whole messages of a read, one after another, to be
    /// cut by [`crate::frames`]: with many messages there are far fewer events.
    pub fn batched() -> (Sockets, mpsc::Receiver<Event>) {
        Sockets::with(BATCHES, true)
    }

    fn with(events: usize, batched: bool) -> (Sockets, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(events);
        let shared = Arc::new(Shared::new(batched));
        (Sockets { events, shared, listeners: Vec::new(), ending: None }, receiver)
    }

    /// Listens on a port of all addresses of both families, in place of the port before.
    /// A port that is taken is tried again and again; see [`Event::ListenFailed`].
    pub fn listen(&mut self, port: u16) {
        let before = std::mem::take(&mut self.listeners);
        self.end(before);
        self.listen_on(&listen::any(port).map(Listen::on));
    }

    /// Listens there and nowhere else. Listeners that stay are not touched.
    /// What cannot be bound is tried again and again; see [`Event::ListenFailed`].
    pub fn listen_on(&mut self, wanted: &[Listen]) {
        let before = std::mem::take(&mut self.listeners);
        let (stay, go) = before.into_iter().partition(|(listen, _)| wanted.contains(listen));
        self.listeners = stay;
        self.end(go);
        for listen in wanted {
            if !self.listeners.iter().any(|(there, _)| there == listen) {
                let (events, shared) = (self.events.clone(), Arc::clone(&self.shared));
                let task = listen::run(*listen, self.ending.clone(), events, shared);
                self.listeners.push((*listen, tokio::spawn(task)));
            }
        }
    }

    /// Ends listeners. Those that are started from now on wait until their ports are free.
    fn end(&mut self, listeners: Vec<(Listen, JoinHandle<()>)>) {
        if listeners.is_empty() {
            return;
        }
        listeners.iter().for_each(|(_, task)| task.abort());
        let (gone, ending) = watch::channel(());
        let before = self.ending.replace(ending);
        tokio::spawn(async move {
            if let Some(mut before) = before {
                let _ = before.changed().await;
            }
            for (_, task) in listeners {
                let _ = task.await;
            }
            drop(gone);
        });
    }

    /// Sets who may connect, without keys. Connections that are there stay; all may be dialled.
    pub fn set_known(&self, known: HashSet<IpAddr>) {
        // Without keys there is nothing that could fail.
        self.shared.set_peers(known.into_iter().map(Peer::plain).collect(), false);
    }

    /// Sets who may connect, and what connections with them have, dialled ones too. Connections
    /// that are there stay; one whose key changed goes on with the new one, if its peer takes it
    /// too before a timer ends it.
    ///
    /// Gives the peers whose key is not in force. None of them is let in: a wanted key that cannot
    /// be had must not mean a connection without. For the same reason no one else is dialled.
    pub fn set_peers(&self, peers: Vec<Peer>) -> Vec<PeerError> {
        let wrong = self.shared.set_peers(peers, true);
        for error in &wrong {
            tracing::warn!(who = ?error.who, reason = error.reason, "TCP key not in force");
        }
        wrong
    }

    /// The peers whose key is not in force now, as [`Sockets::set_peers`] gives them. A listener
    /// that opens may not get a key that is wanted: to be asked at each [`Event::Listening`].
    pub fn without_key(&self) -> Vec<PeerError> {
        self.shared.known().wrong()
    }

    /// Begins to connect; answered by `Connected` or `ConnectFailed`.
    pub fn connect(&self, dial: Dial) -> ConnId {
        let conn = self.shared.next_id();
        let remote = canonical(dial.remote);
        // Held over the spawn: a key that changes meanwhile must find the entry.
        let known = self.shared.known();
        let peer = known.dialled(remote);
        let with = peer.clone();
        let connect = async move {
            let with = with.ok_or("it is no neighbor, so whether it has a TCP key is not known")?;
            match tokio::time::timeout(dial.timeout, self::dial(dial, &with)).await {
                Ok(connected) => connected.map_err(|error| error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        };
        let peer = peer.unwrap_or_else(|| Peer::plain(remote.ip()));
        self.shared.spawn(conn, remote, Began::Dialled, &peer, |link| {
            connection::dial(link, self.events.clone(), connect)
        });
        drop(known);
        conn
    }

    /// Takes an accepted connection: nothing is read from it before. `ttl` is the TTL or hop limit
    /// of what is sent on it, 1 to 255; with TTL security it is 255 whatever is said.
    pub fn adopt(&self, conn: ConnId, ttl: u8) {
        if let Some(connection) = self.shared.lock().get(&conn) {
            let ttl = if connection.min_ttl { u8::MAX } else { ttl };
            connection.command(Command::Adopt { ttl });
        }
    }

    /// How many bytes may be given to a connection now; 0 when it is not there.
    pub fn room(&self, conn: ConnId) -> usize {
        let connections = self.shared.lock();
        match connections.get(&conn) {
            Some(Connection { state: State::Open(_), waiting, .. }) => {
                SEND_BUFFER.saturating_sub(waiting.load(Ordering::Relaxed))
            }
            Some(_) | None => 0,
        }
    }

    /// Gives whole messages to be sent. A connection that is not there swallows them; one that was
    /// given far more than its room is closed.
    pub fn send(&self, conn: ConnId, bytes: Vec<u8>) {
        let connections = self.shared.lock();
        let Some(connection) = connections.get(&conn) else {
            return;
        };
        // What waited before is judged: a chunk for which there was room may be of any length.
        let before = connection.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        let command = if before > SEND_BUFFER + SEND_SLACK {
            Command::Overflow
        } else {
            Command::Send(bytes)
        };
        connection.command(command);
    }

    /// Sends what waits, then closes; a dial is broken off. No event of it is worth anything now.
    pub fn close(&self, conn: ConnId) {
        self.shared.close(conn);
    }

    /// Forgets a connection that has ended by itself.
    pub fn forget(&self, conn: ConnId) {
        self.shared.forget(conn);
    }

    /// Closes all, and waits until what waits is sent, also on connections that were closed before;
    /// but at most so long.
    pub async fn shut_down(mut self, at_most: Duration) {
        for (_, listener) in self.listeners.drain(..) {
            listener.abort();
        }
        let tasks = self.shared.close_all();
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
        for (_, listener) in &self.listeners {
            listener.abort();
        }
        for connection in self.shared.lock().values() {
            connection.abort();
        }
    }
}

/// An address, on a link where it is link-local.
pub(crate) fn on_link(address: IpAddr, port: u16, link: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, link).into(),
        address => SocketAddr::new(address, port),
    }
}

async fn dial(dial: Dial, peer: &Peer) -> io::Result<TcpStream> {
    let remote = canonical(dial.remote);
    let link = match (scope(remote), peer.interface) {
        (0, Some(interface)) => link_index(interface)
            .ok_or_else(|| io::Error::other(format!("there is no interface {interface}")))?,
        (link, _) => link,
    };
    let remote = on_link(remote.ip(), remote.port(), link);
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let ttl = if peer.min_ttl.is_some() { u8::MAX } else { dial.ttl };
    set_options(SockRef::from(&socket), remote.ip(), ttl)?;
    if let Some(ttl) = peer.min_ttl {
        options::set_min_ttl(&socket, remote.ip(), ttl)?;
    }
    options::dial_with(&socket, remote.ip(), &peer.auth)?;
    if let Some(interface) = peer.interface {
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
    }
    if let Some(local) = dial.local {
        socket.bind(on_link(local, 0, link))?;
    }
    socket.connect(remote).await
}

/// What every BGP connection has: no delay, the TTL, the class of routing protocols.
pub(crate) fn set_options(socket: SockRef<'_>, remote: IpAddr, ttl: u8) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    match remote {
        IpAddr::V4(_) => socket.set_ttl_v4(ttl.into())?,
        IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into())?,
    }
    set_class(&socket, remote)
}

/// Marks what a socket sends as a routing protocol's.
pub(crate) fn set_class(socket: &SockRef<'_>, remote: IpAddr) -> io::Result<()> {
    match remote {
        IpAddr::V4(_) => socket.set_tos_v4(CS6),
        IpAddr::V6(_) => socket.set_tclass_v6(CS6),
    }
}

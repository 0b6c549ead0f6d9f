//! What the listeners' tasks share with the owner: who may connect, and all connections.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use inet::AoKey;
use socket2::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ao::{Place, Probe};
use crate::connection::{self, Command};
use crate::event::{ConnId, Event, canonical};
use crate::listen::Listen;
use crate::options;
use crate::peers::{Auth, Keys, Peer, PeerError, Peers, covering, scope};
use crate::sockets::{MAX_ACCEPTED, MAX_CLOSING, MAX_PER_PEER, on_link};

/// What the listeners' tasks share with the owner.
#[derive(Debug)]
pub(crate) struct Shared {
    next: AtomicU64,
    peers: Mutex<Known>,
    connections: Mutex<HashMap<ConnId, Connection>>,
    batched: bool,
}

/// The neighbors, and the listeners that have their keys.
#[derive(Debug, Default)]
pub(crate) struct Known {
    peers: Peers,
    /// Only they may be dialled.
    only: bool,
    /// Keys that cannot be, and why; beside those that a listener does not have.
    blocked: HashMap<Place, String>,
    listeners: Vec<Armed>,
}

/// A listener, and the keys that it has.
#[derive(Debug)]
struct Armed {
    /// The listener's task holds it: it is closed when the task ends.
    socket: Weak<TcpListener>,
    ipv4: bool,
    device: Option<u32>,
    keys: Keys,
    /// Those that it should have, and why it has not.
    failed: HashMap<Place, String>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) state: State,
    /// Bytes that were given and not sent yet.
    pub(crate) waiting: Arc<AtomicUsize>,
    /// Without its port.
    remote: SocketAddr,
    auth: Auth,
    pub(crate) min_ttl: bool,
    began: Began,
    task: JoinHandle<()>,
}

/// How a connection began.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Began {
    Dialled,
    Accepted {
        /// What its listener is bound to.
        device: Option<u32>,
    },
}

/// How far a connection has come to its end.
#[derive(Debug)]
pub(crate) enum State {
    /// Commands are taken.
    Open(mpsc::UnboundedSender<Command>),
    /// Its owner has forgotten it: its task sends what waits, then it is gone.
    Closing,
    /// Its task has ended; its owner has still to hear of it.
    Ended,
}

impl Known {
    /// What a dial must have; nothing where it must not be.
    pub(crate) fn dialled(&self, remote: SocketAddr) -> Option<Peer> {
        let plain = || if self.only { None } else { Some(Peer::plain(remote.ip())) };
        self.peers.find(remote).cloned().or_else(plain)
    }

    /// Why a key is not in force, on every listener; none when it is.
    fn blocked(&self, place: &Place) -> Option<&String> {
        let open = self.listeners.iter().filter(|listener| listener.socket.strong_count() > 0);
        let failed = open.filter_map(|listener| listener.failed.get(place)).next();
        self.blocked.get(place).or(failed)
    }

    /// The neighbors whose key is not in force, and why.
    pub(crate) fn wrong(&self) -> Vec<PeerError> {
        let signed = self.peers.all().filter(|peer| peer.auth != Auth::None);
        let wrong = signed.filter_map(|peer| {
            let reason = self.blocked(&peer.key_place())?.clone();
            Some(PeerError { who: peer.who, reason })
        });
        wrong.collect()
    }

    /// Keys of TCP-AO that listeners take from an address though they are not its peer's.
    fn others(&self, remote: IpAddr, auth: &Auth) -> Vec<(Place, AoKey)> {
        let Auth::Ao(own) = auth else { return Vec::new() };
        let mut others = Vec::new();
        for place in covering(remote) {
            for listener in &self.listeners {
                if let Some(Auth::Ao(keys)) = listener.keys.get(&place) {
                    let others_of = keys.iter().filter(|key| !own.contains(key));
                    others.extend(others_of.map(|key| (place, key.clone())));
                }
            }
        }
        others
    }
}

impl Began {
    /// What the listener is bound to that it came from.
    fn device(self) -> Option<u32> {
        match self {
            Began::Dialled => None,
            Began::Accepted { device } => device,
        }
    }
}

impl Connection {
    /// Gives a command to the task. One that has ended has told so by an event.
    pub(crate) fn command(&self, command: Command) {
        match &self.state {
            State::Open(commands) => {
                let _ = commands.send(command);
            }
            State::Closing | State::Ended => {}
        }
    }

    /// Ends it at once, unless it is closing anyway.
    pub(crate) fn abort(&self) {
        match self.state {
            State::Open(_) => self.task.abort(),
            State::Closing | State::Ended => {}
        }
    }
}

impl Shared {
    pub(crate) fn new(batched: bool) -> Shared {
        Shared {
            next: AtomicU64::new(1),
            peers: Mutex::default(),
            connections: Mutex::default(),
            batched,
        }
    }

    pub(crate) fn next_id(&self) -> ConnId {
        ConnId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<ConnId, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in: of a known peer without too many of them, and never without the key
    /// that is wanted. `device` is what its listener is bound to.
    pub(crate) fn accept(
        self: &Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        device: Option<u32>,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), String> {
        // Held until the entry is there: a key that changes meanwhile must find it.
        let known = self.known();
        let peer = self.admit(&known, remote)?;
        if let Some(ttl) = peer.min_ttl {
            options::set_min_ttl(&stream, remote.ip(), ttl).map_err(|error| error.to_string())?;
        }
        let others = known.others(remote.ip(), &peer.auth);
        options::accept_with(&stream, remote.ip(), device, &peer.auth, &others)
            .map_err(|error| error.to_string())?;
        let run = |link| connection::accepted(link, events.clone(), stream, remote);
        self.spawn(self.next_id(), remote, Began::Accepted { device }, peer, run);
        Ok(())
    }

    fn admit<'k>(&self, known: &'k Known, remote: SocketAddr) -> Result<&'k Peer, &'static str> {
        let peer = known.peers.find(remote).ok_or("no neighbor has this address")?;
        if peer.auth != Auth::None && known.blocked(&peer.key_place()).is_some() {
            return Err("its TCP key is not in force");
        }
        let (mut all, mut open, mut closing) = (0, 0, 0);
        let remote = without_port(remote);
        for connection in self.lock().values() {
            match connection.began {
                Began::Dialled => continue,
                Began::Accepted { .. } => all += 1,
            }
            if connection.remote == remote {
                match connection.state {
                    State::Open(_) | State::Ended => open += 1,
                    State::Closing => closing += 1,
                }
            }
        }
        if open >= MAX_PER_PEER {
            return Err("it has too many connections open");
        }
        if closing >= MAX_CLOSING {
            return Err("it has too many connections that it does not close");
        }
        if all >= MAX_ACCEPTED { Err("too many connections are open") } else { Ok(peer) }
    }

    /// Lets a connection send what waits and end; it is counted until then.
    pub(crate) fn close(&self, conn: ConnId) {
        let mut connections = self.lock();
        let Some(connection) = connections.get_mut(&conn) else { return };
        match connection.state {
            // Without its sender the task sends what waits and ends by itself.
            State::Open(_) => connection.state = State::Closing,
            State::Closing => {}
            State::Ended => {
                connections.remove(&conn);
            }
        }
    }

    /// Closes all; gives the tasks that send what waits.
    pub(crate) fn close_all(&self) -> Vec<JoinHandle<()>> {
        let all = std::mem::take(&mut *self.lock());
        all.into_values().map(|connection| connection.task).collect()
    }

    /// Forgets a connection that has ended by itself.
    pub(crate) fn forget(&self, conn: ConnId) {
        let mut connections = self.lock();
        match connections.get(&conn).map(|connection| &connection.state) {
            Some(State::Open(_) | State::Ended) => {
                connections.remove(&conn);
            }
            Some(State::Closing) | None => {}
        }
    }

    /// The task of a connection is at its end.
    fn ended(&self, conn: ConnId) {
        let mut connections = self.lock();
        let Some(connection) = connections.get_mut(&conn) else { return };
        match connection.state {
            State::Open(_) => connection.state = State::Ended,
            State::Closing => {
                connections.remove(&conn);
            }
            State::Ended => {}
        }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets who may connect, and whether nobody else may be dialled.
    pub(crate) fn set_peers(&self, peers: Vec<Peer>, only: bool) -> Vec<PeerError> {
        let peers = Peers::new(peers);
        let mut known = self.known();
        let known = &mut *known;
        let (keys, conflicts) = peers.keys();
        known.peers = peers;
        known.only = only;
        known.blocked.clear();
        known.listeners.retain(|listener| listener.socket.strong_count() > 0);
        for listener in &mut known.listeners {
            if let Some(socket) = listener.socket.upgrade() {
                arm(&*socket, listener, &keys);
            }
        }
        let mut kernel = Probe::default();
        for peer in known.peers.all() {
            if let Auth::Ao(keys) = &peer.auth
                && let place = peer.key_place()
                && let Some(reason) = kernel.refusal(place.0.is_ipv4(), keys)
            {
                known.blocked.insert(place, reason);
            }
        }
        for error in &conflicts {
            let peer = Peer { who: error.who, ..Peer::plain(IpAddr::from([0, 0, 0, 0])) };
            known.blocked.insert(peer.key_place(), error.reason.clone());
        }
        let wrong = known.wrong();
        let mut connections = self.lock();
        for connection in connections.values_mut() {
            let Some(peer) = known.peers.find(connection.remote) else { continue };
            if peer.auth != connection.auth {
                let new = peer.auth.clone();
                let old = std::mem::replace(&mut connection.auth, new.clone());
                let device = connection.began.device();
                connection.command(Command::Rekey { device, old, new });
            }
        }
        wrong
    }

    /// Gives a bound socket the keys of the peers, and begins to listen.
    pub(crate) fn arm(
        &self,
        socket: Socket,
        listen: &Listen,
        device: Option<u32>,
    ) -> io::Result<Arc<TcpListener>> {
        let mut known = self.known();
        let (wanted, _) = known.peers.keys();
        let (ipv4, keys) = (listen.address.is_ipv4(), Keys::new());
        let failed = HashMap::new();
        let mut armed = Armed { socket: Weak::new(), ipv4, device, keys, failed };
        arm(&socket, &mut armed, &wanted);
        for ((address, bits), reason) in &armed.failed {
            tracing::warn!(%address, bits, reason, "TCP key not in force");
        }
        socket.listen(listen.backlog.into())?;
        let socket = Arc::new(TcpListener::from_std(socket.into())?);
        armed.socket = Arc::downgrade(&socket);
        known.listeners.retain(|listener| listener.socket.strong_count() > 0);
        known.listeners.push(armed);
        Ok(socket)
    }

    /// Starts the task of a connection and keeps its handle.
    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        conn: ConnId,
        remote: SocketAddr,
        began: Began,
        peer: &Peer,
        run: impl FnOnce(connection::Link) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (commands, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (batched, waits) = (self.batched, Arc::clone(&waiting));
        let link = connection::Link { conn, commands: receiver, waiting: waits, batched };
        let (run, shared) = (run(link), Arc::clone(self));
        // Held over the spawn: the task's first event must find the entry.
        let mut connections = self.lock();
        let task = tokio::spawn(async move {
            run.await;
            shared.ended(conn);
        });
        let (remote, auth) = (without_port(remote), peer.auth.clone());
        let (min_ttl, state) = (peer.min_ttl.is_some(), State::Open(commands));
        let connection = Connection { state, waiting, remote, auth, min_ttl, began, task };
        connections.insert(conn, connection);
    }
}

/// Brings a listener's keys from those that it has to those that are wanted, and notes those that
/// are not in force.
fn arm(socket: &impl std::os::fd::AsFd, listener: &mut Armed, wanted: &Keys) {
    let Armed { socket: _, ipv4, device, keys: has, failed } = listener;
    failed.clear();
    // First of all places: an id of TCP-AO may be wanted in another one.
    for (place, has) in has.iter_mut() {
        let wanted = wanted.get(place).unwrap_or(&Auth::None);
        if let Err(error) = options::unlisten_with(socket, *place, *device, has, wanted) {
            failed.insert(*place, error.to_string());
        }
    }
    for (place, wanted) in wanted.iter().filter(|((address, _), _)| address.is_ipv4() == *ipv4) {
        let has = has.entry(*place).or_default();
        if let Err(error) = options::listen_with(socket, *place, *device, has, wanted) {
            failed.insert(*place, error.to_string());
        }
    }
    has.retain(|_, has| *has != Auth::None);
}

/// The address without its port and flow, its link kept.
fn without_port(address: SocketAddr) -> SocketAddr {
    on_link(canonical(address).ip(), 0, scope(address))
}

#[cfg(test)]
mod tests;

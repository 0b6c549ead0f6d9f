//! BFD's UDP: two ports that are heard on, and a socket of its own for each session to send from.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bfd::{Arrival, Hop, Key, SOURCE_PORTS};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::message::{receive, tell_way, watch};
use crate::options::link_name;
use crate::sockets::{MAX_TTL, set_class};

/// Datagrams that may wait for the owner; more are dropped, as the network would.
const WAITING: usize = 1024;

/// The longest packet that can be: its length is one byte.
const LONGEST: usize = 255;

/// How many ports are tried for a session.
const TRIES: u64 = 64;

/// A datagram that came to one of BFD's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes, 255 at most.
    pub bytes: Vec<u8>,
    /// How it came.
    pub arrival: Arrival,
}

/// BFD's sockets. Dropping them closes them.
#[derive(Debug)]
pub struct BfdSockets {
    listeners: Vec<JoinHandle<()>>,
    sessions: HashMap<Key, Session>,
    /// Draws source ports: they shall not be guessed.
    random: RandomState,
    drawn: u64,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Session {
    socket: Socket,
    port: u16,
    to: SocketAddr,
}

impl BfdSockets {
    /// Listens on both ports of both families. Must be called within a runtime.
    ///
    /// # Errors
    /// When a port is taken, by another BFD daemon mostly. A family that the kernel has not is no
    /// error.
    pub fn new() -> io::Result<(BfdSockets, mpsc::Receiver<Datagram>)> {
        let (events, receiver) = mpsc::channel(WAITING);
        let mut sockets = BfdSockets {
            listeners: Vec::new(),
            sessions: HashMap::new(),
            random: RandomState::new(),
            drawn: 0,
            dropped: Arc::default(),
        };
        for hop in [Hop::Single, Hop::Multi] {
            for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
                match open(SocketAddr::new(any, hop.port())) {
                    Ok(socket) => {
                        let (events, dropped) = (events.clone(), Arc::clone(&sockets.dropped));
                        let socket = watch(socket)?;
                        let listener = tokio::spawn(listen(hop, socket, events, dropped));
                        sockets.listeners.push(listener);
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                    Err(error) => {
                        let text = format!("UDP port {} ({hop} BFD): {error}", hop.port());
                        return Err(io::Error::new(error.kind(), text));
                    }
                }
            }
        }
        Ok((sockets, receiver))
    }

    /// Sends a session's packet with TTL 255, from its own port, which it has from the first
    /// packet to [`BfdSockets::close`] (RFC 5881 §4).
    ///
    /// # Errors
    /// As the kernel says it; the next packet may do better.
    pub fn send(&mut self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        if !self.sessions.contains_key(key) {
            let session = self.open_session(key)?;
            self.sessions.insert(*key, session);
        }
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        session.socket.send_to(bytes, &session.to.into()).map(drop)
    }

    /// The source port of a session that has sent.
    pub fn source_port(&self, key: &Key) -> Option<u16> {
        self.sessions.get(key).map(|session| session.port)
    }

    /// Closes a session's socket.
    pub fn close(&mut self, key: &Key) {
        self.sessions.remove(key);
    }

    /// How many datagrams were dropped since the owner was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn open_session(&mut self, key: &Key) -> io::Result<Session> {
        let socket = udp(key.peer.is_ipv4())?;
        match key.peer {
            IpAddr::V4(_) => socket.set_ttl_v4(MAX_TTL)?,
            IpAddr::V6(_) => socket.set_unicast_hops_v6(MAX_TTL)?,
        }
        set_class(&SockRef::from(&socket), key.peer)?;
        // Nobody is to send to it, and nobody reads it.
        socket.set_recv_buffer_size(0)?;
        if key.link != 0 {
            let name = link_name(key.link);
            let gone = || io::Error::other(format!("there is no interface {}", key.link));
            socket.bind_device(Some(name.ok_or_else(gone)?.as_str().as_bytes()))?;
        }
        let any = match key.peer {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = key.local.unwrap_or(any);
        let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let port = self.draw_port();
            if self.sessions.values().any(|session| session.port == port) {
                continue;
            }
            match socket.bind(&on(local, port, key.link).into()) {
                Ok(()) => {
                    let to = on(key.peer, key.hop.port(), key.link);
                    return Ok(Session { socket, port, to });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = error,
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    fn draw_port(&mut self) -> u16 {
        self.drawn = self.drawn.wrapping_add(1);
        let (first, last) = (u64::from(*SOURCE_PORTS.start()), u64::from(*SOURCE_PORTS.end()));
        let port = first + self.random.hash_one(self.drawn) % (last - first + 1);
        u16::try_from(port).unwrap_or(*SOURCE_PORTS.end())
    }
}

impl Drop for BfdSockets {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

fn on(address: IpAddr, port: u16, link: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, link).into(),
        address => SocketAddr::new(address, port),
    }
}

fn udp(ipv4: bool) -> io::Result<Socket> {
    let domain = if ipv4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if !ipv4 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = udp(address.is_ipv4())?;
    tell_way(&socket, address.is_ipv4())?;
    socket.bind(&address.into())?;
    Ok(socket)
}

async fn listen(
    hop: Hop,
    socket: AsyncFd<Socket>,
    events: mpsc::Sender<Datagram>,
    dropped: Arc<AtomicU64>,
) {
    let mut buffer = [0; LONGEST];
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        let way = match ready.try_io(|socket| receive(socket.get_ref(), &mut buffer)) {
            Ok(Ok(Some(way))) => way,
            // An ICMP error that came back is told here; nothing is to be read of it.
            Ok(Ok(None) | Err(_)) | Err(_) => continue,
        };
        let bytes = buffer.get(..way.len).unwrap_or_default().to_vec();
        let arrival = Arrival {
            hop,
            remote: way.remote.ip(),
            local: way.local,
            link: way.link,
            ttl: way.ttl,
        };
        match events.try_send(Datagram { bytes, arrival }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

//! Connections: the speaker's names of them, and the sockets'.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgp_speaker::{ConnId, Input, TcpOptions};
use inet::{ScopedAddr, Timestamp};
use sockets::Dial;

use super::links::{self, Facts};
use super::router::Router;

/// How long a dial may take at most.
const DIAL_TIME: Duration = Duration::from_secs(10);

/// How long it may take at least: a SYN is sent again after a second.
const SHORTEST_DIAL: Duration = Duration::from_millis(1500);

/// All connections that are wanted.
#[derive(Debug, Default)]
pub(super) struct Conns {
    of_socket: HashMap<sockets::ConnId, ConnId>,
    of_speaker: HashMap<ConnId, sockets::ConnId>,
    /// Our port and the peer's.
    ports: HashMap<ConnId, (u16, u16)>,
    /// Our address of the session, by peer.
    local: BTreeMap<ScopedAddr, IpAddr>,
}

impl Conns {
    fn insert(&mut self, socket: sockets::ConnId, conn: ConnId) {
        self.of_socket.insert(socket, conn);
        self.of_speaker.insert(conn, socket);
    }

    fn speaker(&self, socket: sockets::ConnId) -> Option<ConnId> {
        self.of_socket.get(&socket).copied()
    }

    pub(super) fn socket(&self, conn: ConnId) -> Option<sockets::ConnId> {
        self.of_speaker.get(&conn).copied()
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<sockets::ConnId> {
        self.ports.remove(&conn);
        let socket = self.of_speaker.remove(&conn)?;
        self.of_socket.remove(&socket);
        Some(socket)
    }

    /// Our port and the peer's; 0 where they are not known.
    pub(super) fn ports(&self, conn: ConnId) -> (u16, u16) {
        self.ports.get(&conn).copied().unwrap_or_default()
    }

    /// Addresses of peers that are no more are forgotten.
    pub(super) fn forget_peer(&mut self, peer: &ScopedAddr) {
        self.local.remove(peer);
    }
}

impl Router {
    /// Dials, or answers at once why it cannot be.
    pub(super) fn dial(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        peer: SocketAddr,
        local: Option<IpAddr>,
        (ttl, tcp): (u8, &TcpOptions),
    ) {
        // Never without the key that is wanted.
        let key = super::keys::auth(tcp);
        let remote = key.and_then(|_| self.parts.edges.dialled(&self.parts.table, peer, tcp));
        match remote {
            Ok(remote) => {
                let timeout = self.dial_time(ScopedAddr::new(peer.ip(), tcp.interface));
                let dial = Dial { remote, local, ttl, timeout };
                let socket = self.parts.sockets.connect(dial);
                self.conns.insert(socket, conn);
            }
            Err(reason) => self.tell(now, Input::ConnectFailed { conn, reason }),
        }
    }

    /// How long a dial may take: it ends before the session, whose timer has jitter of a quarter,
    /// dials anew, so that people are told that nobody answers.
    fn dial_time(&self, peer: ScopedAddr) -> Duration {
        let again = self.parts.speaker.peer(peer).map_or(0, |peer| peer.config.connect_retry_time);
        (Duration::from_secs(again.into()) * 7 / 10).clamp(SHORTEST_DIAL, DIAL_TIME)
    }

    /// What happened to a connection or a listener. Gives how many bytes of messages it was.
    pub(super) fn socket(&mut self, event: sockets::Event) -> usize {
        use sockets::Event::{
            Accepted, Closed, ConnectFailed, Connected, Frame, ListenFailed, Listening, Room,
        };
        let now = self.parts.clock.now();
        match event {
            Listening { address } => {
                self.parts.publisher.changed();
                self.deaf.remove(&address);
                tracing::info!(%address, "listening for BGP");
                self.look_at_keys();
            }
            ListenFailed { address, reason } => {
                self.parts.publisher.changed();
                tracing::warn!(%address, reason, "cannot listen for BGP; sessions we dial work");
                self.deaf.insert(address, reason);
            }
            Accepted { conn, local, remote } => {
                let speaker = ConnId::Accepted(conn.get());
                self.conns.insert(conn, speaker);
                self.conns.ports.insert(speaker, (local.port(), remote.port()));
                let (local, remote) = (local.ip(), self.scoped(remote));
                self.local_address(now, remote, local);
                self.tell(now, Input::Accepted { conn: speaker, local, remote });
                // Nothing is kept of those who are not let in.
                if self.parts.speaker.peer(remote).is_none() {
                    self.conns.forget_peer(&remote);
                }
            }
            Connected { conn, local, remote } => {
                let Some(speaker) = self.conns.speaker(conn) else { return 0 };
                self.conns.ports.insert(speaker, (local.port(), remote.port()));
                self.local_address(now, self.scoped(remote), local.ip());
                self.tell(now, Input::Connected { conn: speaker, local: local.ip() });
            }
            ConnectFailed { conn, reason } => {
                if let Some(conn) = self.gone(conn) {
                    self.tell(now, Input::ConnectFailed { conn, reason });
                }
            }
            Frame { conn, bytes } => {
                for frame in sockets::frames(&bytes) {
                    // A message may end the session, and with it what came behind.
                    let Some(conn) = self.conns.speaker(conn) else { break };
                    self.tell(now, Input::Frame { conn, bytes: frame.to_vec() });
                }
                return bytes.len();
            }
            Room { conn } => {
                if let Some(speaker) = self.conns.speaker(conn) {
                    let bytes = self.parts.sockets.room(conn);
                    self.tell(now, Input::Room { conn: speaker, bytes });
                }
            }
            Closed { conn, reason } => {
                if let Some(conn) = self.gone(conn) {
                    self.tell(now, Input::Closed { conn, reason });
                }
            }
        }
        0
    }

    /// Forgets a connection that has ended; gives the speaker's name of it, if it was still wanted.
    fn gone(&mut self, socket: sockets::ConnId) -> Option<ConnId> {
        self.parts.sockets.forget(socket);
        let speaker = self.conns.speaker(socket)?;
        self.conns.remove(speaker);
        Some(speaker)
    }

    /// The address of who is at the other end, with the link of a link-local one.
    fn scoped(&self, remote: SocketAddr) -> ScopedAddr {
        let scope = match remote {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        let mut links = self.parts.table.links();
        let link = links.find(|link| scope != 0 && link.index.0 == scope).map(|link| link.name);
        ScopedAddr::new(remote.ip(), link)
    }

    fn local_address(&mut self, now: Timestamp, peer: ScopedAddr, local: IpAddr) {
        self.conns.local.insert(peer, local);
        self.tell_local_address(now, peer, local);
    }

    fn tell_local_address(&mut self, now: Timestamp, peer: ScopedAddr, local: IpAddr) {
        // Told also when it is as before: the speaker, which compares itself, may have made the
        // peer anew in between.
        let Facts { link, ipv4, ipv6 } = links::towards(&self.parts.table, peer, local);
        self.tell(now, Input::LocalAddress { peer, link, ipv4, ipv6 });
    }

    /// Links or addresses have changed.
    pub(super) fn refresh_local_addresses(&mut self, now: Timestamp) {
        let known: Vec<_> = self.conns.local.iter().map(|(peer, at)| (*peer, *at)).collect();
        for (peer, local) in known {
            self.tell_local_address(now, peer, local);
        }
    }
}

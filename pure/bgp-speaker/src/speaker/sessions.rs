//! Between sessions and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use bgp_packet::{BgpNextHop, PeerKind, RefreshKind, Update, UpdateRest};
use bgp_rib::{NextHops, PeerId, SessionFacts};
use bgp_session::{Conn, Effect, Event as SessionEvent, Negotiated, Session, State};
use inet::{Family, LinkName, ScopedAddr};

use super::backlog::is_long;
use super::watch;
use super::{CONNECTIONS, Connection, LinkFacts, PeerState, Speaker, Up, spend};
use crate::{ConnId, Event, Output, Peer, PeerSource, Refusal, Watched};

impl Speaker {
    /// Tells a session what happened, and does what it wants done.
    pub(super) fn tell(&mut self, address: ScopedAddr, event: SessionEvent) {
        if !matches!(event, SessionEvent::Written { .. }) {
            self.note(address);
        }
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.session.handle(self.now, event);
            self.run(address);
        }
    }

    pub(super) fn accepted(&mut self, conn: ConnId, local: IpAddr, remote: ScopedAddr) {
        let ConnId::Accepted(number) = conn else { return };
        let known = match self.peers.get(&remote) {
            _ if self.ending.is_some() => Err(Refusal::ShuttingDown),
            Some(peer) if peer.conns.len() >= CONNECTIONS => Err(Refusal::TooManyConnections),
            Some(_) => Ok(()),
            None => self.dynamic(remote),
        };
        if let Err(reason) = known {
            return self.refuse(conn, remote, reason);
        }
        let Some((peer, global)) = self.peers.get_mut(&remote).zip(self.global.as_ref()) else {
            return self.refuse(conn, remote, Refusal::NotConfigured);
        };
        let inner = Conn::Incoming(number);
        peer.conns.insert(inner, conn);
        let ttl = peer.wanted.ttl(global.asn);
        self.conns.insert(conn, Connection::new(remote, inner, Some(local)));
        self.outputs.push_back(Output::Adopt { conn, ttl });
        self.tell(remote, SessionEvent::TcpAccepted { conn: inner });
    }

    /// How much more a connection takes, and with that how much of it waits still.
    pub(super) fn room(&mut self, conn: ConnId, bytes: usize) {
        let connection = self.conns.get_mut(&conn).filter(|connection| !connection.gone);
        let Some(connection) = connection else { return };
        connection.room = i64::try_from(bytes).unwrap_or(i64::MAX);
        connection.capacity = connection.capacity.max(bytes);
        let waiting = connection.capacity - bytes;
        let (peer, conn) = (connection.peer, connection.conn);
        self.tell(peer, SessionEvent::Written { conn, waiting });
    }

    pub(super) fn frame(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let Some(Connection { peer: address, conn: inner, .. }) = self.conns.get(&conn).copied()
        else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&address) else { return };
        watch::note_received(&mut peer.opens, inner, &bytes);
        let update = peer.session.frame(self.now, inner, &bytes);
        // First: this very UPDATE may be what makes the session Established.
        self.run(address);
        let Some(mut update) = update else { return };
        self.changes += 1;
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let (Some(up), Some(rib)) = (&mut peer.up, &mut self.rib) else { return };
        if up.conn != conn {
            return;
        }
        if address.is_link_local() {
            on_the_link(&mut update);
        }
        if is_long(rib, bytes.len()) {
            let rest = UpdateRest::new(&update);
            if !rest.is_empty() {
                drop(update);
                return self.begin_long(address, (conn, inner), rest, bytes);
            }
        }
        let updated = rib.update(peer.id, &up.negotiated.options, &update);
        let complete = update.end_of_rib.is_some_and(|family| up.complete.insert(family));
        let limited = !peer.wanted.max_prefixes.is_empty();
        self.tap.update(address, &bytes, &update, !updated.is_whole());
        self.taken(address, inner, updated);
        if complete {
            self.select_if_complete();
        }
        if limited {
            self.check_limits(address);
        }
    }

    /// Does what a session wants done.
    pub(super) fn run(&mut self, address: ScopedAddr) {
        while let Some(effect) = self.peers.get_mut(&address).and_then(|peer| peer.session.poll()) {
            if !matches!(effect, Effect::Send { .. }) {
                self.note(address);
            }
            self.effect(address, effect);
        }
        if let Some(peer) = self.peers.get_mut(&address) {
            let conns = &peer.conns;
            peer.opens.retain(|conn, _| conns.contains_key(conn));
            let timer = peer.session.wake_at();
            if timer != peer.timer {
                if let Some((at, _)) = std::mem::replace(&mut peer.timer, timer) {
                    self.timers.remove(&(at, address));
                }
                self.timers.extend(timer.map(|(at, _)| (at, address)));
            }
            if peer.is_dynamic() {
                self.watch_idle(address);
            }
        }
    }

    fn effect(&mut self, address: ScopedAddr, effect: Effect) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let config = &peer.wanted.session;
        match effect {
            Effect::Connect { conn: inner } => {
                let conn = ConnId::Dialled(self.next_conn);
                self.next_conn += 1;
                let Some(global) = &self.global else { return };
                self.outputs.push_back(Output::Connect {
                    conn,
                    peer: SocketAddr::new(address.address(), config.port),
                    local: config.local_address,
                    ttl: peer.wanted.ttl(global.asn),
                    tcp: peer.wanted.tcp.clone(),
                });
                peer.conns.insert(inner, conn);
                self.conns.insert(conn, Connection::new(address, inner, None));
            }
            Effect::Send { conn: inner, bytes } => {
                if let Some(conn) = peer.conns.get(&inner).copied() {
                    watch::note_sent(&mut peer.opens, inner, &bytes);
                    let connection = self.conns.get_mut(&conn);
                    let Some(connection) = connection.filter(|c| !c.gone) else { return };
                    connection.room = spend(connection.room, bytes.len());
                    self.outputs.push_back(Output::Send { conn, bytes });
                }
            }
            Effect::Close { conn: inner } => {
                if let Some(conn) = peer.conns.remove(&inner) {
                    self.close(conn);
                }
            }
            Effect::Up(negotiated) => self.up(address, *negotiated),
            Effect::Down { failure, stale } => {
                self.tap.session(|| Watched::Down { peer: address, failure });
                peer.up = None;
                peer.levels.clear();
                if let Some(rib) = &mut self.rib {
                    let keep = stale.map(|stale| stale.families).unwrap_or_default();
                    rib.session_down(peer.id, &keep);
                }
            }
            Effect::FlushStale(family) => {
                if let Some(rib) = &mut self.rib {
                    rib.flush_stale(peer.id, family);
                }
            }
            Effect::LongLivedStale { family, until: _ } => {
                if let Some(rib) = &mut self.rib {
                    rib.long_lived(peer.id, family);
                }
            }
            Effect::Refresh { family, kind } => {
                let (Some(up), Some(rib)) = (&peer.up, &mut self.rib) else { return };
                let framed = up.negotiated.enhanced_refresh;
                // RFC 7313 §4: a peer with graceful restart ends its first table by End-of-RIB,
                // and until then frames nothing.
                let early =
                    up.negotiated.graceful_restart.is_some() && !up.complete.contains(&family);
                if kind == RefreshKind::End && !early && rib.in_counts(peer.id, family).stale > 0 {
                    self.tap.routes(|| Watched::Swept { peer: address });
                }
                match kind {
                    RefreshKind::Request => rib.refresh(peer.id, family, framed),
                    RefreshKind::Begin | RefreshKind::End if early => {}
                    RefreshKind::Begin => rib.mark_stale(peer.id, family),
                    RefreshKind::End => rib.flush_stale(peer.id, family),
                }
            }
            Effect::StateChanged(state) => {
                let name = config.name.clone().unwrap_or_else(|| address.to_string());
                let failure = peer.session.status().last_failure.as_ref();
                let reason = failure.filter(|last| last.at == self.now && state <= State::Connect);
                let reason = reason.map(|last| last.failure.to_string());
                let event = Event::Session { peer: address, name, state, reason };
                self.outputs.push_back(Output::Happened(event));
            }
        }
    }

    fn up(&mut self, address: ScopedAddr, negotiated: Negotiated) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(conn) = peer.conns.get(&negotiated.conn).copied() else { return };
        let local = self.conns.get(&conn).and_then(|connection| connection.local);
        let opens = peer.opens.remove(&negotiated.conn).unwrap_or_default();
        let since = self.now;
        let up = Up { conn, local, negotiated, opens, complete: BTreeSet::new(), since };
        let facts = facts(&up, peer.link, &peer.wanted);
        self.tap.session(|| Watched::Up(Box::new(watch::established(address, &up, self.now))));
        peer.up = Some(up);
        if let Some(rib) = &mut self.rib {
            rib.session_up(peer.id, facts);
        }
        self.select_if_complete();
    }

    /// The session's facts are told again: a group or an address may have changed.
    pub(super) fn refresh_facts(&mut self, address: ScopedAddr) {
        let Some(peer) = self.peers.get(&address) else { return };
        if let (Some(up), Some(rib)) = (&peer.up, &mut self.rib) {
            rib.session_changed(peer.id, facts(up, peer.link, &peer.wanted));
        }
    }

    pub(super) fn local_address(&mut self, address: ScopedAddr, link: LinkFacts) {
        let Some(peer) = self.peers.get_mut(&address) else {
            // It may be about to connect.
            self.stranger = Some((address, link));
            return;
        };
        if std::mem::replace(&mut peer.link, link) != link {
            self.note(address);
            self.refresh_facts(address);
        }
    }

    /// Sessions with neighbors on a link that is down end at once, not after their hold time.
    pub(super) fn link_down(&mut self, name: LinkName) {
        let over: Vec<(ScopedAddr, ConnId, Conn)> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.link.link.or(peer.wanted.tcp.interface) == Some(name))
            .filter(|(_, peer)| peer.wanted.session.ebgp_multihop.is_none())
            .filter_map(|(address, peer)| {
                let up = peer.up.as_ref()?;
                let on_link =
                    up.negotiated.options.kind == PeerKind::External || address.is_link_local();
                on_link.then_some((*address, up.conn, up.negotiated.conn))
            })
            .collect();
        for (address, conn, inner) in over {
            self.close(conn);
            let reason = format!("link {name} is down");
            self.tell(address, SessionEvent::TcpClosed { conn: inner, reason });
        }
    }

    /// The speaker gives a connection up; nobody is told of one that has ended before.
    pub(super) fn close(&mut self, conn: ConnId) {
        if self.forget_conn(conn).is_some_and(|connection| !connection.gone) {
            self.outputs.push_back(Output::Close { conn });
        }
    }

    pub(super) fn forget_conn(&mut self, conn: ConnId) -> Option<Connection> {
        let connection = self.conns.remove(&conn)?;
        if let Some(peer) = self.peers.get_mut(&connection.peer) {
            peer.conns.remove(&connection.conn);
        }
        Some(connection)
    }
}

impl PeerState {
    /// A peer that was not there before.
    pub(super) fn new(
        id: PeerId,
        owner: String,
        source: PeerSource,
        wanted: Peer,
        session: Session,
    ) -> PeerState {
        PeerState {
            id,
            owner,
            source,
            wanted,
            session,
            conns: BTreeMap::new(),
            opens: watch::OpensOf::new(),
            up: None,
            backlog: None,
            timer: None,
            link: LinkFacts::default(),
            levels: BTreeMap::new(),
            forget_at: None,
            changed: 0,
        }
    }
}

impl Connection {
    fn new(peer: ScopedAddr, conn: Conn, local: Option<IpAddr>) -> Connection {
        Connection { peer, conn, local, room: 0, capacity: 0, gone: false }
    }

    /// Bytes that wait to be taken by TCP, as far as known.
    pub(super) fn waiting(&self) -> usize {
        let capacity = i64::try_from(self.capacity).unwrap_or(i64::MAX);
        usize::try_from(capacity.saturating_sub(self.room)).unwrap_or(0)
    }
}

/// From a peer that is known by its link only, the link-local address is the one that leads
/// there: the global one need not be on the link (RFC 2545 §2).
fn on_the_link(update: &mut Update<'_>) {
    for reach in &mut update.reach {
        if let Some(link_local) = reach.next_hop.link_local {
            reach.next_hop = BgpNextHop { address: link_local.into(), link_local: None };
        }
    }
}

/// What the tables must know of a session. Its own address is the next hop of its family; for
/// the other family it is the global address of the interface towards the peer. IPv4 routes go
/// over the IPv6 address where that was agreed on (RFC 8950).
fn facts(up: &Up, link: LinkFacts, wanted: &Peer) -> SessionFacts {
    let usable = |local: &IpAddr| !local.is_unspecified();
    let local = up.local.filter(usable);
    let of = |family| local.filter(|local| Family::of(local) == family);
    let negotiated = &up.negotiated;
    let ipv6 = of(Family::Ipv6).or(link.ipv6.map(IpAddr::V6));
    let over_ipv6 = ipv6.filter(|_| negotiated.options.ipv4_over_ipv6);
    SessionFacts {
        name: wanted.session.name.clone(),
        groups: wanted.session.groups.clone(),
        next_hops: NextHops {
            ipv4: of(Family::Ipv4).or(over_ipv6).or(link.ipv4.map(IpAddr::V4)),
            ipv6,
            link_local: None,
        },
        long_lived: negotiated.knows_long_lived,
        rules: wanted.rules.clone(),
        ..SessionFacts::new(negotiated.router_id, negotiated.asn, negotiated.options)
    }
}

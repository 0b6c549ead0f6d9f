//! Between sessions and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use bgp_packet::RefreshKind;
use bgp_rib::{NextHops, PeerId, SessionFacts};
use bgp_session::{Conn, Effect, Event as SessionEvent, Negotiated, PeerConfig, Session, State};
use inet::{Family, LinkName};

use super::{CONNECTIONS, Connection, LinkFacts, Peer, Speaker, Up, spend};
use crate::{ConnId, Event, Output, Refusal};

impl Speaker {
    /// Tells a session what happened, and does what it wants done.
    pub(super) fn tell(&mut self, address: IpAddr, event: SessionEvent) {
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.session.handle(self.now, event);
            self.run(address);
        }
    }

    pub(super) fn accepted(&mut self, conn: ConnId, local: IpAddr, remote: IpAddr) {
        let ConnId::Accepted(number) = conn else { return };
        let known = self.peers.get_mut(&remote);
        let (peer, reason) = match known {
            _ if self.ending.is_some() => (None, Refusal::ShuttingDown),
            None => (None, Refusal::NotConfigured),
            Some(peer) if peer.conns.len() >= CONNECTIONS => (None, Refusal::TooManyConnections),
            Some(peer) => (Some(peer), Refusal::NotConfigured),
        };
        let Some(peer) = peer else { return self.refuse(conn, remote, reason) };
        let inner = Conn::Incoming(number);
        peer.conns.insert(inner, conn);
        let external = self.global.as_ref().is_none_or(|g| g.asn != peer.session.config().asn);
        let ttl = ttl(peer.session.config(), external);
        let connection = Connection { peer: remote, conn: inner, local: Some(local), room: 0 };
        self.conns.insert(conn, connection);
        self.outputs.push_back(Output::Adopt { conn, ttl });
        self.tell(remote, SessionEvent::TcpAccepted { conn: inner });
    }

    pub(super) fn frame(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(Connection { peer: address, conn: inner, .. }) = self.conns.get(&conn).copied()
        else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let update = peer.session.frame(self.now, inner, bytes);
        // First: this very UPDATE may be what makes the session Established.
        self.run(address);
        let Some(update) = update else { return };
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let (Some(up), Some(rib)) = (&mut peer.up, &mut self.rib) else { return };
        if up.conn != conn {
            return;
        }
        let updated = rib.update(peer.id, &up.negotiated.options, &update);
        let complete = update.end_of_rib.is_some_and(|family| up.complete.insert(family));
        if !updated.malformed.is_empty() {
            let event = Event::Malformed { peer: address, what: updated.malformed };
            self.outputs.push_back(Output::Happened(event));
        }
        if let Some(notification) = updated.reset {
            self.tell(address, SessionEvent::Reset { conn: inner, notification });
        }
        if complete {
            self.select_if_complete();
        }
    }

    /// Does what a session wants done.
    pub(super) fn run(&mut self, address: IpAddr) {
        while let Some(effect) = self.peers.get_mut(&address).and_then(|peer| peer.session.poll()) {
            self.effect(address, effect);
        }
        if let Some(peer) = self.peers.get_mut(&address) {
            let timer = peer.session.wake_at();
            if timer != peer.timer {
                if let Some((at, _)) = std::mem::replace(&mut peer.timer, timer) {
                    self.timers.remove(&(at, address));
                }
                self.timers.extend(timer.map(|(at, _)| (at, address)));
            }
        }
    }

    fn effect(&mut self, address: IpAddr, effect: Effect) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let config = peer.session.config();
        match effect {
            Effect::Connect { conn: inner } => {
                let conn = ConnId::Dialled(self.next_conn);
                self.next_conn += 1;
                let external = self.global.as_ref().is_none_or(|g| g.asn != config.asn);
                self.outputs.push_back(Output::Connect {
                    conn,
                    peer: SocketAddr::new(address, config.port),
                    local: config.local_address,
                    ttl: ttl(config, external),
                });
                peer.conns.insert(inner, conn);
                let connection = Connection { peer: address, conn: inner, local: None, room: 0 };
                self.conns.insert(conn, connection);
            }
            Effect::Send { conn: inner, bytes } => {
                if let Some(conn) = peer.conns.get(&inner).copied() {
                    if let Some(connection) = self.conns.get_mut(&conn) {
                        connection.room = spend(connection.room, bytes.len());
                    }
                    self.outputs.push_back(Output::Send { conn, bytes });
                }
            }
            Effect::Close { conn: inner } => {
                if let Some(conn) = peer.conns.remove(&inner) {
                    self.conns.remove(&conn);
                    self.outputs.push_back(Output::Close { conn });
                }
            }
            Effect::Up(negotiated) => self.up(address, *negotiated),
            Effect::Down { failure: _, stale } => {
                peer.up = None;
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
            Effect::Refresh { family, kind } => {
                let Some(rib) = &mut self.rib else { return };
                let framed = peer.up.as_ref().is_some_and(|up| up.negotiated.enhanced_refresh);
                match kind {
                    RefreshKind::Request => rib.refresh(peer.id, family, framed),
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

    fn up(&mut self, address: IpAddr, negotiated: Negotiated) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(conn) = peer.conns.get(&negotiated.conn).copied() else { return };
        let local = self.conns.get(&conn).and_then(|connection| connection.local);
        let up = Up { conn, local, negotiated, complete: BTreeSet::new() };
        let facts = facts(&up, peer.link, peer.session.config());
        peer.up = Some(up);
        if let Some(rib) = &mut self.rib {
            rib.session_up(peer.id, facts);
        }
        self.select_if_complete();
    }

    /// The session's facts are told again: a group or an address may have changed.
    pub(super) fn refresh_facts(&mut self, address: IpAddr) {
        let Some(peer) = self.peers.get(&address) else { return };
        if let (Some(up), Some(rib)) = (&peer.up, &mut self.rib) {
            rib.session_changed(peer.id, facts(up, peer.link, peer.session.config()));
        }
    }

    pub(super) fn local_address(&mut self, address: IpAddr, link: LinkFacts) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if std::mem::replace(&mut peer.link, link) != link {
            self.refresh_facts(address);
        }
    }

    /// Sessions with neighbors on a link that is down end at once, not after their hold time.
    pub(super) fn link_down(&mut self, name: LinkName) {
        let over: Vec<(IpAddr, ConnId, Conn)> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.link.link == Some(name))
            .filter(|(_, peer)| peer.session.config().ebgp_multihop.is_none())
            .filter_map(|(address, peer)| {
                let up = peer.up.as_ref()?;
                let external = up.negotiated.options.kind == bgp_packet::PeerKind::External;
                external.then_some((*address, up.conn, up.negotiated.conn))
            })
            .collect();
        for (address, conn, inner) in over {
            self.forget_conn(conn);
            self.outputs.push_back(Output::Close { conn });
            let reason = format!("link {name} is down");
            self.tell(address, SessionEvent::TcpClosed { conn: inner, reason });
        }
    }

    pub(super) fn forget_conn(&mut self, conn: ConnId) -> Option<Connection> {
        let connection = self.conns.remove(&conn)?;
        if let Some(peer) = self.peers.get_mut(&connection.peer) {
            peer.conns.remove(&connection.conn);
        }
        Some(connection)
    }

    /// A peer that was not there before.
    pub(super) fn new_peer(&self, id: PeerId, owner: String, session: Session) -> Peer {
        Peer {
            id,
            owner,
            session,
            conns: BTreeMap::new(),
            up: None,
            timer: None,
            link: LinkFacts::default(),
        }
    }
}

/// A neighbor is one hop away (RFC 4271 §5.1.3 needs no more); inside the AS anything goes.
fn ttl(config: &PeerConfig, external: bool) -> u8 {
    match (external, config.ebgp_multihop) {
        (false, _) => 255,
        (true, Some(ttl)) => ttl,
        (true, None) => 1,
    }
}

/// What the tables must know of a session. Its own address is the next hop of its family; for
/// the other family it is the global address of the interface towards the peer.
fn facts(up: &Up, link: LinkFacts, config: &PeerConfig) -> SessionFacts {
    let usable = |local: &IpAddr| match local {
        IpAddr::V4(a) => !a.is_unspecified(),
        IpAddr::V6(a) => !a.is_unspecified() && !a.is_unicast_link_local(),
    };
    let local = up.local.filter(usable);
    let of = |family| local.filter(|local| Family::of(local) == family);
    SessionFacts {
        router_id: up.negotiated.router_id,
        options: up.negotiated.options,
        groups: config.groups.clone(),
        next_hops: NextHops {
            ipv4: of(Family::Ipv4).or(link.ipv4.map(IpAddr::V4)),
            ipv6: of(Family::Ipv6).or(link.ipv6.map(IpAddr::V6)),
        },
    }
}

//! What the peer says, and what it does to the connection it says it on (RFC 4271 §8.2.2).

use std::sync::Arc;
use std::time::Duration;

use bgp_packet::{Capability, Cease, Message, Notification, Open, RefreshKind, Update, decode};
use inet::{Family, Timestamp};

use crate::link::{Link, Stage};
use crate::negotiate::{Refusal, negotiate, wins};
use crate::session::Session;
use crate::timer::Timer;
use crate::{Conn, Effect, Failure, Negotiated, State};

/// How long a connection that would lose a collision waits for the winner's OPEN, and how young
/// an established session is when another connection is still taken for a collision.
pub(crate) const COLLISION_WAIT: Duration = Duration::from_secs(5);

impl Session {
    pub(crate) fn receive<'a>(
        &mut self,
        now: Timestamp,
        conn: Conn,
        frame: &'a [u8],
    ) -> Option<Update<'a>> {
        // Without TCP there are no frames: whoever tells of some is wrong.
        let link = self.link(conn).filter(|l| l.state() != State::Connect)?;
        let kind = self.config.expected_kind(self.local.asn);
        let message = match decode(frame, &link.options(kind)) {
            Ok(message) => message,
            Err(notification) => {
                self.refuse(now, conn, notification);
                return None;
            }
        };
        self.count_received(&message);
        match (link_state(self.link(conn)?), message) {
            (LinkState::Dialling, _) => None,
            (_, Message::Notification(notification)) => {
                let link = self.take(conn)?;
                self.effects.push_back(Effect::Close { conn });
                self.recover(now, link, Failure::Received(notification));
                None
            }
            (LinkState::OpenSent, Message::Open(open)) => {
                self.opened(now, conn, &open);
                None
            }
            (
                LinkState::OpenSent,
                message @ (Message::Keepalive
                | Message::Update(_)
                | Message::RouteRefresh { .. }
                | Message::Ignored),
            ) => self.unexpected(now, conn, 1, &message),
            (LinkState::OpenConfirm, Message::Keepalive) => {
                self.confirmed(now, conn);
                None
            }
            (
                LinkState::OpenConfirm,
                message @ (Message::Open(_)
                | Message::Update(_)
                | Message::RouteRefresh { .. }
                | Message::Ignored),
            ) => self.unexpected(now, conn, 2, &message),
            // The peer sends routes: of two connections it has chosen this one.
            (LinkState::Confirmed, Message::Update(update)) => {
                self.establish(now, conn);
                self.updated(now, conn, update)
            }
            (LinkState::Confirmed, Message::RouteRefresh { family, kind }) => {
                self.establish(now, conn);
                self.refreshed(now, conn, family, kind)
            }
            (LinkState::Established, Message::Update(update)) => self.updated(now, conn, update),
            (LinkState::Established, Message::RouteRefresh { family, kind }) => {
                self.refreshed(now, conn, family, kind)
            }
            (
                LinkState::Confirmed | LinkState::Established,
                Message::Keepalive | Message::Ignored,
            ) => {
                self.alive(now, conn);
                None
            }
            (LinkState::Confirmed, message @ Message::Open(_)) => {
                self.unexpected(now, conn, 2, &message)
            }
            (LinkState::Established, message @ Message::Open(_)) => {
                self.unexpected(now, conn, 3, &message)
            }
        }
    }

    /// A message that has no place in this state (RFC 6608).
    fn unexpected<'a>(
        &mut self,
        now: Timestamp,
        conn: Conn,
        subcode: u8,
        message: &Message<'_>,
    ) -> Option<Update<'a>> {
        let kind = match message {
            Message::Open(_) => 1,
            Message::Update(_) => 2,
            Message::Notification(_) => 3,
            Message::Keepalive => 4,
            Message::RouteRefresh { .. } | Message::Ignored => 5,
        };
        self.refuse(now, conn, Notification::with_data(5, subcode, [kind]));
        None
    }

    /// The hold time begins anew.
    pub(crate) fn alive(&mut self, now: Timestamp, conn: Conn) {
        let Some(link) = self.link_mut(conn) else {
            return;
        };
        let hold_time = link.negotiated().map_or(0, |n| n.hold_time);
        match hold_time {
            0 => link.timers.clear(Timer::Hold),
            seconds => {
                link.timers.set(Timer::Hold, now + Duration::from_secs(u64::from(seconds)));
            }
        }
    }

    fn updated<'a>(
        &mut self,
        now: Timestamp,
        conn: Conn,
        update: Update<'a>,
    ) -> Option<Update<'a>> {
        self.alive(now, conn);
        if let Some(family) = update.end_of_rib {
            self.end_of_rib(family);
        }
        Some(update)
    }

    fn refreshed<'a>(
        &mut self,
        now: Timestamp,
        conn: Conn,
        family: Family,
        kind: RefreshKind,
    ) -> Option<Update<'a>> {
        self.alive(now, conn);
        let negotiated = self.link(conn)?.negotiated()?;
        let agreed = match kind {
            RefreshKind::Request => true,
            // RFC 7313 §3.1: without the capability these mean nothing.
            RefreshKind::Begin | RefreshKind::End => negotiated.enhanced_refresh,
        };
        if agreed && negotiated.families.contains(&family) {
            self.effects.push_back(Effect::Refresh { family, kind });
        }
        None
    }

    /// The peer's OPEN in OpenSent: judged, then collisions (RFC 4271 §6.8).
    fn opened(&mut self, now: Timestamp, conn: Conn, open: &Open) {
        if let Some(link) = self.link_mut(conn) {
            let received: Arc<[Capability]> = open.capabilities.as_slice().into();
            link.received = received.clone();
            let offered = link.offered.clone();
            self.told(offered, Some(received));
        }
        let negotiated = match negotiate(&self.config, &self.local, conn, open) {
            Ok(negotiated) => negotiated,
            Err(Refusal { notification, detail }) => {
                if let Some(link) = self.link_mut(conn) {
                    link.detail = detail;
                }
                return self.refuse(now, conn, notification);
            }
        };
        if let Some(established) = self.links.iter().find(|l| l.state() == State::Established) {
            let old = established.conn;
            if !self.has_restarted(now, established, &negotiated) {
                return self.close_loser(conn);
            }
            // RFC 4724 §5: the old connection is dead, only we do not know yet.
            if let Some(link) = self.take(old) {
                self.effects.push_back(Effect::Close { conn: old });
                self.lost(now, &link, Failure::PeerRestarted);
            }
        }
        let this_wins = wins(&self.local, &negotiated);
        let others: Vec<_> = self.links.iter().filter(|l| l.conn != conn).cloned().collect();
        for other in others {
            match other.stage {
                // Not needed any more.
                Stage::Dialling => self.hang_up(),
                Stage::OpenSent if this_wins => self.close_loser(other.conn),
                // That one would win; until its OPEN is here nobody knows whether it lives.
                Stage::OpenSent => {}
                Stage::OpenConfirm { .. } if this_wins => self.close_loser(other.conn),
                Stage::OpenConfirm { .. } => {
                    self.close_loser(conn);
                    // The other one may have waited for this.
                    return self.settle(now, false);
                }
                Stage::Established(_) => {}
            }
        }
        if let Some(link) = self.link_mut(conn) {
            let negotiated = Box::new(negotiated);
            link.stage = Stage::OpenConfirm { negotiated, confirmed: false };
        }
        self.alive(now, conn);
        self.keepalive(now, conn);
    }

    /// Whether a new connection beside an established session means that the peer has restarted
    /// and its side of the old one is gone (RFC 4724 §5).
    fn has_restarted(&self, now: Timestamp, old: &Link, new: &Negotiated) -> bool {
        let helps = old.negotiated().is_some_and(|n| n.graceful_restart.is_some());
        let says_so = new.graceful_restart.as_ref().is_some_and(|gr| gr.restarted);
        let no_collision = now.since(self.status.since) >= COLLISION_WAIT;
        helps && (says_so || no_collision)
    }

    /// KEEPALIVE in OpenConfirm.
    fn confirmed(&mut self, now: Timestamp, conn: Conn) {
        self.alive(now, conn);
        if let Some(Link { stage: Stage::OpenConfirm { confirmed, .. }, .. }) = self.link_mut(conn)
        {
            *confirmed = true;
        }
        self.settle(now, false);
    }

    /// Establishes a confirmed connection unless one that would win is still on its way; `force`
    /// says that this one was waited for long enough.
    pub(crate) fn settle(&mut self, now: Timestamp, force: bool) {
        let confirmed = |l: &&Link| matches!(l.stage, Stage::OpenConfirm { confirmed: true, .. });
        let Some(link) = self.links.iter().find(confirmed) else {
            return;
        };
        let conn = link.conn;
        let this_wins = link.negotiated().is_some_and(|n| wins(&self.local, n));
        let rival = self.links.iter().any(|l| l.state() == State::OpenSent);
        if force || this_wins || !rival {
            self.establish(now, conn);
        } else if self.timers.get(Timer::Collision).is_none() {
            self.timers.set(Timer::Collision, now + COLLISION_WAIT);
        }
    }

    fn establish(&mut self, now: Timestamp, conn: Conn) {
        let Some(link) = self.link_mut(conn) else {
            return;
        };
        let Stage::OpenConfirm { negotiated, .. } = &link.stage else {
            return;
        };
        let mut negotiated = negotiated.clone();
        self.hang_up();
        let others: Vec<_> = self.links.iter().map(|l| l.conn).filter(|c| *c != conn).collect();
        for other in others {
            self.close_loser(other);
        }
        for timer in [Timer::ConnectRetry, Timer::IdleHold, Timer::Collision] {
            self.timers.clear(timer);
        }
        self.peer_is_back(now, &negotiated);
        negotiated.stale = self.stale.keys().copied().collect();
        if let Some(link) = self.link(conn) {
            // Of two connections both may have spoken.
            let (offered, received) = (link.offered.clone(), link.received.clone());
            self.told(offered, Some(received));
        }
        if let Some(link) = self.link_mut(conn) {
            link.stage = Stage::Established(negotiated.clone());
        }
        self.status.established += 1;
        self.status.negotiated = Some(negotiated.clone());
        self.effects.push_back(Effect::Up(negotiated));
        // RFC 9687 §3.2: it runs from here on, if what was sent before still waits.
        self.send_hold(now, conn);
    }

    /// Ends a connection that lost against another one; no failure, nothing to recover from.
    fn close_loser(&mut self, conn: Conn) {
        if self.take(conn).is_some() {
            let cease = Notification::cease(Cease::CollisionResolution, None);
            self.send_notification(conn, &cease);
            self.effects.push_back(Effect::Close { conn });
        }
    }

    fn count_received(&mut self, message: &Message<'_>) {
        let counters = &mut self.status.received;
        let counter = match message {
            Message::Open(_) => &mut counters.open,
            Message::Update(_) => &mut counters.update,
            Message::Notification(_) => &mut counters.notification,
            Message::Keepalive => &mut counters.keepalive,
            Message::RouteRefresh { .. } | Message::Ignored => &mut counters.route_refresh,
        };
        *counter += 1;
    }
}

/// A connection's stage without what is in it.
#[derive(Clone, Copy)]
enum LinkState {
    Dialling,
    OpenSent,
    OpenConfirm,
    /// OpenConfirm with the KEEPALIVE received: waits only for a collision's end.
    Confirmed,
    Established,
}

fn link_state(link: &Link) -> LinkState {
    match link.stage {
        Stage::Dialling => LinkState::Dialling,
        Stage::OpenSent => LinkState::OpenSent,
        Stage::OpenConfirm { confirmed: false, .. } => LinkState::OpenConfirm,
        Stage::OpenConfirm { confirmed: true, .. } => LinkState::Confirmed,
        Stage::Established(_) => LinkState::Established,
    }
}

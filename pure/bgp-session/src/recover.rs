//! After an end: what is kept of the peer's routes, and when the next attempt is made.

use std::time::Duration;

use bgp_packet::{Cease, Notification};
use inet::{Family, Timestamp};

use crate::link::{Link, Stage};
use crate::session::{Mode, Session};
use crate::timer::Timer;
use crate::{Conn, Effect, Failure, LastFailure, Negotiated, Stale, State};

/// The first wait after an error; each further one in a row doubles it.
const IDLE_HOLD: Duration = Duration::from_secs(1);
/// The longest wait after errors.
const IDLE_HOLD_MAX: Duration = Duration::from_secs(120);
/// A session that lasted so long makes earlier errors forgotten.
const STABLE: Duration = Duration::from_secs(120);
/// The wait after an established session ended cleanly: the peer is probably about to come back.
const SOON: Duration = Duration::from_secs(1);

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The peer restarts or the path broke.
    Soon,
    /// After the connect retry time.
    Retry,
    /// Something is wrong that may well stay so: ever longer (RFC 4271 §8.1.1).
    Hold,
}

impl Session {
    /// Sends a NOTIFICATION on this connection and ends it.
    pub(crate) fn refuse(&mut self, now: Timestamp, conn: Conn, notification: Notification) {
        let Some(link) = self.take(conn) else { return };
        match link.stage {
            // Nobody is there to be told.
            Stage::Dialling => {}
            Stage::OpenSent | Stage::OpenConfirm { .. } | Stage::Established(_) => {
                self.send_notification(conn, &notification);
            }
        }
        self.effects.push_back(Effect::Close { conn });
        self.recover(now, link, Failure::Sent(notification));
    }

    /// A connection has ended by itself or by an error. It is no longer among the links.
    pub(crate) fn recover(&mut self, now: Timestamp, link: Link, failure: Failure) {
        let again = self.again(now, &link, &failure);
        self.lost(now, &link, failure);
        if self.mode != Mode::Running {
            return;
        }
        if again == Again::Hold && self.links.iter().all(|l| l.state() == State::Connect) {
            self.hang_up();
            self.errors = self.errors.saturating_add(1);
            self.mode = Mode::Holding;
            self.timers.clear(Timer::ConnectRetry);
            let doubled = IDLE_HOLD.saturating_mul(1 << (self.errors - 1).min(7));
            let wait = self.jitter.spread(doubled.min(IDLE_HOLD_MAX), 75, 125);
            self.timers.set(Timer::IdleHold, now + wait.min(IDLE_HOLD_MAX));
            return;
        }
        // The other connection may have been waiting for this one.
        self.settle(now, false);
        if self.links.iter().any(|l| l.state() == State::Established) {
            return;
        }
        match again {
            Again::Soon => self.retry(now, SOON),
            // A timer that runs already is left alone.
            Again::Retry | Again::Hold if self.timers.get(Timer::ConnectRetry).is_some() => {}
            Again::Retry | Again::Hold => {
                self.retry(now, self.connect_retry());
            }
        }
    }

    fn again(&mut self, now: Timestamp, link: &Link, failure: &Failure) -> Again {
        let was_up = link.state() == State::Established;
        if was_up && now.since(self.status.since) >= STABLE {
            self.errors = 0;
        }
        let clean = match failure {
            Failure::TcpClosed(_) | Failure::TcpFailed(_) => true,
            Failure::Stopped | Failure::PeerRestarted => true,
            Failure::Sent(n) => n.code == 4 || is_cease(n, &[Cease::CollisionResolution]),
            Failure::Received(n) => {
                const RETURNS: [Cease; 6] = [
                    Cease::AdministrativeShutdown,
                    Cease::AdministrativeReset,
                    Cease::ConfigurationChange,
                    Cease::CollisionResolution,
                    Cease::HardReset,
                    Cease::BfdDown,
                ];
                matches!(n.code, 4 | 8) || is_cease(n, &RETURNS)
            }
        };
        match (clean, was_up) {
            (true, true) => Again::Soon,
            (true, false) => Again::Retry,
            (false, _) => Again::Hold,
        }
    }

    /// Notes the failure; if the connection was the session, the session is down.
    pub(crate) fn lost(&mut self, now: Timestamp, link: &Link, failure: Failure) {
        if self.is_worth_telling(link, &failure) {
            self.status.last_failure = Some(LastFailure { at: now, failure: failure.clone() });
        }
        let Stage::Established(negotiated) = &link.stage else {
            return;
        };
        self.status.flaps += 1;
        self.status.negotiated = None;
        self.timers.clear(Timer::StalePath);
        // What was stale before is not kept a second time (RFC 4724 §4.2).
        self.flush_stale();
        let stale = stale(now, negotiated, &failure);
        if let Some(stale) = &stale {
            self.stale = stale.families.clone();
            self.timers.set(Timer::Restart, stale.until);
        }
        self.effects.push_back(Effect::Down { failure, stale });
    }

    /// Whether people should see this failure rather than the one before.
    fn is_worth_telling(&self, link: &Link, failure: &Failure) -> bool {
        match (failure, link.state()) {
            (Failure::Sent(n) | Failure::Received(n), _) => {
                !is_cease(n, &[Cease::CollisionResolution])
            }
            // A peer that waits after an error closes at once: the error says more.
            (Failure::TcpClosed(_), State::OpenSent) => {
                let last = self.status.last_failure.as_ref().map(|l| &l.failure);
                self.errors == 0 || !matches!(last, Some(Failure::Sent(_) | Failure::Received(_)))
            }
            (Failure::Stopped, State::Connect) => false,
            (Failure::TcpClosed(_) | Failure::TcpFailed(_), _)
            | (Failure::Stopped | Failure::PeerRestarted, _) => true,
        }
    }

    /// All stale routes go.
    pub(crate) fn flush_stale(&mut self) {
        self.timers.clear(Timer::Restart);
        self.timers.clear(Timer::StalePath);
        for family in std::mem::take(&mut self.stale) {
            self.effects.push_back(Effect::FlushStale(family));
        }
    }

    /// The peer has sent all: what it did not send again goes (RFC 4724 §4.2).
    pub(crate) fn end_of_rib(&mut self, family: Family) {
        if self.stale.remove(&family) {
            self.effects.push_back(Effect::FlushStale(family));
        }
        if self.stale.is_empty() {
            self.timers.clear(Timer::StalePath);
        }
    }

    /// Dials after about `wait`, at once if that is zero; a passive session only listens.
    pub(crate) fn retry(&mut self, now: Timestamp, wait: Duration) {
        if self.config.passive || self.mode != Mode::Running {
            return;
        }
        if wait.is_zero() {
            return self.dial(now);
        }
        // RFC 4271 §10: 75 to 100 percent.
        let wait = self.jitter.spread(wait, 75, 100);
        self.timers.set(Timer::ConnectRetry, now + wait);
    }

    /// Dials, giving up an attempt that has no answer yet (RFC 4271 §8.2.2, event 9).
    pub(crate) fn dial(&mut self, now: Timestamp) {
        if self.config.passive || self.links.iter().any(|l| l.state() >= State::OpenConfirm) {
            return;
        }
        self.hang_up();
        if !self.links.iter().any(Link::is_outgoing) {
            let conn = Conn::Outgoing(self.next_conn);
            self.next_conn += 1;
            self.links.push(Link::new(conn, Stage::Dialling));
            self.effects.push_back(Effect::Connect { conn });
        }
        self.retry(now, self.connect_retry());
    }

    /// The configured time between attempts.
    pub(crate) fn connect_retry(&self) -> Duration {
        Duration::from_secs(u64::from(self.config.connect_retry_time.max(1)))
    }

    /// Gives up an attempt that has no answer yet.
    pub(crate) fn hang_up(&mut self) {
        let dialling = |l: &Link| l.state() == State::Connect;
        while let Some(at) = self.links.iter().position(dialling) {
            let link = self.links.remove(at);
            self.effects.push_back(Effect::Close { conn: link.conn });
        }
    }
}

fn is_cease(notification: &Notification, any: &[Cease]) -> bool {
    notification.code == 6 && any.iter().any(|why| *why as u8 == notification.subcode)
}

/// Whether and for how long the peer's routes are kept (RFC 4724 §4.2, RFC 8538 §4).
fn stale(now: Timestamp, negotiated: &Negotiated, failure: &Failure) -> Option<Stale> {
    let gr = negotiated.graceful_restart.as_ref()?;
    let graceful = match failure {
        Failure::TcpClosed(_) | Failure::TcpFailed(_) | Failure::PeerRestarted => true,
        // We always set the N bit; graceful only if the peer does too.
        Failure::Sent(n) | Failure::Received(n) => gr.notification && !n.is_hard_reset(),
        Failure::Stopped => false,
    };
    let kept = gr.families.iter().map(|(family, _)| *family);
    let families: std::collections::BTreeSet<_> =
        kept.filter(|f| negotiated.families.contains(f)).collect();
    let any = graceful && gr.restart_time > 0 && !families.is_empty();
    let until = now + Duration::from_secs(u64::from(gr.restart_time));
    any.then_some(Stale { families, until })
}

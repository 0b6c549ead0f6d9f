//! After an end: what is kept of the peer's routes, and when the next attempt is made.

use std::time::Duration;

use bgp_packet::{Cease, Notification};
use inet::Timestamp;

use crate::link::{Link, Stage};
use crate::session::{Mode, Session};
use crate::timer::Timer;
use crate::{Conn, Effect, Failure, IdleHold, LastFailure, State};

/// A session that lasted so long makes earlier errors forgotten.
const STABLE: Duration = Duration::from_secs(120);
/// The wait after an established session ended cleanly: the peer is probably about to come back,
/// or has still to read why.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// So many short sessions in a row are put up with (DampPeerOscillations, RFC 4271 §8.1.1).
const BRIEF: u32 = 3;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The peer restarts or the path broke.
    Soon,
    /// After the connect retry time.
    Retry,
    /// Something is wrong that may well stay so: ever longer (RFC 4271 §8.1.1).
    Hold,
    /// Sessions do not last: ever longer too (RFC 4271 §8.1.1).
    Damp,
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
        self.status.connect_retries += 1;
        if self.mode != Mode::Running {
            return;
        }
        let alone = self.links.iter().all(|l| l.state() == State::Connect);
        match again {
            Again::Hold if alone => return self.hold(now, Mode::Holding),
            Again::Damp if alone => return self.hold(now, Mode::Damped),
            Again::Soon | Again::Retry | Again::Hold | Again::Damp => {}
        }
        // The other connection may have been waiting for this one.
        self.settle(now, false);
        if self.links.iter().any(|l| l.state() == State::Established) {
            return;
        }
        match again {
            Again::Soon => self.retry(now, SOON),
            // A timer that runs already is left alone.
            Again::Retry | Again::Hold | Again::Damp
                if self.timers.get(Timer::ConnectRetry).is_some() => {}
            Again::Retry | Again::Hold | Again::Damp => {
                self.retry(now, self.connect_retry());
            }
        }
    }

    /// Leaves the peer alone: IdleHoldTime, doubled each time (RFC 4271 §8.1.1).
    fn hold(&mut self, now: Timestamp, mode: Mode) {
        self.hang_up();
        self.errors = self.errors.saturating_add(1);
        self.mode = mode;
        self.timers.clear(Timer::ConnectRetry);
        let IdleHold { first, max, damp: _ } = self.config.idle_hold;
        let [first, max] = [first, max.max(first)].map(|s| Duration::from_secs(s.max(1).into()));
        let doubled = first.saturating_mul(1 << (self.errors - 1).min(16));
        let wait = self.jitter.spread(doubled.min(max), 75, 125);
        self.timers.set(Timer::IdleHold, now + wait.min(max));
    }

    fn again(&mut self, now: Timestamp, link: &Link, failure: &Failure) -> Again {
        let was_up = link.state() == State::Established;
        if was_up && now.since(self.status.since) >= STABLE {
            self.errors = 0;
            self.brief = 0;
        } else if was_up {
            self.brief = self.brief.saturating_add(1);
        }
        let clean = match failure {
            Failure::TcpClosed(_) | Failure::TcpFailed(_) => true,
            Failure::Stopped | Failure::PeerRestarted | Failure::BfdDown => true,
            Failure::Sent(n) => {
                n.code == 4 || is_cease(n, &[Cease::CollisionResolution, Cease::BfdDown])
            }
            Failure::Received(n) => {
                const RETURNS: [Cease; 6] = [
                    Cease::AdministrativeShutdown,
                    Cease::AdministrativeReset,
                    Cease::ConfigurationChange,
                    Cease::CollisionResolution,
                    // One that does not say what for.
                    Cease::HardReset,
                    Cease::BfdDown,
                ];
                matches!(n.code, 4 | 8) || is_cease(n, &RETURNS)
            }
        };
        let damp = self.config.idle_hold.damp && self.brief > BRIEF;
        match (clean, was_up) {
            (true, true) if damp => Again::Damp,
            (true, true) => Again::Soon,
            (true, false) => Again::Retry,
            (false, _) => Again::Hold,
        }
    }

    /// Notes the failure; if the connection was the session, the session is down.
    pub(crate) fn lost(&mut self, now: Timestamp, link: &Link, failure: Failure) {
        if self.is_worth_telling(link, &failure) {
            self.status.last_failure = Some(LastFailure {
                at: now,
                failure: failure.clone(),
                state: link.state(),
                detail: link.detail.clone(),
            });
        }
        let Stage::Established(negotiated) = &link.stage else {
            return;
        };
        self.status.flaps += 1;
        self.status.negotiated = None;
        let stale = self.keep(now, negotiated, &failure);
        self.effects.push_back(Effect::Down { failure, stale });
        self.tell_long_lived();
    }

    /// Whether people should see this failure rather than the one before.
    fn is_worth_telling(&self, link: &Link, failure: &Failure) -> bool {
        match (failure, link.state()) {
            (Failure::Sent(n) | Failure::Received(n), _) => {
                !is_cease(n, &[Cease::CollisionResolution])
            }
            // A peer that waits after an error, or is shut down, closes at once: what was said before
            // says more.
            (Failure::TcpClosed(_), State::OpenSent) => {
                let last = self.status.last_failure.as_ref().map(|l| &l.failure);
                !matches!(last, Some(Failure::Sent(_) | Failure::Received(_)))
            }
            (Failure::Stopped, State::Connect) => false,
            (Failure::TcpClosed(_) | Failure::TcpFailed(_), _)
            | (Failure::Stopped | Failure::PeerRestarted | Failure::BfdDown, _) => true,
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

/// Whether it is one of these, or a Hard Reset for one of these (RFC 8538 §3.1).
fn is_cease(notification: &Notification, any: &[Cease]) -> bool {
    match notification.inner() {
        Some(inner) => is_cease(&inner, any),
        None => notification.code == 6 && any.iter().any(|why| *why as u8 == notification.subcode),
    }
}

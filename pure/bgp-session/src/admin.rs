//! What people want of a session: start, stop, shutdown, reset, too many prefixes.

use std::time::Duration;

use bgp_packet::{Cease, Notification};
use inet::{Family, Timestamp};

use crate::link::{Link, Stage};
use crate::recover::SOON;
use crate::session::{Mode, Session};
use crate::timer::Timer;
use crate::{Effect, Failure, MaxPrefixesAction, State, Stop};

impl Session {
    /// RFC 4271 §8.1.2, ManualStart.
    pub(crate) fn start(&mut self, now: Timestamp) {
        match self.mode {
            Mode::Stopped | Mode::Holding | Mode::Damped | Mode::Blocked => self.begin(now),
            Mode::Shutdown | Mode::Running => {}
        }
    }

    /// RFC 4271 §8.1.2, ManualStop.
    pub(crate) fn stop(&mut self, now: Timestamp, how: Stop) {
        match how {
            // The tables stay as they are: the process ends and the kernel keeps them.
            Stop::Keep => self.end_links(now, None, false),
            Stop::Cease { why, communication } => {
                let cease = Notification::cease(why, communication.as_deref());
                self.end_links(now, Some(&cease), true);
                self.flush_stale();
            }
        }
        self.mode = Mode::Stopped;
        self.forget();
    }

    /// Cease/Administrative Shutdown (RFC 9003), and Idle until the configuration says otherwise.
    pub(crate) fn shut_down(&mut self, now: Timestamp) {
        match self.mode {
            Mode::Stopped | Mode::Shutdown => {}
            Mode::Running | Mode::Holding | Mode::Damped | Mode::Blocked => {
                let text = self.config.shutdown.as_deref().filter(|text| !text.is_empty());
                let cease = Notification::cease(Cease::AdministrativeShutdown, text);
                self.end_links(now, Some(&cease), true);
                self.flush_stale();
                self.mode = Mode::Shutdown;
            }
        }
    }

    /// The configuration no longer wants it down.
    pub(crate) fn shutdown_over(&mut self, now: Timestamp) {
        match self.mode {
            Mode::Shutdown => self.begin(now),
            Mode::Stopped | Mode::Running | Mode::Holding | Mode::Damped | Mode::Blocked => {}
        }
    }

    /// Cease/Administrative Reset (RFC 9003), then anew.
    pub(crate) fn admin_reset(&mut self, now: Timestamp, hard: bool, communication: Option<&str>) {
        match self.mode {
            Mode::Stopped | Mode::Shutdown => {}
            Mode::Running | Mode::Holding | Mode::Damped | Mode::Blocked => {
                let text = communication.filter(|text| !text.is_empty());
                let cease = Notification::cease(Cease::AdministrativeReset, text);
                self.restart(now, &cease, hard);
            }
        }
    }

    /// Cease/Maximum Number of Prefixes Reached (RFC 4486 §4), and Idle. Its routes are too many,
    /// so none are kept.
    pub(crate) fn max_prefixes(
        &mut self,
        now: Timestamp,
        family: Family,
        limit: u32,
        action: MaxPrefixesAction,
    ) {
        if self.links.iter().all(|l| l.state() != State::Established) {
            return;
        }
        self.end_links(now, Some(&Notification::max_prefixes(family, limit)), true);
        self.flush_stale();
        self.status.connect_retries += 1;
        self.mode = Mode::Blocked;
        match action {
            MaxPrefixesAction::Restart { after } => {
                let wait = Duration::from_secs(after.into());
                self.timers.set(Timer::IdleHold, now + wait);
            }
            MaxPrefixesAction::StayDown => {}
        }
    }

    /// Ends what there is and begins anew. `hard`: routes of before mean nothing any more, so
    /// none are kept as stale (RFC 8538 §3.1).
    pub(crate) fn restart(&mut self, now: Timestamp, notification: &Notification, hard: bool) {
        self.end_links(now, Some(notification), hard);
        if hard {
            self.flush_stale();
        }
        match self.mode {
            Mode::Stopped | Mode::Shutdown => {}
            Mode::Running | Mode::Holding | Mode::Damped | Mode::Blocked => self.begin(now),
        }
    }

    /// Runs, or stays down where the configuration wants that.
    fn begin(&mut self, now: Timestamp) {
        self.forget();
        self.timers.clear(Timer::IdleHold);
        match self.config.shutdown {
            Some(_) => self.mode = Mode::Shutdown,
            None => {
                self.mode = Mode::Running;
                // A peer that takes a new connection for the end of the old one never reads what
                // was said on that; meanwhile it may dial.
                // Not taken: what restarts it once more gives the peer no less.
                let read = self.goodbye.map(|at| (at + SOON).since(now));
                self.retry(now, read.unwrap_or(Duration::ZERO));
            }
        }
    }

    /// Errors of before do not count any more.
    fn forget(&mut self) {
        self.errors = 0;
        self.brief = 0;
        self.status.connect_retries = 0;
    }

    /// Ends all connections, with a NOTIFICATION if one is given.
    fn end_links(&mut self, now: Timestamp, notification: Option<&Notification>, hard: bool) {
        for link in std::mem::take(&mut self.links) {
            let failure = match (&link.stage, notification) {
                (_, None) | (Stage::Dialling, _) => Failure::Stopped,
                (
                    Stage::OpenSent | Stage::OpenConfirm { .. } | Stage::Established(_),
                    Some(notification),
                ) => {
                    self.goodbye = Some(now);
                    self.say_goodbye(&link, notification.clone(), hard)
                }
            };
            self.effects.push_back(Effect::Close { conn: link.conn });
            self.lost(now, &link, failure);
        }
        for timer in [Timer::ConnectRetry, Timer::IdleHold, Timer::Collision] {
            self.timers.clear(timer);
        }
    }

    /// Sends a NOTIFICATION; as a Hard Reset where the peer would otherwise keep our routes
    /// (RFC 8538 §3.1).
    pub(crate) fn say_goodbye(
        &mut self,
        link: &Link,
        notification: Notification,
        hard: bool,
    ) -> Failure {
        let may_keep = |l: &Link| {
            l.negotiated()
                .and_then(|n| n.graceful_restart.as_ref())
                .is_some_and(|gr| gr.notification)
        };
        let notification = match hard && may_keep(link) {
            true => notification.into_hard_reset(),
            false => notification,
        };
        self.send_notification(link.conn, &notification);
        Failure::Sent(notification)
    }
}

//! Routes of a peer that went away: kept for its restart time (RFC 4724 §4.2), then perhaps as
//! long-lived stale ones (RFC 9494 §4.2).

use std::collections::BTreeMap;
use std::time::Duration;

use inet::{Family, Timestamp};

use crate::session::Session;
use crate::timer::Timer;
use crate::{Effect, Failure, Helping, Negotiated, Stale};

/// How long stale routes wait for End-of-RIB once the peer is back.
const STALE_PATH: Duration = Duration::from_secs(360);

/// How far the keeping of a family's routes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Within the times of graceful restart.
    Restart {
        /// Seconds that they are kept for afterwards as long-lived stale ones.
        then: u32,
    },
    /// Long-lived stale.
    LongLived {
        /// The time is not prolonged by the peer's coming back and going away again.
        until: Timestamp,
    },
}

impl Session {
    /// Families whose routes are kept for a peer that went away, until End-of-RIB.
    pub fn helping(&self) -> impl Iterator<Item = (Family, Helping)> + '_ {
        let restart = self.timers.get(Timer::Restart).or(self.timers.get(Timer::StalePath));
        self.stale.iter().filter_map(move |(family, kept)| {
            let helping = match kept {
                Kept::Restart { .. } => Helping { long_lived: false, until: restart? },
                Kept::LongLived { until } => Helping { long_lived: true, until: *until },
            };
            Some((*family, helping))
        })
    }

    /// An established session has ended: says what is kept, and lets the rest of before go.
    pub(crate) fn keep(
        &mut self,
        now: Timestamp,
        negotiated: &Negotiated,
        failure: &Failure,
    ) -> Option<Stale> {
        let before = std::mem::take(&mut self.stale);
        self.timers.clear(Timer::StalePath);
        let mut kept = kept(now, negotiated, failure);
        for (family, before) in before {
            match (before, kept.get_mut(&family)) {
                // RFC 9494 §4.2: long-lived routes survive more than one loss of the session, but
                // not longer for it.
                (Kept::LongLived { .. }, Some(kept)) => *kept = before,
                // RFC 4724 §4.2: what was stale before is not kept a second time.
                (Kept::Restart { .. }, _) | (Kept::LongLived { .. }, None) => {
                    self.effects.push_back(Effect::FlushStale(family));
                }
            }
        }
        self.stale = kept;
        let restart = negotiated.graceful_restart.as_ref().map_or(0, |gr| gr.restart_time);
        let until = now + Duration::from_secs(restart.into());
        if self.stale.values().any(|kept| matches!(kept, Kept::Restart { .. })) {
            self.timers.set(Timer::Restart, until);
        }
        self.time_long_lived();
        let long_lived = |(family, kept): (&Family, &Kept)| match kept {
            Kept::Restart { then: 0 } => None,
            Kept::Restart { then } => Some((*family, until + Duration::from_secs((*then).into()))),
            Kept::LongLived { until } => Some((*family, *until)),
        };
        (!self.stale.is_empty()).then(|| Stale {
            families: self.stale.keys().copied().collect(),
            until,
            long_lived: self.stale.iter().filter_map(long_lived).collect(),
        })
    }

    /// Tells which of the kept routes are long-lived stale ones from the beginning: those of a
    /// peer without a restart time, and those of one that did not come back for long.
    pub(crate) fn tell_long_lived(&mut self) {
        for (family, kept) in &self.stale {
            match *kept {
                Kept::Restart { .. } => {}
                Kept::LongLived { until } => {
                    self.effects.push_back(Effect::LongLivedStale { family: *family, until });
                }
            }
        }
    }

    /// The peer is back: routes stay only where it says that it still forwards (RFC 4724 §4.2,
    /// RFC 9494 §4.2), and not for ever.
    pub(crate) fn peer_is_back(&mut self, now: Timestamp, negotiated: &Negotiated) {
        self.timers.clear(Timer::Restart);
        for (family, kept) in std::mem::take(&mut self.stale) {
            let forwards = match kept {
                Kept::Restart { .. } => {
                    let gr = negotiated.graceful_restart.as_ref();
                    gr.is_some_and(|gr| gr.families.contains(&(family, true)))
                }
                Kept::LongLived { .. } => negotiated.long_lived_forwarding.contains(&family),
            };
            if forwards && negotiated.families.contains(&family) {
                self.stale.insert(family, kept);
            } else {
                self.effects.push_back(Effect::FlushStale(family));
            }
        }
        if !self.stale.is_empty() {
            self.timers.set(Timer::StalePath, now + STALE_PATH);
        }
        self.time_long_lived();
    }

    /// The restart time is over (RFC 4724 §4.2): routes go, or are long-lived stale from now on
    /// (RFC 9494 §4.2).
    pub(crate) fn restart_time_over(&mut self, now: Timestamp) {
        for (family, kept) in std::mem::take(&mut self.stale) {
            match kept {
                Kept::Restart { then: 0 } => self.effects.push_back(Effect::FlushStale(family)),
                Kept::Restart { then } => {
                    let until = now + Duration::from_secs(then.into());
                    self.stale.insert(family, Kept::LongLived { until });
                    self.effects.push_back(Effect::LongLivedStale { family, until });
                }
                Kept::LongLived { .. } => {
                    self.stale.insert(family, kept);
                }
            }
        }
        self.time_long_lived();
    }

    /// The long-lived stale time of some family is over.
    pub(crate) fn long_lived_over(&mut self, now: Timestamp) {
        for (family, kept) in std::mem::take(&mut self.stale) {
            match kept {
                Kept::LongLived { until } if until <= now => {
                    self.effects.push_back(Effect::FlushStale(family));
                }
                Kept::LongLived { .. } | Kept::Restart { .. } => {
                    self.stale.insert(family, kept);
                }
            }
        }
        self.no_more_waiting();
        self.time_long_lived();
    }

    /// All stale routes go.
    pub(crate) fn flush_stale(&mut self) {
        for family in std::mem::take(&mut self.stale).into_keys() {
            self.effects.push_back(Effect::FlushStale(family));
        }
        self.no_more_waiting();
        self.time_long_lived();
    }

    /// The peer has sent all: what it did not send again goes (RFC 4724 §4.2).
    pub(crate) fn end_of_rib(&mut self, family: Family) {
        if self.stale.remove(&family).is_some() {
            self.effects.push_back(Effect::FlushStale(family));
        }
        self.no_more_waiting();
        self.time_long_lived();
    }

    fn no_more_waiting(&mut self) {
        if self.stale.is_empty() {
            self.timers.clear(Timer::Restart);
            self.timers.clear(Timer::StalePath);
        }
    }

    /// The timer runs for the family whose time is over first.
    fn time_long_lived(&mut self) {
        let until = |kept: &Kept| match kept {
            Kept::Restart { .. } => None,
            Kept::LongLived { until } => Some(*until),
        };
        match self.stale.values().filter_map(until).min() {
            Some(first) => self.timers.set(Timer::LongLived, first),
            None => self.timers.clear(Timer::LongLived),
        }
    }
}

/// What of the peer's routes is kept after this end.
fn kept(now: Timestamp, negotiated: &Negotiated, failure: &Failure) -> BTreeMap<Family, Kept> {
    let mut kept = BTreeMap::new();
    let Some(gr) = &negotiated.graceful_restart else { return kept };
    let graceful = match failure {
        Failure::TcpClosed(_) | Failure::TcpFailed(_) => true,
        Failure::PeerRestarted | Failure::BfdDown => true,
        // RFC 8538 §3: we always set the N bit; graceful only if the peer does too.
        Failure::Sent(n) | Failure::Received(n) => gr.notification && !n.is_hard_reset(),
        Failure::Stopped => false,
    };
    if !graceful {
        return kept;
    }
    for family in &negotiated.families {
        let restarts = gr.restart_time > 0 && gr.families.iter().any(|(of, _)| of == family);
        let then = negotiated.long_lived.get(family).copied().unwrap_or(0);
        let how = match (restarts, then) {
            (true, then) => Kept::Restart { then },
            (false, 0) => continue,
            // RFC 9494 §4.2: without a restart time the long-lived one begins at once.
            (false, then) => Kept::LongLived { until: now + Duration::from_secs(then.into()) },
        };
        kept.insert(*family, how);
    }
    kept
}

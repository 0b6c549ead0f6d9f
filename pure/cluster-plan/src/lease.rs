//! Who leads: a Lease as a small machine.
//!
//! The holder renews it; who wants it takes it over when it has not changed for its duration, by
//! the own clock since the change was *seen* (clocks of hosts are never compared). The holder
//! counts itself leader only until [`Timing::renew`] after it *began* its last successful renewal,
//! which is over before anybody else may take the Lease.

use std::time::Duration;

use inet::Timestamp;

/// How long things take around a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// An unchanged Lease is free after this long.
    pub duration: Duration,
    /// The leader steps down this long after its last renewal; less than `duration`.
    pub renew: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            duration: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// The parts of a stored Lease that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty if it was given back.
    pub holder: String,
    /// How often it went to another holder.
    pub transitions: i32,
    /// The stored object's resourceVersion.
    pub version: String,
}

/// What to do next about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Read it; then call [`Elector::read`].
    Read,
    /// Store this holder, if the Lease still has the version (none: it must not exist); then call
    /// [`Elector::wrote`].
    Write {
        /// The holder to store; empty gives it back.
        holder: String,
        /// The transitions to store.
        transitions: i32,
        /// The resourceVersion that it must still have.
        version: Option<String>,
    },
}

/// One who wants to lead.
#[derive(Clone, Debug)]
pub struct Elector {
    me: String,
    timing: Timing,
    /// The Lease as last read or written, and when it was first seen so. None: not read yet.
    seen: Option<(Option<Record>, Timestamp)>,
    /// Leader until then.
    until: Option<Timestamp>,
    /// When the write that is under way was begun.
    writing: Option<Timestamp>,
    next: Timestamp,
    fresh: bool,
}

impl Elector {
    /// One who wants to lead under this name, unique among all who want.
    pub fn new(me: impl Into<String>, timing: Timing) -> Elector {
        Elector {
            me: me.into(),
            timing,
            seen: None,
            until: None,
            writing: None,
            next: Timestamp::ZERO,
            fresh: false,
        }
    }

    /// Whether we lead at this moment.
    pub fn leads(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Until when we lead without another renewal, if we do.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Who holds the Lease as far as we know.
    pub fn holder(&self) -> Option<&str> {
        let (record, _) = self.seen.as_ref()?;
        record.as_ref().map(|record| record.holder.as_str()).filter(|holder| !holder.is_empty())
    }

    /// What to do now. A step is answered before the next is asked for.
    pub fn step(&mut self, now: Timestamp) -> Step {
        if now < self.next {
            return Step::Wait(self.next);
        }
        if !self.fresh {
            return Step::Read;
        }
        self.fresh = false;
        let Some((record, since)) = &self.seen else {
            return Step::Read;
        };
        let (transitions, version) = match record {
            None => (0, None),
            Some(record) if record.holder == self.me => {
                (record.transitions, Some(record.version.clone()))
            }
            Some(record) => {
                let over = record.holder.is_empty() || now.since(*since) >= self.timing.duration;
                if !over {
                    self.next = now + self.timing.retry;
                    return Step::Wait(self.next);
                }
                (record.transitions.saturating_add(1), Some(record.version.clone()))
            }
        };
        self.writing = Some(now);
        Step::Write { holder: self.me.clone(), transitions, version }
    }

    /// The Lease as it was read; none if there is none.
    pub fn read(&mut self, now: Timestamp, record: Option<Record>) {
        self.fresh = true;
        if record.as_ref().is_none_or(|record| record.holder != self.me) {
            // Somebody else has it (or it was deleted): whatever we thought, we do not lead.
            self.until = None;
        }
        match &self.seen {
            Some((before, _)) if *before == record => {}
            Some(_) | None => self.seen = Some((record, now)),
        }
    }

    /// Our write was stored; the Lease as it is now.
    pub fn wrote(&mut self, now: Timestamp, record: Record) {
        let began = self.writing.take().unwrap_or(now);
        self.until = (record.holder == self.me).then(|| began + self.timing.renew);
        self.seen = Some((Some(record), now));
        self.next = now + self.timing.retry;
        // A renewal needs no read: the version tells whether somebody else was there.
        self.fresh = true;
    }

    /// The step failed: somebody else was faster, or the API server was not to be had.
    pub fn failed(&mut self, now: Timestamp) {
        self.writing = None;
        self.fresh = false;
        self.next = now + self.timing.retry;
    }

    /// Gives the Lease back, so that another need not wait: the last write, if we hold it. We do
    /// not lead from this moment on.
    pub fn release(&mut self, now: Timestamp) -> Option<Step> {
        let led = self.leads(now);
        self.until = None;
        let record = self.seen.as_ref().and_then(|(record, _)| record.as_ref())?;
        (led && record.holder == self.me).then(|| Step::Write {
            holder: String::new(),
            transitions: record.transitions,
            version: Some(record.version.clone()),
        })
    }
}

#[cfg(test)]
mod tests;

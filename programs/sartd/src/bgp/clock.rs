//! The two clocks: monotonic for the machines, Unix time for people.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inet::Timestamp;

/// The shortest time between two lines of log that others can make us write.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Counts from the start of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    unix: Duration,
}

impl Clock {
    pub(super) fn start() -> Clock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), unix }
    }

    /// The present moment, for the machines.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.start.elapsed())
    }

    /// A moment as the runtime's timers have it.
    pub(super) fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        (self.start + at.elapsed()).into()
    }

    /// A moment that is not to come, since 1970, by what the clock on the wall says now: it may
    /// have been set since the start.
    pub(super) fn wall(&self, at: Timestamp) -> Duration {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        unix.saturating_sub(self.now().since(at))
    }

    /// A moment in Unix seconds.
    pub(super) fn unix(&self, at: Timestamp) -> u64 {
        (self.unix + at.elapsed()).as_secs()
    }
}

/// Limits how often others can make us write to the log.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    last: Option<Instant>,
}

impl Quiet {
    /// Whether it is time for another line.
    pub(super) fn may_log(&mut self) -> bool {
        let may = self.last.is_none_or(|last| last.elapsed() >= LOG_EVERY);
        if may {
            self.last = Some(Instant::now());
        }
        may
    }
}

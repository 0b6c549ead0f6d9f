//! The two clocks: monotonic for the machines, Unix time for people.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inet::Timestamp;

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

    /// A moment in Unix seconds.
    pub(super) fn unix(&self, at: Timestamp) -> u64 {
        (self.unix + at.elapsed()).as_secs()
    }
}

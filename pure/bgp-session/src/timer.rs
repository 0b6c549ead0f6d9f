//! Deadlines, and the little randomness that keeps peers from acting in step.

use std::time::Duration;

use inet::Timestamp;

/// What a session waits for. Of two that are due at once the earlier in this list comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// HoldTimer (RFC 4271 §10), per connection.
    Hold,
    /// KeepaliveTimer, per connection.
    Keepalive,
    /// SendHoldTimer (RFC 9687), per connection.
    SendHold,
    /// ConnectRetryTimer.
    ConnectRetry,
    /// IdleHoldTimer (RFC 4271 §8.1.1 DampPeerOscillations).
    IdleHold,
    /// The restart time of a peer that went away (RFC 4724 §4.2).
    Restart,
    /// How long stale routes wait for End-of-RIB once the peer is back.
    StalePath,
    /// How long long-lived stale routes are kept (RFC 9494 §4.2).
    LongLived,
    /// How long a connection that would lose a collision waits for the winner.
    Collision,
}

impl Timer {
    pub(crate) const ALL: [Timer; 9] = [
        Timer::Hold,
        Timer::Keepalive,
        Timer::SendHold,
        Timer::ConnectRetry,
        Timer::IdleHold,
        Timer::Restart,
        Timer::StalePath,
        Timer::LongLived,
        Timer::Collision,
    ];

    /// What the time is for, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Timer::Hold => "hold time",
            Timer::Keepalive => "keepalive",
            Timer::SendHold => "send hold time",
            Timer::ConnectRetry => "connect retry",
            Timer::IdleHold => "idle hold",
            Timer::Restart => "restart time",
            Timer::StalePath => "stale path time",
            Timer::LongLived => "long-lived stale time",
            Timer::Collision => "collision",
        }
    }
}

/// A deadline per timer, or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimerTable {
    due: [Option<Timestamp>; Timer::ALL.len()],
}

impl TimerTable {
    pub(crate) fn set(&mut self, timer: Timer, due: Timestamp) {
        if let Some(slot) = self.due.get_mut(timer as usize) {
            *slot = Some(due);
        }
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(slot) = self.due.get_mut(timer as usize) {
            *slot = None;
        }
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Timestamp> {
        self.due.get(timer as usize).copied().flatten()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<(Timestamp, Timer)> {
        let set = Timer::ALL.into_iter().filter_map(|t| self.get(t).map(|due| (due, t)));
        set.min_by_key(|(due, t)| (*due, *t as usize))
    }
}

/// A stream of pseudo-random numbers from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `time` made `low` to `high` percent of itself.
    pub(crate) fn spread(&mut self, time: Duration, low: u32, high: u32) -> Duration {
        // Thousandths of a percent are fine enough.
        let steps = u64::from(high.saturating_sub(low)) * 1000 + 1;
        let thousandths = u64::from(low) * 1000 + self.next() % steps;
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros.saturating_mul(thousandths) / 100_000)
    }
}

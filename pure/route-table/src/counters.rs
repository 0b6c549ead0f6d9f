//! What is counted.

use std::time::Duration;

/// Upper bounds of the lag's buckets.
pub const LAG_BUCKETS: [Duration; 10] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes of routes that the kernel took.
    pub route_writes: u64,
    /// Writes of next-hop objects that the kernel took.
    pub object_writes: u64,
    /// Writes that the kernel refused; each is tried again.
    pub failures: u64,
    /// How often all was read anew after the first time.
    pub resyncs: u64,
    /// From a route being wanted to its being in the kernel.
    pub lag: Lag,
}

/// Durations in buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// How many were at most [`LAG_BUCKETS`], each and not the sum; the last: longer.
    pub buckets: [u64; LAG_BUCKETS.len() + 1],
    /// All of them added up.
    pub sum: Duration,
    /// How many.
    pub count: u64,
}

impl Lag {
    pub(crate) fn observe(&mut self, lag: Duration) {
        let at = LAG_BUCKETS.partition_point(|bound| *bound < lag);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(lag);
        self.count += 1;
    }
}

//! Waiting for a state instead of sleeping.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Asks until the answer is `Ok`; after `limit` the last error says what was missing.
pub(crate) fn wait_for<T>(
    what: impl Display,
    limit: Duration,
    mut ask: impl FnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() >= end => {
                let text = format!("{what}: not within {} s", limit.as_secs());
                return Err(error.context(anyhow!(text)));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Checks that something stays so for a time.
pub(crate) fn stays(
    what: impl Display,
    time: Duration,
    mut ask: impl FnMut() -> Result<()>,
) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        ask().map_err(|error| error.context(format!("{what}: did not stay so")))?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Seconds, for the limits in the cases.
pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

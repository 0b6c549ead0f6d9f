use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU32;
use std::time::Duration;

/// Numbers that follow from a secret and cannot be told from outside.
#[derive(Clone)]
pub(crate) struct Random {
    seed: [u8; 16],
    drawn: u64,
}

impl std::fmt::Debug for Random {
    /// The seed tells all discriminators to come: it is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Random").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

impl Random {
    pub(crate) fn new(seed: [u8; 16]) -> Random {
        Random { seed, drawn: 0 }
    }

    fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hasher = DefaultHasher::new();
        (self.seed, self.drawn).hash(&mut hasher);
        hasher.finish()
    }

    /// A discriminator that is not 0 and not taken.
    pub(crate) fn discriminator(&mut self, taken: impl Fn(NonZeroU32) -> bool) -> NonZeroU32 {
        loop {
            match NonZeroU32::new((self.draw() >> 32) as u32) {
                Some(free) if !taken(free) => return free,
                Some(_) | None => {}
            }
        }
    }

    /// The time until the next packet: 75 to 100 % of the interval, 75 to 90 % where one lost
    /// packet is too many (RFC 5880 §6.8.7).
    pub(crate) fn jitter(&mut self, interval: Duration, multiplier: u8) -> Duration {
        let span = if multiplier == 1 { 15 } else { 25 };
        // Thousandths of the span, so that the steps are small.
        let thousandths = 75_000 + (self.draw() % (span * 1000 + 1)) as u32;
        interval * thousandths / 100_000
    }
}

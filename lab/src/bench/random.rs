//! Numbers that look random and are the same on every machine.

/// A stream of numbers that its seed alone decides.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        inet::split_mix(&mut self.0)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of a product: even enough for any `end` that is used here.
        let wide = u128::from(self.next()) * u128::from(end);
        (wide >> 64) as u64
    }

    /// An index below `end`, small ones far more often than large ones.
    pub(crate) fn skewed(&mut self, end: usize) -> usize {
        let x = self.below(1 << 20) as f64 / (1 << 20) as f64;
        ((x * x * x * end as f64) as usize).min(end.saturating_sub(1))
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

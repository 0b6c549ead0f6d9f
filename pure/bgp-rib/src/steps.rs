//! How much is done in one call, counted in tests: entries, prefixes and the like that are looked
//! at. Time would be another one on each machine.

#[cfg(not(test))]
pub(crate) fn add(_steps: usize) {}

#[cfg(test)]
pub(crate) use counted::{add, of};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn add(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// How many steps a call takes.
    pub(crate) fn of(call: impl FnOnce()) -> usize {
        let before = STEPS.get();
        call();
        STEPS.get() - before
    }
}

//! A large table is mostly not in the processor's caches. Who will come by many places in no order
//! of theirs reads a word of each first: the processor waits for several at once, where the work
//! itself would wait for one after another.

use std::hint::black_box;

/// Places that are looked at together: more than the processor can wait for at once, and few
/// enough that all of them are still there when the work comes by.
pub(crate) const AHEAD: usize = 64;

/// Reads the words. Little may be done for each, or the processor does not see the next ones.
pub(crate) fn read(words: impl Iterator<Item = u64>) {
    black_box(words.fold(0, |all, word| all ^ word));
}

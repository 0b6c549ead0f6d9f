//! What is being done, said while it is done: one line each, with the seconds since the start.

use std::time::Instant;

/// Prints to standard error, so that standard output stays for what was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    start: Instant,
    silent: bool,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { start: Instant::now(), silent: false }
    }

    /// Says nothing: for tests, which print their own.
    pub(crate) fn silent() -> Progress {
        Progress { start: Instant::now(), silent: true }
    }

    pub(crate) fn say(&self, what: impl std::fmt::Display) {
        if !self.silent {
            eprintln!("{:6.1}s  {what}", self.start.elapsed().as_secs_f32());
        }
    }
}

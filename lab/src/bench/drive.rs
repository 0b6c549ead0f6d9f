//! The loop that serves all sessions of a run, and the listener to the kernel beside them.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::kernel::Monitor;
use super::session::Session;

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Every session is Established.
    Established,
    /// Every receiver holds what it shall hold, and the kernel too.
    Complete,
    /// The time is over.
    Over,
}

/// Serves the sessions until it is so, at most until the deadline: when it was so.
///
/// # Errors
/// When a session ends, or the deadline passes before.
pub(super) fn run(
    sessions: &mut [Session],
    mut kernel: Option<&mut Monitor>,
    until: Until,
    deadline: Instant,
) -> Result<Instant> {
    let mut polls = Vec::new();
    loop {
        if reached(sessions, kernel.as_deref(), until) {
            return Ok(Instant::now());
        }
        let now = Instant::now();
        if now >= deadline {
            if until == Until::Over {
                return Ok(now);
            }
            bail!("not done in its time limit: {}", complaint(sessions, kernel.as_deref()));
        }
        polls.clear();
        for session in sessions.iter_mut() {
            session.keep_alive();
            let write = if session.wants_to_write() { libc::POLLOUT } else { 0 };
            polls.push(libc::pollfd { fd: session.fd(), events: libc::POLLIN | write, revents: 0 });
        }
        if let Some(kernel) = &kernel {
            polls.push(libc::pollfd { fd: kernel.as_raw_fd(), events: libc::POLLIN, revents: 0 });
        }
        let wait = deadline.saturating_duration_since(now).min(Duration::from_millis(500));
        // Rounded up, so that the deadline has passed when nothing else wakes us.
        let wait = i32::try_from(wait.as_millis()).unwrap_or(500) + 1;
        // SAFETY: the pointer and the length are those of one vector.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, wait) };
        for (session, poll) in sessions.iter_mut().zip(&polls) {
            if poll.revents & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0 {
                session.read()?;
            }
            if poll.revents & libc::POLLOUT != 0 {
                session.write()?;
            }
        }
        if let Some(kernel) = &mut kernel
            && polls.last().is_some_and(|poll| poll.revents != 0)
        {
            kernel.read()?;
        }
    }
}

fn reached(sessions: &[Session], kernel: Option<&Monitor>, until: Until) -> bool {
    match until {
        Until::Established => sessions.iter().all(|session| session.established.is_some()),
        Until::Complete => {
            sessions.iter().all(|session| session.established.is_some() && session.complete())
                && kernel.is_none_or(Monitor::complete)
        }
        Until::Over => false,
    }
}

/// What is not as it shall be; empty when all is.
pub(super) fn complaint(sessions: &[Session], kernel: Option<&Monitor>) -> String {
    let held = sessions.iter().filter_map(|session| session.held.as_ref());
    if let Some(held) = held.into_iter().find(|held| !held.complete()) {
        return held.complaint();
    }
    match kernel {
        Some(kernel) if !kernel.complete() => kernel.complaint(),
        _ => String::new(),
    }
}

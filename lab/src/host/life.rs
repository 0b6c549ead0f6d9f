//! What becomes of a program under PID 1: which of its ends are answered by a new start, and when.
//!
//! A kubelet starts the control plane's static pods again, systemd the node's own programs; what
//! the lab itself has ended stays away until it is started.

use std::time::{Duration, Instant};

use super::control::Restart;

/// From a program's end to its next start, when it has run for a while.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest such pause, however often it ends; who runs as long starts from the shortest again.
const LONGEST: Duration = Duration::from_secs(10);

/// One program's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Runs since then; the pause before this start was `after`, zero when it was asked for.
    Runs { pid: i32, since: Instant, after: Duration },
    /// Still runs, but has been told to end.
    Ending { pid: i32 },
    /// Has ended by itself and is started again then.
    Waits { until: Instant, pause: Duration, how: String },
    /// Has ended for good.
    Ended { how: String },
}

impl Life {
    /// Has been started because somebody asked for it.
    pub(super) fn started(pid: i32, now: Instant) -> Life {
        Life::Runs { pid, since: now, after: Duration::ZERO }
    }

    /// Has been started again, or could not be: then it waits longer.
    pub(super) fn started_again(self, result: Result<i32, String>, now: Instant) -> Life {
        match (self, result) {
            (Life::Waits { pause, .. }, Ok(pid)) => Life::Runs { pid, since: now, after: pause },
            (Life::Waits { pause, .. }, Err(how)) => wait(longer(pause), how, now),
            (other, _) => other,
        }
    }

    /// The process has ended.
    pub(super) fn ended(self, restart: Restart, how: String, now: Instant) -> Life {
        match (self, restart) {
            (Life::Runs { since, after, .. }, Restart::Always) => {
                let long = now.saturating_duration_since(since) >= LONGEST;
                wait(if long { SHORTEST } else { longer(after) }, how, now)
            }
            (Life::Runs { .. } | Life::Ending { .. }, _) => Life::Ended { how },
            (other, _) => other,
        }
    }

    /// Somebody wants it to end: the process to be told so, if there is one.
    pub(super) fn told_to_end(self) -> (Life, Option<i32>) {
        match self {
            Life::Runs { pid, .. } | Life::Ending { pid } => (Life::Ending { pid }, Some(pid)),
            Life::Waits { how, .. } | Life::Ended { how } => (Life::Ended { how }, None),
        }
    }

    /// Its process, while there is one.
    pub(super) fn pid(&self) -> Option<i32> {
        match self {
            Life::Runs { pid, .. } | Life::Ending { pid } => Some(*pid),
            Life::Waits { .. } | Life::Ended { .. } => None,
        }
    }

    /// How it has ended, while it does not run.
    pub(super) fn how(&self) -> Option<&str> {
        match self {
            Life::Runs { .. } | Life::Ending { .. } => None,
            Life::Waits { how, .. } | Life::Ended { how } => Some(how),
        }
    }

    /// When it is started again.
    pub(super) fn again(&self) -> Option<Instant> {
        match self {
            Life::Waits { until, .. } => Some(*until),
            Life::Runs { .. } | Life::Ending { .. } | Life::Ended { .. } => None,
        }
    }
}

fn wait(pause: Duration, how: String, now: Instant) -> Life {
    Life::Waits { until: now + pause, pause, how }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit() -> String {
        "exited with 1".to_owned()
    }

    /// Ends a program that has run for `ran`, and gives the pause until its next start.
    fn pause(life: &mut Life, ran: Duration, now: &mut Instant) -> Option<Duration> {
        *now += ran;
        *life = life.clone().ended(Restart::Always, exit(), *now);
        let pause = life.again()? - *now;
        *now += pause;
        *life = life.clone().started_again(Ok(7), *now);
        assert_eq!(life.pid(), Some(7));
        Some(pause)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_a_long_run_starts_anew() {
        let mut now = Instant::now();
        let mut life = Life::started(7, now);
        let second = Duration::from_secs(1);
        for expected in [1, 2, 4, 8, 10, 10] {
            assert_eq!(pause(&mut life, second, &mut now), Some(second * expected));
        }
        assert_eq!(pause(&mut life, LONGEST, &mut now), Some(SHORTEST));
        let almost = LONGEST - Duration::from_millis(1);
        assert_eq!(pause(&mut life, almost, &mut now), Some(second * 2));
    }

    #[test]
    fn a_start_that_fails_is_tried_again_later() {
        let now = Instant::now();
        let life = Life::started(7, now).ended(Restart::Always, exit(), now);
        let life = life.started_again(Err("no such file".to_owned()), now);
        assert_eq!(life.again(), Some(now + SHORTEST * 2));
        assert_eq!((life.pid(), life.how()), (None, Some("no such file")));
    }

    #[test]
    fn what_is_told_to_end_stays_away() {
        let now = Instant::now();
        let (life, pid) = Life::started(7, now).told_to_end();
        assert_eq!((pid, life.how()), (Some(7), None));
        let (life, pid) = life.told_to_end();
        assert_eq!(pid, Some(7));
        let life = life.ended(Restart::Always, exit(), now);
        assert_eq!(life, Life::Ended { how: exit() });

        // Also when it has just ended by itself and would have come back.
        let waits = Life::started(7, now).ended(Restart::Always, exit(), now);
        assert_eq!(waits.told_to_end(), (Life::Ended { how: exit() }, None));
    }

    #[test]
    fn only_what_is_kept_comes_back() {
        let now = Instant::now();
        let life = Life::started(7, now).ended(Restart::Never, exit(), now);
        assert_eq!(life, Life::Ended { how: exit() });
    }
}

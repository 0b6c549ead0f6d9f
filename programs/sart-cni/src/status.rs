//! STATUS: the runtime asks every few seconds, and an error makes the node NotReady and takes its
//! pods out of their Services. So a short absence of the agent, as an upgrade makes, is no error.

use std::path::Path;
use std::time::Duration;

use cni::{Error, ErrorCode};
use cni_wire::{Reply, Request, SERVED_PATH};

use crate::agent::Agent;
use crate::translate;

/// For how long the agent may be away.
const AWAY: Duration = Duration::from_secs(60);

/// Fails only until the agent has first served, and after it has been away for a minute.
pub(crate) fn status(agent: &Agent) -> Result<(), Error> {
    match agent.ask_once(&Request::Status {})? {
        Some(Reply::Ok(_)) => Ok(()),
        Some(Reply::Error(refusal)) => Err(translate::refusal(refusal)),
        None => judge(last_served(agent.socket()), uptime()),
    }
}

/// Both times count from the machine's start, so setting its clock changes nothing; the file lies
/// in `/run`, which is empty after a reboot.
fn judge(served: Option<Duration>, now: Option<Duration>) -> Result<(), Error> {
    let unavailable = |message: String| Err(Error::new(ErrorCode::NotAvailable, message));
    match (served, now) {
        (None, _) => unavailable("agent-not-started: the agent has not served yet".to_owned()),
        (Some(served), Some(now)) if now.saturating_sub(served) > AWAY => unavailable(format!(
            "agent-away: the agent has been away for {} s",
            now.saturating_sub(served).as_secs()
        )),
        // Without a clock nobody can say that it has been away for too long.
        (Some(_), Some(_) | None) => Ok(()),
    }
}

fn last_served(socket: &Path) -> Option<Duration> {
    let file = Path::new(SERVED_PATH).file_name()?;
    seconds(&std::fs::read_to_string(socket.with_file_name(file)).ok()?)
}

fn uptime() -> Option<Duration> {
    seconds(&std::fs::read_to_string("/proc/uptime").ok()?)
}

/// The first word, as seconds.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(served: Option<u64>, now: Option<u64>, expect: &str) {
        let said = judge(served.map(Duration::from_secs), now.map(Duration::from_secs));
        let said = said.map_or_else(|error| error.message, |()| "ok".to_owned());
        assert_eq!(said, expect);
    }

    #[test]
    fn only_a_long_absence_is_an_error() {
        check(None, Some(5), "agent-not-started: the agent has not served yet");
        check(Some(100), Some(100), "ok");
        check(Some(100), Some(160), "ok");
        check(Some(100), Some(161), "agent-away: the agent has been away for 61 s");
        check(Some(100), Some(3), "ok");
        check(Some(100), None, "ok");
    }

    #[test]
    fn seconds_are_the_first_word() {
        assert_eq!(seconds("12.5 3.1\n"), Some(Duration::from_millis(12500)));
        for text in ["", "x", "-1", "NaN", "1e300"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert!(uptime().is_some());
    }
}

//! Events, one a line.

use node_api::v1::{self, event::What};

use super::time;

/// One event. `at` is Unix time in seconds, 0 when it is not known.
pub(crate) fn event(at: u64, what: &What) -> String {
    let at = if at == 0 { "-".to_owned() } else { time(at) };
    let (kind, words) = match what {
        What::Session(session) => ("session", session_words(session)),
        What::Best(best) => match best.next_hops.as_slice() {
            [] => ("best", format!("{} is not reached any more", best.prefix)),
            hops => ("best", format!("{} via {}", best.prefix, hops.join(", "))),
        },
        What::Condition(event) => {
            let condition = event.condition.clone().unwrap_or_default();
            let words = match event.holds {
                true => format!("{}: {}", condition.name, condition.message),
                false => format!("{} holds no longer", condition.name),
            };
            ("condition", words)
        }
        What::Missed(missed) => {
            ("missed", format!("{} events, which came faster than they were read", missed.count))
        }
    };
    format!("{at:<20}  {kind:<9}  {words}")
}

fn session_words(session: &v1::SessionEvent) -> String {
    let name = match session.name.as_str() {
        name if name.is_empty() || name == session.neighbor => String::new(),
        name => format!(" ({name})"),
    };
    let reason = match session.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!("{}{name} {}{reason}", session.neighbor, session.state().words())
}

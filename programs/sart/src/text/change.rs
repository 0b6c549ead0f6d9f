//! What changes did, or would do.

use std::fmt::Write as _;

use node_api::v1;

/// What a change did; `planned`: what it would do.
pub(crate) fn applied(reply: &v1::ApplyReply, planned: bool) -> String {
    let mut text = String::new();
    for change in &reply.changes {
        let _ = writeln!(text, "{change}");
    }
    let is = if planned { "would be" } else { "is" };
    for reset in &reply.resets {
        let _ = writeln!(text, "session with {} {is} reset: {}", reset.neighbor, reset.reason);
    }
    for conflict in &reply.conflicts {
        let _ = writeln!(text, "without effect: {conflict}");
    }
    if text.is_empty() { "already so".to_owned() } else { text }
}

/// Who was reset, and who was not.
pub(crate) fn reset(reply: &v1::ResetReply, kind: v1::ResetKind) -> String {
    let done = match kind {
        v1::ResetKind::SoftIn => "is asked for its routes again",
        v1::ResetKind::SoftOut => "is told all routes again",
        v1::ResetKind::Soft => "is asked for its routes and told all routes again",
        v1::ResetKind::Hard | v1::ResetKind::Unknown => "the session begins anew",
    };
    let mut text = String::new();
    for neighbor in &reply.neighbors {
        let _ = writeln!(text, "{neighbor}: {done}");
    }
    for skipped in &reply.skipped {
        let _ = writeln!(text, "{}: nothing is done: {}", skipped.neighbor, skipped.reason);
    }
    if text.is_empty() { "there are no neighbors".to_owned() } else { text }
}

//! What a change is answered.

use std::collections::BTreeMap;

use bgp_speaker::{PeerSnapshot, Plan};
use node_api::v1;
use router_config::Diff;

/// Why a document is refused that may reset no session.
pub(super) fn resets_sessions(resets: &[v1::Reset]) -> v1::Problem {
    let resets = resets.iter().map(|reset| format!("{} ({})", reset.neighbor, reset.reason));
    let resets = resets.collect::<Vec<_>>().join(", ");
    v1::Problem {
        reason: "resets-sessions".to_owned(),
        message: format!("nothing is changed: it resets {resets}"),
        ..Default::default()
    }
}

/// What a document changes: in words of the document, and what the speaker makes of it, which
/// knows what other owners want and what files hold.
pub(super) fn reply_to(diff: &Diff, plan: &Plan) -> v1::ApplyReply {
    let mut resets: BTreeMap<String, String> = BTreeMap::new();
    for (what, reason) in &diff.other_resets {
        resets.insert(what.clone(), reason.clone());
    }
    for address in &plan.removed {
        resets.insert(address.to_string(), "it is removed".to_owned());
    }
    for (address, fields) in &plan.resets {
        let said = diff.resets.iter().find(|(of, _)| of == address).map(|(_, why)| why.clone());
        let fields = || format!("{} changed", fields.join(", "));
        resets.insert(address.to_string(), said.unwrap_or_else(fields));
    }
    let resets = resets.into_iter().map(|(neighbor, reason)| v1::Reset { neighbor, reason });
    v1::ApplyReply {
        accepted: true,
        changes: diff.changes.clone(),
        resets: resets.collect(),
        conflicts: plan.conflicts.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

/// Why a neighbor cannot be reset so.
pub(super) fn why_not(peer: &PeerSnapshot, kind: v1::ResetKind) -> Option<&'static str> {
    let negotiated = peer.status.negotiated.as_deref();
    match kind {
        v1::ResetKind::Hard => None,
        v1::ResetKind::SoftIn | v1::ResetKind::Soft => match negotiated {
            None => Some("not-established"),
            Some(negotiated) if !negotiated.route_refresh => {
                Some("the peer does not answer ROUTE-REFRESH (RFC 2918)")
            }
            Some(_) => None,
        },
        v1::ResetKind::SoftOut | v1::ResetKind::Unknown => {
            if negotiated.is_none() {
                Some("not-established")
            } else {
                None
            }
        }
    }
}

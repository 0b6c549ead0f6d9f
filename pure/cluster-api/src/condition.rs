//! Conditions in Kubernetes' form, kept and compared without their time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::Refusal;

/// The condition that an object can be used as it stands.
pub const READY: &str = "Ready";

/// The condition on a Service that says whether its addresses are assigned.
pub const SERVICE_ASSIGNED: &str = "sart.terassyi.net/Assigned";

/// The condition on a ClusterBGP that an older one disagrees with.
pub const CONFLICT: &str = "Conflict";

/// What a condition says, without when it began to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The condition's type, unique in its list.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// One word in CamelCase.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Fact {
    /// A condition that holds.
    pub fn holds(kind: &'static str, reason: &str, message: impl Into<String>) -> Fact {
        Fact { kind, holds: true, reason: reason.to_owned(), message: message.into() }
    }

    /// A condition that does not hold because of a refusal; the message starts with its name.
    pub fn refused(kind: &'static str, why: Refusal, message: impl std::fmt::Display) -> Fact {
        Fact { kind, holds: false, reason: why.reason(), message: format!("{why}: {message}") }
    }
}

/// The list with the facts in it. A condition that holds (or not) as before keeps its time.
pub fn merged(
    old: &[Condition],
    facts: &[Fact],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let ours = |kind: &str| facts.iter().any(|fact| fact.kind == kind);
    let mut list: Vec<Condition> = old.iter().filter(|c| !ours(&c.type_)).cloned().collect();
    list.extend(facts.iter().map(|fact| {
        let status = if fact.holds { "True" } else { "False" };
        let before = old.iter().find(|c| c.type_ == fact.kind && c.status == status);
        Condition {
            type_: fact.kind.to_owned(),
            status: status.to_owned(),
            reason: fact.reason.clone(),
            message: fact.message.clone(),
            observed_generation: generation,
            last_transition_time: before.map_or(now, |c| &c.last_transition_time).clone(),
        }
    }));
    list
}

/// Whether the list says just these facts (whatever else is in it, and since when).
pub fn says(list: &[Condition], facts: &[Fact]) -> bool {
    facts.iter().all(|fact| {
        list.iter().any(|c| {
            c.type_ == fact.kind
                && (c.status == "True") == fact.holds
                && c.reason == fact.reason
                && c.message == fact.message
        })
    })
}

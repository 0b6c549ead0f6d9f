//! A resolved policy, and what it says of a route.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

use bgp_packet::Attributes;
use serde::Serialize;

use crate::changes::{Change, Changes, Own};
use crate::condition::Condition;
use crate::definition::{Action, Definition, Statement};
use crate::route::RouteFacts;

/// One or several policies in order, their lists resolved: what one peer has for one direction.
///
/// Cheap to clone. Two are equal when they are written the same and their lists have the same
/// content.
#[derive(Clone, Debug)]
pub struct Policy(pub(crate) Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) parts: Vec<Named>,
    pub(crate) needs: Needs,
}

/// One policy of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Equal for equal ones, and nearly always another for others: these are told apart at once,
    /// however long their lists are.
    fingerprint: u64,
    pub(crate) name: Arc<str>,
    pub(crate) definition: Arc<Definition>,
    pub(crate) statements: Arc<[Compiled]>,
}

/// A statement that is ready to be asked; it stands in the definition at the same place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Compiled {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) change: Option<Arc<Change>>,
    pub(crate) action: Action,
}

/// What becomes of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is taken.
    Accept,
    /// It is not taken.
    Reject,
}

/// What a policy says of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the route is taken.
    pub verdict: Verdict,
    /// What its attributes become; always empty when it is rejected.
    pub changes: Changes,
}

/// What the outcome depends on beside the attributes (and our AS number and default preference):
/// what must be part of the key where outcomes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs {
    /// The prefix itself.
    pub prefix: bool,
    /// The prefix's family.
    pub family: bool,
    /// The peer whose policy it is.
    pub peer: bool,
    /// The peer that the route was learned from.
    pub learned_from: bool,
    /// Where the route is from.
    pub source: bool,
    /// The weight before the policy.
    pub weight: bool,
}

/// How a policy came to its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The outcome, as [`Policy::evaluate`] gives it.
    pub outcome: Outcome,
    /// What decided.
    pub decided: Decided,
    /// Each statement that was asked, in order.
    pub steps: Vec<Step>,
}

/// What decided about a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// A statement.
    Statement {
        /// The policy's name.
        policy: String,
        /// Its place in the policy, counted from one.
        number: usize,
        /// Its name, if it has one.
        name: Option<String>,
    },
    /// The written default of this policy.
    Default {
        /// The policy's name.
        policy: String,
    },
    /// Nothing: a route that no policy decides is rejected.
    Nothing,
}

/// One statement that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The policy's name.
    pub policy: String,
    /// The statement's place in the policy, counted from one.
    pub number: usize,
    /// The statement's name, if it has one.
    pub name: Option<String>,
    /// The key of the first condition that did not hold; none when all held.
    pub failed: Option<&'static str>,
    /// Whether the statement changed something.
    pub changed: bool,
    /// The statement's action, done when all conditions held.
    pub action: Action,
}

impl Policy {
    /// The policy's name; of several, all names with commas between.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The policies' definitions, in order, as they were written.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &Definition)> {
        self.0.parts.iter().map(|part| (&*part.name, &*part.definition))
    }

    /// Whether both are one value, as clones are: then they are equal. Those that are not may be
    /// equal all the same; [`crate::Shared`] makes them one.
    pub fn is_same(&self, other: &Policy) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the outcome depends on the prefix or its family. If not, it may be kept for an
    /// attribute set, as far as [`Policy::needs`] has nothing else.
    pub fn needs_prefix(&self) -> bool {
        self.0.needs.prefix || self.0.needs.family
    }

    /// What the outcome depends on beside the attributes.
    pub fn needs(&self) -> Needs {
        self.0.needs
    }

    /// What the policy says of a route.
    pub fn evaluate(&self, facts: &RouteFacts<'_>, attributes: &Attributes) -> Outcome {
        self.walk(facts, attributes, |_| {}).0
    }

    /// What the policy says of a route, and why.
    pub fn explain(&self, facts: &RouteFacts<'_>, attributes: &Attributes) -> Explanation {
        let mut steps = Vec::new();
        let (outcome, decided) = self.walk(facts, attributes, |asked| {
            steps.push(Step {
                policy: asked.part.name.to_string(),
                number: asked.index + 1,
                name: asked.name(),
                failed: asked.failed,
                changed: asked.failed.is_none() && asked.compiled.change.is_some(),
                action: asked.compiled.action,
            });
        });
        let decided = match decided {
            Some((part, Some(index))) => {
                let statement = part.definition.statements.get(index);
                Decided::Statement {
                    policy: part.name.to_string(),
                    number: index + 1,
                    name: statement.and_then(|s| s.name.clone()),
                }
            }
            Some((part, None)) => Decided::Default { policy: part.name.to_string() },
            None => Decided::Nothing,
        };
        Explanation { outcome, decided, steps }
    }

    /// Asks the statements in order. Gives what decided: a policy, and its statement or default.
    fn walk<'p>(
        &'p self,
        facts: &RouteFacts<'_>,
        attributes: &Attributes,
        mut saw: impl FnMut(Asked<'p>),
    ) -> (Outcome, Option<(&'p Named, Option<usize>)>) {
        let mut state = Walk {
            facts: *facts,
            attributes: Cow::Borrowed(attributes),
            changes: Changes::default(),
        };
        for part in &self.0.parts {
            for (index, compiled) in part.statements.iter().enumerate() {
                let failed = state.failed(compiled);
                saw(Asked { part, index, compiled, failed });
                if failed.is_none()
                    && let ControlFlow::Break(verdict) = state.act(compiled)
                {
                    return (state.outcome(verdict), Some((part, Some(index))));
                }
            }
            if let Some(verdict) = part.definition.default {
                return (state.outcome(verdict), Some((part, None)));
            }
        }
        (state.outcome(Verdict::Reject), None)
    }
}

impl Named {
    pub(crate) fn new(name: &str, definition: Definition, statements: Arc<[Compiled]>) -> Named {
        // Only people who may write policies could make two alike, and these are compared in full.
        let mut hasher = DefaultHasher::new();
        (name, &definition, &statements).hash(&mut hasher);
        let (name, definition) = (name.into(), Arc::new(definition));
        Named { fingerprint: hasher.finish(), name, definition, statements }
    }

    /// See the field.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

impl Compiled {
    /// What the statement, or a later one that sees its changes, depends on.
    pub(crate) fn needs(&self) -> Needs {
        let conditions = self.conditions.iter().map(Condition::needs);
        let seen_later = self.action == Action::Next
            && self.change.as_ref().is_some_and(|change| change.takes_the_peers_next_hop());
        let change = Needs { peer: seen_later, ..Needs::default() };
        conditions.fold(change, Needs::or)
    }
}

/// A statement that was asked.
struct Asked<'p> {
    part: &'p Named,
    index: usize,
    compiled: &'p Compiled,
    failed: Option<&'static str>,
}

impl Asked<'_> {
    fn name(&self) -> Option<String> {
        self.part.definition.statements.get(self.index).and_then(|s| s.name.clone())
    }
}

/// The route as changed so far; its attributes are copied only when a later statement may see a
/// change.
struct Walk<'r> {
    facts: RouteFacts<'r>,
    attributes: Cow<'r, Attributes>,
    changes: Changes,
}

impl Walk<'_> {
    fn failed(&self, compiled: &Compiled) -> Option<&'static str> {
        let mut conditions = compiled.conditions.iter();
        conditions.find(|c| !c.holds(&self.facts, &self.attributes)).map(Condition::key)
    }

    fn act(&mut self, compiled: &Compiled) -> ControlFlow<Verdict> {
        match (compiled.action, &compiled.change) {
            (Action::Reject, _) => ControlFlow::Break(Verdict::Reject),
            (Action::Accept, change) => {
                if let Some(change) = change {
                    self.changes.push(change);
                }
                ControlFlow::Break(Verdict::Accept)
            }
            (Action::Next, Some(change)) => {
                self.changes.push(change);
                let peer = self.facts.peer.map(|peer| peer.address.address().into());
                let own = Own {
                    asn: self.facts.own_asn,
                    default_local_pref: self.facts.default_local_pref,
                    next_hop: None,
                    peer,
                };
                change.apply(self.attributes.to_mut(), &mut self.facts.weight, &own);
                ControlFlow::Continue(())
            }
            (Action::Next, None) => ControlFlow::Continue(()),
        }
    }

    fn outcome(self, verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Accept => Outcome { verdict, changes: self.changes },
            Verdict::Reject => Outcome { verdict, changes: Changes::default() },
        }
    }
}

impl Needs {
    /// What either depends on.
    pub(crate) fn or(self, other: Needs) -> Needs {
        Needs {
            prefix: self.prefix || other.prefix,
            family: self.family || other.family,
            peer: self.peer || other.peer,
            learned_from: self.learned_from || other.learned_from,
            source: self.source || other.source,
            weight: self.weight || other.weight,
        }
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Policy) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl Eq for Policy {}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Accept => "accept",
            Verdict::Reject => "reject",
        })
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decided::Statement { policy, number, name: None } => {
                write!(f, "statement {number} of policy {policy}")
            }
            Decided::Statement { policy, number, name: Some(name) } => {
                write!(f, "statement {number} ({name}) of policy {policy}")
            }
            Decided::Default { policy } => write!(f, "the default of policy {policy}"),
            Decided::Nothing => f.write_str("no statement: such a route is rejected"),
        }
    }
}

impl Statement {
    /// A statement that does this to every route.
    pub fn new(action: Action) -> Statement {
        Statement { action, ..Statement::default() }
    }
}

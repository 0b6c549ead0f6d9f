//! Routing policy: named lists of statements that match, change, accept or reject routes.
//!
//! [`Definitions`] are what people write (policies and the lists they name); [`PolicySet::new`]
//! resolves them into [`Policy`] values, which [`Policy::evaluate`] a route: its [`RouteFacts`] and
//! its attributes give an [`Outcome`], a verdict and the [`Changes`] to make. Evaluation allocates
//! nothing as long as nothing is changed, and takes time linear in the length of the AS path.
//!
//! Statements are asked in order. One whose conditions all hold makes its changes, then accepts,
//! rejects or goes on to the next, which sees the route as changed. A route that no statement
//! decides gets the policy's default; without one it is **rejected** (in the spirit of RFC 8212).

#![forbid(unsafe_code)]

mod as_path;
mod changes;
mod community;
mod condition;
mod definition;
mod policy;
mod prefix;
mod resolve;
mod route;
mod shared;
mod show;
mod value;

pub use as_path::{MAX_ATOMS, PathPattern, PathPatternError};
pub use changes::{Changes, Own};
pub use community::{
    CommunityKind, CommunityPattern, CommunityTextError, ExtendedPattern, LargePattern, Part,
    StandardPattern, Use,
};
pub use definition::{
    Action, CommunityEdit, Conditions, Definition, Definitions, NextHopChange, Prepend, Sets,
    Statement, Term, Terms,
};
pub use policy::{Decided, Explanation, Needs, Outcome, Policy, Step, Verdict};
pub use prefix::{PrefixRange, PrefixRangeError, PrefixSet};
pub use resolve::{PolicySet, Unresolved, is_name};
pub use route::{KernelSource, PeerFacts, RouteFacts, Source};
pub use shared::Shared;
pub use value::{Adjust, NumberRange, PeerTerm, PrependAs, ValueError};

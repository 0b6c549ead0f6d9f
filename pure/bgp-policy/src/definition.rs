//! What people write: the values that a document's `policies` and lists are read into.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::IpAddr;

use bgp_packet::Origin;
use inet::Family;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::as_path::PathPattern;
use crate::community::{
    CommunityKind, CommunityPattern, ExtendedPattern, LargePattern, StandardPattern,
};
use crate::policy::Verdict;
use crate::prefix::PrefixRange;
use crate::route::Source;
use crate::value::{Adjust, NumberRange, PeerTerm, PrependAs};

/// Policies and the lists they name, each by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Definitions {
    /// Prefix lists.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prefix_lists: BTreeMap<String, Vec<PrefixRange>>,
    /// Community lists, of one or several kinds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub community_lists: BTreeMap<String, Vec<CommunityPattern>>,
    /// AS path lists.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub as_path_lists: BTreeMap<String, Vec<PathPattern>>,
    /// Policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, Definition>,
}

/// One policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Definition {
    /// Asked in order.
    pub statements: Vec<Statement>,
    /// What becomes of a route that no statement decided. When left out it goes on to the peer's
    /// next policy, and is rejected after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Verdict>,
}

/// One statement: when all conditions hold, the changes are made and the action is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Statement {
    /// A name for people; statements without one are called by their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The conditions; a statement without any holds for every route.
    #[serde(rename = "match", skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// The changes.
    #[serde(skip_serializing_if = "Sets::is_empty")]
    pub set: Sets,
    /// What follows.
    pub action: Action,
}

/// What a statement does with a route that it holds for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The route is taken, as changed so far.
    Accept,
    /// The route is not taken.
    Reject,
    /// The next statement is asked, about the route as changed so far.
    #[default]
    Next,
}

/// The conditions of a statement; all that are there must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Conditions {
    /// The prefix is in a prefix list, or one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Terms<Term<PrefixRange>>>,
    /// The family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The next hop lies in a prefix of a prefix list, or in one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<Terms<Term<PrefixRange>>>,
    /// The peer whose policy this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Terms<PeerTerm>>,
    /// The AS number of the peer whose policy this is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_asn: Vec<NumberRange>,
    /// The peer that the route was learned from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned_from: Option<Terms<PeerTerm>>,
    /// Where the route is from.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "texts")]
    pub source: Vec<Source>,
    /// ORIGIN.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "texts")]
    pub origin: Vec<Origin>,
    /// LOCAL_PREF; a route without it has the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<NumberRange>,
    /// MULTI_EXIT_DISC; a route without it has 0 (RFC 4271 §9.1.2.2 c).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<NumberRange>,
    /// The weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<NumberRange>,
    /// Standard communities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communities: Option<Terms<Term<StandardPattern>>>,
    /// Extended communities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_communities: Option<Terms<Term<ExtendedPattern>>>,
    /// Large communities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_communities: Option<Terms<Term<LargePattern>>>,
    /// How many communities there are, of all kinds together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_count: Option<NumberRange>,
    /// Patterns over the AS path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_path: Option<Terms<Term<PathPattern>>>,
    /// The length of the AS path; a set counts as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_path_length: Option<NumberRange>,
    /// A number that stands anywhere in the AS path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub as_path_contains: Vec<NumberRange>,
    /// The AS that originated the route: the last of the path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origin_as: Vec<NumberRange>,
    /// The AS that the route came from: the first of the path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbor_as: Vec<NumberRange>,
}

/// Several terms: written as a list, it is `any`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms<T> {
    /// One of these must hold; not asked when empty.
    pub any: Vec<T>,
    /// Each of these must hold.
    pub all: Vec<T>,
    /// None of these may hold.
    pub none: Vec<T>,
}

/// The name of a list, or a value itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term<T> {
    /// All values of the list with this name.
    List(String),
    /// This one.
    Value(T),
}

/// The changes of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Sets {
    /// LOCAL_PREF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<Adjust>,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<Adjust>,
    /// The weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Adjust>,
    /// ORIGIN.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub origin: Option<Origin>,
    /// The next hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<NextHopChange>,
    /// Numbers put before the AS path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepend: Option<Prepend>,
    /// On import: what goes to the prefix is dropped (RFC 7999 §3.3). Sent routes know no such thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard: Option<bool>,
    /// Standard communities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communities: Option<CommunityEdit<StandardPattern>>,
    /// Extended communities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_communities: Option<CommunityEdit<ExtendedPattern>>,
    /// Large communities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_communities: Option<CommunityEdit<LargePattern>>,
}

/// What the next hop becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHopChange {
    /// This address.
    Address(IpAddr),
    /// Our address on the session.
    Own,
    /// It stays as it is, also where it would otherwise become ours.
    Unchanged,
    /// The address of the peer whose policy this is.
    Peer,
}

/// An AS number put before the path several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prepend {
    /// The number.
    pub asn: PrependAs,
    /// How often, 1 to [`Prepend::MAX`].
    pub count: u8,
}

impl Prepend {
    /// The greatest count.
    pub const MAX: u8 = 32;
}

/// A change of the communities of one kind: they are replaced, or some are removed; then some are
/// added.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommunityEdit<K: CommunityKind> {
    /// These instead of what is there.
    pub replace: Option<Vec<K::Value>>,
    /// What matches is taken out.
    pub remove: Vec<Term<K>>,
    /// What is not there is added at the end.
    pub add: Vec<K::Value>,
}

impl<K: CommunityKind> Default for CommunityEdit<K> {
    fn default() -> CommunityEdit<K> {
        CommunityEdit { replace: None, remove: Vec::new(), add: Vec::new() }
    }
}

impl Definitions {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Definitions::default()
    }
}

impl Conditions {
    /// Whether every route fulfils them.
    pub fn is_empty(&self) -> bool {
        *self == Conditions::default()
    }
}

impl Sets {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Sets::default()
    }
}

impl<T> Default for Terms<T> {
    fn default() -> Terms<T> {
        Terms { any: Vec::new(), all: Vec::new(), none: Vec::new() }
    }
}

impl<T> Terms<T> {
    /// One of these must hold.
    pub fn any(terms: impl IntoIterator<Item = T>) -> Terms<T> {
        Terms { any: terms.into_iter().collect(), ..Terms::default() }
    }

    /// Whether it is a plain list.
    pub(crate) fn is_list(&self) -> bool {
        self.all.is_empty() && self.none.is_empty()
    }
}

impl<T: Display> Display for Term<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::List(name) => f.write_str(name),
            Term::Value(value) => value.fmt(f),
        }
    }
}

impl Display for NextHopChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHopChange::Address(address) => address.fmt(f),
            NextHopChange::Own => f.write_str("self"),
            NextHopChange::Unchanged => f.write_str("unchanged"),
            NextHopChange::Peer => f.write_str("peer"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Accept => "accept",
            Action::Reject => "reject",
            Action::Next => "next",
        })
    }
}

/// Values that are written as text.
struct Texts<'a, T>(&'a [T]);

impl<T: Display> Serialize for Texts<'_, T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(T::to_string))
    }
}

impl<T: Display> Serialize for Terms<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.is_list() {
            return Texts(&self.any).serialize(s);
        }
        let mut map = s.serialize_map(None)?;
        for (key, terms) in [("any", &self.any), ("all", &self.all), ("none", &self.none)] {
            if !terms.is_empty() {
                map.serialize_entry(key, &Texts(terms))?;
            }
        }
        map.end()
    }
}

impl<K: CommunityKind> Serialize for CommunityEdit<K> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let values = |list: &[K::Value]| list.iter().map(K::write).collect::<Vec<String>>();
        let mut map = s.serialize_map(None)?;
        if let Some(replace) = &self.replace {
            map.serialize_entry("replace", &values(replace))?;
        }
        if !self.remove.is_empty() {
            map.serialize_entry("remove", &Texts(&self.remove))?;
        }
        if !self.add.is_empty() {
            map.serialize_entry("add", &values(&self.add))?;
        }
        map.end()
    }
}

impl Serialize for NextHopChange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for Prepend {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let asn = match self.asn {
            PrependAs::Own => return s.serialize_u8(self.count),
            PrependAs::Given(asn) => asn,
        };
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("asn", &asn)?;
        map.serialize_entry("count", &self.count)?;
        map.end()
    }
}

fn texts<T: Display, S: Serializer>(list: &[T], s: S) -> Result<S::Ok, S::Error> {
    Texts(list).serialize(s)
}

fn text<T: Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(T::to_string).serialize(s)
}

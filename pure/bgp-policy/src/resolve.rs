//! Definitions to policies: every name is looked up once, here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::changes::{Change, Edit};
use crate::community::{CommunityKind, is_well_known};
use crate::condition::{Among, Choice, Condition};
use crate::definition::{
    CommunityEdit, Conditions, Definition, Definitions, Statement, Term, Terms,
};
use crate::policy::{Compiled, Inner, Named, Needs, Policy};
use crate::prefix::{PrefixRange, PrefixSet};
use crate::value::PeerTerm;

/// All policies of a document, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet(BTreeMap<String, Named>);

/// A name that stands for nothing, or for a list of another kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no such list or policy.
    #[error("{place}: there is no {kind} {name:?}")]
    Unknown {
        /// The policy, statement and key where it is named.
        place: String,
        /// `prefix list`, `community list`, `AS path list` or `policy`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The community list has an entry of another kind than the key wants.
    #[error("{place}: the community list {name:?} has {entry}, which is none of `{key}`")]
    OtherKind {
        /// The policy, statement and key where it is named.
        place: String,
        /// The list's name.
        name: String,
        /// The entry.
        entry: String,
        /// The kind that is wanted.
        key: &'static str,
    },
}

/// Whether a text may name a policy or a list: a letter, then up to 62 letters, digits, `-`, `_` or
/// `.`, and not the name of a well-known community.
pub fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 63
        && text.chars().all(legal)
        && !is_well_known(text)
}

impl PolicySet {
    /// Resolves all policies.
    ///
    /// # Errors
    /// Every name that stands for nothing, with its place.
    pub fn new(definitions: &Definitions) -> Result<PolicySet, Vec<Unresolved>> {
        let mut resolver = Resolver { definitions, place: String::new(), problems: Vec::new() };
        let mut policies = BTreeMap::new();
        for (name, definition) in &definitions.policies {
            let statements = definition.statements.iter().enumerate();
            let statements = statements.map(|(i, s)| resolver.statement(name, i + 1, s)).collect();
            policies.insert(name.clone(), Named::new(name, definition.clone(), statements));
        }
        if resolver.problems.is_empty() { Ok(PolicySet(policies)) } else { Err(resolver.problems) }
    }

    /// One policy.
    pub fn get(&self, name: &str) -> Option<Policy> {
        self.chain(std::iter::once(name)).ok()
    }

    /// The names of all policies.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Several policies, asked one after the other. Of none at all every route is rejected.
    ///
    /// # Errors
    /// The first name that no policy has.
    pub fn chain<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Policy, Unresolved> {
        let mut parts = Vec::new();
        for name in names {
            let part = self.0.get(name).ok_or_else(|| Unresolved::Unknown {
                place: "a list of policies".to_owned(),
                kind: "policy",
                name: name.to_owned(),
            })?;
            parts.push(part.clone());
        }
        let names: Vec<&str> = parts.iter().map(|part| &*part.name).collect();
        let name = names.join(", ");
        let statements = parts.iter().flat_map(|part| part.statements.iter());
        let needs = statements.map(Compiled::needs).fold(Needs::default(), Needs::or);
        Ok(Policy(Arc::new(Inner { name, parts, needs })))
    }
}

impl Definition {
    /// This definition alone, resolved with these lists.
    ///
    /// # Errors
    /// Every name that stands for nothing, with its place.
    pub fn resolve(&self, name: &str, lists: &Definitions) -> Result<Policy, Vec<Unresolved>> {
        let mut definitions = Definitions { policies: BTreeMap::new(), ..lists.clone() };
        definitions.policies.insert(name.to_owned(), self.clone());
        PolicySet::new(&definitions)?.chain([name]).map_err(|problem| vec![problem])
    }
}

struct Resolver<'d> {
    definitions: &'d Definitions,
    /// The policy and statement that are being resolved.
    place: String,
    problems: Vec<Unresolved>,
}

impl Resolver<'_> {
    fn statement(&mut self, policy: &str, number: usize, statement: &Statement) -> Compiled {
        self.place = match &statement.name {
            Some(name) => format!("policy {policy:?}, statement {number} ({name})"),
            None => format!("policy {policy:?}, statement {number}"),
        };
        let conditions = self.conditions(&statement.conditions);
        let set = &statement.set;
        let communities = set.communities.as_ref().map(|edit| self.edit(edit));
        let extended = set.extended_communities.as_ref().map(|edit| self.edit(edit));
        let large = set.large_communities.as_ref().map(|edit| self.edit(edit));
        let change = Change::new(set, communities, extended, large);
        let change = (!set.is_empty()).then(|| Arc::new(change));
        Compiled { conditions, change, action: statement.action }
    }

    /// In the order in which they are asked: what is cheap first.
    fn conditions(&mut self, c: &Conditions) -> Vec<Condition> {
        let mut list = Vec::new();
        let ranges = [
            (&c.peer_asn, Condition::PeerAsn as fn(_) -> _),
            (&c.origin_as, Condition::OriginAs),
            (&c.neighbor_as, Condition::NeighborAs),
            (&c.as_path_contains, Condition::AsPathContains),
        ];
        let single = [
            (c.local_pref, Condition::LocalPref as fn(_) -> _),
            (c.med, Condition::Med),
            (c.weight, Condition::Weight),
            (c.community_count, Condition::CommunityCount),
            (c.as_path_length, Condition::AsPathLength),
        ];
        list.extend(c.family.map(Condition::Family));
        if !c.source.is_empty() {
            list.push(Condition::Source(c.source.clone()));
        }
        if !c.origin.is_empty() {
            list.push(Condition::Origin(c.origin.clone()));
        }
        list.extend(single.into_iter().filter_map(|(range, of)| range.map(of)));
        let peers = |terms: &Terms<PeerTerm>| {
            laid_open(terms, |term, to: &mut Vec<PeerTerm>| to.push(term.clone()))
        };
        list.extend(c.peer.as_ref().map(|terms| Condition::Peer(peers(terms))));
        list.extend(c.learned_from.as_ref().map(|terms| Condition::LearnedFrom(peers(terms))));
        list.extend(c.prefix.as_ref().map(|terms| Condition::Prefix(self.among("prefix", terms))));
        let next_hop = c.next_hop.as_ref();
        list.extend(next_hop.map(|terms| Condition::NextHop(self.among("next_hop", terms))));
        let some = ranges.into_iter().filter(|(ranges, _)| !ranges.is_empty());
        list.extend(some.map(|(ranges, of)| of(ranges.clone())));
        let standard = c.communities.as_ref();
        list.extend(standard.map(|terms| Condition::Communities(self.communities(terms))));
        let extended = c.extended_communities.as_ref();
        list.extend(extended.map(|terms| Condition::ExtendedCommunities(self.communities(terms))));
        let large = c.large_communities.as_ref();
        list.extend(large.map(|terms| Condition::LargeCommunities(self.communities(terms))));
        let lists = &self.definitions.as_path_lists;
        if let Some(terms) = &c.as_path {
            let choice = laid_open(terms, |term, to| match term {
                Term::Value(pattern) => to.push(pattern.clone()),
                Term::List(name) => match lists.get(name) {
                    Some(list) => to.extend(list.iter().cloned()),
                    None => self.unknown("as_path", "AS path list", name),
                },
            });
            list.push(Condition::AsPath(choice));
        }
        list
    }

    fn among(&mut self, key: &str, terms: &Terms<Term<PrefixRange>>) -> Among {
        let mut set = |terms: &[Term<PrefixRange>]| -> PrefixSet {
            let mut all = Vec::new();
            for term in terms {
                match term {
                    Term::Value(range) => all.push(*range),
                    Term::List(name) => match self.definitions.prefix_lists.get(name) {
                        Some(list) => all.extend(list),
                        None => self.unknown(key, "prefix list", name),
                    },
                }
            }
            all.into_iter().collect()
        };
        Among {
            any: (!terms.any.is_empty()).then(|| set(&terms.any)),
            all: terms.all.iter().map(|term| set(std::slice::from_ref(term))).collect(),
            none: set(&terms.none),
        }
    }

    fn communities<K: CommunityKind>(&mut self, terms: &Terms<Term<K>>) -> Choice<K> {
        laid_open(terms, |term, to| self.lay_open(term, to))
    }

    fn edit<K: CommunityKind>(&mut self, edit: &CommunityEdit<K>) -> Edit<K> {
        let mut remove = Vec::new();
        for term in &edit.remove {
            self.lay_open(term, &mut remove);
        }
        Edit { replace: edit.replace.clone(), remove, add: edit.add.clone() }
    }

    fn lay_open<K: CommunityKind>(&mut self, term: &Term<K>, to: &mut Vec<K>) {
        let name = match term {
            Term::Value(pattern) => return to.push(pattern.clone()),
            Term::List(name) => name,
        };
        let Some(list) = self.definitions.community_lists.get(name) else {
            return self.unknown(K::KEY, "community list", name);
        };
        for entry in list {
            match K::of(entry) {
                Some(pattern) => to.push(pattern.clone()),
                None => self.problems.push(Unresolved::OtherKind {
                    place: self.place.clone(),
                    name: name.clone(),
                    entry: entry.to_string(),
                    key: K::KEY,
                }),
            }
        }
    }

    fn unknown(&mut self, key: &str, kind: &'static str, name: &str) {
        let place = format!("{}, {key}", self.place);
        self.problems.push(Unresolved::Unknown { place, kind, name: name.to_owned() });
    }
}

/// Terms with their lists laid open by `open`.
fn laid_open<T, U>(terms: &Terms<T>, mut open: impl FnMut(&T, &mut Vec<U>)) -> Choice<U> {
    let mut all_of = |terms: &[T]| {
        let mut to = Vec::new();
        for term in terms {
            open(term, &mut to);
        }
        to
    };
    Choice {
        any: (!terms.any.is_empty()).then(|| all_of(&terms.any)),
        all: all_of(&terms.all),
        none: all_of(&terms.none),
    }
}

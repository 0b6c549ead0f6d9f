//! Conditions with their lists resolved, ready to be asked.

use bgp_packet::{Attributes, Origin, Segment};
use inet::Family;

use crate::as_path::PathPattern;
use crate::community::{CommunityKind, ExtendedPattern, LargePattern, StandardPattern};
use crate::policy::Needs;
use crate::prefix::PrefixSet;
use crate::route::{PeerFacts, RouteFacts, Source};
use crate::value::{NumberRange, PeerTerm};

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    Prefix(Among),
    Family(Family),
    NextHop(Among),
    Peer(Choice<PeerTerm>),
    PeerAsn(Vec<NumberRange>),
    LearnedFrom(Choice<PeerTerm>),
    Source(Vec<Source>),
    Origin(Vec<Origin>),
    LocalPref(NumberRange),
    Med(NumberRange),
    Weight(NumberRange),
    Communities(Choice<StandardPattern>),
    ExtendedCommunities(Choice<ExtendedPattern>),
    LargeCommunities(Choice<LargePattern>),
    CommunityCount(NumberRange),
    AsPath(Choice<PathPattern>),
    AsPathLength(NumberRange),
    AsPathContains(Vec<NumberRange>),
    OriginAs(Vec<NumberRange>),
    NeighborAs(Vec<NumberRange>),
}

/// Terms with the lists laid open. An `any` of empty lists holds for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice<T> {
    pub(crate) any: Option<Vec<T>>,
    pub(crate) all: Vec<T>,
    pub(crate) none: Vec<T>,
}

/// The same for prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Among {
    pub(crate) any: Option<PrefixSet>,
    pub(crate) all: Vec<PrefixSet>,
    pub(crate) none: PrefixSet,
}

impl<T> Choice<T> {
    fn holds(&self, matches: impl Fn(&T) -> bool) -> bool {
        self.any.as_ref().is_none_or(|any| any.iter().any(&matches))
            && self.all.iter().all(&matches)
            && !self.none.iter().any(&matches)
    }
}

impl Among {
    fn holds(&self, matches: impl Fn(&PrefixSet) -> bool) -> bool {
        self.any.as_ref().is_none_or(&matches)
            && self.all.iter().all(&matches)
            && !matches(&self.none)
    }
}

impl Condition {
    /// Whether the condition holds for the route.
    pub(crate) fn holds(&self, facts: &RouteFacts<'_>, attributes: &Attributes) -> bool {
        let within =
            |ranges: &[NumberRange], number: u32| ranges.iter().any(|r| r.contains(number));
        match self {
            Condition::Prefix(among) => among.holds(|set| set.matches(&facts.prefix)),
            Condition::Family(family) => *family == facts.family(),
            Condition::NextHop(among) => {
                among.holds(|set| set.contains(&attributes.next_hop.address))
            }
            Condition::Peer(choice) => is_peer(choice, facts.peer),
            Condition::PeerAsn(ranges) => {
                facts.peer.is_some_and(|peer| within(ranges, peer.asn.get()))
            }
            Condition::LearnedFrom(choice) => is_peer(choice, facts.learned_from),
            Condition::Source(sources) => sources.contains(&facts.source),
            Condition::Origin(origins) => origins.contains(&attributes.origin),
            Condition::LocalPref(range) => {
                range.contains(attributes.local_pref.unwrap_or(facts.default_local_pref))
            }
            Condition::Med(range) => range.contains(attributes.med.unwrap_or(0)),
            Condition::Weight(range) => range.contains(facts.weight),
            Condition::Communities(choice) => has(choice, attributes),
            Condition::ExtendedCommunities(choice) => has(choice, attributes),
            Condition::LargeCommunities(choice) => has(choice, attributes),
            Condition::CommunityCount(range) => {
                let count = attributes.communities.len()
                    + attributes.extended_communities.len()
                    + attributes.large_communities.len();
                range.contains(u32::try_from(count).unwrap_or(u32::MAX))
            }
            Condition::AsPath(choice) => {
                choice.holds(|pattern| pattern.matches(&attributes.as_path))
            }
            Condition::AsPathLength(range) => {
                range.contains(u32::try_from(attributes.as_path.hops()).unwrap_or(u32::MAX))
            }
            Condition::AsPathContains(ranges) => {
                let mut numbers = attributes.as_path.segments.iter().flat_map(Segment::numbers);
                numbers.any(|number| within(ranges, *number))
            }
            Condition::OriginAs(ranges) => {
                attributes.as_path.origin().is_some_and(|asn| within(ranges, asn))
            }
            Condition::NeighborAs(ranges) => {
                attributes.as_path.first().is_some_and(|asn| within(ranges, asn))
            }
        }
    }

    /// What it is called in the document.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Condition::Prefix(_) => "prefix",
            Condition::Family(_) => "family",
            Condition::NextHop(_) => "next_hop",
            Condition::Peer(_) => "peer",
            Condition::PeerAsn(_) => "peer_asn",
            Condition::LearnedFrom(_) => "learned_from",
            Condition::Source(_) => "source",
            Condition::Origin(_) => "origin",
            Condition::LocalPref(_) => "local_pref",
            Condition::Med(_) => "med",
            Condition::Weight(_) => "weight",
            Condition::Communities(_) => StandardPattern::KEY,
            Condition::ExtendedCommunities(_) => ExtendedPattern::KEY,
            Condition::LargeCommunities(_) => LargePattern::KEY,
            Condition::CommunityCount(_) => "community_count",
            Condition::AsPath(_) => "as_path",
            Condition::AsPathLength(_) => "as_path_length",
            Condition::AsPathContains(_) => "as_path_contains",
            Condition::OriginAs(_) => "origin_as",
            Condition::NeighborAs(_) => "neighbor_as",
        }
    }

    /// What beside the attributes the answer depends on.
    pub(crate) fn needs(&self) -> Needs {
        let nothing = Needs::default();
        match self {
            Condition::Prefix(_) => Needs { prefix: true, ..nothing },
            Condition::Family(_) => Needs { family: true, ..nothing },
            Condition::Peer(_) | Condition::PeerAsn(_) => Needs { peer: true, ..nothing },
            Condition::LearnedFrom(_) => Needs { learned_from: true, ..nothing },
            Condition::Source(_) => Needs { source: true, ..nothing },
            Condition::Weight(_) => Needs { weight: true, ..nothing },
            Condition::NextHop(_)
            | Condition::Origin(_)
            | Condition::LocalPref(_)
            | Condition::Med(_)
            | Condition::Communities(_)
            | Condition::ExtendedCommunities(_)
            | Condition::LargeCommunities(_)
            | Condition::CommunityCount(_)
            | Condition::AsPath(_)
            | Condition::AsPathLength(_)
            | Condition::AsPathContains(_)
            | Condition::OriginAs(_)
            | Condition::NeighborAs(_) => nothing,
        }
    }
}

/// Each pattern is asked whether some community of the route matches it.
fn has<K: CommunityKind>(choice: &Choice<K>, attributes: &Attributes) -> bool {
    let list = K::list(attributes);
    choice.holds(|pattern| list.iter().any(|value| pattern.matches(value)))
}

/// A route without such a peer is none of `any`, but also none of `none`.
fn is_peer(choice: &Choice<PeerTerm>, peer: Option<PeerFacts<'_>>) -> bool {
    choice.holds(|term| {
        peer.is_some_and(|peer| match term {
            PeerTerm::Address(address) if address.is_ambiguous() => {
                address.address() == peer.address.address()
            }
            PeerTerm::Address(address) => *address == peer.address,
            PeerTerm::Prefix(prefix) => prefix.contains(&peer.address.address()),
            PeerTerm::Name(name) => peer.name == Some(name.as_str()),
            PeerTerm::Group(group) => peer.groups.contains(group),
        })
    })
}

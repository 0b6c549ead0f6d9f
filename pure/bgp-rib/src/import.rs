//! What becomes of a received set before it takes part in the decision.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp_packet::{Attributes, PeerKind, Role, Segment, community};
use bgp_policy::{Explanation, NextHopChange, Own, PeerFacts, Policy, RouteFacts, Source, Verdict};
use inet::{Asn, Family, Prefix, ScopedAddr};

use crate::attrs::Facts;
use crate::decision::Ineligible;
use crate::peer::SessionFacts;
use crate::rib::Settings;
use crate::rules::{LocalAs, WithoutPolicy};

/// All that import depends on besides the set itself. Peers with equal rules have one number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Equal for equal rules, never used again for others; 0: no session was up yet.
    pub(crate) number: u32,
    pub(crate) rules: Option<ImportRules>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportRules {
    kind: PeerKind,
    /// Our number on the session.
    own: Asn,
    peer_asn: Asn,
    policy: Option<Policy>,
    rejects: bool,
    allow_own_as: u8,
    accept_as_sets: bool,
    local_as: Option<LocalAs>,
    role: Option<Role>,
    cluster: u32,
    default_local_pref: u32,
    /// Where the policy asks for the peer.
    peer: Option<PeerKey>,
}

/// What a policy can ask about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey {
    address: ScopedAddr,
    asn: Asn,
    name: Option<String>,
    groups: BTreeSet<String>,
}

/// A set as import leaves it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) attributes: Attributes,
    pub(crate) weight: u32,
    /// What goes to the prefix is dropped.
    pub(crate) discard: bool,
    /// It may be kept for all routes with this set.
    pub(crate) lasts: bool,
}

impl Imported {
    /// Whether import has left everything as it was received.
    pub(crate) fn is(&self, received: &Attributes) -> bool {
        self.weight == 0 && !self.discard && self.attributes == *received
    }
}

impl PeerKey {
    pub(crate) fn new(address: ScopedAddr, facts: &SessionFacts) -> PeerKey {
        let (name, groups) = (facts.name.clone(), facts.groups.clone());
        PeerKey { address, asn: facts.asn, name, groups }
    }

    pub(crate) fn facts(&self) -> PeerFacts<'_> {
        PeerFacts {
            address: self.address,
            asn: self.asn,
            name: self.name.as_deref(),
            groups: &self.groups,
        }
    }
}

impl Context {
    /// The number under which outcomes are kept.
    pub(crate) fn outcome(&self, family: Family, long_lived: bool) -> u32 {
        let family = match family {
            Family::Ipv4 => 0,
            Family::Ipv6 => 1,
        };
        self.number << 2 | family << 1 | u32::from(long_lived)
    }
}

impl ImportRules {
    pub(crate) fn new(
        address: ScopedAddr,
        facts: &SessionFacts,
        settings: &Settings,
    ) -> ImportRules {
        let rules = &facts.rules;
        let external = facts.options.kind == PeerKind::External;
        let asks = rules.import.as_ref().is_some_and(|policy| {
            let needs = policy.needs();
            needs.peer || needs.learned_from
        });
        ImportRules {
            kind: facts.options.kind,
            own: rules.local_as.map_or(settings.asn, |local| local.asn),
            peer_asn: facts.asn,
            policy: rules.import.clone(),
            rejects: external
                && rules.import.is_none()
                && rules.without_policy == WithoutPolicy::Reject,
            allow_own_as: rules.allow_own_as,
            accept_as_sets: rules.accept_as_sets,
            local_as: rules.local_as,
            role: rules.role.filter(|_| external),
            cluster: settings.cluster(),
            default_local_pref: settings.default_local_pref,
            peer: if asks { Some(PeerKey::new(address, facts)) } else { None },
        }
    }

    /// The outcome where the set needs not be looked into: none: it must be.
    pub(crate) fn quickly(
        &self,
        facts: &Facts,
        long_lived: bool,
    ) -> Option<Result<(), Ineligible>> {
        if self.rejects {
            return Some(Err(Ineligible::NoImportPolicy));
        }
        if facts.as_set() && !self.accept_as_sets {
            return Some(Err(Ineligible::AsSet));
        }
        if facts.own_as > self.allow_own_as {
            return Some(Err(Ineligible::AsLoop));
        }
        if facts.own_originator() {
            return Some(Err(Ineligible::OwnOriginator));
        }
        let looks = self.policy.is_some()
            || self.local_as.is_some()
            || self.role.is_some()
            || long_lived
            || facts.cluster_len > 0;
        if looks { None } else { Some(Ok(())) }
    }

    /// What the set becomes, for one prefix.
    pub(crate) fn import(
        &self,
        mut attributes: Attributes,
        prefix: Prefix,
        address: IpAddr,
        long_lived: bool,
    ) -> Result<Imported, Ineligible> {
        let a = &mut attributes;
        // RFC 4456 §8.
        if a.cluster_list.iter().any(|id| u32::from(*id) == self.cluster) {
            return Err(Ineligible::ClusterLoop);
        }
        if let Some(local) = self.local_as {
            let numbers = a.as_path.segments.iter().flat_map(Segment::numbers);
            let times = numbers.filter(|number| **number == local.asn.get()).count();
            if times > usize::from(self.allow_own_as) {
                return Err(Ineligible::AsLoop);
            }
            if local.prepend && self.kind == PeerKind::External {
                a.as_path.prepend(local.asn, 1);
            }
        }
        self.only_to_customer(a)?;
        let mut weight = 0;
        let mut discard = false;
        let mut lasts = true;
        if let Some(policy) = &self.policy {
            let facts = self.facts(prefix);
            let outcome = policy.evaluate(&facts, a);
            let next_hop = outcome.changes.next_hop();
            lasts = !policy.needs().prefix && next_hop != Some(NextHopChange::Peer);
            match outcome.verdict {
                Verdict::Accept => {}
                Verdict::Reject => return Err(Ineligible::RejectedByPolicy),
            }
            let own = Own {
                default_local_pref: self.default_local_pref,
                peer: Some(address.into()),
                ..Own::new(self.own)
            };
            outcome.changes.apply(a, &mut weight, &own);
            discard = outcome.changes.discards();
        }
        if long_lived {
            // RFC 9494 §4.2.
            if a.communities.contains(&community::NO_LLGR) {
                return Err(Ineligible::NotLongLived);
            }
            if !a.communities.contains(&community::LLGR_STALE) {
                a.communities.push(community::LLGR_STALE);
            }
        }
        Ok(Imported { attributes, weight, discard, lasts })
    }

    /// Whether the outcome, a refusal too, holds for all routes with the set.
    pub(crate) fn needs_prefix(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.needs().prefix)
    }

    /// RFC 9234 §5, on the way in.
    fn only_to_customer(&self, attributes: &mut Attributes) -> Result<(), Ineligible> {
        let Some(role) = self.role else { return Ok(()) };
        match (role, attributes.only_to_customer) {
            // From a customer or a route server's client.
            (Role::Provider | Role::RouteServer, Some(_)) => Err(Ineligible::RouteLeak),
            (Role::Provider | Role::RouteServer, None) => Ok(()),
            (Role::Peer, Some(asn)) if asn != self.peer_asn => Err(Ineligible::RouteLeak),
            (Role::Peer | Role::Customer | Role::RouteServerClient, Some(_)) => Ok(()),
            (Role::Peer | Role::Customer | Role::RouteServerClient, None) => {
                attributes.only_to_customer = Some(self.peer_asn);
                Ok(())
            }
        }
    }

    /// What the policy says of a set for a prefix, if there is a policy.
    pub(crate) fn explain(
        &self,
        mut attributes: Attributes,
        prefix: Prefix,
    ) -> Option<Explanation> {
        let policy = self.policy.as_ref()?;
        self.only_to_customer(&mut attributes).ok()?;
        Some(policy.explain(&self.facts(prefix), &attributes))
    }

    fn facts(&self, prefix: Prefix) -> RouteFacts<'_> {
        let peer = self.peer.as_ref().map(PeerKey::facts);
        RouteFacts {
            prefix,
            source: match self.kind {
                PeerKind::External => Source::Ebgp,
                PeerKind::Internal => Source::Ibgp,
            },
            peer,
            learned_from: peer,
            own_asn: self.own,
            default_local_pref: self.default_local_pref,
            weight: 0,
        }
    }
}

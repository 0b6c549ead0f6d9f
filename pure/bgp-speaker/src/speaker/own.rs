//! Routes that are originated here: by a document, or taken from the kernel.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AsPath, Attributes, BgpNextHop, Origin};
use bgp_policy::{Own, RouteFacts, Source, Verdict};
use bgp_rib::{Aggregate, OwnRoute};
use inet::Prefix;

use super::Speaker;
use crate::{Aggregation, Global, KernelRoute, Origination, Redistribution};

impl Speaker {
    /// Takes over what the documents originate.
    pub(super) fn apply_own(
        &mut self,
        wanted: BTreeMap<Prefix, OwnRoute>,
        redistribute: Vec<Redistribution>,
    ) {
        if self.rib.is_none() {
            // All of them are taken over once there are tables.
            (self.own, self.redistribute) = (wanted, redistribute);
            return;
        }
        let gone = self.own.keys().filter(|prefix| !wanted.contains_key(prefix));
        let changed = wanted.iter().filter(|(prefix, route)| self.own.get(prefix) != Some(*route));
        let changes: Vec<Prefix> =
            gone.copied().chain(changed.map(|(prefix, _)| *prefix)).collect();
        self.own_changes.extend(changes);
        self.own = wanted;
        if self.redistribute != redistribute {
            self.redistribute = redistribute;
            self.own_changes.extend(self.kernel.keys());
        }
    }

    /// Routes of the kernel have changed.
    pub(super) fn kernel_routes(&mut self, changes: Vec<(Prefix, Option<KernelRoute>)>) {
        for (prefix, route) in changes {
            let old = match route {
                Some(route) => self.kernel.insert(prefix, route),
                None => self.kernel.remove(&prefix),
            };
            if old != route && self.rib.is_some() {
                self.own_changes.insert(prefix);
            }
        }
    }

    /// What is originated for a prefix now.
    pub(super) fn own_route(&self, prefix: &Prefix) -> Option<OwnRoute> {
        let own = self.own.get(prefix).cloned();
        own.or_else(|| self.redistributed(prefix, self.kernel.get(prefix)?))
    }

    fn redistributed(&self, prefix: &Prefix, route: &KernelRoute) -> Option<OwnRoute> {
        let global = self.global.as_ref()?;
        let fits = |r: &&Redistribution| (r.source, r.table) == (route.source, route.table);
        let wanted = self.redistribute.iter().find(fits)?;
        let next_hop = BgpNextHop::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let mut attributes = Attributes::new(Origin::Incomplete, AsPath::default(), next_hop);
        if let Some(policy) = &wanted.policy {
            let facts = RouteFacts {
                default_local_pref: global.default_local_pref,
                ..RouteFacts::new(*prefix, Source::Kernel(route.source), global.asn)
            };
            let outcome = policy.evaluate(&facts, &attributes);
            match outcome.verdict {
                Verdict::Accept => {}
                Verdict::Reject => return None,
            }
            let own = Own { default_local_pref: global.default_local_pref, ..Own::new(global.asn) };
            outcome.changes.apply(&mut attributes, &mut 0, &own);
        }
        Some(OwnRoute {
            origin: attributes.origin,
            med: attributes.med,
            local_pref: attributes.local_pref,
            communities: attributes.communities,
            large_communities: attributes.large_communities,
            groups: Default::default(),
            kernel: Some(route.source),
        })
    }

    /// What of the kernel depends on what holds for the whole speaker is looked at again.
    pub(super) fn redistribute_again(&mut self, old: Option<&Global>, new: &Global) {
        let rests_on = |global: &Global| (global.asn, global.default_local_pref);
        if old.map(rests_on) != Some(rests_on(new)) {
            self.own_changes.extend(self.kernel.keys());
        }
        if self.rib.is_none() {
            self.own_changes.extend(self.own.keys());
        }
    }
}

impl From<&Aggregation> for Aggregate {
    fn from(aggregation: &Aggregation) -> Aggregate {
        let Aggregation { route, summary_only, discard } = aggregation;
        Aggregate { route: route.into(), summary_only: *summary_only, discard: *discard }
    }
}

impl From<&Origination> for OwnRoute {
    fn from(origination: &Origination) -> OwnRoute {
        OwnRoute {
            origin: origination.origin,
            med: origination.med,
            local_pref: origination.local_pref,
            communities: origination.communities.clone(),
            large_communities: origination.large_communities.clone(),
            groups: origination.groups.clone(),
            kernel: None,
        }
    }
}

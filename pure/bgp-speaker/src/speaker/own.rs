//! Routes that are originated here: by a document, or taken from the kernel.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AsPath, Attributes, BgpNextHop, Origin};
use bgp_policy::{Own, Policy, RouteFacts, Source, Verdict};
use bgp_rib::{Aggregate, OwnRoute};
use inet::Prefix;

use super::Speaker;
use crate::{Aggregation, Global, KernelRoute, Origination, Redistribution};

/// The next hop is put in when it is told.
const NO_NEXT_HOP: BgpNextHop =
    BgpNextHop { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), link_local: None };

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
        let Redistribution { policy, .. } = self.redistribute.iter().find(fits)?;
        let source = Source::Kernel(route.source);
        let wanted = OwnRoute {
            origin: Origin::Incomplete,
            kernel: Some(route.source),
            ..OwnRoute::from(&Origination::new(*prefix))
        };
        through(policy.as_ref(), global, *prefix, source, wanted)
    }

    /// The aggregates that there may be: those that their policies accept, as these leave them.
    pub(super) fn aggregates<'a>(
        &self,
        wanted: impl Iterator<Item = &'a Aggregation>,
    ) -> BTreeMap<Prefix, Aggregate> {
        let Some(global) = &self.global else { return BTreeMap::new() };
        let one = |aggregation: &Aggregation| {
            let Aggregation { route, summary_only, discard, policy } = aggregation;
            let prefix = route.prefix;
            let route = through(policy.as_ref(), global, prefix, Source::Aggregate, route.into())?;
            let (summary_only, discard) = (*summary_only, *discard);
            Some((prefix, Aggregate { route, summary_only, discard }))
        };
        wanted.filter_map(one).collect()
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

/// What a policy leaves of a route that is to be originated here; none: it rejects it.
fn through(
    policy: Option<&Policy>,
    global: &Global,
    prefix: Prefix,
    source: Source,
    route: OwnRoute,
) -> Option<OwnRoute> {
    let Some(policy) = policy else { return Some(route) };
    let mut attributes = Attributes {
        med: route.med,
        local_pref: route.local_pref,
        communities: route.communities,
        large_communities: route.large_communities,
        ..Attributes::new(route.origin, AsPath::default(), NO_NEXT_HOP)
    };
    let default_local_pref = global.default_local_pref;
    let facts = RouteFacts { default_local_pref, ..RouteFacts::new(prefix, source, global.asn) };
    let outcome = policy.evaluate(&facts, &attributes);
    match outcome.verdict {
        Verdict::Accept => {}
        Verdict::Reject => return None,
    }
    let own = Own { default_local_pref, ..Own::new(global.asn) };
    outcome.changes.apply(&mut attributes, &mut 0, &own);
    Some(OwnRoute {
        origin: attributes.origin,
        med: attributes.med,
        local_pref: attributes.local_pref,
        communities: attributes.communities,
        large_communities: attributes.large_communities,
        groups: route.groups,
        kernel: route.kernel,
    })
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

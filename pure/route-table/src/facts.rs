//! What the kernel tells, and what it means for the table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use inet::Prefix;

use crate::entry::{Actual, Held, Place};
use crate::{
    KernelEvent, KernelRoute, KernelTarget, Link, LinkAddress, LinkIndex, Output, RouteNews,
    RouteTable, Snapshot,
};

impl RouteTable {
    pub(crate) fn kernel(&mut self, event: KernelEvent) {
        match event {
            KernelEvent::Snapshot(snapshot) => self.snapshot(snapshot),
            KernelEvent::Route(_, route) if self.is_former(&route) => {}
            KernelEvent::Route(news, route) if self.is_ours(&route) => self.our_route(news, route),
            KernelEvent::Route(news, route) => self.foreign_route(news, route),
            KernelEvent::Link(link) => self.link(link),
            KernelEvent::LinkGone(index) => self.link_gone(index),
            KernelEvent::Address(LinkAddress { link, address }) => {
                let mut addresses = self.addresses.get(&link).cloned().unwrap_or_default();
                addresses.insert(address);
                self.set_addresses(link, addresses);
            }
            KernelEvent::AddressGone(LinkAddress { link, address }) => {
                let mut addresses = self.addresses.get(&link).cloned().unwrap_or_default();
                addresses.remove(&address);
                self.set_addresses(link, addresses);
            }
            KernelEvent::Object(object) => {
                if self.objects.seen(self.config.protocol, object) {
                    self.regroup();
                }
            }
            KernelEvent::ObjectGone(id) => {
                let groups = self.objects.vanished(id);
                self.doubt_routes_of(&groups);
            }
        }
    }

    fn snapshot(&mut self, snapshot: Snapshot) {
        let Snapshot { links, addresses, routes, objects } = snapshot;
        let kept: BTreeSet<LinkIndex> = links.iter().map(|link| link.index).collect();
        let gone: Vec<LinkIndex> =
            self.links.keys().filter(|index| !kept.contains(index)).copied().collect();
        for index in gone {
            self.link_gone(index);
        }
        for link in links {
            self.link(link);
        }
        let mut by_link: BTreeMap<LinkIndex, BTreeSet<IpAddr>> =
            self.addresses.keys().map(|link| (*link, BTreeSet::new())).collect();
        for LinkAddress { link, address } in addresses {
            by_link.entry(link).or_default().insert(address);
        }
        for (link, addresses) in by_link {
            self.set_addresses(link, addresses);
        }

        for prefix in std::mem::take(&mut self.foreign).into_keys() {
            self.lengths.remove(&prefix);
        }
        let mut ours: BTreeMap<Prefix, (Held, bool)> = BTreeMap::new();
        for route in routes {
            if self.is_ours(&route) {
                // Two of ours for one prefix (someone appended one): replace them.
                let prefix = route.prefix;
                let held = held_of(route);
                ours.entry(prefix).and_modify(|(_, known)| *known = false).or_insert((held, true));
            } else if !self.is_former(&route) {
                self.add_foreign(route);
            }
        }
        self.objects.snapshot(self.config.protocol, objects);
        self.regroup();
        let known: Vec<(Prefix, Place)> = self.places.iter().collect();
        for (prefix, place) in known {
            match ours.remove(&prefix) {
                Some((held, known)) => self.observe(place, Some(held), known),
                None => self.observe(place, None, true),
            }
        }
        for (prefix, (held, known)) in ours {
            let place = self.place(prefix);
            self.observe(place, Some(held), known);
            let adopted = !self.swept;
            if let Some(entry) = self.entry_mut(place) {
                entry.adopted = adopted;
            }
        }
        if self.synced {
            self.counters.resyncs += 1;
        }
        self.synced = true;
        self.everything_is_dirty();
        self.redistribute_all();
        self.collect_later();
    }

    fn our_route(&mut self, news: RouteNews, route: KernelRoute) {
        let prefix = route.prefix;
        let known = self.places.get(&prefix).is_some();
        if news == RouteNews::Removed && !known {
            return;
        }
        let adopted = !self.swept && !known;
        let place = self.place(prefix);
        if adopted && let Some(entry) = self.entry_mut(place) {
            entry.adopted = true;
        }
        let held = held_of(route);
        match news {
            RouteNews::Added | RouteNews::Replaced => self.observe(place, Some(held), true),
            RouteNews::Removed => {
                let actual = self.entry(place).map(|entry| entry.actual).unwrap_or_default();
                let whole = match actual {
                    Actual::Absent => true,
                    Actual::Present(actual) => self.held.value(actual) == Some(&held),
                    Actual::Unknown(_) => false,
                };
                // Some legs of it, or something that was not known: look by writing.
                self.observe(place, None, whole);
            }
        }
        self.queue(place);
    }

    fn foreign_route(&mut self, news: RouteNews, route: KernelRoute) {
        let prefix = route.prefix;
        match news {
            RouteNews::Added => self.add_foreign(route),
            RouteNews::Replaced => {
                self.remove_foreign(&prefix, |old| {
                    (old.table, old.metric) == (route.table, route.metric)
                });
                self.add_foreign(route);
            }
            RouteNews::Removed => self.remove_legs(route),
        }
        // A foreign route with our metric may have taken the place of ours.
        if let Some(place) = self.places.get(&prefix) {
            let absent = self.entry(place).is_none_or(|entry| entry.actual == Actual::Absent);
            if self.is_blocked(&prefix) && !absent {
                self.observe(place, None, false);
            }
            self.queue(place);
        }
        self.touch(&prefix);
        self.redistribute(&prefix);
    }

    fn add_foreign(&mut self, route: KernelRoute) {
        let prefix = route.prefix;
        let routes = self.foreign.entry(prefix).or_default();
        if routes.is_empty() {
            self.lengths.add(&prefix);
        }
        // An IPv6 route to which a leg was added is told of as a whole.
        let grown = |old: &KernelRoute| {
            (old.table, old.metric, old.protocol) == (route.table, route.metric, route.protocol)
                && is_part_of(&old.target, &route.target)
        };
        routes.retain(|old| !grown(old));
        routes.push(route);
    }

    fn remove_foreign(&mut self, prefix: &Prefix, unwanted: impl Fn(&KernelRoute) -> bool) {
        let Some(routes) = self.foreign.get_mut(prefix) else {
            return;
        };
        routes.retain(|old| !unwanted(old));
        if routes.is_empty() {
            self.foreign.remove(prefix);
            self.lengths.remove(prefix);
        }
    }

    /// Takes away a route, or those legs of it that are named.
    fn remove_legs(&mut self, gone: KernelRoute) {
        let same = |old: &KernelRoute| {
            (old.table, old.metric, old.protocol) == (gone.table, gone.metric, gone.protocol)
        };
        let exact = |old: &KernelRoute| same(old) && old.target == gone.target;
        let known = self.foreign.get(&gone.prefix).is_some_and(|routes| routes.iter().any(exact));
        if known {
            return self.remove_foreign(&gone.prefix, exact);
        }
        for old in self.foreign.get_mut(&gone.prefix).into_iter().flatten().filter(|r| same(r)) {
            if let (KernelTarget::Legs(legs), KernelTarget::Legs(gone)) =
                (&mut old.target, &gone.target)
            {
                legs.retain(|leg| !gone.contains(leg));
            }
        }
        let nothing = KernelTarget::Legs(Vec::new());
        self.remove_foreign(&gone.prefix, |old| old.target == nothing);
    }

    fn link(&mut self, link: Link) {
        let (index, name, up) = (link.index, link.name, link.up);
        let part_of = (link.master, link.vrf_table);
        let old = self.links.insert(index, link);
        let before = old.as_ref().map(|old| (old.name, old.up));
        if before == Some((name, up)) {
            // It may be a part of another VRF.
            if old.is_some_and(|old| (old.master, old.vrf_table) != part_of) {
                self.links_changed();
            }
            return;
        }
        // A renamed link is one that went away and one that came.
        if let Some((old, true)) = before
            && old != name
        {
            self.out.push_back(Output::Link { name: old, up: false });
        }
        self.out.push_back(Output::Link { name, up });
        if !up {
            self.link_lost(index);
        }
        self.links_changed();
    }

    fn link_gone(&mut self, index: LinkIndex) {
        self.set_addresses(index, BTreeSet::new());
        let Some(link) = self.links.remove(&index) else {
            return;
        };
        if link.up {
            self.out.push_back(Output::Link { name: link.name, up: false });
        }
        self.link_lost(index);
        self.links_changed();
    }

    /// With a link's carrier the kernel takes its next-hop objects, the groups of which they were
    /// all, and the routes to those: without a word.
    fn link_lost(&mut self, index: LinkIndex) {
        let groups = self.objects.doubt_links(&BTreeSet::from([index]));
        self.doubt_routes_of(&groups);
        self.regroup();
    }

    fn set_addresses(&mut self, link: LinkIndex, new: BTreeSet<IpAddr>) {
        let old = match new.is_empty() {
            true => self.addresses.remove(&link),
            false => self.addresses.insert(link, new.clone()),
        };
        let old = old.unwrap_or_default();
        if old == new {
            return;
        }
        for address in new.difference(&old) {
            *self.own_addresses.entry(*address).or_default() += 1;
        }
        for address in old.difference(&new) {
            let links = self.own_addresses.get(address).copied().unwrap_or(0);
            match links {
                0 | 1 => self.own_addresses.remove(address),
                2.. => self.own_addresses.insert(*address, links - 1),
            };
        }
        for address in old.symmetric_difference(&new) {
            self.touch(&Prefix::host(*address));
        }
        if let Some(link) = self.links.get(&link) {
            let addresses = new.into_iter().collect();
            self.out.push_back(Output::Addresses { name: link.name, addresses });
        }
    }
}

fn is_part_of(part: &KernelTarget, whole: &KernelTarget) -> bool {
    match (part, whole) {
        (KernelTarget::Legs(part), KernelTarget::Legs(whole)) => {
            part.iter().all(|leg| whole.contains(leg))
        }
        (a, b) => a == b,
    }
}

fn held_of(route: KernelRoute) -> Held {
    match route.object {
        Some(object) => Held::Object(object),
        None => Held::Direct(route.target),
    }
}

//! What sources offer, and where the sets of next hops in it lead.

use std::collections::{BTreeMap, BTreeSet};

use inet::{NextHop, Prefix};

use crate::entry::{Actual, Entry, Offer, Place, moment};
use crate::intern::Id;
use crate::resolve;
use crate::{Leg, ObjectId, Output, RouteTable, SourceId, Target};

/// What is known of a target that someone offers.
#[derive(Debug, Default)]
pub(crate) struct Set {
    /// The prefixes that it is offered for.
    pub(crate) users: BTreeSet<Place>,
    /// Where it leads; none: nowhere. Empty for what drops packets.
    pub(crate) legs: Option<Vec<Leg>>,
    /// The prefixes of ours that the answer depends on.
    pub(crate) through: BTreeSet<Prefix>,
    /// What a route to it says when it names its legs itself.
    pub(crate) direct: Option<Id>,
    /// The group of next hops that routes to it name, and what such a route says.
    pub(crate) group: Option<(ObjectId, Id)>,
    /// Groups of other sets whose routes have all followed to this one.
    pub(crate) more: Vec<(ObjectId, Id)>,
    known: bool,
}

impl Set {
    /// All its groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (ObjectId, Id)> {
        self.group.into_iter().chain(self.more.iter().copied())
    }

    /// Takes a group out; what holds it is then the caller's.
    pub(crate) fn take_group(&mut self, id: ObjectId) -> Option<(ObjectId, Id)> {
        if let Some(group) = self.group.take_if(|(group, _)| *group == id) {
            return Some(group);
        }
        let at = self.more.iter().position(|(group, _)| *group == id)?;
        Some(self.more.swap_remove(at))
    }
}

impl RouteTable {
    pub(crate) fn set(
        &mut self,
        source: SourceId,
        distance: u8,
        routes: impl IntoIterator<Item = (Prefix, Target)>,
    ) {
        let mut wanted: BTreeMap<Prefix, Target> = routes.into_iter().collect();
        let of = |place: Place| {
            let offers = self.entry(place).map(|entry| entry.offers.as_slice());
            offers.into_iter().flatten().any(|offer| offer.source == source)
        };
        let gone: Vec<Prefix> = self
            .places
            .iter()
            .filter(|(prefix, place)| of(*place) && !wanted.contains_key(prefix))
            .map(|(prefix, _)| prefix)
            .collect();
        for prefix in gone {
            self.update(source, distance, prefix, None);
        }
        while let Some((prefix, target)) = wanted.pop_first() {
            self.update(source, distance, prefix, Some(target));
        }
    }

    pub(crate) fn update(
        &mut self,
        source: SourceId,
        distance: u8,
        prefix: Prefix,
        target: Option<Target>,
    ) {
        if target.is_none() && self.places.get(&prefix).is_none() {
            return;
        }
        let place = self.place(prefix);
        let new = target.map(|target| {
            let (id, is_new) = self.targets.hold(&target);
            if is_new {
                self.new_target(id, &target);
            }
            Offer { distance, source, target: id }
        });
        let Some(entry) = self.entries.get_mut(place as usize) else {
            return;
        };
        let was_offered = !entry.offers.as_slice().is_empty();
        let old = entry.offers.put(source, new);
        entry.adopted &= new.is_none();
        let is_offered = !entry.offers.as_slice().is_empty();
        if old != new && entry.since == 0 {
            entry.since = moment(self.now);
        }
        let unused = |id: Id| entry.offers.as_slice().iter().all(|offer| offer.target != id);
        let left = old.map(|old| old.target).filter(|id| unused(*id));
        if let Some(new) = new
            && let Some(set) = self.targets.beside_mut(new.target)
        {
            set.users.insert(place);
        }
        if let Some(left) = left
            && let Some(set) = self.targets.beside_mut(left)
        {
            set.users.remove(&place);
        }
        if let Some(old) = old {
            if let Some(new) = new {
                self.follow(old.target, new.target);
            }
            self.release_target(old.target);
        }
        // Nothing is written, and nothing is to be taken back: no need to decide that.
        let installs = self.config.writes();
        let idle = |entry: &Entry| {
            let nothing = entry.actual == Actual::Absent && entry.flight.is_none();
            !installs && nothing && !entry.queued
        };
        match self.entry(place).is_some_and(idle) {
            true => self.settled(place, None),
            false => self.queue(place),
        }
        if old == new {
            return;
        }
        match (was_offered, is_offered) {
            (false, true) => self.lengths.add(&prefix),
            (true, false) => self.lengths.remove(&prefix),
            (true, true) | (false, false) => {}
        }
        self.touch(&prefix);
    }

    fn new_target(&mut self, id: Id, target: &Target) {
        for hop in target.hops() {
            let known = self.hops.entry(hop.next_hop).or_default();
            known.sets.insert(id);
            if known.resolution.is_none() {
                self.dirty_hops.insert(hop.next_hop);
            }
        }
        if let Target::Link(_) = target {
            self.link_targets.insert(id);
        }
        self.dirty_sets.insert(id);
    }

    pub(crate) fn release_target(&mut self, id: Id) {
        let Some((target, set)) = self.targets.release(id) else {
            return;
        };
        for hop in target.hops() {
            if let Some(known) = self.hops.get_mut(&hop.next_hop) {
                known.sets.remove(&id);
                self.forget_unused(&hop.next_hop);
            }
        }
        self.link_targets.remove(&id);
        self.dirty_sets.remove(&id);
        if let Some(direct) = set.direct {
            self.release_held(direct);
        }
        for (group, held) in set.groups() {
            self.objects.leave(group);
            self.release_held(held);
            self.collect_later();
        }
    }

    pub(crate) fn links_changed(&mut self) {
        self.dirty_hops.extend(self.hops.keys().copied());
        self.dirty_sets.extend(self.link_targets.iter().copied());
        // What leads out of a link without a next hop resolves others by that.
        let by_link: Vec<Id> = self.link_targets.iter().copied().collect();
        for id in by_link {
            self.touch_dependents(id, &BTreeSet::new());
        }
        self.objects.retry_legs();
        self.redistribute_all();
    }

    /// The routes of a prefix changed: next hops in it may lead elsewhere.
    pub(crate) fn touch(&mut self, prefix: &Prefix) {
        if self.hops.is_empty() {
            return;
        }
        let last = prefix.last_address();
        let first = NextHop::from(prefix.address());
        let touched = self.hops.range(first..).map(|(hop, _)| *hop);
        let touched: Vec<NextHop> = touched.take_while(|hop| hop.address <= last).collect();
        self.dirty_hops.extend(touched);
    }

    pub(crate) fn forget_unused(&mut self, hop: &NextHop) {
        let unused = |known: &crate::table::Known| known.sets.is_empty() && !known.tracked;
        if self.hops.get(hop).is_some_and(unused)
            && let Some(known) = self.hops.remove(hop)
        {
            self.dirty_hops.remove(hop);
            self.index_through(hop, &known.through, &BTreeSet::new());
        }
    }

    fn index_through(&mut self, hop: &NextHop, old: &BTreeSet<Prefix>, new: &BTreeSet<Prefix>) {
        for prefix in old.difference(new) {
            if let Some(hops) = self.through.get_mut(prefix) {
                hops.remove(hop);
                if hops.is_empty() {
                    self.through.remove(prefix);
                }
            }
        }
        for prefix in new.difference(old) {
            self.through.entry(*prefix).or_default().insert(*hop);
        }
    }

    /// Resolves all next hops that may have changed, and those which lead through them.
    ///
    /// Each is resolved from the facts alone, never from another's old answer, so that two routes
    /// through each other do not keep each other alive.
    pub(crate) fn settle_hops(&mut self) {
        let mut settled: BTreeSet<NextHop> = BTreeSet::new();
        loop {
            while let Some(hop) = self.dirty_hops.pop_first() {
                settled.insert(hop);
                self.settle_hop(hop);
            }
            let Some(id) = self.dirty_sets.pop_first() else {
                return;
            };
            if self.evaluate(id) {
                self.touch_dependents(id, &settled);
            }
        }
    }

    fn settle_hop(&mut self, hop: NextHop) {
        let (resolution, through) = resolve::next_hop(self, &hop);
        let Some(known) = self.hops.get_mut(&hop) else {
            return;
        };
        // An answer that came from foreign routes alone, and is the same, moves nothing.
        let moved = known.resolution.as_ref() != Some(&resolution)
            || !known.through.is_empty()
            || !through.is_empty();
        if known.tracked && known.told.as_ref() != Some(&resolution) {
            known.told = Some(resolution.clone());
            self.out.push_back(Output::NextHop(hop, resolution.clone()));
        }
        known.resolution = Some(resolution);
        let old = std::mem::replace(&mut known.through, through.clone());
        if moved {
            self.dirty_sets.extend(known.sets.iter().copied());
        }
        self.index_through(&hop, &old, &through);
    }

    /// Next hops that looked at a prefix which this target is offered for.
    fn touch_dependents(&mut self, id: Id, settled: &BTreeSet<NextHop>) {
        let mut touched: Vec<NextHop> = Vec::new();
        for (prefix, hops) in &self.through {
            let offers = self.entry_of(prefix).map(|entry| entry.offers.as_slice());
            if offers.into_iter().flatten().any(|offer| offer.target == id) {
                touched.extend(hops.difference(settled));
            }
        }
        self.dirty_hops.extend(touched);
    }

    /// Where a target leads now; true when routes that look through it may lead elsewhere.
    fn evaluate(&mut self, id: Id) -> bool {
        let Some((target, set)) = self.targets.get(id) else {
            return false;
        };
        let (legs, through) = match target {
            Target::Via(hops) => resolve::known_legs(self, hops),
            Target::Link(name) => {
                let legs = self.link_up_named(name).map(|link| vec![Leg::new(None, link)]);
                (legs, BTreeSet::new())
            }
            Target::Blackhole | Target::Unreachable | Target::Prohibit => {
                (Some(Vec::new()), BTreeSet::new())
            }
        };
        let recursive = !set.through.is_empty() || !through.is_empty();
        let same = set.known && set.legs == legs;
        if same && !recursive {
            return false;
        }
        let (was, direct) = (set.legs.is_some(), set.direct);
        let groups: Vec<ObjectId> = set.groups().map(|(group, _)| group).collect();
        // Routes that name a group follow it; few are moved to another one, which is faster than
        // the kernel's waiting for its readers; all others are written anew.
        let many = set.users.len() >= self.many;
        let in_place = !groups.is_empty() && was && legs.is_some() && !recursive && many;
        if let Some(set) = self.targets.beside_mut(id) {
            (set.legs, set.through, set.known) = (legs.clone(), through, true);
            if !same {
                set.direct = None;
            }
        }
        if let (Some(direct), false) = (direct, same) {
            self.release_held(direct);
        }
        match &legs {
            _ if groups.is_empty() => {}
            Some(_) if !many && !same => self.leave_group(id),
            Some(legs) => {
                for group in groups {
                    self.objects.group(id, legs, Some(group), None);
                }
                self.collect_later();
            }
            None => self.leave_group(id),
        }
        if !in_place {
            self.queue_users(id);
        }
        true
    }

    pub(crate) fn leave_group(&mut self, id: Id) {
        let Some(set) = self.targets.beside_mut(id) else {
            return;
        };
        let groups: Vec<(ObjectId, Id)> = set.groups().collect();
        (set.group, set.more) = (None, Vec::new());
        for (group, held) in groups {
            self.objects.leave(group);
            self.release_held(held);
            self.collect_later();
        }
    }

    pub(crate) fn queue_users(&mut self, id: Id) {
        let Some((_, set)) = self.targets.get(id) else {
            return;
        };
        let users: Vec<Place> = set.users.iter().copied().collect();
        let now = moment(self.now);
        for place in users {
            if let Some(entry) = self.entry_mut(place)
                && entry.since == 0
            {
                entry.since = now;
            }
            self.queue(place);
        }
    }
}

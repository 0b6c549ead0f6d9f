//! Wanted minus actual, one prefix at a time, and what the kernel answers.

use std::collections::BTreeSet;
use std::time::Duration;

use inet::Prefix;

use crate::entry::{Actual, Entry, Failure, Flight, Held, Place, moment};
use crate::intern::Id;
use crate::objects::Landed;
use crate::offers::Set;
use crate::resolve;
use crate::table::Retry;
use crate::{Action, Change, Errno, KernelTarget, Leg, ObjectId, Output, RouteTable, Target};

/// How long next-hop objects stay when nothing uses them any more: what comes back soon finds them.
const KEEP_OBJECTS: Duration = Duration::from_secs(5);

/// What the kernel shall hold for a prefix.
pub(crate) enum Wanted {
    /// Nothing.
    Nothing,
    /// This; held once.
    Held(Id),
    /// Something that cannot be written before its next-hop objects are there.
    Later,
}

/// The best offer that leads somewhere: which one, and the legs; the legs are the set's own ones
/// unless they are special for this prefix.
pub(crate) struct Choice {
    pub(crate) offer: usize,
    target: Id,
    special: Option<Vec<Leg>>,
}

impl Choice {
    /// Whether it is this target, with the target's own legs.
    pub(crate) fn is_plain(&self, target: Id) -> bool {
        self.target == target && self.special.is_none()
    }
}

impl RouteTable {
    /// The best offer that leads somewhere.
    pub(crate) fn choose(&self, entry: &Entry) -> Option<Choice> {
        if !self.config.writes() {
            return None;
        }
        entry.offers.as_slice().iter().enumerate().find_map(|(at, offer)| {
            let (target, set) = self.targets.get(offer.target)?;
            let special = match target {
                // Not by way of this very route.
                Target::Via(hops) if set.through.contains(&entry.prefix) => {
                    Some(resolve::legs_without(self, &entry.prefix, hops)?)
                }
                Target::Via(_)
                | Target::Link(_)
                | Target::Blackhole
                | Target::Unreachable
                | Target::Prohibit => {
                    set.legs.as_ref()?;
                    None
                }
            };
            Some(Choice { offer: at, target: offer.target, special })
        })
    }

    /// What a choice means, with its legs written out.
    pub(crate) fn kernel_target(&self, choice: &Choice) -> Option<KernelTarget> {
        let (target, set) = self.targets.get(choice.target)?;
        Some(match target {
            Target::Via(_) | Target::Link(_) => {
                KernelTarget::Legs(choice.special.clone().or_else(|| set.legs.clone())?)
            }
            Target::Blackhole => KernelTarget::Blackhole,
            Target::Unreachable => KernelTarget::Unreachable,
            Target::Prohibit => KernelTarget::Prohibit,
        })
    }

    fn wanted(&mut self, place: Place) -> Wanted {
        let Some(entry) = self.entry(place) else {
            return Wanted::Nothing;
        };
        let Some(choice) = self.choose(entry) else {
            return Wanted::Nothing;
        };
        let Some((target, set)) = self.targets.get(choice.target) else {
            return Wanted::Nothing;
        };
        let by_object =
            self.objects.active && choice.special.is_none() && matches!(target, Target::Via(_));
        let (id, direct) = (choice.target, set.direct);
        // A route that names another group of the set is right as it is.
        let actual = entry.actual.held();
        let named = set.more.iter().find(|(_, held)| actual == Some(*held)).copied();
        let group = named.or(set.group);
        if by_object && let Some((group, held)) = group.or_else(|| self.new_group(place, id)) {
            self.poll_objects();
            if !self.objects.is_ready(group) {
                return Wanted::Later;
            }
            self.held.hold_again(held);
            return Wanted::Held(held);
        }
        if let (Some(direct), None) = (direct, &choice.special) {
            self.held.hold_again(direct);
            return Wanted::Held(direct);
        }
        let Some(target) = self.kernel_target(&choice) else {
            return Wanted::Nothing;
        };
        let (held, _) = self.held.hold(&Held::Direct(target));
        if choice.special.is_none()
            && let Some(set) = self.targets.beside_mut(id)
        {
            set.direct = Some(held);
            self.held.hold_again(held);
        }
        Wanted::Held(held)
    }

    /// A group for a set of next hops: the one that this prefix's route names already, if it fits.
    fn new_group(&mut self, place: Place, id: Id) -> Option<(ObjectId, Id)> {
        let hint = self.entry(place)?.actual.held().and_then(|held| match self.held.value(held) {
            Some(Held::Object(object)) => Some(*object),
            Some(Held::Direct(_)) | None => None,
        });
        let legs = self.targets.get(id)?.1.legs.clone()?;
        let group = self.objects.group(id, &legs, None, hint)?;
        let (held, _) = self.held.hold(&Held::Object(group));
        self.targets.beside_mut(id)?.group = Some((group, held));
        Some((group, held))
    }

    /// What is to be done for one prefix.
    pub(crate) fn decide(&mut self, place: Place) -> Option<Change> {
        let entry = self.entry_mut(place)?;
        entry.queued = false;
        if let Some(flight) = &mut entry.flight {
            // Looked at again when that has landed.
            flight.again = true;
            return None;
        }
        if self.config.table == 0 {
            // Nothing can be written, and what went with a table is no more.
            self.observe(place, None, true);
            self.settled(place, None);
            return None;
        }
        let entry = self.entry(place)?;
        let prefix = entry.prefix;
        if self.is_blocked(&prefix) && self.choose(entry).is_some() {
            self.settled(place, None);
            return None;
        }
        let wanted = match self.wanted(place) {
            Wanted::Nothing => None,
            Wanted::Held(held) => Some(held),
            Wanted::Later => return None,
        };
        let entry = self.entry(place)?;
        let write = match (wanted, entry.actual) {
            (Some(wanted), Actual::Present(actual)) => wanted != actual,
            (Some(_), Actual::Absent | Actual::Unknown(_)) => true,
            (None, Actual::Absent) => false,
            (None, Actual::Present(_) | Actual::Unknown(_)) => !entry.adopted,
        };
        if !write {
            self.settled(place, wanted);
            return None;
        }
        if entry.failed && self.must_wait(place, wanted) {
            if let Some(wanted) = wanted {
                self.release_held(wanted);
            }
            return None;
        }
        let action = match wanted {
            None => Action::Delete,
            Some(held) => match self.held.value(held)? {
                Held::Direct(target) => Action::Replace(target.clone()),
                Held::Object(object) => Action::Via(*object),
            },
        };
        let entry = self.entry_mut(place)?;
        entry.flight = Some(Flight { held: wanted, disturbed: false, again: false });
        Some(Change { prefix, action })
    }

    /// Nothing is to be written for a prefix.
    pub(crate) fn settled(&mut self, place: Place, wanted: Option<Id>) {
        if let Some(wanted) = wanted {
            self.release_held(wanted);
        }
        self.forget_failure(place);
        let Some(entry) = self.entry_mut(place) else {
            return;
        };
        entry.since = 0;
        if entry.is_empty() {
            let prefix = entry.prefix;
            self.places.remove(&prefix);
            self.free.push(place);
        }
    }

    /// Whether the same write was refused and its pause is not over.
    fn must_wait(&self, place: Place, wanted: Option<Id>) -> bool {
        let same = |(failure, held): &(Failure, Option<Id>)| {
            *held == wanted && self.now < failure.retry_at
        };
        self.failures.get(&place).is_some_and(same)
    }

    pub(crate) fn forget_failure(&mut self, place: Place) {
        let Some(entry) = self.entries.get_mut(place as usize).filter(|entry| entry.failed) else {
            return;
        };
        entry.failed = false;
        if let Some((failure, held)) = self.failures.remove(&place) {
            self.retries.remove(&(failure.retry_at, Retry::Route(place)));
            if let Some(held) = held {
                self.release_held(held);
            }
        }
    }

    /// The kernel's answer for a route.
    pub(crate) fn applied(&mut self, prefix: Prefix, result: Result<(), Errno>) {
        let Some(place) = self.places.get(&prefix) else {
            return;
        };
        let now = self.now;
        let Some(entry) = self.entry_mut(place) else {
            return;
        };
        let Some(Flight { held, disturbed, again }) = entry.flight.take() else {
            return;
        };
        let old = entry.actual;
        match result {
            Ok(()) => {
                entry.actual = match (disturbed, held) {
                    (true, held) => Actual::Unknown(held),
                    (false, Some(held)) => Actual::Present(held),
                    (false, None) => Actual::Absent,
                };
                let since = std::mem::take(&mut entry.since);
                self.counters.route_writes += 1;
                if since > 0 {
                    let lag = u64::from(moment(now).wrapping_sub(since));
                    self.counters.lag.observe(Duration::from_millis(lag));
                }
                self.forget_failure(place);
                if let Some(old) = old.held() {
                    self.release_held(old);
                }
            }
            Err(errno) => {
                entry.actual = Actual::Unknown(old.held());
                let before = self.failures.get(&place).filter(|(_, before)| *before == held);
                let failure = Failure::after(before.map(|(failure, _)| *failure), now, errno);
                self.counters.failures += 1;
                self.forget_failure(place);
                if let Some(entry) = self.entry_mut(place) {
                    entry.failed = true;
                }
                self.failures.insert(place, (failure, held));
                self.retries.insert((failure.retry_at, Retry::Route(place)));
            }
        }
        // All is as it was decided, and nothing has happened since: nothing is to be decided.
        if again || disturbed || result.is_err() || held.is_none() {
            self.queue(place);
        }
    }

    pub(crate) fn release_held(&mut self, id: Id) {
        let is_object = matches!(self.held.value(id), Some(Held::Object(_)));
        self.held.release(id);
        // The last holder of a group is the set of next hops that it stands for.
        if is_object && self.held.holders(id) <= 1 {
            self.collect_later();
        }
    }

    /// What the kernel has turned out to hold.
    pub(crate) fn observe(&mut self, place: Place, found: Option<Held>, known: bool) {
        let Some(entry) = self.entries.get_mut(place as usize) else {
            return;
        };
        if let Some(flight) = &mut entry.flight {
            flight.disturbed = true;
            return;
        }
        let held = found.map(|found| self.held.hold(&found).0);
        let new = match (known, held) {
            (true, Some(held)) => Actual::Present(held),
            (true, None) => Actual::Absent,
            (false, held) => Actual::Unknown(held.or(entry.actual.held())),
        };
        let old = std::mem::replace(&mut entry.actual, new).held();
        if let Some(old) = old.filter(|_| known || held.is_some()) {
            self.release_held(old);
        }
    }

    // Objects.

    /// Puts out all that is to be done about objects.
    pub(crate) fn poll_objects(&mut self) {
        let (now, links) = (self.now, &self.links);
        let is_up = |index| links.get(&index).is_some_and(|link| link.up);
        while let Some(change) = self.objects.poll(now, is_up) {
            self.out.push_back(Output::Object(change));
        }
    }

    pub(crate) fn object_applied(&mut self, id: ObjectId, result: Result<(), Errno>) {
        match result {
            Ok(()) => self.counters.object_writes += 1,
            Err(_) => self.counters.failures += 1,
        }
        let refused = result.is_err();
        let Landed { ready, changed_mind, retry_at, lost } =
            self.objects.landed(id, self.now, result);
        if let Some(at) = retry_at {
            self.retries.insert((at, Retry::Object(id)));
        }
        if let Some(target) = ready {
            self.group_is_ready(target, changed_mind);
        }
        if lost {
            let of: Vec<Id> = self
                .targets
                .iter()
                .filter(|(_, _, set)| set.groups().any(|(group, _)| group == id))
                .map(|(target, ..)| target)
                .collect();
            for target in of {
                self.leave_group(target);
                self.queue_users(target);
            }
        }
        if refused && !lost {
            self.refused_in_place(id);
        }
        if changed_mind || lost {
            self.regroup();
        }
        if self.objects.is_unwanted(id) {
            self.collect_later();
        }
    }

    /// Routes that waited for their group are written; those that failed with it, at once.
    fn group_is_ready(&mut self, target: Id, had_failed: bool) {
        let Some((_, set)) = self.targets.get(target) else {
            return;
        };
        let waiting: Vec<Place> = set
            .users
            .iter()
            .copied()
            .filter(|place| self.entry(*place).is_some_and(|entry| entry.flight.is_none()))
            .filter(|place| had_failed || self.is_behind(*place))
            .collect();
        for place in waiting {
            if had_failed {
                self.forget_failure(place);
            }
            self.queue(place);
        }
    }

    fn is_behind(&self, place: Place) -> bool {
        self.entry(place).is_some_and(|entry| {
            entry.since != 0 || !matches!(entry.actual, Actual::Present(_)) || entry.failed
        })
    }

    /// Legs that the kernel refuses are left out of groups, and taken in again when it takes them.
    pub(crate) fn regroup(&mut self) {
        let with_legs =
            self.targets.iter().filter_map(|(id, _, set)| Some((id, set, set.legs.as_ref()?)));
        let with_groups: Vec<(Id, ObjectId, Vec<Leg>)> = with_legs
            .flat_map(|(id, set, legs)| set.groups().map(move |(g, _)| (id, g, legs.clone())))
            .collect();
        for (id, group, legs) in with_groups {
            self.objects.group(id, &legs, Some(group), None);
        }
    }

    /// The kernel may have dropped these groups' routes without a word.
    pub(crate) fn doubt_routes_of(&mut self, groups: &[ObjectId]) {
        let held: BTreeSet<Id> =
            groups.iter().filter_map(|group| self.held.find(&Held::Object(*group))).collect();
        if held.is_empty() {
            return;
        }
        let holds = |entry: &Entry| entry.actual.held().is_some_and(|id| held.contains(&id));
        let holding: Vec<Place> =
            self.places.values().filter(|place| self.entry(*place).is_some_and(holds)).collect();
        for place in holding {
            self.observe(place, None, false);
            self.queue(place);
        }
    }

    /// Looks for unused objects in a while.
    pub(crate) fn collect_later(&mut self) {
        if self.collect_at.is_none() && self.objects.active {
            let at = self.now + KEEP_OBJECTS;
            self.collect_at = Some(at);
            self.retries.insert((at, Retry::Collect));
        }
    }

    pub(crate) fn collect(&mut self) {
        self.collect_at = None;
        // What was found at the start may still be wanted until then.
        if !self.swept {
            return;
        }
        // A set that is offered but not chosen needs no group.
        let groups = |(id, _, set): (Id, &Target, &Set)| -> Vec<(Id, ObjectId, Id)> {
            set.groups().map(|(group, held)| (id, group, held)).collect()
        };
        let unused: Vec<(Id, ObjectId, Id)> = self
            .targets
            .iter()
            .flat_map(groups)
            .filter(|(_, _, held)| self.held.holders(*held) <= 1)
            .collect();
        for (id, group, held) in unused {
            if let Some(set) = self.targets.beside_mut(id) {
                set.take_group(group);
            }
            self.objects.leave(group);
            self.release_held(held);
            // Some may have waited for it.
            self.queue_users(id);
        }
        let with_groups = self.targets.iter().filter(|(_, _, set)| set.groups().next().is_some());
        let needed: Vec<Leg> =
            with_groups.flat_map(|(_, _, set)| set.legs.iter().flatten().copied()).collect();
        let held = &self.held;
        self.objects.collect(|id| held.find(&Held::Object(id)).is_some(), &needed);
    }

    pub(crate) fn sweep(&mut self) {
        self.swept = true;
        let adopted: Vec<Place> = self
            .places
            .values()
            .filter(|place| self.entry(*place).is_some_and(|entry| entry.adopted))
            .collect();
        for place in adopted {
            if let Some(entry) = self.entry_mut(place) {
                entry.adopted = false;
            }
            self.queue(place);
        }
        self.collect_later();
    }

    /// Why the kernel refuses a prefix's route, or the next-hop objects that it needs.
    pub(crate) fn refused(&self, place: Place) -> Option<Errno> {
        let of_group = || {
            let entry = self.entry(place)?;
            let offer = self.choose(entry)?.offer;
            let (_, set) = self.targets.get(entry.offers.as_slice().get(offer)?.target)?;
            set.groups().find_map(|(group, _)| self.objects.refused(group))
        };
        // A route fails with its group, which knows better why.
        of_group().or_else(|| self.failures.get(&place).map(|(failure, _)| failure.errno))
    }
}

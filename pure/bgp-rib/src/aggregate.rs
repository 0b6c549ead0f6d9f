//! Aggregates (RFC 4271 §9.2.2.2): what is counted for them, and what they keep back.

use std::collections::{BTreeMap, BTreeSet};

use bgp_packet::PathId;
use inet::{Family, Prefix};

use crate::family::{FamilyRib, World};
use crate::peer::{PeerId, at};
use crate::rib::OwnRoute;
use crate::steps;
use crate::table::Path;

/// The path id of an aggregate among the paths originated here: the prefix may be originated
/// for itself too.
pub(crate) const PATH_ID: PathId = PathId(1);

/// A prefix that is originated here while a longer one in it is used. It has an empty AS_PATH,
/// ATOMIC_AGGREGATE and AGGREGATOR; no AS_SET is made of the paths in it (RFC 9774).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Its other attributes, and whom it is for.
    pub route: OwnRoute,
    /// The longer prefixes in it are announced to nobody.
    pub summary_only: bool,
    /// What the FIB is to do with packets that no longer prefix takes; none: nothing.
    pub discard: Option<Discard>,
}

/// How packets to an aggregate are dropped that no longer prefix takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Discard {
    /// Silently.
    Blackhole,
    /// The sender is told.
    Unreachable,
}

/// Prefixes with something about each, by which others are covered.
#[derive(Debug)]
pub(crate) struct Covers<T> {
    by_prefix: BTreeMap<Prefix, T>,
    /// Their lengths by family, the shortest first, with how many there are: a look-up for each
    /// length there is.
    lengths: [Vec<(u8, u32)>; 2],
}

/// All aggregates.
#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    pub(crate) wanted: BTreeMap<Prefix, Aggregate>,
    /// Those whose longer prefixes are announced to nobody. As soon as there is such a prefix there
    /// is the aggregate too, so that nothing changes here when they come and go.
    pub(crate) suppressing: Covers<()>,
}

/// How many longer prefixes are used in an aggregate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) contributors: u32,
    /// The whole table was counted; else the walk is on its way.
    pub(crate) complete: bool,
}

/// What is counted for the aggregates of a family.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Covers<Count>,
    /// Where the walk is that counts for those that are not complete.
    walk: Option<u32>,
    /// Aggregates that may have to be originated, changed or withdrawn.
    pub(crate) due: BTreeSet<Prefix>,
    /// Those that are withdrawn as soon as what they have kept back is announced.
    pub(crate) leaving: BTreeSet<Prefix>,
}

impl<T> Default for Covers<T> {
    fn default() -> Covers<T> {
        Covers { by_prefix: BTreeMap::new(), lengths: Default::default() }
    }
}

impl<T> Covers<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&T> {
        self.by_prefix.get(prefix)
    }

    /// Whether it is new.
    pub(crate) fn insert(&mut self, prefix: Prefix, value: T) -> bool {
        let new = self.by_prefix.insert(prefix, value).is_none();
        let lengths = &mut self.lengths[at(prefix.family())];
        match lengths.binary_search_by_key(&prefix.len(), |(len, _)| *len) {
            Ok(place) => lengths[place].1 += u32::from(new),
            Err(place) => lengths.insert(place, (prefix.len(), 1)),
        }
        new
    }

    pub(crate) fn remove(&mut self, prefix: &Prefix) -> Option<T> {
        let removed = self.by_prefix.remove(prefix)?;
        let lengths = &mut self.lengths[at(prefix.family())];
        if let Ok(place) = lengths.binary_search_by_key(&prefix.len(), |(len, _)| *len) {
            lengths[place].1 -= 1;
            if lengths[place].1 == 0 {
                lengths.remove(place);
            }
        }
        Some(removed)
    }

    /// How many look-ups a prefix takes, in either family.
    pub(crate) fn look_ups(&self) -> usize {
        self.lengths.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Whether one of them is shorter than this prefix and has it within.
    #[cold]
    #[inline(never)]
    pub(crate) fn covers(&self, prefix: &Prefix) -> bool {
        let mut shorter = shorter(&self.lengths, prefix);
        shorter.any(|shorter| self.by_prefix.contains_key(&shorter))
    }

    /// Each that is shorter than this prefix and has it within.
    fn for_each_over(&mut self, prefix: &Prefix, mut what: impl FnMut(&Prefix, &mut T)) {
        let Covers { by_prefix, lengths } = self;
        for shorter in shorter(lengths, prefix) {
            if let Some(value) = by_prefix.get_mut(&shorter) {
                what(&shorter, value);
            }
        }
    }
}

/// The prefix cut to each of the lengths that are shorter.
fn shorter(lengths: &[Vec<(u8, u32)>; 2], prefix: &Prefix) -> impl Iterator<Item = Prefix> {
    let (address, len) = (prefix.address(), prefix.len());
    let shorter = lengths[at(prefix.family())].iter().take_while(move |(other, _)| *other < len);
    shorter.filter_map(move |(len, _)| {
        steps::add(1);
        Prefix::truncated(address, *len).ok()
    })
}

impl Aggregates {
    /// Whether the prefix is announced to nobody, since an aggregate stands for it.
    pub(crate) fn suppress(&self, prefix: &Prefix) -> bool {
        !self.suppressing.is_empty() && self.suppressing.covers(prefix)
    }
}

impl Tally {
    /// Whether there is something that [`crate::Rib::work`] has to do.
    pub(crate) fn has_work(&self) -> bool {
        self.walk.is_some() || !self.due.is_empty() || !self.leaving.is_empty()
    }

    /// There are more aggregates: what is there already is counted by a walk.
    pub(crate) fn add(&mut self, all: Vec<Prefix>) {
        if all.is_empty() {
            return;
        }
        for prefix in all {
            self.leaving.remove(&prefix);
            self.counts.insert(prefix, Count::default());
        }
        self.walk_again(|count| !count.complete);
    }

    /// There is one less.
    pub(crate) fn remove(&mut self, prefix: &Prefix) {
        self.counts.remove(prefix);
        self.due.remove(prefix);
        self.leaving.insert(*prefix);
        if self.counts.is_empty() {
            self.walk = None;
        }
    }

    /// What counts is something else now.
    pub(crate) fn count_again(&mut self) {
        self.walk_again(|_| true);
    }

    /// All aggregates are to be looked at.
    pub(crate) fn all_due(&mut self) {
        self.due.extend(self.counts.by_prefix.keys());
    }

    fn walk_again(&mut self, whose: impl Fn(&Count) -> bool) {
        for count in self.counts.by_prefix.values_mut().filter(|count| whose(count)) {
            *count = Count::default();
            self.walk = Some(0);
        }
    }

    /// A prefix counts from now on, or no longer.
    fn change(&mut self, idx: u32, prefix: &Prefix, counts: bool) {
        let walked = self.walk.is_none_or(|walk| idx < walk);
        let due = &mut self.due;
        self.counts.for_each_over(prefix, |aggregate, count| {
            // What the walk has not come by it counts when it does.
            if count.complete || walked {
                count.change(aggregate, counts, due);
            }
        });
    }

    /// The walk comes to a prefix that counts.
    fn walked(&mut self, prefix: &Prefix) {
        let due = &mut self.due;
        self.counts.for_each_over(prefix, |aggregate, count| {
            if !count.complete {
                count.change(aggregate, true, due);
            }
        });
    }

    fn end_walk(&mut self) {
        self.walk = None;
        for (aggregate, count) in &mut self.counts.by_prefix {
            if !std::mem::replace(&mut count.complete, true) {
                self.due.insert(*aggregate);
            }
        }
    }
}

impl Count {
    fn change(&mut self, aggregate: &Prefix, more: bool, due: &mut BTreeSet<Prefix>) {
        let had = self.contributors > 0;
        self.contributors = match more {
            true => self.contributors.saturating_add(1),
            false => self.contributors.saturating_sub(1),
        };
        if had != (self.contributors > 0) {
            due.insert(*aggregate);
        }
    }
}

impl FamilyRib {
    /// The best path of an entry has come, gone or changed. Apart from those who ask, as what follows:
    /// mostly there is no aggregate.
    #[cold]
    #[inline(never)]
    pub(crate) fn tally(&mut self, world: &World, idx: u32) {
        let was = self.before.first().map(|(_, peer)| *peer);
        let now = self.table.best(idx).map(|path| path.peer);
        let counts = |peer| counts(world, peer);
        if counts(was) != counts(now)
            && let Some(prefix) = self.table.prefix(idx)
        {
            self.tally.change(idx, &prefix, counts(now));
        }
    }

    /// The walk that counts for new aggregates goes on, over at most `budget` entries.
    pub(crate) fn count(&mut self, world: &World, budget: usize) {
        let Some(from) = self.tally.walk else { return };
        let each = 1 + self.tally.counts.look_ups();
        let budget = u32::try_from(budget.div_ceil(each)).unwrap_or(u32::MAX);
        let to = self.table.end().min(from.saturating_add(budget));
        for idx in from..to {
            if counts(world, self.table.best(idx).map(|path| path.peer))
                && let Some(prefix) = self.table.prefix(idx)
            {
                self.tally.walked(&prefix);
            }
        }
        self.tally.walk = Some(to);
        if to == self.table.end() {
            self.tally.end_walk();
        }
    }

    /// What an aggregate asks of the FIB, while it is there.
    #[cold]
    #[inline(never)]
    pub(crate) fn discard(&self, world: &World, idx: u32, prefix: &Prefix) -> Option<Discard> {
        self.table.best(idx).filter(|best| best.peer == PeerId::LOCAL)?;
        self.table.paths(idx).iter().find(|path| is_aggregate(path))?;
        world.aggregates.wanted.get(prefix)?.discard
    }

    /// What peers are told of the longer prefixes in an aggregate is compared anew.
    pub(crate) fn export_within(&mut self, aggregate: Prefix) {
        self.wanted.any = true;
        self.wanted.within.insert(aggregate, ());
        self.unshare();
    }
}

/// Whether an entry with a best path of this peer counts: on a node that passes nothing on, only
/// what is its own.
fn counts(world: &World, best: Option<PeerId>) -> bool {
    best.is_some_and(|peer| world.settings.transit || peer == PeerId::LOCAL)
}

/// Whether the path is an aggregate's.
pub(crate) fn is_aggregate(path: &Path) -> bool {
    path.peer == PeerId::LOCAL && path.id == PATH_ID.0
}

/// The aggregates of a family.
pub(crate) fn of(
    wanted: &BTreeMap<Prefix, Aggregate>,
    family: Family,
) -> impl Iterator<Item = (&Prefix, &Aggregate)> {
    wanted.iter().filter(move |(prefix, _)| prefix.family() == family)
}

//! Routes that leave one set of next hops for another, all together.
//!
//! A set that has lost its last prefix leaves a group behind which many routes still name, each of
//! them about to be written anew. As soon as all of these are to lead where one other set leads, the
//! group itself is changed to that: one message, and no route leads anywhere that nobody wants, not
//! even for a moment.

use std::collections::VecDeque;

use crate::entry::{Actual, Entry, Place};
use crate::intern::Id;
use crate::object::Object;
use crate::offers::Set;
use crate::{ObjectId, RouteTable, Target};

/// The most groups that one set keeps beside its own: each takes a message when it leads elsewhere.
const MAX_MORE: usize = 7;

/// The most groups that are looked at before each thing that is put out.
const LOOKS: usize = 8;

/// A group that its set has left, while routes name it.
#[derive(Debug)]
pub(crate) struct Leaving {
    group: ObjectId,
    /// What such a route says; held.
    held: Id,
    /// The set that took the last prefix over; held.
    to: Id,
    /// Look again when no more hold it than so many.
    again_at: u32,
    /// So many stood in the way when it was looked at last.
    others: u32,
    /// The routes that stand in the way were put in front.
    sorted: bool,
}

enum Verdict {
    /// All routes of the group are to lead where the set does.
    Join,
    /// So many are not, yet.
    Wait(u32),
    /// It is not worth it.
    Drop,
}

impl RouteTable {
    /// A prefix went from one set of next hops to another. If it was the last, the routes that still
    /// name the old one's groups may follow it all at once.
    pub(crate) fn follow(&mut self, from: Id, to: Id) {
        let Some((_, set)) = self.targets.get(from) else {
            return;
        };
        if from == to || !set.users.is_empty() {
            return;
        }
        let many = |(_, held): &(ObjectId, Id)| self.held.holders(*held) as usize > self.many;
        let moving: Vec<(ObjectId, Id)> = set.groups().filter(many).collect();
        for (group, held) in moving {
            if let Some(set) = self.targets.beside_mut(from) {
                set.take_group(group);
            }
            self.objects.leave(group);
            self.targets.hold_again(to);
            let (again_at, others) = (u32::MAX, u32::MAX);
            let leaving = Leaving { group, held, to, again_at, others, sorted: false };
            self.leaving.push(leaving);
        }
    }

    /// Looks at the groups that were left: while there is something to be put out at a few each
    /// time, those that have waited longest; else at all. Next hops are settled before.
    pub(crate) fn settle_leaving(&mut self) {
        let quiet = self.out.is_empty() && self.dirty.is_empty();
        let looks = if quiet { usize::MAX } else { LOOKS };
        let later = self.leaving.split_off(self.leaving.len().min(looks));
        for mut leaving in std::mem::replace(&mut self.leaving, later) {
            match self.look(&leaving) {
                Verdict::Join => self.join(&leaving),
                Verdict::Wait(others) => {
                    let holders = self.held.holders(leaving.held);
                    if holders <= leaving.again_at {
                        // Some that never leave are no reason to look at all of them at each step.
                        let stuck = others >= std::mem::replace(&mut leaving.others, others);
                        let step = if stuck { others.max(holders / 16) } else { others };
                        leaving.again_at = holders.saturating_sub(step.max(1));
                    }
                    if !std::mem::replace(&mut leaving.sorted, true) {
                        self.others_first(&leaving);
                    }
                    self.leaving.push(leaving);
                }
                Verdict::Drop => self.drop_leaving(&leaving),
            }
        }
    }

    /// Forgets all groups that were left: they go when no route names them.
    pub(crate) fn drop_all_leaving(&mut self) {
        for leaving in std::mem::take(&mut self.leaving) {
            self.drop_leaving(&leaving);
        }
    }

    /// The kernel refuses to let a group lead where its routes are to: they are written anew, with
    /// the set's own.
    pub(crate) fn refused_in_place(&mut self, group: ObjectId) {
        let joined =
            |(_, _, set): &(Id, &Target, &Set)| set.more.iter().any(|(id, _)| *id == group);
        let Some(to) = self.targets.iter().find(joined).map(|(to, ..)| to) else { return };
        let taken = self.targets.beside_mut(to).and_then(|set| set.take_group(group));
        let Some((_, held)) = taken else { return };
        self.objects.leave(group);
        self.release_held(held);
        self.collect_later();
        self.queue_users(to);
    }

    fn drop_leaving(&mut self, leaving: &Leaving) {
        self.release_held(leaving.held);
        self.release_target(leaving.to);
        self.collect_later();
    }

    fn look(&self, leaving: &Leaving) -> Verdict {
        let Leaving { group, held, to, again_at, .. } = *leaving;
        let holders = self.held.holders(held);
        if holders as usize <= self.many || !self.objects.active || !self.is_idle(group) {
            return Verdict::Drop;
        }
        if holders > again_at {
            return Verdict::Wait(holders - again_at);
        }
        let Some((Target::Via(_), set)) = self.targets.get(to) else {
            return Verdict::Drop;
        };
        if set.legs.is_none() || !set.through.is_empty() || set.more.len() >= MAX_MORE {
            return Verdict::Drop;
        }
        // Its own group shows that the kernel takes it.
        if !set.group.is_some_and(|(own, _)| self.objects.get(own).is_some_and(Object::is_settled))
        {
            return Verdict::Wait(1);
        }
        let users = set.users.iter().filter_map(|place| self.entry(*place));
        let following = users.filter(|entry| self.follows(entry, leaving)).count() as u32;
        // Ours is one of the holders.
        let others = (holders - 1).saturating_sub(following);
        match others {
            0 => Verdict::Join,
            _ if others > holders / 2 => Verdict::Drop,
            _ => Verdict::Wait(others),
        }
    }

    fn is_idle(&self, group: ObjectId) -> bool {
        self.objects.get(group).is_some_and(Object::is_idle)
    }

    /// Whether a prefix's route names the group that was left, and is to lead where the set does.
    fn follows(&self, entry: &Entry, leaving: &Leaving) -> bool {
        entry.actual == Actual::Present(leaving.held)
            && self.choose(entry).is_some_and(|choice| choice.is_plain(leaving.to))
    }

    /// The group leads where the set does, from now on and for as long as routes name it.
    fn join(&mut self, leaving: &Leaving) {
        let Leaving { group, held, to, .. } = *leaving;
        let legs = self.targets.get(to).and_then(|(_, set)| set.legs.clone());
        if let (Some(legs), Some(set)) = (legs, self.targets.beside_mut(to)) {
            set.more.push((group, held));
            self.objects.group(to, &legs, Some(group), None);
            self.release_target(to);
        } else {
            self.drop_leaving(leaving);
        }
    }

    /// Routes that name the group and are to lead elsewhere are written before those that follow.
    fn others_first(&mut self, leaving: &Leaving) {
        let dirty = std::mem::take(&mut self.dirty);
        let follows =
            |place: &Place| self.entry(*place).is_some_and(|entry| self.follows(entry, leaving));
        let (last, mut first): (VecDeque<Place>, VecDeque<Place>) =
            dirty.into_iter().partition(follows);
        first.extend(last);
        self.dirty = first;
    }
}

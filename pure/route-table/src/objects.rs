//! Next-hop objects: which there shall be, which there are.
//!
//! A *leg* is a gateway on a link; its object never changes. A *group* is what the routes name: one
//! per set of next hops, so that when those lead elsewhere one message moves all routes. A group is
//! written after its legs, and routes after their group; nothing is deleted while something that the
//! kernel may still hold uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use inet::Timestamp;

use crate::entry::Failure;
use crate::intern::Id;
use crate::object::{Object, ObjectFlight, Present};
use crate::{
    Errno, KernelObject, Leg, LinkIndex, ObjectAction, ObjectChange, ObjectContent, ObjectId,
    ObjectIds,
};

const EEXIST: i32 = 17;
/// ENOBUFS, EIO and EINTR: what the kernel did is not known.
const NO_ANSWER: [i32; 3] = [105, 5, 4];

/// What a landed write means for others.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    /// The set of next hops whose routes may be written now.
    pub(crate) ready: Option<Id>,
    /// It came to be after it had been refused, or was refused: legs are to be chosen anew.
    pub(crate) changed_mind: bool,
    /// When it is tried again.
    pub(crate) retry_at: Option<Timestamp>,
    /// The number is somebody else's: whoever used it needs another.
    pub(crate) lost: bool,
}

/// All objects of ours.
#[derive(Debug)]
pub(crate) struct Objects {
    ids: Option<ObjectIds>,
    /// Whether the kernel knows objects.
    pub(crate) active: bool,
    next: u32,
    /// Numbers of our range that others have taken.
    taken: BTreeSet<ObjectId>,
    all: BTreeMap<ObjectId, Object>,
    legs: BTreeMap<(IpAddr, LinkIndex), ObjectId>,
    /// Groups found in the kernel that stand for nothing yet.
    orphans: BTreeMap<ObjectContent, Vec<ObjectId>>,
    dirty_legs: BTreeSet<ObjectId>,
    dirty_groups: BTreeSet<ObjectId>,
    /// Groups that wait for a leg.
    waiting: BTreeSet<ObjectId>,
}

impl Objects {
    pub(crate) fn new(ids: Option<ObjectIds>) -> Objects {
        Objects {
            ids,
            active: false,
            next: ids.map_or(0, |ids| ids.first),
            taken: BTreeSet::new(),
            all: BTreeMap::new(),
            legs: BTreeMap::new(),
            orphans: BTreeMap::new(),
            dirty_legs: BTreeSet::new(),
            dirty_groups: BTreeSet::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Whether routes may be written that name this group.
    pub(crate) fn is_ready(&self, id: ObjectId) -> bool {
        self.all.get(&id).is_some_and(Object::is_ready)
    }

    /// Whether an object is there that nothing wants.
    pub(crate) fn is_unwanted(&self, id: ObjectId) -> bool {
        self.all.get(&id).is_none_or(|object| object.wanted.is_none())
    }

    pub(crate) fn get(&self, id: ObjectId) -> Option<&Object> {
        self.all.get(&id)
    }

    /// How many objects of ours the kernel holds, as far as known.
    pub(crate) fn count(&self) -> usize {
        self.all.values().filter(|object| matches!(object.actual, Present::This(_))).count()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.dirty_legs.is_empty()
            && self.dirty_groups.is_empty()
            && self.all.values().all(|object| object.flight.is_none())
    }

    /// Why the kernel refuses a group, or the legs that it waits for.
    pub(crate) fn refused(&self, id: ObjectId) -> Option<Errno> {
        let group = self.all.get(&id)?;
        let of_leg = || match &group.wanted {
            Some(ObjectContent::Group(members)) if !group.is_ready() => {
                members.iter().find_map(|(id, _)| self.all.get(id)?.failure)
            }
            Some(_) | None => None,
        };
        group.failure.or_else(of_leg).map(|failure| failure.errno)
    }

    /// The legs behind an object as the kernel has it.
    pub(crate) fn legs_of(&self, id: ObjectId) -> Option<Vec<Leg>> {
        let Present::This(ObjectContent::Group(members)) = &self.all.get(&id)?.actual else {
            return None;
        };
        let leg = |(id, weight): &(ObjectId, u16)| match &self.all.get(id)?.actual {
            Present::This(ObjectContent::Leg { gateway, link }) => {
                Some(Leg { gateway: Some(*gateway), link: *link, weight: *weight })
            }
            Present::This(ObjectContent::Group(_) | ObjectContent::Other)
            | Present::Absent
            | Present::Unknown(_) => None,
        };
        let mut legs: Vec<Leg> = members.iter().filter_map(leg).collect();
        legs.sort_unstable();
        Some(legs)
    }

    // What is wanted.

    /// The group for a set of next hops with these legs: `known` if there is one already, else the
    /// one that a route of it names if that is right, else any orphan that is, else a new one. None
    /// when there is no number left.
    pub(crate) fn group(
        &mut self,
        target: Id,
        legs: &[Leg],
        known: Option<ObjectId>,
        hint: Option<ObjectId>,
    ) -> Option<ObjectId> {
        let content = self.group_content(legs)?;
        let free = |objects: &Objects, id: &ObjectId| {
            objects.all.get(id).is_some_and(|object| {
                object.target.is_none()
                    && !object.doomed
                    && object.flight.is_none()
                    && object.actual == Present::This(content.clone())
            })
        };
        let orphan = || self.orphans.get(&content).into_iter().flatten().copied();
        let found = known
            .or_else(|| hint.filter(|hint| free(self, hint)))
            .or_else(|| orphan().find(|id| free(self, id)));
        let id = match found {
            Some(id) => id,
            None => self.new_id()?,
        };
        let object = self.all.entry(id).or_default();
        object.target = Some(target);
        object.doomed = false;
        if object.wanted.as_ref() != Some(&content) {
            object.wanted = Some(content);
            object.failure = None;
            self.dirty_groups.insert(id);
        }
        Some(id)
    }

    /// A group stands for nothing any more; it goes when no route names it.
    pub(crate) fn leave(&mut self, id: ObjectId) {
        if let Some(object) = self.all.get_mut(&id) {
            object.target = None;
            object.wanted = None;
        }
    }

    /// Members for legs: those that the kernel refuses are left out while there are others.
    fn group_content(&mut self, legs: &[Leg]) -> Option<ObjectContent> {
        let mut members = Vec::with_capacity(legs.len());
        for leg in legs {
            members.push((self.leg(leg.gateway?, leg.link)?, leg.weight));
        }
        let refused =
            |id: &ObjectId| self.all.get(id).is_some_and(|object| object.failure.is_some());
        if members.iter().any(|(id, _)| !refused(id)) {
            members.retain(|(id, _)| !refused(id));
        }
        members.sort_unstable();
        Some(ObjectContent::Group(members))
    }

    fn leg(&mut self, gateway: IpAddr, link: LinkIndex) -> Option<ObjectId> {
        let id = match self.legs.get(&(gateway, link)) {
            Some(id) => *id,
            None => {
                let id = self.new_id()?;
                self.legs.insert((gateway, link), id);
                id
            }
        };
        let object = self.all.entry(id).or_default();
        let content = ObjectContent::Leg { gateway, link };
        if object.wanted.as_ref() != Some(&content) || object.doomed {
            object.doomed = false;
            object.wanted = Some(content);
            self.dirty_legs.insert(id);
        }
        Some(id)
    }

    fn new_id(&mut self) -> Option<ObjectId> {
        let ids = self.ids?;
        // Once around at most.
        for _ in ids.first..=ids.last {
            let id = ObjectId(self.next);
            self.next = if self.next >= ids.last { ids.first } else { self.next + 1 };
            if !self.all.contains_key(&id) && !self.taken.contains(&id) {
                self.all.insert(id, Object::default());
                return Some(id);
            }
        }
        None
    }

    // What there is.

    /// All objects of the kernel; none when it knows none. True when that changes how routes are
    /// written.
    pub(crate) fn snapshot(&mut self, protocol: u8, found: Option<Vec<KernelObject>>) -> bool {
        let was = self.active;
        self.active = self.ids.is_some() && found.is_some();
        let mut ours = BTreeMap::new();
        self.taken.clear();
        for object in found.into_iter().flatten() {
            if !self.ids.is_some_and(|ids| ids.contains(object.id)) {
                continue;
            }
            if object.protocol == protocol {
                ours.insert(object.id, object.content);
            } else {
                self.taken.insert(object.id);
            }
        }
        for (id, object) in &mut self.all {
            object.observe(ours.remove(id).map_or(Present::Absent, Present::This));
        }
        for (id, content) in ours {
            self.adopt(id, content);
        }
        self.orphans.clear();
        for (id, object) in &self.all {
            if let (None, Present::This(content @ ObjectContent::Group(_))) =
                (object.target, &object.actual)
            {
                self.orphans.entry(content.clone()).or_default().push(*id);
            }
        }
        self.all_dirty();
        was != self.active
    }

    fn adopt(&mut self, id: ObjectId, content: ObjectContent) {
        if let ObjectContent::Leg { gateway, link } = &content {
            self.legs.entry((*gateway, *link)).or_insert(id);
        }
        self.all.insert(id, Object { actual: Present::This(content), ..Object::default() });
    }

    /// An object is there, by another's hand. False when it is none of ours.
    pub(crate) fn seen(&mut self, protocol: u8, object: KernelObject) -> bool {
        let KernelObject { id, protocol: theirs, content } = object;
        if !self.ids.is_some_and(|ids| ids.contains(id)) {
            return false;
        }
        if theirs != protocol {
            self.taken.insert(id);
        }
        match self.all.get_mut(&id) {
            Some(object) => object.observe(Present::This(content)),
            None if theirs == protocol => self.adopt(id, content),
            None => {}
        }
        self.dirty(id);
        true
    }

    /// An object is gone, by another's hand. Gives the groups that it was in, and itself: their
    /// routes may be gone with them.
    pub(crate) fn vanished(&mut self, id: ObjectId) -> Vec<ObjectId> {
        self.taken.remove(&id);
        let Some(object) = self.all.get_mut(&id) else {
            return Vec::new();
        };
        object.observe(Present::Absent);
        self.dirty(id);
        let mut touched = self.doubt_groups_of(&BTreeSet::from([id]));
        touched.push(id);
        touched
    }

    /// The kernel may have taken all objects on these links, with their routes. Gives the groups.
    pub(crate) fn doubt_links(&mut self, links: &BTreeSet<LinkIndex>) -> Vec<ObjectId> {
        let on_it = |object: &Object| {
            object.contents().any(
                |content| matches!(content, ObjectContent::Leg { link, .. } if links.contains(link)),
            )
        };
        let legs: BTreeSet<ObjectId> =
            self.all.iter().filter(|(_, object)| on_it(object)).map(|(id, _)| *id).collect();
        for id in &legs {
            if let Some(object) = self.all.get_mut(id) {
                object.doubt();
                object.failure = None;
            }
        }
        self.dirty_legs.extend(legs.iter().copied());
        self.doubt_groups_of(&legs)
    }

    fn doubt_groups_of(&mut self, legs: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        let mut touched = Vec::new();
        for (id, object) in &mut self.all {
            let with = |content: &ObjectContent| match content {
                ObjectContent::Group(members) => members.iter().any(|(id, _)| legs.contains(id)),
                ObjectContent::Leg { .. } | ObjectContent::Other => false,
            };
            if object.contents().any(with) {
                object.doubt();
                touched.push(*id);
            }
        }
        self.dirty_groups.extend(touched.iter().copied());
        touched
    }

    /// Looks at an object again.
    pub(crate) fn dirty(&mut self, id: ObjectId) {
        match self.all.get(&id).is_some_and(Object::is_leg) {
            true => self.dirty_legs.insert(id),
            false => self.dirty_groups.insert(id),
        };
    }

    fn all_dirty(&mut self) {
        let ids: Vec<ObjectId> = self.all.keys().copied().collect();
        for id in ids {
            self.dirty(id);
        }
    }

    // What is to be done.

    /// The next write: legs before groups.
    pub(crate) fn poll(
        &mut self,
        now: Timestamp,
        is_up: impl Fn(LinkIndex) -> bool,
    ) -> Option<ObjectChange> {
        loop {
            let id = self.dirty_legs.pop_first().or_else(|| self.dirty_groups.pop_first())?;
            if let Some(action) = self.decide(id, now, &is_up) {
                return Some(ObjectChange { id, action });
            }
        }
    }

    fn decide(
        &mut self,
        id: ObjectId,
        now: Timestamp,
        is_up: &impl Fn(LinkIndex) -> bool,
    ) -> Option<ObjectAction> {
        let object = self.all.get(&id)?;
        if object.flight.is_some() || object.failure.is_some_and(|f| now < f.retry_at) {
            return None;
        }
        let action = match (&object.wanted, &object.actual) {
            (Some(wanted), Present::This(actual)) if wanted == actual => None,
            (Some(wanted), actual) => {
                match wanted {
                    // The kernel takes none on a link that is down; it is tried when that is up.
                    ObjectContent::Leg { link, .. } if !is_up(*link) => return None,
                    ObjectContent::Group(members)
                        if !members.iter().all(|(id, _)| self.is_ready(*id)) =>
                    {
                        self.waiting.insert(id);
                        return None;
                    }
                    ObjectContent::Leg { .. } | ObjectContent::Group(_) | ObjectContent::Other => {}
                }
                Some(match actual {
                    Present::Absent => ObjectAction::Create(wanted.clone()),
                    Present::This(_) | Present::Unknown(_) => ObjectAction::Replace(wanted.clone()),
                })
            }
            (None, Present::Absent) => {
                self.forget(id);
                return None;
            }
            (None, Present::This(_) | Present::Unknown(_)) if object.doomed => {
                Some(ObjectAction::Delete)
            }
            (None, Present::This(_) | Present::Unknown(_)) => None,
        };
        let content = match action.as_ref()? {
            ObjectAction::Create(content) | ObjectAction::Replace(content) => Some(content.clone()),
            ObjectAction::Delete => None,
        };
        let object = self.all.get_mut(&id)?;
        object.flight = Some(ObjectFlight { content, disturbed: false });
        action
    }

    /// The kernel's answer to a write.
    pub(crate) fn landed(
        &mut self,
        id: ObjectId,
        now: Timestamp,
        result: Result<(), Errno>,
    ) -> Landed {
        let mut landed = Landed::default();
        let Some(object) = self.all.get_mut(&id) else {
            return landed;
        };
        let Some(ObjectFlight { content, disturbed }) = object.flight.take() else {
            return landed;
        };
        match result {
            Ok(()) => {
                landed.changed_mind = object.failure.take().is_some();
                landed.ready = object.target.filter(|_| content.is_some());
                object.actual = match (disturbed, content) {
                    (true, content) => Present::Unknown(content),
                    (false, Some(content)) => Present::This(content),
                    (false, None) => Present::Absent,
                };
            }
            Err(Errno(EEXIST)) if object.actual == Present::Absent => {
                landed.lost = true;
                self.taken.insert(id);
                self.forget(id);
                return landed;
            }
            Err(errno) => {
                let failure = Failure::after(object.failure, now, errno);
                landed.changed_mind = object.failure.is_none();
                landed.retry_at = Some(failure.retry_at);
                object.failure = Some(failure);
                object.doubt();
                // Refused at its creation: nothing is there, unless the answer itself was lost.
                if object.actual == Present::Absent && (disturbed || NO_ANSWER.contains(&errno.0)) {
                    object.actual = Present::Unknown(None);
                }
            }
        }
        let leg = object.is_leg();
        self.dirty(id);
        if leg {
            self.dirty_groups.append(&mut self.waiting);
        }
        landed
    }

    /// A link came up: what is wanted on it can be made now.
    pub(crate) fn retry_legs(&mut self) {
        let wanted = |object: &Object| matches!(object.wanted, Some(ObjectContent::Leg { .. }));
        let ids = self.all.iter().filter(|(_, object)| wanted(object)).map(|(id, _)| *id);
        self.dirty_legs.extend(ids);
    }

    /// Dooms what nothing uses: groups that `is_used` does not know, and legs of no group that are
    /// not `needed` either (a group does without one that is refused).
    pub(crate) fn collect(&mut self, is_used: impl Fn(ObjectId) -> bool, needed: &[Leg]) {
        let needed = needed.iter().filter_map(|leg| self.legs.get(&(leg.gateway?, leg.link)));
        let mut members: BTreeSet<ObjectId> = needed.copied().collect();
        for object in self.all.values() {
            for content in object.contents() {
                if let ObjectContent::Group(inside) = content {
                    members.extend(inside.iter().map(|(id, _)| *id));
                }
            }
        }
        let mut doomed = Vec::new();
        for (id, object) in &mut self.all {
            let used = if object.is_leg() { members.contains(id) } else { is_used(*id) };
            if !used && !object.doomed {
                object.wanted = None;
                object.target = None;
                object.doomed = true;
                object.failure = None;
                doomed.push(*id);
            }
        }
        for id in doomed {
            self.dirty(id);
        }
    }

    fn forget(&mut self, id: ObjectId) {
        self.all.remove(&id);
        self.legs.retain(|_, leg| *leg != id);
        self.waiting.remove(&id);
    }
}

//! An update group: peers that are told the same. The group keeps, per prefix, what its members
//! hold, and the order of changes; a member is a place in that order.

mod moved;
mod said;
mod words;

use std::collections::VecDeque;

use bgp_packet::Options;

use crate::ahead;
use crate::export::{GroupKey, Verdicts};
use crate::pages::Pages;
use crate::peer::PeerId;
use crate::steps;

pub(crate) use said::{Said, To};
pub(crate) use words::{End, Member, Moved, Out, Place, Several, Shared, Then};

/// Nobody, among holders of an announcement.
pub(crate) const NOBODY: u16 = u16::MAX;
/// Perhaps anyone, among holders of an announcement.
const ANYONE: u16 = u16::MAX - 1;
/// In a group with path ids: what is announced is in [`Group::several`].
const SEVERAL: u16 = u16::MAX - 2;
const NONE: u32 = u32::MAX;
/// Most changes that are kept in their order beside the order itself.
const RECENT: usize = 1 << 16;
/// Most changes that are forgotten at once.
pub(crate) const TRIM: usize = 2048;

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    /// In the order of their numbers.
    pub(crate) members: Vec<Member>,
    /// Who has gone to another group, and from which change on it was not told here.
    moved: Vec<(PeerId, u64)>,
    out: Pages<Out>,
    several: Pages<Several>,
    /// What the export policy has said of sets.
    pub(crate) verdicts: Verdicts,
    first: u32,
    last: u32,
    next_seq: u64,
    /// The newest changes, one a number: only so that they can be looked at together. Some may
    /// have become others since.
    recent: VecDeque<u32>,
    /// How many prefixes are announced, and how many of them are whose.
    pub(crate) announced: u32,
    by_source: Vec<u32>,
    shared: VecDeque<Shared>,
    /// How many members were sent all changes: their cursor is nowhere.
    idle: usize,
    /// How many members walk and may hold what the group knows nothing of.
    resyncs: usize,
}

impl Group {
    pub(crate) fn new(key: GroupKey) -> Group {
        Group {
            key,
            members: Vec::new(),
            moved: Vec::new(),
            out: Pages::default(),
            several: Pages::default(),
            verdicts: Verdicts::default(),
            first: NONE,
            last: NONE,
            next_seq: 1,
            recent: VecDeque::new(),
            announced: 0,
            by_source: Vec::new(),
            shared: VecDeque::new(),
            idle: 0,
            resyncs: 0,
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.key.options
    }

    /// A new member, which holds nothing unless it comes from another group.
    pub(crate) fn join(&mut self, peer: PeerId, moved: Option<Moved>) {
        let resync = moved.is_some();
        let Moved { end_of_rib, framed, begun } =
            moved.unwrap_or(Moved { end_of_rib: true, ..Moved::default() });
        self.resyncs += usize::from(resync);
        self.idle += 1;
        let at = self.members.partition_point(|member| member.peer < peer);
        let member = Member {
            peer,
            pos: self.next_seq,
            cursor: NONE,
            walk: Some(0),
            walk_end: None,
            resync,
            end_of_rib,
            framed,
            begun,
            turn: false,
        };
        self.members.insert(at, member);
    }

    /// Takes a member out. With `keep` what it was not told here stays until [`Group::let_go`].
    pub(crate) fn leave(&mut self, peer: PeerId, keep: bool) {
        let Some(at) = self.place(peer) else { return };
        let untold = link(self.members[at].cursor).map(|idx| self.out[idx].seq);
        self.set_cursor(at, None);
        let member = self.members.remove(at);
        self.idle -= 1;
        self.resyncs -= usize::from(member.resync);
        self.moved.extend(untold.filter(|_| keep).map(|from| (peer, from)));
    }

    pub(crate) fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.get(self.place(peer)?)
    }

    pub(crate) fn member_mut(&mut self, peer: PeerId) -> Option<&mut Member> {
        let at = self.place(peer)?;
        self.members.get_mut(at)
    }

    fn place(&self, peer: PeerId) -> Option<usize> {
        self.members.binary_search_by_key(&peer, |member| member.peer).ok()
    }

    /// The member walks over the whole table again, and is told also of what is not for it.
    pub(crate) fn resync(&mut self, peer: PeerId) {
        if let Some(member) = self.member_mut(peer) {
            (member.walk, member.walk_end) = (Some(0), None);
            let more = !std::mem::replace(&mut member.resync, true);
            self.resyncs += usize::from(more);
        }
    }

    /// The member's walk over a table of so many entries goes on; where it ends.
    pub(crate) fn walk_end(&mut self, peer: PeerId, entries: u32) -> u32 {
        self.member_mut(peer).map_or(entries, |member| *member.walk_end.get_or_insert(entries))
    }

    /// The member's walk has come to its end.
    pub(crate) fn end_walk(&mut self, peer: PeerId) {
        if let Some(member) = self.member_mut(peer) {
            member.walk = None;
            let less = std::mem::take(&mut member.resync);
            self.resyncs -= usize::from(less);
        }
    }

    /// Whether some member may hold the prefix without the group knowing.
    fn is_resynced(&self, idx: u32) -> bool {
        let ahead = |m: &Member| m.resync && m.walk.is_some_and(|cursor| cursor <= idx);
        self.resyncs > 0 && self.members.iter().any(ahead)
    }

    /// Whether the member has something to be sent.
    pub(crate) fn waiting(&self, member: &Member) -> bool {
        member.cursor != NONE || member.walk.is_some()
    }

    /// Whether this prefix waits to be sent to the member.
    pub(crate) fn waits(&self, member: &Member, idx: u32) -> bool {
        let out = &self.out[idx];
        let listed = self.is_listed(out) && out.seq >= member.pos;
        listed || member.comes_by(idx)
    }

    /// What the group knows of an entry.
    pub(crate) fn out(&self, idx: u32) -> &Out {
        &self.out[idx]
    }

    /// Whether the entry's number may be used for another prefix.
    pub(crate) fn is_done_with(&self, idx: u32) -> bool {
        let out = &self.out[idx];
        out.now == NOBODY && !self.is_listed(out)
    }

    /// How many prefixes (with path ids: paths) the peer is told of, once it is told all.
    pub(crate) fn announced_to(&self, peer: PeerId) -> u32 {
        self.announced - self.announced_from(peer)
    }

    /// How many prefixes are announced that come from a peer.
    pub(crate) fn announced_from(&self, peer: PeerId) -> u32 {
        self.by_source.get(usize::from(peer.0)).copied().unwrap_or(0)
    }

    /// Whether members are told path ids.
    pub(crate) fn has_paths(&self) -> bool {
        self.key.paths.is_some()
    }

    /// What the group knows of an entry, if it has path ids.
    pub(crate) fn several(&self, idx: u32) -> &Several {
        &self.several[idx]
    }

    /// The prefix is announced from now on as coming from `now`, or withdrawn with `NOBODY`.
    pub(crate) fn change(&mut self, idx: u32, now: u16) {
        let old = self.out[idx];
        self.spoil(idx, old.seq);
        let resynced = self.is_resynced(idx);
        if old.now == NOBODY && now == NOBODY && !resynced && self.moved.is_empty() {
            return;
        }
        let listed = self.is_listed(&old);
        let held = match (listed, old.held == old.now) {
            _ if resynced => ANYONE,
            (false, _) | (true, true) => old.now,
            (true, false) => ANYONE,
        };
        if listed {
            self.unlink(idx);
        }
        self.set_now(idx, now);
        self.enlist(idx, now, held);
    }

    /// These paths are announced from now on. `present` are the path ids that the prefix has had
    /// until now: somebody new in the group may hold any of them.
    pub(crate) fn change_paths(&mut self, idx: u32, now: Vec<(u16, u16)>, present: &[u16]) {
        let old = self.out[idx];
        self.spoil(idx, old.seq);
        let resynced = self.may_be_held(idx);
        if old.now == NOBODY && now.is_empty() && !resynced {
            return;
        }
        let listed = self.is_listed(&old);
        let several = &mut self.several[idx];
        if !listed {
            several.held.clear();
        }
        several.held.extend(several.now.iter().map(|(id, _)| *id));
        if resynced {
            several.held.extend(present);
        }
        several.held.sort_unstable();
        several.held.dedup();
        let held = if several.held.is_empty() { NOBODY } else { SEVERAL };
        if listed {
            self.unlink(idx);
        }
        let marker = self.set_paths(idx, now);
        self.enlist(idx, marker, held);
    }

    /// Puts a change at the end of the order; not where nobody holds or gets anything, unless who
    /// has moved may.
    fn enlist(&mut self, idx: u32, now: u16, held: u16) {
        if now == NOBODY && held == NOBODY && self.moved.is_empty() {
            self.out[idx].seq = 0;
            return;
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(idx);
        let last = self.last;
        let out = &mut self.out[idx];
        (out.seq, out.held, out.before, out.after) = (seq, held, last, NONE);
        match link(last) {
            Some(last) => self.out[last].after = idx,
            None => self.first = idx,
        }
        self.last = idx;
        if self.idle > 0 {
            for member in self.members.iter_mut().filter(|member| member.cursor == NONE) {
                member.cursor = idx;
                self.out[idx].cursors += 1;
            }
            self.idle = 0;
        }
    }

    /// What members will find when they walk; nobody was sent anything yet.
    pub(crate) fn preset(&mut self, idx: u32, now: u16) {
        self.set_now(idx, now);
    }

    /// The same with path ids.
    pub(crate) fn preset_paths(&mut self, idx: u32, now: Vec<(u16, u16)>) {
        self.set_paths(idx, now);
    }

    /// A member's walk comes to an entry, and finds these paths.
    pub(crate) fn walked_paths(&mut self, idx: u32, now: Vec<(u16, u16)>, present: &[u16]) {
        if self.several[idx].now == now {
            return;
        }
        let out = self.out[idx];
        let ahead = |m: &Member| m.comes_by(idx);
        if out.now == NOBODY && !self.is_listed(&out) && self.members.iter().all(ahead) {
            self.set_paths(idx, now);
        } else {
            self.change_paths(idx, now, present);
        }
    }

    /// A member's walk comes to an entry, and finds `now`.
    pub(crate) fn walked(&mut self, idx: u32, now: u16) {
        let out = self.out[idx];
        if out.now == now {
            return;
        }
        // Those who are still to come by need no change to be told; others do, who were told
        // something else before rules changed.
        let ahead = |m: &Member| m.comes_by(idx);
        if out.now == NOBODY && !self.is_listed(&out) && self.members.iter().all(ahead) {
            self.set_now(idx, now);
        } else {
            self.change(idx, now);
        }
    }

    /// The first change that the member was not sent.
    pub(crate) fn next_change(&self, peer: PeerId) -> Option<u32> {
        link(self.member(peer)?.cursor)
    }

    /// The change after this one.
    pub(crate) fn after(&self, idx: u32) -> Option<u32> {
        link(self.out[idx].after)
    }

    /// The number of a change.
    pub(crate) fn seq(&self, idx: u32) -> u64 {
        self.out[idx].seq
    }

    /// Somebody is about to change these entries.
    pub(crate) fn read_ahead(&self, all: impl Iterator<Item = u32>) {
        ahead::read(all.map(|idx| self.out[idx].seq));
    }

    /// Looks at up to so many changes from a number on, and gives their entries.
    pub(crate) fn read_changes(&self, from: u64, most: usize) -> impl Iterator<Item = u32> {
        let oldest = self.next_seq - self.recent.len() as u64;
        let skip = from.checked_sub(oldest).map_or(self.recent.len(), |skip| skip as usize);
        let changes = self.recent.range(skip.min(self.recent.len())..).take(most).copied();
        self.read_ahead(changes.clone());
        changes
    }

    /// The member was sent all changes before `next`. Gives the entries that no member waits for
    /// any more and that are announced no more.
    pub(crate) fn advance(&mut self, peer: PeerId, next: Option<u32>) -> (Vec<u32>, bool) {
        if let Some(at) = self.place(peer) {
            self.set_cursor(at, next);
        }
        self.trim(&mut { TRIM })
    }

    /// Forgets changes that all members were sent, as many as the budget has, which they are taken
    /// from. Gives the entries that are announced no more, and whether there is more to forget.
    pub(crate) fn trim(&mut self, budget: &mut usize) -> (Vec<u32>, bool) {
        let mut gone = Vec::new();
        let kept = self.moved.iter().map(|(_, from)| *from).min().unwrap_or(u64::MAX);
        // A member that was not sent all changes has its cursor at the first that it was not.
        let told = |out: &Out| out.cursors == 0 && out.seq < kept;
        while let Some(idx) = link(self.first).filter(|idx| told(&self.out[*idx])) {
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            steps::add(1);
            self.unlink(idx);
            let out = &mut self.out[idx];
            (out.seq, out.held) = (0, out.now);
            if out.now == NOBODY {
                gone.push(idx);
            }
            if self.has_paths() {
                self.several[idx].held.clear();
            }
        }
        let first = link(self.first);
        if first.is_none() && self.recent.capacity() > TRIM {
            self.recent = VecDeque::new();
        }
        self.unshare_before(first.map_or(self.next_seq, |idx| self.out[idx].seq));
        (gone, first.is_some_and(|idx| told(&self.out[idx])))
    }

    /// Takes up to `n` changes off a group without members; their entries.
    pub(crate) fn drain(&mut self, n: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        while taken.len() < n {
            let Some(idx) = link(self.first) else { break };
            steps::add(1);
            self.unlink(idx);
            self.out[idx].seq = 0;
            taken.push(idx);
        }
        taken
    }

    fn is_listed(&self, out: &Out) -> bool {
        out.seq != 0
    }

    fn set_now(&mut self, idx: u32, now: u16) {
        let old = std::mem::replace(&mut self.out[idx].now, now);
        self.count(old, -1);
        self.count(now, 1);
    }

    fn set_paths(&mut self, idx: u32, now: Vec<(u16, u16)>) -> u16 {
        let marker = if now.is_empty() { NOBODY } else { SEVERAL };
        self.out[idx].now = marker;
        for (_, source) in &now {
            self.count(*source, 1);
        }
        for (_, source) in std::mem::replace(&mut self.several[idx].now, now) {
            self.count(source, -1);
        }
        marker
    }

    fn count(&mut self, source: u16, by: i32) {
        if source == NOBODY {
            return;
        }
        self.announced = self.announced.saturating_add_signed(by);
        let source = usize::from(source);
        if self.by_source.len() <= source {
            self.by_source.resize(source + 1, 0);
        }
        self.by_source[source] = self.by_source[source].saturating_add_signed(by);
    }

    fn set_cursor(&mut self, at: usize, next: Option<u32>) {
        match link(self.members[at].cursor) {
            Some(old) => self.out[old].cursors -= 1,
            None => self.idle -= 1,
        }
        let pos = next.map_or(self.next_seq, |idx| self.out[idx].seq);
        match next {
            Some(idx) => self.out[idx].cursors += 1,
            None => self.idle += 1,
        }
        let member = &mut self.members[at];
        (member.cursor, member.pos) = (next.unwrap_or(NONE), pos);
    }

    /// Takes an entry out of the order of changes; cursors on it go to the next.
    fn unlink(&mut self, idx: u32) {
        let out = self.out[idx];
        if out.cursors > 0 {
            for at in 0..self.members.len() {
                if self.members[at].cursor == idx {
                    self.set_cursor(at, link(out.after));
                }
            }
        }
        match link(out.before) {
            Some(before) => self.out[before].after = out.after,
            None => self.first = out.after,
        }
        match link(out.after) {
            Some(after) => self.out[after].before = out.before,
            None => self.last = out.before,
        }
        let out = &mut self.out[idx];
        (out.before, out.after) = (NONE, NONE);
    }
}

fn link(idx: u32) -> Option<u32> {
    if idx == NONE { None } else { Some(idx) }
}

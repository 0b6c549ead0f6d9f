//! An update group: peers that are told the same. The group keeps, per prefix, what its members
//! hold, and the order of changes; a member is a place in that order.

use bgp_packet::Options;
use inet::Prefix;
use std::net::IpAddr;

use crate::export::GroupKey;
use crate::pages::Pages;
use crate::peer::PeerId;

/// Nobody, among holders of an announcement.
pub(crate) const NOBODY: u16 = u16::MAX;
/// Perhaps anyone, among holders of an announcement.
const ANYONE: u16 = u16::MAX - 1;
const NONE: u32 = u32::MAX;

/// What the group knows of one prefix. "Holders" are all members but the one whose path it is:
/// that peer's number, or `NOBODY` or `ANYONE`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// When it changed last. Listed while some member has not come past that.
    seq: u64,
    before: u32,
    after: u32,
    /// How many members have their cursor here.
    cursors: u16,
    /// Holders once all have come past.
    pub(crate) now: u16,
    /// Holders among those who have not come past.
    pub(crate) held: u16,
}

impl Default for Out {
    fn default() -> Out {
        Out { seq: 0, before: NONE, after: NONE, cursors: 0, now: NOBODY, held: NOBODY }
    }
}

/// A peer in a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    /// Changes before this one were sent.
    pos: u64,
    /// The first change not sent, when it is known.
    cursor: u32,
    /// The next entry of the walk over the whole table.
    pub(crate) walk: Option<u32>,
    /// During the walk, prefixes that are not for the peer are withdrawn too.
    pub(crate) resync: bool,
    /// End-of-RIB is due after the walk (RFC 4724 §2).
    pub(crate) end_of_rib: bool,
    /// The walk answers a ROUTE-REFRESH, and must be framed (RFC 7313 §4).
    pub(crate) framed: bool,
    /// The frame's beginning was sent.
    pub(crate) begun: bool,
    /// Held from a former group, to be withdrawn.
    pub(crate) leftovers: Vec<Prefix>,
    /// Whose turn it is of walk and changes.
    pub(crate) turn: bool,
}

/// Bytes encoded for one member, for others at the same place.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) next_hop: Option<IpAddr>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) updates: u64,
    /// Peers for whom the bytes are wrong, because one of the paths is theirs.
    pub(crate) not_for: Vec<u16>,
    pub(crate) then: Then,
}

/// Where a chunk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Walk(u32),
    Change(u64),
}

/// Where a member stands after a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Walk(Option<u32>),
    /// The next change; none: all were sent.
    Change(Option<u32>),
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    pub(crate) members: Vec<Member>,
    out: Pages<Out>,
    first: u32,
    last: u32,
    next_seq: u64,
    /// How many prefixes are announced, and how many of them are whose.
    pub(crate) announced: u32,
    by_source: Vec<u32>,
    shared: Vec<Shared>,
    /// How many members walk and may hold what the group knows nothing of.
    resyncs: usize,
}

impl Group {
    pub(crate) fn new(key: GroupKey) -> Group {
        Group {
            key,
            members: Vec::new(),
            out: Pages::default(),
            first: NONE,
            last: NONE,
            next_seq: 1,
            announced: 0,
            by_source: Vec::new(),
            shared: Vec::new(),
            resyncs: 0,
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.key.options
    }

    /// A new member, which holds nothing unless `resync`.
    pub(crate) fn join(&mut self, peer: PeerId, resync: bool, leftovers: Vec<Prefix>) {
        self.resyncs += usize::from(resync);
        self.members.push(Member {
            peer,
            pos: self.next_seq,
            cursor: NONE,
            walk: Some(0),
            resync,
            end_of_rib: !resync,
            framed: false,
            begun: false,
            leftovers,
            turn: false,
        });
    }

    /// Takes a member out; gives the entries, and prefixes from a group before, of which it was
    /// not told yet that they are gone.
    pub(crate) fn leave(&mut self, peer: PeerId) -> (Vec<u32>, Vec<Prefix>) {
        let Some(at) = self.members.iter().position(|m| m.peer == peer) else {
            return Default::default();
        };
        let first = self.cursor_of(at);
        self.set_cursor(at, None);
        let mut untold = Vec::new();
        let mut next = first;
        while let Some(idx) = next {
            let out = self.out[idx];
            if out.now == NOBODY && out.held != peer.0 {
                untold.push(idx);
            }
            next = link(out.after);
        }
        let member = self.members.swap_remove(at);
        self.resyncs -= usize::from(member.resync);
        (untold, member.leftovers)
    }

    pub(crate) fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.iter().find(|m| m.peer == peer)
    }

    pub(crate) fn member_mut(&mut self, peer: PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.peer == peer)
    }

    /// The member walks over the whole table again, and is told also of what is not for it.
    pub(crate) fn resync(&mut self, peer: PeerId) {
        if let Some(member) = self.members.iter_mut().find(|m| m.peer == peer) {
            member.walk = Some(0);
            self.resyncs += usize::from(!std::mem::replace(&mut member.resync, true));
        }
    }

    /// The member's walk has come to its end.
    pub(crate) fn end_walk(&mut self, peer: PeerId) {
        if let Some(member) = self.members.iter_mut().find(|m| m.peer == peer) {
            member.walk = None;
            self.resyncs -= usize::from(std::mem::take(&mut member.resync));
        }
    }

    /// Whether some member may hold the prefix without the group knowing.
    fn is_resynced(&self, idx: u32) -> bool {
        let ahead = |m: &Member| m.resync && m.walk.is_some_and(|cursor| cursor <= idx);
        self.resyncs > 0 && self.members.iter().any(ahead)
    }

    /// Whether the member has something to be sent.
    pub(crate) fn waiting(&self, member: &Member) -> bool {
        let listed = self.last != NONE && self.out[self.last].seq >= member.pos;
        listed || member.walk.is_some() || !member.leftovers.is_empty()
    }

    /// Whether this prefix waits to be sent to the member.
    pub(crate) fn waits(&self, member: &Member, idx: u32) -> bool {
        let out = &self.out[idx];
        let listed = self.is_listed(out) && out.seq >= member.pos;
        listed || member.walk.is_some_and(|cursor| cursor <= idx)
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

    /// How many prefixes the peer is told of, once it is told all.
    pub(crate) fn announced_to(&self, peer: PeerId) -> u32 {
        self.announced - self.announced_from(peer)
    }

    /// How many prefixes are announced that come from a peer.
    pub(crate) fn announced_from(&self, peer: PeerId) -> u32 {
        self.by_source.get(usize::from(peer.0)).copied().unwrap_or(0)
    }

    /// The prefix is announced from now on as coming from `now`, or withdrawn with `NOBODY`.
    pub(crate) fn change(&mut self, idx: u32, now: u16) {
        let old = self.out[idx];
        let resynced = self.is_resynced(idx);
        if old.now == NOBODY && now == NOBODY && !resynced {
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
        self.shared.clear();
        if now == NOBODY && held == NOBODY {
            self.out[idx].seq = 0;
            return;
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let last = self.last;
        let out = &mut self.out[idx];
        (out.seq, out.held, out.before, out.after) = (seq, held, last, NONE);
        match link(last) {
            Some(last) => self.out[last].after = idx,
            None => self.first = idx,
        }
        self.last = idx;
    }

    /// What members will find when they walk; nobody was sent anything yet.
    pub(crate) fn preset(&mut self, idx: u32, now: u16) {
        self.set_now(idx, now);
    }

    /// A member's walk comes to an entry, and finds `now`.
    pub(crate) fn walked(&mut self, idx: u32, now: u16) {
        let out = self.out[idx];
        if out.now == now {
            return;
        }
        // Those who are still to come by need no change to be told; others do, who were told
        // something else before rules changed.
        let ahead = |m: &Member| m.walk.is_some_and(|cursor| cursor <= idx);
        if out.now == NOBODY && !self.is_listed(&out) && self.members.iter().all(ahead) {
            self.set_now(idx, now);
        } else {
            self.change(idx, now);
        }
    }

    /// The first change that the member was not sent.
    pub(crate) fn next_change(&mut self, peer: PeerId) -> Option<u32> {
        let at = self.members.iter().position(|m| m.peer == peer)?;
        let first = self.cursor_of(at);
        self.set_cursor(at, first);
        first
    }

    /// The change after this one.
    pub(crate) fn after(&self, idx: u32) -> Option<u32> {
        link(self.out[idx].after)
    }

    /// The number of a change.
    pub(crate) fn seq(&self, idx: u32) -> u64 {
        self.out[idx].seq
    }

    /// The member was sent all changes before `next`. Gives the entries that no member waits for
    /// any more and that are announced no more.
    pub(crate) fn advance(&mut self, peer: PeerId, next: Option<u32>) -> Vec<u32> {
        if let Some(at) = self.members.iter().position(|m| m.peer == peer) {
            self.set_cursor(at, next);
        }
        self.trim()
    }

    /// Forgets changes that all members were sent. Gives the entries that are announced no more.
    pub(crate) fn trim(&mut self) -> Vec<u32> {
        let least = self.members.iter().map(|m| m.pos).min().unwrap_or(self.next_seq);
        let mut gone = Vec::new();
        while let Some(idx) = link(self.first) {
            if self.out[idx].seq >= least {
                break;
            }
            self.unlink(idx);
            let out = &mut self.out[idx];
            (out.seq, out.held) = (0, out.now);
            if out.now == NOBODY {
                gone.push(idx);
            }
        }
        gone
    }

    /// Takes up to `n` changes off a group without members; their entries.
    pub(crate) fn drain(&mut self, n: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        while taken.len() < n {
            let Some(idx) = link(self.first) else { break };
            self.unlink(idx);
            self.out[idx].seq = 0;
            taken.push(idx);
        }
        taken
    }

    pub(crate) fn share(&mut self, shared: Shared) {
        // Peers with the same next hop and place follow each other; a few places are enough.
        if self.shared.len() >= 8 {
            self.shared.remove(0);
        }
        self.shared.push(shared);
    }

    pub(crate) fn shared(
        &self,
        place: Place,
        next_hop: Option<IpAddr>,
        to: PeerId,
    ) -> Option<&Shared> {
        self.shared
            .iter()
            .find(|s| s.place == place && s.next_hop == next_hop && !s.not_for.contains(&to.0))
    }

    fn is_listed(&self, out: &Out) -> bool {
        out.seq != 0
    }

    fn set_now(&mut self, idx: u32, now: u16) {
        let old = std::mem::replace(&mut self.out[idx].now, now);
        for (source, by) in [(old, -1), (now, 1)] {
            if source == NOBODY {
                continue;
            }
            self.announced = self.announced.saturating_add_signed(by);
            let source = usize::from(source);
            if self.by_source.len() <= source {
                self.by_source.resize(source + 1, 0);
            }
            self.by_source[source] = self.by_source[source].saturating_add_signed(by);
        }
    }

    /// Where member `at` goes on: its cursor, or the first change since it was sent all.
    fn cursor_of(&self, at: usize) -> Option<u32> {
        let member = &self.members[at];
        if member.cursor != NONE {
            return Some(member.cursor);
        }
        let mut found = None;
        let mut idx = self.last;
        while idx != NONE && self.out[idx].seq >= member.pos {
            found = Some(idx);
            idx = self.out[idx].before;
        }
        found
    }

    fn set_cursor(&mut self, at: usize, next: Option<u32>) {
        let old = self.members[at].cursor;
        if old != NONE {
            self.out[old].cursors -= 1;
        }
        let pos = next.map_or(self.next_seq, |idx| self.out[idx].seq);
        if let Some(idx) = next {
            self.out[idx].cursors += 1;
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

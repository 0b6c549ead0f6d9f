//! The table of one family: decision, what it changes, and the walks over it.

mod fib;

use std::collections::{BTreeSet, VecDeque};

use bgp_packet::{BgpNextHop, PeerKind};
use bgp_policy::Policy;
use inet::{Family, Prefix, ScopedAddr};

use crate::aggregate::{Aggregates, Covers, Discard, Tally};
use crate::attrs::{AttrSet, AttrTable, Facts, Post};
use crate::decision::{Candidate, Ineligible, MAX_PATHS, decide};
use crate::export::GroupKey;
use crate::group::{Group, NOBODY, TRIM};
use crate::hash::Keyed;
use crate::hops::{HopId, Hops};
use crate::peer::{Life, Peer, PeerId, at};
use crate::rib::Settings;
use crate::rules::{AddPathSend, Multipath};
use crate::table::{Path, Table};

/// The paths by which a prefix is reached from now on, best first; none: not by BGP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The prefix.
    pub prefix: Prefix,
    /// The paths learned from peers. Empty also when the prefix is originated here.
    pub paths: Vec<BestPath>,
    /// The prefix is an aggregate: what no longer one takes is to be dropped.
    pub discard: Option<Discard>,
}

/// One of the paths that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestPath {
    /// Where to.
    pub next_hop: BgpNextHop,
    /// Whom it was learned from.
    pub peer: ScopedAddr,
    /// eBGP or iBGP.
    pub kind: PeerKind,
    /// MULTI_EXIT_DISC, 0 without.
    pub med: u32,
    /// Its part of the traffic beside the others', 1 to 256; 1 for all where nothing else is
    /// asked for or not every path has a link bandwidth.
    pub weight: u32,
    /// What goes to the prefix is dropped, wherever the next hop is; then it is the only path.
    pub discard: bool,
}

/// What the decision rests on besides the table.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) keyed: Keyed,
    pub(crate) attrs: &'a AttrTable,
    pub(crate) hops: &'a Hops,
    pub(crate) peers: &'a [Peer],
    pub(crate) aggregates: &'a Aggregates,
    pub(crate) settings: &'a Settings,
    /// Nothing is chosen yet (RFC 4724 §4.1).
    pub(crate) deferred: bool,
    /// Nothing was sent yet: what changes needs no order.
    pub(crate) unsent: bool,
}

/// What a walk over the table has to look at.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// A walk is wanted: paths of dead sessions are removed on each.
    pub(crate) any: bool,
    /// Each prefix is decided anew.
    pub(crate) all: bool,
    /// What peers are told is compared anew, too.
    pub(crate) export: bool,
    /// Prefixes with a path over one of these are decided anew.
    pub(crate) hops: BTreeSet<HopId>,
    /// Paths from these peers go through import anew.
    pub(crate) import: BTreeSet<PeerId>,
    /// The FIB is told of each prefix again.
    pub(crate) fib: bool,
    /// What peers are told of the prefixes in these is compared anew.
    pub(crate) within: Covers<()>,
}

impl Wanted {
    /// Everything is decided and compared anew.
    pub(crate) fn everything(&mut self) {
        (self.any, self.all, self.export) = (true, true, true);
    }

    /// Paths from a peer go through import anew.
    pub(crate) fn import_of(&mut self, peer: PeerId) {
        self.any = true;
        self.import.insert(peer);
    }
}

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) at: u32,
    pub(crate) todo: Wanted,
}

#[derive(Debug)]
pub(crate) struct FamilyRib {
    pub(crate) family: Family,
    pub(crate) table: Table,
    pub(crate) groups: Vec<Option<Group>>,
    pub(crate) tally: Tally,
    /// Groups without members, whose entries are still to be looked at.
    pub(crate) retired: Vec<Group>,
    /// Groups may have more to forget than was done at once.
    pub(crate) untrimmed: bool,
    fib: VecDeque<u32>,
    /// How many of those were looked at already.
    fib_read: usize,
    /// So many changes were none for the FIB that a call did not come by all of them.
    fib_waits: bool,
    /// Prefixes whose paths in use have changed, while somebody watches.
    pub(crate) changed: Option<VecDeque<Prefix>>,
    pub(crate) pass: Option<Pass>,
    pub(crate) wanted: Wanted,
    pub(crate) paths: usize,
    /// How many groups have path ids.
    path_groups: usize,
    chosen: Vec<usize>,
    pub(crate) before: Vec<(Post, PeerId)>,
    all_before: Vec<(u16, Post)>,
}

impl<'a> World<'a> {
    pub(crate) fn life(&self, family: Family, path: &Path) -> Life {
        let peer = self.peers.get(usize::from(path.peer.0));
        peer.map_or(Life::Dead, |peer| peer.ins[at(family)].life(path))
    }

    /// The set of a path as import has left it.
    pub(crate) fn set(&self, path: &Path) -> Option<&'a AttrSet> {
        self.attrs.get(path.post.set()?)
    }

    pub(crate) fn facts(&self, path: &Path) -> Option<&'a Facts> {
        self.set(path).map(|set| &set.facts)
    }

    pub(crate) fn eligible(&self, family: Family, path: &Path) -> Result<&'a Facts, Ineligible> {
        if self.life(family, path) == Life::Dead {
            return Err(Ineligible::Dead);
        }
        let Some(facts) = self.facts(path) else {
            return Err(path.post.why().unwrap_or(Ineligible::Dead));
        };
        match () {
            () if self.hops.metric(facts.hop).is_none() => Err(Ineligible::UnresolvedNextHop),
            () if self.deferred => Err(Ineligible::SelectionDeferred),
            () => Ok(facts),
        }
    }

    pub(crate) fn candidate(&self, family: Family, path: &Path) -> Option<Candidate<'a>> {
        let peer = self.peers.get(usize::from(path.peer.0))?;
        let ineligible = self.eligible(family, path).err();
        // A path that import refused is compared with nothing; what it came with is shown.
        let facts = self.facts(path).or_else(|| Some(&self.attrs.get(path.attr)?.facts))?;
        let id = if facts.originator == 0 { peer.router_id } else { facts.originator };
        Some(Candidate {
            ineligible,
            local: path.peer == PeerId::LOCAL,
            long_lived_stale: facts.long_lived_stale(),
            weight: facts.weight,
            local_pref: facts.local_pref(self.settings.default_local_pref),
            path_len: u32::from(facts.path_len),
            origin: facts.origin as u8,
            med: facts.med,
            neighbor_as: self.neighbor_as(path),
            external: peer.kind == PeerKind::External,
            metric: self.hops.metric(facts.hop).unwrap_or(u32::MAX),
            path_hash: facts.path_hash,
            discard: facts.discard(),
            router_id: id,
            cluster_len: facts.cluster_len,
            address: &peer.address,
            path_id: path.id,
        })
    }
}

impl World<'_> {
    /// The AS that the path was received from, whatever import has put before it: MEDs are
    /// comparable by that (RFC 4271 §9.1.2.2 c).
    fn neighbor_as(&self, path: &Path) -> u32 {
        self.attrs.get(path.attr).map_or(0, |set| set.facts.neighbor_as)
    }
}

impl FamilyRib {
    pub(crate) fn new(family: Family) -> FamilyRib {
        FamilyRib {
            family,
            table: Table::new(family),
            groups: Vec::new(),
            tally: Tally::default(),
            retired: Vec::new(),
            untrimmed: false,
            fib: VecDeque::new(),
            fib_read: 0,
            fib_waits: false,
            changed: None,
            pass: None,
            wanted: Wanted::default(),
            paths: 0,
            path_groups: 0,
            chosen: Vec::new(),
            before: Vec::new(),
            all_before: Vec::new(),
        }
    }

    /// Changes the paths of an entry, decides, and lets FIB and groups know.
    pub(crate) fn alter<T>(
        &mut self,
        world: &World,
        idx: u32,
        force_export: bool,
        change: impl FnOnce(&mut Table) -> T,
    ) -> Option<T> {
        if !self.table.exists(idx) {
            return None;
        }
        self.before.clear();
        self.before.extend(self.table.used(idx).iter().map(|path| (path.post, path.peer)));
        self.all_before.clear();
        if self.path_groups > 0 {
            let all = self.table.paths(idx).iter();
            self.all_before.extend(all.map(|path| (path.local, path.post)));
        }
        let result = change(&mut self.table);
        choose(&mut self.table, idx, world, &mut self.chosen);
        let after = || self.table.used(idx).iter().map(|path| (path.post, path.peer));
        let best_changed = self.before.first().copied() != after().next();
        if !after().eq(self.before.iter().copied()) {
            if !self.table.queue_fib(idx, true) {
                self.fib.push_back(idx);
            }
            if let Some(changed) = &mut self.changed {
                changed.extend(self.table.prefix(idx));
            }
        }
        if best_changed || force_export || self.path_groups > 0 {
            if best_changed && !self.tally.counts.is_empty() {
                self.tally(world, idx);
            }
            self.export(world, idx, best_changed, force_export);
        }
        self.free_if_unused(world.keyed, idx);
        Some(result)
    }

    /// Lets each group know of the best path of an entry, or of all that it is told of. With
    /// `again` what is known of their peers may be something else now.
    fn export(&mut self, world: &World, idx: u32, best_changed: bool, again: bool) {
        let Some(prefix) = self.table.prefix(idx) else { return };
        let best = self.table.best(idx);
        for group in self.groups.iter_mut().flatten() {
            // The same path may go out with other attributes.
            let asks = |policy: &Policy| policy.needs().learned_from;
            let else_told = again && group.key.policy().is_some_and(asks);
            if !group.has_paths() {
                let now = source_for(world, group, &prefix, best);
                if world.unsent {
                    group.preset(idx, now);
                } else if best_changed || else_told || group.out(idx).now != now {
                    group.change(idx, now);
                }
                continue;
            }
            let told = told(world, &self.table, idx, &prefix, group);
            let fresh = |path: &Path| !self.all_before.contains(&(path.local, path.post));
            let any_fresh = told.iter().any(fresh);
            let stays = |id: u16| self.table.paths(idx).iter().any(|path| path.local == id);
            let lost = || self.all_before.iter().any(|(id, _)| !stays(*id));
            let untold = group.may_be_held(idx) && lost();
            let now: Vec<(u16, u16)> = told.iter().map(|path| (path.local, path.peer.0)).collect();
            if world.unsent {
                group.preset_paths(idx, now);
            } else if any_fresh || untold || else_told || group.several(idx).now != now {
                let mut present: Vec<u16> = self.all_before.iter().map(|(id, _)| *id).collect();
                present.extend(self.table.paths(idx).iter().map(|path| path.local));
                group.change_paths(idx, now, &present);
            }
        }
    }

    /// Whose path members of a group are told of.
    pub(crate) fn source(&self, world: &World, group: &mut Group, idx: u32) -> u16 {
        let prefix = self.table.prefix(idx);
        prefix.map_or(NOBODY, |prefix| source_for(world, group, &prefix, self.table.best(idx)))
    }

    /// The paths that members of a group with path ids are told of.
    pub(crate) fn told(&self, world: &World, group: &mut Group, idx: u32) -> Vec<Path> {
        let prefix = self.table.prefix(idx);
        prefix.map_or_else(Vec::new, |prefix| told(world, &self.table, idx, &prefix, group))
    }

    pub(crate) fn candidates_out(&self, world: &World, key: &GroupKey, idx: u32) -> Vec<Path> {
        candidates_out(world, &self.table, key, idx)
    }

    /// Removes those of the entries that nobody needs any more.
    pub(crate) fn free_unused(&mut self, keyed: Keyed, all: &[u32]) {
        let groups = &self.groups;
        self.table.remove_all(keyed, all, |table, idx| {
            table.is_unused(idx) && groups.iter().flatten().all(|group| group.is_done_with(idx))
        });
    }

    /// Somebody is about to change these entries for all groups.
    pub(crate) fn read_groups(&self, all: impl Iterator<Item = u32> + Clone) {
        for group in self.groups.iter().flatten() {
            group.read_ahead(all.clone());
        }
    }

    pub(crate) fn free_if_unused(&mut self, keyed: Keyed, idx: u32) {
        if self.table.is_unused(idx)
            && self.groups.iter().flatten().all(|group| group.is_done_with(idx))
        {
            self.table.remove(keyed, idx);
        }
    }

    /// What others are told is not what was encoded before: something outside the table changed.
    pub(crate) fn unshare(&mut self) {
        self.groups.iter_mut().flatten().for_each(Group::unshare);
    }

    /// Puts a group into a free slot.
    pub(crate) fn add_group(&mut self, group: Group) -> usize {
        self.path_groups += usize::from(group.has_paths());
        let free = self.groups.iter().position(Option::is_none).unwrap_or(self.groups.len());
        if free == self.groups.len() {
            self.groups.push(None);
        }
        self.groups[free] = Some(group);
        free
    }

    /// Takes a member out of its group. With `moves` it joins another one, and what it holds stays
    /// known until its walk there has ended: in one group, however often it moves before that. A
    /// group that nobody needs goes.
    pub(crate) fn leave(&mut self, keyed: Keyed, group: usize, peer: PeerId, moves: bool) {
        let kept = || self.groups.iter().flatten().any(|group| group.keeps_for(peer));
        let keep = moves && !kept();
        if let Some(left) = self.groups.get_mut(group).and_then(Option::as_mut) {
            left.leave(peer, keep);
            self.tidy(keyed, group);
        }
        if !moves {
            self.let_go(keyed, peer);
        }
    }

    /// The groups that a peer has left need to keep nothing for it any more.
    pub(crate) fn let_go(&mut self, keyed: Keyed, peer: PeerId) {
        for at in 0..self.groups.len() {
            if self.groups[at].as_mut().is_some_and(|group| group.let_go(peer)) {
                self.tidy(keyed, at);
            }
        }
    }

    fn tidy(&mut self, keyed: Keyed, group: usize) {
        let Some(slot) = self.groups.get_mut(group) else { return };
        let Some(group) = slot else { return };
        if group.is_unused() {
            self.path_groups -= usize::from(group.has_paths());
            self.retired.extend(slot.take());
            return;
        }
        let (gone, more) = group.trim(&mut { TRIM });
        self.untrimmed |= more;
        self.free_unused(keyed, &gone);
    }

    /// Whether [`crate::Rib::work`] has anything to do.
    pub(crate) fn has_work(&self) -> bool {
        self.pass.is_some()
            || self.wanted.any
            || !self.retired.is_empty()
            || self.untrimmed
            || self.fib_waits
            || self.tally.has_work()
    }

    /// Frees what only a group without members kept, and forgets what all members were told.
    pub(crate) fn retire(&mut self, keyed: Keyed, budget: usize) {
        // The next call of `poll_best` goes on.
        self.fib_waits = false;
        if std::mem::take(&mut self.untrimmed) {
            let (mut gone, mut left) = (Vec::new(), budget);
            for group in self.groups.iter_mut().flatten() {
                let (entries, more) = group.trim(&mut left);
                gone.extend(entries);
                self.untrimmed |= more;
            }
            self.free_unused(keyed, &gone);
        }
        if let Some(group) = self.retired.last_mut() {
            let entries = group.drain(budget);
            if entries.len() < budget {
                self.retired.pop();
            }
            self.free_unused(keyed, &entries);
        }
    }
}

fn source_for(world: &World, group: &mut Group, prefix: &Prefix, best: Option<Path>) -> u16 {
    let (key, verdicts) = (&group.key, &mut group.verdicts);
    let allowed = best.filter(|path| key.permits(world, path, prefix, Some(verdicts)).is_ok());
    allowed.map_or(NOBODY, |path| path.peer.0)
}

fn told(world: &World, table: &Table, idx: u32, prefix: &Prefix, group: &mut Group) -> Vec<Path> {
    let (key, verdicts) = (&group.key, &mut group.verdicts);
    let mut paths = candidates_out(world, table, key, idx);
    paths.retain(|path| key.permits(world, path, prefix, Some(&mut *verdicts)).is_ok());
    // Their order means nothing to peers.
    paths.sort_unstable_by_key(|path| path.local);
    paths
}

/// The paths that a group would be told of if nothing spoke against it.
fn candidates_out(world: &World, table: &Table, key: &GroupKey, idx: u32) -> Vec<Path> {
    match key.paths {
        None | Some(AddPathSend::Best) => table.best(idx).into_iter().collect(),
        Some(AddPathSend::All) => {
            let eligible = |path: &&Path| world.eligible(table.family(), path).is_ok();
            table.paths(idx).iter().filter(eligible).take(MAX_PATHS).copied().collect()
        }
        Some(AddPathSend::BestN(n)) => ranked(world, table, idx, usize::from(n.get())),
    }
}

/// The best `n` paths in order: each is the best once those before it are gone.
fn ranked(world: &World, table: &Table, idx: u32, n: usize) -> Vec<Path> {
    let paths = table.paths(idx);
    let mut candidates: Vec<Candidate> =
        paths.iter().filter_map(|path| world.candidate(table.family(), path)).collect();
    let mut ranked = Vec::new();
    let mut chosen = Vec::new();
    while candidates.len() == paths.len() && ranked.len() < n.min(MAX_PATHS) {
        decide(&candidates, &Multipath::NONE, &mut chosen, |_, _| {});
        let Some(best) = chosen.first().copied() else { break };
        candidates[best].ineligible = Some(Ineligible::Dead);
        ranked.push(paths[best]);
    }
    ranked
}

/// Runs the decision process over an entry: the paths that are used come first.
fn choose(table: &mut Table, idx: u32, world: &World, chosen: &mut Vec<usize>) {
    let family = table.family();
    if let [one] = table.paths(idx) {
        let used = world.eligible(family, one).is_ok();
        table.set_used(idx, usize::from(used));
        return;
    }
    let old: Vec<Path> = table.paths(idx).to_vec();
    let candidates: Vec<Candidate> =
        old.iter().filter_map(|path| world.candidate(family, path)).collect();
    if candidates.len() != old.len() {
        // A path without attributes or peer: cannot be, and must not be used.
        table.set_used(idx, 0);
        return;
    }
    decide(&candidates, &world.settings.multipath, chosen, |_, _| {});
    table.set_used(idx, chosen.len());
    let rest = (0..old.len()).filter(|i| !chosen.contains(i));
    let order = chosen.iter().copied().chain(rest);
    for (to, from) in table.paths_mut(idx).iter_mut().zip(order) {
        *to = old[from];
    }
}

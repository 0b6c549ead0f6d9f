//! The table of one family: decision, what it changes, and the walks over it.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use bgp_packet::{BgpNextHop, PeerKind};
use inet::{Family, Prefix};

use crate::attrs::{AttrId, AttrTable, Facts};
use crate::decision::{Candidate, Ineligible, decide};
use crate::group::{Group, NOBODY};
use crate::hash::Keyed;
use crate::hops::{HopId, Hops};
use crate::peer::{Life, Peer, PeerId, at};
use crate::rib::Settings;
use crate::table::{Entry, Path, Table};

/// The paths by which a prefix is reached from now on, best first; none: not by BGP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The prefix.
    pub prefix: Prefix,
    /// The paths learned from peers. Empty also when the prefix is originated here.
    pub paths: Vec<BestPath>,
}

/// One of the paths that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestPath {
    /// Where to.
    pub next_hop: BgpNextHop,
    /// Whom it was learned from.
    pub peer: IpAddr,
    /// eBGP or iBGP.
    pub kind: PeerKind,
    /// MULTI_EXIT_DISC, 0 without.
    pub med: u32,
}

/// What the decision rests on besides the table.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) keyed: Keyed,
    pub(crate) attrs: &'a AttrTable,
    pub(crate) hops: &'a Hops,
    pub(crate) peers: &'a [Peer],
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
}

#[derive(Debug)]
struct Pass {
    at: u32,
    todo: Wanted,
}

#[derive(Debug)]
pub(crate) struct FamilyRib {
    pub(crate) family: Family,
    pub(crate) table: Table,
    pub(crate) groups: Vec<Option<Group>>,
    /// Groups without members, whose entries are still to be looked at.
    retired: Vec<Group>,
    fib: VecDeque<u32>,
    pass: Option<Pass>,
    pub(crate) wanted: Wanted,
    pub(crate) paths: usize,
    chosen: Vec<usize>,
    before: Vec<(AttrId, PeerId)>,
}

impl World<'_> {
    pub(crate) fn life(&self, family: Family, path: &Path) -> Life {
        let peer = self.peers.get(usize::from(path.peer.0));
        peer.map_or(Life::Dead, |peer| peer.ins[at(family)].life(path))
    }

    fn facts(&self, path: &Path) -> Option<&Facts> {
        self.attrs.get(path.attr).map(|set| &set.facts)
    }

    pub(crate) fn eligible(&self, family: Family, path: &Path) -> Result<(), Ineligible> {
        let Some(facts) = self.facts(path) else { return Err(Ineligible::Dead) };
        match () {
            () if self.life(family, path) == Life::Dead => Err(Ineligible::Dead),
            () if facts.as_loop => Err(Ineligible::AsLoop),
            () if facts.own_originator => Err(Ineligible::OwnOriginator),
            () if self.hops.metric(facts.hop).is_none() => Err(Ineligible::UnresolvedNextHop),
            () if self.deferred => Err(Ineligible::SelectionDeferred),
            () => Ok(()),
        }
    }

    pub(crate) fn candidate(&self, family: Family, path: &Path) -> Option<Candidate> {
        let facts = self.facts(path)?;
        let peer = self.peers.get(usize::from(path.peer.0))?;
        let id = if facts.originator == 0 { peer.router_id } else { facts.originator };
        Some(Candidate {
            ineligible: self.eligible(family, path).err(),
            local: path.peer == PeerId::LOCAL,
            local_pref: facts.local_pref,
            path_len: facts.path_len,
            origin: facts.origin as u8,
            med: facts.med,
            neighbor_as: facts.neighbor_as,
            external: peer.kind == PeerKind::External,
            metric: self.hops.metric(facts.hop).unwrap_or(u32::MAX),
            router_id: id,
            cluster_len: facts.cluster_len,
            address: peer.address,
        })
    }
}

impl FamilyRib {
    pub(crate) fn new(family: Family) -> FamilyRib {
        FamilyRib {
            family,
            table: Table::default(),
            groups: Vec::new(),
            retired: Vec::new(),
            fib: VecDeque::new(),
            pass: None,
            wanted: Wanted::default(),
            paths: 0,
            chosen: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Changes the paths of an entry, decides, and lets FIB and groups know.
    pub(crate) fn alter<T>(
        &mut self,
        world: &World,
        idx: u32,
        force_export: bool,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let entry = self.table.get_mut(idx)?;
        self.before.clear();
        let used = usize::from(entry.used);
        self.before.extend(entry.paths().iter().take(used).map(|p| (p.attr, p.peer)));
        let result = change(entry);
        choose(entry, world, self.family, &mut self.chosen);
        let used = usize::from(entry.used);
        let after = || entry.paths().iter().take(used).map(|p| (p.attr, p.peer));
        let best_changed = self.before.first().copied() != after().next();
        if !after().eq(self.before.iter().copied()) && !entry.fib_queued {
            entry.fib_queued = true;
            self.fib.push_back(idx);
        }
        if best_changed || force_export {
            self.export(world, idx, best_changed);
        }
        self.free_if_unused(world.keyed, idx);
        Some(result)
    }

    /// Lets each group know of the best path of an entry.
    fn export(&mut self, world: &World, idx: u32, best_changed: bool) {
        let best = self.table.get(idx).and_then(Entry::best);
        for group in self.groups.iter_mut().flatten() {
            let now = source_for(world, group, best);
            if world.unsent {
                group.preset(idx, now);
            } else if best_changed || group.out(idx).now != now {
                group.change(idx, now);
            }
        }
    }

    /// Whose path members of a group are told of.
    pub(crate) fn source(&self, world: &World, group: &Group, idx: u32) -> u16 {
        source_for(world, group, self.table.get(idx).and_then(Entry::best))
    }

    pub(crate) fn free_if_unused(&mut self, keyed: Keyed, idx: u32) {
        let Some(entry) = self.table.get(idx) else { return };
        let unused = entry.paths().is_empty() && !entry.fib_queued && !entry.installed;
        if unused && self.groups.iter().flatten().all(|group| group.is_done_with(idx)) {
            self.table.remove(keyed, idx);
        }
    }

    /// Takes a member out of its group; gives the prefixes that it holds and no walk would tell it
    /// are gone. A group without members goes.
    pub(crate) fn leave(&mut self, keyed: Keyed, group: usize, peer: PeerId) -> Vec<Prefix> {
        let Some(slot) = self.groups.get_mut(group) else { return Vec::new() };
        let Some(left) = slot else { return Vec::new() };
        let (untold, mut prefixes) = left.leave(peer);
        let gone = if left.members.is_empty() {
            self.retired.extend(slot.take());
            Vec::new()
        } else {
            left.trim()
        };
        prefixes.extend(untold.iter().filter_map(|idx| Some(self.table.get(*idx)?.prefix)));
        for idx in gone {
            self.free_if_unused(keyed, idx);
        }
        prefixes
    }

    /// Whether [`FamilyRib::work`] has anything to do.
    pub(crate) fn has_work(&self) -> bool {
        self.pass.is_some() || self.wanted.any || !self.retired.is_empty()
    }

    /// Goes on with the walks, over at most `budget` entries. Gives attribute sets back.
    pub(crate) fn work(&mut self, world: &World, budget: usize, released: &mut Vec<AttrId>) {
        if let Some(group) = self.retired.last_mut() {
            let entries = group.drain(budget);
            if entries.len() < budget {
                self.retired.pop();
            }
            for idx in entries {
                self.free_if_unused(world.keyed, idx);
            }
        }
        if self.pass.is_none() && self.wanted.any {
            self.pass = Some(Pass { at: 0, todo: std::mem::take(&mut self.wanted) });
        }
        let Some(mut pass) = self.pass.take() else { return };
        let end = self.table.end().min(pass.at.saturating_add(budget as u32));
        while pass.at < end {
            self.visit(world, pass.at, &pass.todo, released);
            pass.at += 1;
        }
        if pass.at < self.table.end() {
            self.pass = Some(pass);
        }
    }

    fn visit(&mut self, world: &World, idx: u32, todo: &Wanted, released: &mut Vec<AttrId>) {
        let Some(entry) = self.table.get(idx) else { return };
        let family = self.family;
        let dead = |path: &Path| world.life(family, path) == Life::Dead;
        let over = |path: &Path| world.facts(path).is_some_and(|f| todo.hops.contains(&f.hop));
        let removes = entry.paths().iter().any(dead);
        if !(removes || todo.all || entry.paths().iter().any(over)) {
            return;
        }
        let already = released.len();
        self.alter(world, idx, todo.export, |entry| {
            if removes {
                released.extend(entry.paths().iter().filter(|p| dead(p)).map(|p| p.attr));
                entry.take(dead);
            }
        });
        self.paths -= released.len() - already;
    }

    /// The next change for the FIB.
    pub(crate) fn poll_best(&mut self, world: &World) -> Option<Best> {
        while let Some(idx) = self.fib.pop_front() {
            let Some(entry) = self.table.get_mut(idx) else { continue };
            entry.fib_queued = false;
            let used = entry.paths().iter().take(usize::from(entry.used));
            let paths: Vec<BestPath> = used
                .filter(|path| path.peer != PeerId::LOCAL)
                .filter_map(|path| {
                    let set = world.attrs.get(path.attr)?;
                    let peer = world.peers.get(usize::from(path.peer.0))?;
                    Some(BestPath {
                        next_hop: set.attributes.next_hop,
                        peer: peer.address,
                        kind: peer.kind,
                        med: set.facts.med,
                    })
                })
                .collect();
            let told = std::mem::replace(&mut entry.installed, !paths.is_empty());
            let prefix = entry.prefix;
            self.free_if_unused(world.keyed, idx);
            if told || !paths.is_empty() {
                return Some(Best { prefix, paths });
            }
        }
        None
    }
}

fn source_for(world: &World, group: &Group, best: Option<Path>) -> u16 {
    let allowed = best.filter(|path| {
        world.attrs.get(path.attr).is_some_and(|set| {
            group.key.allows(world.settings.transit, set, path.peer, world.peers).is_ok()
        })
    });
    allowed.map_or(NOBODY, |path| path.peer.0)
}

/// Runs the decision process over an entry: the paths that are used come first.
fn choose(entry: &mut Entry, world: &World, family: Family, chosen: &mut Vec<usize>) {
    if let [one] = entry.paths() {
        let used = world.eligible(family, one).is_ok();
        entry.used = u8::from(used);
        return;
    }
    let old: Vec<Path> = entry.paths().to_vec();
    let candidates: Vec<Candidate> =
        old.iter().filter_map(|path| world.candidate(family, path)).collect();
    if candidates.len() != old.len() {
        // A path without attributes or peer: cannot be, and must not be used.
        entry.used = 0;
        return;
    }
    decide(&candidates, world.settings.multi_path, chosen, |_, _| {});
    entry.used = chosen.len() as u8;
    let rest = (0..old.len()).filter(|i| !chosen.contains(i));
    for (to, from) in entry.paths_mut().iter_mut().zip(chosen.iter().copied().chain(rest)) {
        *to = old[from];
    }
}

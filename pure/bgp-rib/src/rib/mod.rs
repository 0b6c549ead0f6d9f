mod aggregates;
mod explain;
mod intake;
mod own;
mod page;
mod send;
mod sessions;
mod view;
mod watch;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bgp_packet::{DEFAULT_LOCAL_PREF, Malformation, Notification};
use inet::{Asn, Family, Prefix, RouterId, ScopedAddr};

use crate::aggregate::Aggregates;
use crate::attrs::AttrTable;
use crate::family::{Best, FamilyRib, Pass, Wanted, World};
use crate::hash::Keyed;
use crate::hops::{Hops, Track};
use crate::peer::{InCounts, Life, Peer, PeerId, SessionFacts, at};
use crate::rules::Multipath;
use crate::steps;
use crate::table::Path;

pub use explain::{BestExplanation, ComparedStep, ExportExplanation, ExportedPath};
pub use own::OwnRoute;
pub use page::{Cursor, Filter, Page, Query, Row, View};
pub use send::Fill;
pub use view::{PathState, PathView};

/// What holds for the whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our AS number.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// How many equally good paths are used.
    pub multipath: Multipath,
    /// Announce to peers what was learned from peers.
    pub transit: bool,
    /// Our cluster as a route reflector (RFC 4456 §7); the BGP Identifier without.
    pub cluster_id: Option<RouterId>,
    /// What a path without LOCAL_PREF counts as, and is told as inside the AS.
    pub default_local_pref: u32,
}

impl Settings {
    /// One path a prefix, transit, and the usual default LOCAL_PREF.
    pub fn new(asn: Asn, router_id: RouterId) -> Settings {
        Settings {
            asn,
            router_id,
            multipath: Multipath::NONE,
            transit: true,
            cluster_id: None,
            default_local_pref: DEFAULT_LOCAL_PREF,
        }
    }

    pub(crate) fn cluster(&self) -> u32 {
        self.cluster_id.unwrap_or(self.router_id).get()
    }
}

/// So many entries that are only looked at cost as much as one that is decided anew.
const CHANGE: usize = 4;
/// So many update groups cost as much as the rest of what a prefix costs.
const GROUPS: usize = 16;

/// What became of an UPDATE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// What was wrong with it, and survived (RFC 7606).
    pub malformed: Vec<Malformation>,
    /// The session must end with this.
    pub reset: Option<Notification>,
    /// The first prefix of the session with more paths than are taken, see
    /// [`InCounts::left_out`].
    pub left_out: Option<Prefix>,
}

impl Updated {
    /// Whether all was taken as it stands.
    pub fn is_whole(&self) -> bool {
        self.malformed.is_empty() && self.reset.is_none() && self.left_out.is_none()
    }

    /// Adds what became of the next piece of the same UPDATE.
    pub fn and_then(&mut self, next: Updated) {
        for malformation in next.malformed {
            if !self.malformed.contains(&malformation) {
                self.malformed.push(malformation);
            }
        }
        self.reset = next.reset;
        self.left_out = self.left_out.or(next.left_out);
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prefixes with at least one path, or whose withdrawal is still to be told.
    pub prefixes: usize,
    /// Paths.
    pub paths: usize,
    /// Interned attribute sets.
    pub attribute_sets: usize,
    /// Next hops followed.
    pub next_hops: usize,
    /// Update groups, of both families.
    pub groups: usize,
}

/// All tables of a speaker.
#[derive(Debug)]
pub struct Rib {
    keyed: Keyed,
    settings: Settings,
    /// Import depends on our AS number and router id: sets of another generation are not shared.
    generation: u8,
    /// The last number given to import rules.
    contexts: u32,
    attrs: AttrTable,
    hops: Hops,
    peers: Vec<Peer>,
    /// Slots of peers that are gone.
    free: BTreeSet<u16>,
    aggregates: Aggregates,
    families: [FamilyRib; 2],
    deferred: bool,
    /// Something may have been sent: not before the first choice after a restart.
    settled: bool,
    key: Vec<u8>,
}

impl Rib {
    /// Empty tables. `seed` keys the hashes: it must not be known to peers.
    pub fn new(seed: u64, settings: Settings) -> Rib {
        let mut local = Peer::new(Ipv4Addr::UNSPECIFIED.into());
        local.router_id = settings.router_id.get();
        Rib {
            keyed: Keyed::new(seed),
            settings,
            generation: 0,
            contexts: 0,
            attrs: AttrTable::default(),
            hops: Hops::default(),
            peers: vec![local],
            free: BTreeSet::new(),
            aggregates: Aggregates::default(),
            families: Family::ALL.map(FamilyRib::new),
            deferred: false,
            settled: true,
            key: Vec::new(),
        }
    }

    /// What holds for the whole table now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes over other settings. With another AS number or router id no session may be up.
    pub fn configure(&mut self, settings: Settings) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old == self.settings {
            return;
        }
        if (old.asn, old.router_id) != (self.settings.asn, self.settings.router_id) {
            self.generation = self.generation.wrapping_add(1);
            self.peers[0].router_id = self.settings.router_id.get();
        }
        self.aggregate_again(old.transit != self.settings.transit);
        for rib in &mut self.families {
            rib.wanted.everything();
            // The paths may stay, and their parts of the traffic be others.
            let weighed = |settings: &Settings| settings.multipath.link_bandwidth;
            rib.wanted.fib |= weighed(&old) != weighed(&self.settings);
            rib.unshare();
        }
        for id in (1..self.peers.len()).filter_map(|at| u16::try_from(at).ok()).map(PeerId) {
            let session = self.peer_mut(id).and_then(|peer| peer.session.clone());
            if let Some(facts) = session {
                self.take_rules(id, &facts);
                self.regroup(id, None);
            }
        }
    }

    /// Chooses nothing, and tells nobody anything, until [`Rib::select`] (RFC 4724 §4.1). Only
    /// before anything else was done.
    pub fn defer(&mut self) {
        (self.deferred, self.settled) = (true, false);
    }

    /// Ends the deferral: a walk now chooses for each prefix.
    pub fn select(&mut self) {
        if std::mem::take(&mut self.deferred) {
            for rib in &mut self.families {
                rib.wanted.everything();
            }
        }
    }

    /// Whether every prefix has been chosen for since the start.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// A new peer, without a session. None when there are 65533 already.
    pub fn add_peer(&mut self, address: impl Into<ScopedAddr>) -> Option<PeerId> {
        let address = address.into();
        if let Some(free) = self.free.pop_first().map(usize::from) {
            // The epochs go on, so that paths of the former owner stay dead.
            let ins = self.peers[free].ins;
            self.peers[free] = Peer { ins, ..Peer::new(address) };
            return u16::try_from(free).ok().map(PeerId);
        }
        let id = u16::try_from(self.peers.len()).ok().filter(|id| *id <= PeerId::LAST)?;
        self.peers.push(Peer::new(address));
        Some(PeerId(id))
    }

    /// The peer and its paths go.
    pub fn remove_peer(&mut self, id: PeerId) {
        self.session_down(id, &BTreeSet::new());
        if let Some(peer) = self.peer_mut(id) {
            peer.taken = false;
            self.free.insert(id.0);
        }
    }

    /// A session is Established: the peer will be told the whole table, then End-of-RIB.
    pub fn session_up(&mut self, id: PeerId, facts: SessionFacts) {
        self.leave_groups(id);
        let Some(peer) = self.peer_mut(id) else { return };
        let moved = peer.router_id != facts.router_id.get() || peer.kind != facts.options.kind;
        peer.router_id = facts.router_id.get();
        peer.kind = facts.options.kind;
        let stale = peer.ins.iter().any(|i| i.counts.stale > 0);
        peer.session = Some(facts.clone());
        self.take_rules(id, &facts);
        for family in Family::ALL {
            self.join(id, family, None);
            if moved && stale {
                let wanted = &mut self.families[at(family)].wanted;
                (wanted.any, wanted.all) = (true, true);
            }
        }
    }

    /// A session is gone. Paths of the families in `keep` are used on as stale, the others go.
    /// What was stale already stays so too, unless [`Rib::flush_stale`] comes first.
    pub fn session_down(&mut self, id: PeerId, keep: &BTreeSet<Family>) {
        self.leave_groups(id);
        let Some(peer) = self.peer_mut(id) else { return };
        peer.session = None;
        for family in Family::ALL {
            self.turn(id, family, keep.contains(&family));
        }
    }

    /// The peer begins to send its table anew (RFC 7313 §4): what it does not send again until
    /// [`Rib::flush_stale`] is gone then.
    pub fn mark_stale(&mut self, id: PeerId, family: Family) {
        let left_out = self.in_counts(id, family).left_out;
        self.turn(id, family, true);
        // The session goes on, and what it has left out is still left out.
        if let Some(peer) = self.peer_mut(id) {
            peer.ins[at(family)].counts.left_out = left_out;
        }
    }

    /// Stale paths of the peer go.
    pub fn flush_stale(&mut self, id: PeerId, family: Family) {
        let Some(peer) = self.peer_mut(id) else { return };
        let had = peer.ins[at(family)].counts.stale > 0;
        peer.ins[at(family)].flush();
        self.families[at(family)].wanted.any |= had;
    }

    /// Stale paths of the peer are kept for long from now on: least preferred, told with
    /// LLGR_STALE, and not at all where they have NO_LLGR (RFC 9494 §4.2).
    pub fn long_lived(&mut self, id: PeerId, family: Family) {
        let Some(peer) = self.peer_mut(id) else { return };
        let inbound = &mut peer.ins[at(family)];
        if inbound.stale.is_some() && !std::mem::replace(&mut inbound.long_lived, true) {
            self.families[at(family)].wanted.import_of(id);
        }
    }

    /// The peer's groups or rules, or our addresses towards it, have changed; taken over without
    /// a reset and without asking the peer for anything.
    pub fn session_changed(&mut self, id: PeerId, facts: SessionFacts) {
        let Some(old) = self.peer_mut(id).and_then(|peer| peer.session.replace(facts.clone()))
        else {
            return;
        };
        self.take_rules(id, &facts);
        self.regroup(id, Some(&old));
    }

    /// The peer wants the table again (RFC 2918), framed by BoRR and EoRR if both know
    /// enhanced refresh (RFC 7313 §4): but not before End-of-RIB, which ends the walk as well.
    pub fn refresh(&mut self, id: PeerId, family: Family, framed: bool) {
        let Some(group) = self.peer_mut(id).and_then(|peer| peer.groups[at(family)]) else {
            return;
        };
        let group = self.families[at(family)].groups.get_mut(group).and_then(Option::as_mut);
        if let Some(member) = group.and_then(|group| group.member_mut(id)) {
            (member.walk, member.walk_end) = (Some(0), None);
            (member.framed, member.begun) = (framed && !member.end_of_rib, false);
        }
    }

    /// How a next hop resolves now: how far away it is, or not at all.
    pub fn next_hop(&mut self, address: impl Into<ScopedAddr>, metric: Option<u32>) {
        if let Some(hop) = self.hops.resolve(address.into(), metric) {
            for rib in &mut self.families {
                rib.wanted.any = true;
                rib.wanted.hops.insert(hop);
            }
        }
    }

    /// How many prefixes can be taken in where so many could if nobody was told of them: each
    /// update group looks at each prefix.
    pub fn at_the_cost_of(&self, prefixes: usize) -> usize {
        let groups: usize =
            self.families.iter().map(|rib| rib.groups.iter().flatten().count()).sum();
        (prefixes * GROUPS / (GROUPS + groups)).max(1)
    }

    /// Whether [`Rib::work`] has anything to do.
    pub fn has_work(&self) -> bool {
        self.families.iter().any(FamilyRib::has_work) || (!self.settled && !self.deferred)
    }

    /// Goes on with walks over the tables, over at most `budget` entries of each.
    pub fn work(&mut self, budget: usize) {
        for family in Family::ALL {
            let keyed = self.keyed;
            let rib = &mut self.families[at(family)];
            rib.retire(keyed, budget);
            let (world, families) = self.parts();
            families[at(family)].count(&world, budget);
            let rib = &mut self.families[at(family)];
            if rib.pass.is_none() && rib.wanted.any {
                rib.pass = Some(Pass { at: 0, todo: std::mem::take(&mut rib.wanted) });
            }
            let Some(mut pass) = rib.pass.take() else { continue };
            let end = rib.table.end();
            let each = 1 + pass.todo.within.look_ups();
            // Each group looks at what changes.
            let change = CHANGE * (GROUPS + rib.groups.len()) / GROUPS + each;
            let mut spent = 0;
            while pass.at < end && spent < budget {
                steps::add(1);
                spent += if self.visit(family, pass.at, &pass.todo) { change } else { each };
                pass.at += 1;
            }
            let rib = &mut self.families[at(family)];
            if pass.at < rib.table.end() {
                rib.pass = Some(pass);
            }
        }
        self.settle_aggregates(self.at_the_cost_of(budget.div_ceil(CHANGE)));
        if !self.deferred && !self.settled && !self.families.iter().any(FamilyRib::has_work) {
            self.settled = true;
        }
    }

    /// A walk comes to an entry; whether there was something to do.
    fn visit(&mut self, family: Family, idx: u32, todo: &Wanted) -> bool {
        if todo.fib {
            self.families[at(family)].tell_again(idx);
        }
        let world = self.world();
        let paths = self.families[at(family)].table.paths(idx);
        let dead = |path: &Path| world.life(family, path) == Life::Dead;
        let over = |path: &Path| world.facts(path).is_some_and(|f| todo.hops.contains(&f.hop));
        let again = |path: &Path| todo.import.contains(&path.peer) && !dead(path);
        let gone: Vec<Path> = paths.iter().filter(|path| dead(path)).copied().collect();
        let imports: Vec<Path> = paths.iter().filter(|path| again(path)).copied().collect();
        let prefix = || self.families[at(family)].table.prefix(idx);
        let covers = |prefix| todo.within.covers(&prefix);
        let within = !todo.within.is_empty() && prefix().is_some_and(covers);
        let changes = || todo.all || within || paths.iter().any(over);
        if gone.is_empty() && imports.is_empty() && !changes() {
            return false;
        }
        let Some(prefix) = prefix() else { return false };
        let mut renewed = Vec::new();
        for old in imports {
            let inbound = &self.peers[usize::from(old.peer.0)].ins[at(family)];
            let long_lived = inbound.long_lived && inbound.life(&old) == Life::Stale;
            let post = self.import(old.peer, &prefix, old.attr, long_lived);
            if post == old.post {
                post.set().into_iter().for_each(|set| self.release(set));
                continue;
            }
            let new = Path { post, ..old };
            if let Some(peer) = self.peer_mut(old.peer) {
                peer.ins[at(family)].count(&old, -1);
                peer.ins[at(family)].count(&new, 1);
            }
            renewed.push((old, post));
        }
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        rib.alter(&world, idx, todo.export || within, |table| {
            for (old, post) in &renewed {
                if let Some(path) = table.paths_mut(idx).iter_mut().find(|path| *path == old) {
                    path.post = *post;
                }
            }
            if !gone.is_empty() {
                table.take(idx, |path| gone.contains(path));
            }
        });
        rib.paths -= gone.len();
        for (old, _) in renewed {
            old.post.set().into_iter().for_each(|set| self.release(set));
        }
        for path in gone {
            self.release_path(&path);
        }
        true
    }

    /// The next prefix whose paths in use have changed. Several changes are told as one. None while
    /// [`Rib::has_work`]: there may be more after [`Rib::work`].
    pub fn poll_best(&mut self) -> Option<Best> {
        let (world, families) = self.parts();
        families.iter_mut().find_map(|rib| rib.poll_best(&world))
    }

    /// [`Rib::poll_best`] gives every prefix with a path once more: for who has not listened so far.
    pub fn tell_best_again(&mut self) {
        for rib in &mut self.families {
            (rib.wanted.any, rib.wanted.fib) = (true, true);
        }
    }

    /// The next change in which next hops are to be followed.
    pub fn poll_track(&mut self) -> Option<Track> {
        self.hops.poll()
    }

    /// How much is kept now.
    pub fn counts(&self) -> Counts {
        Counts {
            prefixes: self.families.iter().map(|rib| rib.table.len()).sum(),
            paths: self.families.iter().map(|rib| rib.paths).sum(),
            attribute_sets: self.attrs.len(),
            next_hops: self.hops.len(),
            groups: self.families.iter().map(|rib| rib.groups.iter().flatten().count()).sum(),
        }
    }

    /// What a peer has sent.
    pub fn in_counts(&self, id: PeerId, family: Family) -> InCounts {
        self.peers.get(usize::from(id.0)).map(|p| p.ins[at(family)].counts).unwrap_or_default()
    }

    fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(usize::from(id.0))
    }

    fn parts(&mut self) -> (World<'_>, &mut [FamilyRib; 2]) {
        let Rib { keyed, settings, attrs, hops, peers, aggregates, families, .. } = self;
        let (keyed, deferred, unsent) = (*keyed, self.deferred, !self.settled);
        let world = World { keyed, attrs, hops, peers, aggregates, settings, deferred, unsent };
        (world, families)
    }

    fn world(&self) -> World<'_> {
        let Rib { keyed, settings, attrs, hops, peers, aggregates, .. } = self;
        let (keyed, deferred, unsent) = (*keyed, self.deferred, !self.settled);
        World { keyed, attrs, hops, peers, aggregates, settings, deferred, unsent }
    }

    fn turn(&mut self, id: PeerId, family: Family, keep: bool) {
        let Some(peer) = self.peer_mut(id) else { return };
        let inbound = &mut peer.ins[at(family)];
        let received = inbound.counts.received > 0;
        let dies = inbound.turn(keep);
        let long_lived = inbound.long_lived && received;
        let wanted = &mut self.families[at(family)].wanted;
        wanted.any |= dies;
        if long_lived {
            wanted.import_of(id);
        }
    }
}

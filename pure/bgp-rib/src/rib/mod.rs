mod own;
mod send;
mod view;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{
    BgpNextHop, Malformation, Notification, Options, PeerKind, RawAttributes, Update, Verdict,
};
use inet::{Asn, Family, Prefix, RouterId};

use crate::attrs::{self, AttrId, AttrTable};
use crate::export::GroupKey;
use crate::family::{Best, FamilyRib, World};
use crate::group::Group;
use crate::hash::Keyed;
use crate::hops::{HopId, Hops, Track};
use crate::peer::{InCounts, Peer, PeerId, SessionFacts, at};
use crate::table::Path;

pub use own::OwnRoute;
pub use send::Fill;
pub use view::{PathState, PathView};

/// What holds for the whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our AS number.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Use all equally good paths; AS paths need only be equally long.
    pub multi_path: bool,
    /// Announce to peers what was learned from peers.
    pub transit: bool,
}

/// What became of an UPDATE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// What was wrong with it, and survived (RFC 7606).
    pub malformed: Vec<Malformation>,
    /// The session must end with this.
    pub reset: Option<Notification>,
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
    attrs: AttrTable,
    hops: Hops,
    peers: Vec<Peer>,
    families: [FamilyRib; 2],
    deferred: bool,
    /// Something may have been sent: not before the first choice after a restart.
    settled: bool,
    key: Vec<u8>,
}

impl Rib {
    /// Empty tables. `seed` keys the hashes: it must not be known to peers.
    pub fn new(seed: u64, settings: Settings) -> Rib {
        let mut local = Peer::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        local.router_id = settings.router_id.get();
        Rib {
            keyed: Keyed::new(seed),
            settings,
            generation: 0,
            attrs: AttrTable::default(),
            hops: Hops::default(),
            peers: vec![local],
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
        for rib in &mut self.families {
            (rib.wanted.any, rib.wanted.all, rib.wanted.export) = (true, true, true);
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
                (rib.wanted.any, rib.wanted.all, rib.wanted.export) = (true, true, true);
            }
        }
    }

    /// Whether every prefix has been chosen for since the start.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// A new peer, without a session. None when there are 65533 already.
    pub fn add_peer(&mut self, address: IpAddr) -> Option<PeerId> {
        if let Some(free) = self.peers.iter().position(|peer| !peer.taken) {
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
        peer.session = Some(facts);
        for family in Family::ALL {
            self.join(id, family, false, Vec::new());
            if moved && stale {
                let wanted = &mut self.families[at(family)].wanted;
                (wanted.any, wanted.all) = (true, true);
            }
        }
    }

    /// A session is gone. Paths of the families in `keep` are used on as stale, the others go.
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
        self.turn(id, family, true);
    }

    /// Stale paths of the peer go.
    pub fn flush_stale(&mut self, id: PeerId, family: Family) {
        let Some(peer) = self.peer_mut(id) else { return };
        let had = peer.ins[at(family)].counts.stale > 0;
        peer.ins[at(family)].flush();
        self.families[at(family)].wanted.any |= had;
    }

    /// The peer's groups or our addresses towards it have changed; told without a reset.
    pub fn session_changed(&mut self, id: PeerId, facts: SessionFacts) {
        let Some(old) = self.peer_mut(id).and_then(|peer| peer.session.replace(facts.clone()))
        else {
            return;
        };
        for family in Family::ALL {
            let rib = &mut self.families[at(family)];
            let group = self.peers[usize::from(id.0)].groups[at(family)];
            if old.groups != facts.groups {
                let Some(group) = group else { continue };
                let leftovers = rib.leave(self.keyed, group, id);
                self.join(id, family, true, leftovers);
            } else if old.next_hops.of(family) != facts.next_hops.of(family)
                && let Some(group) = group.and_then(|at| rib.groups.get_mut(at)?.as_mut())
            {
                group.resync(id);
            }
        }
    }

    /// The peer wants the table again (RFC 2918), framed by BoRR and EoRR if both know
    /// enhanced refresh (RFC 7313).
    pub fn refresh(&mut self, id: PeerId, family: Family, framed: bool) {
        let Some(group) = self.peer_mut(id).and_then(|peer| peer.groups[at(family)]) else {
            return;
        };
        let group = self.families[at(family)].groups.get_mut(group).and_then(Option::as_mut);
        if let Some(member) = group.and_then(|group| group.member_mut(id)) {
            (member.walk, member.framed, member.begun) = (Some(0), framed, false);
        }
    }

    /// Takes in an UPDATE of the peer's session.
    pub fn update(&mut self, id: PeerId, options: &Options, update: &Update<'_>) -> Updated {
        let mut updated = Updated { malformed: update.malformed.clone(), reset: None };
        for nlri in &update.withdrawn {
            for prefix in nlri.iter() {
                self.withdraw(id, &prefix);
            }
        }
        for reach in &update.reach {
            let raw = &update.attributes;
            let set = match self.intern(id, options, raw, reach.next_hop, &mut updated) {
                Ok(set) => set,
                Err(reset) => {
                    updated.reset = Some(reset);
                    return updated;
                }
            };
            for prefix in reach.nlri.iter() {
                match set {
                    Some(set) => self.announce(id, &prefix, set),
                    None => self.withdraw(id, &prefix),
                }
            }
            if let Some(set) = set {
                self.release(set);
            }
        }
        updated
    }

    /// Originates a prefix here, or no longer.
    pub fn originate(&mut self, prefix: &Prefix, route: Option<&OwnRoute>) {
        let Some(route) = route else {
            self.withdraw(PeerId::LOCAL, prefix);
            return;
        };
        let mut key = std::mem::take(&mut self.key);
        own::key(&mut key, self.generation, route);
        let set = self.attrs.acquire(self.keyed, &key).unwrap_or_else(|| {
            let mut attributes = own::attributes(route);
            let (asn, id) = (self.settings.asn, self.settings.router_id);
            let kind = PeerKind::Internal;
            let facts = attrs::import(&mut attributes, kind, HopId::SELF, asn, id);
            self.attrs.insert(self.keyed, &key, attributes, facts, route.groups.clone())
        });
        self.key = key;
        self.announce(PeerId::LOCAL, prefix, set);
        self.release(set);
    }

    /// How a next hop resolves now: how far away it is, or not at all.
    pub fn next_hop(&mut self, address: IpAddr, metric: Option<u32>) {
        if let Some(hop) = self.hops.resolve(address, metric) {
            for rib in &mut self.families {
                rib.wanted.any = true;
                rib.wanted.hops.insert(hop);
            }
        }
    }

    /// Whether [`Rib::work`] has anything to do.
    pub fn has_work(&self) -> bool {
        self.families.iter().any(FamilyRib::has_work) || (!self.settled && !self.deferred)
    }

    /// Goes on with walks over the tables, over at most `budget` entries of each.
    pub fn work(&mut self, budget: usize) {
        let mut released = Vec::new();
        for family in Family::ALL {
            let (world, families) = self.parts();
            families[at(family)].work(&world, budget, &mut released);
        }
        for set in released {
            self.release(set);
        }
        if !self.deferred && !self.settled && !self.families.iter().any(FamilyRib::has_work) {
            self.settled = true;
        }
    }

    /// The next prefix whose paths in use have changed. Several changes are told as one.
    pub fn poll_best(&mut self) -> Option<Best> {
        let (world, families) = self.parts();
        families.iter_mut().find_map(|rib| rib.poll_best(&world))
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
        let Rib { keyed, settings, attrs, hops, peers, families, deferred, settled, .. } = self;
        let (deferred, unsent) = (*deferred, !*settled);
        (World { keyed: *keyed, attrs, hops, peers, settings, deferred, unsent }, families)
    }

    fn world(&self) -> World<'_> {
        let Rib { keyed, settings, attrs, hops, peers, deferred, settled, .. } = self;
        let (deferred, unsent) = (*deferred, !*settled);
        World { keyed: *keyed, attrs, hops, peers, settings, deferred, unsent }
    }

    fn turn(&mut self, id: PeerId, family: Family, keep: bool) {
        let Some(peer) = self.peer_mut(id) else { return };
        let counts = peer.ins[at(family)].counts;
        peer.ins[at(family)].turn(keep);
        let dies = counts.stale > 0 || (!keep && counts.received > 0);
        self.families[at(family)].wanted.any |= dies;
    }

    fn join(&mut self, id: PeerId, family: Family, resync: bool, leftovers: Vec<Prefix>) {
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return };
        let Some(facts) = peer.session.as_ref().filter(|f| f.options.carries(family)) else {
            return;
        };
        let key = GroupKey::new(facts.options, self.settings.asn, facts.groups.clone());
        let groups = &mut self.families[at(family)].groups;
        let found = groups.iter().position(|g| g.as_ref().is_some_and(|g| g.key == key));
        let slot = found.unwrap_or_else(|| {
            let free = groups.iter().position(Option::is_none).unwrap_or(groups.len());
            if free == groups.len() {
                groups.push(None);
            }
            groups[free] = Some(Group::new(key));
            free
        });
        peer.groups[at(family)] = Some(slot);
        if let Some(group) = &mut groups[slot] {
            group.join(id, resync, leftovers);
        }
    }

    fn leave_groups(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return };
        let groups = std::mem::take(&mut peer.groups);
        for (rib, group) in self.families.iter_mut().zip(groups) {
            if let Some(group) = group {
                rib.leave(self.keyed, group, id);
            }
        }
    }

    /// The set of a reach, with a reference of its own; none: treat as withdraw (RFC 7606 §2).
    fn intern(
        &mut self,
        id: PeerId,
        options: &Options,
        raw: &RawAttributes<'_>,
        next_hop: BgpNextHop,
        updated: &mut Updated,
    ) -> Result<Option<AttrId>, Notification> {
        let session = self.peers.get(usize::from(id.0)).and_then(|peer| peer.session.as_ref());
        let family = Family::of(&next_hop.address);
        if session.is_some_and(|facts| facts.next_hops.of(family) == Some(next_hop.address)) {
            // RFC 4271 §5.1.3, §6.3: semantically wrong, the route is ignored.
            let reason = "the next hop is our own address";
            updated.malformed.push(Malformation { code: 3, reason });
            return Ok(None);
        }
        let mut key = std::mem::take(&mut self.key);
        attrs::key_of(&mut key, self.generation, options, &next_hop, &raw.bytes);
        let found = self.attrs.acquire(self.keyed, &key);
        let result = match found {
            Some(set) => Ok(Some(set)),
            None => match raw.decode(options, next_hop) {
                Verdict::Accept(mut attributes, discarded) => {
                    updated.malformed.extend(discarded);
                    let hop = self.hops.acquire(next_hop.address);
                    let (asn, router_id) = (self.settings.asn, self.settings.router_id);
                    let facts = attrs::import(&mut attributes, options.kind, hop, asn, router_id);
                    let none = BTreeSet::new();
                    Ok(Some(self.attrs.insert(self.keyed, &key, attributes, facts, none)))
                }
                Verdict::TreatAsWithdraw(why) => {
                    updated.malformed.extend(why);
                    Ok(None)
                }
                Verdict::Reset(notification) => Err(notification),
            },
        };
        self.key = key;
        result
    }

    fn announce(&mut self, id: PeerId, prefix: &Prefix, set: AttrId) {
        let family = prefix.family();
        let accepted = |attrs: &AttrTable, set| {
            attrs.get(set).is_some_and(|s| !s.facts.as_loop && !s.facts.own_originator)
        };
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return };
        let epoch = peer.ins[at(family)].epoch;
        let path = Path { attr: set, peer: id, epoch };
        peer.ins[at(family)].count(&path, accepted(&self.attrs, set), 1);
        self.attrs.retain(set);
        let keyed = self.keyed;
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        let idx = rib.table.find_or_insert(keyed, prefix);
        let old = rib.alter(&world, idx, false, |entry| entry.put(path)).flatten();
        match old {
            Some(old) => self.forget(family, &old),
            None => self.families[at(family)].paths += 1,
        }
    }

    fn withdraw(&mut self, id: PeerId, prefix: &Prefix) {
        let family = prefix.family();
        let keyed = self.keyed;
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        let Some(idx) = rib.table.find(keyed, prefix) else { return };
        let old = rib
            .table
            .get(idx)
            .and_then(|entry| entry.paths().iter().find(|path| path.peer == id).copied());
        let Some(old) = old else { return };
        rib.alter(&world, idx, false, |entry| entry.take(|path| path.peer == id));
        rib.paths -= 1;
        self.forget(family, &old);
    }

    /// A path is out of the table.
    fn forget(&mut self, family: Family, path: &Path) {
        let set = self.attrs.get(path.attr);
        let accepted = set.is_some_and(|s| !s.facts.as_loop && !s.facts.own_originator);
        if let Some(peer) = self.peer_mut(path.peer) {
            peer.ins[at(family)].count(path, accepted, -1);
        }
        self.release(path.attr);
    }

    fn release(&mut self, set: AttrId) {
        if let Some(hop) = self.attrs.release(self.keyed, set)
            && hop != HopId::SELF
        {
            self.hops.release(hop);
        }
    }
}

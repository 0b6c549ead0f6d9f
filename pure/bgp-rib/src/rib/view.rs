//! What the tables look like, for people and tests.

use std::collections::BTreeMap;

use bgp_packet::{Attributes, PathId};
use bgp_policy::Source;
use inet::{Family, Prefix, ScopedAddr};

use crate::decision::{Ineligible, Step, decide, put_behind};
use crate::export::{Reason, source};
use crate::family::FamilyRib;
use crate::group::{Group, NOBODY};
use crate::peer::{Life, PeerId, at};
use crate::rib::Rib;
use crate::table::Path;

/// A path and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathView {
    /// Whom it was learned from; [`PeerId::LOCAL`] when originated here.
    pub peer: PeerId,
    /// Where it is from.
    pub source: Source,
    /// The peer's path id (RFC 7911); 0 without.
    pub path_id: PathId,
    /// Our path id, under which peers are told of it.
    pub local_id: PathId,
    /// Its attributes after import; as received where import refuses it.
    pub attributes: Attributes,
    /// Weight from the import policy.
    pub weight: u32,
    /// The import policy asks to drop what goes to the prefix.
    pub discard: bool,
    /// Kept from before a restart of the peer.
    pub stale: bool,
    /// What the decision process made of it.
    pub state: PathState,
}

/// What the decision process made of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Used, and announced; the last step that took another path out.
    Best(Step),
    /// Used beside the best; the step that chose the best for being announced.
    Multipath(Step),
    /// Not used; the step at which it went out.
    Lost(Step),
    /// Took no part.
    Ineligible(Ineligible),
}

impl Rib {
    /// All paths to a prefix, best first.
    pub fn paths(&self, prefix: &Prefix) -> Vec<PathView> {
        let rib = &self.families[at(prefix.family())];
        let idx = rib.table.find(self.keyed, prefix);
        idx.map(|idx| self.views(rib, idx)).unwrap_or_default()
    }

    /// The prefixes of a family with their paths, best first, in no order.
    pub fn prefixes(&self, family: Family) -> impl Iterator<Item = (Prefix, Vec<PathView>)> {
        let rib = &self.families[at(family)];
        (0..rib.table.end()).filter_map(|idx| {
            let paths = self.views(rib, idx);
            if paths.is_empty() { None } else { Some((rib.table.prefix(idx)?, paths)) }
        })
    }

    /// What a peer has sent, in no order.
    pub fn adj_rib_in(
        &self,
        peer: PeerId,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, PathView)> {
        let rib = &self.families[at(family)];
        (0..rib.table.end())
            .filter(move |idx| rib.table.paths(*idx).iter().any(|path| path.peer == peer))
            .flat_map(move |idx| {
                let prefix = rib.table.prefix(idx);
                let paths = self.views(rib, idx).into_iter();
                paths.filter(move |path| path.peer == peer).filter_map(move |p| Some((prefix?, p)))
            })
    }

    /// What a peer is told, in no order: attributes as on the wire, with the next hop said to it.
    /// With path ids a prefix may come several times.
    pub fn adj_rib_out(
        &self,
        peer: PeerId,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, Attributes)> + '_ {
        self.adj_rib_out_paths(peer, family).map(|(prefix, _, attributes)| (prefix, attributes))
    }

    /// [`Rib::adj_rib_out`] with the path ids; 0 without.
    pub fn adj_rib_out_paths(
        &self,
        peer: PeerId,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, PathId, Attributes)> + '_ {
        let rib = &self.families[at(family)];
        (0..rib.table.end()).flat_map(move |idx| self.sent(peer, rib, idx))
    }

    /// How many prefixes (with path ids: paths) a peer is told of, once it was told all.
    pub fn out_count(&self, peer: PeerId, family: Family) -> u32 {
        self.group_of(peer, family).map_or(0, |group| group.announced_to(peer))
    }

    /// Why a prefix is, or is not, announced to a peer.
    pub fn why_sent(&self, peer: PeerId, prefix: &Prefix) -> Reason {
        let family = prefix.family();
        let group = match self.session_reason(peer, family) {
            Ok(group) => group,
            Err(reason) => return reason,
        };
        let rib = &self.families[at(family)];
        let Some(idx) = rib.table.find(self.keyed, prefix) else { return Reason::NoRoute };
        let paths = self.candidates_out(rib, group, idx);
        let mut reason = Reason::NoRoute;
        for path in paths {
            match self.tells(peer, group, &path, prefix) {
                Ok(()) => {
                    let waits = group.member(peer).is_some_and(|member| group.waits(member, idx));
                    return if waits { Reason::Pending } else { Reason::Announced };
                }
                // Of several, the best one's reason.
                Err(why) if reason == Reason::NoRoute => reason = why,
                Err(_) => {}
            }
        }
        reason
    }

    /// The address of a peer.
    pub fn address(&self, peer: PeerId) -> Option<ScopedAddr> {
        self.peers.get(usize::from(peer.0)).map(|peer| peer.address)
    }

    /// Each next hop that is followed, with its distance if it resolves.
    pub fn next_hops(&self) -> BTreeMap<ScopedAddr, Option<u32>> {
        self.hops.iter().collect()
    }

    pub(super) fn group_of(&self, peer: PeerId, family: Family) -> Option<&Group> {
        let slot = self.peers.get(usize::from(peer.0))?.groups[at(family)]?;
        self.families[at(family)].groups.get(slot)?.as_ref()
    }

    pub(super) fn session_reason(&self, peer: PeerId, family: Family) -> Result<&Group, Reason> {
        let facts = self.peers.get(usize::from(peer.0)).and_then(|peer| peer.session.as_ref());
        if facts.is_none() {
            return Err(Reason::NotEstablished);
        }
        let group = self.group_of(peer, family).ok_or(Reason::FamilyNotNegotiated)?;
        if self.settled { Ok(group) } else { Err(Reason::SelectionDeferred) }
    }

    /// The paths that a group would be told of if nothing spoke against it.
    pub(super) fn candidates_out(&self, rib: &FamilyRib, group: &Group, idx: u32) -> Vec<Path> {
        rib.candidates_out(&self.world(), &group.key, idx)
    }

    /// Whether a peer is told of a path.
    pub(super) fn tells(
        &self,
        peer: PeerId,
        group: &Group,
        path: &Path,
        prefix: &Prefix,
    ) -> Result<(), Reason> {
        if path.peer == peer {
            return Err(Reason::SplitHorizon);
        }
        group.key.permits(&self.world(), path, prefix, None)
    }

    /// What a peer is told of an entry.
    pub(super) fn sent(
        &self,
        peer: PeerId,
        rib: &FamilyRib,
        idx: u32,
    ) -> Vec<(Prefix, PathId, Attributes)> {
        let group = self.session_reason(peer, rib.family);
        let Some((group, prefix)) = group.ok().zip(rib.table.prefix(idx)) else {
            return Vec::new();
        };
        let facts = self.peers.get(usize::from(peer.0)).and_then(|peer| peer.session.as_ref());
        let next_hops = facts.map(|facts| facts.next_hops).unwrap_or_default();
        let paths = self.candidates_out(rib, group, idx).into_iter();
        let told = paths.filter(|path| self.tells(peer, group, path, &prefix).is_ok());
        told.filter_map(|path| {
            let out = group.key.outgoing(&self.world(), &path, &prefix, &next_hops).ok()?;
            let id = if group.has_paths() { u32::from(path.local) } else { 0 };
            Some((prefix, PathId(id), out))
        })
        .collect()
    }

    /// The paths of an entry, best first.
    pub(super) fn views(&self, rib: &FamilyRib, idx: u32) -> Vec<PathView> {
        let world = self.world();
        let paths = rib.table.paths(idx);
        let candidates: Vec<_> =
            paths.iter().filter_map(|path| world.candidate(rib.family, path)).collect();
        if candidates.len() != paths.len() {
            return Vec::new();
        }
        let mut chosen = Vec::new();
        let mut lost = BTreeMap::new();
        decide(&candidates, &self.settings.multipath, &mut chosen, |i, step| {
            lost.insert(i, step);
        });
        let why = match lost.values().max() {
            Some(last) => *last,
            None if chosen.len() > 1 => Step::Equal,
            None => Step::OnlyPath,
        };
        let state = |i: usize| match (candidates[i].ineligible, lost.get(&i), chosen.first()) {
            (Some(why), _, _) => PathState::Ineligible(why),
            (None, Some(step), _) => PathState::Lost(*step),
            (None, None, Some(best)) if *best != i => {
                PathState::Multipath(put_behind(&candidates[*best], &candidates[i]))
            }
            (None, None, _) => PathState::Best(why),
        };
        let rest = (0..paths.len()).filter(|i| !chosen.contains(i));
        let order: Vec<usize> = chosen.iter().copied().chain(rest).collect();
        let view = |i: usize| {
            let path = paths.get(i)?;
            self.path_view(rib.family, path, false, state(i))
        };
        order.into_iter().filter_map(view).collect()
    }

    /// One path; `raw`: with its attributes as received. None for a dead one.
    pub(super) fn path_view(
        &self,
        family: Family,
        path: &Path,
        raw: bool,
        state: PathState,
    ) -> Option<PathView> {
        let life = self.world().life(family, path);
        if life == Life::Dead {
            return None;
        }
        let set = path.post.set().filter(|_| !raw).unwrap_or(path.attr);
        let set = self.attrs.get(set)?;
        Some(PathView {
            peer: path.peer,
            source: source(&self.world(), path, set),
            path_id: if path.peer == PeerId::LOCAL { PathId::NONE } else { PathId(path.id) },
            local_id: PathId(u32::from(path.local)),
            attributes: set.attributes()?,
            weight: set.facts.weight,
            discard: set.facts.discard(),
            stale: life == Life::Stale,
            state,
        })
    }

    /// Whether what each group holds to be announced is what its rules give now, for tests.
    pub fn groups_agree(&self) -> bool {
        let world = self.world();
        let agrees = |rib: &FamilyRib, group: &Group, idx: u32| {
            let Some(prefix) = rib.table.prefix(idx) else {
                return group.out(idx).now == NOBODY;
            };
            let mut told = self.candidates_out(rib, group, idx);
            told.retain(|path| group.key.permits(&world, path, &prefix, None).is_ok());
            told.sort_by_key(|path| path.local);
            if !group.has_paths() {
                let now = told.first().map_or(NOBODY, |path| path.peer.0);
                return group.out(idx).now == now;
            }
            let now = told.iter().map(|path| (path.local, path.peer.0));
            now.eq(group.several(idx).now.iter().copied())
        };
        self.families.iter().all(|rib| {
            rib.groups.iter().flatten().all(|group| {
                // Of one that is only kept for who has left it nobody asks.
                group.members.is_empty()
                    || group.members.iter().any(|member| member.walk.is_some())
                    || (0..rib.table.end()).all(|idx| agrees(rib, group, idx))
            })
        })
    }
}

//! What the tables look like, for people and tests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_packet::{Attributes, PeerKind};
use inet::{Family, Prefix};

use crate::decision::{Ineligible, Step, decide};
use crate::export::Reason;
use crate::family::FamilyRib;
use crate::group::Group;
use crate::peer::{Life, PeerId, at};
use crate::rib::Rib;
use crate::table::{Entry, Path};

/// A path and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathView<'a> {
    /// Whom it was learned from; [`PeerId::LOCAL`] when originated here.
    pub peer: PeerId,
    /// Its attributes after import.
    pub attributes: &'a Attributes,
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
    /// Used beside the best.
    Multipath,
    /// Not used; the step at which it went out.
    Lost(Step),
    /// Took no part.
    Ineligible(Ineligible),
}

impl Rib {
    /// All paths to a prefix, best first.
    pub fn paths(&self, prefix: &Prefix) -> Vec<PathView<'_>> {
        let rib = &self.families[at(prefix.family())];
        let entry = rib.table.find(self.keyed, prefix).and_then(|idx| rib.table.get(idx));
        entry.map(|entry| self.explain(rib, entry)).unwrap_or_default()
    }

    /// The prefixes of a family with their paths, best first, in no order.
    pub fn prefixes(&self, family: Family) -> impl Iterator<Item = (Prefix, Vec<PathView<'_>>)> {
        let rib = &self.families[at(family)];
        rib.table.iter().filter_map(|entry| {
            let paths = self.explain(rib, entry);
            if paths.is_empty() { None } else { Some((entry.prefix, paths)) }
        })
    }

    /// What a peer has sent, in no order.
    pub fn adj_rib_in(
        &self,
        peer: PeerId,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, PathView<'_>)> {
        let rib = &self.families[at(family)];
        rib.table
            .iter()
            .filter(move |entry| entry.paths().iter().any(|path| path.peer == peer))
            .filter_map(move |entry| {
                let mut paths = self.explain(rib, entry).into_iter();
                paths.find(|path| path.peer == peer).map(|path| (entry.prefix, path))
            })
    }

    /// What a peer is told, in no order: attributes as on the wire, with the next hop said to it.
    pub fn adj_rib_out(
        &self,
        peer: PeerId,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, Attributes)> + '_ {
        let rib = &self.families[at(family)];
        rib.table.iter().filter_map(move |entry| {
            let (group, path) = self.sent(peer, family, entry).ok()?;
            let set = self.attrs.get(path.attr)?;
            let mut attributes = group.key.outgoing(set, path.peer);
            if let Some(own) = self.own_next_hop(group, peer, family, &path) {
                attributes.next_hop.address = own?;
                attributes.next_hop.link_local = None;
            }
            Some((entry.prefix, attributes))
        })
    }

    /// How many prefixes a peer is told of, once it was told all.
    pub fn out_count(&self, peer: PeerId, family: Family) -> u32 {
        let facts = self.peers.get(usize::from(peer.0)).and_then(|peer| peer.session.as_ref());
        let Some((facts, group)) = facts.zip(self.group_of(peer, family)) else { return 0 };
        let all = group.announced_to(peer);
        match (facts.next_hops.of(family), facts.options.kind) {
            (Some(_), _) => all,
            // Without an address of ours, only what keeps the next hop it came with is told.
            (None, PeerKind::Internal) => all - group.announced_from(PeerId::LOCAL),
            (None, PeerKind::External) => 0,
        }
    }

    /// Why a prefix is, or is not, announced to a peer.
    pub fn why_sent(&self, peer: PeerId, prefix: &Prefix) -> Reason {
        let family = prefix.family();
        let rib = &self.families[at(family)];
        let idx = rib.table.find(self.keyed, prefix);
        let Some(entry) = idx.and_then(|idx| rib.table.get(idx)) else {
            return match self.session_reason(peer, family) {
                Ok(_) => Reason::NoRoute,
                Err(reason) => reason,
            };
        };
        match self.sent(peer, family, entry) {
            Ok((group, _)) => {
                let waits = group
                    .member(peer)
                    .is_some_and(|member| idx.is_some_and(|idx| group.waits(member, idx)));
                if waits { Reason::Pending } else { Reason::Announced }
            }
            Err(reason) => reason,
        }
    }

    /// The address of a peer.
    pub fn address(&self, peer: PeerId) -> Option<IpAddr> {
        self.peers.get(usize::from(peer.0)).map(|peer| peer.address)
    }

    /// Each next hop that is followed, with its distance if it resolves.
    pub fn next_hops(&self) -> BTreeMap<IpAddr, Option<u32>> {
        self.hops.iter().collect()
    }

    fn group_of(&self, peer: PeerId, family: Family) -> Option<&Group> {
        let slot = self.peers.get(usize::from(peer.0))?.groups[at(family)]?;
        self.families[at(family)].groups.get(slot)?.as_ref()
    }

    fn session_reason(&self, peer: PeerId, family: Family) -> Result<&Group, Reason> {
        let facts = self.peers.get(usize::from(peer.0)).and_then(|peer| peer.session.as_ref());
        if facts.is_none() {
            return Err(Reason::NotEstablished);
        }
        let group = self.group_of(peer, family).ok_or(Reason::FamilyNotNegotiated)?;
        if self.settled { Ok(group) } else { Err(Reason::SelectionDeferred) }
    }

    fn sent(&self, peer: PeerId, family: Family, entry: &Entry) -> Result<(&Group, Path), Reason> {
        let group = self.session_reason(peer, family)?;
        let best = entry.best().ok_or(Reason::NoRoute)?;
        let set = self.attrs.get(best.attr).ok_or(Reason::NoRoute)?;
        if best.peer == peer {
            return Err(Reason::SplitHorizon);
        }
        group.key.allows(self.settings.transit, set, best.peer, &self.peers)?;
        match self.own_next_hop(group, peer, family, &best) {
            Some(None) => Err(Reason::NoNextHop),
            Some(Some(_)) | None => Ok((group, best)),
        }
    }

    /// None: the path's own next hop is told. Some: ours is, if there is one.
    fn own_next_hop(
        &self,
        group: &Group,
        peer: PeerId,
        family: Family,
        path: &Path,
    ) -> Option<Option<IpAddr>> {
        let external = group.options().kind == PeerKind::External;
        if !external && path.peer != PeerId::LOCAL {
            return None;
        }
        let facts = self.peers.get(usize::from(peer.0)).and_then(|peer| peer.session.as_ref());
        Some(facts.and_then(|facts| facts.next_hops.of(family)))
    }

    fn explain(&self, rib: &FamilyRib, entry: &Entry) -> Vec<PathView<'_>> {
        let world = self.world();
        let paths = entry.paths();
        let candidates: Vec<_> =
            paths.iter().filter_map(|path| world.candidate(rib.family, path)).collect();
        if candidates.len() != paths.len() {
            return Vec::new();
        }
        let mut chosen = Vec::new();
        let mut lost = BTreeMap::new();
        decide(&candidates, self.settings.multi_path, &mut chosen, |i, step| {
            lost.insert(i, step);
        });
        let why = match lost.values().max() {
            Some(last) => *last,
            None if chosen.len() > 1 => Step::Equal,
            None => Step::OnlyPath,
        };
        let state = |i: usize| match (candidates[i].ineligible, lost.get(&i)) {
            (Some(why), _) => PathState::Ineligible(why),
            (None, Some(step)) => PathState::Lost(*step),
            (None, None) if chosen.first() == Some(&i) => PathState::Best(why),
            (None, None) => PathState::Multipath,
        };
        let rest = (0..paths.len()).filter(|i| !chosen.contains(i));
        let order: Vec<usize> = chosen.iter().copied().chain(rest).collect();
        let view = |i: usize| {
            let path = paths.get(i)?;
            if world.life(rib.family, path) == Life::Dead {
                return None;
            }
            let set = self.attrs.get(path.attr)?;
            Some(PathView {
                peer: path.peer,
                attributes: &set.attributes,
                stale: world.life(rib.family, path) == Life::Stale,
                state: state(i),
            })
        };
        order.into_iter().filter_map(view).collect()
    }

    /// Whether what each group holds to be announced is what its rules give now, for tests.
    pub fn groups_agree(&self) -> bool {
        let world = self.world();
        self.families.iter().all(|rib| {
            rib.groups.iter().flatten().all(|group| {
                group.members.iter().any(|member| member.walk.is_some())
                    || (0..rib.table.end())
                        .all(|idx| group.out(idx).now == rib.source(&world, group, idx))
            })
        })
    }
}

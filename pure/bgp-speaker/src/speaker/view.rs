//! What people see of a speaker.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_packet::Attributes;
use bgp_rib::{Counts, InCounts, PathState, PathView, PeerId, Reason};
use bgp_session::{PeerConfig, Status};
use inet::{Family, Prefix};

use super::Speaker;
use crate::{Conflict, Global};

/// A peer as it is now.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Whose wish it is.
    pub owner: String,
    /// What is wanted of it.
    pub config: PeerConfig,
    /// State, since when, last failure, flaps, messages, what was agreed on.
    pub status: Status,
    /// Our address of the session, while Established.
    pub local: Option<IpAddr>,
    /// Counts by family.
    pub families: BTreeMap<Family, FamilySnapshot>,
}

/// A family of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilySnapshot {
    /// Received, accepted and stale.
    pub received: InCounts,
    /// Prefixes that the peer is told of, once it was told all.
    pub sent: u32,
}

/// A path, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView<'a> {
    /// Whom it was learned from; none: originated here.
    pub peer: Option<IpAddr>,
    /// Its attributes after import.
    pub attributes: &'a Attributes,
    /// Kept from before a restart of the peer.
    pub stale: bool,
    /// Whether it is used, and why or why not.
    pub state: PathState,
}

impl Speaker {
    /// What holds for the whole speaker; none before an owner gave it.
    pub fn global(&self) -> Option<&Global> {
        self.global.as_ref()
    }

    /// Where the owners' documents do not fit together now.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter()
    }

    /// The owners that have spoken.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.keys().map(String::as_str)
    }

    /// All peers, by address.
    pub fn peers(&self) -> impl Iterator<Item = PeerSnapshot> + '_ {
        self.peers.keys().filter_map(|address| self.peer(address))
    }

    /// One peer.
    pub fn peer(&self, address: &IpAddr) -> Option<PeerSnapshot> {
        let peer = self.peers.get(address)?;
        let counts = |family| {
            let rib = self.rib.as_ref();
            let received = rib.map(|rib| rib.in_counts(peer.id, family)).unwrap_or_default();
            let sent = rib.map_or(0, |rib| rib.out_count(peer.id, family));
            (family, FamilySnapshot { received, sent })
        };
        Some(PeerSnapshot {
            owner: peer.owner.clone(),
            config: peer.session.config().clone(),
            status: peer.session.status().clone(),
            local: peer.up.as_ref().and_then(|up| up.local),
            families: Family::ALL.map(counts).into_iter().collect(),
        })
    }

    /// All prefixes of a family with their paths, best first; in no order. Walks the table.
    pub fn routes(
        &self,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, Vec<RouteView<'_>>)> + '_ {
        self.rib.iter().flat_map(move |rib| {
            rib.prefixes(family).map(|(prefix, paths)| (prefix, self.views(paths)))
        })
    }

    /// The paths to one prefix, best first.
    pub fn route(&self, prefix: &Prefix) -> Vec<RouteView<'_>> {
        self.rib.as_ref().map(|rib| self.views(rib.paths(prefix))).unwrap_or_default()
    }

    /// What a peer has sent; in no order. Walks the table.
    pub fn adj_rib_in(
        &self,
        peer: &IpAddr,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, RouteView<'_>)> + '_ {
        let known = self.rib.as_ref().zip(self.peers.get(peer));
        known.into_iter().flat_map(move |(rib, peer)| {
            rib.adj_rib_in(peer.id, family).map(|(prefix, path)| (prefix, self.view(path)))
        })
    }

    /// What a peer is told, as it stands on the wire; in no order. Walks the table.
    pub fn adj_rib_out(
        &self,
        peer: &IpAddr,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, Attributes)> + '_ {
        let known = self.rib.as_ref().zip(self.peers.get(peer));
        known.into_iter().flat_map(move |(rib, peer)| rib.adj_rib_out(peer.id, family))
    }

    /// Why a prefix is, or is not, announced to a peer; none for an unknown peer.
    pub fn why_sent(&self, peer: &IpAddr, prefix: &Prefix) -> Option<Reason> {
        let id = self.peers.get(peer)?.id;
        Some(self.rib.as_ref().map_or(Reason::NotEstablished, |rib| rib.why_sent(id, prefix)))
    }

    /// Each next hop that is followed, with its distance if it resolves.
    pub fn next_hops(&self) -> BTreeMap<IpAddr, Option<u32>> {
        self.rib.as_ref().map(|rib| rib.next_hops()).unwrap_or_default()
    }

    /// How much the tables keep.
    pub fn counts(&self) -> Counts {
        self.rib.as_ref().map(|rib| rib.counts()).unwrap_or_default()
    }

    /// Whether each update group holds what its rules give now: for tests.
    pub fn groups_agree(&self) -> bool {
        self.rib.as_ref().is_none_or(|rib| rib.groups_agree())
    }

    fn views<'a>(&'a self, paths: Vec<PathView<'a>>) -> Vec<RouteView<'a>> {
        paths.into_iter().map(|path| self.view(path)).collect()
    }

    fn view<'a>(&'a self, path: PathView<'a>) -> RouteView<'a> {
        let address = match path.peer {
            PeerId::LOCAL => None,
            id => self.rib.as_ref().and_then(|rib| rib.address(id)),
        };
        let PathView { attributes, stale, state, .. } = path;
        RouteView { peer: address, attributes, stale, state }
    }
}

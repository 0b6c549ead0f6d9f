//! What people see of a speaker.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_packet::{Attributes, PathId};
use bgp_policy::Source;
use bgp_rib::{Counts, InCounts, PathState, PathView, PeerId, Reason, Rib};
use bgp_session::{Counters, FailureReport, Helping, PeerConfig, Status};
use inet::{Family, LinkName, Prefix, ScopedAddr};

use super::{PeerState, Speaker};
use crate::{Conflict, Global, MaxPrefixes, Peer, PeerSource};

/// A peer as it is now.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Whose wish it is.
    pub owner: String,
    /// Where it comes from.
    pub source: PeerSource,
    /// What is wanted of its session.
    pub config: PeerConfig,
    /// All that is wanted of it, as it is in force.
    pub wanted: Peer,
    /// State, since when, last failure, flaps, messages, what was agreed on.
    pub status: Status,
    /// The last thing that went wrong, taken apart.
    pub last_failure: Option<FailureReport>,
    /// Our address of the session, while Established.
    pub local: Option<IpAddr>,
    /// The interface towards it, where known.
    pub link: Option<LinkName>,
    /// Families whose routes are kept while it is away.
    pub helping: BTreeMap<Family, Helping>,
    /// Bytes that wait in the connection's send buffer, while Established.
    pub waiting: usize,
    /// Routes wait to be sent to it.
    pub behind: bool,
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
    /// How many it may send.
    pub max_prefixes: Option<MaxPrefixes>,
}

/// Whether a peer looks as it did: cheap to take of each. Two that are equal were taken of the same
/// peer, between which its [`PeerSnapshot`] has not changed but for [`Traffic`] and `behind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// See [`super::PeerState::changed`].
    changed: u64,
    /// By family: what it has sent, and how much it was told.
    counts: [(InCounts, u32); Family::ALL.len()],
}

/// What changes with each message, be it a KEEPALIVE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages received.
    pub received: Counters,
    /// Messages sent.
    pub sent: Counters,
    /// Bytes that wait in the connection's send buffer, while Established.
    pub waiting: usize,
}

/// A path, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// Whom it was learned from; none: originated here.
    pub peer: Option<ScopedAddr>,
    /// Where it is from.
    pub source: Source,
    /// The peer's path id (RFC 7911); 0 without.
    pub path_id: PathId,
    /// Its attributes after import.
    pub attributes: Attributes,
    /// Weight from the import policy.
    pub weight: u32,
    /// The import policy asks to drop what goes to the prefix.
    pub discard: bool,
    /// Kept from before a restart of the peer.
    pub stale: bool,
    /// Whether it is used, and why or why not.
    pub state: PathState,
}

impl PeerSnapshot {
    /// What changes with each message.
    pub fn traffic(&self) -> Traffic {
        let Status { received, sent, .. } = self.status;
        Traffic { received, sent, waiting: self.waiting }
    }
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
    pub fn peer(&self, address: impl Into<ScopedAddr>) -> Option<PeerSnapshot> {
        let peer = self.peers.get(&address.into())?;
        let counts = |family| {
            let rib = self.rib.as_ref();
            let received = rib.map(|rib| rib.in_counts(peer.id, family)).unwrap_or_default();
            let sent = rib.map_or(0, |rib| rib.out_count(peer.id, family));
            let max_prefixes = peer.wanted.max_prefixes.get(&family).copied();
            (family, FamilySnapshot { received, sent, max_prefixes })
        };
        let status = peer.session.status();
        Some(PeerSnapshot {
            owner: peer.owner.clone(),
            source: peer.source,
            config: peer.session.config().clone(),
            wanted: peer.wanted.clone(),
            last_failure: status.last_failure.as_ref().map(|last| last.report()),
            status: status.clone(),
            local: peer.up.as_ref().and_then(|up| up.local),
            link: peer.wanted.tcp.interface.or(peer.link.link),
            helping: peer.session.helping().collect(),
            waiting: self.waiting(peer),
            behind: self.rib.as_ref().is_some_and(|rib| rib.waits(peer.id)),
            families: Family::ALL.map(counts).into_iter().collect(),
        })
    }

    /// A glance at each peer, by address.
    pub fn glances(&self) -> impl Iterator<Item = (ScopedAddr, Glance)> + '_ {
        self.peers.iter().map(|(address, peer)| {
            let count = |family| {
                let of =
                    |rib: &Rib| (rib.in_counts(peer.id, family), rib.out_count(peer.id, family));
                self.rib.as_ref().map(of).unwrap_or_default()
            };
            (*address, Glance { changed: peer.changed, counts: Family::ALL.map(count) })
        })
    }

    /// A peer's traffic; none where it is not there.
    pub fn traffic(&self, address: impl Into<ScopedAddr>) -> Option<Traffic> {
        let peer = self.peers.get(&address.into())?;
        let Status { received, sent, .. } = peer.session.status();
        Some(Traffic { received: *received, sent: *sent, waiting: self.waiting(peer) })
    }

    fn waiting(&self, peer: &PeerState) -> usize {
        let connection = peer.up.as_ref().and_then(|up| self.conns.get(&up.conn));
        connection.map_or(0, |connection| connection.waiting())
    }

    /// All prefixes of a family with their paths, best first; in no order. Walks the table.
    pub fn routes(&self, family: Family) -> impl Iterator<Item = (Prefix, Vec<RouteView>)> + '_ {
        self.rib.iter().flat_map(move |rib| {
            rib.prefixes(family).map(|(prefix, paths)| (prefix, self.views(paths)))
        })
    }

    /// The paths to one prefix, best first.
    pub fn route(&self, prefix: &Prefix) -> Vec<RouteView> {
        self.rib.as_ref().map(|rib| self.views(rib.paths(prefix))).unwrap_or_default()
    }

    /// What a peer has sent; in no order. Walks the table.
    pub fn adj_rib_in(
        &self,
        peer: impl Into<ScopedAddr>,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, RouteView)> + '_ {
        let known = self.rib.as_ref().zip(self.peers.get(&peer.into()));
        known.into_iter().flat_map(move |(rib, peer)| {
            rib.adj_rib_in(peer.id, family).map(|(prefix, path)| (prefix, self.view(path)))
        })
    }

    /// What a peer is told, as it stands on the wire; in no order. Walks the table.
    pub fn adj_rib_out(
        &self,
        peer: impl Into<ScopedAddr>,
        family: Family,
    ) -> impl Iterator<Item = (Prefix, Attributes)> + '_ {
        let known = self.rib.as_ref().zip(self.peers.get(&peer.into()));
        known.into_iter().flat_map(move |(rib, peer)| rib.adj_rib_out(peer.id, family))
    }

    /// Why a prefix is, or is not, announced to a peer; none for an unknown peer.
    pub fn why_sent(&self, peer: impl Into<ScopedAddr>, prefix: &Prefix) -> Option<Reason> {
        let id = self.peers.get(&peer.into())?.id;
        Some(self.rib.as_ref().map_or(Reason::NotEstablished, |rib| rib.why_sent(id, prefix)))
    }

    /// Each next hop that is followed, with its distance if it resolves.
    pub fn next_hops(&self) -> BTreeMap<ScopedAddr, Option<u32>> {
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

    pub(super) fn views(&self, paths: Vec<PathView>) -> Vec<RouteView> {
        paths.into_iter().map(|path| self.view(path)).collect()
    }

    fn view(&self, path: PathView) -> RouteView {
        let peer = self.address_of(path.peer);
        let PathView { source, path_id, attributes, weight, discard, stale, state, .. } = path;
        RouteView { peer, source, path_id, attributes, weight, discard, stale, state }
    }

    /// The address of a peer of the tables; none: originated here.
    pub(super) fn address_of(&self, peer: PeerId) -> Option<ScopedAddr> {
        match peer {
            PeerId::LOCAL => None,
            id => self.rib.as_ref().and_then(|rib| rib.address(id)),
        }
    }
}

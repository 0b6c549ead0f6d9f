//! Peers without an address of their own: those that connect from a prefix, and those on a link.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use bgp_session::IdleReason;
use inet::{LinkName, Prefix, ScopedAddr};

use super::{PeerState, Speaker};
use crate::{DynamicNeighbors, PeerSource, Refusal};

/// How long a dynamic neighbor is remembered without a connection: so that people see why its
/// session has ended, and its back-off goes on.
const LINGER: Duration = Duration::from_secs(120);

/// The dynamic neighbors that an address belongs to: the longest prefix.
pub(super) fn range_of<'a>(
    ranges: &'a BTreeMap<Prefix, (String, DynamicNeighbors)>,
    address: &ScopedAddr,
) -> Option<&'a (String, DynamicNeighbors)> {
    let holds = |(prefix, _): &(&Prefix, _)| prefix.contains(&address.address());
    ranges.iter().filter(holds).max_by_key(|(prefix, _)| prefix.len()).map(|(_, range)| range)
}

impl Speaker {
    /// The neighbor on an unnumbered link.
    pub(super) fn neighbor(&mut self, link: LinkName, address: Option<Ipv6Addr>) {
        // Silence means nothing: a peer that restarts keeps its address, and its routes are kept.
        let Some(address) = address else { return };
        let address = ScopedAddr::new(address.into(), Some(link));
        if self.neighbors.insert(link, address) != Some(address) {
            self.apply();
        }
    }

    /// Makes a peer for an address that nobody has configured, if it may be one.
    pub(super) fn dynamic(&mut self, address: ScopedAddr) -> Result<(), Refusal> {
        let (Some((owner, range)), Some(global)) =
            (range_of(&self.dynamic, &address), &self.global)
        else {
            return Err(Refusal::NotConfigured);
        };
        let (owner, prefix, limit) = (owner.clone(), range.prefix, range.limit);
        let peer = global.in_force(range.peer.at(address), PeerSource::Dynamic(prefix));
        let source = PeerSource::Dynamic(prefix);
        let of_range = self.peers.iter().filter(|(_, peer)| peer.source == source);
        if of_range.clone().count() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            let idle = of_range.filter(|(_, peer)| peer.may_be_forgotten());
            let idle = idle.filter_map(|(address, peer)| Some((peer.forget_at?, *address))).min();
            let Some((_, oldest)) = idle else { return Err(Refusal::TooManyDynamic) };
            self.remove_peer(oldest);
        }
        match self.add_peer(address, owner, source, peer) {
            true => {
                self.tell_wanted();
                Ok(())
            }
            false => Err(Refusal::TooManyDynamic),
        }
    }

    /// Notes since when a dynamic neighbor has no connection.
    pub(super) fn watch_idle(&mut self, address: ScopedAddr) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let idle = peer.is_dynamic() && peer.conns.is_empty();
        if idle == peer.forget_at.is_some() {
            return;
        }
        if let Some(at) = peer.forget_at.take() {
            self.forgets.remove(&(at, address));
        }
        if idle {
            let at = self.now + LINGER;
            peer.forget_at = Some(at);
            self.forgets.insert((at, address));
        }
    }

    /// Dynamic neighbors that were away for long go.
    pub(super) fn forget_idle(&mut self) {
        while let Some((at, address)) = self.forgets.first().copied().filter(|f| f.0 <= self.now) {
            self.forgets.remove(&(at, address));
            let Some(peer) = self.peers.get_mut(&address) else { continue };
            peer.forget_at = None;
            if peer.may_be_forgotten() {
                self.remove_peer(address);
                self.tell_wanted();
            } else {
                self.watch_idle(address);
            }
        }
    }
}

impl PeerState {
    /// Whether it is only a peer because it has connected.
    pub(super) fn is_dynamic(&self) -> bool {
        match self.source {
            PeerSource::Dynamic(_) => true,
            PeerSource::Configured | PeerSource::Unnumbered(_) => false,
        }
    }

    /// Whether nothing would be lost with the peer: no routes that are kept for it, and no reason
    /// not to let it in again at once.
    fn may_be_forgotten(&self) -> bool {
        let waits = self.session.status().idle.is_some_and(|idle| match idle.reason {
            IdleReason::MaxPrefixes | IdleReason::Error | IdleReason::Oscillation => true,
            IdleReason::Stopped | IdleReason::Shutdown => false,
        });
        self.conns.is_empty() && !waits && self.session.helping().next().is_none()
    }
}

//! Policies of a new document that are those of one in force.

use bgp_policy::{Policy, Shared};

use super::Speaker;
use crate::{Desired, Peer};

impl Speaker {
    /// The document, its policies the same values as equal ones in force: each peer's are compared
    /// several times after that.
    pub(super) fn with_shared_policies(&self, mut doc: Desired) -> Desired {
        let mut shared = Shared::default();
        self.owners.values().flat_map(Desired::policies).for_each(|policy| shared.learn(policy));
        doc.policies_mut().for_each(|policy| shared.share(policy));
        doc
    }
}

impl Desired {
    fn policies(&self) -> impl Iterator<Item = &Policy> {
        fn of(peer: &Peer) -> [&Option<Policy>; 2] {
            [&peer.rules.import, &peer.rules.export]
        }
        let peers = self.peers.iter().chain(self.unnumbered.iter().map(|on| &on.peer));
        let peers = peers.chain(self.dynamic.iter().map(|range| &range.peer)).flat_map(of);
        let others = self.redistribute.iter().map(|routes| &routes.policy);
        let others = others.chain(self.aggregates.iter().map(|aggregate| &aggregate.policy));
        peers.chain(others).flatten()
    }

    fn policies_mut(&mut self) -> impl Iterator<Item = &mut Policy> {
        fn of(peer: &mut Peer) -> [&mut Option<Policy>; 2] {
            [&mut peer.rules.import, &mut peer.rules.export]
        }
        let peers = self.peers.iter_mut().chain(self.unnumbered.iter_mut().map(|on| &mut on.peer));
        let peers = peers.chain(self.dynamic.iter_mut().map(|range| &mut range.peer)).flat_map(of);
        let others = self.redistribute.iter_mut().map(|routes| &mut routes.policy);
        let others =
            others.chain(self.aggregates.iter_mut().map(|aggregate| &mut aggregate.policy));
        peers.chain(others).flatten()
    }
}

#[cfg(test)]
mod tests;

//! Members that have gone to other groups with something untold.
//!
//! What such a peer holds stays known here until its walk in another group has come by all of it.
//! Meanwhile it may be told there what this group tells nobody, and may move on: each change of
//! any prefix is kept here, so that no second group has to keep anything for it.

use crate::group::Group;
use crate::peer::PeerId;
use crate::steps;

impl Group {
    /// Whether something is kept for a peer that has gone to another group.
    pub(crate) fn keeps_for(&self, peer: PeerId) -> bool {
        steps::add(1);
        self.moved.iter().any(|(moved, _)| *moved == peer)
    }

    /// Nothing needs to be kept for the peer any more; whether something was.
    pub(crate) fn let_go(&mut self, peer: PeerId) -> bool {
        let before = self.moved.len();
        self.moved.retain(|(moved, _)| *moved != peer);
        self.moved.len() < before
    }

    /// Whether nobody needs the group.
    pub(crate) fn is_unused(&self) -> bool {
        self.members.is_empty() && self.moved.is_empty()
    }

    /// Whether somebody may hold a path of the prefix that the group was never told of.
    pub(crate) fn may_be_held(&self, idx: u32) -> bool {
        !self.moved.is_empty() || self.is_resynced(idx)
    }
}

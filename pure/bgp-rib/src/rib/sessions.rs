//! Rules of sessions, and the update groups that follow from them.

use bgp_packet::PeerKind;
use inet::Family;

use crate::export::GroupKey;
use crate::group::{Group, Member, Moved};
use crate::import::{Context, ImportRules, PeerKey};
use crate::peer::{Peer, PeerId, SessionFacts, at};
use crate::rib::Rib;

impl Rib {
    /// Takes over what a session says of its rules: what it has sent goes through import anew if
    /// that gives something else.
    pub(super) fn take_rules(&mut self, id: PeerId, facts: &SessionFacts) {
        let Some(peer) = self.peers.get(usize::from(id.0)) else { return };
        let key = PeerKey::new(peer.address, facts);
        let rules = ImportRules::new(peer.address, facts, &self.settings);
        let client = facts.rules.reflector_client && facts.options.kind == PeerKind::Internal;
        let new_rules = peer.context.rules.as_ref() != Some(&rules);
        let told_else = peer.client != client || peer.key.as_ref() != Some(&key);
        let number = if new_rules { self.context_number(&rules) } else { peer.context.number };
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return };
        (peer.client, peer.key) = (client, Some(key));
        peer.context = Context { number, rules: Some(rules) };
        for (rib, inbound) in self.families.iter_mut().zip(peer.ins) {
            rib.unshare();
            if inbound.counts.received == 0 && inbound.counts.stale == 0 {
                continue;
            }
            if new_rules {
                rib.wanted.import_of(id);
            }
            if told_else {
                rib.wanted.everything();
            }
        }
    }

    /// The number that equal rules have already, or a new one.
    pub(super) fn context_number(&mut self, rules: &ImportRules) -> u32 {
        let same = |peer: &&Peer| peer.context.rules.as_ref() == Some(rules);
        if let Some(peer) = self.peers.iter().find(same) {
            return peer.context.number;
        }
        self.contexts += 1;
        self.contexts
    }

    /// Puts a peer into the groups that its session belongs to now. `old` is what it was before.
    pub(super) fn regroup(&mut self, id: PeerId, old: Option<&SessionFacts>) {
        for family in Family::ALL {
            let Some(peer) = self.peers.get(usize::from(id.0)) else { return };
            let (Some(facts), Some(slot)) = (&peer.session, peer.groups[at(family)]) else {
                continue;
            };
            let key = GroupKey::new(family, peer.address, facts, &self.settings);
            let hops = (facts.next_hops.of(family), facts.next_hops.link_local);
            let moved =
                old.is_some_and(|old| (old.next_hops.of(family), old.next_hops.link_local) != hops);
            let rib = &mut self.families[at(family)];
            let Some(group) = rib.groups.get_mut(slot).and_then(Option::as_mut) else { continue };
            if group.key != key {
                let due = group.member(id).map(Member::due).unwrap_or_default();
                rib.leave(self.keyed, slot, id, true);
                self.join(id, family, Some(due));
            } else if moved {
                group.resync(id);
            }
        }
    }

    pub(super) fn join(&mut self, id: PeerId, family: Family, moved: Option<Moved>) {
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return };
        let Some(facts) = peer.session.as_ref().filter(|f| f.options.carries(family)) else {
            return;
        };
        let key = GroupKey::new(family, peer.address, facts, &self.settings);
        let rib = &mut self.families[at(family)];
        let found = rib.groups.iter().position(|g| g.as_ref().is_some_and(|g| g.key == key));
        let slot = found.unwrap_or_else(|| rib.add_group(Group::new(key)));
        peer.groups[at(family)] = Some(slot);
        if let Some(group) = &mut rib.groups[slot] {
            group.join(id, moved);
        }
    }

    pub(super) fn leave_groups(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return };
        let groups = std::mem::take(&mut peer.groups);
        for (rib, group) in self.families.iter_mut().zip(groups) {
            if let Some(group) = group {
                rib.leave(self.keyed, group, id, false);
            }
        }
    }
}

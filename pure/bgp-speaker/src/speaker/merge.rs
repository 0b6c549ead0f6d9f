//! Documents of several owners as one: the first by name wins.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bgp_rib::OwnRoute;
use inet::{LinkName, Prefix, ScopedAddr};

use super::find::range_of;
use crate::{
    Aggregation, Conflict, Desired, DynamicNeighbors, Global, Peer, PeerSource, Redistribution,
};

/// All owners' wishes as one.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) global: Option<(String, Global)>,
    pub(super) peers: BTreeMap<ScopedAddr, Wanted>,
    pub(super) unnumbered: BTreeMap<LinkName, (String, Peer)>,
    pub(super) dynamic: BTreeMap<Prefix, (String, DynamicNeighbors)>,
    pub(super) own: BTreeMap<Prefix, (String, OwnRoute)>,
    pub(super) redistribute: Vec<Redistribution>,
    pub(super) aggregates: BTreeMap<Prefix, (String, Aggregation)>,
    pub(super) conflicts: BTreeSet<Conflict>,
}

/// A peer that is to be there.
pub(super) struct Wanted {
    pub(super) owner: String,
    pub(super) peer: Peer,
    pub(super) source: PeerSource,
}

impl Merged {
    pub(super) fn add(&mut self, owner: &str, doc: &Desired) {
        self.add_global(owner, doc);
        let ignored = owner.to_owned();
        for peer in &doc.peers {
            self.add_peer(owner, peer.clone(), PeerSource::Configured);
        }
        for unnumbered in &doc.unnumbered {
            match self.unnumbered.entry(unnumbered.link) {
                Entry::Vacant(vacant) => {
                    vacant.insert((owner.to_owned(), unnumbered.peer.clone()));
                }
                Entry::Occupied(first) => {
                    self.conflicts.insert(Conflict::DuplicateUnnumbered {
                        link: unnumbered.link,
                        owner: first.get().0.clone(),
                        ignored: ignored.clone(),
                    });
                }
            }
        }
        for range in &doc.dynamic {
            match self.dynamic.entry(range.prefix) {
                Entry::Vacant(vacant) => {
                    vacant.insert((owner.to_owned(), range.clone()));
                }
                Entry::Occupied(first) => {
                    self.conflicts.insert(Conflict::DuplicateDynamic {
                        prefix: range.prefix,
                        owner: first.get().0.clone(),
                        ignored: ignored.clone(),
                    });
                }
            }
        }
        for origination in &doc.originate {
            let route = OwnRoute::from(origination);
            match self.own.entry(origination.prefix) {
                Entry::Vacant(vacant) => {
                    vacant.insert((owner.to_owned(), route));
                }
                Entry::Occupied(first) if first.get().1 == route => {}
                Entry::Occupied(first) => {
                    self.conflicts.insert(Conflict::DuplicatePrefix {
                        prefix: origination.prefix,
                        owner: first.get().0.clone(),
                        ignored: ignored.clone(),
                    });
                }
            }
        }
        self.redistribute.extend(doc.redistribute.iter().cloned());
        for aggregation in &doc.aggregates {
            match self.aggregates.entry(aggregation.route.prefix) {
                Entry::Vacant(vacant) => {
                    vacant.insert((owner.to_owned(), aggregation.clone()));
                }
                Entry::Occupied(first) if first.get().1 == *aggregation => {}
                Entry::Occupied(first) => {
                    self.conflicts.insert(Conflict::DuplicateAggregate {
                        prefix: aggregation.route.prefix,
                        owner: first.get().0.clone(),
                        ignored: ignored.clone(),
                    });
                }
            }
        }
    }

    fn add_global(&mut self, owner: &str, doc: &Desired) {
        let Some(global) = &doc.global else { return };
        match &self.global {
            None => self.global = Some((owner.to_owned(), global.clone())),
            Some((_, first)) if first == global => {}
            Some((first_owner, first)) => {
                self.conflicts.insert(Conflict::DifferentGlobal {
                    owner: first_owner.clone(),
                    ignored: owner.to_owned(),
                    asn: first.asn,
                    router_id: first.router_id,
                });
            }
        }
    }

    fn add_peer(&mut self, owner: &str, peer: Peer, source: PeerSource) {
        match self.peers.entry(peer.key()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Wanted { owner: owner.to_owned(), peer, source });
            }
            // One session per address, even where both want the same.
            Entry::Occupied(first) => {
                self.conflicts.insert(Conflict::DuplicatePeer {
                    address: peer.key(),
                    owner: first.get().owner.clone(),
                    ignored: owner.to_owned(),
                });
            }
        }
    }

    /// Adds the peers that have no address of their own: those that were found on links, and those
    /// that have connected. All are as they are to be in force then.
    pub(super) fn find_peers(
        &mut self,
        found: &BTreeMap<LinkName, ScopedAddr>,
        accepted: impl Iterator<Item = ScopedAddr>,
    ) {
        let Some((_, global)) = self.global.clone() else {
            // Without an AS number there is nobody to be.
            self.peers.clear();
            self.unnumbered.clear();
            self.dynamic.clear();
            return;
        };
        for (link, (owner, peer)) in self.unnumbered.clone() {
            if let Some(address) = found.get(&link) {
                self.add_peer(&owner, peer.at(*address), PeerSource::Unnumbered(link));
            }
        }
        for address in
            accepted.filter(|address| !self.peers.contains_key(address)).collect::<Vec<_>>()
        {
            if let Some((owner, range)) = range_of(&self.dynamic, &address) {
                let (owner, peer) = (owner.clone(), range.peer.at(address));
                self.add_peer(&owner, peer, PeerSource::Dynamic(range.prefix));
            }
        }
        for wanted in self.peers.values_mut() {
            wanted.peer = global.in_force(wanted.peer.clone(), wanted.source);
        }
    }
}

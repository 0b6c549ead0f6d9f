//! What the owners want, made into one, and compared with what is.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_packet::Cease;
use bgp_rib::{OwnRoute, Rib, Settings};
use bgp_session::{Change, Event as SessionEvent, PeerConfig, Session, Stop};
use inet::Prefix;

use super::{Selection, Speaker};
use crate::{Conflict, Desired, Event, Global, Origination, Output};

/// All owners' wishes as one.
#[derive(Default)]
struct Merged {
    global: Option<(String, Global)>,
    peers: BTreeMap<IpAddr, (String, PeerConfig)>,
    own: BTreeMap<Prefix, (String, OwnRoute)>,
    conflicts: BTreeSet<Conflict>,
}

impl Speaker {
    /// Makes what is equal to what is wanted.
    pub(super) fn apply(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let mut merged = Merged::default();
        for (owner, doc) in &self.owners {
            merged.add(owner, doc);
        }
        let global = merged.global.take().map(|(_, global)| global);
        if global.is_none() {
            // Without an AS number there is nobody to be.
            merged.peers.clear();
        }
        self.apply_global(global);
        self.apply_peers(merged.peers, &mut merged.conflicts);
        self.apply_own(merged.own);
        for conflict in merged.conflicts.difference(&self.conflicts) {
            self.outputs.push_back(Output::Happened(Event::Conflict(conflict.clone())));
        }
        self.conflicts = merged.conflicts;
        self.select_if_complete();
    }

    fn apply_global(&mut self, wanted: Option<Global>) {
        if self.global == wanted {
            return;
        }
        self.global = wanted;
        let Some(global) = self.global.clone() else { return };
        let settings = Settings {
            asn: global.asn,
            router_id: global.router_id,
            multi_path: global.multi_path,
            transit: global.transit,
        };
        // Sessions of another AS number or router id end before the tables change.
        self.tell_local();
        match &mut self.rib {
            Some(rib) => rib.configure(settings),
            None => {
                let mut rib = Rib::new(self.seed, settings);
                if matches!(self.selection, Selection::Deferred { .. }) {
                    rib.defer();
                }
                self.rib = Some(rib);
            }
        }
    }

    /// Tells each session what holds for us.
    pub(super) fn tell_local(&mut self) {
        let Some(global) = &self.global else { return };
        let local = self.local(global);
        for address in self.peers.keys().copied().collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(&address) {
                peer.session.reconfigure_local(self.now, local.clone());
                self.run(address);
            }
        }
    }

    fn apply_peers(
        &mut self,
        wanted: BTreeMap<IpAddr, (String, PeerConfig)>,
        conflicts: &mut BTreeSet<Conflict>,
    ) {
        let gone: Vec<IpAddr> =
            self.peers.keys().filter(|address| !wanted.contains_key(address)).copied().collect();
        for address in gone {
            let stop = Stop::Cease { why: Cease::PeerDeconfigured, communication: None };
            self.tell(address, SessionEvent::Stop(stop));
            self.remove_peer(address);
        }
        for (address, (owner, config)) in wanted {
            match self.peers.get_mut(&address) {
                Some(peer) => {
                    peer.owner = owner;
                    let change = peer.session.reconfigure(self.now, config);
                    self.run(address);
                    match change {
                        Change::Live => self.refresh_facts(address),
                        Change::Nothing | Change::Reset => {}
                    }
                }
                None => {
                    if !self.add_peer(address, owner, config) {
                        conflicts.insert(Conflict::TooManyPeers { address });
                    }
                }
            }
        }
    }

    fn add_peer(&mut self, address: IpAddr, owner: String, config: PeerConfig) -> bool {
        let (Some(rib), Some(global)) = (&mut self.rib, &self.global) else { return false };
        let Some(id) = rib.add_peer(address) else { return false };
        let local = self.local(global);
        // Each session has jitter of its own.
        let octets = match address {
            IpAddr::V4(a) => u64::from(u32::from(a)),
            IpAddr::V6(a) => (u128::from(a) ^ (u128::from(a) >> 64)) as u64,
        };
        let seed = self.seed ^ octets.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let peer = self.new_peer(id, owner, Session::new(config, local, seed));
        self.peers.insert(address, peer);
        if self.kernel_synced {
            self.tell(address, SessionEvent::Start);
        }
        true
    }

    fn remove_peer(&mut self, address: IpAddr) {
        let Some(peer) = self.peers.remove(&address) else { return };
        if let Some((at, _)) = peer.timer {
            self.timers.remove(&(at, address));
        }
        for conn in peer.conns.values() {
            self.conns.remove(conn);
            self.outputs.push_back(Output::Close { conn: *conn });
        }
        if let Some(rib) = &mut self.rib {
            rib.remove_peer(peer.id);
        }
    }

    fn apply_own(&mut self, wanted: BTreeMap<Prefix, (String, OwnRoute)>) {
        let wanted: BTreeMap<Prefix, OwnRoute> =
            wanted.into_iter().map(|(prefix, (_, route))| (prefix, route)).collect();
        let gone = self.own.keys().filter(|prefix| !wanted.contains_key(prefix));
        let changed = wanted.iter().filter(|(prefix, route)| self.own.get(prefix) != Some(*route));
        let changes: Vec<Prefix> =
            gone.copied().chain(changed.map(|(prefix, _)| *prefix)).collect();
        self.own_changes.extend(changes);
        self.own = wanted;
    }
}

impl Merged {
    fn add(&mut self, owner: &str, doc: &Desired) {
        let ignored = || owner.to_owned();
        if let Some(global) = &doc.global {
            match &self.global {
                None => self.global = Some((owner.to_owned(), global.clone())),
                Some((_, first)) if first == global => {}
                Some((first_owner, first)) => {
                    self.conflicts.insert(Conflict::DifferentGlobal {
                        owner: first_owner.clone(),
                        ignored: ignored(),
                        asn: first.asn,
                        router_id: first.router_id,
                    });
                }
            }
        }
        for peer in &doc.peers {
            match self.peers.entry(peer.address) {
                Entry::Vacant(vacant) => {
                    vacant.insert((owner.to_owned(), peer.clone()));
                }
                // One session per address, even where both want the same.
                Entry::Occupied(first) => {
                    self.conflicts.insert(Conflict::DuplicatePeer {
                        address: peer.address,
                        owner: first.get().0.clone(),
                        ignored: ignored(),
                    });
                }
            }
        }
        for origination in &doc.originate {
            let route = own_route(origination);
            match self.own.entry(origination.prefix) {
                Entry::Vacant(vacant) => {
                    vacant.insert((owner.to_owned(), route));
                }
                Entry::Occupied(first) if first.get().1 == route => {}
                Entry::Occupied(first) => {
                    self.conflicts.insert(Conflict::DuplicatePrefix {
                        prefix: origination.prefix,
                        owner: first.get().0.clone(),
                        ignored: ignored(),
                    });
                }
            }
        }
    }
}

fn own_route(origination: &Origination) -> OwnRoute {
    OwnRoute {
        origin: origination.origin,
        med: origination.med,
        local_pref: origination.local_pref,
        communities: origination.communities.clone(),
        large_communities: origination.large_communities.clone(),
        groups: origination.groups.clone(),
    }
}

//! What the owners want, made into one, and compared with what is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use bgp_packet::Cease;
use bgp_rib::{Rib, Settings, WithoutPolicy};
use bgp_session::{Change, Event as SessionEvent, Planned, Session, Stop};
use inet::ScopedAddr;

use super::merge::{Merged, Wanted};
use super::{PeerState, Selection, Speaker, watch};
use crate::{
    AoChange, Conflict, Desired, Event, Global, Output, Peer, PeerSource, Plan, TcpAo, TcpOptions,
    TcpPeer, Watched, Who,
};

impl Speaker {
    /// Makes what is equal to what is wanted.
    pub(super) fn apply(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let mut merged = self.merged(self.owners.iter());
        let conflicts = &mut merged.conflicts;
        self.apply_global(merged.global.map(|(_, global)| global));
        self.dynamic = merged.dynamic;
        let links = merged.unnumbered.into_iter();
        self.unnumbered = links
            .map(|(link, (_, peer))| (link, TcpOptions { interface: Some(link), ..peer.tcp }))
            .collect();
        self.apply_peers(merged.peers, conflicts);
        let own = merged.own.into_iter().map(|(prefix, (_, route))| (prefix, route)).collect();
        self.apply_own(own, merged.redistribute);
        let aggregates = self.aggregates(merged.aggregates.values().map(|(_, wanted)| wanted));
        if let Some(rib) = &mut self.rib {
            rib.aggregate(aggregates);
        }
        for conflict in conflicts.difference(&self.conflicts) {
            self.outputs.push_back(Output::Happened(Event::Conflict(conflict.clone())));
        }
        self.conflicts = merged.conflicts;
        self.tell_wanted();
        self.select_if_complete();
    }

    /// What a document of this owner would do, in place of its last one.
    pub fn plan(&self, owner: &str, doc: &Desired) -> Plan {
        let others = self.owners.iter().filter(|(name, _)| *name != owner);
        let mut owners: BTreeMap<&String, &Desired> = others.collect();
        let (owner, doc) = (owner.to_owned(), self.with_shared_policies(doc.clone()));
        owners.insert(&owner, &doc);
        let merged = self.merged(owners.into_iter());
        let mut plan = Plan::default();
        let global = merged.global.as_ref().map(|(_, global)| global);
        let ours = match (&self.global, global) {
            (Some(old), Some(new)) => {
                let differs = [
                    ("the speaker's asn", old.asn != new.asn),
                    ("the speaker's router_id", old.router_id != new.router_id),
                ];
                differs.into_iter().filter(|(_, differs)| *differs).map(|(why, _)| why).collect()
            }
            (None, _) | (_, None) => Vec::new(),
        };
        for (address, wanted) in &merged.peers {
            let Some(peer) = self.peers.get(address) else {
                plan.added.push(*address);
                continue;
            };
            let mut planned = peer.planned(&wanted.peer);
            planned.resets.extend(&ours);
            if !planned.resets.is_empty() {
                plan.resets.push((*address, planned.resets));
            } else if !planned.live.is_empty() {
                plan.live.push((*address, planned.live));
            }
        }
        let gone = self.peers.keys().filter(|address| !merged.peers.contains_key(address));
        plan.removed = gone.copied().collect();
        plan.conflicts = merged.conflicts.difference(&self.conflicts).cloned().collect();
        plan
    }

    /// All owners' wishes as one.
    fn merged<'a>(&self, owners: impl Iterator<Item = (&'a String, &'a Desired)>) -> Merged {
        let mut merged = Merged::default();
        for (owner, doc) in owners {
            merged.add(owner, doc);
        }
        let accepted = self.peers.iter().filter(|(_, peer)| peer.is_dynamic());
        merged.find_peers(&self.neighbors, accepted.map(|(address, _)| *address));
        merged
    }

    fn apply_global(&mut self, wanted: Option<Global>) {
        if self.global == wanted {
            return;
        }
        let old = std::mem::replace(&mut self.global, wanted);
        let Some(global) = self.global.clone() else { return };
        let settings = Settings {
            asn: global.asn,
            router_id: global.router_id,
            multipath: global.multi_path,
            transit: global.transit,
            cluster_id: global.cluster_id,
            default_local_pref: global.default_local_pref,
        };
        self.redistribute_again(old.as_ref(), &global);
        // Sessions of another AS number or router id end before the tables change.
        self.tell_local();
        match &mut self.rib {
            Some(rib) => {
                rib.configure(settings);
                for (peer, _) in self.peers.iter().filter(|(_, peer)| peer.up.is_some()) {
                    self.tap.routes(|| Watched::Imported { peer: *peer });
                }
            }
            None => {
                let mut rib = Rib::new(self.seed, settings);
                if matches!(self.selection, Selection::Deferred { .. }) {
                    rib.defer();
                }
                rib.watch_used(self.tap.watch.used);
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
                self.note(address);
                self.run(address);
            }
        }
    }

    fn apply_peers(
        &mut self,
        wanted: BTreeMap<ScopedAddr, Wanted>,
        conflicts: &mut BTreeSet<Conflict>,
    ) {
        let gone: Vec<ScopedAddr> =
            self.peers.keys().filter(|address| !wanted.contains_key(address)).copied().collect();
        for address in gone {
            self.remove_peer(address);
        }
        for (address, Wanted { owner, peer, source }) in wanted {
            match self.peers.get_mut(&address) {
                Some(state) => {
                    let differs = (&state.owner, state.source) != (&owner, source);
                    if differs || state.wanted != peer {
                        (state.owner, state.source) = (owner, source);
                        self.note(address);
                    }
                    self.change_peer(address, peer);
                }
                None => {
                    if !self.add_peer(address, owner, source, peer) {
                        conflicts.insert(Conflict::TooManyPeers { address });
                    }
                }
            }
        }
    }

    fn change_peer(&mut self, address: ScopedAddr, new: Peer) {
        let Some(state) = self.peers.get_mut(&address) else { return };
        let planned = state.planned(&new);
        let imports = watch::imports_else(&state.wanted, &new);
        state.wanted = new.clone();
        let change = state.session.reconfigure(self.now, new.session);
        self.run(address);
        match (change, planned.change()) {
            // What TCP was made with is not the session's own.
            (Change::Nothing | Change::Live, Change::Reset) => {
                if let Some(state) = self.peers.get_mut(&address) {
                    state.session.reset_for_change(self.now);
                    self.run(address);
                }
            }
            (Change::Nothing | Change::Live, Change::Live) => {
                self.refresh_facts(address);
                if imports {
                    self.tap.routes(|| Watched::Imported { peer: address });
                }
                self.check_limits(address);
            }
            (Change::Nothing | Change::Live, Change::Nothing) | (Change::Reset, _) => {}
        }
        self.watch_idle(address);
    }

    pub(super) fn add_peer(
        &mut self,
        address: ScopedAddr,
        owner: String,
        source: PeerSource,
        wanted: Peer,
    ) -> bool {
        let (Some(rib), Some(global)) = (&mut self.rib, &self.global) else { return false };
        let Some(id) = rib.add_peer(address) else { return false };
        let local = self.local(global);
        // Each session has jitter of its own.
        let octets = match address.address() {
            IpAddr::V4(a) => u64::from(u32::from(a)),
            IpAddr::V6(a) => (u128::from(a) ^ (u128::from(a) >> 64)) as u64,
        };
        let link = address.link();
        let name = link.iter().flat_map(|link| link.as_str().bytes());
        let octets = name.fold(octets, |all, byte| all.rotate_left(7) ^ u64::from(byte));
        let seed = self.seed ^ octets.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let session = Session::new(wanted.session.clone(), local, seed);
        let mut peer = PeerState::new(id, owner, source, wanted, session);
        if let Some((_, link)) = self.stranger.take_if(|(stranger, _)| *stranger == address) {
            peer.link = link;
        }
        self.peers.insert(address, peer);
        self.note(address);
        self.outputs.push_back(Output::Happened(Event::Added { peer: address, source }));
        if self.kernel_synced {
            self.tell(address, SessionEvent::Start);
        }
        true
    }

    /// Ends the peer's session and forgets it.
    pub(super) fn remove_peer(&mut self, address: ScopedAddr) {
        let stop = Stop::Cease { why: Cease::PeerDeconfigured, communication: None };
        self.tell(address, SessionEvent::Stop(stop));
        self.forget_backlog(address);
        let Some(peer) = self.peers.remove(&address) else { return };
        if let Some((at, _)) = peer.timer {
            self.timers.remove(&(at, address));
        }
        if let Some(at) = peer.forget_at {
            self.forgets.remove(&(at, address));
        }
        for conn in peer.conns.values() {
            self.close(*conn);
        }
        if let Some(rib) = &mut self.rib {
            rib.remove_peer(peer.id);
        }
        self.outputs.push_back(Output::Happened(Event::Removed { peer: address }));
    }

    /// Tells the sets that others must know, where they are different now.
    pub(super) fn tell_wanted(&mut self) {
        let peers = self.tcp_peers();
        if self.told.peers != peers {
            // Before the connections that need it; an older one must not come after it.
            self.outputs.retain(|output| !matches!(output, Output::Peers(_)));
            self.outputs.push_front(Output::Peers(peers.clone()));
            self.told.peers = peers;
        }
        let links: BTreeSet<_> = self.unnumbered.keys().copied().collect();
        tell(&mut self.outputs, &mut self.told.links, links, Output::Find);
        let asn = self.global.as_ref().map(|global| global.asn);
        let bfd = asn.map(|asn| {
            self.peers.values().filter_map(|peer| peer.wanted.bfd_session(asn)).collect()
        });
        tell(&mut self.outputs, &mut self.told.bfd, bfd.unwrap_or_default(), Output::Bfd);
        let routes = self.redistribute.iter().map(|r| (r.source, r.table)).collect();
        tell(&mut self.outputs, &mut self.told.routes, routes, Output::Redistribute);
    }

    fn tcp_peers(&self) -> Vec<TcpPeer> {
        let configured = self.peers.iter().filter_map(|(address, peer)| match peer.source {
            PeerSource::Configured => Some((Who::Address(*address), &peer.wanted.tcp)),
            PeerSource::Unnumbered(_) | PeerSource::Dynamic(_) => None,
        });
        let links = self.unnumbered.iter().map(|(link, tcp)| (Who::On(*link), tcp));
        let ranges = self.dynamic.iter().map(|(p, (_, range))| (Who::Within(*p), &range.peer.tcp));
        let all = configured.chain(links).chain(ranges);
        all.map(|(who, tcp)| TcpPeer { who, tcp: tcp.clone() }).collect()
    }
}

/// Tells a set in place of the last one, where it is another one.
fn tell<T: PartialEq + Clone>(
    outputs: &mut VecDeque<Output>,
    told: &mut T,
    now: T,
    output: fn(T) -> Output,
) {
    if *told != now {
        told.clone_from(&now);
        outputs.push_back(output(now));
    }
}

impl PeerState {
    /// What another wish would do.
    pub(super) fn planned(&self, new: &Peer) -> Planned {
        let mut planned = self.session.planned(&new.session);
        let (old, rules) = (&self.wanted, &self.wanted.rules);
        let ao = TcpAo::change(old.tcp.ao.as_ref(), new.tcp.ao.as_ref());
        let resets = [
            ("ttl_security", old.tcp.ttl_security != new.tcp.ttl_security),
            ("interface", old.tcp.interface != new.tcp.interface),
            ("tcp_ao", ao == AoChange::Reset),
        ];
        let live = [
            ("import", rules.import != new.rules.import),
            ("export", rules.export != new.rules.export),
            ("require_policy", rules.without_policy != new.rules.without_policy),
            ("route_reflector_client", rules.reflector_client != new.rules.reflector_client),
            ("next_hop", rules.next_hop != new.rules.next_hop),
            ("allow_own_as", rules.allow_own_as != new.rules.allow_own_as),
            ("accept_as_sets", rules.accept_as_sets != new.rules.accept_as_sets),
            ("as_override", rules.as_override != new.rules.as_override),
            ("remove_private_as", rules.remove_private_as != new.rules.remove_private_as),
            ("add_path_send", rules.add_path_send != new.rules.add_path_send),
            // The peer may change its own in time.
            ("password", old.tcp.password != new.tcp.password),
            ("tcp_ao", ao == AoChange::Live),
            ("bfd", old.bfd != new.bfd),
            ("max_prefixes", old.max_prefixes != new.max_prefixes),
        ];
        let differing = |fields: &[(&'static str, bool)], to: &mut Vec<&'static str>| {
            to.extend(fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name));
        };
        differing(&resets, &mut planned.resets);
        differing(&live, &mut planned.live);
        planned
    }
}

impl Global {
    /// What is wanted of a peer, with all that follows from elsewhere.
    pub(super) fn in_force(&self, mut peer: Peer, source: PeerSource) -> Peer {
        if self.require_policy {
            peer.rules.without_policy = WithoutPolicy::Reject;
        }
        peer.rules.role = peer.session.role;
        peer.rules.local_as = peer.session.local_as.map(|local| bgp_rib::LocalAs {
            asn: local.asn,
            prepend: local.prepend,
            replace: local.replace,
        });
        match source {
            PeerSource::Configured => {}
            // Its address is only good on the link.
            PeerSource::Unnumbered(link) => peer.tcp.interface = Some(link),
            PeerSource::Dynamic(_) => peer.session.passive = true,
        }
        peer
    }
}

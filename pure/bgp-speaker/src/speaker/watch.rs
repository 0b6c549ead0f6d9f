//! For those who tell others of sessions and routes as they change (BMP, MRT).

use std::collections::{BTreeMap, VecDeque};

use bgp_packet::{Attributes, PathId, Update};
use bgp_session::Conn;
use inet::{Prefix, ScopedAddr, Timestamp};

use super::{Speaker, Up};
use crate::{Established, Peer, Watch, Watched};

/// The type of an OPEN, at its place in the header (RFC 4271 §4.1).
const OPEN: Option<&u8> = Some(&1);
const TYPE: usize = 18;

/// Who watches, and what is to be told.
#[derive(Debug, Default)]
pub(super) struct Tap {
    pub(super) watch: Watch,
    queue: VecDeque<Watched>,
}

/// The two OPENs of a connection. Kept whether somebody watches or not: who comes later wants
/// them too.
#[derive(Clone, Debug, Default)]
pub(super) struct Opens {
    sent: Vec<u8>,
    received: Vec<u8>,
}

/// The OPENs of a peer's connections, whose fate is not known yet.
pub(super) type OpensOf = BTreeMap<Conn, Opens>;

pub(super) fn note_sent(opens: &mut OpensOf, conn: Conn, bytes: &[u8]) {
    if bytes.get(TYPE) == OPEN {
        opens.entry(conn).or_default().sent = bytes.to_vec();
    }
}

pub(super) fn note_received(opens: &mut OpensOf, conn: Conn, bytes: &[u8]) {
    if bytes.get(TYPE) == OPEN {
        opens.entry(conn).or_default().received = bytes.to_vec();
    }
}

impl Tap {
    pub(super) fn session(&mut self, told: impl FnOnce() -> Watched) {
        if self.watch.sessions {
            self.queue.push_back(told());
        }
    }

    pub(super) fn routes(&mut self, told: impl FnOnce() -> Watched) {
        if self.watch.updates {
            self.queue.push_back(told());
        }
    }

    pub(super) fn update(
        &mut self,
        peer: ScopedAddr,
        bytes: &[u8],
        update: &Update<'_>,
        malformed: bool,
    ) {
        self.routes(|| {
            let reach = update.reach.iter().map(|reach| &reach.nlri);
            let nlri = update.withdrawn.iter().chain(reach);
            let paths = nlri.flat_map(|nlri| nlri.paths()).map(|(id, prefix)| (prefix, id));
            Watched::Update { peer, bytes: bytes.to_vec(), paths: paths.collect(), malformed }
        });
    }
}

impl Speaker {
    /// What is told by [`Speaker::poll_watched`] from now on. Sessions that are there already are
    /// [`Speaker::established`]'s.
    pub fn watch(&mut self, watch: Watch) {
        self.tap.watch = watch;
        self.tap.queue.retain(|told| match told {
            Watched::Up(_) | Watched::Down { .. } => watch.sessions,
            Watched::Update { .. } | Watched::Swept { .. } | Watched::Imported { .. } => {
                watch.updates
            }
            Watched::Used(_) => watch.used,
        });
        if let Some(rib) = &mut self.rib {
            rib.watch_used(watch.used);
        }
    }

    /// The next thing that those who watch are told. To be emptied after each input and tick.
    pub fn poll_watched(&mut self) -> Option<Watched> {
        if let Some(told) = self.tap.queue.pop_front() {
            return Some(told);
        }
        self.rib.as_mut()?.poll_used().map(Watched::Used)
    }

    /// All sessions that are Established.
    pub fn established(&self) -> impl Iterator<Item = Established> + '_ {
        self.peers.iter().filter_map(|(address, peer)| {
            Some(established(*address, peer.up.as_ref()?, peer.session.status().since))
        })
    }

    /// Whether a walk over the tables is under way, or about to be.
    pub fn is_walking(&self) -> bool {
        self.rib.as_ref().is_some_and(bgp_rib::Rib::has_work)
    }

    /// What a path that a peer has sent has: as it came, or with `accepted` as import leaves it;
    /// none where it is not there, was kept from before a restart, or is refused by import.
    pub fn path_in(
        &self,
        peer: impl Into<ScopedAddr>,
        prefix: &Prefix,
        path_id: PathId,
        accepted: bool,
    ) -> Option<Attributes> {
        let id = self.peers.get(&peer.into())?.id;
        self.rib.as_ref()?.path_in(id, prefix, path_id, accepted)
    }

    /// What the best path of a prefix has; none where no path is used.
    pub fn best_path(&self, prefix: &Prefix) -> Option<Attributes> {
        self.rib.as_ref()?.best_path(prefix)
    }
}

/// Whether import may make something else of a peer's routes.
pub(super) fn imports_else(old: &Peer, new: &Peer) -> bool {
    let rules = |peer: &Peer| {
        let rules = &peer.rules;
        (rules.without_policy, rules.allow_own_as, rules.accept_as_sets, rules.local_as, rules.role)
    };
    // Policies may ask for name and groups.
    old.rules.import != new.rules.import
        || rules(old) != rules(new)
        || old.rules.reflector_client != new.rules.reflector_client
        || old.session.name != new.session.name
        || old.session.groups != new.session.groups
}

pub(super) fn established(peer: ScopedAddr, up: &Up, since: Timestamp) -> Established {
    let negotiated = &up.negotiated;
    Established {
        peer,
        conn: up.conn,
        local: up.local,
        asn: negotiated.asn,
        own_asn: negotiated.own_asn,
        router_id: negotiated.router_id,
        families: negotiated.families.clone(),
        options: negotiated.options,
        since,
        sent_open: up.opens.sent.clone(),
        received_open: up.opens.received.clone(),
    }
}

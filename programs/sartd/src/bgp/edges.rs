//! What the speaker wants of the world beside connections: keys, neighbors on links, BFD, and the
//! kernel's routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV6};

use bfd::Key;
use bgp_policy::KernelSource;
use bgp_speaker::{BfdSession, Input, KernelRoute, PeerSource, TcpOptions, TcpPeer, Who};
use inet::{LinkName, NextHop, Prefix, ScopedAddr, Timestamp, is_link_local};
use node_api::v1;
use route_table::{LinkIndex, Origin, Redistributed, RouteTable, Selector};
use sockets::{Found, Neighbors, PeerError};

use super::bfd_task::{BfdTask, Standing};
use super::clock::Clock;
use super::keys;
use super::router::Router;
use super::show;

/// What is kept of it.
#[derive(Debug)]
pub(super) struct Edges {
    search: Neighbors,
    pub(super) bfd: BfdTask,
    /// Peers whose key is not in force, and why.
    key_errors: BTreeMap<Who, String>,
    /// What TCP must know, by whom it is of.
    peers: BTreeMap<Who, TcpOptions>,
    /// BFD sessions that are wanted, and those among them that can be, by peer.
    sessions: Vec<BfdSession>,
    keys: BTreeMap<ScopedAddr, Key>,
}

impl Edges {
    pub(super) fn new(search: Neighbors, bfd: BfdTask) -> Edges {
        Edges {
            search,
            bfd,
            key_errors: BTreeMap::new(),
            peers: BTreeMap::new(),
            sessions: Vec::new(),
            keys: BTreeMap::new(),
        }
    }

    /// What TCP knows of all peers.
    pub(super) fn tcp_peers(&self) -> impl Iterator<Item = (&Who, &TcpOptions)> {
        self.peers.iter()
    }

    /// Notes whose key is not in force; says whether others than before.
    fn note_keys(&mut self, wrong: &[PeerError]) -> bool {
        let mut errors = BTreeMap::new();
        for (who, tcp) in &self.peers {
            // The sockets have one key for an address on all links.
            let theirs = wrong.iter().find(|error| error.who == socket_who(*who));
            let reason = theirs.map(|error| error.reason.clone()).or(keys::auth(tcp).err());
            errors.extend(reason.map(|reason| (*who, reason)));
        }
        let changed = errors != self.key_errors;
        self.key_errors = errors;
        changed
    }

    /// The address to dial: a link-local one with its link.
    pub(super) fn dialled(
        &self,
        table: &RouteTable,
        peer: SocketAddr,
        tcp: &TcpOptions,
    ) -> Result<SocketAddr, String> {
        match peer {
            SocketAddr::V6(v6) if is_link_local(&peer.ip()) && v6.scope_id() == 0 => {
                let link = tcp.interface.ok_or("a link-local address needs an interface")?;
                let index = index_of(table, link);
                let index = index.ok_or_else(|| format!("there is no interface {link}"))?;
                Ok(SocketAddrV6::new(*v6.ip(), v6.port(), 0, index.0).into())
            }
            peer => Ok(peer),
        }
    }

    /// What a person should know.
    pub(super) fn conditions(&self) -> Vec<(&'static str, String)> {
        let keys = self.key_errors.iter();
        let keys = keys.map(|(who, reason)| {
            ("KeyNotInForce", format!("{}: {reason}; it is not let in", words(who)))
        });
        let bfd = self.bfd.failure().map(|reason| ("BfdFailed", reason));
        keys.chain(bfd).collect()
    }

    /// Whether something may be known here of a peer.
    pub(super) fn concern(&self, address: ScopedAddr) -> bool {
        !self.key_errors.is_empty() || self.sessions.iter().any(|session| session.peer == address)
    }

    /// Lays over a peer what is known of it here.
    pub(super) fn show(
        &self,
        clock: &Clock,
        address: ScopedAddr,
        source: PeerSource,
        to: &mut v1::Neighbor,
    ) {
        let link = address.link();
        let who = match source {
            PeerSource::Configured => Who::Address(address),
            PeerSource::Unnumbered(link) => Who::On(link),
            PeerSource::Dynamic(prefix) => Who::Within(prefix),
        };
        if let Some(error) = self.key_errors.get(&who) {
            to.key_error.clone_from(error);
        }
        if to.interface.is_empty()
            && let Some(link) = link
        {
            to.interface = link.to_string();
        }
        let Some(session) = self.sessions.iter().find(|session| session.peer == address) else {
            return;
        };
        let standing = match self.keys.get(&address) {
            Some(key) => self.bfd.standing(key),
            None => {
                let link = session.interface.or(link);
                let link = link.map_or_else(|| "its interface".to_owned(), |l| l.to_string());
                Standing::Without(format!("{link} is not there"))
            }
        };
        to.bfd = Some(show::bfd(clock, &standing, session.hop));
    }
}

/// An address as a next hop: a link-local one with its link.
pub(super) fn next_hop(address: ScopedAddr) -> NextHop {
    NextHop { interface: address.link(), ..NextHop::from(address.address()) }
}

impl Router {
    /// All peers as TCP must know them.
    pub(super) fn tcp_peers(&mut self, peers: Vec<TcpPeer>) {
        let vrf = self.bound_to();
        // One without is left out: it is not let in, and a dial is refused.
        let known = peers.iter().filter_map(|peer| tcp_peer(peer, vrf).ok()).collect();
        let wrong = self.parts.sockets.set_peers(known);
        let edges = &mut self.parts.edges;
        edges.peers = peers.into_iter().map(|peer| (peer.who, peer.tcp)).collect();
        edges.note_keys(&wrong);
        self.refresh_bfd();
    }

    /// A listener has opened: perhaps without a key that is wanted.
    pub(super) fn look_at_keys(&mut self) {
        let wrong = self.parts.sockets.without_key();
        if self.parts.edges.note_keys(&wrong) {
            self.parts.publisher.changed();
        }
    }

    /// The links on which neighbors are to be found.
    pub(super) fn find(&mut self, links: &BTreeSet<LinkName>) {
        self.parts.edges.search.search(links);
    }

    /// A neighbor was found on a link, or is there no more.
    pub(super) fn found(&mut self, found: &Found) {
        let Found { interface: link, link: _, neighbor } = *found;
        let now = self.parts.clock.now();
        self.tell(now, Input::Neighbor { link, address: neighbor });
        self.refresh_bfd();
    }

    /// The BFD sessions that are wanted.
    pub(super) fn bfd_wanted(&mut self, sessions: Vec<BfdSession>) {
        self.parts.edges.sessions = sessions;
        self.refresh_bfd();
    }

    /// Links have changed, or what is wanted.
    pub(super) fn refresh_bfd(&mut self) {
        let edges = &self.parts.edges;
        let mut keys = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        for session in &edges.sessions {
            let BfdSession { peer, local, interface, hop, config } = *session;
            let link = match interface {
                None => 0,
                Some(name) => match index_of(&self.parts.table, name) {
                    Some(index) => index.0,
                    // It is looked for again when links change.
                    None => continue,
                },
            };
            let key = Key { hop, peer: peer.address(), local, link };
            keys.insert(peer, key);
            wanted.insert(key, config);
        }
        self.parts.edges.keys = keys;
        self.parts.edges.bfd.want(wanted);
    }

    /// BFD sessions have gone up or down.
    pub(super) fn bfd_news(&mut self) {
        let now = self.parts.clock.now();
        for news in self.parts.edges.bfd.news() {
            let change = news.change;
            // Of a session that is no longer wanted nothing is to be concluded.
            let keys = &self.parts.edges.keys;
            let Some(peer) = keys.iter().find(|(_, key)| **key == news.key).map(|(peer, _)| *peer)
            else {
                continue;
            };
            let control_plane_independent = change.control_plane_independent;
            // A side that has only switched it off says nothing about the path (RFC 5882 §3.2).
            if change.up || change.is_failure() {
                let up = change.up;
                self.tell(now, Input::Bfd { peer, up, control_plane_independent });
            }
        }
    }

    /// The kernel's routes that are wanted.
    pub(super) fn redistribute(&mut self, now: Timestamp, wanted: &BTreeSet<(KernelSource, u32)>) {
        let selectors = wanted.iter().map(|(source, table)| Selector {
            table: *table,
            origin: match source {
                KernelSource::Connected => Some(Origin::Connected),
                KernelSource::Static => Some(Origin::Static),
                // Their protocols are not known: all are told, and the speaker picks.
                KernelSource::Other => None,
            },
        });
        let selectors = selectors.collect();
        self.table_input(now, route_table::Input::Redistribute(selectors));
    }

    /// A route of the kernel's is there, is different, or is gone.
    pub(super) fn redistributed(
        &mut self,
        now: Timestamp,
        prefix: Prefix,
        route: Option<&Redistributed>,
    ) {
        let route = route.map(|route| KernelRoute {
            source: match route.origin {
                Origin::Connected => KernelSource::Connected,
                Origin::Static => KernelSource::Static,
                Origin::Protocol(_) => KernelSource::Other,
            },
            table: route.table,
        });
        self.tell(now, Input::Redistribute { changes: vec![(prefix, route)] });
    }
}

/// A peer as the sockets have it, in the VRF unless it has an interface; else why its key is none.
fn tcp_peer(peer: &TcpPeer, vrf: Option<LinkName>) -> Result<sockets::Peer, String> {
    let auth = keys::auth(&peer.tcp)?;
    let interface = match peer.who {
        Who::On(link) => peer.tcp.interface.or(Some(link)),
        Who::Address(_) | Who::Within(_) => peer.tcp.interface.or(vrf),
    };
    let who = socket_who(peer.who);
    Ok(sockets::Peer { who, interface, auth, min_ttl: peer.tcp.min_ttl() })
}

fn socket_who(who: Who) -> sockets::Who {
    match who {
        Who::Address(address) => sockets::Who::Address(address.address()),
        Who::Within(prefix) => sockets::Who::Within(prefix),
        Who::On(link) => sockets::Who::On(link),
    }
}

pub(super) fn words(who: &Who) -> String {
    match who {
        Who::Address(address) => format!("neighbor {address}"),
        Who::Within(prefix) => format!("dynamic neighbors {prefix}"),
        Who::On(link) => format!("the neighbor on {link}"),
    }
}

pub(super) fn index_of(table: &RouteTable, name: LinkName) -> Option<LinkIndex> {
    table.links().find(|link| link.name == name).map(|link| link.index)
}

//! Who may connect, and what their connections must have.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use inet::{AoKey, LinkName, Prefix, Secret};

use crate::ao::Place;
use crate::options::{link_index, link_name};

/// Which neighbors are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The one with this address; a link-local one is told apart by [`Peer::interface`].
    Address(IpAddr),
    /// All within a prefix: dynamic neighbors. The longest prefix wins, an address over all.
    Within(Prefix),
    /// The one on this interface, by its link-local address: unnumbered.
    On(LinkName),
}

/// A neighbor, or a kind of them: what accepted and dialled connections with it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub who: Who,
    /// Dialled connections go over this interface or VRF alone; a link-local peer needs it.
    pub interface: Option<LinkName>,
    /// How segments are signed.
    pub auth: Auth,
    /// Segments must arrive with at least this TTL, and leave with 255 (RFC 5082). For a neighbor
    /// on the link it is 255, for one `n` hops away 256 − n.
    pub min_ttl: Option<u8>,
}

/// How TCP segments are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// With MD5 (RFC 2385).
    Md5(Secret),
    /// With TCP-AO (RFC 5925): at least one key, no two with the same id in one direction. The
    /// first is what connections begin with and what the peer is asked to sign with; the others
    /// are taken too.
    Ao(Vec<AoKey>),
}

/// A neighbor whose key is not in force: it is refused until it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TCP key of {who:?} is not in force: {reason}")]
pub struct PeerError {
    /// Who.
    pub who: Who,
    /// Why.
    pub reason: String,
}

impl Peer {
    /// A neighbor without keys.
    pub fn plain(address: IpAddr) -> Peer {
        Peer { who: Who::Address(address), interface: None, auth: Auth::None, min_ttl: None }
    }

    /// Where the kernel keeps its key: an address and the bits of it that count.
    pub(crate) fn key_place(&self) -> (IpAddr, u8) {
        match self.who {
            Who::Address(address) => (address, if address.is_ipv4() { 32 } else { 128 }),
            Who::Within(prefix) => (prefix.address(), prefix.len()),
            // The kernel tells the links of link-local peers not apart.
            Who::On(_) => (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10),
        }
    }
}

/// All neighbors, to be found by address.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    addresses: HashMap<IpAddr, Vec<Peer>>,
    within: Vec<(Prefix, Peer)>,
    on: HashMap<LinkName, Peer>,
}

/// Keys by the place where the kernel has them.
pub(crate) type Keys = BTreeMap<Place, Auth>;

impl Peers {
    pub(crate) fn new(peers: Vec<Peer>) -> Peers {
        let mut all = Peers::default();
        for peer in peers {
            match peer.who {
                Who::Address(address) => all.addresses.entry(address).or_default().push(peer),
                Who::Within(prefix) => all.within.push((prefix, peer)),
                Who::On(link) => {
                    all.on.insert(link, peer);
                }
            }
        }
        all.within.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        all
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        let within = self.within.iter().map(|(_, peer)| peer);
        self.addresses.values().flatten().chain(within).chain(self.on.values())
    }

    /// The neighbor with an address; the scope tells on which link a link-local one is.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<&Peer> {
        let (ip, link) = (address.ip(), scope(address));
        let local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let exact = self.addresses.get(&ip).and_then(|peers| {
            peers.iter().find(|peer| match peer.interface {
                // Without a link it is a dial, whose link comes from here.
                Some(name) if local && link != 0 => link_index(name) == Some(link),
                Some(_) | None => true,
            })
        });
        let on = || if local { self.on.get(&link_name(link)?) } else { None };
        let within = || {
            let found = self.within.iter().find(|(prefix, _)| prefix.contains(&ip));
            found.map(|(_, peer)| peer)
        };
        exact.or_else(on).or_else(within)
    }

    /// The keys that listening sockets need; and those that cannot be, since neighbors that the
    /// kernel tells not apart have different ones.
    pub(crate) fn keys(&self) -> (Keys, Vec<PeerError>) {
        let mut keys = Keys::new();
        let mut wrong = Vec::new();
        for peer in self.all() {
            if peer.auth == Auth::None {
                continue;
            }
            match keys.get(&peer.key_place()) {
                Some(other) if *other != peer.auth => wrong.push(PeerError {
                    who: peer.who,
                    reason: "another link-local neighbor has another key, and the kernel tells \
                             their links not apart"
                        .to_owned(),
                }),
                Some(_) => {}
                None => {
                    keys.insert(peer.key_place(), peer.auth.clone());
                }
            }
        }
        let overlapping = overlapping(&mut keys);
        let theirs = self.all().filter_map(|peer| {
            let reason = overlapping.get(&peer.key_place())?.clone();
            Some(PeerError { who: peer.who, reason })
        });
        wrong.extend(theirs);
        (keys, wrong)
    }
}

/// Takes out keys of TCP-AO that a wider place has too, since the kernel has them there. Gives the
/// places, taken out as well, that have another key with an id of a wider one: addresses that are
/// in both could not tell which is meant (RFC 5925 §3.1).
fn overlapping(keys: &mut Keys) -> BTreeMap<Place, String> {
    let mut wrong = BTreeMap::new();
    let mut places: Vec<Place> = keys.keys().copied().collect();
    places.sort_by_key(|(_, bits)| *bits);
    for place in places {
        let Some(Auth::Ao(mut own)) = keys.get(&place).cloned() else { continue };
        let mut twice = None;
        for wider in covering(place.0).take_while(|wider| wider.1 < place.1) {
            let Some(Auth::Ao(theirs)) = keys.get(&wider) else { continue };
            own.retain(|key| !theirs.contains(key));
            let clash = own.iter().find(|key| theirs.iter().any(|other| other.collides(key)));
            twice = twice.or(clash.map(|key| (key.send_id, key.receive_id, wider)));
        }
        match twice {
            None => {
                keys.insert(place, Auth::Ao(own));
            }
            Some((send, receive, (address, bits))) => {
                keys.remove(&place);
                let reason = format!(
                    "{address}/{bits} has another TCP-AO key with the id {send} or {receive}"
                );
                wrong.insert(place, reason);
            }
        }
    }
    wrong
}

/// All places that an address is in, the widest first.
pub(crate) fn covering(address: IpAddr) -> impl Iterator<Item = Place> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefixes = (0..=bits).filter_map(move |bits| Prefix::truncated(address, bits).ok());
    prefixes.map(|prefix| (prefix.address(), prefix.len()))
}

/// The link of a link-local address; 0 for others.
pub(crate) fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bgp_packet::{DEFAULT_LOCAL_PREF, Origin};
use bgp_policy::{KernelSource, Policy};
use bgp_rib::{Discard, Multipath};
use inet::{Asn, LinkName, Prefix, RouterId};

use crate::Peer;

/// All that one owner wants of the speaker now. The speaker diffs it against what that owner
/// wanted before; other owners' wishes are untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// AS number and router id; the first owner (by name) that gives them decides, another's
    /// differing value is reported as a conflict.
    pub global: Option<Global>,
    /// Peers, by address.
    pub peers: Vec<Peer>,
    /// Peers that are found on a link, by link.
    pub unnumbered: Vec<Unnumbered>,
    /// Peers that are accepted from a prefix, by prefix.
    pub dynamic: Vec<DynamicNeighbors>,
    /// Prefixes originated here.
    pub originate: Vec<Origination>,
    /// Routes of the kernel that are originated here. The first one that a route fits decides.
    pub redistribute: Vec<Redistribution>,
    /// Prefixes that stand for longer ones.
    pub aggregates: Vec<Aggregation>,
}

/// What holds for the whole speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// The speaker's AS number.
    pub asn: Asn,
    /// The speaker's BGP Identifier.
    pub router_id: RouterId,
    /// The identifier of our cluster of reflectors (RFC 4456 §8); the router id without.
    pub cluster_id: Option<RouterId>,
    /// How many equally good paths are used.
    pub multi_path: Multipath,
    /// Announce what was learned from peers to other peers. False on a Kubernetes node.
    pub transit: bool,
    /// Without a policy an eBGP peer's routes are neither taken nor sent (RFC 8212).
    pub require_policy: bool,
    /// What a path without LOCAL_PREF counts as.
    pub default_local_pref: u32,
}

/// A peer that is found on a link by its router advertisements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnumbered {
    /// The link: the key.
    pub link: LinkName,
    /// What is wanted of the peer. Its address is filled in when it is found, by
    /// [`crate::Input::Neighbor`]; so is the interface.
    pub peer: Peer,
}

/// Peers that are accepted from a prefix. A session is made when one connects, and forgotten some
/// time after it has ended. The longest prefix wins; a peer with an address of its own is stronger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicNeighbors {
    /// Their addresses: the key.
    pub prefix: Prefix,
    /// How many there may be at once.
    pub limit: u32,
    /// What is wanted of each. The address is filled in; none of them is dialled.
    pub peer: Peer,
}

/// A prefix this speaker originates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origination {
    /// The prefix.
    pub prefix: Prefix,
    /// ORIGIN.
    pub origin: Origin,
    /// LOCAL_PREF towards iBGP peers; the default without it.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// COMMUNITIES.
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<[u32; 3]>,
    /// Only to peers in one of these groups; to all when empty.
    pub groups: BTreeSet<String>,
}

/// Routes of the kernel that are originated here, unless the prefix is in
/// [`Desired::originate`] too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redistribution {
    /// Whose routes.
    pub source: KernelSource,
    /// The kernel's table.
    pub table: u32,
    /// What they go through; all are taken as they are without. ORIGIN is INCOMPLETE before it. Of
    /// what it sets, ORIGIN, LOCAL_PREF, MED, communities and large communities count; the rest is
    /// for a policy on export.
    pub policy: Option<Policy>,
}

/// A prefix that is originated here while a longer one in it is used (RFC 4271 §9.2.2.2). It may be
/// in [`Desired::originate`] too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregation {
    /// The prefix, its attributes, and whom it is for.
    pub route: Origination,
    /// The longer prefixes in it are announced to nobody.
    pub summary_only: bool,
    /// What the FIB is to do with packets that no longer prefix takes; none: nothing.
    pub discard: Option<Discard>,
    /// What its path goes through. One that is rejected is as if it were not wanted: it keeps
    /// nothing back and drops nothing. Of what is set the same counts as for a [`Redistribution`].
    pub policy: Option<Policy>,
}

impl Global {
    /// One path a prefix, transit, no policies needed, and the usual default LOCAL_PREF.
    pub fn new(asn: Asn, router_id: RouterId) -> Global {
        Global {
            asn,
            router_id,
            cluster_id: None,
            multi_path: Multipath::NONE,
            transit: true,
            require_policy: false,
            default_local_pref: DEFAULT_LOCAL_PREF,
        }
    }
}

impl Origination {
    /// A prefix with ORIGIN IGP and nothing else, for all peers.
    pub fn new(prefix: Prefix) -> Origination {
        Origination {
            prefix,
            origin: Origin::Igp,
            local_pref: None,
            med: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
            groups: BTreeSet::new(),
        }
    }
}

use std::collections::BTreeSet;

use bgp_packet::Origin;
use bgp_session::PeerConfig;
use inet::{Asn, Prefix, RouterId};

/// All that one owner wants of the speaker now. The speaker diffs it against what that owner
/// wanted before; other owners' wishes are untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// AS number and router id; the first owner (by name) that gives them decides, another's
    /// differing value is reported as a conflict.
    pub global: Option<Global>,
    /// Peers, by address.
    pub peers: Vec<PeerConfig>,
    /// Prefixes originated here.
    pub originate: Vec<Origination>,
}

/// What holds for the whole speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// The speaker's AS number.
    pub asn: Asn,
    /// The speaker's BGP Identifier.
    pub router_id: RouterId,
    /// Use all equally good paths (multipath-relax: AS paths of equal length).
    pub multi_path: bool,
    /// Announce what was learned from peers to other peers. False on a Kubernetes node.
    pub transit: bool,
}

/// A prefix this speaker originates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origination {
    /// The prefix.
    pub prefix: Prefix,
    /// ORIGIN.
    pub origin: Origin,
    /// LOCAL_PREF towards iBGP peers; 100 without it.
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

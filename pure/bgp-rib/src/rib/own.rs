use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AsPath, Attributes, BgpNextHop, Origin};

/// A route that is originated here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRoute {
    /// ORIGIN.
    pub origin: Origin,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF towards iBGP peers; 100 without it.
    pub local_pref: Option<u32>,
    /// COMMUNITIES.
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<[u32; 3]>,
    /// Only to peers in one of these groups; to all when empty.
    pub groups: BTreeSet<String>,
}

/// What the tables keep of it; the next hop is put in when it is told.
pub(super) fn attributes(route: &OwnRoute) -> Attributes {
    Attributes {
        origin: route.origin,
        as_path: AsPath::default(),
        next_hop: BgpNextHop { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), link_local: None },
        med: route.med,
        local_pref: route.local_pref,
        atomic_aggregate: false,
        aggregator: None,
        communities: route.communities.clone(),
        originator_id: None,
        cluster_list: Vec::new(),
        extended_communities: Vec::new(),
        large_communities: route.large_communities.clone(),
        unknown: Vec::new(),
    }
}

/// The key of an own route's set; its first byte is none that [`crate::attrs::key_of`] makes.
pub(super) fn key(key: &mut Vec<u8>, generation: u8, route: &OwnRoute) {
    key.clear();
    key.extend([0xff, generation, route.origin as u8]);
    for number in [route.med, route.local_pref] {
        key.push(u8::from(number.is_some()));
        key.extend(number.unwrap_or(0).to_be_bytes());
    }
    key.extend((route.communities.len() as u64).to_be_bytes());
    key.extend(route.communities.iter().flat_map(|c| c.to_be_bytes()));
    key.extend((route.large_communities.len() as u64).to_be_bytes());
    key.extend(route.large_communities.iter().flatten().flat_map(|c| c.to_be_bytes()));
    for group in &route.groups {
        key.extend((group.len() as u64).to_be_bytes());
        key.extend(group.bytes());
    }
}

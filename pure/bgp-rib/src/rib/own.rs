use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AsPath, Attributes, BgpNextHop, Origin};
use bgp_policy::KernelSource;

use crate::attrs::{self, Key, Maker};
use crate::rib::Settings;

/// A route that is originated here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRoute {
    /// ORIGIN.
    pub origin: Origin,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF towards iBGP peers; the default without it.
    pub local_pref: Option<u32>,
    /// COMMUNITIES.
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<[u32; 3]>,
    /// Only to peers in one of these groups; to all when empty.
    pub groups: BTreeSet<String>,
    /// Who had put it into the kernel, if it is from there: for policies.
    pub kernel: Option<KernelSource>,
}

/// What the tables keep of it; the next hop is put in when it is told.
pub(super) fn attributes(route: &OwnRoute, maker: Maker, settings: &Settings) -> Attributes {
    let next_hop = BgpNextHop::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let aggregate = maker == Maker::Aggregate;
    // RFC 4271 §5.1.6, §5.1.7: the paths in it are not told of.
    let aggregator = (settings.asn, Ipv4Addr::from(settings.router_id.get()));
    Attributes {
        atomic_aggregate: aggregate,
        aggregator: Some(aggregator).filter(|_| aggregate),
        med: route.med,
        local_pref: route.local_pref,
        communities: route.communities.clone(),
        large_communities: route.large_communities.clone(),
        ..Attributes::new(route.origin, AsPath::default(), next_hop)
    }
}

/// The key of an own route's set.
pub(super) fn key(
    key: &mut Vec<u8>,
    generation: u8,
    route: &OwnRoute,
    maker: Maker,
    attributes: &Attributes,
) {
    let mut groups = Vec::new();
    for group in &route.groups {
        let name = group.as_bytes();
        let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
        groups.extend(len.to_be_bytes());
        groups.extend(name.iter().take(usize::from(len)));
    }
    let (internal, raw) = attrs::encode(attributes);
    let parts = Key {
        internal,
        four_octet_as: true,
        maker,
        kernel: route.kernel,
        generation,
        next_hop: attributes.next_hop,
        link: None,
        weight: 0,
        discard: false,
        groups: &groups,
        raw: &raw,
    };
    parts.write(key);
}

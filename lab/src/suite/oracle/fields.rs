//! What is compared: the values of a message as tshark names and writes them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bgp_packet::{AddPathMode, Attributes, Capability, Open, Origin, Segment};
use inet::{Family, Prefix};

/// Where the codes of path attributes stand.
pub(super) const CODES: &str = "bgp.update.path_attribute.type_code";

/// The fields that tshark is asked for. Those of one name stand in their order in the message,
/// with commas between.
pub(super) const ASKED: &[&str] = &[
    "bgp.type",
    "bgp.length",
    "bgp.open.myas",
    "bgp.open.holdtime",
    "bgp.open.identifier",
    "bgp.cap.type",
    "bgp.cap.4as",
    "bgp.cap.mp.afi",
    "bgp.cap.ap.afi",
    "bgp.cap.ap.sendreceive",
    "bgp.cap.enh.afi",
    "bgp.cap.gr.timers.restart_time",
    "bgp.cap.gr.timers.restart_flag",
    "bgp.cap.gr.afi",
    "bgp.notify.major_error",
    "bgp.notify.minor_error_cease",
    "bgp.notify.minor_error_update",
    "bgp.notify.communication",
    "bgp.route_refresh.afi",
    "bgp.route_refresh.subtype",
    CODES,
    "bgp.update.path_attribute.origin",
    "bgp.update.path_attribute.as_path_segment.type",
    "bgp.update.path_attribute.as_path_segment.length",
    "bgp.update.path_attribute.as_path_segment.as4",
    "bgp.update.path_attribute.next_hop",
    "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv4",
    "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6",
    "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6.link_local",
    "bgp.update.path_attribute.multi_exit_disc",
    "bgp.update.path_attribute.local_pref",
    "bgp.update.path_attribute.aggregator_as",
    "bgp.update.path_attribute.aggregator_origin",
    "bgp.update.path_attribute.community_as",
    "bgp.update.path_attribute.community_value",
    "bgp.update.path_attribute.originator_id",
    "bgp.path_attribute.cluster_id",
    "bgp.ext_com.value_as2",
    "bgp.ext_com.value_an4",
    "bgp.large_communities.ga",
    "bgp.large_communities.ldp1",
    "bgp.large_communities.ldp2",
    "bgp.prefix_length",
    "bgp.nlri_path_id",
    "bgp.nlri_prefix",
    "bgp.withdrawn_prefix",
    "bgp.mp_reach_nlri_ipv4_prefix",
    "bgp.mp_reach_nlri_ipv6_prefix",
    "bgp.mp_unreach_nlri_ipv6_prefix",
];

/// Values by field; a field that is not in the message is not in the map.
pub(super) type Fields = BTreeMap<&'static str, String>;

/// Puts values that stand in a message one after another.
pub(super) fn put<T: ToString>(
    fields: &mut Fields,
    name: &'static str,
    values: impl IntoIterator<Item = T>,
) {
    let text: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if !text.is_empty() {
        fields.insert(name, text.join(","));
    }
}

/// What every message has.
pub(super) fn message(kind: u8, length: usize) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "bgp.type", [kind]);
    put(&mut fields, "bgp.length", [length]);
    fields
}

/// The values of path attributes, but for the next hop, which has several places.
pub(super) fn attributes(set: &Attributes, fields: &mut Fields) {
    let origin = match set.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    put(fields, "bgp.update.path_attribute.origin", [origin]);
    let parts: Vec<(u8, &[u32])> = set.as_path.segments.iter().map(part).collect();
    let kinds = parts.iter().map(|(kind, _)| kind);
    put(fields, "bgp.update.path_attribute.as_path_segment.type", kinds);
    let lengths = parts.iter().map(|(_, numbers)| numbers.len());
    put(fields, "bgp.update.path_attribute.as_path_segment.length", lengths);
    let numbers = parts.iter().flat_map(|(_, numbers)| numbers.iter());
    put(fields, "bgp.update.path_attribute.as_path_segment.as4", numbers);
    put(fields, "bgp.update.path_attribute.multi_exit_disc", set.med);
    put(fields, "bgp.update.path_attribute.local_pref", set.local_pref);
    let (asn, address) = set.aggregator.unzip();
    put(fields, "bgp.update.path_attribute.aggregator_as", asn.map(|asn| asn.get()));
    put(fields, "bgp.update.path_attribute.aggregator_origin", address);
    let communities = || set.communities.iter();
    put(fields, "bgp.update.path_attribute.community_as", communities().map(|c| c >> 16));
    put(fields, "bgp.update.path_attribute.community_value", communities().map(|c| c & 0xffff));
    put(fields, "bgp.update.path_attribute.originator_id", set.originator_id);
    put(fields, "bgp.path_attribute.cluster_id", &set.cluster_list);
    // Route targets of a 2-octet AS are the only kind that is made here.
    let targets = || set.extended_communities.iter();
    let asn = |c: &[u8; 8]| u16::from_be_bytes([c[2], c[3]]);
    let local = |c: &[u8; 8]| u32::from_be_bytes([c[4], c[5], c[6], c[7]]);
    put(fields, "bgp.ext_com.value_as2", targets().map(asn));
    put(fields, "bgp.ext_com.value_an4", targets().map(local));
    let large = |which: usize| set.large_communities.iter().map(move |c| c[which]);
    put(fields, "bgp.large_communities.ga", large(0));
    put(fields, "bgp.large_communities.ldp1", large(1));
    put(fields, "bgp.large_communities.ldp2", large(2));
}

fn part(segment: &Segment) -> (u8, &[u32]) {
    match segment {
        Segment::Set(numbers) => (1, numbers),
        Segment::Sequence(numbers) => (2, numbers),
    }
}

/// The next hop in its place.
pub(super) fn next_hop(set: &Attributes, family: Family, fields: &mut Fields) {
    const MP: [&str; 3] = [
        "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv4",
        "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6",
        "bgp.update.path_attribute.mp_reach_nlri.next_hop.ipv6.link_local",
    ];
    match (set.next_hop.address, family) {
        (IpAddr::V4(address), Family::Ipv4) => {
            put(fields, "bgp.update.path_attribute.next_hop", [address]);
        }
        (IpAddr::V4(address), Family::Ipv6) => put(fields, MP[0], [address]),
        (IpAddr::V6(address), _) => put(fields, MP[1], [address]),
    }
    put(fields, MP[2], set.next_hop.link_local);
}

/// Where announced prefixes of a family stand, with a next hop of a family.
pub(super) fn place(family: Family, hop: Family) -> &'static str {
    match (family, hop) {
        (Family::Ipv4, Family::Ipv4) => "bgp.nlri_prefix",
        (Family::Ipv4, Family::Ipv6) => "bgp.mp_reach_nlri_ipv4_prefix",
        (Family::Ipv6, _) => "bgp.mp_reach_nlri_ipv6_prefix",
    }
}

/// Prefixes in a field that says where they stand.
pub(super) fn prefixes(list: &[Prefix], name: &'static str, fields: &mut Fields) {
    put(fields, "bgp.prefix_length", list.iter().map(Prefix::len));
    put(fields, name, list.iter().map(Prefix::address));
}

/// The values of an OPEN.
pub(super) fn open(open: &Open, fields: &mut Fields) {
    let short = u16::try_from(open.asn.get()).unwrap_or(23_456);
    put(fields, "bgp.open.myas", [short]);
    put(fields, "bgp.open.holdtime", [open.hold_time]);
    put(fields, "bgp.open.identifier", [Ipv4Addr::from(open.router_id)]);
    put(fields, "bgp.cap.type", open.capabilities.iter().map(Capability::code));
    let afi = |family: &Family| match family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    };
    for capability in &open.capabilities {
        match capability {
            Capability::FourOctetAs(asn) => put(fields, "bgp.cap.4as", [asn.get()]),
            Capability::AddPath(list) => {
                put(fields, "bgp.cap.ap.afi", list.iter().map(|(family, _)| afi(family)));
                let mode = |mode: &AddPathMode| match mode {
                    AddPathMode::Receive => 1,
                    AddPathMode::Send => 2,
                    AddPathMode::Both => 3,
                };
                put(fields, "bgp.cap.ap.sendreceive", list.iter().map(|(_, m)| mode(m)));
            }
            Capability::ExtendedNextHop(list) => {
                put(fields, "bgp.cap.enh.afi", list.iter().map(afi));
            }
            Capability::GracefulRestart(restart) => {
                put(fields, "bgp.cap.gr.timers.restart_time", [restart.restart_time]);
                put(fields, "bgp.cap.gr.timers.restart_flag", [u8::from(restart.restarted)]);
                put(fields, "bgp.cap.gr.afi", restart.families.iter().map(|(f, _)| afi(f)));
            }
            Capability::Multiprotocol(_)
            | Capability::Role(_)
            | Capability::LongLivedGracefulRestart(_)
            | Capability::RouteRefresh
            | Capability::ExtendedMessage
            | Capability::EnhancedRouteRefresh
            | Capability::Unknown { .. } => {}
        }
    }
    let families = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::Multiprotocol(family) => Some(afi(family)),
        _ => None,
    });
    put(fields, "bgp.cap.mp.afi", families);
}

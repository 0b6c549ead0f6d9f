//! A node's objects to the document that its router is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cluster_api::{BGPPeer, BGPPeerSpec, NodeBGPSpec};
use inet::{Family, Prefix};
use router_config::{Document, Fib, GracefulRestart, Neighbor, PathGroup};

/// What the document is made of.
#[derive(Clone, Debug, Default)]
pub struct RouterView<'a> {
    /// The node's NodeBGP; without one nothing is wanted of the router.
    pub node_bgp: Option<&'a NodeBGPSpec>,
    /// The node's BGPPeers by name.
    pub peers: BTreeMap<&'a str, &'a BGPPeer>,
    /// Prefixes to originate, each with the groups it is limited to (all when empty).
    pub announce: BTreeMap<Prefix, BTreeSet<String>>,
    /// The kernel table learned routes go to; none in mode `lb`.
    pub fib_table: Option<u32>,
}

/// Makes the document. Of two peers with one address the older wins; the other is the controller's
/// to name (`duplicate-peer`).
///
/// # Errors
/// A sentence, when `speaker.path` is neither loopback nor a unix socket.
pub fn document(view: &RouterView<'_>) -> Result<Document, String> {
    let Some(node_bgp) = view.node_bgp else {
        return Ok(Document::default());
    };
    let path = &node_bgp.speaker.path;
    if !node_bgp.speaker.is_local() {
        return Err(format!(
            "speaker-not-local: speaker.path {path:?} is neither a loopback address nor unix:"
        ));
    }
    let mut document = Document {
        asn: Some(node_bgp.asn),
        router_id: Some(node_bgp.router_id),
        multi_path: Some(node_bgp.speaker.multipath.unwrap_or(false)),
        transit: Some(false),
        fib: view.fib_table.map(|table| Fib { table }),
        ..Document::default()
    };
    document.neighbors = winners(&view.peers).map(|(name, peer)| neighbor(name, peer)).collect();
    let mut by_groups: BTreeMap<&BTreeSet<String>, Vec<Prefix>> = BTreeMap::new();
    for (prefix, groups) in &view.announce {
        by_groups.entry(groups).or_default().push(*prefix);
    }
    for (groups, prefixes) in by_groups {
        document.paths.push(PathGroup { groups: groups.clone(), ..PathGroup::new(prefixes) });
    }
    Ok(document)
}

/// The peers that are used, by name: per address the oldest.
pub(crate) fn winners<'a>(
    peers: &BTreeMap<&'a str, &'a BGPPeer>,
) -> impl Iterator<Item = (&'a str, &'a BGPPeerSpec)> + use<'a> {
    let mut by_address: BTreeMap<IpAddr, (&str, &BGPPeer)> = BTreeMap::new();
    for (name, peer) in peers {
        let age = |p: &BGPPeer| p.metadata.creation_timestamp.as_ref().map(|t| t.0);
        match by_address.get(&peer.spec.addr) {
            Some((held_name, held)) if (age(held), *held_name) <= (age(peer), *name) => {}
            Some(_) | None => {
                by_address.insert(peer.spec.addr, (name, peer));
            }
        }
    }
    by_address.into_values().map(|(name, peer)| (name, &peer.spec))
}

fn neighbor(name: &str, spec: &BGPPeerSpec) -> Neighbor {
    // The API server has checked the ranges; a value that got past it falls back to the default.
    let seconds = |value: Option<u32>| value.and_then(|v| u16::try_from(v).ok());
    let hold_time = seconds(spec.hold_time);
    let families = spec.families.as_ref();
    Neighbor {
        name: Some(name.to_owned()),
        hold_time,
        keepalive_time: seconds(spec.keepalive_time),
        connect_retry_time: seconds(spec.connect_retry_time),
        local_address: spec.local_address,
        ebgp_multihop: spec.ebgp_multihop,
        families: families.map(|all| all.iter().map(|f| Family::from(*f)).collect()),
        graceful_restart: spec
            .graceful_restart
            .map(|gr| GracefulRestart { enabled: Some(gr.enabled), restart_time: gr.restart_time }),
        groups: spec.groups.iter().flatten().cloned().collect(),
        ..Neighbor::new(spec.addr, spec.asn)
    }
}

//! What every FIB must be in the end, worked out without messages, sessions or time: each host
//! looks at what its neighbors have chosen, until nobody changes its mind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_packet::Origin;
use inet::{Family, Prefix};

use crate::topology::Topology;

/// Next hops by prefix.
pub(crate) type Fib = BTreeMap<Prefix, BTreeSet<IpAddr>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    path: Vec<usize>,
    origin: Origin,
    /// Over which wire; none: originated.
    wire: Option<usize>,
    all: BTreeSet<IpAddr>,
}

/// `works` says which wires do, `lost` which next hops a host cannot reach.
pub(crate) fn fibs(
    topology: &Topology,
    works: &[bool],
    lost: impl Fn(usize, &IpAddr) -> bool,
) -> Vec<Fib> {
    let prefixes: BTreeSet<Prefix> =
        topology.hosts.iter().flat_map(|host| host.own.keys().copied()).collect();
    let mut fibs = vec![Fib::new(); topology.hosts.len()];
    for prefix in prefixes {
        let mut chosen: Vec<Option<Chosen>> = vec![None; topology.hosts.len()];
        for _ in 0..4 * topology.hosts.len() {
            let next: Vec<Option<Chosen>> = (0..topology.hosts.len())
                .map(|host| choose(topology, works, &lost, &chosen, host, &prefix))
                .collect();
            if next == chosen {
                break;
            }
            chosen = next;
        }
        for (host, chosen) in chosen.into_iter().enumerate() {
            if let Some(Chosen { all, wire: Some(_), .. }) = chosen {
                fibs[host].insert(prefix, all);
            }
        }
    }
    fibs
}

fn choose(
    topology: &Topology,
    works: &[bool],
    lost: &impl Fn(usize, &IpAddr) -> bool,
    chosen: &[Option<Chosen>],
    host: usize,
    prefix: &Prefix,
) -> Option<Chosen> {
    let me = &topology.hosts[host];
    if let Some(origin) = me.own.get(prefix) {
        return Some(Chosen { path: vec![], origin: *origin, wire: None, all: BTreeSet::new() });
    }
    let mut offers = Vec::new();
    for (n, wire) in topology.wires.iter().enumerate() {
        let Some(mine) = wire.end_of(host).filter(|_| works[n]) else { continue };
        let from = wire.ends[1 - mine];
        let Some(theirs) = &chosen[from.host] else { continue };
        let told = theirs.wire.is_none() || topology.hosts[from.host].transit;
        // Neither to where it came from, nor in a circle.
        if !told || theirs.wire == Some(n) || theirs.path.contains(&host) {
            continue;
        }
        let hop = match prefix.family() {
            Family::Ipv4 => IpAddr::V4(from.four),
            Family::Ipv6 => IpAddr::V6(from.six),
        };
        if lost(host, &hop) {
            continue;
        }
        let mut path = vec![from.host];
        path.extend(&theirs.path);
        let id = topology.hosts[from.host].router_id;
        offers.push(((path.len(), theirs.origin), id, wire.address(1 - mine), n, hop, path));
    }
    // Shortest path, lowest origin; then lowest router id, lowest address.
    offers.sort();
    let ((len, origin), _, _, wire, hop, path) = offers.first()?.clone();
    let all = match me.multi_path {
        true => offers.iter().filter(|o| o.0 == (len, origin)).map(|o| o.4).collect(),
        false => BTreeSet::from([hop]),
    };
    Some(Chosen { path, origin, wire: Some(wire), all })
}

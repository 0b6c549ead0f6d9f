//! What every FIB must be in the end, worked out without messages, sessions, time or policies: each
//! host looks at what its neighbors have chosen, until nobody changes its mind.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_packet::Origin;
use bgp_speaker::Discard;
use inet::{Family, Prefix};

use crate::rules::PREFERRED;
use crate::topology::{Summary, Topology};

/// Next hops by prefix, and what is dropped for aggregates.
pub(crate) type Fib = (BTreeMap<Prefix, BTreeSet<IpAddr>>, BTreeMap<Prefix, Discard>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    path: Vec<u32>,
    origin: Origin,
    local_pref: u32,
    marked: bool,
    /// Over which wire; none: originated.
    wire: Option<usize>,
    internal: bool,
    hop: Option<IpAddr>,
    metric: u32,
    /// The peer's, or the originator's.
    router_id: u32,
    clusters: Vec<u32>,
    peer: Option<IpAddr>,
}

/// Where it is all worked out.
struct Model<'a, L> {
    topology: &'a Topology,
    works: &'a [bool],
    lost: L,
    prefix: Prefix,
    /// Hosts that use a longer prefix in this one, and the aggregate that they have for it.
    aggregates: Vec<Option<Summary>>,
}

/// `works` says which wires do, `lost` which next hops a host cannot reach.
pub(crate) fn fibs(
    topology: &Topology,
    works: &[bool],
    lost: impl Fn(usize, &IpAddr) -> bool,
) -> Vec<Fib> {
    let all = topology.hosts.iter();
    let all = all.flat_map(|host| host.own.keys().chain(host.aggregates.keys()).copied());
    // The longest first: what is aggregated is known before its aggregate.
    let prefixes: BTreeSet<(Reverse<u8>, Prefix)> =
        all.map(|prefix| (Reverse(prefix.len()), prefix)).collect();
    let mut fibs = vec![Fib::default(); topology.hosts.len()];
    let mut used: Vec<Vec<Prefix>> = vec![Vec::new(); topology.hosts.len()];
    for (_, prefix) in prefixes {
        let aggregates = topology.hosts.iter().zip(&used).map(|(host, used)| {
            let summary = host.aggregates.get(&prefix)?;
            used.iter().any(|longer| is_in(longer, &prefix)).then_some(*summary)
        });
        let aggregates = aggregates.collect();
        let model = Model { topology, works, lost: &lost, prefix, aggregates };
        let mut known: Vec<Vec<Path>> = vec![Vec::new(); topology.hosts.len()];
        for _ in 0..4 * topology.hosts.len() {
            let next: Vec<Vec<Path>> =
                (0..topology.hosts.len()).map(|host| model.choose(&known, host)).collect();
            if next == known {
                break;
            }
            known = next;
        }
        for (host, paths) in known.into_iter().enumerate() {
            // Who passes nothing on counts only what is its own.
            let counts = |path: &&Path| path.wire.is_none() || topology.hosts[host].transit;
            used[host].extend(paths.first().filter(counts).map(|_| prefix));
            let discard = model.aggregates[host].and_then(|summary| summary.discard);
            let own = paths.first().filter(|best| best.wire.is_none());
            if let Some(discard) = own.and(discard) {
                fibs[host].1.insert(prefix, discard);
            }
            let Some(best) = paths.first().filter(|best| best.wire.is_some()) else { continue };
            let many = topology.hosts[host].multi_path;
            let used = paths.iter().filter(|path| many && path.rank() == best.rank());
            let used = used.chain([best]).filter_map(|path| path.hop);
            fibs[host].0.insert(prefix, used.collect());
        }
    }
    fibs
}

/// Whether a prefix lies in a shorter one.
fn is_in(longer: &Prefix, shorter: &Prefix) -> bool {
    longer.len() > shorter.len()
        && longer.family() == shorter.family()
        && Prefix::truncated(longer.address(), shorter.len()) == Ok(*shorter)
}

impl<L: Fn(usize, &IpAddr) -> bool> Model<'_, L> {
    /// All paths that a host can use, best first.
    fn choose(&self, known: &[Vec<Path>], host: usize) -> Vec<Path> {
        let me = &self.topology.hosts[host];
        let mut paths = Vec::new();
        for (n, wire) in self.topology.wires.iter().enumerate() {
            let Some(mine) = wire.end_of(host).filter(|_| self.works[n]) else { continue };
            let from = wire.ends[1 - mine].host;
            let told = if wire.add_path[1 - mine] { usize::MAX } else { 1 };
            let told = known[from].iter().take(told);
            paths.extend(told.filter_map(|path| self.learn(n, mine, path)));
        }
        paths.sort_by_key(|path| (path.rank(), path.router_id, path.clusters.len(), path.peer));
        if let Some(origin) = me.own.get(&self.prefix) {
            paths.insert(0, self.own(host, *origin));
        }
        if let Some(summary) = self.aggregates[host] {
            paths.insert(0, Path { marked: summary.marked, ..self.own(host, Origin::Igp) });
        }
        paths
    }

    fn own(&self, host: usize, origin: Origin) -> Path {
        Path {
            path: vec![],
            origin,
            local_pref: 100,
            marked: false,
            wire: None,
            internal: false,
            hop: None,
            metric: 0,
            router_id: self.topology.hosts[host].router_id,
            clusters: vec![],
            peer: None,
        }
    }

    /// What becomes of a path on its way over a wire to its end `mine`.
    fn learn(&self, n: usize, mine: usize, path: &Path) -> Option<Path> {
        let wire = &self.topology.wires[n];
        let (end, from) = (wire.ends[mine], wire.ends[1 - mine]);
        let (me, teller) = (&self.topology.hosts[end.host], &self.topology.hosts[from.host]);
        let internal = self.topology.internal(wire);
        let (out, rules) = (wire.rules[1 - mine], wire.rules[mine]);
        // Neither to where it came from, nor by who tells only its own.
        if path.wire == Some(n) || (path.wire.is_some() && !teller.transit) {
            return None;
        }
        if out.hide == Some(self.prefix) {
            return None;
        }
        let kept_back =
            |(prefix, summary): (&Prefix, &Summary)| summary.only && is_in(&self.prefix, prefix);
        if teller.aggregates.iter().any(kept_back) {
            return None;
        }
        let address = match self.prefix.family() {
            Family::Ipv4 => IpAddr::V4(from.four),
            Family::Ipv6 => IpAddr::V6(from.six),
        };
        let mut new = path.clone();
        new.marked |= out.mark == Some(self.prefix);
        (new.wire, new.internal) = (Some(n), internal);
        new.peer = Some(wire.address(1 - mine));
        if internal {
            if path.internal {
                let source = &self.topology.wires[path.wire?];
                let client = source.client[source.end_of(from.host)?] || wire.client[1 - mine];
                if !client {
                    return None;
                }
                new.clusters.insert(0, teller.cluster);
            } else {
                new.router_id = teller.router_id;
            }
            let own = path.wire.is_none() || wire.next_hop_self[1 - mine];
            new.hop = if own { Some(address) } else { path.hop };
        } else {
            for _ in 0..=out.prepend {
                new.path.insert(0, teller.asn);
            }
            (new.local_pref, new.router_id) = (100, teller.router_id);
            new.clusters.clear();
            new.hop = Some(address);
        }
        // In a circle.
        let reflected = !new.clusters.is_empty();
        if new.path.contains(&me.asn)
            || new.clusters.contains(&me.cluster)
            || (reflected && new.router_id == me.router_id)
        {
            return None;
        }
        if rules.refuse_marked && new.marked {
            return None;
        }
        if rules.prefer == Some(self.prefix) {
            new.local_pref = PREFERRED;
        }
        let hop = new.hop.filter(|hop| !(self.lost)(end.host, hop))?;
        new.metric = self.topology.distance(self.works, end.host, &hop)?;
        Some(new)
    }
}

impl Path {
    /// What makes one path better than another; paths that are equal in it are used together.
    fn rank(&self) -> impl Ord + PartialEq + use<> {
        (Reverse(self.local_pref), self.path.len(), self.origin, self.internal, self.metric)
    }
}

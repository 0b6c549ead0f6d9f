//! Next hops: from an address to the links and gateways on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use inet::{Family, NextHop, Prefix, is_link_local};

use crate::entry::Offer;
use crate::target::scaled;
use crate::{Hop, KernelRoute, KernelTarget, Leg, LinkIndex, RouteTable, SourceId, Target};

/// The most legs that one route is given; what is over that is left out.
pub const MAX_LEGS: usize = 128;
/// How many routes a next hop may be resolved through, one after another.
const MAX_DEPTH: usize = 8;
/// How many look-ups one resolution may cost: peers choose next hops, so this is bounded.
const MAX_STEPS: u32 = 2048;

/// Why a next hop does not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Unresolved {
    /// No route covers it (a default route alone does not count unless configured to).
    #[error("no-route")]
    NoRoute,
    /// It is this machine's own address (RFC 4271 §5.1.3).
    #[error("own-address")]
    OwnAddress,
    /// The link is missing, down or without carrier.
    #[error("link-down")]
    LinkDown,
    /// Its route drops packets.
    #[error("rejected")]
    Rejected,
    /// A link-local address without its link.
    #[error("link-unknown")]
    LinkUnknown,
    /// Too many routes behind one another, or too many branches.
    #[error("too-deep")]
    TooDeep,
}

/// Where a next hop leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Over these legs, each with a gateway; sorted, not empty.
    Resolved {
        /// The legs.
        legs: Vec<Leg>,
        /// The interior cost (RFC 4271 §9.1.2.2 e): 0 on a link, else the metric of the kernel
        /// route that it ends at.
        metric: u32,
    },
    /// Nowhere.
    Unresolved(Unresolved),
}

impl Resolution {
    /// Whether it leads somewhere.
    pub fn is_resolved(&self) -> bool {
        matches!(self, Resolution::Resolved { .. })
    }
}

/// Gateways on links, and the share of each.
type Ways = BTreeMap<(IpAddr, LinkIndex), u16>;

/// Divides by each number of legs that a machine has, and by most others.
const SCALE: u64 = 720_720;

/// Legs found, and the cost of the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    ways: Ways,
    metric: u32,
}

/// One resolution: the routes of ours that it stands in, and all that it looked at.
struct Walk<'a> {
    table: &'a RouteTable,
    inside: Vec<Prefix>,
    through: BTreeSet<Prefix>,
    steps: u32,
}

/// Resolves a next hop; the second value is the prefixes of our own that were looked at, on which
/// the answer may depend beyond the kernel's routes.
pub(crate) fn next_hop(table: &RouteTable, hop: &NextHop) -> (Resolution, BTreeSet<Prefix>) {
    let mut walk = Walk { table, inside: Vec::new(), through: BTreeSet::new(), steps: 0 };
    let resolution = match walk.hop(hop) {
        Ok(Found { ways, metric }) => Resolution::Resolved { legs: legs(ways), metric },
        Err(reason) => Resolution::Unresolved(reason),
    };
    (resolution, walk.through)
}

/// The legs of a set of next hops, from what is known of each; none when none resolves. The second
/// value: see [`next_hop`].
pub(crate) fn known_legs(table: &RouteTable, hops: &[Hop]) -> (Option<Vec<Leg>>, BTreeSet<Prefix>) {
    let mut through = BTreeSet::new();
    let mut parts = Vec::with_capacity(hops.len());
    for hop in hops {
        let Some(known) = table.hops.get(&hop.next_hop) else {
            continue;
        };
        through.extend(known.through.iter().copied());
        if let Some(Resolution::Resolved { legs, .. }) = &known.resolution {
            parts.push((hop.weight, ways(legs)));
        }
    }
    let found = (!parts.is_empty()).then(|| legs(combined(parts)));
    (found, through)
}

/// The legs of a set of next hops for one prefix, which may not lead through itself.
pub(crate) fn legs_without(table: &RouteTable, prefix: &Prefix, hops: &[Hop]) -> Option<Vec<Leg>> {
    let mut parts = Vec::with_capacity(hops.len());
    for hop in hops {
        let mut walk = Walk { table, inside: vec![*prefix], through: BTreeSet::new(), steps: 0 };
        if let Ok(found) = walk.hop(&hop.next_hop) {
            parts.push((hop.weight, found.ways));
        }
    }
    (!parts.is_empty()).then(|| legs(combined(parts)))
}

fn ways(legs: &[Leg]) -> Ways {
    legs.iter().filter_map(|leg| Some(((leg.gateway?, leg.link), leg.weight))).collect()
}

fn legs(ways: Ways) -> Vec<Leg> {
    let leg = |((gateway, link), weight)| Leg { gateway: Some(gateway), link, weight };
    ways.into_iter().take(MAX_LEGS).map(leg).collect()
}

/// Joins the ways of several next hops. Where nobody gave weights all ways are even; else each next
/// hop's share is divided among its ways.
fn combined(parts: Vec<(u16, Ways)>) -> Ways {
    if let [(_, _)] = parts.as_slice() {
        return parts.into_iter().next().map(|(_, ways)| ways).unwrap_or_default();
    }
    let first = parts.first().map_or(1, |(weight, _)| *weight);
    let even = |(weight, ways): &(u16, Ways)| *weight == first && ways.values().all(|w| *w == 1);
    if parts.iter().all(even) {
        return parts.into_iter().flat_map(|(_, ways)| ways).collect();
    }
    let mut sums: BTreeMap<(IpAddr, LinkIndex), u64> = BTreeMap::new();
    for (weight, ways) in &parts {
        let total: u64 = ways.values().map(|way| u64::from(*way)).sum();
        for (way, share) in ways {
            let part = SCALE * u64::from(*weight) * u64::from(*share) / total.max(1);
            *sums.entry(*way).or_default() += part;
        }
    }
    let weights = scaled(&sums.values().copied().collect::<Vec<u64>>());
    sums.into_keys().zip(weights).collect()
}

impl Walk<'_> {
    fn hop(&mut self, hop: &NextHop) -> Result<Found, Unresolved> {
        let address = hop.address;
        if self.table.is_own_address(&address) {
            return Err(Unresolved::OwnAddress);
        }
        if let Some(name) = hop.interface {
            let link = self.table.link_up_named(&name).ok_or(Unresolved::LinkDown)?;
            let gateway = hop.link_local.map_or(address, IpAddr::V6);
            return Ok(Found { ways: Ways::from([((gateway, link), 1)]), metric: 0 });
        }
        if is_link_local(&address) {
            return Err(Unresolved::LinkUnknown);
        }
        self.address(&address)
    }

    /// The longest match that is not this walk's own route decides.
    fn address(&mut self, address: &IpAddr) -> Result<Found, Unresolved> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.inside.len() > MAX_DEPTH {
            return Err(Unresolved::TooDeep);
        }
        let table = self.table;
        let shortest = if table.config.resolve_via_default { 0 } else { 1 };
        let looked_up = |route: &&KernelRoute| table.config.lookup.contains(&route.table);
        let with_ours = table.config.writes() && table.config.lookup.contains(&table.config.table);
        for len in
            table.lengths.of(Family::of(address)).range(shortest..).rev().map(|(len, _)| *len)
        {
            let Ok(prefix) = Prefix::truncated(*address, len) else {
                continue;
            };
            let foreign = table.foreign.get(&prefix).and_then(|routes| {
                routes.iter().filter(looked_up).min_by_key(|route| route.metric)
            });
            // On a tie of metrics ours is blocked, so the foreign one decides.
            match foreign {
                Some(route) if route.metric <= table.config.metric => {
                    return self.foreign(address, route.metric, &route.target);
                }
                Some(_) | None => {}
            }
            if with_ours && let Some(decided) = self.own(address, &prefix) {
                return decided;
            }
            if let Some(route) = foreign {
                return self.foreign(address, route.metric, &route.target);
            }
        }
        Err(Unresolved::NoRoute)
    }

    /// A kernel route that is not ours: its gateways are on their links, or it would not be there.
    fn foreign(
        &self,
        address: &IpAddr,
        metric: u32,
        target: &KernelTarget,
    ) -> Result<Found, Unresolved> {
        let KernelTarget::Legs(legs) = target else {
            return Err(Unresolved::Rejected);
        };
        let usable: Ways = legs
            .iter()
            .filter(|leg| self.table.link_is_up(leg.link))
            .map(|leg| ((leg.gateway.unwrap_or(*address), leg.link), leg.weight))
            .collect();
        let metric = if legs.iter().all(|leg| leg.gateway.is_none()) { 0 } else { metric };
        if usable.is_empty() {
            return Err(Unresolved::LinkDown);
        }
        // What is left of an uneven route may be even.
        let weights = scaled(&usable.values().map(|w| u64::from(*w)).collect::<Vec<u64>>());
        Ok(Found { ways: usable.into_keys().zip(weights).collect(), metric })
    }

    /// A winner of ours; none when there is none, when it does not resolve (so it is not in the
    /// kernel either), when it only drops what an aggregate leaves over, or when this walk stands in it already.
    fn own(&mut self, address: &IpAddr, prefix: &Prefix) -> Option<Result<Found, Unresolved>> {
        let table = self.table;
        let offers: &[Offer] = table.entry_of(prefix)?.offers.as_slice();
        if offers.is_empty() {
            return None;
        }
        self.through.insert(*prefix);
        if self.inside.contains(prefix) {
            return None;
        }
        self.inside.push(*prefix);
        let mut decided = None;
        for offer in offers.iter().filter(|offer| offer.source != SourceId::AGGREGATES) {
            decided = match table.targets.value(offer.target) {
                Some(Target::Via(hops)) => self.via(hops).map(Ok),
                Some(Target::Link(name)) => table
                    .link_up_named(name)
                    .map(|link| Ok(Found { ways: Ways::from([((*address, link), 1)]), metric: 0 })),
                Some(Target::Blackhole | Target::Unreachable | Target::Prohibit) => {
                    Some(Err(Unresolved::Rejected))
                }
                None => None,
            };
            if decided.is_some() {
                break;
            }
        }
        self.inside.pop();
        decided
    }

    /// All next hops that resolve, at the cost of the nearest.
    fn via(&mut self, hops: &[Hop]) -> Option<Found> {
        let mut parts = Vec::with_capacity(hops.len());
        let mut metric: Option<u32> = None;
        for hop in hops {
            if let Ok(found) = self.hop(&hop.next_hop) {
                metric = Some(metric.map_or(found.metric, |metric| metric.min(found.metric)));
                parts.push((hop.weight, found.ways));
            }
        }
        Some(Found { metric: metric?, ways: combined(parts) })
    }
}

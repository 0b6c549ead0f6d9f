//! Next hops: from an address to the links and gateways on them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use inet::{Family, NextHop, Prefix, RouteTarget};

use crate::{KernelTarget, Leg, LinkIndex, RouteTable};

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

/// Legs found, and the cost of the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    legs: BTreeSet<Leg>,
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
        Ok(Found { legs, metric }) => {
            Resolution::Resolved { legs: legs.into_iter().take(MAX_LEGS).collect(), metric }
        }
        Err(reason) => Resolution::Unresolved(reason),
    };
    (resolution, walk.through)
}

/// What the kernel shall hold for a prefix: its best offer that resolves, and which one that is.
pub(crate) fn target(table: &RouteTable, prefix: &Prefix) -> Option<(usize, KernelTarget)> {
    let entry = table.entries.get(prefix)?;
    let via = |hops: &[NextHop]| {
        let mut legs = BTreeSet::new();
        for hop in hops {
            match table.hops.get(hop) {
                // The common case: known, and not by way of this very route.
                Some(known) if !known.through.contains(prefix) => {
                    if let Some(Resolution::Resolved { legs: more, .. }) = &known.resolution {
                        legs.extend(more.iter().copied());
                    }
                }
                Some(_) | None => {
                    let inside = vec![*prefix];
                    let mut walk = Walk { table, inside, through: BTreeSet::new(), steps: 0 };
                    legs.extend(walk.hop(hop).into_iter().flat_map(|found| found.legs));
                }
            }
        }
        legs
    };
    entry.offers.iter().enumerate().find_map(|(at, offer)| {
        let target = match &offer.target {
            RouteTarget::Via(hops) => {
                let legs: Vec<Leg> = via(hops).into_iter().take(MAX_LEGS).collect();
                (!legs.is_empty()).then_some(KernelTarget::Legs(legs))?
            }
            RouteTarget::Link(name) => {
                KernelTarget::Legs(vec![Leg { gateway: None, link: table.link_up_named(name)? }])
            }
            RouteTarget::Blackhole => KernelTarget::Blackhole,
            RouteTarget::Unreachable => KernelTarget::Unreachable,
        };
        Some((at, target))
    })
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
            let legs = BTreeSet::from([Leg { gateway: Some(gateway), link }]);
            return Ok(Found { legs, metric: 0 });
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
        for len in
            table.lengths.of(Family::of(address)).range(shortest..).rev().map(|(len, _)| *len)
        {
            let Ok(prefix) = Prefix::truncated(*address, len) else {
                continue;
            };
            let foreign = table
                .foreign
                .get(&prefix)
                .and_then(|routes| routes.iter().min_by_key(|route| route.metric));
            // On a tie of metrics ours is blocked, so the foreign one decides.
            match foreign {
                Some(route) if route.metric <= table.config.metric => {
                    return self.foreign(address, route.metric, &route.target);
                }
                Some(_) | None => {}
            }
            if table.config.install
                && let Some(decided) = self.own(address, &prefix)
            {
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
        let usable: BTreeSet<Leg> = legs
            .iter()
            .filter(|leg| self.table.link_is_up(leg.link))
            .map(|leg| Leg { gateway: leg.gateway.or(Some(*address)), link: leg.link })
            .collect();
        let metric = if legs.iter().all(|leg| leg.gateway.is_none()) { 0 } else { metric };
        if usable.is_empty() {
            Err(Unresolved::LinkDown)
        } else {
            Ok(Found { legs: usable, metric })
        }
    }

    /// A winner of ours; none when there is none, when it does not resolve (so it is not in the
    /// kernel either) or when this walk stands in it already.
    fn own(&mut self, address: &IpAddr, prefix: &Prefix) -> Option<Result<Found, Unresolved>> {
        let entry = self.table.entries.get(prefix).filter(|entry| !entry.offers.is_empty())?;
        self.through.insert(*prefix);
        if self.inside.contains(prefix) {
            return None;
        }
        self.inside.push(*prefix);
        let mut decided = None;
        for offer in &entry.offers {
            decided = match &offer.target {
                RouteTarget::Via(hops) => self.legs(hops).map(Ok),
                RouteTarget::Link(name) => self.table.link_up_named(name).map(|link: LinkIndex| {
                    let legs = BTreeSet::from([Leg { gateway: Some(*address), link }]);
                    Ok(Found { legs, metric: 0 })
                }),
                RouteTarget::Blackhole | RouteTarget::Unreachable => {
                    Some(Err(Unresolved::Rejected))
                }
            };
            if decided.is_some() {
                break;
            }
        }
        self.inside.pop();
        decided
    }

    /// The union over all next hops that resolve, at the cost of the nearest.
    fn legs(&mut self, hops: &[NextHop]) -> Option<Found> {
        let mut all: Option<Found> = None;
        for found in hops.iter().filter_map(|hop| self.hop(hop).ok()) {
            match &mut all {
                None => all = Some(found),
                Some(all) => {
                    all.legs.extend(found.legs);
                    all.metric = all.metric.min(found.metric);
                }
            }
        }
        all
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    // 169.254/16 is routed like any other: fabrics use it for their links.
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

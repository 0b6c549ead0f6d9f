//! Routes of others, told of so that BGP can announce them.

use std::net::IpAddr;

use inet::Prefix;

use crate::{KernelRoute, KernelTarget, Output, RouteTable};

/// `RTPROT_KERNEL`: made by the kernel itself, for an address.
const KERNEL: u8 = 2;
/// `RTPROT_BOOT` and `RTPROT_STATIC`: put there by hand.
const BY_HAND: [u8; 2] = [3, 4];

/// How a route of others came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The network of an address on a link.
    Connected,
    /// Put there by hand.
    Static,
    /// By the program with this protocol number.
    Protocol(u8),
}

/// Which routes of others are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// The table.
    pub table: u32,
    /// How they came to be; none: any.
    pub origin: Option<Origin>,
}

/// A route of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redistributed {
    /// How it came to be.
    pub origin: Origin,
    /// Its table.
    pub table: u32,
    /// Its metric.
    pub metric: u32,
    /// The gateway, where it has exactly one.
    pub gateway: Option<IpAddr>,
    /// What is done with packets, as the kernel has it.
    pub target: KernelTarget,
}

impl Origin {
    /// How a kernel route came to be.
    pub fn of(route: &KernelRoute) -> Origin {
        match route.protocol {
            KERNEL => Origin::Connected,
            protocol if BY_HAND.contains(&protocol) => Origin::Static,
            protocol => Origin::Protocol(protocol),
        }
    }
}

impl Selector {
    fn selects(&self, route: &KernelRoute) -> bool {
        self.table == route.table && self.origin.is_none_or(|origin| origin == Origin::of(route))
    }
}

impl RouteTable {
    /// The best selected route of others for a prefix: the lowest metric.
    pub fn redistributed(&self, prefix: &Prefix) -> Option<Redistributed> {
        if stays_on_its_link(prefix) {
            return None;
        }
        // Without a carrier the kernel keeps IPv4 routes, but nobody is reached by them.
        let leads = |route: &KernelRoute| match &route.target {
            KernelTarget::Legs(legs) => legs.iter().any(|leg| self.link_is_up(leg.link)),
            KernelTarget::Blackhole | KernelTarget::Unreachable | KernelTarget::Prohibit => true,
        };
        let selected =
            |route: &&KernelRoute| self.selectors.iter().any(|s| s.selects(route)) && leads(route);
        let best = self.foreign.get(prefix)?.iter().filter(selected).min_by_key(|r| r.metric)?;
        let gateway = match &best.target {
            KernelTarget::Legs(legs) => match legs.as_slice() {
                [leg] => leg.gateway,
                _ => None,
            },
            KernelTarget::Blackhole | KernelTarget::Unreachable | KernelTarget::Prohibit => None,
        };
        let (table, metric, target) = (best.table, best.metric, best.target.clone());
        Some(Redistributed { origin: Origin::of(best), table, metric, gateway, target })
    }

    pub(crate) fn select(&mut self, mut selectors: Vec<Selector>) {
        selectors.sort_unstable();
        selectors.dedup();
        if self.selectors != selectors {
            self.selectors = selectors;
            self.redistribute_all();
        }
    }

    pub(crate) fn redistribute_all(&mut self) {
        if self.selectors.is_empty() && self.redistributed.is_empty() {
            return;
        }
        let mut prefixes: Vec<Prefix> = self.redistributed.keys().copied().collect();
        prefixes.extend(self.foreign.keys());
        prefixes.sort_unstable();
        prefixes.dedup();
        for prefix in prefixes {
            self.redistribute(&prefix);
        }
    }

    /// Tells of a prefix if what is to be told has changed.
    pub(crate) fn redistribute(&mut self, prefix: &Prefix) {
        if self.selectors.is_empty() && self.redistributed.is_empty() {
            return;
        }
        let now = self.redistributed(prefix);
        let changed = match now.clone() {
            Some(route) => self.redistributed.insert(*prefix, route) != now,
            None => self.redistributed.remove(prefix).is_some(),
        };
        if changed {
            self.out.push_back(Output::Redistributed(*prefix, now));
        }
    }
}

/// Link-local, loopback and multicast networks mean nothing to others.
fn stays_on_its_link(prefix: &Prefix) -> bool {
    match prefix.address() {
        IpAddr::V4(a) => a.is_loopback() || a.is_multicast() || a.is_broadcast(),
        IpAddr::V6(a) => a.is_loopback() || a.is_multicast() || a.is_unicast_link_local(),
    }
}

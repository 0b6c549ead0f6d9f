//! What a source wants done with packets.

use std::collections::BTreeMap;

use inet::{LinkName, NextHop, RouteTarget};

/// The most that one next hop can weigh: what the kernel takes.
pub const MAX_WEIGHT: u16 = 256;

/// A next hop and its share of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Where to.
    pub next_hop: NextHop,
    /// Its share beside the others', 1 to [`MAX_WEIGHT`].
    pub weight: u16,
}

/// What is to be done with packets to a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Forwarded to these; made by [`Target::via`]: sorted, without doubles.
    Via(Vec<Hop>),
    /// Forwarded on a link without a gateway.
    Link(LinkName),
    /// Dropped silently.
    Blackhole,
    /// Dropped, and the sender told.
    Unreachable,
    /// Dropped, and the sender told that it is not allowed.
    Prohibit,
}

impl Target {
    /// Forwards to these with their weights (1 when equal); none without any. A doubled next hop
    /// weighs what both do, 0 counts as 1, and weights over [`MAX_WEIGHT`] are scaled down.
    pub fn via(hops: impl IntoIterator<Item = (NextHop, u32)>) -> Option<Target> {
        let mut sums: BTreeMap<NextHop, u64> = BTreeMap::new();
        for (hop, weight) in hops {
            *sums.entry(hop).or_default() += u64::from(weight.max(1));
        }
        let weights = scaled(&sums.values().copied().collect::<Vec<u64>>());
        let hops = sums.into_keys().zip(weights).map(|(next_hop, weight)| Hop { next_hop, weight });
        let hops: Vec<Hop> = hops.collect();
        (!hops.is_empty()).then_some(Target::Via(hops))
    }

    /// The next hops; none for other targets.
    pub fn hops(&self) -> &[Hop] {
        match self {
            Target::Via(hops) => hops,
            Target::Link(_) | Target::Blackhole | Target::Unreachable | Target::Prohibit => &[],
        }
    }
}

impl From<RouteTarget> for Target {
    fn from(target: RouteTarget) -> Target {
        match target {
            // No next hop leads nowhere, as one that does not resolve.
            RouteTarget::Via(hops) => {
                Target::via(hops.into_iter().map(|hop| (hop, 1))).unwrap_or(Target::Via(Vec::new()))
            }
            RouteTarget::Link(name) => Target::Link(name),
            RouteTarget::Blackhole => Target::Blackhole,
            RouteTarget::Unreachable => Target::Unreachable,
        }
    }
}

/// The same proportions in the smallest numbers that the kernel takes.
pub(crate) fn scaled(weights: &[u64]) -> Vec<u16> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let max = weights.iter().copied().max().unwrap_or(1) / divisor;
    let most = u64::from(MAX_WEIGHT);
    let scale = |weight: &u64| {
        let weight = weight / divisor;
        let weight = if max <= most {
            weight
        } else {
            (u128::from(weight) * u128::from(most) / u128::from(max)) as u64
        };
        weight.clamp(1, most) as u16
    };
    let scaled: Vec<u16> = weights.iter().map(scale).collect();
    let divisor = scaled.iter().map(|weight| u64::from(*weight)).fold(0, gcd).max(1) as u16;
    scaled.into_iter().map(|weight| weight / divisor).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn proportions_are_kept_as_far_as_the_kernel_counts() {
        for (given, expect) in [
            (&[1, 1][..], &[1, 1][..]),
            (&[7], &[1]),
            (&[10, 30], &[1, 3]),
            (&[1000, 3000, 1000], &[1, 3, 1]),
            (&[1, 1_000_000], &[1, 256]),
            (&[1_000_000_007, 1_000_000_007], &[1, 1]),
            (&[500, 501], &[255, 256]),
            (&[], &[]),
        ] {
            assert_eq!(scaled(given), expect, "{given:?}");
        }
    }
}

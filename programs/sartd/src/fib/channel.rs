//! One channel: what each source has, and which of them is best.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use inet::{Family, LinkName, NextHop, Prefix};
use node_api::v1;
use route_table::{KernelTarget, LinkIndex, Origin, Redistributed, Target, distance};
use router_config::{Channel, ChannelEnd, FibPlace, RouterEnd};

/// Owners that may hand routes over to one channel.
pub(super) const MAX_OWNERS: usize = 64;
/// Problems that one answer names.
const MAX_PROBLEMS: usize = 20;

/// What a source wants for a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) distance: u8,
    pub(super) target: Target,
}

/// A channel and its sources' routes, by the sources' names.
#[derive(Debug)]
pub(super) struct ChannelState {
    pub(super) config: Channel,
    pub(super) sources: BTreeMap<String, BTreeMap<Prefix, Wish>>,
    /// All prefixes with a wish, and how many sources have one.
    prefixes: BTreeMap<Prefix, usize>,
    /// The sources that are owners: known by gRPC alone.
    pub(super) owners: BTreeSet<String>,
    /// Sources that have not been read since the start. Until they are, routers keep what they were
    /// told by the run before.
    pub(super) unread: BTreeSet<String>,
}

/// Finds what makes no sense in the channels.
pub(super) fn check(channels: &[Channel]) -> anyhow::Result<()> {
    for channel in channels {
        let name = &channel.name;
        let tables = |ends: &[ChannelEnd]| -> BTreeSet<FibPlace> {
            ends.iter().flat_map(ChannelEnd::places).collect()
        };
        let (from, to) = (tables(&channel.subscribers), tables(&channel.publishers));
        if let Some(both) = from.intersection(&to).next() {
            anyhow::bail!("channel {name:?} takes routes from table {both} and gives them to it");
        }
        let endpoints = |ends: &[ChannelEnd]| -> BTreeSet<RouterEnd> {
            ends.iter()
                .filter_map(|end| match end {
                    ChannelEnd::Kernel { .. } => None,
                    ChannelEnd::Bgp { endpoint } => Some(endpoint.clone()),
                })
                .collect()
        };
        let (from, to) = (endpoints(&channel.subscribers), endpoints(&channel.publishers));
        if let Some(both) = from.intersection(&to).next() {
            anyhow::bail!(
                "channel {name:?} takes routes from the router {both} and gives them to it"
            );
        }
    }
    Ok(())
}

/// Finds routers that would be sent the token in clear over a network: whoever can read it there can
/// announce routes.
pub(super) fn check_token(channels: &[Channel]) -> anyhow::Result<()> {
    for end in channels.iter().flat_map(|channel| &channel.publishers) {
        if let ChannelEnd::Bgp { endpoint: RouterEnd::Tcp(address) } = end
            && !address.ip().is_loopback()
        {
            anyhow::bail!(
                "token-in-clear: the token would go to {address} unencrypted; run a FIB controller \
                 beside that router, or reach it by a tunnel that ends on this machine"
            );
        }
    }
    Ok(())
}

/// The name of a kernel table as a source.
pub(super) fn kernel_name(table: FibPlace) -> String {
    format!("kernel {table}")
}

/// The name of a router as a source.
pub(super) fn bgp_name(endpoint: &RouterEnd) -> String {
    format!("bgp {endpoint}")
}

impl ChannelState {
    /// A channel that has read nothing yet. `owners` had handed routes over to the run before.
    pub(super) fn new(config: Channel, owners: &[String]) -> ChannelState {
        let ends = config.subscribers.iter().flat_map(|end| match end {
            ChannelEnd::Kernel { .. } => end.places().map(kernel_name).collect(),
            ChannelEnd::Bgp { endpoint } => vec![bgp_name(endpoint)],
        });
        let unread = ends.chain(owners.iter().cloned()).collect();
        let (sources, prefixes, owners) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        ChannelState { config, sources, prefixes, owners, unread }
    }

    /// Puts a source's wish in place of its former one; false when nothing changed.
    pub(super) fn put(&mut self, source: &str, prefix: Prefix, wish: Option<Wish>) -> bool {
        if prefix.family() != self.config.ip_version {
            return false;
        }
        match wish {
            Some(wish) => {
                let routes = self.sources.entry(source.to_owned()).or_default();
                let before = routes.insert(prefix, wish.clone());
                if before.is_none() {
                    *self.prefixes.entry(prefix).or_default() += 1;
                }
                before != Some(wish)
            }
            None => {
                let Some(routes) = self.sources.get_mut(source) else { return false };
                let was = routes.remove(&prefix).is_some();
                if routes.is_empty() {
                    self.sources.remove(source);
                }
                if was {
                    match self.prefixes.get(&prefix).copied() {
                        Some(2..) => self.prefixes.entry(prefix).and_modify(|n| *n -= 1),
                        Some(0 | 1) | None => {
                            self.prefixes.remove(&prefix);
                            return was;
                        }
                    };
                }
                was
            }
        }
    }

    /// The best wish for a prefix and whose it is: the lowest distance, then the first name.
    pub(super) fn best(&self, prefix: &Prefix) -> Option<(&str, &Wish)> {
        let of = self
            .sources
            .iter()
            .filter_map(|(name, routes)| routes.get(prefix).map(|wish| (name.as_str(), wish)));
        of.min_by_key(|(name, wish)| (wish.distance, *name))
    }

    /// All prefixes with a wish.
    pub(super) fn prefixes(&self) -> BTreeSet<Prefix> {
        self.prefixes.keys().copied().collect()
    }

    /// Those behind one, in order; none: from the first on.
    pub(super) fn prefixes_after(&self, after: Option<Prefix>) -> impl Iterator<Item = &Prefix> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.prefixes.range((from, Bound::Unbounded)).map(|(prefix, _)| prefix)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }
}

/// A route of the kernel as a wish; none for what cannot be copied into another table.
pub(super) fn of_kernel(
    route: &Redistributed,
    name_of: impl Fn(LinkIndex) -> Option<LinkName>,
) -> Option<Wish> {
    let distance = match route.origin {
        Origin::Connected => 0,
        Origin::Static => distance::STATIC,
        Origin::Protocol(_) => distance::OTHER,
    };
    let target = match &route.target {
        KernelTarget::Blackhole => Target::Blackhole,
        KernelTarget::Unreachable => Target::Unreachable,
        KernelTarget::Prohibit => Target::Prohibit,
        KernelTarget::Legs(legs) => {
            let hops = legs.iter().filter_map(|leg| {
                let interface = Some(name_of(leg.link)?);
                let hop = NextHop { interface, ..NextHop::from(leg.gateway?) };
                Some((hop, u32::from(leg.weight)))
            });
            match Target::via(hops) {
                Some(target) => target,
                None => Target::Link(name_of(legs.first()?.link)?),
            }
        }
    };
    Some(Wish { distance, target })
}

/// An owner's request as wishes, or all that is wrong with it.
pub(super) fn of_request(
    family: Family,
    request: &v1::SetRoutesRequest,
) -> Result<BTreeMap<Prefix, Wish>, Vec<String>> {
    let mut problems = Vec::new();
    let distance = match u8::try_from(request.distance) {
        Ok(0) => distance::OTHER,
        Ok(distance) => distance,
        Err(_) => {
            problems.push(format!("distance {} is not 1 to 255", request.distance));
            distance::OTHER
        }
    };
    let mut wishes = BTreeMap::new();
    for route in &request.routes {
        match one(family, route) {
            Ok((prefix, target)) => {
                if wishes.insert(prefix, Wish { distance, target }).is_some() {
                    problems.push(format!("{prefix} is there twice"));
                }
            }
            Err(problem) => problems.push(problem),
        }
        if problems.len() >= MAX_PROBLEMS {
            problems.push("and perhaps more".to_owned());
            break;
        }
    }
    if problems.is_empty() { Ok(wishes) } else { Err(problems) }
}

fn one(family: Family, route: &v1::FibRoute) -> Result<(Prefix, Target), String> {
    let v1::FibRoute { prefix: text, kind, next_hops, interface } = route;
    let wrong = |what: &dyn std::fmt::Display| format!("{text}: {what}");
    let prefix: Prefix = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    if prefix.family() != family {
        return Err(wrong(&format!("the channel is of {family}")));
    }
    let target = match kind.as_str() {
        "" | "via" => {
            let mut hops = Vec::with_capacity(next_hops.len());
            for hop in next_hops {
                let address: std::net::IpAddr = hop
                    .address
                    .parse()
                    .map_err(|_| wrong(&format!("{:?} is no address", hop.address)))?;
                let interface = match hop.interface.as_str() {
                    "" => None,
                    name => Some(name.parse::<LinkName>().map_err(|error| wrong(&error))?),
                };
                hops.push((NextHop { interface, ..NextHop::from(address) }, hop.weight));
            }
            Target::via(hops).ok_or_else(|| wrong(&"no next hop"))?
        }
        "link" => Target::Link(interface.parse().map_err(|error| wrong(&error))?),
        "blackhole" => Target::Blackhole,
        "unreachable" => Target::Unreachable,
        "prohibit" => Target::Prohibit,
        other => return Err(wrong(&format!("there is no kind {other:?}"))),
    };
    Ok((prefix, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(distance: u8) -> Option<Wish> {
        Some(Wish { distance, target: Target::Blackhole })
    }

    fn channel() -> ChannelState {
        ChannelState::new(
            Channel {
                name: "c".to_owned(),
                ip_version: Family::Ipv4,
                subscribers: Vec::new(),
                publishers: Vec::new(),
            },
            &[],
        )
    }

    #[test]
    fn the_lowest_distance_wins_and_then_the_first_name() {
        let mut channel = channel();
        let prefix: Prefix = "10.0.0.0/8".parse().unwrap();
        assert!(channel.put("b", prefix, wish(20)));
        assert!(!channel.put("b", prefix, wish(20)));
        assert!(channel.put("a", prefix, wish(20)));
        assert_eq!(channel.best(&prefix).map(|(name, _)| name), Some("a"));
        assert!(channel.put("z", prefix, wish(1)));
        assert_eq!(channel.best(&prefix).map(|(name, _)| name), Some("z"));
        assert!(channel.put("z", prefix, None));
        assert!(!channel.put("z", prefix, None));
        assert!(!channel.put("b", "2001:db8::/32".parse().unwrap(), wish(1)));
        assert_eq!(channel.prefixes().len(), 1);
    }

    #[test]
    fn prefixes_are_counted_as_they_come_and_go() {
        let mut channel = channel();
        let all: Vec<Prefix> =
            (0..9).map(|n| Prefix::truncated([10, n, 0, 0].into(), 16).unwrap()).collect();
        for (n, prefix) in all.iter().enumerate() {
            for source in ["a", "b", "c"].iter().take(n % 3 + 1) {
                channel.put(source, *prefix, wish(9));
                channel.put(source, *prefix, wish(10));
            }
        }
        assert!(channel.prefixes_after(None).eq(&all));
        assert!(channel.prefixes_after(Some(all[4])).eq(&all[5..]));
        let between = "10.4.128.0/24".parse().unwrap();
        assert!(channel.prefixes_after(Some(between)).eq(&all[5..]));
        for (source, left) in [("a", 6), ("c", 6), ("b", 0)] {
            for prefix in &all {
                channel.put(source, *prefix, None);
                channel.put(source, *prefix, None);
            }
            assert_eq!(channel.len(), left, "without {source}");
            assert_eq!(channel.prefixes().len(), left);
        }
    }

    #[test]
    fn a_request_is_taken_whole_or_refused_with_all_that_is_wrong() {
        let route = |prefix: &str, kind: &str, hops: &[&str]| v1::FibRoute {
            prefix: prefix.to_owned(),
            kind: kind.to_owned(),
            next_hops: hops
                .iter()
                .map(|hop| v1::FibNextHop { address: (*hop).to_owned(), ..Default::default() })
                .collect(),
            interface: String::new(),
        };
        let request = |routes: Vec<v1::FibRoute>| v1::SetRoutesRequest {
            owner: "o".to_owned(),
            channel: "c".to_owned(),
            distance: 0,
            routes,
        };
        let good =
            vec![route("10.0.0.0/8", "", &["192.0.2.1"]), route("11.0.0.0/8", "prohibit", &[])];
        let wishes = of_request(Family::Ipv4, &request(good)).unwrap();
        assert_eq!(wishes.len(), 2);
        assert!(wishes.values().all(|wish| wish.distance == distance::OTHER));
        let bad = vec![
            route("10.0.0.1/8", "", &["192.0.2.1"]),
            route("2001:db8::/32", "blackhole", &[]),
            route("10.0.0.0/8", "via", &[]),
            route("10.0.0.0/8", "via", &["somewhere"]),
            route("10.0.0.0/8", "nat", &[]),
            route("10.0.0.0/8", "link", &[]),
            route("12.0.0.0/8", "blackhole", &[]),
            route("12.0.0.0/8", "blackhole", &[]),
        ];
        assert_eq!(of_request(Family::Ipv4, &request(bad)).unwrap_err().len(), 7);
    }

    #[test]
    fn a_channel_into_where_it_comes_from_is_refused() {
        let mut config = channel().config;
        let kernel = |tables: &[u32], vrf: &str| ChannelEnd::Kernel {
            tables: tables.to_vec(),
            vrfs: vec![vrf.parse().unwrap()],
        };
        config.subscribers = vec![kernel(&[254, 8], "blue")];
        config.publishers = vec![kernel(&[9], "red")];
        assert!(check(std::slice::from_ref(&config)).is_ok());
        config.publishers = vec![kernel(&[8], "red")];
        let refused = |config: &Channel| check(std::slice::from_ref(config)).unwrap_err();
        assert!(refused(&config).to_string().contains("table 8"));
        config.publishers = vec![kernel(&[9], "blue")];
        assert!(refused(&config).to_string().contains("table vrf blue"));
    }

    #[test]
    fn the_token_leaves_the_machine_to_nobody() {
        let mut config = channel().config;
        let mut may = |endpoint| {
            config.publishers = vec![ChannelEnd::Bgp { endpoint }];
            check_token(std::slice::from_ref(&config)).is_ok()
        };
        assert!(may(RouterEnd::Socket("/run/sart/router.sock".to_owned())));
        assert!(may(RouterEnd::Tcp("127.0.0.1:5000".parse().unwrap())));
        assert!(may(RouterEnd::Tcp("[::1]:5000".parse().unwrap())));
        assert!(!may(RouterEnd::Tcp("10.0.0.1:5000".parse().unwrap())));
    }
}

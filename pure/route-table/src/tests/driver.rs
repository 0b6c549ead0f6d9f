//! A table, a kernel made of maps, and a small language to move both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use inet::{NextHop, Prefix, Route, RouteTarget, Timestamp};

use crate::*;

pub(super) const METRIC: u32 = 4271;
pub(super) const PROTOCOL: u8 = 186;

pub(super) fn config() -> Config {
    Config {
        table: 254,
        protocol: PROTOCOL,
        metric: METRIC,
        install: true,
        resolve_via_default: false,
    }
}

/// Runs the lines and compares our routes in the kernel, as `prefix=target` separated by spaces.
#[track_caller]
pub(super) fn check(lines: &str, routes: &str) {
    let mut driver = Driver::new(config());
    driver.run(lines);
    assert_eq!(driver.ours(), routes, "{lines}");
}

/// Runs the lines and compares what the last of them made the table tell.
#[track_caller]
pub(super) fn check_told(lines: &str, told: &str) {
    let mut driver = Driver::new(config());
    driver.run(lines);
    assert_eq!(driver.told.join("; "), told, "{lines}");
}

pub(super) struct Driver {
    pub(super) table: RouteTable,
    pub(super) now: Timestamp,
    pub(super) synced: bool,
    pub(super) links: BTreeMap<u32, bool>,
    pub(super) addresses: BTreeSet<LinkAddress>,
    pub(super) foreign: Vec<KernelRoute>,
    pub(super) own: BTreeMap<Prefix, KernelTarget>,
    /// Writes that the kernel refuses.
    pub(super) refused: BTreeMap<Prefix, i32>,
    /// Writes made whose results have not been handed back.
    pub(super) results: Vec<(Prefix, Result<(), Errno>)>,
    pub(super) written: usize,
    told: Vec<String>,
}

impl Driver {
    pub(super) fn new(config: Config) -> Driver {
        Driver {
            table: RouteTable::new(config),
            now: Timestamp::ZERO,
            synced: false,
            links: BTreeMap::new(),
            addresses: BTreeSet::new(),
            foreign: Vec::new(),
            own: BTreeMap::new(),
            refused: BTreeMap::new(),
            results: Vec::new(),
            written: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.told.clear();
            self.step(line);
            self.settle();
        }
    }

    /// Our routes in the kernel.
    pub(super) fn ours(&self) -> String {
        let all: Vec<String> = self.own.iter().map(|(p, t)| format!("{p}={}", show(t))).collect();
        all.join(" ")
    }

    /// One line, without the table's answers being worked off.
    pub(super) fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["sync"] => self.sync(),
            ["link", index, state] => self.link(index.parse().unwrap(), state),
            [verb @ ("addr" | "addr-"), index, address] => {
                let link = LinkIndex(index.parse().unwrap());
                self.address(
                    *verb == "addr",
                    LinkAddress { link, address: address.parse().unwrap() },
                );
            }
            [verb @ ("foreign" | "foreign=" | "foreign-"), prefix, target, rest @ ..] => {
                let metric = rest.first().map_or(0, |metric| metric.parse().unwrap());
                let route = KernelRoute {
                    prefix: prefix.parse().unwrap(),
                    table: 254,
                    protocol: 4,
                    metric,
                    target: target_of(target),
                };
                self.foreign_route(news(verb), route);
            }
            [verb @ ("ours" | "ours-"), prefix, target] => {
                self.our_route(news(verb), prefix.parse().unwrap(), target_of(target));
            }
            [source @ ("bgp" | "static"), prefix, target] => {
                let (source, distance) = source_of(source);
                let (prefix, target) = (prefix.parse().unwrap(), wanted_of(target));
                self.input(Input::Update { source, distance, prefix, target });
            }
            ["set", source, routes @ ..] => {
                let (source, distance) = source_of(source);
                let routes = routes.iter().map(|route| {
                    let (prefix, target) = route.split_once('=').unwrap();
                    Route { prefix: prefix.parse().unwrap(), target: wanted_of(target).unwrap() }
                });
                let routes = routes.collect();
                self.input(Input::Set { source, distance, routes });
            }
            ["track", hop] => self.input(Input::Track(hop_of(hop))),
            ["untrack", hop] => self.input(Input::Untrack(hop_of(hop))),
            ["sweep"] => self.input(Input::Sweep),
            ["install", on] => self.input(Input::Install(*on == "on")),
            ["refuse", prefix, errno] => {
                self.refused.insert(prefix.parse().unwrap(), errno.parse().unwrap());
            }
            ["accept"] => self.refused.clear(),
            ["after", millis] => {
                self.now = self.now + Duration::from_millis(millis.parse().unwrap());
                self.table.tick(self.now);
            }
            _ => panic!("not understood: {line}"),
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.table.handle(self.now, input);
    }

    fn tell(&mut self, event: KernelEvent) {
        if self.synced {
            self.input(Input::Kernel(event));
        }
    }

    pub(super) fn sync(&mut self) {
        self.synced = true;
        let ours = self.own.iter().map(|(prefix, target)| KernelRoute {
            prefix: *prefix,
            table: 254,
            protocol: PROTOCOL,
            metric: METRIC,
            target: target.clone(),
        });
        let snapshot = Snapshot {
            links: self.links.iter().map(|(index, up)| link(*index, *up)).collect(),
            addresses: self.addresses.iter().copied().collect(),
            routes: ours.chain(self.foreign.iter().cloned()).collect(),
        };
        self.tell(KernelEvent::Snapshot(snapshot));
    }

    pub(super) fn link(&mut self, index: u32, state: &str) {
        let up = state == "up";
        if state == "gone" {
            self.links.remove(&index);
            self.addresses.retain(|address| address.link.0 != index);
            self.tell(KernelEvent::LinkGone(LinkIndex(index)));
        } else {
            self.links.insert(index, up);
            self.tell(KernelEvent::Link(link(index, up)));
        }
    }

    pub(super) fn address(&mut self, there: bool, address: LinkAddress) {
        if there {
            self.addresses.insert(address);
            self.tell(KernelEvent::Address(address));
        } else {
            self.addresses.remove(&address);
            self.tell(KernelEvent::AddressGone(address));
        }
    }

    pub(super) fn foreign_route(&mut self, news: RouteNews, route: KernelRoute) {
        let same_place =
            |old: &KernelRoute| (old.prefix, old.metric) == (route.prefix, route.metric);
        match news {
            RouteNews::Added => {
                // As IPv6 does it: a route that gained a leg is told of as a whole.
                self.foreign
                    .retain(|old| !(same_place(old) && is_part(&old.target, &route.target)));
                self.foreign.push(route.clone());
            }
            RouteNews::Replaced => {
                self.foreign.retain(|old| !same_place(old));
                self.foreign.push(route.clone());
                if route.metric == METRIC {
                    self.own.remove(&route.prefix);
                }
            }
            RouteNews::Removed => {
                let Some(at) = self.foreign.iter().position(|old| *old == route) else { return };
                self.foreign.remove(at);
            }
        }
        self.tell(KernelEvent::Route(news, route));
    }

    pub(super) fn our_route(&mut self, news: RouteNews, prefix: Prefix, target: KernelTarget) {
        let target = match news {
            RouteNews::Added | RouteNews::Replaced => {
                self.own.insert(prefix, target.clone());
                target
            }
            RouteNews::Removed => match self.own.remove(&prefix) {
                Some(target) => target,
                None => return,
            },
        };
        let (protocol, metric) = (PROTOCOL, METRIC);
        let route = KernelRoute { prefix, table: 254, protocol, metric, target };
        self.tell(KernelEvent::Route(news, route));
    }

    /// Works off one output; false when there is none.
    pub(super) fn poll(&mut self) -> bool {
        match self.table.poll() {
            None => return false,
            Some(Output::Change(change)) => self.write(change),
            Some(Output::NextHop(hop, Resolution::Resolved { legs, metric })) => {
                self.told
                    .push(format!("{hop}={} metric {metric}", show(&KernelTarget::Legs(legs))));
            }
            Some(Output::NextHop(hop, Resolution::Unresolved(why))) => {
                self.told.push(format!("{hop}: {why}"));
            }
            Some(Output::Link { name, up }) => {
                self.told.push(format!("{name} {}", if up { "up" } else { "down" }));
            }
            Some(Output::Addresses { name, addresses }) => {
                self.told.push(format!("{name} {addresses:?}"));
            }
        }
        true
    }

    fn write(&mut self, Change { prefix, action }: Change) {
        self.written += 1;
        assert!(!self.results.iter().any(|(p, _)| *p == prefix), "two writes in flight: {prefix}");
        let result = match self.refused.get(&prefix) {
            Some(errno) => Err(Errno(*errno)),
            None => {
                match action {
                    Action::Replace(target) => self.own.insert(prefix, target),
                    Action::Delete => self.own.remove(&prefix),
                };
                Ok(())
            }
        };
        self.results.push((prefix, result));
    }

    /// Hands all results back.
    pub(super) fn answer(&mut self) {
        for (prefix, result) in std::mem::take(&mut self.results) {
            self.input(Input::Applied { prefix, result });
        }
    }

    /// Until nothing is left to do.
    pub(super) fn settle(&mut self) {
        loop {
            let mut idle = self.results.is_empty();
            while self.poll() {
                idle = false;
            }
            self.answer();
            if idle {
                return;
            }
        }
    }
}

fn link(index: u32, up: bool) -> Link {
    Link { index: LinkIndex(index), name: format!("eth{index}").parse().unwrap(), up }
}

fn is_part(part: &KernelTarget, whole: &KernelTarget) -> bool {
    match (part, whole) {
        (KernelTarget::Legs(part), KernelTarget::Legs(whole)) => {
            part.iter().all(|leg| whole.contains(leg))
        }
        (part, whole) => part == whole,
    }
}

fn news(verb: &str) -> RouteNews {
    match verb.as_bytes().last() {
        Some(b'=') => RouteNews::Replaced,
        Some(b'-') => RouteNews::Removed,
        _ => RouteNews::Added,
    }
}

fn source_of(name: &str) -> (SourceId, u8) {
    match name {
        "static" => (SourceId(1), 1),
        _ => (SourceId(2), 20),
    }
}

/// `blackhole`, `unreachable`, or legs `gateway%link` or `%link` with commas.
pub(super) fn target_of(text: &str) -> KernelTarget {
    let leg = |leg: &str| {
        let (gateway, link) = leg.split_once('%').unwrap();
        let gateway = (!gateway.is_empty()).then(|| gateway.parse().unwrap());
        Leg { gateway, link: LinkIndex(link.parse().unwrap()) }
    };
    match text {
        "blackhole" => KernelTarget::Blackhole,
        "unreachable" => KernelTarget::Unreachable,
        legs => KernelTarget::Legs(legs.split(',').map(leg).collect()),
    }
}

/// `-`, `blackhole`, `unreachable`, `dev=NAME` or next hops with commas.
pub(super) fn wanted_of(text: &str) -> Option<RouteTarget> {
    match text {
        "-" => None,
        "blackhole" => Some(RouteTarget::Blackhole),
        "unreachable" => Some(RouteTarget::Unreachable),
        text => Some(match text.strip_prefix("dev:") {
            Some(name) => RouteTarget::Link(name.parse().unwrap()),
            None => RouteTarget::Via(text.split(',').map(hop_of).collect()),
        }),
    }
}

pub(super) fn hop_of(text: &str) -> NextHop {
    match text.split_once('%') {
        None => NextHop::from(text.parse::<std::net::IpAddr>().unwrap()),
        Some((address, name)) => NextHop {
            interface: Some(name.parse().unwrap()),
            ..NextHop::from(address.parse::<std::net::IpAddr>().unwrap())
        },
    }
}

fn show(target: &KernelTarget) -> String {
    match target {
        KernelTarget::Blackhole => "blackhole".into(),
        KernelTarget::Unreachable => "unreachable".into(),
        KernelTarget::Legs(legs) => {
            legs.iter().map(Leg::to_string).collect::<Vec<String>>().join(",")
        }
    }
}

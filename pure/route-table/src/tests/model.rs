//! Random histories against a naive reading of the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use inet::{Family, NextHop, Prefix, RouteTarget};
use proptest::prelude::*;

use super::driver::{Driver, METRIC, Own, config, with_objects};
use crate::*;

const PREFIXES: [&str; 7] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "10.1.1.1/32",
    "20.0.0.0/8",
    "20.1.0.0/16",
];
const HOPS: [&str; 7] =
    ["10.1.1.1", "10.1.2.1", "10.9.9.9", "20.1.1.1", "20.9.9.9", "30.0.0.1", "fe80::1%eth1"];

#[derive(Clone, Debug)]
enum Step {
    Line(String),
    /// Takes away one of the foreign routes that are there.
    Remove(usize),
    /// Lets the table do at most so many things, without answers.
    Poll(usize),
    /// Hands the results of all writes back.
    Answer,
    /// Takes away one of the next-hop objects that are there, or puts another in its place.
    Meddle(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let prefix = || prop::sample::select(PREFIXES.as_slice());
    let hop = || prop::sample::select(HOPS.as_slice());
    let leg = (prop::sample::select(["", "10.1.1.1", "20.1.1.1"].as_slice()), 1..4u32);
    let legs = prop::collection::btree_set(leg, 1..3).prop_map(|legs| {
        let legs: Vec<String> = legs.iter().map(|(gw, link)| format!("{gw}%{link}")).collect();
        legs.join(",")
    });
    let kernel_target = prop_oneof![5 => legs, 1 => Just("unreachable".to_owned())].boxed();
    let wanted = prop_oneof![
        6 => prop::collection::btree_set(hop(), 1..3)
            .prop_map(|hops| hops.into_iter().collect::<Vec<_>>().join(",")),
        1 => Just("blackhole".to_owned()),
        1 => Just("dev:eth2".to_owned()),
        3 => Just("-".to_owned()),
    ];
    let verb = prop::sample::select(["foreign", "foreign", "foreign="].as_slice());
    let metric = prop::sample::select([0, 100, METRIC, 9999].as_slice());
    let ours = prop::sample::select(["ours", "ours-"].as_slice());
    let source = prop::sample::select(["bgp", "static"].as_slice());
    let state = prop::sample::select(["up", "up", "down", "gone"].as_slice());
    let address = prop::sample::select(["addr", "addr-"].as_slice());
    prop_oneof![
        8 => (source, prefix(), wanted).prop_map(|(s, p, t)| Step::Line(format!("{s} {p} {t}"))),
        5 => (verb, prefix(), kernel_target.clone(), metric)
            .prop_map(|(v, p, t, m)| Step::Line(format!("{v} {p} {t} {m}"))),
        2 => (ours, prefix(), kernel_target)
            .prop_map(|(v, p, t)| Step::Line(format!("{v} {p} {t}"))),
        4 => (1..4u32, state).prop_map(|(l, s)| Step::Line(format!("link {l} {s}"))),
        1 => (address, 1..4u32, hop()).prop_map(|(v, l, h)| {
            Step::Line(format!("{v} {l} {}", h.trim_end_matches("%eth1")))
        }),
        1 => prefix().prop_map(|p| Step::Line(format!("refuse {p} 101"))),
        1 => Just(Step::Line("accept".into())),
        1 => Just(Step::Line("refuse-objects".into())),
        1 => Just(Step::Line("lose".into())),
        1 => Just(Step::Line("after 6000".into())),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(n, away)| Step::Meddle(n, away)),
        1 => Just(Step::Line("sync".into())),
        1 => Just(Step::Line("after 700".into())),
        1 => prop::sample::select(["install on", "install on", "install off"].as_slice())
            .prop_map(|l| Step::Line(l.into())),
        4 => any::<usize>().prop_map(Step::Remove),
        6 => (1..4usize).prop_map(Step::Poll),
        5 => Just(Step::Answer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: once it is quiet, the kernel is as the facts want it.
    #[test]
    fn after_quiet_the_kernel_is_as_wanted(steps in prop::collection::vec(step(), 1..60)) {
        history(&steps, config(), 256)?;
    }

    /// The same by way of next-hop objects, none of which is left over or taken away in use.
    #[test]
    fn with_objects_too(steps in prop::collection::vec(step(), 1..60)) {
        history(&steps, with_objects(), 256)?;
    }

    /// The same where even one route counts as many: groups are changed in place, and taken along.
    #[test]
    fn with_objects_that_move_too(steps in prop::collection::vec(step(), 1..60)) {
        history(&steps, with_objects(), 1)?;
    }
}

fn history(steps: &[Step], config: Config, many: usize) -> Result<(), TestCaseError> {
    let objects = config.objects.is_some();
    let mut driver = Driver::new(config);
    driver.table.many = many;
    let mut model = Model { install: true, ..Model::default() };
    driver.run("link 1 up\n link 2 up\n link 3 up\n sync");
    for hop in HOPS {
        driver.step(&format!("track {hop}"));
    }
    for step in steps {
        match step {
            Step::Line(line) => {
                model.learn(line);
                driver.step(line);
            }
            Step::Remove(nth) => {
                let count = driver.foreign.len();
                if count > 0 {
                    let route = driver.foreign[nth % count].clone();
                    driver.foreign_route(RouteNews::Removed, route);
                }
            }
            Step::Poll(count) => {
                let _ = (0..*count).all(|_| driver.poll());
            }
            Step::Answer => driver.answer(),
            Step::Meddle(nth, away) => {
                let ids: Vec<ObjectId> = driver.objects.keys().copied().collect();
                if ids.is_empty() {
                    continue;
                }
                let (id, other) = (ids[nth % ids.len()], ids[0]);
                let legs =
                    |id: &ObjectId| matches!(driver.objects[id].1, ObjectContent::Leg { .. });
                if *away || legs(&id) || !legs(&other) {
                    driver.remove_object(id);
                } else {
                    let content = ObjectContent::Group(vec![(other, 7)]);
                    driver.put_object(id, super::driver::PROTOCOL, content);
                }
            }
        }
    }
    // What the kernel drops without a word is read anew.
    driver.run("accept\n sweep\n sync\n after 120000\n after 6000\n after 6000\n after 6000");
    prop_assert!(driver.table.is_quiet());

    let (mut wanted, mut held) = (BTreeMap::new(), driver.own_targets());
    for prefix in PREFIXES.map(|p| p.parse::<Prefix>().unwrap()) {
        if model.is_blocked(&driver, &prefix) {
            // Ours is not to be written there; what is left of it does not matter.
            held.remove(&prefix);
        } else if let Some(target) = model.target(&driver, &prefix) {
            wanted.insert(prefix, target);
        }
    }
    prop_assert_eq!(&held, &wanted);
    for hop in HOPS.map(super::driver::hop_of) {
        let legs = model.hop(&driver, &hop, &[]);
        let told = match driver.table.resolve(&hop) {
            Resolution::Resolved { legs, .. } => Some(legs.into_iter().collect()),
            Resolution::Unresolved(_) => None,
        };
        prop_assert_eq!(legs, told, "{}", hop);
    }
    // What is remembered of a next hop is what one finds by looking.
    for (hop, known) in &driver.table.hops {
        let found = Some(driver.table.resolve(hop));
        prop_assert_eq!(&known.resolution, &found, "{}", hop);
        prop_assert!(!known.tracked || known.told == found, "{} told wrongly", hop);
    }
    // No object is left that nothing uses.
    for (id, (_, content)) in &driver.objects {
        let used = match content {
            ObjectContent::Group(_) => driver.own.values().any(|o| *o == Own::Via(*id)),
            ObjectContent::Leg { .. } => driver.objects.values().any(|(_, other)| {
                matches!(other, ObjectContent::Group(m) if m.iter().any(|(m, _)| m == id))
            }),
            ObjectContent::Other => false,
        };
        prop_assert!(used, "{:?} {:?} is left over", id, content);
    }
    prop_assert!(objects || driver.objects.is_empty());
    // The same facts again change nothing.
    let written = driver.written;
    driver.run("sync");
    prop_assert_eq!(driver.written, written);
    Ok(())
}

/// What is wanted, kept in the simplest way; the kernel's facts are the driver's.
#[derive(Default)]
struct Model {
    install: bool,
    offers: BTreeMap<(Prefix, u8), RouteTarget>,
}

impl Model {
    fn learn(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [source @ ("bgp" | "static"), prefix, target] => {
                let distance = if *source == "bgp" { 20 } else { 1 };
                let key = (prefix.parse().unwrap(), distance);
                match super::driver::wanted_of(target) {
                    Some(target) => self.offers.insert(key, target),
                    None => self.offers.remove(&key),
                };
            }
            ["install", on] => self.install = *on == "on",
            _ => {}
        }
    }

    fn is_blocked(&self, driver: &Driver, prefix: &Prefix) -> bool {
        driver.foreign.iter().any(|route| route.prefix == *prefix && route.metric == METRIC)
    }

    fn target(&self, driver: &Driver, prefix: &Prefix) -> Option<KernelTarget> {
        let offers = self.offers.iter().filter(|((p, _), _)| self.install && p == prefix);
        offers.map(|(_, target)| target).find_map(|target| match target {
            RouteTarget::Blackhole => Some(KernelTarget::Blackhole),
            RouteTarget::Unreachable => Some(KernelTarget::Unreachable),
            RouteTarget::Link(name) => {
                let link = up(driver, name.as_str())?;
                Some(KernelTarget::Legs(vec![Leg::new(None, link)]))
            }
            RouteTarget::Via(hops) => {
                let legs: BTreeSet<Leg> = hops
                    .iter()
                    .filter_map(|hop| self.hop(driver, hop, &[*prefix]))
                    .flatten()
                    .collect();
                (!legs.is_empty()).then(|| KernelTarget::Legs(legs.into_iter().collect()))
            }
        })
    }

    fn hop(&self, driver: &Driver, hop: &NextHop, inside: &[Prefix]) -> Option<BTreeSet<Leg>> {
        if driver.addresses.iter().any(|own| own.address == hop.address) {
            return None;
        }
        if let Some(name) = hop.interface {
            let link = up(driver, name.as_str())?;
            return Some(BTreeSet::from([Leg::new(Some(hop.address), link)]));
        }
        for len in (1..=Family::of(&hop.address).bits()).rev() {
            let prefix = Prefix::truncated(hop.address, len).unwrap();
            let mut foreign: Vec<&KernelRoute> =
                driver.foreign.iter().filter(|route| route.prefix == prefix).collect();
            foreign.sort_by_key(|route| route.metric);
            let first = foreign.first().copied();
            if let Some(route) = first.filter(|route| route.metric <= METRIC) {
                return legs_up(driver, route, hop.address);
            }
            if let Some(decided) = self.own(driver, &prefix, hop.address, inside) {
                return decided;
            }
            if let Some(route) = first {
                return legs_up(driver, route, hop.address);
            }
        }
        None
    }

    fn own(
        &self,
        driver: &Driver,
        prefix: &Prefix,
        address: IpAddr,
        inside: &[Prefix],
    ) -> Option<Option<BTreeSet<Leg>>> {
        if inside.contains(prefix) || !self.install {
            return None;
        }
        let inside = [inside, &[*prefix]].concat();
        let offers = self.offers.iter().filter(|((p, _), _)| p == prefix);
        offers.map(|(_, target)| target).find_map(|target| match target {
            RouteTarget::Blackhole | RouteTarget::Unreachable => Some(None),
            RouteTarget::Link(name) => up(driver, name.as_str())
                .map(|link| Some(BTreeSet::from([Leg::new(Some(address), link)]))),
            RouteTarget::Via(hops) => {
                let legs: BTreeSet<Leg> = hops
                    .iter()
                    .filter_map(|hop| self.hop(driver, hop, &inside))
                    .flatten()
                    .collect();
                (!legs.is_empty()).then_some(Some(legs))
            }
        })
    }
}

fn up(driver: &Driver, name: &str) -> Option<LinkIndex> {
    let index: u32 = name.strip_prefix("eth").unwrap().parse().unwrap();
    driver.links.get(&index).copied().unwrap_or(false).then_some(LinkIndex(index))
}

fn legs_up(driver: &Driver, route: &KernelRoute, address: IpAddr) -> Option<BTreeSet<Leg>> {
    let KernelTarget::Legs(legs) = &route.target else { return None };
    let legs: BTreeSet<Leg> = legs
        .iter()
        .filter(|leg| driver.links.get(&leg.link.0).copied().unwrap_or(false))
        .map(|leg| Leg::new(leg.gateway.or(Some(address)), leg.link))
        .collect();
    (!legs.is_empty()).then_some(legs)
}

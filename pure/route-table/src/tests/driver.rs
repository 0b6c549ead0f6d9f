//! A table, a kernel made of maps, and a small language to move both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use inet::{Prefix, Route, Timestamp};

pub(super) use super::text::{Own, hop_of, target_of, wanted_of};
use super::text::{is_part, link, news, own_route, show, source_of};
use crate::*;

pub(super) const METRIC: u32 = 4271;
pub(super) const PROTOCOL: u8 = 186;

pub(super) fn config() -> Config {
    Config {
        vrf: None,
        table: 254,
        protocol: PROTOCOL,
        metric: METRIC,
        install: true,
        resolve_via_default: false,
        lookup: vec![254],
        objects: None,
    }
}

/// The same on a kernel that knows next-hop objects.
pub(super) fn with_objects() -> Config {
    Config { objects: Some(ObjectIds { first: 1000, last: 1999 }), ..config() }
}

/// Runs the lines and compares our routes in the kernel, as `prefix=target` separated by spaces.
#[track_caller]
pub(super) fn check(lines: &str, routes: &str) {
    let mut driver = Driver::new(config());
    driver.run(lines);
    assert_eq!(driver.ours(), routes, "{lines}");
}

/// The same by way of next-hop objects; behind the routes, those: `id=content`.
#[track_caller]
pub(super) fn check_objects(lines: &str, routes: &str, objects: &str) {
    let mut driver = Driver::new(with_objects());
    driver.run(lines);
    assert_eq!(driver.ours(), routes, "{lines}");
    assert_eq!(driver.objects(), objects, "{lines}");
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
    pub(super) own: BTreeMap<Prefix, Own>,
    /// Next-hop objects, with their makers.
    pub(super) objects: BTreeMap<ObjectId, (u8, ObjectContent)>,
    with_objects: bool,
    /// Writes of objects are refused.
    refuse_objects: bool,
    /// Writes are done, but the next answers get lost.
    pub(super) lose_answers: bool,
    /// Writes that the kernel refuses.
    pub(super) refused: BTreeMap<Prefix, i32>,
    /// Writes made whose results have not been handed back.
    pub(super) results: Vec<Input>,
    in_flight: BTreeSet<String>,
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
            objects: BTreeMap::new(),
            with_objects: true,
            refuse_objects: false,
            lose_answers: false,
            in_flight: BTreeSet::new(),
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
        let all: Vec<String> =
            self.own_targets().iter().map(|(p, t)| format!("{p}={}", show(t))).collect();
        all.join(" ")
    }

    /// Our routes in the kernel, objects expanded.
    pub(super) fn own_targets(&self) -> BTreeMap<Prefix, KernelTarget> {
        let target = |own: &Own| match own {
            Own::Direct(target) => target.clone(),
            Own::Via(id) => KernelTarget::Legs(self.legs_of(*id)),
        };
        self.own.iter().map(|(prefix, own)| (*prefix, target(own))).collect()
    }

    pub(super) fn legs_of(&self, id: ObjectId) -> Vec<Leg> {
        let Some((_, ObjectContent::Group(members))) = self.objects.get(&id) else {
            panic!("a route names {id:?}, which is no group")
        };
        let leg = |(id, weight): &(ObjectId, u16)| match self.objects.get(id) {
            Some((_, ObjectContent::Leg { gateway, link })) => {
                Leg { gateway: Some(*gateway), link: *link, weight: *weight }
            }
            other => panic!("a group has {other:?}"),
        };
        let mut legs: Vec<Leg> = members.iter().map(leg).collect();
        legs.sort_unstable();
        legs
    }

    /// All objects.
    pub(super) fn objects(&self) -> String {
        let show = |(id, (_, content)): (&ObjectId, &(u8, ObjectContent))| match content {
            ObjectContent::Leg { gateway, link } => format!("{}={gateway}%{}", id.0, link.0),
            ObjectContent::Group(members) => {
                let member = |(id, weight): &(ObjectId, u16)| match weight {
                    1 => id.0.to_string(),
                    weight => format!("{}*{weight}", id.0),
                };
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{}={}", id.0, members.join("+"))
            }
            ObjectContent::Other => format!("{}=other", id.0),
        };
        self.objects.iter().map(show).collect::<Vec<String>>().join(" ")
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
                    object: None,
                };
                self.foreign_route(news(verb), route);
            }
            [verb @ ("ours" | "ours-"), prefix, target] => {
                self.our_route(news(verb), prefix.parse().unwrap(), target_of(target));
            }
            [source @ ("bgp" | "static" | "aggregate"), prefix, target] => {
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
            ["accept"] => {
                self.refused.clear();
                self.refuse_objects = false;
            }
            ["refuse-objects"] => self.refuse_objects = true,
            ["no-objects"] => self.with_objects = false,
            ["lose"] => self.lose_answers = true,
            ["object-", id] => self.remove_object(ObjectId(id.parse().unwrap())),
            ["object", id, protocol, members] => {
                let member = |id: &str| (ObjectId(id.parse().unwrap()), 1);
                let content = ObjectContent::Group(members.split('+').map(member).collect());
                self.put_object(ObjectId(id.parse().unwrap()), protocol.parse().unwrap(), content);
            }
            ["redistribute", selectors @ ..] => {
                let origin = |origin: &&str| match *origin {
                    "connected" => Some(Origin::Connected),
                    "static" => Some(Origin::Static),
                    "any" => None,
                    number => Some(Origin::Protocol(number.parse().unwrap())),
                };
                let selector = |o: &&str| Selector { table: 254, origin: origin(o) };
                self.input(Input::Redistribute(selectors.iter().map(selector).collect()));
            }
            ["weighted", prefix, hops] => {
                let hop = |hop: &str| match hop.split_once('*') {
                    Some((hop, weight)) => (hop_of(hop), weight.parse().unwrap()),
                    None => (hop_of(hop), 1),
                };
                let target = Target::via(hops.split(',').map(hop));
                let (source, distance) = source_of("bgp");
                let prefix = prefix.parse().unwrap();
                self.input(Input::Offer { source, distance, prefix, target });
            }
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
        let ours = self.own.iter().map(|(prefix, own)| own_route(*prefix, own));
        let objects = self.objects.iter().map(|(id, (protocol, content))| KernelObject {
            id: *id,
            protocol: *protocol,
            content: content.clone(),
        });
        let snapshot = Snapshot {
            links: self.links.iter().map(|(index, up)| link(*index, *up)).collect(),
            addresses: self.addresses.iter().copied().collect(),
            routes: ours.chain(self.foreign.iter().cloned()).collect(),
            objects: self.with_objects.then(|| objects.collect()),
        };
        self.tell(KernelEvent::Snapshot(snapshot));
    }

    pub(super) fn link(&mut self, index: u32, state: &str) {
        let up = state == "up";
        if !up {
            let on_it = |(_, content): &(u8, ObjectContent)| matches!(content, ObjectContent::Leg { link, .. } if link.0 == index);
            let legs = self.objects.iter().filter(|(_, o)| on_it(o)).map(|(id, _)| *id);
            for leg in legs.collect::<Vec<ObjectId>>() {
                self.drop_object(leg);
            }
        }
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
        let own = match news {
            RouteNews::Added | RouteNews::Replaced => {
                self.own.insert(prefix, Own::Direct(target.clone()));
                Own::Direct(target)
            }
            RouteNews::Removed => match self.own.remove(&prefix) {
                Some(own) => own,
                None => return,
            },
        };
        self.tell(KernelEvent::Route(news, own_route(prefix, &own)));
    }

    /// As the kernel does it: groups lose it, empty ones go, and with them their routes.
    fn drop_object(&mut self, id: ObjectId) {
        self.objects.remove(&id);
        let mut empty = vec![id];
        for (group, (_, content)) in &mut self.objects {
            if let ObjectContent::Group(members) = content {
                members.retain(|(member, _)| *member != id);
                if members.is_empty() {
                    empty.push(*group);
                }
            }
        }
        for group in empty {
            self.objects.remove(&group);
            self.own.retain(|_, own| *own != Own::Via(group));
        }
    }

    /// Another hand takes an object away.
    pub(super) fn remove_object(&mut self, id: ObjectId) {
        if self.objects.contains_key(&id) {
            self.drop_object(id);
            self.tell(KernelEvent::ObjectGone(id));
        }
    }

    /// Another hand puts an object there.
    pub(super) fn put_object(&mut self, id: ObjectId, protocol: u8, content: ObjectContent) {
        self.objects.insert(id, (protocol, content.clone()));
        self.tell(KernelEvent::Object(KernelObject { id, protocol, content }));
    }

    /// Works off one output; false when there is none.
    pub(super) fn poll(&mut self) -> bool {
        match self.table.poll() {
            None => return false,
            Some(Output::Change(change)) => self.write(change),
            Some(Output::Object(change)) => self.write_object(change),
            Some(Output::Redistributed(prefix, route)) => self.told.push(match route {
                Some(route) => {
                    format!("{prefix} {:?} {}", route.origin, show(&route.target))
                }
                None => format!("{prefix} gone"),
            }),
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

    fn write(&mut self, change: Change) {
        let prefix = change.prefix;
        let result = match (self.refused.get(&prefix), &change.action) {
            (Some(errno), _) => Err(Errno(*errno)),
            (None, Action::Replace(target)) => {
                self.own.insert(prefix, Own::Direct(target.clone()));
                Ok(())
            }
            (None, Action::Via(id)) => match self.objects.get(id) {
                Some((_, ObjectContent::Group(_))) => {
                    self.own.insert(prefix, Own::Via(*id));
                    Ok(())
                }
                Some(_) | None => Err(Errno(22)),
            },
            (None, Action::Delete) => {
                self.own.remove(&prefix);
                Ok(())
            }
        };
        self.written(prefix.to_string(), &change.into(), result);
    }

    fn write_object(&mut self, change: ObjectChange) {
        let id = change.id;
        let result = match &change.action {
            _ if self.refuse_objects => Err(Errno(12)),
            ObjectAction::Create(_) if self.objects.contains_key(&id) => Err(Errno(17)),
            ObjectAction::Create(content) | ObjectAction::Replace(content) => {
                let foreign = self.objects.get(&id).is_some_and(|(p, _)| *p != PROTOCOL);
                assert!(!foreign, "{id:?} is another's");
                self.make(id, content.clone())
            }
            ObjectAction::Delete => {
                let used = self.own.values().any(|own| *own == Own::Via(id))
                    || self.objects.values().any(|(_, content)| match content {
                        ObjectContent::Group(members) => members.iter().any(|(m, _)| *m == id),
                        ObjectContent::Leg { .. } | ObjectContent::Other => false,
                    });
                assert!(!used, "{id:?} is deleted while it is used");
                self.objects.remove(&id);
                Ok(())
            }
        };
        self.written(format!("{id:?}"), &change.into(), result);
    }

    fn make(&mut self, id: ObjectId, content: ObjectContent) -> Result<(), Errno> {
        let there = |(id, _): &(ObjectId, u16)| {
            matches!(self.objects.get(id), Some((_, ObjectContent::Leg { .. })))
        };
        let possible = match &content {
            ObjectContent::Leg { link, .. } => self.links.get(&link.0) == Some(&true),
            ObjectContent::Group(members) => !members.is_empty() && members.iter().all(there),
            ObjectContent::Other => false,
        };
        if !possible {
            return Err(Errno(22));
        }
        self.objects.insert(id, (PROTOCOL, content));
        Ok(())
    }

    fn written(&mut self, name: String, write: &Write, result: Result<(), Errno>) {
        self.written += 1;
        let result = if self.lose_answers { Err(Errno(105)) } else { result };
        assert!(self.in_flight.insert(name.clone()), "two writes in flight: {name}");
        self.results.push(write.done(result));
    }

    /// Hands all results back.
    pub(super) fn answer(&mut self) {
        self.in_flight.clear();
        for input in std::mem::take(&mut self.results) {
            self.input(input);
        }
        self.lose_answers = false;
    }

    /// At most so many things; whether there was any.
    pub(super) fn polled(&mut self, at_most: usize) -> bool {
        (0..at_most).take_while(|_| self.poll()).count() > 0
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

//! The machine between channels and tables: what goes in is a wish, what comes out is a write.

use std::collections::{BTreeMap, BTreeSet};

use inet::{Family, Prefix, Timestamp};
use kernel::fib::config;
use kernel::routes::Owner;
use node_api::v1;
use route_table::{
    Config, Input, KernelEvent, Output, Redistributed, RouteTable, Selector, SourceId, Sources,
    Write,
};
use router_config::{Channel, ChannelEnd, RouterEnd};

use super::channel::{self, ChannelState, MAX_OWNERS, Wish, bgp_name, kernel_name, of_kernel};

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub(super) enum Do {
    /// Write this into a table, in order.
    Write(u32, Write),
    /// These are all prefixes that a router shall announce for a channel.
    Announce(String, RouterEnd, BTreeSet<Prefix>),
}

/// Owners by the names of their channels.
pub(super) type Owners = BTreeMap<String, Vec<String>>;

/// Channels, and the kernel's tables that they touch.
pub(super) struct Controller {
    pub(super) channels: Vec<ChannelState>,
    pub(super) tables: BTreeMap<u32, RouteTable>,
    pub(super) sources: Sources,
    /// Channels whose routers are to be told.
    announce: BTreeSet<usize>,
}

impl Controller {
    /// `owners`: those of each channel, by its name, in the run before.
    pub(super) fn new(channels: Vec<Channel>, owners: &Owners) -> Controller {
        let state = |channel: Channel| {
            let known = owners.get(&channel.name).map(Vec::as_slice).unwrap_or_default();
            ChannelState::new(channel, known)
        };
        let mut tables = BTreeMap::new();
        let ends = |channel: &Channel| {
            let (from, to) = (channel.subscribers.clone(), channel.publishers.clone());
            from.into_iter().map(|end| (end, false)).chain(to.into_iter().map(|end| (end, true)))
        };
        for (end, published) in channels.iter().flat_map(ends) {
            let ChannelEnd::Kernel { tables: numbers } = end else { continue };
            for number in numbers {
                let table = tables.entry(number).or_insert_with(|| (false, false));
                *table = (table.0 || !published, table.1 || published);
            }
        }
        let make = |(number, (subscribed, published)): (u32, (bool, bool))| {
            let owner = Owner::FIB.in_table(number);
            let mut table = RouteTable::new(Config { ..config(owner, published) });
            if subscribed {
                let selector = Selector { table: number, origin: None };
                table.handle(Timestamp::ZERO, Input::Redistribute(vec![selector]));
            }
            (number, table)
        };
        let announce = (0..channels.len()).collect();
        Controller {
            channels: channels.into_iter().map(state).collect(),
            tables: tables.into_iter().map(make).collect(),
            sources: Sources::default(),
            announce,
        }
    }

    /// The kernel's news of a table.
    pub(super) fn kernel(&mut self, now: Timestamp, table: u32, event: KernelEvent) {
        if matches!(event, KernelEvent::Snapshot(_)) {
            self.was_read(&kernel_name(table));
        }
        self.input(now, table, Input::Kernel(event));
    }

    /// All of a source is known.
    fn was_read(&mut self, source: &str) {
        for (at, channel) in (0..).zip(&mut self.channels) {
            if channel.unread.remove(source) {
                self.announce.insert(at);
            }
        }
    }

    /// The owners of each channel.
    pub(super) fn owners(&self) -> Owners {
        let of = |channel: &ChannelState| {
            // One that has not come back yet may still do so after the next restart. Names of tables
            // and routers have a space, those of owners have none.
            let unread = channel.unread.iter().filter(|name| !name.contains(' '));
            let all: BTreeSet<String> = channel.owners.iter().chain(unread).cloned().collect();
            (channel.config.name.clone(), all.into_iter().collect())
        };
        self.channels.iter().map(of).collect()
    }

    pub(super) fn input(&mut self, now: Timestamp, table: u32, input: Input) {
        if let Some(table) = self.tables.get_mut(&table) {
            table.handle(now, input);
        }
    }

    /// All routes of a router, for the channels that subscribe to it.
    pub(super) fn router(
        &mut self,
        now: Timestamp,
        endpoint: &RouterEnd,
        family: Family,
        routes: Option<&BTreeMap<Prefix, Wish>>,
    ) {
        let name = bgp_name(endpoint);
        let nothing = BTreeMap::new();
        let subscribes = |channel: &ChannelState| {
            channel.config.ip_version == family
                && channel.config.subscribers.iter().any(
                    |end| matches!(end, ChannelEnd::Bgp { endpoint: theirs } if theirs == endpoint),
                )
        };
        let of: Vec<usize> =
            (0..).zip(&self.channels).filter(|(_, c)| subscribes(c)).map(|(at, _)| at).collect();
        for at in of {
            self.replace(now, at, &name, routes.unwrap_or(&nothing));
            if routes.is_some()
                && let Some(channel) = self.channels.get_mut(at)
                && channel.unread.remove(&name)
            {
                self.announce.insert(at);
            }
        }
    }

    /// An owner's whole wish for a channel.
    pub(super) fn set(
        &mut self,
        now: Timestamp,
        request: &v1::SetRoutesRequest,
    ) -> Result<v1::SetRoutesReply, String> {
        let owner = &request.owner;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if owner.is_empty() || owner.len() > 63 || !owner.bytes().all(fits) {
            return Err(format!("{owner:?} is no owner: 1 to 63 of a-z, 0-9 and '-'"));
        }
        let at = self.channels.iter().position(|c| c.config.name == request.channel);
        let Some((at, channel)) = at.and_then(|at| Some((at, self.channels.get_mut(at)?))) else {
            return Err(format!("there is no channel {:?}", request.channel));
        };
        if !channel.owners.contains(owner) && channel.owners.len() >= MAX_OWNERS {
            return Err(format!("the channel has {MAX_OWNERS} owners already"));
        }
        let wishes = match channel::of_request(channel.config.ip_version, request) {
            Ok(wishes) => wishes,
            Err(problems) => {
                return Ok(v1::SetRoutesReply { accepted: false, problems, routes: 0 });
            }
        };
        channel.owners.insert(owner.clone());
        if channel.unread.remove(owner) {
            self.announce.insert(at);
        }
        self.replace(now, at, owner, &wishes);
        let routes = u32::try_from(wishes.len()).unwrap_or(u32::MAX);
        Ok(v1::SetRoutesReply { accepted: true, problems: Vec::new(), routes })
    }

    /// An owner goes, of one channel or of all.
    pub(super) fn forget(&mut self, now: Timestamp, owner: &str, channel: &str) {
        for at in 0..self.channels.len() {
            let Some(state) = self.channels.get_mut(at) else { continue };
            let named = channel.is_empty() || state.config.name == channel;
            if named && state.unread.remove(owner) {
                self.announce.insert(at);
            }
            if named && state.owners.remove(owner) {
                self.replace(now, at, owner, &BTreeMap::new());
            }
        }
    }

    /// Nobody speaks for routes of the run before any more.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        for table in self.tables.values_mut() {
            table.handle(now, Input::Sweep);
        }
        for (at, channel) in (0..).zip(&mut self.channels) {
            if !std::mem::take(&mut channel.unread).is_empty() {
                self.announce.insert(at);
            }
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.tables.values().filter_map(RouteTable::wake_at).min()
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        for table in self.tables.values_mut() {
            table.tick(now);
        }
    }

    /// All that is to be done now.
    pub(super) fn poll(&mut self, now: Timestamp) -> Vec<Do> {
        let mut todo = Vec::new();
        let numbers: Vec<u32> = self.tables.keys().copied().collect();
        let mut quiet = false;
        // A route of one table may be wanted in another.
        while !quiet {
            quiet = true;
            for number in &numbers {
                while let Some(output) = self.tables.get_mut(number).and_then(RouteTable::poll) {
                    quiet = false;
                    match output {
                        Output::Change(change) => todo.push(Do::Write(*number, change.into())),
                        Output::Object(change) => todo.push(Do::Write(*number, change.into())),
                        Output::Redistributed(prefix, route) => {
                            self.redistributed(now, *number, prefix, route.as_ref());
                        }
                        Output::NextHop(..) | Output::Link { .. } | Output::Addresses { .. } => {}
                    }
                }
            }
        }
        for at in std::mem::take(&mut self.announce) {
            let Some(channel) = self.channels.get(at) else { continue };
            if !channel.unread.is_empty() {
                continue;
            }
            for end in &channel.config.publishers {
                if let ChannelEnd::Bgp { endpoint } = end {
                    let name = channel.config.name.clone();
                    todo.push(Do::Announce(name, endpoint.clone(), channel.prefixes()));
                }
            }
        }
        todo
    }

    fn redistributed(
        &mut self,
        now: Timestamp,
        number: u32,
        prefix: Prefix,
        route: Option<&Redistributed>,
    ) {
        let Some(table) = self.tables.get(&number) else { return };
        let name_of = |index| table.links().find(|link| link.index == index).map(|link| link.name);
        let ours = route_table::Origin::Protocol(Owner::FIB.protocol);
        // What another channel has put there is no source, or two of them would feed each other.
        let route = route.filter(|route| route.origin != ours);
        let wish = route.and_then(|route| of_kernel(route, name_of));
        let subscribes =
            |channel: &ChannelState| {
                channel.config.subscribers.iter().any(
                    |end| matches!(end, ChannelEnd::Kernel { tables } if tables.contains(&number)),
                )
            };
        let of: Vec<usize> =
            (0..).zip(&self.channels).filter(|(_, c)| subscribes(c)).map(|(at, _)| at).collect();
        for at in of {
            self.put(now, at, &kernel_name(number), prefix, wish.clone());
        }
    }

    fn replace(&mut self, now: Timestamp, at: usize, source: &str, new: &BTreeMap<Prefix, Wish>) {
        let old = self.channels.get(at).and_then(|channel| channel.sources.get(source));
        let gone = old.into_iter().flat_map(BTreeMap::keys).filter(|p| !new.contains_key(p));
        for prefix in gone.copied().collect::<Vec<Prefix>>() {
            self.put(now, at, source, prefix, None);
        }
        for (prefix, wish) in new {
            self.put(now, at, source, *prefix, Some(wish.clone()));
        }
    }

    fn put(&mut self, now: Timestamp, at: usize, source: &str, prefix: Prefix, wish: Option<Wish>) {
        let Some(channel) = self.channels.get_mut(at) else { return };
        if !channel.put(source, prefix, wish.clone()) {
            return;
        }
        self.announce.insert(at);
        let Some(id) = self.sources.number(&format!("{} {source}", channel.config.name)) else {
            tracing::warn!(source, "no number is left for this source of routes");
            return;
        };
        for end in &channel.config.publishers {
            let ChannelEnd::Kernel { tables } = end else { continue };
            for number in tables {
                if let Some(table) = self.tables.get_mut(number) {
                    table.handle(now, offer(id, prefix, wish.clone()));
                }
            }
        }
    }
}

fn offer(source: SourceId, prefix: Prefix, wish: Option<Wish>) -> Input {
    let distance = wish.as_ref().map_or(0, |wish| wish.distance);
    Input::Offer { source, distance, prefix, target: wish.map(|wish| wish.target) }
}

#[cfg(test)]
mod tests {
    use route_table::{
        Action, KernelRoute, KernelTarget, Leg, Link, LinkIndex, RouteNews, Snapshot,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::ZERO;

    fn router() -> RouterEnd {
        RouterEnd::Tcp("127.0.0.1:5000".parse().unwrap())
    }

    /// `kernel 254` into table 100, and owners into tables 100 and 254 and a router.
    fn controller() -> Controller {
        let mut controller = started(&Owners::new());
        for table in [100, 254] {
            read(&mut controller, table);
        }
        controller
    }

    fn read(controller: &mut Controller, table: u32) {
        let name = "eth0".parse().unwrap();
        let index = LinkIndex(1);
        let link = Link { index, name, up: true, master: None, vrf_table: None };
        let routes = vec![route("10.0.0.0/24", None, 2)];
        let snapshot = Snapshot { links: vec![link], routes, ..Snapshot::default() };
        controller.kernel(NOW, table, KernelEvent::Snapshot(snapshot));
    }

    fn started(owners: &Owners) -> Controller {
        let kernel = |tables: &[u32]| ChannelEnd::Kernel { tables: tables.to_vec() };
        let bgp = ChannelEnd::Bgp { endpoint: router() };
        let channel = |name: &str, subscribers, publishers| Channel {
            name: name.to_owned(),
            ip_version: Family::Ipv4,
            subscribers,
            publishers,
        };
        let channels = vec![
            channel("copy", vec![kernel(&[254])], vec![kernel(&[100])]),
            channel("owners", vec![bgp.clone()], vec![kernel(&[100, 254])]),
            channel("announce", vec![kernel(&[254])], vec![bgp]),
        ];
        Controller::new(channels, owners)
    }

    fn route(prefix: &str, gateway: Option<&str>, protocol: u8) -> KernelRoute {
        let legs = vec![Leg::new(gateway.map(|g| g.parse().unwrap()), LinkIndex(1))];
        let (prefix, target) = (prefix.parse().unwrap(), KernelTarget::Legs(legs));
        KernelRoute { prefix, table: 254, protocol, metric: 0, target, object: None }
    }

    fn add(controller: &mut Controller, route: KernelRoute) {
        for table in [100, 254] {
            let event = KernelEvent::Route(RouteNews::Added, route.clone());
            controller.kernel(NOW, table, event);
        }
    }

    /// What is to be done, the kernel having done it.
    #[track_caller]
    fn check(controller: &mut Controller, expect: &[&str]) {
        let todo = controller.poll(NOW);
        let mut shown = Vec::new();
        for todo in todo {
            shown.push(match &todo {
                Do::Write(table, write @ Write::Route(change)) => {
                    let answer = write.done(Ok(()));
                    controller.input(NOW, *table, answer);
                    let action = match &change.action {
                        Action::Replace(KernelTarget::Legs(legs)) => legs[0].to_string(),
                        Action::Replace(other) => format!("{other:?}").to_lowercase(),
                        Action::Via(_) => "object".to_owned(),
                        Action::Delete => "-".to_owned(),
                    };
                    format!("{table} {}={action}", change.prefix)
                }
                Do::Write(_, Write::Object(_)) => "object".to_owned(),
                Do::Announce(channel, _, prefixes) => {
                    let all: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
                    format!("{channel}: {}", all.join(" "))
                }
            });
        }
        shown.sort();
        assert_eq!(shown, expect);
    }

    fn owner(owner: &str, routes: &[(&str, &str)]) -> v1::SetRoutesRequest {
        let route = |(prefix, kind): &(&str, &str)| v1::FibRoute {
            prefix: (*prefix).to_owned(),
            kind: (*kind).to_owned(),
            ..Default::default()
        };
        v1::SetRoutesRequest {
            owner: owner.to_owned(),
            channel: "owners".to_owned(),
            distance: 0,
            routes: routes.iter().map(route).collect(),
        }
    }

    #[test]
    fn routes_of_the_kernel_are_copied_announced_and_taken_back() {
        let mut controller = controller();
        check(&mut controller, &["100 10.0.0.0/24=%1", "announce: 10.0.0.0/24"]);
        let far = route("20.0.0.0/8", Some("10.0.0.9"), 4);
        add(&mut controller, far.clone());
        let both = "announce: 10.0.0.0/24 20.0.0.0/8";
        check(&mut controller, &["100 20.0.0.0/8=10.0.0.9%1", both]);
        // Our own in that table, seen by the other's reader, feeds nothing.
        let ours = KernelRoute { metric: 1, ..route("30.0.0.0/8", None, Owner::FIB.protocol) };
        add(&mut controller, ours);
        check(&mut controller, &[]);
        for table in [100, 254] {
            let event = KernelEvent::Route(RouteNews::Removed, far.clone());
            controller.kernel(NOW, table, event);
        }
        check(&mut controller, &["100 20.0.0.0/8=-", "announce: 10.0.0.0/24"]);
    }

    #[test]
    fn owners_and_routers_compete_by_distance_in_every_table() {
        let mut controller = controller();
        controller.poll(NOW).clear();
        let reply = controller.set(NOW, &owner("a", &[("40.0.0.0/8", "blackhole")])).unwrap();
        assert!(reply.accepted);
        check(&mut controller, &["100 40.0.0.0/8=blackhole", "254 40.0.0.0/8=blackhole"]);
        // A router's are nearer than an owner's that says nothing.
        let prefix: Prefix = "40.0.0.0/8".parse().unwrap();
        let wish = Wish { distance: 20, target: route_table::Target::Prohibit };
        let endpoint = router();
        let routes = BTreeMap::from([(prefix, wish)]);
        controller.router(NOW, &endpoint, Family::Ipv4, Some(&routes));
        check(&mut controller, &["100 40.0.0.0/8=prohibit", "254 40.0.0.0/8=prohibit"]);
        controller.router(NOW, &endpoint, Family::Ipv4, None);
        check(&mut controller, &["100 40.0.0.0/8=blackhole", "254 40.0.0.0/8=blackhole"]);
        // The whole set: what is not named any more goes. Nothing of it when something is wrong.
        let wrong = controller.set(NOW, &owner("a", &[("50.0.0.0/8", "nat")])).unwrap();
        assert!(!wrong.accepted);
        check(&mut controller, &[]);
        controller.forget(NOW, "a", "");
        check(&mut controller, &["100 40.0.0.0/8=-", "254 40.0.0.0/8=-"]);
        assert!(controller.set(NOW, &owner("A b", &[])).is_err());
        let nowhere = v1::SetRoutesRequest { channel: "x".to_owned(), ..owner("a", &[]) };
        assert!(controller.set(NOW, &nowhere).is_err());
    }

    #[test]
    fn a_router_keeps_what_it_was_told_until_all_sources_were_read() {
        let before = Owners::from([("announce".to_owned(), vec!["ops".to_owned()])]);
        let mut controller = started(&before);
        check(&mut controller, &[]);
        read(&mut controller, 100);
        check(&mut controller, &[]);
        // The kernel's table is read, but the owner of the run before has not spoken.
        read(&mut controller, 254);
        check(&mut controller, &["100 10.0.0.0/24=%1"]);
        assert_eq!(controller.owners().get("announce"), before.get("announce"));
        let set = v1::SetRoutesRequest {
            channel: "announce".to_owned(),
            ..owner("ops", &[("60.0.0.0/8", "blackhole")])
        };
        assert!(controller.set(NOW, &set).unwrap().accepted);
        check(&mut controller, &["announce: 10.0.0.0/24 60.0.0.0/8"]);

        // One that does not come back is waited for until the restart is over.
        let mut controller = started(&before);
        for table in [100, 254] {
            read(&mut controller, table);
        }
        check(&mut controller, &["100 10.0.0.0/24=%1"]);
        controller.sweep(NOW);
        check(&mut controller, &["announce: 10.0.0.0/24"]);
        assert_eq!(controller.owners().get("announce"), Some(&Vec::new()));
    }
}

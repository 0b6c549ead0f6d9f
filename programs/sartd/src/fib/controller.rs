//! The machine between channels and tables: what goes in is a wish, what comes out is a write.

use std::collections::{BTreeMap, BTreeSet};

use inet::{Family, Prefix, Timestamp};
use kernel::fib::{config, vrf_config};
use kernel::routes::Owner;
use node_api::v1;
use route_table::{
    Config, Input, KernelEvent, Output, Redistributed, RouteTable, Selector, SourceId, Sources,
    Write,
};
use router_config::{Channel, ChannelEnd, FibPlace, RouterEnd};

use super::channel::{self, ChannelState, MAX_OWNERS, Wish, bgp_name, kernel_name, of_kernel};

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub(super) enum Do {
    /// Write this into a table, in order.
    Write(FibPlace, Write),
    /// These are all prefixes that a router shall announce for a channel.
    Announce(String, RouterEnd, BTreeSet<Prefix>),
}

/// Owners by the names of their channels.
pub(super) type Owners = BTreeMap<String, Vec<String>>;

/// Channels, and the kernel's tables that they touch.
pub(super) struct Controller {
    pub(super) channels: Vec<ChannelState>,
    pub(super) tables: BTreeMap<FibPlace, RouteTable>,
    pub(super) sources: Sources,
    /// Tables that routes are taken from.
    subscribed: BTreeSet<FibPlace>,
    /// Nobody speaks for routes of the run before any more.
    swept: bool,
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
            for place in end.places() {
                let table = tables.entry(place).or_insert_with(|| (false, false));
                *table = (table.0 || !published, table.1 || published);
            }
        }
        let subscribed = tables.iter().filter(|(_, (subscribed, _))| *subscribed);
        let subscribed = subscribed.map(|(place, _)| *place).collect();
        let make = |(place, (_, published)): (FibPlace, (bool, bool))| {
            (place, RouteTable::new(config_of(place, None, published)))
        };
        let announce = (0..channels.len()).collect();
        let numbers: Vec<FibPlace> = tables.keys().copied().collect();
        let mut controller = Controller {
            channels: channels.into_iter().map(state).collect(),
            tables: tables.into_iter().map(make).collect(),
            sources: Sources::default(),
            subscribed,
            swept: false,
            announce,
        };
        for place in numbers {
            controller.select(Timestamp::ZERO, place, None);
        }
        controller
    }

    /// Whether routes are written into a table, and not only taken from it.
    pub(super) fn writes(&self, table: FibPlace) -> bool {
        self.tables.get(&table).is_some_and(|table| table.config().install)
    }

    /// A VRF's table has this number from now on; none: it is not there. It is to be read anew.
    pub(super) fn place(&mut self, now: Timestamp, vrf: FibPlace, number: Option<u32>) {
        // Whether routes are written stays as it is.
        self.input(now, vrf, Input::Configure(config_of(vrf, number, false)));
        if self.swept {
            self.input(now, vrf, Input::Sweep);
        }
        self.select(now, vrf, number);
    }

    /// Routes of others in a table are told of, if a channel takes them.
    fn select(&mut self, now: Timestamp, place: FibPlace, number: Option<u32>) {
        let number = match place {
            FibPlace::Table(number) => Some(number),
            FibPlace::Vrf(_) => number,
        };
        let number = number.filter(|_| self.subscribed.contains(&place));
        let selectors = number.map(|table| Selector { table, origin: None });
        self.input(now, place, Input::Redistribute(selectors.into_iter().collect()));
    }

    /// The kernel's news of a table.
    pub(super) fn kernel(&mut self, now: Timestamp, table: FibPlace, event: KernelEvent) {
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

    pub(super) fn input(&mut self, now: Timestamp, table: FibPlace, input: Input) {
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
        self.swept = true;
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
        let numbers: Vec<FibPlace> = self.tables.keys().copied().collect();
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
        number: FibPlace,
        prefix: Prefix,
        route: Option<&Redistributed>,
    ) {
        let Some(table) = self.tables.get(&number) else { return };
        let name_of = |index| table.links().find(|link| link.index == index).map(|link| link.name);
        let ours = route_table::Origin::Protocol(Owner::FIB.protocol);
        // What another channel has put there is no source, or two of them would feed each other.
        let route = route.filter(|route| route.origin != ours);
        let wish = route.and_then(|route| of_kernel(route, name_of));
        let subscribes = |channel: &ChannelState| {
            channel.config.subscribers.iter().flat_map(ChannelEnd::places).any(|p| p == number)
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
        for place in channel.config.publishers.iter().flat_map(ChannelEnd::places) {
            if let Some(table) = self.tables.get_mut(&place) {
                table.handle(now, offer(id, prefix, wish.clone()));
            }
        }
    }
}

/// How a table is written; `number` is that of a VRF's, while it is there.
fn config_of(place: FibPlace, number: Option<u32>, install: bool) -> Config {
    match place {
        FibPlace::Table(number) => config(Owner::FIB.in_table(number), install),
        FibPlace::Vrf(name) => {
            vrf_config(name, Owner::FIB.in_table(number.unwrap_or_default()), install)
        }
    }
}

fn offer(source: SourceId, prefix: Prefix, wish: Option<Wish>) -> Input {
    let distance = wish.as_ref().map_or(0, |wish| wish.distance);
    Input::Offer { source, distance, prefix, target: wish.map(|wish| wish.target) }
}

#[cfg(test)]
mod tests;

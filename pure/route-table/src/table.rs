//! The machine: inputs to facts, facts to outputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use inet::{LinkName, NextHop, Prefix, Timestamp};

use crate::counters::Counters;
use crate::entry::{Entry, Failure, Held, Place};
use crate::intern::{Id, Interner};
use crate::lengths::Lengths;
use crate::moves::Leaving;
use crate::objects::Objects;
use crate::offers::Set;
use crate::places::Places;
use crate::resolve;
use crate::{
    Config, Input, KernelRoute, Link, LinkIndex, ObjectId, Output, Redistributed, Resolution,
    Selector, SourceId, Target,
};

/// From how many routes on a group is changed in place.
const MANY_USERS: usize = 256;

/// A next hop that a route uses or that someone tracks.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The sets of next hops that it is in.
    pub(crate) sets: BTreeSet<Id>,
    pub(crate) tracked: bool,
    pub(crate) told: Option<Resolution>,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) through: BTreeSet<Prefix>,
}

/// What is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Retry {
    Route(Place),
    Object(ObjectId),
    /// Look for next-hop objects that nothing uses.
    Collect,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct RouteTable {
    pub(crate) config: Config,
    pub(crate) now: Timestamp,
    pub(crate) synced: bool,
    pub(crate) swept: bool,
    pub(crate) places: Places,
    /// Free ones are those that no prefix has as its place.
    pub(crate) entries: Vec<Entry>,
    pub(crate) free: Vec<Place>,
    /// What sources offer; beside it, what is known of each set of next hops.
    pub(crate) targets: Interner<Target, Set>,
    pub(crate) link_targets: BTreeSet<Id>,
    /// What the kernel's routes say, and are to say.
    pub(crate) held: Interner<Held, ()>,
    pub(crate) objects: Objects,
    pub(crate) foreign: BTreeMap<Prefix, Vec<KernelRoute>>,
    pub(crate) lengths: Lengths,
    pub(crate) links: BTreeMap<LinkIndex, Link>,
    pub(crate) addresses: BTreeMap<LinkIndex, BTreeSet<IpAddr>>,
    /// The same addresses, with the number of links that have each.
    pub(crate) own_addresses: BTreeMap<IpAddr, usize>,
    pub(crate) hops: BTreeMap<NextHop, Known>,
    /// Which next hops looked at which prefixes of ours.
    pub(crate) through: BTreeMap<Prefix, BTreeSet<NextHop>>,
    pub(crate) dirty: VecDeque<Place>,
    pub(crate) dirty_hops: BTreeSet<NextHop>,
    pub(crate) dirty_sets: BTreeSet<Id>,
    pub(crate) failures: BTreeMap<Place, (Failure, Option<Id>)>,
    pub(crate) retries: BTreeSet<(Timestamp, Retry)>,
    pub(crate) collect_at: Option<Timestamp>,
    /// Places with routes that we have left, by table and metric.
    pub(crate) former: Vec<(u32, u32)>,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) redistributed: BTreeMap<Prefix, Redistributed>,
    pub(crate) counters: Counters,
    /// Groups that their sets have left, while routes name them.
    pub(crate) leaving: Vec<Leaving>,
    /// From how many routes on a group is changed in place.
    pub(crate) many: usize,
    pub(crate) out: VecDeque<Output>,
}

impl RouteTable {
    /// A table that knows nothing yet.
    pub fn new(config: Config) -> RouteTable {
        RouteTable {
            objects: Objects::new(config.objects),
            config,
            now: Timestamp::ZERO,
            synced: false,
            swept: false,
            places: Places::default(),
            entries: Vec::new(),
            free: Vec::new(),
            targets: Interner::new(),
            link_targets: BTreeSet::new(),
            held: Interner::new(),
            foreign: BTreeMap::new(),
            lengths: Lengths::default(),
            links: BTreeMap::new(),
            addresses: BTreeMap::new(),
            own_addresses: BTreeMap::new(),
            hops: BTreeMap::new(),
            through: BTreeMap::new(),
            dirty: VecDeque::new(),
            dirty_hops: BTreeSet::new(),
            dirty_sets: BTreeSet::new(),
            failures: BTreeMap::new(),
            retries: BTreeSet::new(),
            collect_at: None,
            former: Vec::new(),
            selectors: Vec::new(),
            redistributed: BTreeMap::new(),
            counters: Counters::default(),
            leaving: Vec::new(),
            many: MANY_USERS,
            out: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Set { source, distance, routes } => {
                let routes = routes.into_iter().map(|route| (route.prefix, route.target.into()));
                self.set(source, distance, routes);
            }
            Input::SetTargets { source, distance, routes } => self.set(source, distance, routes),
            Input::Update { source, distance, prefix, target } => {
                self.update(source, distance, prefix, target.map(Target::from));
            }
            Input::Offer { source, distance, prefix, target } => {
                self.update(source, distance, prefix, target);
            }
            Input::Kernel(event) => self.kernel(event),
            Input::Track(hop) => {
                let known = self.hops.entry(hop).or_default();
                known.tracked = true;
                known.told = None;
                self.dirty_hops.insert(hop);
            }
            Input::Untrack(hop) => {
                if let Some(known) = self.hops.get_mut(&hop) {
                    known.tracked = false;
                    self.forget_unused(&hop);
                }
            }
            Input::Applied { prefix, result } => self.applied(prefix, result),
            Input::ObjectApplied { id, result } => self.object_applied(id, result),
            Input::Sweep => self.sweep(),
            Input::Install(install) => {
                if self.config.install != install {
                    self.config.install = install;
                    self.everything_is_dirty();
                }
            }
            Input::Configure(config) => self.configure(config),
            Input::Former(former) => self.former = former,
            Input::Redistribute(selectors) => self.select(selectors),
        }
    }

    /// When [`RouteTable::tick`] is due: the next try of a refused write, or the end of next-hop
    /// objects that nothing uses.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((at, what)) = self.retries.first().copied() {
            if at > self.now {
                break;
            }
            self.retries.pop_first();
            match what {
                Retry::Route(place) => self.queue(place),
                Retry::Object(id) => self.objects.dirty(id),
                Retry::Collect => self.collect(),
            }
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.poll_news() {
                return Some(output);
            }
            if !self.synced {
                return None;
            }
            let place = self.dirty.pop_front()?;
            // What it needs of objects is put out before it.
            if let Some(change) = self.decide(place) {
                self.out.push_back(Output::Change(change));
            }
        }
    }

    /// The same without new writes of routes: for as long as enough of those wait to be done. What is
    /// left undecided is decided later, by what is wanted then.
    pub fn poll_news(&mut self) -> Option<Output> {
        if self.synced {
            self.settle_hops();
            self.settle_leaving();
        }
        if self.out.is_empty() && self.synced {
            self.poll_objects();
        }
        self.out.pop_front()
    }

    /// Whether nothing is left to do or in flight: the kernel is as wanted, but for refused writes,
    /// blocked routes, adopted ones and next-hop objects that are kept a little longer.
    pub fn is_quiet(&self) -> bool {
        let idle = self.out.is_empty()
            && self.dirty.is_empty()
            && self.dirty_hops.is_empty()
            && self.dirty_sets.is_empty();
        idle && self.objects.is_quiet() && self.entries.iter().all(|entry| entry.flight.is_none())
    }

    /// The links, by number.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The addresses of a link, sorted.
    pub fn addresses(&self, link: LinkIndex) -> impl Iterator<Item = IpAddr> {
        self.addresses.get(&link).into_iter().flatten().copied()
    }

    /// The VRF that a link is a part of, directly or by way of others, and its table.
    pub fn vrf_of(&self, link: LinkIndex) -> Option<(&Link, u32)> {
        let mut link = self.links.get(&link)?;
        // A bridge in a VRF has ports; nothing is nested deeper than a few levels.
        for _ in 0..8 {
            if let Some(table) = link.vrf_table {
                return Some((link, table));
            }
            link = self.links.get(&link.master?)?;
        }
        None
    }

    /// The link of the VRF of this name and its table; none while there is no such VRF.
    pub fn vrf(&self, name: &LinkName) -> Option<(LinkIndex, u32)> {
        let link = self.links.values().find(|link| link.name == *name)?;
        Some((link.index, link.vrf_table?))
    }

    /// Where a next hop leads now, tracked or not; nothing is remembered.
    pub fn resolve(&self, hop: &NextHop) -> Resolution {
        resolve::next_hop(self, hop).0
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many next-hop objects of ours the kernel holds.
    pub fn object_count(&self) -> usize {
        self.objects.count()
    }

    /// Whether routes are written by way of next-hop objects.
    pub fn uses_objects(&self) -> bool {
        self.objects.active
    }

    /// Whether a source offers anything.
    pub fn offers_of(&self, source: SourceId) -> usize {
        let of = |entry: &&Entry| entry.offers.as_slice().iter().any(|o| o.source == source);
        self.entries.iter().filter(of).count()
    }

    pub(crate) fn link_is_up(&self, index: LinkIndex) -> bool {
        self.links.get(&index).is_some_and(|link| link.up)
    }

    /// The link of this name, if packets can leave by it, and of our VRF's table.
    pub(crate) fn link_up_named(&self, name: &LinkName) -> Option<LinkIndex> {
        let link = self.links.values().find(|link| link.up && link.name == *name)?;
        self.is_within(link.index).then_some(link.index)
    }

    /// Other VRFs may have the same addresses.
    pub(crate) fn is_own_address(&self, address: &IpAddr) -> bool {
        self.own_addresses.contains_key(address)
            && (self.config.vrf.is_none()
                || self
                    .addresses
                    .iter()
                    .any(|(link, addresses)| addresses.contains(address) && self.is_within(*link)))
    }

    /// Whether a link is a part of the VRF whose table is ours; without one all links are.
    fn is_within(&self, link: LinkIndex) -> bool {
        let Some(vrf) = &self.config.vrf else { return true };
        self.vrf_of(link).is_some_and(|(master, _)| master.name == *vrf)
    }

    pub(crate) fn is_ours(&self, route: &KernelRoute) -> bool {
        let config = &self.config;
        (route.table, route.protocol, route.metric)
            == (config.table, config.protocol, config.metric)
    }

    /// Whether a foreign route sits in the very place of ours.
    pub(crate) fn is_blocked(&self, prefix: &Prefix) -> bool {
        let same = |r: &KernelRoute| (r.table, r.metric) == (self.config.table, self.config.metric);
        self.foreign.get(prefix).is_some_and(|routes| routes.iter().any(same))
    }

    pub(crate) fn entry_of(&self, prefix: &Prefix) -> Option<&Entry> {
        self.entries.get(self.places.get(prefix)? as usize)
    }

    pub(crate) fn entry(&self, place: Place) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    pub(crate) fn entry_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(place as usize)
    }

    /// The place of a prefix, made if it has none.
    pub(crate) fn place(&mut self, prefix: Prefix) -> Place {
        let RouteTable { places, entries, free, .. } = self;
        let (place, is_new) = places.get_or_insert(&prefix, || {
            free.pop().unwrap_or_else(|| {
                entries.push(Entry::new(prefix));
                entries.len() as Place - 1
            })
        });
        if !is_new {
            return place;
        }
        if let Some(entry) = self.entry_mut(place) {
            *entry = Entry::new(prefix);
        }
        place
    }

    /// Puts a prefix into the line of those to be decided.
    pub(crate) fn queue(&mut self, place: Place) {
        if let Some(entry) = self.entries.get_mut(place as usize)
            && !entry.queued
        {
            entry.queued = true;
            self.dirty.push_back(place);
        }
    }

    pub(crate) fn everything_is_dirty(&mut self) {
        self.dirty_hops.extend(self.hops.keys().copied());
        let sets: Vec<Id> = self.targets.iter().map(|(id, ..)| id).collect();
        self.dirty_sets.extend(sets);
        let places: Vec<Place> = self.places.values().collect();
        for place in places {
            self.queue(place);
        }
    }
}

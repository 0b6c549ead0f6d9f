//! The machine: inputs to facts, facts to outputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use inet::{LinkName, NextHop, Prefix, Route, RouteTarget, Timestamp};

use crate::entry::{Actual, Entry, Flight};
use crate::lengths::Lengths;
use crate::resolve;
use crate::{
    Action, Change, Config, Errno, Input, KernelRoute, KernelTarget, Link, LinkIndex, Output,
    Resolution, SourceId,
};

/// A next hop that a route uses or that someone tracks.
#[derive(Debug, Default)]
pub(crate) struct Hop {
    users: BTreeSet<Prefix>,
    pub(crate) tracked: bool,
    pub(crate) told: Option<Resolution>,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) through: BTreeSet<Prefix>,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct RouteTable {
    pub(crate) config: Config,
    now: Timestamp,
    pub(crate) synced: bool,
    pub(crate) swept: bool,
    pub(crate) entries: BTreeMap<Prefix, Entry>,
    pub(crate) foreign: BTreeMap<Prefix, Vec<KernelRoute>>,
    pub(crate) lengths: Lengths,
    pub(crate) links: BTreeMap<LinkIndex, Link>,
    pub(crate) addresses: BTreeMap<LinkIndex, BTreeSet<IpAddr>>,
    /// The same addresses, with the number of links that have each.
    pub(crate) own_addresses: BTreeMap<IpAddr, usize>,
    pub(crate) hops: BTreeMap<NextHop, Hop>,
    /// Prefixes that leave by a link without a next hop.
    on_link: BTreeSet<Prefix>,
    pub(crate) dirty: BTreeSet<Prefix>,
    dirty_hops: BTreeSet<NextHop>,
    retries: BTreeSet<(Timestamp, Prefix)>,
    pub(crate) out: VecDeque<Output>,
}

impl RouteTable {
    /// A table that knows nothing yet.
    pub fn new(config: Config) -> RouteTable {
        RouteTable {
            config,
            now: Timestamp::ZERO,
            synced: false,
            swept: false,
            entries: BTreeMap::new(),
            foreign: BTreeMap::new(),
            lengths: Lengths::default(),
            links: BTreeMap::new(),
            addresses: BTreeMap::new(),
            own_addresses: BTreeMap::new(),
            hops: BTreeMap::new(),
            on_link: BTreeSet::new(),
            dirty: BTreeSet::new(),
            dirty_hops: BTreeSet::new(),
            retries: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Set { source, distance, routes } => self.set(source, distance, routes),
            Input::Update { source, distance, prefix, target } => {
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
            Input::Sweep => {
                self.swept = true;
                let found = self.entries.iter_mut().filter(|(_, entry)| entry.adopted);
                for (prefix, entry) in found {
                    entry.adopted = false;
                    self.dirty.insert(*prefix);
                }
            }
            Input::Install(install) => {
                if self.config.install != install {
                    self.config.install = install;
                    self.everything_is_dirty();
                }
            }
        }
    }

    /// When [`RouteTable::tick`] is due: the next try of a refused write.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((at, prefix)) = self.retries.first().copied() {
            if at > self.now {
                break;
            }
            self.retries.pop_first();
            self.dirty.insert(prefix);
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        if self.synced {
            self.settle_hops();
        }
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        if !self.synced {
            return None;
        }
        while let Some(prefix) = self.dirty.pop_first() {
            if let Some(action) = self.decide(&prefix) {
                return Some(Output::Change(Change { prefix, action }));
            }
        }
        None
    }

    /// Whether nothing is left to do or in flight: the kernel is as wanted, but for refused writes,
    /// blocked routes and adopted ones.
    pub fn is_quiet(&self) -> bool {
        let idle = self.out.is_empty() && self.dirty.is_empty() && self.dirty_hops.is_empty();
        idle && self.entries.values().all(|entry| entry.flight.is_none())
    }

    /// The links, by number.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The addresses of a link, sorted.
    pub fn addresses(&self, link: LinkIndex) -> impl Iterator<Item = IpAddr> {
        self.addresses.get(&link).into_iter().flatten().copied()
    }

    /// Where a next hop leads now, tracked or not; nothing is remembered.
    pub fn resolve(&self, hop: &NextHop) -> Resolution {
        resolve::next_hop(self, hop).0
    }

    pub(crate) fn link_is_up(&self, index: LinkIndex) -> bool {
        self.links.get(&index).is_some_and(|link| link.up)
    }

    pub(crate) fn link_up_named(&self, name: &LinkName) -> Option<LinkIndex> {
        self.links.values().find(|link| link.up && link.name == *name).map(|link| link.index)
    }

    pub(crate) fn is_own_address(&self, address: &IpAddr) -> bool {
        self.own_addresses.contains_key(address)
    }

    pub(crate) fn is_ours(&self, route: &KernelRoute) -> bool {
        let Config { table, protocol, metric, install: _, resolve_via_default: _ } = self.config;
        (route.table, route.protocol, route.metric) == (table, protocol, metric)
    }

    /// Whether a foreign route sits in the very place of ours.
    pub(crate) fn is_blocked(&self, prefix: &Prefix) -> bool {
        let same = |r: &KernelRoute| (r.table, r.metric) == (self.config.table, self.config.metric);
        self.foreign.get(prefix).is_some_and(|routes| routes.iter().any(same))
    }

    /// What the kernel shall hold, and the offer that it comes from.
    pub(crate) fn wanted(&self, prefix: &Prefix) -> Option<(usize, KernelTarget)> {
        if self.config.install { resolve::target(self, prefix) } else { None }
    }

    // Sources.

    fn set(&mut self, source: SourceId, distance: u8, routes: Vec<Route>) {
        let mut wanted: BTreeMap<Prefix, RouteTarget> =
            routes.into_iter().map(|route| (route.prefix, route.target)).collect();
        let old = self.entries.iter().filter(|(_, e)| e.offers.iter().any(|o| o.source == source));
        let gone: Vec<Prefix> =
            old.map(|(prefix, _)| *prefix).filter(|prefix| !wanted.contains_key(prefix)).collect();
        for prefix in gone {
            self.update(source, distance, prefix, None);
        }
        while let Some((prefix, target)) = wanted.pop_first() {
            self.update(source, distance, prefix, Some(target));
        }
    }

    fn update(
        &mut self,
        source: SourceId,
        distance: u8,
        prefix: Prefix,
        target: Option<RouteTarget>,
    ) {
        if target.is_none() && !self.entries.contains_key(&prefix) {
            return;
        }
        let entry = self.entries.entry(prefix).or_default();
        let (old, was_offered) = (entry.next_hops(), !entry.offers.is_empty());
        let changed = entry.offer(source, distance, target);
        let (new, is_offered) = (entry.next_hops(), !entry.offers.is_empty());
        let by_link = entry.offers.iter().any(|o| matches!(o.target, RouteTarget::Link(_)));
        self.dirty.insert(prefix);
        if !changed {
            return;
        }
        match (was_offered, is_offered) {
            (false, true) => self.lengths.add(&prefix),
            (true, false) => self.lengths.remove(&prefix),
            (true, true) | (false, false) => {}
        }
        match by_link {
            true => self.on_link.insert(prefix),
            false => self.on_link.remove(&prefix),
        };
        for hop in new.difference(&old) {
            let known = self.hops.entry(*hop).or_default();
            known.users.insert(prefix);
            if known.resolution.is_none() {
                self.dirty_hops.insert(*hop);
            }
        }
        for hop in old.difference(&new) {
            if let Some(known) = self.hops.get_mut(hop) {
                known.users.remove(&prefix);
                self.forget_unused(hop);
            }
        }
        self.touch(&prefix);
    }

    fn applied(&mut self, prefix: Prefix, result: Result<(), Errno>) {
        let Some(entry) = self.entries.get_mut(&prefix) else {
            return;
        };
        if let Some(failure) = &entry.failure {
            self.retries.remove(&(failure.retry_at, prefix));
        }
        entry.landed(self.now, result);
        if let Some(failure) = &entry.failure {
            self.retries.insert((failure.retry_at, prefix));
        }
        self.dirty.insert(prefix);
    }

    // What follows from a change.

    pub(crate) fn links_changed(&mut self) {
        self.dirty_hops.extend(self.hops.keys().copied());
        let on_link: Vec<Prefix> = self.on_link.iter().copied().collect();
        for prefix in on_link {
            self.dirty.insert(prefix);
            self.touch(&prefix);
        }
    }

    pub(crate) fn everything_is_dirty(&mut self) {
        self.dirty_hops.extend(self.hops.keys().copied());
        self.dirty.extend(self.entries.keys().copied());
    }

    /// The routes of a prefix changed: next hops in it may lead elsewhere.
    pub(crate) fn touch(&mut self, prefix: &Prefix) {
        let touched: Vec<NextHop> = self.hops_in(prefix).collect();
        self.dirty_hops.extend(touched);
    }

    fn hops_in(&self, prefix: &Prefix) -> impl Iterator<Item = NextHop> {
        let last = prefix.last_address();
        let first = NextHop::from(prefix.address());
        self.hops.range(first..).map(|(hop, _)| *hop).take_while(move |hop| hop.address <= last)
    }

    fn forget_unused(&mut self, hop: &NextHop) {
        if self.hops.get(hop).is_some_and(|known| known.users.is_empty() && !known.tracked) {
            self.hops.remove(hop);
            self.dirty_hops.remove(hop);
        }
    }

    /// Resolves all next hops that may have changed, and those which lead through them.
    ///
    /// Each is resolved from the facts alone, never from another's old answer, so that two routes
    /// through each other do not keep each other alive.
    fn settle_hops(&mut self) {
        let mut settled: BTreeSet<NextHop> = BTreeSet::new();
        while let Some(hop) = self.dirty_hops.pop_first() {
            settled.insert(hop);
            let (resolution, through) = resolve::next_hop(self, &hop);
            let Some(known) = self.hops.get_mut(&hop) else {
                continue;
            };
            // An answer that came from foreign routes alone, and is the same, moves nothing.
            let moved = known.resolution.as_ref() != Some(&resolution)
                || !known.through.is_empty()
                || !through.is_empty();
            if known.tracked && known.told.as_ref() != Some(&resolution) {
                known.told = Some(resolution.clone());
                self.out.push_back(Output::NextHop(hop, resolution.clone()));
            }
            known.resolution = Some(resolution);
            known.through = through;
            if moved {
                let users: Vec<Prefix> = known.users.iter().copied().collect();
                for user in users {
                    self.dirty.insert(user);
                    let next: Vec<NextHop> =
                        self.hops_in(&user).filter(|hop| !settled.contains(hop)).collect();
                    self.dirty_hops.extend(next);
                }
            }
        }
    }

    /// Wanted minus actual for one prefix.
    fn decide(&mut self, prefix: &Prefix) -> Option<Action> {
        let wanted = self.wanted(prefix).map(|(_, target)| target);
        let blocked = self.is_blocked(prefix);
        let entry = self.entries.get_mut(prefix)?;
        if entry.flight.is_some() {
            return None;
        }
        let action = match (&wanted, &entry.actual) {
            (Some(wanted), Actual::Present(actual)) if wanted == actual => None,
            (Some(_), Actual::Absent | Actual::Present(_) | Actual::Unknown) if blocked => None,
            (Some(wanted), Actual::Absent | Actual::Present(_) | Actual::Unknown) => {
                Some(Action::Replace(wanted.clone()))
            }
            (None, Actual::Absent) => None,
            (None, Actual::Present(_) | Actual::Unknown) if entry.adopted => None,
            (None, Actual::Present(_) | Actual::Unknown) => Some(Action::Delete),
        };
        if action.is_some() && entry.must_wait(self.now, wanted.as_ref()) {
            return None;
        }
        if action.is_none() {
            if let Some(failure) = entry.failure.take() {
                self.retries.remove(&(failure.retry_at, *prefix));
            }
            if entry.is_empty() {
                self.entries.remove(prefix);
            }
            return None;
        }
        entry.flight = Some(Flight { target: wanted, disturbed: false });
        action
    }
}

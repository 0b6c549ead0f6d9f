//! What watchers, metrics and readiness are shown, and how often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_speaker::{Glance, PeerSnapshot};
use health::{CheckHandle, Checks};
use inet::{Prefix, ScopedAddr, Timestamp};
use node_api::{OnDemand, v1};
use route_table::{RouteState, RouteTable, Stats};
use tokio::sync::watch;

use super::answers::SLICE;
use super::metrics::{Scrape, Shown};
use super::monitor::Shown as Monitors;
use super::neighbors::Made;
use super::owners::FILE;
use super::router::Router;
use super::show;

/// The shortest time between two lists of neighbors.
const NEIGHBORS_EVERY: Duration = Duration::from_millis(250);

/// The same while routes come and go, which moves no more than their counts.
const COUNTS_EVERY: Duration = Duration::from_secs(2);

/// The shortest time between two looks at what is sent to whom.
const ADVERTISED_EVERY: Duration = Duration::from_secs(1);

/// The shortest time between two counts of the FIB, which walk it.
const FIB_EVERY: Duration = Duration::from_secs(5);

/// What is published, and when it is due.
pub(super) struct Publisher {
    neighbors: watch::Sender<Arc<v1::NeighborList>>,
    made: Made<Glance>,
    advertised: OnDemand<v1::AdvertisedList>,
    kernel: CheckHandle,
    tables: CheckHandle,
    /// The FIB as it was counted last, and a count under way.
    fib: Stats,
    census: Option<Census>,
    /// The speaker's changes that are seen to.
    seen: u64,
    neighbors_due: Due,
    advertised_due: Due,
    fib_due: Due,
}

/// A count of the FIB by state: a large one takes longer than a turn.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) stats: Stats,
    /// Counted up to this prefix.
    last: Option<Prefix>,
}

/// Something that is done again after a change, but not too often.
#[derive(Debug)]
struct Due {
    every: Duration,
    last: Option<Timestamp>,
    changed: bool,
}

impl Publisher {
    pub(super) fn new(checks: &Checks) -> Publisher {
        Publisher {
            neighbors: watch::Sender::default(),
            made: Made::default(),
            advertised: OnDemand::new(),
            kernel: checks.add("kernel", "its routes were not read yet"),
            tables: checks.add("tables", "not looked at yet"),
            fib: Stats::default(),
            census: None,
            seen: 0,
            neighbors_due: Due::new(NEIGHBORS_EVERY),
            advertised_due: Due::new(ADVERTISED_EVERY),
            fib_due: Due::new(FIB_EVERY),
        }
    }

    pub(super) fn neighbors(&self) -> watch::Receiver<Arc<v1::NeighborList>> {
        self.neighbors.subscribe()
    }

    pub(super) fn advertised(&self) -> OnDemand<v1::AdvertisedList> {
        self.advertised.clone()
    }

    /// Somebody begins to watch. May be cancelled.
    pub(super) async fn asked(&self) {
        self.advertised.asked().await;
    }

    /// Something may look different now.
    pub(super) fn changed(&mut self) {
        self.neighbors_due.every = NEIGHBORS_EVERY;
        (self.neighbors_due.changed, self.advertised_due.changed) = (true, true);
    }

    /// The speaker has come so far. What has changed in it beside counts of routes is told of as it
    /// happens; KEEPALIVE messages change nothing.
    fn come_to(&mut self, changes: u64) {
        if std::mem::replace(&mut self.seen, changes) != changes {
            (self.neighbors_due.changed, self.advertised_due.changed) = (true, true);
        }
    }

    /// Routes of the FIB may have another state.
    pub(super) fn fib_changed(&mut self) {
        self.fib_due.changed = true;
    }

    /// The kernel's routes were read.
    pub(super) fn kernel_read(&self) {
        self.kernel.pass();
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let watched = self.advertised.is_watched().then_some(&self.advertised_due);
        let dues = [&self.neighbors_due, &self.fib_due].into_iter().chain(watched);
        let census = self.census.is_some().then_some(Timestamp::ZERO);
        dues.filter_map(Due::at).chain(census).min()
    }
}

impl Router {
    /// Publishes what is due.
    pub(super) fn publish(&mut self) {
        let now = self.parts.clock.now();
        self.parts.publisher.come_to(self.parts.speaker.changes());
        if self.parts.publisher.neighbors_due.take(now) {
            self.parts.publisher.neighbors_due.every = COUNTS_EVERY;
            self.publish_neighbors();
            self.parts.publisher.neighbors_due.changed = self.monitor.writes_files();
        }
        // Each prefix is looked at for each peer: for nobody that is not done.
        if !self.parts.publisher.advertised.is_watched() {
            self.parts.publisher.advertised.forget();
            self.parts.publisher.advertised_due.changed = true;
        } else if self.parts.publisher.advertised_due.take(now) {
            self.parts.publisher.advertised.set(self.advertised());
        }
        let publisher = &mut self.parts.publisher;
        if publisher.census.is_none() && publisher.fib_due.take(now) {
            publisher.census = Some(Census::default());
        }
        if let Some(census) = &mut publisher.census
            && census.go_on(SLICE, &self.parts.table)
        {
            publisher.fib = census.stats;
            publisher.census = None;
        }
    }

    /// Answers a scrape with what is so now; the FIB is as it was counted last.
    pub(super) fn scraped(&mut self, scrape: &Scrape) {
        self.publish_neighbors();
        let (stations, mrt) = self.monitor.show();
        let neighbors = Arc::clone(&self.parts.publisher.neighbors.borrow());
        scrape.answer(Shown {
            neighbors,
            counts: self.parts.speaker.counts(),
            fib: self.parts.publisher.fib,
            fib_counters: self.parts.table.counters(),
            monitors: Monitors { stations, mrt },
        });
    }

    fn publish_neighbors(&mut self) {
        let mut made = std::mem::take(&mut self.parts.publisher.made);
        let conditions = self.conditions();
        self.parts.publisher.neighbors.send_if_modified(|list| {
            let list = Arc::make_mut(list);
            let news = made.renew(&mut list.neighbors, self.glances(), |address| {
                Some(self.neighbor(&self.parts.speaker.peer(address)?))
            });
            for (address, entry) in made.addresses().zip(&mut list.neighbors) {
                if let Some(traffic) = self.parts.speaker.traffic(address) {
                    show::traffic(&traffic, entry);
                }
            }
            self.tell_conditions(&list.conditions, &conditions);
            let others = list.conditions != conditions;
            list.conditions = conditions;
            news || others
        });
        self.parts.publisher.made = made;
        let publisher = &self.parts.publisher;
        if let Some(lost) = &self.kernel_lost {
            // It passes again with the next snapshot.
            publisher.kernel.fail(lost);
        }
        let waits = self.parts.restarting && !self.settled && self.parts.speaker.global().is_some();
        if waits {
            publisher.tables.fail("restarted: waiting for owners and for the peers' tables");
        } else {
            publisher.tables.pass();
        }
    }

    /// A glance at each peer; none at those of which something is known that is not the speaker's.
    fn glances(&self) -> impl Iterator<Item = (ScopedAddr, Option<Glance>)> {
        let edges = &self.parts.edges;
        let glances = self.parts.speaker.glances();
        glances.map(|(address, glance)| (address, Some(glance).filter(|_| !edges.concern(address))))
    }

    /// All peers as the API shows them.
    pub(super) fn neighbors(&self) -> Vec<v1::Neighbor> {
        self.parts.speaker.peers().map(|peer| self.neighbor(&peer)).collect()
    }

    /// A peer as the API shows it.
    pub(super) fn neighbor(&self, peer: &PeerSnapshot) -> v1::Neighbor {
        let clock = &self.parts.clock;
        let mut shown = show::neighbor(clock, peer);
        self.parts.edges.show(clock, peer.wanted.key(), peer.source, &mut shown);
        shown
    }

    /// What a person should know now.
    pub(super) fn conditions(&self) -> Vec<v1::Condition> {
        let mut list = Vec::new();
        let mut add = |name: &str, message: String| {
            list.push(v1::Condition { name: name.to_owned(), message });
        };
        for (address, reason) in &self.deaf {
            add("ListenFailed", format!("{address}: {reason}; sessions that we dial work"));
        }
        for (name, reason) in &*self.parts.unheard.borrow() {
            add(name, reason.clone());
        }
        for (name, message) in self.parts.edges.conditions() {
            add(name, message);
        }
        for (name, message) in self.monitor.conditions() {
            add(name, message);
        }
        if let Some(reason) = &self.kernel_lost {
            add("KernelLost", reason.clone());
        }
        if let Some(reason) = &self.parts.owners.store_failure {
            add("StoreFailed", format!("documents are not stored: {reason}"));
        }
        for (owner, problems) in &self.parts.owners.refused {
            add("DocumentRefused", format!("the stored document of {owner}: {problems}"));
        }
        if let Some(problems) = &self.parts.owners.file_refused {
            add("FileRefused", format!("what was read before stays in force: {problems}"));
        }
        let file = self.parts.owners.iter().find(|(name, _)| *name == FILE);
        for message in
            file.iter().flat_map(|(_, file)| self.parts.file.needs_restart(&file.document))
        {
            add("RestartNeeded", message);
        }
        if self.parts.speaker.global().is_none() {
            add("NotConfigured", "no owner has given an AS number and a router id".to_owned());
        }
        for (name, message) in self.parts.placement.conditions(&self.parts.table) {
            add(name, message);
        }
        for conflict in self.parts.speaker.conflicts() {
            add("Conflict", conflict.to_string());
        }
        for ignored in self.parts.owners.ignored() {
            add("Conflict", ignored.to_string());
        }
        if self.parts.restarting && !self.settled {
            let silent = self.parts.owners.silent();
            let message = if silent.is_empty() {
                "waiting for the peers' tables".to_owned()
            } else {
                format!("waiting for {}", silent.join(", "))
            };
            add("Restarting", message);
        }
        list
    }

    /// What each peer is sent of what this router originates, and why not.
    fn advertised(&self) -> v1::AdvertisedList {
        let own: BTreeSet<Prefix> = self
            .parts
            .owners
            .iter()
            .flat_map(|(_, owner)| &owner.document.paths)
            .flat_map(|group| group.prefixes.iter().copied())
            .collect();
        let speaker = &self.parts.speaker;
        let neighbors = speaker
            .peers()
            .map(|peer| {
                let address = peer.wanted.key();
                let prefixes = own.iter().filter_map(|prefix| {
                    let reason = speaker.why_sent(address, prefix)?;
                    Some(v1::AdvertisedPrefix {
                        prefix: prefix.to_string(),
                        sent: reason == bgp_speaker::Reason::Announced,
                        reason: reason.to_string(),
                    })
                });
                v1::AdvertisedTo { neighbor: address.to_string(), prefixes: prefixes.collect() }
            })
            .collect();
        v1::AdvertisedList { neighbors }
    }
}

impl Census {
    /// Counts on, until the slice is over; true when all are counted.
    pub(crate) fn go_on(&mut self, slice: Duration, table: &RouteTable) -> bool {
        let began = Instant::now();
        let Stats { installed, pending, unresolved, blocked, failed, stale, not_installed } =
            &mut self.stats;
        for view in table.routes_after(self.last) {
            *match view.state {
                RouteState::Installed => &mut *installed,
                RouteState::Pending => &mut *pending,
                RouteState::Unresolved => &mut *unresolved,
                RouteState::Blocked => &mut *blocked,
                RouteState::Failed(_) => &mut *failed,
                RouteState::Stale => &mut *stale,
                RouteState::NotInstalled => &mut *not_installed,
            } += 1;
            self.last = Some(view.prefix);
            if began.elapsed() >= slice {
                return false;
            }
        }
        true
    }
}

impl Due {
    fn new(every: Duration) -> Due {
        Due { every, last: None, changed: true }
    }

    fn at(&self) -> Option<Timestamp> {
        self.changed.then(|| self.last.map_or(Timestamp::ZERO, |last| last + self.every))
    }

    /// Whether it is to be done now; if so, it is taken as done.
    fn take(&mut self, now: Timestamp) -> bool {
        let due = self.at().is_some_and(|at| at <= now);
        if due {
            self.last = Some(now);
            self.changed = false;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inet::{Prefix, Timestamp};
    use kernel::routes::Owner;
    use route_table::{Input, RouteTable, SourceId, Target};

    use super::Census;

    #[test]
    fn a_count_in_slices_is_the_count() {
        let mut table = RouteTable::new(kernel::fib::config(Owner::ROUTER.in_table(254), false));
        for n in 0..10 {
            let prefix = Prefix::truncated([10, n, 0, 0].into(), 16).unwrap();
            let (source, distance, target) = (SourceId(0), 20, Some(Target::Blackhole));
            table.handle(Timestamp::ZERO, Input::Offer { source, distance, prefix, target });
        }
        let mut census = Census::default();
        let mut slices = 0;
        while !census.go_on(Duration::ZERO, &table) {
            slices += 1;
        }
        assert_eq!((slices, census.stats), (10, table.stats()));
        assert_eq!(census.stats.not_installed + census.stats.pending, 10, "{:?}", census.stats);
    }
}

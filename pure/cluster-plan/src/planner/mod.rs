//! The planner: computes again what a change touched, one write per object at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use cluster_api::world::{Action, Kind, Note, ObjectKey, Outcome, Seen, Target, Write};
use cluster_api::{
    AddressBlock, AddressClaim, AddressPool, BGPAdvertisement, BGPPeer, BGPPeerTemplate,
    BlockRequest, ClusterBGP, NodeBGP,
};
use inet::Timestamp;
use k8s_openapi::api::core::v1::{Node, Service};

mod figures;
mod follow;

pub use figures::Figures;

use crate::gc::{self, Suspects};
use crate::index::Index;
use crate::pools::Pools;
use crate::task::{self, Steps, Task};
use crate::world::{Now, Settings, World};

/// Something the planner must know.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "handed over once, never kept in numbers")]
pub enum Change {
    /// The watch of AddressPools.
    Pool(Seen<AddressPool>),
    /// The watch of AddressBlocks.
    Block(Seen<AddressBlock>),
    /// The watch of BlockRequests.
    Request(Seen<BlockRequest>),
    /// The watch of AddressClaims.
    Claim(Seen<AddressClaim>),
    /// The watch of BGPPeerTemplates.
    Template(Seen<BGPPeerTemplate>),
    /// The watch of ClusterBGPs.
    Cluster(Seen<ClusterBGP>),
    /// The watch of NodeBGPs.
    NodeBgp(Seen<NodeBGP>),
    /// The watch of BGPPeers.
    Peer(Seen<BGPPeer>),
    /// The watch of BGPAdvertisements.
    Advertisement(Seen<BGPAdvertisement>),
    /// The watch of Services.
    Service(Seen<Service>),
    /// The watch of Nodes.
    Node(Seen<Node>),
    /// Whether this replica leads now.
    Leading(bool),
    /// What became of a write.
    Wrote(Ticket, Outcome),
}

/// A write under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Do this write, then tell with [`Change::Wrote`].
    Write(Ticket, Write),
    /// Tell people.
    Note(Note),
}

/// The controller's planner.
#[derive(Debug, Default)]
pub struct Planner {
    settings: Settings,
    world: World,
    index: Index,
    leading: bool,
    ready: BTreeSet<Task>,
    delayed: BTreeSet<(Timestamp, Task)>,
    due: BTreeMap<Task, Timestamp>,
    last_run: BTreeMap<Task, Timestamp>,
    /// Writes under way, and how many each task has.
    flying: BTreeMap<Ticket, (Task, Write)>,
    busy: BTreeMap<Target, Ticket>,
    busy_tasks: BTreeMap<Task, usize>,
    blocked: BTreeMap<Target, BTreeSet<Task>>,
    failures: BTreeMap<Target, (u32, Timestamp)>,
    next_ticket: u64,
    outputs: VecDeque<Output>,
    told: BTreeMap<Task, BTreeSet<Note>>,
    waiting: BTreeSet<ObjectKey>,
    suspects: Suspects,
    computed: u64,
    failed: u64,
}

impl Planner {
    /// A planner that knows nothing yet and does not lead.
    pub fn new(settings: Settings) -> Planner {
        Planner { settings, ..Planner::default() }
    }

    /// The world as it is known.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.leading
    }

    /// Takes a change.
    pub fn handle(&mut self, now: &Now, change: Change) {
        let listed = self.world.listed();
        match change {
            Change::Pool(seen) => {
                let keys = self.world.pools.see(seen);
                self.changed(now, Kind::AddressPool, keys);
            }
            Change::Block(seen) => {
                let keys = self.world.blocks.see(seen);
                self.changed(now, Kind::AddressBlock, keys);
            }
            Change::Request(seen) => {
                let keys = self.world.requests.see(seen);
                self.changed(now, Kind::BlockRequest, keys);
            }
            Change::Claim(seen) => {
                let keys = self.world.claims.see(seen);
                self.changed(now, Kind::AddressClaim, keys);
            }
            Change::Template(seen) => {
                let keys = self.world.templates.see(seen);
                self.changed(now, Kind::BGPPeerTemplate, keys);
            }
            Change::Cluster(seen) => {
                let keys = self.world.clusters.see(seen);
                self.changed(now, Kind::ClusterBGP, keys);
            }
            Change::NodeBgp(seen) => {
                let keys = self.world.node_bgps.see(seen);
                self.changed(now, Kind::NodeBGP, keys);
            }
            Change::Peer(seen) => {
                let keys = self.world.peers.see(seen);
                self.changed(now, Kind::BGPPeer, keys);
            }
            Change::Advertisement(seen) => {
                let keys = self.world.advertisements.see(seen);
                self.changed(now, Kind::BGPAdvertisement, keys);
            }
            Change::Service(seen) => {
                let keys = self.world.services.see(seen);
                self.changed(now, Kind::Service, keys);
            }
            Change::Node(seen) => {
                let keys = self.world.nodes.see(seen);
                self.changed(now, Kind::Node, keys);
            }
            Change::Leading(leading) => self.lead(now, leading),
            Change::Wrote(ticket, outcome) => self.wrote(now, ticket, outcome),
        }
        if !listed && self.world.listed() {
            self.begin(now);
        }
    }

    /// The next thing to do now, if there is one.
    pub fn poll(&mut self, now: &Now) -> Option<Output> {
        if !self.leading || !self.world.listed() {
            return None;
        }
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            while let Some((at, _)) = self.delayed.first()
                && *at <= now.at
            {
                let Some((_, task)) = self.delayed.pop_first() else { break };
                self.due.remove(&task);
                self.ready.insert(task);
            }
            let task = self.ready.pop_first()?;
            self.run(now, task);
        }
    }

    /// When to poll again if nothing changes before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let (at, _) = self.delayed.first().filter(|_| self.leading)?;
        Some(*at)
    }

    fn lead(&mut self, now: &Now, leading: bool) {
        if self.leading == leading {
            return;
        }
        self.leading = leading;
        for output in std::mem::take(&mut self.outputs) {
            // Wanted, but not handed out: it never happened.
            if let Output::Write(ticket, write) = output {
                self.flying.remove(&ticket);
                self.busy.remove(&write.target);
                task::intent_over(&mut self.index, &write);
            }
        }
        self.busy_tasks.clear();
        for (task, _) in self.flying.values() {
            *self.busy_tasks.entry(task.clone()).or_default() += 1;
        }
        self.blocked.clear();
        self.ready.clear();
        self.delayed.clear();
        self.due.clear();
        self.told.clear();
        self.failures.clear();
        self.suspects = Suspects::default();
        if leading && self.world.listed() {
            self.begin(now);
        }
    }

    /// Everything is computed once: when it is all known, and when we begin to lead.
    fn begin(&mut self, now: &Now) {
        self.mark(now, Task::Pools);
        for task in task::all(&self.world) {
            self.mark(now, task);
        }
        self.mark_at(now.at + gc::EVERY, Task::Collect);
    }

    /// Computes a task and sends what it wants.
    fn run(&mut self, now: &Now, task: Task) {
        self.computed += 1;
        if interval(&task) > Duration::ZERO {
            self.last_run.insert(task.clone(), now.at);
        }
        let steps = match &task {
            Task::Pools => {
                let pools = Pools::of(&self.world);
                let notes = task::pool_notes(&self.world, &pools);
                if self.index.set_pools(pools) {
                    self.pools_changed(now);
                }
                Steps { notes, ..Steps::default() }
            }
            Task::Collect => {
                self.mark_at(now.at + gc::EVERY, Task::Collect);
                let services = self.world.services.iter().map(|(key, _)| key.clone());
                let known: BTreeSet<ObjectKey> = services.collect();
                self.waiting.retain(|key| known.contains(key));
                self.last_run.retain(|_, at| now.at.since(*at) < Duration::from_secs(60));
                self.suspects.look(&self.world, &self.index, now)
            }
            other => task::steps(&self.world, &self.index, &self.settings, now, other),
        };
        if let Task::Service(key) = &task {
            if steps.waiting {
                self.waiting.insert(key.clone());
            } else {
                self.waiting.remove(key);
            }
        }
        self.tell(&task, steps.notes);
        for write in steps.writes {
            self.send(now, &task, write);
        }
    }

    /// Tells what this task has not told yet.
    fn tell(&mut self, task: &Task, notes: Vec<Note>) {
        let notes: BTreeSet<Note> = notes.into_iter().collect();
        let told = self.told.remove(task).unwrap_or_default();
        let new = notes.iter().filter(|note| !told.contains(note));
        self.outputs.extend(new.cloned().map(Output::Note));
        let lasting: BTreeSet<Note> = notes.into_iter().filter(|note| note.warning).collect();
        if !lasting.is_empty() {
            self.told.insert(task.clone(), lasting);
        }
    }

    fn send(&mut self, now: &Now, task: &Task, write: Write) {
        if let Some(under_way) = self.busy.get(&write.target) {
            // Its own write is answered by running the task again; another task's must be waited for.
            if self.flying.get(under_way).is_some_and(|(by, _)| by != task) {
                self.blocked.entry(write.target).or_default().insert(task.clone());
            }
            return;
        }
        if let Some((_, until)) = self.failures.get(&write.target)
            && now.at < *until
        {
            let until = *until;
            self.mark_at(until, task.clone());
            return;
        }
        task::intend(&mut self.index, task, &write);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.busy.insert(write.target.clone(), ticket);
        *self.busy_tasks.entry(task.clone()).or_default() += 1;
        self.flying.insert(ticket, (task.clone(), write.clone()));
        self.outputs.push_back(Output::Write(ticket, write));
    }

    fn wrote(&mut self, now: &Now, ticket: Ticket, outcome: Outcome) {
        let Some((task, write)) = self.flying.remove(&ticket) else { return };
        self.busy.remove(&write.target);
        task::intent_over(&mut self.index, &write);
        let key = ObjectKey::new(&write.target.namespace, &write.target.name);
        match outcome {
            Outcome::Done(object) => {
                self.failures.remove(&write.target);
                match (&write.action, object) {
                    (Action::Delete { .. }, _) => self.deleted(now, write.target.kind, key),
                    (_, Some(object)) => self.stored(now, write.target.kind, object),
                    (_, None) => {}
                }
            }
            Outcome::Exists | Outcome::Conflict => {
                // The watch will say what is there; until then there is no sense in asking again.
                self.back_off(now, &write.target, Duration::from_millis(250), 6);
            }
            Outcome::Later(_) => self.back_off(now, &write.target, Duration::from_millis(500), 6),
            Outcome::Refused(_) => self.back_off(now, &write.target, Duration::from_secs(5), 4),
        }
        let left = self.busy_tasks.get(&task).copied().unwrap_or(1).saturating_sub(1);
        if left > 0 {
            self.busy_tasks.insert(task, left);
        } else {
            self.busy_tasks.remove(&task);
            self.mark(now, task);
        }
        for task in self.blocked.remove(&write.target).unwrap_or_default() {
            self.mark(now, task);
        }
    }

    /// Waits longer each time a write to an object fails, at most `first * 2^doublings`.
    fn back_off(&mut self, now: &Now, target: &Target, first: Duration, doublings: u32) {
        self.failed += 1;
        let failures = self.failures.get(target).map_or(0, |(failures, _)| *failures);
        let pause = first * 2u32.pow(failures.min(doublings));
        self.failures.insert(target.clone(), (failures.saturating_add(1), now.at + pause));
    }

    /// Computes a task soon.
    fn mark(&mut self, now: &Now, task: Task) {
        match self.last_run.get(&task) {
            Some(last) if now.at < *last + interval(&task) => {
                let at = *last + interval(&task);
                self.mark_at(at, task);
            }
            Some(_) | None if self.leading => {
                if let Some(at) = self.due.remove(&task) {
                    self.delayed.remove(&(at, task.clone()));
                }
                self.ready.insert(task);
            }
            Some(_) | None => {}
        }
    }

    /// Computes a task at that time, or earlier if it was to be so.
    fn mark_at(&mut self, at: Timestamp, task: Task) {
        let earlier = self.due.get(&task).is_some_and(|due| *due <= at);
        if !self.leading || earlier || self.ready.contains(&task) {
            return;
        }
        if let Some(due) = self.due.insert(task.clone(), at) {
            self.delayed.remove(&(due, task.clone()));
        }
        self.delayed.insert((at, task));
    }
}

/// A task that looks at much, or writes what only people read, is computed at most this often.
fn interval(task: &Task) -> Duration {
    match task {
        Task::Clusters | Task::Advertisement(_) | Task::Pool(_) => Duration::from_secs(1),
        Task::Blocks => Duration::from_millis(20),
        Task::Pools
        | Task::Leftover(_)
        | Task::Service(_)
        | Task::Node(_)
        | Task::Peers(_)
        | Task::Collect => Duration::ZERO,
    }
}

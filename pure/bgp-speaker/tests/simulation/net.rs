//! Speakers, the cables between them, and a clock that jumps from one event to the next.

mod tcp;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use bgp_session::State;
use bgp_speaker::{ConnId, Discard, Event, Input, Output, Reset, Speaker, SpeakerConfig, Who};
use inet::{Family, LinkName, Prefix, Timestamp};

use crate::dice::Dice;
use crate::net::tcp::{Happens, Pipe};
use crate::topology::{HOLD, RESTART, Topology};

/// A host's kernel and the process on it.
pub(crate) struct Node {
    pub(crate) speaker: Option<Speaker>,
    /// Next hops, and whether the route waits to be renewed after a restart.
    pub(crate) fib: BTreeMap<Prefix, (BTreeSet<IpAddr>, bool)>,
    /// What it drops for aggregates, and whether that waits to be renewed.
    pub(crate) drops: BTreeMap<Prefix, (Discard, bool)>,
    pub(crate) settled: bool,
    /// Next hops that do not resolve, though their cable works.
    pub(crate) lost: BTreeSet<IpAddr>,
    pub(crate) slow: bool,
    tracked: BTreeSet<IpAddr>,
    /// Whom it knows, as it last said.
    known: Vec<Who>,
    /// With whom it wants BFD.
    bfd: BTreeSet<IpAddr>,
    conns: BTreeMap<ConnId, u64>,
    /// The OPENs of this process say that its routes were kept.
    preserved: bool,
}

/// The state of a cable.
pub(crate) struct Cable {
    pub(crate) down_since: Option<Timestamp>,
}

/// Everything.
pub(crate) struct Net {
    pub(crate) now: Timestamp,
    pub(crate) topology: Topology,
    pub(crate) nodes: Vec<Node>,
    pub(crate) cables: Vec<Cable>,
    pub(crate) log: Vec<String>,
    /// A fault put in on purpose, to see that it is found.
    pub(crate) sabotage: Option<Sabotage>,
    /// Bytes that a send buffer takes.
    buffer: usize,
    dice: Dice,
    pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    events: BinaryHeap<Reverse<(Timestamp, u64, Happens)>>,
    next_event: u64,
    verbose: bool,
    /// Prefixes per host that must not lose their routes now.
    pub(crate) guarded: Vec<BTreeSet<Prefix>>,
}

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The F bit is never set.
    NoForwardingBit,
    /// Withdrawals get lost on the way.
    NoWithdraw,
    /// Ties are broken the other way round.
    TieBreak,
    /// Policies are not asked.
    NoPolicies,
    /// Reflectors reflect nothing.
    NoReflection,
    /// Nothing is an aggregate.
    NoAggregates,
    /// Aggregates keep nothing back.
    NoSummaries,
}

impl Net {
    pub(crate) fn new(topology: Topology, mut dice: Dice, verbose: bool) -> Net {
        let hosts = topology.hosts.len();
        let wires = topology.wires.len();
        let node = |_| Node {
            speaker: None,
            fib: BTreeMap::new(),
            drops: BTreeMap::new(),
            settled: false,
            lost: BTreeSet::new(),
            slow: false,
            tracked: BTreeSet::new(),
            known: Vec::new(),
            bfd: BTreeSet::new(),
            conns: BTreeMap::new(),
            preserved: false,
        };
        Net {
            now: Timestamp::from_elapsed(Duration::from_secs(1000)),
            topology,
            nodes: (0..hosts).map(node).collect(),
            cables: (0..wires).map(|_| Cable { down_since: None }).collect(),
            log: Vec::new(),
            sabotage: None,
            buffer: if dice.once_in(2) { 200 } else { 8192 },
            dice,
            pipes: BTreeMap::new(),
            next_pipe: 0,
            events: BinaryHeap::new(),
            next_event: 0,
            verbose,
            guarded: vec![BTreeSet::new(); hosts],
        }
    }

    pub(crate) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.verbose {
            let line = format!("{:9.3} {}", self.now.elapsed().as_secs_f64(), what());
            self.log.push(line);
        }
    }

    /// Starts the process on a host; it finds what routes the kernel has kept.
    pub(crate) fn boot(&mut self, host: usize) {
        let kept = !self.nodes[host].fib.is_empty();
        self.note(|| format!("boot {host}, routes kept: {kept}"));
        let restarting = kept.then_some(Duration::from_secs(RESTART));
        let seed = self.dice.roll(u64::MAX);
        let node = &mut self.nodes[host];
        node.speaker = Some(Speaker::new(self.now, SpeakerConfig { seed, restarting }));
        node.settled = false;
        node.tracked.clear();
        node.known.clear();
        node.bfd.clear();
        node.preserved = kept && self.sabotage != Some(Sabotage::NoForwardingBit);
        if node.preserved {
            let families = Family::ALL.into_iter().collect();
            self.tell(host, Input::KernelSynced { families });
        } else if kept {
            self.tell(host, Input::KernelSynced { families: BTreeSet::new() });
        }
        let peers = Input::Desired { owner: "file".into(), doc: self.topology.peers_of(host) };
        let own = Input::Desired { owner: "agent".into(), doc: self.topology.own_of(host) };
        // In either order.
        let docs = if self.dice.once_in(2) { [peers, own] } else { [own, peers] };
        for doc in docs {
            self.tell(host, doc);
        }
        self.tell(host, Input::OwnersReady);
    }

    /// The process is gone. Its peers hear of it, if the host still answers.
    pub(crate) fn crash(&mut self, host: usize, routes_stay: bool, silent: bool) {
        self.note(|| format!("crash {host}, routes stay: {routes_stay}, silent: {silent}"));
        let node = &mut self.nodes[host];
        node.speaker = None;
        for (_, pipe) in std::mem::take(&mut node.conns) {
            self.drop_end(pipe, host, silent);
        }
        let node = &mut self.nodes[host];
        match routes_stay {
            true => {
                node.fib.values_mut().for_each(|route| route.1 = true);
                node.drops.values_mut().for_each(|drop| drop.1 = true);
            }
            false => {
                node.fib.clear();
                node.drops.clear();
            }
        }
    }

    /// A cable breaks. With `carrier` both ends see it.
    pub(crate) fn cut(&mut self, wire: usize, carrier: bool) {
        if self.cables[wire].down_since.is_none() {
            self.note(|| format!("cut {wire}, seen: {carrier}"));
            self.cables[wire].down_since = Some(self.now);
            if carrier {
                self.tell_link(wire, false);
            }
        }
    }

    pub(crate) fn mend(&mut self, wire: usize) {
        if self.cables[wire].down_since.take().is_some() {
            self.note(|| format!("mend {wire}"));
            self.tell_link(wire, true);
            // What waits in TCP's buffers goes on.
            let waiting: Vec<(u64, usize)> = self
                .pipes
                .iter()
                .filter(|(_, pipe)| pipe.wire == wire)
                .flat_map(|(id, pipe)| {
                    (0..2).filter(|end| !pipe.flying[*end].is_empty()).map(|end| (*id, end))
                })
                .collect();
            for (pipe, from) in waiting {
                for _ in 0..self.pipes[&pipe].flying[from].len() {
                    self.later(Duration::from_millis(5), Happens::Arrive { pipe, from });
                }
            }
        }
    }

    /// One end of a connection forgets it; the other finds out when it sends.
    pub(crate) fn half_open(&mut self, host: usize) {
        let n = self.nodes[host].conns.len() as u64;
        let at = self.dice.roll(n) as usize;
        let Some((conn, pipe)) = self.nodes[host].conns.iter().nth(at).map(|(c, p)| (*c, *p))
        else {
            return;
        };
        self.note(|| format!("half-open {host}: {conn}"));
        self.nodes[host].conns.remove(&conn);
        self.drop_end(pipe, host, true);
        self.tell(host, Input::Closed { conn, reason: "test".into() });
    }

    /// Whether a next hop resolves changes.
    pub(crate) fn lose_hop(&mut self, host: usize, address: IpAddr, lost: bool) {
        self.note(|| format!("next hop {address} at {host} lost: {lost}"));
        match lost {
            true => self.nodes[host].lost.insert(address),
            false => self.nodes[host].lost.remove(&address),
        };
        self.resolve(host, address);
    }

    /// Tells the speaker again all that it is wanted to be: nothing must come of it.
    pub(crate) fn desired_twice_is_once(&mut self, host: usize) {
        for (owner, doc) in
            [("file", self.topology.peers_of(host)), ("agent", self.topology.own_of(host))]
        {
            let Some(speaker) = &mut self.nodes[host].speaker else { return };
            let walks = speaker.wake_at().is_some_and(|(at, _)| at <= self.now);
            speaker.handle(self.now, Input::Desired { owner: owner.into(), doc });
            if !walks {
                assert_eq!(speaker.poll(), None, "desired_twice_is_once: host {host}");
            }
        }
        self.drain(host);
    }

    /// Tells the host's speaker what it originates from now on.
    pub(crate) fn originate(&mut self, host: usize) {
        let own: Vec<Prefix> = self.topology.hosts[host].own.keys().copied().collect();
        self.note(|| format!("{host} originates {own:?}"));
        let doc = self.topology.own_of(host);
        self.tell(host, Input::Desired { owner: "agent".into(), doc });
        if self.topology.hosts[host].from_kernel {
            let changes = self.topology.kernel_of(host);
            self.tell(host, Input::Redistribute { changes });
        }
    }

    /// Tells the host's speaker what it is and whom it peers with from now on.
    pub(crate) fn configure(&mut self, host: usize) {
        let doc = self.topology.peers_of(host);
        let speaker = self.nodes[host].speaker.as_ref();
        let plan = speaker.map(|speaker| speaker.plan("file", &doc)).unwrap_or_default();
        self.note(|| format!("{host} is configured anew: {plan:?}"));
        assert!(plan.resets.is_empty() && plan.added.is_empty(), "{plan:?}");
        self.tell(host, Input::Desired { owner: "file".into(), doc });
    }

    /// A person resets a session.
    pub(crate) fn reset(&mut self, wire: usize, end: usize, reset: Reset) {
        let host = self.topology.wires[wire].ends[end].host;
        let peer = self.topology.wires[wire].address(1 - end);
        self.note(|| format!("{host} resets {peer}: {reset:?}"));
        self.tell(host, Input::AdminReset { peer: peer.into(), reset });
    }

    /// BFD loses the other end of a wire, and finds it again.
    pub(crate) fn bfd(&mut self, wire: usize, end: usize, up: bool) {
        let host = self.topology.wires[wire].ends[end].host;
        let peer = self.topology.wires[wire].address(1 - end);
        if self.nodes[host].bfd.contains(&peer) {
            self.note(|| format!("BFD of {host} sees {peer}: {up}"));
            self.tell(host, Input::Bfd { peer: peer.into(), up, control_plane_independent: false });
        }
    }

    /// Each host finds out how its next hops resolve now.
    pub(crate) fn resolve_all(&mut self) {
        for host in 0..self.nodes.len() {
            for address in self.nodes[host].tracked.clone() {
                self.resolve(host, address);
            }
        }
    }

    /// Which cables work.
    pub(crate) fn works(&self) -> Vec<bool> {
        self.cables.iter().map(|cable| cable.down_since.is_none()).collect()
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let wake = self.nodes.iter().enumerate().filter_map(|(host, node)| {
                Some((node.speaker.as_ref()?.wake_at()?.0.max(self.now), host))
            });
            let wake = wake.min();
            match (event, wake) {
                (Some(at), _) if at <= end && wake.is_none_or(|(w, _)| at <= w) => {
                    self.now = at.max(self.now);
                    if let Some(Reverse((_, _, what))) = self.events.pop() {
                        self.happen(what);
                    }
                }
                (_, Some((at, host))) if at <= end => {
                    self.now = at;
                    if let Some(speaker) = &mut self.nodes[host].speaker {
                        speaker.tick(at);
                    }
                    self.drain(host);
                }
                _ => break,
            }
        }
        self.now = end;
        self.no_session_outlives_its_hold_time();
    }

    pub(crate) fn tell(&mut self, host: usize, input: Input) {
        if let Some(speaker) = &mut self.nodes[host].speaker {
            speaker.handle(self.now, input);
            self.drain(host);
        }
    }

    fn drain(&mut self, host: usize) {
        while let Some(output) = self.nodes[host].speaker.as_mut().and_then(Speaker::poll) {
            self.output(host, output);
        }
    }

    fn output(&mut self, host: usize, output: Output) {
        match output {
            Output::Connect { conn, peer, ttl, .. } => {
                let known = &self.nodes[host].known;
                assert!(
                    known.contains(&Who::Address(peer.ip().into())),
                    "{peer} is dialled unknown"
                );
                if let Some((wire, _)) = self.wire_to(host, &peer.ip()) {
                    let inside = self.topology.internal(&self.topology.wires[wire]);
                    assert_eq!(ttl, if inside { 255 } else { 1 }, "a neighbor is one hop away");
                }
                self.dial(host, conn, peer.ip());
            }
            Output::Adopt { .. } => {}
            Output::Send { conn, bytes } => self.send(host, conn, bytes),
            Output::Close { conn } => {
                if let Some(pipe) = self.nodes[host].conns.remove(&conn) {
                    self.drop_end(pipe, host, false);
                }
            }
            Output::Best(best) => {
                let Node { fib, drops, .. } = &mut self.nodes[host];
                match best.discard {
                    Some(discard) => drops.insert(best.prefix, (discard, false)),
                    None => drops.remove(&best.prefix),
                };
                let hops: BTreeSet<IpAddr> =
                    best.paths.iter().map(|path| path.next_hop.address).collect();
                if hops.is_empty() {
                    fib.remove(&best.prefix);
                } else {
                    fib.insert(best.prefix, (hops, false));
                }
                self.forwarding_keeps(host, "a withdrawal");
            }
            Output::Track(address) => {
                assert!(
                    self.nodes[host].tracked.insert(address.address()),
                    "tracked twice: {address}"
                );
                self.resolve(host, address.address());
            }
            Output::Untrack(address) => {
                assert!(
                    self.nodes[host].tracked.remove(&address.address()),
                    "not tracked: {address}"
                );
            }
            Output::Settled => {
                self.note(|| format!("{host} settled"));
                self.nodes[host].settled = true;
                self.nodes[host].fib.retain(|_, route| !route.1);
                self.nodes[host].drops.retain(|_, drop| !drop.1);
                self.forwarding_keeps(host, "the sweep");
                if self.sabotage != Some(Sabotage::NoForwardingBit) {
                    let families = Family::ALL.into_iter().collect();
                    self.tell(host, Input::KernelSynced { families });
                }
            }
            Output::Peers(peers) => {
                self.nodes[host].known = peers.iter().map(|peer| peer.who).collect();
            }
            Output::Find(links) => panic!("nobody is on {links:?}"),
            Output::Bfd(sessions) => {
                self.nodes[host].bfd =
                    sessions.iter().map(|session| session.peer.address()).collect();
            }
            Output::Redistribute(_) => {
                let changes = self.topology.kernel_of(host);
                self.tell(host, Input::Redistribute { changes });
            }
            Output::Happened(event) => self.happened(host, &event),
        }
    }

    fn happened(&mut self, host: usize, event: &Event) {
        self.note(|| format!("{host}: {event:?}"));
        match event {
            Event::Session { peer, state: State::Established, .. } => {
                self.no_stale_without_f_bit(host, &peer.address());
            }
            Event::Refused { .. }
            | Event::Conflict(_)
            | Event::Malformed { .. }
            | Event::PathsLeftOut { .. } => {
                panic!("{host}: {event:?}");
            }
            Event::Session { .. }
            | Event::Added { .. }
            | Event::Removed { .. }
            | Event::MaxPrefixes { .. }
            | Event::Bfd { .. }
            | Event::SelectionDeferred { .. }
            | Event::SelectionBegan { .. } => {}
        }
    }

    /// A peer that comes back without having kept its routes has none of them left here.
    fn no_stale_without_f_bit(&self, host: usize, peer: &IpAddr) {
        let Some((wire, mine)) = self.wire_to(host, peer) else { return };
        let other = self.topology.wires[wire].ends[1 - mine].host;
        let Some(speaker) = self.nodes[host].speaker.as_ref() else { return };
        let kept = self.nodes[other].preserved || self.nodes[other].settled;
        if !kept && let Some(snapshot) = speaker.peer(peer) {
            for (family, counts) in snapshot.families {
                assert_eq!(counts.received.stale, 0, "no_stale_without_f_bit: {host} {family}");
            }
        }
    }

    fn forwarding_keeps(&self, host: usize, by: &str) {
        let Node { fib, drops, .. } = &self.nodes[host];
        for prefix in &self.guarded[host] {
            assert!(
                fib.contains_key(prefix) || drops.contains_key(prefix),
                "forwarding_keeps_during_a_graceful_restart: {host} lost {prefix} by {by}"
            );
        }
    }

    fn no_session_outlives_its_hold_time(&self) {
        let most = Duration::from_secs(HOLD + 1);
        for (n, wire) in self.topology.wires.iter().enumerate() {
            let Some(since) = self.cables[n].down_since else { continue };
            if self.now.since(since) <= most {
                continue;
            }
            for end in 0..2 {
                let speaker = self.nodes[wire.ends[end].host].speaker.as_ref();
                let peer = speaker.and_then(|s| s.peer(wire.address(1 - end)));
                let state = peer.map(|peer| peer.status.state).unwrap_or_default();
                assert_ne!(state, State::Established, "no_session_outlives_its_hold_time: {n}");
            }
        }
    }

    fn wire_to(&self, host: usize, peer: &IpAddr) -> Option<(usize, usize)> {
        self.topology.wires.iter().enumerate().find_map(|(n, wire)| {
            let mine = wire.end_of(host)?;
            (wire.address(1 - mine) == *peer).then_some((n, mine))
        })
    }

    fn tell_link(&mut self, wire: usize, up: bool) {
        let name: LinkName = format!("e{wire}").parse().unwrap();
        self.resolve_all();
        for end in 0..2 {
            let host = self.topology.wires[wire].ends[end].host;
            self.tell(host, Input::Link { name, up });
        }
    }

    /// Tells the speaker how a next hop resolves, if it wants to know.
    fn resolve(&mut self, host: usize, address: IpAddr) {
        if !self.nodes[host].tracked.contains(&address) {
            return;
        }
        let distance = self.topology.distance(&self.works(), host, &address);
        let metric = distance.filter(|_| !self.nodes[host].lost.contains(&address));
        self.tell(host, Input::NextHop { address: address.into(), metric });
    }
}

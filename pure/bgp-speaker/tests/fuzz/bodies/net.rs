//! Three speakers, and the TCP between them: streams of bytes that come in pieces, break, or are
//! known to one end only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bgp_packet::frame_len;
use bgp_session::State;
use bgp_speaker::{ConnId, Input, Output, Speaker, SpeakerConfig};
use inet::{Family, Prefix, ScopedAddr, Timestamp};

use crate::bodies::model::{self, HOSTS, Wanted};

const OWNER: &str = "file";
/// Bytes that a send buffer takes.
const BUFFER: usize = 4096;
/// So much more may wait: one round of a table, and what does not wait for room.
const BEYOND: usize = 64 << 10;
/// Far beyond every wait that there is.
const QUIET: Duration = Duration::from_secs(150);
/// Outputs, and moments at which something is due, that one call or the quiet may bring.
const MOST: usize = 50_000;

/// A speaker and the kernel under it.
struct Host {
    speaker: Speaker,
    wanted: Wanted,
    conns: BTreeMap<ConnId, u64>,
    accepted: u64,
    tracked: BTreeSet<ScopedAddr>,
    /// Next hops, and whether the route is one of a run before.
    fib: BTreeMap<Prefix, (IpAddr, bool)>,
}

/// A TCP connection. The first end is the one that has dialled.
struct Pipe {
    hosts: [usize; 2],
    ends: [Option<ConnId>; 2],
    answered: bool,
    /// What each end has sent and the other has not got.
    flying: [VecDeque<u8>; 2],
    /// What each end has got of a message that is not whole.
    got: [Vec<u8>; 2],
    /// Each end has closed it, which the other is told behind what was sent.
    closed: [bool; 2],
}

impl Pipe {
    /// Something is on its way.
    fn flies(&self) -> bool {
        let closed = self.closed.iter().any(|closed| *closed);
        self.answered && (closed || self.flying.iter().any(|bytes| !bytes.is_empty()))
    }
}

pub(crate) struct Net {
    now: Timestamp,
    hosts: Vec<Host>,
    pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    /// What was asked for by people, which does not wait for room.
    asked: usize,
    restarts: u64,
}

impl Net {
    pub(crate) fn new(own: u8) -> Net {
        let now = Timestamp::from_elapsed(Duration::from_secs(1000));
        let host = |host: usize| Host {
            speaker: Speaker::new(now, SpeakerConfig { seed: host as u64, restarting: None }),
            wanted: Wanted::new(own.rotate_left(2 * host as u32)),
            conns: BTreeMap::new(),
            accepted: 0,
            tracked: BTreeSet::new(),
            fib: BTreeMap::new(),
        };
        let hosts = (0..HOSTS).map(host).collect();
        let (pipes, next_pipe) = (BTreeMap::new(), 0);
        let mut net = Net { now, hosts, pipes, next_pipe, asked: 0, restarts: 0 };
        for host in 0..HOSTS {
            net.begin(host);
        }
        net
    }

    /// What a host is told at first.
    fn begin(&mut self, host: usize) {
        self.apply(host);
        self.tell(host, Input::OwnersReady);
    }

    /// The interface that a connection goes over: told before it.
    fn tell_link(&mut self, host: usize, towards: usize) {
        let input = Input::LocalAddress {
            peer: model::address(towards, host).into(),
            link: Some(model::link(towards)),
            ipv4: None,
            ipv6: Some(model::address6(host, towards)),
        };
        self.tell(host, input);
    }

    pub(crate) fn tell(&mut self, host: usize, input: Input) {
        self.asked += usize::from(matches!(input, Input::AdminReset { .. }));
        self.hosts[host].speaker.handle(self.now, input);
        self.drain(host);
    }

    /// Another document.
    pub(crate) fn want(&mut self, host: usize, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.hosts[host].wanted);
        self.apply(host);
    }

    fn apply(&mut self, host: usize) {
        let doc = self.hosts[host].wanted.document(host);
        self.tell(host, Input::Desired { owner: OWNER.into(), doc });
    }

    pub(crate) fn wanted_twice_is_once(&mut self, host: usize) {
        let doc = self.hosts[host].wanted.document(host);
        let speaker = &mut self.hosts[host].speaker;
        assert!(speaker.plan(OWNER, &doc).is_empty(), "a plan of what is there");
        let walks = speaker.wake_at().is_some_and(|(at, _)| at <= self.now);
        speaker.handle(self.now, Input::Desired { owner: OWNER.into(), doc });
        assert!(walks || speaker.poll().is_none(), "wanted twice is not once");
        self.drain(host);
    }

    /// A process ends and begins anew, with its routes in the kernel or without. Silent: its peers
    /// find out when they speak.
    pub(crate) fn restart(&mut self, host: usize, kept: bool, silent: bool) {
        self.restarts += 1;
        let ended = std::mem::take(&mut self.hosts[host].conns);
        for (_, pipe) in ended {
            self.leave(pipe, host, false);
            if !silent {
                self.break_off(pipe);
            }
        }
        let node = &mut self.hosts[host];
        let restarting = kept.then_some(Duration::from_secs(10));
        let seed = host as u64 + 3 * self.restarts;
        node.speaker = Speaker::new(self.now, SpeakerConfig { seed, restarting });
        node.tracked.clear();
        match kept {
            true => node.fib.values_mut().for_each(|route| route.1 = true),
            false => node.fib.clear(),
        }
        if kept {
            self.tell(host, Input::KernelSynced { families: Family::ALL.into() });
        }
        self.begin(host);
    }

    /// One of the dials is answered.
    pub(crate) fn answer(&mut self, choice: u8) {
        let waiting = |pipe: &Pipe| !pipe.answered;
        if let Some(id) = self.pick(choice, waiting) {
            self.open(id);
        }
    }

    /// One of the dials fails.
    pub(crate) fn refuse(&mut self, choice: u8) {
        let waiting = |pipe: &Pipe| !pipe.answered;
        let Some(pipe) = self.pick(choice, waiting).and_then(|id| self.pipes.remove(&id)) else {
            return;
        };
        if let Some(conn) = pipe.ends[0] {
            self.hosts[pipe.hosts[0]].conns.remove(&conn);
            self.tell(pipe.hosts[0], Input::ConnectFailed { conn, reason: "refused".into() });
        }
    }

    /// Some bytes of a connection arrive.
    pub(crate) fn deliver(&mut self, choice: u8, most: usize) {
        let Some(id) = self.pick(choice >> 1, Pipe::flies) else { return };
        self.arrive(id, usize::from(choice & 1), most);
    }

    /// A connection breaks, and both ends know.
    pub(crate) fn cut(&mut self, choice: u8) {
        if let Some(id) = self.pick(choice, |pipe| pipe.answered) {
            self.break_off(id);
        }
    }

    /// One end of a connection breaks, and only that end knows.
    pub(crate) fn half_open(&mut self, choice: u8) {
        let Some(id) = self.pick(choice >> 1, |pipe| pipe.answered) else { return };
        let end = usize::from(choice & 1);
        let pipe = &self.pipes[&id];
        if let Some(conn) = pipe.ends[end] {
            let host = pipe.hosts[end];
            self.leave(id, host, false);
            self.hosts[host].conns.remove(&conn);
            self.tell(host, Input::Closed { conn, reason: "broken".into() });
        }
    }

    /// Time passes, and nothing arrives.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        for host in 0..HOSTS {
            self.tick(host);
        }
    }

    /// The time is that of the next thing that is due.
    pub(crate) fn next(&mut self) {
        self.now = self.wake_at().map_or(self.now, |at| at.max(self.now));
        for host in 0..HOSTS {
            self.tick(host);
        }
    }

    /// The network does what it shall for a while.
    pub(crate) fn behave(&mut self, millis: u64) {
        self.run(Duration::from_millis(millis));
    }

    /// Whatever is broken is known to be; then nothing happens for long.
    pub(crate) fn quiet(&mut self) {
        let broken: Vec<u64> = self
            .pipes
            .iter()
            .filter(|(_, pipe)| pipe.answered && pipe.ends.iter().any(Option::is_none))
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            self.break_off(id);
        }
        self.run(QUIET);
    }

    /// Sessions and routes are those of the model.
    pub(crate) fn is_as_modelled(&self) {
        let wanted: [Wanted; HOSTS] = std::array::from_fn(|host| self.hosts[host].wanted.clone());
        let routes = model::routes(&wanted);
        for (host, node) in self.hosts.iter().enumerate() {
            for other in (0..HOSTS).filter(|other| model::meet(&wanted, host, *other)) {
                let peer = node.speaker.peer(model::address(other, host)).unwrap();
                assert_eq!(peer.status.state, State::Established, "{host} with {other}");
                assert!(!peer.behind, "{host} has not told {other} all");
            }
            let fib = node.fib.iter();
            let fib: BTreeMap<Prefix, IpAddr> = fib.map(|(p, (hop, _))| (*p, *hop)).collect();
            assert_eq!(fib, routes[host], "host {host}: {wanted:?}");
            assert!(node.speaker.groups_agree(), "host {host}");
        }
    }

    /// Nothing is left of what nobody wants.
    pub(crate) fn forgets_all(&mut self) {
        for host in 0..HOSTS {
            self.tell(host, Input::Forget { owner: OWNER.into() });
        }
        self.run(Duration::from_secs(5));
        for (host, node) in self.hosts.iter().enumerate() {
            let counts = node.speaker.counts();
            assert_eq!((counts.paths, counts.prefixes, counts.next_hops), (0, 0, 0), "{host}");
            assert!(node.conns.is_empty() && node.fib.is_empty() && node.tracked.is_empty());
            assert_eq!(node.speaker.wake_at(), None, "{host}");
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for round in 0.. {
            assert!(round < MOST, "something is due without end");
            self.settle();
            match self.wake_at().filter(|at| *at <= end) {
                Some(at) => self.now = at.max(self.now),
                None => break,
            }
            for host in 0..HOSTS {
                self.tick(host);
            }
        }
        self.now = end;
    }

    /// All dials are answered, and all that flies arrives.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < MOST, "they talk without end");
            let dial = self.pipes.iter().find(|(_, pipe)| !pipe.answered).map(|(id, _)| *id);
            let flying = self.pipes.iter().find(|(_, pipe)| pipe.flies()).map(|(id, _)| *id);
            match (dial, flying) {
                (Some(id), _) => self.open(id),
                (None, Some(id)) => (0..2).for_each(|from| self.arrive(id, from, usize::MAX)),
                (None, None) => break,
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.hosts.iter().filter_map(|node| Some(node.speaker.wake_at()?.0)).min()
    }

    fn tick(&mut self, host: usize) {
        self.hosts[host].speaker.tick(self.now);
        self.drain(host);
    }

    fn pick(&self, choice: u8, fits: impl Fn(&Pipe) -> bool) -> Option<u64> {
        let fitting: Vec<u64> =
            self.pipes.iter().filter(|(_, pipe)| fits(pipe)).map(|(id, _)| *id).collect();
        let at = usize::from(choice).checked_rem(fitting.len())?;
        fitting.get(at).copied()
    }

    fn drain(&mut self, host: usize) {
        for round in 0.. {
            assert!(round < MOST, "outputs without end");
            let Some(output) = self.hosts[host].speaker.poll() else { break };
            self.output(host, output);
        }
    }

    fn output(&mut self, host: usize, output: Output) {
        let node = &mut self.hosts[host];
        match output {
            Output::Connect { conn, peer, .. } => {
                let to = (0..HOSTS).find(|to| model::address(*to, host) == peer.ip());
                self.next_pipe += 1;
                let id = self.next_pipe;
                assert_eq!(node.conns.insert(conn, id), None, "dialled twice");
                let pipe = Pipe {
                    hosts: [host, to.expect("somebody is dialled who is none of them")],
                    ends: [Some(conn), None],
                    answered: false,
                    flying: Default::default(),
                    got: Default::default(),
                    closed: [false; 2],
                };
                self.pipes.insert(id, pipe);
            }
            Output::Adopt { conn, .. } => assert!(node.conns.contains_key(&conn)),
            Output::Send { conn, bytes } => {
                let id = *node.conns.get(&conn).expect("said on a connection that is closed");
                let Some(pipe) = self.pipes.get_mut(&id) else { return };
                let from = usize::from(pipe.ends[0] != Some(conn));
                pipe.flying[from].extend(bytes);
                let most = BUFFER + BEYOND + 128 * self.asked;
                assert!(pipe.flying[from].len() <= most, "more is sent than there is room for");
                self.room(id, from);
            }
            Output::Close { conn } => {
                let id = node.conns.remove(&conn).expect("closed twice");
                self.leave(id, host, true);
            }
            Output::Best(best) => match best.paths.first().map(|path| path.next_hop.address) {
                Some(hop) => drop(node.fib.insert(best.prefix, (hop, false))),
                None => drop(node.fib.remove(&best.prefix)),
            },
            Output::Track(address) => {
                assert!(node.tracked.insert(address), "tracked twice");
                node.speaker.handle(self.now, Input::NextHop { address, metric: Some(1) });
            }
            Output::Untrack(address) => assert!(node.tracked.remove(&address), "not tracked"),
            Output::Settled => node.fib.retain(|_, (_, stale)| !*stale),
            Output::Peers(_)
            | Output::Find(_)
            | Output::Bfd(_)
            | Output::Redistribute(_)
            | Output::Happened(_) => {}
        }
    }

    fn open(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let [from, to] = pipe.hosts;
        let Some(dialled) = pipe.ends[0] else { return drop(self.pipes.remove(&id)) };
        let node = &mut self.hosts[to];
        node.accepted += 1;
        let conn = ConnId::Accepted(node.accepted);
        node.conns.insert(conn, id);
        pipe.ends[1] = Some(conn);
        pipe.answered = true;
        let (local, remote) = (model::address(to, from), model::address(from, to));
        self.tell_link(to, from);
        self.tell(to, Input::Accepted { conn, local, remote: remote.into() });
        self.room(id, 1);
        self.drain(to);
        if self.hosts[from].conns.contains_key(&dialled) {
            self.tell_link(from, to);
            self.tell(from, Input::Connected { conn: dialled, local: remote });
            self.room(id, 0);
            self.drain(from);
        }
    }

    /// How much the connection takes now.
    fn room(&mut self, id: u64, from: usize) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let Some(conn) = pipe.ends[from] else { return };
        let bytes = BUFFER.saturating_sub(pipe.flying[from].len());
        self.hosts[pipe.hosts[from]].speaker.handle(self.now, Input::Room { conn, bytes });
    }

    /// Up to so many bytes that an end has sent arrive.
    fn arrive(&mut self, id: u64, from: usize, most: usize) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let count = pipe.flying[from].len().min(most);
        let bytes = pipe.flying[from].drain(..count);
        let to = 1 - from;
        if pipe.ends[to].is_none() {
            drop(bytes);
            // Nobody is there who knows the connection: a reset comes back.
            if count > 0 {
                self.break_off(id);
            }
            return;
        }
        pipe.got[to].extend(bytes);
        let host = pipe.hosts[to];
        while let Some(pipe) = self.pipes.get_mut(&id)
            && let Some(conn) = pipe.ends[to]
            && let Some(len) = frame_len(&pipe.got[to], 65535).expect("they send whole messages")
            && len <= pipe.got[to].len()
        {
            let bytes = pipe.got[to].drain(..len).collect();
            self.tell(host, Input::Frame { conn, bytes });
        }
        self.room(id, from);
        let sender = self.pipes.get(&id).map(|pipe| pipe.hosts[from]);
        if let Some(sender) = sender {
            self.drain(sender);
        }
        let over = |pipe: &Pipe| pipe.closed[from] && pipe.flying[from].is_empty();
        if self.pipes.get(&id).is_some_and(over) {
            self.break_off(id);
        }
    }

    /// An end knows a connection no more; with a word for the other end or without.
    fn leave(&mut self, id: u64, host: usize, says_so: bool) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let end = usize::from(pipe.hosts[0] != host);
        pipe.ends[end] = None;
        pipe.closed[end] = says_so;
        if pipe.ends == [None, None] {
            self.pipes.remove(&id);
        }
    }

    /// Both ends that are left are told.
    fn break_off(&mut self, id: u64) {
        let Some(pipe) = self.pipes.remove(&id) else { return };
        for (host, conn) in pipe.hosts.into_iter().zip(pipe.ends) {
            let Some(conn) = conn else { continue };
            if self.hosts[host].conns.remove(&conn).is_some() {
                self.tell(host, Input::Closed { conn, reason: String::new() });
            }
        }
    }
}

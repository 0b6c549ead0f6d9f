//! The networks that are simulated.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_packet::{AddPathMode, Origin};
use bgp_policy::KernelSource;
use bgp_session::{GracefulRestartConfig, LongLivedConfig, PeerConfig};
use bgp_speaker::*;
use inet::{Asn, Family, Prefix};

use crate::dice::Dice;
use crate::rules::{self, WireRules};

/// Hold time of all sessions, seconds.
pub(crate) const HOLD: u64 = 9;
/// Restart time of all speakers, seconds.
pub(crate) const RESTART: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Line,
    Ring,
    Clos,
    /// Two spines and nodes that announce only what is theirs.
    TwoSpine,
    /// Two route reflectors, their clients, and stubs that hang on two clients each.
    Reflectors,
}

impl Shape {
    pub(crate) const ALL: [Shape; 5] =
        [Shape::Line, Shape::Ring, Shape::Clos, Shape::TwoSpine, Shape::Reflectors];
}

/// What a host is, apart from the speaker that runs on it.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) asn: u32,
    pub(crate) router_id: u32,
    pub(crate) transit: bool,
    pub(crate) multi_path: bool,
    /// What it originates.
    pub(crate) own: BTreeMap<Prefix, Origin>,
    /// The second of its own prefixes is in its kernel, and originated from there.
    pub(crate) from_kernel: bool,
    /// The cluster that it reflects for.
    pub(crate) cluster: u32,
    /// What it says in place of, or beside, the longer prefixes that it uses.
    pub(crate) aggregates: BTreeMap<Prefix, Summary>,
}

/// An aggregate, as its host is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The longer ones are told to nobody.
    pub(crate) only: bool,
    /// What the kernel does with the rest.
    pub(crate) discard: Option<Discard>,
    /// Its policy puts a mark on it.
    pub(crate) marked: bool,
}

/// A cable between two hosts, with a session over it.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) ends: [End; 2],
    /// The session's addresses are IPv6.
    pub(crate) six: bool,
    /// The first end never dials.
    pub(crate) passive: bool,
    /// The first end does not know the other by its address: it takes who comes over the wire.
    pub(crate) dynamic: bool,
    /// Routes are kept for longer over a restart.
    pub(crate) long_lived: bool,
    pub(crate) bfd: bool,
    /// By end: the other one is its client as a route reflector.
    pub(crate) client: [bool; 2],
    /// By end: it sends all paths.
    pub(crate) add_path: [bool; 2],
    /// By end: inside the AS it says its own address as next hop.
    pub(crate) next_hop_self: [bool; 2],
    /// By end: its policies.
    pub(crate) rules: [WireRules; 2],
    /// By end: how many prefixes the other may send, and whether it is shut then.
    pub(crate) limits: [Option<(u32, bool)>; 2],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) host: usize,
    pub(crate) four: Ipv4Addr,
    pub(crate) six: Ipv6Addr,
}

#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) hosts: Vec<Host>,
    pub(crate) wires: Vec<Wire>,
}

impl Wire {
    /// The address of an end by which the other knows it.
    pub(crate) fn address(&self, end: usize) -> IpAddr {
        match self.six {
            false => IpAddr::V4(self.ends[end].four),
            true => IpAddr::V6(self.ends[end].six),
        }
    }

    pub(crate) fn end_of(&self, host: usize) -> Option<usize> {
        self.ends.iter().position(|end| end.host == host)
    }
}

impl Topology {
    pub(crate) fn new(shape: Shape, dice: &mut Dice) -> Topology {
        let n = 3 + dice.roll(3) as usize;
        let clients = 2..4 + (n % 2);
        let (hosts, pairs): (usize, Vec<(usize, usize)>) = match shape {
            Shape::Line => (n, (1..n).map(|i| (i - 1, i)).collect()),
            Shape::Ring => (n, (0..n).map(|i| (i, (i + 1) % n)).collect()),
            Shape::Clos | Shape::TwoSpine => {
                (n + 2, (2..n + 2).flat_map(|leaf| [(0, leaf), (1, leaf)]).collect())
            }
            Shape::Reflectors => {
                let stubs = clients.end..clients.end + 2;
                let up = clients.clone().flat_map(|client| [(0, client), (1, client)]);
                let edge = stubs.clone().flat_map(|stub| {
                    let first = 2 + stub % clients.len();
                    let second = 2 + (stub + 1) % clients.len();
                    [(first, stub), (second, stub)]
                });
                (stubs.end, std::iter::once((0, 1)).chain(up).chain(edge).collect())
            }
        };
        let mut topology = Topology { hosts: Vec::new(), wires: Vec::new() };
        let one_cluster = dice.once_in(2);
        for i in 0..hosts {
            let inside = shape == Shape::Reflectors && i < clients.end;
            let leaf = match shape {
                Shape::Line | Shape::Ring | Shape::Clos => false,
                Shape::TwoSpine => i >= 2,
                Shape::Reflectors => !inside,
            };
            let from_kernel = dice.once_in(4);
            let mut own: BTreeMap<Prefix, Origin> =
                own_prefixes(i).into_iter().map(|p| (p, Origin::Igp)).collect();
            if from_kernel {
                own.insert(own_prefixes(i)[1], Origin::Incomplete);
            }
            topology.hosts.push(Host {
                asn: if inside { 65000 } else { 65001 + i as u32 },
                // Not in the order of the hosts: ties are broken by it.
                router_id: 0x0101_0100 + ((i as u32) * 7 + dice.roll(5) as u32 * 64) % 251,
                transit: !leaf,
                multi_path: dice.once_in(2),
                own,
                from_kernel,
                cluster: 0x0909_0900 + if one_cluster { 0 } else { i as u32 },
                aggregates: BTreeMap::new(),
            });
        }
        let mut taken = std::collections::BTreeSet::new();
        for host in &mut topology.hosts {
            while !taken.insert(host.router_id) {
                host.router_id += 1;
            }
        }
        // One prefix that several have.
        for host in 0..hosts {
            if dice.once_in(3) {
                let origin = if dice.once_in(2) { Origin::Igp } else { Origin::Incomplete };
                topology.hosts[host].own.insert("10.99.0.0/24".parse().unwrap(), origin);
            }
        }
        // More than fits into one message, now and then.
        if dice.once_in(30) {
            let many = (0..700u32).map(|n| format!("100.64.{}.{}/32", n / 256, n % 256));
            let many = many.map(|text| (text.parse().unwrap(), Origin::Igp));
            topology.hosts[0].own.extend(many);
        }
        for (a, b) in pairs {
            // Sometimes two cables between the same two. Not with reflectors: of two paths from one
            // originator over one session the path id decides, which is a matter of time.
            let two = dice.once_in(6) && shape != Shape::Reflectors;
            for _ in 0..1 + u64::from(two) {
                topology.connect(a, b, dice);
            }
        }
        for host in 0..hosts {
            for _ in 0..dice.roll(3) {
                topology.roll_aggregate(host, dice);
            }
        }
        if shape == Shape::Reflectors {
            // Two reflectors that say their own next hop would send packets to each other, if they
            // heard of each other's clients.
            let (all, own) = (dice.once_in(2), one_cluster && dice.once_in(2));
            for wire in &mut topology.wires {
                let reflects = wire.ends[0].host < 2 && clients.contains(&wire.ends[1].host);
                (wire.client[0], wire.add_path[0]) = (reflects, reflects && all);
                wire.next_hop_self = [own; 2];
            }
        }
        topology
    }

    fn connect(&mut self, a: usize, b: usize, dice: &mut Dice) {
        let n = self.wires.len() as u8;
        let end = |host, last: u8| End {
            host,
            four: Ipv4Addr::new(172, 16, n, last),
            six: Ipv6Addr::new(0xfd99, 0, 0, u16::from(n), 0, 0, 0, u16::from(last)),
        };
        // Which end has the lower address is left to chance.
        let (one, two) = if dice.once_in(2) { (1, 2) } else { (2, 1) };
        let ends = [end(a, one), end(b, two)];
        let passive = dice.once_in(4);
        self.wires.push(Wire {
            ends,
            six: dice.once_in(4),
            passive,
            dynamic: passive && dice.once_in(2),
            long_lived: dice.once_in(4),
            bfd: dice.once_in(4),
            client: [false; 2],
            add_path: [false; 2],
            next_hop_self: [false; 2],
            rules: [WireRules::default(); 2],
            limits: [None; 2],
        });
        for mine in 0..2 {
            if dice.once_in(4) {
                self.roll_rules(self.wires.len() - 1, mine, dice);
            }
        }
    }

    /// Whether the wire lies inside an AS.
    pub(crate) fn internal(&self, wire: &Wire) -> bool {
        self.hosts[wire.ends[0].host].asn == self.hosts[wire.ends[1].host].asn
    }

    /// Other policies for one end of a wire between two ASes.
    pub(crate) fn roll_rules(&mut self, wire: usize, mine: usize, dice: &mut Dice) {
        if self.internal(&self.wires[wire]) {
            return;
        }
        let host = self.wires[wire].ends[mine].host;
        // What is preferred beside the length of the path must not go in circles: only who tells
        // nobody, or only stubs hang on, may prefer something.
        let other = self.wires[wire].ends[1 - mine].host;
        let may_prefer = !self.hosts[host].transit || !self.hosts[other].transit;
        let hosts = self.hosts.len() as u64;
        self.wires[wire].rules[mine] = WireRules::roll(dice, hosts, may_prefer);
    }

    /// One aggregate more or less on a host, or another one in its place.
    pub(crate) fn roll_aggregate(&mut self, host: usize, dice: &mut Dice) {
        let from = dice.roll(self.hosts.len() as u64);
        let prefixes = [
            // One host's, most hosts', all that there is of a family, and one within another's.
            format!("10.{from}.0.0/16"),
            "10.0.0.0/13".to_owned(),
            "0.0.0.0/0".to_owned(),
            format!("10.{from}.0.0/23"),
            "fd00::/16".to_owned(),
            format!("fd00:{from}::/48"),
        ];
        let prefix: Prefix = prefixes[dice.roll(6) as usize].parse().unwrap();
        let discards = [None, Some(Discard::Blackhole), Some(Discard::Unreachable)];
        let summary = Summary {
            only: dice.once_in(2),
            discard: discards[dice.roll(3) as usize],
            marked: dice.once_in(3),
        };
        let aggregates = &mut self.hosts[host].aggregates;
        if aggregates.insert(prefix, summary) == Some(summary) || dice.once_in(4) {
            aggregates.remove(&prefix);
        }
    }

    /// How far away an address is for a host: over wires of its own, or of its AS.
    pub(crate) fn distance(&self, works: &[bool], host: usize, address: &IpAddr) -> Option<u32> {
        let has = |end: &End| [IpAddr::V4(end.four), IpAddr::V6(end.six)].contains(address);
        let (n, wire) =
            self.wires.iter().enumerate().find(|(_, wire)| wire.ends.iter().any(has))?;
        let mut seen = vec![host];
        let mut at = vec![host];
        for metric in 0.. {
            if at.is_empty() || !works[n] {
                return None;
            }
            if at.iter().any(|host| wire.end_of(*host).is_some()) {
                return Some(metric);
            }
            let mut next = Vec::new();
            for (n, wire) in self.wires.iter().enumerate() {
                let Some(mine) = at.iter().find_map(|host| wire.end_of(*host)) else { continue };
                let other = wire.ends[1 - mine].host;
                if works[n] && self.internal(wire) && !seen.contains(&other) {
                    seen.push(other);
                    next.push(other);
                }
                let other = wire.ends[mine].host;
                if works[n] && self.internal(wire) && !seen.contains(&other) {
                    seen.push(other);
                    next.push(other);
                }
            }
            at = next;
        }
        None
    }

    /// The document of who runs the host: what it is, and its peers.
    pub(crate) fn peers_of(&self, host: usize) -> Desired {
        let me = &self.hosts[host];
        let router_id = |id: u32| Ipv4Addr::from(id).try_into().unwrap();
        let global = Global {
            multi_path: me.multi_path.into(),
            transit: me.transit,
            cluster_id: Some(router_id(me.cluster)),
            ..Global::new(Asn::new(me.asn).unwrap(), router_id(me.router_id))
        };
        let mut doc = Desired { global: Some(global), ..Desired::default() };
        if me.from_kernel {
            let source = KernelSource::Static;
            doc.redistribute.push(Redistribution { source, table: 254, policy: None });
        }
        for (n, wire) in self.wires.iter().enumerate() {
            let Some(mine) = wire.end_of(host) else { continue };
            let peer = self.peer(wire, mine);
            if wire.dynamic && mine == 0 {
                let prefix = match wire.six {
                    false => format!("172.16.{n}.0/24"),
                    true => format!("fd99:0:0:{n:x}::/64"),
                };
                let prefix = prefix.parse().unwrap();
                doc.dynamic.push(DynamicNeighbors { prefix, limit: 1, peer });
            } else {
                doc.peers.push(peer);
            }
        }
        doc
    }

    fn peer(&self, wire: &Wire, mine: usize) -> Peer {
        let other = wire.ends[1 - mine].host;
        let asn = Asn::new(self.hosts[other].asn).unwrap();
        let mut session = PeerConfig::new(wire.address(1 - mine), asn);
        session.hold_time = HOLD as u16;
        session.connect_retry_time = 2;
        session.passive = wire.passive && mine == 0;
        session.graceful_restart =
            GracefulRestartConfig { enabled: true, restart_time: RESTART as u16 };
        session.long_lived = wire.long_lived.then_some(LongLivedConfig { stale_time: 10 });
        let mode = match (wire.add_path[mine], wire.add_path[1 - mine]) {
            (true, true) => Some(AddPathMode::Both),
            (true, false) => Some(AddPathMode::Send),
            (false, true) => Some(AddPathMode::Receive),
            (false, false) => None,
        };
        session.add_path =
            mode.into_iter().flat_map(|mode| Family::ALL.map(|family| (family, mode))).collect();
        let (import, export) = wire.rules[mine].policies();
        let mut peer = Peer::from(session);
        peer.rules = Rules {
            import,
            export,
            reflector_client: wire.client[mine],
            next_hop: match wire.next_hop_self[mine] && self.internal(wire) {
                true => NextHopMode::Own,
                false => NextHopMode::Auto,
            },
            add_path_send: if wire.add_path[mine] { AddPathSend::All } else { AddPathSend::Best },
            ..Rules::default()
        };
        peer.bfd = wire.bfd.then(BfdOptions::default);
        if let Some((limit, shut)) = wire.limits[mine] {
            let action = match shut {
                true => MaxPrefixesAction::Shut,
                false => MaxPrefixesAction::Restart { after: 3 },
            };
            let max = MaxPrefixes { limit, warn_at: 80, action };
            peer.max_prefixes = [(Family::Ipv4, max)].into();
        }
        peer
    }

    /// The document of who decides what the host announces.
    pub(crate) fn own_of(&self, host: usize) -> Desired {
        let me = &self.hosts[host];
        let kernel = own_prefixes(host)[1];
        let mut doc = Desired::default();
        for (prefix, origin) in &me.own {
            if !(me.from_kernel && *prefix == kernel) {
                doc.originate.push(Origination { origin: *origin, ..Origination::new(*prefix) });
            }
        }
        let aggregates = me.aggregates.iter().map(|(prefix, summary)| Aggregation {
            route: Origination::new(*prefix),
            summary_only: summary.only,
            discard: summary.discard,
            policy: summary.marked.then(rules::marking),
        });
        doc.aggregates.extend(aggregates);
        doc
    }

    /// The routes of the host's kernel that may be asked for.
    pub(crate) fn kernel_of(&self, host: usize) -> Vec<(Prefix, Option<KernelRoute>)> {
        let prefix = own_prefixes(host)[1];
        let there = self.hosts[host].own.contains_key(&prefix);
        let route = KernelRoute { source: KernelSource::Static, table: 254 };
        vec![(prefix, there.then_some(route))]
    }
}

/// What a host originates, unless it was taken back.
pub(crate) fn own_prefixes(host: usize) -> Vec<Prefix> {
    vec![
        format!("10.{host}.0.0/24").parse().unwrap(),
        format!("10.{host}.1.0/24").parse().unwrap(),
        format!("fd00:{host}::/64").parse().unwrap(),
    ]
}

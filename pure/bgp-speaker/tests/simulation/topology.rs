//! The networks that are simulated.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_packet::Origin;
use bgp_session::{GracefulRestartConfig, PeerConfig};
use bgp_speaker::{Desired, Global, Origination};
use inet::{Asn, Prefix};

use crate::dice::Dice;

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
}

impl Shape {
    pub(crate) const ALL: [Shape; 4] = [Shape::Line, Shape::Ring, Shape::Clos, Shape::TwoSpine];
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
}

/// A cable between two hosts, with a session over it.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) ends: [End; 2],
    /// The session's addresses are IPv6.
    pub(crate) six: bool,
    /// One end never dials.
    pub(crate) passive: bool,
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
        let (hosts, pairs): (usize, Vec<(usize, usize)>) = match shape {
            Shape::Line => (n, (1..n).map(|i| (i - 1, i)).collect()),
            Shape::Ring => (n, (0..n).map(|i| (i, (i + 1) % n)).collect()),
            Shape::Clos | Shape::TwoSpine => {
                (n + 2, (2..n + 2).flat_map(|leaf| [(0, leaf), (1, leaf)]).collect())
            }
        };
        let mut topology = Topology { hosts: Vec::new(), wires: Vec::new() };
        for i in 0..hosts {
            let leaf = shape == Shape::TwoSpine && i >= 2;
            let own = own_prefixes(i).into_iter().map(|p| (p, Origin::Igp)).collect();
            topology.hosts.push(Host {
                asn: 65001 + i as u32,
                // Not in the order of the hosts: ties are broken by it.
                router_id: 0x0101_0100 + ((i as u32) * 7 + dice.roll(5) as u32 * 64) % 251,
                transit: !leaf,
                multi_path: dice.once_in(2),
                own,
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
            // Sometimes two cables between the same two.
            for _ in 0..1 + u64::from(dice.once_in(6)) {
                topology.connect(a, b, dice);
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
        self.wires.push(Wire {
            ends: [end(a, one), end(b, two)],
            six: dice.once_in(4),
            passive: dice.once_in(4),
        });
    }

    /// The document of who runs the host: what it is, and its peers.
    pub(crate) fn peers_of(&self, host: usize) -> Desired {
        let me = &self.hosts[host];
        let mut peers = Vec::new();
        for wire in &self.wires {
            let Some(mine) = wire.end_of(host) else { continue };
            let other = wire.ends[1 - mine].host;
            let asn = Asn::new(self.hosts[other].asn).unwrap();
            let mut peer = PeerConfig::new(wire.address(1 - mine), asn);
            peer.hold_time = HOLD as u16;
            peer.connect_retry_time = 2;
            peer.passive = wire.passive && mine == 0;
            peer.graceful_restart =
                GracefulRestartConfig { enabled: true, restart_time: RESTART as u16 };
            peers.push(peer);
        }
        Desired {
            global: Some(Global {
                asn: Asn::new(me.asn).unwrap(),
                router_id: Ipv4Addr::from(me.router_id).try_into().unwrap(),
                multi_path: me.multi_path,
                transit: me.transit,
            }),
            peers,
            originate: Vec::new(),
        }
    }

    /// The document of who decides what the host announces.
    pub(crate) fn own_of(&self, host: usize) -> Desired {
        let originate = self.hosts[host].own.iter().map(|(prefix, origin)| Origination {
            prefix: *prefix,
            origin: *origin,
            local_pref: None,
            med: None,
            communities: vec![],
            large_communities: vec![],
            groups: Default::default(),
        });
        Desired { global: None, peers: Vec::new(), originate: originate.collect() }
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

//! What is wanted of three hosts, and which routes each must have in the end: worked out without
//! messages, sessions or time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_policy::{
    Action, Conditions, Definition, Definitions, Policy, Prepend, PrependAs, Sets, Statement, Term,
    Terms,
};
use bgp_session::{GracefulRestartConfig, IdleHold, PeerConfig};
use bgp_speaker::{Desired, Global, Origination, Peer, Rules as PeerRules};
use inet::{Asn, Family, LinkName, Prefix};

pub(crate) const HOSTS: usize = 3;

/// Any host may originate any of them.
const PREFIXES: [&str; 6] = [
    "10.1.0.0/16",
    "10.1.2.0/24",
    "192.0.2.1/32",
    "fd00:1::/32",
    "fd00:1:2::/48",
    "2001:db8::1/128",
];

/// What is wanted of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A bit for each prefix that it originates.
    pub(crate) own: u8,
    /// Towards each host, what it does to what it tells.
    pub(crate) rules: [Rules; HOSTS],
    /// With whom it wants a session.
    pub(crate) peers: [bool; HOSTS],
}

/// What a host does to what it tells another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How often its own number is put before the path once more.
    prepend: u8,
    /// Not told.
    hide: Option<usize>,
}

impl From<u8> for Rules {
    fn from(choice: u8) -> Rules {
        let hide = usize::from(choice >> 2) % (PREFIXES.len() + 1);
        Rules { prepend: choice & 3, hide: (hide < PREFIXES.len()).then_some(hide) }
    }
}

/// A host's address on the link to another one: the key of the peer there.
pub(crate) fn address(host: usize, towards: usize) -> IpAddr {
    Ipv4Addr::new(10, 9, octet(host), octet(towards)).into()
}

/// Its IPv6 address there: the next hop of its IPv6 routes.
pub(crate) fn address6(host: usize, towards: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xFD00, 9, 0, 0, 0, 0, octet(host).into(), octet(towards).into())
}

/// A host's interface towards another one.
pub(crate) fn link(towards: usize) -> LinkName {
    format!("to{towards}").parse().unwrap()
}

fn octet(host: usize) -> u8 {
    u8::try_from(host).unwrap() + 1
}

fn asn(host: usize) -> u32 {
    65000 + u32::from(octet(host))
}

pub(crate) fn prefix(number: usize) -> Prefix {
    PREFIXES[number].parse().unwrap()
}

impl Wanted {
    /// As hosts are at first.
    pub(crate) fn new(own: u8) -> Wanted {
        Wanted { own, rules: Default::default(), peers: [true; HOSTS] }
    }

    /// The document of it.
    pub(crate) fn document(&self, host: usize) -> Desired {
        let router_id = Ipv4Addr::new(10, 255, 0, octet(host)).try_into().unwrap();
        let mut document = Desired {
            global: Some(Global::new(Asn::new(asn(host)).unwrap(), router_id)),
            ..Desired::default()
        };
        for other in (0..HOSTS).filter(|other| *other != host && self.peers[*other]) {
            let address = address(other, host);
            let mut peer: Peer = PeerConfig {
                hold_time: 9,
                connect_retry_time: 2,
                idle_hold: IdleHold { first: 1, max: 8, damp: true },
                graceful_restart: GracefulRestartConfig { enabled: true, restart_time: 15 },
                ..PeerConfig::new(address, Asn::new(asn(other)).unwrap())
            }
            .into();
            peer.rules = PeerRules { export: self.rules[other].policy(), ..PeerRules::default() };
            document.peers.push(peer);
        }
        let own = (0..PREFIXES.len()).filter(|number| self.originates(*number));
        document.originate = own.map(|number| Origination::new(prefix(number))).collect();
        document
    }

    fn originates(&self, number: usize) -> bool {
        self.own & (1 << number) != 0
    }
}

impl Rules {
    fn policy(self) -> Option<Policy> {
        let mut statements = Vec::new();
        if let Some(hidden) = self.hide {
            let any = vec![Term::Value(prefix(hidden).into())];
            let conditions = Conditions {
                prefix: Some(Terms { any, ..Terms::default() }),
                ..Conditions::default()
            };
            statements.push(Statement { conditions, ..Statement::new(Action::Reject) });
        }
        if self.prepend > 0 {
            let prepend = Some(Prepend { asn: PrependAs::Own, count: self.prepend });
            let set = Sets { prepend, ..Sets::default() };
            statements.push(Statement { set, ..Statement::new(Action::Next) });
        }
        if statements.is_empty() {
            return None;
        }
        statements.push(Statement::new(Action::Accept));
        let definition = Definition { statements, default: None };
        let definitions = Definitions {
            policies: BTreeMap::from([("out".to_owned(), definition.clone())]),
            ..Definitions::default()
        };
        Some(definition.resolve("out", &definitions).unwrap())
    }
}

/// Whether both want a session with each other.
pub(crate) fn meet(wanted: &[Wanted; HOSTS], one: usize, other: usize) -> bool {
    one != other && wanted[one].peers[other] && wanted[other].peers[one]
}

/// The next hop of each prefix that is learned, by host.
pub(crate) fn routes(wanted: &[Wanted; HOSTS]) -> [BTreeMap<Prefix, IpAddr>; HOSTS] {
    let mut routes: [BTreeMap<Prefix, IpAddr>; HOSTS] = Default::default();
    for number in 0..PREFIXES.len() {
        // Each host's best path, and whom it is from; paths only get longer on their way, so that
        // there is one end.
        let mut best: [Option<(Vec<u32>, usize)>; HOSTS] = Default::default();
        for _ in 0..4 * HOSTS {
            best = std::array::from_fn(|host| choose(wanted, &best, number, host));
        }
        for (host, routes) in routes.iter_mut().enumerate() {
            let Some((_, from)) = best[host].as_ref().filter(|(_, from)| *from != host) else {
                continue;
            };
            let prefix = prefix(number);
            let next_hop = match prefix.family() {
                Family::Ipv4 => address(*from, host),
                Family::Ipv6 => address6(*from, host).into(),
            };
            routes.insert(prefix, next_hop);
        }
    }
    routes
}

fn choose(
    wanted: &[Wanted; HOSTS],
    best: &[Option<(Vec<u32>, usize)>; HOSTS],
    number: usize,
    host: usize,
) -> Option<(Vec<u32>, usize)> {
    if wanted[host].originates(number) {
        return Some((Vec::new(), host));
    }
    let told = (0..HOSTS).filter(|from| meet(wanted, *from, host)).filter_map(|from| {
        let (path, _) = best[from].as_ref()?;
        let rules = wanted[from].rules[host];
        let mut told = vec![asn(from); usize::from(rules.prepend) + 1];
        told.extend(path);
        let fits = rules.hide != Some(number) && !told.contains(&asn(host));
        fits.then_some((told, from))
    });
    // Of paths of one length that of the lower router id, which is that of the lower number.
    told.min_by_key(|(path, from)| (path.len(), *from))
}

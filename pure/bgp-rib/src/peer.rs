use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp_packet::{Options, PeerKind};
use inet::{Family, RouterId};

use crate::table::Path;

/// The number of a peer; used again after [`crate::Rib::remove_peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u16);

impl PeerId {
    /// Stands for routes that are originated here.
    pub const LOCAL: PeerId = PeerId(0);
    /// As many peers as there can be.
    pub(crate) const LAST: u16 = u16::MAX - 2;
}

/// What the tables must know of an Established session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// The peer's BGP Identifier.
    pub router_id: RouterId,
    /// How messages are read and written; says also which families are in use.
    pub options: Options,
    /// The peer's groups.
    pub groups: BTreeSet<String>,
    /// What we say as next hop, IPv4 and IPv6; none: not announced, `no-next-hop`.
    pub next_hops: NextHops,
}

/// Our own addresses as next hops of a session, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// For IPv4 routes.
    pub ipv4: Option<IpAddr>,
    /// For IPv6 routes.
    pub ipv6: Option<IpAddr>,
}

impl NextHops {
    /// The one for a family.
    pub fn of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

/// How many prefixes a peer has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InCounts {
    /// Paths of the session that is up.
    pub received: u32,
    /// Of these, paths that import lets through (no AS loop, not originated by us).
    pub accepted: u32,
    /// Paths kept from before while the peer restarts (RFC 4724 §4.2).
    pub stale: u32,
}

/// Whether the session a path came over is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Current,
    Stale,
    Dead,
}

/// A peer's Adj-RIB-In of one family, as far as it is not in the table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct In {
    pub(crate) epoch: u16,
    /// Paths of this epoch are kept until they are renewed or flushed.
    pub(crate) stale: Option<u16>,
    pub(crate) counts: InCounts,
}

impl In {
    pub(crate) fn life(&self, path: &Path) -> Life {
        if path.epoch == self.epoch {
            Life::Current
        } else if Some(path.epoch) == self.stale {
            Life::Stale
        } else {
            Life::Dead
        }
    }

    /// All paths become dead, or stale with `keep`; what was stale already is dead then
    /// (RFC 4724 §4.2: stale routes do not outlive a second restart).
    pub(crate) fn turn(&mut self, keep: bool) {
        let counts = self.counts;
        self.counts = InCounts::default();
        self.stale = None;
        if keep {
            self.stale = Some(self.epoch);
            self.counts.stale = counts.received;
        }
        self.epoch = self.epoch.wrapping_add(1);
    }

    pub(crate) fn flush(&mut self) {
        self.stale = None;
        self.counts.stale = 0;
    }

    pub(crate) fn count(&mut self, path: &Path, accepted: bool, by: i32) {
        let add = |n: &mut u32, by: i32| *n = n.saturating_add_signed(by);
        match self.life(path) {
            Life::Current => {
                add(&mut self.counts.received, by);
                add(&mut self.counts.accepted, if accepted { by } else { 0 });
            }
            Life::Stale => add(&mut self.counts.stale, by),
            Life::Dead => {}
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The slot belongs to a peer; else it waits to be used again.
    pub(crate) taken: bool,
    pub(crate) kind: PeerKind,
    pub(crate) router_id: u32,
    pub(crate) ins: [In; 2],
    /// While Established.
    pub(crate) session: Option<SessionFacts>,
    /// The update group of each family, by its slot.
    pub(crate) groups: [Option<usize>; 2],
}

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Peer {
        Peer {
            address,
            taken: true,
            kind: PeerKind::External,
            router_id: 0,
            ins: [In::default(); 2],
            session: None,
            groups: [None; 2],
        }
    }
}

/// The place of a family in arrays of two.
pub(crate) fn at(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

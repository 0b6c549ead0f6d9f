use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use bgp_packet::{FamilyFlags, Options, PeerKind};
use inet::{Asn, Family, RouterId, ScopedAddr};

use crate::import::{Context, PeerKey};
use crate::rules::Rules;
use crate::table::Path;

/// The number of a peer; used again after [`crate::Rib::remove_peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u16);

impl PeerId {
    /// Stands for routes that are originated here.
    pub const LOCAL: PeerId = PeerId(0);
    /// As many peers as there can be.
    pub(crate) const LAST: u16 = u16::MAX - 3;
}

/// What the tables must know of an Established session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// The peer's BGP Identifier.
    pub router_id: RouterId,
    /// The peer's AS number.
    pub asn: Asn,
    /// The peer's name, for policies.
    pub name: Option<String>,
    /// How messages are read and written; says also which families are in use.
    pub options: Options,
    /// The peer's groups.
    pub groups: BTreeSet<String>,
    /// What we say as next hop, IPv4 and IPv6; none: not announced, `no-next-hop`.
    pub next_hops: NextHops,
    /// Families of which the peer knows long-lived stale routes (RFC 9494 §4.1): others are not
    /// told of them.
    pub long_lived: FamilyFlags,
    /// What holds for the peer's routes.
    pub rules: Rules,
}

impl SessionFacts {
    /// A session without groups, next hops and special rules.
    pub fn new(router_id: RouterId, asn: Asn, options: Options) -> SessionFacts {
        SessionFacts {
            router_id,
            asn,
            name: None,
            options,
            groups: BTreeSet::new(),
            next_hops: NextHops::default(),
            long_lived: FamilyFlags::NONE,
            rules: Rules::default(),
        }
    }
}

/// Our own addresses as next hops of a session, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// For IPv4 routes; an IPv6 address only where that was agreed on (RFC 8950).
    pub ipv4: Option<IpAddr>,
    /// For IPv6 routes.
    pub ipv6: Option<IpAddr>,
    /// Said beside an IPv6 address of ours to a peer on the same link (RFC 2545 §3).
    pub link_local: Option<Ipv6Addr>,
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

/// How many paths a peer has sent; prefixes, without path ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InCounts {
    /// Paths of the session that is up; while the peer sends its table anew, of that table.
    pub received: u32,
    /// Of these, paths that import lets through (no loop, not rejected by policy).
    pub accepted: u32,
    /// Paths kept from before while the peer restarts (RFC 4724 §4.2), or sends its table anew
    /// (RFC 7313 §4).
    pub stale: u32,
    /// Announcements of the session that were not taken: the peer has [`crate::MAX_PATHS`] other
    /// paths to the prefix already (RFC 7911).
    pub left_out: u32,
}

/// So many epochs are stale at most: long before their numbers are used again.
const EPOCHS: u16 = u16::MAX / 2;

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
    /// Paths of epochs from this one on are kept until they are renewed or flushed.
    pub(crate) stale: Option<u16>,
    /// What is stale stays for long, least preferred (RFC 9494 §4.2).
    pub(crate) long_lived: bool,
    pub(crate) counts: InCounts,
}

impl In {
    pub(crate) fn life(&self, path: &Path) -> Life {
        if path.epoch == self.epoch {
            Life::Current
        } else if self.stale.is_some_and(|oldest| self.age(path.epoch) <= self.age(oldest)) {
            Life::Stale
        } else {
            Life::Dead
        }
    }

    /// How many epochs ago one was.
    fn age(&self, epoch: u16) -> u16 {
        self.epoch.wrapping_sub(epoch)
    }

    /// All paths become dead, or stale with `keep`, beside those that are stale already: the
    /// session says by a flush before if those are not to stay (RFC 4724 §4.2). Whether some are
    /// dead that were not.
    pub(crate) fn turn(&mut self, keep: bool) -> bool {
        let InCounts { received, stale, accepted: _, left_out: _ } = self.counts;
        let oldest = self.stale.filter(|oldest| keep && self.age(*oldest) < EPOCHS);
        let stays = oldest.map_or(0, |_| stale);
        self.stale = keep.then(|| oldest.unwrap_or(self.epoch));
        self.long_lived &= oldest.is_some();
        self.counts = InCounts::default();
        if keep {
            self.counts.stale = stays.saturating_add(received);
        }
        self.epoch = self.epoch.wrapping_add(1);
        stays < stale || (!keep && received > 0)
    }

    pub(crate) fn flush(&mut self) {
        self.stale = None;
        self.long_lived = false;
        self.counts.stale = 0;
    }

    pub(crate) fn count(&mut self, path: &Path, by: i32) {
        let add = |n: &mut u32, by: i32| *n = n.saturating_add_signed(by);
        match self.life(path) {
            Life::Current => {
                add(&mut self.counts.received, by);
                add(&mut self.counts.accepted, if path.post.set().is_some() { by } else { 0 });
            }
            Life::Stale => add(&mut self.counts.stale, by),
            Life::Dead => {}
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: ScopedAddr,
    /// The slot belongs to a peer; else it waits to be used again.
    pub(crate) taken: bool,
    pub(crate) kind: PeerKind,
    pub(crate) router_id: u32,
    pub(crate) ins: [In; 2],
    /// While Established.
    pub(crate) session: Option<SessionFacts>,
    /// What import rests on; that of the last session while there is none.
    pub(crate) context: Context,
    /// What policies can ask about the peer, of the last session too.
    pub(crate) key: Option<PeerKey>,
    /// The peer is our client as a route reflector.
    pub(crate) client: bool,
    /// The update group of each family, by its slot.
    pub(crate) groups: [Option<usize>; 2],
}

impl Peer {
    pub(crate) fn new(address: ScopedAddr) -> Peer {
        Peer {
            address,
            taken: true,
            kind: PeerKind::External,
            router_id: 0,
            ins: [In::default(); 2],
            session: None,
            context: Context::default(),
            key: None,
            client: false,
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

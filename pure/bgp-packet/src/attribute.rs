use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::Asn;

/// What a path without LOCAL_PREF counts as, where nothing else is said (RFC 4271 §9.1.1 leaves it
/// to the router).
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// The path attributes of a route, decoded (RFC 4271 §4.3, §5).
///
/// NEXT_HOP and MP_REACH_NLRI's next hop are one thing here; the NLRI are apart.
/// AS4_PATH and AS4_AGGREGATOR have been merged in (RFC 6793 §4.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// ORIGIN, type 1.
    pub origin: Origin,
    /// AS_PATH, type 2.
    pub as_path: AsPath,
    /// NEXT_HOP, type 3, or the next hop of MP_REACH_NLRI, type 14.
    pub next_hop: BgpNextHop,
    /// MULTI_EXIT_DISC, type 4.
    pub med: Option<u32>,
    /// LOCAL_PREF, type 5: inside an AS only.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE, type 6.
    pub atomic_aggregate: bool,
    /// AGGREGATOR, type 7.
    pub aggregator: Option<(Asn, Ipv4Addr)>,
    /// COMMUNITIES, type 8 (RFC 1997), in the order received.
    pub communities: Vec<u32>,
    /// ORIGINATOR_ID, type 9 (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST, type 10 (RFC 4456).
    pub cluster_list: Vec<Ipv4Addr>,
    /// EXTENDED COMMUNITIES, type 16 (RFC 4360).
    pub extended_communities: Vec<[u8; 8]>,
    /// LARGE_COMMUNITY, type 32 (RFC 8092).
    pub large_communities: Vec<[u32; 3]>,
    /// OTC, type 35: the AS since which the route only goes to customers (RFC 9234 §5).
    pub only_to_customer: Option<Asn>,
    /// Optional transitive attributes sart does not know, passed on with the Partial bit.
    pub unknown: Vec<UnknownAttribute>,
}

/// ORIGIN (RFC 4271 §5.1.1); a lower one is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Interior to the originating AS.
    Igp,
    /// Learned by EGP.
    Egp,
    /// By other means.
    Incomplete,
}

/// AS_PATH (RFC 4271 §5.1.2) in four-octet numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AsPath {
    /// The segments, nearest AS first.
    pub segments: Vec<Segment>,
}

/// One segment of an AS_PATH, with 1 to 255 numbers.
///
/// Raw numbers, since AS 0 must be told apart when decoding and AS_TRANS may stand inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// AS_SEQUENCE: ordered; counts as its length.
    Sequence(Vec<u32>),
    /// AS_SET: unordered; counts as one (RFC 4271 §9.1.2.2 a).
    Set(Vec<u32>),
}

impl Attributes {
    /// The attributes every route has, and no others.
    pub fn new(origin: Origin, as_path: AsPath, next_hop: BgpNextHop) -> Attributes {
        Attributes {
            origin,
            as_path,
            next_hop,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Vec::new(),
            originator_id: None,
            cluster_list: Vec::new(),
            extended_communities: Vec::new(),
            large_communities: Vec::new(),
            only_to_customer: None,
            unknown: Vec::new(),
        }
    }
}

impl AsPath {
    /// The length that paths are compared by: a set counts as one (RFC 4271 §9.1.2.2 a).
    pub fn hops(&self) -> usize {
        self.segments.iter().map(Segment::hops).sum()
    }

    /// Whether the number stands anywhere in the path: a loop, if it is ours (RFC 4271 §9.1.2).
    pub fn contains(&self, asn: Asn) -> bool {
        self.segments.iter().any(|s| s.numbers().contains(&asn.get()))
    }

    /// The neighboring AS: the first number, if a sequence comes first.
    pub fn first(&self) -> Option<u32> {
        match self.segments.first()? {
            Segment::Sequence(numbers) => numbers.first().copied(),
            Segment::Set(_) => None,
        }
    }

    /// Puts the number first, so many times: into a new sequence where the leading one would get
    /// more than 255 or is a set (RFC 4271 §4.3, §5.1.2).
    pub fn prepend(&mut self, asn: Asn, count: u8) {
        let count = usize::from(count);
        match self.segments.first_mut() {
            Some(Segment::Sequence(numbers)) if numbers.len() + count <= 255 => {
                numbers.splice(0..0, std::iter::repeat_n(asn.get(), count));
            }
            Some(Segment::Sequence(_) | Segment::Set(_)) | None => {
                self.segments.insert(0, Segment::Sequence(vec![asn.get(); count]));
            }
        }
    }

    /// The originating AS: the last number, if a sequence comes last.
    pub fn origin(&self) -> Option<u32> {
        match self.segments.last()? {
            Segment::Sequence(numbers) => numbers.last().copied(),
            Segment::Set(_) => None,
        }
    }
}

impl Segment {
    /// How much the segment adds to the path's length.
    pub fn hops(&self) -> usize {
        match self {
            Segment::Sequence(numbers) => numbers.len(),
            Segment::Set(_) => 1,
        }
    }

    /// The AS numbers.
    pub fn numbers(&self) -> &[u32] {
        match self {
            Segment::Sequence(numbers) | Segment::Set(numbers) => numbers,
        }
    }
}

/// As people write it: `65001 65002 {65003,65004}`.
impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |numbers: &[u32], by: &str| {
            numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(by)
        };
        for (i, segment) in self.segments.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            match segment {
                Segment::Sequence(numbers) => write!(f, "{gap}{}", join(numbers, " "))?,
                Segment::Set(numbers) => write!(f, "{gap}{{{}}}", join(numbers, ","))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        })
    }
}

impl From<IpAddr> for BgpNextHop {
    fn from(address: IpAddr) -> BgpNextHop {
        BgpNextHop { address, link_local: None }
    }
}

/// The next hop of a path as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BgpNextHop {
    /// The global address (or the only one).
    pub address: IpAddr,
    /// The second, link-local one of an IPv6 next hop of 32 octets (RFC 2545 §3).
    pub link_local: Option<Ipv6Addr>,
}

/// An attribute that sart does not interpret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownAttribute {
    /// Flags as received; Partial is set when it is passed on (RFC 4271 §5).
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value.
    pub value: Vec<u8>,
}

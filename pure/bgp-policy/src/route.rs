use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use inet::{Asn, Family, Prefix, ScopedAddr};

use crate::value::ValueError;

/// What a policy can ask about a route beside its attributes.
#[derive(Clone, Copy, Debug)]
pub struct RouteFacts<'a> {
    /// The prefix; its family is the route's.
    pub prefix: Prefix,
    /// Where the route is from.
    pub source: Source,
    /// The peer whose policy this is: on import the sender, on export the receiver.
    pub peer: Option<PeerFacts<'a>>,
    /// The peer that the route was learned from, if any; on import the same as `peer`.
    pub learned_from: Option<PeerFacts<'a>>,
    /// The AS number that `prepend` adds as our own: the session's, if it has one of its own.
    pub own_asn: Asn,
    /// What a path without LOCAL_PREF counts as.
    pub default_local_pref: u32,
    /// The path's weight before the policy; 0 where nothing gave it one.
    pub weight: u32,
}

/// What a policy can ask about a peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerFacts<'a> {
    /// Its address; a link-local one with its link.
    pub address: ScopedAddr,
    /// Its AS number.
    pub asn: Asn,
    /// Its name, if it has one.
    pub name: Option<&'a str>,
    /// The groups that it is in.
    pub groups: &'a BTreeSet<String>,
}

/// Where a route is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Originated here, by the document.
    Local,
    /// Originated here because a longer prefix in it is used (RFC 4271 §9.2.2.2).
    Aggregate,
    /// Learned from a peer of another AS.
    Ebgp,
    /// Learned from a peer of our AS.
    Ibgp,
    /// Taken from the kernel or from another program.
    Kernel(KernelSource),
}

/// Who put a route into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelSource {
    /// The kernel itself, for an interface's address.
    Connected,
    /// An administrator (protocols `static` and `boot`).
    Static,
    /// Any other program.
    Other,
}

static NO_GROUPS: BTreeSet<String> = BTreeSet::new();

impl<'a> RouteFacts<'a> {
    /// The facts of a route that has no peers, with defaults for the rest.
    pub fn new(prefix: Prefix, source: Source, own_asn: Asn) -> RouteFacts<'a> {
        RouteFacts {
            prefix,
            source,
            peer: None,
            learned_from: None,
            own_asn,
            default_local_pref: bgp_packet::DEFAULT_LOCAL_PREF,
            weight: 0,
        }
    }

    /// The route's family.
    pub fn family(&self) -> Family {
        self.prefix.family()
    }
}

impl PeerFacts<'_> {
    /// A peer without name and groups.
    pub fn new(address: impl Into<ScopedAddr>, asn: Asn) -> PeerFacts<'static> {
        PeerFacts { address: address.into(), asn, name: None, groups: &NO_GROUPS }
    }
}

impl Source {
    /// All sources, in the order in which they are shown.
    pub const ALL: [Source; 7] = [
        Source::Local,
        Source::Aggregate,
        Source::Ebgp,
        Source::Ibgp,
        Source::Kernel(KernelSource::Connected),
        Source::Kernel(KernelSource::Static),
        Source::Kernel(KernelSource::Other),
    ];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Local => f.write_str("local"),
            Source::Aggregate => f.write_str("aggregate"),
            Source::Ebgp => f.write_str("ebgp"),
            Source::Ibgp => f.write_str("ibgp"),
            Source::Kernel(kind) => kind.fmt(f),
        }
    }
}

impl FromStr for Source {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Source, ValueError> {
        let wanted = "a source (local, aggregate, ebgp, ibgp, connected, static or kernel)";
        let found = Source::ALL.into_iter().find(|source| source.to_string() == text);
        found.ok_or_else(|| ValueError::new(text, wanted))
    }
}

impl fmt::Display for KernelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelSource::Connected => "connected",
            KernelSource::Static => "static",
            KernelSource::Other => "kernel",
        })
    }
}

impl FromStr for KernelSource {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<KernelSource, ValueError> {
        match text {
            "connected" => Ok(KernelSource::Connected),
            "static" => Ok(KernelSource::Static),
            "kernel" => Ok(KernelSource::Other),
            _ => Err(ValueError::new(text, "a kernel source (connected, static or kernel)")),
        }
    }
}

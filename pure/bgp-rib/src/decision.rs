//! The decision process (RFC 4271 §9.1.2): of all paths to a prefix, which are used.

use std::cmp::Ordering;
use std::fmt;

use inet::ScopedAddr;

use crate::rules::Multipath;

/// Most paths that are used at once.
pub const MAX_PATHS: usize = 64;

/// A path as the decision process sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// Why the path may not be used at all.
    pub(crate) ineligible: Option<Ineligible>,
    pub(crate) local: bool,
    /// Kept over a long restart (RFC 9494).
    pub(crate) long_lived_stale: bool,
    pub(crate) weight: u32,
    pub(crate) local_pref: u32,
    pub(crate) path_len: u32,
    pub(crate) origin: u8,
    pub(crate) med: u32,
    pub(crate) neighbor_as: u32,
    pub(crate) external: bool,
    /// Distance to the next hop.
    pub(crate) metric: u32,
    /// Equal for equal AS paths.
    pub(crate) path_hash: u32,
    /// What goes to the prefix is dropped.
    pub(crate) discard: bool,
    /// ORIGINATOR_ID, else the peer's BGP Identifier.
    pub(crate) router_id: u32,
    pub(crate) cluster_len: u16,
    pub(crate) address: &'a ScopedAddr,
    /// Of several paths of a peer (RFC 7911).
    pub(crate) path_id: u32,
}

/// Why a path takes no part in the decision (RFC 4271 §9.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ineligible {
    /// The session it came over is gone, and the path with it.
    Dead,
    /// Our own AS is in the AS_PATH, more often than is allowed.
    AsLoop,
    /// We are the ORIGINATOR_ID (RFC 4456 §8).
    OwnOriginator,
    /// Our cluster is in the CLUSTER_LIST (RFC 4456 §8).
    ClusterLoop,
    /// The import policy rejects it.
    RejectedByPolicy,
    /// An eBGP peer without an import policy (RFC 8212 §2).
    NoImportPolicy,
    /// It came from a customer or peer and was not for us (RFC 9234 §5).
    RouteLeak,
    /// It must not be kept over a long restart (NO_LLGR, RFC 9494 §4.2).
    NotLongLived,
    /// The next hop does not resolve.
    UnresolvedNextHop,
    /// We have restarted and do not choose yet (RFC 4724 §4.1).
    SelectionDeferred,
    /// There is an AS_SET in the AS_PATH, which counts as a withdrawal (RFC 9774).
    AsSet,
}

/// A step of the decision process; the one at which a path is out says why it lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// There was no other eligible path.
    OnlyPath,
    /// Every eligible path is as good, and all are used.
    Equal,
    /// Originated here.
    Local,
    /// Not kept over a long restart (RFC 9494 §4.3).
    LongLivedStale,
    /// Highest weight, given by import policy.
    Weight,
    /// Highest LOCAL_PREF.
    LocalPref,
    /// Shortest AS_PATH (RFC 4271 §9.1.2.2 a).
    AsPathLength,
    /// Lowest ORIGIN (b).
    Origin,
    /// Lowest MED of those from one neighboring AS (c).
    Med,
    /// eBGP before iBGP (d).
    ExternalOverInternal,
    /// Nearest next hop (e).
    NextHopMetric,
    /// As good as the best, but of another AS path, which counts without `relax_as_path`.
    AsPath,
    /// As good as the best, but one of the two drops what goes to the prefix: it takes no part of
    /// what others forward, nor they of what it drops.
    Discard,
    /// Lowest BGP Identifier or ORIGINATOR_ID (f; RFC 4456 §9).
    RouterId,
    /// Shortest CLUSTER_LIST (RFC 4456 §9).
    ClusterListLength,
    /// Lowest peer address (g).
    PeerAddress,
    /// First link by name, of peers with one link-local address: beyond RFC 4271 §9.1.2.2, which
    /// does not tell parallel links to one router apart.
    PeerLink,
    /// Lowest path id, of several paths of one peer.
    PathId,
}

/// What each step but MED compares: the least stays.
type Key = fn(&Candidate) -> u32;
const BEFORE_MED: [(Step, Key); 6] = [
    (Step::Local, |c| u32::from(!c.local)),
    (Step::LongLivedStale, |c| u32::from(c.long_lived_stale)),
    (Step::Weight, |c| u32::MAX - c.weight),
    (Step::LocalPref, |c| u32::MAX - c.local_pref),
    (Step::AsPathLength, |c| c.path_len),
    (Step::Origin, |c| u32::from(c.origin)),
];
const AFTER_MED: [(Step, Key); 2] =
    [(Step::ExternalOverInternal, |c| u32::from(!c.external)), (Step::NextHopMetric, |c| c.metric)];

/// Chooses. Afterwards `chosen` holds the indexes of the paths that are used, best first: as many
/// as `multipath` allows; none when no path is eligible. `lost` is told of each eligible path that
/// is not used, and at which step it went out; in the order of the steps.
pub(crate) fn decide(
    candidates: &[Candidate],
    multipath: &Multipath,
    chosen: &mut Vec<usize>,
    mut lost: impl FnMut(usize, Step),
) {
    chosen.clear();
    chosen.extend((0..candidates.len()).filter(|i| candidates[*i].ineligible.is_none()));
    let mut keep = |chosen: &mut Vec<usize>, step, key: &dyn Fn(&Candidate) -> u32| {
        let mut keys = chosen.iter().map(|i| key(&candidates[*i]));
        let Some(first) = keys.next() else { return };
        let (mut least, mut alike) = (first, true);
        for key in keys {
            alike &= key == first;
            least = least.min(key);
        }
        // Most steps tell nothing apart.
        if alike {
            return;
        }
        chosen.retain(|i| {
            let stays = key(&candidates[*i]) == least;
            if !stays {
                lost(*i, step);
            }
            stays
        });
    };
    for (step, key) in BEFORE_MED {
        keep(chosen, step, &key);
    }
    if chosen.len() > 1 {
        // RFC 4271 §9.1.2.2 c: MEDs compare within one neighboring AS only. The least of each AS
        // is taken over all that are left, so the order in which paths came plays no part.
        let mut least: Vec<(u32, u32)> =
            chosen.iter().map(|i| (candidates[*i].neighbor_as, candidates[*i].med)).collect();
        least.sort_unstable();
        least.dedup_by_key(|(neighbor_as, _)| *neighbor_as);
        keep(chosen, Step::Med, &|c| {
            let found = least.binary_search_by_key(&c.neighbor_as, |(neighbor_as, _)| *neighbor_as);
            u32::from(found.is_ok_and(|at| least[at].1 < c.med))
        });
    }
    for (step, key) in AFTER_MED {
        keep(chosen, step, &key);
    }
    chosen.sort_by(|a, b| tie(&candidates[*a], &candidates[*b]));
    let Some(first) = chosen.first().copied() else { return };
    let best = &candidates[first];
    let many = if best.external { multipath.ebgp } else { multipath.ibgp };
    let many = usize::from(many.max(1)).min(MAX_PATHS);
    if many > 1 && !multipath.relax_as_path {
        keep(chosen, Step::AsPath, &|c| u32::from(c.path_hash != best.path_hash));
    }
    if many > 1 {
        keep(chosen, Step::Discard, &|c| u32::from(c.discard != best.discard));
    }
    let many = if best.discard { 1 } else { many };
    for other in chosen.iter().skip(many) {
        lost(*other, put_behind(best, &candidates[*other]));
    }
    chosen.truncate(many);
}

/// What tells equal paths apart, in the order of the steps: the least is announced.
fn tie(a: &Candidate, b: &Candidate) -> Ordering {
    let router_id = a.router_id.cmp(&b.router_id);
    router_id
        .then_with(|| a.cluster_len.cmp(&b.cluster_len))
        .then_with(|| a.address.address().cmp(&b.address.address()))
        .then_with(|| a.address.link().cmp(&b.address.link()))
        .then_with(|| a.path_id.cmp(&b.path_id))
}

/// The step that puts the best path before one as good, which may be used beside it.
pub(crate) fn put_behind(best: &Candidate, other: &Candidate) -> Step {
    match () {
        () if other.router_id != best.router_id => Step::RouterId,
        () if other.cluster_len != best.cluster_len => Step::ClusterListLength,
        () if other.address.address() != best.address.address() => Step::PeerAddress,
        () if other.address != best.address => Step::PeerLink,
        () => Step::PathId,
    }
}

impl Step {
    /// What the step compares, as people read it; none where it compares nothing.
    pub(crate) fn value(self, c: &Candidate) -> Option<String> {
        Some(match self {
            Step::OnlyPath | Step::Equal => return None,
            Step::Local => if c.local { "yes" } else { "no" }.to_owned(),
            Step::LongLivedStale => if c.long_lived_stale { "yes" } else { "no" }.to_owned(),
            Step::Weight => c.weight.to_string(),
            Step::LocalPref => c.local_pref.to_string(),
            Step::AsPathLength => c.path_len.to_string(),
            Step::Origin => ["igp", "egp", "incomplete"]
                .get(usize::from(c.origin))
                .copied()
                .unwrap_or("incomplete")
                .to_owned(),
            Step::Med => format!("{} of AS {}", c.med, c.neighbor_as),
            Step::ExternalOverInternal => {
                if c.external { "external" } else { "internal" }.to_owned()
            }
            Step::NextHopMetric => c.metric.to_string(),
            Step::AsPath => format!("{:08x}", c.path_hash),
            Step::Discard => if c.discard { "drops" } else { "forwards" }.to_owned(),
            Step::RouterId => std::net::Ipv4Addr::from(c.router_id).to_string(),
            Step::ClusterListLength => c.cluster_len.to_string(),
            Step::PeerAddress => c.address.address().to_string(),
            Step::PeerLink => c.address.link().map_or("none".to_owned(), |link| link.to_string()),
            Step::PathId => c.path_id.to_string(),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Step::OnlyPath => "only-path",
            Step::Equal => "equal-paths",
            Step::Local => "local",
            Step::LongLivedStale => "long-lived-stale",
            Step::Weight => "weight",
            Step::LocalPref => "local-pref",
            Step::AsPathLength => "as-path-length",
            Step::Origin => "origin",
            Step::Med => "med",
            Step::ExternalOverInternal => "external-over-internal",
            Step::NextHopMetric => "next-hop-metric",
            Step::AsPath => "as-path",
            Step::Discard => "discard",
            Step::RouterId => "router-id",
            Step::ClusterListLength => "cluster-list-length",
            Step::PeerAddress => "peer-address",
            Step::PeerLink => "peer-link",
            Step::PathId => "path-id",
        })
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ineligible::Dead => "session-gone",
            Ineligible::AsLoop => "as-loop",
            Ineligible::OwnOriginator => "own-originator",
            Ineligible::ClusterLoop => "cluster-loop",
            Ineligible::RejectedByPolicy => "rejected-by-policy",
            Ineligible::NoImportPolicy => "no-import-policy",
            Ineligible::RouteLeak => "route-leak",
            Ineligible::NotLongLived => "not-long-lived",
            Ineligible::UnresolvedNextHop => "unresolved-next-hop",
            Ineligible::SelectionDeferred => "selection-deferred",
            Ineligible::AsSet => "as-set",
        })
    }
}

#[cfg(test)]
mod tests;

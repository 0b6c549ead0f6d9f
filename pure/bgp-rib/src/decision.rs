//! The decision process (RFC 4271 §9.1.2): of all paths to a prefix, which are used.

use std::fmt;
use std::net::IpAddr;

/// Most paths that are used at once.
pub const MAX_PATHS: usize = 64;

/// A path as the decision process sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Why the path may not be used at all.
    pub(crate) ineligible: Option<Ineligible>,
    pub(crate) local: bool,
    pub(crate) local_pref: u32,
    pub(crate) path_len: u32,
    pub(crate) origin: u8,
    pub(crate) med: u32,
    pub(crate) neighbor_as: u32,
    pub(crate) external: bool,
    /// Distance to the next hop.
    pub(crate) metric: u32,
    /// ORIGINATOR_ID, else the peer's BGP Identifier.
    pub(crate) router_id: u32,
    pub(crate) cluster_len: u16,
    pub(crate) address: IpAddr,
}

/// Why a path takes no part in the decision (RFC 4271 §9.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ineligible {
    /// The session it came over is gone, and the path with it.
    Dead,
    /// Our own AS is in the AS_PATH.
    AsLoop,
    /// We are the ORIGINATOR_ID (RFC 4456 §8).
    OwnOriginator,
    /// The next hop does not resolve.
    UnresolvedNextHop,
    /// We have restarted and do not choose yet (RFC 4724 §4.1).
    SelectionDeferred,
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
    /// Lowest BGP Identifier or ORIGINATOR_ID (f; RFC 4456 §9).
    RouterId,
    /// Shortest CLUSTER_LIST (RFC 4456 §9).
    ClusterListLength,
    /// Lowest peer address (g).
    PeerAddress,
}

/// Chooses. Afterwards `chosen` holds the indexes of the paths that are used, best first:
/// several with `multi_path`, else one; none when no path is eligible. `lost` is told of each
/// eligible path that is not used, and at which step it went out.
pub(crate) fn decide(
    candidates: &[Candidate],
    multi_path: bool,
    chosen: &mut Vec<usize>,
    mut lost: impl FnMut(usize, Step),
) {
    chosen.clear();
    chosen.extend((0..candidates.len()).filter(|i| candidates[*i].ineligible.is_none()));
    let mut keep = |chosen: &mut Vec<usize>, step, key: &dyn Fn(&Candidate) -> u32| {
        let Some(least) = chosen.iter().map(|i| key(&candidates[*i])).min() else { return };
        chosen.retain(|i| {
            let stays = key(&candidates[*i]) == least;
            if !stays {
                lost(*i, step);
            }
            stays
        });
    };
    keep(chosen, Step::Local, &|c| u32::from(!c.local));
    keep(chosen, Step::LocalPref, &|c| u32::MAX - c.local_pref);
    keep(chosen, Step::AsPathLength, &|c| c.path_len);
    keep(chosen, Step::Origin, &|c| u32::from(c.origin));
    // RFC 4271 §9.1.2.2 c: MEDs compare within one neighboring AS only. The least of each AS is
    // taken over all that are left, so the order in which paths came plays no part.
    let mut least: Vec<(u32, u32)> =
        chosen.iter().map(|i| (candidates[*i].neighbor_as, candidates[*i].med)).collect();
    least.sort_unstable();
    least.dedup_by_key(|(neighbor_as, _)| *neighbor_as);
    keep(chosen, Step::Med, &|c| {
        let found = least.binary_search_by_key(&c.neighbor_as, |(neighbor_as, _)| *neighbor_as);
        u32::from(found.is_ok_and(|at| least[at].1 < c.med))
    });
    keep(chosen, Step::ExternalOverInternal, &|c| u32::from(!c.external));
    keep(chosen, Step::NextHopMetric, &|c| c.metric);
    let tie = |i: &usize| {
        let c = &candidates[*i];
        (c.router_id, c.cluster_len, c.address)
    };
    chosen.sort_by_key(tie);
    let used = if multi_path { MAX_PATHS } else { 1 };
    if let Some(best) = chosen.first().map(tie) {
        for other in chosen.iter().skip(used) {
            let (router_id, cluster_len, _) = tie(other);
            lost(
                *other,
                match () {
                    () if router_id != best.0 => Step::RouterId,
                    () if cluster_len != best.1 => Step::ClusterListLength,
                    () => Step::PeerAddress,
                },
            );
        }
    }
    chosen.truncate(used);
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Step::OnlyPath => "only-path",
            Step::Equal => "equal-paths",
            Step::Local => "local",
            Step::LocalPref => "local-pref",
            Step::AsPathLength => "as-path-length",
            Step::Origin => "origin",
            Step::Med => "med",
            Step::ExternalOverInternal => "external-over-internal",
            Step::NextHopMetric => "next-hop-metric",
            Step::RouterId => "router-id",
            Step::ClusterListLength => "cluster-list-length",
            Step::PeerAddress => "peer-address",
        })
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ineligible::Dead => "session-gone",
            Ineligible::AsLoop => "as-loop",
            Ineligible::OwnOriginator => "own-originator",
            Ineligible::UnresolvedNextHop => "unresolved-next-hop",
            Ineligible::SelectionDeferred => "selection-deferred",
        })
    }
}

#[cfg(test)]
mod tests;

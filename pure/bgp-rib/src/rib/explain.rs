//! Why a path is the best, and why a peer is, or is not, told of a prefix.

use bgp_packet::{Attributes, PathId};
use bgp_policy::Explanation;
use inet::Prefix;

use crate::decision::{Step, decide, put_behind};
use crate::export::Reason;
use crate::peer::{PeerId, at};
use crate::rib::{PathView, Rib};

/// All paths to a prefix, and each step of the decision between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestExplanation {
    /// The paths, best first; those that take no part come last.
    pub paths: Vec<PathView>,
    /// The steps at which several paths were left, in order, down to the one that is announced.
    pub steps: Vec<ComparedStep>,
}

/// One step of the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedStep {
    /// Which.
    pub step: Step,
    /// What was compared, for each of [`BestExplanation::paths`]; none: it was out already.
    pub values: Vec<Option<String>>,
    /// The paths that went out, by their place.
    pub out: Vec<usize>,
    /// The paths that are used beside the best, and at this step were not the one announced.
    pub behind: Vec<usize>,
}

/// Why a peer is, or is not, told of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportExplanation {
    /// In one word.
    pub reason: Reason,
    /// Each path that the peer would be told of if nothing spoke against it; one, the best,
    /// without path ids.
    pub paths: Vec<ExportedPath>,
}

/// A path on its way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedPath {
    /// Whom it was learned from; [`PeerId::LOCAL`] when originated here.
    pub from: PeerId,
    /// The path id that the peer is told; 0 without.
    pub path_id: PathId,
    /// Why the path is not told; none when it is.
    pub refused: Option<Reason>,
    /// What the export policy says of it, if there is one.
    pub policy: Option<Explanation>,
    /// As it stands on the wire.
    pub sent: Option<Attributes>,
}

const STEPS: [Step; 16] = [
    Step::Local,
    Step::LongLivedStale,
    Step::Weight,
    Step::LocalPref,
    Step::AsPathLength,
    Step::Origin,
    Step::Med,
    Step::ExternalOverInternal,
    Step::NextHopMetric,
    Step::AsPath,
    Step::Discard,
    Step::RouterId,
    Step::ClusterListLength,
    Step::PeerAddress,
    Step::PeerLink,
    Step::PathId,
];

impl Rib {
    /// Each step of the decision between the paths to a prefix.
    pub fn explain_best(&self, prefix: &Prefix) -> BestExplanation {
        let rib = &self.families[at(prefix.family())];
        let nothing = BestExplanation { paths: Vec::new(), steps: Vec::new() };
        let Some(idx) = rib.table.find(self.keyed, prefix) else { return nothing };
        let world = self.world();
        let views = self.views(rib, idx);
        // In the order of the views, which leave dead paths out.
        let all = rib.table.paths(idx);
        let of = |view: &PathView| {
            let same = all.iter().find(|path| u32::from(path.local) == view.local_id.0);
            world.candidate(rib.family, same?)
        };
        let candidates: Vec<_> = views.iter().filter_map(of).collect();
        if candidates.len() != views.len() {
            return nothing;
        }
        let mut lost = Vec::new();
        let mut chosen = Vec::new();
        decide(&candidates, &self.settings.multipath, &mut chosen, |i, step| lost.push((i, step)));
        let behind: Vec<(usize, Step)> = match chosen.split_first() {
            Some((best, others)) => {
                let step = |i: &usize| (*i, put_behind(&candidates[*best], &candidates[*i]));
                others.iter().map(step).collect()
            }
            None => Vec::new(),
        };
        let mut left: Vec<usize> =
            (0..candidates.len()).filter(|i| candidates[*i].ineligible.is_none()).collect();
        let mut steps = Vec::new();
        for step in STEPS {
            if left.len() < 2 {
                break;
            }
            let at_this = |all: &[(usize, Step)]| -> Vec<usize> {
                all.iter().filter(|(_, at)| *at == step).map(|(i, _)| *i).collect()
            };
            let (out, behind) = (at_this(&lost), at_this(&behind));
            let asked = match step {
                // Of paths that are used together only.
                Step::AsPath | Step::Discard => !out.is_empty(),
                // Most peers have an address that is no other's.
                Step::PeerLink => !out.is_empty() || !behind.is_empty(),
                Step::OnlyPath
                | Step::Equal
                | Step::Local
                | Step::LongLivedStale
                | Step::Weight
                | Step::LocalPref
                | Step::AsPathLength
                | Step::Origin
                | Step::Med
                | Step::ExternalOverInternal
                | Step::NextHopMetric
                | Step::RouterId
                | Step::ClusterListLength
                | Step::PeerAddress
                | Step::PathId => true,
            };
            if !asked {
                continue;
            }
            let value = |i| if left.contains(&i) { step.value(&candidates[i]) } else { None };
            let values = (0..candidates.len()).map(value).collect();
            left.retain(|i| !out.contains(i) && !behind.contains(i));
            steps.push(ComparedStep { step, values, out, behind });
        }
        BestExplanation { paths: views, steps }
    }

    /// Why a peer is, or is not, told of a prefix, and what it is told.
    pub fn explain_export(&self, peer: PeerId, prefix: &Prefix) -> ExportExplanation {
        let reason = self.why_sent(peer, prefix);
        let rib = &self.families[at(prefix.family())];
        let group = self.session_reason(peer, prefix.family()).ok();
        let idx = rib.table.find(self.keyed, prefix);
        let Some((group, idx)) = group.zip(idx) else {
            return ExportExplanation { reason, paths: Vec::new() };
        };
        let facts = self.peers.get(usize::from(peer.0)).and_then(|peer| peer.session.as_ref());
        let next_hops = facts.map(|facts| facts.next_hops).unwrap_or_default();
        let world = self.world();
        let explain = |path: &crate::table::Path| {
            let refused = self.tells(peer, group, path, prefix).err();
            let asked = group.key.policy().zip(world.set(path));
            let policy = asked.and_then(|(policy, set)| {
                let attributes = set.attributes()?;
                Some(group.key.with_facts(&world, path, set, prefix, |facts| {
                    policy.explain(facts, &attributes)
                }))
            });
            let sent = match refused {
                None => group.key.outgoing(&world, path, prefix, &next_hops).ok(),
                Some(_) => None,
            };
            let id = if group.has_paths() { u32::from(path.local) } else { 0 };
            ExportedPath { from: path.peer, path_id: PathId(id), refused, policy, sent }
        };
        let paths = self.candidates_out(rib, group, idx).iter().map(explain).collect();
        ExportExplanation { reason, paths }
    }

    /// What the import policy of the peer says of a path that it has sent; none without policy or
    /// path. Of several paths the first.
    pub fn explain_import(&self, peer: PeerId, prefix: &Prefix) -> Option<Explanation> {
        let rib = &self.families[at(prefix.family())];
        let idx = rib.table.find(self.keyed, prefix)?;
        let path = rib.table.paths(idx).iter().find(|path| path.peer == peer)?;
        let rules = self.peers.get(usize::from(peer.0))?.context.rules.as_ref()?;
        rules.explain(self.attrs.get(path.attr)?.attributes()?, *prefix)
    }
}

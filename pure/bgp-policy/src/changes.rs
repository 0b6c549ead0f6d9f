//! What an accepted route's attributes become.

use std::sync::Arc;

use bgp_packet::{Attributes, BgpNextHop, DEFAULT_LOCAL_PREF, Origin};
use inet::Asn;

use crate::community::{CommunityKind, ExtendedPattern, LargePattern, StandardPattern};
use crate::definition::{NextHopChange, Prepend, Sets};
use crate::value::{Adjust, PrependAs};

/// What is to be done to a route's attributes: a value that is cheap to keep and to compare.
///
/// Empty means "as they are", so that a table can go on sharing the set. Every statement that
/// matched adds its part; they are applied in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Arc<Change>>);

/// What of ours and of the peer's the changes may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The AS number that `prepend` adds as ours.
    pub asn: Asn,
    /// What a path without LOCAL_PREF counts as, for `add` and `subtract`.
    pub default_local_pref: u32,
    /// Our next hop on the session, for `next_hop: self`; the next hop stays when it is none.
    pub next_hop: Option<BgpNextHop>,
    /// The peer's address, for `next_hop: peer`; the next hop stays when it is none.
    pub peer: Option<BgpNextHop>,
}

/// The changes of one statement, its lists resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    local_pref: Option<Adjust>,
    med: Option<Adjust>,
    weight: Option<Adjust>,
    origin: Option<Origin>,
    next_hop: Option<NextHopChange>,
    prepend: Option<Prepend>,
    discard: Option<bool>,
    communities: Option<Edit<StandardPattern>>,
    extended_communities: Option<Edit<ExtendedPattern>>,
    large_communities: Option<Edit<LargePattern>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Edit<K: CommunityKind> {
    pub(crate) replace: Option<Vec<K::Value>>,
    pub(crate) remove: Vec<K>,
    pub(crate) add: Vec<K::Value>,
}

impl Own {
    /// Our AS number, and defaults for the rest.
    pub fn new(asn: Asn) -> Own {
        Own { asn, default_local_pref: DEFAULT_LOCAL_PREF, next_hop: None, peer: None }
    }
}

impl Changes {
    /// Whether everything stays as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of the next hop, if anything: the caller who makes next hops must know, since
    /// `Own` and `Unchanged` are also said against what it would do by itself.
    pub fn next_hop(&self) -> Option<NextHopChange> {
        self.0.iter().rev().find_map(|change| change.next_hop)
    }

    /// Whether the weight may be another one.
    pub fn sets_weight(&self) -> bool {
        self.0.iter().any(|change| change.weight.is_some())
    }

    /// Whether what goes to the prefix is to be dropped: the last word of the statements. No
    /// attribute says so; the caller who installs routes must know.
    pub fn discards(&self) -> bool {
        self.0.iter().rev().find_map(|change| change.discard).unwrap_or(false)
    }

    /// Whether something else than the weight, the next hop and what is dropped may be another one.
    pub fn sets_attributes(&self) -> bool {
        self.0.iter().any(|change| {
            let Change { weight, next_hop, discard, .. } = **change;
            **change != Change { weight, next_hop, discard, ..Change::NOTHING }
        })
    }

    /// Makes the changes.
    pub fn apply(&self, attributes: &mut Attributes, weight: &mut u32, own: &Own) {
        for change in &self.0 {
            change.apply(attributes, weight, own);
        }
    }

    pub(crate) fn push(&mut self, change: &Arc<Change>) {
        self.0.push(Arc::clone(change));
    }
}

impl Change {
    const NOTHING: Change = Change {
        local_pref: None,
        med: None,
        weight: None,
        origin: None,
        next_hop: None,
        prepend: None,
        discard: None,
        communities: None,
        extended_communities: None,
        large_communities: None,
    };

    /// A statement's changes with the community lists already resolved.
    pub(crate) fn new(
        sets: &Sets,
        communities: Option<Edit<StandardPattern>>,
        extended_communities: Option<Edit<ExtendedPattern>>,
        large_communities: Option<Edit<LargePattern>>,
    ) -> Change {
        let Sets { local_pref, med, weight, origin, next_hop, prepend, discard, .. } = *sets;
        Change {
            local_pref,
            med,
            weight,
            origin,
            next_hop,
            prepend,
            discard,
            communities,
            extended_communities,
            large_communities,
        }
    }

    pub(crate) fn takes_the_peers_next_hop(&self) -> bool {
        self.next_hop == Some(NextHopChange::Peer)
    }

    pub(crate) fn apply(&self, attributes: &mut Attributes, weight: &mut u32, own: &Own) {
        if let Some(adjust) = self.local_pref {
            attributes.local_pref = adjust.apply(attributes.local_pref, own.default_local_pref);
        }
        if let Some(adjust) = self.med {
            attributes.med = adjust.apply(attributes.med, 0);
        }
        if let Some(adjust) = self.weight {
            *weight = adjust.apply(Some(*weight), 0).unwrap_or(0);
        }
        if let Some(origin) = self.origin {
            attributes.origin = origin;
        }
        match self.next_hop {
            Some(NextHopChange::Address(address)) => attributes.next_hop = address.into(),
            Some(NextHopChange::Own) => {
                attributes.next_hop = own.next_hop.unwrap_or(attributes.next_hop);
            }
            Some(NextHopChange::Peer) => {
                attributes.next_hop = own.peer.unwrap_or(attributes.next_hop);
            }
            Some(NextHopChange::Unchanged) | None => {}
        }
        if let Some(Prepend { asn, count }) = self.prepend {
            let asn = match asn {
                PrependAs::Own => own.asn,
                PrependAs::Given(asn) => asn,
            };
            attributes.as_path.prepend(asn, count);
        }
        edit(&self.communities, attributes);
        edit(&self.extended_communities, attributes);
        edit(&self.large_communities, attributes);
    }
}

fn edit<K: CommunityKind>(edit: &Option<Edit<K>>, attributes: &mut Attributes) {
    let Some(edit) = edit else {
        return;
    };
    let list = K::list_mut(attributes);
    if let Some(replace) = &edit.replace {
        list.clear();
        list.extend(replace);
    }
    list.retain(|value| !edit.remove.iter().any(|pattern| pattern.matches(value)));
    for value in &edit.add {
        if !list.contains(value) {
            list.push(*value);
        }
    }
}

use std::collections::BTreeSet;

use bgp_packet::{AsPath, Attributes, BgpNextHop, Options, Origin, PeerKind, Segment, community};
use inet::{Asn, RouterId};

use crate::hash::Keyed;
use crate::hops::HopId;
use crate::index::ShardedIndex;
use crate::pages::Slots;

/// The number of an interned attribute set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttrId(pub(crate) u32);

/// LOCAL_PREF of a route that came without one (RFC 4271 §5.1.5 leaves it to us).
pub(crate) const DEFAULT_LOCAL_PREF: u32 = 100;

/// What the decision process and the export rules ask of a set, worked out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) hop: HopId,
    pub(crate) local_pref: u32,
    pub(crate) path_len: u32,
    pub(crate) med: u32,
    /// The AS the path came from; 0 when it began in our own.
    pub(crate) neighbor_as: u32,
    /// ORIGINATOR_ID, which stands in for the router id (RFC 4456 §9); 0 without.
    pub(crate) originator: u32,
    pub(crate) cluster_len: u16,
    pub(crate) origin: Origin,
    pub(crate) as_loop: bool,
    pub(crate) own_originator: bool,
    pub(crate) no_export: bool,
    pub(crate) no_advertise: bool,
}

/// One interned set, shared by all paths that have it.
#[derive(Debug)]
pub(crate) struct AttrSet {
    refs: u32,
    key: Box<[u8]>,
    pub(crate) attributes: Attributes,
    pub(crate) facts: Facts,
    /// Only to peers in one of these groups; to all when empty. Own routes only.
    pub(crate) groups: BTreeSet<String>,
}

/// Attribute sets by the raw bytes they came in.
#[derive(Debug, Default)]
pub(crate) struct AttrTable {
    index: ShardedIndex,
    sets: Slots<Box<AttrSet>>,
}

impl AttrSet {
    /// About as many bytes as the set takes in a message.
    pub(crate) fn raw_len(&self) -> usize {
        self.key.len() + 32
    }
}

impl AttrTable {
    /// The set with this key, with one more reference.
    pub(crate) fn acquire(&mut self, keyed: Keyed, key: &[u8]) -> Option<AttrId> {
        let sets = &self.sets;
        let is = |at| sets.get(at).is_some_and(|set| *set.key == *key);
        let at = self.index.find(keyed.bytes(key), is)?;
        self.retain(AttrId(at));
        Some(AttrId(at))
    }

    /// Adds a set under a key that is not there yet, with one reference.
    pub(crate) fn insert(
        &mut self,
        keyed: Keyed,
        key: &[u8],
        attributes: Attributes,
        facts: Facts,
        groups: BTreeSet<String>,
    ) -> AttrId {
        let set = AttrSet { refs: 1, key: key.into(), attributes, facts, groups };
        let at = self.sets.insert(Box::new(set));
        let sets = &self.sets;
        let rehash = |at| sets.get(at).map_or(0, |set| keyed.bytes(&set.key));
        self.index.insert(keyed.bytes(key), at, rehash);
        AttrId(at)
    }

    pub(crate) fn retain(&mut self, id: AttrId) {
        if let Some(set) = self.sets.get_mut(id.0) {
            set.refs += 1;
        }
    }

    /// Gives a reference back; the next hop to release when that was the last one.
    pub(crate) fn release(&mut self, keyed: Keyed, id: AttrId) -> Option<HopId> {
        let set = self.sets.get_mut(id.0)?;
        set.refs -= 1;
        if set.refs > 0 {
            return None;
        }
        let set = self.sets.remove(id.0)?;
        self.index.remove(keyed.bytes(&set.key), id.0);
        Some(set.facts.hop)
    }

    pub(crate) fn get(&self, id: AttrId) -> Option<&AttrSet> {
        self.sets.get(id.0).map(|set| &**set)
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }
}

/// The key of a set: all that its decoding and import depend on.
pub(crate) fn key_of(
    key: &mut Vec<u8>,
    generation: u8,
    options: &Options,
    next_hop: &BgpNextHop,
    raw: &[u8],
) {
    key.clear();
    let internal = options.kind == PeerKind::Internal;
    key.push(u8::from(internal) | u8::from(options.four_octet_as) << 1);
    key.push(generation);
    match next_hop.address {
        std::net::IpAddr::V4(a) => {
            key.push(4);
            key.extend(a.octets());
        }
        std::net::IpAddr::V6(a) => {
            key.push(6);
            key.extend(a.octets());
        }
    }
    key.push(u8::from(next_hop.link_local.is_some()));
    key.extend(next_hop.link_local.map(|a| a.octets()).unwrap_or_default());
    key.extend(raw);
}

/// What import makes of a decoded set. Changes the set where a rule says so.
pub(crate) fn import(
    attributes: &mut Attributes,
    kind: PeerKind,
    hop: HopId,
    asn: Asn,
    router_id: RouterId,
) -> Facts {
    let has = |attributes: &Attributes, c| attributes.communities.contains(&c);
    if kind == PeerKind::External {
        // RFC 4271 §5.1.5: LOCAL_PREF of another AS means nothing here.
        attributes.local_pref = None;
        // RFC 8326 §4: a route about to go is the last choice.
        if has(attributes, community::GRACEFUL_SHUTDOWN) {
            attributes.local_pref = Some(0);
        }
    }
    let originator = attributes.originator_id.map_or(0, u32::from);
    Facts {
        hop,
        local_pref: attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
        path_len: path_len(&attributes.as_path),
        med: attributes.med.unwrap_or(0),
        neighbor_as: neighbor_as(&attributes.as_path),
        originator,
        cluster_len: u16::try_from(attributes.cluster_list.len()).unwrap_or(u16::MAX),
        origin: attributes.origin,
        as_loop: contains(&attributes.as_path, asn),
        own_originator: originator == router_id.get(),
        no_export: has(attributes, community::NO_EXPORT)
            || has(attributes, community::NO_EXPORT_SUBCONFED),
        no_advertise: has(attributes, community::NO_ADVERTISE),
    }
}

/// AS_PATH length; a set counts as one (RFC 4271 §9.1.2.2 a).
fn path_len(path: &AsPath) -> u32 {
    let len = |segment: &Segment| match segment {
        Segment::Sequence(numbers) => u32::try_from(numbers.len()).unwrap_or(u32::MAX),
        Segment::Set(_) => 1,
    };
    path.segments.iter().map(len).fold(0, u32::saturating_add)
}

/// The neighboring AS (RFC 4271 §9.1.2.2 c): first of the leading sequence; 0 is our own.
fn neighbor_as(path: &AsPath) -> u32 {
    match path.segments.first() {
        Some(Segment::Sequence(numbers)) => numbers.first().copied().unwrap_or(0),
        Some(Segment::Set(_)) | None => 0,
    }
}

fn contains(path: &AsPath, asn: Asn) -> bool {
    path.segments.iter().any(|segment| match segment {
        Segment::Sequence(numbers) | Segment::Set(numbers) => numbers.contains(&asn.get()),
    })
}

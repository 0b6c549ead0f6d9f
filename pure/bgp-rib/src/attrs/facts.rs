//! What is asked of a set again and again.

use bgp_packet::{Attributes, Origin, Segment, community};
use inet::{Asn, RouterId};

use crate::hash::Keyed;
use crate::hops::HopId;

/// What the decision process and the export rules ask of a set, worked out once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) hop: HopId,
    local_pref: u32,
    pub(crate) med: u32,
    /// The first number of the path; 0 when it began in our own AS.
    pub(crate) neighbor_as: u32,
    /// ORIGINATOR_ID, which stands in for the router id (RFC 4456 §9); 0 without.
    pub(crate) originator: u32,
    pub(crate) weight: u32,
    pub(crate) path_hash: u32,
    /// Bytes a second; below zero when not given.
    bandwidth: f32,
    pub(crate) path_len: u16,
    pub(crate) cluster_len: u16,
    pub(crate) origin: Origin,
    /// How often our AS number is in the path.
    pub(crate) own_as: u8,
    flags: u16,
}

const LOCAL_PREF: u16 = 1;
const OWN_ORIGINATOR: u16 = 2;
const NO_EXPORT: u16 = 4;
const NO_ADVERTISE: u16 = 8;
const LONG_LIVED_STALE: u16 = 16;
const ONLY_TO_CUSTOMER: u16 = 32;
const AS_SET: u16 = 64;
const NO_PEER: u16 = 128;
const DISCARD: u16 = 256;

impl Facts {
    pub(crate) fn of(
        keyed: Keyed,
        attributes: &Attributes,
        weight: u32,
        hop: HopId,
        asn: Asn,
        router_id: RouterId,
    ) -> Facts {
        let a = attributes;
        let has = |c| a.communities.contains(&c);
        let originator = a.originator_id.map_or(0, u32::from);
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let numbers = || a.as_path.segments.iter().flat_map(|segment| segment.numbers());
        let own_as = numbers().filter(|number| **number == asn.get()).count();
        Facts {
            hop,
            local_pref: a.local_pref.unwrap_or(0),
            med: a.med.unwrap_or(0),
            neighbor_as: a.as_path.first().unwrap_or(0),
            originator,
            weight,
            path_hash: keyed.numbers(numbers()) as u32,
            bandwidth: community::link_bandwidth(&a.extended_communities).unwrap_or(-1.0),
            path_len: u16::try_from(a.as_path.hops()).unwrap_or(u16::MAX),
            cluster_len: u16::try_from(a.cluster_list.len()).unwrap_or(u16::MAX),
            origin: a.origin,
            own_as: u8::try_from(own_as).unwrap_or(u8::MAX),
            flags: flag(a.local_pref.is_some(), LOCAL_PREF)
                | flag(originator == router_id.get(), OWN_ORIGINATOR)
                | flag(has(community::NO_EXPORT) || has(community::NO_EXPORT_SUBCONFED), NO_EXPORT)
                | flag(has(community::NO_ADVERTISE), NO_ADVERTISE)
                | flag(has(community::LLGR_STALE), LONG_LIVED_STALE)
                | flag(a.only_to_customer.is_some(), ONLY_TO_CUSTOMER)
                | flag(a.as_path.segments.iter().any(is_set), AS_SET)
                | flag(has(community::NO_PEER), NO_PEER),
        }
    }

    /// The same of a set whose traffic is dropped: no next hop is asked for.
    pub(crate) fn discarding(self) -> Facts {
        Facts { hop: HopId::SELF, flags: self.flags | DISCARD, ..self }
    }

    /// The same of a set that has come with an AS_SET that the merged path does not show
    /// (RFC 6793 §4.2.3).
    pub(crate) fn with_as_set(self) -> Facts {
        Facts { flags: self.flags | AS_SET, ..self }
    }

    /// LOCAL_PREF, or what counts where there is none.
    pub(crate) fn local_pref(&self, default: u32) -> u32 {
        if self.flags & LOCAL_PREF != 0 { self.local_pref } else { default }
    }

    /// Bytes a second, where given.
    pub(crate) fn bandwidth(&self) -> Option<f32> {
        Some(self.bandwidth).filter(|bandwidth| *bandwidth >= 0.0)
    }

    pub(crate) fn own_originator(&self) -> bool {
        self.flags & OWN_ORIGINATOR != 0
    }

    pub(crate) fn no_export(&self) -> bool {
        self.flags & NO_EXPORT != 0
    }

    pub(crate) fn no_advertise(&self) -> bool {
        self.flags & NO_ADVERTISE != 0
    }

    pub(crate) fn no_peer(&self) -> bool {
        self.flags & NO_PEER != 0
    }

    /// Whether import has asked to drop what goes to the prefix.
    pub(crate) fn discard(&self) -> bool {
        self.flags & DISCARD != 0
    }

    pub(crate) fn long_lived_stale(&self) -> bool {
        self.flags & LONG_LIVED_STALE != 0
    }

    pub(crate) fn only_to_customer(&self) -> bool {
        self.flags & ONLY_TO_CUSTOMER != 0
    }

    /// Whether there is an AS_SET in the path (RFC 9774).
    pub(crate) fn as_set(&self) -> bool {
        self.flags & AS_SET != 0
    }
}

fn is_set(segment: &Segment) -> bool {
    match segment {
        Segment::Set(_) => true,
        Segment::Sequence(_) => false,
    }
}

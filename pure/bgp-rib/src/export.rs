use std::collections::BTreeSet;
use std::fmt;

use bgp_packet::{Attributes, Options, PeerKind, Segment};
use inet::Asn;

use crate::attrs::{AttrSet, DEFAULT_LOCAL_PREF};
use crate::peer::{Peer, PeerId};

/// Why a prefix is, or is not, announced to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is announced.
    Announced,
    /// It will be: the message waits for room in the connection, or for its turn.
    Pending,
    /// The session is not Established.
    NotEstablished,
    /// The family was not agreed on.
    FamilyNotNegotiated,
    /// We have restarted and wait for the peers' tables (RFC 4724 §4.1).
    SelectionDeferred,
    /// There is no path that can be used.
    NoRoute,
    /// The best path came from this very peer.
    SplitHorizon,
    /// The best path came from another peer of our AS (RFC 4271 §9.2.1).
    InternalToInternal,
    /// Learned routes are not announced here (`transit` is off).
    NoTransit,
    /// The NO_EXPORT community (RFC 1997).
    NoExport,
    /// The NO_ADVERTISE community (RFC 1997).
    NoAdvertise,
    /// The route is meant for groups that the peer is not in.
    NotInGroup,
    /// We have no address of this family towards the peer to say as next hop.
    NoNextHop,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reason::Announced => "announced",
            Reason::Pending => "pending",
            Reason::NotEstablished => "not-established",
            Reason::FamilyNotNegotiated => "family-not-negotiated",
            Reason::SelectionDeferred => "selection-deferred",
            Reason::NoRoute => "no-route",
            Reason::SplitHorizon => "split-horizon",
            Reason::InternalToInternal => "internal-to-internal",
            Reason::NoTransit => "no-transit",
            Reason::NoExport => "no-export",
            Reason::NoAdvertise => "no-advertise",
            Reason::NotInGroup => "not-in-group",
            Reason::NoNextHop => "no-next-hop",
        })
    }
}

/// All that decides what a peer is told, but its place and its next hop: peers with equal keys
/// share an update group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupKey {
    pub(crate) options: Options,
    pub(crate) asn: Asn,
    pub(crate) groups: BTreeSet<String>,
}

impl GroupKey {
    pub(crate) fn new(options: Options, asn: Asn, groups: BTreeSet<String>) -> GroupKey {
        // Which other families the session carries changes nothing in this one's messages.
        GroupKey { options: Options { ipv4: true, ipv6: true, ..options }, asn, groups }
    }

    /// Whether peers of the group may be told of a best path from `source`.
    pub(crate) fn allows(
        &self,
        transit: bool,
        set: &AttrSet,
        source: PeerId,
        peers: &[Peer],
    ) -> Result<(), Reason> {
        if source == PeerId::LOCAL {
            // The well-known communities bind those who receive them (RFC 1997); ours go out
            // with the route.
            let meant = set.groups.is_empty() || !set.groups.is_disjoint(&self.groups);
            return if meant { Ok(()) } else { Err(Reason::NotInGroup) };
        }
        let from = peers.get(usize::from(source.0)).map_or(PeerKind::External, |peer| peer.kind);
        match self.options.kind {
            _ if !transit => Err(Reason::NoTransit),
            _ if set.facts.no_advertise => Err(Reason::NoAdvertise),
            PeerKind::External if set.facts.no_export => Err(Reason::NoExport),
            PeerKind::Internal if from == PeerKind::Internal => Err(Reason::InternalToInternal),
            PeerKind::External | PeerKind::Internal => Ok(()),
        }
    }

    /// The attributes as peers of the group get them; NEXT_HOP is added when packing.
    pub(crate) fn outgoing(&self, set: &AttrSet, source: PeerId) -> Attributes {
        let mut out = set.attributes.clone();
        match self.options.kind {
            PeerKind::External => {
                prepend(&mut out, self.asn);
                out.local_pref = None;
                // RFC 4271 §5.1.4: a MED learned from one AS is not told to another.
                if source != PeerId::LOCAL {
                    out.med = None;
                }
                out.originator_id = None;
                out.cluster_list.clear();
                // RFC 4360 §6: non-transitive ones stay inside the AS.
                out.extended_communities.retain(|c| c[0] & 0x40 == 0);
            }
            // RFC 4271 §5.1.5: always there inside an AS.
            PeerKind::Internal => {
                out.local_pref = Some(out.local_pref.unwrap_or(DEFAULT_LOCAL_PREF));
            }
        }
        for unknown in &mut out.unknown {
            // RFC 4271 §5: passed on with the Partial bit.
            unknown.flags |= 0x20;
        }
        out
    }
}

/// RFC 4271 §5.1.2: our AS number goes first, into a new sequence when the leading one is full or
/// is a set.
fn prepend(attributes: &mut Attributes, asn: Asn) {
    let segments = &mut attributes.as_path.segments;
    match segments.first_mut() {
        Some(Segment::Sequence(numbers)) if numbers.len() < 255 => numbers.insert(0, asn.get()),
        Some(Segment::Sequence(_) | Segment::Set(_)) | None => {
            segments.insert(0, Segment::Sequence(vec![asn.get()]));
        }
    }
}

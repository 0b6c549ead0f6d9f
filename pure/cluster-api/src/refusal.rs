use std::fmt;

/// Why something that was asked for is not done. One name wherever a person looks: the reason of an
/// Event, the first word of a condition's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A pool's CIDR shares addresses with an older pool's.
    PoolOverlap,
    /// An older pool of this type and family is `autoAssign` already.
    SecondAutoAssign,
    /// A pool has the name of a block of another pool.
    NameTaken,
    /// No address or block is left in the pool.
    PoolExhausted,
    /// No AddressPool has this name.
    UnknownPool,
    /// The pool is refused itself, so nothing is taken from it.
    PoolRefused,
    /// The pool is of another type than what asks.
    PoolType,
    /// No pool was named and none is `autoAssign` for this type and family.
    NoAutoPool,
    /// A wanted address lies in none of the pools that may be used.
    AddressOutsidePool,
    /// A wanted address is held by something else.
    AddressTaken,
    /// A wanted address is no address.
    InvalidAddress,
    /// An address or pool of another family than the Service asks for.
    FamilyMismatch,
    /// A node that a ClusterBGP selects has no (valid) AS number label.
    MissingAsn,
    /// A node that a ClusterBGP selects has no (valid) router id.
    MissingRouterId,
    /// An older ClusterBGP gives the same node another AS number, router id or speaker.
    Conflict,
    /// A ClusterBGP names a BGPPeerTemplate that does not exist.
    UnknownTemplate,
    /// A peer has neither in its template nor in its own configuration an AS number or address.
    IncompletePeer,
    /// An older BGPPeer of this node has the same address.
    DuplicatePeer,
    /// A BGPPeer names a NodeBGP that does not exist.
    UnknownNode,
    /// The speaker's path is neither loopback nor the unix socket.
    SpeakerNotLocal,
    /// No ready endpoint of the Service is on this node (`externalTrafficPolicy: Local`).
    NoLocalEndpoints,
    /// The session has no address of the prefix's family to announce as next hop.
    NoNextHop,
}

impl Refusal {
    /// The name a person sees, for instance `pool-exhausted`.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::PoolOverlap => "pool-overlap",
            Refusal::SecondAutoAssign => "second-auto-assign",
            Refusal::NameTaken => "name-taken",
            Refusal::PoolExhausted => "pool-exhausted",
            Refusal::UnknownPool => "unknown-pool",
            Refusal::PoolRefused => "pool-refused",
            Refusal::PoolType => "pool-type",
            Refusal::NoAutoPool => "no-auto-pool",
            Refusal::AddressOutsidePool => "address-outside-pool",
            Refusal::AddressTaken => "address-taken",
            Refusal::InvalidAddress => "invalid-address",
            Refusal::FamilyMismatch => "family-mismatch",
            Refusal::MissingAsn => "missing-asn",
            Refusal::MissingRouterId => "missing-router-id",
            Refusal::Conflict => "conflict",
            Refusal::UnknownTemplate => "unknown-template",
            Refusal::IncompletePeer => "incomplete-peer",
            Refusal::DuplicatePeer => "duplicate-peer",
            Refusal::UnknownNode => "unknown-node",
            Refusal::SpeakerNotLocal => "speaker-not-local",
            Refusal::NoLocalEndpoints => "no-local-endpoints",
            Refusal::NoNextHop => "no-next-hop",
        }
    }

    /// The name in the form that a condition's reason must have, for instance `PoolExhausted`.
    pub fn reason(self) -> String {
        let words = self.name().split('-').map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        });
        words.collect()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

use inet::Family;

/// Bytes of a message header (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;
/// The longest message without the Extended Message capability (RFC 4271 §4.1).
pub const MAX_LEN: usize = 4096;
/// The longest message with it (RFC 8654 §4).
pub const MAX_EXTENDED_LEN: usize = 65535;

/// What both ends agreed on, so far as it changes how messages are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the peer is in another AS or in ours.
    pub kind: PeerKind,
    /// AS numbers have four octets in AS_PATH and AGGREGATOR (RFC 6793 §4).
    pub four_octet_as: bool,
    /// Messages other than OPEN and KEEPALIVE may be up to 65535 bytes long, both ways: both
    /// ends offered it (RFC 8654 §4).
    pub extended_message: bool,
    /// Such messages may come, since we offered it, though we must not send them (RFC 8654 §4).
    pub extended_receive: bool,
    /// IPv4 unicast is in use; its routes are skipped otherwise (RFC 4760 §6).
    pub ipv4: bool,
    /// IPv6 unicast is in use; its routes are skipped otherwise.
    pub ipv6: bool,
    /// Families whose NLRI come with path ids (RFC 7911 §3).
    pub add_path_receive: FamilyFlags,
    /// Families whose NLRI are sent with path ids.
    pub add_path_send: FamilyFlags,
    /// IPv4 routes may have an IPv6 next hop, in MP_REACH_NLRI (RFC 8950 §4).
    pub ipv4_over_ipv6: bool,
}

/// Some of the two families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyFlags {
    /// IPv4 unicast is one of them.
    pub ipv4: bool,
    /// IPv6 unicast is one of them.
    pub ipv6: bool,
}

impl FamilyFlags {
    /// No family.
    pub const NONE: FamilyFlags = FamilyFlags { ipv4: false, ipv6: false };
    /// Both families.
    pub const ALL: FamilyFlags = FamilyFlags { ipv4: true, ipv6: true };

    /// Whether the family is one of them.
    pub const fn has(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }

    /// These and this one.
    #[must_use]
    pub const fn with(self, family: Family) -> FamilyFlags {
        match family {
            Family::Ipv4 => FamilyFlags { ipv4: true, ..self },
            Family::Ipv6 => FamilyFlags { ipv6: true, ..self },
        }
    }
}

impl FromIterator<Family> for FamilyFlags {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> FamilyFlags {
        families.into_iter().fold(FamilyFlags::NONE, FamilyFlags::with)
    }
}

/// Whether a peer is in another AS or in ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// Another AS: eBGP.
    External,
    /// Our own AS: iBGP.
    Internal,
}

impl Options {
    /// Four-octet AS numbers, both families, messages up to 4096 bytes, and nothing else.
    pub const fn new(kind: PeerKind) -> Options {
        Options {
            kind,
            four_octet_as: true,
            extended_message: false,
            extended_receive: false,
            ipv4: true,
            ipv6: true,
            add_path_receive: FamilyFlags::NONE,
            add_path_send: FamilyFlags::NONE,
            ipv4_over_ipv6: false,
        }
    }

    /// The longest message that may be sent, in bytes; so long may one come at least.
    pub const fn max_len(&self) -> usize {
        if self.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN }
    }

    /// The longest message that may come, in bytes.
    pub const fn max_receive_len(&self) -> usize {
        if self.extended_receive { MAX_EXTENDED_LEN } else { self.max_len() }
    }

    /// The same without what changes reading alone: peers for which this is equal can be sent
    /// the same bytes.
    #[must_use]
    pub const fn sending(self) -> Options {
        Options { extended_receive: false, add_path_receive: FamilyFlags::NONE, ..self }
    }

    /// Whether routes of the family are exchanged.
    pub const fn carries(&self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

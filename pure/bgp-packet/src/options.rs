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
    /// Messages other than OPEN and KEEPALIVE may be up to 65535 bytes long (RFC 8654).
    pub extended_message: bool,
    /// IPv4 unicast is in use; its routes are skipped otherwise (RFC 4760 §6).
    pub ipv4: bool,
    /// IPv6 unicast is in use; its routes are skipped otherwise.
    pub ipv6: bool,
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
    /// Four-octet AS numbers, both families, messages up to 4096 bytes.
    pub const fn new(kind: PeerKind) -> Options {
        Options { kind, four_octet_as: true, extended_message: false, ipv4: true, ipv6: true }
    }

    /// The longest message that may be sent or received, in bytes.
    pub const fn max_len(&self) -> usize {
        if self.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN }
    }

    /// Whether routes of the family are exchanged.
    pub const fn carries(&self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

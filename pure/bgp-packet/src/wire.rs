//! Bytes: a reader that cannot overrun, and the few things every message is written with.

use std::net::{Ipv4Addr, Ipv6Addr};

use inet::Family;

pub(crate) const OPEN: u8 = 1;
pub(crate) const UPDATE: u8 = 2;
pub(crate) const NOTIFICATION: u8 = 3;
pub(crate) const KEEPALIVE: u8 = 4;
pub(crate) const ROUTE_REFRESH: u8 = 5;

/// SAFI unicast (RFC 4760 §6).
const UNICAST: u8 = 1;

/// Reads from the front of a slice; what is not there is `None`, and nothing is consumed then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(n)?;
        self.bytes = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn ipv4(&mut self) -> Option<Ipv4Addr> {
        self.array::<4>().map(Ipv4Addr::from)
    }

    pub(crate) fn ipv6(&mut self) -> Option<Ipv6Addr> {
        self.array::<16>().map(Ipv6Addr::from)
    }

    /// Bytes with their length in one octet before them.
    pub(crate) fn counted8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u8()?;
        let bytes = ahead.take(usize::from(len))?;
        *self = ahead;
        Some(bytes)
    }

    /// Bytes with their length in two octets before them.
    pub(crate) fn counted16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u16()?;
        let bytes = ahead.take(usize::from(len))?;
        *self = ahead;
        Some(bytes)
    }

    /// AFI and SAFI: outer none when bytes are missing, inner none for a family sart lacks.
    pub(crate) fn family(&mut self) -> Option<Option<Family>> {
        let mut ahead = *self;
        let (afi, safi) = (ahead.u16()?, ahead.u8()?);
        *self = ahead;
        Some(family(afi, safi))
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The family of an AFI and SAFI, if sart has it.
pub(crate) fn family(afi: u16, safi: u8) -> Option<Family> {
    match (afi, safi) {
        (1, UNICAST) => Some(Family::Ipv4),
        (2, UNICAST) => Some(Family::Ipv6),
        _ => None,
    }
}

/// The AFI of a family.
pub(crate) fn afi(family: Family) -> u16 {
    match family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    }
}

/// Appends AFI and SAFI.
pub(crate) fn put_family(to: &mut Vec<u8>, family: Family) {
    to.extend_from_slice(&afi(family).to_be_bytes());
    to.push(UNICAST);
}

/// A length as a two-octet field. Callers keep messages under 65536 bytes.
pub(crate) fn len16(len: usize) -> [u8; 2] {
    debug_assert!(len <= usize::from(u16::MAX));
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// A whole message: header (RFC 4271 §4.1) and body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = crate::HEADER_LEN + body.len();
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&[0xFF; 16]);
    bytes.extend_from_slice(&len16(len));
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

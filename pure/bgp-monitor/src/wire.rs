//! Bytes in network order, and the time of day.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// A moment by the calendar, as both formats carry it: seconds and microseconds of Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Seconds since 1970, until 2106.
    pub seconds: u32,
    /// Microseconds, below 1,000,000.
    pub micros: u32,
}

impl WallTime {
    /// The moment this long after 1970; what no longer fits is the last moment that does.
    pub fn from_unix(since_epoch: Duration) -> WallTime {
        match u32::try_from(since_epoch.as_secs()) {
            Ok(seconds) => WallTime { seconds, micros: since_epoch.subsec_micros() },
            Err(_) => WallTime { seconds: u32::MAX, micros: 999_999 },
        }
    }
}

/// Bytes that should be one whole BGP message are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes that are not one whole BGP message")]
pub struct NotWhole(pub usize);

/// Looks whether the bytes are one BGP message by its own length (RFC 4271 §4.1), so that a reader
/// of the stream does not lose its place.
pub(crate) fn whole(pdu: &[u8]) -> Result<(), NotWhole> {
    let length = pdu.get(16..18).map_or(0, |field| {
        field.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
    });
    if length == pdu.len() && length >= 19 { Ok(()) } else { Err(NotWhole(pdu.len())) }
}

/// Appends numbers in network order.
pub(crate) trait Put {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    fn bytes(&mut self, value: &[u8]);
    /// Four or sixteen bytes.
    fn address(&mut self, value: IpAddr);
    /// Writes a length into the four bytes at `at`.
    fn length_at(&mut self, at: usize, length: usize);
}

impl Put for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }

    fn address(&mut self, value: IpAddr) {
        match value {
            IpAddr::V4(v4) => self.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => self.extend_from_slice(&v6.octets()),
        }
    }

    fn length_at(&mut self, at: usize, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = self.get_mut(at..at + 4) {
            place.copy_from_slice(&length);
        }
    }
}

/// Takes numbers off the front of bytes; what is too short gives nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
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

    /// An address of the given kind.
    pub(crate) fn address(&mut self, v6: bool) -> Option<IpAddr> {
        if v6 {
            self.array::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
        } else {
            self.array::<4>().map(IpAddr::from)
        }
    }

    /// An AS number of four octets, or of two.
    pub(crate) fn asn(&mut self, four: bool) -> Option<u32> {
        if four { self.u32() } else { self.u16().map(u32::from) }
    }
}

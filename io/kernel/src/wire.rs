//! Netlink's bytes: headers and attributes, in the machine's byte order, padded to four bytes.

use std::net::IpAddr;

/// Bytes of a netlink header: length, type, flags, sequence number, port.
const HEADER: usize = 16;

/// A netlink message as it stands in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages in a datagram; ends at the first that does not fit.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let len = usize::try_from(read_u32(bytes, 0)?).ok()?;
        let whole = bytes.get(..len)?;
        let message = Message {
            kind: read_u16(whole, 4)?,
            flags: read_u16(whole, 6)?,
            sequence: read_u32(whole, 8)?,
            payload: whole.get(HEADER..)?,
        };
        bytes = bytes.get(aligned(len)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in a payload, as (kind, value); ends at the first that does not fit.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(read_u16(bytes, 0)?);
        // The two highest bits are flags (nested, network byte order).
        let kind = read_u16(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(aligned(len)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(crate) fn read_u8(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// An address of 4 or 16 bytes.
pub(crate) fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|b| IpAddr::from(*b)),
        16 => bytes.first_chunk::<16>().map(|b| IpAddr::from(*b)),
        _ => None,
    }
}

/// Messages being written, one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    message: usize,
}

impl Writer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Starts a message; its length follows with [`Writer::end`].
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, sequence: u32) {
        self.message = self.bytes.len();
        self.put(&[0; 4]);
        self.put(&kind.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
        self.put(&sequence.to_ne_bytes());
        self.put(&[0; 4]);
    }

    pub(crate) fn end(&mut self) {
        let len = (self.bytes.len() - self.message) as u32;
        self.patch(self.message, &len.to_ne_bytes());
        self.pad();
    }

    /// Sets further flags of the message that was written last.
    pub(crate) fn add_flags(&mut self, flags: u16) {
        let at = self.message + 6;
        let flags = read_u16(&self.bytes, at).unwrap_or(0) | flags;
        self.patch(at, &flags.to_ne_bytes());
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |inside| inside.put(value));
    }

    pub(crate) fn attribute_u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    pub(crate) fn attribute_address(&mut self, kind: u16, address: &IpAddr) {
        match address {
            IpAddr::V4(a) => self.attribute(kind, &a.octets()),
            IpAddr::V6(a) => self.attribute(kind, &a.octets()),
        }
    }

    /// An attribute whose value is written by `fill`.
    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Writer)) {
        let at = self.bytes.len();
        self.put(&[0; 2]);
        self.put(&kind.to_ne_bytes());
        fill(self);
        self.patch_len(at);
        self.pad();
    }

    /// Something that begins with its own length in two bytes, at `at`.
    pub(crate) fn patch_len(&mut self, at: usize) {
        let len = (self.bytes.len() - at) as u16;
        self.patch(at, &len.to_ne_bytes());
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }
}

const fn aligned(len: usize) -> usize {
    (len + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut w = Writer::default();
        w.begin(24, 5, 7);
        w.put(&[1, 2, 3, 4]);
        w.attribute(3, b"abcde");
        w.attribute_u32(4, 9);
        w.end();
        w.begin(25, 1, 8);
        w.end();
        w.add_flags(4);
        let read: Vec<Message<'_>> = messages(w.bytes()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (24, 5, 7));
        assert_eq!((read[1].kind, read[1].flags, read[1].payload.len()), (25, 5, 0));
        let inside: Vec<(u16, &[u8])> = attributes(&read[0].payload[4..]).collect();
        assert_eq!(inside, [(3, b"abcde".as_slice()), (4, 9u32.to_ne_bytes().as_slice())]);
    }

    #[test]
    fn cut_or_lying_bytes_end_the_walk() {
        let mut w = Writer::default();
        w.begin(24, 0, 1);
        w.attribute_u32(4, 9);
        w.end();
        for cut in 0..w.len() {
            assert_eq!(messages(&w.bytes()[..cut]).count(), 0, "{cut}");
        }
        // Lengths of zero would loop for ever.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[255; 64]).count(), 0);
    }
}

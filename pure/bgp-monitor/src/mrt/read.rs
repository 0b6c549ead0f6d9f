use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::{Family, Prefix};

use super::record::{
    Entry, IndexedPeer, Message, PeerIndex, Record, Rib, RibEntry, Session, StateChange, TableDump,
    TableDumpRoute,
};
use super::{BGP4MP, BGP4MP_ET, State, TABLE_DUMP, TABLE_DUMP_V2};
use crate::wire::{Take, WallTime, whole};

/// Time, type, subtype and length (RFC 6396 §2).
const HEADER: usize = 12;

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A record's content does not fit its type; the next record can be read.
    #[error("byte {offset}: a record of type {kind}, subtype {subtype} is malformed")]
    Malformed {
        /// Where the record begins in the file.
        offset: u64,
        /// MRT type.
        kind: u16,
        /// MRT subtype.
        subtype: u16,
    },
    /// A record is longer than is taken; nothing behind it can be read.
    #[error("byte {offset}: a record of {length} bytes is too long, or this is no MRT file")]
    TooLong {
        /// Where the record begins in the file.
        offset: u64,
        /// What it says of itself.
        length: u32,
    },
    /// The bytes end within a record.
    #[error("byte {offset}: the file ends within a record")]
    CutShort {
        /// Where the record begins in the file.
        offset: u64,
    },
}

/// Gives the records of a file whose bytes come in pieces, in order.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Bytes at the buffer's front that are done.
    done: usize,
    /// Where the buffer's front is in the file.
    offset: u64,
    max_record: usize,
    /// A record too long has been met.
    broken: Option<ReadError>,
}

impl Default for Reader {
    /// Takes records up to 16 MiB.
    fn default() -> Reader {
        Reader::new(16 << 20)
    }
}

impl Reader {
    /// A reader of records with at most this much content in bytes.
    pub fn new(max_record: usize) -> Reader {
        Reader { buffer: Vec::new(), done: 0, offset: 0, max_record, broken: None }
    }

    /// Takes further bytes. To keep little in memory, read all records after each piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.done);
        self.offset = self.offset.saturating_add(u64::try_from(self.done).unwrap_or(u64::MAX));
        self.done = 0;
        if self.broken.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next record; none: more bytes are needed, or a record too long was told.
    pub fn next_record(&mut self) -> Option<Result<Entry<'_>, ReadError>> {
        if self.broken.is_some() {
            return None;
        }
        let offset = self.place();
        let rest = self.buffer.get(self.done..).unwrap_or_default();
        let mut take = Take(rest);
        let (seconds, kind, subtype, length) = (take.u32()?, take.u16()?, take.u16()?, take.u32()?);
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size > self.max_record {
            let error = ReadError::TooLong { offset, length };
            self.broken = Some(error);
            self.done = self.buffer.len();
            return Some(Err(error));
        }
        let mut body = take.bytes(size)?;
        if kind == TABLE_DUMP && matches!(subtype, 1 | 2) && short_by_four(body, subtype == 2) {
            body = rest.get(HEADER..HEADER + size + 4)?;
        }
        self.done += HEADER + body.len();
        let malformed = ReadError::Malformed { offset, kind, subtype };
        Some(entry(seconds, kind, subtype, body).ok_or(malformed))
    }

    /// To be asked when there are no more bytes: whether the file ended at a record's end.
    pub fn finish(&self) -> Result<(), ReadError> {
        match self.broken {
            Some(error) => Err(error),
            None if self.done == self.buffer.len() => Ok(()),
            None => Err(ReadError::CutShort { offset: self.place() }),
        }
    }

    fn place(&self) -> u64 {
        self.offset.saturating_add(u64::try_from(self.done).unwrap_or(u64::MAX))
    }
}

fn entry(seconds: u32, kind: u16, subtype: u16, body: &[u8]) -> Option<Entry<'_>> {
    let mut take = Take(body);
    let micros = if kind == BGP4MP_ET { take.u32()? } else { 0 };
    let record = match (kind, subtype) {
        (TABLE_DUMP, 1 | 2) => Record::TableDump(table_dump(&mut take, subtype == 2)?),
        (TABLE_DUMP_V2, 1) => Record::PeerIndex(peer_index(&mut take)?),
        (TABLE_DUMP_V2, 2 | 8) => Record::Rib(rib(&mut take, Family::Ipv4, subtype == 8)?),
        (TABLE_DUMP_V2, 4 | 10) => Record::Rib(rib(&mut take, Family::Ipv6, subtype == 10)?),
        (BGP4MP | BGP4MP_ET, 0 | 5) => Record::StateChange(state_change(&mut take, subtype == 5)?),
        (BGP4MP | BGP4MP_ET, 1 | 4 | 6..=11) => Record::Message(message(&mut take, subtype)?),
        // The numbers of types and subtypes are open.
        _ => {
            return Some(Entry {
                at: WallTime { seconds, micros },
                record: other(kind, subtype, take),
            });
        }
    };
    // Bytes too many are a sign of bytes read wrongly.
    take.0.is_empty().then_some(Entry { at: WallTime { seconds, micros }, record })
}

fn other(kind: u16, subtype: u16, take: Take<'_>) -> Record<'_> {
    Record::Other { kind, subtype, body: take.0 }
}

/// Whether a table dump's length leaves out four bytes, as an early writer's did: then its last
/// route ends exactly four bytes behind it.
fn short_by_four(body: &[u8], v6: bool) -> bool {
    // Prefix, its length, status, time, peer's address and AS number.
    let fixed = if v6 { 40 } else { 16 };
    let mut at = 4;
    while at < body.len() {
        let mut take = Take(body.get(at + fixed..).unwrap_or_default());
        let Some(attributes) = take.u16() else { return false };
        at += fixed + 2 + usize::from(attributes);
    }
    at == body.len() + 4
}

/// RFC 6396 §4.2. Records of before 2001 hold several routes behind one sequence number.
fn table_dump<'a>(take: &mut Take<'a>, v6: bool) -> Option<TableDump<'a>> {
    let (view, sequence) = (take.u16()?, take.u16()?);
    let mut routes = vec![table_dump_route(take, v6)?];
    while !take.0.is_empty() {
        routes.push(table_dump_route(take, v6)?);
    }
    Some(TableDump { view, sequence, routes })
}

fn table_dump_route<'a>(take: &mut Take<'a>, v6: bool) -> Option<TableDumpRoute<'a>> {
    let (address, len) = (take.address(v6)?, take.u8()?);
    let prefix = Prefix::truncated(address, len).ok()?;
    let _status = take.u8()?;
    let (since, peer, asn) = (take.u32()?, take.address(v6)?, take.u16()?);
    let length = take.u16()?;
    let attributes = take.bytes(length.into())?;
    Some(TableDumpRoute { prefix, since, peer, asn, attributes })
}

/// RFC 6396 §4.3.1.
fn peer_index(take: &mut Take<'_>) -> Option<PeerIndex> {
    let collector = Ipv4Addr::from(take.array::<4>()?);
    let length = take.u16()?;
    let view = String::from_utf8_lossy(take.bytes(length.into())?).into_owned();
    let count = take.u16()?;
    let mut peers = Vec::new();
    for _ in 0..count {
        let kind = take.u8()?;
        let router_id = Ipv4Addr::from(take.array::<4>()?);
        let address = take.address(kind & 1 != 0)?;
        peers.push(IndexedPeer { router_id, address, asn: take.asn(kind & 2 != 0)? });
    }
    Some(PeerIndex { collector, view, peers })
}

/// RFC 6396 §4.3.2, RFC 8050 §4.
fn rib<'a>(take: &mut Take<'a>, family: Family, add_path: bool) -> Option<Rib<'a>> {
    let sequence = take.u32()?;
    let prefix = prefix(take, family)?;
    let count = take.u16()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (peer, since) = (take.u16()?, take.u32()?);
        let path_id = if add_path { take.u32()? } else { 0 };
        let length = take.u16()?;
        let attributes = take.bytes(length.into())?;
        entries.push(RibEntry { peer, since, path_id, attributes });
    }
    Some(Rib { sequence, prefix, add_path, entries })
}

fn prefix(take: &mut Take<'_>, family: Family) -> Option<Prefix> {
    let len = take.u8()?;
    let bytes = take.bytes(usize::from(len.div_ceil(8)))?;
    let mut octets = [0_u8; 16];
    octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let address = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::from(*octets.first_chunk::<4>()?)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(octets)),
    };
    // Bits behind the length mean nothing (RFC 4271 §4.3); a length too great is an error.
    Prefix::truncated(address, len).ok()
}

/// RFC 6396 §4.4.
fn session(take: &mut Take<'_>, four: bool) -> Option<Session> {
    let (peer_asn, local_asn) = (take.asn(four)?, take.asn(four)?);
    let (interface, afi) = (take.u16()?, take.u16()?);
    let v6 = match afi {
        1 => false,
        2 => true,
        _ => return None,
    };
    let (peer, local) = (take.address(v6)?, take.address(v6)?);
    Some(Session { peer_asn, local_asn, interface, peer, local })
}

fn message<'a>(take: &mut Take<'a>, subtype: u16) -> Option<Message<'a>> {
    // RFC 6396 §4.4.2, RFC 8050 §3.
    let (four_octet_as, local, add_path) = match subtype {
        1 => (false, false, false),
        4 => (true, false, false),
        6 => (false, true, false),
        7 => (true, true, false),
        8 => (false, false, true),
        9 => (true, false, true),
        10 => (false, true, true),
        11 => (true, true, true),
        _ => return None,
    };
    let session = session(take, four_octet_as)?;
    let bytes = take.bytes(take.0.len())?;
    whole(bytes).ok()?;
    Some(Message { session, four_octet_as, local, add_path, bytes })
}

fn state_change(take: &mut Take<'_>, four: bool) -> Option<StateChange> {
    let session = session(take, four)?;
    let (old, new) = (State::of(take.u16()?), State::of(take.u16()?));
    Some(StateChange { session, old, new })
}

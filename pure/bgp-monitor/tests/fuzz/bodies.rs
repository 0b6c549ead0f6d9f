//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

use std::time::Duration;

use bgp_monitor::bmp::{Down, Peer, PeerKind, Termination, Up, View, end_of_rib};
use bgp_monitor::mrt::{
    ReadError, Reader, Record, StateChange, write_message, write_peer_index, write_rib,
    write_state_change,
};
use bgp_monitor::{
    Cursor, Input, Output, PeerKey, Station, StationConfig, TablePart, Views, WallTime,
};
use inet::{Family, Timestamp};

#[path = "../../../../fuzz/bytes.rs"]
mod bytes;

use bytes::Bytes;

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("monitor_mrt", mrt), ("monitor_station", station)];

/// A file: the size of its pieces, then what is in it.
pub(crate) fn mrt(data: &[u8]) {
    let Some((first, file)) = data.split_first() else { return };
    let whole = read(file, usize::MAX);
    assert_eq!(read(file, usize::from(*first).max(1)), whole, "pieces make a difference");
}

/// What a file says, and how it ends.
fn read(file: &[u8], piece: usize) -> (Vec<String>, Result<(), ReadError>) {
    let mut reader = Reader::new(1 << 16);
    let mut said = Vec::new();
    for piece in file.chunks(piece.min(file.len()).max(1)) {
        reader.push(piece);
        while let Some(entry) = reader.next_record() {
            assert!(said.len() * 12 <= file.len(), "more records than headers");
            if let Ok(entry) = &entry {
                comes_back(entry.at, &entry.record);
            }
            said.push(format!("{entry:?}"));
        }
    }
    (said, reader.finish())
}

/// What is read is written so that it is read again.
fn comes_back(at: WallTime, record: &Record<'_>) {
    let mut bytes = Vec::new();
    let written = match record {
        Record::PeerIndex(index) => write_peer_index(at, index, &mut bytes),
        Record::Rib(rib) => write_rib(at, rib, &mut bytes),
        Record::Message(message) => write_message(at, message, &mut bytes),
        Record::StateChange(StateChange { session, old: Some(old), new: Some(new) }) => {
            write_state_change(at, session, *old, *new, &mut bytes)
        }
        Record::StateChange(_) | Record::TableDump(_) | Record::Other { .. } => return,
    };
    if written.is_err() {
        // Only a view's name may grow: by what was no text in it.
        let Record::PeerIndex(index) = record else { panic!("not written: {record:?}") };
        return assert!(index.view.contains('\u{FFFD}') && bytes.is_empty());
    }
    let mut reader = Reader::default();
    reader.push(&bytes);
    let again = reader.next_record().unwrap().unwrap();
    assert_eq!(again.record, *record);
    assert_eq!(again.at.seconds, at.seconds);
    assert_eq!(reader.finish(), Ok(()));
}

/// The least that a station takes for its limit.
const MAX_QUEUED: usize = 1 << 20;

/// A connection to a collector: steps of a byte and what belongs to it.
pub(crate) fn station(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut collector = Collector::new(bytes.u8());
    while let Some(step) = bytes.next() {
        collector.step(step, &mut bytes);
    }
    collector.tell(Input::Shutdown(Termination::Administrative));
    assert!(!collector.connected);
    assert_eq!((collector.station.wake_at(), collector.station.queued()), (None, 0));
}

/// The other end of the connection, and the router's tables.
struct Collector {
    now: Timestamp,
    station: Station,
    connected: bool,
    dialled: bool,
    /// What has come on this connection.
    stream: Vec<u8>,
    /// What was asked for and not answered yet.
    asked: Vec<Output>,
}

impl Collector {
    fn new(choice: u8) -> Collector {
        let bit = |n: u8| choice & (1 << n) != 0;
        let config = StationConfig {
            views: Views {
                in_pre_policy: bit(0),
                in_post_policy: bit(1),
                out_pre_policy: bit(2),
                out_post_policy: bit(3),
            },
            max_queued: MAX_QUEUED,
            dump_chunk: if bit(4) { 1 } else { 1024 },
            statistics_interval: bit(5).then_some(Duration::from_secs(10)),
            ..StationConfig::new("s")
        };
        Collector {
            now: Timestamp::ZERO,
            station: Station::new(config),
            connected: false,
            dialled: false,
            stream: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        let key = PeerKey(u32::from(step >> 6));
        let at = WallTime { seconds: 7, micros: 8 };
        let view = [View::Loc, View::InPrePolicy, View::InPostPolicy, View::OutPostPolicy]
            [usize::from(step >> 4 & 3)];
        match step % 16 {
            0 | 1 if self.dialled => {
                self.dialled = false;
                self.connected = true;
                self.stream.clear();
                self.tell(Input::Connected { room: usize::from(bytes.u16()) });
            }
            2 if self.dialled => {
                self.dialled = false;
                self.tell(Input::ConnectFailed("refused".into()));
            }
            3 if self.connected => {
                self.connected = false;
                self.tell(Input::Closed("reset".into()));
            }
            4 => self.tell(Input::Room(usize::from(bytes.u16()))),
            5 | 6 => {
                let kind = match step >> 6 {
                    0 => PeerKind::LocRib { distinguisher: 0, filtered: false },
                    _ => PeerKind::Global,
                };
                let peer =
                    Peer { kind, address: [10, 0, 0, 1].into(), asn: 1, router_id: [1; 4].into() };
                let up = Up {
                    local_address: [10, 0, 0, 2].into(),
                    local_port: 179,
                    remote_port: 4000,
                    sent_open: open(bytes),
                    received_open: open(bytes),
                    information: vec![],
                    table: None,
                };
                let families = Family::ALL[..usize::from(step >> 5 & 1) + 1].to_vec();
                self.tell(Input::PeerUp { key, peer, at, up, families });
            }
            // Odd ones: a table has changed as a whole.
            7 if bytes.u8() & 1 == 1 => self.tell(Input::Again { key, view }),
            7 => self.tell(Input::PeerDown { key, at, down: Down::PeerClosed }),
            8 | 9 => {
                let update = if step & 1 == 0 { end_of_rib(Family::Ipv4) } else { update(bytes) };
                self.tell(Input::Update { key, view, at, two_octet_as: false, update });
            }
            10..=12 => self.answer(usize::from(bytes.u8()), at, bytes),
            13 => self.tell(Input::Statistics { key, at, statistics: vec![] }),
            14 => self.pass(Duration::from_millis(u64::from(bytes.u16()) * 10)),
            _ => {
                let due = self.station.wake_at().map_or(self.now, |at| at.max(self.now));
                self.pass(due.since(self.now));
            }
        }
    }

    /// One of the questions after a part of a table is answered, once or again.
    fn answer(&mut self, which: usize, at: WallTime, bytes: &mut Bytes<'_>) {
        let Some(asked) = self.asked.get(which % self.asked.len().max(1)) else { return };
        let Output::Dump { ticket, key, view, family, from, .. } = asked.clone() else {
            return;
        };
        let more = bytes.u8();
        let updates = (0..more & 3).map(|_| update(bytes)).collect();
        // A table ends: after its first part, or its second.
        let next = (more & 4 != 0 && from == Cursor::default()).then_some(Cursor(1));
        let part = TablePart { ticket, key, view, family, at, two_octet_as: false, updates, next };
        if more & 8 == 0 {
            self.asked.remove(which % self.asked.len());
        }
        self.tell(Input::Dumped(part));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.station.tick(self.now);
        self.outputs();
        let again = self.station.wake_at();
        assert!(again.is_none_or(|at| at > self.now), "nothing due is left");
    }

    fn tell(&mut self, input: Input) {
        self.station.handle(self.now, input);
        self.outputs();
    }

    fn outputs(&mut self) {
        for count in 0.. {
            assert!(count < 256, "outputs without end");
            match self.station.poll() {
                Some(Output::Connect) => {
                    assert!(!self.dialled && !self.connected, "dialled twice");
                    self.dialled = true;
                }
                Some(Output::Send(bytes)) => {
                    assert!(self.connected && !bytes.is_empty(), "said to nobody");
                    self.stream.extend(bytes);
                }
                Some(Output::Close) => {
                    assert!(self.connected || self.dialled, "closed twice");
                    (self.connected, self.dialled) = (false, false);
                }
                Some(asked @ Output::Dump { .. }) => {
                    assert!(self.connected, "asked for nobody");
                    self.asked.push(asked);
                }
                Some(Output::AskStatistics | Output::Happened(_)) => {}
                None => break,
            }
        }
        assert!(self.station.queued() <= MAX_QUEUED);
        self.messages();
    }

    /// The stream is messages of BMP, one after the other; the first is an Initiation
    /// (RFC 7854 §4.1).
    fn messages(&self) {
        let mut rest = &self.stream[..];
        let mut first = true;
        while let [version, a, b, c, d, kind, ..] = *rest {
            assert_eq!(version, 3);
            assert!(kind <= 5 && (kind == 4) == first, "{kind}");
            first = false;
            let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
            assert!(len >= 6);
            rest = rest.get(len..).unwrap_or_default();
        }
    }
}

/// A message of BGP with any body, whole or not.
fn message(kind: u8, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let body = bytes.counted();
    let len = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xFF; 16][..], &len, &[kind], body].concat()
}

fn open(bytes: &mut Bytes<'_>) -> Vec<u8> {
    match bytes.u8() {
        0 => message(1, bytes),
        // One that is not whole is refused.
        _ => bytes.counted().to_vec(),
    }
}

fn update(bytes: &mut Bytes<'_>) -> Vec<u8> {
    match bytes.u8() {
        0xFF => bytes.counted().to_vec(),
        _ => message(2, bytes),
    }
}

use std::time::Duration;

use inet::{Family, Timestamp};

use super::*;
use crate::bmp::{PeerKind, Statistic, Up, end_of_rib};

const AT: WallTime = WallTime { seconds: 1, micros: 0 };
const VIEW: View = View::InPrePolicy;
const ROOMY: usize = 1 << 30;

fn time(seconds: u64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs(seconds))
}

/// A message of a type with this many bytes behind its header.
fn pdu(kind: u8, more: usize) -> Vec<u8> {
    let length = u16::try_from(19 + more).unwrap().to_be_bytes();
    [&[0xff; 16][..], &length, &[kind], &vec![0; more]].concat()
}

fn up(n: u32) -> Input {
    let octet = u8::try_from(n).unwrap();
    Input::PeerUp {
        key: PeerKey(n),
        peer: Peer {
            kind: PeerKind::Global,
            address: [10, 0, 0, octet].into(),
            asn: 65000,
            router_id: [1, 1, 1, octet].into(),
        },
        at: AT,
        up: Up {
            local_address: [10, 0, 0, 254].into(),
            local_port: 179,
            remote_port: 40000,
            sent_open: pdu(1, 10),
            received_open: pdu(1, 10),
            information: Vec::new(),
            table: None,
        },
        families: vec![Family::Ipv4],
    }
}

fn update(n: u32, more: usize) -> Input {
    let update = pdu(2, more);
    Input::Update { key: PeerKey(n), view: VIEW, at: AT, two_octet_as: false, update }
}

/// Types of the BMP messages in a stream of bytes, which must be whole.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 3);
        let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
        kinds.push(bytes[5]);
        bytes = &bytes[usize::try_from(length).unwrap()..];
    }
    kinds
}

/// The owner: does what a station wants, with a table of some parts for each peer.
struct Owner {
    station: Station,
    now: Timestamp,
    sent: Vec<u8>,
    parts: usize,
    part_bytes: usize,
    dumps: Vec<(u32, usize)>,
    seen: Vec<Output>,
}

impl Owner {
    fn new(change: impl FnOnce(&mut StationConfig)) -> Owner {
        let mut config = StationConfig::new("collector");
        change(&mut config);
        Owner {
            station: Station::new(config),
            now: Timestamp::ZERO,
            sent: Vec::new(),
            parts: 1,
            part_bytes: 100,
            dumps: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn tell(&mut self, input: Input) {
        self.station.handle(self.now, input);
        self.run();
    }

    fn tick_at(&mut self, now: Timestamp) {
        self.now = now;
        self.station.tick(now);
        self.run();
    }

    fn connect(&mut self, room: usize) {
        self.tick_at(self.now);
        assert_eq!(self.seen.pop(), Some(Output::Connect));
        self.tell(Input::Connected { room });
        assert_eq!(self.seen.pop(), Some(Output::Happened(Happened::Connected)));
    }

    fn run(&mut self) {
        while let Some(output) = self.station.poll() {
            match output {
                Output::Send(bytes) => self.sent.extend(bytes),
                Output::Dump { ticket, key, view, family, from, .. } => {
                    let at = usize::try_from(from.0).unwrap();
                    self.dumps.push((key.0, at));
                    let next = (at + 1 < self.parts).then_some(Cursor(from.0 + 1));
                    let updates = vec![pdu(2, self.part_bytes)];
                    let (two_octet_as, at) = (false, AT);
                    let part =
                        TablePart { ticket, key, view, family, at, two_octet_as, updates, next };
                    self.station.handle(self.now, Input::Dumped(part));
                }
                other => self.seen.push(other),
            }
        }
    }

    fn take_kinds(&mut self) -> Vec<u8> {
        kinds(&std::mem::take(&mut self.sent))
    }
}

#[test]
fn sessions_and_tables_come_first_and_then_changes() {
    let mut owner = Owner::new(|_| ());
    owner.parts = 2;
    owner.tell(up(1));
    owner.tell(up(2));
    owner.connect(ROOMY);
    // Initiation; each peer: up, two parts of its table, the table's end.
    assert_eq!(owner.take_kinds(), [4, 3, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(owner.dumps, [(1, 0), (1, 1), (2, 0), (2, 1)]);
    owner.tell(update(1, 4));
    assert_eq!(owner.take_kinds(), [0]);
    owner.tell(update(3, 4));
    assert!(owner.sent.is_empty(), "a peer that is not up has no routes");
    owner.tell(Input::PeerDown { key: PeerKey(1), at: AT, down: Down::PeerClosed });
    assert_eq!(owner.take_kinds(), [2]);
    owner.tell(up(1));
    assert_eq!(owner.take_kinds(), [3, 0, 0, 0]);
    let statistics = vec![Statistic::RoutesIn(1)];
    owner.tell(Input::Statistics { key: PeerKey(2), at: AT, statistics });
    assert_eq!(owner.take_kinds(), [1]);
    owner.tell(Input::Shutdown(Termination::Administrative));
    assert_eq!(owner.take_kinds(), [5]);
    assert_eq!(owner.seen, [Output::Close, Output::Happened(Happened::Stopped)]);
    assert_eq!(owner.station.wake_at(), None);
}

#[test]
fn a_table_that_has_changed_as_a_whole_is_told_once_more() {
    let mut owner = Owner::new(|config| config.dump_chunk = 4096);
    (owner.parts, owner.part_bytes) = (2, 5000);
    owner.tell(up(1));
    let again = || Input::Again { key: PeerKey(1), view: VIEW };
    owner.tell(again());
    owner.connect(0);
    assert_eq!(owner.dumps, [(1, 0)]);
    assert_eq!(owner.station.standing(), Standing::Dumping);
    owner.tell(again());
    owner.tell(again());
    owner.tell(Input::Room(ROOMY));
    // Twice is once, and the end is told once.
    assert_eq!(owner.dumps, [(1, 0), (1, 1), (1, 0), (1, 1)]);
    assert_eq!(owner.take_kinds(), [4, 3, 0, 0, 0, 0, 0]);
    assert_eq!(owner.station.standing(), Standing::Live);
    assert_eq!(owner.station.messages(), 7);
}

#[test]
fn a_tables_end_is_told_per_table() {
    let mut owner = Owner::new(|config| config.views.in_post_policy = true);
    owner.tell(up(1));
    owner.connect(ROOMY);
    let end = end_of_rib(Family::Ipv4);
    assert_eq!(owner.sent.windows(end.len()).filter(|bytes| *bytes == end).count(), 2);
    assert_eq!(owner.take_kinds(), [4, 3, 0, 0, 0, 0]);
}

#[test]
fn a_slow_collector_slows_the_dump() {
    let mut owner = Owner::new(|config| config.dump_chunk = 4096);
    owner.parts = 100;
    owner.part_bytes = 4000;
    owner.tell(up(1));
    owner.connect(0);
    assert!(owner.sent.is_empty());
    assert_eq!(owner.dumps.len(), 1, "one part waits, more is not asked for");
    let mut most = 0;
    while owner.dumps.len() < 100 {
        owner.tell(Input::Room(1000));
        most = most.max(owner.station.queued());
    }
    assert!(most < 3 * 4096, "{most}");
    while owner.station.queued() > 0 {
        owner.tell(Input::Room(1000));
    }
    assert_eq!(owner.take_kinds().len(), 2 + 100 + 1);
}

#[test]
fn updates_before_the_dump_are_left_to_it() {
    let mut owner = Owner::new(|config| config.dump_chunk = 4096);
    owner.part_bytes = 5000;
    owner.tell(up(1));
    owner.tell(up(2));
    owner.connect(0);
    assert_eq!(owner.dumps, [(1, 0)]);
    let queued = owner.station.queued();
    owner.tell(update(2, 100));
    assert_eq!(owner.station.queued(), queued);
    owner.tell(update(1, 100));
    assert!(owner.station.queued() > queued);
}

#[test]
fn a_station_that_does_not_keep_up_is_dropped_by_name() {
    let mut owner = Owner::new(|config| config.max_queued = 1 << 20);
    owner.tell(up(1));
    owner.connect(2000);
    for _ in 0..400 {
        owner.tell(update(1, 4000));
        assert!(owner.station.queued() <= 1 << 20);
    }
    let lost = Output::Happened(Happened::Lost(Lost::TooSlow));
    assert_eq!(owner.seen, [Output::Close, lost]);
    assert!(Lost::TooSlow.to_string().starts_with("too-slow"));
    assert_eq!(owner.station.queued(), 0);
    // It is tried again, and begins anew.
    let again = owner.station.wake_at().unwrap();
    owner.seen.clear();
    owner.sent.clear();
    owner.now = again;
    owner.connect(ROOMY);
    assert_eq!(owner.take_kinds(), [4, 3, 0, 0]);
}

#[test]
fn a_station_that_takes_nothing_is_dropped() {
    let mut owner = Owner::new(|_| ());
    owner.tell(up(1));
    owner.connect(10);
    assert_eq!(owner.station.wake_at(), Some(time(60)));
    owner.now = time(50);
    owner.tell(Input::Room(5));
    assert_eq!(owner.station.wake_at(), Some(time(110)), "it took some bytes");
    owner.tick_at(time(109));
    assert!(owner.seen.is_empty());
    owner.tick_at(time(110));
    let lost = Output::Happened(Happened::Lost(Lost::Stalled));
    assert_eq!(owner.seen, [Output::Close, lost]);
}

#[test]
fn an_idle_station_is_not_stalled() {
    let mut owner = Owner::new(|_| ());
    owner.connect(ROOMY);
    assert_eq!(owner.station.wake_at(), None);
    owner.tick_at(time(100_000));
    assert!(owner.seen.is_empty());
}

#[test]
fn waits_double_up_to_the_most_and_begin_anew_after_a_success() {
    let mut owner = Owner::new(|config| config.seed = 7);
    let mut waits = Vec::new();
    for _ in 0..8 {
        owner.tick_at(owner.station.wake_at().unwrap());
        owner.tell(Input::ConnectFailed("refused".to_owned()));
        waits.push(owner.station.wake_at().unwrap().since(owner.now).as_secs());
    }
    for (wait, middle) in waits.iter().zip([30, 60, 120, 240, 480, 720, 720, 720]) {
        assert!((middle * 3 / 4..=middle * 5 / 4).contains(wait), "{waits:?}");
    }
    owner.seen.clear();
    owner.now = owner.station.wake_at().unwrap();
    owner.connect(ROOMY);
    owner.now = owner.now + Duration::from_secs(31);
    owner.tell(Input::Closed(String::new()));
    assert!(owner.station.wake_at().unwrap().since(owner.now) <= Duration::from_secs(38));
}

#[test]
fn statistics_are_asked_for_in_time() {
    let mut owner = Owner::new(|config| config.statistics_interval = Some(Duration::from_secs(10)));
    owner.connect(ROOMY);
    assert_eq!(owner.station.wake_at(), Some(time(10)));
    owner.tick_at(time(10));
    assert_eq!(owner.seen, [Output::AskStatistics]);
    assert_eq!(owner.station.wake_at(), Some(time(20)));
}

#[test]
fn an_answer_to_an_old_question_is_not_taken() {
    let mut station = Station::new(StationConfig::new("x"));
    let now = Timestamp::ZERO;
    let question = |station: &mut Station| {
        std::iter::from_fn(|| station.poll())
            .find_map(|output| match output {
                Output::Dump { ticket, key, view, family, .. } => Some(TablePart {
                    ticket,
                    key,
                    view,
                    family,
                    at: AT,
                    two_octet_as: false,
                    updates: vec![pdu(2, 4)],
                    next: None,
                }),
                _ => None,
            })
            .unwrap()
    };
    station.handle(now, up(1));
    station.tick(now);
    station.handle(now, Input::Connected { room: ROOMY });
    let old = question(&mut station);
    station.handle(now, Input::PeerDown { key: PeerKey(1), at: AT, down: Down::PeerClosed });
    station.handle(now, up(1));
    let new = question(&mut station);
    while station.poll().is_some() {}
    station.handle(now, Input::Dumped(old));
    assert_eq!(station.queued(), 0);
    station.handle(now, Input::Dumped(new));
    assert!(station.queued() > 0);
}

#[test]
fn bytes_that_are_no_message_are_told_and_left_out() {
    let mut owner = Owner::new(|_| ());
    owner.tell(up(1));
    owner.connect(ROOMY);
    owner.take_kinds();
    let update = vec![0xff; 30];
    let (key, at, two_octet_as) = (PeerKey(1), AT, false);
    owner.tell(Input::Update { key, view: VIEW, at, two_octet_as, update });
    assert!(owner.sent.is_empty());
    assert!(matches!(owner.seen[..], [Output::Happened(Happened::Refused(_))]));
}

//! The reader on real archives, where they lie beside the repository.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use bgp_monitor::mrt::{Reader, Record};

/// What a file holds.
#[derive(Debug, Default)]
struct Counts {
    records: usize,
    routes: usize,
    messages: usize,
    peers: BTreeSet<std::net::IpAddr>,
    bad: usize,
    other: usize,
}

/// Reads a file; none, said loudly, where there is no such file.
fn read(name: &str) -> Option<Counts> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: there is no {}", path.display());
        return None;
    };
    let mut stream = flate2::read::MultiGzDecoder::new(file);
    let mut piece = vec![0; 50_000];
    let mut reader = Reader::default();
    let mut counts = Counts::default();
    loop {
        let length = stream.read(&mut piece).unwrap();
        reader.push(&piece[..length]);
        while let Some(entry) = reader.next_record() {
            counts.records += 1;
            match entry.map(|entry| entry.record) {
                Ok(Record::TableDump(dump)) => {
                    counts.routes += dump.routes.len();
                    counts.peers.extend(dump.routes.iter().map(|route| route.peer));
                }
                Ok(Record::Message(message)) => {
                    counts.messages += 1;
                    counts.peers.insert(message.session.peer);
                }
                Ok(Record::Rib(rib)) => counts.routes += rib.entries.len(),
                Ok(Record::PeerIndex(_) | Record::StateChange(_)) => {}
                Ok(Record::Other { .. }) => counts.other += 1,
                Err(_) => counts.bad += 1,
            }
        }
        if length == 0 {
            reader.finish().unwrap();
            return Some(counts);
        }
    }
}

#[test]
fn a_table_of_2000_is_read() {
    if let Some(counts) = read("rrc00.bview.20000111.0032.gz") {
        assert_eq!((counts.bad, counts.other), (0, 0), "{counts:?}");
        assert_eq!((counts.routes, counts.peers.len()), (452_018, 7), "{counts:?}");
    }
}

#[test]
fn updates_of_2010_are_read_to_the_end() {
    if let Some(counts) = read("rrc15.updates.20100227.1600.gz") {
        assert_eq!((counts.bad, counts.other), (0, 0), "{counts:?}");
        assert!(counts.messages > 5_000 && counts.peers.len() > 5, "{counts:?}");
    }
}

//! AS paths of the real Internet, out of an MRT table dump (RFC 6396 §4.2), where one is at hand.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::random::Random;
use crate::places;

/// The dump beside the repository, when it is there.
fn file() -> Option<PathBuf> {
    let file = places::checkout().join("../shared/data/rrc00.bview.20000111.0032.gz");
    file.exists().then_some(file)
}

/// Distinct AS paths and where they come from, for people.
pub(super) fn paths(seed: u64) -> (Vec<Vec<u32>>, &'static str) {
    let read = file().and_then(|file| {
        let out = Command::new("gzip").arg("-dc").arg(file).output().ok()?;
        out.status.success().then(|| parse(&out.stdout))
    });
    match read {
        Some(paths) if !paths.is_empty() => (paths, "real paths of a RIPE RIS table"),
        _ => (generated(seed), "generated paths"),
    }
}

/// The paths of all TABLE_DUMP entries of IPv4; sets and private numbers are left out.
pub(super) fn parse(mut bytes: &[u8]) -> Vec<Vec<u32>> {
    let mut paths = BTreeSet::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<12>() {
        let [_, _, _, _, t0, t1, s0, s1, l0, l1, l2, l3] = *header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some((body, rest)) = rest.split_at_checked(length) else { break };
        bytes = rest;
        // TABLE_DUMP, AFI IPv4: 22 bytes, the last two the attributes' length.
        if (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([s0, s1])) == (12, 1)
            && let Some(path) = body.get(22..).and_then(as_path)
        {
            paths.insert(path);
        }
    }
    paths.into_iter().collect()
}

/// A path of 2-octet numbers, when it is one AS_SEQUENCE of public numbers.
fn as_path(mut attributes: &[u8]) -> Option<Vec<u32>> {
    loop {
        let ([flags, kind, length], rest) = attributes.split_first_chunk::<3>()?;
        let (length, rest) = if flags & 0x10 == 0 {
            (usize::from(*length), rest)
        } else {
            let (low, rest) = rest.split_first()?;
            (usize::from(u16::from_be_bytes([*length, *low])), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        attributes = rest;
        if *kind == 2 {
            let ([2, count], numbers) = value.split_first_chunk::<2>()? else { return None };
            if numbers.len() != usize::from(*count) * 2 || *count == 0 || *count > 30 {
                return None;
            }
            let numbers = numbers.chunks_exact(2).map(|b| u32::from(b[0]) << 8 | u32::from(b[1]));
            return numbers.map(|asn| (1..64_496).contains(&asn).then_some(asn)).collect();
        }
    }
}

/// Paths of one to seven numbers, four on average, as long as those of a real table.
fn generated(seed: u64) -> Vec<Vec<u32>> {
    let mut random = Random::new(seed);
    let mut paths = BTreeSet::new();
    while paths.len() < 40_000 {
        let length = 1 + random.below(4) + random.below(4);
        let path: Vec<_> = (0..length).map(|_| 1 + random.skewed(60_000) as u32).collect();
        paths.insert(path);
    }
    paths.into_iter().collect()
}

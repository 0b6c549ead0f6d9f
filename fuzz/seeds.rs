//! First seeds of the corpora, and a little fuzzing with them that needs no fuzzer: include it by
//! path beside `replay.rs`, which must be the module `corpora`.

use crate::corpora::{Target, corpus};

/// A target, the seed's name and its bytes.
pub(crate) type Seed = (&'static str, &'static str, Vec<u8>);

/// Writes what is missing and fails then: a changed seed is a file to commit.
pub(crate) fn keep(targets: &[Target], seeds: &[Seed]) {
    let mut missing = Vec::new();
    for (target, name, bytes) in seeds {
        assert!(targets.iter().any(|(known, _)| known == target), "{target}");
        let file = corpus().join(target).join(format!("seed-{name}"));
        if std::fs::read(&file).ok().as_ref() != Some(bytes) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, bytes).unwrap();
            missing.push(file);
        }
    }
    assert!(missing.is_empty(), "written now, to be committed: {missing:?}");
}

/// Runs each target over its seeds with bytes changed, doubled, left out and cut off: always the
/// same `rounds` of each seed.
pub(crate) fn damage(targets: &[Target], seeds: &[Seed], rounds: u64) {
    for (number, (target, _, whole)) in (1_u64..).zip(seeds) {
        let (_, body) = targets.iter().find(|(known, _)| known == target).unwrap();
        let mut random = Random(number << 32);
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                if bytes.is_empty() {
                    break;
                }
                let at = random.below(bytes.len());
                match random.below(8) {
                    0..=4 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                    5 => bytes.insert(at, bytes[at]),
                    6 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at),
                }
            }
            let shown = Shown { target, bytes: &bytes };
            body(shown.bytes);
        }
    }
}

/// Shows the input when the body panics.
struct Shown<'a> {
    target: &'a str,
    bytes: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}: {:02x?}", self.target, self.bytes);
            println!("as text: {}", String::from_utf8_lossy(self.bytes));
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// A number from 0 to below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}

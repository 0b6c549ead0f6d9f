//! A routing table that looks like the Internet's: prefix lengths, attribute sets, how they share.

use std::collections::HashSet;

use super::random::Random;
use super::wire::{self, Key, Set};

/// Prefixes per mille of each length, as in a full table of 2025 (mean 22.9).
const LENGTHS: &[(u8, u64)] = &[
    (24, 610),
    (23, 98),
    (22, 108),
    (21, 50),
    (20, 45),
    (19, 26),
    (18, 15),
    (17, 9),
    (16, 14),
    (15, 8),
    (14, 7),
    (13, 4),
    (12, 3),
    (11, 2),
    (10, 1),
];

/// What the senders announce together.
pub(super) struct Table {
    /// All prefixes; those from `real` on are ghosts, which come and go within a run.
    pub(super) keys: Vec<Key>,
    /// How many prefixes stay.
    pub(super) real: usize,
    pub(super) sets: Vec<Set>,
    /// The indices of a set's prefixes are `members[starts[set]..starts[set + 1]]`.
    members: Vec<u32>,
    starts: Vec<u32>,
}

impl Table {
    /// A table of `real` prefixes with about 0.266 attribute sets each, and one ghost per hundred.
    pub(super) fn generate(seed: u64, real: usize, paths: &[Vec<u32>]) -> Table {
        let mut random = Random::new(seed);
        let sets = (real * 266 / 1000).max(1);
        let keys = keys(&mut random, real + real / 100);
        let sets: Vec<_> = (0..sets).map(|number| set(&mut random, number, paths)).collect();
        // Each set has a prefix; the others go to few sets more than to many.
        let mut of: Vec<u32> = (0..real)
            .map(|i| if i < sets.len() { i } else { random.skewed(sets.len()) } as u32)
            .collect();
        random.shuffle(&mut of);
        let mut starts = vec![0; sets.len() + 1];
        for set in &of {
            starts[*set as usize + 1] += 1;
        }
        for i in 0..sets.len() {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut members = vec![0; real];
        for (prefix, set) in of.iter().enumerate() {
            let place = &mut next[*set as usize];
            members[*place as usize] = prefix as u32;
            *place += 1;
        }
        Table { keys, real, sets, members, starts }
    }

    /// The prefixes of a set.
    pub(super) fn members(&self, set: usize) -> &[u32] {
        &self.members[self.starts[set] as usize..self.starts[set + 1] as usize]
    }
}

fn keys(random: &mut Random, count: usize) -> Vec<Key> {
    let total: u64 = LENGTHS.iter().map(|(_, share)| share).sum();
    let (mut keys, mut seen) = (Vec::with_capacity(count), HashSet::with_capacity(count));
    while keys.len() < count {
        let mut pick = random.below(total);
        let mut length = 24;
        for (candidate, share) in LENGTHS {
            if pick < *share {
                length = *candidate;
                break;
            }
            pick -= share;
        }
        let address = (random.next() as u32) & (u32::MAX << (32 - u32::from(length)));
        let key = wire::key(address, length);
        if public(address, length) && seen.insert(key) {
            keys.push(key);
        }
    }
    keys
}

/// Not what some daemon would refuse or what the bench itself uses.
fn public(address: u32, length: u8) -> bool {
    const OURS: &[(u32, u8)] = &[
        (0x0000_0000, 8),
        (0x0a00_0000, 8),
        (0x6440_0000, 10),
        (0x7f00_0000, 8),
        (0xa9fe_0000, 16),
        (0xac10_0000, 12),
        (0xc000_0000, 16),
        (0xc0a8_0000, 16),
        (0xc612_0000, 15),
        (0xe000_0000, 3),
    ];
    OURS.iter().all(|(taken, taken_length)| {
        let mask = u32::MAX << (32 - u32::from(length.min(*taken_length)));
        (address ^ taken) & mask != 0
    })
}

fn set(random: &mut Random, number: usize, paths: &[Vec<u32>]) -> Set {
    let mut path = match paths.get(number) {
        Some(path) => path.clone(),
        None => paths[random.below(paths.len() as u64) as usize].clone(),
    };
    // There are more sets than paths at hand: half of the rest are other origins behind the same
    // networks, half differ by what is hung on them only, as in a real table.
    if number >= paths.len() && number.is_multiple_of(2) {
        path.push(131_072 + random.below(300_000) as u32);
    }
    let communities = match random.below(10) {
        0..=3 => 0,
        4..=8 => 1 + random.below(5),
        _ => 6 + random.below(15),
    };
    let communities = (0..communities)
        .map(|_| (1 + random.skewed(60_000) as u32) << 16 | random.below(4_000) as u32);
    let mut communities: Vec<u32> = communities.collect();
    communities.sort_unstable();
    communities.dedup();
    Set {
        origin: if random.below(10) == 0 { 2 } else { 0 },
        path,
        med: (random.below(10) < 3).then(|| random.below(1_000) as u32),
        communities,
    }
}

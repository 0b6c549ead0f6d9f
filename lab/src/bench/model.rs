//! What each receiver must hold, and what it holds.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::wire::{self, Broken, Key};

/// No path is held or wanted.
pub(super) const ABSENT: u32 = 0;
/// A path that no sender gave, or a next hop that is not the router's.
const WRONG: u32 = u32::MAX;

/// Prefix to its index: one cache line a look-up.
#[derive(Clone)]
pub(super) struct Index {
    /// The prefix's 38 bits above 24 bits of index plus one; 0 is free.
    slots: Vec<u64>,
    shift: u32,
}

impl Index {
    pub(super) fn new(keys: &[Key]) -> Index {
        let size = (keys.len() * 2).next_power_of_two().max(2);
        let mut index = Index { slots: vec![0; size], shift: 64 - size.trailing_zeros() };
        for (number, key) in keys.iter().enumerate() {
            let mut at = index.home(*key);
            while index.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            index.slots[at] = packed(*key) << 24 | (number as u64 + 1);
        }
        index
    }

    fn home(&self, key: Key) -> usize {
        (packed(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    pub(super) fn find(&self, key: Key) -> Option<usize> {
        let mut at = self.home(key);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot >> 24 == packed(key) {
                return Some((slot & 0xff_ffff) as usize - 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// The length takes 6 bits of its 8, so that 38 are enough.
fn packed(key: Key) -> u64 {
    (key >> 8) << 6 | (key & 63)
}

/// AS_PATH values that receivers may see, numbered from 1.
#[derive(Clone, Default)]
pub(super) struct Paths(HashMap<Vec<u8>, u32>);

impl Paths {
    /// The number of a path, which is given one when it is new.
    pub(super) fn number(&mut self, value: Vec<u8>) -> u32 {
        let next = self.0.len() as u32 + 1;
        *self.0.entry(value).or_insert(next)
    }

    fn find(&self, value: &[u8]) -> u32 {
        self.0.get(value).copied().unwrap_or(WRONG)
    }
}

/// What is true for all receivers.
pub(super) struct Model {
    pub(super) keys: Vec<Key>,
    pub(super) index: Index,
    pub(super) paths: Paths,
    /// The one next hop that receivers shall see.
    pub(super) next_hop: u32,
    /// The path wanted of each prefix at the end, [`ABSENT`] for none.
    pub(super) want: Vec<u32>,
    /// The sender that each prefix is from; what comes back to it is not looked at.
    pub(super) from: Vec<u16>,
}

impl Model {
    fn wanted_by(&self, receiver: u16, prefix: usize) -> u32 {
        if self.from[prefix] == receiver { ABSENT } else { self.want[prefix] }
    }
}

/// What one receiver holds.
pub(super) struct Held {
    model: Arc<Model>,
    receiver: u16,
    now: Vec<u32>,
    wanted: usize,
    /// Prefixes that are held as wanted.
    right: usize,
    /// Prefixes that are held and should not be, or with another path.
    wrong: usize,
    /// A prefix that no sender has.
    unknown: Option<Key>,
    /// Prefixes, by index, whose every change is noted.
    watched: Range<usize>,
    /// What became of watched prefixes since it was last asked for.
    seen: Vec<Sight>,
}

/// A watched prefix has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) prefix: usize,
    pub(super) present: bool,
    pub(super) at: Instant,
}

impl Held {
    pub(super) fn new(model: &Arc<Model>, receiver: u16) -> Held {
        let now = vec![ABSENT; model.keys.len()];
        let mut held = Held {
            model: Arc::clone(model),
            receiver,
            now,
            wanted: 0,
            right: 0,
            wrong: 0,
            unknown: None,
            watched: 0..0,
            seen: Vec::new(),
        };
        held.expect(Arc::clone(model));
        held
    }

    /// From now on another end is wanted; what is held stays held.
    pub(super) fn expect(&mut self, model: Arc<Model>) {
        self.model = model;
        (self.wanted, self.right, self.wrong) = (0, 0, 0);
        for (prefix, now) in self.now.iter().enumerate() {
            let want = self.model.wanted_by(self.receiver, prefix);
            self.wanted += usize::from(want != ABSENT);
            self.right += usize::from(want != ABSENT && *now == want);
            self.wrong += usize::from(*now != ABSENT && *now != want);
        }
    }

    /// Notes from now on when each of these prefixes, by index, comes and goes.
    pub(super) fn watch(&mut self, prefixes: Range<usize>) {
        self.watched = prefixes;
    }

    /// What was noted since the last call.
    pub(super) fn take_seen(&mut self) -> Vec<Sight> {
        std::mem::take(&mut self.seen)
    }

    /// Takes in the body of an UPDATE.
    pub(super) fn update(&mut self, body: &[u8]) -> Result<(), Broken> {
        let [withdrawn, attributes, nlri] = wire::parts(body)?;
        wire::prefixes(withdrawn, |key| self.set(key, ABSENT))?;
        if nlri.is_empty() {
            return Ok(());
        }
        let (path, next_hop) = wire::path_and_next_hop(attributes)?;
        let model = Arc::clone(&self.model);
        let path = if next_hop == model.next_hop { model.paths.find(path) } else { WRONG };
        wire::prefixes(nlri, |key| self.set(key, path))
    }

    fn set(&mut self, key: Key, path: u32) {
        let Some(prefix) = self.model.index.find(key) else {
            self.unknown = Some(key);
            return;
        };
        // What comes back to its sender has the sender's AS number in its path, and every speaker
        // drops it (RFC 4271 §9.1.2): daemons that send to a whole group do this.
        if self.model.from[prefix] == self.receiver {
            return;
        }
        if self.watched.contains(&prefix) {
            self.seen.push(Sight { prefix, present: path != ABSENT, at: Instant::now() });
        }
        let want = self.model.wanted_by(self.receiver, prefix);
        let before = std::mem::replace(&mut self.now[prefix], path);
        self.right -= usize::from(want != ABSENT && before == want);
        self.wrong -= usize::from(before != ABSENT && before != want);
        self.right += usize::from(want != ABSENT && path == want);
        self.wrong += usize::from(path != ABSENT && path != want);
    }

    /// True when it holds exactly what it shall hold.
    pub(super) fn complete(&self) -> bool {
        self.right == self.wanted && self.wrong == 0 && self.unknown.is_none()
    }

    /// What is not as it shall be, for people.
    pub(super) fn complaint(&self) -> String {
        if let Some(key) = self.unknown {
            return format!(
                "receiver {} got {}, which nobody sent",
                self.receiver,
                wire::text(key)
            );
        }
        let example = self.now.iter().enumerate().find_map(|(prefix, now)| {
            let want = self.model.wanted_by(self.receiver, prefix);
            let key = wire::text(*self.model.keys.get(prefix)?);
            (*now != want).then(|| match (*now, want) {
                (ABSENT, _) => format!("{key} is missing"),
                (_, ABSENT) => format!("{key} is stale"),
                (WRONG, _) => format!("{key} has a path or next hop that nobody sent"),
                _ => format!("{key} has an old path"),
            })
        });
        format!(
            "receiver {} holds {} of {} prefixes, {} wrong; {}",
            self.receiver,
            self.right,
            self.wanted,
            self.wrong,
            example.unwrap_or_default()
        )
    }
}

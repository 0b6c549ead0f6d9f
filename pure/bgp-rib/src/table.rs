use inet::Prefix;

use crate::attrs::AttrId;
use crate::hash::Keyed;
use crate::index::ShardedIndex;
use crate::pages::Slots;
use crate::peer::PeerId;

/// One path to a prefix. What it says is in its attribute set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) attr: AttrId,
    pub(crate) peer: PeerId,
    /// Which session of the peer it came over: an older one's paths are stale or dead, without
    /// any of them being touched.
    pub(crate) epoch: u16,
}

/// The paths of a prefix; most have one.
#[derive(Debug)]
enum Paths {
    One(Path),
    Many(Box<[Path]>),
}

/// A prefix and what is known about it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) prefix: Prefix,
    /// How many paths, from the first on, are used. The first is the best.
    pub(crate) used: u8,
    /// Waits in the queue of changes for the FIB.
    pub(crate) fib_queued: bool,
    /// The FIB was told of a path.
    pub(crate) installed: bool,
    paths: Paths,
}

/// All prefixes of a family. Entries keep their number while they live.
#[derive(Debug, Default)]
pub(crate) struct Table {
    index: ShardedIndex,
    entries: Slots<Entry>,
}

impl Entry {
    pub(crate) fn paths(&self) -> &[Path] {
        match &self.paths {
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Many(paths) => paths,
        }
    }

    pub(crate) fn paths_mut(&mut self) -> &mut [Path] {
        match &mut self.paths {
            Paths::One(path) => std::slice::from_mut(path),
            Paths::Many(paths) => paths,
        }
    }

    /// The path that is used first.
    pub(crate) fn best(&self) -> Option<Path> {
        if self.used == 0 { None } else { self.paths().first().copied() }
    }

    /// Puts the path in place of the peer's former one, which is given back, or beside the others.
    pub(crate) fn put(&mut self, path: Path) -> Option<Path> {
        if let Some(old) = self.paths_mut().iter_mut().find(|old| old.peer == path.peer) {
            return Some(std::mem::replace(old, path));
        }
        self.paths = if self.paths().is_empty() {
            Paths::One(path)
        } else {
            Paths::Many(self.paths().iter().copied().chain([path]).collect())
        };
        None
    }

    /// Takes out the paths for which `gone` holds. The order of the others stays.
    pub(crate) fn take(&mut self, mut gone: impl FnMut(&Path) -> bool) {
        let used = usize::from(self.used);
        let mut used_left = self.used;
        let mut at = 0;
        let left: Vec<Path> = self
            .paths()
            .iter()
            .filter(|path| {
                let goes = gone(path);
                used_left -= u8::from(goes && at < used);
                at += 1;
                !goes
            })
            .copied()
            .collect();
        self.used = used_left;
        self.paths = match left[..] {
            [one] => Paths::One(one),
            _ => Paths::Many(left.into()),
        };
    }
}

impl Table {
    pub(crate) fn find(&self, keyed: Keyed, prefix: &Prefix) -> Option<u32> {
        let is = |at| self.entries.get(at).is_some_and(|entry| entry.prefix == *prefix);
        self.index.find(keyed.prefix(prefix), is)
    }

    pub(crate) fn find_or_insert(&mut self, keyed: Keyed, prefix: &Prefix) -> u32 {
        if let Some(at) = self.find(keyed, prefix) {
            return at;
        }
        let at = self.entries.insert(Entry {
            prefix: *prefix,
            used: 0,
            fib_queued: false,
            installed: false,
            paths: Paths::Many(Box::default()),
        });
        let entries = &self.entries;
        let rehash = |at| entries.get(at).map_or(0, |entry| keyed.prefix(&entry.prefix));
        self.index.insert(keyed.prefix(prefix), at, rehash);
        at
    }

    pub(crate) fn remove(&mut self, keyed: Keyed, at: u32) {
        if let Some(entry) = self.entries.remove(at) {
            self.index.remove(keyed.prefix(&entry.prefix), at);
        }
    }

    pub(crate) fn get(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at)
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.entries.get_mut(at)
    }

    /// One past the highest entry number.
    pub(crate) fn end(&self) -> u32 {
        self.entries.end()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> + '_ {
        (0..self.end()).filter_map(|at| self.get(at))
    }
}

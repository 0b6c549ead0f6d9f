//! All prefixes of a family with their paths.

use std::net::IpAddr;

use bgp_packet::PathId;
use inet::{Family, Prefix};

use crate::ahead::{self, AHEAD};
use crate::attrs::{AttrId, Post};
use crate::decision::MAX_PATHS;
use crate::hash::Keyed;
use crate::index::ShardedIndex;
use crate::pages::{Pages, Slots};
use crate::peer::PeerId;

/// One path to a prefix. What it says is in its attribute sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// As received.
    pub(crate) attr: AttrId,
    /// As import has left it.
    pub(crate) post: Post,
    pub(crate) peer: PeerId,
    /// Which session of the peer it came over: an older one's paths are stale or dead, without
    /// any of them being touched.
    pub(crate) epoch: u16,
    /// The peer's path id (RFC 7911); 0 without.
    pub(crate) id: u32,
    /// Our own path id: unique among the paths of the prefix, and kept while the path is there.
    pub(crate) local: u16,
}

/// A prefix that is looked for together with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought {
    pub(crate) id: PathId,
    pub(crate) prefix: Prefix,
    hash: u64,
    /// Its entry, once it is found.
    pub(crate) at: Option<u32>,
}

impl Sought {
    pub(crate) fn new(id: PathId, prefix: Prefix) -> Sought {
        Sought { id, prefix, hash: 0, at: None }
    }
}

/// Stands in place of the peer of an entry's path: there are several, or none.
const MANY: PeerId = PeerId(u16::MAX);

/// A prefix and what is known about it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// An IPv4 prefix; of an IPv6 prefix its hash.
    tag: [u32; 2],
    /// The one path; of several, their place in [`Table::many`].
    path: Path,
    /// How many paths, from the first on, are used. The first is the best.
    used: u8,
    /// Waits in the queue of changes for the FIB.
    fib_queued: bool,
    /// The FIB was told of a path.
    installed: bool,
}

/// All prefixes of a family. Entries keep their number while they live.
#[derive(Debug)]
pub(crate) struct Table {
    family: Family,
    index: ShardedIndex,
    entries: Slots<Entry>,
    many: Slots<Vec<Path>>,
    /// IPv6 prefixes: address and length.
    wide: Pages<(u64, u64, u8)>,
}

impl Table {
    pub(crate) fn new(family: Family) -> Table {
        Table {
            family,
            index: ShardedIndex::default(),
            entries: Slots::default(),
            many: Slots::default(),
            wide: Pages::default(),
        }
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn find(&self, keyed: Keyed, prefix: &Prefix) -> Option<u32> {
        self.find_hashed(keyed.prefix(prefix), prefix)
    }

    /// Finds several prefixes, at most [`AHEAD`].
    pub(crate) fn find_all(&self, keyed: Keyed, sought: &mut [Sought]) {
        for one in &mut *sought {
            one.hash = keyed.prefix(&one.prefix);
        }
        // By half of the hash, which is nearly always right.
        for one in &mut *sought {
            one.at = self.index.find(one.hash, |_| true);
        }
        let tag = |one: &Sought| one.at.and_then(|at| self.entries.get(at)).map(|e| e.tag[0]);
        ahead::read(sought.iter().map(|one| u64::from(tag(one).unwrap_or(0))));
        for one in &mut *sought {
            if let Some(at) = one.at
                && !self.is(at, tag_of(one.hash, &one.prefix), &one.prefix)
            {
                one.at = self.find_hashed(one.hash, &one.prefix);
            }
        }
    }

    fn is(&self, at: u32, tag: [u32; 2], prefix: &Prefix) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.tag == tag)
            && (self.family == Family::Ipv4 || self.wide[at] == wide(prefix))
    }

    fn find_hashed(&self, hash: u64, prefix: &Prefix) -> Option<u32> {
        let tag = tag_of(hash, prefix);
        self.index.find(hash, |at| self.is(at, tag, prefix))
    }

    pub(crate) fn find_or_insert(&mut self, keyed: Keyed, prefix: &Prefix) -> u32 {
        let hash = keyed.prefix(prefix);
        if let Some(at) = self.find_hashed(hash, prefix) {
            return at;
        }
        let none = Post::out(crate::decision::Ineligible::Dead);
        let path =
            Path { attr: AttrId(u32::MAX), post: none, peer: MANY, epoch: 0, id: 0, local: 0 };
        let at = self.entries.insert(Entry {
            tag: tag_of(hash, prefix),
            path,
            used: 0,
            fib_queued: false,
            installed: false,
        });
        if self.family == Family::Ipv6 {
            self.wide[at] = wide(prefix);
        }
        self.index.insert(hash, at);
        at
    }

    /// Removes the entries for which `unused` holds.
    pub(crate) fn remove_all(
        &mut self,
        keyed: Keyed,
        all: &[u32],
        unused: impl Fn(&Table, u32) -> bool,
    ) {
        for some in all.chunks(AHEAD) {
            self.read_ahead(some.iter().copied());
            let mut hashes = [0; AHEAD];
            for (hash, at) in hashes.iter_mut().zip(some) {
                *hash = self.prefix(*at).map_or(0, |prefix| keyed.prefix(&prefix));
            }
            let found = hashes.iter().zip(some).map(|(hash, _)| self.index.find(*hash, |_| true));
            ahead::read(found.map(|at| at.unwrap_or(0).into()));
            for (hash, at) in hashes.iter().zip(some) {
                if unused(self, *at) {
                    self.remove_hashed(*hash, *at);
                }
            }
        }
    }

    /// Somebody is about to look at these entries.
    pub(crate) fn read_ahead(&self, all: impl Iterator<Item = u32>) {
        ahead::read(all.map(|at| self.entries.get(at).map_or(0, |entry| entry.tag[0].into())));
    }

    pub(crate) fn remove(&mut self, keyed: Keyed, at: u32) {
        if let Some(prefix) = self.prefix(at) {
            self.remove_hashed(keyed.prefix(&prefix), at);
        }
    }

    fn remove_hashed(&mut self, hash: u64, at: u32) {
        if let Some(entry) = self.entries.remove(at) {
            self.index.remove(hash, at);
            if entry.path.peer == MANY {
                self.many.remove(entry.path.attr.0);
            }
        }
    }

    /// The prefix of an entry; none: no such entry.
    pub(crate) fn prefix(&self, at: u32) -> Option<Prefix> {
        prefix_of(self.family, self.entries.get(at)?.tag, self.wide[at])
    }

    pub(crate) fn exists(&self, at: u32) -> bool {
        self.entries.get(at).is_some()
    }

    /// The paths; those that are used come first.
    pub(crate) fn paths(&self, at: u32) -> &[Path] {
        match self.entries.get(at) {
            None => &[],
            Some(entry) if entry.path.peer == MANY => {
                self.many.get(entry.path.attr.0).map_or(&[], |many| many)
            }
            Some(entry) => std::slice::from_ref(&entry.path),
        }
    }

    pub(crate) fn paths_mut(&mut self, at: u32) -> &mut [Path] {
        match self.entries.get_mut(at) {
            None => &mut [],
            Some(entry) if entry.path.peer == MANY => {
                self.many.get_mut(entry.path.attr.0).map_or(&mut [], |many| many)
            }
            Some(entry) => std::slice::from_mut(&mut entry.path),
        }
    }

    /// The paths that are used, best first.
    pub(crate) fn used(&self, at: u32) -> &[Path] {
        let used = self.entries.get(at).map_or(0, |entry| entry.used);
        self.paths(at).get(..usize::from(used)).unwrap_or(&[])
    }

    pub(crate) fn set_used(&mut self, at: u32, used: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.used = u8::try_from(used).unwrap_or(u8::MAX);
        }
    }

    /// The path that is used first.
    pub(crate) fn best(&self, at: u32) -> Option<Path> {
        self.used(at).first().copied()
    }

    /// Puts the path in place of another one of its peer, which is given back, or beside the
    /// others. A path too many is given back itself. The local path id is chosen here.
    pub(crate) fn put(&mut self, at: u32, mut path: Path) -> Option<Path> {
        match spot(self.paths(at), &path) {
            Spot::Of(i) => {
                let old = self.paths_mut(at).get_mut(i)?;
                path.local = old.local;
                return Some(std::mem::replace(old, path));
            }
            Spot::Beside(local) => path.local = local,
            Spot::None => return Some(path),
        }
        let entry = self.entries.get_mut(at)?;
        if entry.path.peer != MANY {
            let many = self.many.insert(vec![entry.path, path]);
            (entry.path.peer, entry.path.attr) = (MANY, AttrId(many));
        } else if let Some(many) = self.many.get_mut(entry.path.attr.0) {
            many.push(path);
        } else {
            entry.path = path;
        }
        None
    }

    /// Takes out the paths for which `gone` holds. The order of the others stays.
    pub(crate) fn take(&mut self, at: u32, mut gone: impl FnMut(&Path) -> bool) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        if entry.path.peer != MANY {
            if gone(&entry.path) {
                (entry.path.peer, entry.path.attr, entry.used) = (MANY, AttrId(u32::MAX), 0);
            }
            return;
        }
        let slot = entry.path.attr.0;
        let Some(many) = self.many.get_mut(slot) else { return };
        let (used, mut left, mut i) = (usize::from(entry.used), 0, 0);
        many.retain(|path| {
            let stays = !gone(path);
            left += u8::from(stays && i < used);
            i += 1;
            stays
        });
        entry.used = left;
        match many[..] {
            [] => {
                self.many.remove(slot);
                entry.path.attr = AttrId(u32::MAX);
            }
            [one] => {
                self.many.remove(slot);
                entry.path = one;
            }
            [..] => {}
        }
    }

    /// Notes that an entry waits for the FIB; whether it already did.
    pub(crate) fn queue_fib(&mut self, at: u32, queued: bool) -> bool {
        let entry = self.entries.get_mut(at);
        entry.is_none_or(|entry| std::mem::replace(&mut entry.fib_queued, queued))
    }

    /// Notes whether the FIB has a path; whether it had one.
    pub(crate) fn install(&mut self, at: u32, installed: bool) -> bool {
        let entry = self.entries.get_mut(at);
        entry.is_some_and(|entry| std::mem::replace(&mut entry.installed, installed))
    }

    /// Whether nothing in the table itself keeps the entry.
    pub(crate) fn is_unused(&self, at: u32) -> bool {
        let idle = |entry: &Entry| !entry.fib_queued && !entry.installed;
        self.entries.get(at).is_some_and(idle) && self.paths(at).is_empty()
    }

    /// One past the highest entry number.
    pub(crate) fn end(&self) -> u32 {
        self.entries.end()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Where a path goes.
enum Spot {
    /// In place of another one.
    Of(usize),
    /// Beside the others, with this local path id.
    Beside(u16),
    /// Nowhere.
    None,
}

/// A peer chooses its path ids: of its own it has at most [`MAX_PATHS`] to a prefix, or each
/// further one would cost a look at ever more. Those of an older session make way.
fn spot(paths: &[Path], new: &Path) -> Spot {
    let of_peer = || paths.iter().enumerate().filter(|(_, old)| old.peer == new.peer);
    if let Some((i, _)) = of_peer().find(|(_, old)| old.id == new.id) {
        return Spot::Of(i);
    }
    if of_peer().count() < MAX_PATHS {
        return free_local(paths).map_or(Spot::None, Spot::Beside);
    }
    match of_peer().map(|(i, old)| (new.epoch.wrapping_sub(old.epoch), i)).max() {
        Some((1.., oldest)) => Spot::Of(oldest),
        Some((0, _)) | None => Spot::None,
    }
}

/// A local path id that no path has: one above the highest, so that a freed one rests.
fn free_local(paths: &[Path]) -> Option<u16> {
    let highest = paths.iter().map(|path| path.local).max().unwrap_or(0);
    highest
        .checked_add(1)
        .or_else(|| (1..u16::MAX).find(|id| paths.iter().all(|path| path.local != *id)))
}

fn tag_of(hash: u64, prefix: &Prefix) -> [u32; 2] {
    match prefix.address() {
        IpAddr::V4(a) => [u32::from(a), u32::from(prefix.len())],
        IpAddr::V6(_) => [hash as u32, (hash >> 32) as u32],
    }
}

fn wide(prefix: &Prefix) -> (u64, u64, u8) {
    let bits = match prefix.address() {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    };
    ((bits >> 64) as u64, bits as u64, prefix.len())
}

fn prefix_of(family: Family, tag: [u32; 2], wide: (u64, u64, u8)) -> Option<Prefix> {
    let (address, len) = match family {
        Family::Ipv4 => (IpAddr::V4(tag[0].into()), tag[1] as u8),
        Family::Ipv6 => {
            (IpAddr::V6((u128::from(wide.0) << 64 | u128::from(wide.1)).into()), wide.2)
        }
    };
    Prefix::truncated(address, len).ok()
}

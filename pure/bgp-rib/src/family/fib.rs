//! What changes for the FIB.

use crate::ahead::AHEAD;
use crate::family::{Best, BestPath, FamilyRib, World};
use crate::peer::PeerId;
use crate::steps;
use crate::table::Path;

/// Most entries of which the FIB needs no word that are passed over in one call.
const PASSED: usize = 1024;

impl FamilyRib {
    /// The FIB is told again of the paths of an entry.
    pub(crate) fn tell_again(&mut self, idx: u32) {
        if !self.table.used(idx).is_empty() && !self.table.queue_fib(idx, true) {
            self.fib.push_back(idx);
        }
    }

    /// The next change for the FIB.
    pub(crate) fn poll_best(&mut self, world: &World) -> Option<Best> {
        for _ in 0..PASSED {
            let idx = self.next_for_fib()?;
            steps::add(1);
            let Some(prefix) = self.table.prefix(idx) else { continue };
            self.table.queue_fib(idx, false);
            let learned = || self.table.used(idx).iter().filter(|path| path.peer != PeerId::LOCAL);
            let weights = weights(world, learned());
            let paths: Vec<BestPath> = learned()
                .enumerate()
                .filter_map(|(i, path)| {
                    let set = world.set(path)?;
                    let peer = world.peers.get(usize::from(path.peer.0))?;
                    Some(BestPath {
                        next_hop: set.next_hop()?,
                        peer: peer.address,
                        kind: peer.kind,
                        med: set.facts.med,
                        weight: weights.get(i).copied().unwrap_or(1),
                        discard: set.facts.discard(),
                    })
                })
                .collect();
            let discard = match world.aggregates.wanted.is_empty() {
                true => None,
                false => self.discard(world, idx, &prefix),
            };
            let wanted = !paths.is_empty() || discard.is_some();
            let told = self.table.install(idx, wanted);
            self.free_if_unused(world.keyed, idx);
            if told || wanted {
                return Some(Best { prefix, paths, discard });
            }
        }
        self.fib_waits = !self.fib.is_empty();
        None
    }

    /// What changes next for the FIB; a number of them are looked at together.
    fn next_for_fib(&mut self) -> Option<u32> {
        if self.fib_read == 0 {
            let next = || self.fib.iter().take(AHEAD).copied();
            self.table.read_ahead(next());
            // Of those that are gone the groups are asked too.
            self.read_groups(next().filter(|idx| self.table.paths(*idx).is_empty()));
            self.fib_read = self.fib.len().min(AHEAD);
        }
        let idx = self.fib.pop_front()?;
        self.fib_read -= 1;
        Some(idx)
    }
}

/// The paths' parts by link bandwidth, the widest 256; empty: all the same.
fn weights<'p>(world: &World, paths: impl Iterator<Item = &'p Path> + Clone) -> Vec<u32> {
    if !world.settings.multipath.link_bandwidth {
        return Vec::new();
    }
    let all: Option<Vec<f32>> = paths.map(|path| world.facts(path)?.bandwidth()).collect();
    let all = all.unwrap_or_default();
    let widest = all.iter().copied().fold(0.0, f32::max);
    if widest <= 0.0 || all.len() < 2 || all.iter().all(|other| *other == widest) {
        return Vec::new();
    }
    let part = |bandwidth: &f32| ((bandwidth / widest * 256.0).round() as u32).clamp(1, 256);
    all.iter().map(part).collect()
}

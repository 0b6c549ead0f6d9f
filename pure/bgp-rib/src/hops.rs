use std::collections::{BTreeMap, VecDeque};

use inet::ScopedAddr;

use crate::pages::Slots;

/// The number of a next hop that some attribute set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HopId(u32);

impl HopId {
    /// Of routes originated here: always resolved.
    pub(crate) const SELF: HopId = HopId(u32::MAX);
}

/// A change in which next hops are to be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// Tell how this address resolves, now and whenever that changes.
    Begin(ScopedAddr),
    /// No path has this next hop any more.
    End(ScopedAddr),
}

/// Next hops in use, counted, with how far away they are.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    by_address: BTreeMap<ScopedAddr, HopId>,
    slots: Slots<Hop>,
    changes: VecDeque<Track>,
}

#[derive(Debug)]
struct Hop {
    address: ScopedAddr,
    refs: u32,
    metric: Option<u32>,
}

impl Hops {
    pub(crate) fn acquire(&mut self, address: ScopedAddr) -> HopId {
        if let Some(id) = self.by_address.get(&address) {
            if let Some(hop) = self.slots.get_mut(id.0) {
                hop.refs += 1;
            }
            return *id;
        }
        let id = HopId(self.slots.insert(Hop { address, refs: 1, metric: None }));
        self.by_address.insert(address, id);
        self.changes.push_back(Track::Begin(address));
        id
    }

    pub(crate) fn release(&mut self, id: HopId) {
        let Some(hop) = self.slots.get_mut(id.0) else { return };
        hop.refs -= 1;
        if hop.refs == 0 {
            let address = hop.address;
            self.by_address.remove(&address);
            self.slots.remove(id.0);
            self.changes.push_back(Track::End(address));
        }
    }

    /// Distance of a resolved next hop; none while it does not resolve.
    pub(crate) fn metric(&self, id: HopId) -> Option<u32> {
        if id == HopId::SELF {
            return Some(0);
        }
        self.slots.get(id.0).and_then(|hop| hop.metric)
    }

    /// Takes over a resolution; the id if that changed something.
    pub(crate) fn resolve(&mut self, address: ScopedAddr, metric: Option<u32>) -> Option<HopId> {
        let id = *self.by_address.get(&address)?;
        let hop = self.slots.get_mut(id.0)?;
        if hop.metric == metric {
            return None;
        }
        hop.metric = metric;
        Some(id)
    }

    pub(crate) fn poll(&mut self) -> Option<Track> {
        self.changes.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ScopedAddr, Option<u32>)> + '_ {
        self.by_address.iter().map(|(address, id)| (*address, self.metric(*id)))
    }
}

//! Equal policies of several documents as one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::{Inner, Named, Policy};

/// Makes equal policies one value, so that to compare them again is to compare two pointers. A
/// document is read anew each time: each of its policies is compared in full here once, and not
/// for every peer that has it.
#[derive(Debug, Default)]
pub struct Shared {
    by_fingerprint: BTreeMap<u64, Vec<Named>>,
    /// What was seen already, by its place in memory, which it keeps while it is here; and the
    /// first one equal to it.
    seen: BTreeMap<Place, (Named, Named)>,
    chains: BTreeMap<Vec<Place>, Policy>,
}

/// Where definition and statements are in memory.
type Place = (usize, usize);

impl Shared {
    /// Equal ones that come later become this one.
    pub fn learn(&mut self, policy: &Policy) {
        self.share(&mut policy.clone());
    }

    /// The policy becomes the first one that was equal to it.
    pub fn share(&mut self, policy: &mut Policy) {
        let parts: Vec<Named> = policy.0.parts.iter().map(|part| self.part(part)).collect();
        let places = parts.iter().map(place).collect();
        let shared = self.chains.entry(places).or_insert_with_key(|places| {
            if policy.0.parts.iter().map(place).eq(places.iter().copied()) {
                return policy.clone();
            }
            let Inner { name, needs, .. } = &*policy.0;
            Policy(Arc::new(Inner { name: name.clone(), parts, needs: *needs }))
        });
        *policy = shared.clone();
    }

    /// The first policy of a chain that was equal to this one.
    fn part(&mut self, part: &Named) -> Named {
        let Shared { by_fingerprint, seen, .. } = self;
        let (_, first) = seen.entry(place(part)).or_insert_with(|| {
            let alike = by_fingerprint.entry(part.fingerprint()).or_default();
            let first = alike.iter().find(|first| *first == part).cloned();
            let first = first.unwrap_or_else(|| {
                alike.push(part.clone());
                part.clone()
            });
            (part.clone(), first)
        });
        first.clone()
    }
}

fn place(part: &Named) -> Place {
    (Arc::as_ptr(&part.definition).addr(), Arc::as_ptr(&part.statements).cast::<()>().addr())
}

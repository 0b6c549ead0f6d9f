//! Which prefix lengths are in use.

use std::collections::BTreeMap;

use inet::{Family, Prefix};

/// Which prefix lengths are in use per family, so that a longest match asks for few.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    ipv4: BTreeMap<u8, usize>,
    ipv6: BTreeMap<u8, usize>,
}

impl Lengths {
    pub(crate) fn of(&self, family: Family) -> &BTreeMap<u8, usize> {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut BTreeMap<u8, usize> {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }

    pub(crate) fn add(&mut self, prefix: &Prefix) {
        *self.of_mut(prefix.family()).entry(prefix.len()).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, prefix: &Prefix) {
        let lengths = self.of_mut(prefix.family());
        if let Some(count) = lengths.get_mut(&prefix.len()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                lengths.remove(&prefix.len());
            }
        }
    }
}

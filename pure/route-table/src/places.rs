//! Where the entries of prefixes are, in the order of prefixes.
//!
//! Keys are numbers: comparing prefixes themselves was most of the cost of large tables. Ordered
//! trees and no hashing, since peers choose the prefixes.

use std::collections::{BTreeMap, btree_map};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;

use inet::Prefix;

use crate::entry::Place;

#[derive(Debug, Default)]
pub(crate) struct Places {
    /// By address and length.
    ipv4: BTreeMap<u64, Place>,
    ipv6: BTreeMap<(u128, u8), Place>,
}

enum Key {
    Ipv4(u64),
    Ipv6((u128, u8)),
}

impl Places {
    pub(crate) fn get(&self, prefix: &Prefix) -> Option<Place> {
        match key(prefix) {
            Key::Ipv4(key) => self.ipv4.get(&key).copied(),
            Key::Ipv6(key) => self.ipv6.get(&key).copied(),
        }
    }

    /// The place of a prefix, or the one that `make` gives for it; whether it was made.
    pub(crate) fn get_or_insert(
        &mut self,
        prefix: &Prefix,
        make: impl FnOnce() -> Place,
    ) -> (Place, bool) {
        match key(prefix) {
            Key::Ipv4(key) => entry(self.ipv4.entry(key), make),
            Key::Ipv6(key) => entry(self.ipv6.entry(key), make),
        }
    }

    pub(crate) fn remove(&mut self, prefix: &Prefix) {
        match key(prefix) {
            Key::Ipv4(key) => self.ipv4.remove(&key),
            Key::Ipv6(key) => self.ipv6.remove(&key),
        };
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = Place> {
        self.ipv4.values().chain(self.ipv6.values()).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Prefix, Place)> {
        self.after(None)
    }

    /// Those behind a prefix, in order; none: from the first on.
    pub(crate) fn after(&self, after: Option<Prefix>) -> impl Iterator<Item = (Prefix, Place)> {
        let (ipv4, ipv6) = match after.as_ref().map(key) {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(Key::Ipv4(key)) => (Bound::Excluded(key), Bound::Unbounded),
            Some(Key::Ipv6(key)) => (Bound::Excluded(u64::MAX), Bound::Excluded(key)),
        };
        let ipv4 = self.ipv4.range((ipv4, Bound::Unbounded)).filter_map(|(key, place)| {
            let address = Ipv4Addr::from((key >> 8) as u32);
            Some((Prefix::truncated(address.into(), *key as u8).ok()?, *place))
        });
        let ipv6 = self.ipv6.range((ipv6, Bound::Unbounded)).filter_map(|((bits, len), place)| {
            let address = Ipv6Addr::from(*bits);
            Some((Prefix::truncated(address.into(), *len).ok()?, *place))
        });
        ipv4.chain(ipv6)
    }
}

fn key(prefix: &Prefix) -> Key {
    match prefix.address() {
        IpAddr::V4(address) => {
            Key::Ipv4(u64::from(u32::from(address)) << 8 | u64::from(prefix.len()))
        }
        IpAddr::V6(address) => Key::Ipv6((u128::from(address), prefix.len())),
    }
}

fn entry<K: Ord>(
    entry: btree_map::Entry<'_, K, Place>,
    make: impl FnOnce() -> Place,
) -> (Place, bool) {
    match entry {
        btree_map::Entry::Occupied(there) => (*there.get(), false),
        btree_map::Entry::Vacant(free) => (*free.insert(make()), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_the_order_of_prefixes_and_behind_any() {
        let texts =
            ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "255.255.255.255/32", "::/0", "fd00::/64"];
        let prefixes: Vec<Prefix> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut places = Places::default();
        for (n, prefix) in prefixes.iter().enumerate().rev() {
            assert_eq!(places.get_or_insert(prefix, || n as Place), (n as Place, true));
            assert_eq!(places.get_or_insert(prefix, || 99), (n as Place, false));
        }
        let all: Vec<(Prefix, Place)> = prefixes.iter().copied().zip(0..).collect();
        assert!(prefixes.is_sorted());
        assert!(places.iter().eq(all.iter().copied()));
        assert!(places.values().eq(0..6));
        for (n, prefix) in prefixes.iter().enumerate() {
            assert_eq!(places.get(prefix), Some(n as Place));
            assert!(places.after(Some(*prefix)).eq(all[n + 1..].iter().copied()));
        }
        assert!(places.after(Some("11.0.0.0/8".parse().unwrap())).eq(all[3..].iter().copied()));
        places.remove(&prefixes[1]);
        assert_eq!(places.get(&prefixes[1]), None);
        assert_eq!(places.iter().count(), 5);
    }
}

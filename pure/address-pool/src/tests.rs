use std::collections::BTreeSet;
use std::net::IpAddr;

use inet::{Family, Prefix};
use proptest::prelude::*;

use crate::{
    AddressSet, BlockSize, ClaimError, MAX_BLOCKS_PER_CIDR, Pool, PoolError, first_overlap,
};

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(name: &str, cidrs: &[&str], size: BlockSize) -> Result<Pool, PoolError> {
    Pool::new(name, cidrs.iter().map(|c| prefix(c)).collect(), size)
}

#[test]
fn blocks_are_cut_from_the_start_and_the_first_address_is_used() {
    let pool = pool("default", &["10.1.0.0/24"], BlockSize::one(29)).unwrap();
    assert_eq!(pool.block_count(), 32);
    assert_eq!(pool.block(0), Some(prefix("10.1.0.0/29")));
    assert_eq!(pool.block(31), Some(prefix("10.1.0.248/29")));
    assert_eq!(pool.block(32), None);
    assert_eq!(pool.block_name(0), "default-0");
    let mut block = AddressSet::new(pool.block(0).unwrap());
    let all: Vec<_> = std::iter::from_fn(|| block.allocate()).collect();
    assert_eq!(all.len(), 8);
    assert_eq!((all[0], all[7]), (ip("10.1.0.0"), ip("10.1.0.7")));
    assert!(block.is_full());
}

#[test]
fn the_index_counts_over_all_cidrs_in_order() {
    let size = BlockSize { ipv4: Some(30), ipv6: Some(126) };
    let pool = pool("p", &["10.9.0.0/29", "fd00::/124", "10.0.0.0/30"], size).unwrap();
    let blocks: Vec<_> = (0..pool.block_count()).filter_map(|i| pool.block(i)).collect();
    let expect = [
        "10.9.0.0/30",
        "10.9.0.4/30",
        "fd00::/126",
        "fd00::4/126",
        "fd00::8/126",
        "fd00::c/126",
        "10.0.0.0/30",
    ];
    assert_eq!(blocks, expect.map(prefix));
    assert_eq!(pool.block_count_of(Family::Ipv6), 4);
    assert_eq!(pool.lowest_free_of(Family::Ipv6, &BTreeSet::from([0, 2])), Some(3));
    assert_eq!(pool.lowest_free_of(Family::Ipv4, &BTreeSet::from([0, 1])), Some(6));
    assert_eq!(pool.lowest_free(&BTreeSet::from([0, 1, 5])), Some(2));
    assert_eq!(pool.lowest_free(&(0..7).collect()), None);
    assert_eq!(pool.block_holding(&ip("fd00::9")), Some((4, prefix("fd00::8/126"))));
}

#[test]
fn without_a_block_size_each_cidr_is_one_block() {
    let pool = pool("lb", &["10.0.1.0/24", "fd01::/64"], BlockSize::WHOLE).unwrap();
    assert_eq!(pool.block_count(), 2);
    assert_eq!(
        (pool.block(0), pool.block(1)),
        (Some(prefix("10.0.1.0/24")), Some(prefix("fd01::/64")))
    );
    assert_eq!((pool.block_name(0).as_str(), pool.block_name(1).as_str()), ("lb", "lb-1"));
    let mut block = AddressSet::new(pool.block(0).unwrap());
    assert_eq!(block.allocate(), Some(ip("10.0.1.0")));
}

#[test]
fn what_is_no_pool_is_refused_by_name() {
    let check = |cidrs: &[&str], size: BlockSize, name: &str, text: &str| {
        let error = pool("p", cidrs, size).unwrap_err();
        assert_eq!((error.name(), error.to_string().as_str()), (name, text));
    };
    check(&[], BlockSize::WHOLE, "pool-empty", "the pool has no CIDR");
    check(
        &["10.0.0.0/30"],
        BlockSize::one(29),
        "block-size-too-short",
        "blockSize 29 is shorter than the prefix length of 10.0.0.0/30",
    );
    check(
        &["10.0.0.0/24"],
        BlockSize::one(64),
        "block-size-too-long",
        "blockSize 64 is over 32, the longest of an ipv4 prefix like 10.0.0.0/24",
    );
    // One size for both families seldom fits both: the other family is named.
    check(
        &["10.0.0.0/24", "fd00::/64"],
        BlockSize::one(29),
        "block-size-too-short",
        "blockSize 29 is shorter than the prefix length of fd00::/64",
    );
    check(
        &["10.0.0.0/24", "11.0.0.0/24", "10.0.0.128/25"],
        BlockSize::one(29),
        "pool-overlaps-itself",
        "10.0.0.0/24 and 10.0.0.128/25 of the pool overlap",
    );
}

#[test]
fn overlaps_between_pools_are_found() {
    let a = pool("a", &["10.0.0.0/24", "fd00::/64"], BlockSize::WHOLE).unwrap();
    let b = pool("b", &["10.0.1.0/24"], BlockSize::WHOLE).unwrap();
    let c = pool("c", &["10.2.0.0/24", "fd00::/48"], BlockSize::WHOLE).unwrap();
    assert_eq!(a.overlap(&b), None);
    assert_eq!(a.overlap(&c), Some((prefix("fd00::/64"), prefix("fd00::/48"))));
    let found = first_overlap(&a, [&a, &b, &c]).unwrap();
    assert_eq!((found.0.name(), found.1, found.2), ("c", prefix("fd00::/64"), prefix("fd00::/48")));
}

#[test]
fn the_widest_pools_stay_in_range() {
    let wide = pool("w", &["::/0", "10.0.0.0/8"], BlockSize { ipv4: Some(32), ipv6: Some(128) });
    let wide = wide.unwrap();
    assert_eq!(wide.block_count(), MAX_BLOCKS_PER_CIDR + (1 << 24));
    assert_eq!(wide.block(MAX_BLOCKS_PER_CIDR), Some(prefix("10.0.0.0/32")));
    assert_eq!(wide.index_of(&prefix("10.0.0.1/32")), Some(MAX_BLOCKS_PER_CIDR + 1));
    assert_eq!(wide.index_of(&prefix("::1:0:0/128")), None);
    assert_eq!(wide.size(Family::Ipv6), u128::MAX);
    let all = pool("all", &["::/0"], BlockSize::one(0)).unwrap();
    assert_eq!((all.block(0), all.index_of(&prefix("::/0"))), (Some(prefix("::/0")), Some(0)));
    let mut set = AddressSet::new(prefix("::/0"));
    set.claim(ip("ffff::")).unwrap();
    assert_eq!((set.used(), set.allocate()), (1, Some(ip("::"))));
}

#[test]
fn claims_outside_or_twice_are_refused_by_name() {
    let mut set = AddressSet::new(prefix("10.0.0.0/30"));
    set.claim(ip("10.0.0.1")).unwrap();
    assert_eq!(set.claim(ip("10.0.0.1")), Err(ClaimError::Taken(ip("10.0.0.1"))));
    let outside = set.claim(ip("fd00::1")).unwrap_err();
    assert_eq!(
        (outside.name(), outside.to_string().as_str()),
        ("address-outside", "fd00::1 is not in 10.0.0.0/30")
    );
    assert_eq!(
        set.free_addresses().collect::<Vec<_>>(),
        ["10.0.0.0", "10.0.0.2", "10.0.0.3"].map(ip)
    );
    assert!(!set.release(&ip("10.0.0.2")), "never used");
    assert!(set.release(&ip("10.0.0.1")));
    assert!(set.is_empty());
}

fn any_cidr() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (any::<u32>(), 0u8..=32)
            .prop_map(|(a, len)| Prefix::truncated(IpAddr::V4(a.into()), len).unwrap()),
        (any::<u128>(), 0u8..=128).prop_map(|(a, len)| Prefix::truncated(
            IpAddr::V6(a.into()),
            len
        )
        .unwrap()),
    ]
}

fn any_pool() -> impl Strategy<Value = Pool> {
    let size = (prop::option::of(0u8..=32), prop::option::of(0u8..=128));
    (prop::collection::vec(any_cidr(), 1..5), size)
        .prop_filter_map("a legal pool", |(cidrs, (v4, v6))| {
            Pool::new("p", cidrs, BlockSize { ipv4: v4, ipv6: v6 }).ok()
        })
}

proptest! {
    #[test]
    fn block_and_index_are_inverse_and_blocks_are_disjoint(pool in any_pool(), pick in any::<u64>()) {
        let count = pool.block_count();
        for index in [0, pick % count, count - 1] {
            let block = pool.block(index).unwrap();
            prop_assert_eq!(pool.index_of(&block), Some(index));
            prop_assert!(pool.cidrs().iter().any(|c| c.covers(&block)));
            prop_assert_eq!(pool.block_holding(&block.last_address()), Some((index, block)));
            if let Some(next) = pool.block(index + 1) {
                prop_assert!(!block.overlaps(&next));
            }
        }
        prop_assert_eq!(pool.block(count), None);
    }

    #[test]
    fn lowest_free_is_the_lowest_that_is_not_used(pool in any_pool(), used in prop::collection::btree_set(0u64..12, 0..12)) {
        let expect = (0..pool.block_count().min(20)).find(|i| !used.contains(i));
        prop_assert_eq!(pool.lowest_free(&used), expect);
        for family in Family::ALL {
            let found = pool.lowest_free_of(family, &used);
            if let Some(index) = found {
                prop_assert!(!used.contains(&index));
                prop_assert_eq!(pool.block(index).unwrap().family(), family);
            }
            let lower = (0..found.unwrap_or(pool.block_count()).min(20))
                .find(|i| !used.contains(i) && pool.block(*i).is_some_and(|b| b.family() == family));
            prop_assert_eq!(lower, None);
        }
    }

    /// The set against a plain list of the block's addresses.
    #[test]
    fn a_set_agrees_with_a_plain_list(v6 in any::<bool>(), steps in prop::collection::vec((0u8..3, 0u128..10), 0..60)) {
        let block = if v6 { prefix("fd00::8/125") } else { prefix("10.0.0.8/29") };
        let mut set = AddressSet::new(block);
        let mut list = [false; 8];
        for (what, n) in steps {
            let address = block.nth(n);
            match (what, address) {
                (0, _) => {
                    let expect = list.iter().position(|used| !used);
                    prop_assert_eq!(set.allocate(), expect.and_then(|i| block.nth(i as u128)));
                    if let Some(i) = expect { list[i] = true; }
                }
                (1, Some(address)) => {
                    prop_assert_eq!(set.claim(address).is_ok(), !list[n as usize]);
                    list[n as usize] = true;
                }
                (_, Some(address)) => {
                    prop_assert_eq!(set.release(&address), list[n as usize]);
                    list[n as usize] = false;
                }
                (_, None) => {}
            }
            let used: Vec<_> = (0..8u128).filter(|i| list[*i as usize]).filter_map(|i| block.nth(i)).collect();
            let free: Vec<_> = (0..8u128).filter(|i| !list[*i as usize]).filter_map(|i| block.nth(i)).collect();
            prop_assert_eq!(set.free(), free.len() as u128);
            prop_assert_eq!(set.used_addresses().collect::<Vec<_>>(), used);
            prop_assert_eq!(set.free_addresses().collect::<Vec<_>>(), free);
        }
    }
}

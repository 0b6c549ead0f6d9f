use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use inet::{Family, Prefix, Timestamp};
use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs(seconds))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn holder(id: &str) -> Holder {
    Holder { container_id: id.into(), ifname: "eth0".into() }
}

fn block(text: &str, pool: &str) -> NodeBlock {
    NodeBlock { prefix: prefix(text), pool: pool.into() }
}

fn v4(pool: &str) -> PoolChoice {
    PoolChoice { pool: pool.into(), family: Family::Ipv4 }
}

fn v6(pool: &str) -> PoolChoice {
    PoolChoice { pool: pool.into(), family: Family::Ipv6 }
}

fn facts(pool: &str, block_len: u8, free_blocks: u64, nodes_without: u64) -> PoolFacts {
    PoolFacts {
        pool: pool.into(),
        family: Family::Ipv4,
        auto: pool == "default",
        block_len,
        free_blocks,
        nodes_without,
    }
}

fn addresses(result: Result<Vec<Assigned>, Refusal>) -> Vec<String> {
    result.unwrap().iter().map(|a| a.address.to_string()).collect()
}

/// A node with one /30 block of the auto pool, and so many pods on it.
fn node(pods: u32, free_blocks: u64, nodes_without: u64) -> NodeIpam {
    let mut ipam = NodeIpam::new();
    ipam.set_pools(vec![facts("default", 30, free_blocks, nodes_without)]);
    ipam.set_blocks(at(0), &[block("10.1.0.0/30", "default")]);
    for n in 0..pods {
        ipam.allocate(&holder(&n.to_string()), &[v4("default")]).unwrap();
    }
    ipam
}

fn needs(ipam: &NodeIpam) -> Vec<(String, Urgency)> {
    ipam.needs().into_iter().map(|need| (need.of.pool, need.urgency)).collect()
}

#[test]
fn addresses_come_from_the_lowest_block_and_the_first_address_is_used() {
    let mut ipam = NodeIpam::new();
    ipam.set_blocks(at(0), &[block("10.1.0.8/31", "p"), block("10.1.0.0/31", "p")]);
    let got: Vec<_> = (0..4)
        .flat_map(|n| addresses(ipam.allocate(&holder(&n.to_string()), &[v4("p")])))
        .collect();
    assert_eq!(got, ["10.1.0.0", "10.1.0.1", "10.1.0.8", "10.1.0.9"]);
    ipam.release(at(1), &holder("1"));
    assert_eq!(addresses(ipam.allocate(&holder("x"), &[v4("p")])), ["10.1.0.1"]);
}

#[test]
fn a_pod_gets_all_of_its_addresses_or_none() {
    let mut ipam = NodeIpam::new();
    ipam.set_blocks(at(0), &[block("10.1.0.0/31", "p"), block("fd00::/128", "p")]);
    let both = [v4("p"), v6("p")];
    assert_eq!(addresses(ipam.allocate(&holder("a"), &both)), ["10.1.0.0", "fd00::"]);
    let refusal = ipam.allocate(&holder("b"), &both).unwrap_err();
    assert_eq!(refusal, Refusal::NoRoom { pool: "p".into(), family: Family::Ipv6 });
    assert_eq!(refusal.name(), "no-room");
    assert_eq!(ipam.blocks().map(|(_, _, used)| used).collect::<Vec<_>>(), [1, 1]);
    // The IPv4 address that "b" nearly had is free.
    assert_eq!(addresses(ipam.allocate(&holder("c"), &[v4("p")])), ["10.1.0.1"]);
}

#[test]
fn one_address_of_each_named_pool_in_order() {
    let mut ipam = NodeIpam::new();
    ipam.set_blocks(at(0), &[block("10.1.0.0/30", "a"), block("10.2.0.0/30", "b")]);
    let got = ipam.allocate(&holder("x"), &[v4("b"), v4("a")]).unwrap();
    let expect = [("10.2.0.0", "b"), ("10.1.0.0", "a")]
        .map(|(address, pool)| Assigned { address: ip(address), pool: pool.into() });
    assert_eq!(got, expect);
}

#[test]
fn the_same_holder_gets_the_same_again() {
    let mut ipam = node(1, 0, 0);
    let again = ipam.allocate(&holder("0"), &[v4("other")]).unwrap();
    assert_eq!(again, ipam.held_by(&holder("0")).unwrap());
    assert_eq!(ipam.release(at(1), &holder("0")), again);
    assert_eq!(ipam.release(at(1), &holder("0")), []);
}

#[test]
fn refusals_say_what_would_help() {
    let check = |ipam: &mut NodeIpam, choices: &[PoolChoice], name: &str| {
        assert_eq!(ipam.allocate(&holder("x"), choices).unwrap_err().name(), name);
    };
    let mut fresh = NodeIpam::new();
    check(&mut fresh, &[], "no-pool");
    check(&mut fresh, &[v4("default")], "no-room");
    let mut full = node(4, 3, 0);
    check(&mut full, &[v4("default")], "no-room");
    check(&mut full, &[v6("default")], "unknown-pool");
    check(&mut full, &[v4("nothing")], "unknown-pool");
    check(&mut node(4, 0, 0), &[v4("default")], "pool-exhausted");
}

#[test]
fn restored_records_are_in_use_whatever_comes_first() {
    let records = || [(holder("a"), vec![Assigned { address: ip("10.1.0.1"), pool: "p".into() }])];
    let blocks = [block("10.1.0.0/30", "p")];
    let mut first = NodeIpam::new();
    first.restore(records());
    assert_eq!(first.strays().count(), 1);
    first.set_blocks(at(0), &blocks);
    let mut second = NodeIpam::new();
    second.set_blocks(at(0), &blocks);
    second.restore(records());
    for mut ipam in [first, second] {
        assert_eq!(ipam.strays().count(), 0);
        let got: Vec<_> = (0..3)
            .flat_map(|n| addresses(ipam.allocate(&holder(&n.to_string()), &[v4("p")])))
            .collect();
        assert_eq!(got, ["10.1.0.0", "10.1.0.2", "10.1.0.3"]);
    }
}

#[test]
fn an_address_that_two_hold_is_told_and_stays_until_both_are_gone() {
    let mut ipam = NodeIpam::new();
    ipam.set_blocks(at(0), &[block("10.1.0.0/32", "p")]);
    let assigned = vec![Assigned { address: ip("10.1.0.0"), pool: "p".into() }];
    let twice = ipam.restore([(holder("a"), assigned.clone()), (holder("b"), assigned)]);
    assert_eq!(twice, [(holder("b"), ip("10.1.0.0"))]);
    ipam.release(at(1), &holder("a"));
    assert!(ipam.allocate(&holder("c"), &[v4("p")]).is_err());
    ipam.release(at(1), &holder("b"));
    assert!(ipam.allocate(&holder("c"), &[v4("p")]).is_ok());
}

#[test]
fn a_block_that_goes_and_comes_keeps_its_holders() {
    let mut ipam = node(2, 0, 0);
    assert!(ipam.set_blocks(at(1), &[]));
    assert_eq!(ipam.strays().count(), 2);
    assert!(ipam.set_blocks(at(2), &[block("10.1.0.0/30", "default")]));
    assert!(!ipam.set_blocks(at(3), &[block("10.1.0.0/30", "default")]));
    assert_eq!(addresses(ipam.allocate(&holder("x"), &[v4("default")])), ["10.1.0.2"]);
}

#[test]
fn who_waits_makes_a_block_urgent_until_it_is_served_or_gives_up() {
    let mut ipam = node(4, 5, 9);
    assert_eq!(needs(&ipam), [], "no spare: other nodes have nothing");
    ipam.allocate(&holder("x"), &[v4("default")]).unwrap_err();
    assert_eq!(needs(&ipam), [("default".into(), Urgency::Waited)]);
    ipam.stop_waiting(&holder("x"));
    assert_eq!(needs(&ipam), []);
    ipam.allocate(&holder("x"), &[v4("default")]).unwrap_err();
    ipam.set_blocks(at(1), &[block("10.1.0.0/30", "default"), block("10.1.0.4/30", "default")]);
    assert_eq!(needs(&ipam), [], "there is room for who waits");
    ipam.allocate(&holder("x"), &[v4("default")]).unwrap();
}

#[test]
fn a_spare_is_asked_for_before_the_node_runs_out() {
    let spare = [("default".to_owned(), Urgency::Spare)];
    assert_eq!(needs(&node(0, 5, 0)), [], "an unused block is spare enough");
    assert_eq!(needs(&node(2, 5, 0)), []);
    assert_eq!(needs(&node(3, 5, 0)), spare);
    assert_eq!(needs(&node(4, 5, 0)), spare);
    assert_eq!(needs(&node(3, 5, 4)), spare, "four are left for four nodes");
    assert_eq!(needs(&node(3, 5, 5)), [], "a node would find none");
    let mut single = NodeIpam::new();
    single.set_pools(vec![facts("default", 32, 5, 0)]);
    single.set_blocks(at(0), &[block("10.1.0.0/32", "default")]);
    single.allocate(&holder("x"), &[v4("default")]).unwrap();
    assert_eq!(needs(&single), [], "never of one-address blocks");
}

#[test]
fn an_emptied_block_is_given_back_and_an_auto_pools_last_one_after_a_minute() {
    let check = |pool: &str, emptied: u64, expect: u64| {
        let mut ipam = NodeIpam::new();
        ipam.set_pools(vec![facts(pool, 30, 5, 0)]);
        ipam.set_blocks(at(0), &[block("10.1.0.0/30", pool)]);
        ipam.allocate(&holder("x"), &[v4(pool)]).unwrap();
        assert_eq!(ipam.wake_at(), None);
        ipam.release(at(emptied), &holder("x"));
        assert_eq!(ipam.wake_at(), Some(at(expect)));
        if expect > emptied {
            assert_eq!(ipam.give_back(at(expect - 1)), []);
        }
        assert_eq!(ipam.give_back(at(expect)), [prefix("10.1.0.0/30")]);
        assert_eq!(ipam.give_back(at(expect)), [], "only once");
        let refusal = ipam.allocate(&holder("y"), &[v4(pool)]).unwrap_err();
        assert_eq!(refusal.name(), "no-room", "nothing is taken from a block that leaves");
        assert_eq!(needs(&ipam), [(pool.to_owned(), Urgency::Waited)]);
        ipam.stop_waiting(&holder("y"));
        ipam.keep(at(expect), &prefix("10.1.0.0/30"));
        assert_eq!(ipam.wake_at(), Some(at(expect) + AGAIN), "not at once again");
        assert_eq!(addresses(ipam.allocate(&holder("y"), &[v4(pool)])), ["10.1.0.0"]);
    };
    check("default", 100, 160);
    check("other", 100, 100);
}

#[test]
fn a_block_that_nobody_has_used_yet_waits_for_who_asked_for_it() {
    let mut ipam = NodeIpam::new();
    ipam.set_pools(vec![facts("other", 30, 5, 0)]);
    ipam.allocate(&holder("x"), &[v4("other")]).unwrap_err();
    ipam.set_blocks(at(5), &[block("10.1.0.0/30", "other")]);
    assert_eq!(ipam.wake_at(), None, "someone waits");
    ipam.stop_waiting(&holder("x"));
    assert_eq!(ipam.wake_at(), Some(at(65)));
    assert_eq!(ipam.give_back(at(64)), []);
    assert_eq!(ipam.give_back(at(65)), [prefix("10.1.0.0/30")]);
}

#[test]
fn a_spare_does_not_come_and_go_with_each_pod() {
    let mut ipam = NodeIpam::new();
    ipam.set_pools(vec![facts("default", 29, 5, 0)]);
    let blocks = [block("10.1.0.0/29", "default"), block("10.1.0.8/29", "default")];
    ipam.set_blocks(at(0), &blocks);
    for n in 0..6 {
        ipam.allocate(&holder(&n.to_string()), &[v4("default")]).unwrap();
    }
    for (released, expect) in [(5, 0), (4, 0), (3, 1)] {
        ipam.release(at(1000), &holder(&released.to_string()));
        let back = ipam.give_back(at(1000));
        assert_eq!(back.len(), expect, "after {released}");
        assert_eq!(needs(&ipam), []);
    }
}

#[test]
fn facts_of_a_pool_are_told_per_family() {
    let fact = crate::PoolFact {
        auto_assign: true,
        cidrs: vec![prefix("10.1.0.0/24")],
        block_size: Some(29),
        blocks: 30,
        nodes_without: 2,
    };
    assert_eq!(PoolFacts::of("default", &fact), [facts("default", 29, 2, 2)]);
    let both = crate::PoolFact {
        cidrs: vec![prefix("10.1.0.0/24"), prefix("fd00::/64")],
        block_size: None,
        blocks: 0,
        ..fact.clone()
    };
    let told = PoolFacts::of("default", &both);
    let told: Vec<_> = told.iter().map(|f| (f.family, f.block_len, f.free_blocks)).collect();
    assert_eq!(told, [(Family::Ipv4, 24, 1), (Family::Ipv6, 64, 1)]);
    assert_eq!(PoolFacts::of("bad", &crate::PoolFact { block_size: Some(8), ..fact }), []);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, Vec<PoolChoice>),
    Del(u8),
    Blocks(BTreeSet<u8>),
    GiveBack,
}

fn any_step() -> impl Strategy<Value = Step> {
    let choice = prop_oneof![Just(v4("a")), Just(v4("b")), Just(v6("a"))];
    prop_oneof![
        4 => (0u8..12, prop::collection::vec(choice, 0..3)).prop_map(|(id, c)| Step::Add(id, c)),
        2 => (0u8..12).prop_map(Step::Del),
        1 => prop::collection::btree_set(0u8..6, 0..6).prop_map(Step::Blocks),
        1 => Just(Step::GiveBack),
    ]
}

proptest! {
    /// Against plain lists: no address twice, what is held stays held, and books that are written
    /// down and restored go on the same.
    #[test]
    fn the_books_are_right(steps in prop::collection::vec(any_step(), 1..60)) {
        let all = [
            block("10.1.0.0/31", "a"), block("10.1.0.2/31", "a"), block("10.2.0.0/32", "b"),
            block("10.2.0.1/32", "b"), block("fd00::/127", "a"), block("fd00::2/127", "a"),
        ];
        let mut ipam = NodeIpam::new();
        let mut held: BTreeMap<Holder, Vec<Assigned>> = BTreeMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            let now = at(n as u64 * 20);
            match step {
                Step::Add(id, choices) => {
                    let holder = holder(&id.to_string());
                    if let Ok(got) = ipam.allocate(&holder, &choices) {
                        match held.get(&holder) {
                            Some(before) => prop_assert_eq!(before, &got),
                            None => {
                                prop_assert_eq!(got.len(), choices.len());
                                for (a, choice) in got.iter().zip(&choices) {
                                    prop_assert_eq!(&a.pool, &choice.pool);
                                    prop_assert_eq!(Family::of(&a.address), choice.family);
                                }
                                held.insert(holder, got);
                            }
                        }
                    }
                }
                Step::Del(id) => {
                    let holder = holder(&id.to_string());
                    let freed = ipam.release(now, &holder);
                    prop_assert_eq!(freed, held.remove(&holder).unwrap_or_default());
                }
                Step::Blocks(which) => {
                    let blocks: Vec<_> = which.iter().map(|i| all[usize::from(*i)].clone()).collect();
                    ipam.set_blocks(now, &blocks);
                }
                Step::GiveBack => {
                    for given in ipam.give_back(now) {
                        prop_assert!(held.values().flatten().all(|a| !given.contains(&a.address)));
                    }
                }
            }
            let addresses: Vec<_> = held.values().flatten().map(|a| a.address).collect();
            let unique: BTreeSet<_> = addresses.iter().copied().collect();
            prop_assert_eq!(unique.len(), addresses.len(), "an address twice");
            let in_blocks: usize = ipam.blocks().map(|(_, _, used)| used).sum();
            let stray = ipam.strays().count();
            prop_assert_eq!(in_blocks + stray, addresses.len());

            let mut restored = NodeIpam::new();
            let blocks: Vec<_> = ipam.blocks()
                .map(|(prefix, pool, _)| NodeBlock { prefix, pool: pool.into() })
                .collect();
            restored.restore(held.clone());
            restored.set_blocks(now, &blocks);
            let used = |ipam: &NodeIpam| ipam.blocks().map(|(p, _, n)| (p, n)).collect::<Vec<_>>();
            prop_assert_eq!(used(&restored), used(&ipam));
        }
    }
}

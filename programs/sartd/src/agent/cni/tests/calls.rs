use std::collections::BTreeSet;

use node_plan::ipam::Urgency;
use tokio::time::Instant;

use super::*;
use crate::agent::cni::collect;

struct Node {
    calls: Calls<FakePods, FakeLinks>,
    books: Books,
    links: Arc<FakeLinks>,
    locks: Locks,
}

fn node(blocks: &[&str]) -> Node {
    let books = Books::new();
    books.set_pools(vec![PoolFacts {
        pool: "default".into(),
        family: Family::Ipv4,
        auto: true,
        block_len: 32,
        free_blocks: 9,
        nodes_without: 0,
    }]);
    books.set_blocks(&blocks.iter().map(|b| block(b)).collect::<Vec<_>>());
    let links = Arc::new(FakeLinks::default());
    let locks = Locks::default();
    let calls = Calls::new(books.clone(), Arc::new(FakePods), links.clone(), locks.clone());
    Node { calls, books, links, locks }
}

impl Node {
    async fn ok(&self, request: Request) -> Vec<IpAddr> {
        let done = self.calls.serve(request, netns()).await.unwrap();
        done.allocated.map(|a| ips(Some(a))).unwrap_or_default()
    }

    async fn refused(&self, request: Request) -> (u32, String) {
        let refusal = self.calls.serve(request, netns()).await.unwrap_err();
        (refusal.code, refusal.reason)
    }
}

#[tokio::test]
async fn add_and_del_come_in_any_number() {
    let node = node(&["10.1.0.0/31"]);
    assert_eq!(node.ok(add("a")).await, [ip("10.1.0.0")]);
    assert_eq!(node.ok(add("a")).await, [ip("10.1.0.0")], "again: the same");
    assert_eq!(node.ok(add("b")).await, [ip("10.1.0.1")]);
    for _ in 0..2 {
        assert!(node.ok(del("a")).await.is_empty());
    }
    assert!(node.ok(del("never-seen")).await.is_empty());
    assert_eq!(node.ok(add("c")).await, [ip("10.1.0.0")]);
    assert_eq!(node.links.count(), 2);
}

#[tokio::test]
async fn an_add_that_fails_in_the_kernel_keeps_no_address() {
    let node = node(&["10.1.0.0/31"]);
    node.links.fail(true);
    assert_eq!(node.refused(add("a")).await, (100, "interface-taken".into()));
    node.links.fail(false);
    assert_eq!(node.ok(add("b")).await, [ip("10.1.0.0")]);
    // An ADD that is repeated and fails, or a DEL that fails, keeps it: the link is still there.
    node.links.fail(true);
    assert_eq!(node.refused(add("b")).await, (100, "interface-taken".into()));
    assert_eq!(node.refused(del("b")).await, (100, "not-as-attached".into()));
    node.links.fail(false);
    assert_eq!(node.ok(add("c")).await, [ip("10.1.0.1")]);
}

#[tokio::test(start_paused = true)]
async fn an_add_waits_for_a_block_and_no_longer_than_ten_seconds() {
    let node = node(&["10.1.0.0/32"]);
    node.ok(add("a")).await;
    let start = Instant::now();
    assert_eq!(node.refused(add("b")).await, (11, "no-room".into()));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(node.books.needs(), [], "who gave up needs nothing");

    let mut demand = node.books.demand();
    demand.mark_unchanged();
    let waiting = tokio::spawn({
        let calls = node.calls.clone();
        async move { calls.serve(add("b"), netns()).await }
    });
    demand.changed().await.unwrap();
    let needs: Vec<_> = node.books.needs().into_iter().map(|n| (n.of.pool, n.urgency)).collect();
    assert_eq!(needs, [("default".into(), Urgency::Waited)]);
    // Others are served meanwhile.
    node.ok(del("nobody")).await;
    node.books.set_blocks(&[block("10.1.0.0/32"), block("10.1.0.1/32")]);
    let done = waiting.await.unwrap().unwrap();
    assert_eq!(ips(done.allocated), [ip("10.1.0.1")]);
}

#[tokio::test(start_paused = true)]
async fn a_del_makes_room_for_who_waits() {
    let node = node(&["10.1.0.0/32"]);
    node.ok(add("a")).await;
    let mut demand = node.books.demand();
    demand.mark_unchanged();
    let waiting = tokio::spawn({
        let calls = node.calls.clone();
        async move { calls.serve(add("b"), netns()).await }
    });
    demand.changed().await.unwrap();
    node.ok(del("a")).await;
    assert_eq!(ips(waiting.await.unwrap().unwrap().allocated), [ip("10.1.0.0")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_waited_for_and_refused_by_name() {
    let node = node(&["10.1.0.0/32"]);
    let start = Instant::now();
    assert_eq!(node.refused(add_from("a", Some("nothing"))).await, (100, "unknown-pool".into()));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(node.refused(add("unknown")).await, (11, "pod-unknown".into()));
    let Request::Add { attachment, allocate, .. } = add("a") else { unreachable!() };
    let alone = Request::Add { attachment, allocate, wire: None };
    assert_eq!(node.refused(alone).await, (100, "allocate-alone".into()));
    let refusal = node.calls.serve(add("a"), None).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (4, "no-namespace"));
}

#[tokio::test]
async fn check_compares_what_runtime_books_and_kernel_say() {
    let node = node(&["10.1.0.0/31"]);
    let check = |addresses: &[&str]| Request::Check {
        attachment: attachment("a"),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
    };
    assert_eq!(node.refused(check(&["10.1.0.0"])).await, (3, "unknown-container".into()));
    node.ok(add("a")).await;
    node.ok(check(&["10.1.0.0"])).await;
    assert_eq!(node.refused(check(&["10.1.0.1"])).await, (100, "not-as-attached".into()));
    node.links.forget("a");
    assert_eq!(node.refused(check(&["10.1.0.0"])).await, (100, "not-as-attached".into()));
}

#[tokio::test]
async fn the_kernel_is_read_back_before_anything_is_served() {
    let node = node(&["10.1.0.0/31"]);
    let record = Record {
        pools: vec!["default".into()],
        container_id: "old".into(),
        ifname: "eth0".into(),
        addresses: vec![ip("10.1.0.0")],
    };
    node.links.put(host_name("old", "eth0"), Some(record));
    node.links.put(host_name("half", "eth0"), None);
    collect::recover(&node.books, &node.links).await.unwrap();
    assert_eq!(node.links.count(), 1);
    assert_eq!(node.ok(add("new")).await, [ip("10.1.0.1")]);
    assert_eq!(node.ok(add("old")).await, [ip("10.1.0.0")]);
}

#[tokio::test]
async fn an_address_without_a_link_is_freed_at_the_second_look() {
    let node = node(&["10.1.0.0/31"]);
    node.ok(add("a")).await;
    node.ok(add("b")).await;
    let look = async |before| collect::look(&node.books, &node.links, &node.locks, before).await;
    let nobody = look(BTreeSet::new()).await;
    assert_eq!(nobody, BTreeSet::new());
    node.links.forget("a");
    let suspects = look(nobody).await;
    let holder = Holder { container_id: "a".into(), ifname: "eth0".into() };
    assert_eq!(suspects, BTreeSet::from([holder.clone()]));
    assert!(node.books.held_by(&holder).is_some(), "once is not enough");
    // It comes back in between: nothing happens.
    node.ok(add("a")).await;
    assert_eq!(look(suspects.clone()).await, BTreeSet::new());
    assert!(node.books.held_by(&holder).is_some());
    node.links.forget("a");
    look(suspects).await;
    assert_eq!(node.books.held_by(&holder), None);
}

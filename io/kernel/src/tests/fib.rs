//! The route table on the real kernel.

use inet::{NextHop, Prefix};
use route_table::{Input, KernelEvent, RouteNews};
use rtnetlink::{LinkBridge, LinkUnspec};

use super::harness::{Net, OTHERS, Router, change, held, index, isolated, put};
use crate::routes::{OwnRoutes, Owner};

/// The peers' loopbacks behind the links, as static routes.
const LOOPBACKS: [&str; 4] = [
    "9.9.9.9/32=169.254.1.2%a1",
    "9.9.9.8/32=169.254.2.2%a2",
    "fd09::9/128=fd00:1::2%a1",
    "fd09::8/128=fd00:2::2%a2",
];

pub(super) async fn bed() -> (Net, OwnRoutes, Router) {
    let net = Net::new().await;
    let others = OwnRoutes::open(OTHERS, &[]).unwrap();
    put(&others, &LOOPBACKS).await;
    (net, others, Router::new())
}

pub(super) const BOTH: &str = "10.0.0.0/8=169.254.1.2%a1,169.254.2.2%a2 \
                    2001:db8::/32=fd00:1::2%a1,fd00:2::2%a2";
pub(super) const FIRST: &str = "10.0.0.0/8=169.254.1.2%a1 2001:db8::/32=fd00:1::2%a1";
pub(super) const SECOND: &str = "10.0.0.0/8=169.254.2.2%a2 2001:db8::/32=fd00:2::2%a2";

pub(super) fn offer_both(router: &mut Router) {
    router.bgp("10.0.0.0/8=9.9.9.9,9.9.9.8");
    router.bgp("2001:db8::/32=fd09::9,fd09::8");
}

#[test]
fn next_hops_behind_other_routes_are_followed() {
    isolated("fib::next_hops_behind_other_routes_are_followed", || async {
        let (_net, others, mut router) = bed().await;
        offer_both(&mut router);
        router.expect(BOTH).await;
        put(&others, &["9.9.9.8/32=-", "fd09::8/128=-"]).await;
        router.expect(FIRST).await;
        // Through another of ours, and to another link.
        router.bgp("20.0.0.0/8=10.1.1.1");
        router.expect(&FIRST.replace(" 2001", " 20.0.0.0/8=169.254.1.2%a1 2001")).await;
        router.bgp("20.0.0.0/8=-");
        put(&others, &["9.9.9.9/32=169.254.2.2%a2", "fd09::9/128=fd00:2::2%a2"]).await;
        router.expect(SECOND).await;
        put(&others, &["9.9.9.9/32=-", "fd09::9/128=-"]).await;
        router.expect("").await;
        // On the link itself, by scope link; and by a link-local gateway.
        put(&others, &["9.9.9.9/32=%a1"]).await;
        router.bgp("2001:db8::/32=fe80::9%a2");
        router.expect("10.0.0.0/8=9.9.9.9%a1 2001:db8::/32=fe80::9%a2").await;
    });
}

#[test]
fn gateways_need_no_route_of_the_kernels_own() {
    isolated("fib::gateways_need_no_route_of_the_kernels_own", || async {
        let (_net, others, mut router) = bed().await;
        // On no link by address, only by the word of a static route (`onlink`).
        put(&others, &["7.0.0.0/8=192.0.2.1%a1", "fd07::/16=2001:db8:ff::1%a1"]).await;
        router.bgp("10.0.0.0/8=7.7.7.7");
        router.bgp("2001:db8::/32=fd07::7");
        let first = "10.0.0.0/8=192.0.2.1%a1 2001:db8::/32=2001:db8:ff::1%a1";
        router.expect(first).await;
        // Ours to a gateway itself is more specific than the link's. (IPv6 refuses a gateway then.)
        router.bgp("169.254.1.2/32=9.9.9.8");
        let (v4, v6) = first.split_once(' ').unwrap();
        let host = "169.254.1.2/32=169.254.2.2%a2";
        router.expect(&[v4, host, v6].join(" ")).await;
        router.bgp("172.16.0.0/12=9.9.9.9");
        router.expect(&[v4, host, "172.16.0.0/12=169.254.1.2%a1", v6].join(" ")).await;
    });
}

#[test]
fn routes_leave_and_return_with_carrier_and_link() {
    isolated("fib::routes_leave_and_return_with_carrier_and_link", || async {
        let (net, others, mut router) = bed().await;
        offer_both(&mut router);
        router.expect(BOTH).await;
        // The cable is cut: only the carrier goes.
        net.set("b1", false).await;
        router.expect(SECOND).await;
        net.set("b2", false).await;
        router.expect("").await;
        net.set("b1", true).await;
        router.expect(FIRST).await;
        net.set("b2", true).await;
        router.expect(BOTH).await;
        // Set down: the kernel drops routes, the static ones too, and IPv6's addresses.
        net.set("a1", false).await;
        router.expect(SECOND).await;
        net.set("a1", true).await;
        net.address("a1", "fd00:1::1/64").await;
        put(&others, &LOOPBACKS).await;
        router.expect(BOTH).await;
    });
}

#[test]
fn a_link_that_is_down_and_up_again_before_anyone_looks_loses_no_route() {
    let name = "fib::a_link_that_is_down_and_up_again_before_anyone_looks_loses_no_route";
    isolated(name, || async {
        let (net, others, mut router) = bed().await;
        router.bgp("10.0.0.0/8=169.254.1.2");
        router.expect("10.0.0.0/8=169.254.1.2%a1").await;
        net.set("a1", false).await;
        net.set("a1", true).await;
        let mut was_down = false;
        let a1 = index("a1");
        router
            .hear(|event| match event {
                KernelEvent::Link(link) if link.index == a1 => {
                    was_down |= !link.up;
                    was_down && link.up
                }
                _ => false,
            })
            .await;
        // The table finds nothing changed, and the kernel said nothing of what it dropped.
        assert_eq!(held(&router.fib.routes).await, "");
        router.expect("10.0.0.0/8=169.254.1.2%a1").await;
        assert_ne!(held(&others).await, "");
    });
}

#[test]
fn what_others_do_to_our_routes_is_repaired() {
    isolated("fib::what_others_do_to_our_routes_is_repaired", || async {
        let (_net, others, mut router) = bed().await;
        offer_both(&mut router);
        router.expect(BOTH).await;
        router.input(Input::Sweep);
        // Another hand under our name.
        let meddler = OwnRoutes::open(Owner::ROUTER, &[]).unwrap();
        put(&meddler, &["10.0.0.0/8=-", "2001:db8::/32=-"]).await;
        router.expect(BOTH).await;
        put(&meddler, &["10.0.0.0/8=169.254.1.9%a1", "2001:db8::/32=blackhole"]).await;
        router.expect(BOTH).await;
        put(&meddler, &["50.0.0.0/8=blackhole", "2001:db8:5::/48=blackhole"]).await;
        router.expect(BOTH).await;
        // A foreign route in our very place is left alone, and ours returns after it.
        let squatter = OwnRoutes::open(Owner { metric: Owner::ROUTER.metric, ..OTHERS }, &[]);
        let squatter = squatter.unwrap();
        put(&squatter, &["10.0.0.0/8=169.254.1.9%a1"]).await;
        router.expect(BOTH.split_once(' ').unwrap().1).await;
        assert_eq!(held(&squatter).await, "10.0.0.0/8=169.254.1.9%a1");
        put(&squatter, &["10.0.0.0/8=-"]).await;
        router.expect(BOTH).await;
        // Beside another metric there is room.
        put(&others, &["10.0.0.0/8=169.254.1.9%a1"]).await;
        put(&meddler, &["10.0.0.0/8=-"]).await;
        router.expect(BOTH).await;
    });
}

#[test]
fn routes_found_at_the_start_stay_until_wanted_or_swept() {
    isolated("fib::routes_found_at_the_start_stay_until_wanted_or_swept", || async {
        let (_net, _others, mut first) = bed().await;
        offer_both(&mut first);
        first.bgp("20.0.0.0/8=9.9.9.9");
        let all = BOTH.replace(" 2001", " 20.0.0.0/8=169.254.1.2%a1 2001");
        first.expect(&all).await;
        drop(first);
        let mut second = Router::new();
        second.expect(&all).await;
        offer_both(&mut second);
        second.expect(&all).await;
        second.until("all is settled", |router| router.table.is_quiet()).await;
        assert_eq!(second.written, 0, "what is right is not written again");
        assert_eq!(second.table.stats().stale, 1);
        second.input(Input::Sweep);
        second.expect(BOTH).await;
    });
}

#[test]
fn ten_thousand_routes_move_in_batches() {
    isolated("fib::ten_thousand_routes_move_in_batches", || async {
        let (_net, others, mut router) = bed().await;
        router.expect("").await;
        for n in 0..5000 {
            router.bgp(&format!("10.{}.{}.0/24=9.9.9.9,9.9.9.8", n / 250, n % 250));
            router.bgp(&format!("2001:db8:{n:x}::/48=fd09::9,fd09::8"));
        }
        router.until("all installed", |router| router.table.stats().installed == 10_000).await;
        assert_eq!(router.written, 10_000);
        assert_eq!(router.fib.routes.list().await.unwrap().len(), 10_000);
        // Our own writes are no news: they would have run over while nobody read.
        put(&others, &["7.7.7.7/32=169.254.1.2%a1"]).await;
        let marker = NextHop::from("7.7.7.7".parse::<std::net::IpAddr>().unwrap());
        router.until("the marker is heard", |r| r.table.resolve(&marker).is_resolved()).await;
        assert_eq!(router.snapshots, 1);

        // A next hop moves: all follow.
        put(&others, &["9.9.9.9/32=169.254.2.2%a2", "fd09::9/128=fd00:2::2%a2"]).await;
        let moved = |router: &Router| router.objects_written == 8;
        router.until("all moved", moved).await;
        // Two legs and a group of each family at first, then the two groups alone.
        assert_eq!((router.written, router.objects_written), (10_000, 8));
        let legs = change("10.0.0.0/8", "169.254.2.2%a2").action;
        let v4 = router.fib.routes.list().await.unwrap();
        let v4 = v4.iter().filter(|route| route.prefix.family() == inet::Family::Ipv4);
        assert!(v4.clone().all(|r| route_table::Action::Replace(r.target.clone()) == legs));
        assert_eq!(v4.count(), 5000);

        router.input(Input::Install(false));
        router.until("all removed", |router| router.table.stats().not_installed == 10_000).await;
        assert_eq!(held(&router.fib.routes).await, "");
    });
}

#[test]
fn lost_news_are_made_up_for() {
    isolated("fib::lost_news_are_made_up_for", || async {
        let (_net, others, mut router) = bed().await;
        router.expect("").await;
        // More news than the socket's buffer holds, and nobody reads meanwhile.
        let route = |n: u32| {
            let prefix = format!("30.{}.{}.0/24", n / 250, n % 250);
            change(&prefix, "169.254.1.2%a1")
        };
        let results = others.apply((0..60_000).map(route).collect()).await;
        assert!(results.iter().all(Result::is_ok));
        let last = NextHop::from("30.239.249.1".parse::<std::net::IpAddr>().unwrap());
        let known =
            |router: &Router| router.snapshots > 1 && router.table.resolve(&last).is_resolved();
        router.until("the last is known", known).await;
    });
}

#[test]
fn a_bridge_that_lets_go_of_a_link_does_not_make_it_vanish() {
    isolated("fib::a_bridge_that_lets_go_of_a_link_does_not_make_it_vanish", || async {
        let (net, _others, mut router) = bed().await;
        router.expect("").await;
        let up = |router: &Router, name: &str| {
            router.table.links().any(|link| link.up && link.name.as_str() == name)
        };
        net.handle.link().add(LinkBridge::new("br0").up().build()).execute().await.unwrap();
        let port = || LinkUnspec::new_with_index(index("b1").0);
        let (join, leave) = (port().controller(index("br0").0), port().nocontroller());
        net.handle.link().set(join.build()).execute().await.unwrap();
        router.until("the bridge has a carrier", |router| up(router, "br0")).await;
        net.handle.link().set(leave.build()).execute().await.unwrap();
        router.until("the bridge has none", |router| !up(router, "br0")).await;
        assert!(up(&router, "b1"));
        assert_eq!(router.links_gone, 0);
    });
}

#[test]
fn waiting_for_news_may_be_given_up_at_any_time() {
    isolated("fib::waiting_for_news_may_be_given_up_at_any_time", || async {
        let (_net, others, mut router) = bed().await;
        // Each wait is polled once and dropped: the first snapshot comes all the same.
        let event = loop {
            tokio::select! {
                biased;
                event = router.fib.events.next() => break event.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        };
        assert!(matches!(event, KernelEvent::Snapshot(_)));
        put(&others, &["7.7.7.7/32=169.254.1.2%a1"]).await;
        let wanted: Prefix = "7.7.7.7/32".parse().unwrap();
        let is_it = |event: &KernelEvent| matches!(event, KernelEvent::Route(RouteNews::Added, route) if route.prefix == wanted);
        router.hear(is_it).await;
    });
}

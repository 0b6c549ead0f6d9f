//! Policies, as far as the kernel's routes.

use node_api::v1::{self, event::What};

use crate::world::{Host, Router, World, eventually};
use crate::{LEFT, has_route};

/// The kernel's route for a prefix, on one line.
fn route(host: &Host, prefix: &str) -> String {
    host.run(&["ip", "-o", "route", "show", prefix]).trim().to_owned()
}

async fn reload(world: &World, name: &str, router: &Router, text: &str) {
    std::fs::write(world.directory().join(format!("{name}.yaml")), text).unwrap();
    assert!(router.client().reload(false, false).await.unwrap().accepted);
}

/// A router of its own AS on the left host, which says how wide its link is.
fn wide(n: u32, port: u16, bandwidth: u32) -> String {
    format!(
        "
asn: {asn}
router_id: {n}.{n}.{n}.{n}
port: {port}
grpc: 127.0.0.1:500{n}
health_port: 900{n}
policies:
  wide:
    - set: {{extended_communities: {{remove: ['bandwidth:*:*'], add: ['bandwidth:{asn}:{bandwidth}']}}}}
      action: accept
neighbors: [{{name: right, address: 10.0.0.2, asn: 65002, local_address: 10.0.0.{n}, export: wide}}]
paths: [{{prefixes: [10.9.0.0/24]}}]
",
        asn = 65000 + n
    )
}

#[test]
fn link_bandwidths_of_two_neighbors_weigh_the_kernels_route() {
    let name = "policies::link_bandwidths_of_two_neighbors_weigh_the_kernels_route";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    a.run(&["ip", "address", "add", "10.0.0.3/24", "dev", "left"]);
    world.block_on(async {
        let _one = a.router("one", &wide(1, 179, 250_000_000), &[]);
        let _three = a.router("three", &wide(3, 1179, 125_000_000), &[]);
        let text = "
asn: 65002
router_id: 2.2.2.2
fib: {}
multi_path: {link_bandwidth: true}
neighbors: [{address: 10.0.0.1, asn: 65001}, {address: 10.0.0.3, asn: 65003, port: 1179}]
";
        let right = b.router("right", text, &[]);
        let weigh = |one: u32, three: u32| {
            let route = route(&b, "10.9.0.0/24");
            let has = |gateway: &str, weight: u32| {
                let leg = format!("via {gateway} dev right weight {weight} ");
                format!("{route} ").contains(&leg)
            };
            has("10.0.0.1", one) && has("10.0.0.3", three)
        };
        eventually("the kernel's route has the weights", async || weigh(2, 1)).await;

        let explained = right.client().explain("10.9.0.0/24").await.unwrap();
        let [one, three] = &explained.paths[..] else { panic!("{explained:?}") };
        assert_eq!((one.best, one.reason.as_str()), (true, "equal-paths"));
        assert_eq!((three.multipath, three.reason.as_str()), (true, "router-id"));
        assert_eq!(one.extended_communities_text, ["bandwidth:65001:250000000"]);
        let last = explained.steps.last().unwrap();
        let compared: Vec<_> = last.compared.iter().map(|c| (c.path, c.out, c.behind)).collect();
        assert_eq!(last.step, "router-id");
        assert_eq!(compared, [(0, false, false), (1, false, true)]);

        // Only where it is asked for.
        reload(&world, "right", &right, &text.replace("link_bandwidth: true", "ebgp: 8")).await;
        eventually("both weigh the same", async || weigh(1, 1)).await;
    });
}

#[test]
fn a_tagged_prefix_is_dropped_in_the_kernel_and_told_on() {
    let name = "policies::a_tagged_prefix_is_dropped_in_the_kernel_and_told_on";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let host = "paths: [{prefixes: [10.9.0.0/24, 'fd09::/64']}, \
                    {prefixes: [10.9.0.9/32, 'fd09::9/128'], attributes: {communities: [blackhole]}}]";
        let all = "paths: [{prefixes: [10.9.0.0/24, 'fd09::/64']}]";
        let _left = a.router("left", &LEFT.replace(all, host), &[]);
        let text = "
asn: 65002
router_id: 2.2.2.2
fib: {}
policies:
  customer:
    - name: to-be-dropped
      match: {prefix: [10.9.0.0/16 ge 25, 'fd09::/32 ge 65'], communities: [blackhole]}
      set: {discard: true, weight: 7, communities: {add: [no-advertise]}}
      action: accept
    - match: {prefix: [10.9.0.0/16 le 24, 'fd09::/32 le 64']}
      action: accept
neighbors: [{name: left, address: 10.0.0.1, asn: 65001, import: customer}]
";
        let right = b.router("right", text, &[]);
        let dropped = |prefix: &str| {
            let family = if prefix.contains(':') { "-6" } else { "-4" };
            let route = b.run(&["ip", family, "-o", "route", "show", prefix]);
            route.trim_start().starts_with("blackhole ") && route.contains("proto bgp")
        };
        eventually("what goes to them is dropped", async || {
            dropped("10.9.0.9") && dropped("fd09::9")
        })
        .await;
        eventually("others are reached", async || has_route(&b, "10.9.0.0/24", "10.0.0.1")).await;
        let explained = right.client().explain("10.9.0.9/32").await.unwrap();
        let [path] = &explained.paths[..] else { panic!("{explained:?}") };
        assert_eq!((path.best, path.discard, path.weight), (true, true, 7));
        let fib = explained.fib.unwrap();
        assert_eq!((fib.source.as_str(), fib.distance, fib.installed), ("bgp", 20, true));
        assert_eq!(fib.kernel_next_hops, ["blackhole"]);

        // Live: without the word the route leads somewhere, and is not away in between.
        let monitor = b.monitor_routes();
        reload(&world, "right", &right, &text.replace("discard: true, ", "")).await;
        eventually("it is forwarded", async || has_route(&b, "10.9.0.9", "10.0.0.1")).await;
        reload(&world, "right", &right, text).await;
        eventually("it is dropped again", async || dropped("10.9.0.9")).await;
        assert!(!monitor.text().contains("Deleted 10.9.0.9"), "{}", monitor.text());
    });
}

#[test]
fn who_watches_best_paths_hears_of_learned_and_own_prefixes() {
    let name = "policies::who_watches_best_paths_hears_of_learned_and_own_prefixes";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let left = a.router("left", LEFT, &[]);
        let text = "
asn: 65002
router_id: 2.2.2.2
fib: {}
neighbors: [{address: 10.0.0.1, asn: 65001}]
redistribute: [{source: static}]
";
        let right = b.router("right", text, &[]);
        eventually("the route is there", async || has_route(&b, "10.9.0.0/24", "10.0.0.1")).await;
        let request = v1::WatchRequest { kinds: vec!["best".into()], ..Default::default() };
        let mut watch = right.client().watch(request).await.unwrap();
        // An answer: the router's task has had a turn, and knows that somebody watches.
        right.client().global().await.unwrap();
        let mut next = async || match watch.message().await.unwrap().unwrap().what.unwrap() {
            What::Best(best) => (best.prefix, best.next_hops.join(" ")),
            other => panic!("{other:?}"),
        };
        let told = |prefix: &str, hops: &str| (prefix.to_owned(), hops.to_owned());

        b.run(&["ip", "route", "add", "10.60.0.0/24", "via", "10.0.0.1", "proto", "static"]);
        assert_eq!(next().await, told("10.60.0.0/24", "kernel"));
        b.run(&["ip", "route", "del", "10.60.0.0/24"]);
        assert_eq!(next().await, told("10.60.0.0/24", ""));
        let more = LEFT.replace("[10.9.0.0/24,", "[10.9.0.0/24, 10.61.0.0/24,");
        reload(&world, "left", &left, &more).await;
        assert_eq!(next().await, told("10.61.0.0/24", "10.0.0.1"));
        reload(&world, "right", &right, &format!("{text}paths: [{{prefixes: [10.61.0.0/24]}}]\n"))
            .await;
        assert_eq!(next().await, told("10.61.0.0/24", "local"));
        reload(&world, "left", &left, LEFT).await;
        reload(&world, "right", &right, text).await;
        assert_eq!(next().await, told("10.61.0.0/24", ""));
    });
}

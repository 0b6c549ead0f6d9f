//! Where routes are written: changed live, over a restart, and cleaned up.

use node_api::v1;

use crate::world::{Host, Router, World, eventually};
use crate::{LEFT, RIGHT, has_routes};

/// Our routes for the left router's IPv4 prefix in all tables of a host.
fn ours(host: &Host) -> Vec<String> {
    let all = host.run(&["ip", "-o", "route", "show", "table", "all", "proto", "bgp"]);
    let of_left = all.lines().filter(|line| line.starts_with("10.9.0.0/24 "));
    of_left.map(|line| line.trim().to_owned()).collect()
}

/// Whether there is one such route, and it has these words.
fn only(host: &Host, words: &str) -> bool {
    matches!(ours(host).as_slice(), [one] if one.contains(words))
}

async fn entry(router: &Router) -> v1::FibEntry {
    let page = router.client().fib(v1::GetFibRequest::default()).await.unwrap();
    page.entries.into_iter().find(|entry| entry.prefix == "10.9.0.0/24").unwrap()
}

#[test]
fn places_change_without_a_gap_and_over_a_restart() {
    let Some(world) = World::enter("places::places_change_without_a_gap_and_over_a_restart") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let _left = a.router("left", LEFT, &[]);
        let mut right = b.router("right", RIGHT, &["--on-exit", "keep"]);
        let write = |fib: &str| {
            let text = RIGHT.replace("fib: {}", &format!("fib: {fib}"));
            std::fs::write(world.directory().join("right.yaml"), text).unwrap();
        };
        eventually("both routes are in the kernel", async || has_routes(&b)).await;
        let before = entry(&right).await;
        assert!(before.installed && before.object != 0, "{before:?}");
        assert_eq!((before.metric, before.distance), (4271, 20));

        let monitor = b.monitor_routes();
        write("{metric: 77, next_hop_objects: off, distance: {ebgp: 30}}");
        assert!(right.client().reload(false).await.unwrap().accepted);
        eventually("the metric is another one", async || only(&b, "metric 77")).await;
        let text = monitor.text();
        let of_left = || text.lines().filter(|line| line.contains("10.9.0.0/24 "));
        let added = of_left().position(|line| line.contains("metric 77"));
        let deleted = of_left().position(|line| line.contains("Deleted"));
        assert!(added.is_some() && added < deleted, "{text}");
        eventually("no next-hop object is left", async || b.run(&["ip", "nexthop"]).is_empty())
            .await;
        let after = entry(&right).await;
        assert_eq!((after.metric, after.distance, after.object), (77, 30, 0));
        assert_eq!(
            (&after.kernel_next_hops, &after.next_hops),
            (&before.next_hops, &before.next_hops)
        );
        assert_eq!(right.client().global().await.unwrap().conditions, []);

        write("{table: 100}");
        assert!(right.client().reload(false).await.unwrap().accepted);
        eventually("the table is another one", async || only(&b, "table 100")).await;

        // What a router with another configuration has left is found and removed.
        right.crash();
        write("{metric: 9}");
        right.start();
        eventually("the restart is over", async || only(&b, "metric 9")).await;
        assert_eq!(right.terminate(), Some(0));
        assert!(only(&b, "metric 9"), "{:?}", ours(&b));
        let run_dir = world.directory().join("right").display().to_string();
        let program = env!("CARGO_BIN_EXE_sartd");
        let nowhere = world.directory().display().to_string();
        let cni = ["--cni-conf-dir", &nowhere, "--cni-bin-dir", &nowhere];
        b.run(&[&[program, "cleanup", "--run-dir", &run_dir], &cni[..]].concat());
        assert_eq!(ours(&b), [""; 0]);
        assert_eq!(b.run(&["ip", "nexthop"]), "");
    });
}

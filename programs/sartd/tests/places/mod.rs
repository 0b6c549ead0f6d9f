//! Where routes are written: changed live, over a restart, and cleaned up.

mod vrf;

use node_api::v1;

use crate::world::{Host, Router, World, eventually};
use crate::{LEFT, RIGHT, has_routes, neighbor};

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
        for (address, entries) in [("10.9.0.77", vec![before.clone()]), ("10.99.0.1", vec![])] {
            let request = v1::GetFibRequest { prefix: address.to_owned(), ..Default::default() };
            assert_eq!(right.client().fib(request).await.unwrap().entries, entries);
        }
        assert_eq!((before.metric, before.distance), (4271, 20));

        let monitor = b.monitor_routes();
        write("{metric: 77, next_hop_objects: off, distance: {ebgp: 30}}");
        assert!(right.client().reload(false, false).await.unwrap().accepted);
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
        assert!(right.client().reload(false, false).await.unwrap().accepted);
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

/// The condition of a VRF that is not there.
async fn vrf_missing(router: &Router) -> Option<String> {
    let conditions = router.client().global().await.ok()?.conditions;
    conditions.into_iter().find(|c| c.name == "VrfMissing").map(|c| c.message)
}

#[test]
fn a_vrf_that_is_missing_is_told_of_and_followed_when_it_comes() {
    let name = "places::a_vrf_that_is_missing_is_told_of_and_followed_when_it_comes";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let write = |fib: &str| {
            let text = RIGHT.replace("fib: {}", &format!("fib: {fib}"));
            std::fs::write(world.directory().join("right.yaml"), text).unwrap();
        };
        let _left = a.router("left", LEFT, &[]);
        let right = b.router("right", &RIGHT.replace("fib: {}", "fib: {vrf: blue}"), &[]);
        right.wait_until_up().await;
        let missing = vrf_missing(&right).await.unwrap();
        assert!(missing.starts_with("there is no VRF blue"), "{missing}");
        // Nobody is heard, and nobody dialled, outside of the VRF.
        eventually("the right router says why it does not dial", async || {
            let neighbor = neighbor(&right).await;
            let error = neighbor.and_then(|neighbor| neighbor.last_error);
            error.is_some_and(|error| error.message.contains("there is no interface blue"))
        })
        .await;
        assert!(!b.run(&["ss", "-Hltn"]).contains(":179 "), "somebody listens");

        // By the number of a table all is as ever; then the VRF is wanted again.
        write("{table: 100}");
        assert!(right.client().reload(false, false).await.unwrap().accepted);
        eventually("the routes are there", async || only(&b, "table 100")).await;
        assert_eq!(vrf_missing(&right).await, None);
        write("{vrf: blue}");
        assert!(right.client().reload(false, false).await.unwrap().accepted);
        eventually("the routes are gone", async || ours(&b).is_empty()).await;
        // A link of that name alone does not do.
        b.run(&["ip", "link", "add", "blue", "type", "bridge"]);
        eventually("the link is seen", async || {
            let missing = vrf_missing(&right).await;
            missing.is_some_and(|missing| missing.starts_with("blue is no VRF"))
        })
        .await;
        b.run(&["ip", "link", "delete", "blue"]);
        eventually("the link is gone", async || {
            let missing = vrf_missing(&right).await;
            missing.is_some_and(|missing| missing.starts_with("there is no VRF blue"))
        })
        .await;
        assert_eq!(ours(&b), [""; 0]);
        in_a_vrf(&b, &right, name).await;
    });
}

/// The rest of it, where the kernel has VRFs.
async fn in_a_vrf(host: &Host, router: &Router, name: &str) {
    if !vrf::are_there(host, name) {
        assert!(vrf_missing(router).await.is_some());
        return;
    }
    for table in ["100", "101"] {
        vrf::make(host, "blue", table, "right", "fd00::2/64");
        let words = format!("table {table}");
        eventually("the route is in the VRF's table", async || {
            let all = ours(host);
            all.len() == 1 && (all[0].contains("table blue") || all[0].contains(&words))
        })
        .await;
        assert_eq!(vrf_missing(router).await, None);
        host.run(&["ip", "link", "delete", "blue"]);
        eventually("the VRF is missed", async || vrf_missing(router).await.is_some()).await;
        eventually("its routes are gone", async || ours(host).is_empty()).await;
    }
}

/// A channel that takes routes of owners into the VRF `blue`.
const CHANNEL: &str = "
channels:
  - name: main
    ip_version: ipv4
    publishers: [{protocol: kernel, tables: [100], vrfs: [blue]}]
";

#[test]
fn a_channel_into_a_vrf_that_is_missing_says_so() {
    let name = "places::a_channel_into_a_vrf_that_is_missing_says_so";
    let Some(world) = World::enter(name) else { return };
    let (_a, b) = world.two_hosts();
    world.block_on(async {
        let mut controller = b.controller("fib", CHANNEL, &[]);
        let client = controller.fib_client();
        let taker = async || {
            let list = client.channels().await.ok()?;
            list.channels.first()?.publishers.get(1).cloned()
        };
        eventually("the VRF is missed", async || {
            taker()
                .await
                .is_some_and(|taker| taker == "kernel vrf blue (VrfMissing: there is no VRF blue)")
        })
        .await;
        let routes = vec![v1::FibRoute {
            prefix: "10.9.0.0/24".to_owned(),
            kind: "blackhole".to_owned(),
            ..Default::default()
        }];
        let (owner, channel) = ("ops".to_owned(), "main".to_owned());
        let set = v1::SetRoutesRequest { owner, channel, distance: 0, routes };
        assert!(client.set(set).await.unwrap().accepted);
        let tables = async || {
            let channel = "main".to_owned();
            let request = v1::ListChannelRoutesRequest { channel, ..Default::default() };
            let page = client.routes(request).await.unwrap();
            page.routes.into_iter().next().map(|route| route.tables).unwrap_or_default()
        };
        eventually("the route is in the other table", async || {
            tables().await == ["100 installed", "vrf blue not-written"]
        })
        .await;
        let all = || b.run(&["ip", "-o", "route", "show", "table", "all", "proto", "84"]);
        assert_eq!(all().lines().count(), 1, "{}", all());
        if vrf::are_there(&b, name) {
            b.run(&["ip", "link", "add", "blue", "type", "vrf", "table", "101"]);
            eventually("the route is in both", async || {
                tables().await == ["100 installed", "vrf blue installed"]
            })
            .await;
            b.run(&["ip", "link", "delete", "blue"]);
            eventually("it is gone there", async || all().lines().count() == 1).await;
        }
        assert_eq!(controller.terminate(), Some(0));
        assert_eq!(all(), "");
    });
}

#[test]
fn what_a_channel_writes_no_more_is_emptied_by_the_next_run() {
    let name = "places::what_a_channel_writes_no_more_is_emptied_by_the_next_run";
    let Some(world) = World::enter(name) else { return };
    let (_a, b) = world.two_hosts();
    world.block_on(async {
        let into = |table: &str| {
            CHANNEL.replace("tables: [100], vrfs: [blue]", &format!("tables: [{table}]"))
        };
        let all = || b.run(&["ip", "-o", "route", "show", "table", "all", "proto", "84"]);
        let flags = ["--restart-time", "1"];
        let mut controller = b.controller("fib", &into("100, 102"), &flags);
        let client = controller.fib_client();
        eventually("the controller answers", async || client.channels().await.is_ok()).await;
        let set = async || {
            let routes = vec![v1::FibRoute {
                prefix: "10.9.0.0/24".to_owned(),
                kind: "blackhole".to_owned(),
                ..Default::default()
            }];
            let (owner, channel) = ("ops".to_owned(), "main".to_owned());
            let set = v1::SetRoutesRequest { owner, channel, distance: 0, routes };
            client.set(set).await.is_ok_and(|reply| reply.accepted)
        };
        assert!(set().await);
        eventually("the route is in both", async || all().lines().count() == 2).await;

        // Two of one socket would take each other's routes away, and so would a cleanup.
        let run_dir = controller.run_dir().display().to_string();
        let (file, socket) = (format!("{run_dir}/fib.yaml"), format!("{run_dir}/fib.sock"));
        let program = env!("CARGO_BIN_EXE_sartd");
        let said = b.refused(&[program, "fib", "-f", &file, "--socket", &socket]);
        assert!(said.contains("already-running: "), "{said}");
        let dirs = ["--run-dir", &run_dir, "--cni-conf-dir", &run_dir, "--cni-bin-dir", &run_dir];
        let said = b.refused(&[&[program, "cleanup"], &dirs[..]].concat());
        assert!(said.contains("still-running: a `sartd fib`"), "{said}");

        controller.crash();
        std::fs::write(&file, into("101, 102")).unwrap();
        controller.start();
        eventually("the route is set again", set).await;
        eventually("the route is in the new tables alone", async || {
            let all = all();
            all.lines().count() == 2 && all.contains("table 101") && all.contains("table 102")
        })
        .await;
        assert_eq!(controller.terminate(), Some(0));
        assert_eq!(all(), "");
        assert_eq!(std::fs::read_to_string(format!("{run_dir}/fib.tables")).unwrap(), "[]");
    });
}

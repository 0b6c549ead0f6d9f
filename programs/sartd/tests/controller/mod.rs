//! `sartd fib` as a process: tables of the kernel, a router and a program as sources and takers.

use node_api::v1;

use crate::world::{Host, Router, World, eventually};
use crate::{LEFT, RIGHT, has_route};

const CHANNELS: &str = "
channels:
  - name: in
    ip_version: ipv4
    subscribers: [{protocol: kernel, tables: [8]}, {protocol: bgp, endpoint: ROUTER}]
    publishers: [{protocol: kernel, tables: [100]}]
  - name: out
    ip_version: ipv4
    subscribers: [{protocol: kernel, tables: [9]}]
    publishers: [{protocol: bgp, endpoint: ROUTER}]
";

/// Whether table 100 holds these routes and no others: each by the beginning of its line, without the
/// next-hop object's id.
fn holds(host: &Host, want: &[&str]) -> bool {
    // An empty table is one that does not exist.
    let all = host.run(&["ip", "-o", "route", "show", "table", "all"]);
    let of_100 = all.lines().filter(|line| line.contains(" table 100 "));
    let plain = |line: &str| match line.split_once(" nhid ") {
        Some((prefix, rest)) => {
            format!("{prefix} {}", rest.split_once(' ').map_or("", |(_, rest)| rest))
        }
        None => line.to_owned(),
    };
    let mut have: Vec<String> = of_100.map(plain).collect();
    have.sort_unstable();
    have.len() == want.len() && have.iter().zip(want).all(|(have, want)| have.starts_with(want))
}

/// All that the program `ops` wants of the channel `in`.
async fn ask(controller: &Router, distance: u32, routes: &[(&str, &str)]) -> v1::SetRoutesReply {
    let routes = routes.iter().map(|(prefix, kind)| v1::FibRoute {
        prefix: (*prefix).to_owned(),
        kind: (*kind).to_owned(),
        ..Default::default()
    });
    let (owner, channel) = ("ops".to_owned(), "in".to_owned());
    let request = v1::SetRoutesRequest { owner, channel, distance, routes: routes.collect() };
    controller.fib_client().set(request).await.unwrap()
}

#[test]
fn a_controller_joins_kernel_router_and_program() {
    let name = "controller::a_controller_joins_kernel_router_and_program";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let left = a.router("left", LEFT, &[]);
        let right = b.router("right", &RIGHT.replace("fib: {}\n", ""), &[]);
        right.wait_until_up().await;
        b.run(&["ip", "route", "add", "10.50.0.0/24", "via", "10.0.0.1", "table", "8"]);
        b.run(&["ip", "route", "add", "10.70.0.0/24", "via", "10.0.0.1", "table", "9"]);
        let socket = right.run_dir().join("router.sock").display().to_string();
        let mut controller = b.controller(
            "controller",
            &CHANNELS.replace("ROUTER", &socket),
            &["--restart-time", "3"],
        );
        let (table_8, bgp) = ("10.50.0.0/24 via 10.0.0.1 ", "10.9.0.0/24 via 10.0.0.1 ");
        let read = async || holds(&b, &[table_8, bgp]);
        eventually("the kernel's and the router's routes are there", read).await;

        // A table of the kernel is told to the router, which tells its peer.
        let told = async || {
            let request = v1::ListRoutesRequest {
                table: "loc".into(),
                prefix: "10.70.0.0/24".into(),
                ..Default::default()
            };
            let page = left.client().routes(request).await.unwrap();
            page.routes.iter().any(|route| route.prefix == "10.70.0.0/24")
        };
        eventually("the peer has the kernel's route", told).await;

        // A program's routes; by its distance it wins over the router, or does not.
        let own = "blackhole 10.60.0.0/24 ";
        let (ours, of_peer) = (("10.60.0.0/24", "blackhole"), ("10.9.0.0/24", "unreachable"));
        let reply = ask(&controller, 10, &[ours, of_peer]).await;
        assert!(reply.accepted && reply.routes == 2, "{reply:?}");
        let wins = async || holds(&b, &[table_8, own, "unreachable 10.9.0.0/24 "]);
        eventually("the program wins", wins).await;
        let refused = ask(&controller, 300, &[("10.60.0.0", "via")]).await;
        assert_eq!((refused.accepted, refused.problems.len()), (false, 2), "{refused:?}");
        assert!(ask(&controller, 30, &[ours, of_peer]).await.accepted);
        let loses = async || holds(&b, &[table_8, bgp, own]);
        eventually("the router wins", loses).await;

        // What others delete comes back; what is not ours is left alone.
        b.run(&["ip", "route", "add", "blackhole", "10.80.0.0/24", "table", "100"]);
        b.run(&["ip", "route", "del", "blackhole", "10.60.0.0/24", "table", "100"]);
        let foreign = "blackhole 10.80.0.0/24 ";
        let repaired = async || holds(&b, &[table_8, bgp, own, foreign]);
        eventually("the route is put back", repaired).await;

        // A crash changes nothing, until nobody has renewed a route for the restart time.
        let monitor = b.monitor_routes();
        controller.crash();
        b.run(&["ip", "route", "del", "10.70.0.0/24", "table", "9"]);
        assert!(holds(&b, &[table_8, bgp, own, foreign]));
        controller.start();
        let swept = async || holds(&b, &[table_8, bgp, foreign]);
        eventually("the program's route is swept", swept).await;
        let text = monitor.text();
        let gone: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("Deleted") && line.contains("table 100"))
            .collect();
        assert!(gone.len() == 1 && gone[0].contains("10.60.0.0/24"), "{text}");
        eventually("the peer has lost the other", async || !told().await).await;

        assert_eq!(controller.terminate(), Some(0));
        assert!(holds(&b, &[foreign]), "{}", b.run(&["ip", "route", "show", "table", "100"]));
        assert!(!has_route(&b, "10.9.0.0/24", "10.0.0.1"), "the main table was written");
    });
}

//! Routers as processes, each in a network namespace of its own.
//!
//! Needs root or user namespaces, and `ip`, `unshare` and `nsenter`; without them a test says
//! `SKIPPED:` and why.

#![cfg(feature = "router")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use node_api::v1::{self, SessionState, edit_request::Edit};
use node_api::{CallError, Endpoint, RouterClient};

use crate::world::{Host, Router, World, eventually};

const LEFT: &str = "
asn: 65001
router_id: 1.1.1.1
neighbors: [{name: right, address: 10.0.0.2, asn: 65002}]
paths: [{prefixes: [10.9.0.0/24, 'fd09::/64']}]
";

const RIGHT: &str = "
asn: 65002
router_id: 2.2.2.2
fib: {}
neighbors: [{name: left, address: 10.0.0.1, asn: 65001}]
paths: [{prefixes: [10.8.0.0/24]}]
";

/// Whether the kernel of a host holds both of the left router's routes.
fn has_routes(host: &Host) -> bool {
    let routes = host.run(&["ip", "route"]) + &host.run(&["ip", "-6", "route"]);
    routes.contains("10.9.0.0/24 via 10.0.0.1") && routes.contains("fd09::/64 via fd00::1")
}

async fn neighbor(router: &Router) -> Option<v1::Neighbor> {
    router.client().neighbors(None).await.ok()?.neighbors.into_iter().next()
}

async fn is_established(router: &Router) -> bool {
    neighbor(router).await.is_some_and(|n| n.state() == SessionState::Established)
}

#[test]
fn routes_cross_and_outlive_crashes_of_both_ends() {
    let Some(world) = World::enter("routes_cross_and_outlive_crashes_of_both_ends") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let mut left = a.router("left", LEFT, &[]);
        let mut right = b.router("right", RIGHT, &[]);
        eventually("both routes are in the kernel of the right", async || has_routes(&b)).await;
        let monitor = b.monitor_routes();

        left.crash();
        assert!(has_routes(&b), "the routes went with the left router");
        left.start();
        eventually("the session is there again", async || {
            let neighbor = neighbor(&right).await;
            neighbor.is_some_and(|n| n.flaps == 1 && n.state() == SessionState::Established)
        })
        .await;
        eventually("nothing is stale any more", async || {
            let neighbor = neighbor(&right).await;
            neighbor.is_some_and(|n| n.families.iter().all(|f| f.stale == 0 && f.received == 1))
        })
        .await;

        right.crash();
        assert!(has_routes(&b), "the routes went with the right router");
        right.start();
        eventually("the restart is over", async || {
            let global = right.client().global().await;
            global.is_ok_and(|g| g.established == 1 && g.conditions.is_empty())
        })
        .await;
        assert!(has_routes(&b));
        assert!(!monitor.text().contains("Deleted"), "a route was away: {}", monitor.text());

        assert_eq!(right.terminate(), Some(0));
        assert!(!has_routes(&b), "the routes were left behind");
        eventually("the left router has heard why", async || {
            let error = neighbor(&left).await.and_then(|n| n.last_error);
            error.is_some_and(|e| e.by() == v1::By::Peer && e.message.contains("Cease"))
        })
        .await;
    });
}

#[test]
fn owners_do_not_touch_each_other_and_outlive_a_crash() {
    let Some(world) = World::enter("owners_do_not_touch_each_other_and_outlive_a_crash") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let mut left = a.router("left", LEFT, &[]);
        let mut right = b.bare_router("right", &["--expect-owner", "agent", "--on-exit", "keep"]);
        let document = "asn: 65002\nrouter_id: 2.2.2.2\ntransit: false\nfib: {table: 254}\n\
             neighbors: [{address: 10.0.0.1, asn: 65001}]\n";
        right.wait_until_up().await;
        let client = right.client();
        let dry = client.apply("agent", 1, document, true).await.unwrap();
        assert!(dry.accepted && dry.changes.len() == 5, "{dry:?}");
        assert_eq!(client.global().await.unwrap().asn, 0, "a dry run changed something");

        let refused = client.apply("agent", 1, "asn: 65002\nspeed: 1", false).await.unwrap();
        let problem = &refused.problems[0];
        assert_eq!((problem.line, problem.column, problem.reason.as_str()), (2, 1, "unknown-key"));

        assert!(client.apply("agent", 2, document, false).await.unwrap().accepted);
        let merge = Edit::Merge("paths: [{prefixes: [10.7.0.0/24]}]".to_owned());
        assert!(client.edit(merge).await.unwrap().accepted);
        eventually("routes are in the kernel", async || has_routes(&b)).await;
        let mut sent = client.watch_advertised().await.unwrap();
        loop {
            let list = sent.message().await.unwrap().expect("the watch goes on");
            let mut prefixes = list.neighbors.iter().flat_map(|n| &n.prefixes);
            if prefixes.any(|p| p.prefix == "10.7.0.0/24" && p.sent) {
                break;
            }
        }

        right.crash();
        right.start();
        eventually("the session is there again", async || is_established(&right).await).await;
        assert!(has_routes(&b));
        let global = right.client().global().await.unwrap();
        let agent = global.owners.iter().find(|o| o.name == "agent").unwrap();
        assert!(!agent.has_spoken && agent.generation == 2, "{agent:?}");
        let again = right.client().apply("agent", 2, document, false).await.unwrap();
        assert!(again.accepted && again.changes.is_empty(), "{again:?}");

        let forgotten = right.client().forget("agent").await.unwrap();
        assert_eq!(forgotten.resets.len(), 1, "{forgotten:?}");
        eventually("the left router is told", async || !is_established(&left).await).await;
        assert_eq!(right.terminate(), Some(0));
        assert_eq!(left.terminate(), Some(0));
    });
}

#[test]
fn a_taken_port_leaves_active_sessions() {
    let Some(world) = World::enter("a_taken_port_leaves_active_sessions") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        // The test is on host a; its listener takes connections in and never says a word.
        let _taken = std::net::TcpListener::bind("0.0.0.0:179").unwrap();
        let left = a.router("left", LEFT, &[]);
        let _right = b.router("right", RIGHT, &[]);
        eventually("the session is dialled", async || is_established(&left).await).await;
        let conditions = left.client().global().await.unwrap().conditions;
        assert!(conditions.iter().any(|c| c.name == "ListenFailed"), "{conditions:?}");
    });
}

#[test]
fn over_tcp_the_router_is_read_only_and_garbage_does_no_harm() {
    let name = "over_tcp_the_router_is_read_only_and_garbage_does_no_harm";
    let Some(world) = World::enter(name) else { return };
    let (a, _b) = world.two_hosts();
    world.block_on(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let router = a.router("left", LEFT, &[]);
        router.wait_until_up().await;
        // The test itself is on host a.
        let tcp = RouterClient::new(Endpoint::Tcp("127.0.0.1:5000".parse().unwrap()), None);
        let tcp = tcp.unwrap();
        assert_eq!(tcp.global().await.unwrap().asn, 65001);
        let refused = tcp.edit(Edit::RemovePath("10.9.0.0/24".to_owned())).await.unwrap_err();
        assert!(matches!(refused, CallError::NotAllowed(_)), "{refused}");
        for port in [179, 5000, 8001] {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = stream.write_all(&[0xA5; 5000]).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        assert_eq!(tcp.global().await.unwrap().asn, 65001);
    });
}

#[test]
fn a_wrong_file_ends_with_its_place() {
    let directory = world::Directory::new("wrong-file");
    let file = directory.path().join("router.yaml");
    std::fs::write(&file, "asn: 65001\nneighbors:\n- {address: 10.0.0.1, bfd: true}\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sartd"))
        .args(["bgp", "-f"])
        .arg(&file)
        .arg("--run-dir")
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    let name = file.display();
    assert!(text.contains(&format!("{name}:3:3: `asn` is missing (missing)")), "{text}");
    assert!(text.contains(&format!("{name}:3:23: `bfd` is not built yet")), "{text}");
}

#[test]
fn a_passive_and_an_active_end_meet() {
    let Some(world) = World::enter("a_passive_and_an_active_end_meet") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let passive = LEFT.replace("asn: 65002}", "asn: 65002, passive: true, hold_time: 3}");
        let left = a.router("left", &passive, &[]);
        let right = b.router("right", RIGHT, &[]);
        eventually("the session is there", async || is_established(&left).await).await;
        let session = neighbor(&left).await.and_then(|n| n.session).unwrap();
        assert_eq!((session.by(), session.hold_time), (v1::By::Peer, 3));
        // Longer than the hold time: KEEPALIVE messages flow.
        let since = neighbor(&right).await.unwrap().since;
        // One each second; so the hold time is over once five more have come.
        let heard = async || neighbor(&right).await.and_then(|n| n.session).map(|s| s.messages_in);
        let before = heard().await.unwrap();
        let more = async || heard().await.is_some_and(|now| now >= before + 5);
        eventually("five messages more", more).await;
        let now = neighbor(&right).await.unwrap();
        assert_eq!((now.state(), now.since), (SessionState::Established, since));
    });
}

#[test]
fn a_session_over_ipv6_carries_both_families() {
    let Some(world) = World::enter("a_session_over_ipv6_carries_both_families") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let _left = a.router("left", &LEFT.replace("10.0.0.2", "'fd00::2'"), &[]);
        let _right = b.router("right", &RIGHT.replace("10.0.0.1", "'fd00::1'"), &[]);
        eventually("both routes are in the kernel", async || has_routes(&b)).await;
    });
}

#[test]
fn cleanup_takes_what_sart_left_and_nothing_else() {
    let Some(world) = World::enter("cleanup_takes_what_sart_left_and_nothing_else") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let _left = a.router("left", LEFT, &[]);
        let mut right = b.router("right", RIGHT, &[]);
        eventually("both routes are in the kernel of the right", async || has_routes(&b)).await;
        right.crash();
        let block = ["unreachable", "10.1.0.0/29", "proto", "83", "metric", "1024"];
        b.run(&[&["ip", "route", "add"], &block[..]].concat());
        b.run(&["ip", "route", "add", "10.7.0.0/24", "via", "10.0.0.1", "proto", "bgp"]);
        let node = right.run_dir();
        for file in ["10-sart.conflist", "sart-cni", "other.conflist"] {
            std::fs::write(node.join(file), "").unwrap();
        }

        let dir = node.display().to_string();
        let dirs = ["--run-dir", &dir, "--cni-conf-dir", &dir, "--cni-bin-dir", &dir];
        let said = b.run(&[&[env!("CARGO_BIN_EXE_sartd"), "cleanup"], &dirs[..]].concat());
        assert!(said.starts_with("3 routes removed"), "{said}");
        let routes = b.run(&["ip", "route"]);
        assert!(!routes.contains("10.9.0.0") && !routes.contains("unreachable"), "{routes}");
        assert!(routes.contains("10.7.0.0/24"), "another's route went: {routes}");
        let left: Vec<_> =
            std::fs::read_dir(node).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["other.conflist"]);
        b.run(&[&[env!("CARGO_BIN_EXE_sartd"), "cleanup"], &dirs[..]].concat());
    });
}

#[test]
fn a_peer_made_anew_is_still_told_of_both_families() {
    let Some(world) = World::enter("a_peer_made_anew_is_still_told_of_both_families") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let left = a.bare_router("left", &[]);
        let _right = b.router("right", RIGHT, &[]);
        left.wait_until_up().await;
        let alone: String = LEFT
            .lines()
            .filter(|l| !l.contains("neighbors"))
            .fold(String::new(), |text, line| text + line + "\n");
        for (generation, document) in [(1, LEFT), (2, alone.as_str()), (3, LEFT)] {
            let reply = left.client().apply("agent", generation, document, false).await.unwrap();
            assert!(reply.accepted, "{reply:?}");
            let up = document == LEFT;
            eventually("the session is as the document says", async || {
                is_established(&left).await == up
            })
            .await;
        }
        eventually("both routes are in the kernel of the right", async || has_routes(&b)).await;
    });
}

//! Routers as processes, each in a network namespace of its own.
//!
//! Needs root or user namespaces, and `ip`, `unshare` and `nsenter`; without them a test says
//! `SKIPPED:` and why.

#![cfg(feature = "router")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod aggregates;
mod controller;
mod monitoring;
mod places;
mod policies;
mod sessions;
mod start;
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
    has_route(host, "10.9.0.0/24", "10.0.0.1") && has_route(host, "fd09::/64", "fd00::1")
}

/// Whether the kernel of a host reaches a prefix by a gateway; by a next-hop object or not.
fn has_route(host: &Host, prefix: &str, gateway: &str) -> bool {
    let routes = host.run(&["ip", "-o", "route"]) + &host.run(&["ip", "-6", "-o", "route"]);
    let leads = |route: &str| route.contains(&format!("via {gateway} "));
    routes.lines().any(|route| route.starts_with(&format!("{prefix} ")) && leads(route))
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
        let api = std::net::TcpListener::bind("127.0.0.1:5000").unwrap();
        let health = std::net::TcpListener::bind("0.0.0.0:8001").unwrap();
        let left = a.router("left", LEFT, &[]);
        let _right = b.router("right", RIGHT, &[]);
        eventually("the session is dialled", async || is_established(&left).await).await;
        let conditions = async || left.client().global().await.unwrap().conditions;
        let names: Vec<_> = conditions().await.into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["ListenFailed", "ApiListenFailed", "HealthListenFailed"]);
        drop((api, health));
        eventually("the API and health are heard", async || conditions().await.len() == 1).await;
        let tcp = RouterClient::new(Endpoint::Tcp("127.0.0.1:5000".parse().unwrap()), None);
        assert_eq!(tcp.unwrap().global().await.unwrap().asn, 65001);
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
fn what_resets_a_session_is_refused_in_the_one_call() {
    let name = "what_resets_a_session_is_refused_in_the_one_call";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        // The file is `file`: the first owner by name is `agent`.
        let token = world.directory().join("token");
        std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
        let flags = ["--grpc", "0.0.0.0:5000", "--token-file", token.to_str().unwrap()];
        let mrt = |name: &str| {
            let directory = world.directory().join(name);
            format!("mrt: {{directory: {}, table_interval: 600000}}\n", directory.display())
        };
        let left = a.router("left", &(LEFT.to_owned() + "port: 179\n" + &mrt("file")), &flags);
        let right = b.router("right", RIGHT, &[]);
        eventually("the session is there", async || is_established(&left).await).await;
        let log = left.log();
        assert!(log.contains("token-in-clear") && log.contains("0.0.0.0:5000"), "{log}");
        assert!(!right.log().contains("token-in-clear"));

        // The agent's neighbor takes the place of the file's.
        let short = "neighbors: [{address: 10.0.0.2, asn: 65002, extended_messages: false}]\n";
        for dry_run in [true, false] {
            let refused =
                left.client().apply_keeping_sessions("agent", 1, short, dry_run).await.unwrap();
            assert!(!refused.accepted && refused.resets.len() == 1, "{refused:?}");
            assert_eq!(refused.problems[0].reason, "resets-sessions");
            assert!(refused.problems[0].message.contains("10.0.0.2"), "{refused:?}");
        }
        let owners = left.client().global().await.unwrap().owners;
        assert!(owners.iter().all(|owner| owner.name != "agent"), "{owners:?}");
        let shown = neighbor(&left).await.unwrap();
        assert_eq!((shown.owner.as_str(), shown.flaps), ("file", 0), "{shown:?}");

        // What resets nothing is taken, and who decides on the router's own keys is told.
        let keys = "port: 179\nfib: {metric: 7}\n".to_owned() + &mrt("agent");
        let reply = left.client().apply_keeping_sessions("agent", 2, &keys, false).await.unwrap();
        assert!(reply.accepted && reply.conflicts.is_empty(), "{reply:?}");
        let told = |text: &str| text.contains("`mrt` is that of agent; that of file is ignored");
        let global = left.client().global().await.unwrap();
        let conflict = |c: &v1::Condition| c.name == "Conflict" && told(&c.message);
        assert!(global.conditions.iter().any(conflict), "{:?}", global.conditions);
        let file = global.owners.iter().find(|owner| owner.name == "file").unwrap();
        assert!(file.conflicts.iter().any(|text| told(text)), "{file:?}");
        // One that comes behind is told so in its answer, also of a dry run.
        for dry_run in [true, false] {
            let later = left.client().apply("later", 1, "port: 1179", dry_run).await.unwrap();
            let expect = "`port` is that of agent; that of later is ignored (different-port)";
            assert_eq!(later.conflicts, [expect]);
        }
    });
}

#[test]
fn a_wrong_file_ends_with_its_place() {
    let directory = world::Directory::new("wrong-file");
    let file = directory.path().join("router.yaml");
    std::fs::write(&file, "asn: 65001\nneighbors:\n- {address: 10.0.0.1, bfd: 7}\n").unwrap();
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
    assert!(text.contains(&format!("{name}:3:28: bfd: 7 is not a mapping")), "{text}");
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
        let dir = right.run_dir().display().to_string();
        let dirs = ["--run-dir", &dir, "--cni-conf-dir", &dir, "--cni-bin-dir", &dir];
        let cleanup = [&[env!("CARGO_BIN_EXE_sartd"), "cleanup"], &dirs[..]].concat();
        std::fs::write(right.run_dir().join("sart-cni"), "").unwrap();
        let said = b.refused(&cleanup);
        assert!(said.contains("still-running: a router"), "{said}");
        assert!(has_routes(&b) && right.run_dir().join("sart-cni").exists());
        right.crash();
        let block = ["unreachable", "10.1.0.0/29", "proto", "83", "metric", "1024"];
        b.run(&[&["ip", "route", "add"], &block[..]].concat());
        b.run(&["ip", "route", "add", "10.7.0.0/24", "via", "10.0.0.1", "proto", "bgp"]);
        let node = right.run_dir();
        for file in ["10-sart.conflist", "sart-cni", "other.conflist"] {
            std::fs::write(node.join(file), "").unwrap();
        }

        let said = b.run(&cleanup);
        assert!(said.starts_with("3 routes removed"), "{said}");
        let routes = b.run(&["ip", "route"]);
        assert!(!routes.contains("10.9.0.0") && !routes.contains("unreachable"), "{routes}");
        assert!(routes.contains("10.7.0.0/24"), "another's route went: {routes}");
        let left: Vec<_> =
            std::fs::read_dir(node).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["other.conflist"]);
        b.run(&cleanup);
    });
}

#[test]
fn routes_are_explained_filtered_and_redistributed() {
    let Some(world) = World::enter("routes_are_explained_filtered_and_redistributed") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        a.run(&["ip", "route", "add", "blackhole", "10.77.0.0/16", "proto", "static"]);
        let policies = "
redistribute: [{source: static}]
policies:
  short: {statements: [{name: long ones, match: {prefix: [10.9.0.0/24]}, action: reject}], default: accept}
";
        let document =
            LEFT.replace("65002}", "65002, export: [short]}").replace("\npaths", &format!("{policies}paths"));
        let left = a.router("left", &document, &[]);
        let right = b.router("right", RIGHT, &[]);
        eventually("the redistributed route is in the kernel", async || {
            has_route(&b, "10.77.0.0/16", "10.0.0.1")
        })
        .await;
        let client = left.client();
        let explained = client.explain("10.9.0.1").await.unwrap();
        let [to] = &explained.advertisements[..] else { panic!("{explained:?}") };
        assert_eq!((to.sent, to.reason.as_str()), (false, "rejected-by-policy"), "{to:?}");
        let verdict = to.paths[0].policy.as_ref().unwrap();
        assert_eq!(verdict.decided, "policy short, statement 1 (long ones)");
        let texts = client.policies("").await.unwrap().policies;
        assert!(texts[0].name == "short" && texts[0].text.contains("10.9.0.0/24"), "{texts:?}");

        let ask = |request: v1::ListRoutesRequest| {
            let client = right.client();
            async move {
                let page = client.routes(request).await.unwrap();
                page.routes.into_iter().map(|route| route.prefix).collect::<Vec<_>>()
            }
        };
        let all = v1::ListRoutesRequest { table: "loc".to_owned(), ..Default::default() };
        assert_eq!(ask(all.clone()).await, ["10.8.0.0/24", "10.77.0.0/16"]);
        let within = v1::ListRoutesRequest { within: "10.64.0.0/10".to_owned(), ..all.clone() };
        assert_eq!(ask(within).await, ["10.77.0.0/16"]);
        let address = v1::ListRoutesRequest { address: "10.77.1.1".to_owned(), ..all.clone() };
        assert_eq!(ask(address).await, ["10.77.0.0/16"]);
        let path = v1::ListRoutesRequest { as_path: "^65001$".to_owned(), ..all.clone() };
        assert_eq!(ask(path).await, ["10.77.0.0/16"]);
        let start = v1::ListRoutesRequest { cursor: "start".to_owned(), ..all };
        assert_eq!(ask(start).await.len(), 2);

        let reset = client.reset(None, v1::ResetKind::Hard, "good night").await.unwrap();
        assert_eq!(reset.neighbors, ["10.0.0.2"]);
        eventually("the right end has read why", async || {
            let error = neighbor(&right).await.and_then(|n| n.last_error);
            error.is_some_and(|e| e.code == 6 && e.message.contains("good night"))
        })
        .await;
    });
}

#[test]
fn a_file_is_read_again_without_a_flap() {
    let Some(world) = World::enter("a_file_is_read_again_without_a_flap") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let left = a.router("left", LEFT, &[]);
        let right = b.router("right", RIGHT, &[]);
        eventually("both routes are in the kernel", async || has_routes(&b)).await;
        let client = left.client();
        let write = |text: &str| std::fs::write(world.directory().join("left.yaml"), text).unwrap();
        let more = LEFT.replace("[10.9.0.0/24,", "[10.9.0.0/24, 10.6.0.0/24,");
        write(&more);
        let planned = client.reload(true, false).await.unwrap();
        assert_eq!((planned.changes.len(), planned.resets.len()), (1, 0), "{planned:?}");
        assert!(!has_route(&b, "10.6.0.0/24", "10.0.0.1"), "a dry run changed something");
        assert!(client.reload(false, false).await.unwrap().accepted);
        let arrives = async || has_route(&b, "10.6.0.0/24", "10.0.0.1");
        eventually("what the file says now is told", arrives).await;
        let again = client.reload(false, false).await.unwrap();
        assert!(again.accepted && again.changes.is_empty(), "{again:?}");

        // A problem changes nothing, and stays to be seen.
        write(&format!("{more}speed: 1\n"));
        let refused = client.reload(true, false).await.unwrap();
        assert_eq!((refused.accepted, refused.problems[0].line), (false, 6), "{refused:?}");
        let conditions = async || client.global().await.unwrap().conditions;
        assert!(conditions().await.is_empty(), "a dry run leaves none");
        left.hang_up();
        eventually("SIGHUP has read it", async || !conditions().await.is_empty()).await;
        let condition = conditions().await.remove(0);
        assert_eq!(condition.name, "FileRefused");
        assert!(condition.message.contains("left.yaml:6:1: "), "{condition:?}");
        assert!(has_route(&b, "10.6.0.0/24", "10.0.0.1"));

        write(&LEFT.replace("router_id", "grpc: 127.0.0.1:5009\nrouter_id"));
        left.hang_up();
        eventually("the route is gone", async || !arrives().await).await;
        let conditions = conditions().await;
        assert!(conditions[0].message.contains("127.0.0.1:5009"), "{conditions:?}");
        let neighbor = neighbor(&right).await.unwrap();
        assert_eq!((neighbor.flaps, neighbor.state()), (0, SessionState::Established));
        assert!(has_routes(&b));

        let bare = a.bare_router("bare", &["--health-port", "8002", "--grpc", "127.0.0.1:5002"]);
        bare.wait_until_up().await;
        let refused = bare.client().reload(false, false).await.unwrap_err().to_string();
        assert!(refused.contains("runs without a file"), "{refused}");
        bare.hang_up();
        let warned = async || bare.log().contains("SIGHUP: nothing is read again");
        eventually("it goes on without a file", warned).await;
        assert!(bare.client().global().await.is_ok());
    });
}

//! Routers and channels of VRFs, on a kernel that has them.

use node_api::v1::SessionState;

use super::{entry, ours, vrf_missing};
use crate::world::{Host, Router, World, eventually};
use crate::{LEFT, RIGHT, has_route, is_established, neighbor};

/// What a test says where there are none.
const NONE: &str = "this kernel has no VRF (CONFIG_NET_VRF)";

/// Whether there are VRFs; if not, it is said that the rest of a test is not run.
pub(super) fn are_there(host: &Host, name: &str) -> bool {
    if !host.can(&["ip", "link", "add", "probe", "type", "vrf", "table", "99"]) {
        eprintln!("SKIPPED: {name}: {NONE}");
        return false;
    }
    host.run(&["ip", "link", "delete", "probe"]);
    true
}

/// Makes a VRF with a link and the addresses that this has.
pub(super) fn make(host: &Host, vrf: &str, table: &str, link: &str, v6: &str) {
    host.run(&["ip", "link", "add", vrf, "type", "vrf", "table", table]);
    host.run(&["ip", "link", "set", vrf, "up"]);
    host.run(&["ip", "link", "set", link, "master", vrf]);
    // Its addresses of IPv6 go with the change.
    host.run(&["ip", "address", "replace", v6, "dev", link, "nodad"]);
}

/// A document whose one neighbor has more to it.
fn with(document: &str, more: &str) -> String {
    let asn = if document.contains("asn: 65002}") { "65002" } else { "65001" };
    document.replace(&format!("asn: {asn}}}"), &format!("asn: {asn}, hold_time: 3{more}}}"))
}

fn in_blue(document: &str) -> String {
    document.replace("fib: {}", "fib: {vrf: blue}")
}

/// Whether a route for the left router's IPv4 prefix is in this table alone, over IPv4.
fn is_in(host: &Host, vrf: &str, table: &str) -> bool {
    let all = ours(host);
    let words = [format!("table {vrf} "), format!("table {table} ")];
    let there = |line: &str| words.iter().any(|words| line.contains(words));
    matches!(all.as_slice(), [one] if there(one) && one.contains("via 10.0.0.1 "))
}

/// Waits until both have heard each other again: of two messages one at least was signed after this
/// was called.
async fn hear_each_other(left: &Router, right: &Router) {
    let heard = async || {
        let mut messages = Vec::new();
        for router in [left, right] {
            let session = neighbor(router).await.and_then(|neighbor| neighbor.session);
            messages.push(session.map_or(0, |session| session.messages_in));
        }
        messages
    };
    let before = heard().await;
    eventually("two messages more at each end", async || {
        heard().await.iter().zip(&before).all(|(now, before)| *now >= before + 2)
    })
    .await;
}

#[test]
fn sessions_of_a_vrf_come_again_with_it() {
    let name = "places::vrf::sessions_of_a_vrf_come_again_with_it";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    if !are_there(&b, name) {
        return;
    }
    world.block_on(async {
        // Once the VRF's router is called, once it calls.
        for (of_left, of_right) in [("", ", passive: true"), (", passive: true", "")] {
            let left = a.router("left", &with(LEFT, of_left), &[]);
            let right = b.router("right", &in_blue(&with(RIGHT, of_right)), &[]);
            for table in ["100", "101"] {
                make(&b, "blue", table, "right", "fd00::2/64");
                eventually("the session is there", async || is_established(&right).await).await;
                eventually("its route is in the VRF", async || is_in(&b, "blue", table)).await;
                assert!(!has_route(&b, "10.9.0.0/24", "10.0.0.1"), "it is outside, too");
                let fib = entry(&right).await;
                assert!(fib.installed, "{fib:?}");
                let listening = b.run(&["ss", "-Hltn", "sport", "=", "179"]);
                let all = listening.lines().all(|line| line.contains("%blue:179"));
                assert!(all && !listening.is_empty(), "{listening}");
                b.run(&["ip", "link", "delete", "blue"]);
                eventually("the VRF is missed", async || vrf_missing(&right).await.is_some()).await;
                // Outside of it both could reach each other.
                b.run(&["ip", "address", "replace", "fd00::2/64", "dev", "right", "nodad"]);
                eventually("the session is lost", async || !is_established(&right).await).await;
                eventually("its routes are gone", async || ours(&b).is_empty()).await;
            }
            drop((left, right));
        }
    });
}

/// A connection that came in has a copy of its listener's key, which a VRF's is (RFC 2385, RFC 5925).
#[test]
fn keys_change_under_a_session_of_a_vrf() {
    let name = "places::vrf::keys_change_under_a_session_of_a_vrf";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    if !are_there(&b, name) {
        return;
    }
    world.block_on(async {
        make(&b, "blue", "100", "right", "fd00::2/64");
        let md5 = ["password: one", "password: two", "password: three"].map(str::to_owned);
        let (one, two) = ("{id: 1, key: one}", "{id: 2, key: two, algorithm: hmac-sha256}");
        let ao = [one.to_owned(), format!("{one}, {two}"), format!("{two}, {one}"), two.to_owned()];
        let ao = ao.map(|keys| format!("tcp_ao: {{keys: [{keys}]}}"));
        let kinds = match crate::sessions::ao::refusal() {
            None => vec![&md5[..], &ao[..]],
            Some(why) => {
                eprintln!("SKIPPED: {name}: {why}");
                vec![&md5[..]]
            }
        };
        let mut nth = 0;
        for (of_left, of_right) in [("", ", passive: true"), (", passive: true", "")] {
            for kind in &kinds {
                // A router of its own each, since what it was told is kept in its directory.
                nth += 1;
                let left = a.bare_router(&format!("left-{nth}"), &[]);
                let right = b.bare_router(&format!("right-{nth}"), &[]);
                left.wait_until_up().await;
                right.wait_until_up().await;
                for (generation, keys) in (1..).zip(*kind) {
                    for (router, document, more) in
                        [(&left, LEFT, of_left), (&right, RIGHT, of_right)]
                    {
                        let document = in_blue(&with(document, &format!("{more}, {keys}")));
                        let client = router.client();
                        let reply = client.apply("agent", generation, &document, false).await;
                        let reply = reply.unwrap();
                        assert!(reply.accepted && reply.conflicts.is_empty(), "{reply:?}");
                        assert!(reply.resets.is_empty(), "{reply:?}");
                    }
                    eventually("the session is there", async || is_established(&left).await).await;
                    // One that does not hear the other any more ends it after three seconds.
                    hear_each_other(&left, &right).await;
                    let flaps = neighbor(&left).await.unwrap().flaps;
                    assert_eq!(flaps, 0, "it was lost when the keys became {keys}");
                }
                // With another key nobody is let in.
                let wrong = kind[0].replace("one", "another");
                let document = with(LEFT, &format!("{of_left}, {wrong}"));
                let reply = left.client().apply("agent", 9, &document, false).await.unwrap();
                assert!(reply.accepted, "{reply:?}");
                eventually("the session is lost", async || !is_established(&left).await).await;
                let tries = async || {
                    let dials = if of_left.is_empty() { &left } else { &right };
                    neighbor(dials).await.map_or(0, |neighbor| neighbor.connect_retries)
                };
                let before = tries().await;
                eventually("it is dialled again", async || tries().await > before).await;
                assert!(!is_established(&left).await && !is_established(&right).await);
            }
        }
    });
}

#[test]
fn a_router_moves_into_a_vrf_and_out_again() {
    let name = "places::vrf::a_router_moves_into_a_vrf_and_out_again";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    if !are_there(&b, name) {
        return;
    }
    world.block_on(async {
        let _left = a.router("left", &with(LEFT, ""), &[]);
        let plain = with(RIGHT, ", passive: true");
        let right = b.router("right", &plain, &[]);
        let write = |text: &str| {
            std::fs::write(world.directory().join("right.yaml"), text).unwrap();
        };
        let is_outside = || has_route(&b, "10.9.0.0/24", "10.0.0.1");
        eventually("the route is there", async || is_outside()).await;
        for _ in 0..2 {
            make(&b, "blue", "100", "right", "fd00::2/64");
            write(&in_blue(&plain));
            assert!(right.client().reload(false, false).await.unwrap().accepted);
            eventually("the route is in the VRF", async || is_in(&b, "blue", "100")).await;
            eventually("the session is there", async || is_established(&right).await).await;
            b.run(&["ip", "link", "delete", "blue"]);
            b.run(&["ip", "address", "replace", "fd00::2/64", "dev", "right", "nodad"]);
            write(&plain);
            assert!(right.client().reload(false, false).await.unwrap().accepted);
            eventually("the route is outside again", async || is_outside()).await;
        }
        let log = right.log();
        assert!(!log.contains("in use"), "a listener was in its own way: {log}");
    });
}

/// Two VRFs of one machine, and two of another: all addresses are the same twice.
#[test]
fn routers_of_two_vrfs_have_the_same_port_and_addresses() {
    let name = "places::vrf::routers_of_two_vrfs_have_the_same_port_and_addresses";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    if !are_there(&b, name) {
        return;
    }
    world.block_on(async {
        let second = "ip link add left2 type veth peer right2 netns";
        a.run(&second.split(' ').chain([b.pid().as_str()]).collect::<Vec<_>>());
        let mut routers = Vec::new();
        let numbers = [("blue", "100", ""), ("red", "101", "2")];
        for (vrf, table, nth) in numbers {
            for (host, side, document, n) in [(&a, "left", LEFT, 1), (&b, "right", RIGHT, 2)] {
                let link = format!("{side}{nth}");
                make(host, vrf, table, &link, &format!("fd00::{n}/64"));
                let v4 = format!("10.0.0.{n}/24");
                host.run(&["ip", "address", "replace", &v4, "dev", &link]);
                host.run(&["ip", "link", "set", &link, "up"]);
                // Each pair has another key and another prefix.
                let keyed = with(document, &format!(", password: of-{vrf}"));
                let fib = format!("fib: {{vrf: {vrf}}}");
                let document = match side {
                    "left" => keyed.replace("10.9.0.0/24", &format!("10.{table}.0.0/24")) + &fib,
                    _ => keyed.replace("fib: {}", &fib),
                };
                let (health, grpc) = (format!("8{table}"), format!("127.0.0.1:5{table}"));
                let flags = ["--health-port", &health, "--grpc", &grpc];
                routers.push(host.router(&format!("{side}-{vrf}"), &document, &flags));
            }
        }
        for router in &routers {
            eventually("each session is there", async || is_established(router).await).await;
        }
        let of = |vrf: &str| b.run(&["ip", "-o", "route", "show", "vrf", vrf, "proto", "bgp"]);
        for (vrf, table, other) in [("blue", "100", "101"), ("red", "101", "100")] {
            eventually("each route is in its VRF", async || {
                of(vrf).contains(&format!("10.{table}.0.0/24"))
            })
            .await;
            assert!(!of(vrf).contains(&format!("10.{other}.0.0/24")), "{}", of(vrf));
        }
    });
}

#[test]
fn an_unnumbered_session_and_bfd_are_in_a_vrf() {
    let name = "places::vrf::an_unnumbered_session_and_bfd_are_in_a_vrf";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    if !are_there(&b, name) {
        return;
    }
    world.block_on(async {
        b.run(&["ip", "link", "add", "blue", "type", "vrf", "table", "100"]);
        b.run(&["ip", "link", "set", "blue", "up"]);
        b.run(&["ip", "link", "set", "right", "master", "blue"]);
        b.run(&["sysctl", "-q", "-w", "net.ipv4.udp_l3mdev_accept=1"]);
        for (host, link) in [(&a, "left"), (&b, "right")] {
            host.run(&["ip", "address", "flush", "dev", link, "scope", "global"]);
        }
        let on = |text: &str, old: &str, link: &str| {
            with(text, ", bfd: {transmit: 300, receive: 300}")
                .replace(old, &format!("interface: {link}"))
        };
        let left = a.router("left", &on(LEFT, "address: 10.0.0.2", "left"), &[]);
        let right = b.router("right", &in_blue(&on(RIGHT, "address: 10.0.0.1", "right")), &[]);
        for router in [&left, &right] {
            eventually("the session and its BFD are there", async || {
                neighbor(router).await.is_some_and(|n| {
                    let bfd = n.bfd.as_ref().is_some_and(|bfd| bfd.state == "Up");
                    bfd && n.state() == SessionState::Established
                })
            })
            .await;
        }
        let of = |family: &str| b.run(&["ip", family, "-o", "route", "show", "vrf", "blue"]);
        eventually("both routes are in the VRF", async || {
            let v6 = of("-6");
            let six = v6
                .lines()
                .any(|line| line.starts_with("fd09::/64 ") && line.contains("via fe80::"));
            six && of("-4")
                .lines()
                .any(|line| line.starts_with("10.9.0.0/24 ") && line.contains("inet6 fe80::"))
        })
        .await;
    });
}

/// A channel from one VRF into another.
const CHANNEL: &str = "
channels:
  - name: main
    ip_version: ipv4
    subscribers: [{protocol: kernel, vrfs: [blue]}]
    publishers: [{protocol: kernel, vrfs: [red]}]
";

#[test]
fn a_channel_copies_routes_from_one_vrf_into_another() {
    let name = "places::vrf::a_channel_copies_routes_from_one_vrf_into_another";
    let Some(world) = World::enter(name) else { return };
    let (_a, b) = world.two_hosts();
    if !are_there(&b, name) {
        return;
    }
    world.block_on(async {
        let mut controller = b.controller("fib", CHANNEL, &[]);
        let client = controller.fib_client();
        let there = async || client.channels().await.is_ok_and(|list| list.channels.len() == 1);
        eventually("the controller answers", there).await;
        make(&b, "blue", "100", "right", "fd00::2/64");
        b.run(&["ip", "link", "add", "red", "type", "vrf", "table", "101"]);
        b.run(&["ip", "link", "set", "red", "up"]);
        let copied = |table: &str| {
            let all = b.run(&["ip", "-o", "route", "show", "table", "all", "proto", "84"]);
            let is_there = |line: &str| {
                let red = line.contains("table red ") || line.contains(&format!("table {table} "));
                line.contains("10.50.0.0/24 ") && red
            };
            all.lines().any(is_there)
        };
        let add = |table: &str| {
            let route = ["ip", "route", "add", "blackhole", "10.50.0.0/24", "table", table];
            b.run(&[&route[..], &["proto", "static"]].concat());
        };
        add("100");
        eventually("the route is in the other VRF", async || copied("101")).await;
        // The taker is made anew with another table, then the source.
        b.run(&["ip", "link", "delete", "red"]);
        b.run(&["ip", "link", "add", "red", "type", "vrf", "table", "102"]);
        b.run(&["ip", "link", "set", "red", "up"]);
        eventually("the route is in the new table", async || copied("102")).await;
        assert!(!copied("101"));
        b.run(&["ip", "link", "delete", "blue"]);
        eventually("with its source it is gone", async || !copied("102")).await;
        b.run(&["ip", "link", "add", "blue", "type", "vrf", "table", "103"]);
        add("103");
        eventually("from the new table it is there", async || copied("102")).await;
        assert_eq!(controller.terminate(), Some(0));
        let left = b.run(&["ip", "-o", "route", "show", "table", "all", "proto", "84"]);
        assert_eq!(left, "");
    });
}

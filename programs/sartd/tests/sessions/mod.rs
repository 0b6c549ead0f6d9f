//! Sessions that are more than an address and an AS number.

pub(crate) mod ao;

use node_api::v1::{self, SessionState};

use crate::world::{World, eventually};
use crate::{LEFT, RIGHT, has_route, has_routes, is_established, neighbor};

#[test]
fn a_session_with_a_key_needs_it_on_both_ends() {
    let Some(world) = World::enter("sessions::a_session_with_a_key_needs_it_on_both_ends") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        use std::os::unix::fs::PermissionsExt as _;
        let key = world.directory().join("key");
        std::fs::write(&key, "s3cret-of-both\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode));
        mode(0o644).unwrap();
        let with_file =
            LEFT.replace("65002}", &format!("65002, password_file: {}}}", key.display()));
        let left = a.bare_router("left", &[]);
        left.wait_until_up().await;
        let refused = left.client().apply("agent", 1, &with_file, false).await.unwrap();
        assert!(refused.problems[0].message.contains("0600"), "{refused:?}");
        mode(0o600).unwrap();
        assert!(left.client().apply("agent", 1, &with_file, false).await.unwrap().accepted);

        let keyed = |key: &str| RIGHT.replace("65001}", &format!("65001, password: {key}}}"));
        let right = b.bare_router("right", &[]);
        right.wait_until_up().await;
        assert!(right.client().apply("agent", 1, &keyed("wrong"), false).await.unwrap().accepted);
        eventually("the dial fails", async || {
            neighbor(&right).await.is_some_and(|n| n.connect_retries > 0 && n.last_error.is_some())
        })
        .await;
        assert!(!is_established(&right).await, "a wrong key is no key");

        let document = keyed("s3cret-of-both");
        let reply = right.client().apply("agent", 2, &document, false).await.unwrap();
        assert!(reply.accepted && !format!("{reply:?}").contains("s3cret"), "{reply:?}");
        eventually("the session is there", async || is_established(&right).await).await;
        let shown = neighbor(&right).await.unwrap();
        assert_eq!(shown.authentication, "md5");
        assert!(!format!("{shown:?}").contains("s3cret"), "{shown:?}");
        let stored = right.run_dir().join("desired/agent.json");
        let mode = std::fs::metadata(stored).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others may read the stored key");
        for log in [left.log(), right.log()] {
            assert!(!log.contains("s3cret"), "a key is in the log: {log}");
        }
    });
}

/// RFC 4724 §4.2, RFC 8538 §3.
#[test]
fn a_change_that_needs_a_new_open_is_foretold_and_keeps_routes() {
    let name = "sessions::a_change_that_needs_a_new_open_is_foretold_and_keeps_routes";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let left = a.router("left", LEFT, &[]);
        let right = b.bare_router("right", &[]);
        right.wait_until_up().await;
        let client = right.client();
        assert!(client.apply("agent", 1, RIGHT, false).await.unwrap().accepted);
        eventually("the routes are in the kernel", async || has_routes(&b)).await;
        let shown = neighbor(&right).await.unwrap();
        let long = "extended-message".to_owned();
        assert!(shown.capabilities_sent.contains(&long), "{shown:?}");
        assert_eq!(shown.capabilities_sent.len(), shown.capabilities_received.len(), "{shown:?}");

        let monitor = b.monitor_routes();
        let short = RIGHT.replace("65001}", "65001, extended_messages: false}");
        for dry_run in [true, false] {
            let reply = client.apply("agent", 2, &short, dry_run).await.unwrap();
            let [reset] = &reply.resets[..] else { panic!("{reply:?}") };
            assert_eq!(reset.neighbor, "10.0.0.1");
            assert!(reset.reason.contains("extended_messages"), "{reset:?}");
            assert_eq!(is_established(&right).await, dry_run, "a dry run resets nothing");
        }
        for router in [&right, &left] {
            eventually("the session is there again, and nothing is stale", async || {
                neighbor(router).await.is_some_and(|n| {
                    let fresh = n.families.iter().all(|family| family.stale == 0);
                    n.state() == SessionState::Established && n.flaps == 1 && fresh
                })
            })
            .await;
        }
        let shown = neighbor(&right).await.unwrap();
        assert!(!shown.capabilities_sent.contains(&long), "{shown:?}");
        assert!(shown.capabilities_received.contains(&long), "{shown:?}");
        assert!(has_routes(&b));
        assert!(!monitor.text().contains("Deleted"), "a route was away: {}", monitor.text());
    });
}

#[test]
fn ttl_security_keeps_those_out_who_are_too_far() {
    let Some(world) = World::enter("sessions::ttl_security_keeps_those_out_who_are_too_far") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        // What the right end sends leaves with TTL 1, so the left end hears nothing of it.
        let left = a.router("left", &LEFT.replace("65002}", "65002, ttl_security: 1}"), &[]);
        let right = b.bare_router("right", &[]);
        right.wait_until_up().await;
        assert!(right.client().apply("agent", 1, RIGHT, false).await.unwrap().accepted);
        eventually("the right end has heard the left one", async || {
            neighbor(&right).await.is_some_and(|n| n.state() == SessionState::OpenConfirm)
        })
        .await;
        assert!(!is_established(&left).await);
        let near = RIGHT.replace("65001}", "65001, ttl_security: 1}");
        let dry = right.client().apply("agent", 2, &near, true).await.unwrap();
        assert_eq!(dry.resets.len(), 1, "{dry:?}");
        assert!(right.client().apply("agent", 2, &near, false).await.unwrap().accepted);
        eventually("the session is there", async || is_established(&left).await).await;
        assert_eq!(neighbor(&left).await.unwrap().minimum_ttl, 255);
    });
}

#[test]
fn bfd_ends_a_session_before_its_hold_time() {
    let Some(world) = World::enter("sessions::bfd_ends_a_session_before_its_hold_time") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let bfd = "bfd: {transmit: 100, receive: 100}";
        let left = a.router("left", &LEFT.replace("65002}", &format!("65002, {bfd}}}")), &[]);
        let _right = b.router("right", &RIGHT.replace("65001}", &format!("65001, {bfd}}}")), &[]);
        let is_up = async |up: bool| {
            let neighbor = neighbor(&left).await;
            neighbor.and_then(|n| n.bfd).is_some_and(|bfd| (bfd.state == "Up") == up)
        };
        eventually("BFD is up", async || is_up(true).await).await;
        eventually("the session is there", async || is_established(&left).await).await;
        let mut watch = left.client().watch(v1::WatchRequest::default()).await.unwrap();
        // Packets no longer pass, but the link keeps its carrier: only BFD sees it so soon.
        b.run(&["ip", "link", "set", "right", "mtu", "1500", "arp", "off"]);
        b.run(&["ip", "address", "flush", "dev", "right", "scope", "global"]);
        eventually("BFD is down", async || is_up(false).await).await;
        eventually("the session is lost", async || !is_established(&left).await).await;
        let error = neighbor(&left).await.and_then(|n| n.last_error).unwrap();
        assert!(error.message.contains("BFD"), "{error:?}");
        loop {
            let event = watch.message().await.unwrap().expect("the watch goes on");
            if let Some(v1::event::What::Session(session)) = event.what
                && !session.reason.is_empty()
            {
                assert!(session.neighbor == "10.0.0.2", "{session:?}");
                break;
            }
        }
    });
}

#[test]
fn an_unnumbered_session_carries_both_families() {
    let Some(world) = World::enter("sessions::an_unnumbered_session_carries_both_families") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        for (host, link) in [(&a, "left"), (&b, "right")] {
            host.run(&["ip", "address", "flush", "dev", link, "scope", "global"]);
        }
        let on =
            |text: &str, old: &str, link: &str| text.replace(old, &format!("interface: {link}"));
        let left = a.router("left", &on(LEFT, "address: 10.0.0.2", "left"), &[]);
        let right = b.router("right", &on(RIGHT, "address: 10.0.0.1", "right"), &[]);
        eventually("the session is there", async || is_established(&left).await).await;
        eventually("both routes are in the kernel", async || {
            let left =
                a.run(&["ip", "-6", "-o", "address", "show", "dev", "left", "scope", "link"]);
            let gateway = left.split_whitespace().find_map(|word| word.strip_suffix("/64"));
            let gateway = gateway.unwrap_or_default();
            has_route(&b, "10.9.0.0/24", &format!("inet6 {gateway}"))
                && has_route(&b, "fd09::/64", gateway)
        })
        .await;
        assert_eq!(neighbor(&right).await.unwrap().interface, "right");
    });
}

#[test]
fn a_dynamic_neighbor_is_let_in_by_its_prefix() {
    let Some(world) = World::enter("sessions::a_dynamic_neighbor_is_let_in_by_its_prefix") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let dynamic = "dynamic_neighbors: [{prefix: 10.0.0.0/24, asn: external, password: k3y}]";
        let document: String = LEFT
            .lines()
            .map(|line| if line.starts_with("neighbors") { dynamic } else { line })
            .fold(String::new(), |text, line| text + line + "\n");
        let left = a.router("left", &document, &[]);
        let right = b.router("right", &RIGHT.replace("65001}", "65001, password: k3y}"), &[]);
        eventually("the session is there", async || is_established(&left).await).await;
        let shown = neighbor(&left).await.unwrap();
        assert_eq!((shown.dynamic.as_str(), shown.asn), ("10.0.0.0/24", 65002));
        assert_eq!(shown.authentication, "md5");
        drop(right);
    });
}

#[test]
fn a_peer_made_anew_is_still_told_of_both_families() {
    let Some(world) = World::enter("sessions::a_peer_made_anew_is_still_told_of_both_families")
    else {
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

/// A router may have the same link-local address on each of its links, and both of these have.
#[test]
fn neighbors_of_one_address_on_two_links_are_two() {
    let name = "sessions::neighbors_of_one_address_on_two_links_are_two";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let second = "ip link add left2 type veth peer right2";
        a.run(&second.split(' ').chain(["netns", &b.pid()]).collect::<Vec<_>>());
        let links = [(&a, "left", "fe80::a"), (&b, "right", "fe80::b")];
        for (host, link, address) in links {
            for link in [link.to_owned(), format!("{link}2")] {
                host.run(&["ip", "link", "set", &link, "addrgenmode", "none"]);
                host.run(&["ip", "address", "flush", "dev", &link]);
                let address = format!("{address}/64");
                host.run(&["ip", "address", "add", &address, "dev", &link, "nodad"]);
                host.run(&["ip", "link", "set", &link, "up"]);
            }
        }
        let neighbors = |document: &str, each: &dyn Fn(&str) -> String, links: [&str; 2]| {
            let list = format!("neighbors: [{}, {}]", each(links[0]), each(links[1]));
            let line = |line: &str| match line.starts_with("neighbors") {
                true => list.clone() + "\nmulti_path: true\n",
                false => line.to_owned() + "\n",
            };
            document.lines().map(line).collect::<String>()
        };
        let unnumbered =
            |asn: u32| move |link: &str| format!("{{interface: {link}, asn: {asn}, bfd: true}}");
        let numbered = |address: &'static str, asn: u32| {
            move |link: &str| {
                let more = "extended_next_hop: true, password: k3y, bfd: true";
                format!("{{address: \"{address}\", interface: {link}, asn: {asn}, {more}}}")
            }
        };
        let left = a.bare_router("left", &[]);
        let right = b.bare_router("right", &[]);
        left.wait_until_up().await;
        right.wait_until_up().await;
        let (ours, theirs) = (["left", "left2"], ["right", "right2"]);
        let rounds = [
            (
                1,
                neighbors(LEFT, &unnumbered(65002), ours),
                neighbors(RIGHT, &unnumbered(65001), theirs),
            ),
            (
                2,
                neighbors(LEFT, &numbered("fe80::b", 65002), ours),
                neighbors(RIGHT, &numbered("fe80::a", 65001), theirs),
            ),
        ];
        for (generation, for_left, for_right) in rounds {
            for (router, document) in [(&left, &for_left), (&right, &for_right)] {
                let reply = router.client().apply("agent", generation, document, false).await;
                let reply = reply.unwrap();
                assert!(reply.accepted && reply.conflicts.is_empty(), "{reply:?}");
            }
            let up = async || {
                let list = right.client().neighbors(None).await.unwrap().neighbors;
                let up = |n: &&v1::Neighbor| {
                    let bfd = n.bfd.as_ref().is_some_and(|bfd| bfd.state == "Up");
                    n.state() == SessionState::Established && bfd
                };
                list.iter().filter(up).map(|n| n.address.clone()).collect::<Vec<_>>()
            };
            eventually("both sessions and their BFD are up", async || {
                up().await == ["fe80::a%right", "fe80::a%right2"]
            })
            .await;
            for prefix in ["10.9.0.0/24", "fd09::/64"] {
                eventually("routes lead over both links", async || {
                    let via = if prefix.contains(':') { "" } else { "inet6 " };
                    let leads = |link| has_route(&b, prefix, &format!("{via}fe80::a dev {link}"));
                    theirs.into_iter().all(leads)
                })
                .await;
            }
        }
        let one = right.client().neighbors(Some("fe80::a%right2")).await.unwrap().neighbors;
        assert_eq!((one.len(), one[0].interface.as_str()), (1, "right2"));
        let which = right.client().neighbors(Some("fe80::a")).await.unwrap_err().to_string();
        assert!(which.contains("fe80::a%right, fe80::a%right2"), "{which}");

        // What ends on one link is not touched on the other.
        let first = async || {
            let list = right.client().neighbors(Some("fe80::a%right")).await.unwrap();
            list.neighbors.into_iter().next().unwrap()
        };
        let before = first().await.flaps;
        b.run(&["ip", "link", "set", "right2", "down"]);
        eventually("one is left", async || {
            let route = b.run(&["ip", "route", "show", "10.9.0.0/24"]);
            route.contains("fe80::a dev right ") && !route.contains("right2")
        })
        .await;
        let shown = first().await;
        assert_eq!((shown.state(), shown.flaps), (SessionState::Established, before), "{shown:?}");
    });
}

/// KEEPALIVE messages are told to nobody; who asks is shown how many there are.
#[test]
fn a_scrape_shows_the_counters_of_now() {
    let Some(world) = World::enter("sessions::a_scrape_shows_the_counters_of_now") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let often = LEFT.replace("65002}", "65002, hold_time: 3}");
        let _left = a.router("left", &often, &[]);
        let right = b.router("right", RIGHT, &[]);
        let came = async || {
            let session = neighbor(&right).await.and_then(|neighbor| neighbor.session);
            session.map_or(0, |session| session.messages_in)
        };
        eventually("the session is there", async || is_established(&right).await).await;
        let at_first = came().await;
        eventually("the left router lives", async || came().await >= at_first + 3).await;

        let before = came().await;
        let text = b.run(&["curl", "--silent", "http://127.0.0.1:8001/metrics"]);
        let after = came().await;
        let line = "sart_bgp_peer_messages_received_total{peer=\"10.0.0.1\",name=\"left\"} ";
        let shown = text.lines().find_map(|found| found.strip_prefix(line)?.parse().ok());
        let shown: u64 = shown.unwrap_or_else(|| panic!("{line}is not in\n{text}"));
        assert!((before..=after).contains(&shown), "{before}, {shown}, {after}");
    });
}

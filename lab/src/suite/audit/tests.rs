use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use super::world::{Block, Host, Pool, Route, Service, World, route};
use super::{Findings, Range, fabric, node, objects};
use crate::bring_up::Mode;
use crate::suite::ctx::Pod;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn range(text: &str) -> Range {
    Range::parse(text).expect("a range")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn to(prefix: &str, kind: &str, devices: &[&str], gateways: &[&str]) -> Route {
    Route {
        to: range(prefix),
        kind: kind.into(),
        protocol: "bgp".into(),
        devices: set(devices),
        gateways: gateways.iter().map(|gateway| ip(gateway)).collect(),
    }
}

/// Two nodes, a pod on the first, a Service before it, both spines; all as it should be.
fn world() -> World {
    let pod = Pod {
        namespace: "default".into(),
        name: "web".into(),
        node: "a".into(),
        addresses: vec![ip("10.1.0.0")],
        ready: true,
        host_network: false,
        ending: false,
    };
    let first = Host {
        routes: vec![
            to("10.1.0.0/29", "unreachable", &[], &[]),
            to("10.1.0.0", "unicast", &["veth0"], &[]),
        ],
        veths: set(&["eth0", "eth1", "veth0"]),
        pods: vec![vec![ip("10.1.0.0")]],
    };
    let spine = |near: &str, far: &str| Host {
        routes: vec![
            to("10.1.0.0/29", "unicast", &["eth1"], &[near]),
            to("10.0.1.0", "unicast", &["eth1", "eth2"], &[near, far]),
        ],
        ..Host::default()
    };
    let core = Host {
        routes: vec![
            to("10.1.0.0/29", "unicast", &["eth1", "eth2"], &[]),
            to("10.0.1.0", "unicast", &["eth1", "eth2"], &[]),
            to("192.168.0.0/24", "unicast", &["eth3"], &[]),
        ],
        ..Host::default()
    };
    let hosts = [
        ("a", first),
        ("b", Host { veths: set(&["eth0"]), ..Host::default() }),
        ("spine0", spine("169.254.1.2", "169.254.2.2")),
        ("spine1", spine("169.253.1.2", "169.253.2.2")),
        ("core0", core),
    ];
    let owner =
        [("169.254.1.2", "a"), ("169.253.1.2", "a"), ("169.254.2.2", "b"), ("169.253.2.2", "b")];
    let pool =
        |name: &str, cidr: &str, for_pods| Pool { name: name.into(), range: range(cidr), for_pods };
    World {
        mode: Mode::Dual,
        nodes: vec!["a".into(), "b".into()],
        hosts: hosts.map(|(name, host)| (name.to_owned(), host)).into(),
        owner: owner.map(|(address, node)| (ip(address), node.to_owned())).into(),
        pods: vec![pod],
        services: vec![Service {
            namespace: "default".into(),
            name: "web".into(),
            addresses: vec![ip("10.0.1.0")],
            local: false,
            endpoints: set(&["a"]),
            ours: true,
        }],
        pools: vec![pool("pods", "10.1.0.0/24", true), pool("lb", "10.0.1.0/24", false)],
        blocks: vec![Block {
            name: "pods-0".into(),
            range: range("10.1.0.0/29"),
            pool: "pods".into(),
            for_pods: true,
            node: Some("a".into()),
        }],
        claims: vec![("10.0.1.0".into(), json!({}))],
        advertisements: vec![
            ("kube-system".into(), "pods-0".into(), json!({"cidr": "10.1.0.0/29", "type": "pod"})),
            (
                "default".into(),
                "web-10.0.1.0".into(),
                json!({"cidr": "10.0.1.0/32", "type": "service"}),
            ),
        ],
        speaking: set(&["a", "b"]),
    }
}

fn findings(world: &World) -> Vec<String> {
    let mut wrong = Findings::default();
    objects::check(world, &mut wrong);
    node::check(world, &mut wrong);
    fabric::check(world, &mut wrong);
    wrong.0
}

#[track_caller]
fn finds(change: impl FnOnce(&mut World), expect: &str) {
    let mut world = world();
    change(&mut world);
    let found = findings(&world);
    assert!(found.iter().any(|finding| finding.contains(expect)), "{expect:?} not in {found:#?}");
}

fn host<'a>(world: &'a mut World, name: &str) -> &'a mut Host {
    world.hosts.get_mut(name).expect("a host")
}

#[test]
fn a_world_as_it_should_be_has_no_findings() {
    assert_eq!(findings(&world()), [""; 0]);
}

#[test]
fn an_address_twice_is_found() {
    finds(
        |world| {
            let mut second = world.pods[0].clone();
            second.name = "other".into();
            world.pods.push(second);
        },
        "10.1.0.0 is held by pod default/web and pod default/other",
    );
}

#[test]
fn leaks_in_the_api_are_found() {
    finds(|w| w.claims.push(("10.0.1.9".into(), json!({}))), "AddressClaim 10.0.1.9 is leaked");
    finds(|w| w.claims.clear(), "has 10.0.1.0 without an AddressClaim");
    finds(|w| w.services.clear(), "AddressClaim 10.0.1.0 is leaked");
    finds(|w| w.services.clear(), "BGPAdvertisement default/web-10.0.1.0 of 10.0.1.0/32 is left");
    finds(|w| w.advertisements.clear(), "no BGPAdvertisement of 10.1.0.0/29");
    finds(|w| w.blocks[0].pool = "gone".into(), "lies in no range of pool gone");
    finds(|w| w.blocks[0].node = Some("c".into()), "belongs to c, which is no node");
}

#[test]
fn what_a_node_lacks_or_keeps_is_found() {
    finds(|w| host(w, "a").routes.truncate(1), "a: no route to 10.1.0.0");
    finds(|w| drop(host(w, "a").routes.remove(0)), "a: no unreachable route for block 10.1.0.0/29");
    finds(|w| host(w, "a").pods.clear(), "a: no namespace has [10.1.0.0] of pod web");
    finds(|w| w.pods.clear(), "a: route 10.1.0.0/32 is left over");
    finds(|w| w.pods.clear(), "a: a namespace has 10.1.0.0, but no pod does");
    finds(|w| host(w, "a").veths.extend(["veth9".into()]), "a: link veth9 belongs to no pod");
    finds(|w| w.blocks.clear(), "a: 10.1.0.0 of pod web is in none of its blocks");
    let stale = || to("10.1.0.8/29", "unreachable", &[], &[]);
    finds(|w| host(w, "b").routes.push(stale()), "b: unreachable 10.1.0.8/29 is left over");
    let spare = |n: u8| Block {
        name: format!("pods-{n}"),
        range: range(&format!("10.1.0.{}/29", n * 8)),
        pool: "pods".into(),
        for_pods: true,
        node: Some("a".into()),
    };
    finds(|w| w.blocks.extend([spare(1), spare(2)]), "a: keeps 2 empty blocks of pods");
    let hides = || to("10.0.1.0", "unreachable", &[], &[]);
    finds(|w| host(w, "b").routes.push(hides()), "hides a Service's address");
}

#[test]
fn what_the_fabric_lacks_or_keeps_is_found() {
    finds(|w| host(w, "spine0").routes.truncate(1), "spine0: no route to 10.0.1.0/32");
    finds(
        |w| w.services[0].local = true,
        "spine0: 10.0.1.0/32 leads to {\"a\", \"b\"} instead of {\"a\"}",
    );
    let stale = || to("10.1.0.16/29", "unicast", &["eth1"], &["169.254.1.2"]);
    finds(|w| host(w, "spine1").routes.push(stale()), "spine1: route 10.1.0.16/29 is left over");
    finds(|w| host(w, "core0").routes.push(stale()), "core0: route 10.1.0.16/29 is left over");
    finds(|w| host(w, "core0").routes[1].devices = set(&["eth1"]), "over {\"eth1\"} only");
    finds(|w| host(w, "core0").routes.clear(), "core0: no route to 10.1.0.0/29");
}

#[test]
fn routes_are_read_as_ip_writes_them() {
    let ecmp = json!({
        "dst": "10.0.1.0", "type": "unicast", "protocol": "bgp",
        "nexthops": [
            {"gateway": "169.254.1.2", "dev": "eth1", "weight": 1},
            {"via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth2"},
        ],
    });
    let read = route(&ecmp).expect("a route");
    assert_eq!(read.to, range("10.0.1.0/32"));
    assert_eq!(read.devices, set(&["eth1", "eth2"]));
    assert_eq!(read.gateways, [ip("169.254.1.2"), ip("fe80::1")].into());
    assert_eq!(read.kind, "unicast");
    let unreachable = json!({"type": "unreachable", "dst": "10.1.0.0/29", "dev": "lo"});
    assert_eq!(route(&unreachable).expect("a route").kind, "unreachable");
    assert!(route(&json!({"dst": "default", "gateway": "172.20.0.1"})).is_none());
}

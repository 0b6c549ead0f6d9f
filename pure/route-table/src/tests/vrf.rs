//! The table of a VRF: its device found among the links, next hops of its links alone.

use inet::{NextHop, Timestamp};

use super::driver::{METRIC, PROTOCOL, config};
use crate::*;

const NOW: Timestamp = Timestamp::ZERO;
const BLUE: u32 = 100;

fn link(index: u32, master: Option<u32>, vrf_table: Option<u32>) -> Link {
    let name = match vrf_table {
        Some(_) => "blue".to_owned(),
        None => format!("eth{index}"),
    };
    let (index, master) = (LinkIndex(index), master.map(LinkIndex));
    Link { index, name: name.parse().unwrap(), up: true, master, vrf_table }
}

fn route(prefix: &str, table: u32, gateway: Option<&str>, index: u32) -> KernelRoute {
    let legs = vec![Leg::new(gateway.map(|g| g.parse().unwrap()), LinkIndex(index))];
    KernelRoute {
        prefix: prefix.parse().unwrap(),
        table,
        protocol: 4,
        metric: 0,
        target: KernelTarget::Legs(legs),
        object: None,
    }
}

/// eth1 is in the VRF `blue` (link 9) by way of the bridge eth3, eth2 in none; both have the
/// network 10.1.0.0/24, in which 10.1.0.1 is ours on eth2 alone.
fn links() -> Vec<Link> {
    vec![
        link(1, Some(3), None),
        link(2, None, None),
        link(3, Some(9), None),
        link(9, None, Some(BLUE)),
    ]
}

fn read(table: &mut RouteTable, links: Vec<Link>, more: Vec<KernelRoute>) {
    let address = |index, address: &str| LinkAddress {
        link: LinkIndex(index),
        address: address.parse().unwrap(),
    };
    let addresses = vec![address(2, "10.1.0.1"), address(3, "10.1.0.3"), address(9, "10.9.9.9")];
    let routes = [route("10.1.0.0/24", 254, None, 2), route("9.0.0.0/8", 254, Some("10.1.0.7"), 2)];
    let routes = routes.into_iter().chain(more).collect();
    let snapshot = Snapshot { links, addresses, routes, objects: None };
    table.handle(NOW, Input::Kernel(KernelEvent::Snapshot(snapshot)));
}

fn of_blue(table: u32) -> Config {
    Config { table, vrf: Some("blue".parse().unwrap()), lookup: vec![table], ..config() }
}

/// Does what is to be done; gives it in words.
fn work(table: &mut RouteTable) -> Vec<String> {
    let mut done = Vec::new();
    while let Some(output) = table.poll() {
        let Output::Change(change) = output else { continue };
        done.push(match &change.action {
            Action::Replace(KernelTarget::Legs(legs)) => format!("{}={}", change.prefix, legs[0]),
            other => format!("{} {other:?}", change.prefix),
        });
        table.handle(NOW, Write::from(change).done(Ok(())));
    }
    done
}

fn offer(table: &mut RouteTable, prefix: &str, hop: NextHop) {
    let (prefix, target) = (prefix.parse().unwrap(), Target::via([(hop, 1)]));
    table.handle(NOW, Input::Offer { source: SourceId(0), distance: 20, prefix, target });
}

fn hop(address: &str, interface: Option<&str>) -> NextHop {
    let address: std::net::IpAddr = address.parse().unwrap();
    NextHop { interface: interface.map(|name| name.parse().unwrap()), ..NextHop::from(address) }
}

#[test]
fn the_device_is_found_by_its_name_and_its_parts_by_their_masters() {
    let mut table = RouteTable::new(of_blue(BLUE));
    let blue = "blue".parse().unwrap();
    assert_eq!(table.vrf(&blue), None);
    read(&mut table, links(), Vec::new());
    assert_eq!(table.vrf(&blue), Some((LinkIndex(9), BLUE)));
    let of = |index| table.vrf_of(LinkIndex(index)).map(|(vrf, table)| (vrf.index.0, table));
    assert_eq!([1, 2, 3, 9].map(of), [Some((9, BLUE)), None, Some((9, BLUE)), Some((9, BLUE))]);
    // A link of that name that is no VRF has no table.
    let bridge = Link { vrf_table: None, ..link(9, None, Some(BLUE)) };
    table.handle(NOW, Input::Kernel(KernelEvent::Link(bridge)));
    assert_eq!(table.vrf(&blue), None);
    table.handle(NOW, Input::Kernel(KernelEvent::LinkGone(LinkIndex(9))));
    assert_eq!(table.vrf(&blue), None);
}

#[test]
fn next_hops_are_those_of_the_vrf_alone() {
    let mut table = RouteTable::new(of_blue(BLUE));
    read(&mut table, links(), vec![route("10.1.0.0/24", BLUE, None, 3)]);
    offer(&mut table, "20.0.0.0/8", hop("10.1.0.7", None));
    assert_eq!(work(&mut table), ["20.0.0.0/8=10.1.0.7%3"]);
    // The main table's routes are no way.
    let unresolved = |table: &RouteTable, hop: NextHop| match table.resolve(&hop) {
        Resolution::Unresolved(why) => why.to_string(),
        Resolution::Resolved { legs, .. } => format!("{legs:?}"),
    };
    assert_eq!(unresolved(&table, hop("9.9.9.9", None)), "no-route");
    // Our own address of another VRF is a neighbor's here, ours here is ours: the device's too.
    assert!(table.resolve(&hop("10.1.0.1", None)).is_resolved());
    for own in ["10.1.0.3", "10.9.9.9"] {
        assert_eq!(unresolved(&table, hop(own, None)), "own-address");
    }
    assert_eq!(unresolved(&table, hop("fe80::1", Some("eth2"))), "link-down");
    assert!(table.resolve(&hop("fe80::1", Some("eth1"))).is_resolved());
    // In the main table it is the other way round.
    let mut main = RouteTable::new(config());
    read(&mut main, links(), vec![route("10.1.0.0/24", BLUE, None, 3)]);
    assert_eq!(unresolved(&main, hop("10.1.0.1", None)), "own-address");
    assert!(main.resolve(&hop("9.9.9.9", None)).is_resolved());
}

#[test]
fn a_link_that_leaves_the_vrf_takes_its_next_hops_with_it() {
    let mut table = RouteTable::new(of_blue(BLUE));
    read(&mut table, links(), Vec::new());
    offer(&mut table, "20.0.0.0/8", hop("fe80::1", Some("eth1")));
    assert_eq!(work(&mut table), ["20.0.0.0/8=fe80::1%1"]);
    // Neither its name nor whether it is up changes.
    table.handle(NOW, Input::Kernel(KernelEvent::Link(link(1, None, None))));
    assert_eq!(work(&mut table), ["20.0.0.0/8 Delete"]);
    table.handle(NOW, Input::Kernel(KernelEvent::Link(link(1, Some(9), None))));
    assert_eq!(work(&mut table), ["20.0.0.0/8=fe80::1%1"]);
}

/// The kernel takes table 0 for the main one: a write that is still under way when the VRF goes must
/// not become one there.
#[test]
fn what_is_under_way_when_the_table_goes_is_not_written_elsewhere() {
    let mut table = RouteTable::new(of_blue(BLUE));
    read(&mut table, links(), Vec::new());
    offer(&mut table, "20.0.0.0/8", hop("fe80::1", Some("eth1")));
    offer(&mut table, "30.0.0.0/8", hop("fe80::1", Some("eth1")));
    let change = std::iter::from_fn(|| table.poll()).find_map(|output| match output {
        Output::Change(change) => Some(change),
        _ => None,
    });
    let under_way = Write::from(change.unwrap());
    // One is with the kernel, the other was put out and not taken yet.
    table.handle(NOW, Input::Configure(of_blue(0)));
    read(&mut table, vec![link(1, None, None)], Vec::new());
    table.handle(NOW, under_way.done(Ok(())));
    assert_eq!(work(&mut table), [""; 0]);
    table.handle(NOW, Input::Configure(of_blue(BLUE)));
    read(&mut table, links(), Vec::new());
    let mut written = work(&mut table);
    written.sort();
    assert_eq!(written, ["20.0.0.0/8=fe80::1%1", "30.0.0.0/8=fe80::1%1"]);
}

#[test]
fn without_a_table_nothing_is_written_and_with_one_all_is() {
    let mut table = RouteTable::new(of_blue(0));
    read(&mut table, vec![link(1, None, None), link(2, None, None)], Vec::new());
    let prefix = "30.0.0.0/8".parse().unwrap();
    let target = Some(Target::Blackhole);
    table.handle(NOW, Input::Offer { source: SourceId(1), distance: 20, prefix, target });
    offer(&mut table, "20.0.0.0/8", hop("fe80::1", Some("eth1")));
    assert_eq!(work(&mut table), [""; 0]);
    assert_eq!(table.route(&prefix).unwrap().state, RouteState::NotInstalled);
    assert!(!table.resolve(&hop("fe80::1", Some("eth1"))).is_resolved());

    // What a run before has left there is taken over; then the device goes, and its table with it.
    table.handle(NOW, Input::Configure(of_blue(BLUE)));
    let stale =
        KernelRoute { protocol: PROTOCOL, metric: METRIC, ..route("40.0.0.0/8", BLUE, None, 1) };
    read(&mut table, links(), vec![stale]);
    let written = work(&mut table);
    assert_eq!(written, ["20.0.0.0/8=fe80::1%1", "30.0.0.0/8 Replace(Blackhole)"]);
    table.handle(NOW, Input::Sweep);
    assert_eq!(work(&mut table), ["40.0.0.0/8 Delete"]);
    table.handle(NOW, Input::Former(vec![(BLUE, METRIC)]));
    table.handle(NOW, Input::Configure(of_blue(0)));
    let left = KernelRoute {
        protocol: PROTOCOL,
        metric: METRIC,
        target: KernelTarget::Blackhole,
        ..route("30.0.0.0/8", BLUE, None, 1)
    };
    read(&mut table, vec![link(1, None, None)], vec![left]);
    assert_eq!(work(&mut table), [""; 0]);
    table.handle(NOW, Input::Sweep);
    assert_eq!(work(&mut table), [""; 0]);
}

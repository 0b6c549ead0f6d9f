//! Our routes in another place: written there before anything else, whatever is left in the old one.

use inet::Timestamp;

use super::driver::{METRIC, PROTOCOL, with_objects};
use crate::*;

const NOW: Timestamp = Timestamp::ZERO;

fn route(metric: u32, object: Option<u32>) -> KernelRoute {
    KernelRoute {
        prefix: "10.0.0.0/8".parse().unwrap(),
        table: 254,
        protocol: PROTOCOL,
        metric,
        target: KernelTarget::Legs(vec![Leg::new(Some("10.1.1.1".parse().unwrap()), LinkIndex(1))]),
        object: object.map(ObjectId),
    }
}

fn read(table: &mut RouteTable, ours: Vec<KernelRoute>, objects: Vec<KernelObject>) {
    let link = Link {
        index: LinkIndex(1),
        name: "eth1".parse().unwrap(),
        up: true,
        master: None,
        vrf_table: None,
    };
    let way = KernelRoute {
        prefix: "9.9.9.9/32".parse().unwrap(),
        protocol: 4,
        metric: 0,
        object: None,
        ..route(0, None)
    };
    let routes = ours.into_iter().chain([way]).collect();
    let objects = Some(objects);
    let snapshot = Snapshot { links: vec![link], routes, objects, ..Snapshot::default() };
    table.handle(NOW, Input::Kernel(KernelEvent::Snapshot(snapshot)));
}

/// Does what is to be done; gives it in words.
fn work(table: &mut RouteTable) -> Vec<String> {
    let mut done = Vec::new();
    while let Some(output) = table.poll() {
        let write: Write = match output {
            Output::Change(change) => change.into(),
            Output::Object(change) => change.into(),
            Output::Redistributed(prefix, route) => {
                done.push(format!("{prefix} {}", route.is_some()));
                continue;
            }
            Output::NextHop(..) | Output::Link { .. } | Output::Addresses { .. } => continue,
        };
        done.push(match &write {
            Write::Route(Change { prefix, action: Action::Via(id) }) => {
                format!("{prefix}>{}", id.0)
            }
            Write::Route(Change { prefix, action: Action::Replace(_) }) => format!("{prefix}>legs"),
            Write::Route(Change { prefix, action: Action::Delete }) => format!("{prefix}>-"),
            Write::Object(change) => format!("object {}", change.id.0),
        });
        let answer = write.done(Ok(()));
        table.handle(NOW, answer);
    }
    done
}

/// With one route, which is in the kernel.
fn table() -> RouteTable {
    let mut table = RouteTable::new(with_objects());
    read(&mut table, Vec::new(), Vec::new());
    let hop: std::net::IpAddr = "9.9.9.9".parse().unwrap();
    let target = Target::via([(inet::NextHop::from(hop), 1)]);
    let prefix = "10.0.0.0/8".parse().unwrap();
    table.handle(NOW, Input::Offer { source: SourceId(0), distance: 20, prefix, target });
    table.handle(NOW, Input::Sweep);
    assert_eq!(work(&mut table), ["object 1000", "object 1001", "10.0.0.0/8>1001"]);
    table
}

fn objects() -> Vec<KernelObject> {
    let object = |id, content| KernelObject { id: ObjectId(id), protocol: PROTOCOL, content };
    let (gateway, link) = ("10.1.1.1".parse().unwrap(), LinkIndex(1));
    vec![
        object(1000, ObjectContent::Leg { gateway, link }),
        object(1001, ObjectContent::Group(vec![(ObjectId(1000), 1)])),
    ]
}

#[test]
fn with_another_metric_all_is_written_again_and_what_is_left_is_nothing() {
    let mut table = table();
    let any = Selector { table: 254, origin: None };
    table.handle(NOW, Input::Redistribute(vec![any]));
    assert_eq!(work(&mut table), ["9.9.9.9/32 true"]);
    table.handle(NOW, Input::Former(vec![(254, METRIC)]));
    table.handle(NOW, Input::Configure(Config { metric: 7, ..with_objects() }));
    assert_eq!(work(&mut table), [""; 0], "nothing before the kernel is read");
    assert!(!table.is_synced());
    // The old route is no foreign one: it is not told of, and blocks nothing. Its group still does.
    read(&mut table, vec![route(METRIC, Some(1001))], objects());
    assert_eq!(work(&mut table), ["10.0.0.0/8>1001"]);
    assert_eq!(table.stats().installed, 1);
    let gone = KernelEvent::Route(RouteNews::Removed, route(METRIC, Some(1001)));
    table.handle(NOW, Input::Kernel(gone));
    table.handle(NOW, Input::Former(Vec::new()));
    table.handle(NOW, Input::Sweep);
    assert_eq!(work(&mut table), [""; 0]);
    assert_eq!(table.route(&"10.0.0.0/8".parse().unwrap()).unwrap().state, RouteState::Installed);
}

#[test]
fn without_objects_routes_are_rewritten_in_place_and_with_them_again() {
    let mut table = table();
    table.handle(NOW, Input::Configure(Config { objects: None, ..with_objects() }));
    read(&mut table, vec![route(METRIC, Some(1001))], objects());
    assert_eq!(work(&mut table), ["10.0.0.0/8>legs"]);
    assert!(!table.uses_objects());
    table.handle(NOW, Input::Configure(with_objects()));
    read(&mut table, vec![route(METRIC, None)], Vec::new());
    assert_eq!(work(&mut table), ["object 1000", "object 1001", "10.0.0.0/8>1001"]);
}

#[test]
fn what_is_in_force_already_changes_nothing_and_waits_for_no_reading() {
    let mut table = table();
    let prefix = "20.0.0.0/8".parse().unwrap();
    let target = Some(Target::Blackhole);
    table.handle(NOW, Input::Offer { source: SourceId(0), distance: 20, prefix, target });
    let Some(Output::Change(change)) = table.poll() else { panic!("no write") };
    let same = Config { install: false, ..with_objects() };
    assert!(table.is_configured(&same));
    table.handle(NOW, Input::Configure(same));
    assert!(table.is_synced());
    // It is under way as before: whoever answers it now without having written it says what is not.
    assert_eq!(table.route(&prefix).unwrap().state, RouteState::Pending);
    table.handle(NOW, Write::from(change).done(Ok(())));
    assert_eq!(table.route(&prefix).unwrap().state, RouteState::Installed);
    for other in [
        Config { metric: 7, ..with_objects() },
        Config { vrf: Some("blue".parse().unwrap()), ..with_objects() },
        Config { lookup: vec![100], ..with_objects() },
        Config { objects: None, ..with_objects() },
    ] {
        assert!(!table.is_configured(&other));
        table.handle(NOW, Input::Configure(other));
        assert!(!table.is_synced());
        table.handle(NOW, Input::Configure(with_objects()));
    }
}

#[test]
fn a_write_under_way_to_the_old_place_is_made_again() {
    let mut table = table();
    let prefix = "20.0.0.0/8".parse().unwrap();
    let target = Some(Target::Blackhole);
    table.handle(NOW, Input::Offer { source: SourceId(0), distance: 20, prefix, target });
    let Some(Output::Change(change)) = table.poll() else { panic!("no write") };
    table.handle(NOW, Input::Configure(Config { table: 100, ..with_objects() }));
    read(&mut table, Vec::new(), objects());
    assert_eq!(work(&mut table), ["10.0.0.0/8>1001"]);
    table.handle(NOW, Write::from(change).done(Ok(())));
    assert_eq!(work(&mut table), ["20.0.0.0/8>legs"]);
}

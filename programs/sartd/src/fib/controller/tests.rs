//! Channels, tables that hear of what was written, and routers.

use route_table::{Action, KernelRoute, KernelTarget, Leg, Link, LinkIndex, RouteNews, Snapshot};

use inet::LinkName;

use super::*;

const NOW: Timestamp = Timestamp::ZERO;
const MAIN: FibPlace = FibPlace::Table(254);
const OTHER: FibPlace = FibPlace::Table(100);

fn router() -> RouterEnd {
    RouterEnd::Tcp("127.0.0.1:5000".parse().unwrap())
}

/// `kernel 254` into table 100, and owners into tables 100 and 254 and a router.
fn controller() -> Controller {
    let mut controller = started(&Owners::new());
    for table in [OTHER, MAIN] {
        read(&mut controller, table);
    }
    controller
}

fn read(controller: &mut Controller, table: FibPlace) {
    let name = "eth0".parse().unwrap();
    let index = LinkIndex(1);
    let link = Link { index, name, up: true, master: None, vrf_table: None };
    let routes = vec![route("10.0.0.0/24", None, 2)];
    let snapshot = Snapshot { links: vec![link], routes, ..Snapshot::default() };
    controller.kernel(NOW, table, KernelEvent::Snapshot(snapshot));
}

fn channel(name: &str, subscribers: Vec<ChannelEnd>, publishers: Vec<ChannelEnd>) -> Channel {
    Channel { name: name.to_owned(), ip_version: Family::Ipv4, subscribers, publishers }
}

fn started(owners: &Owners) -> Controller {
    let kernel = |tables: &[u32]| ChannelEnd::Kernel { tables: tables.to_vec(), vrfs: vec![] };
    let bgp = ChannelEnd::Bgp { endpoint: router() };
    let channels = vec![
        channel("copy", vec![kernel(&[254])], vec![kernel(&[100])]),
        channel("owners", vec![bgp.clone()], vec![kernel(&[100, 254])]),
        channel("announce", vec![kernel(&[254])], vec![bgp]),
    ];
    Controller::new(channels, owners)
}

fn route(prefix: &str, gateway: Option<&str>, protocol: u8) -> KernelRoute {
    let legs = vec![Leg::new(gateway.map(|g| g.parse().unwrap()), LinkIndex(1))];
    let (prefix, target) = (prefix.parse().unwrap(), KernelTarget::Legs(legs));
    KernelRoute { prefix, table: 254, protocol, metric: 0, target, object: None }
}

fn add(controller: &mut Controller, route: KernelRoute) {
    for table in [OTHER, MAIN] {
        let event = KernelEvent::Route(RouteNews::Added, route.clone());
        controller.kernel(NOW, table, event);
    }
}

/// What is to be done, the kernel having done it.
#[track_caller]
fn check(controller: &mut Controller, expect: &[&str]) {
    let todo = controller.poll(NOW);
    let mut shown = Vec::new();
    for todo in todo {
        shown.push(match &todo {
            Do::Write(table, write @ Write::Route(change)) => {
                let answer = write.done(Ok(()));
                controller.input(NOW, *table, answer);
                let action = match &change.action {
                    Action::Replace(KernelTarget::Legs(legs)) => legs[0].to_string(),
                    Action::Replace(other) => format!("{other:?}").to_lowercase(),
                    Action::Via(_) => "object".to_owned(),
                    Action::Delete => "-".to_owned(),
                };
                format!("{table} {}={action}", change.prefix)
            }
            Do::Write(_, Write::Object(_)) => "object".to_owned(),
            Do::Announce(channel, _, prefixes) => {
                let all: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
                format!("{channel}: {}", all.join(" "))
            }
        });
    }
    shown.sort();
    assert_eq!(shown, expect);
}

fn owner(owner: &str, routes: &[(&str, &str)]) -> v1::SetRoutesRequest {
    let route = |(prefix, kind): &(&str, &str)| v1::FibRoute {
        prefix: (*prefix).to_owned(),
        kind: (*kind).to_owned(),
        ..Default::default()
    };
    v1::SetRoutesRequest {
        owner: owner.to_owned(),
        channel: "owners".to_owned(),
        distance: 0,
        routes: routes.iter().map(route).collect(),
    }
}

#[test]
fn routes_of_the_kernel_are_copied_announced_and_taken_back() {
    let mut controller = controller();
    check(&mut controller, &["100 10.0.0.0/24=%1", "announce: 10.0.0.0/24"]);
    let far = route("20.0.0.0/8", Some("10.0.0.9"), 4);
    add(&mut controller, far.clone());
    let both = "announce: 10.0.0.0/24 20.0.0.0/8";
    check(&mut controller, &["100 20.0.0.0/8=10.0.0.9%1", both]);
    // Our own in that table, seen by the other's reader, feeds nothing.
    let ours = KernelRoute { metric: 1, ..route("30.0.0.0/8", None, Owner::FIB.protocol) };
    add(&mut controller, ours);
    check(&mut controller, &[]);
    for table in [OTHER, MAIN] {
        let event = KernelEvent::Route(RouteNews::Removed, far.clone());
        controller.kernel(NOW, table, event);
    }
    check(&mut controller, &["100 20.0.0.0/8=-", "announce: 10.0.0.0/24"]);
}

#[test]
fn owners_and_routers_compete_by_distance_in_every_table() {
    let mut controller = controller();
    controller.poll(NOW).clear();
    let reply = controller.set(NOW, &owner("a", &[("40.0.0.0/8", "blackhole")])).unwrap();
    assert!(reply.accepted);
    check(&mut controller, &["100 40.0.0.0/8=blackhole", "254 40.0.0.0/8=blackhole"]);
    // A router's are nearer than an owner's that says nothing.
    let prefix: Prefix = "40.0.0.0/8".parse().unwrap();
    let wish = Wish { distance: 20, target: route_table::Target::Prohibit };
    let endpoint = router();
    let routes = BTreeMap::from([(prefix, wish)]);
    controller.router(NOW, &endpoint, Family::Ipv4, Some(&routes));
    check(&mut controller, &["100 40.0.0.0/8=prohibit", "254 40.0.0.0/8=prohibit"]);
    controller.router(NOW, &endpoint, Family::Ipv4, None);
    check(&mut controller, &["100 40.0.0.0/8=blackhole", "254 40.0.0.0/8=blackhole"]);
    // The whole set: what is not named any more goes. Nothing of it when something is wrong.
    let wrong = controller.set(NOW, &owner("a", &[("50.0.0.0/8", "nat")])).unwrap();
    assert!(!wrong.accepted);
    check(&mut controller, &[]);
    controller.forget(NOW, "a", "");
    check(&mut controller, &["100 40.0.0.0/8=-", "254 40.0.0.0/8=-"]);
    assert!(controller.set(NOW, &owner("A b", &[])).is_err());
    let nowhere = v1::SetRoutesRequest { channel: "x".to_owned(), ..owner("a", &[]) };
    assert!(controller.set(NOW, &nowhere).is_err());
}

#[test]
fn a_router_keeps_what_it_was_told_until_all_sources_were_read() {
    let before = Owners::from([("announce".to_owned(), vec!["ops".to_owned()])]);
    let mut controller = started(&before);
    check(&mut controller, &[]);
    read(&mut controller, OTHER);
    check(&mut controller, &[]);
    // The kernel's table is read, but the owner of the run before has not spoken.
    read(&mut controller, MAIN);
    check(&mut controller, &["100 10.0.0.0/24=%1"]);
    assert_eq!(controller.owners().get("announce"), before.get("announce"));
    let set = v1::SetRoutesRequest {
        channel: "announce".to_owned(),
        ..owner("ops", &[("60.0.0.0/8", "blackhole")])
    };
    assert!(controller.set(NOW, &set).unwrap().accepted);
    check(&mut controller, &["announce: 10.0.0.0/24 60.0.0.0/8"]);

    // One that does not come back is waited for until the restart is over.
    let mut controller = started(&before);
    for table in [OTHER, MAIN] {
        read(&mut controller, table);
    }
    check(&mut controller, &["100 10.0.0.0/24=%1"]);
    controller.sweep(NOW);
    check(&mut controller, &["announce: 10.0.0.0/24"]);
    assert_eq!(controller.owners().get("announce"), Some(&Vec::new()));
}

#[test]
fn the_table_of_a_vrf_is_written_and_read_while_it_is_there() {
    let blue: LinkName = "blue".parse().unwrap();
    let (vrf, main) = (FibPlace::Vrf(blue), FibPlace::Table(254));
    let kernel = |tables: &[u32], vrfs: &[LinkName]| {
        vec![ChannelEnd::Kernel { tables: tables.to_vec(), vrfs: vrfs.to_vec() }]
    };
    let channels = vec![
        channel("owners", vec![], kernel(&[], &[blue])),
        channel("leak", kernel(&[], &[blue]), kernel(&[254], &[])),
    ];
    let mut controller = Controller::new(channels, &Owners::new());
    let device =
        Link { index: LinkIndex(9), name: blue, up: true, master: None, vrf_table: Some(10) };
    let eth0 = |master: Option<u32>| Link {
        index: LinkIndex(1),
        name: "eth0".parse().unwrap(),
        up: true,
        master: master.map(LinkIndex),
        vrf_table: None,
    };
    let snapshot =
        |links, routes| KernelEvent::Snapshot(Snapshot { links, routes, ..Snapshot::default() });
    for place in [vrf, main] {
        controller.kernel(NOW, place, snapshot(vec![eth0(None)], vec![]));
    }
    assert!(controller.set(NOW, &owner("a", &[("40.0.0.0/8", "blackhole")])).unwrap().accepted);
    check(&mut controller, &[]);

    let links = || vec![eth0(Some(9)), device.clone()];
    let there = KernelRoute { table: 10, ..route("10.0.0.0/24", None, 2) };
    controller.place(NOW, vrf, Some(10));
    check(&mut controller, &[]);
    controller.kernel(NOW, vrf, snapshot(links(), vec![there.clone()]));
    controller.kernel(NOW, main, KernelEvent::Link(device.clone()));
    check(&mut controller, &["254 10.0.0.0/24=%1", "vrf blue 40.0.0.0/8=blackhole"]);

    // Gone: what came from there goes too. What is left there of ours is nobody's when it is back.
    controller.sweep(NOW);
    controller.place(NOW, vrf, None);
    controller.kernel(NOW, vrf, snapshot(vec![eth0(None)], vec![]));
    check(&mut controller, &["254 10.0.0.0/24=-"]);
    controller.forget(NOW, "a", "");
    let ours = KernelRoute {
        protocol: Owner::FIB.protocol,
        metric: Owner::FIB.metric,
        target: KernelTarget::Blackhole,
        ..KernelRoute { table: 11, ..route("40.0.0.0/8", None, 2) }
    };
    controller.place(NOW, vrf, Some(11));
    controller.kernel(NOW, vrf, snapshot(links(), vec![ours]));
    check(&mut controller, &["vrf blue 40.0.0.0/8=-"]);
}

//! What stands in the kernel after what.

use super::driver::{Driver, check, config};
use crate::*;

/// Two links with a /30 each, and the peers' loopbacks behind them.
const BED: &str = "
    link 1 up
    link 2 up
    addr 1 169.254.1.1
    addr 2 169.254.2.1
    foreign 169.254.1.0/30 %1
    foreign 169.254.2.0/30 %2
    foreign 9.9.9.9/32 169.254.1.2%1
    foreign 9.9.9.8/32 169.254.2.2%2
    sync
";

#[track_caller]
fn check_in_bed(lines: &str, routes: &str) {
    check(&format!("{BED}{lines}"), routes);
}

#[test]
fn next_hops_are_flattened_to_the_gateways_on_their_links() {
    check_in_bed("bgp 10.0.0.0/8 169.254.1.2", "10.0.0.0/8=169.254.1.2%1");
    check_in_bed("bgp 10.0.0.0/8 9.9.9.9", "10.0.0.0/8=169.254.1.2%1");
    check_in_bed("bgp 10.0.0.0/8 9.9.9.8,9.9.9.9", "10.0.0.0/8=169.254.1.2%1,169.254.2.2%2");
    // Through another route of ours, of whichever source.
    check_in_bed(
        "bgp 10.0.0.0/8 9.9.9.9\n static 20.0.0.0/8 10.1.1.1\n bgp 30.0.0.0/8 20.1.1.1",
        "10.0.0.0/8=169.254.1.2%1 20.0.0.0/8=169.254.1.2%1 30.0.0.0/8=169.254.1.2%1",
    );
    // A foreign multipath route gives all its legs.
    check_in_bed(
        "foreign 7.7.7.7/32 169.254.1.2%1,169.254.2.2%2\n bgp 10.0.0.0/8 7.7.7.7",
        "10.0.0.0/8=169.254.1.2%1,169.254.2.2%2",
    );
    // The same gateway twice is one leg.
    check_in_bed("bgp 10.0.0.0/8 169.254.1.2,9.9.9.9", "10.0.0.0/8=169.254.1.2%1");
    // A route of scope link leads to the next hop itself.
    check_in_bed("foreign 6.6.6.6/32 %2\n bgp 10.0.0.0/8 6.6.6.6", "10.0.0.0/8=6.6.6.6%2");
}

#[test]
fn other_targets() {
    check_in_bed("static 10.0.0.0/8 blackhole", "10.0.0.0/8=blackhole");
    check_in_bed("static 10.0.0.0/8 unreachable", "10.0.0.0/8=unreachable");
    check_in_bed("static 10.0.0.0/8 dev:eth2", "10.0.0.0/8=%2");
    check_in_bed("static 10.0.0.0/8 dev:eth2\n link 2 down", "");
    check_in_bed(
        "static 10.0.0.0/8 dev:eth2\n bgp 20.0.0.0/8 10.1.1.1",
        "10.0.0.0/8=%2 20.0.0.0/8=10.1.1.1%2",
    );
    check_in_bed("static 10.0.0.0/8 blackhole\n bgp 20.0.0.0/8 10.1.1.1", "10.0.0.0/8=blackhole");
    check_in_bed("bgp 2001:db8::/32 fe80::2%eth1", "2001:db8::/32=fe80::2%1");
    check_in_bed("bgp 2001:db8::/32 fe80::2", "");
    check_in_bed("bgp 2001:db8::/32 fe80::2%eth9", "");
}

#[test]
fn what_an_aggregate_drops_hides_no_next_hop() {
    // Else it would go with the route that it is there for, and come back with it.
    let rest = "foreign 8.0.0.0/7 169.254.1.2%1\n bgp 8.8.0.0/16 8.1.1.1\n";
    let both = "8.0.0.0/8=blackhole 8.8.0.0/16=169.254.1.2%1";
    check_in_bed(&format!("{rest} aggregate 8.0.0.0/8 blackhole"), both);
    check_in_bed(&format!("aggregate 8.0.0.0/8 blackhole\n {rest}"), both);
    check_in_bed(&format!("{rest} static 8.0.0.0/8 blackhole"), "8.0.0.0/8=blackhole");
    // Another source's route of the same prefix is one to lead through.
    check_in_bed(
        &format!("aggregate 8.0.0.0/8 blackhole\n bgp 8.0.0.0/8 169.254.2.2\n {rest}"),
        "8.0.0.0/8=169.254.2.2%2 8.8.0.0/16=169.254.2.2%2",
    );
    check_in_bed(
        "aggregate 8.0.0.0/8 unreachable\n bgp 10.0.0.0/8 8.1.1.1",
        "8.0.0.0/8=unreachable",
    );
}

#[test]
fn the_longest_match_decides_and_then_the_lowest_metric() {
    check_in_bed(
        "foreign 8.0.0.0/8 169.254.1.2%1\n foreign 8.8.0.0/16 169.254.2.2%2\n bgp 10.0.0.0/8 8.8.8.8",
        "10.0.0.0/8=169.254.2.2%2",
    );
    check_in_bed(
        "foreign 8.0.0.0/8 169.254.1.2%1 100\n foreign 8.0.0.0/8 169.254.2.2%2 50\n bgp 10.0.0.0/8 8.8.8.8",
        "10.0.0.0/8=169.254.2.2%2",
    );
    // Ours is preferred to a foreign one of a worse metric, as the kernel does it.
    check_in_bed(
        "foreign 8.0.0.0/8 169.254.1.2%1 9999\n bgp 8.0.0.0/8 9.9.9.8\n bgp 10.0.0.0/8 8.8.8.8",
        "8.0.0.0/8=169.254.2.2%2 10.0.0.0/8=169.254.2.2%2",
    );
    // A foreign route that rejects is no way, even though a shorter one would be.
    check_in_bed(
        "foreign 8.0.0.0/8 169.254.1.2%1\n foreign 8.8.0.0/16 unreachable\n bgp 10.0.0.0/8 8.8.8.8",
        "",
    );
}

#[test]
fn a_default_route_resolves_nothing_unless_told_to() {
    let lines = format!("{BED}foreign 0.0.0.0/0 169.254.1.2%1\n bgp 10.0.0.0/8 8.8.8.8");
    check(&lines, "");
    let mut driver = Driver::new(Config { resolve_via_default: true, ..config() });
    driver.run(&lines);
    assert_eq!(driver.ours(), "10.0.0.0/8=169.254.1.2%1");
}

#[test]
fn no_route_is_resolved_through_itself() {
    // A peer announces its own loopback with that as next hop.
    check_in_bed("bgp 9.9.9.9/32 9.9.9.9", "9.9.9.9/32=169.254.1.2%1");
    check_in_bed("bgp 8.0.0.0/8 8.8.8.8", "");
    check_in_bed("bgp 8.0.0.0/8 20.1.1.1\n bgp 20.0.0.0/8 8.8.8.8", "");
    // Past itself to what is left: the shorter foreign route.
    check_in_bed(
        "foreign 8.0.0.0/7 169.254.1.2%1\n bgp 8.0.0.0/8 8.8.8.8",
        "8.0.0.0/8=169.254.1.2%1",
    );
    // Two through each other do not live on when what carried them is gone.
    check_in_bed(
        "bgp 8.0.0.0/8 20.1.1.1,9.9.9.9
         bgp 20.0.0.0/8 8.8.8.8
         bgp 8.0.0.0/8 20.1.1.1",
        "",
    );
}

#[test]
fn multipath_shrinks_to_the_last_leg_and_to_nothing() {
    let both = "bgp 10.0.0.0/8 9.9.9.9,9.9.9.8\n";
    check_in_bed(&format!("{both} link 1 down"), "10.0.0.0/8=169.254.2.2%2");
    check_in_bed(&format!("{both} link 2 down"), "10.0.0.0/8=169.254.1.2%1");
    check_in_bed(&format!("{both} link 1 down\n link 2 down"), "");
    check_in_bed(
        &format!("{both} link 1 down\n link 2 gone\n link 1 up"),
        "10.0.0.0/8=169.254.1.2%1",
    );
    check_in_bed(&format!("{both} foreign- 9.9.9.9/32 169.254.1.2%1"), "10.0.0.0/8=169.254.2.2%2");
    check_in_bed(&format!("{both} bgp 10.0.0.0/8 9.9.9.8"), "10.0.0.0/8=169.254.2.2%2");
    check_in_bed(&format!("{both} bgp 10.0.0.0/8 -"), "");
    check_in_bed("bgp 10.0.0.0/8 -", "");
    let mut driver = Driver::new(config());
    driver.run(BED);
    let target = Some(inet::RouteTarget::Via(Vec::new()));
    let (source, prefix) = (SourceId(2), "10.0.0.0/8".parse().unwrap());
    driver.input(Input::Update { source, distance: 20, prefix, target });
    driver.settle();
    assert_eq!(driver.ours(), "");
    assert_eq!(driver.table.route(&prefix).unwrap().state, RouteState::Unresolved);
}

#[test]
fn the_lowest_distance_that_resolves_wins() {
    let two = "bgp 10.0.0.0/8 9.9.9.9\n static 10.0.0.0/8 9.9.9.8\n";
    check_in_bed(two, "10.0.0.0/8=169.254.2.2%2");
    check_in_bed(&format!("{two} static 10.0.0.0/8 -"), "10.0.0.0/8=169.254.1.2%1");
    check_in_bed(&format!("{two} link 2 down"), "10.0.0.0/8=169.254.1.2%1");
    check_in_bed(&format!("{two} link 2 down\n link 2 up"), "10.0.0.0/8=169.254.2.2%2");
}

#[test]
fn a_set_is_the_whole_of_what_a_source_wants() {
    let set = "set static 10.0.0.0/8=9.9.9.9 20.0.0.0/8=blackhole\n bgp 30.0.0.0/8 9.9.9.9\n";
    check_in_bed(
        &format!("{set} set static 20.0.0.0/8=blackhole 40.0.0.0/8=unreachable"),
        "20.0.0.0/8=blackhole 30.0.0.0/8=169.254.1.2%1 40.0.0.0/8=unreachable",
    );
    check_in_bed(&format!("{set} set static"), "30.0.0.0/8=169.254.1.2%1");
    let mut driver = Driver::new(config());
    driver.run(&format!("{BED}{set}"));
    let written = driver.written;
    driver.run(set);
    assert_eq!(driver.written, written, "the same again writes nothing");
}

#[test]
fn routes_come_back_with_the_carrier() {
    check_in_bed(
        "bgp 10.0.0.0/8 9.9.9.9
         link 1 down
         ours- 10.0.0.0/8 169.254.1.2%1
         link 1 up",
        "10.0.0.0/8=169.254.1.2%1",
    );
    // Set down: the kernel drops the routes in silence; the next snapshot shows it.
    let mut driver = Driver::new(config());
    driver.run(&format!("{BED} bgp 10.0.0.0/8 9.9.9.9"));
    driver.own.clear();
    driver.run("sync");
    assert_eq!(driver.ours(), "10.0.0.0/8=169.254.1.2%1");
}

#[test]
fn what_others_do_to_our_routes_is_repaired() {
    let route = "bgp 10.0.0.0/8 9.9.9.9\n";
    let right = "10.0.0.0/8=169.254.1.2%1";
    check_in_bed(&format!("{route} ours- 10.0.0.0/8 169.254.1.2%1"), right);
    check_in_bed(&format!("{route} ours 10.0.0.0/8 169.254.2.2%2"), right);
    check_in_bed(&format!("{route} sweep\n ours 50.0.0.0/8 169.254.2.2%2"), right);
    // Replaced by a foreign route with our metric: that one is left alone until it goes.
    let taken = format!("{route} foreign= 10.0.0.0/8 169.254.2.2%2 4271\n");
    check_in_bed(&taken, "");
    check_in_bed(&format!("{taken} foreign- 10.0.0.0/8 169.254.2.2%2 4271"), right);
    // Beside one of another metric there is room.
    check_in_bed(&format!("{route} foreign 10.0.0.0/8 169.254.2.2%2 100"), right);
}

#[test]
fn routes_found_at_the_start_stay_until_wanted_or_swept() {
    let found = "
        link 1 up
        foreign 169.254.1.0/30 %1
        ours 10.0.0.0/8 169.254.1.2%1
        ours 20.0.0.0/8 169.254.1.2%1
        ours 30.0.0.0/8 169.254.1.9%1
        sync
    ";
    let all = "10.0.0.0/8=169.254.1.2%1 20.0.0.0/8=169.254.1.2%1 30.0.0.0/8=169.254.1.9%1";
    check(found, all);
    let wanted = format!("{found} bgp 10.0.0.0/8 169.254.1.2\n bgp 30.0.0.0/8 169.254.1.2\n");
    check(&wanted, &all.replace("1.9%1", "1.2%1"));
    check(&format!("{wanted} sweep"), "10.0.0.0/8=169.254.1.2%1 30.0.0.0/8=169.254.1.2%1");
    check(&format!("{found} sweep"), "");
    // Spoken of and withdrawn before the sweep: gone at once.
    check(
        &format!("{wanted} bgp 10.0.0.0/8 -"),
        &all.replace("1.9%1", "1.2%1").replace("10.0.0.0/8=169.254.1.2%1 ", ""),
    );
    let mut driver = Driver::new(config());
    driver.run(&wanted);
    assert_eq!(driver.written, 1, "what is right already is not written");
    let stats = driver.table.stats();
    assert_eq!((stats.installed, stats.stale), (2, 1));
}

#[test]
fn nothing_is_written_before_the_kernel_was_read() {
    check("link 1 up\n foreign 8.0.0.0/8 %1\n bgp 10.0.0.0/8 8.8.8.8", "");
    check(
        "link 1 up\n foreign 8.0.0.0/8 %1\n bgp 10.0.0.0/8 8.8.8.8\n sync",
        "10.0.0.0/8=8.8.8.8%1",
    );
}

#[test]
fn without_installing_nothing_is_written_and_old_routes_go_with_the_sweep() {
    let mut driver = Driver::new(Config { install: false, ..config() });
    driver.run(&format!("ours 20.0.0.0/8 169.254.1.2%1\n{BED} bgp 10.0.0.0/8 9.9.9.9"));
    assert_eq!((driver.ours().as_str(), driver.written), ("20.0.0.0/8=169.254.1.2%1", 0));
    let prefix = "10.0.0.0/8".parse().unwrap();
    assert_eq!(driver.table.route(&prefix).unwrap().state, RouteState::NotInstalled);
    driver.run("sweep");
    assert_eq!(driver.ours(), "");
    driver.run("install on");
    assert_eq!(driver.ours(), "10.0.0.0/8=169.254.1.2%1");
    driver.run("install off");
    assert_eq!(driver.ours(), "");
}

#[test]
fn a_refused_write_is_tried_again_with_growing_pauses() {
    let mut driver = Driver::new(config());
    driver.run(&format!("{BED} refuse 10.0.0.0/8 101\n bgp 10.0.0.0/8 9.9.9.9"));
    let prefix = "10.0.0.0/8".parse().unwrap();
    assert_eq!(driver.table.route(&prefix).unwrap().state, RouteState::Failed(Errno(101)));
    let first = driver.table.wake_at().unwrap();
    driver.run("after 499");
    assert_eq!(driver.written, 1);
    driver.run("after 1");
    assert_eq!(driver.written, 2);
    let second = driver.table.wake_at().unwrap();
    assert_eq!(second - first, 2 * (first - inet::Timestamp::ZERO));
    // Something else to write is written at once; success forgets the failure.
    driver.run("accept\n bgp 10.0.0.0/8 9.9.9.8");
    assert_eq!(driver.ours(), "10.0.0.0/8=169.254.2.2%2");
    assert_eq!(driver.table.wake_at(), None);
    // The pause ends growing.
    driver.run("refuse 10.0.0.0/8 101\n bgp 10.0.0.0/8 9.9.9.9");
    for _ in 0..40 {
        driver.run("after 60000");
    }
    let pause = driver.table.wake_at().unwrap() - driver.now;
    assert_eq!(pause, std::time::Duration::from_secs(60));
    // No longer wanted: the removal is a new write, and nothing is left to wake for.
    driver.run("accept\n bgp 10.0.0.0/8 -");
    assert_eq!((driver.ours().as_str(), driver.table.wake_at()), ("", None));
    assert_eq!(driver.table.routes().count(), 0);
}

#[test]
fn one_write_per_prefix_is_in_flight_and_many_updates_are_one() {
    let mut driver = Driver::new(config());
    driver.run(BED);
    for line in ["bgp 10.0.0.0/8 9.9.9.9", "bgp 10.0.0.0/8 9.9.9.8", "bgp 10.0.0.0/8 9.9.9.9"] {
        driver.step(line);
    }
    while driver.poll() {}
    assert_eq!(driver.written, 1);
    // In flight: what comes now waits for the answer.
    driver.step("bgp 10.0.0.0/8 9.9.9.8");
    assert!(!driver.poll());
    driver.settle();
    assert_eq!((driver.written, driver.ours().as_str()), (2, "10.0.0.0/8=169.254.2.2%2"));
    // News of a deletion while in flight, before or after the write: written once more.
    driver.step("bgp 10.0.0.0/8 9.9.9.9");
    while driver.poll() {}
    driver.step("ours- 10.0.0.0/8 169.254.2.2%2");
    driver.settle();
    assert_eq!(driver.ours(), "10.0.0.0/8=169.254.1.2%1");
    assert!(driver.table.is_quiet());
}

#[test]
fn peers_cannot_make_resolution_expensive() {
    let mut driver = Driver::new(config());
    driver.run(BED);
    // Each of 12 prefixes by way of all the others: 12! ways, and none leads out.
    let hops: Vec<String> = (1..=12).map(|n| format!("{n}.1.1.1")).collect();
    for n in 1..=12 {
        driver.step(&format!("bgp {n}.0.0.0/8 {}", hops.join(",")));
    }
    driver.settle();
    assert_eq!(driver.ours(), "");
    // A chain that is too long does not resolve; its beginning does.
    driver.run("set bgp\n bgp 100.0.0.0/16 9.9.9.9");
    for n in 1..=20 {
        driver.run(&format!("bgp 100.{n}.0.0/16 100.{}.0.1", n - 1));
    }
    let state = |prefix: &str| driver.table.route(&prefix.parse().unwrap()).unwrap().state;
    assert_eq!(state("100.4.0.0/16"), RouteState::Installed);
    assert_eq!(state("100.20.0.0/16"), RouteState::Unresolved);
}

#[test]
fn an_ipv6_route_that_loses_or_gains_a_leg_is_followed() {
    let bed = "
        link 1 up
        link 2 up
        foreign 2001:db8::/64 fe80::1%1,fe80::2%2
        sync
        bgp 2001:db8:1::/48 2001:db8::9
    ";
    check(bed, "2001:db8:1::/48=fe80::1%1,fe80::2%2");
    let mut driver = Driver::new(config());
    driver.run(bed);
    let route = |legs: &str| KernelRoute {
        prefix: "2001:db8::/64".parse().unwrap(),
        table: 254,
        protocol: 4,
        metric: 0,
        target: super::driver::target_of(legs),
        object: None,
    };
    let tell = |driver: &mut Driver, news, legs: &str| {
        driver.input(Input::Kernel(KernelEvent::Route(news, route(legs))));
        driver.settle();
        driver.ours()
    };
    let one = tell(&mut driver, RouteNews::Removed, "fe80::1%1");
    assert_eq!(one, "2001:db8:1::/48=fe80::2%2");
    let two = tell(&mut driver, RouteNews::Added, "fe80::2%2,fe80::3%2");
    assert_eq!(two, "2001:db8:1::/48=fe80::2%2,fe80::3%2");
    assert_eq!(tell(&mut driver, RouteNews::Removed, "fe80::2%2,fe80::3%2"), "");
}

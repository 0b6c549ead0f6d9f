//! Next-hop objects: shared, moved in one message, made before and deleted after their routes.

use super::driver::{Driver, PROTOCOL, check, check_objects, with_objects};
use crate::*;

const BED: &str = "
    link 1 up
    link 2 up
    foreign 9.9.9.9/32 10.1.1.1%1
    foreign 9.9.9.8/32 10.1.2.1%2
    sync
";

const ONE: &str = "1000=10.1.1.1%1 1001=1000";

#[test]
fn routes_to_the_same_next_hops_share_a_group_and_groups_share_legs() {
    let lines = format!("{BED}\n bgp 10.0.0.0/8 9.9.9.9\n bgp 20.0.0.0/8 9.9.9.9");
    check_objects(&lines, "10.0.0.0/8=10.1.1.1%1 20.0.0.0/8=10.1.1.1%1", ONE);
    check_objects(
        &format!("{lines}\n bgp 30.0.0.0/8 9.9.9.9,9.9.9.8"),
        "10.0.0.0/8=10.1.1.1%1 20.0.0.0/8=10.1.1.1%1 30.0.0.0/8=10.1.1.1%1,10.1.2.1%2",
        &format!("{ONE} 1002=10.1.2.1%2 1003=1000+1002"),
    );
}

#[test]
fn a_next_hop_that_moves_takes_one_message_for_all_routes() {
    let mut driver = Driver::new(with_objects());
    driver.run(BED);
    for n in 0..300 {
        driver.run(&format!("bgp 20.{}.{}.0/24 9.9.9.9", n / 250, n % 250));
    }
    // A leg, a group, the routes.
    assert_eq!(driver.written, 302);
    driver.run("foreign= 9.9.9.9/32 10.1.9.1%1");
    assert_eq!(driver.written, 304, "a leg and the group");
    assert!(driver.own_targets().values().all(|t| *t == super::driver::target_of("10.1.9.1%1")));
    // The old leg stays a little, and goes.
    assert_eq!(driver.objects.len(), 3);
    driver.run("sweep\n after 6000\n after 6000");
    assert_eq!(driver.objects.len(), 2);
}

#[test]
fn a_kernel_without_objects_gets_routes_with_legs() {
    let lines = "no-objects".to_owned() + BED + "bgp 10.0.0.0/8 9.9.9.9";
    check_objects(&lines, "10.0.0.0/8=10.1.1.1%1", "");
}

#[test]
fn weights_are_kept_on_every_way() {
    let lines = format!("{BED}\n weighted 10.0.0.0/8 9.9.9.9*30,9.9.9.8*10");
    check(&lines, "10.0.0.0/8=10.1.1.1%1*3,10.1.2.1%2");
    let objects = "1000=10.1.1.1%1 1001=10.1.2.1%2 1002=1000*3+1001";
    check_objects(&lines, "10.0.0.0/8=10.1.1.1%1*3,10.1.2.1%2", objects);
    // Behind an uneven route: half of the packets go by the one next hop, and a third of the other
    // half by its first way.
    let lines = format!(
        "{BED}\n foreign= 9.9.9.8/32 10.1.1.1%1,10.1.2.1%2*2\n bgp 10.0.0.0/8 9.9.9.9,9.9.9.8"
    );
    check(&lines, "10.0.0.0/8=10.1.1.1%1*2,10.1.2.1%2");
    // Where nobody gave weights, all are even.
    let lines = format!(
        "{BED}\n foreign= 9.9.9.8/32 10.1.1.1%1,10.1.2.1%2\n bgp 10.0.0.0/8 9.9.9.9,9.9.9.8"
    );
    check(&lines, "10.0.0.0/8=10.1.1.1%1,10.1.2.1%2");
}

#[test]
fn lost_carrier_takes_objects_and_routes_and_its_return_brings_them_back() {
    let lines = format!(
        "{BED}\n bgp 10.0.0.0/8 9.9.9.9\n bgp 20.0.0.0/8 9.9.9.9,9.9.9.8\n link 1 down\n sync"
    );
    let mut driver = Driver::new(with_objects());
    driver.run(&lines);
    assert_eq!(driver.ours(), "20.0.0.0/8=10.1.2.1%2");
    driver.run("link 1 up\n sync");
    assert_eq!(driver.ours(), "10.0.0.0/8=10.1.1.1%1 20.0.0.0/8=10.1.1.1%1,10.1.2.1%2");
    // Down and up before anyone looks: the table saw both, the kernel has nothing any more.
    driver.step("link 1 down");
    driver.step("link 1 up");
    driver.settle();
    driver.run("sync");
    assert_eq!(driver.ours(), "10.0.0.0/8=10.1.1.1%1 20.0.0.0/8=10.1.1.1%1,10.1.2.1%2");
}

#[test]
fn what_others_do_to_our_objects_is_repaired() {
    let bed = format!("{BED}\n bgp 10.0.0.0/8 9.9.9.9\n sweep");
    let whole = "10.0.0.0/8=10.1.1.1%1";
    for meddling in ["object- 1000", "object- 1001", "object 1001 186 1000+1000"] {
        let mut driver = Driver::new(with_objects());
        driver.run(&bed);
        driver.run(meddling);
        driver.run("sync\n after 6000\n after 6000");
        assert_eq!((driver.ours().as_str(), driver.objects.len()), (whole, 2), "{meddling}");
    }
}

#[test]
fn a_number_that_another_has_taken_is_left_alone() {
    let mut driver = Driver::new(with_objects());
    driver.run("link 1 up\n foreign 9.9.9.9/32 10.1.1.1%1");
    let theirs = ObjectContent::Leg { gateway: "1.2.3.4".parse().unwrap(), link: LinkIndex(1) };
    driver.put_object(ObjectId(1000), 77, theirs.clone());
    driver.run("sync");
    // One more while nobody listens.
    driver.objects.insert(ObjectId(1002), (77, theirs.clone()));
    driver.run("bgp 10.0.0.0/8 9.9.9.9\n bgp 20.0.0.0/8 9.9.9.9,7.7.7.7\n sweep\n after 6000");
    assert_eq!(driver.ours(), "10.0.0.0/8=10.1.1.1%1 20.0.0.0/8=10.1.1.1%1");
    for id in [1000, 1002] {
        assert_eq!(driver.objects.get(&ObjectId(id)), Some(&(77, theirs.clone())));
    }
}

#[test]
fn own_objects_are_adopted_at_the_start() {
    let mut first = Driver::new(with_objects());
    first.run(&format!(
        "{BED}\n bgp 10.0.0.0/8 9.9.9.9\n bgp 20.0.0.0/8 9.9.9.8\n bgp 30.0.0.0/8 9.9.9.8"
    ));
    let mut second = Driver::new(with_objects());
    (second.own, second.objects) = (first.own.clone(), first.objects.clone());
    second.run(&format!("{BED}\n bgp 20.0.0.0/8 9.9.9.8\n bgp 30.0.0.0/8 9.9.9.8"));
    assert_eq!(second.written, 0, "what is right is not written again");
    assert_eq!(second.table.stats().stale, 1);
    second.run("after 6000");
    assert_eq!(second.objects.len(), 4, "nothing goes before the sweep");
    second.run("sweep\n after 6000\n after 6000\n after 6000");
    assert_eq!(second.ours(), "20.0.0.0/8=10.1.2.1%2 30.0.0.0/8=10.1.2.1%2");
    assert_eq!(second.objects.len(), 2);
}

#[test]
fn routes_of_a_version_without_objects_are_taken_over_in_place() {
    let mut driver = Driver::new(with_objects());
    let target = super::driver::target_of("10.1.1.1%1");
    let prefix: inet::Prefix = "10.0.0.0/8".parse().unwrap();
    driver.own.insert(prefix, super::driver::Own::Direct(target));
    driver.run(&format!("{BED}\n bgp 10.0.0.0/8 9.9.9.9\n sweep"));
    assert_eq!(driver.own.get(&prefix), Some(&super::driver::Own::Via(ObjectId(1001))));
    assert_eq!(driver.written, 3);
}

#[test]
fn refused_legs_are_left_out_and_refused_groups_are_tried_again() {
    let mut driver = Driver::new(with_objects());
    driver.run(BED);
    driver.run("refuse-objects\n bgp 10.0.0.0/8 9.9.9.9");
    assert_eq!(driver.ours(), "");
    let prefix = "10.0.0.0/8".parse().unwrap();
    let state = driver.table.route(&prefix).map(|view| view.state);
    assert_eq!(state, Some(RouteState::Failed(Errno(12))));
    driver.run("accept\n after 500");
    assert_eq!(driver.ours(), "10.0.0.0/8=10.1.1.1%1");
    assert!(driver.table.counters().failures > 0);
}

#[test]
fn lost_answers_leave_nothing_behind() {
    let mut driver = Driver::new(with_objects());
    driver.run(BED);
    driver.run("bgp 10.0.0.0/8 9.9.9.9\n lose\n foreign= 9.9.9.9/32 10.1.1.1%1,10.1.3.1%2");
    driver.run("after 60000\n after 60000\n sweep\n after 6000\n after 6000");
    assert_eq!(driver.ours(), "10.0.0.0/8=10.1.1.1%1,10.1.3.1%2");
    assert!(driver.objects.values().all(|(protocol, _)| *protocol == PROTOCOL));
    assert_eq!(driver.objects.len(), 3);
}

#[test]
fn the_lag_is_counted_from_the_wish_to_the_kernel() {
    let mut driver = Driver::new(with_objects());
    driver.run(&format!("{BED}\n after 100"));
    driver.step("bgp 10.0.0.0/8 9.9.9.9");
    while driver.poll() {}
    driver.step("after 20");
    driver.answer();
    let Counters { route_writes, object_writes, lag, .. } = driver.table.counters();
    assert_eq!((route_writes, object_writes, lag.count), (1, 2, 1));
    assert_eq!(lag.sum, std::time::Duration::from_millis(20));
    assert_eq!(lag.buckets.iter().position(|count| *count == 1), Some(3));
}

/// The moment is kept in milliseconds of 32 bits, which are used up after 49.7 days.
#[test]
fn the_lag_is_counted_right_after_two_months_too() {
    for start in [60 * 86_400_000, u64::from(u32::MAX) - 10, 1 << 32] {
        let mut driver = Driver::new(with_objects());
        driver.run(&format!("{BED}\n after {start}"));
        driver.step("bgp 10.0.0.0/8 9.9.9.9");
        while driver.poll() {}
        driver.step("after 20");
        driver.answer();
        let lag = driver.table.counters().lag;
        let short = std::time::Duration::from_millis(19)..=std::time::Duration::from_millis(21);
        assert!(lag.count == 1 && short.contains(&lag.sum), "{start}: {:?}", lag.sum);
    }
}

#[test]
fn a_lost_link_takes_the_routes_of_all_groups_on_it() {
    let mut driver = Driver::new(with_objects());
    driver.run(BED);
    driver.run("bgp 10.0.0.0/8 9.9.9.9\n bgp 20.0.0.0/8 9.9.9.9,9.9.9.8\n bgp 30.0.0.0/8 9.9.9.8");
    let before = driver.ours();
    let written = driver.written;
    driver.step("link 1 down");
    driver.step("link 1 up");
    driver.settle();
    driver.run("sync");
    assert_eq!(driver.ours(), before);
    assert!(driver.written > written);
}

/// 600 routes over one next hop, the writes of which have been answered.
fn many_routes() -> Driver {
    let mut driver = Driver::new(with_objects());
    driver.run(BED);
    for prefix in prefixes() {
        driver.step(&format!("bgp {prefix} 9.9.9.9"));
    }
    driver.run("sweep\n after 6000");
    assert_eq!(driver.written, 602);
    driver
}

fn prefixes() -> impl Iterator<Item = String> {
    (0..600).map(|n| format!("20.{}.{}.0/24", n / 250, n % 250))
}

#[test]
fn routes_that_all_leave_for_the_same_next_hop_take_one_message() {
    let mut driver = many_routes();
    for (n, prefix) in prefixes().enumerate() {
        driver.step(&format!("bgp {prefix} 9.9.9.8"));
        // The first ones are written while the others are still being told of.
        if n == 20 {
            driver.settle();
        }
    }
    driver.settle();
    // A leg, a group, the first routes, and the old group for all the others.
    assert_eq!(driver.written, 602 + 2 + 21 + 1);
    let to = super::driver::target_of("10.1.2.1%2");
    assert!(driver.own_targets().values().all(|target| *target == to));
    assert_eq!(driver.table.stats().installed, 600);
    // Both groups are kept right, and go with their last route.
    driver.run("foreign= 9.9.9.8/32 10.1.9.1%1");
    let to = super::driver::target_of("10.1.9.1%1");
    assert!(driver.own_targets().values().all(|target| *target == to));
    assert_eq!(driver.written, 602 + 2 + 21 + 1 + 3);
    for prefix in prefixes().skip(21) {
        driver.step(&format!("bgp {prefix} -"));
    }
    driver.run("after 6000\n after 6000");
    assert_eq!((driver.own.len(), driver.objects.len()), (21, 2));
}

#[test]
fn routes_go_one_by_one_when_their_group_cannot_go() {
    let mut driver = many_routes();
    driver.run("bgp 30.0.0.0/8 9.9.9.8");
    for prefix in prefixes() {
        driver.step(&format!("bgp {prefix} 9.9.9.8"));
    }
    // The group that the next hops have already is as it was.
    driver.step("refuse-objects");
    driver.settle();
    let to = super::driver::target_of("10.1.2.1%2");
    let wrong = driver.own_targets().values().filter(|target| **target != to).count();
    assert_eq!(wrong, 0);
    driver.run("accept\n after 60000\n after 6000");
    assert_eq!((driver.own.len(), driver.objects.len()), (601, 2));
}

#[test]
fn routes_in_the_way_of_such_a_move_are_written_first() {
    let mut driver = many_routes();
    driver.run("bgp 30.0.0.0/8 9.9.9.8");
    let before = driver.written;
    for (n, prefix) in prefixes().enumerate() {
        let to = if n % 20 == 7 { "-" } else { "9.9.9.8" };
        driver.step(&format!("bgp {prefix} {to}"));
    }
    // As the router does it: no further writes while some are under way.
    let mut wrong = 0;
    while driver.polled(8) {
        driver.answer();
        // What nobody wants any more leads nowhere new.
        let gone = prefixes().skip(7).step_by(20);
        let to = super::driver::target_of("10.1.2.1%2");
        let targets = driver.own_targets();
        wrong += gone.filter(|p| targets.get(&p.parse().unwrap()) == Some(&to)).count();
    }
    assert_eq!(wrong, 0);
    assert_eq!(driver.own.len(), 571);
    assert!(driver.written - before <= 30 + 1 + 8, "{}", driver.written - before);
}

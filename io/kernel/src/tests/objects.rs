//! Next-hop objects, weights, kinds of routes, other tables and others' routes, on the real kernel.

use std::collections::BTreeSet;

use inet::{Family, NextHop};
use route_table::{
    Config, Input, ObjectAction, ObjectChange, ObjectContent, Origin, Selector, Target, Write,
};

use super::fib::{BOTH, FIRST, SECOND, bed, offer_both};
use super::harness::{Router, change, held, isolated, put};
use crate::fib;
use crate::routes::{OwnRoutes, Owner, RouteWriter};

fn by_objects(router: &Router) -> (usize, usize) {
    let mut writer = RouteWriter::open(router.fib.routes.owner(), &[]).unwrap();
    let routes = writer.list().unwrap();
    let with = routes.iter().filter(|route| route.object.is_some()).count();
    (with, writer.objects().unwrap().len())
}

#[test]
fn without_objects_routes_carry_their_legs() {
    isolated("objects::without_objects_routes_carry_their_legs", || async {
        let (net, others, _) = bed().await;
        let mut router = Router::without_objects();
        offer_both(&mut router);
        router.expect(BOTH).await;
        assert_eq!(by_objects(&router), (0, 0));
        net.set("b1", false).await;
        router.expect(SECOND).await;
        net.set("b1", true).await;
        router.expect(BOTH).await;
        put(&others, &["9.9.9.8/32=-", "fd09::8/128=-"]).await;
        router.expect(FIRST).await;
    });
}

#[test]
fn routes_of_a_version_without_objects_are_taken_over_without_a_gap() {
    let name = "objects::routes_of_a_version_without_objects_are_taken_over_without_a_gap";
    isolated(name, || async {
        let (_net, _others, _) = bed().await;
        let mut old = Router::without_objects();
        offer_both(&mut old);
        old.bgp("20.0.0.0/8=9.9.9.9");
        old.expect(&BOTH.replace(" 2001", " 20.0.0.0/8=169.254.1.2%a1 2001")).await;
        drop(old);
        let mut new = Router::new();
        new.until("the kernel is read", |router| router.snapshots > 0).await;
        assert_eq!(by_objects(&new), (0, 0), "nothing is written before a source speaks");
        offer_both(&mut new);
        new.until("all is settled", |router| router.written == 2 && router.table.is_quiet()).await;
        new.expect(&BOTH.replace(" 2001", " 20.0.0.0/8=169.254.1.2%a1 2001")).await;
        new.input(Input::Sweep);
        new.expect(BOTH).await;
        // Two legs and a group of each family.
        assert_eq!(by_objects(&new), (2, 6));
        // And back: an older version, or a kernel without them, takes over likewise.
        drop(new);
        let mut old = Router::without_objects();
        offer_both(&mut old);
        old.expect(BOTH).await;
        old.until("all is settled", |router| router.written == 2 && router.table.is_quiet()).await;
        assert_eq!(by_objects(&old).0, 0);
    });
}

#[test]
fn objects_that_others_change_or_take_away_are_repaired() {
    isolated("objects::objects_that_others_change_or_take_away_are_repaired", || async {
        let (_net, _others, mut router) = bed().await;
        offer_both(&mut router);
        router.expect(BOTH).await;
        router.input(Input::Sweep);
        let meddler = OwnRoutes::open(Owner::ROUTER, &[]).unwrap();
        let ids: Vec<_> = meddler.objects().await.unwrap();
        for object in ids {
            let action = ObjectAction::Delete;
            let write = Write::from(ObjectChange { id: object.id, action });
            assert_eq!(meddler.write(vec![write]).await, [Ok(())]);
            let before = router.objects_written;
            let whole = |router: &Router| {
                router.objects_written > before && router.table.object_count() == 6
            };
            router.until("all objects are back", whole).await;
            router.expect(BOTH).await;
        }
        // Those that were made instead have been taken away again, where repairs crossed.
        let count = || {
            let mut reader = crate::routes::RouteWriter::open(Owner::ROUTER, &[]).unwrap();
            reader.objects().unwrap().len()
        };
        router
            .until("there is nothing more", |router| router.table.is_quiet() && count() == 6)
            .await;
        // A group that is made to lead elsewhere.
        let objects = meddler.objects().await.unwrap();
        let groups = objects.iter().filter_map(|object| match &object.content {
            ObjectContent::Group(members) => Some((object.id, members.clone())),
            ObjectContent::Leg { .. } | ObjectContent::Other => None,
        });
        let shrink = groups.map(|(id, members)| {
            let action = ObjectAction::Replace(ObjectContent::Group(members[..1].to_vec()));
            Write::from(ObjectChange { id, action })
        });
        assert_eq!(meddler.write(shrink.collect()).await, [Ok(()), Ok(())]);
        assert_ne!(held(&meddler).await, BOTH);
        router.expect(BOTH).await;
    });
}

#[test]
fn what_is_not_ours_stays() {
    isolated("objects::what_is_not_ours_stays", || async {
        let (_net, _others, mut router) = bed().await;
        let foreign = OwnRoutes::open(Owner { protocol: 186, ..Owner::FIB }, &[]).unwrap();
        let leg = |gateway: &str| ObjectContent::Leg {
            gateway: gateway.parse().unwrap(),
            link: super::harness::index("a1"),
        };
        // Outside of our numbers, though with our protocol; and in them, with another.
        let ids = Owner::ROUTER.object_ids().unwrap();
        let squatter = OwnRoutes::open(Owner { protocol: 77, ..Owner::ROUTER }, &[]).unwrap();
        let create = |id: u32, gateway: &str| {
            let action = ObjectAction::Create(leg(gateway));
            Write::from(ObjectChange { id: route_table::ObjectId(id), action })
        };
        assert_eq!(foreign.write(vec![create(7, "169.254.1.3")]).await, [Ok(())]);
        assert_eq!(squatter.write(vec![create(ids.first, "169.254.1.4")]).await, [Ok(())]);
        offer_both(&mut router);
        router.expect(BOTH).await;
        router.input(Input::Sweep);
        router.input(Input::Install(false));
        router.expect("").await;
        router.fib.routes.remove_all().await.unwrap();
        assert_eq!(by_objects(&router), (0, 0));
        let mut all = crate::socket::Netlink::open().unwrap();
        let left: Vec<u32> = all.objects().unwrap().unwrap().iter().map(|o| o.id.0).collect();
        assert_eq!(left, [7, ids.first]);
    });
}

#[test]
fn weights_kinds_and_next_hops_of_the_other_family() {
    isolated("objects::weights_kinds_and_next_hops_of_the_other_family", || async {
        let (_net, _others, first) = bed().await;
        drop(first);
        for make in [Router::new, Router::without_objects] {
            let mut router = make();
            router.weighted("10.0.0.0/8", &[("9.9.9.9", 30), ("9.9.9.8", 10)]);
            router.weighted("2001:db8::/32", &[("fd09::9", 2), ("fd09::8", 256)]);
            // An IPv4 route by an IPv6 next hop (RFC 8950), link-local and global.
            router.bgp("11.0.0.0/8=fe80::9%a2");
            router.bgp("12.0.0.0/8=fd09::9,9.9.9.8");
            router.offer("13.0.0.0/8", Target::Blackhole);
            router.offer("14.0.0.0/8", Target::Unreachable);
            router.offer("15.0.0.0/8", Target::Prohibit);
            router.offer("2001:db8:15::/48", Target::Prohibit);
            router
                .expect(
                    "10.0.0.0/8=169.254.1.2%a1*3,169.254.2.2%a2 11.0.0.0/8=fe80::9%a2 \
                     12.0.0.0/8=169.254.2.2%a2,fd00:1::2%a1 13.0.0.0/8=blackhole \
                     14.0.0.0/8=unreachable 15.0.0.0/8=prohibit \
                     2001:db8::/32=fd00:1::2%a1,fd00:2::2%a2*128 2001:db8:15::/48=prohibit",
                )
                .await;
            router.until("all is settled", |router| router.table.is_quiet()).await;
            assert_eq!(router.table.stats().failed, 0);
        }
    });
}

#[test]
fn another_table_and_metric_and_a_table_that_is_a_world_of_its_own() {
    let name = "objects::another_table_and_metric_and_a_table_that_is_a_world_of_its_own";
    isolated(name, || async {
        let (_net, _others, mut main) = bed().await;
        offer_both(&mut main);
        main.expect(BOTH).await;
        let owner = Owner { table: 1000, metric: 77, ..Owner::ROUTER };
        let mut other = Router::with(fib::config(owner, true));
        other.bgp("10.0.0.0/8=9.9.9.9");
        other.expect("10.0.0.0/8=169.254.1.2%a1").await;
        // As a VRF's table: the static routes of `main` mean nothing there.
        let owner = Owner { table: 1001, ..Owner::ROUTER };
        let config = Config { lookup: vec![owner.table], ..fib::config(owner, true) };
        let mut vrf = Router::with(config);
        vrf.bgp("10.0.0.0/8=9.9.9.9");
        vrf.bgp("20.0.0.0/8=8.8.8.8");
        let inside = OwnRoutes::open(Owner { table: 1001, protocol: 4, metric: 0 }, &[]).unwrap();
        put(&inside, &["8.8.8.8/32=169.254.2.2%a2"]).await;
        vrf.expect("20.0.0.0/8=169.254.2.2%a2").await;
        // What one table's controller sweeps is its own alone.
        for router in [&mut vrf, &mut other, &mut main] {
            router.input(Input::Sweep);
            router.input(Input::Install(false));
            router.expect("").await;
        }
        // A table above those that have numbers of their own.
        let owner = Owner { table: 70_000, ..Owner::ROUTER };
        let mut far = Router::with(fib::config(owner, true));
        far.bgp("10.0.0.0/8=9.9.9.9");
        far.expect("10.0.0.0/8=169.254.1.2%a1").await;
        assert_eq!(by_objects(&far), (0, 0));
    });
}

#[test]
fn routes_of_others_are_offered() {
    isolated("objects::routes_of_others_are_offered", || async {
        let (_net, others, mut router) = bed().await;
        let select = |origin| Selector { table: 254, origin: Some(origin) };
        let connected = select(Origin::Connected);
        router.input(Input::Redistribute(vec![connected, select(Origin::Static)]));
        offer_both(&mut router);
        router.expect(BOTH).await;
        let shown = |router: &Router| {
            let all = router.redistributed.iter().map(|(prefix, of)| format!("{prefix} {of}"));
            all.collect::<Vec<String>>().join(", ")
        };
        let all = "9.9.9.8/32 Static, 9.9.9.9/32 Static, 169.254.1.0/29 Connected, \
                   169.254.2.0/29 Connected, fd00:1::/64 Connected, fd00:2::/64 Connected, \
                   fd09::8/128 Static, fd09::9/128 Static";
        router.until(all, |router| shown(router) == all).await;
        put(&others, &["9.9.9.8/32=-", "9.9.9.9/32=-", "fd09::8/128=-", "fd09::9/128=-"]).await;
        let less = "169.254.1.0/29 Connected, 169.254.2.0/29 Connected, fd00:1::/64 Connected, \
                    fd00:2::/64 Connected";
        router.until(less, |router| shown(router) == less).await;
    });
}

#[test]
fn objects_can_be_turned_off() {
    isolated("objects::objects_can_be_turned_off", || async {
        let (_net, _others, mut router) = bed().await;
        router.expect("").await;
        assert!(router.table.uses_objects());
        let off = Config { objects: None, ..fib::config(Owner::ROUTER, true) };
        let mut router = Router::with(off);
        router.bgp("10.0.0.0/8=9.9.9.9");
        router.expect("10.0.0.0/8=169.254.1.2%a1").await;
        assert!(!router.table.uses_objects());
        let hop = NextHop::from("9.9.9.9".parse::<std::net::IpAddr>().unwrap());
        assert!(router.table.resolve(&hop).is_resolved());
        let families: BTreeSet<Family> =
            router.table.routes().map(|view| view.prefix.family()).collect();
        assert_eq!(families, BTreeSet::from([Family::Ipv4]));
        let change = change("10.0.0.0/8", "-");
        assert_eq!(router.fib.routes.apply(vec![change]).await, [Ok(())]);
    });
}

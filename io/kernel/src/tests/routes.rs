//! Writing, listing and removing routes.

use std::net::UdpSocket;

use route_table::{Action, Change, Errno, KernelTarget, Leg, LinkIndex};

use super::harness::{Net, OTHERS, Router, change, held, index, isolated, put};
use crate::routes::{OwnRoutes, Owner, RouteError, cleanup};

#[test]
fn routes_of_each_kind_replace_each_other() {
    isolated("routes::routes_of_each_kind_replace_each_other", || async {
        let _net = Net::new().await;
        let ours = OwnRoutes::open(Owner::ROUTER, &[]).unwrap();
        let v4 = [
            "169.254.1.2%a1",
            "169.254.1.2%a1,169.254.2.2%a2",
            "blackhole",
            "169.254.2.2%a2",
            "%a1",
            "169.254.1.2%a1,169.254.2.2%a2",
            "169.254.1.2%a1,169.254.1.3%a1,169.254.2.2%a2",
            "unreachable",
            "169.254.2.2%a2",
        ];
        let v6 = [
            "fd00:1::2%a1",
            "fd00:1::2%a1,fd00:2::2%a2",
            "blackhole",
            "fe80::9%a2",
            "%a1",
            "fd00:1::2%a1,fe80::9%a2",
            "fd00:1::2%a1,fd00:1::3%a1,fd00:2::2%a2",
            "unreachable",
            "fd00:2::2%a2",
        ];
        for (prefix, targets) in [
            ("10.0.0.0/8", v4),
            ("0.0.0.0/0", v4),
            ("10.1.1.1/32", v4),
            ("2001:db8::/32", v6),
            ("::/0", v6),
            ("2001:db8::1/128", v6),
        ] {
            for target in targets.iter().chain(targets.iter().rev()) {
                let route = format!("{prefix}={target}");
                // Twice: what is so already is success.
                put(&ours, &[&route]).await;
                put(&ours, &[&route]).await;
                assert_eq!(held(&ours).await, route);
            }
            put(&ours, &[&format!("{prefix}=-")]).await;
            assert_eq!(held(&ours).await, "");
            put(&ours, &[&format!("{prefix}=-")]).await;
        }
    });
}

#[test]
fn each_change_of_a_batch_has_its_own_result() {
    isolated("routes::each_change_of_a_batch_has_its_own_result", || async {
        let _net = Net::new().await;
        let ours = OwnRoutes::open(Owner::ROUTER, &[]).unwrap();
        assert_eq!(ours.apply(Vec::new()).await, []);
        let nowhere = |prefix: &str| {
            let legs = vec![Leg::new(None, LinkIndex(9999))];
            let action = Action::Replace(KernelTarget::Legs(legs));
            Change { prefix: prefix.parse().unwrap(), action }
        };
        // Over several datagrams, refusals first, in the middle and last.
        let mut changes = vec![nowhere("10.0.0.0/16")];
        for n in 1..500 {
            changes.push(match n % 7 {
                3 => nowhere(&format!("10.{}.{}.0/24", n / 250, n % 250)),
                _ => change(&format!("10.{}.{}.0/24", n / 250, n % 250), "blackhole"),
            });
        }
        changes.push(nowhere("2001:db8::/32"));
        let results = ours.apply(changes.clone()).await;
        for (at, (change, result)) in changes.iter().zip(&results).enumerate() {
            let wanted = match change.action {
                Action::Replace(KernelTarget::Blackhole) => Ok(()),
                Action::Replace(_) | Action::Via(_) | Action::Delete => Err(Errno(libc::ENODEV)),
            };
            assert_eq!(*result, wanted, "{at}");
        }
        assert_eq!(ours.list().await.unwrap().len(), results.iter().filter(|r| r.is_ok()).count());
    });
}

#[test]
fn only_the_owners_routes_are_listed_and_removed() {
    isolated("routes::only_the_owners_routes_are_listed_and_removed", || async {
        let _net = Net::new().await;
        let others = OwnRoutes::open(OTHERS, &[]).unwrap();
        let router = OwnRoutes::open(Owner::ROUTER, &[]).unwrap();
        let elsewhere = OwnRoutes::open(Owner::ROUTER.in_table(1000), &[]).unwrap();
        let blocks = OwnRoutes::open(Owner::BLOCKS, &[]).unwrap();
        let legs = "169.254.1.2%a1";
        put(&others, &[&format!("10.0.0.0/8={legs}"), "2001:db8::/32=fd00:1::2%a1"]).await;
        put(&router, &[&format!("10.0.0.0/8={legs}"), "2001:db8::/32=fd00:1::2%a1"]).await;
        put(&elsewhere, &[&format!("10.2.0.0/16={legs}"), "2001:db8:2::/48=blackhole"]).await;
        blocks.set_unreachable("10.1.0.0/29".parse().unwrap()).await.unwrap();
        blocks.set_unreachable("fd01::/125".parse().unwrap()).await.unwrap();
        blocks.set_unreachable("fd02::/125".parse().unwrap()).await.unwrap();
        blocks.remove("fd02::/125".parse().unwrap()).await.unwrap();
        blocks.remove("fd02::/125".parse().unwrap()).await.unwrap();
        let all = "10.0.0.0/8=169.254.1.2%a1 2001:db8::/32=fd00:1::2%a1";
        assert_eq!(held(&others).await, all);
        assert_eq!(held(&router).await, all);
        assert_eq!(held(&elsewhere).await, "10.2.0.0/16=169.254.1.2%a1 2001:db8:2::/48=blackhole");
        assert_eq!(held(&blocks).await, "10.1.0.0/29=unreachable fd01::/125=unreachable");

        assert_eq!(router.remove_all().await.unwrap(), 2);
        assert_eq!(held(&router).await, "");
        assert_eq!(cleanup(&[Owner::ROUTER, Owner::BLOCKS]).await.unwrap(), 4);
        assert_eq!(cleanup(&[Owner::ROUTER, Owner::BLOCKS]).await.unwrap(), 0);
        assert_eq!(held(&elsewhere).await, "");
        assert_eq!(held(&blocks).await, "");
        assert_eq!(held(&others).await, all);

        // A table that is not there is empty, and a refusal names the route.
        let nowhere = OwnRoutes::open(Owner::ROUTER.in_table(77), &[]).unwrap();
        assert_eq!(held(&nowhere).await, "");
        assert_eq!(nowhere.remove_all().await.unwrap(), 0);
        let refused = OwnRoutes::open(Owner { table: u32::MAX, ..Owner::BLOCKS }, &[]).unwrap();
        let result = refused.set_unreachable("10.1.0.0/29".parse().unwrap()).await;
        assert!(result.is_ok() || matches!(result, Err(RouteError::Refused { .. })), "{result:?}");
    });
}

#[test]
fn the_preferred_source_is_used() {
    isolated("routes::the_preferred_source_is_used", || async {
        let net = Net::new().await;
        net.address("lo", "10.255.0.1/32").await;
        net.address("lo", "fd00:ffff::1/128").await;
        let sources = ["10.255.0.1".parse().unwrap(), "fd00:ffff::1".parse().unwrap()];
        let ours = OwnRoutes::open(Owner::ROUTER, &sources).unwrap();
        put(&ours, &["10.0.0.0/8=169.254.1.2%a1", "2001:db8::/32=fd00:1::2%a1,fd00:2::2%a2"]).await;
        put(&ours, &["10.1.0.0/16=blackhole", "2001:db8:1::/48=unreachable"]).await;
        for (any, to, from) in
            [("0.0.0.0:0", "10.9.9.9:9", sources[0]), ("[::]:0", "[2001:db8::9]:9", sources[1])]
        {
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect(to).unwrap();
            assert_eq!(socket.local_addr().unwrap().ip(), from);
        }
    });
}

#[test]
fn links_and_addresses_are_listed() {
    isolated("routes::links_and_addresses_are_listed", || async {
        let net = Net::new().await;
        net.set("b2", false).await;
        // A carrier's change takes a moment; the news of it say when.
        let mut router = Router::new();
        let a2_is_down = |router: &Router| {
            let mut links = router.table.links();
            links.any(|link| !link.up && link.name.as_str() == "a2")
        };
        router.until("a2 is without carrier", a2_is_down).await;
        let up = |name: &str| {
            let links = crate::links::list().unwrap();
            links.iter().find(|link| link.name.as_str() == name).unwrap().up
        };
        assert_eq!(["lo", "a1", "a2", "b2"].map(up), [true, true, false, false]);
        let all = crate::links::addresses().unwrap();
        let of_a1: Vec<String> = all
            .iter()
            .filter(|address| address.link == index("a1"))
            .map(|address| address.address.to_string())
            .filter(|address| !address.starts_with("fe80"))
            .collect();
        assert_eq!(of_a1, ["169.254.1.1", "fd00:1::1"]);
    });
}

//! Routers that nobody has told anything.

use crate::world::{World, eventually};

const WARNING: &str = "NotConfigured: no owner has given an AS number and a router id";

#[test]
fn a_router_that_is_told_nothing_says_so_once() {
    let Some(world) = World::enter("start::a_router_that_is_told_nothing_says_so_once") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let empty = a.router("empty", "# nothing yet\n", &[]);
        let bare = b.bare_router("bare", &[]);
        for router in [&empty, &bare] {
            router.wait_until_up().await;
            assert_eq!(router.log().matches(WARNING).count(), 1, "{}", router.log());
            assert!(router.log().contains(" WARN "), "{}", router.log());
        }
        let document = "asn: 65002\nrouter_id: 2.2.2.2\n";
        assert!(bare.client().apply("apply", 1, document, false).await.unwrap().accepted);
        eventually("the condition is gone", async || {
            bare.client().global().await.is_ok_and(|global| global.conditions.is_empty())
        })
        .await;
        assert_eq!(bare.log().matches(WARNING).count(), 1, "{}", bare.log());
    });
}

/// With the capabilities of `deploy/systemd/sartd-bgp.service` alone, routes are written, port 179 is
/// listened on, and neighbors on a link are looked for.
#[test]
fn a_router_needs_no_more_than_its_units_capabilities() {
    const NAME: &str = "start::a_router_needs_no_more_than_its_units_capabilities";
    let Some(world) = World::enter(NAME) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let unit = include_str!("../../../../deploy/systemd/sartd-bgp.service");
        let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
        let kept: Vec<String> = set
            .unwrap()
            .split(' ')
            .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
            .collect();
        let bound = format!("--bounding-set=-all,{}", kept.join(","));
        let limited = ["setpriv", &bound];
        let left = "asn: 65001\nrouter_id: 1.1.1.1\nneighbors: [{interface: left, asn: 65002}]\npaths: [{prefixes: [10.9.0.0/24]}]\n";
        let right = "asn: 65002\nrouter_id: 2.2.2.2\nfib: {}\nneighbors: [{interface: right, \
                     asn: 65001}]\n";
        let left = a.router_by(&limited, "left", left);
        let right = b.router_by(&limited, "right", right);
        eventually("the route is in the kernel of the right", async || {
            b.run(&["ip", "-o", "route"]).contains("10.9.0.0/24 ")
        })
        .await;
        for router in [&left, &right] {
            let global = router.client().global().await.unwrap();
            assert!(global.conditions.is_empty(), "{:?}", global.conditions);
        }
    });
}

/// The kernel has room for so many keys at a listener: who has none is told of, from the start.
#[test]
fn a_listener_that_opens_without_a_key_is_told_of() {
    const NAME: &str = "start::a_listener_that_opens_without_a_key_is_told_of";
    let Some(world) = World::enter(NAME) else { return };
    let room = std::fs::read_to_string("/proc/sys/net/core/optmem_max").unwrap_or_default();
    let room: u32 = room.trim().parse().unwrap_or(u32::MAX);
    if room > 1 << 20 {
        eprintln!("SKIPPED: {NAME}: net.core.optmem_max is {room}: too many keys would be needed");
        return;
    }
    let (a, _b) = world.two_hosts();
    world.block_on(async {
        let mut document = "asn: 65001\nrouter_id: 1.1.1.1\nneighbors:\n".to_owned();
        // A key takes more than its own 80 octets.
        for n in 0..room / 80 {
            let (high, low) = (n / 256, n % 256);
            document += &format!(
                "  - {{address: 10.1.{high}.{low}, asn: 65002, passive: true, password: k}}\n"
            );
        }
        let router = a.router("left", &document, &[]);
        router.wait_until_up().await;
        let is_told = |list: &node_api::v1::NeighborList| {
            let without = list.neighbors.iter().filter(|n| n.key_error.contains("optmem_max"));
            let conditions = list.conditions.iter().filter(|c| c.name == "KeyNotInForce");
            let without = without.count();
            without > 0 && conditions.count() == without && without < list.neighbors.len()
        };
        eventually("the neighbors without a key say so", async || {
            router.client().neighbors(None).await.is_ok_and(|list| is_told(&list))
        })
        .await;
    });
}

//! Aggregates: told to a neighbor, and a route in the kernel that drops the rest.

use node_api::v1;

use crate::world::{Host, Router, World, eventually};
use crate::{LEFT, has_route, neighbor};

const RIGHT: &str = "
asn: 65002
router_id: 2.2.2.2
fib: {}
neighbors: [{name: left, address: 10.0.0.1, asn: 65001}]
";

/// The kernel's route for the aggregate.
fn dropped(host: &Host) -> String {
    host.run(&["ip", "-o", "route", "show", "10.0.0.0/8"]).trim().to_owned()
}

/// The IPv4 prefixes that a router has, and where they are from.
async fn loc(router: &Router) -> Vec<(String, String)> {
    let all = v1::ListRoutesRequest { table: "loc".to_owned(), ..Default::default() };
    let routes = router.client().routes(all).await.unwrap().routes;
    routes.into_iter().map(|route| (route.prefix, route.source)).collect()
}

async fn route(router: &Router, prefix: &str) -> Option<v1::Route> {
    let one = v1::ListRoutesRequest {
        table: "loc".to_owned(),
        prefix: prefix.to_owned(),
        ..Default::default()
    };
    router.client().routes(one).await.unwrap().routes.into_iter().next()
}

async fn flaps(router: &Router) -> u64 {
    neighbor(router).await.unwrap().flaps
}

#[test]
fn an_aggregate_is_told_and_drops_the_rest() {
    let Some(world) = World::enter("aggregates::an_aggregate_is_told_and_drops_the_rest") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let write = |name: &str, text: &str| {
            std::fs::write(world.directory().join(format!("{name}.yaml")), text).unwrap();
        };
        let left_with_fib = format!("{LEFT}fib: {{}}\n");
        let left = a.router("left", &left_with_fib, &[]);
        let plain = format!(
            "{RIGHT}aggregates: [{{prefix: 10.0.0.0/8, attributes: {{communities: ['65002:1']}}}}]\n"
        );
        let mut right = b.router("right", &plain, &[]);

        // What the left router announces is enough.
        eventually("the rest is dropped", async || dropped(&b).starts_with("blackhole ")).await;
        assert!(dropped(&b).contains("proto bgp metric 4271"), "{}", dropped(&b));
        eventually("it is told", async || has_route(&a, "10.0.0.0/8", "10.0.0.2")).await;
        let told = route(&left, "10.0.0.0/8").await.unwrap();
        assert_eq!((told.source.as_str(), told.as_path.as_str()), ("ebgp", "65002"));
        assert_eq!((told.aggregator.as_str(), told.atomic_aggregate), ("65002 2.2.2.2", true));
        assert_eq!(told.communities, ["65002:1"]);
        let here = route(&right, "10.0.0.0/8").await.unwrap();
        assert_eq!((here.source.as_str(), here.neighbor.as_str()), ("aggregate", ""));
        let fib = right.client().explain("10.0.0.0/8").await.unwrap().fib.unwrap();
        assert_eq!((fib.source.as_str(), fib.distance, fib.installed), ("aggregate", 200, true));
        let drops = vec!["blackhole".to_owned()];
        assert_eq!((fib.next_hops, fib.kernel_next_hops), (drops.clone(), drops));

        // Live: another way to drop, and the longer prefixes are kept back. Nothing is away.
        let (of_a, of_b) = (a.monitor_routes(), b.monitor_routes());
        let own = format!(
            "{RIGHT}paths: [{{prefixes: [10.8.0.0/24]}}]\naggregates: [{{prefix: 10.0.0.0/8}}]\n"
        );
        write("right", &own);
        assert!(right.client().reload(false, false).await.unwrap().accepted);
        eventually("the own prefix is told", async || has_route(&a, "10.8.0.0/24", "10.0.0.2"))
            .await;
        let summary = own
            .replace("fib: {}", "fib: {distance: {local: 9}}")
            .replace("10.0.0.0/8}", "10.0.0.0/8, summary_only: true, discard: unreachable}");
        write("right", &summary);
        assert!(right.client().reload(false, false).await.unwrap().accepted);
        eventually("the own prefix is kept back", async || {
            route(&left, "10.8.0.0/24").await.is_none()
        })
        .await;
        eventually("the sender is told", async || dropped(&b).starts_with("unreachable ")).await;
        assert!(has_route(&a, "10.0.0.0/8", "10.0.0.2"));
        let explained = right.client().explain("10.8.0.0/24").await.unwrap();
        let [to] = &explained.advertisements[..] else { panic!("{explained:?}") };
        assert_eq!((to.sent, to.reason.as_str()), (false, "suppressed-by-aggregate"));
        let fib = right.client().explain("10.0.0.0/8").await.unwrap().fib.unwrap();
        assert_eq!((fib.source.as_str(), fib.distance), ("aggregate", 9));
        let gone = |text: String| text.lines().any(|line| {
            line.contains("Deleted") && line.contains("10.0.0.0/8 ")
        });
        assert!(!gone(of_a.text()), "{}", of_a.text());
        assert_eq!((flaps(&left).await, flaps(&right).await), (0, 0));

        // A crash leaves it where it is.
        right.crash();
        assert!(dropped(&b).starts_with("unreachable "));
        right.start();
        eventually("the restart is over", async || {
            let global = right.client().global().await;
            global.is_ok_and(|g| g.established == 1 && g.conditions.is_empty())
        })
        .await;
        eventually("all is chosen for", async || {
            let fib = right.client().explain("10.0.0.0/8").await.unwrap().fib;
            fib.is_some_and(|fib| fib.source == "aggregate" && fib.installed)
        })
        .await;
        assert!(!gone(of_a.text()), "{}", of_a.text());
        assert!(dropped(&b).starts_with("unreachable "), "{}", of_b.text());

        // Gone with the last longer prefix, and there again with the next.
        write("right", &summary.replace("paths: [{prefixes: [10.8.0.0/24]}]\n", ""));
        assert!(right.client().reload(false, false).await.unwrap().accepted);
        eventually("the left router's is left", async || loc(&right).await.len() == 2).await;
        assert!(dropped(&b).starts_with("unreachable "));
        write("left", &left_with_fib.replace("10.9.0.0/24, ", ""));
        assert!(left.client().reload(false, false).await.unwrap().accepted);
        eventually("nothing is dropped", async || dropped(&b).is_empty()).await;
        eventually("it is told no more", async || dropped(&a).is_empty()).await;
        assert_eq!(loc(&right).await, []);
        write("left", &left_with_fib);
        assert!(left.client().reload(false, false).await.unwrap().accepted);
        eventually("it is there again", async || dropped(&b).starts_with("unreachable ")).await;

        let twice = "aggregates: [{prefix: 10.0.0.0/8}, {prefix: 10.0.0.0/8}]";
        let refused = right.client().apply("agent", 1, twice, false).await.unwrap();
        let problem = &refused.problems[0];
        assert_eq!((problem.line, problem.column, problem.reason.as_str()), (1, 36, "doubled"));
        assert_eq!(right.terminate(), Some(0));
        assert_eq!(dropped(&b), "", "it was left behind");
    });
}

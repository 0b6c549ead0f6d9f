//! Routers at the ends of channels: asked for their routes, or told what to announce.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use inet::{Family, NextHop, Prefix, ScopedAddr, is_link_local};
use node_api::{CallError, Endpoint, RouterClient, Token, v1};
use route_table::{Target, distance};
use router_config::{Document, PathGroup, RouterEnd};
use tokio::sync::{mpsc, watch};

use super::channel::Wish;

/// How often a router is asked for its routes.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long the routes of a router that does not answer are kept: it may be restarting.
const KEEP: Duration = Duration::from_secs(120);
/// The pause before a router is told again after it did not take it.
const RETRY: Duration = Duration::from_secs(2);
/// How often a router is asked whether it still announces what it was told: one that has started
/// anew waits for its owners, but not for long.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// The cursor of the first page.
const START: &str = "start";
/// The most routes that are taken from one router.
const MAX_ROUTES: usize = 4_000_000;

/// All routes of a router, as they are now.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) endpoint: RouterEnd,
    pub(super) family: Family,
    /// None when the router has been silent for too long.
    pub(super) routes: Option<BTreeMap<Prefix, Wish>>,
    /// Why it does not answer.
    pub(super) problem: Option<String>,
}

/// A client of a router. A token is for TCP alone.
fn client(endpoint: &RouterEnd, token: Option<&Token>) -> Option<RouterClient> {
    let client = match endpoint {
        RouterEnd::Socket(path) => RouterClient::new(Endpoint::Unix(path.into()), None),
        RouterEnd::Tcp(address) => RouterClient::new(Endpoint::Tcp(*address), token),
    };
    match client {
        Ok(client) => Some(client),
        Err(error) => {
            tracing::error!(%endpoint, %error, "no router can be there");
            None
        }
    }
}

/// Asks a router again and again, and tells of each change.
pub(super) async fn listen(endpoint: RouterEnd, family: Family, heard: mpsc::Sender<Heard>) {
    // Reading needs no token.
    let Some(client) = client(&endpoint, None) else {
        return;
    };
    let here = match &endpoint {
        RouterEnd::Socket(_) => true,
        RouterEnd::Tcp(address) => address.ip().is_loopback(),
    };
    let mut known: Option<BTreeMap<Prefix, Wish>> = None;
    let mut was_well = true;
    let mut answered = tokio::time::Instant::now();
    loop {
        let news = match ask(&client, family, here).await {
            Ok(routes) => {
                answered = tokio::time::Instant::now();
                let changed = known.as_ref() != Some(&routes) || !was_well;
                was_well = true;
                changed.then(|| {
                    known = Some(routes.clone());
                    (Some(routes), None)
                })
            }
            Err(error) => {
                let problem = error.to_string();
                let lost = answered.elapsed() >= KEEP && known.is_some();
                let news = (was_well || lost).then(|| {
                    tracing::warn!(%endpoint, problem, "a router's routes cannot be read");
                    let routes = if lost { None } else { known.clone() };
                    (routes, Some(problem))
                });
                if lost {
                    known = None;
                }
                was_well = false;
                news
            }
        };
        if let Some((routes, problem)) = news
            && let endpoint = endpoint.clone()
            && heard.send(Heard { endpoint, family, routes, problem }).await.is_err()
        {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// `here`: the router is one of this machine.
async fn ask(
    client: &RouterClient,
    family: Family,
    here: bool,
) -> Result<BTreeMap<Prefix, Wish>, CallError> {
    let mut hops: BTreeMap<Prefix, Vec<(NextHop, u32)>> = BTreeMap::new();
    let mut request = v1::ListRoutesRequest {
        table: "loc".to_owned(),
        family: family.to_string(),
        cursor: START.to_owned(),
        ..Default::default()
    };
    loop {
        let page = client.routes(request.clone()).await?;
        for route in page.routes {
            // What the router itself originates has no neighbor, and leads nowhere from here.
            let used = (route.best || route.multipath) && !route.neighbor.is_empty();
            let (Ok(prefix), Some(hop)) = (route.prefix.parse::<Prefix>(), next_hop(&route, here))
            else {
                continue;
            };
            if used && hops.len() < MAX_ROUTES {
                hops.entry(prefix).or_default().push((hop, 1));
            }
        }
        if page.cursor.is_empty() || page.cursor == request.cursor {
            break;
        }
        request.cursor = page.cursor;
    }
    let wish = |(prefix, hops)| {
        let target = Target::via(hops)?;
        Some((prefix, Wish { distance: distance::BGP_EXTERNAL, target }))
    };
    Ok(hops.into_iter().filter_map(wish).collect())
}

/// A route's next hop; a link-local one is on the link of the neighbor that it came from, which is
/// one of ours where the router is `here`.
fn next_hop(route: &v1::Route, here: bool) -> Option<NextHop> {
    let address: std::net::IpAddr = route.next_hop.parse().ok()?;
    let neighbor = route.neighbor.parse::<ScopedAddr>().ok();
    let interface = neighbor.and_then(|neighbor| neighbor.link());
    let interface = interface.filter(|_| here && is_link_local(&address));
    Some(NextHop { interface, ..NextHop::from(address) })
}

/// Tells a router what to announce for a channel: the whole of it, after each change, and when the
/// router does not know it any more.
pub(super) async fn tell(
    endpoint: RouterEnd,
    channel: String,
    token: Option<Token>,
    mut prefixes: watch::Receiver<Option<BTreeSet<Prefix>>>,
) {
    let Some(client) = client(&endpoint, token.as_ref()) else {
        return;
    };
    // What was announced before this run stays until all sources have been read.
    if prefixes.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let owner = owner_name(&channel);
    let mut generation = 0;
    let mut warned = false;
    loop {
        let now: Vec<Prefix> = prefixes.borrow_and_update().iter().flatten().copied().collect();
        generation += 1;
        let expected = (!now.is_empty()).then_some(generation);
        match announce(&client, &owner, generation, now).await {
            Ok(()) => {
                warned = false;
                tokio::select! {
                    changed = prefixes.changed() => if changed.is_err() { return },
                    () = forgotten(&client, &owner, expected) => {}
                }
            }
            Err(problem) => {
                if !warned {
                    tracing::warn!(%endpoint, channel, problem, "a router does not take routes");
                }
                warned = true;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Waits until a router that was told does not answer, or is not as it was told to be.
async fn forgotten(client: &RouterClient, owner: &str, expected: Option<u64>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        match client.global().await {
            Ok(global) if knows(&global, owner, expected) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Whether the owner has handed over this generation since the router started; without one,
/// whether the router knows of no such owner.
fn knows(global: &v1::Global, owner: &str, expected: Option<u64>) -> bool {
    let known = global.owners.iter().find(|known| known.name == owner);
    let generation = known.map(|known| (known.generation, known.has_spoken));
    generation == expected.map(|generation| (generation, true))
}

async fn announce(
    client: &RouterClient,
    owner: &str,
    generation: u64,
    prefixes: Vec<Prefix>,
) -> Result<(), String> {
    if prefixes.is_empty() {
        return client.forget(owner).await.map(drop).or_else(|error| match error {
            CallError::NotFound(_) => Ok(()),
            error => Err(error.to_string()),
        });
    }
    let document = Document { paths: vec![PathGroup::new(prefixes)], ..Document::default() };
    let text = document.to_yaml().map_err(|error| error.to_string())?;
    let reply = client.apply(owner, generation, &text, false).await;
    let reply = reply.map_err(|error| error.to_string())?;
    if reply.accepted {
        return Ok(());
    }
    let problems: Vec<&str> = reply.problems.iter().map(|p| p.message.as_str()).collect();
    Err(problems.join("; "))
}

/// Takes back what a router was told for a channel.
pub(super) async fn take_back(endpoint: &RouterEnd, channel: &str, token: Option<&Token>) {
    if let Some(client) = client(endpoint, token)
        && let Err(error) = client.forget(&owner_name(channel)).await
    {
        tracing::warn!(%endpoint, channel, %error, "routes stay announced");
    }
}

/// The owner that a channel is for a router: its name in the letters of owners.
fn owner_name(channel: &str) -> String {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
        _ => '-',
    };
    let name: String = channel.chars().take(50).map(letter).collect();
    format!("fib-{name}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use node_api::{Call, Endpoint, RouterClient, Server, Views, v1};
    use tokio::sync::{mpsc, watch};

    use super::{Family, ask, knows};

    #[test]
    fn a_channel_is_an_owner_that_routers_take() {
        assert_eq!(super::owner_name("Kernel tables_1"), "fib-kernel-tables-1");
        assert!(super::owner_name(&"ü".repeat(500)).len() <= 63);
    }

    #[test]
    fn a_router_started_anew_is_told_again() {
        let owner = |generation, has_spoken| v1::Global {
            owners: vec![v1::Owner {
                name: "fib-a".to_owned(),
                generation,
                has_spoken,
                ..Default::default()
            }],
            ..Default::default()
        };
        assert!(knows(&owner(3, true), "fib-a", Some(3)));
        for global in [owner(3, false), owner(2, true), v1::Global::default()] {
            assert!(!knows(&global, "fib-a", Some(3)), "{global:?}");
        }
        assert!(knows(&owner(3, true), "fib-b", None));
        assert!(!knows(&owner(3, true), "fib-a", None));
    }

    #[test]
    fn a_next_hop_on_a_link_is_there_alone() {
        let hop = |next_hop: &str, neighbor: &str, here: bool| {
            let (next_hop, neighbor) = (next_hop.to_owned(), neighbor.to_owned());
            super::next_hop(&v1::Route { next_hop, neighbor, ..Default::default() }, here)
        };
        let words = |next_hop: &str, neighbor: &str| {
            hop(next_hop, neighbor, true).map(|hop| hop.to_string()).unwrap_or_default()
        };
        assert_eq!(words("fe80::1", "fe80::1%eth0"), "fe80::1%eth0");
        assert_eq!(words("2001:db8::1", "fe80::1%eth0"), "2001:db8::1");
        assert_eq!(words("10.0.0.1", "10.0.0.1"), "10.0.0.1");
        assert_eq!(hop("", "10.0.0.1", true), None);
        // Another machine's eth0 is none of ours.
        let there = hop("fe80::1", "fe80::1%eth0", false).unwrap();
        assert_eq!((there.interface, there.to_string()), (None, "fe80::1".to_owned()));
    }

    #[tokio::test]
    async fn all_pages_of_a_router_are_read() {
        let (calls, mut requests) = mpsc::channel(1);
        let (_neighbors, neighbors) = watch::channel(Arc::default());
        let advertised = Default::default();
        let mut server = Server::new(calls, Views { neighbors, advertised });
        let address = server.listen_tcp("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let router = tokio::spawn(async move {
            let mut cursors = Vec::new();
            while let Some(call) = requests.recv().await {
                let Call::Routes(request, reply) = call else { panic!("{call:?}") };
                let page = |n: u8, next: &str| v1::RoutePage {
                    routes: vec![v1::Route {
                        prefix: format!("10.{n}.0.0/16"),
                        next_hop: "10.0.0.1".to_owned(),
                        neighbor: "10.0.0.1".to_owned(),
                        best: true,
                        ..Default::default()
                    }],
                    more: !next.is_empty(),
                    cursor: next.to_owned(),
                };
                reply.send(Ok(match request.cursor.as_str() {
                    "start" => page(1, "7"),
                    // A page may be empty although there is a next one.
                    "7" => v1::RoutePage { routes: Vec::new(), ..page(0, "8") },
                    _ => page(2, ""),
                }));
                cursors.push(request.cursor);
            }
            cursors
        });
        let client = RouterClient::new(Endpoint::Tcp(address), None).unwrap();
        let routes = ask(&client, Family::Ipv4, true).await.unwrap();
        let prefixes: Vec<_> = routes.keys().map(ToString::to_string).collect();
        assert_eq!(prefixes, ["10.1.0.0/16", "10.2.0.0/16"]);
        drop(client);
        server.stop().await;
        assert_eq!(router.await.unwrap(), ["start", "7", "8"]);
    }
}

//! Tests against the real kernel, in a user and network namespace of their own: no root is needed
//! and nothing of the machine is touched. The test's program runs itself again in there.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use inet::{NextHop, Prefix, RouteTarget, Timestamp};
use route_table::{
    Action, Change, Config, Errno, Input, KernelEvent, KernelRoute, KernelTarget, Leg, LinkIndex,
    Output, RouteTable, SourceId, Target, Write,
};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

use crate::fib::{self, Fib};
use crate::routes::{OwnRoutes, Owner};

const INSIDE: &str = "SART_KERNEL_TEST_INSIDE";
const UNSHARE: [&str; 3] = ["--user", "--map-root-user", "--net"];
/// How long a state may take to come; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What somebody else puts into the kernel: static routes.
pub(super) const OTHERS: Owner = Owner { table: 254, protocol: 4, metric: 100 };

/// Runs `body` in namespaces of its own, or says loudly that this machine allows none.
pub(super) fn isolated<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body());
    }
    let probe = ["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad"];
    let allowed = Command::new("unshare").args(UNSHARE).args(probe).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        // Not a print macro: those are captured.
        let reason = "no user and network namespaces with writable sysctls";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
        return;
    }
    let output = Command::new("unshare")
        .args(UNSHARE)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("tests::{test}")])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{error}");
}

/// The links `a1` and `a2` with an address of each family, their other ends `b1` and `b2`.
pub(super) struct Net {
    pub(super) handle: Handle,
}

impl Net {
    pub(super) async fn new() -> Net {
        for which in ["all", "default"] {
            crate::sysctl::write(&format!("net/ipv6/conf/{which}/accept_dad"), "0").unwrap();
        }
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        let net = Net { handle };
        net.set("lo", true).await;
        for n in [1, 2] {
            let (a, b) = (format!("a{n}"), format!("b{n}"));
            net.handle.link().add(LinkVeth::new(&a, &b).build()).execute().await.unwrap();
            net.set(&a, true).await;
            net.set(&b, true).await;
            net.address(&a, &format!("169.254.{n}.1/29")).await;
            net.address(&a, &format!("fd00:{n}::1/64")).await;
        }
        net
    }

    pub(super) async fn set(&self, name: &str, up: bool) {
        let link = LinkUnspec::new_with_index(index(name).0);
        let link = if up { link.up() } else { link.down() };
        self.handle.link().set(link.build()).execute().await.unwrap();
    }

    /// Adds an address and waits until it can be used, which takes the link's carrier.
    pub(super) async fn address(&self, name: &str, text: &str) {
        let (address, len) = text.split_once('/').unwrap();
        let (address, len): (IpAddr, u8) = (address.parse().unwrap(), len.parse().unwrap());
        let link = index(name);
        self.handle.address().add(link.0, address, len).execute().await.unwrap();
        let there = |router: &Router| router.table.addresses(link).any(|a| a == address);
        Router::new().until(text, there).await;
        let up = |router: &Router| router.table.links().any(|l| l.index == link && l.up);
        Router::new().until("a carrier", up).await;
    }
}

pub(super) fn index(name: &str) -> LinkIndex {
    let links = crate::links::list().unwrap();
    links.iter().find(|link| link.name.as_str() == name).unwrap().index
}

/// `-`, `blackhole`, `unreachable`, or legs `gateway%link` or `%link` with commas.
pub(super) fn change(prefix: &str, target: &str) -> Change {
    let leg = |leg: &str| {
        let (gateway, link) = leg.split_once('%').unwrap();
        let gateway = (!gateway.is_empty()).then(|| gateway.parse().unwrap());
        let (link, weight) = link.split_once('*').unwrap_or((link, "1"));
        Leg { gateway, link: index(link), weight: weight.parse().unwrap() }
    };
    let action = match target {
        "-" => Action::Delete,
        "blackhole" => Action::Replace(KernelTarget::Blackhole),
        "unreachable" => Action::Replace(KernelTarget::Unreachable),
        "prohibit" => Action::Replace(KernelTarget::Prohibit),
        legs => Action::Replace(KernelTarget::Legs(legs.split(',').map(leg).collect())),
    };
    Change { prefix: prefix.parse().unwrap(), action }
}

/// Applies `prefix=target` changes as one batch; all must be taken.
pub(super) async fn put(routes: &OwnRoutes, changes: &[&str]) {
    let split = |text: &&str| text.split_once('=').map(|(p, t)| change(p, t)).unwrap();
    let results = routes.apply(changes.iter().map(split).collect()).await;
    assert_eq!(results, vec![Ok(()); changes.len()], "{changes:?}");
}

/// An owner's routes as the kernel holds them, `prefix=target` sorted and separated by spaces.
pub(super) async fn held(routes: &OwnRoutes) -> String {
    show(&routes.list().await.unwrap())
}

fn show(routes: &[KernelRoute]) -> String {
    let links = crate::links::list().unwrap();
    let names: BTreeMap<LinkIndex, String> =
        links.iter().map(|link| (link.index, link.name.to_string())).collect();
    let leg = |leg: &Leg| {
        let gateway = leg.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
        let weight = if leg.weight == 1 { String::new() } else { format!("*{}", leg.weight) };
        format!("{gateway}%{}{weight}", names.get(&leg.link).map_or("?", String::as_str))
    };
    let target = |target: &KernelTarget| match target {
        KernelTarget::Blackhole => "blackhole".to_owned(),
        KernelTarget::Unreachable => "unreachable".to_owned(),
        KernelTarget::Prohibit => "prohibit".to_owned(),
        KernelTarget::Legs(legs) => legs.iter().map(leg).collect::<Vec<_>>().join(","),
    };
    let mut sorted: Vec<&KernelRoute> = routes.iter().collect();
    sorted.sort_by_key(|route| route.prefix);
    let all: Vec<String> =
        sorted.iter().map(|r| format!("{}={}", r.prefix, target(&r.target))).collect();
    all.join(" ")
}

/// The route table on the real kernel, as the router's program joins them.
pub(super) struct Router {
    pub(super) table: RouteTable,
    pub(super) fib: Fib,
    pub(super) snapshots: usize,
    pub(super) links_gone: usize,
    /// Writes of routes, and of next-hop objects.
    pub(super) written: usize,
    pub(super) objects_written: usize,
    pub(super) redistributed: BTreeMap<Prefix, String>,
    start: Instant,
}

impl Router {
    pub(super) fn new() -> Router {
        Router::with(fib::config(Owner::ROUTER, true))
    }

    /// As before there were next-hop objects, or on a kernel that knows none.
    pub(super) fn without_objects() -> Router {
        Router::with(Config { objects: None, ..fib::config(Owner::ROUTER, true) })
    }

    pub(super) fn with(config: Config) -> Router {
        let Config { table, protocol, metric, .. } = config;
        let owner = Owner { table, protocol, metric };
        Router {
            fib: Fib::open_reading(owner, &[], &config.lookup).unwrap(),
            table: RouteTable::new(config),
            snapshots: 0,
            links_gone: 0,
            written: 0,
            objects_written: 0,
            redistributed: BTreeMap::new(),
            start: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.start.elapsed())
    }

    pub(super) fn input(&mut self, input: Input) {
        self.table.handle(self.now(), input);
    }

    /// Offers `prefix=hop,hop`, or withdraws `prefix=-`.
    pub(super) fn bgp(&mut self, offer: &str) {
        let (prefix, hops) = offer.split_once('=').unwrap();
        let prefix: Prefix = prefix.parse().unwrap();
        let hop = |hop: &str| match hop.split_once('%') {
            None => NextHop::from(hop.parse::<IpAddr>().unwrap()),
            Some((address, link)) => NextHop {
                interface: Some(link.parse().unwrap()),
                ..NextHop::from(address.parse::<IpAddr>().unwrap())
            },
        };
        let target = (hops != "-").then(|| RouteTarget::Via(hops.split(',').map(hop).collect()));
        self.input(Input::Update { source: SourceId(1), distance: 20, prefix, target });
    }

    /// Offers a prefix over weighted next hops.
    pub(super) fn weighted(&mut self, prefix: &str, hops: &[(&str, u32)]) {
        let hop =
            |(hop, weight): &(&str, u32)| (NextHop::from(hop.parse::<IpAddr>().unwrap()), *weight);
        let target = Target::via(hops.iter().map(hop));
        let prefix = prefix.parse().unwrap();
        self.input(Input::Offer { source: SourceId(1), distance: 20, prefix, target });
    }

    /// Offers a prefix with a target of another kind.
    pub(super) fn offer(&mut self, prefix: &str, target: Target) {
        let (prefix, target) = (prefix.parse().unwrap(), Some(target));
        self.input(Input::Offer { source: SourceId(1), distance: 20, prefix, target });
    }

    /// Does all that is to be done, one event at a time, until `reached` holds.
    pub(super) async fn until(&mut self, what: &str, reached: impl Fn(&Router) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.work().await;
            if reached(self) {
                return;
            }
            let retry = self.table.wake_at().map(|at| at - self.now());
            tokio::select! {
                event = self.fib.events.next() => self.take(event.unwrap()),
                () = tokio::time::sleep(retry.unwrap_or(PATIENCE)) => self.table.tick(self.now()),
                () = tokio::time::sleep_until(deadline) => {
                    let held: String = held(&self.fib.routes).await.chars().take(2000).collect();
                    panic!("never reached: {what}; held: {held}; {:?}", self.table.stats());
                }
            }
        }
    }

    /// Takes events, without doing anything about them, up to one that `is_last`.
    pub(super) async fn hear(&mut self, mut is_last: impl FnMut(&KernelEvent) -> bool) {
        let last = async {
            loop {
                let event = self.fib.events.next().await.unwrap();
                let stop = is_last(&event);
                self.take(event);
                if stop {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, last).await.unwrap();
    }

    fn take(&mut self, event: KernelEvent) {
        self.snapshots += usize::from(matches!(event, KernelEvent::Snapshot(_)));
        self.links_gone += usize::from(matches!(event, KernelEvent::LinkGone(_)));
        self.input(Input::Kernel(event));
    }

    /// Works on until the kernel holds these routes of ours.
    pub(super) async fn expect(&mut self, routes: &str) {
        let owner = self.fib.routes.owner();
        let list = || {
            let mut writer = crate::routes::RouteWriter::open(owner, &[]).unwrap();
            show(&writer.list().unwrap())
        };
        self.until(routes, |router| router.snapshots > 0 && list() == routes).await;
    }

    async fn work(&mut self) {
        loop {
            let mut writes: Vec<Write> = Vec::new();
            while let Some(output) = self.table.poll() {
                match output {
                    Output::Change(change) => writes.push(change.into()),
                    Output::Object(change) => writes.push(change.into()),
                    Output::Redistributed(prefix, Some(route)) => {
                        self.redistributed.insert(prefix, format!("{:?}", route.origin));
                    }
                    Output::Redistributed(prefix, None) => {
                        self.redistributed.remove(&prefix);
                    }
                    Output::NextHop(..) | Output::Link { .. } | Output::Addresses { .. } => {}
                }
            }
            if writes.is_empty() {
                return;
            }
            let routes = writes.iter().filter(|write| matches!(write, Write::Route(_))).count();
            self.written += routes;
            self.objects_written += writes.len() - routes;
            let results: Vec<Result<(), Errno>> = self.fib.routes.write(writes.clone()).await;
            for (write, result) in writes.iter().zip(results) {
                self.input(write.done(result));
            }
        }
    }
}

//! How long the kernel's routes take: 100,000 IPv4 routes through the route table, beside the same
//! messages as fast as netlink takes them.
//!
//! `unshare -n` is done by the program itself; it needs root or user namespaces.

// A measurement that cannot be made ends the program.
#![allow(clippy::expect_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use inet::{NextHop, Prefix, RouteTarget, Timestamp};
use kernel::fib::{self, Fib};
use kernel::routes::{OwnRoutes, Owner, RouteWriter};
use route_table::{
    Action, Change, Config, Input, KernelTarget, Leg, LinkIndex, Output, RouteTable, SourceId,
    Write,
};

const INSIDE: &str = "SART_FIB_BENCH_INSIDE";
const ROUTES: u32 = 100_000;
const HOPS: u32 = 1000;
/// Writes handed to the kernel at once.
const BATCH: usize = 4096;
const SOURCE: SourceId = SourceId(0);

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().expect("the program's own path");
        let ended = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net"])
            .arg(program)
            .env(INSIDE, "1")
            .status();
        assert!(ended.is_ok_and(|status| status.success()), "no user and network namespaces here");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(all());
}

async fn all() {
    ip("link add d0 type veth peer name d1");
    ip("link set d1 up");
    ip("addr add 172.16.0.1/12 dev d0");
    ip("link set d0 up");
    let links = kernel::links::list().expect("the links");
    let link = links.iter().find(|link| link.name.as_str() == "d0").expect("d0").index;
    for hops in [1, HOPS] {
        println!("{ROUTES} routes over {hops} next hop(s)");
        let (write, change) = raw(link, hops);
        println!("  raw netlink       write {write:>9.3?}  change {change:>9.3?}");
        for (name, objects) in [("with objects", true), ("without objects", false)] {
            let mut bench = Bench::new(objects).await;
            let written = bench.offer(hops, 0).await;
            let changed = bench.offer(hops, 1).await;
            let moved = bench.next_hops_move(hops).await;
            println!(
                "  {name:<16}  write {written:>9.3?} ({:.2} x raw)  other next hops {changed:>9.3?} \
                 ({:.2} x raw)  next hops lead elsewhere {moved:>9.3?} ({:.2} x raw)",
                ratio(written, write),
                ratio(changed, change),
                ratio(moved, change),
            );
            bench.fib.routes.remove_all().await.expect("removed");
        }
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).status();
    assert!(done.is_ok_and(|status| status.success()), "ip {arguments}");
}

fn prefix(n: u32) -> Prefix {
    let address = Ipv4Addr::from((20 << 24) + (n << 8));
    Prefix::new(IpAddr::V4(address), 24).expect("no host bits")
}

/// The n-th gateway of a generation.
fn gateway(generation: u32, n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((172 << 24) + (16 << 16) + 2 + generation * 4096 + n))
}

/// The n-th address that is reached over a static route.
fn far(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((10 << 24) + n))
}

/// Messages without thinking: once new, once in place.
fn raw(link: LinkIndex, hops: u32) -> (Duration, Duration) {
    let mut writer = RouteWriter::open(Owner::ROUTER, &[]).expect("a socket");
    let mut once = |generation: u32| {
        let change = |n: u32| {
            let leg = Leg::new(Some(gateway(generation, n % hops)), link);
            let action = Action::Replace(KernelTarget::Legs(vec![leg]));
            Change { prefix: prefix(n), action }
        };
        let changes: Vec<Change> = (0..ROUTES).map(change).collect();
        let start = Instant::now();
        assert!(writer.apply(&changes).iter().all(Result::is_ok));
        start.elapsed()
    };
    let times = (once(0), once(1));
    let delete = |n| Change { prefix: prefix(n), action: Action::Delete };
    let changes: Vec<Change> = (0..ROUTES).map(delete).collect();
    assert!(writer.apply(&changes).iter().all(Result::is_ok));
    times
}

/// Table and kernel, joined as in the router.
struct Bench {
    table: RouteTable,
    fib: Fib,
    start: Instant,
    others: OwnRoutes,
}

impl Bench {
    async fn new(objects: bool) -> Bench {
        let mut config = fib::config(Owner::ROUTER, true);
        if !objects {
            config = Config { objects: None, ..config };
        }
        let mut fib = Fib::open(Owner::ROUTER, &[]).expect("netlink");
        let mut table = RouteTable::new(config);
        let event = fib.events.next().await.expect("a snapshot");
        table.handle(Timestamp::ZERO, Input::Kernel(event));
        let others = Owner { table: 254, protocol: 4, metric: 10 };
        let others = OwnRoutes::open(others, &[]).expect("a socket");
        Bench { table, fib, start: Instant::now(), others }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.start.elapsed())
    }

    /// All routes over next hops of a generation, until all are written.
    async fn offer(&mut self, hops: u32, generation: u32) -> Duration {
        let start = Instant::now();
        let mut offers = (0..ROUTES).map(|n| (prefix(n), gateway(generation, n % hops)));
        self.run(|table, now| {
            // As a speaker gives them: some at a time.
            for (prefix, hop) in offers.by_ref().take(BATCH) {
                let target = Some(RouteTarget::Via(vec![NextHop::from(hop)]));
                let distance = 20;
                table.handle(now, Input::Update { source: SOURCE, distance, prefix, target });
            }
        })
        .await;
        let elapsed = start.elapsed();
        assert_eq!(self.table.stats().installed, ROUTES as usize);
        elapsed
    }

    /// Routes over far next hops, whose static routes are then changed to other gateways.
    async fn next_hops_move(&mut self, hops: u32) -> Duration {
        self.statics(hops, 0).await;
        self.hear(hops, 0).await;
        let mut offers = (0..ROUTES).map(|n| (prefix(n), far(n % hops)));
        self.run(|table, now| {
            for (prefix, hop) in offers.by_ref().take(BATCH) {
                let target = Some(RouteTarget::Via(vec![NextHop::from(hop)]));
                let distance = 20;
                table.handle(now, Input::Update { source: SOURCE, distance, prefix, target });
            }
        })
        .await;
        assert_eq!(self.table.stats().installed, ROUTES as usize);
        self.statics(hops, 1).await;
        let start = Instant::now();
        self.hear(hops, 1).await;
        self.run(|_, _| {}).await;
        let elapsed = start.elapsed();
        assert_eq!(self.table.stats().installed, ROUTES as usize);
        elapsed
    }

    async fn statics(&self, hops: u32, generation: u32) {
        let links = kernel::links::list().expect("the links");
        let link = links.iter().find(|link| link.name.as_str() == "d0").expect("d0").index;
        let change = |n: u32| {
            let leg = Leg::new(Some(gateway(generation, n)), link);
            let action = Action::Replace(KernelTarget::Legs(vec![leg]));
            Change { prefix: Prefix::host(far(n)), action }
        };
        let changes = (0..hops).map(change).collect();
        assert!(self.others.apply(changes).await.iter().all(Result::is_ok));
    }

    /// Takes the kernel's news until the last of them is known.
    async fn hear(&mut self, hops: u32, generation: u32) {
        let (hop, last) = (NextHop::from(far(hops - 1)), gateway(generation, hops - 1));
        loop {
            if let route_table::Resolution::Resolved { legs, .. } = self.table.resolve(&hop)
                && legs.iter().any(|leg| leg.gateway == Some(last))
            {
                return;
            }
            let event = self.fib.events.next().await.expect("news");
            let now = self.now();
            self.table.handle(now, Input::Kernel(event));
        }
    }

    /// Writes what the table wants, one batch while the next is decided, until it wants nothing.
    async fn run(&mut self, mut feed: impl FnMut(&mut RouteTable, Timestamp)) {
        let mut writing: Option<tokio::task::JoinHandle<Vec<Input>>> = None;
        let mut writes: Vec<Write> = Vec::new();
        loop {
            let now = self.now();
            feed(&mut self.table, now);
            while writes.len() < BATCH
                && let Some(output) = self.table.poll()
            {
                match output {
                    Output::Change(change) => writes.push(change.into()),
                    Output::Object(change) => writes.push(change.into()),
                    Output::NextHop(..)
                    | Output::Link { .. }
                    | Output::Addresses { .. }
                    | Output::Redistributed(..) => {}
                }
            }
            if let Some(task) = writing.take() {
                let answers = task.await.expect("the batch");
                let now = self.now();
                for answer in answers {
                    self.table.handle(now, answer);
                }
            }
            if writes.is_empty() {
                if self.table.is_quiet() {
                    return;
                }
                continue;
            }
            let batch = std::mem::take(&mut writes);
            let routes = self.fib.routes.clone();
            writing = Some(tokio::spawn(async move {
                let results = routes.write(batch.clone()).await;
                batch.iter().zip(results).map(|(write, result)| write.done(result)).collect()
            }));
        }
    }
}

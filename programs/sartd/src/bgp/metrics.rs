//! The router's metrics: what is so when a scrape comes.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use node_api::v1;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use route_table::LAG_BUCKETS;
use tokio::sync::mpsc;

/// How long a scrape waits for the router's task. Then it shows what was so at the last one.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Scrapes that follow so soon are shown the same: whoever can reach the port may scrape. In tests
/// of this file each one asks.
const FRESH: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(1) };

/// Scrapes that may wait for the router's task.
const SCRAPES: usize = 4;

/// What the collector shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) neighbors: Arc<v1::NeighborList>,
    pub(super) counts: bgp_speaker::Counts,
    pub(super) fib: route_table::Stats,
    pub(super) fib_counters: route_table::Counters,
    pub(super) monitors: super::monitor::Shown,
}

/// One that wants to be answered by the router's task.
#[derive(Debug)]
pub(super) struct Scrape(SyncSender<Shown>);

/// Asks the router's task. It waits on the thread that encodes, which is nobody else's.
#[derive(Debug)]
struct View {
    scrapes: mpsc::Sender<Scrape>,
    last: Mutex<(Option<Instant>, Arc<Shown>)>,
}

#[derive(Debug)]
pub(super) struct Metrics {
    scrapes: mpsc::Sender<Scrape>,
    loop_time: Histogram,
    write_failures: Counter,
}

impl Metrics {
    /// Metrics, and where the router's task is asked.
    pub(super) fn new() -> (Metrics, mpsc::Receiver<Scrape>) {
        let (scrapes, asked) = mpsc::channel(SCRAPES);
        let metrics = Metrics {
            scrapes,
            // 10 µs to 10 s.
            loop_time: Histogram::new(exponential_buckets(1e-5, 10.0, 7)),
            write_failures: Counter::default(),
        };
        (metrics, asked)
    }

    pub(super) fn loop_time(&self) -> Histogram {
        self.loop_time.clone()
    }

    pub(super) fn write_failures(&self) -> Counter {
        self.write_failures.clone()
    }

    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register(
            "sart_router_loop_seconds",
            "Time that one turn of the router's task takes",
            self.loop_time.clone(),
        );
        registry.register(
            "sart_fib_write_failures",
            "Routes that the kernel refused",
            self.write_failures.clone(),
        );
        let view = View { scrapes: self.scrapes.clone(), last: Mutex::default() };
        registry.register_collector(Box::new(view));
        registry
    }
}

impl Scrape {
    /// Answers. One that has waited too long is no error.
    pub(super) fn answer(&self, shown: Shown) {
        let _ = self.0.try_send(shown);
    }
}

impl View {
    /// What is so now, or was at the last scrape when the router's task says nothing in time.
    fn now(&self) -> Arc<Shown> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, shown) = &mut *last;
        if at.is_none_or(|at| at.elapsed() >= FRESH) {
            if let Ok(now) = self.ask() {
                *shown = Arc::new(now);
            }
            // Also without an answer: those who wait here shall not wait one after another.
            *at = Some(Instant::now());
        }
        Arc::clone(shown)
    }

    fn ask(&self) -> Result<Shown, RecvTimeoutError> {
        let (to, answer) = sync_channel(1);
        match self.scrapes.try_send(Scrape(to)) {
            Ok(()) => answer.recv_timeout(ANSWER_TIME),
            Err(_) => Err(RecvTimeoutError::Timeout),
        }
    }
}

impl Collector for View {
    fn encode(&self, mut to: DescriptorEncoder) -> Result<(), fmt::Error> {
        let shown = self.now();
        let conditions = shown.neighbors.conditions.len();
        gauge(&mut to, "sart_router_conditions", "Conditions that hold", conditions)?;
        gauge(&mut to, "sart_bgp_prefixes", "Prefixes in the tables", shown.counts.prefixes)?;
        gauge(&mut to, "sart_bgp_paths", "Paths in the tables", shown.counts.paths)?;
        let sets = shown.counts.attribute_sets;
        gauge(&mut to, "sart_bgp_attribute_sets", "Attribute sets kept", sets)?;
        fib(&mut to, &shown.fib)?;
        fib_counters(&mut to, &shown.fib_counters)?;
        let neighbors = &shown.neighbors.neighbors;
        peers(&mut to, neighbors)?;
        last_errors(&mut to, neighbors)?;
        bfd(&mut to, neighbors)?;
        shown.monitors.encode(&mut to)?;
        families(&mut to, neighbors)
    }
}

fn gauge(to: &mut DescriptorEncoder, name: &str, help: &str, value: usize) -> fmt::Result {
    let encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(as_gauge(value)).encode(encoder)
}

/// The FIB by state.
pub(crate) fn fib(to: &mut DescriptorEncoder, stats: &route_table::Stats) -> fmt::Result {
    let route_table::Stats {
        installed,
        pending,
        unresolved,
        blocked,
        failed,
        stale,
        not_installed,
    } = *stats;
    let states = [
        ("installed", installed),
        ("pending", pending),
        ("unresolved", unresolved),
        ("blocked", blocked),
        ("failed", failed),
        ("stale", stale),
        ("not_installed", not_installed),
    ];
    let wanted = installed + pending + unresolved + blocked + failed + not_installed;
    gauge(to, "sart_fib_wanted", "Prefixes that a source wants", wanted)?;
    let help = "Prefixes of the FIB by state";
    let mut encoder = to.encode_descriptor("sart_fib_routes", help, None, MetricType::Gauge)?;
    for (state, count) in states {
        ConstGauge::new(as_gauge(count)).encode(encoder.encode_family(&[("state", state)])?)?;
    }
    Ok(())
}

/// What the FIB has counted.
pub(crate) fn fib_counters(
    to: &mut DescriptorEncoder,
    counters: &route_table::Counters,
) -> fmt::Result {
    let route_table::Counters { route_writes, object_writes, failures: _, resyncs, lag } = counters;
    let values = [
        ("sart_fib_route_writes", "Writes of routes that the kernel took", *route_writes),
        (
            "sart_fib_object_writes",
            "Writes of next-hop objects that the kernel took",
            *object_writes,
        ),
        ("sart_fib_resyncs", "How often all of the kernel's routes were read anew", *resyncs),
    ];
    for (name, help, value) in values {
        let encoder = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)?;
    }
    let help = "Time from a route being wanted to its being in the kernel";
    let mut encoder =
        to.encode_descriptor("sart_fib_lag_seconds", help, None, MetricType::Histogram)?;
    let bounds = LAG_BUCKETS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(lag.buckets).collect();
    encoder.encode_histogram::<NoLabelSet>(lag.sum.as_secs_f64(), lag.count, &buckets, None)
}

type PeerValue = (&'static str, &'static str, fn(&v1::Neighbor) -> u64);

fn peers(to: &mut DescriptorEncoder, peers: &[v1::Neighbor]) -> fmt::Result {
    let gauges: [PeerValue; 3] = [
        ("sart_bgp_peer_queued_bytes", "Bytes that wait to be sent", |peer| peer.queued_bytes),
        (
            "sart_bgp_peer_state",
            "State: 1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established",
            |peer| u64::try_from(peer.state).unwrap_or_default(),
        ),
        ("sart_bgp_peer_since_seconds", "Unix time of the last change of state", |p| p.since),
    ];
    for (name, help, value) in gauges {
        let mut encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for peer in peers {
            let labels = labels(peer);
            let family = encoder.encode_family(&labels)?;
            ConstGauge::new(as_gauge(value(peer))).encode(family)?;
        }
    }
    let counters: [PeerValue; 8] = [
        ("sart_bgp_peer_established", "How often the session was Established", |peer| {
            peer.established
        }),
        ("sart_bgp_peer_notifications_received", "NOTIFICATION messages that came", |peer| {
            peer.received.map_or(0, |messages| messages.notification)
        }),
        ("sart_bgp_peer_notifications_sent", "NOTIFICATION messages that went", |peer| {
            peer.sent.map_or(0, |messages| messages.notification)
        }),
        ("sart_bgp_peer_flaps", "How often the session was lost", |peer| peer.flaps),
        ("sart_bgp_peer_messages_received", "Messages of this session", |peer| {
            peer.session.as_ref().map_or(0, |session| session.messages_in)
        }),
        ("sart_bgp_peer_messages_sent", "Messages of this session", |peer| {
            peer.session.as_ref().map_or(0, |session| session.messages_out)
        }),
        ("sart_bgp_peer_updates_received", "UPDATE messages of this session", |peer| {
            peer.session.as_ref().map_or(0, |session| session.updates_in)
        }),
        ("sart_bgp_peer_updates_sent", "UPDATE messages of this session", |peer| {
            peer.session.as_ref().map_or(0, |session| session.updates_out)
        }),
    ];
    for (name, help, value) in counters {
        let mut encoder = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for peer in peers {
            let labels = labels(peer);
            let family = encoder.encode_family(&labels)?;
            ConstCounter::new(value(peer)).encode(family)?;
        }
    }
    Ok(())
}

/// When the last session or attempt failed, by whom, and with which NOTIFICATION.
fn last_errors(to: &mut DescriptorEncoder, peers: &[v1::Neighbor]) -> fmt::Result {
    let (name, help) = ("sart_bgp_peer_last_error_seconds", "Unix time of the last error");
    let mut encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (peer, error) in peers.iter().filter_map(|peer| Some((peer, peer.last_error.as_ref()?))) {
        let [address, peer_name] = labels(peer);
        let code = format!("{}/{}", error.code, error.subcode);
        let by = error.by().words().to_owned();
        let labels = [address, peer_name, ("by", by), ("code", code)];
        ConstGauge::new(as_gauge(error.at)).encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Of neighbors that BFD is to watch.
fn bfd(to: &mut DescriptorEncoder, peers: &[v1::Neighbor]) -> fmt::Result {
    let watched = || peers.iter().filter_map(|peer| Some((peer, peer.bfd.as_ref()?)));
    let (name, help) = ("sart_bfd_up", "Whether BFD sees the neighbor");
    let mut encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (peer, bfd) in watched() {
        let up = i64::from(bfd.state == "Up");
        ConstGauge::new(up).encode(encoder.encode_family(&labels(peer))?)?;
    }
    let (name, help) = ("sart_bfd_downs", "How often BFD has lost the neighbor");
    let mut encoder = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (peer, bfd) in watched() {
        ConstCounter::new(bfd.downs).encode(encoder.encode_family(&labels(peer))?)?;
    }
    Ok(())
}

type FamilyValue = (&'static str, &'static str, fn(&v1::FamilyStatus) -> u64);

fn families(to: &mut DescriptorEncoder, peers: &[v1::Neighbor]) -> fmt::Result {
    let gauges: [FamilyValue; 6] = [
        (
            "sart_bgp_peer_prefixes_limit",
            "Prefixes that may be received; 0: any number",
            |family| family.max_prefixes,
        ),
        ("sart_bgp_peer_prefixes_received", "Paths received", |family| family.received),
        ("sart_bgp_peer_prefixes_accepted", "Paths that may be used", |family| family.accepted),
        ("sart_bgp_peer_prefixes_advertised", "Prefixes sent", |family| family.advertised),
        ("sart_bgp_peer_prefixes_stale", "Paths kept over a restart", |family| family.stale),
        (
            "sart_bgp_peer_paths_left_out",
            "Paths of this session not taken: too many to one prefix",
            |family| family.left_out,
        ),
    ];
    for (name, help, value) in gauges {
        let mut encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for peer in peers {
            for status in &peer.families {
                let [address, peer_name] = labels(peer);
                let labels = [address, peer_name, ("family", status.family.clone())];
                let family = encoder.encode_family(&labels)?;
                ConstGauge::new(as_gauge(value(status))).encode(family)?;
            }
        }
    }
    Ok(())
}

fn labels(peer: &v1::Neighbor) -> [(&'static str, String); 2] {
    [("peer", peer.address.clone()), ("name", peer.name.clone())]
}

fn as_gauge<T: TryInto<i64>>(value: T) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use node_api::v1;

    use super::{Metrics, Shown};

    fn scrape(metrics: &prometheus_client::registry::Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, metrics).unwrap();
        text
    }

    #[test]
    fn a_scrape_shows_what_the_router_answers() {
        let (metrics, mut scrapes) = Metrics::new();
        let family =
            v1::FamilyStatus { family: "ipv4".to_owned(), received: 7, ..Default::default() };
        let peer = v1::Neighbor {
            address: "10.0.0.1".to_owned(),
            name: "spine0".to_owned(),
            state: v1::SessionState::Established as i32,
            families: vec![family],
            last_error: Some(v1::SessionError {
                by: v1::By::Peer as i32,
                at: 5,
                code: 6,
                subcode: 2,
                ..Default::default()
            }),
            bfd: Some(v1::BfdStatus { state: "Up".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let list = v1::NeighborList { neighbors: vec![peer], ..Default::default() };
        let registry = metrics.registry();
        let router = std::thread::spawn(move || {
            let scrape = scrapes.blocking_recv().unwrap();
            scrape.answer(Shown { neighbors: Arc::new(list), ..Shown::default() });
        });
        let text = scrape(&registry);
        router.join().unwrap();
        for line in [
            r#"sart_bgp_peer_state{peer="10.0.0.1",name="spine0"} 6"#,
            r#"sart_bgp_peer_prefixes_received{peer="10.0.0.1",name="spine0",family="ipv4"} 7"#,
            r#"sart_fib_routes{state="installed"} 0"#,
            r#"sart_bgp_peer_flaps_total{peer="10.0.0.1",name="spine0"} 0"#,
            r#"sart_bgp_peer_last_error_seconds{peer="10.0.0.1",name="spine0",by="peer",code="6/2"} 5"#,
            r#"sart_bfd_up{peer="10.0.0.1",name="spine0"} 1"#,
            r#"sart_fib_lag_seconds_bucket{le="+Inf"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        // The router is no more: what was so last is shown still.
        let again = scrape(&registry);
        assert!(again.contains(r#"sart_bgp_peer_state{peer="10.0.0.1",name="spine0"} 6"#));
    }
}

//! The controller's metrics: what was published last, read at each scrape.

use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use route_table::{Counters, Lag, Stats};
use router_config::FibPlace;

use super::controller::Controller;
use crate::bgp::{Census, encode_fib, encode_fib_counters};

/// What the collector shows: all tables together.
#[derive(Debug, Default)]
struct Shown {
    stats: Stats,
    counters: Counters,
    channels: Vec<ChannelCounts>,
    /// What is not there.
    missing: Missing,
}

/// What channels name and is not there: how many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Routers that do not answer.
    pub(super) routers: usize,
    /// VRFs.
    pub(super) vrfs: usize,
}

/// A count of all tables under way: large ones take longer than a turn.
#[derive(Debug, Default)]
pub(super) struct Count {
    stats: Stats,
    /// Of the table after this one, if that was begun.
    under_way: Option<Census>,
    done: Option<FibPlace>,
}

#[derive(Debug)]
struct ChannelCounts {
    name: String,
    routes: usize,
    owners: usize,
}

/// Shared between the controller's task, which writes it, and scrapes.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    shown: Arc<Mutex<Shown>>,
    pub(super) write_failures: Counter,
}

impl Metrics {
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register(
            "sart_fib_write_failures",
            "Routes that the kernel refused",
            self.write_failures.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
        registry
    }

    /// Shows what was counted, and what the tables and channels count themselves.
    fn publish(&self, controller: &Controller, stats: Stats, missing: Missing) {
        let mut counters = Counters::default();
        for table in controller.tables.values() {
            add_counters(&mut counters, table.counters());
        }
        let channels = controller.channels.iter().map(|channel| ChannelCounts {
            name: channel.config.name.clone(),
            routes: channel.len(),
            owners: channel.owners.len(),
        });
        let channels = channels.collect();
        let shown = Shown { stats, counters, channels, missing };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

impl Count {
    /// Counts on until the slice is over; true when all is counted, and shown.
    pub(super) fn go_on(
        &mut self,
        slice: Duration,
        controller: &Controller,
        missing: Missing,
        metrics: &Metrics,
    ) -> bool {
        let after = self.done.map_or(Bound::Unbounded, Bound::Excluded);
        let next = controller.tables.range((after, Bound::Unbounded)).next();
        let Some((place, table)) = next else {
            metrics.publish(controller, self.stats, missing);
            return true;
        };
        let census = self.under_way.get_or_insert_default();
        if census.go_on(slice, table) {
            add_stats(&mut self.stats, census.stats);
            (self.under_way, self.done) = (None, Some(*place));
        }
        false
    }
}

impl Collector for Metrics {
    fn encode(&self, mut to: DescriptorEncoder) -> Result<(), fmt::Error> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        encode_fib(&mut to, &shown.stats)?;
        encode_fib_counters(&mut to, &shown.counters)?;
        let Missing { routers, vrfs } = shown.missing;
        for (name, help, value) in [
            ("sart_fib_routers_lost", "Routers of channels that do not answer", routers),
            ("sart_fib_vrfs_missing", "VRFs of channels that are not there", vrfs),
        ] {
            let encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(as_gauge(value)).encode(encoder)?;
        }
        type Value = (&'static str, &'static str, fn(&ChannelCounts) -> usize);
        let values: [Value; 2] = [
            ("sart_fib_channel_routes", "Prefixes of a channel", |channel| channel.routes),
            ("sart_fib_channel_owners", "Owners that hand routes over", |channel| channel.owners),
        ];
        for (name, help, value) in values {
            let mut encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for channel in &shown.channels {
                let label = [("channel", channel.name.as_str())];
                let family = encoder.encode_family(&label)?;
                ConstGauge::new(as_gauge(value(channel))).encode(family)?;
            }
        }
        Ok(())
    }
}

fn add_stats(to: &mut Stats, more: Stats) {
    let Stats { installed, pending, unresolved, blocked, failed, stale, not_installed } = more;
    to.installed += installed;
    to.pending += pending;
    to.unresolved += unresolved;
    to.blocked += blocked;
    to.failed += failed;
    to.stale += stale;
    to.not_installed += not_installed;
}

fn add_counters(to: &mut Counters, more: Counters) {
    let Counters { route_writes, object_writes, failures, resyncs, lag } = more;
    to.route_writes += route_writes;
    to.object_writes += object_writes;
    to.failures += failures;
    to.resyncs += resyncs;
    let Lag { buckets, sum, count } = lag;
    for (to, more) in to.lag.buckets.iter_mut().zip(buckets) {
        *to += more;
    }
    to.lag.sum = to.lag.sum.saturating_add(sum);
    to.lag.count += count;
}

fn as_gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_and_channels_are_shown() {
        let metrics = Metrics::default();
        let kernel =
            |table| router_config::ChannelEnd::Kernel { tables: vec![table], vrfs: vec![] };
        let channel = router_config::Channel {
            name: "main".to_owned(),
            ip_version: inet::Family::Ipv4,
            subscribers: vec![kernel(8)],
            publishers: vec![kernel(9), kernel(10)],
        };
        let mut controller = Controller::new(vec![channel], &Default::default());
        let routes = (0..5).map(|n| node_api::v1::FibRoute {
            prefix: format!("10.{n}.0.0/16"),
            kind: "blackhole".to_owned(),
            ..Default::default()
        });
        let request = node_api::v1::SetRoutesRequest {
            owner: "a".to_owned(),
            channel: "main".to_owned(),
            distance: 0,
            routes: routes.collect(),
        };
        assert!(controller.set(inet::Timestamp::ZERO, &request).unwrap().accepted);
        // A prefix at a time: five in each of the two tables that are written, and three ends.
        let missing = Missing { routers: 2, vrfs: 1 };
        let (mut count, mut slices) = (Count::default(), 1);
        while !count.go_on(Duration::ZERO, &controller, missing, &metrics) {
            slices += 1;
        }
        assert_eq!(slices, 2 * 5 + 3 + 1);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry()).unwrap();
        for line in [
            "sart_fib_routers_lost 2",
            "sart_fib_vrfs_missing 1",
            r#"sart_fib_channel_routes{channel="main"} 5"#,
            r#"sart_fib_routes{state="installed"} 0"#,
            r#"sart_fib_routes{state="unresolved"} 10"#,
            "sart_fib_write_failures_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

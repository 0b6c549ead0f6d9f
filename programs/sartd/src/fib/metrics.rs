//! The controller's metrics: what was published last, read at each scrape.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use route_table::{Counters, Lag, Stats};

use super::controller::Controller;
use crate::bgp::{encode_fib, encode_fib_counters};

/// What the collector shows: all tables together.
#[derive(Debug, Default)]
struct Shown {
    stats: Stats,
    counters: Counters,
    channels: Vec<ChannelCounts>,
    /// Routers that do not answer.
    lost: usize,
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

    /// Counts anew. It walks the tables: for every few seconds.
    pub(super) fn publish(&self, controller: &Controller, lost: usize) {
        let (mut stats, mut counters) = (Stats::default(), Counters::default());
        for table in controller.tables.values() {
            add_stats(&mut stats, table.stats());
            add_counters(&mut counters, table.counters());
        }
        let channels = controller.channels.iter().map(|channel| ChannelCounts {
            name: channel.config.name.clone(),
            routes: channel.prefixes().len(),
            owners: channel.owners.len(),
        });
        let channels = channels.collect();
        let shown = Shown { stats, counters, channels, lost };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

impl Collector for Metrics {
    fn encode(&self, mut to: DescriptorEncoder) -> Result<(), fmt::Error> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        encode_fib(&mut to, &shown.stats)?;
        encode_fib_counters(&mut to, &shown.counters)?;
        let (name, help) = ("sart_fib_routers_lost", "Routers of channels that do not answer");
        let encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(as_gauge(shown.lost)).encode(encoder)?;
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
        let kernel = |table| router_config::ChannelEnd::Kernel { tables: vec![table] };
        let channel = router_config::Channel {
            name: "main".to_owned(),
            ip_version: inet::Family::Ipv4,
            subscribers: vec![kernel(8)],
            publishers: vec![kernel(9), kernel(10)],
        };
        let controller = Controller::new(vec![channel], &Default::default());
        metrics.publish(&controller, 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry()).unwrap();
        for line in [
            "sart_fib_routers_lost 2",
            r#"sart_fib_channel_routes{channel="main"} 0"#,
            r#"sart_fib_routes{state="installed"} 0"#,
            "sart_fib_write_failures_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

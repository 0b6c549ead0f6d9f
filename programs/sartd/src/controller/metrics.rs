//! The controller's metrics; v0.1's names are kept.

use std::sync::atomic::AtomicU64;

use cluster_api::{AddressType, Protocol};
use cluster_plan::Planner;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: String,
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AdvertisementLabels {
    r#type: String,
    protocol: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: String,
}

/// The controller's metrics.
pub(super) struct Metrics {
    reconciliations: Counter<u64, AtomicU64>,
    errors: Counter<u64, AtomicU64>,
    max_blocks: Family<PoolLabels, Gauge>,
    allocated_blocks: Family<PoolLabels, Gauge>,
    advertisements: Family<AdvertisementLabels, Gauge>,
    advertisement_status: Family<StatusLabels, Gauge>,
    backoff: Gauge,
    leading: Gauge,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            reconciliations: Counter::default(),
            errors: Counter::default(),
            max_blocks: Family::default(),
            allocated_blocks: Family::default(),
            advertisements: Family::default(),
            advertisement_status: Family::default(),
            backoff: Gauge::default(),
            leading: Gauge::default(),
        };
        let sart = registry.sub_registry_with_prefix("sart_controller");
        // The encoder appends `_total` to a counter's name.
        let help = "Objects that were looked at";
        sart.register("reconciliation", help, metrics.reconciliations.clone());
        let help = "Writes that failed";
        sart.register("reconciliation_errors", help, metrics.errors.clone());
        let help = "Blocks that a pool can have";
        sart.register("max_blocks", help, metrics.max_blocks.clone());
        let help = "Blocks that a pool has";
        sart.register("allocated_blocks", help, metrics.allocated_blocks.clone());
        let help = "BGPAdvertisements";
        sart.register("bgp_advertisements", help, metrics.advertisements.clone());
        let help = "Peers of BGPAdvertisements by whether they get them";
        sart.register("bgp_advertisement_status", help, metrics.advertisement_status.clone());
        let help = "Objects whose last write failed and that wait for the next";
        sart.register("bgp_advertisement_backoff_count", help, metrics.backoff.clone());
        sart.register("leading", "Whether this replica leads", metrics.leading.clone());
        metrics
    }

    /// Shows what the planner knows.
    pub(super) fn show(&self, planner: &Planner) {
        let figures = planner.figures();
        self.reconciliations.inner().store(figures.computed, std::sync::atomic::Ordering::Relaxed);
        self.errors.inner().store(figures.failed, std::sync::atomic::Ordering::Relaxed);
        // Pools come and go; what is gone shall not be shown for ever.
        self.max_blocks.clear();
        self.allocated_blocks.clear();
        for (pool, (kind, max, cut)) in figures.pools {
            let labels = PoolLabels { pool, r#type: type_name(kind).to_owned() };
            self.max_blocks.get_or_create(&labels).set(whole(max));
            self.allocated_blocks.get_or_create(&labels).set(whole(cut));
        }
        self.advertisements.clear();
        for ((kind, protocol), count) in figures.advertisements {
            let protocol = match protocol {
                Protocol::Ipv4 => "ipv4",
                Protocol::Ipv6 => "ipv6",
            };
            let labels = AdvertisementLabels {
                r#type: type_name(kind).to_owned(),
                protocol: protocol.to_owned(),
            };
            self.advertisements.get_or_create(&labels).set(whole(count));
        }
        let (advertised, not_advertised) = figures.advertised;
        for (status, count) in [("Advertised", advertised), ("NotAdvertised", not_advertised)] {
            let labels = StatusLabels { status: status.to_owned() };
            self.advertisement_status.get_or_create(&labels).set(whole(count));
        }
        self.backoff.set(whole(figures.backing_off));
        self.leading.set(i64::from(planner.leads()));
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn type_name(kind: AddressType) -> &'static str {
    match kind {
        AddressType::Pod => "pod",
        AddressType::Service => "service",
        AddressType::Network => "network",
    }
}

//! The agent's Prometheus metrics; v0.1's names are kept.

use cluster_api::SessionState;
use node_plan::RouterFact;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

/// Handles to the agent's metrics. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    reconciliations: Counter,
    errors: Counter,
    peers: Family<PeerLabel, Gauge>,
    router: Family<StatusLabel, Gauge>,
    failures: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        let registry = registry.sub_registry_with_prefix("sart_agent");
        // OpenMetrics appends `_total` to counters.
        registry.register(
            "reconciliation",
            "How often the wanted state was made anew",
            metrics.reconciliations.clone(),
        );
        registry.register(
            "reconciliation_errors",
            "Writes to the API server that failed",
            metrics.errors.clone(),
        );
        registry.register(
            "bgp_peer_status",
            "State of each BGP peer: 1 for the state it is in",
            metrics.peers.clone(),
        );
        registry.register(
            "node_bgp_status",
            "Whether the node's router can be used: 1 for the status it is in",
            metrics.router.clone(),
        );
        registry.register(
            "node_bgp_backoff_count_total",
            "How often the router could not be reached or configured",
            metrics.failures.clone(),
        );
        metrics
    }

    pub(super) fn reconciled(&self) {
        self.reconciliations.inc();
    }

    pub(super) fn failed(&self) {
        self.errors.inc();
    }

    /// Shows the router as it tells.
    pub(super) fn router(&self, fact: &RouterFact) {
        let available = fact.reachable && matches!(fact.applied, Some(Ok(())));
        for (status, now) in [("Available", available), ("Unavailable", !available)] {
            self.router.get_or_create(&StatusLabel { status }).set(i64::from(now));
        }
        self.failures.set(i64::from(fact.failures));
        self.peers.clear();
        for peer in &fact.peers {
            let status = match peer.digest.state {
                SessionState::Unknown => "Unknown",
                SessionState::Idle => "Idle",
                SessionState::Connect => "Connect",
                SessionState::Active => "Active",
                SessionState::OpenSent => "OpenSent",
                SessionState::OpenConfirm => "OpenConfirm",
                SessionState::Established => "Established",
            };
            let label = PeerLabel { peer: peer.address.to_string(), status: status.to_owned() };
            self.peers.get_or_create(&label).set(1);
        }
    }
}

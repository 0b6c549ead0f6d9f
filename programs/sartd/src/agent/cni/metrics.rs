//! Metrics of CNI calls; v0.1's names are kept.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Handles to the metrics of calls. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct CallMetrics {
    calls: Family<Command, Counter>,
    errors: Family<Failure, Counter>,
    seconds: Family<Command, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Command {
    command: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    command: &'static str,
    code: u32,
}

/// Upper ends in seconds: an ADD takes some milliseconds, or waits up to ten seconds for a block.
const BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

impl CallMetrics {
    /// Registers `sart_agent_cni_call_total`, `sart_agent_cni_call_errors_total` and
    /// `sart_agent_cni_call_duration_seconds`.
    pub(crate) fn register(registry: &mut Registry) -> CallMetrics {
        let metrics = CallMetrics::unregistered();
        let registry = registry.sub_registry_with_prefix("sart_agent");
        registry.register("cni_call", "CNI calls that were served", metrics.calls.clone());
        registry.register(
            "cni_call_errors",
            "CNI calls that failed, by the error's code",
            metrics.errors.clone(),
        );
        registry.register_with_unit(
            "cni_call_duration",
            "How long CNI calls took",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        metrics
    }

    pub(super) fn unregistered() -> CallMetrics {
        CallMetrics {
            calls: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }

    /// A call has been answered, with this error's code if it failed.
    pub(super) fn answered(&self, command: &'static str, error: Option<u32>, took: Duration) {
        self.calls.get_or_create(&Command { command }).inc();
        if let Some(code) = error {
            self.errors.get_or_create(&Failure { command, code }).inc();
        }
        self.seconds.get_or_create(&Command { command }).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_v0_1_are_kept() {
        let mut registry = Registry::default();
        let metrics = CallMetrics::register(&mut registry);
        metrics.answered("ADD", None, Duration::from_millis(3));
        metrics.answered("ADD", Some(11), Duration::from_secs(10));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "sart_agent_cni_call_total{command=\"ADD\"} 2",
            "sart_agent_cni_call_errors_total{command=\"ADD\",code=\"11\"} 1",
            "sart_agent_cni_call_duration_seconds_count{command=\"ADD\"} 2",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

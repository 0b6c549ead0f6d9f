//! Writes the agent's part of `NodeBGP/<node>.status`.

use std::time::Duration;

use cluster_api::NodeBGPStatus;
use cluster_api::world::{Action, Kind, Outcome, Target, Write};
use cluster_io::Writer;
use serde_json::json;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::metrics::Metrics;

/// Pause after a status that could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// Writes each latest status until the agent stops.
pub(super) async fn write(
    writer: Writer,
    node: String,
    mut status: watch::Receiver<Option<NodeBGPStatus>>,
    metrics: Metrics,
) {
    while status.changed().await.is_ok() {
        loop {
            let Some(latest) = status.borrow_and_update().clone() else { break };
            // A merge patch takes lists whole, and leaves the controller's field alone.
            let body = json!({"status": {
                "backoff": latest.backoff,
                "conditions": latest.conditions,
                "router": latest.router,
            }});
            let target = Target::cluster(Kind::NodeBGP, &node);
            let outcome = writer.write(&Write { target, action: Action::MergeStatus(body) }).await;
            match outcome {
                // Not there any more: the planner wants none then.
                Outcome::Done(_) | Outcome::Conflict | Outcome::Exists => break,
                Outcome::Refused(why) => {
                    metrics.failed();
                    warn!(why, "the API server refuses the node's status");
                    tokio::time::sleep(RETRY * 10).await;
                }
                Outcome::Later(why) => {
                    debug!(why, "the node's status is not written yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

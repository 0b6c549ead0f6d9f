//! v0.1's leavings that no watch of ours sees, once after the lead is won.

use std::time::Duration;

use cluster_api::world::{Kind, Outcome, Write};
use cluster_io::Writer;
use cluster_plan::leftovers::{webhooks, without_finalizers};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::run::log;

const PAGE: u32 = 500;
const PAGE_TIME: Duration = Duration::from_secs(30);
/// A cluster with more EndpointSlices than this many pages is not searched to its end.
const PAGES: usize = 400;
const TRIES: u32 = 10;

/// Removes v0.1's webhook configurations, and its finalizers from EndpointSlices.
pub(super) async fn clean(client: Client, writer: Writer) {
    for attempt in 1..=TRIES {
        match once(&client, &writer).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => debug!(%error, attempt, "cannot look for what v0.1 left"),
        }
        sleep(Duration::from_secs(30)).await;
    }
    warn!("what v0.1 left (webhooks, finalizers of EndpointSlices) could not be looked for");
}

/// Whether all is done.
async fn once(client: &Client, writer: &Writer) -> Result<bool, kube::Error> {
    let mut writes = Vec::new();
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    for item in page(validating.list(&ListParams::default().limit(PAGE))).await?.items {
        let configs = item.webhooks.iter().flatten().map(|webhook| &webhook.client_config);
        writes.extend(webhooks(Kind::ValidatingWebhookConfiguration, &item.metadata, configs));
    }
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    for item in page(mutating.list(&ListParams::default().limit(PAGE))).await?.items {
        let configs = item.webhooks.iter().flatten().map(|webhook| &webhook.client_config);
        writes.extend(webhooks(Kind::MutatingWebhookConfiguration, &item.metadata, configs));
    }
    let mut done = apply(writer, writes).await;
    let slices: Api<EndpointSlice> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    for _ in 0..PAGES {
        let list = page(slices.list_metadata(&params)).await?;
        let found = list.items.iter();
        let found =
            found.filter_map(|item| without_finalizers(Kind::EndpointSlice, &item.metadata));
        done &= apply(writer, found.collect()).await;
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    Ok(done)
}

async fn page<T>(list: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| kube::Error::Service("a list took too long".into());
    timeout(PAGE_TIME, list).await.map_err(late)?
}

async fn apply(writer: &Writer, writes: Vec<Write>) -> bool {
    let mut done = true;
    for write in writes {
        let outcome = writer.write(&write).await;
        log(&write.target, &write.action, &outcome);
        match outcome {
            Outcome::Done(_) => {
                info!(kind = write.target.kind.name(), name = write.target.name, "v0.1's removed");
            }
            Outcome::Exists | Outcome::Conflict | Outcome::Refused(_) | Outcome::Later(_) => {
                done = false;
            }
        }
    }
    done
}

//! What the kernel has, read back: at the start, and then once a minute for what a runtime forgot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kernel::pod::{HostLink, PodError};
use node_plan::ipam::Holder;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::Books;
use super::links::Links;
use super::locks::Locks;

/// Between two looks. An address is freed when two of them in a row find no link.
const EVERY: Duration = Duration::from_secs(60);

/// Reads the kernel back into the books, and removes links whose making was interrupted. Called
/// before any call is served, so that none of them is in the making.
pub(super) async fn recover<L: Links>(books: &Books, links: &Arc<L>) -> anyhow::Result<()> {
    let found = list(links).await?.context("cannot read the pods' links back")?;
    let mut records = Vec::new();
    for link in found {
        match link {
            HostLink::Recorded { record, .. } => records.push(record),
            HostLink::HalfMade { name } => {
                info!(link = %name, "removing a link whose making was interrupted");
                let links = links.clone();
                let removed = tokio::task::spawn_blocking(move || links.remove_half_made(name));
                removed.await?.with_context(|| format!("cannot remove the link {name}"))?;
            }
        }
    }
    if !records.is_empty() {
        info!(pods = records.len(), "the pods' links are read back");
    }
    books.restore(records);
    Ok(())
}

/// Frees, for ever, the addresses of containers whose links are gone without a DEL.
pub(super) async fn collect<L: Links>(books: Books, links: Arc<L>, locks: Locks) {
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut suspects = BTreeSet::new();
    loop {
        clock.tick().await;
        suspects = look(&books, &links, &locks, suspects).await;
    }
}

/// One look: frees those that the look before suspected too; returns whom this one suspects.
pub(super) async fn look<L: Links>(
    books: &Books,
    links: &Arc<L>,
    locks: &Locks,
    before: BTreeSet<Holder>,
) -> BTreeSet<Holder> {
    let suspects = match without_link(books, links).await {
        Ok(suspects) => suspects,
        Err(error) => {
            warn!(error = format!("{error:#}"), "cannot compare the pods' links with the books");
            return before;
        }
    };
    for holder in suspects.intersection(&before) {
        let _guard = locks.lock(holder).await;
        // Once more, now that no call is at it.
        if without_link(books, links).await.is_ok_and(|still| still.contains(holder)) {
            let freed = books.release(holder);
            let addresses: Vec<_> = freed.iter().map(|a| a.address.to_string()).collect();
            warn!(
                container = holder.container_id,
                addresses = addresses.join(","),
                "freed: the pod's link is gone, and no DEL came"
            );
        }
    }
    suspects
}

/// Who holds addresses without having a link.
async fn without_link<L: Links>(books: &Books, links: &Arc<L>) -> anyhow::Result<BTreeSet<Holder>> {
    // The books first: a link that is made in between is then not missed.
    let holders = books.holders();
    let found = list(links).await??;
    let linked: BTreeSet<Holder> = found
        .into_iter()
        .filter_map(|link| match link {
            HostLink::Recorded { record, .. } => {
                Some(Holder { container_id: record.container_id, ifname: record.ifname })
            }
            HostLink::HalfMade { .. } => None,
        })
        .collect();
    Ok(holders.into_iter().filter(|holder| !linked.contains(holder)).collect())
}

async fn list<L: Links>(links: &Arc<L>) -> anyhow::Result<Result<Vec<HostLink>, PodError>> {
    let links = links.clone();
    Ok(tokio::task::spawn_blocking(move || links.list()).await?)
}

//! The node's blocks: their routes in the kernel, and asking for more or giving back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cluster_api::world::{Action, Kind, Outcome, Target, Write};
use cluster_api::{Protocol, names};
use cluster_io::Writer;
use inet::{Family, Prefix};
use kernel::routes::{OwnRoutes, Owner};
use node_plan::HeldBlock;
use node_plan::ipam::{Need, NodeBlock, PoolFacts};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use super::cni::Books;
use super::metrics::Metrics;
use super::plan::PodWorld;

/// Pause after something that failed.
const RETRY: Duration = Duration::from_secs(1);

/// For so long a request that was made counts as under way, if no block comes of it.
const ANSWER: Duration = Duration::from_secs(5);

/// How many addresses of a block are used is told at most this often.
const USED_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the `unreachable` routes and the books at the blocks that the cluster gives this node.
///
/// A route comes before its block's first address is given, and goes after the block went.
pub(super) async fn hold(
    books: Books,
    routes: OwnRoutes,
    mut blocks: watch::Receiver<Option<Vec<HeldBlock>>>,
    mut pods: watch::Receiver<Option<PodWorld>>,
) {
    loop {
        let wanted = blocks.borrow_and_update().clone();
        let world = pods.borrow_and_update().clone();
        if let Some(world) = world {
            let facts = world.facts.iter().flat_map(|(name, fact)| PoolFacts::of(name, fact));
            books.set_pools(facts.collect());
        }
        // Before every watch has listed, what the kernel holds stays as it is.
        let held = match wanted {
            Some(wanted) => written(&books, &routes, &wanted).await,
            None => Ok(()),
        };
        if let Err(problem) = held {
            error!(error = %format!("{problem:#}"), "cannot write the routes of blocks");
            sleep(RETRY).await;
            continue;
        }
        tokio::select! {
            changed = blocks.changed() => if changed.is_err() { return },
            changed = pods.changed() => if changed.is_err() { return },
        }
    }
}

/// Makes the books and the kernel's block routes those of `wanted`. No address is given from a
/// block that has no route.
async fn written(books: &Books, routes: &OwnRoutes, wanted: &[HeldBlock]) -> anyhow::Result<()> {
    let wanted_prefixes: BTreeSet<Prefix> = wanted.iter().map(|b| b.prefix).collect();
    books.let_go(&wanted_prefixes);
    let actual: BTreeSet<Prefix> = routes.list().await?.iter().map(|r| r.prefix).collect();
    for prefix in wanted_prefixes.difference(&actual) {
        routes.set_unreachable(*prefix).await?;
        info!(block = %prefix, "holding a block");
    }
    for prefix in actual.difference(&wanted_prefixes) {
        routes.remove(*prefix).await?;
        info!(block = %prefix, "let a block go");
    }
    let block = |b: &HeldBlock| NodeBlock { prefix: b.prefix, pool: b.pool.clone() };
    books.set_blocks(&wanted.iter().map(block).collect::<Vec<_>>());
    Ok(())
}

/// Opens the socket for the block routes.
pub(super) fn open_routes() -> anyhow::Result<OwnRoutes> {
    Ok(OwnRoutes::open(Owner::BLOCKS, &[])?)
}

/// A request that was made.
struct Asked {
    at: Instant,
    /// The blocks that the node had then; once others are there, it has been answered.
    blocks: BTreeSet<Prefix>,
}

/// Asks for blocks that are needed, gives back those that are not, and tells how full they are.
pub(super) struct Demand {
    pub(super) books: Books,
    pub(super) writer: Writer,
    pub(super) node: String,
    pub(super) blocks: watch::Receiver<Option<Vec<HeldBlock>>>,
    pub(super) metrics: Metrics,
}

impl Demand {
    /// Follows the books until the agent stops.
    pub(super) async fn follow(mut self) {
        let mut demand = self.books.demand();
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        let mut told: BTreeMap<Prefix, usize> = BTreeMap::new();
        let mut told_at = Instant::now();
        let mut unsure = BTreeSet::new();
        loop {
            demand.mark_unchanged();
            let names = self.names();
            let mut again = None;
            if !self.ask(&mut asked).await | !self.give_back(&names, &mut unsure).await {
                again = Some(RETRY);
            }
            if told_at.elapsed() >= USED_INTERVAL {
                told_at = Instant::now();
                self.tell_used(&names, &mut told).await;
            }
            if self.books.blocks().iter().any(|(prefix, _, used)| told.get(prefix) != Some(used)) {
                again = again.or(Some(USED_INTERVAL.saturating_sub(told_at.elapsed())));
            }
            let again = [again, self.books.wake_in()].into_iter().flatten().min();
            let changed = async {
                tokio::select! {
                    changed = demand.changed() => changed.is_ok(),
                    changed = self.blocks.changed() => changed.is_ok(),
                }
            };
            let go_on = match again {
                Some(pause) => timeout(pause, changed).await.unwrap_or(true),
                None => changed.await,
            };
            if !go_on {
                return;
            }
        }
    }

    /// The AddressBlocks of this node by prefix.
    fn names(&self) -> BTreeMap<Prefix, String> {
        let blocks = self.blocks.borrow();
        blocks.iter().flatten().map(|b| (b.prefix, b.name.clone())).collect()
    }

    /// Creates a BlockRequest for each need, and removes those that nobody needs any more. False if
    /// something must be looked after again.
    async fn ask(&self, asked: &mut BTreeMap<String, Asked>) -> bool {
        let needs = self.books.needs();
        let mut all_done = needs.is_empty();
        let mut wanted = BTreeSet::new();
        for need in &needs {
            let name = request_name(need, &self.node);
            wanted.insert(name.clone());
            // The controller deletes a request when it has made the block, which is seen here a
            // moment later: asking again in between would bring one block too many.
            let now = Asked { at: Instant::now(), blocks: self.blocks_of(need) };
            if asked.get(&name).is_some_and(|a| a.blocks == now.blocks && a.at.elapsed() < ANSWER) {
                continue;
            }
            let family = Protocol::from(need.of.family);
            let spec = json!({"pool": need.of.pool, "node": self.node, "family": family});
            match self.write(&name, Action::Create(json!({"spec": spec}))).await {
                Outcome::Done(_) => {
                    info!(pool = need.of.pool, family = %need.of.family, "asked for a block");
                    asked.insert(name, now);
                }
                Outcome::Exists => drop(asked.insert(name, now)),
                Outcome::Conflict | Outcome::Refused(_) | Outcome::Later(_) => {}
            }
        }
        let unwanted: Vec<String> =
            asked.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in unwanted {
            let delete = Action::Delete { uid: None, version: None };
            match self.write(&name, delete).await {
                Outcome::Done(_) | Outcome::Conflict => drop(asked.remove(&name)),
                Outcome::Exists | Outcome::Refused(_) | Outcome::Later(_) => all_done = false,
            }
        }
        all_done
    }

    /// The blocks of the pool and family that the node has now.
    fn blocks_of(&self, need: &Need) -> BTreeSet<Prefix> {
        let blocks = self.books.blocks().into_iter();
        let of_need = blocks
            .filter(|(prefix, pool, _)| *pool == need.of.pool && prefix.family() == need.of.family);
        of_need.map(|(prefix, _, _)| prefix).collect()
    }

    /// Gives blocks back. Nothing is taken from those in `unsure`: they may be another node's by
    /// now. False if something must be looked after again.
    async fn give_back(
        &self,
        names: &BTreeMap<Prefix, String>,
        unsure: &mut BTreeSet<Prefix>,
    ) -> bool {
        let due = self.books.give_back();
        let held: BTreeSet<Prefix> = self.books.blocks().into_iter().map(|b| b.0).collect();
        unsure.retain(|prefix| held.contains(prefix));
        let before = unsure.clone();
        unsure.extend(due);
        for prefix in unsure.clone() {
            // The watch tells that it is gone already; the books will hear of it.
            let Some(name) = names.get(&prefix) else { continue };
            let write = |write| async move { self.writer.write(&write).await };
            match release(name, before.contains(&prefix), write).await {
                Release::Gone => {
                    info!(block = name, "gave a block back");
                    unsure.remove(&prefix);
                }
                Release::Kept => {
                    debug!(block = name, "the block is not given back yet");
                    self.books.keep(&prefix);
                    unsure.remove(&prefix);
                }
                Release::Unsure => debug!(block = name, "the block may be given back"),
            }
        }
        unsure.is_empty()
    }

    /// Tells how many addresses of each block are used, where it changed.
    async fn tell_used(
        &self,
        names: &BTreeMap<Prefix, String>,
        told: &mut BTreeMap<Prefix, usize>,
    ) {
        told.retain(|prefix, _| names.contains_key(prefix));
        for (prefix, _, used) in self.books.blocks() {
            let Some(name) = names.get(&prefix) else { continue };
            if told.get(&prefix) == Some(&used) {
                continue;
            }
            let target = Target::cluster(Kind::AddressBlock, name);
            let action = Action::MergeStatus(json!({"status": {"used": used}}));
            match self.writer.write(&Write { target, action }).await {
                Outcome::Done(_) | Outcome::Conflict => drop(told.insert(prefix, used)),
                Outcome::Exists | Outcome::Refused(_) | Outcome::Later(_) => self.metrics.failed(),
            }
        }
    }

    async fn write(&self, request: &str, action: Action) -> Outcome {
        let target = Target::cluster(Kind::BlockRequest, request);
        let outcome = self.writer.write(&Write { target, action }).await;
        if let Outcome::Refused(why) | Outcome::Later(why) = &outcome {
            self.metrics.failed();
            warn!(request, why, "a block request is not written");
        }
        outcome
    }
}

/// What became of giving a block back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// It is deleted, as the watch will tell.
    Gone,
    /// It is there, and may be used again.
    Kept,
    /// Nobody knows: it must not be used, or two nodes might.
    Unsure,
}

/// Deletes an AddressBlock. `unsure`: it was tried before, and no answer came.
async fn release<F>(name: &str, unsure: bool, write: impl Fn(Write) -> F) -> Release
where
    F: Future<Output = Outcome>,
{
    let target = Target::cluster(Kind::AddressBlock, name);
    // A deletion without an answer may have been done. So something harmless goes first: where
    // that does not come through, the block is surely ours still.
    let action = Action::MergeStatus(json!({"status": {"used": 0}}));
    match write(Write { target: target.clone(), action }).await {
        Outcome::Done(_) => {}
        Outcome::Conflict => return Release::Unsure,
        Outcome::Exists | Outcome::Refused(_) | Outcome::Later(_) => {
            return if unsure { Release::Unsure } else { Release::Kept };
        }
    }
    let action = Action::Delete { uid: None, version: None };
    match write(Write { target, action }).await {
        Outcome::Done(_) => Release::Gone,
        Outcome::Later(_) => Release::Unsure,
        Outcome::Exists | Outcome::Conflict | Outcome::Refused(_) => Release::Kept,
    }
}

/// IPv4 as v0.1 named it; the other family beside it.
fn request_name(need: &Need, node: &str) -> String {
    match need.of.family {
        Family::Ipv4 => names::block_request(&need.of.pool, node),
        Family::Ipv6 => names::joined(&[&need.of.pool, node, "ipv6"]),
    }
}

#[cfg(test)]
mod tests;

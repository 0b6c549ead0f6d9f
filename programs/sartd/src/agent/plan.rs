//! The task that owns the planner: watches and the router in, wanted states out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cluster_api::NodeBGPStatus;
use cluster_io::{Scope, Watches};
use inet::{Family, Timestamp};
use kube::{Api, Client};
use node_plan::{Change, HeldBlock, NodePlanner, PodPool, PoolFact, RouterFact, Want};
use router_config::Document;
use tokio::sync::{mpsc, watch};

use super::args::Args;
use super::metrics::Metrics;

/// Changes that may wait for the planner before a watch is slowed down.
const WAITING: usize = 1024;

/// The latest wanted states; `None` until every watch has listed.
pub(super) struct Wants {
    pub(super) document: watch::Receiver<Option<Document>>,
    pub(super) blocks: watch::Receiver<Option<Vec<HeldBlock>>>,
    pub(super) status: watch::Receiver<Option<NodeBGPStatus>>,
    pub(super) pods: watch::Receiver<Option<PodWorld>>,
}

/// What serving pods needs to know of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodWorld {
    /// Pools of pods by name.
    pub(super) pools: BTreeMap<String, PodPool>,
    /// What address management wants to know of them.
    pub(super) facts: BTreeMap<String, PoolFact>,
    /// Families of this node.
    pub(super) families: BTreeSet<Family>,
}

struct Outs {
    document: watch::Sender<Option<Document>>,
    blocks: watch::Sender<Option<Vec<HeldBlock>>>,
    status: watch::Sender<Option<NodeBGPStatus>>,
    pods: watch::Sender<Option<PodWorld>>,
}

/// The planner's task, not yet spawned, and where its wants come out.
pub(super) fn start(
    client: &Client,
    args: &Args,
    router: mpsc::Receiver<RouterFact>,
    checks: &health::Checks,
    metrics: &Metrics,
) -> (impl Future<Output = ()> + use<>, Wants) {
    let (document, document_out) = watch::channel(None);
    let (blocks, blocks_out) = watch::channel(None);
    let (status, status_out) = watch::channel(None);
    let (pods, pods_out) = watch::channel(None);
    let outs = Outs { document, blocks, status, pods };
    let wants =
        Wants { document: document_out, blocks: blocks_out, status: status_out, pods: pods_out };
    let listed = checks.add("watches", "not every watch has listed yet");
    let planner = NodePlanner::new(args.node_config());
    let (watches, changes) = watches(client);
    let run = run(planner, watches, changes, router, outs, listed, metrics.clone());
    (run, wants)
}

fn watches(client: &Client) -> (Watches<Change>, mpsc::Receiver<Change>) {
    let (mut watches, changes) = Watches::new(WAITING);
    watches.add(Api::all(client.clone()), Scope::default(), Change::Blocks);
    watches.add(Api::all(client.clone()), Scope::default(), Change::EndpointSlices);
    watches.add(Api::all(client.clone()), Scope::default(), Change::NodeBgps);
    watches.add(Api::all(client.clone()), Scope::default(), |s| Change::Nodes(Box::new(s)));
    watches.add(Api::all(client.clone()), Scope::default(), Change::Peers);
    watches.add(Api::all(client.clone()), Scope::default(), Change::Pools);
    watches.add(Api::all(client.clone()), Scope::default(), Change::Services);
    (watches, changes)
}

async fn run(
    mut planner: NodePlanner,
    _watches: Watches<Change>,
    mut changes: mpsc::Receiver<Change>,
    mut router: mpsc::Receiver<RouterFact>,
    outs: Outs,
    listed: health::CheckHandle,
    metrics: Metrics,
) {
    let epoch = Instant::now();
    let now = || Timestamp::from_elapsed(epoch.elapsed());
    let mut pods_stale = true;
    loop {
        let wake = planner.wake_at().map(|at| epoch + at.elapsed());
        let sleep = async move {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => {
                    // Only these three make a PodWorld another; EndpointSlices come by the thousand.
                    pods_stale |= matches!(
                        change,
                        Change::Blocks(_) | Change::Nodes(_) | Change::Pools(_)
                    );
                    planner.handle(now(), change);
                }
                None => return,
            },
            fact = router.recv() => match fact {
                Some(fact) => {
                    metrics.router(&fact);
                    planner.handle(now(), Change::Router(fact));
                }
                None => return,
            },
            () = sleep => metrics.reconciled(),
        }
        planner.tick(now());
        while let Some(want) = planner.poll() {
            match want {
                Want::Router(document) => drop(outs.document.send_replace(Some(*document))),
                Want::Blocks(blocks) => drop(outs.blocks.send_replace(Some(blocks))),
                Want::Status(status) => drop(outs.status.send_replace(Some(*status))),
            }
        }
        if pods_stale && planner.is_ready() {
            pods_stale = false;
            listed.pass();
            let world = PodWorld {
                pools: planner.pod_pools(),
                facts: planner.pool_facts().into_iter().collect(),
                families: planner.families(),
            };
            outs.pods.send_if_modified(|held| {
                let changed = held.as_ref() != Some(&world);
                *held = Some(world);
                changed
            });
        }
    }
}

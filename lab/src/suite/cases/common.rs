//! What several cases do.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, Pod};
use crate::suite::manifests::{daemon_set, list, namespace, service};
use crate::suite::prober::Prober;
use crate::suite::wait::{s, wait_for};

/// Where `client0` is, behind core0.
pub(super) const CLIENT: &str = "client0";

/// One pod on every node and two Services before them: what runs while something breaks.
pub(super) struct Load {
    pub(super) namespace: String,
    pub(super) pods: Vec<Pod>,
    pub(super) addresses: Vec<IpAddr>,
}

/// Makes the load in a namespace of its own and waits until client0 is answered.
pub(super) fn load(ctx: &Ctx, name: &str) -> Result<Load> {
    let nodes = ctx.nodes().len();
    let local = json!({"externalTrafficPolicy": "Local"});
    ctx.apply(&list(&[
        namespace(name, &[]),
        daemon_set(name, "load"),
        service(name, "load-cluster", "load", &[], json!({})),
        service(name, "load-local", "load", &[], local),
    ]))?;
    let mut pods = ctx.ready(name, "app=load", nodes)?;
    pods.sort_by(|a, b| a.node.cmp(&b.node));
    let mut addresses = Vec::new();
    for service in ["load-cluster", "load-local"] {
        for address in ctx.external(name, service, 1)? {
            ctx.reaches(CLIENT, address)?;
            addresses.push(address);
        }
    }
    audit(ctx, s(30))?;
    Ok(Load { namespace: name.to_owned(), pods, addresses })
}

impl Load {
    /// The pod on a node.
    pub(super) fn on(&self, node: &str) -> Result<&Pod> {
        let found = self.pods.iter().find(|pod| pod.node == node);
        found.with_context(|| format!("no pod of the load on {node}"))
    }

    /// Pings between the pods of two nodes, both ways, and connects from client0 to each Service.
    pub(super) fn probes(&self, ctx: &Ctx, one: &str, other: &str) -> Result<Vec<Prober>> {
        let mut probes = ctx.ping(self.on(one)?, self.on(other)?)?;
        probes.extend(ctx.ping(self.on(other)?, self.on(one)?)?);
        for address in &self.addresses {
            probes.push(ctx.connect(CLIENT, *address)?);
        }
        Ok(probes)
    }

    /// Takes it away again and waits until nothing of it is left.
    pub(super) fn remove(&self, ctx: &Ctx) -> Result<()> {
        ctx.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"])?;
        gone(ctx, &["namespace", &self.namespace])?;
        audit(ctx, s(30))
    }
}

/// Waits until an object is not there any more. After an outage of the API the controller manager
/// leads again only after some 20 s, and its informers come back after up to a minute more.
pub(super) fn gone(ctx: &Ctx, object: &[&str]) -> Result<()> {
    wait_for(format_args!("{} is gone", object.join(" ")), s(180), || {
        let mut args = vec!["get", "--ignore-not-found", "-o", "name"];
        args.extend_from_slice(object);
        let there = ctx.kubectl(&args)?;
        ensure!(there.trim().is_empty(), "it is there: {there}");
        Ok(())
    })
}

/// Lets probes run for a time. The only waiting that waits for no state: it *is* the measurement.
pub(super) fn run_on(seconds: u64) {
    std::thread::sleep(s(seconds));
}

/// Ends probes; nothing may have been lost by any.
pub(super) fn lost_nothing(probes: Vec<Prober>) -> Result<()> {
    // All are ended before one of them fails the case.
    let results: Vec<Result<()>> = probes.into_iter().map(Prober::lost_nothing).collect();
    all(results)
}

/// Every error, not only the first.
pub(super) fn all(results: Vec<Result<()>>) -> Result<()> {
    let wrong: Vec<String> =
        results.into_iter().filter_map(|r| r.err()).map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// Scales a Deployment.
pub(super) fn scale(ctx: &Ctx, namespace: &str, name: &str, replicas: usize) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    ctx.kubectl(&["scale", "deployment", "-n", namespace, name, &replicas]).map(drop)
}

/// Sends a DaemonSet's pods away (a label that no node has), or lets them come back.
pub(super) fn send_away(ctx: &Ctx, daemon_set: &str, away: bool) -> Result<()> {
    let label = if away { json!("yes") } else { Value::Null };
    let patch = json!({"spec": {"template": {"spec": {"nodeSelector": {"lab/away": label}}}}});
    let patch = patch.to_string();
    ctx.kubectl(&["patch", "daemonset", "-n", "kube-system", daemon_set, "-p", &patch]).map(drop)
}

/// Waits until a rollout is complete.
pub(super) fn rolled_out(ctx: &Ctx, workload: &str) -> Result<()> {
    ctx.lab
        .kubectl(&["rollout", "status", "-n", "kube-system", workload, "--timeout=120s"])
        .map(drop)
}

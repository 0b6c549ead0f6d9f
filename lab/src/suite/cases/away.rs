//! A daemon, or the API server, away for a minute: nothing is lost, and all is as it was after.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::common::{CLIENT, Load, load, lost_nothing, rolled_out, run_on, scale, send_away};
use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, Pod, text};
use crate::suite::manifests::{pod, service};
use crate::suite::wait::{s, wait_for};

/// Before it breaks, while it is away, and after it is back.
const BEFORE: u64 = 5;
const AWAY: u64 = 60;
const AFTER: u64 = 30;
/// What a DaemonSet's pod needs to start, and more: the plugin's STATUS forgives the agent a minute,
/// and with it the node turns NotReady and its pods leave their Services, as they should.
const START: u64 = 4;

const WORKER: &str = "sart-worker";
const WORKER2: &str = "sart-worker2";

/// Runs probes around `leave`, so many seconds, and `back`.
fn around(
    ctx: &Ctx,
    load: &Load,
    away: u64,
    leave: impl FnOnce() -> Result<()>,
    back: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let probes = load.probes(ctx, WORKER, WORKER2)?;
    run_on(BEFORE);
    let left = leave();
    if left.is_ok() {
        run_on(away);
    }
    let back = back();
    run_on(AFTER);
    let lost = lost_nothing(probes);
    left?;
    back?;
    lost
}

pub(super) fn agent(ctx: &mut Ctx) -> Result<()> {
    let load = load(ctx, "agent-away")?;
    around(
        ctx,
        &load,
        AWAY - START,
        || {
            for node in ctx.nodes() {
                ctx.lab.kill(&node, Some("sartd agent"))?;
            }
            // Killed, and kept from being started again.
            send_away(ctx, "sartd-agent", true)
        },
        || {
            for node in ctx.nodes() {
                let there = ctx.lab.processes(&node, "sartd agent")?;
                ensure!(there.is_empty(), "an agent ran on {node} meanwhile");
            }
            send_away(ctx, "sartd-agent", false)?;
            rolled_out(ctx, "daemonset/sartd-agent")
        },
    )?;
    ctx.established(ctx.nodes().len() * 2, s(20))?;
    audit(ctx, s(30))?;
    load.remove(ctx)
}

/// Nobody leads: addresses stay, only new ones wait.
pub(super) fn controllers(ctx: &mut Ctx) -> Result<()> {
    let load = load(ctx, "controller-away")?;
    around(
        ctx,
        &load,
        AWAY,
        || {
            for node in ctx.nodes() {
                if !ctx.lab.processes(&node, "sartd controller")?.is_empty() {
                    ctx.lab.kill(&node, Some("sartd controller"))?;
                }
            }
            scale(ctx, "kube-system", "sart-controller", 0)
        },
        || {
            scale(ctx, "kube-system", "sart-controller", 2)?;
            rolled_out(ctx, "deployment/sart-controller")
        },
    )?;
    gives_addresses(ctx, &load, "after-controller")?;
    audit(ctx, s(30))?;
    load.remove(ctx)
}

/// The leader is killed: the other takes over and works, and traffic notices nothing.
pub(super) fn leader(ctx: &mut Ctx) -> Result<()> {
    let load = load(ctx, "leader-away")?;
    let holder = |ctx: &Ctx| -> Result<String> {
        let lease = ctx.get(&["lease", "-n", "kube-system", "sart-controller"])?;
        let holder = text(&lease, "/spec/holderIdentity");
        ensure!(!holder.is_empty(), "nobody leads");
        Ok(holder.to_owned())
    };
    let first = wait_for("a leader", s(20), || holder(ctx))?;
    let pods = ctx.pods()?;
    let pod = pods.iter().find(|pod| first.contains(&pod.name));
    let pod = pod.with_context(|| format!("the Lease's holder {first:?} is no pod"))?.clone();
    around(
        ctx,
        &load,
        AWAY,
        || {
            ctx.lab.kill(&pod.node, Some("sartd controller"))?;
            ctx.kubectl(&["cordon", &pod.node])?;
            let args = ["delete", "pod", "-n", "kube-system", &pod.name, "--force", "--wait=false"];
            ctx.kubectl(&args)?;
            let next = wait_for("another leads", s(40), || {
                let next = holder(ctx)?;
                ensure!(next != first, "the dead one still does");
                Ok(next)
            })?;
            ensure!(!next.contains(&pod.name), "{next} is dead");
            gives_addresses(ctx, &load, "by-the-next")
        },
        || ctx.kubectl(&["uncordon", &pod.node]).map(drop),
    )?;
    rolled_out(ctx, "deployment/sart-controller")?;
    audit(ctx, s(30))?;
    load.remove(ctx)
}

pub(super) fn api_server(ctx: &mut Ctx) -> Result<()> {
    let load = load(ctx, "api-away")?;
    ctx.apply(&pod(&load.namespace, "victim", "sart-worker3", &[]).to_string())?;
    let victim = ctx.pod(&load.namespace, "victim")?;
    let control_plane = ctx.lab.control_plane()?.to_owned();
    let peer = load.on(WORKER)?.clone();
    around(
        ctx,
        &load,
        AWAY,
        || {
            ctx.lab.kill(&control_plane, Some("kube-apiserver"))?;
            // A real DEL and ADD, without an API server to ask.
            let netns = kill_sandbox(ctx, &victim)?;
            let addresses = new_sandbox(ctx, &victim, &netns)?;
            let v4 = addresses.iter().find(|ip| ip.is_ipv4()).context("no IPv4 address")?;
            let from = ctx.netns_of(&peer)?;
            wait_for("the new sandbox is reached", s(10), || ping(&from, &v4.to_string()))
        },
        || {
            ctx.lab.start(&control_plane, Some("kube-apiserver"))?;
            wait_for("the API server answers", s(60), || ctx.kubectl(&["get", "nodes"]).map(drop))
        },
    )?;
    ctx.pod(&load.namespace, "victim")?;
    ctx.established(ctx.nodes().len() * 2, s(20))?;
    audit(ctx, s(60))?;
    load.remove(ctx)
}

/// A new Service gets an address and is answered.
fn gives_addresses(ctx: &Ctx, load: &Load, name: &str) -> Result<()> {
    ctx.apply(&service(&load.namespace, name, "load", &[], json!({})).to_string())?;
    for address in ctx.external(&load.namespace, name, 1)? {
        ctx.reaches(CLIENT, address)?;
    }
    Ok(())
}

/// Kills the process that holds a pod's namespaces; gives the namespace it held.
fn kill_sandbox(ctx: &Ctx, pod: &Pod) -> Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let netns = ctx.netns_of(pod)?;
    let wanted = std::fs::metadata(&netns)?.ino();
    for pid in ctx.lab.processes(&pod.node, "pause")? {
        let own = std::fs::metadata(format!("/proc/{pid}/ns/net"));
        if own.is_ok_and(|own| own.ino() == wanted) {
            crate::sys::kill(pid, libc::SIGKILL)?;
            return Ok(netns);
        }
    }
    anyhow::bail!("no pause process of pod {} on {}", pod.name, pod.node)
}

/// Waits until the old sandbox's namespace is gone and the node has one more with addresses.
fn new_sandbox(ctx: &Ctx, pod: &Pod, old: &Path) -> Result<Vec<std::net::IpAddr>> {
    let known: Vec<PathBuf> = ctx.pod_netns(&pod.node)?.into_iter().map(|(path, _)| path).collect();
    wait_for(format_args!("a new sandbox for {}", pod.name), s(45), || {
        let all = ctx.pod_netns(&pod.node)?;
        ensure!(all.iter().all(|(path, _)| path != old), "the old one is still there");
        let new = all.into_iter().find(|(path, found)| !known.contains(path) && !found.is_empty());
        Ok(new.context("there is none yet")?.1)
    })
}

fn ping(netns: &Path, target: &str) -> Result<()> {
    let output = std::process::Command::new("nsenter")
        .arg(format!("--net={}", netns.display()))
        .args(["ping", "-c", "1", "-W", "1", target])
        .output()
        .context("run nsenter")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

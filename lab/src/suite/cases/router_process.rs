//! The router's own end, alone and together with the agent's: no packet and no route is lost.

use anyhow::{Result, ensure};

use super::common::{all, load, lost_nothing, rolled_out, run_on};
use crate::suite::audit::audit;
use crate::suite::ctx::Ctx;
use crate::suite::routes::Routes;
use crate::suite::wait::{s, wait_for};

const WORKER: &str = "sart-worker";
const WORKER2: &str = "sart-worker2";
const ROUTER: &str = "sartd bgp";
const AGENT: &str = "sartd agent";

/// Runs `break_it` under probes, then waits for every session and audits.
fn under_probes(
    ctx: &Ctx,
    name: &str,
    break_it: impl FnOnce() -> Result<()>,
    mend: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let load = load(ctx, name)?;
    let routes = Routes::watch(ctx)?;
    let probes = load.probes(ctx, WORKER, WORKER2)?;
    run_on(5);
    let broken = break_it();
    run_on(20);
    let mended = mend();
    run_on(30);
    all(vec![broken, mended, lost_nothing(probes), routes.unmoved()])?;
    ctx.established(ctx.nodes().len() * 2, s(30))?;
    audit(ctx, s(30))?;
    load.remove(ctx)
}

/// Kills (or ends) a program on every node and waits until the runtime has started it again.
fn again(ctx: &Ctx, program: &str, end: fn(&Ctx, &str, &str) -> Result<()>) -> Result<()> {
    for node in ctx.nodes() {
        let old = ctx.lab.processes(&node, program)?;
        ensure!(!old.is_empty(), "{program} does not run on {node}");
        end(ctx, &node, program)?;
        wait_for(format_args!("{program} runs again on {node}"), s(60), || {
            let new = ctx.lab.processes(&node, program)?;
            ensure!(!new.is_empty() && new.iter().all(|pid| !old.contains(pid)), "{new:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn kill(ctx: &Ctx, node: &str, program: &str) -> Result<()> {
    ctx.lab.kill(node, Some(program))
}

fn stop(ctx: &Ctx, node: &str, program: &str) -> Result<()> {
    ctx.lab.stop(node, program)
}

pub(super) fn killed(ctx: &mut Ctx) -> Result<()> {
    under_probes(ctx, "router-killed", || again(ctx, ROUTER, kill), || Ok(()))
}

pub(super) fn rollout_with_agent(ctx: &mut Ctx) -> Result<()> {
    let both = ["daemonset/sartd-bgp", "daemonset/sartd-agent"];
    under_probes(
        ctx,
        "rollout",
        || {
            let mut args = vec!["rollout", "restart", "-n", "kube-system"];
            args.extend(both);
            ctx.kubectl(&args)?;
            both.iter().try_for_each(|workload| rolled_out(ctx, workload))
        },
        || Ok(()),
    )
}

pub(super) fn killed_without_api(ctx: &mut Ctx) -> Result<()> {
    without_api(ctx, "killed-no-api", |ctx| again(ctx, ROUTER, kill))
}

/// A rollout needs an API server; what a rollout does to each node does not.
pub(super) fn both_restart_without_api(ctx: &mut Ctx) -> Result<()> {
    without_api(ctx, "both-no-api", |ctx| {
        again(ctx, AGENT, stop)?;
        again(ctx, ROUTER, stop)
    })
}

fn without_api(ctx: &Ctx, name: &str, break_it: fn(&Ctx) -> Result<()>) -> Result<()> {
    let control_plane = ctx.lab.control_plane()?.to_owned();
    under_probes(
        ctx,
        name,
        || {
            ctx.lab.kill(&control_plane, Some("kube-apiserver"))?;
            break_it(ctx)
        },
        || {
            ctx.lab.start(&control_plane, Some("kube-apiserver"))?;
            wait_for("the API server answers", s(60), || ctx.kubectl(&["get", "nodes"]).map(drop))
        },
    )
}

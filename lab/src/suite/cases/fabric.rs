//! One of two spines fails: at most a second is lost, and the other carries everything.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::common::{CLIENT, Load, all, load, run_on};
use crate::suite::audit::audit;
use crate::suite::ctx::Ctx;
use crate::suite::prober::Prober;
use crate::suite::wait::{s, wait_for};

/// How long a single flow may be interrupted.
const LIMIT: Duration = s(1);
const WORKER: &str = "sart-worker";
const WORKER2: &str = "sart-worker2";

/// Breaks and mends each spine in turn: a flow may go over either.
fn each_spine(
    ctx: &Ctx,
    name: &str,
    break_it: impl Fn(&str) -> Result<()>,
    mend: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let load = load(ctx, name)?;
    for spine in ["spine0", "spine1"] {
        one_spine(ctx, &load, || break_it(spine), || mend(spine))
            .map_err(|error| error.context(spine))?;
    }
    load.remove(ctx)
}

fn one_spine(
    ctx: &Ctx,
    load: &Load,
    break_it: impl FnOnce() -> Result<()>,
    mend: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let probes = load.probes(ctx, WORKER, WORKER2)?;
    run_on(3);
    let broken = break_it();
    run_on(10);
    let while_broken = end(probes);
    // Its return has to be as smooth as its end.
    let probes = load.probes(ctx, WORKER, WORKER2)?;
    run_on(2);
    let mended = mend();
    let back = ctx.established(ctx.nodes().len() * 2, s(60));
    run_on(5);
    let after = end(probes);
    broken?;
    while_broken.map_err(|error| error.context("while it was gone"))?;
    mended?;
    back?;
    after.map_err(|error| error.context("when it came back"))?;
    audit(ctx, s(30))
}

fn end(probes: Vec<Prober>) -> Result<()> {
    all(probes.into_iter().map(|probe| probe.no_gap_over(LIMIT).map(drop)).collect())
}

pub(super) fn bgpd_killed(ctx: &mut Ctx) -> Result<()> {
    each_spine(
        ctx,
        "bgpd-killed",
        |spine| {
            // watchfrr would start it again at once, and nothing would be seen of its absence.
            if !ctx.lab.processes(spine, "watchfrr")?.is_empty() {
                ctx.lab.kill(spine, Some("watchfrr"))?;
            }
            ctx.lab.kill(spine, Some("bgpd"))
        },
        // watchfrr finds zebra running and starts what is missing.
        |spine| ctx.lab.run(spine, &["/usr/lib/frr/frrinit.sh", "start"]).map(drop),
    )
}

/// Carrier only, on the cables to one node and to the router above.
pub(super) fn cable_cut(ctx: &mut Ctx) -> Result<()> {
    const CABLES: [&str; 2] = ["eth2", "eth5"];
    each_spine(
        ctx,
        "cable-cut",
        |spine| CABLES.iter().try_for_each(|cable| ctx.lab.unplug(spine, cable)),
        |spine| CABLES.iter().try_for_each(|cable| ctx.lab.plug(spine, cable)),
    )
}

pub(super) fn spine_gone(ctx: &mut Ctx) -> Result<()> {
    each_spine(
        ctx,
        "spine-gone",
        |spine| {
            ctx.lab.kill(spine, None)?;
            ensure!(ctx.lab.init(spine).is_err(), "{spine} is still there");
            Ok(())
        },
        |spine| {
            ctx.lab.start(spine, None)?;
            wait_for("client0 reaches core0", s(10), || {
                ctx.lab.run(CLIENT, &["ping", "-c", "1", "-W", "1", "192.168.0.1"]).map(drop)
            })
        },
    )
}

//! Groups of cases: each gets a fresh cluster of its own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::cases;
use super::ctx::Ctx;
use super::report::{Ending, Tally};
use super::wait::s;
use super::{diagnose, manifests, rbac};
use crate::bring_up::{Mode, UpOptions};
use crate::progress::Progress;
use crate::topology::kind::ProxyMode;
use crate::world::Lab;

/// One test on a cluster.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Ctx) -> Result<()>,
}

/// Cases that share a cluster, in order.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) topology: &'static str,
    pub(crate) mode: Mode,
    pub(crate) proxy: Option<ProxyMode>,
    /// A plain network for pods though the topology wants none.
    pub(crate) plain_network: bool,
    /// Objects applied once the cluster is up.
    pub(crate) objects: Objects,
    /// Only with `--long`.
    pub(crate) long: bool,
    pub(crate) cases: &'static [Case],
}

/// What a group's cluster starts with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objects {
    /// Nothing of ours.
    None,
    /// The test bed's pools and peers; its cases start when every session is Established.
    TestBed,
}

/// The groups and cases whose `GROUP/CASE` has this in it.
pub(crate) fn wanted(name: Option<&str>, long: bool) -> Vec<(&'static Group, Vec<&'static Case>)> {
    let mut wanted = Vec::new();
    for group in cases::GROUPS {
        let named = |case: &&Case| {
            name.is_none_or(|name| format!("{}/{}", group.name, case.name).contains(name))
        };
        let cases: Vec<&Case> = group.cases.iter().filter(named).collect();
        if !cases.is_empty() && (long || name.is_some() || !group.long) {
            wanted.push((group, cases));
        }
    }
    wanted
}

/// Runs a group's cases.
pub(crate) fn run(
    group: &Group,
    cases: &[&'static Case],
    logs: &Path,
    progress: &Progress,
    tally: &mut Tally,
) {
    let failed = attempt(group, cases, &logs.join(group.name), progress, tally);
    if failed.is_empty() {
        return;
    }
    // Once more on a fresh cluster: a fault of sart's fails again, a busy machine's mostly not.
    // What passes only then is counted as passed, and named as unsteady at the end.
    progress.say(format_args!("{} once more", group.name));
    let again: Vec<&Case> = failed.iter().map(|(case, _)| *case).collect();
    let folder = logs.join(format!("{}-again", group.name));
    let failed_again = attempt(group, &again, &folder, progress, tally);
    for (case, error) in failed {
        let name = format!("{}/{}", group.name, case.name);
        match failed_again.iter().find(|(other, _)| other.name == case.name) {
            Some((_, error)) => tally.fail(&name, error),
            None => tally.unsteady(&name, &error),
        }
    }
}

/// The check over the audit logs of all groups.
pub(crate) fn rights(logs: &Path, progress: &Progress, tally: &mut Tally) {
    let start = Instant::now();
    let result = rbac::check(logs, &mut |line| {
        progress.say(format_args!("  rbac     {line}"));
    });
    tally.note(progress, "rbac", start.elapsed(), result);
}

/// Runs cases on a fresh cluster; gives those that failed, with why.
fn attempt(
    group: &Group,
    cases: &[&'static Case],
    logs: &Path,
    progress: &Progress,
    tally: &mut Tally,
) -> Vec<(&'static Case, anyhow::Error)> {
    let mut ctx = match up(group, logs) {
        Ok(ctx) => ctx,
        Err(error) => {
            progress.say(format_args!("  did not come up: {error:#}"));
            let why = format!("{error:#}");
            return cases.iter().map(|case| (*case, anyhow::anyhow!("{why}"))).collect();
        }
    };
    progress.say(format_args!("  up       in {:.1} s", ctx.up_took.as_secs_f32()));
    let mut failed = Vec::new();
    for case in cases {
        let start = Instant::now();
        let result = (case.run)(&mut ctx);
        let name = format!("{}/{}", group.name, case.name);
        match result {
            Ok(()) => tally.note(progress, &name, start.elapsed(), Ending::Passed),
            Err(error) => {
                let folder = ctx.logs.join(case.name);
                diagnose::dump(&ctx, &folder, &error);
                let error = error.context(format!("see {}", folder.display()));
                let took = start.elapsed().as_secs_f32();
                progress.say(format_args!("  failed   {name} ({took:.1} s): {error:#}"));
                failed.push((*case, error));
            }
        }
    }
    if let Err(error) = end(&ctx) {
        let name = format!("{}/down", group.name);
        tally.note(progress, &name, s(0), Ending::Failed(error));
    }
    failed
}

/// A fresh cluster with the group's objects.
fn up(group: &Group, logs: &Path) -> Result<Ctx> {
    fs::create_dir_all(logs)?;
    let start = Instant::now();
    let options = UpOptions {
        topology: group.topology.to_owned(),
        mode: group.mode,
        proxy: group.proxy,
        default_cni: group.plain_network,
        ..UpOptions::default()
    };
    let lab = Lab::up(&options, &Progress::silent())?;
    let mut ctx = Ctx { lab, logs: logs.to_owned(), up_took: start.elapsed() };
    if let Err(error) = prepare(group, &ctx) {
        diagnose::dump(&ctx, logs, &error);
        let _ = end(&ctx);
        return Err(error.context(format!("see {}", logs.display())));
    }
    ctx.up_took = start.elapsed();
    Ok(ctx)
}

fn prepare(group: &Group, ctx: &Ctx) -> Result<()> {
    match group.objects {
        Objects::None => Ok(()),
        Objects::TestBed => {
            if group.mode == Mode::Lb {
                ways_back(ctx)?;
            }
            ctx.apply(manifests::TEST_BED)?;
            ctx.established(ctx.nodes().len() * 2, s(40))
        }
    }
}

/// In mode `lb` nothing that was learned is installed, so the way back to the client is the
/// administrator's: static routes over both spines.
fn ways_back(ctx: &Ctx) -> Result<()> {
    for (n, node) in (1..).zip(ctx.nodes()) {
        let (one, other) = (format!("169.254.{n}.1"), format!("169.253.{n}.1"));
        let mut words = vec!["ip", "route", "add", "192.168.0.0/24"];
        words.extend(["nexthop", "via", &one, "nexthop", "via", &other]);
        ctx.lab.run(&node, &words)?;
        let (one, other) = (format!("fd00:169:254:{n}::1"), format!("fd00:169:253:{n}::1"));
        let mut words = vec!["ip", "-6", "route", "add", "fd00:192:168::/64"];
        words.extend(["nexthop", "via", &one, "nexthop", "via", &other]);
        ctx.lab.run(&node, &words)?;
    }
    Ok(())
}

/// Keeps what the last check needs, and ends the cluster.
fn end(ctx: &Ctx) -> Result<()> {
    if let Err(error) = rbac::keep(ctx) {
        // A case may have left the API server down; the check over all logs will miss nothing else.
        fs::write(ctx.logs.join("rbac-not-kept.txt"), format!("{error:#}\n"))?;
    }
    Lab::down(ctx.lab.name()).context("down")
}

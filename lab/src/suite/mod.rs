//! `cargo lab test`: every test of the project, from formatting to the cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::bring_up::Mode;
use crate::image::own;
use crate::net::SWITCH;
use crate::places;
use crate::progress::Progress;
use crate::world::Lab;
use crate::{images, packages, parts, sys};

mod alone;
mod audit;
mod cases;
mod checks;
pub(crate) mod ctx;
mod diagnose;
mod groups;
pub(crate) mod manifests;
mod oracle;
mod other_kernel;
pub(crate) mod probe;
mod prober;
mod rbac;
mod report;
mod resume;
mod routes;
mod simulation;
mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod wait;

use report::Tally;
use resume::Parts;

/// `cargo lab test …`
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Only what has this in its name: a stage (fmt, clippy, cargo-test, other-kernel) or GROUP/CASE
    name: Option<String>,
    /// Installs Debian packages that are missing
    #[arg(long)]
    install: bool,
    /// Runs also what takes hours: every fuzz target, thousands of simulated networks, the long soaks,
    /// the benchmarks. A run that was ended goes on where it was, as long as the code is the same
    #[arg(long)]
    long: bool,
    /// With --long: runs also what has passed before
    #[arg(long, requires = "long")]
    again: bool,
    #[command(flatten)]
    amounts: alone::Amounts,
    /// Lists the cases of all groups and stops
    #[arg(long)]
    list: bool,
}

/// Runs the tests; the last line counts them.
///
/// # Errors
/// When the tests could not be run at all. A failed test is no error but an exit code of 1.
pub(crate) fn run(args: &TestArgs) -> Result<ExitCode> {
    let wanted = groups::wanted(args.name.as_deref(), args.long);
    let root = places::checkout();
    let alone = alone::wanted(&root, args.name.as_deref(), args.long)?;
    if args.list {
        alone.iter().for_each(|case| println!("{}", case.name));
        for (group, cases) in &wanted {
            cases.iter().for_each(|case| println!("{}/{}", group.name, case.name));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::new();
    let mut tally = Tally::default();
    let stages: Vec<&str> = checks::STAGES
        .into_iter()
        .filter(|stage| args.name.as_deref().is_none_or(|name| stage.contains(name)))
        .collect();
    let count = stages.len() + alone.len() + wanted.len();
    let mut parts = Parts::all(count, &progress);
    if args.long && args.name.is_none() {
        // Among the logs, since what is done is nothing without them.
        let file = logs_folder(&root).join("long.json");
        if args.again && file.exists() {
            fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
        }
        let (root, amounts) = (root.clone(), args.amounts);
        let state = move || Ok(format!("{} {amounts:?}", resume::code(&root)?));
        match state() {
            Ok(of) => parts = parts.go_on(file, of, state),
            Err(error) => progress.say(format_args!("begins anew: {error:#}")),
        }
    }
    let logs = logs(&root, parts.goes_on())?;
    progress.say(format_args!("logs: {}", logs.display()));
    let other_kernel = stages.contains(&other_kernel::NAME);
    if other_kernel || !wanted.is_empty() || !alone.is_empty() {
        packages::ensure(args.install, packages::Use::Tests)?;
    }
    if !wanted.is_empty() || !alone.is_empty() {
        if !sys::is_root() {
            bail!("the tests' networks need root");
        }
        // Said now, not after the stages before.
        for (group, _) in &wanted {
            let lab = Lab::open(Some(group.topology));
            if lab.is_ok_and(|lab| lab.init(SWITCH).is_ok()) {
                let name = group.topology;
                bail!("lab {name} is up; end it with: cargo lab down --lab {name}");
            }
        }
    }
    for stage in stages {
        parts.part(stage, &mut tally, |tally| {
            checks::run(&[stage], &root, &logs, &progress, tally)
        })?;
    }
    for case in &alone {
        parts.part(&case.name, &mut tally, |tally| {
            alone::run(case, args.amounts, &root, &logs, &progress, tally)
        })?;
    }
    if wanted.iter().any(|(group, _)| !parts.has(group.name)) {
        let parts = parts::ensure(&progress).context("build the cluster's parts")?;
        // Once and beforehand, so that a cluster's own time is not a compiler's.
        let sart = wanted.iter().any(|(group, _)| group.mode != Mode::None);
        let mode = if sart { Mode::Dual } else { Mode::None };
        images::ensure(&parts, mode, &progress).context("build the images")?;
    }
    for (group, cases) in &wanted {
        parts.part(group.name, &mut tally, |tally| {
            groups::run(group, cases, &logs, &progress, tally);
            Ok(())
        })?;
    }
    // What the machine's kernel lacks is no loss where it has passed on the other one.
    let passed = other_kernel::passed(&logs);
    tally.forget_skipped(|name| passed.contains(name));
    // A right that one group has no use for may be another's.
    if args.name.is_none() {
        groups::rights(&logs, &progress, &mut tally);
    }
    if tally.is_empty() {
        let name = args.name.as_deref().unwrap_or_default();
        bail!("no test is named {name:?}; see: cargo lab test --list");
    }
    println!("{tally}");
    Ok(if tally.all_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn logs_folder(root: &Path) -> PathBuf {
    own::target(root).join("lab-test")
}

/// A directory for this run's logs: empty, unless it goes on.
fn logs(root: &Path, goes_on: bool) -> Result<PathBuf> {
    let logs = logs_folder(root);
    if goes_on && logs.exists() {
        return Ok(logs);
    }
    match fs::remove_dir_all(&logs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("empty {}", logs.display()));
        }
        _ => fs::create_dir_all(&logs)?,
    }
    Ok(logs)
}

//! The stages that need no cluster: formatting, lints, cargo's own tests.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::other_kernel;
use super::report::{Ending, Tally};
use crate::image::own::{cargo, target};
use crate::parts::gungraun;
use crate::progress::Progress;

/// The stages' names, in their order.
pub(crate) const STAGES: [&str; 8] = [
    "fmt",
    "clippy",
    "cargo-test",
    other_kernel::NAME,
    "bench-build",
    "instruction-counts",
    "fuzz-build",
    "cargo-deny",
];

/// Runs the wanted stages, one after another.
pub(crate) fn run(
    wanted: &[&str],
    root: &Path,
    logs: &Path,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<()> {
    let commands: [(&str, &[&str]); 2] = [
        ("fmt", &["fmt", "--all", "--", "--check", "--color=never"]),
        ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ];
    for (name, args) in commands.into_iter().filter(|(name, _)| wanted.contains(name)) {
        progress.say(format_args!("cargo {}", args.join(" ")));
        let start = Instant::now();
        let ending = logged(cargo(root).args(args), &logs.join(format!("{name}.log")));
        tally.note(progress, name, start.elapsed(), ending);
    }
    if wanted.contains(&"cargo-test") {
        tests(root, logs, progress, tally)?;
    }
    if wanted.contains(&other_kernel::NAME) {
        other_kernel::run(root, logs, progress, tally)?;
    }
    // What nobody runs here must build and link all the same.
    let builds: [(&str, &[&str]); 2] = [
        ("bench-build", &["build", "--workspace", "--benches"]),
        ("fuzz-build", &["build", "--manifest-path", "fuzz/Cargo.toml", "--bins"]),
    ];
    for (name, args) in builds.into_iter().filter(|(name, _)| wanted.contains(name)) {
        progress.say(format_args!("cargo {}", args.join(" ")));
        let start = Instant::now();
        let mut command = cargo(root);
        command.args(args).arg("--target-dir").arg(target(root));
        let ending = logged(&mut command, &logs.join(format!("{name}.log")));
        tally.note(progress, name, start.elapsed(), ending);
    }
    if wanted.contains(&"instruction-counts") {
        let start = Instant::now();
        progress.say("cargo bench -p benches -- --check");
        let ending = instruction_counts(root, logs, progress);
        tally.note(progress, "instruction-counts", start.elapsed(), ending);
    }
    if wanted.contains(&"cargo-deny") {
        let start = Instant::now();
        let ending = deny(root, logs);
        tally.note(progress, "cargo-deny", start.elapsed(), ending);
    }
    Ok(())
}

/// `cargo test --workspace`: each of its tests counts.
fn tests(root: &Path, logs: &Path, progress: &Progress, tally: &mut Tally) -> Result<()> {
    progress.say("cargo test --workspace");
    let start = Instant::now();
    let log = logs.join("cargo-test.log");
    let mut command = cargo(root);
    command.args(["test", "--workspace", "--no-fail-fast"]);
    let ending = logged(&mut command, &log);
    let text = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
    let counted = Counted::read(&String::from_utf8_lossy(&text));
    let took = start.elapsed().as_secs_f32();
    progress.say(format_args!(
        "  {} passed, {} failed, {} skipped ({took:.1} s)",
        counted.passed.len(),
        counted.failed.len(),
        counted.skipped.len()
    ));
    let explained = !counted.failed.is_empty();
    let failed = counted.failed.into_iter().map(|name| (name, log.display().to_string()));
    tally.add(counted.passed.len(), failed.collect(), counted.skipped);
    // A build that fails or a test program that crashes shows in the status only.
    match ending {
        Err(error) if !explained => {
            tally.note(progress, "cargo test", start.elapsed(), Ending::Failed(error));
        }
        Err(_) | Ok(()) => {}
    }
    Ok(())
}

/// What `cargo test` has printed, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) passed: Vec<String>,
    pub(super) failed: Vec<String>,
    pub(super) skipped: Vec<(String, String)>,
}

impl Counted {
    /// A test that cannot run here passes, but says `SKIPPED: NAME: why` on standard error; it
    /// counts as skipped. One that runs itself again in namespaces is there twice and counts once.
    pub(super) fn read(text: &str) -> Self {
        let mut counted = Self::default();
        let (mut seen, mut skipped) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            // Cargo names the next program, which may have tests of the same names.
            if line.starts_with("     Running ") || line.starts_with("   Doc-tests ") {
                (seen, skipped) = (BTreeSet::new(), BTreeSet::new());
            }
            if let Some((_, said)) = line.split_once("SKIPPED: ") {
                let (name, why) = said.split_once(": ").unwrap_or((said, "no reason given"));
                skipped.insert(name);
                counted.skipped.push((name.to_owned(), why.to_owned()));
                continue;
            }
            let Some((name, ending)) =
                line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            else {
                continue;
            };
            if !seen.insert(name) {
                continue;
            }
            let was_skipped = || {
                skipped
                    .iter()
                    .any(|skipped| name == *skipped || name.ends_with(&format!("::{skipped}")))
            };
            match ending {
                "ok" if was_skipped() => {}
                "ok" => counted.passed.push(name.to_owned()),
                "FAILED" => counted.failed.push(name.to_owned()),
                ignored if ignored.starts_with("ignored") => {
                    counted.skipped.push((name.to_owned(), ignored.to_owned()));
                }
                _ => {}
            }
        }
        counted
    }
}

/// The inner loops' instructions, beside those written down.
fn instruction_counts(root: &Path, logs: &Path, progress: &Progress) -> Ending {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success()) {
        return Ending::Skipped("valgrind is not installed".into());
    }
    let log = logs.join("instruction-counts.log");
    let bench = |option: &str| {
        let mut command = cargo(root);
        command.args(["bench", "-p", "benches", "--target-dir"]).arg(target(root));
        command.args(["--", option]);
        command
    };
    if let Err(error) = logged(&mut bench("--comparable"), &log) {
        return Ending::Failed(error);
    }
    let text = fs::read_to_string(&log).unwrap_or_default();
    if let Some(why) =
        text.lines().find_map(|line| line.strip_prefix("SKIPPED: instruction-counts: "))
    {
        return Ending::Skipped(why.to_owned());
    }
    let runner = match gungraun::ensure(progress) {
        Ok(folder) => folder,
        Err(error) => return Ending::Failed(error),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(iter::once(runner).chain(std::env::split_paths(&path)));
    match path.context("the runner's place cannot be in PATH") {
        Ok(path) => logged(bench("--check").env("PATH", path), &log).into(),
        Err(error) => Ending::Failed(error),
    }
}

/// Licences, bans and sources, where the tool is there: it is not worth half an hour of building.
/// Advisories come from outside the registries.
fn deny(root: &Path, logs: &Path) -> Ending {
    if !root.join("deny.toml").exists() {
        return Ending::Skipped("there is no deny.toml".into());
    }
    let there = cargo(root).args(["deny", "--version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Ending::Skipped("cargo-deny is not installed (cargo install cargo-deny)".into());
    }
    logged(
        cargo(root).args(["deny", "--offline", "check", "bans", "licenses", "sources"]),
        &logs.join("deny.log"),
    )
    .into()
}

/// Runs a command with all its output in a file; an error carries the end of it.
fn logged(command: &mut Command, log: &PathBuf) -> Result<()> {
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    command.env("CARGO_TERM_COLOR", "never");
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = command.status().context("start cargo")?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read(log)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
    bail!("{status}; {}:\n{end}", log.display())
}

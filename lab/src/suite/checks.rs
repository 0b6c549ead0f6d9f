//! The stages that need no cluster: formatting, lints, cargo's own tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::report::{Ending, Tally};
use crate::image::own::cargo;
use crate::progress::Progress;

/// Runs every stage, one after another.
pub(crate) fn run(root: &Path, logs: &Path, progress: &Progress, tally: &mut Tally) -> Result<()> {
    let stages: [(&str, &[&str]); 2] = [
        ("fmt", &["fmt", "--all", "--check"]),
        ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ];
    for (name, args) in stages {
        progress.say(format_args!("cargo {}", args.join(" ")));
        let start = Instant::now();
        let ending = logged(cargo(root).args(args), &logs.join(format!("{name}.log")));
        tally.note(progress, name, start.elapsed(), ending);
    }
    tests(root, logs, progress, tally)?;
    let start = Instant::now();
    tally.note(progress, "cargo-deny", start.elapsed(), deny(root, logs));
    Ok(())
}

/// `cargo test --workspace`: each of its tests counts.
fn tests(root: &Path, logs: &Path, progress: &Progress, tally: &mut Tally) -> Result<()> {
    progress.say("cargo test --workspace");
    let start = Instant::now();
    let log = logs.join("cargo-test.log");
    let mut command = cargo(root);
    command.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    let ending = logged(&mut command, &log);
    let text = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
    let counted = Counted::read(&String::from_utf8_lossy(&text));
    let took = start.elapsed().as_secs_f32();
    progress.say(format_args!(
        "  {} passed, {} failed, {} skipped ({took:.1} s)",
        counted.passed,
        counted.failed.len(),
        counted.skipped.len()
    ));
    let explained = !counted.failed.is_empty();
    let failed = counted.failed.into_iter().map(|name| (name, log.display().to_string()));
    tally.add(counted.passed, failed.collect(), counted.skipped);
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
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
    pub(super) skipped: Vec<(String, String)>,
}

impl Counted {
    /// A test that cannot run here prints a line `skipped: why` and passes; it counts as skipped.
    pub(super) fn read(text: &str) -> Self {
        let mut counted = Self::default();
        let mut output_of = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("test ") {
                match rest.rsplit_once(" ... ") {
                    Some((_, "ok")) => counted.passed += 1,
                    Some((name, "FAILED")) => counted.failed.push(name.to_owned()),
                    Some((name, ignored)) if ignored.starts_with("ignored") => {
                        counted.skipped.push((name.to_owned(), ignored.to_owned()));
                    }
                    Some(_) | None => {}
                }
            }
            if let Some(title) = line.strip_prefix("---- ") {
                output_of = title.strip_suffix(" stdout ----").map(str::to_owned);
            }
            if let (Some(why), Some(name)) = (line.strip_prefix("skipped: "), &output_of) {
                counted.skipped.push((name.clone(), why.to_owned()));
                counted.passed = counted.passed.saturating_sub(1);
                output_of = None;
            }
        }
        counted
    }
}

/// Licences and advisories, where the tool is there: it is not worth half an hour of building.
fn deny(root: &Path, logs: &Path) -> Ending {
    if !root.join("deny.toml").exists() {
        return Ending::Skipped("there is no deny.toml".into());
    }
    let there = cargo(root).args(["deny", "--version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Ending::Skipped("cargo-deny is not installed (cargo install cargo-deny)".into());
    }
    logged(cargo(root).args(["deny", "--offline", "check"]), &logs.join("deny.log")).into()
}

/// Runs a command with all its output in a file; an error carries the end of it.
fn logged(command: &mut Command, log: &PathBuf) -> Result<()> {
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
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

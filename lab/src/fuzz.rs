//! `cargo lab fuzz`: the fuzz targets, one after another, each for its time, and the page of what
//! that gave.
//!
//! The targets are cargo-fuzz's, built with the flags that it gives them, but by the toolchain at
//! hand: nothing is to be installed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::image::own;
use crate::{bench, places, sys};

mod page;
#[cfg(test)]
mod tests;

use page::{Page, Row};

/// What cargo-fuzz passes to rustc: coverage for libFuzzer, and AddressSanitizer.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing -Zsanitizer=address \
    -Ccodegen-units=1";

/// Where the result is committed.
const PAGE: &str = "docs/fuzz.md";

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// The targets; all when none is named
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Runs also those again of which docs/fuzz.md says that they had their time
    #[arg(long)]
    again: bool,
}

/// Runs the targets; docs/fuzz.md has each one's result as soon as it is there, so that a run that
/// was ended goes on where it was.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    let root = places::checkout();
    let all = targets(&root)?;
    let wanted = if args.targets.is_empty() { all.clone() } else { args.targets.clone() };
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("no target is named {unknown:?}; there are {}", all.join(", "));
    }
    println!("{}", fuzz(&root, &wanted, args.seconds, args.again)?);
    Ok(())
}

/// The names of all targets.
pub(crate) fn targets(root: &Path) -> Result<Vec<String>> {
    let file = root.join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    Ok(names(&text))
}

/// The names of the programs in a manifest.
fn names(manifest: &str) -> Vec<String> {
    let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
    let programs = lines.windows(2).filter(|pair| pair[0] == "[[bin]]");
    programs.filter_map(|pair| Some(pair[1].split('"').nth(1)?.to_owned())).collect()
}

/// Fuzzes each target for so many seconds and writes its row; gives the rows.
///
/// # Errors
/// When a target cannot be built or run, and when something was found.
pub(crate) fn fuzz(root: &Path, targets: &[String], seconds: u32, again: bool) -> Result<String> {
    let file = root.join(PAGE);
    let mut page = Page::read(&fs::read_to_string(&file).unwrap_or_default());
    let todo: Vec<&String> =
        targets.iter().filter(|target| again || !page.has(target, seconds)).collect();
    let programs = if todo.is_empty() { BTreeMap::new() } else { build(root, &todo)? };
    let mut found = Vec::new();
    for target in todo {
        let program = programs.get(target).context("cargo built no such target")?;
        eprintln!("{target}: {seconds} s");
        let row = one(root, target, program, seconds)?;
        if row.findings != page::NONE {
            found.push(format!("{target}: {}", row.findings));
        }
        // Read again: another run may have written meanwhile.
        page = Page::read(&fs::read_to_string(&file).unwrap_or_default());
        page.put(row);
        let text = page.text(&bench::machine());
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    ensure!(found.is_empty(), "found:\n{}", found.join("\n"));
    Ok(page.rows(targets))
}

/// Builds targets with coverage; their paths by name.
fn build(root: &Path, targets: &[&String]) -> Result<BTreeMap<String, PathBuf>> {
    let (triple, folder) = (own::host_triple(root)?, own::target(root).join("fuzz"));
    let mut cargo = own::cargo(root);
    cargo.args(["build", "--quiet", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    cargo.args(["--target", &triple, "--target-dir"]).arg(&folder);
    for target in targets {
        cargo.args(["--bin", target]);
    }
    // The sanitizer's flag is not stable, the sanitizer is: it comes with every toolchain.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS);
    let status = cargo.stdin(Stdio::null()).status().context("run cargo")?;
    ensure!(status.success(), "cargo could not build the fuzz targets");
    let place = |target: &&String| {
        ((*target).clone(), folder.join(&triple).join("release").join(target.as_str()))
    };
    Ok(targets.iter().map(place).collect())
}

/// One target for its time.
fn one(root: &Path, target: &str, program: &Path, seconds: u32) -> Result<Row> {
    let folder = own::target(root).join("fuzz");
    let place = |name: &str| {
        let place = folder.join(name).join(target);
        fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
        Ok::<_, anyhow::Error>(place)
    };
    let (found, artifacts) = (place("found")?, place("artifacts")?);
    let before = listed(&artifacts)?;
    let log = place("log")?.join("log.txt");
    let run = |args: &[&OsStr], log: &Path| -> Result<ExitStatus> {
        let mut command = Command::new(program);
        command.args(args).arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.args(["-timeout=25", "-report_slow_units=25", "-rss_limit_mb=2048"]);
        command.env("ASAN_OPTIONS", "detect_odr_violation=0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        sys::die_with_parent(&mut command);
        command.status().with_context(|| format!("run {}", program.display()))
    };
    // What failed once stays a finding until it fails no more.
    let mut failing = Vec::new();
    for name in &before {
        if !run(&[artifacts.join(name).as_os_str()], &log)?.success() {
            failing.push(name.clone());
        }
    }
    let (corpus, time) =
        (root.join("fuzz/corpus").join(target), format!("-max_total_time={seconds}"));
    let args =
        [found.as_os_str(), corpus.as_os_str(), time.as_ref(), "-print_final_stats=1".as_ref()];
    let status = run(&args, &log)?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    failing.extend(listed(&artifacts)?.into_iter().filter(|name| !before.contains(name)));
    if failing.is_empty() && !status.success() {
        failing.push(format!("{status}: see {}", log.display()));
    }
    let mut row = match Row::read(target, seconds, &text) {
        // It failed on what it was given to start with.
        Err(_) if !failing.is_empty() => Row::nothing(target)?,
        row => {
            row.with_context(|| format!("{target} ended with {status}; see {}", log.display()))?
        }
    };
    if !failing.is_empty() {
        row.findings = failing.join(", ");
    }
    Ok(row)
}

fn listed(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

//! Tests of what the machine's own kernel may lack, run on a kernel that has it, in QEMU. There each
//! half of a test that says elsewhere that the kernel lacks something must be run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::checks::Counted;
use super::report::{Ending, Tally};
use crate::image::own::cargo;
use crate::parts::kernel;
use crate::progress::Progress;

mod vm;

use vm::{Ended, Machine};

/// The stage's name.
pub(crate) const NAME: &str = "other-kernel";

/// The file among its logs with the names of the tests that have passed there.
const PASSED: &str = "passed";

/// The packages whose tests are run there.
const PACKAGES: [&str; 3] = ["io/kernel", "io/sockets", "programs/sartd"];

/// What a package's program of tests is given there; nothing if it is not run.
fn arguments(package: &str, program: &str) -> Option<&'static [&'static str]> {
    match (package, program) {
        // Not those that ask much of the kernel but nothing special: emulated they take minutes.
        ("io/kernel", _) => Some(&["tests::links", "tests::objects"]),
        ("io/sockets", _) => Some(&[]),
        ("programs/sartd", "router") => {
            Some(&["places::", "sessions::ao::", "sessions::a_session"])
        }
        _ => None,
    }
}

/// A program of tests.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    /// Where cargo runs it.
    folder: PathBuf,
    path: PathBuf,
    arguments: &'static [&'static str],
}

/// Builds the kernel unless it is there, boots it, and counts the tests that were run.
pub(super) fn run(root: &Path, logs: &Path, progress: &Progress, tally: &mut Tally) -> Result<()> {
    let start = Instant::now();
    let folder = logs.join(NAME);
    // What an earlier run has left there must not be taken for this one's.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    match all(root, &folder, progress) {
        Ok(Outcome::Ran(counted)) => {
            progress.say(format_args!(
                "  {} passed, {} failed, {} skipped ({:.1} s)",
                counted.passed.len(),
                counted.failed.len(),
                counted.skipped.len(),
                start.elapsed().as_secs_f32()
            ));
            let failed =
                counted.failed.into_iter().map(|name| (name, folder.display().to_string()));
            tally.add(counted.passed.len(), failed.collect(), counted.skipped);
        }
        Ok(Outcome::CannotRun(why)) => {
            tally.note(progress, NAME, start.elapsed(), Ending::Skipped(why));
        }
        Err(error) => tally.note(progress, NAME, start.elapsed(), Ending::Failed(error)),
    }
    Ok(())
}

enum Outcome {
    Ran(Counted),
    /// No machine can be run here, and why.
    CannotRun(String),
}

fn all(root: &Path, folder: &Path, progress: &Progress) -> Result<Outcome> {
    if let Err(why) = vm::usable() {
        return Ok(Outcome::CannotRun(why));
    }
    let kernel = kernel::ensure(progress)?;
    let programs = programs(root, folder)?;
    fs::write(folder.join("job"), job(&programs)).context("write what is to be run")?;
    let machine = Machine {
        kernel: &kernel.join(kernel::IMAGE),
        init: &root.join("lab/kernel/init"),
        shared: folder,
    };
    let (count, version) = (programs.len(), kernel::version()?);
    progress.say(format_args!("{count} test programs on Linux {version} in QEMU"));
    match machine.run()? {
        Ended::ByItself(how) => progress.say(format_args!("  QEMU has ended ({how})")),
        Ended::Never(why) => bail!("QEMU does not run: {why}"),
    }
    let mut counted = Counted::default();
    for program in &programs {
        add(&mut counted, folder, program)?;
    }
    fs::write(folder.join(PASSED), counted.passed.join("\n")).context("note what has passed")?;
    Ok(Outcome::Ran(counted))
}

/// Adds what a program of tests has left in the folder.
fn add(counted: &mut Counted, folder: &Path, program: &Program) -> Result<()> {
    let name = &program.name;
    let Ok(status) = fs::read_to_string(folder.join(format!("{name}.status"))) else {
        bail!("{name} has not ended; see {}", folder.display());
    };
    let log = folder.join(format!("{name}.log"));
    let text = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
    let own = judged(Counted::read(&String::from_utf8_lossy(&text)));
    ensure!(
        !own.passed.is_empty() || !own.failed.is_empty(),
        "{name} ran no test; see {}",
        log.display()
    );
    // A program that crashes shows in the status only.
    if status.trim() != "0" && own.failed.is_empty() {
        bail!("{name} ended with {}; see {}", status.trim(), log.display());
    }
    counted.passed.extend(own.passed);
    counted.failed.extend(own.failed);
    counted.skipped.extend(own.skipped);
    Ok(())
}

/// On this kernel nothing is lacking: a test that is skipped fails.
fn judged(mut counted: Counted) -> Counted {
    let lacking = counted.skipped.drain(..).map(|(name, why)| format!("{name} ({why})"));
    counted.failed.extend(lacking);
    counted
}

/// The tests that have passed there: that the machine's own kernel skips one of them is no loss.
pub(super) fn passed(logs: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(logs.join(NAME).join(PASSED)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What the machine's shell runs: each program in its folder, with its output and status kept.
fn job(programs: &[Program]) -> String {
    let mut job = format!("touch {}/{}\n", vm::SHARED, vm::BEGAN);
    for Program { name, folder, path, arguments } in programs {
        let at = format!("{}/{name}", vm::SHARED);
        let (folder, path) = (quoted(folder), quoted(path));
        let words: String = arguments.iter().map(|word| format!(" {word}")).collect();
        let _ = writeln!(job, "(cd {folder} && {path}{words}) >{at}.log 2>&1");
        let _ = writeln!(job, "echo $? >{at}.status");
    }
    job
}

/// A path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Builds the programs, as cargo has them for all tests.
fn programs(root: &Path, folder: &Path) -> Result<Vec<Program>> {
    let log = folder.join("build.log");
    let mut cargo = cargo(root);
    cargo.args(["test", "--workspace", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics").env("CARGO_TERM_COLOR", "never");
    let stderr = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let out = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).output();
    let out = out.context("start cargo")?;
    ensure!(out.status.success(), "cargo could not build the tests; see {}", log.display());
    chosen(root, &String::from_utf8_lossy(&out.stdout))
}

/// What cargo says of something that it has built.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The programs of tests that are run there, out of cargo's messages.
fn chosen(root: &Path, messages: &str) -> Result<Vec<Program>> {
    let mut chosen = BTreeMap::new();
    for line in messages.lines() {
        let Ok(artifact) = serde_json::from_str::<Artifact>(line) else { continue };
        let (Some(path), true) = (artifact.executable, artifact.profile.test) else { continue };
        let folder = artifact.manifest_path.parent().unwrap_or(root).to_owned();
        let package = folder.strip_prefix(root).unwrap_or(&folder).display().to_string();
        let Some(arguments) = arguments(&package, &artifact.target.name) else { continue };
        let name =
            format!("{}-{}", package.rsplit('/').next().unwrap_or(&package), artifact.target.name);
        chosen.insert(name.clone(), Program { name, folder, path, arguments });
    }
    for package in PACKAGES {
        let there = chosen.values().any(|program| program.folder == root.join(package));
        ensure!(there, "cargo built no test of {package} that is run there");
    }
    Ok(chosen.into_values().collect())
}

#[cfg(test)]
mod tests;

//! Cases that need no cluster: another reader of our messages, the soak, and what takes hours.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use super::report::{Ending, Tally};
use super::{oracle, simulation};
use crate::progress::Progress;
use crate::{fuzz, image, places, sys};

/// One such case.
pub(crate) struct Alone {
    /// `GROUP/CASE`.
    pub(crate) name: String,
    /// Only with `--long`.
    long: bool,
    what: What,
}

enum What {
    /// Our codec beside tshark.
    Tshark,
    /// A minute under changes.
    Soak,
    /// Two minutes, and the page with what they gave.
    LongSoak,
    /// A minute, with every route in the kernel, too.
    KernelSoak,
    /// As many simulated networks as the command line says, and their page.
    Simulation,
    /// One target, for as long as the command line says, and its line on the page.
    Fuzz(String),
    /// The router beside others, and the page with the ratios.
    Bench,
}

/// How much of what has no end of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Amounts {
    /// Seconds for each fuzz target
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    fuzz_seconds: u32,
    /// Seeds of the simulation: a network and its faults each
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    simulation_seeds: u32,
}

fn all(root: &Path) -> Result<Vec<Alone>> {
    let case = |name: &str, long, what| Alone { name: name.to_owned(), long, what };
    let mut all = vec![
        case("oracle/tshark", false, What::Tshark),
        case("soak/changes-under-load", false, What::Soak),
        case("soak/two-minutes", true, What::LongSoak),
        case("soak/kernel", true, What::KernelSoak),
        case("simulation/seeds", true, What::Simulation),
    ];
    for target in fuzz::targets(root)? {
        all.push(case(&format!("fuzz/{target}"), true, What::Fuzz(target)));
    }
    all.push(case("bench/bgp", true, What::Bench));
    Ok(all)
}

/// The cases whose `GROUP/CASE` has this in it. One that takes long must be asked for: with
/// `--long`, or by its group's name in full.
pub(crate) fn wanted(root: &Path, name: Option<&str>, long: bool) -> Result<Vec<Alone>> {
    let mut wanted = all(root)?;
    wanted.retain(|case| {
        let group = case.name.split('/').next().unwrap_or_default();
        let in_full = |name: &str| name.split('/').next() == Some(group) && name.contains('/');
        name.is_none_or(|name| case.name.contains(name))
            && (!case.long || long || name.is_some_and(in_full))
    });
    Ok(wanted)
}

/// Runs a case.
pub(super) fn run(
    case: &Alone,
    amounts: Amounts,
    root: &Path,
    logs: &Path,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<()> {
    let logs = logs.join(&case.name);
    fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
    let start = Instant::now();
    let ending = match case.run(amounts, root, &logs, progress) {
        Ok(said) => {
            said.lines().for_each(|line| progress.say(format_args!("  {line}")));
            Ending::Passed
        }
        Err(error) => Ending::Failed(error),
    };
    tally.note(progress, &case.name, start.elapsed(), ending);
    Ok(())
}

impl Alone {
    fn run(
        &self,
        amounts: Amounts,
        root: &Path,
        logs: &Path,
        progress: &Progress,
    ) -> Result<String> {
        match &self.what {
            What::Tshark => oracle::tshark(logs),
            What::Soak => {
                let sartd = sartd(root)?;
                // As this program is built: it mostly waits, and a minute is soon over.
                let args = ["bench", "soak", "--as-built", "--seconds", "60", "--sartd"];
                let mut command = Command::new(places::program());
                logged(command.args(args).arg(sartd), logs, progress)
            }
            What::LongSoak => {
                let mut command = Command::new(places::program());
                command.args(["bench", "soak", "--markdown"]).arg(root.join("docs/soak.md"));
                logged(&mut command, logs, progress)
            }
            What::KernelSoak => {
                let mut command = Command::new(places::program());
                command.args(["bench", "soak", "--kernel", "--seconds", "60"]);
                command.args(["--prefixes", "200000", "--rate", "10000"]);
                logged(&mut command, logs, progress)
            }
            What::Simulation => simulation::run(root, amounts.simulation_seeds, logs, progress),
            What::Fuzz(target) => {
                fuzz::fuzz(root, std::slice::from_ref(target), amounts.fuzz_seconds, true)
            }
            What::Bench => {
                let mut command = Command::new(places::program());
                command.args(["bench", "bgp", "--markdown"]).arg(root.join("docs/benchmarks.md"));
                logged(&mut command, logs, progress)
            }
        }
    }
}

/// The program that is shipped; the images are made of it, too.
fn sartd(root: &Path) -> Result<PathBuf> {
    image::own::programs(root)?.remove("sartd").context("the build gives no sartd")
}

/// Runs a command; gives what it printed. What it says beside is passed on, and kept in a file.
pub(super) fn logged(command: &mut Command, logs: &Path, progress: &Progress) -> Result<String> {
    let log = logs.join("log.txt");
    let mut file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sys::with_signals(command);
    sys::die_with_parent(command);
    let mut child =
        command.spawn().with_context(|| format!("run {}", command.get_program().display()))?;
    let (stderr, progress) = (child.stderr.take(), *progress);
    let beside = thread::spawn(move || -> io::Result<String> {
        let mut last = String::new();
        for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).split(b'\n')) {
            last = String::from_utf8_lossy(&line?).into_owned();
            writeln!(file, "{last}")?;
            progress.say(format_args!("  {last}"));
        }
        Ok(last)
    });
    let out = child.wait_with_output()?;
    let last = beside.join().map_err(|_| anyhow!("the thread that reads panicked"))??;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    fs::write(logs.join("out.txt"), &said)?;
    if out.status.success() {
        return Ok(said);
    }
    bail!("{}; {}: {last}", out.status, log.display())
}

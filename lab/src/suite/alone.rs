//! Cases that need no cluster: another reader of our messages, the soak, and what takes hours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::oracle;
use super::report::{Ending, Tally};
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
    /// One target, for as long as the command line says, and its line on the page.
    Fuzz(String),
    /// The router beside others, and the page with the ratios.
    Bench,
}

fn all(root: &Path) -> Result<Vec<Alone>> {
    let case = |name: &str, long, what| Alone { name: name.to_owned(), long, what };
    let mut all = vec![
        case("oracle/tshark", false, What::Tshark),
        case("soak/changes-under-load", false, What::Soak),
        case("soak/two-minutes", true, What::LongSoak),
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

/// Runs cases one after another.
pub(super) fn run(
    wanted: &[Alone],
    fuzz_seconds: u32,
    root: &Path,
    logs: &Path,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<()> {
    for case in wanted {
        let logs = logs.join(&case.name);
        fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
        let start = Instant::now();
        let ending = match case.run(fuzz_seconds, root, &logs) {
            Ok(said) => {
                said.lines().for_each(|line| progress.say(format_args!("  {line}")));
                Ending::Passed
            }
            Err(error) => Ending::Failed(error),
        };
        tally.note(progress, &case.name, start.elapsed(), ending);
    }
    Ok(())
}

impl Alone {
    fn run(&self, fuzz_seconds: u32, root: &Path, logs: &Path) -> Result<String> {
        match &self.what {
            What::Tshark => oracle::tshark(logs),
            What::Soak => {
                let sartd = sartd(root)?;
                // As this program is built: it mostly waits, and a minute is soon over.
                let args = ["bench", "soak", "--as-built", "--seconds", "60", "--sartd"];
                let mut command = Command::new(places::program());
                logged(command.args(args).arg(sartd), logs)
            }
            What::LongSoak => {
                let mut command = Command::new(places::program());
                command.args(["bench", "soak", "--markdown"]).arg(root.join("docs/soak.md"));
                logged(&mut command, logs)
            }
            What::Fuzz(target) => {
                fuzz::fuzz(root, std::slice::from_ref(target), fuzz_seconds, true)
            }
            What::Bench => {
                let mut command = Command::new(places::program());
                command.args(["bench", "bgp", "--markdown"]).arg(root.join("docs/benchmarks.md"));
                logged(&mut command, logs)
            }
        }
    }
}

/// The program that is shipped; the images are made of it, too.
fn sartd(root: &Path) -> Result<PathBuf> {
    image::own::programs(root)?.remove("sartd").context("the build gives no sartd")
}

/// Runs a command; gives what it printed. What it said beside goes to a file.
fn logged(command: &mut Command, logs: &Path) -> Result<String> {
    let log = logs.join("log.txt");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
    sys::with_signals(command);
    sys::die_with_parent(command);
    let out = command.spawn().context("start lab")?.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    fs::write(logs.join("out.txt"), &said)?;
    if out.status.success() {
        return Ok(said);
    }
    let text = fs::read_to_string(&log).unwrap_or_default();
    let last = text.lines().last().unwrap_or_default();
    bail!("{}; {}: {last}", out.status, log.display())
}

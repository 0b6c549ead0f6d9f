//! `cargo lab bench`: the router beside its peers, one work after another, on the same machine.
//!
//! The load generator is both senders and receivers, in one thread. Each run gives a daemon fresh
//! namespaces and one veth cable; it ends with them. So every daemon has the same cable, the same
//! bytes and the same listener, and nothing of the machine's own network is touched.

mod cell;
mod daemon;
mod drive;
mod feed;
mod kernel;
mod model;
mod netlink;
pub(crate) mod random;
mod real;
mod report;
mod session;
mod soak;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod wire;
mod works;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::progress::Progress;
use crate::{image, parts, places};
use daemon::Daemon;
use report::Figures;
use works::{Scale, Stage, Subject, Work};

/// The same for all who want the same figures.
const SEED: u64 = 20_261_121;

#[derive(Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The BGP router beside BIRD, FRR, GoBGP and OpenBGPD
    Bgp(BgpArgs),
    /// Many changes, short hold times and busy cores: no session may be lost
    Soak(soak::SoakArgs),
}

#[derive(Args)]
struct BgpArgs {
    /// The works; all when none is named
    #[arg(value_enum)]
    works: Vec<Work>,
    /// Runs of each daemon, one daemon after another in each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Who takes part
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Daemon::value_variants().to_vec())]
    peers: Vec<Daemon>,
    /// How much of everything
    #[arg(long, value_enum, default_value = "full")]
    scale: Scale,
    /// Writes the result as a page of the documentation
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// A sentence for that page: what was unusual about this run
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// The sartd to measure, instead of building the one that is shipped
    #[arg(long, value_name = "PATH")]
    sartd: Option<PathBuf>,
}

/// Runs the benchmarks.
///
/// # Errors
/// When the bench itself cannot work. A daemon that fails is a line of the result.
pub(crate) fn run(args: BenchArgs) -> Result<()> {
    match args.what {
        What::Soak(args) if args.as_built => soak::run(args),
        _ if cfg!(debug_assertions) => optimised(),
        What::Bgp(args) => bgp(args),
        What::Soak(args) => soak::run(args),
    }
}

/// Runs the same command line from a release build: without optimisation the load generator would
/// be what is measured.
fn optimised() -> Result<()> {
    eprintln!("building the load generator with optimisation");
    let lab = image::own::release(&places::checkout(), "lab")?;
    // In place of this process, not as cargo's child: who waits for this one, or ends it, has that.
    let error = Command::new(&lab).args(std::env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("run {}", lab.display()))
}

fn bgp(args: BgpArgs) -> Result<()> {
    let sartd = match args.sartd {
        Some(path) => std::path::absolute(path)?,
        None if args.peers.contains(&Daemon::Sart) => built()?,
        None => PathBuf::from("sartd"),
    };
    if args.peers.contains(&Daemon::Gobgp4)
        && let Err(error) = parts::gobgp::ensure(&Progress::new())
    {
        eprintln!("{error:#}");
    }
    // Before any thread is started: all of them shall be in the new namespace.
    cell::enter_own_network()?;
    let mut daemons = Vec::new();
    let mut who = String::new();
    for daemon in args.peers.iter().copied().collect::<BTreeSet<_>>() {
        match daemon.version(&sartd) {
            Ok(version) => {
                daemons.push(daemon);
                let _ = writeln!(who, "* {}: {version}", daemon.name());
            }
            Err(why) => {
                let _ = writeln!(who, "* {}: skipped, {why}", daemon.name());
            }
        }
    }
    eprint!("{who}");
    if daemons.is_empty() {
        bail!("nobody to measure");
    }
    let works =
        if args.works.is_empty() { Work::value_variants().to_vec() } else { args.works.clone() };
    let (paths, origin) = real::paths(SEED);
    let mut figures = Figures::default();
    for work in works {
        measure(work, args.scale, args.runs, &sartd, &daemons, &paths, &mut figures);
    }
    let (tables, goals) = (figures.tables(), figures.goals());
    println!("{tables}## Goals\n\n{goals}");
    if let Some(file) = args.markdown {
        let page = page(args.runs, &args.note, origin, &who, &tables, &goals);
        std::fs::write(&file, page).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

fn measure(
    work: Work,
    scale: Scale,
    runs: u32,
    sartd: &Path,
    daemons: &[Daemon],
    paths: &[Vec<u32>],
    figures: &mut Figures,
) {
    let stage = Stage::new(work, scale, sartd.to_owned(), SEED, paths);
    // Idleness takes a minute and does not vary.
    let runs = if work == Work::Idle { 1 } else { runs };
    let mut subjects: Vec<_> = stage.yardstick().into_iter().collect();
    for daemon in daemons {
        match stage.refuses(*daemon) {
            None => subjects.push(Subject::Daemon(*daemon)),
            Some(why) => eprintln!("{work:?}: {} skipped, {why}", daemon.name()),
        }
    }
    let (mut given_up, mut rows) = (BTreeSet::new(), BTreeSet::new());
    for number in 1..=runs {
        // Once is enough to see who is out of the race; five times would take an hour.
        if number > 1 {
            given_up.extend(figures.far_behind(&rows));
        }
        for subject in &subjects {
            if given_up.contains(subject) {
                continue;
            }
            for (row, result) in stage.run(*subject) {
                rows.insert(row);
                let name = subject.name();
                match result {
                    Ok(m) => {
                        eprintln!(
                            "{row:?} {number}/{runs} {name}: {:.3} s, {:.3} CPU s, {:.1} MiB",
                            m.seconds,
                            m.usage.cpu,
                            m.usage.memory as f64 / f64::from(1 << 20)
                        );
                        figures.put(row, *subject, stage.prefixes(), m);
                    }
                    Err(error) => {
                        eprintln!("{row:?} {number}/{runs} {name}: failed: {error:#}");
                        figures.fail(row, *subject, stage.prefixes(), format!("{error:#}"));
                        // It would take its whole time limit again in each run.
                        given_up.insert(*subject);
                    }
                }
            }
        }
    }
}

/// The program that is shipped: a release build with default features.
fn built() -> Result<PathBuf> {
    let mut programs = image::own::programs(&places::checkout())?;
    programs.remove("sartd").ok_or_else(|| anyhow!("the build gives no sartd"))
}

fn page(runs: u32, note: &str, origin: &str, who: &str, tables: &str, goals: &str) -> String {
    let (machine, far) = (machine(), report::FAR_BEHIND);
    format!(
        "# Benchmarks of the router\n\n\
         Written by `cargo lab bench bgp --markdown`; do not edit by hand.\n\n\
         {machine}; the load generator runs on the \
         same machine. Median of {runs} interleaved runs, least and most in parentheses; a ratio \
         counts as 1.0 when one's median lies among the other's runs. Who takes over {far} times as long \
         as the fastest is run once. Attribute sets have {origin}. {note}\n\n\
         CPU and memory are those of all processes of a daemon (FRR: bgpd and zebra); memory is the \
         sum of their peaks. Each daemon runs in network, mount and PID namespaces of its own, with \
         one veth cable to the generator, so that all of them see real interfaces, on-link next hops \
         and the same path through the kernel. Routes go into the kernel only in the works that say \
         so, and when idle. Every receiver compares prefix, path and next hop with a model; 3 % of \
         the prefixes come and go, change or are withdrawn and announced again in mid-run, and a stale or missing \
         one fails the run. The configurations are in `lab/bench-peers`.\n\n\
         {who}\n{tables}## Goals\n\n{goals}"
    )
}

/// The date, and what machine this is, for people.
pub(crate) fn machine() -> String {
    let first = |command: &str, args: &[&str]| {
        let out = Command::new(command).args(args).output();
        out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
    };
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let (model, memory) =
        (field(&read("/proc/cpuinfo"), "model name"), field(&read("/proc/meminfo"), "MemTotal"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (date, kernel) = (first("date", &["-u", "+%F"]), first("uname", &["-r"]));
    format!("{date}, {cores} cores ({model}), {memory}, Linux {kernel}")
}

//! How many instructions the router's inner loops take, counted by gungraun with valgrind's
//! callgrind.
//!
//! `cargo bench -p benches` shows each count beside the one of the run before; `-- '*longest*'` those
//! with a word in their name, `-- --help` all that gungraun can do. A count hardly moves from run to
//! run, and not at all with the load of the machine, so a change of one percent can be seen; it says
//! nothing of caches and waiting. Run as a test, each case is done once and nothing is counted.
//!
//! `docs/instruction-counts.md` has the counts of the last change that was meant to move one:
//! `-- --write` puts them there, `-- --check` (which `cargo lab test` runs) fails where one differs.
//! `-- --comparable` says why counts of this machine are not those of the page's, if they are not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod page;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cases::Case;
use serde_json::Value;

/// Gungraun's own `main`: starts its runner, which starts this program anew for each case.
mod harness {
    use gungraun::Callgrind;
    use gungraun::prelude::*;

    use crate::cases::codec::codec;
    use crate::cases::policy::policies;
    use crate::cases::tables::rib;

    main!(
        // Only instructions: what a simulated cache says holds for no real one.
        config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
        library_benchmark_groups = [codec, rib, policies]
    );

    pub(super) fn run() {
        main();
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
    if has("--comparable") {
        if let Some(why) = page::not_comparable()? {
            println!("SKIPPED: instruction-counts: {why}");
        }
        return Ok(());
    }
    match () {
        () if has("--write") => page::write(&counts()?),
        () if has("--check") => page::check(&counts()?),
        // What cargo says when it runs benchmarks and not tests, and gungraun for one case.
        () if has("--bench") || has("--gungraun-run") => {
            harness::run();
            Ok(())
        }
        () => {
            cases::all().for_each(|case| (case.prepare)()());
            Ok(())
        }
    }
}

/// Each case with its count.
fn counts() -> Result<Vec<(&'static Case, u64)>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--bench", "--output-format=json"]).stderr(Stdio::inherit());
    let out = command.output().context("run the benchmarks")?;
    ensure!(out.status.success(), "gungraun: {}", out.status);
    let lines: Result<Vec<Value>, _> =
        String::from_utf8_lossy(&out.stdout).lines().map(serde_json::from_str).collect();
    let lines = lines.context("gungraun has said what is no JSON")?;
    ensure!(lines.len() == cases::all().count(), "gungraun has counted {} cases", lines.len());
    let count = |case: &Case| {
        let line = lines.iter().find(|line| line["id"] == case.id)?;
        line.pointer("/profiles/0/data/total/metrics/Ir/values/new")?.as_u64()
    };
    cases::all()
        .map(|case| Ok((case, count(case).with_context(|| format!("{} is not counted", case.id))?)))
        .collect()
}

//! How many instructions the router's inner loops take, counted by valgrind's callgrind.
//!
//! `cargo bench -p benches [part of a name]` prints a table. A count hardly moves from run to run,
//! and not at all with the load of the machine, so a change of one percent can be seen; it says
//! nothing of caches and waiting. Run as a test, each case is done once and nothing is counted.
//!
//! `docs/instruction-counts.md` has the counts of the last change that was meant to move one:
//! `-- --write` puts them there, `-- --check` (which `cargo lab test` runs) fails where one differs.
//!
//! This program runs itself under valgrind once per case, with counting switched on only within
//! [`counted`]: what a case prepares is not in its number.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod page;

use std::process::Command;

use anyhow::{Context, Result, bail};
use cases::{Case, Work};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let cases: Vec<Case> = cases::all();
    match args.as_slice() {
        ["--count", name] => {
            let case = cases.iter().find(|case| case.name == *name).context("no such case")?;
            counted(&mut (case.prepare)());
            Ok(())
        }
        args if args.contains(&"--write") => page::write(&counts(&cases)?),
        args if args.contains(&"--check") => match page::not_comparable()? {
            Some(why) => {
                println!("SKIPPED: instruction-counts: {why}");
                Ok(())
            }
            None => page::check(&counts(&cases)?),
        },
        // What cargo says when it runs benchmarks and not tests.
        args if args.contains(&"--bench") => {
            let wanted = |name: &str| {
                let mut parts = args.iter().filter(|arg| !arg.starts_with("--")).peekable();
                parts.peek().is_none() || parts.any(|part| name.contains(part))
            };
            println!("{:<44} {:>12} {:>8} {:>10}", "case", "instructions", "of", "for one");
            for case in cases.iter().filter(|case| wanted(case.name)) {
                let count = count(case)?;
                let one = count as f64 / case.of as f64;
                println!("{:<44} {count:>12} {:>8} {one:>10.1}", case.name, case.of);
            }
            Ok(())
        }
        _ => {
            cases.iter().for_each(|case| counted(&mut (case.prepare)()));
            Ok(())
        }
    }
}

/// Each case with its count.
fn counts(cases: &[Case]) -> Result<Vec<(&Case, u64)>> {
    cases.iter().map(|case| Ok((case, count(case)?))).collect()
}

/// Valgrind knows it by its name: it must stay a function.
#[inline(never)]
fn counted(work: &mut Work) {
    std::hint::black_box(work)();
}

/// Runs the case in a process of its own, under valgrind.
fn count(case: &Case) -> Result<u64> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*instructions::counted*")
        .arg(std::env::current_exe()?)
        .args(["--count", case.name])
        .output()
        .context("valgrind does not run; is it installed?")?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        bail!("{}: {said}", case.name);
    }
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = line.context("valgrind has counted nothing")?.1.trim().parse()?;
    match count {
        0 => bail!("{}: nothing counted; is the program stripped of its symbols?", case.name),
        count => Ok(count),
    }
}

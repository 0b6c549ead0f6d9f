//! Thousands of simulated networks, and the page of what they were.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::alone::logged;
use crate::bench;
use crate::image::own::cargo;
use crate::progress::Progress;

/// Where the result is committed.
const PAGE: &str = "docs/simulation.md";
/// Tells the test how many seeds it shall run.
const SEEDS: &str = "SIMULATION_SEEDS";

/// Runs so many seeds and writes the page; gives its table.
///
/// # Errors
/// When a seed fails, or the test cannot be built.
pub(super) fn run(root: &Path, seeds: u32, logs: &Path, progress: &Progress) -> Result<String> {
    let test = |more: &[&str]| {
        let mut command = cargo(root);
        command.args(["test", "--quiet", "-p", "bgp-speaker", "--test", "simulation"]);
        command.args(more).env(SEEDS, seeds.to_string());
        command
    };
    logged(&mut test(&["--no-run"]), logs, progress).context("build the simulation")?;
    let start = Instant::now();
    let ended = logged(
        &mut test(&["every_seed_ends_well", "--", "--exact", "--nocapture"]),
        logs,
        progress,
    );
    let took = start.elapsed();
    let said = fs::read_to_string(logs.join("out.txt")).unwrap_or_default();
    let counted = Counted::read(&said);
    if !counted.rows.is_empty() {
        let (file, text) = (root.join(PAGE), page(&bench::machine(), seeds, took, &counted));
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    ended?;
    ensure!(!counted.rows.is_empty(), "the simulation has counted nothing");
    Ok(table(seeds, took, &counted))
}

/// What the test has said of its seeds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    rows: Vec<(String, u64)>,
    failed: Vec<u64>,
}

impl Counted {
    fn read(said: &str) -> Counted {
        let mut counted = Counted::default();
        for line in said.lines() {
            // The test's own name may stand before it.
            if let Some((_, row)) = line.split_once("counted: ")
                && let Some((what, count)) = row.rsplit_once(": ")
                && let Ok(count) = count.parse()
            {
                counted.rows.push((what.to_owned(), count));
            } else if let Some((_, seed)) = line.split_once("failed: ") {
                counted.failed.extend(seed.parse::<u64>());
            }
        }
        counted
    }
}

fn table(seeds: u32, took: Duration, counted: &Counted) -> String {
    let failed: Vec<String> = counted.failed.iter().map(u64::to_string).collect();
    let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
    let last = seeds.saturating_sub(1);
    let mut out = format!(
        "| | |\n|---|---:|\n| seeds | 0 to {last} |\n| of these failed | {failed} |\n\
         | time | {} s |\n",
        took.as_secs()
    );
    for (what, count) in &counted.rows {
        out.push_str(&format!("| {what} | {count} |\n"));
    }
    out
}

fn page(machine: &str, seeds: u32, took: Duration, counted: &Counted) -> String {
    format!(
        "# Simulated networks\n\n\
         Written by `cargo lab test --long`, or `cargo lab test simulation/`; do not edit by hand.\n\n\
         {machine}.\n\n\
         Each seed is a network of speakers on a virtual clock: a topology, up to eleven faults while \
         it works, and a quiet time after which every session, table and FIB must be as an \
         independent reference says. Then a process restarts, and nobody may lose a route meanwhile; \
         a withdrawal must reach everyone; and where nothing is originated the tables must be empty. \
         The code is in `pure/bgp-speaker/tests/simulation`, whose first page says how a seed is \
         replayed. `cargo test` runs the first 800 seeds.\n\n\
         A fault is counted when it was drawn; one that is so already changes nothing.\n\n{}",
        table(seeds, took, counted)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_test_says_becomes_the_page() {
        let said = "\nrunning 1 test\ntest every_seed_ends_well ... counted: cables: 12\n\
                    counted: fault: a cable is cut: 3\nfailed: 7\ntest result: FAILED. 0 passed\n";
        let counted = Counted::read(said);
        let row = |what: &str, count| (what.to_owned(), count);
        let expected = vec![row("cables", 12), row("fault: a cable is cut", 3)];
        assert_eq!(counted, Counted { rows: expected, failed: vec![7] });
        let page = page("a machine", 9, Duration::from_millis(61_900), &counted);
        let end = "| seeds | 0 to 8 |\n| of these failed | 7 |\n| time | 61 s |\n| cables | 12 |\n\
                   | fault: a cable is cut | 3 |\n";
        assert!(page.ends_with(end), "{page}");
        let none = table(9, Duration::ZERO, &Counted::default());
        assert!(none.contains("| of these failed | none |"), "{none}");
    }
}

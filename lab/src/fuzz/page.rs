//! The page of the documentation: what it says is read back, so that rows come one by one.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};

/// No finding.
pub(super) const NONE: &str = "none";

/// What a target's run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) target: String,
    /// How long it ran.
    pub(super) seconds: u32,
    pub(super) executions: u64,
    /// Inputs that each reach something that no other does.
    pub(super) corpus: u64,
    /// Edges of the code that were reached.
    pub(super) edges: u64,
    /// The names of the inputs that failed, or [`NONE`].
    pub(super) findings: String,
    /// Day of the run, UTC.
    pub(super) day: String,
}

impl Row {
    /// Out of what libFuzzer printed.
    ///
    /// # Errors
    /// When it did not come as far as its first line of figures.
    pub(super) fn read(target: &str, wanted: u32, log: &str) -> Result<Row> {
        let last = |words: &str| log.lines().rev().find(|line| line.contains(words));
        let line = last(" corp: ").context("libFuzzer printed no figures")?;
        // `#1234 DONE   cov: 12 ft: 34 corp: 5/67b exec/s: 89 rss: 10Mb`
        let after = |name: &str| -> u64 {
            let mut words = line.split_whitespace().skip_while(|word| *word != name).skip(1);
            let value = words.next().unwrap_or_default().split('/').next().unwrap_or_default();
            value.parse().unwrap_or_default()
        };
        let count = line.split_whitespace().next().and_then(|word| word.strip_prefix('#'));
        let done = last("Done ").and_then(|line| {
            // `Done 1234 runs in 60 second(s)`
            line.split_whitespace().rev().nth(1)?.parse().ok()
        });
        let stated =
            |name: &str| -> Option<u64> { last(name)?.split_whitespace().last()?.parse().ok() };
        let executions = stated("stat::number_of_executed_units:")
            .or_else(|| count?.parse().ok())
            .unwrap_or_default();
        // Without a last word it was ended by what it found.
        let seconds = done.unwrap_or_else(|| {
            let speed = stated("stat::average_exec_per_sec:").unwrap_or_default().max(1);
            u32::try_from(executions / speed).unwrap_or(wanted).min(wanted)
        });
        Ok(Row {
            seconds,
            executions,
            corpus: after("corp:"),
            edges: after("cov:"),
            ..Row::nothing(target)?
        })
    }

    /// The row of a target that did not come as far as its first figures.
    ///
    /// # Errors
    /// When nobody knows what day it is.
    pub(super) fn nothing(target: &str) -> Result<Row> {
        let out = Command::new("date").args(["-u", "+%F"]).output().context("run date")?;
        Ok(Row {
            target: target.to_owned(),
            seconds: 0,
            executions: 0,
            corpus: 0,
            edges: 0,
            findings: NONE.to_owned(),
            day: String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        })
    }

    fn line(&self) -> String {
        let Row { target, seconds, executions, corpus, edges, findings, day } = self;
        format!(
            "| `{target}` | {seconds} | {executions} | {corpus} | {edges} | {findings} | {day} |\n"
        )
    }

    fn parse(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", target, seconds, executions, corpus, edges, findings, day, ""] = cells[..] else {
            return None;
        };
        Some(Row {
            target: target.trim_matches('`').to_owned(),
            seconds: seconds.parse().ok()?,
            executions: executions.parse().ok()?,
            corpus: corpus.parse().ok()?,
            edges: edges.parse().ok()?,
            findings: findings.to_owned(),
            day: day.to_owned(),
        })
    }
}

/// The rows, by target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page(BTreeMap<String, Row>);

const HEAD: &str = "| target | seconds | executions | corpus | edges | findings | day |\n\
                    |---|---|---|---|---|---|---|\n";

impl Page {
    /// What a page says; another text says nothing.
    pub(super) fn read(text: &str) -> Page {
        Page(text.lines().filter_map(Row::parse).map(|row| (row.target.clone(), row)).collect())
    }

    /// Whether a target had its time without a finding.
    pub(super) fn has(&self, target: &str, seconds: u32) -> bool {
        self.0.get(target).is_some_and(|row| row.seconds >= seconds && row.findings == NONE)
    }

    pub(super) fn put(&mut self, row: Row) {
        self.0.insert(row.target.clone(), row);
    }

    /// The rows of some targets, with a head.
    pub(super) fn rows(&self, targets: &[String]) -> String {
        let rows = targets.iter().filter_map(|target| self.0.get(target)).map(Row::line);
        HEAD.to_owned() + &rows.collect::<String>()
    }

    pub(super) fn text(&self, machine: &str) -> String {
        let rows: String = self.0.values().map(Row::line).collect();
        format!(
            "# Fuzzing\n\n\
             Written by `cargo lab fuzz` and `cargo lab test --long`, row by row; do not edit by \
             hand. Last on: {machine}.\n\n\
             libFuzzer with AddressSanitizer, one target at a time, from the committed corpus and what \
             earlier runs have found. A finding is an input that failed: a panic, an overflow, a check \
             of the target's, a leak, more than 25 s or 2 GiB. What each target does and must hold \
             stands in `fuzz/README.md`.\n\n\
             {HEAD}{rows}"
        )
    }
}

//! The counts on their page, beside those of now.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cases::Case;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/instruction-counts.md");
/// The line before it says by what the counts were made, the line behind it is the table's first.
const MADE_BY: &str = "Made by ";
const TABLE: &str = "| case | instructions | of | for one |\n|---|---:|---:|---:|\n";
/// Percent that a count may differ: the allocator's part depends on where the program lies.
const TOLERANCE: f64 = 1.0;

/// Puts the counts of now on the page.
pub(crate) fn write(counts: &[(&Case, u64)]) -> Result<()> {
    let text = read()?;
    let (before, _) = text.split_once(MADE_BY).context("the page has no line of its making")?;
    let (_, rest) = text.split_once(TABLE).context("the page has no table")?;
    let after = rest.trim_start_matches(|c| c != '\n').split_once("\n\n").map_or("", |(_, a)| a);
    let mut rows = String::new();
    for (case, count) in counts {
        let one = *count as f64 / case.of as f64;
        rows.push_str(&format!("| {} | {count} | {} | {one:.1} |\n", case.name, case.of));
    }
    let page = format!("{before}{MADE_BY}{}.\n\n{TABLE}{rows}\n{after}", made_by()?);
    std::fs::write(PAGE, page).context("write the page")
}

/// Why counts of here say nothing of the page's.
pub(crate) fn not_comparable() -> Result<Option<String>> {
    let text = read()?;
    let there = text.lines().find_map(|line| line.strip_prefix(MADE_BY)).unwrap_or_default();
    let here = format!("{}.", made_by()?);
    Ok((there != here).then(|| format!("the page is of {there} This is {here}")))
}

/// Fails where a count is not the page's.
pub(crate) fn check(counts: &[(&Case, u64)]) -> Result<()> {
    let text = read()?;
    let (_, rows) = text.split_once(TABLE).context("the page has no table")?;
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut wrong = Vec::new();
    for (case, count) in counts {
        let row = rows.iter().find(|row| row.first() == Some(&case.name));
        let there: Option<u64> = row.and_then(|row| row.get(1)?.parse().ok());
        match there {
            None => wrong.push(format!("{}: {count}, and the page has no such row", case.name)),
            Some(there) => {
                let more = 100.0 * (*count as f64 / there as f64 - 1.0);
                println!("{:<44} {count:>12} {more:>+8.2} %", case.name);
                if more.abs() > TOLERANCE {
                    wrong.push(format!("{}: {count} instead of {there}, {more:+.1} %", case.name));
                }
            }
        }
    }
    if rows.len() != counts.len() {
        wrong.push(format!("the page has {} rows for {} cases", rows.len(), counts.len()));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => bail!(
            "{}\nIf it is meant: cargo bench -p benches -- --write, and commit the page.",
            wrong.join("\n")
        ),
    }
}

fn read() -> Result<String> {
    std::fs::read_to_string(PAGE).with_context(|| format!("read {PAGE}"))
}

/// What moves counts without a change of ours: processor, compiler, valgrind, C library.
fn made_by() -> Result<String> {
    let first = |program: &str, args: &[&str], words: usize| -> Result<String> {
        let out = Command::new(program).args(args).output();
        let out = out.with_context(|| format!("{program} does not run; is it installed?"))?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = text.lines().next().unwrap_or_default();
        Ok(line.split_whitespace().take(words).collect::<Vec<_>>().join(" "))
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("?", |(_, model)| model);
    let (rustc, valgrind) =
        (first("rustc", &["--version"], 2)?, first("valgrind", &["--version"], 1)?);
    let libc = first("getconf", &["GNU_LIBC_VERSION"], 2)?;
    Ok(format!("{rustc}, {valgrind}, {libc}, {model}"))
}

//! A run of hours that was ended goes on where it was: what has passed with the same code is not run
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::report::Tally;
use crate::progress::Progress;

/// The parts of a run, each counted once.
pub(super) struct Parts<'a> {
    progress: &'a Progress,
    /// How many there are, and which one is next, counted from one.
    count: usize,
    next: usize,
    /// What has passed; none for a run that does not go on.
    notes: Option<Notes<'a>>,
}

/// Where it is noted what has passed.
struct Notes<'a> {
    file: PathBuf,
    kept: Kept,
    /// The code and the options as they are now.
    now: Box<dyn Fn() -> Result<String> + 'a>,
}

impl Notes<'_> {
    /// Notes that a part has passed, unless the code has changed: who knows on which it was run.
    fn note(&mut self, name: &str, tally: &Tally, progress: &Progress) -> Result<()> {
        match (self.now)() {
            Ok(now) if now == self.kept.of => {}
            Ok(_) => {
                progress.say(format_args!("  the code has changed: {name} is not noted as passed"));
                return Ok(());
            }
            Err(error) => {
                progress.say(format_args!("  {name} is not noted as passed: {error:#}"));
                return Ok(());
            }
        }
        self.kept.done.insert(name.to_owned(), tally.clone());
        // Whole or not at all: half of it would be hours lost.
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(&self.kept)?)
            .and_then(|()| fs::rename(&new, &self.file))
            .with_context(|| format!("write {}", self.file.display()))
    }
}

/// What is kept between two runs.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The code and the options that it is true of.
    of: String,
    done: BTreeMap<String, Tally>,
}

impl<'a> Parts<'a> {
    /// So many parts, all of which are run.
    pub(super) fn all(count: usize, progress: &'a Progress) -> Parts<'a> {
        Parts { progress, count, next: 1, notes: None }
    }

    /// Leaves out what `file` says has passed of the same thing; `now` says what that is later.
    pub(super) fn go_on(
        self,
        file: PathBuf,
        of: String,
        now: impl Fn() -> Result<String> + 'a,
    ) -> Parts<'a> {
        let text = fs::read(&file).unwrap_or_default();
        let kept: Kept = serde_json::from_slice(&text).unwrap_or_default();
        let kept = if kept.of == of { kept } else { Kept { of, done: BTreeMap::new() } };
        Parts { notes: Some(Notes { file, kept, now: Box::new(now) }), ..self }
    }

    /// Whether something is left out.
    pub(super) fn goes_on(&self) -> bool {
        self.notes.as_ref().is_some_and(|notes| !notes.kept.done.is_empty())
    }

    /// Whether this one has passed before.
    pub(super) fn has(&self, name: &str) -> bool {
        self.notes.as_ref().is_some_and(|notes| notes.kept.done.contains_key(name))
    }

    /// Runs a part, unless it has passed before, and counts it.
    pub(super) fn part(
        &mut self,
        name: &str,
        tally: &mut Tally,
        run: impl FnOnce(&mut Tally) -> Result<()>,
    ) -> Result<()> {
        let place = format!("[{}/{}] {name}", self.next, self.count);
        self.next += 1;
        if let Some(done) = self.notes.as_ref().and_then(|notes| notes.kept.done.get(name)) {
            self.progress.say(format_args!("{place}: has passed before"));
            tally.merge(done.clone());
            return Ok(());
        }
        self.progress.say(place);
        let mut own = Tally::default();
        run(&mut own)?;
        if let Some(notes) = &mut self.notes
            && own.all_well()
            && own.has_passed()
        {
            notes.note(name, &own, self.progress)?;
        }
        tally.merge(own);
        Ok(())
    }
}

/// The pages that a run of hours writes itself.
const WRITTEN: [&str; 4] = ["fuzz", "soak", "simulation", "benchmarks"];

/// Stands for the code of a checkout, committed or not. The pages that runs write are no part of it.
///
/// # Errors
/// When git does not know the checkout.
pub(super) fn code(root: &Path) -> Result<String> {
    let git = |args: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        command.arg("-C").arg(root).args(args).stdin(Stdio::null());
        let out = command.output().context("run git")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "git {}: {}", args.join(" "), said.trim());
        Ok(out.stdout)
    };
    let mut digest = Sha256::new();
    digest.update(git(&["rev-parse", "HEAD"])?);
    let excluded = WRITTEN.map(|page| format!(":(exclude)docs/{page}.md"));
    let code: Vec<&str> =
        ["--", "."].into_iter().chain(excluded.iter().map(String::as_str)).collect();
    digest.update(git(&[&["diff", "--binary", "HEAD"], &code[..]].concat())?);
    let others = [&["ls-files", "-z", "--others", "--exclude-standard"], &code[..]].concat();
    let others = git(&others)?;
    digest.update(&others);
    for name in others.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let file = root.join(String::from_utf8_lossy(name).as_ref());
        // A link to nowhere, or gone meanwhile: its name is in.
        digest.update(Sha256::digest(fs::read(file).unwrap_or_default()));
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::*;
    use crate::suite::report::Ending;

    #[test]
    fn what_has_passed_is_left_out_until_the_code_changes() {
        let folder = std::env::temp_dir().join(format!("sart-parts-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("long.json");
        let progress = Progress::silent();
        // Runs two parts, of which the second fails or not; gives what was run and the last line.
        // The code is another one later, or the same.
        let run_and_change = |of: &str, later: &str, fails: bool| {
            let now = || Ok(later.to_owned());
            let mut parts = Parts::all(2, &progress).go_on(file.clone(), of.to_owned(), now);
            let (mut tally, mut ran) = (Tally::default(), Vec::new());
            for (name, fails) in [("one", false), ("two", fails)] {
                let result = parts.part(name, &mut tally, |tally| {
                    ran.push(name);
                    let ending = if fails { Ending::Failed(anyhow!("no")) } else { Ending::Passed };
                    tally.note(&progress, name, Duration::ZERO, ending);
                    Ok(())
                });
                result.expect("the file can be written");
            }
            let last = tally.to_string().lines().last().unwrap_or_default().to_owned();
            (ran, last)
        };
        let run = |of: &str, fails| run_and_change(of, of, fails);
        let both = || vec!["one", "two"];
        assert_eq!(run("a", true), (both(), "1 passed, 1 failed, 0 skipped".into()));
        assert_eq!(run("a", false), (vec!["two"], "2 passed, 0 failed, 0 skipped".into()));
        assert_eq!(run("a", false), (vec![], "2 passed, 0 failed, 0 skipped".into()));
        assert_eq!(run("b", false), (both(), "2 passed, 0 failed, 0 skipped".into()));
        // What ran while the code changed has not passed, of neither.
        let passed = || (both(), "2 passed, 0 failed, 0 skipped".to_owned());
        assert_eq!(run_and_change("c", "d", false), passed());
        assert_eq!(run_and_change("d", "c", false), passed());
        assert_eq!(run("c", false), passed());
        assert_eq!(run("c", false).0, Vec::<&str>::new());
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}

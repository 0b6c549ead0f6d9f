//! What passed, failed and was skipped; the last line is for machines.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::progress::Progress;

/// The count over a whole run, or over a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
    /// Passed, but only the second time.
    unsteady: Vec<(String, String)>,
}

/// How one check ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Passed,
    Failed(anyhow::Error),
    /// Not run, and why.
    Skipped(String),
}

impl From<anyhow::Result<()>> for Ending {
    fn from(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(error),
        }
    }
}

impl Tally {
    /// Counts one check and says how it ended.
    pub(crate) fn note(
        &mut self,
        progress: &Progress,
        name: &str,
        took: Duration,
        ending: impl Into<Ending>,
    ) {
        let took = took.as_secs_f32();
        match ending.into() {
            Ending::Passed => {
                self.passed += 1;
                progress.say(format_args!("  ok       {name} ({took:.1} s)"));
            }
            Ending::Failed(error) => {
                progress.say(format_args!("  FAILED   {name} ({took:.1} s): {error:#}"));
                self.failed.push((name.to_owned(), format!("{error:#}")));
            }
            Ending::Skipped(why) => {
                progress.say(format_args!("  skipped  {name}: {why}"));
                self.skipped.push((name.to_owned(), why));
            }
        }
    }

    /// Counts a check that failed twice; its failures have been told.
    pub(crate) fn fail(&mut self, name: &str, error: &anyhow::Error) {
        self.failed.push((name.to_owned(), format!("{error:#}")));
    }

    /// Remembers why a check, which passed the second time and is counted so, failed the first time.
    pub(crate) fn unsteady(&mut self, name: &str, error: &anyhow::Error) {
        self.unsteady.push((name.to_owned(), format!("{error:#}")));
    }

    /// Adds the count over a part of the run.
    pub(crate) fn merge(&mut self, part: Tally) {
        let Tally { passed, failed, skipped, unsteady } = part;
        self.add(passed, failed, skipped);
        self.unsteady.extend(unsteady);
    }

    /// Adds what another program has counted.
    pub(crate) fn add(
        &mut self,
        passed: usize,
        failed: Vec<(String, String)>,
        skipped: Vec<(String, String)>,
    ) {
        self.passed += passed;
        self.failed.extend(failed);
        self.skipped.extend(skipped);
    }

    /// Leaves out what was skipped for such a reason: it is counted elsewhere.
    pub(crate) fn forget_skipped(&mut self, forget: impl Fn(&str) -> bool) {
        self.skipped.retain(|(name, _)| !forget(name));
    }

    pub(crate) fn all_well(&self) -> bool {
        self.failed.is_empty()
    }

    /// True when something was run, and well.
    pub(crate) fn has_passed(&self) -> bool {
        self.passed > 0
    }

    /// True when nothing at all was run or skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed == 0 && self.failed.is_empty() && self.skipped.is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("skipped", &self.skipped),
            ("unsteady (passed on a second, fresh cluster)", &self.unsteady),
            ("failed", &self.failed),
        ];
        for (title, list) in lists {
            if !list.is_empty() {
                writeln!(f, "{title}:")?;
            }
            for (name, why) in list {
                writeln!(f, "  {name}: {}", why.trim_end())?;
            }
        }
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        write!(f, "{} passed, {failed} failed, {skipped} skipped", self.passed)
    }
}

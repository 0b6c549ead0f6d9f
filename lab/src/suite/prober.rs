//! Probes that run while a test breaks something.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::probe::Report;
use crate::places;

/// Asks every 10 ms in a process of its own until [`Prober::finish`].
pub(crate) struct Prober {
    name: String,
    child: Child,
}

impl Prober {
    /// Starts `lab __probe`; `kind` is `ping` or `connect`.
    pub(crate) fn start(name: &str, kind: &str, netns: &Path, target: IpAddr) -> Result<Self> {
        let mut command = Command::new(places::program());
        command.args(["__probe", kind, "--target", &target.to_string(), "--netns"]).arg(netns);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("start a probe")?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Ends the probe and gives what it saw.
    pub(crate) fn finish(mut self) -> Result<Report> {
        drop(self.child.stdin.take());
        let mut output = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut output)?;
        }
        let status = self.child.wait()?;
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut errors)?;
        }
        ensure!(status.success(), "probe {}: {status}: {}", self.name, errors.trim());
        serde_json::from_str(&output).with_context(|| format!("probe {}: {output}", self.name))
    }

    /// Ends the probe; nothing may have been lost.
    pub(crate) fn lost_nothing(self) -> Result<()> {
        let name = self.name.clone();
        let report = self.finish()?;
        ensure!(report.sent > 100, "probe {name} asked only {} times", report.sent);
        ensure!(report.lost == 0, "{name}: {report}");
        Ok(())
    }

    /// Ends the probe; no gap may be longer than this. Gives the longest.
    pub(crate) fn no_gap_over(self, limit: Duration) -> Result<Duration> {
        let name = self.name.clone();
        let report = self.finish()?;
        ensure!(report.sent > 100, "probe {name} asked only {} times", report.sent);
        let longest = report.longest();
        ensure!(longest <= limit, "{name}: over {} ms: {report}", limit.as_millis());
        Ok(longest)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        // Of a finished probe nothing is left; of a failed test's the process would be.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

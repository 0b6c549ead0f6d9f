//! Processes by pid *and* start time, so that a pid used again is never taken for the old one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::sys;

/// One process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks from the machine's boot to the process's start.
    started: u64,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn of(pid: i32) -> Option<Process> {
        stat(pid).map(|stat| Process { pid, started: stat.started })
    }

    /// Reads what [`Process::save`] wrote.
    pub(crate) fn load(file: &Path) -> Result<Process> {
        let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse {}", file.display()))
    }

    pub(crate) fn save(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_vec(self)?)
            .with_context(|| format!("write {}", file.display()))
    }

    /// True while it runs; a zombie does not.
    pub(crate) fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Kills it if it is still the same process.
    pub(crate) fn kill(&self, signal: i32) -> Result<()> {
        if self.alive() {
            sys::kill(self.pid, signal).with_context(|| format!("kill {}", self.pid))?;
        }
        Ok(())
    }

    /// Waits until it has ended. For a PID 1 this means: all its processes have.
    pub(crate) fn wait_gone(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while self.alive() {
            if Instant::now() > end {
                bail!("process {} has not ended within {limit:?}", self.pid);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

struct Stat {
    state: char,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from its end.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, started })
}

/// The command line of a process, NULs as blanks.
pub(crate) fn command_line(pid: i32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = bytes.split(|b| *b == 0).filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        return None;
    }
    Some(words.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>().join(" "))
}

/// All pids of the machine.
pub(crate) fn all() -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

//! Others on the machine: one process on each core that never waits.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::bench::cell;
use crate::sys;

/// The busy processes; they end with this.
pub(super) struct Others(Vec<Child>);

/// The cores that there are for us.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Others {
    pub(super) fn start() -> Result<Others> {
        let mut others = Others(Vec::new());
        for core in allowed() {
            let mut command = Command::new("taskset");
            // As one process among many of an ordinary priority; bound, so that no core is spared.
            command.args(["--cpu-list", &core.to_string(), "sh", "-c", "while :; do :; done"]);
            command.stdin(Stdio::null());
            sys::die_with_parent(&mut command);
            others.0.push(command.spawn().context("run taskset")?);
        }
        Ok(others)
    }

    /// CPU seconds of all of them so far.
    pub(super) fn cpu(&self) -> f64 {
        let pids = self.0.iter().filter_map(|child| i32::try_from(child.id()).ok());
        pids.filter_map(cell::cpu_time).sum()
    }
}

/// The numbers of the cores that this process may run on.
fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(numbers).unwrap_or_default()
}

/// The numbers of a list as `0-2,5`.
pub(super) fn numbers(list: &str) -> Vec<usize> {
    let parts = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    parts.flatten().collect()
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

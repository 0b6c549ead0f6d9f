//! The machine as it is outside of every lab, to compare before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::host::MARK;
use crate::process;

/// What a lab could leave behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// By kind: processes, mounts, namespaces, cgroups, links, addresses, routes, rules, sysctls.
    found: Vec<(&'static str, BTreeSet<String>)>,
}

const SYSCTLS: &[&str] = &[
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/netfilter/nf_conntrack_max",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

impl Snapshot {
    /// Looks at the machine.
    pub(crate) fn take() -> Result<Self> {
        Ok(Self {
            found: vec![
                ("process", processes()),
                ("mount", lines(&fs::read_to_string("/proc/self/mounts")?)),
                ("network namespace", names(Path::new("/run/netns"))),
                ("cgroup", cgroups()),
                ("lab", names(&crate::places::labs())),
                ("link", ip(&["-o", "link"])?),
                ("address", ip(&["-o", "addr"])?),
                ("route", ip(&["route", "show", "table", "all"])?),
                ("route (IPv6)", ip(&["-6", "route", "show", "table", "all"])?),
                ("rule", ip(&["rule"])?),
                ("rule (IPv6)", ip(&["-6", "rule"])?),
                ("sysctl", sysctls()),
            ],
        })
    }

    /// Nothing may be there that was not, and nothing be gone.
    pub(crate) fn same(&self, before: &Self) -> Result<()> {
        let mut wrong = Vec::new();
        for ((kind, now), (_, then)) in self.found.iter().zip(&before.found) {
            wrong.extend(now.difference(then).map(|what| format!("{kind} left: {what}")));
            wrong.extend(then.difference(now).map(|what| format!("{kind} gone: {what}")));
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }
}

/// Processes that a lab has started: each carries its mark in the environment.
fn processes() -> BTreeSet<String> {
    let marked = |pid: i32| -> Option<String> {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mark = format!("{MARK}=");
        let marked = environment.split(|b| *b == 0).any(|var| var.starts_with(mark.as_bytes()));
        marked.then(|| format!("{pid} {}", process::command_line(pid).unwrap_or_default()))
    };
    process::all().into_iter().filter_map(marked).collect()
}

/// Every cgroup that has `lab` in its path.
fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(Path::new("/sys/fs/cgroup").to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && path.to_string_lossy().contains("lab") {
                found.insert(path.display().to_string());
            }
            if is_folder && depth < 3 {
                open.push((path, depth + 1));
            }
        }
    }
    found
}

fn sysctls() -> BTreeSet<String> {
    let read = |key: &&str| {
        let value = fs::read_to_string(format!("/proc/sys/{key}")).unwrap_or_default();
        format!("{key}={}", value.trim())
    };
    SYSCTLS.iter().map(read).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

fn ip(words: &[&str]) -> Result<BTreeSet<String>> {
    let output = Command::new("ip").args(words).output().context("run ip")?;
    // Lifetimes count down by themselves.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .map(|line| line.split(" valid_lft ").next().unwrap_or(line).to_owned())
        .collect())
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

//! Running a command inside a host, as a child of this process.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use anyhow::{Context, Result, anyhow};

use super::{MARK, PATH};
use crate::cgroup::Cgroups;
use crate::process::Process;
use crate::sys;

/// How much of the host the command shall be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All of it: root, processes, cgroups, network.
    Whole,
    /// Only its network; files and programs are the machine's.
    Network,
}

/// Starts `command` in the host whose PID 1 is given. Set its standard descriptors before.
///
/// # Errors
/// When the host is gone or the program is not found there.
pub(crate) fn spawn(
    lab: &str,
    host: &str,
    init: Process,
    depth: Depth,
    mut command: Command,
) -> Result<Child> {
    let open = |(name, flag): (&str, i32)| -> Result<(File, i32)> {
        let path = format!("/proc/{}/ns/{name}", init.pid);
        Ok((File::open(&path).with_context(|| format!("host {host} is not there ({path})"))?, flag))
    };
    let mut inner = vec![open(sys::NET)?];
    let mut processes = None;
    if depth == Depth::Whole {
        for namespace in [sys::CGROUP, sys::UTS, sys::IPC, sys::MOUNT] {
            inner.push(open(namespace)?);
        }
        processes = Some(open(sys::PID)?);
        forget_environment(&mut command);
    }
    command.env(MARK, lab);
    if !init.alive() {
        return Err(anyhow!("host {host} is not running"));
    }
    let doors = Cgroups::of(lab, Some(host))?.doors()?;
    let enter = move || {
        for door in &doors {
            sys::write_raw(door.as_raw_fd(), b"0")?;
        }
        for (namespace, flag) in &inner {
            sys::setns(namespace.as_fd(), *flag)?;
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls on descriptors that were opened before the fork;
    // it takes no lock and does not allocate.
    unsafe { command.pre_exec(enter) };

    // Entering a pid namespace counts for the children of the thread that does it, so a thread of
    // its own does; the rest of this process stays where it is.
    let starter = std::thread::spawn(move || -> Result<Child> {
        if let Some((namespace, flag)) = &processes {
            sys::setns(namespace.as_fd(), *flag).context("enter the host's processes")?;
        }
        let program = command.get_program().to_string_lossy().into_owned();
        command.spawn().with_context(|| format!("run {program}"))
    });
    starter.join().map_err(|_| anyhow!("the starting thread panicked"))?
}

/// The command shall see the host's environment and what its caller has set, not this process's.
fn forget_environment(command: &mut Command) {
    let set: Vec<OsString> = command.get_envs().map(|(key, _)| key.to_owned()).collect();
    for (key, _) in std::env::vars_os() {
        if key != "TERM" && !set.contains(&key) {
            command.env_remove(&key);
        }
    }
    for (key, value) in [("PATH", PATH), ("HOME", "/root")] {
        if !set.iter().any(|own| own == key) {
            command.env(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_caller_sets_goes_along() {
        let mut command = Command::new("x");
        command.env("FOO", "bar").env("HOME", "/x");
        forget_environment(&mut command);
        let value = |key: &str| {
            let found = command.get_envs().find(|(known, _)| *known == key);
            found.and_then(|(_, value)| value).map(|value| value.to_string_lossy().into_owned())
        };
        assert_eq!(value("FOO").as_deref(), Some("bar"));
        assert_eq!(value("HOME").as_deref(), Some("/x"));
        assert_eq!(value("PATH").as_deref(), Some(PATH));
        let kept = ["FOO", "HOME", "PATH", "TERM"];
        for (key, _) in std::env::vars_os().filter(|(key, _)| kept.iter().all(|k| key != *k)) {
            assert!(command.get_envs().any(|(known, value)| known == key && value.is_none()));
        }
    }
}

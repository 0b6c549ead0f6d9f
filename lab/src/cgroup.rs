//! Each host's own place in every cgroup hierarchy: what runs in a lab can be counted and ended by it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::sys;

/// The folder under each hierarchy's root that holds all labs.
const TOP: &str = "sart-lab";

/// With v2, where a host's own processes are.
const LEAF: &str = "init";

/// What a machine offers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One unified hierarchy (cgroup v2).
    Unified,
    /// One hierarchy per controller (cgroup v1); each as the kernel names it, e.g. `cpu,cpuacct`.
    PerController(Vec<String>),
}

/// The layout of this machine. A hybrid counts as per controller.
fn layout() -> Result<Layout> {
    layout_in(Path::new("/proc"))
}

/// The layout as a `proc` file system mounted somewhere shows it.
pub(crate) fn layout_in(proc: &Path) -> Result<Layout> {
    let file = proc.join("self/cgroup");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    Ok(parse_layout(&text))
}

fn parse_layout(text: &str) -> Layout {
    let names: Vec<String> = text
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    // A lone `name=systemd` beside a full v2 hierarchy controls nothing.
    if names.iter().all(|name| name.starts_with("name=")) {
        Layout::Unified
    } else {
        Layout::PerController(names)
    }
}

/// The roots of all hierarchies on this machine, from its mount table.
fn roots() -> Result<Vec<PathBuf>> {
    let layout = layout()?;
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    Ok(parse_roots(&layout, &mounts))
}

fn parse_roots(layout: &Layout, mounts: &str) -> Vec<PathBuf> {
    let wanted = match layout {
        Layout::Unified => "cgroup2",
        Layout::PerController(_) => "cgroup",
    };
    let mut roots: Vec<PathBuf> = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(_), Some(path), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if kind == wanted {
            roots.push(PathBuf::from(path));
        }
    }
    roots
}

/// The cgroups of one host (or, without a host, of a lab).
#[derive(Debug)]
pub(crate) struct Cgroups {
    folders: Vec<PathBuf>,
    unified: bool,
}

impl Cgroups {
    /// Where a lab's cgroups are; `host` narrows to one of its hosts. Nothing is made yet.
    pub(crate) fn of(lab: &str, host: Option<&str>) -> Result<Cgroups> {
        let unified = layout()? == Layout::Unified;
        let folders = roots()?
            .into_iter()
            .map(|root| {
                let lab = root.join(TOP).join(lab);
                host.map_or(lab.clone(), |host| lab.join(host))
            })
            .collect();
        Ok(Cgroups { folders, unified })
    }

    /// Makes them, with what must be handed down from level to level.
    pub(crate) fn make(&self) -> Result<()> {
        for folder in &self.folders {
            let levels: Vec<&Path> = folder.ancestors().take(3).collect();
            for level in levels.iter().rev() {
                if !level.is_dir() {
                    fs::create_dir(level).with_context(|| format!("make {}", level.display()))?;
                }
                let Some(parent) = level.parent() else { continue };
                if self.unified {
                    enable_controllers(parent);
                } else {
                    copy_cpuset(parent, level)?;
                }
            }
        }
        Ok(())
    }

    /// The open `cgroup.procs` files: writing `0` puts the writer in.
    pub(crate) fn doors(&self) -> Result<Vec<File>> {
        let mut doors = Vec::new();
        for folder in &self.folders {
            let leaf = folder.join(LEAF);
            let folder = if self.unified && leaf.is_dir() { leaf } else { folder.clone() };
            let file = folder.join("cgroup.procs");
            doors.push(
                OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .with_context(|| format!("open {}", file.display()))?,
            );
        }
        Ok(doors)
    }

    /// Puts this process in.
    pub(crate) fn enter(&self) -> Result<()> {
        for mut door in self.doors()? {
            door.write_all(b"0").context("enter a cgroup")?;
        }
        Ok(())
    }

    /// With v2, after its cgroup namespace is made: moves this process into a leaf, since a group that
    /// hands controllers down may hold no process itself.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.unified {
            for folder in &self.folders {
                let leaf = folder.join(LEAF);
                fs::create_dir_all(&leaf).with_context(|| format!("make {}", leaf.display()))?;
            }
            self.enter()?;
        }
        Ok(())
    }

    /// All processes in them, deeper levels too.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for folder in &self.folders {
            walk(folder, &mut |level| {
                let text = fs::read_to_string(level.join("cgroup.procs")).unwrap_or_default();
                pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            });
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Ends what is still in them and removes them.
    pub(crate) fn remove(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            for pid in self.processes() {
                sys::kill(pid, libc::SIGKILL).ok();
            }
            let mut left = None;
            for folder in &self.folders {
                walk(folder, &mut |level| {
                    if let Err(error) = fs::remove_dir(level)
                        && error.kind() != std::io::ErrorKind::NotFound
                    {
                        left = Some((level.to_owned(), error));
                    }
                });
                // The folder of all labs goes with the last of them.
                if let Some(top) = folder.ancestors().find(|level| level.ends_with(TOP)) {
                    fs::remove_dir(top).ok();
                }
            }
            match left {
                None => return Ok(()),
                Some((level, error)) if Instant::now() > end => {
                    return Err(error).with_context(|| format!("remove {}", level.display()));
                }
                Some(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// The folders that hold the labs' cgroups.
pub(crate) fn tops() -> Vec<PathBuf> {
    roots().unwrap_or_default().into_iter().map(|root| root.join(TOP)).collect()
}

/// Visits a folder and all below it, deepest first. What is missing is skipped.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    if !folder.is_dir() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(folder);
}

/// A new cpuset is empty and takes no process until it has CPUs and memory nodes.
fn copy_cpuset(parent: &Path, child: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (parent.join(file), child.join(file));
        if from.is_file() && fs::read_to_string(&to).is_ok_and(|now| now.trim().is_empty()) {
            let value = fs::read(&from).with_context(|| format!("read {}", from.display()))?;
            fs::write(&to, value).with_context(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}

/// Hands the v2 controllers down; one that a parent does not have is no error.
pub(crate) fn enable_controllers(folder: &Path) {
    let available = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}")).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_is_per_controller_and_unified_is_one() {
        let hybrid = "3:cpuset:/\n2:cpu,cpuacct:/a\n1:name=systemd:/\n0::/\n";
        assert_eq!(
            parse_layout(hybrid),
            Layout::PerController(vec![
                "cpuset".into(),
                "cpu,cpuacct".into(),
                "name=systemd".into()
            ])
        );
        assert_eq!(parse_layout("0::/user.slice\n"), Layout::Unified);
        assert_eq!(parse_layout("1:name=systemd:/\n0::/\n"), Layout::Unified);
    }

    #[test]
    fn roots_are_those_of_the_layout() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      proc /proc proc rw 0 0\n";
        assert_eq!(
            parse_roots(&Layout::PerController(vec![]), mounts),
            [PathBuf::from("/sys/fs/cgroup/cpu")]
        );
        assert_eq!(
            parse_roots(&Layout::Unified, mounts),
            [PathBuf::from("/sys/fs/cgroup/unified")]
        );
    }
}

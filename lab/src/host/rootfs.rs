//! The root of a host: the machine's own, read-only below a layer of its own.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use libc::{MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED};

use super::{HostSpec, Kind, Places};
use crate::cgroup::{self, Layout};
use crate::sys::{self, mount};

/// What a machine may hold in these is not the host's: it starts with them empty, and they outlive
/// its reboot. Two of them must not be an overlay, since containerd mounts its own on them.
const OWN_DISK: [&str; 9] = [
    "/etc/cni",
    "/etc/kubernetes",
    "/opt/cni",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/log",
    "/var/tmp",
];

/// Where the machine's root is seen while the host's is being built.
const MACHINE: &str = "/run/.machine";

/// The switch keeps the machine's root; it holds the disks of the others.
pub(super) fn prepare_switch(places: &Places) -> Result<()> {
    mount("", Path::new("/"), "", MS_REC | MS_PRIVATE, "")?;
    // Kept out of the machine's view, and gone with the switch.
    mount("tmpfs", &places.disks, "tmpfs", 0, "mode=755,size=80%")
}

/// Builds the root and makes it this process's own.
pub(super) fn enter(spec: &HostSpec, places: &Places) -> Result<()> {
    let disk = places.disks.join(&spec.name);
    let root = disk.join("root");
    for folder in ["up", "work", "root", "own"] {
        fs::create_dir_all(disk.join(folder)).context("make the host's disk")?;
    }
    mount("", Path::new("/"), "", MS_REC | MS_PRIVATE, "")?;
    let layers = format!(
        "lowerdir=/,upperdir={},workdir={}",
        disk.join("up").display(),
        disk.join("work").display()
    );
    mount("overlay", &root, "overlay", 0, &layers)?;
    mount("tmpfs", &root.join("run"), "tmpfs", 0, "mode=755")?;
    fs::create_dir(root.join(MACHINE.trim_start_matches('/')))?;
    std::env::set_current_dir(&root)?;
    sys::pivot(MACHINE).context("change the root")?;

    // From here a symbolic link of the machine leads inside the new root, never out of it.
    for path in OWN_DISK {
        let own = disk.join("own").join(path.trim_start_matches('/').replace('/', "-"));
        let own = of_machine(&own);
        fs::create_dir_all(&own).context("make the host's disk")?;
        bind(&own, Path::new(path), true)?;
    }
    fs::set_permissions("/var/tmp", fs::Permissions::from_mode(0o1777))?;
    copy_owner("/var/log/frr")?;
    mount(&format!("{MACHINE}/dev"), Path::new("/dev"), "", MS_BIND | MS_REC, "")?;
    mount("tmpfs", Path::new("/dev/shm"), "tmpfs", 0, "mode=1777")?;
    mount("tmpfs", Path::new("/tmp"), "tmpfs", 0, "mode=1777")?;
    let layout = cgroup::layout_in(&Path::new(MACHINE).join("proc"))?;
    mount("proc", Path::new("/proc"), "proc", 0, "")?;
    mount("sysfs", Path::new("/sys"), "sysfs", 0, "")?;
    mount_cgroups(&layout)?;
    fs::create_dir_all("/run/netns")?;
    bind(&of_machine(&places.logs()), Path::new("/var/log/lab"), true)?;

    for bound in &spec.binds {
        let from = of_machine(&bound.from);
        let folder =
            fs::metadata(&from).with_context(|| format!("bind {}", bound.from.display()))?.is_dir();
        bind(&from, &bound.to, folder)?;
        if bound.read_only {
            mount("", &bound.to, "", MS_BIND | MS_REMOUNT | MS_RDONLY, "")?;
        }
    }
    for file in &spec.files {
        let path = &file.path;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, &file.content).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(file.mode))?;
    }
    pretend_sysctls(spec)?;
    sys::detach(MACHINE).context("let go of the machine's root")?;
    fs::remove_dir(MACHINE)?;
    if spec.kind == Kind::Node {
        // Mounts made on the node must reach its pods, and back where a pod asks for it.
        mount("", Path::new("/"), "", MS_REC | MS_SHARED, "")?;
    }
    Ok(())
}

/// A path of the machine while its root is still there.
fn of_machine(path: &Path) -> PathBuf {
    Path::new(MACHINE).join(path.strip_prefix("/").unwrap_or(path))
}

/// Binds a folder or file, making the place for it.
fn bind(from: &Path, to: &Path, folder: bool) -> Result<()> {
    if folder {
        fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    } else if !to.exists() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        }
        fs::write(to, "").with_context(|| format!("make {}", to.display()))?;
    }
    mount(&from.to_string_lossy(), to, "", MS_BIND, "")
}

/// Makes a folder that the machine has, empty but with its owner.
fn copy_owner(path: &str) -> Result<()> {
    if let Ok(model) = fs::metadata(of_machine(Path::new(path))) {
        fs::DirBuilder::new().recursive(true).mode(model.mode()).create(path)?;
        chown(path, Some(model.uid()), Some(model.gid()))?;
    }
    Ok(())
}

/// The controllers as this cgroup namespace sees them: only the host's own part.
fn mount_cgroups(layout: &Layout) -> Result<()> {
    let top = PathBuf::from("/sys/fs/cgroup");
    match layout {
        Layout::Unified => {
            mount("cgroup2", &top, "cgroup2", 0, "")?;
            cgroup::enable_controllers(&top);
        }
        Layout::PerController(hierarchies) => {
            mount("tmpfs", &top, "tmpfs", 0, "mode=755")?;
            for hierarchy in hierarchies {
                let (folder, options) = match hierarchy.strip_prefix("name=") {
                    Some(name) => (name.to_owned(), format!("none,{hierarchy}")),
                    None => (hierarchy.clone(), hierarchy.clone()),
                };
                let place = top.join(&folder);
                fs::create_dir(&place)?;
                mount("cgroup", &place, "cgroup", 0, &options)?;
                for alias in folder.split(',').filter(|alias| *alias != folder) {
                    std::os::unix::fs::symlink(&folder, top.join(alias))?;
                }
            }
        }
    }
    Ok(())
}

/// Puts a file with the wanted value over a machine-wide setting: who checks it finds it set.
fn pretend_sysctls(spec: &HostSpec) -> Result<()> {
    let folder = Path::new("/run/sysctl");
    fs::create_dir_all(folder)?;
    for (key, value) in &spec.pretended_sysctls {
        let file = folder.join(key);
        fs::write(&file, format!("{value}\n"))?;
        let place = Path::new("/proc/sys").join(key.replace('.', "/"));
        if place.exists() {
            mount(&file.to_string_lossy(), &place, "", MS_BIND, "")?;
        }
    }
    Ok(())
}

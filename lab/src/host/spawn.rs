//! From a stored [`HostSpec`] to a running PID 1.

use std::fs::{self, File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{HostSpec, Kind, Places, init, rootfs};
use crate::cgroup::Cgroups;
use crate::interrupt;
use crate::places;
use crate::process::Process;
use crate::sys::{self, Side};

/// Starts a host and waits until its PID 1 serves. `switch` is the lab's first host.
pub(crate) fn create(state: &Path, spec: &HostSpec, switch: Option<Process>) -> Result<Process> {
    let places = Places::of(state, &spec.name);
    fs::create_dir_all(places.logs()).context("make the host's state")?;
    fs::create_dir_all(&places.disks).context("make the lab's state")?;
    fs::remove_file(places.socket()).ok();
    // The spec may hold keys.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(places.spec())
        .context("store the host's spec")?;
    file.write_all(&serde_json::to_vec(spec)?)?;

    let mut command = Command::new(places::program());
    // What `ps` shows: the program itself is named by a link that says nothing.
    command.arg0(format!("lab: host {}", spec.name));
    command.arg("__host").arg(state).arg(&spec.name).stdin(Stdio::null());
    if let Some(switch) = switch {
        command.arg("--switch").arg(switch.pid.to_string());
    }
    command.env(super::MARK, &spec.lab);
    let starting = interrupt::starting()?;
    let output = command.output().context("start a host")?;
    drop(starting);
    if !output.status.success() {
        bail!("host {}: {}", spec.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Process::load(&places.pid())
}

/// `lab __host`: becomes the host's PID 1, by way of a fork that stays behind until it serves.
pub(crate) fn run(state: &Path, name: &str, switch: Option<i32>) -> Result<()> {
    let places = Places::of(state, name);
    let spec: HostSpec = serde_json::from_slice(&fs::read(places.spec())?)?;
    // Named by the machine's paths, so opened before the mount namespace changes.
    let net = match &spec.net_of {
        None => None,
        Some(other) => {
            let pid = Process::load(&Places::of(state, other).pid())?.pid;
            Some(File::open(format!("/proc/{pid}/ns/net"))?)
        }
    };
    let disks = match switch {
        None => None,
        Some(pid) => Some(File::open(format!("/proc/{pid}/ns/mnt"))?),
    };
    let cgroups = Cgroups::of(&spec.lab, Some(name))?;
    cgroups.make()?;
    cgroups.enter()?;
    sys::setsid().ok();

    if let Some(disks) = disks {
        sys::setns(disks.as_fd(), sys::MOUNT.1).context("enter the switch's mounts")?;
    }
    let mut own = vec![sys::MOUNT, sys::UTS, sys::IPC, sys::PID, sys::CGROUP];
    match net {
        Some(net) => {
            sys::setns(net.as_fd(), sys::NET.1).context("enter the other host's network")?
        }
        None => own.push(sys::NET),
    }
    sys::unshare(own.iter().fold(0, |all, (_, flag)| all | flag)).context("unshare")?;
    cgroups.settle()?;

    let (wait, ready) = std::io::pipe()?;
    let (noted, note) = std::io::pipe()?;
    match sys::fork().context("fork")? {
        Side::Child => {
            drop((wait, note));
            become_init(&spec, &places, noted, ready)
        }
        Side::Parent { child } => {
            drop((noted, ready));
            await_ready(wait, note, child, &places)
        }
    }
}

/// The two share a mount namespace, so paths are the machine's only until PID 1 changes the root:
/// it waits until its pid is noted.
fn await_ready(
    mut wait: PipeReader,
    mut note: PipeWriter,
    child: i32,
    places: &Places,
) -> Result<()> {
    let process = Process::of(child).context("PID 1 has ended at once")?;
    process.save(&places.pid())?;
    note.write_all(b"1")?;
    let mut byte = [0];
    if wait.read(&mut byte)? == 0 {
        // Its own words are on standard error already.
        bail!("PID 1 did not come up");
    }
    Ok(())
}

fn become_init(
    spec: &HostSpec,
    places: &Places,
    mut noted: PipeReader,
    mut ready: PipeWriter,
) -> Result<()> {
    sys::setsid().ok();
    noted.read_exact(&mut [0]).context("the starter is gone")?;
    // Both are reached by the machine's paths, which the new root does not have.
    let listener = UnixListener::bind(places.socket()).context("listen for commands")?;
    if spec.kind == Kind::Switch {
        rootfs::prepare_switch(places)?;
    } else {
        rootfs::enter(spec, places)?;
        sys::set_hostname(&spec.name)?;
    }
    for (key, value) in &spec.sysctls {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        // A machine may lack IPv6 or a newer key; what really needs it will say so.
        fs::write(&path, value).ok();
    }
    let logs = match spec.kind {
        Kind::Switch => places.logs(),
        Kind::Node | Kind::Linux => "/var/log/lab".into(),
    };
    let mut init = init::Init::new(listener, spec, logs)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    ready.write_all(b"1")?;
    drop(ready);
    for standard in 0..3 {
        sys::redirect(null.as_fd(), standard)?;
    }
    init.serve()
}

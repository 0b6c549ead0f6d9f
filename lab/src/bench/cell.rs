//! A cell: namespaces of its own for one daemon, one cable to the load generator.
//!
//! The load generator gives itself a network namespace of its own first, so the machine's is never
//! touched. A cell dies with the bench: its PID 1 is told by the kernel when its parent is gone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::feed;
use super::netlink;
use crate::process;
use crate::sys;

/// Peers that a cell has addresses for.
pub(super) const PEERS: usize = 104;

/// How long the cable may take to be up.
const LINK_TIME: Duration = Duration::from_secs(5);

/// What the cell's PID 1 does: own places for what daemons write, then nothing.
const INIT: &str = "set -e
for place in /run /var/tmp /var/log; do mount -t tmpfs tmpfs $place; done
mkdir -p /run/bench /run/openbgpd /run/frr /var/log/frr /run/bird
chown frr:frr /run/frr /var/log/frr 2>/dev/null || true
ip link set lo up
echo ready
exec sleep infinity";

/// Gives this process a network namespace of its own. Call it before threads are started.
pub(super) fn enter_own_network() -> Result<()> {
    sys::unshare(sys::NET.1).context("a network namespace for the load generator")?;
    ip("link set lo up\n")
}

/// Runs a batch of `ip` commands in the load generator's namespace.
fn ip(commands: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("run ip")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes())?;
    }
    if !child.wait()?.success() {
        bail!("ip refused: {commands}");
    }
    Ok(())
}

/// The namespaces of one daemon and what runs in them.
pub(super) struct Cell {
    outer: Child,
    init: i32,
    /// `/proc/PID/ns/pid` of all that runs in it.
    processes: PathBuf,
    children: Vec<Child>,
}

/// What a daemon has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU time of all its processes, seconds.
    pub(super) cpu: f64,
    /// Sum of the peaks of resident memory (VmHWM) of all its processes, bytes.
    pub(super) memory: u64,
}

impl Cell {
    pub(super) fn new() -> Result<Cell> {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"])
            .args(["--propagation", "private", "--mount-proc", "sh", "-c", INIT])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        sys::die_with_parent(&mut command);
        let mut outer = command.spawn().context("run unshare")?;
        let stdout = outer.stdout.take().ok_or_else(|| anyhow!("unshare has no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let children = format!("/proc/{0}/task/{0}/children", outer.id());
        let init = fs::read_to_string(children).ok().and_then(|text| text.trim().parse().ok());
        let Some(init) = init.filter(|_| line == "ready\n") else {
            let _ = outer.kill();
            let out = outer.wait_with_output()?;
            bail!("no namespaces for a daemon: {}", String::from_utf8_lossy(&out.stderr).trim());
        };
        let processes = fs::read_link(format!("/proc/{init}/ns/pid"))?;
        let cell = Cell { outer, init, processes, children: Vec::new() };
        cell.cable()?;
        Ok(cell)
    }

    /// One veth: the daemon's end has its address, ours those of all peers.
    fn cable(&self) -> Result<()> {
        let router = std::net::Ipv4Addr::from(feed::ROUTER);
        let mut ours = format!("link add bench0 type veth peer name up0 netns {}\n", self.init);
        for peer in 0..PEERS {
            let address = std::net::Ipv4Addr::from(feed::address(peer));
            ours.push_str(&format!("addr add {address}/16 dev bench0\n"));
        }
        ours.push_str("link set bench0 up\n");
        ip(&ours)?;
        for words in [
            &["addr", "add", &format!("{router}/16"), "dev", "up0"][..],
            &["link", "set", "up0", "up"],
        ] {
            let done = self.command("ip").args(words).status().context("run ip")?;
            if !done.success() {
                bail!("ip {words:?} failed in the daemon's namespace");
            }
        }
        self.wait_for_link()
    }

    /// The kernel says up to a second late that a link is up, and a router that asks for that would
    /// be measured on one that is down.
    fn wait_for_link(&self) -> Result<()> {
        let deadline = Instant::now() + LINK_TIME;
        loop {
            let out = self.command("ip").args(["-br", "link", "show", "up0"]).output()?;
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            if text.split_whitespace().nth(1) == Some("UP") {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the cable does not come up: {text}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A command that will run in the cell.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init));
        command.args(["--net", "--mount", "--pid", "--ipc", "--uts", "--", program]);
        command.stdin(Stdio::null());
        command
    }

    /// A file of the cell, seen from here.
    fn outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.outside(path), text).with_context(|| format!("write {path} in the cell"))
    }

    /// Starts a program of the daemon; what it prints goes to a file of the cell.
    pub(super) fn start(&mut self, words: &[String]) -> Result<()> {
        let (program, args) = words.split_first().ok_or_else(|| anyhow!("no program"))?;
        let log = File::options().create(true).append(true).open(self.outside("/run/bench/log"))?;
        let mut command = self.command(program);
        command.args(args).stdout(log.try_clone()?).stderr(log);
        self.children.push(command.spawn().with_context(|| format!("run {program}"))?);
        Ok(())
    }

    /// The last lines that its programs printed.
    pub(super) fn log(&self) -> String {
        let text = fs::read_to_string(self.outside("/run/bench/log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(2)..].join("\n")
    }

    /// Waits until a file is there.
    pub(super) fn wait_for(&self, path: &str, deadline: Instant) -> Result<()> {
        while !self.outside(path).exists() {
            if Instant::now() > deadline {
                bail!("{path} does not appear: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The daemon's processes, by pid outside, with their names.
    pub(super) fn programs(&self) -> BTreeMap<i32, String> {
        let ours = |pid: &i32| {
            *pid != self.init
                && fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns == self.processes)
        };
        process::all()
            .into_iter()
            .filter(ours)
            .map(|pid| {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                (pid, name.trim().to_owned())
            })
            .collect()
    }

    /// CPU time and peak memory of all its processes.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for pid in self.programs().into_keys() {
            usage.cpu += cpu_time(pid).unwrap_or_default();
            usage.memory += memory(pid, "VmHWM:").unwrap_or_default();
        }
        usage
    }

    /// Memory that all its processes have now (VmRSS), bytes.
    pub(super) fn resident(&self) -> u64 {
        self.programs().into_keys().filter_map(|pid| memory(pid, "VmRSS:")).sum()
    }

    /// A netlink socket that hears of the cell's routes.
    pub(super) fn netlink(&self) -> Result<OwnedFd> {
        self.netlink_socket(true)
    }

    /// A netlink socket that writes the cell's routes.
    pub(super) fn netlink_writer(&self) -> Result<OwnedFd> {
        self.netlink_socket(false)
    }

    /// The number of the daemon's end of the cable.
    pub(super) fn link(&self) -> Result<u32> {
        let out = self.command("ip").args(["-o", "link", "show", "up0"]).output()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let number = text.split(':').next().and_then(|text| text.trim().parse().ok());
        number.ok_or_else(|| anyhow!("the cable has no number: {text}"))
    }

    /// Lets nobody else read a file: some daemons refuse it otherwise.
    pub(super) fn secret(&self, path: &str) -> Result<()> {
        Ok(fs::set_permissions(self.outside(path), fs::Permissions::from_mode(0o600))?)
    }

    fn netlink_socket(&self, listens: bool) -> Result<OwnedFd> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.init))?;
        // A thread of its own goes there: the rest of the process stays where it is.
        let open = move || -> Result<OwnedFd> {
            sys::setns(namespace.as_fd(), sys::NET.1).context("enter the daemon's network")?;
            Ok(netlink::open(listens)?)
        };
        std::thread::spawn(open).join().map_err(|_| anyhow!("the entering thread panicked"))?
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // The kernel ends all of the PID namespace with its PID 1, and the links with their last
        // namespace; the cable is taken away at once, since the next cell uses its name.
        let _ = ip("link del bench0\n");
        let _ = sys::kill(self.init, libc::SIGKILL);
        for child in &mut self.children {
            let _ = child.wait();
        }
        let _ = self.outer.wait();
    }
}

/// CPU time of a process, ended threads included, in nanosecond steps.
pub(super) fn cpu_time(pid: i32) -> Option<f64> {
    let mut clock = 0;
    // SAFETY: an all-zero timespec is a valid value, and both calls write only what they are given.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        if libc::clock_getcpuclockid(pid, &mut clock) != 0
            || libc::clock_gettime(clock, &mut time) != 0
        {
            return None;
        }
        Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
    }
}

fn memory(pid: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

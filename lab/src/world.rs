//! A running lab, as the command line, the demo and the tests use it.
//!
//! In short:
//! ```text
//! Lab::up(&UpOptions { topology: "sart".into(), mode: Mode::Dual, ..UpOptions::default() }, &progress) -> Result<Lab>
//! Lab::open(name: Option<&str>) -> Result<Lab>      the only one that is up, or the named one
//! Lab::down(name: &str) -> Result<()>               also what is left of a crashed one
//! lab.hosts() -> &[Host]; lab.host(name) -> Result<&Host>     name, kind, v4, v6
//! lab.exec(host, &["ip", "addr"]) -> Result<Output>           any exit status
//! lab.run(host, &["ip", "addr"]) -> Result<String>            stdout; an error for a bad status
//! lab.spawn(host, Command) -> Result<Child>                   runs beside, in the whole host
//! lab.kubectl(&["get", "pods"]) -> Result<String>; lab.kubectl_input(&["apply", "-f", "-"], text)
//! lab.kubectl_output(&[..]) -> Result<Output>; lab.kubectl_command() -> Command for lab.spawn_network
//! lab.kill(host, Some("bgpd")); lab.kill(host, None)          SIGKILL; what PID 1 runs, and a host, stays away
//! lab.start(host, Some("kube-apiserver")); lab.start(host, None); lab.stop(..); lab.reboot(host)
//! lab.unplug(host, "eth1"); lab.plug(host, "eth1")            carrier only
//! lab.processes(host, "bgpd") -> Vec<pid>; lab.logs(host) -> PathBuf (kubelet.log, audit.log, …)
//! lab.images() -> PathBuf                                     the registry's store
//! ```

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroups;
use crate::host::control::{self, Program, Reply, Request, Service};
use crate::host::enter::{self, Depth};
use crate::host::{Kind, Places};
use crate::net::{self, SWITCH};
use crate::places;
use crate::process::{self, Process};
use crate::topology::clab::Link;
use crate::topology::kind::Cluster;

pub(crate) use crate::bring_up::Mode;

/// All that is remembered of a lab; stored as `world.json` in its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) topology: String,
    pub(crate) mode: Mode,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
    pub(crate) cluster: Option<Cluster>,
    /// The folder with the programs that the lab has built.
    pub(crate) parts: PathBuf,
}

/// One host. Nodes come first, then those of the network file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// From 1; gives the addresses on the management network.
    pub(crate) number: u16,
    /// Lives in the network namespace of this host.
    pub(crate) net_of: Option<String>,
    /// What the network file says that it is made of.
    pub(crate) image: Option<String>,
    /// Commands that set it up, in words.
    pub(crate) exec: Vec<Vec<String>>,
    /// Started at once.
    pub(crate) early: Vec<Service>,
    /// Started when the cluster's API answers.
    pub(crate) late: Vec<Service>,
    /// `ip` commands for its network namespace, after eth0.
    pub(crate) routes: String,
    pub(crate) env: Vec<(String, String)>,
}

impl Host {
    /// eth0's address.
    pub(crate) fn v4(&self) -> Ipv4Addr {
        net::management(self.number).0
    }

    /// eth0's other address.
    pub(crate) fn v6(&self) -> Ipv6Addr {
        net::management(self.number).1
    }
}

/// A handle to a lab that is up.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    pub(crate) world: World,
    pub(crate) state: PathBuf,
}

impl Lab {
    /// The lab of this name, or the only one that is up.
    ///
    /// # Errors
    /// When there is none, or several and no name.
    pub(crate) fn open(name: Option<&str>) -> Result<Lab> {
        let name = match (name, names().as_slice()) {
            (Some(name), _) => name.to_owned(),
            (None, [only]) => only.clone(),
            (None, []) => bail!("no lab is up; start one with: cargo lab up"),
            (None, several) => {
                bail!("several labs are up, choose with --lab: {}", several.join(", "))
            }
        };
        let state = places::state(&name);
        let file = state.join("world.json");
        let text = fs::read(&file).with_context(|| format!("there is no lab {name:?}"))?;
        let world = serde_json::from_slice(&text)
            .with_context(|| format!("{} is of another version; cargo lab down", file.display()))?;
        Ok(Lab { world, state })
    }

    pub(crate) fn name(&self) -> &str {
        &self.world.name
    }

    /// All hosts, nodes first.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.world.hosts
    }

    /// The host of this name.
    ///
    /// # Errors
    /// Lists the names when there is no such host.
    pub(crate) fn host(&self, name: &str) -> Result<&Host> {
        self.world.hosts.iter().find(|host| host.name == name).with_context(|| {
            let names: Vec<_> = self.world.hosts.iter().map(|host| host.name.as_str()).collect();
            format!("no host {name:?} in lab {}; there is {}", self.world.name, names.join(", "))
        })
    }

    pub(crate) fn places(&self, host: &str) -> Places {
        Places::of(&self.state, host)
    }

    /// The log files of a host's programs, seen from the machine.
    pub(crate) fn logs(&self, host: &str) -> PathBuf {
        self.places(host).logs()
    }

    /// The images that the lab's registry serves.
    pub(crate) fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// The administrator's kubeconfig. The API server is reached from the lab's network only.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// PID 1 of a host that runs.
    ///
    /// # Errors
    /// When the host is unknown or down.
    pub(crate) fn init(&self, host: &str) -> Result<Process> {
        if host != SWITCH {
            self.host(host)?;
        }
        match Process::load(&self.places(host).pid()) {
            Ok(process) if process.alive() => Ok(process),
            _ => bail!("host {host} is down; start it with: cargo lab start {host}"),
        }
    }

    /// Starts a command in a host. Set its standard descriptors before.
    pub(crate) fn spawn(&self, host: &str, command: Command) -> Result<Child> {
        let init = self.init(host)?;
        let mut command = command;
        if let Ok(known) = self.host(host) {
            command.envs(known.env.iter().cloned());
        }
        enter::spawn(self.name(), host, init, Depth::Whole, command)
    }

    /// Starts a command of the machine in a host's network.
    pub(crate) fn spawn_network(&self, host: &str, command: Command) -> Result<Child> {
        enter::spawn(self.name(), host, self.init(host)?, Depth::Network, command)
    }

    /// Runs a command in a host and keeps what it prints, whatever its exit status.
    pub(crate) fn exec(&self, host: &str, words: &[&str]) -> Result<Output> {
        let child = self.spawn(host, captured(words)?)?;
        Ok(child.wait_with_output()?)
    }

    /// Runs a command in a host: its standard output.
    ///
    /// # Errors
    /// When its exit status is not 0; carries what it printed.
    pub(crate) fn run(&self, host: &str, words: &[&str]) -> Result<String> {
        success(&format!("{host}: {}", words.join(" ")), self.exec(host, words)?)
    }

    /// The control plane's name.
    ///
    /// # Errors
    /// When the lab has no cluster.
    pub(crate) fn control_plane(&self) -> Result<&str> {
        let cluster = self.world.cluster.as_ref().context("this lab has no Kubernetes cluster")?;
        Ok(cluster.nodes.first().map_or("", |node| node.name.as_str()))
    }

    /// `kubectl` with the lab's kubeconfig; files are the machine's. For [`Lab::spawn_network`].
    pub(crate) fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.world.parts.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    /// Runs `kubectl`: all that it prints, whatever its exit status. `input` is its standard input.
    pub(crate) fn kubectl_output(&self, args: &[&str], input: Option<&str>) -> Result<Output> {
        let mut command = self.kubectl_command();
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.spawn_network(self.control_plane()?, command)?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // Beside, so that neither waits for the other's full pipe.
                scope.spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
            }
            Ok(child.wait_with_output()?)
        })
    }

    /// Runs `kubectl`: its standard output.
    ///
    /// # Errors
    /// When its exit status is not 0; carries what it printed.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        success(&format!("kubectl {}", args.join(" ")), self.kubectl_output(args, None)?)
    }

    /// Runs `kubectl` with something to read: its standard output.
    pub(crate) fn kubectl_input(&self, args: &[&str], input: &str) -> Result<String> {
        success(&format!("kubectl {}", args.join(" ")), self.kubectl_output(args, Some(input))?)
    }

    /// The programs that a host's PID 1 has started.
    pub(crate) fn programs(&self, host: &str) -> Result<Vec<Program>> {
        self.init(host)?;
        control::list(&self.places(host).socket())
    }

    /// Runs a program under a host's PID 1; its output goes to `NAME.log` in [`Lab::logs`].
    pub(crate) fn service(&self, host: &str, service: Service) -> Result<()> {
        self.ask(host, &Request::Run(service))
    }

    /// Sends a request to a host's PID 1.
    pub(crate) fn ask(&self, host: &str, request: &Request) -> Result<()> {
        self.init(host)?;
        match control::ask(&self.places(host).socket(), request)? {
            Reply::Done | Reply::Programs(_) => Ok(()),
            Reply::Refused(reason) => bail!(reason),
        }
    }

    /// The machine's pids of a host's processes whose name, program or command line is this.
    ///
    /// `"sartd bgp"` matches by the first words of the command line.
    pub(crate) fn processes(&self, host: &str, program: &str) -> Result<Vec<i32>> {
        let init = self.init(host)?;
        let inside = Cgroups::of(self.name(), Some(host))?.processes();
        Ok(inside
            .into_iter()
            .filter(|pid| *pid != init.pid)
            .filter(|pid| {
                process::command_line(*pid).is_some_and(|line| is_program(&line, program))
            })
            .collect())
    }

    /// The cables of a host: index, the host's side, the cable. With those of hosts that share its
    /// network.
    pub(crate) fn cables(&self, host: &str) -> Vec<(usize, usize, &Link)> {
        let owner = |name: &str| -> bool {
            name == host
                || self
                    .world
                    .hosts
                    .iter()
                    .any(|h| h.name == name && h.net_of.as_deref() == Some(host))
        };
        let mut found = Vec::new();
        for (index, link) in self.world.links.iter().enumerate() {
            for (side, end) in link.ends.iter().enumerate() {
                if owner(&end.host) {
                    found.push((index, side, link));
                }
            }
        }
        found
    }

    /// Gives a host its eth0.
    pub(crate) fn connect(&self, host: &Host) -> Result<()> {
        if host.net_of.is_some() {
            return Ok(());
        }
        let (switch, init) = (self.init(SWITCH)?, self.init(&host.name)?);
        let cable = net::management_cable(host.number, init);
        net::batch(self.name(), SWITCH, switch, &cable)?;
        let commands = net::management_address(host.number) + &host.routes;
        net::batch(self.name(), &host.name, init, &commands)
    }

    /// Runs a host's own commands.
    pub(crate) fn set_up(&self, host: &Host) -> Result<()> {
        for words in &host.exec {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.run(&host.name, &words).with_context(|| format!("set up {}", host.name))?;
        }
        Ok(())
    }

    pub(crate) fn save(&self) -> Result<()> {
        let file = self.state.join("world.json");
        fs::write(&file, serde_json::to_vec_pretty(&self.world)?)
            .with_context(|| format!("write {}", file.display()))
    }
}

/// The labs that have state or cgroups on this machine, whole or what is left of them.
pub(crate) fn names() -> Vec<String> {
    let mut folders = vec![places::labs()];
    folders.extend(crate::cgroup::tops());
    let mut names: Vec<String> = folders
        .iter()
        .flat_map(fs::read_dir)
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            entry.file_type().ok()?.is_dir().then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn captured(words: &[&str]) -> Result<Command> {
    let (program, args) = words.split_first().context("no command given")?;
    let mut command = Command::new(program);
    command.args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Standard output of a command that went well.
pub(crate) fn success(what: &str, output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    bail!("{what}: {}: {}", output.status, [text.trim(), errors.trim()].join(" ").trim())
}

/// True when a command line runs this program: `bgpd`, `/usr/lib/frr/bgpd`, or its first words.
fn is_program(line: &str, program: &str) -> bool {
    let first = line.split(' ').next().unwrap_or_default();
    let short = Path::new(first).file_name().and_then(|name| name.to_str()).unwrap_or(first);
    let rest = line.get(first.len()..).unwrap_or_default();
    first == program
        || short == program
        || (program.contains(' ') && format!("{short}{rest} ").starts_with(&format!("{program} ")))
}

#[cfg(test)]
mod tests {
    use super::is_program;

    #[test]
    fn programs_are_found_by_name_path_or_first_words() {
        let line = "/usr/lib/frr/bgpd -d -F traditional";
        for (program, found) in [
            ("bgpd", true),
            ("/usr/lib/frr/bgpd", true),
            ("bgpd -d", true),
            ("bgp", false),
            ("bgpd -F", false),
            ("-d", false),
        ] {
            assert_eq!(is_program(line, program), found, "{program}");
        }
        assert!(is_program("sartd bgp --file x", "sartd bgp"));
        assert!(!is_program("sartd bgpx", "sartd bgp"));
    }
}

//! What a test does to a running lab: programs, hosts and cables fail and come back.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cgroup::Cgroups;
use crate::host::control::Request;
use crate::host::{self, HostSpec};
use crate::net::{self, SWITCH};
use crate::sys;
use crate::world::Lab;

impl Lab {
    /// Kills a program with SIGKILL, or (without one) the whole host, which then stays down:
    /// its processes, its network and what is in its memory are gone, its disk is kept.
    pub(crate) fn kill(&self, host: &str, program: Option<&str>) -> Result<()> {
        let Some(program) = program else { return self.kill_host(host) };
        self.signal(host, program, libc::SIGKILL)
    }

    /// Asks a program to end with SIGTERM.
    pub(crate) fn stop(&self, host: &str, program: &str) -> Result<()> {
        self.signal(host, program, libc::SIGTERM)
    }

    fn signal(&self, host: &str, program: &str, signal: i32) -> Result<()> {
        let programs = self.programs(host)?;
        if programs.iter().any(|known| known.name == program) {
            self.ask(host, &Request::Signal(program.to_owned(), signal))?;
            return self.wait_ended(host, program);
        }
        let pids = self.processes(host, program)?;
        if pids.is_empty() {
            let known: Vec<_> = programs.iter().map(|p| p.name.as_str()).collect();
            bail!("{host} runs no {program:?}; under its PID 1: {}", known.join(", "));
        }
        for pid in pids {
            sys::kill(pid, signal)?;
        }
        Ok(())
    }

    fn wait_ended(&self, host: &str, program: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while self.programs(host)?.iter().any(|p| p.name == program && p.pid.is_some()) {
            if Instant::now() > end {
                bail!("{program} on {host} has not ended within 30 s");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn kill_host(&self, host: &str) -> Result<()> {
        let init = self.init(host)?;
        // Who shares its network goes with it, as their container would.
        for other in self.world.hosts.iter().filter(|h| h.net_of.as_deref() == Some(host)) {
            if let Ok(init) = self.init(&other.name) {
                init.kill(libc::SIGKILL)?;
                init.wait_gone(Duration::from_secs(10))?;
            }
        }
        init.kill(libc::SIGKILL)?;
        init.wait_gone(Duration::from_secs(10))?;
        Cgroups::of(self.name(), Some(host))?.remove(Duration::from_secs(10))?;
        // The other ends of its cables lose their carrier.
        let mut commands = String::new();
        for (index, side, _) in self.cables(host) {
            commands.push_str(&net::carrier(index, &[1 - side], false));
            commands.push_str(&net::remove_end(index, side));
        }
        if let Ok(known) = self.host(host) {
            commands.push_str(&format!("link del m{}\n", known.number));
        }
        // What the kernel has taken away already is done.
        self.switch_batch_forced(&commands)
    }

    /// Takes the carrier from both ends of the cable at this interface.
    pub(crate) fn unplug(&self, host: &str, interface: &str) -> Result<()> {
        self.carrier(host, interface, false)
    }

    /// Gives it back.
    pub(crate) fn plug(&self, host: &str, interface: &str) -> Result<()> {
        self.carrier(host, interface, true)
    }

    fn carrier(&self, host: &str, interface: &str, up: bool) -> Result<()> {
        let known = self.host(host)?;
        let owner = known.net_of.as_deref().unwrap_or(host);
        let cables = self.cables(owner);
        let cable = cables.iter().find(|(_, side, link)| link.ends[*side].interface == interface);
        let Some((index, _, _)) = cable else {
            let names: Vec<_> =
                cables.iter().map(|(_, side, link)| link.ends[*side].interface.as_str()).collect();
            bail!("{host} has no cable at {interface:?}; there is {}", names.join(", "));
        };
        net::batch(self.name(), SWITCH, self.init(SWITCH)?, &net::carrier(*index, &[0, 1], up))
    }

    fn switch_batch_forced(&self, commands: &str) -> Result<()> {
        let mut ip = Command::new("ip");
        ip.args(["-force", "-batch", "-"]);
        ip.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = self.spawn_network(SWITCH, ip)?;
        if let Some(mut stdin) = child.stdin.take() {
            std::io::Write::write_all(&mut stdin, commands.as_bytes())?;
        }
        child.wait()?;
        Ok(())
    }

    /// Starts a program that a host's PID 1 has run before, or (without one) a host that is down.
    pub(crate) fn start(&self, host: &str, program: Option<&str>) -> Result<()> {
        match program {
            Some(program) => self.ask(host, &Request::Start(program.to_owned())),
            None => self.start_host(host),
        }
    }

    /// Kills a host and starts it again: its disk is kept, all else is gone.
    pub(crate) fn reboot(&self, host: &str) -> Result<()> {
        self.kill_host(host)?;
        self.start_host(host)
    }

    fn start_host(&self, host: &str) -> Result<()> {
        let known = self.host(host)?;
        if self.init(host).is_ok() {
            bail!("host {host} runs already");
        }
        if let Some(other) = &known.net_of {
            self.init(other)?;
        }
        let switch = self.init(SWITCH)?;
        let mut started = vec![known];
        started.extend(self.world.hosts.iter().filter(|h| h.net_of.as_deref() == Some(host)));
        for each in &started {
            let text = fs::read(self.places(&each.name).spec()).context("read the host's spec")?;
            let spec: HostSpec = serde_json::from_slice(&text)?;
            host::create(&self.state, &spec, Some(switch))?;
        }
        self.connect(known)?;
        let mut commands = String::new();
        let init = self.init(host)?;
        for (index, side, link) in self.cables(host) {
            commands.push_str(&net::cable_end(index, side, link, init));
            commands.push_str(&net::carrier(index, &[0, 1], true));
        }
        net::batch(self.name(), SWITCH, switch, &commands)?;
        for each in &started {
            self.set_up(each)?;
            for service in each.early.iter().chain(&each.late) {
                self.service(&each.name, service.clone())?;
            }
        }
        Ok(())
    }
}

//! What routes of BGP do in the kernels of all hosts while something breaks: nothing.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};

use super::ctx::Ctx;

/// Of a list of changes so many are named.
const NAMED: usize = 8;

/// Watches them until [`Routes::unmoved`].
///
/// A route that goes away and comes back, or a leg of it, moves flows that no probe may be part of:
/// a masqueraded connection that leaves by another link ends there.
pub(crate) struct Routes {
    watchers: Vec<Watcher>,
}

struct Watcher {
    host: String,
    monitor: Child,
    /// Reads on, so that the monitor never waits; gives what is said of BGP's routes.
    reader: JoinHandle<Vec<String>>,
}

impl Routes {
    /// Starts `ip monitor` in the network of each host.
    pub(crate) fn watch(ctx: &Ctx) -> Result<Self> {
        let mut routes = Self { watchers: Vec::new() };
        for host in ctx.lab.hosts().iter().filter(|host| host.net_of.is_none()) {
            let mut command = Command::new("ip");
            command.args(["-o", "-ts", "monitor", "route"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut monitor = ctx.lab.spawn_network(&host.name, command)?;
            let said = BufReader::new(monitor.stdout.take().context("no output")?);
            let reader = thread::spawn(move || {
                let lines = said.lines().map_while(Result::ok);
                lines.filter(|line| line.contains("proto bgp")).collect()
            });
            routes.watchers.push(Watcher { host: host.name.clone(), monitor, reader });
        }
        Ok(routes)
    }

    /// Ends the watch; no route of BGP may have come, gone or changed on any host.
    pub(crate) fn unmoved(mut self) -> Result<()> {
        let mut moved = Vec::new();
        for Watcher { host, mut monitor, reader } in std::mem::take(&mut self.watchers) {
            let gone = monitor.try_wait()?;
            monitor.kill()?;
            monitor.wait()?;
            ensure!(gone.is_none(), "ip monitor on {host} has ended by itself: {gone:?}");
            let lines = reader.join().map_err(|_| anyhow!("the reader on {host} panicked"))?;
            moved.extend(lines.into_iter().map(|line| format!("{host}: {line}")));
        }
        let named = moved.iter().take(NAMED).cloned().collect::<Vec<_>>().join("\n");
        ensure!(moved.is_empty(), "{} routes moved, first\n{named}", moved.len());
        Ok(())
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        for watcher in &mut self.watchers {
            let _ = watcher.monitor.kill();
            let _ = watcher.monitor.wait();
        }
    }
}

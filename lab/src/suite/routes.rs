//! What routes of BGP do in the kernels of all hosts while something breaks: nothing.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::ctx::Ctx;

/// Of a list of changes so many are named.
const NAMED: usize = 8;

/// Watches them until [`Routes::unmoved`].
///
/// A route that goes away and comes back, or a leg of it, moves flows that no probe may be part of:
/// a masqueraded connection that leaves by another link ends there.
pub(crate) struct Routes {
    watchers: Vec<(String, Child)>,
}

impl Routes {
    /// Starts `ip monitor` in the network of each host.
    pub(crate) fn watch(ctx: &Ctx) -> Result<Self> {
        let mut routes = Self { watchers: Vec::new() };
        for host in ctx.lab.hosts().iter().filter(|host| host.net_of.is_none()) {
            let mut command = Command::new("ip");
            command.args(["-o", "-ts", "monitor", "route"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let watcher = ctx.lab.spawn_network(&host.name, command)?;
            routes.watchers.push((host.name.clone(), watcher));
        }
        Ok(routes)
    }

    /// Ends the watch; no route of BGP may have come, gone or changed on any host.
    pub(crate) fn unmoved(mut self) -> Result<()> {
        let mut moved = Vec::new();
        for (host, mut watcher) in std::mem::take(&mut self.watchers) {
            let gone = watcher.try_wait()?;
            ensure!(gone.is_none(), "ip monitor on {host} has ended by itself: {gone:?}");
            watcher.kill()?;
            let mut text = String::new();
            watcher.stdout.take().context("no output")?.read_to_string(&mut text)?;
            watcher.wait()?;
            let of_bgp = text.lines().filter(|line| line.contains("proto bgp"));
            moved.extend(of_bgp.map(|line| format!("{host}: {line}")));
        }
        let named = moved.iter().take(NAMED).cloned().collect::<Vec<_>>().join("\n");
        ensure!(moved.is_empty(), "{} routes moved, first\n{named}", moved.len());
        Ok(())
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        for (_, watcher) in &mut self.watchers {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }
}

//! The routers of other makes: their configuration, and how their daemons are ended and started.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::feature::{Cell, folder};
use crate::suite::ctx::Ctx;
use crate::suite::wait::{s, wait_for};

/// One of them.
#[derive(Debug)]
pub(super) struct Peer {
    /// What the features' files call it.
    pub(super) name: &'static str,
    /// The peer whose part it has where a feature's file does not speak of it.
    pub(super) like: Option<&'static str>,
    pub(super) host: &'static str,
    /// What people call it.
    pub(super) title: &'static str,
    /// Number of its link and last octet of its router id.
    pub(super) number: u8,
    /// Each session's address with sart, and the families it has; all when empty.
    pub(super) sessions: &'static [(&'static str, &'static [&'static str])],
    /// Templates in the features' folder; on the host they lie in /run/interop.
    files: &'static [&'static str],
    /// The daemon's processes; the first is the one that is started.
    programs: &'static [&'static str],
    /// Starts it. `$again` is set when it comes back after a crash.
    start: &'static str,
    /// Prints its version.
    version: &'static str,
}

/// In the order of the table. Number N has link N and AS number 65000 + N.
pub(super) const PEERS: &[Peer] = &[
    Peer {
        name: "frr",
        like: None,
        host: "frr0",
        title: "FRR",
        number: 1,
        sessions: &[("192.168.1.2", &[])],
        files: &["frr.conf"],
        programs: &["bgpd", "watchfrr", "staticd", "bfdd"],
        start: "chown frr: /run/interop/frr.conf
            /usr/lib/frr/bgpd -d -A 127.0.0.1 -f /run/interop/frr.conf
            until vtysh -d bgpd -c 'show bgp summary' >/dev/null 2>&1; do sleep 0.05; done",
        version: "/usr/lib/frr/bgpd --version | sed -n 's/.*version //p'",
    },
    Peer {
        name: "bird",
        like: None,
        host: "bird0",
        title: "BIRD",
        number: 2,
        sessions: &[("192.168.2.2", &[])],
        files: &["bird.conf"],
        programs: &["bird"],
        start: "mkdir -p /run/bird; bird -c /run/interop/bird.conf ${again:+-R}",
        version: "bird --version 2>&1 | sed 's/.*version //'",
    },
    Peer {
        name: "gobgp",
        like: None,
        host: "gobgp0",
        title: "GoBGP",
        number: 3,
        sessions: &[("192.168.3.2", &[])],
        files: &["gobgp.toml", "gobgp.sh"],
        programs: &["gobgpd"],
        start: GOBGPD,
        version: GOBGPD_VERSION,
    },
    Peer {
        name: "gobgp4",
        like: Some("gobgp"),
        host: "gobgp4",
        title: "GoBGP",
        number: 6,
        sessions: &[("192.168.6.2", &[])],
        files: &["gobgp.toml", "gobgp.sh"],
        programs: &["gobgpd"],
        start: GOBGPD,
        version: GOBGPD_VERSION,
    },
    Peer {
        name: "openbgpd",
        like: None,
        host: "openbgpd0",
        title: "OpenBGPD",
        number: 4,
        // One for each family: over IPv4 it would say ::1 as next hop of IPv6 routes.
        sessions: &[("192.168.4.2", &["ipv4"]), ("fd00:192:168:4::2", &["ipv6"])],
        files: &["openbgpd.conf"],
        programs: &["bgpd"],
        start: "chmod 600 /run/interop/openbgpd.conf; mkdir -p /run/openbgpd
            bgpd -f /run/interop/openbgpd.conf
            until bgpctl show >/dev/null 2>&1; do sleep 0.05; done",
        version: "bgpd -V 2>&1 | sed 's/OpenBGPD //'",
    },
    Peer {
        name: "exabgp",
        like: None,
        host: "exabgp0",
        title: "ExaBGP",
        number: 5,
        sessions: &[("192.168.5.2", &[])],
        files: &["exabgp.conf", "exabgp.sh"],
        programs: &["python3", "tail", "cat"],
        start: "chmod +x /run/interop/exabgp.sh; : >/run/interop/commands; : >/run/interop/seen
            if grep -q passive /run/interop/exabgp.conf; then bind=exabgp.tcp.bind=0.0.0.0; fi
            setsid env exabgp.daemon.user=root exabgp.api.cli=false $bind \
                exabgp /run/interop/exabgp.conf >>/var/log/lab/exabgp.log 2>&1 </dev/null &",
        version: "exabgp --version 2>&1 | sed -n 's/ExaBGP : //p'",
    },
];

const GOBGPD: &str = "setsid gobgpd -f /run/interop/gobgp.toml ${again:+-r} \
        >>/var/log/lab/gobgpd.log 2>&1 </dev/null &
    until gobgp global >/dev/null 2>&1; do sleep 0.05; done
    . /run/interop/gobgp.sh";
const GOBGPD_VERSION: &str = "gobgpd --version | sed 's/.*version //'";

impl Peer {
    /// Ends its daemon with SIGKILL, so that nothing of it is left.
    pub(super) fn stop(&self, ctx: &Ctx) -> Result<()> {
        wait_for(format_args!("{} has ended", self.title), s(10), || {
            for program in self.programs {
                let left = ctx.lab.processes(self.host, program)?;
                if !left.is_empty() {
                    // Some end by themselves when others do, maybe right now.
                    ctx.lab.kill(self.host, Some(program)).ok();
                    bail!("{program} runs as {left:?}");
                }
            }
            Ok(())
        })
    }

    /// Kills the daemon alone, as a crash would.
    pub(super) fn crash(&self, ctx: &Ctx) -> Result<()> {
        let program = self.programs.first().copied().unwrap_or_default();
        ctx.lab.kill(self.host, Some(program))?;
        wait_for(format_args!("{} has ended", self.title), s(10), || {
            ensure!(ctx.lab.processes(self.host, program)?.is_empty(), "it runs");
            Ok(())
        })
    }

    /// Its files, with a cell's lines in their places.
    ///
    /// # Errors
    /// When a place that the cell names is in no file.
    pub(super) fn files(&self, cell: &Cell) -> Result<Vec<(&'static str, String)>> {
        let mut used = Vec::new();
        let mut files = Vec::new();
        for file in self.files {
            let path = folder().join(file);
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let mut parts = text.split('@');
            let mut filled = parts.next().unwrap_or_default().to_owned();
            // Between two signs stands a place: NAME, or NAME=what is there if nothing is said.
            while let (Some(place), Some(rest)) = (parts.next(), parts.next()) {
                let (name, default) = place.split_once('=').unwrap_or((place, ""));
                used.push(name.to_owned());
                filled += cell.config.get(name).map_or(default, |lines| lines.trim_end());
                filled += rest;
            }
            files.push((*file, self.fill(&filled)));
        }
        for name in cell.config.keys() {
            ensure!(used.contains(name), "{} has no place {name:?}; it has {used:?}", self.title);
        }
        Ok(files)
    }

    /// Writes its files.
    pub(super) fn configure(&self, ctx: &Ctx, cell: &Cell) -> Result<()> {
        for (file, text) in self.files(cell)? {
            put(ctx, self.host, file, &text)?;
        }
        Ok(())
    }

    /// Starts its daemon; `again`: after a crash.
    pub(super) fn start(&self, ctx: &Ctx, again: bool) -> Result<()> {
        let again = if again { "again=1\n" } else { "again=\n" };
        let script = format!("{again}{}", self.start);
        ctx.lab.run(self.host, &["timeout", "20", "sh", "-ec", &script]).map(drop)
    }

    /// Its version, in words.
    pub(super) fn version(&self, ctx: &Ctx) -> Result<String> {
        let said = ctx.lab.run(self.host, &["sh", "-c", self.version])?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// A text with this peer's numbers and addresses in it.
    pub(super) fn fill(&self, text: &str) -> String {
        let n = self.number;
        let words = [
            ("%n%", n.to_string()),
            ("%asn%", (65000 + u32::from(n)).to_string()),
            ("%me%", format!("192.168.{n}.2")),
            ("%hub%", format!("192.168.{n}.1")),
            ("%me6%", format!("fd00:192:168:{n}::2")),
            ("%hub6%", format!("fd00:192:168:{n}::1")),
            ("%v4%", format!("10.9.{n}.0/24")),
            ("%v6%", format!("fd00:10:9:{n}::/64")),
        ];
        words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

/// Writes a file into a host's /run/interop.
pub(super) fn put(ctx: &Ctx, host: &str, file: &str, text: &str) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("mkdir -p /run/interop && cat >/run/interop/{file}")]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = ctx.lab.spawn(host, command)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    crate::world::success(&format!("{host}: write {file}"), child.wait_with_output()?).map(drop)
}

//! The daemons that are measured: how each is started, tuned, as an operator would for this work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::cell::Cell;
use super::template::{Shape, render};
use crate::parts::gobgp;

/// One of the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Daemon {
    Sart,
    Bird,
    Frr,
    /// Debian's.
    Gobgp,
    /// The newer version, built from the module proxy.
    Gobgp4,
    Openbgpd,
    Rustybgp,
}

impl Daemon {
    pub(super) fn name(self) -> &'static str {
        match self {
            Daemon::Sart => "sart",
            Daemon::Bird => "BIRD",
            Daemon::Frr => "FRR",
            Daemon::Gobgp => "GoBGP",
            Daemon::Gobgp4 => "GoBGP 4",
            Daemon::Openbgpd => "OpenBGPD",
            Daemon::Rustybgp => "RustyBGP",
        }
    }

    /// Where its program is; `sartd` is where the caller says.
    fn program(self, sartd: &Path) -> Option<PathBuf> {
        let path = match self {
            Daemon::Sart => sartd.to_owned(),
            Daemon::Bird => PathBuf::from("/usr/sbin/bird"),
            Daemon::Frr => PathBuf::from("/usr/lib/frr/bgpd"),
            Daemon::Gobgp => PathBuf::from("/usr/bin/gobgpd"),
            Daemon::Gobgp4 => gobgp::folder().ok()?.join("gobgpd"),
            Daemon::Openbgpd => PathBuf::from("/usr/sbin/bgpd"),
            Daemon::Rustybgp => return None,
        };
        path.exists().then_some(path)
    }

    /// Its version, or why it cannot be measured here.
    pub(super) fn version(self, sartd: &Path) -> Result<String, &'static str> {
        let missing = match self {
            Daemon::Sart => "no sartd: build it, or say where with --sartd",
            Daemon::Rustybgp => "not in Debian's nor Rust's package registry",
            Daemon::Bird => "not installed: apt install bird2",
            Daemon::Frr => "not installed: apt install frr",
            Daemon::Gobgp => "not installed: apt install gobgpd",
            Daemon::Gobgp4 => "it could not be built",
            Daemon::Openbgpd => "not installed: apt install openbgpd",
        };
        let program = self.program(sartd).ok_or(missing)?;
        let option = if self == Daemon::Openbgpd { "-V" } else { "--version" };
        let out = Command::new(program).arg(option).output().map_err(|_| "it does not start")?;
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// True when it can write routes into the kernel by itself.
    pub(super) fn writes_kernel(self) -> bool {
        // GoBGP leaves that to a zebra of FRR; OpenBGPD does it on OpenBSD only.
        !matches!(self, Daemon::Gobgp | Daemon::Gobgp4 | Daemon::Openbgpd)
    }

    /// Starts it in the cell; it may not yet take sessions when this returns.
    pub(super) fn start(
        self,
        cell: &mut Cell,
        sartd: &Path,
        shape: Shape,
        limit: Instant,
    ) -> Result<()> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Daemon::Sart => {
                let text = include_str!("../../bench-peers/sart.yaml");
                cell.write("/run/bench/sart.yaml", &render(text, shape))?;
                let sartd = sartd.display();
                cell.start(&words(&format!("{sartd} bgp -f /run/bench/sart.yaml")))
            }
            Daemon::Bird => {
                let text = include_str!("../../bench-peers/bird.conf");
                cell.write("/run/bench/bird.conf", &render(text, shape))?;
                cell.start(&words("/usr/sbin/bird -f -c /run/bench/bird.conf -s /run/bird/ctl"))
            }
            Daemon::Frr => {
                let zebra = include_str!("../../bench-peers/zebra.conf");
                let bgpd = include_str!("../../bench-peers/bgpd.conf");
                cell.write("/run/bench/zebra.conf", &render(zebra, shape))?;
                cell.write("/run/bench/bgpd.conf", &render(bgpd, shape))?;
                cell.start(&words("/usr/lib/frr/zebra -f /run/bench/zebra.conf"))?;
                cell.wait_for("/run/frr/zserv.api", limit)?;
                let quiet = if shape.kernel { "" } else { " --no_kernel" };
                cell.start(&words(&format!("/usr/lib/frr/bgpd -f /run/bench/bgpd.conf{quiet}")))
            }
            Daemon::Gobgp | Daemon::Gobgp4 => {
                let text = include_str!("../../bench-peers/gobgp.toml");
                cell.write("/run/bench/gobgp.toml", &render(text, shape))?;
                let program = self.program(sartd).context("it is not there")?;
                let program = program.display();
                cell.start(&words(&format!(
                    "{program} -l error -p -f /run/bench/gobgp.toml --pprof-disable",
                )))
            }
            Daemon::Openbgpd => {
                let text = include_str!("../../bench-peers/openbgpd.conf");
                cell.write("/run/bench/openbgpd.conf", &render(text, shape))?;
                cell.secret("/run/bench/openbgpd.conf")?;
                cell.start(&words("/usr/sbin/bgpd -d -f /run/bench/openbgpd.conf"))
            }
            Daemon::Rustybgp => anyhow::bail!("RustyBGP is not here"),
        }
    }
}

//! The Debian packages that the lab's hosts are made of.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Package, and what it is needed for.
type Package = (&'static str, &'static str);

/// What a lab is made of.
const LAB: [Package; 21] = [
    ("bird2", "routers"),
    ("busybox-static", "the test image"),
    ("ca-certificates", "downloads"),
    ("conntrack", "kube-proxy"),
    ("containernetworking-plugins", "an older portmap for a test"),
    ("curl", "tests"),
    ("dash", "the test image"),
    ("exabgp", "routers"),
    ("frr", "routers"),
    ("gcc", "the pause program"),
    ("gobgpd", "routers"),
    ("iproute2", "links and routes"),
    ("iptables", "kube-proxy"),
    ("iputils-ping", "tests"),
    ("libc6-dev", "static programs"),
    ("netcat-openbsd", "tests"),
    ("nftables", "kube-proxy"),
    ("openbgpd", "routers"),
    ("procps", "sysctl"),
    ("runc", "containers"),
    ("tcpdump", "looking at packets"),
];

/// What the tests want beside it.
const TESTS: [Package; 11] = [
    ("bc", "the other kernel"),
    ("bison", "the other kernel"),
    ("flex", "the other kernel"),
    ("g++", "fuzz targets"),
    ("libelf-dev", "the other kernel"),
    ("linux-source-6.12", "the other kernel"),
    ("make", "the other kernel"),
    ("qemu-system-x86", "the other kernel"),
    ("tshark", "another reader of BGP"),
    ("valgrind", "instruction counts"),
    ("xz-utils", "the other kernel"),
];

/// The programs that no package of every Debian has.
const GO: Package = ("golang-go", "Kubernetes, containerd and CoreDNS are built from source");

/// What the packages are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Lab,
    /// A lab, and all the tests.
    Tests,
}

/// The packages that are not installed.
fn missing(of: Use) -> Result<Vec<&'static str>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .stderr(Stdio::null())
        .output()
        .context("run dpkg-query: the lab knows Debian's packages only")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    let more: &[Package] = match of {
        Use::Lab => &[],
        Use::Tests => &TESTS,
    };
    let needed = LAB.iter().chain(more).map(|(name, _)| *name);
    let mut missing: Vec<&str> = needed.filter(|name| !installed.contains(name)).collect();
    if Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        missing.push(GO.0);
    }
    Ok(missing)
}

/// Makes sure that all packages are there; with `install` by installing what is missing.
///
/// # Errors
/// [`Missing`] without `install`; apt's failure with it.
pub(crate) fn ensure(install: bool, of: Use) -> Result<()> {
    let missing = missing(of)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !install {
        return Err(Missing(missing).into());
    }
    eprintln!("installing {}", missing.join(" "));
    apt(&["update", "-qq"])?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&missing);
    {
        let _asleep = Asleep::new()?;
        apt(&args)?;
    }
    if missing.contains(&"frr") {
        // Nor at the next boot; a machine without systemd has nothing to disable.
        Command::new("systemctl")
            .args(["disable", "--quiet", "frr"])
            .stderr(Stdio::null())
            .status()
            .ok();
    }
    Ok(())
}

fn apt(args: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .context("run apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed", args.join(" "));
    }
    Ok(())
}

/// While this lives, packages start no service: only their programs are wanted.
struct Asleep {
    ours: bool,
}

/// What Debian asks before it starts a service; 101 says no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

impl Asleep {
    fn new() -> Result<Asleep> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")
                .with_context(|| format!("write {POLICY}"))?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Asleep { ours })
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        if self.ours {
            fs::remove_file(POLICY).ok();
        }
    }
}

/// Packages are missing and nobody asked to install them.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().fold("these Debian packages are missing:".to_owned(), |text, name| {
    let why = LAB.iter().chain(&TESTS).chain([&GO]).find(|(known, _)| known == name).map_or("", |(_, why)| why);
    format!("{text}\n  {name:<27} {why}")
}) + &format!("\ninstall them with --install, or with:\n  apt-get install {}", .0.join(" ")))]
pub(crate) struct Missing(Vec<&'static str>);

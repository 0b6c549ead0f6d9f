//! The switch room: the management network, and a patch panel that every cable goes through.
//!
//! A cable is two pairs of interfaces joined by a bridge in the switch's namespace. So one end can
//! lose its carrier, or its host, and the other end keeps its interface, as with real cables.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::host::enter::{self, Depth};
use crate::process::Process;
use crate::topology::clab::Link;

/// The switch's host name.
pub(crate) const SWITCH: &str = "switch";

/// The management network: eth0 of every host, and the gateway that is its default route.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0x20, 0, 0, 0, 0, 1);

/// The addresses of the host with this number (from 1) on the management network.
pub(crate) fn management(number: u16) -> (Ipv4Addr, Ipv6Addr) {
    let [_, low] = (number + 1).to_be_bytes();
    let [a, b, _, _] = GATEWAY.octets();
    let mut v6 = GATEWAY6.segments();
    v6[7] = number + 1;
    (Ipv4Addr::new(a, b, 0, low), v6.into())
}

/// Runs a batch of `ip` commands in a host's network namespace.
pub(crate) fn batch(lab: &str, host: &str, init: Process, commands: &str) -> Result<()> {
    let mut ip = Command::new("ip");
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = enter::spawn(lab, host, init, Depth::Network, ip)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes()).context("write to ip")?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ip in {host}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// What makes the switch itself. Its bridges carry frames, they speak no IPv6 of their own.
pub(crate) fn switch_commands() -> String {
    format!(
        "link set lo up\n\
         link add mgmt type bridge mcast_snooping 0\n\
         link set mgmt up\n\
         addr add {GATEWAY}/24 dev mgmt\n\
         addr add {GATEWAY6}/64 dev mgmt nodad\n"
    )
}

/// The sysctls of the switch.
pub(crate) fn switch_sysctls() -> Vec<(String, String)> {
    [("net.ipv6.conf.default.accept_dad", "0"), ("net.ipv6.conf.all.accept_dad", "0")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
}

/// The sysctls of every other host, before its own commands set more.
pub(crate) fn host_sysctls() -> Vec<(String, String)> {
    [
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        // Addresses are given by hand and only once; waiting a second for each proves nothing.
        ("net.ipv6.conf.all.accept_dad", "0"),
        ("net.ipv6.conf.default.accept_dad", "0"),
        ("net.ipv4.ping_group_range", "0 2147483647"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// In the switch: the management cable of a host.
pub(crate) fn management_cable(number: u16, init: Process) -> String {
    format!(
        "link add m{number} type veth peer name eth0 netns {}\n\
         link set m{number} master mgmt addrgenmode none up\n",
        init.pid
    )
}

/// In the host: its eth0.
pub(crate) fn management_address(number: u16) -> String {
    let (v4, v6) = management(number);
    format!(
        "link set lo up\n\
         link set eth0 up\n\
         addr add {v4}/24 dev eth0\n\
         addr add {v6}/64 dev eth0 nodad\n\
         route add default via {GATEWAY}\n\
         route add ::/0 via {GATEWAY6}\n"
    )
}

/// In the switch: the bridge that joins the two halves of a cable.
pub(crate) fn cable(index: usize) -> String {
    format!(
        "link add c{index} type bridge mcast_snooping 0\nlink set c{index} addrgenmode none up\n"
    )
}

/// In the switch: one half of a cable, from the bridge to the host's interface.
pub(crate) fn cable_end(index: usize, side: usize, link: &Link, init: Process) -> String {
    let (port, interface) = (port(index, side), &link.ends[side].interface);
    format!(
        "link add {port} type veth peer name {interface} netns {}\n\
         link set {port} master c{index} addrgenmode none up\n",
        init.pid
    )
}

/// In the switch: gives both ends of a cable their carrier or takes it.
pub(crate) fn carrier(index: usize, sides: &[usize], up: bool) -> String {
    let state = if up { "up" } else { "down" };
    sides.iter().fold(String::new(), |mut text, side| {
        let _ = writeln!(text, "link set {} {state}", port(index, *side));
        text
    })
}

/// In the switch: takes away one half of a cable, whose host is gone.
pub(crate) fn remove_end(index: usize, side: usize) -> String {
    format!("link del {}\n", port(index, side))
}

/// The switch's port for one end of a cable.
pub(crate) fn port(index: usize, side: usize) -> String {
    format!("c{index}{}", if side == 0 { "a" } else { "b" })
}

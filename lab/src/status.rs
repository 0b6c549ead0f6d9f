//! What a lab consists of, and what of it runs.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::host::Kind;
use crate::host::control::Program;
use crate::world::{Host, Lab};

/// How to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Plain,
    /// For programs.
    Json,
}

#[derive(Serialize)]
struct Status<'a> {
    lab: &'a str,
    topology: &'a str,
    mode: crate::bring_up::Mode,
    hosts: Vec<HostStatus<'a>>,
}

#[derive(Serialize)]
struct HostStatus<'a> {
    name: &'a str,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    /// PID 1 as the machine sees it; none when the host is down.
    pid: Option<i32>,
    ipv4: Option<std::net::Ipv4Addr>,
    ipv6: Option<std::net::Ipv6Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_of: Option<&'a str>,
    cables: Vec<Cable<'a>>,
    programs: Vec<Program>,
}

#[derive(Serialize)]
struct Cable<'a> {
    interface: &'a str,
    to: String,
}

/// The state of a lab as text.
pub(crate) fn show(lab: &Lab, format: Format) -> Result<String> {
    let status = Status {
        lab: lab.name(),
        topology: &lab.world.topology,
        mode: lab.world.mode,
        hosts: lab.hosts().iter().map(|host| host_status(lab, host)).collect(),
    };
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(&status)? + "\n"),
        Format::Plain => Ok(plain(&status)),
    }
}

fn host_status<'a>(lab: &'a Lab, host: &'a Host) -> HostStatus<'a> {
    let own = host.net_of.is_none();
    let cables = lab.cables(&host.name).into_iter().map(|(_, side, link)| {
        let other = &link.ends[1 - side];
        Cable {
            interface: &link.ends[side].interface,
            to: format!("{}:{}", other.host, other.interface),
        }
    });
    HostStatus {
        name: &host.name,
        kind: host.kind,
        image: host.image.as_deref(),
        pid: lab.init(&host.name).ok().map(|init| init.pid),
        ipv4: own.then(|| host.v4()),
        ipv6: own.then(|| host.v6()),
        network_of: host.net_of.as_deref(),
        cables: if own { cables.collect() } else { Vec::new() },
        programs: lab.programs(&host.name).unwrap_or_default(),
    }
}

/// "etcd", "kubelet (exited with 1)", "kube-scheduler (restarted 2 times)".
fn program(program: &Program) -> String {
    let mut notes: Vec<String> = program.ended.iter().cloned().collect();
    if program.again {
        notes.push("starts again".to_owned());
    }
    match program.restarts {
        0 => {}
        1 => notes.push("restarted once".to_owned()),
        times => notes.push(format!("restarted {times} times")),
    }
    match notes.as_slice() {
        [] => program.name.clone(),
        notes => format!("{} ({})", program.name, notes.join(", ")),
    }
}

fn plain(status: &Status<'_>) -> String {
    let mode = serde_json::to_value(status.mode).unwrap_or_default();
    let mut text = format!("lab {}, mode {}\n\n", status.lab, mode.as_str().unwrap_or_default());
    let _ = writeln!(text, "{:<20} {:<8} {:<13} {:<20} PROGRAMS", "HOST", "PID", "IPV4", "IPV6");
    // A container that only lends its commands to another host's network is no host to look at.
    for host in status.hosts.iter().filter(|host| host.network_of.is_none()) {
        let pid = host.pid.map_or("down".to_owned(), |pid| pid.to_string());
        let v4 = host.ipv4.map_or(String::new(), |address| address.to_string());
        let v6 = host.ipv6.map_or(String::new(), |address| address.to_string());
        let programs: Vec<String> = host.programs.iter().map(program).collect();
        let programs = programs.join(" ");
        let line = format!("{:<20} {pid:<8} {v4:<13} {v6:<20} {programs}", host.name);
        let _ = writeln!(text, "{}", line.trim_end());
        for cable in &host.cables {
            let _ = writeln!(text, "  {} to {}", cable.interface, cable.to);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_shown_with_what_became_of_it() {
        let shown = |ended: Option<&str>, again, restarts| {
            let ended = ended.map(str::to_owned);
            program(&Program { name: "x".to_owned(), pid: None, ended, again, restarts })
        };
        assert_eq!(shown(None, false, 0), "x");
        assert_eq!(shown(None, false, 1), "x (restarted once)");
        assert_eq!(shown(Some("exited with 1"), false, 0), "x (exited with 1)");
        assert_eq!(
            shown(Some("exited with 1"), true, 2),
            "x (exited with 1, starts again, restarted 2 times)"
        );
    }
}

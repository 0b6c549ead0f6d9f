//! What a person needs to see of a case that failed, written into its folder.

use std::fs;
use std::path::Path;

use super::ctx::Ctx;
use crate::host::Kind;

/// What the API is asked for; each into a file of its own.
const OBJECTS: &[(&str, &[&str])] = &[
    ("nodes", &["get", "nodes", "-o", "wide"]),
    ("pods", &["get", "pods", "-A", "-o", "wide"]),
    ("services", &["get", "services,endpointslices", "-A", "-o", "wide"]),
    ("events", &["get", "events", "-A", "--sort-by=.lastTimestamp"]),
    ("addresspools", &["get", "addresspools", "-o", "yaml"]),
    ("addressblocks", &["get", "addressblocks,addressclaims,blockrequests", "-o", "yaml"]),
    ("bgp", &["get", "clusterbgps,nodebgps,bgppeers,bgppeertemplates", "-o", "yaml"]),
    ("bgpadvertisements", &["get", "bgpadvertisements", "-A", "-o", "yaml"]),
    ("leases", &["get", "leases", "-n", "kube-system", "-o", "yaml"]),
];

/// What each node and each router is asked.
const LOOKS: &[(&str, &[&str])] = &[
    ("links", &["ip", "-d", "addr"]),
    ("routes", &["ip", "route", "show", "table", "all"]),
    ("routes6", &["ip", "-6", "route", "show", "table", "all"]),
    ("nexthops", &["ip", "nexthop"]),
    ("processes", &["ps", "axww", "-o", "pid,etimes,args"]),
];

const ROUTER_LOOKS: &[(&str, &[&str])] = &[
    ("bgp-summary", &["vtysh", "-c", "show bgp summary"]),
    ("bgp-routes", &["vtysh", "-c", "show bgp all"]),
    ("bgp-neighbors", &["vtysh", "-c", "show bgp neighbors"]),
];

/// Writes all that could be found out; what cannot be asked any more says so in its file.
pub(crate) fn dump(ctx: &Ctx, folder: &Path, error: &anyhow::Error) {
    if fs::create_dir_all(folder).is_err() {
        return;
    }
    let write = |name: &str, text: String| {
        // A full disk must not hide the failure itself.
        let _ = fs::write(folder.join(format!("{name}.txt")), text);
    };
    write("error", format!("{error:?}\n"));
    for (name, args) in OBJECTS {
        write(name, ctx.kubectl(args).unwrap_or_else(|error| format!("{error:#}\n")));
    }
    for host in ctx.lab.hosts() {
        for (name, words) in LOOKS {
            write(&format!("{}-{name}", host.name), ask(ctx, &host.name, words));
        }
        match host.kind {
            Kind::Node => {}
            Kind::Linux | Kind::Switch => {
                for (name, words) in ROUTER_LOOKS {
                    write(&format!("{}-{name}", host.name), ask(ctx, &host.name, words));
                }
            }
        }
        copy_logs(&ctx.lab.logs(&host.name), &folder.join("hosts").join(&host.name));
    }
    for pod in ctx.pods().unwrap_or_default() {
        if pod.namespace == "kube-system" {
            for previous in [false, true] {
                let suffix = if previous { "-previous" } else { "" };
                let flag = format!("--previous={previous}");
                let args = [
                    "logs",
                    "-n",
                    "kube-system",
                    &pod.name,
                    "--all-containers",
                    &flag,
                    "--tail=2000",
                ];
                if let Ok(text) = ctx.kubectl(&args) {
                    write(&format!("log-{}-{}{suffix}", pod.node, pod.name), text);
                }
            }
        }
    }
}

fn ask(ctx: &Ctx, host: &str, words: &[&str]) -> String {
    match ctx.lab.exec(host, words) {
        Ok(output) => [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat(),
        Err(error) => format!("{error:#}\n"),
    }
}

/// The logs of a host's own programs. They are gone with the lab, so they are copied.
fn copy_logs(from: &Path, to: &Path) {
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_file() && fs::create_dir_all(to).is_ok() {
            let _ = fs::copy(&path, to.join(entry.file_name()));
        }
    }
}

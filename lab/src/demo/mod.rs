//! `cargo lab demo`: from nothing to a cluster that announces pods and Services, and then shown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bring_up::{Mode, UpOptions};
use crate::progress::Progress;
use crate::suite::ctx::{Ctx, list, name, text};
use crate::suite::wait::{s, wait_for};
use crate::world::Lab;
use crate::{packages, places};

mod show;

use show::{heading, table};

/// `cargo lab demo …`
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Installs Debian packages that are missing
    #[arg(long)]
    install: bool,
}

const TOPOLOGY: &str = "sart";
const CLIENT: &str = "client0";
const NAMESPACE: &str = "sample";

/// Brings everything up and shows it. The cluster stays up.
///
/// # Errors
/// When something does not come up; the lab is then taken away, and what its logs say is shown.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    packages::ensure(args.install, packages::Use::Lab)?;
    let progress = Progress::new();
    let start = Instant::now();
    let ctx = cluster(&progress)?;
    let samples = places::checkout().join("deploy/samples");
    ctx.kubectl(&["apply", "-k", &samples.to_string_lossy()])?;
    progress.say("samples applied (deploy/samples)");
    ctx.established(ctx.nodes().len() * 2, s(60))?;
    progress.say("every BGP session is Established");
    settle(&ctx)?;
    progress.say("the samples' pods run and its Services have addresses");

    sessions(&ctx)?;
    pods(&ctx)?;
    path(&ctx)?;
    services(&ctx)?;
    routes(&ctx)?;
    next(start.elapsed());
    Ok(())
}

/// The lab that is up already, or a new one.
fn cluster(progress: &Progress) -> Result<Ctx> {
    let lab = match Lab::open(Some(TOPOLOGY)) {
        Ok(lab) if lab.world.mode == Mode::Dual && lab.kubectl(&["get", "nodes"]).is_ok() => {
            progress.say("lab sart is up already");
            lab
        }
        Ok(_) | Err(_) => {
            let options = UpOptions { topology: TOPOLOGY.to_owned(), ..UpOptions::default() };
            Lab::up(&options, progress)?
        }
    };
    Ok(Ctx { lab, logs: PathBuf::new(), up_took: Duration::ZERO })
}

/// Waits for the samples' pods and addresses, and for client0 to be answered.
fn settle(ctx: &Ctx) -> Result<()> {
    wait_for("the samples' pods are ready", s(90), || {
        let pods = ctx.pods()?;
        let waiting = pods.iter().filter(|pod| pod.namespace.starts_with(NAMESPACE) && !pod.ready);
        let waiting: Vec<_> = waiting.map(|pod| pod.name.as_str()).collect();
        ensure!(waiting.is_empty(), "not yet: {}", waiting.join(", "));
        Ok(())
    })?;
    wait_for("the samples' Services have addresses", s(30), || {
        for service in load_balancers(ctx)? {
            ensure!(!addresses(&service).is_empty(), "{} has none", name(&service));
        }
        Ok(())
    })?;
    for service in load_balancers(ctx)? {
        for address in addresses(&service) {
            ctx.reaches(CLIENT, address)?;
        }
    }
    Ok(())
}

fn sessions(ctx: &Ctx) -> Result<()> {
    heading("BGP sessions: each node speaks with both spines");
    let mut rows = vec![["NODE", "ASN", "PEER", "STATE"].map(str::to_owned).to_vec()];
    for peer in ctx.all("bgppeers.sart.terassyi.net")? {
        let node = text(&peer, "/spec/nodeBGPRef").to_owned();
        let own = ctx.get(&["nodebgp", &node])?;
        let asn = own.pointer("/spec/asn").map(Value::to_string).unwrap_or_default();
        let other = peer.pointer("/spec/asn").map(Value::to_string).unwrap_or_default();
        let state = list(&peer, "/status/conditions").last().map(|c| text(c, "/status"));
        let address = format!("{} AS {other}", text(&peer, "/spec/addr"));
        rows.push(vec![node, asn, address, state.unwrap_or("Unknown").to_owned()]);
    }
    table(&rows);
    Ok(())
}

fn pods(ctx: &Ctx) -> Result<()> {
    heading("Pods: addresses from their node's blocks");
    let mut rows = vec![["NAMESPACE", "POD", "NODE", "ADDRESSES"].map(str::to_owned).to_vec()];
    for pod in ctx.pods()?.iter().filter(|pod| !pod.host_network) {
        let addresses: Vec<String> = pod.addresses.iter().map(IpAddr::to_string).collect();
        rows.push(vec![
            pod.namespace.clone(),
            pod.name.clone(),
            pod.node.clone(),
            addresses.join(" "),
        ]);
    }
    table(&rows);
    Ok(())
}

/// A ping to a pod on another node, and the way there.
fn path(ctx: &Ctx) -> Result<()> {
    let pods: Vec<_> = ctx
        .pods()?
        .into_iter()
        .filter(|pod| pod.namespace == NAMESPACE && pod.name.starts_with("web"))
        .collect();
    let from = pods.first().context("no web pod")?;
    let to = pods.iter().find(|pod| pod.node != from.node).context("no web pod elsewhere")?;
    let target = to.v4()?.to_string();
    heading(&format!("From a pod on {} to one on {} ({target})", from.node, to.node));
    let ping = ctx.in_pod(from, &["ping", "-c", "3", "-i", "0.2", "-W", "1", &target])?;
    for line in ping.lines().filter(|line| line.contains("loss") || line.contains("rtt")) {
        println!("  {line}");
    }
    let owners = owners(ctx)?;
    let hops = ctx.in_pod(from, &["traceroute", "-n", "-q", "1", "-w", "1", "-m", "8", &target])?;
    let mut way = vec![from.name.clone()];
    for line in hops.lines() {
        let mut words = line.split_whitespace();
        let (number, address) = (words.next().unwrap_or_default(), words.next().unwrap_or("*"));
        if number.parse::<u8>().is_ok() {
            let host = address.parse().ok().and_then(|address: IpAddr| owners.get(&address));
            way.push(if address == target {
                to.name.clone()
            } else {
                host.map_or_else(|| address.to_owned(), Clone::clone)
            });
        }
    }
    println!("  {}", way.join(" -> "));
    Ok(())
}

/// Which host an address belongs to.
fn owners(ctx: &Ctx) -> Result<BTreeMap<IpAddr, String>> {
    let mut owners = BTreeMap::new();
    for host in ctx.lab.hosts().iter().filter(|host| host.net_of.is_none()) {
        for link in ctx.ip(&host.name, &["addr"])? {
            for info in list(&link, "/addr_info") {
                if let Ok(address) = text(info, "/local").parse() {
                    owners.entry(address).or_insert_with(|| host.name.clone());
                }
            }
        }
    }
    Ok(owners)
}

fn services(ctx: &Ctx) -> Result<()> {
    heading("Services, asked from client0 behind core0");
    let mut rows =
        vec![["SERVICE", "POLICY", "EXTERNAL-IP", "ANSWERED BY"].map(str::to_owned).to_vec()];
    for service in load_balancers(ctx)? {
        for address in addresses(&service) {
            let answer = ctx.reaches(CLIENT, address)?;
            rows.push(vec![
                name(&service).to_owned(),
                text(&service, "/spec/externalTrafficPolicy").to_owned(),
                address.to_string(),
                format!("{} (it saw {})", text(&answer, "/from"), text(&answer, "/to")),
            ]);
        }
    }
    table(&rows);
    Ok(())
}

fn routes(ctx: &Ctx) -> Result<()> {
    heading("IPv4 routes on core0: over both spines");
    let owners = owners(ctx)?;
    let mut rows = vec![["PREFIX", "OVER"].map(str::to_owned).to_vec()];
    for route in ctx.ip("core0", &["-4", "route", "show", "proto", "bgp"])? {
        let hops: Vec<String> = list(&route, "/nexthops")
            .iter()
            .chain([&route])
            .filter_map(|hop| text(hop, "/gateway").parse::<IpAddr>().ok())
            .map(|gateway| match owners.get(&gateway) {
                Some(host) => format!("{host} ({gateway})"),
                None => gateway.to_string(),
            })
            .collect();
        rows.push(vec![text(&route, "/dst").to_owned(), hops.join(" and ")]);
    }
    table(&rows);
    Ok(())
}

fn next(took: Duration) {
    heading(&format!("That was {:.0} s. Look further:", took.as_secs_f32()));
    println!(
        "  cargo lab status
  cargo lab kubectl -- get addresspools,addressblocks,clusterbgps,nodebgps,bgppeers
  cargo lab kubectl -- get bgpadvertisements -A
  cargo lab kubectl -- exec -n kube-system ds/sartd-bgp -- sart bgp neighbor list
  cargo lab exec client0 -- curl -s http://10.0.100.20/
  cargo lab exec spine0 -- vtysh -c 'show bgp summary'
  cargo lab kill spine0 bgpd
  cargo lab down                 takes all of it away"
    );
}

fn load_balancers(ctx: &Ctx) -> Result<Vec<Value>> {
    let services = ctx.get(&["services", "-n", NAMESPACE])?;
    let services = list(&services, "/items").iter();
    Ok(services.filter(|s| text(s, "/spec/type") == "LoadBalancer").cloned().collect())
}

fn addresses(service: &Value) -> Vec<IpAddr> {
    let ingress = list(service, "/status/loadBalancer/ingress").iter();
    ingress.filter_map(|ingress| text(ingress, "/ip").parse().ok()).collect()
}

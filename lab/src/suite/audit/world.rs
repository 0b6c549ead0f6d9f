//! Reading the kernels of all hosts and the objects of the API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::Result;
use serde_json::Value;

use super::Range;
use crate::bring_up::Mode;
use crate::suite::ctx::{Ctx, Pod, list, name, text};

/// One kernel route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) to: Range,
    /// `unicast`, `unreachable`, …
    pub(crate) kind: String,
    pub(crate) protocol: String,
    pub(crate) devices: BTreeSet<String>,
    pub(crate) gateways: BTreeSet<IpAddr>,
}

/// What one host's kernel holds.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) routes: Vec<Route>,
    /// Interfaces that are one end of a pair.
    pub(crate) veths: BTreeSet<String>,
    /// The addresses in each pod's namespace (only on nodes).
    pub(crate) pods: Vec<Vec<IpAddr>>,
}

/// A Service of type LoadBalancer.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// Announced only from nodes with a ready endpoint.
    pub(crate) local: bool,
    /// Where its ready endpoints are.
    pub(crate) endpoints: BTreeSet<String>,
    pub(crate) ours: bool,
}

/// An AddressPool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) range: Range,
    pub(crate) for_pods: bool,
}

/// An AddressBlock.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) range: Range,
    pub(crate) pool: String,
    pub(crate) for_pods: bool,
    pub(crate) node: Option<String>,
}

/// Everything that the audit compares.
pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) nodes: Vec<String>,
    pub(crate) hosts: BTreeMap<String, Host>,
    /// Which node has an address on one of its own interfaces.
    pub(crate) owner: BTreeMap<IpAddr, String>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) services: Vec<Service>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) blocks: Vec<Block>,
    /// AddressClaims: the address that is the name, and the holder as the object has it.
    pub(crate) claims: Vec<(String, Value)>,
    /// BGPAdvertisements: namespace, name, spec.
    pub(crate) advertisements: Vec<(String, String, Value)>,
    /// Nodes whose sessions are all Established.
    pub(crate) speaking: BTreeSet<String>,
}

impl World {
    pub(crate) fn read(ctx: &Ctx) -> Result<Self> {
        let nodes = ctx.nodes();
        let mut hosts = BTreeMap::new();
        let mut owner = BTreeMap::new();
        for host in ctx.lab.hosts().iter().filter(|host| host.net_of.is_none()) {
            let is_node = nodes.contains(&host.name);
            hosts.insert(host.name.clone(), read_host(ctx, &host.name, is_node)?);
            if is_node {
                for address in own_addresses(ctx, &host.name)? {
                    owner.insert(address, host.name.clone());
                }
            }
        }
        Ok(Self {
            mode: ctx.lab.world.mode,
            hosts,
            owner,
            pods: ctx.pods()?,
            services: services(ctx)?,
            pools: pools(ctx)?,
            blocks: blocks(ctx)?,
            claims: ctx
                .all("addressclaims")?
                .iter()
                .map(|claim| (name(claim).to_owned(), claim["spec"].clone()))
                .collect(),
            advertisements: ctx
                .all("bgpadvertisements")?
                .iter()
                .map(|object| {
                    let namespace = text(object, "/metadata/namespace").to_owned();
                    (namespace, name(object).to_owned(), object["spec"].clone())
                })
                .collect(),
            speaking: speaking(ctx, &nodes)?,
            nodes,
        })
    }

    /// True when an address lies in a pool of the kind.
    pub(crate) fn in_pools(&self, range: &Range, for_pods: bool) -> bool {
        self.pools.iter().any(|pool| {
            pool.for_pods == for_pods
                && pool.range.length <= range.length
                && pool.range.contains(range.address)
        })
    }

    /// True when sart gives pods their addresses here.
    pub(crate) fn gives_pods(&self) -> bool {
        matches!(self.mode, Mode::Cni | Mode::Dual)
    }
}

fn read_host(ctx: &Ctx, host: &str, is_node: bool) -> Result<Host> {
    let mut found = Host::default();
    for family in ["-4", "-6"] {
        let routes = ctx.ip(host, &["-d", family, "route", "show", "table", "main"])?;
        found.routes.extend(routes.iter().filter_map(route));
    }
    if is_node {
        for link in ctx.ip(host, &["link", "show", "type", "veth"])? {
            found.veths.insert(text(&link, "/ifname").to_owned());
        }
        found.pods = ctx.pod_netns(host)?.into_iter().map(|(_, addresses)| addresses).collect();
    }
    Ok(found)
}

/// One entry of `ip -j -d route`; the default route has no range and is not ours.
pub(super) fn route(value: &Value) -> Option<Route> {
    let to = Range::parse(text(value, "/dst"))?;
    let mut devices = BTreeSet::new();
    let mut gateways = BTreeSet::new();
    for hop in list(value, "/nexthops").iter().chain([value]) {
        for pointer in ["/gateway", "/via/host"] {
            gateways.extend(text(hop, pointer).parse::<IpAddr>().ok());
        }
        devices.extend(Some(text(hop, "/dev")).filter(|dev| !dev.is_empty()).map(str::to_owned));
    }
    let kind = Some(text(value, "/type")).filter(|kind| !kind.is_empty()).unwrap_or("unicast");
    let protocol = text(value, "/protocol").to_owned();
    Some(Route { to, kind: kind.to_owned(), protocol, devices, gateways })
}

fn own_addresses(ctx: &Ctx, node: &str) -> Result<Vec<IpAddr>> {
    let links = ctx.ip(node, &["addr"])?;
    let infos = links.iter().flat_map(|link| list(link, "/addr_info"));
    Ok(infos.filter_map(|info| text(info, "/local").parse().ok()).collect())
}

fn services(ctx: &Ctx) -> Result<Vec<Service>> {
    let slices = ctx.all("endpointslices")?;
    let services = ctx.all("services")?;
    let services = services.iter().filter(|s| text(s, "/spec/type") == "LoadBalancer");
    Ok(services
        .map(|service| {
            let (namespace, own) = (text(service, "/metadata/namespace"), name(service));
            let label = "/metadata/labels/kubernetes.io~1service-name";
            let endpoints = slices
                .iter()
                .filter(|slice| text(slice, "/metadata/namespace") == namespace)
                .filter(|slice| text(slice, label) == own)
                .flat_map(|slice| list(slice, "/endpoints"))
                .filter(|e| e.pointer("/conditions/ready") != Some(&Value::Bool(false)))
                .map(|endpoint| text(endpoint, "/nodeName").to_owned())
                .collect();
            let class = text(service, "/spec/loadBalancerClass");
            Service {
                namespace: namespace.to_owned(),
                name: own.to_owned(),
                addresses: list(service, "/status/loadBalancer/ingress")
                    .iter()
                    .filter_map(|ingress| text(ingress, "/ip").parse().ok())
                    .collect(),
                local: text(service, "/spec/externalTrafficPolicy") == "Local",
                endpoints,
                ours: class.is_empty() || class == "sart.terassyi.net/bgp",
            }
        })
        .collect())
}

fn pools(ctx: &Ctx) -> Result<Vec<Pool>> {
    let mut pools = Vec::new();
    for pool in ctx.all("addresspools")? {
        let cidrs = list(&pool, "/spec/cidrs").iter().filter_map(Value::as_str);
        for cidr in cidrs.chain([text(&pool, "/spec/cidr")]) {
            if let Some(range) = Range::parse(cidr) {
                let for_pods = text(&pool, "/spec/type") == "pod";
                pools.push(Pool { name: name(&pool).to_owned(), range, for_pods });
            }
        }
    }
    Ok(pools)
}

fn blocks(ctx: &Ctx) -> Result<Vec<Block>> {
    let blocks = ctx.all("addressblocks")?;
    let read = |block: &Value| {
        let node = Some(text(block, "/spec/nodeRef")).filter(|node| !node.is_empty());
        Some(Block {
            name: name(block).to_owned(),
            range: Range::parse(text(block, "/spec/cidr"))?,
            pool: text(block, "/spec/poolRef").to_owned(),
            for_pods: text(block, "/spec/type") == "pod",
            node: node.map(str::to_owned),
        })
    };
    Ok(blocks.iter().filter_map(read).collect())
}

fn speaking(ctx: &Ctx, nodes: &[String]) -> Result<BTreeSet<String>> {
    let peers = ctx.all("bgppeers")?;
    let up = |peer: &&Value| {
        let last = list(peer, "/status/conditions").last();
        last.is_some_and(|condition| text(condition, "/status") == "Established")
    };
    let named = |peer: &Value| text(peer, "/spec/nodeBGPRef").to_owned();
    let speaking: BTreeSet<String> = peers.iter().filter(up).map(named).collect();
    Ok(nodes.iter().filter(|node| speaking.contains(*node)).cloned().collect())
}

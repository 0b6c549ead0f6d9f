//! Pods' addresses, and whether pods reach each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::common::{gone, rolled_out};
use crate::suite::audit::{Range, audit};
use crate::suite::ctx::{Ctx, name, text};
use crate::suite::manifests::{POOL, daemon_set, list, namespace, pod};
use crate::suite::wait::{s, wait_for};

/// Where Debian's package puts it.
const DEBIANS_PORTMAP: &str = "/usr/lib/cni/portmap";
const CONFLIST: &str = "/etc/cni/net.d/10-sart.conflist";

/// Blocks are cut from the pool's start, and each block's lowest free address is used.
pub(super) fn fill_blocks_in_order(ctx: &mut Ctx) -> Result<()> {
    ctx.apply(&list(&[namespace("order", &[]), daemon_set("order", "order")]))?;
    ctx.ready("order", "app=order", ctx.nodes().len())?;
    let mut blocks = BTreeMap::new();
    for block in ctx.all("addressblocks")? {
        if text(&block, "/spec/poolRef") == "default-pod-pool" {
            let range = Range::parse(text(&block, "/spec/cidr")).context("a block without CIDR")?;
            ensure!(range.length == 29, "block {range} of a pool with blockSize 29");
            blocks.insert(name(&block).to_owned(), range);
            let node = text(&block, "/metadata/labels/addressblock.sart.terassyi.net~1node");
            ensure!(node == text(&block, "/spec/nodeRef"), "block {range}: label {node:?}");
        }
    }
    let first = blocks.get("default-pod-pool-0").context("there is no default-pod-pool-0")?;
    ensure!(first.to_string() == "10.1.0.0/29", "the first block is {first}");
    for (name, range) in &blocks {
        let index = blocks.values().filter(|other| other < &range).count();
        let expect = format!("default-pod-pool-{index}");
        ensure!(*name == expect, "block {range} is {name}, expected {expect}");
    }
    let used: BTreeSet<IpAddr> = ctx
        .pods()?
        .iter()
        .filter(|pod| !pod.host_network)
        .flat_map(|pod| pod.addresses.clone())
        .collect();
    let lowest: IpAddr = "10.1.0.0".parse()?;
    ensure!(used.contains(&lowest), "10.1.0.0 is not used: {used:?}");
    for range in blocks.values() {
        let IpAddr::V4(start) = range.address else { continue };
        let inside: Vec<u32> = used
            .iter()
            .filter(|ip| range.contains(**ip))
            .filter_map(|ip| match ip {
                IpAddr::V4(v4) => Some(v4.to_bits() - start.to_bits()),
                IpAddr::V6(_) => None,
            })
            .collect();
        let expect: Vec<u32> = (0..).take(inside.len()).collect();
        ensure!(inside == expect, "block {range} is used at {inside:?}");
    }
    audit(ctx, s(20))?;
    ctx.kubectl(&["delete", "namespace", "order", "--wait=false"])?;
    gone(ctx, &["namespace", "order"])
}

/// The pod's annotation before the namespace's before the auto pool.
pub(super) fn choose_pools(ctx: &mut Ctx) -> Result<()> {
    let nodes = ctx.nodes();
    let node = nodes.last().context("no node")?;
    ctx.apply(&list(&[
        namespace("plain", &[]),
        namespace("chosen", &[(POOL, "non-default-pod-pool")]),
        pod("plain", "auto", node, &[]),
        pod("plain", "by-pod", node, &[(POOL, "non-default-pod-pool")]),
        pod("chosen", "by-namespace", node, &[]),
        pod("chosen", "by-pod-first", node, &[(POOL, "default-pod-pool")]),
    ]))?;
    let auto = Range::parse("10.1.0.0/24").context("a range")?;
    let other = Range::parse("10.10.0.0/29").context("a range")?;
    for (namespace, name, expect) in [
        ("plain", "auto", auto),
        ("plain", "by-pod", other),
        ("chosen", "by-namespace", other),
        ("chosen", "by-pod-first", auto),
    ] {
        let pod = ctx.pod(namespace, name)?;
        let v4 = pod.v4()?;
        ensure!(expect.contains(v4), "{namespace}/{name} has {v4}, not of {expect}");
    }
    // Without annotation one address of each family that the node has.
    let auto = ctx.pod("plain", "auto")?;
    let v6 = Range::parse("fd00:10:1::/112").context("a range")?;
    ensure!(auto.addresses.len() == 2 && v6.contains(auto.v6()?), "{:?}", auto.addresses);
    audit(ctx, s(20))?;
    for namespace in ["plain", "chosen"] {
        ctx.kubectl(&["delete", "namespace", namespace, "--wait=false"])?;
    }
    gone(ctx, &["namespace", "plain"])?;
    gone(ctx, &["namespace", "chosen"])
}

/// From each node's pod to every other's, both families, and to the Internet's side of the node.
pub(super) fn reach_each_other(ctx: &mut Ctx) -> Result<()> {
    ctx.apply(&list(&[namespace("mesh", &[]), daemon_set("mesh", "mesh")]))?;
    let pods = ctx.ready("mesh", "app=mesh", ctx.nodes().len())?;
    for from in &pods {
        for to in &pods {
            for address in &to.addresses {
                let address = address.to_string();
                let what = format!("{} -> {} ({address})", from.node, to.node);
                wait_for(what, s(15), || {
                    ctx.in_pod(from, &["ping", "-c", "2", "-i", "0.05", "-W", "1", &address])
                })?;
            }
        }
    }
    // The pod sees the other's own address: nothing translates it.
    let (from, to) = (pods.first().context("no pod")?, pods.last().context("no pod")?);
    let url = format!("http://{}/", to.v4()?);
    let answer = ctx.in_pod(from, &["curl", "-sS", "--max-time", "2", &url])?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let (own, seen) = (from.v4()?.to_string(), text(&answer, "/to"));
    ensure!(seen.starts_with(&format!("{own}:")), "the pod was seen as {seen}, not {own}");
    audit(ctx, s(20))?;
    ctx.kubectl(&["delete", "namespace", "mesh", "--wait=false"])?;
    gone(ctx, &["namespace", "mesh"])
}

/// portmap, after sart-cni in the chain.
pub(super) fn host_ports(ctx: &mut Ctx) -> Result<()> {
    host_port(ctx, "sart-worker", "1.1.0")
}

/// Debian's portmap is older than what the image brings and, linked dynamically, cannot be asked
/// for its versions by the agent: the chain falls back to a version that both speak.
pub(super) fn host_ports_by_an_older_portmap(ctx: &mut Ctx) -> Result<()> {
    let node = "sart-worker2";
    ctx.lab.run(node, &["mount", "--bind", DEBIANS_PORTMAP, "/opt/cni/bin/portmap"])?;
    let of_node = format!("--field-selector=spec.nodeName={node}");
    let agents = ["-n", "kube-system", "-l", "app.kubernetes.io/name=sartd-agent", &of_node];
    ctx.kubectl(&[&["delete", "pod", "--wait=true"], &agents[..]].concat())?;
    rolled_out(ctx, "daemonset/sartd-agent")?;
    host_port(ctx, node, "0.4.0")
}

/// A pod's hostPort on a node answers another node, with this version in the CNI configuration.
fn host_port(ctx: &Ctx, node: &str, version: &str) -> Result<()> {
    let conflist: Value = serde_json::from_str(&ctx.lab.run(node, &["cat", CONFLIST])?)?;
    let found = text(&conflist, "/cniVersion");
    ensure!(found == version, "the configuration's version is {found:?}, not {version}");
    let nodes = ctx.nodes();
    let other = nodes.iter().find(|other| *other != node).context("no other node")?;
    let mut object = pod("default", "host-port", node, &[]);
    if let Some(port) = object.pointer_mut("/spec/containers/0/ports/0") {
        *port = json!({"containerPort": 80, "hostPort": 18080});
    }
    ctx.apply(&object.to_string())?;
    let pod = ctx.pod("default", "host-port")?;
    let url = format!("http://{}:18080/", ctx.lab.host(node)?.v4());
    let answer = wait_for("the host port answers", s(15), || {
        ctx.lab.run(other, &["curl", "-sS", "--fail", "--max-time", "2", &url])
    })?;
    ensure!(answer.contains(&pod.v4()?.to_string()), "another pod answered: {answer}");
    ctx.kubectl(&["delete", "pod", "host-port", "--wait=false"])?;
    gone(ctx, &["pod", "host-port"])
}

/// Each /32 block of this pool holds one address: with its pod the block goes.
pub(super) fn empty_blocks_go_back(ctx: &mut Ctx) -> Result<()> {
    let blocks = |ctx: &Ctx| -> Result<usize> {
        let blocks = ctx.all("addressblocks")?;
        let of = |b: &&Value| text(b, "/spec/poolRef") == "non-default-pod-pool";
        Ok(blocks.iter().filter(of).count())
    };
    let none = |ctx: &Ctx| -> Result<()> {
        let left = blocks(ctx)?;
        ensure!(left == 0, "{left} are left");
        Ok(())
    };
    wait_for("nobody uses the pool", s(120), || none(ctx))?;
    let nodes = ctx.nodes();
    let object = |i: usize, node: &str| {
        pod("default", &format!("single-{i}"), node, &[(POOL, "non-default-pod-pool")])
    };
    let pods: Vec<_> = nodes.iter().enumerate().map(|(i, node)| object(i, node)).collect();
    ctx.apply(&list(&pods))?;
    for i in 0..nodes.len() {
        ctx.pod("default", &format!("single-{i}"))?;
    }
    let there = blocks(ctx)?;
    ensure!(there == nodes.len(), "{there} blocks for {} pods", nodes.len());
    audit(ctx, s(20))?;
    ctx.delete(&list(&pods))?;
    wait_for("the empty blocks are given back", s(120), || none(ctx))?;
    let requests = ctx.all("blockrequests")?;
    ensure!(requests.is_empty(), "BlockRequests are left: {requests:?}");
    audit(ctx, s(20))
}

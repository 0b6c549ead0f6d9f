//! The cluster comes up, and both sides of every session say so.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::common::CLIENT;
use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, text};
use crate::suite::wait::{s, wait_for};

/// Seconds from `up` to the last session Established, what a newcomer waits for, on two cores.
const UP: u64 = 20;
/// The nodes' AS numbers, in their order.
const NODES: [&str; 4] = ["65010", "65020", "65030", "65040"];

pub(super) fn up_and_established(ctx: &mut Ctx) -> Result<()> {
    let took = ctx.up_took.as_secs_f32();
    ensure!(ctx.up_took <= s(UP), "{took:.1} s until every session was Established, not {UP} s");
    let peers: BTreeSet<String> = ctx.peers()?.into_keys().collect();
    let expect: BTreeSet<String> = ctx
        .nodes()
        .iter()
        .flat_map(|node| {
            [("spine0", 65001, "9.9.9.9"), ("spine1", 65002, "7.7.7.7")]
                .map(|(template, asn, address)| format!("{template}-{node}-{asn}-{address}"))
        })
        .collect();
    ensure!(peers == expect, "BGPPeers are {peers:?}, expected {expect:?}");
    for (node, asn) in ctx.nodes().iter().zip(NODES) {
        let node_bgp = ctx.get(&["nodebgp", node])?;
        let own = node_bgp.pointer("/spec/asn").map(Value::to_string).unwrap_or_default();
        ensure!(own == asn, "NodeBGP {node} has ASN {own:?}");
        ctx.condition(&["nodebgp", node], "Configured")?;
    }
    audit(ctx, s(20))
}

pub(super) fn the_routers_agree(ctx: &mut Ctx) -> Result<()> {
    for (spine, count) in [("spine0", 5), ("spine1", 5), ("core0", 2)] {
        wait_for(format_args!("{count} sessions on {spine}"), s(20), || {
            let summary = vtysh(ctx, spine, "show bgp ipv4 unicast summary json")?;
            let peers = summary.pointer("/peers").and_then(Value::as_object);
            let up = peers
                .context("no peers")?
                .values()
                .filter(|peer| text(peer, "/state") == "Established");
            let up = up.count();
            ensure!(up == count, "{up} are Established");
            Ok(())
        })?;
    }
    // On a node nothing that was learned is announced again: a spine hears of the other spine's
    // nodes only through core0, so each path has at most spine, core and origin in it.
    let routes = vtysh(ctx, "spine0", "show bgp ipv4 unicast json")?;
    let routes = routes.pointer("/routes").and_then(Value::as_object).context("no routes")?;
    for (prefix, paths) in routes {
        for path in paths.as_array().into_iter().flatten() {
            let as_path = text(path, "/path");
            let nodes: Vec<&str> = as_path.split(' ').filter(|asn| NODES.contains(asn)).collect();
            ensure!(nodes.len() <= 1, "{prefix} has gone through a node: {as_path}");
        }
    }
    ctx.lab.run(CLIENT, &["ping", "-c", "1", "-W", "1", "192.168.0.1"]).map(drop)
}

pub(super) fn metrics_and_health(ctx: &mut Ctx) -> Result<()> {
    let daemons = [
        ("8001", &["sart_"][..]),
        (
            "8000",
            &[
                "sart_agent_cni_call_total",
                "sart_agent_bgp_peer_status",
                "sart_agent_node_bgp_status",
                "sart_agent_reconciliation_total",
            ][..],
        ),
    ];
    for node in ctx.nodes() {
        for (port, names) in daemons {
            health(ctx, &node, port, names)?;
        }
    }
    let names = [
        "sart_controller_reconciliation_total",
        "sart_controller_max_blocks",
        "sart_controller_allocated_blocks",
        "sart_controller_bgp_advertisements",
        "sart_controller_bgp_advertisement_status",
    ];
    let pods = ctx.pods()?;
    let controllers: Vec<_> =
        pods.iter().filter(|pod| pod.name.starts_with("sart-controller")).collect();
    ensure!(controllers.len() == 2, "{} controllers", controllers.len());
    ensure!(controllers[0].node != controllers[1].node, "both controllers are on one node");
    for pod in controllers {
        health(ctx, &pod.node, "8080", &names)?;
    }
    Ok(())
}

/// `/healthz`, `/readyz` and `/metrics` of the daemon on a node's port.
fn health(ctx: &Ctx, node: &str, port: &str, names: &[&str]) -> Result<()> {
    // Health listens on the node's address or on loopback; either answers on the node itself.
    let address = ctx.lab.host(node)?.v4().to_string();
    let get = |path: &str| -> Result<String> {
        let ask = |host: &str| {
            let url = format!("http://{host}:{port}{path}");
            ctx.lab.run(node, &["curl", "-sS", "--fail", "--max-time", "2", &url])
        };
        ask("127.0.0.1").or_else(|_| ask(&address))
    };
    get("/healthz")?;
    get("/readyz")?;
    let metrics = get("/metrics")?;
    for name in names {
        ensure!(metrics.contains(name), "{node}:{port} has no metric {name}");
    }
    Ok(())
}

/// A router's answer to a `show … json`.
pub(super) fn vtysh(ctx: &Ctx, router: &str, command: &str) -> Result<Value> {
    let answer = ctx.lab.run(router, &["vtysh", "-c", command])?;
    serde_json::from_str(&answer).with_context(|| format!("{router}: {command}: {answer}"))
}

//! Who may do what: a stolen token is good for one node's objects only; sockets let few in.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::suite::ctx::{Ctx, name, text};
use crate::suite::manifests::{deployment, list, namespace, sart};

const READER: &str = "sart-worker";
const REFUSAL: &str = "not-your-node";

pub(super) fn stolen_agent_token(ctx: &mut Ctx) -> Result<()> {
    // With a pod some node has a block. The token is stolen on another one.
    ctx.apply(&list(&[namespace("stolen", &[]), deployment("stolen", "web", 1)]))?;
    ctx.ready("stolen", "app=web", 1)?;
    let blocks = ctx.all("addressblocks")?;
    let held = blocks.iter().find(|block| !text(block, "/spec/nodeRef").is_empty());
    let held = held.context("no node has a block")?;
    let (block, victim) = (name(held), text(held, "/spec/nodeRef"));
    let nodes = ctx.nodes();
    let thief = nodes.iter().find(|node| *node != victim).context("there is one node only")?;
    let token = agent_token(ctx, thief)?;
    let token = format!("--token={}", token.trim());
    // Server-side apply: a plain patch would read the object first, which no agent may.
    let patch = |node: &str| {
        let mut status = sart("NodeBGP", node, json!(null));
        status["status"] = json!({"backoff": 1});
        if let Some(fields) = status.as_object_mut() {
            fields.remove("spec");
        }
        let args = ["apply", "--server-side", "--subresource=status", "--force-conflicts"];
        let more = ["--validate=false", "-f", "-"];
        attempt(ctx, &token, &[&args[..], &more[..]].concat(), Some(&status.to_string()))
    };
    let (went, said) = patch(thief)?;
    ensure!(went, "an agent may not write its own NodeBGP's status: {said}");
    let (went, said) = patch(victim)?;
    ensure!(!went && said.contains(REFUSAL), "another node's NodeBGP: {went}, {said}");

    let request = |node: &str| {
        sart("BlockRequest", "stolen", json!({"pool": "default-pod-pool", "node": node}))
            .to_string()
    };
    let create = |node: &str| attempt(ctx, &token, &["create", "-f", "-"], Some(&request(node)));
    let (went, said) = create(victim)?;
    ensure!(!went && said.contains(REFUSAL), "a BlockRequest for another node: {went}, {said}");

    let (went, said) =
        attempt(ctx, &token, &["delete", "addressblock", block, "--wait=false"], None)?;
    ensure!(!went && said.contains(REFUSAL), "another node's block: {went}, {said}");

    // What no agent may do at all is not even a question of the node.
    for args in [
        &["get", "secrets", "-n", "kube-system"][..],
        &["delete", "addresspool", "default-pod-pool", "--wait=false"],
        &["delete", "node", victim, "--wait=false"],
        &["get", "bgppeertemplates"],
    ] {
        let (went, said) = attempt(ctx, &token, args, None)?;
        ensure!(!went && said.contains("Forbidden"), "kubectl {}: {went}, {said}", args.join(" "));
    }
    ctx.kubectl(&["delete", "namespace", "stolen", "--wait=false"])?;
    ctx.established(ctx.nodes().len() * 2, crate::suite::wait::s(10))
}

/// The sockets' modes, and what the open port refuses.
pub(super) fn sockets(ctx: &mut Ctx) -> Result<()> {
    for node in ctx.nodes() {
        let modes =
            ctx.lab.run(&node, &["find", "/run/sart", "-type", "s", "-printf", "%m %u %p\\n"])?;
        ensure!(!modes.trim().is_empty(), "{node}: no socket in /run/sart");
        for line in modes.lines() {
            ensure!(line.starts_with("600 root "), "{node}: {line}");
        }
        // Nothing of ours but BGP and health listens to the network.
        let open = ctx.lab.run(&node, &["sh", "-c", "ss -Hltnp | grep sartd || true"])?;
        for line in open.lines() {
            let local = line.split_whitespace().nth(3).unwrap_or_default();
            let loopback = local.starts_with("127.") || local.starts_with("[::1]");
            let port = local.rsplit(':').next().unwrap_or_default();
            let known = ["179", "8000", "8001", "8080"].contains(&port);
            ensure!(loopback || known, "{node}: {line}");
        }
    }
    // The port is read only: a change over it is refused, over the socket it is not.
    let node = READER;
    let sart = router_program(ctx, node)?;
    let add = ["bgp", "global", "rib", "add", "10.99.0.0/24", "-a", "ipv4", "-t", "origin=igp"];
    let mut words = vec![sart.as_str(), "-e", "127.0.0.1:5000"];
    words.extend(add);
    let output = ctx.lab.exec(node, &words)?;
    ensure!(!output.status.success(), "a change over the open port was accepted");
    let mut read = vec![sart.as_str(), "-e", "127.0.0.1:5000"];
    read.extend(["bgp", "neighbor", "list"]);
    ctx.lab.run(node, &read).map(drop)
}

/// `sart` as the router's container has it, seen from the node.
pub(super) fn router_program(ctx: &Ctx, node: &str) -> Result<String> {
    let path = |pid: &str| format!("/proc/{pid}/root/usr/local/bin/sart");
    let pids = ctx.lab.run(node, &["pgrep", "-f", "^/?[a-z/]*sartd bgp"])?;
    let pid = pids.lines().next().context("no router runs")?;
    Ok(path(pid.trim()))
}

fn agent_token(ctx: &Ctx, node: &str) -> Result<String> {
    let pids = ctx.lab.processes(node, "sartd agent")?;
    let pid = pids.first().with_context(|| format!("no agent on {node}"))?;
    let path = format!("/proc/{pid}/root/var/run/secrets/kubernetes.io/serviceaccount/token");
    std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

/// Tries something under another token: whether it went, and what was said.
fn attempt(ctx: &Ctx, token: &str, args: &[&str], input: Option<&str>) -> Result<(bool, String)> {
    let mut all = vec![token, "--request-timeout=20s"];
    all.extend_from_slice(args);
    let output = ctx.lab.kubectl_output(&all, input)?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).trim().to_owned()))
}

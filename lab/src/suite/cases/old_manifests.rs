//! What users of sart v0.1 have written and typed keeps working, unchanged.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::common::{CLIENT, gone};
use super::security::router_program;
use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, list as items, text};
use crate::suite::manifests::{pool, sart};
use crate::suite::wait::{s, wait_for};

/// Manifests with the fields of v0.1 and no others.
const MANIFESTS: &str = include_str!("../manifests/v01.yaml");

pub(super) fn apply_unchanged(ctx: &mut Ctx) -> Result<()> {
    // Strict: a field that is not known any more is an error, not a warning.
    let args = ["apply", "--validate=strict", "-f", "-"];
    ctx.lab.kubectl_input(&args, MANIFESTS)?;
    wait_for("the spines' sessions are Established", s(60), || {
        // At the other end of the peer made by hand is nobody.
        let peers = ctx.peers()?;
        let up = peers.values().filter(|state| *state == "Established").count();
        let by_hand = peers.get("bgppeer-by-hand").map(String::as_str);
        ensure!(up == ctx.nodes().len() * 2 && by_hand.is_some(), "{peers:?}");
        ensure!(by_hand != Some("Established"), "{peers:?}");
        Ok(())
    })?;
    ctx.ready("test", "app=app-cluster", 2)?;
    ctx.ready("test", "app=app-local", 2)?;
    for (service, expect) in [
        ("app-svc-cluster", "10.0.1.10"),
        ("app-svc-wanted", "10.0.100.20"),
        ("app-svc-auto", "10.0.1."),
        ("app-svc-local", "10.0."),
    ] {
        let found = ctx.external("test", service, 1)?;
        for address in found {
            let there = address.to_string();
            ensure!(there.starts_with(expect), "{service} has {there}, expected {expect}");
            ctx.reaches(CLIENT, address)?;
        }
    }
    let non_default = ctx.pod("test", "pod-non-default")?;
    ensure!(non_default.v4()?.to_string().starts_with("10.10.0."), "{non_default:?}");
    audit(ctx, s(30))
}

/// The columns that scripts cut.
pub(super) fn columns(ctx: &mut Ctx) -> Result<()> {
    for (kind, expect) in [
        ("addresspools", "NAME CIDR TYPE BLOCKSIZE AUTO AGE"),
        ("addressblocks", "NAME CIDR TYPE POOLREF NODEREF AGE"),
        ("bgppeertemplates", "NAME AGE"),
        ("clusterbgps", "NAME AGE"),
        ("nodebgps", "NAME ASN ROUTERID BACKOFF STATUS AGE"),
        ("bgppeers", "NAME ASN ADDRESS NODEBGP CLUSTERBGP BACKOFF STATUS AGE"),
        ("bgpadvertisements", "NAMESPACE NAME CIDR TYPE PROTOCOL AGE"),
        ("addressclaims", "NAME ADDRESS HOLDER POOL AGE"),
    ] {
        let table = ctx.kubectl(&["get", kind, "-A"])?;
        let header = table.lines().next().unwrap_or_default();
        let header: Vec<&str> = header.split_whitespace().collect();
        ensure!(header.join(" ") == expect, "{kind}: {header:?}, expected {expect}");
    }
    let table = ctx.kubectl(&["get", "nodebgps", "--no-headers"])?;
    for line in table.lines() {
        let status = line.split_whitespace().rev().nth(1);
        ensure!(status == Some("Available"), "{line}");
    }
    let table = ctx.kubectl(&["get", "crd", "-o", "name"])?;
    for kind in ["addressblocks", "addresspools", "blockrequests", "clusterbgps", "nodebgps"] {
        ensure!(table.contains(&format!("{kind}.sart.terassyi.net")), "no {kind}");
    }
    Ok(())
}

/// `sart` as v0.1's users type it, on a node.
pub(super) fn commands(ctx: &mut Ctx) -> Result<()> {
    let node = "sart-worker";
    let sart = router_program(ctx, node)?;
    let run = |words: &[&str]| -> Result<String> {
        let mut all = vec![sart.as_str()];
        all.extend_from_slice(words);
        ctx.lab.run(node, &all)
    };
    for (words, expect) in [
        (&["bgp", "global", "get"][..], "65020"),
        (&["bgp", "global", "health"], ""),
        (&["bgp", "neighbor", "list"], "9.9.9.9"),
        (&["bgp", "neighbor", "get", "7.7.7.7"], "65002"),
        (&["bgp", "global", "rib", "get", "-a", "ipv4"], "10.0.1.10"),
        (&["bgp", "global", "rib", "get", "-a", "ipv4", "-s", "unicast"], "10.0.1.10"),
    ] {
        let said = run(words)?;
        ensure!(said.contains(expect), "sart {}: no {expect:?} in {said}", words.join(" "));
        let mut as_json = words.to_vec();
        as_json.extend(["-o", "json"]);
        let said = run(&as_json)?;
        let value: Result<Value, _> = serde_json::from_str(&said);
        ensure!(value.is_ok(), "sart {}: {said}", as_json.join(" "));
    }
    let rib = ["bgp", "global", "rib"];
    let prefix = ["10.0.10.0/24", "-a", "ipv4"];
    run(&[&rib[..], &["add"], &prefix, &["-t", "origin=igp"]].concat())?;
    let on_spine = |there: bool| {
        wait_for(format_args!("10.0.10.0/24 on spine0: {there}"), s(10), || {
            let routes = ctx.ip("spine0", &["-4", "route", "show", "10.0.10.0/24"])?;
            ensure!(routes.is_empty() != there, "{routes:?}");
            Ok(())
        })
    };
    on_spine(true)?;
    run(&[&rib[..], &["del"], &prefix].concat())?;
    on_spine(false)?;
    let (status, said) = {
        let output = ctx.lab.exec(node, &[&sart, "bgp", "neighbor", "get", "192.0.2.1"])?;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    ensure!(status != Some(0) && !said.trim().is_empty(), "an unknown neighbor: {status:?} {said}");
    Ok(())
}

/// v0.1's finalizers and webhooks would block a cluster; a new leader takes them away.
pub(super) fn leftovers_are_removed(ctx: &mut Ctx) -> Result<()> {
    let finalizer = |kind: &str| format!("{kind}.sart.terassyi.net/finalizer");
    let speaker = json!({"path": "127.0.0.1:5000"});
    let template = sart("BGPPeerTemplate", "old-template", json!({"asn": 65500}));
    let selector = json!({
        "nodeSelector": {"bgp": "none"}, "asnSelector": {"from": "asn", "asn": 65500},
        "routerIdSelector": {"from": "internalAddress"}, "speaker": speaker,
    });
    for object in [
        pool("old-pool", "service", "10.90.0.0/24", None, false),
        template,
        sart("ClusterBGP", "old-cluster-bgp", selector),
    ] {
        ctx.apply(&object.to_string())?;
    }
    let request = json!({"pool": "there-is-none", "node": "sart-worker3"});
    ctx.apply(&sart("BlockRequest", "old-request", request).to_string())?;
    let first = |kind: &str| -> Result<String> {
        let all = ctx.all(kind)?;
        let of_pods = all.iter().find(|o| text(o, "/spec/type") != "service");
        Ok(of_pods.map(crate::suite::ctx::name).context(kind.to_owned())?.to_owned())
    };
    let (block, peer) = (first("addressblocks")?, first("bgppeers")?);
    let objects = [
        vec!["addresspool", "old-pool"],
        vec!["bgppeertemplate", "old-template"],
        vec!["clusterbgp", "old-cluster-bgp"],
        vec!["node", "sart-worker3"],
        vec!["service", "-n", "test", "app-svc-cluster"],
        vec!["blockrequest", "old-request"],
        vec!["addressblock", &block],
        vec!["bgppeer", &peer],
        vec!["bgpadvertisement", "-n", "kube-system", &block],
    ];
    for object in &objects {
        let kind = object.first().copied().unwrap_or_default();
        let patch =
            json!([{"op": "add", "path": "/metadata/finalizers/-", "value": finalizer(kind)}]);
        let whole = json!({"metadata": {"finalizers": [finalizer(kind)]}}).to_string();
        let (patch, mut args) = (patch.to_string(), vec!["patch"]);
        args.extend(object);
        let mut add = args.clone();
        add.extend(["--type=json", "-p", &patch]);
        let mut set = args;
        set.extend(["--type=merge", "-p", &whole]);
        ctx.kubectl(&add).or_else(|_| ctx.kubectl(&set))?;
    }
    let slices = ctx.get(&["endpointslices", "-n", "test"])?;
    let slice = items(&slices, "/items").first().map(crate::suite::ctx::name).unwrap_or_default();
    let whole = json!({"metadata": {"finalizers": [finalizer("endpointslice")]}}).to_string();
    ctx.kubectl(&["patch", "endpointslice", "-n", "test", slice, "--type=merge", "-p", &whole])?;
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        ctx.apply(&webhook(kind).to_string())?;
    }
    // Whoever leads next looks once.
    for node in ctx.nodes() {
        if !ctx.lab.processes(&node, "sartd controller")?.is_empty() {
            ctx.lab.kill(&node, Some("sartd controller"))?;
        }
    }
    wait_for("v0.1's finalizers are gone", s(60), || {
        let slice = vec!["endpointslice", "-n", "test", slice];
        for object in objects.iter().chain([&slice]) {
            let value = ctx.get(object)?;
            let left: Vec<&str> = items(&value, "/metadata/finalizers")
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| name.ends_with("sart.terassyi.net/finalizer"))
                .collect();
            ensure!(left.is_empty(), "{} has {left:?}", object.join(" "));
        }
        Ok(())
    })?;
    for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
        let name = webhook_name(kind);
        gone(ctx, &[kind, &name])?;
    }
    for object in [
        "addresspool/old-pool",
        "bgppeertemplate/old-template",
        "clusterbgp/old-cluster-bgp",
        "blockrequest/old-request",
    ] {
        ctx.kubectl(&["delete", "--timeout=30s", object])?;
    }
    let service = ctx.get(&["service", "-n", "test", "app-svc-cluster"])?;
    ensure!(!text(&service, "/status/loadBalancer/ingress/0/ip").is_empty(), "its address is gone");
    // The pool's block is collected after its grace period, not at once.
    audit(ctx, s(90))
}

/// The names under which v0.1 installs its webhooks.
fn webhook_name(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    if kind.starts_with("validating") {
        "sart-validating-webhook-configuration".to_owned()
    } else {
        "sart-mutating-webhook-configuration".to_owned()
    }
}

fn webhook(kind: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": webhook_name(kind)},
        "webhooks": [{
            "name": "vaddresspool.kb.io",
            "clientConfig": {"service": {
                "name": "sart-webhook-service", "namespace": "kube-system", "path": "/none",
            }},
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
            "rules": [{
                "apiGroups": ["sart.terassyi.net"], "apiVersions": ["v1alpha2"],
                "operations": ["CREATE"], "resources": ["addresspools"],
            }],
        }],
    })
}

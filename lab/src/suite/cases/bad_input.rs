//! Bad input, as a table: each has a named refusal where the person looks, and all else goes on.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::common::{CLIENT, gone};
use super::security::router_program;
use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, list as items, names, text};
use crate::suite::manifests::{
    ADDRESSES, POOL, deployment, list, namespace, pod, pool, sart, service,
};
use crate::suite::wait::{s, wait_for};

const WORKER: &str = "sart-worker";
const WORKER3: &str = "sart-worker3";

/// What needs the world to be seen: the younger object is refused, the older keeps what it has.
pub(super) fn pools(ctx: &mut Ctx) -> Result<()> {
    let refused = [
        (pool("overlaps", "pod", "10.1.0.128/25", Some(29), false), "pool-overlap"),
        (pool("second", "pod", "10.77.0.0/24", Some(29), true), "second-auto-assign"),
        (pool("default-pod-pool-0", "pod", "10.78.0.0/24", Some(29), false), "name-taken"),
    ];
    for (object, refusal) in &refused {
        ctx.apply(&object.to_string())?;
        let name = text(object, "/metadata/name");
        ctx.condition(&["addresspool", name], refusal)?;
        ctx.event(name, refusal)?;
    }

    // Too small: one address for two Services, two for three pods.
    ctx.apply(&list(&[
        pool("one-address", "service", "10.79.0.0/32", None, false),
        pool("two-addresses", "pod", "10.79.1.0/31", Some(32), false),
        namespace("small", &[]),
        service("small", "first", "none", &[(POOL, "one-address")], json!({})),
    ]))?;
    let address = ctx.external("small", "first", 1)?;
    let second = service("small", "second", "none", &[(POOL, "one-address")], json!({}));
    ctx.apply(&second.to_string())?;
    ctx.event("second", "pool-exhausted")?;
    ctx.condition(&["service", "-n", "small", "second"], "pool-exhausted")?;
    for i in 0..3 {
        let object = pod("small", &format!("pod-{i}"), WORKER, &[(POOL, "two-addresses")]);
        ctx.apply(&object.to_string())?;
        if i < 2 {
            ctx.pod("small", &format!("pod-{i}"))?;
        }
    }
    ctx.event("pod-2", "pool-exhausted")?;
    // An address that is given back goes to the one that waits.
    ctx.kubectl(&["delete", "service", "-n", "small", "first"])?;
    ensure!(ctx.external("small", "second", 1)? == address, "second has not got {address:?}");

    goes_on(ctx, "after-pools")?;
    ctx.kubectl(&["delete", "namespace", "small", "--wait=false"])?;
    gone(ctx, &["namespace", "small"])?;
    for (object, _) in &refused {
        ctx.delete(&object.to_string())?;
    }
    wait_for("the small pools can be deleted", s(60), || {
        ctx.delete(&list(&[
            pool("one-address", "service", "10.79.0.0/32", None, false),
            pool("two-addresses", "pod", "10.79.1.0/31", Some(32), false),
        ]))
    })?;
    audit(ctx, s(60))
}

/// Services are never blocked: each gets an Event and a condition.
pub(super) fn services(ctx: &mut Ctx) -> Result<()> {
    ctx.apply(&list(&[
        namespace("bad", &[]),
        service("bad", "holder", "none", &[(ADDRESSES, "10.0.1.77")], json!({})),
    ]))?;
    ctx.external("bad", "holder", 1)?;
    for (name, annotations, refusal) in [
        ("outside", &[(ADDRESSES, "10.250.0.1")][..], "address-outside-pool"),
        ("taken", &[(ADDRESSES, "10.0.1.77")], "address-taken"),
        ("no-pool", &[(POOL, "there-is-none")], "unknown-pool"),
        ("pods-pool", &[(POOL, "default-pod-pool")], "pool-type"),
        ("family", &[(ADDRESSES, "fd00:10:100::9")], "family-mismatch"),
        ("no-address", &[(ADDRESSES, "10.0.1.x")], "invalid-address"),
    ] {
        ctx.apply(&service("bad", name, "none", annotations, json!({})).to_string())?;
        ctx.event(name, refusal).with_context(|| refusal.to_owned())?;
        ctx.condition(&["service", "-n", "bad", name], refusal)?;
        let object = ctx.get(&["service", "-n", "bad", name])?;
        let given = items(&object, "/status/loadBalancer/ingress");
        ensure!(given.is_empty(), "{name} has {given:?}");
    }
    goes_on(ctx, "after-services")?;
    ctx.kubectl(&["delete", "namespace", "bad", "--wait=false"])?;
    gone(ctx, &["namespace", "bad"])?;
    audit(ctx, s(30))
}

pub(super) fn peers(ctx: &mut Ctx) -> Result<()> {
    let sessions = ctx.nodes().len() * 2;
    let speaker = json!({"path": "127.0.0.1:5000"});
    for (name, spec, refusal) in [
        (
            "double",
            json!({"asn": 65001, "addr": "9.9.9.9", "nodeBGPRef": WORKER, "speaker": speaker}),
            "duplicate-peer",
        ),
        (
            "of-nobody",
            json!({"asn": 65001, "addr": "9.9.9.8", "nodeBGPRef": "no-node", "speaker": speaker}),
            "unknown-node",
        ),
    ] {
        let object = sart("BGPPeer", name, spec).to_string();
        ctx.apply(&object)?;
        ctx.condition(&["bgppeer", name], refusal)?;
        ctx.delete(&object)?;
        gone(ctx, &["bgppeer", name])?;
    }
    ctx.established(sessions, s(20))?;

    // A wrong AS number: the other side's own is in the words of the NOTIFICATION (RFC 4271 §6.2).
    let patch = |asn: u32| {
        let patch = json!({"spec": {"asn": asn}}).to_string();
        ctx.kubectl(&["patch", "bgppeertemplate", "spine0", "--type=merge", "-p", &patch])
    };
    patch(65099)?;
    let name = format!("spine0-{WORKER}-65099-9.9.9.9");
    wait_for("the peer says that the AS number is wrong", s(40), || {
        let peer = ctx.get(&["bgppeer", &name])?;
        let error = text(&peer, "/status/session/lastError");
        let said = error.to_ascii_lowercase();
        ensure!(said.contains("peer as") || said.contains("bad peer"), "lastError is {error:?}");
        let last = items(&peer, "/status/conditions").last().map(|c| text(c, "/status"));
        ensure!(last != Some("Established"), "it is Established all the same");
        Ok(())
    })?;
    let peers = ctx.peers()?;
    let others = peers.iter().filter(|(name, _)| name.starts_with("spine1"));
    ensure!(others.clone().all(|(_, state)| state == "Established"), "{peers:?}");
    patch(65001)?;
    ctx.established(sessions, s(60))?;
    audit(ctx, s(30))
}

pub(super) fn nodes(ctx: &mut Ctx) -> Result<()> {
    let sessions = ctx.nodes().len() * 2;
    ctx.kubectl(&["label", "node", WORKER3, "sart.terassyi.net/asn-"])?;
    wait_for("missing-asn is named", s(30), || {
        let events = ctx.all("events")?;
        let cluster_bgp = ctx.get(&["clusterbgp", "clusterbgp-a"])?;
        let said = |value: &Value| {
            ["/reason", "/message"].iter().any(|field| names(text(value, field), "missing-asn"))
        };
        let conditions = items(&cluster_bgp, "/status/conditions");
        ensure!(events.iter().any(said), "no Event does");
        ensure!(conditions.iter().any(said), "no condition does: {conditions:?}");
        Ok(())
    })?;
    // A label that is gone by mistake must not take a node off the network: the rest goes on.
    let peers = ctx.peers()?;
    let others = peers.iter().filter(|(name, _)| !name.contains(WORKER3));
    ensure!(others.clone().all(|(_, state)| state == "Established"), "{peers:?}");
    ctx.kubectl(&["label", "node", WORKER3, "sart.terassyi.net/asn=no-number"])?;
    ctx.kubectl(&["label", "node", WORKER3, "--overwrite", "sart.terassyi.net/asn=65040"])?;
    ctx.established(sessions, s(60))?;

    // A node that no ClusterBGP selects any more loses its router's configuration, and gets it back.
    ctx.kubectl(&["label", "node", WORKER3, "bgp-"])?;
    gone(ctx, &["nodebgp", WORKER3])?;
    ctx.established(sessions - 2, s(60))?;
    ctx.kubectl(&["label", "node", WORKER3, "bgp=a"])?;
    ctx.established(sessions, s(60))?;

    let speaker = json!({"path": "10.0.0.1:5000"});
    let bad = sart(
        "ClusterBGP",
        "far-speaker",
        json!({
            "nodeSelector": {"bgp": "none"}, "asnSelector": {"from": "asn", "asn": 65500},
            "routerIdSelector": {"from": "internalAddress"}, "speaker": speaker,
        }),
    );
    ctx.apply(&bad.to_string())?;
    ctx.condition(&["clusterbgp", "far-speaker"], "speaker-not-local")?;
    ctx.delete(&bad.to_string())?;
    goes_on(ctx, "after-nodes")?;
    audit(ctx, s(30))
}

/// What one object alone shows: the API server itself refuses it, with the field and the reason.
pub(super) fn cel(ctx: &mut Ctx) -> Result<()> {
    let peer = |more: Value| {
        let mut spec = json!({
            "asn": 65001, "addr": "9.9.9.7", "nodeBGPRef": WORKER,
            "speaker": {"path": "127.0.0.1:5000"},
        });
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        sart("BGPPeer", "bad", spec)
    };
    let cluster_bgp = |asn: Value| {
        let router_id = json!({"from": "internalAddress"});
        let speaker = json!({"path": "127.0.0.1:5000"});
        let spec = json!({"asnSelector": asn, "routerIdSelector": router_id, "speaker": speaker});
        sart("ClusterBGP", "bad", spec)
    };
    for (object, words) in [
        (pool("bad", "pod", "10.88.0.1/24", Some(29), false), "without host bits"),
        (pool("bad", "pod", "here", Some(29), false), "without host bits"),
        (pool("bad", "pod", "10.88.0.0/24", Some(16), false), "blockSize"),
        (pool("bad", "pod", "10.88.0.0/24", Some(64), false), "blockSize"),
        (pool("bad", "elephant", "10.88.0.0/24", Some(29), false), "elephant"),
        (cluster_bgp(json!({"from": "asn"})), "asn"),
        (peer(json!({"holdTime": 2})), "0 or at least 3"),
        (peer(json!({"holdTime": 30, "keepaliveTime": 31})), "must not be over holdTime"),
        (peer(json!({"addr": "nowhere"})), "IPv4 or IPv6 address"),
        (peer(json!({"passwordSecretRef": {"name": "secret"}})), "passwordSecretRef: not built"),
        (peer(json!({"interface": "eth1"})), "interface: not built"),
    ] {
        ctx.refused(&object.to_string(), words)?;
    }
    for (field, value) in [("cidr", json!("10.1.0.0/25")), ("blockSize", json!(30))] {
        let patch = json!({"spec": {field: value}}).to_string();
        let args = ["patch", "addresspool", "default-pod-pool", "--type=merge", "-p", &patch];
        let output = ctx.lab.kubectl_output(&args, None)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = !output.status.success() && said.contains("immutable");
        ensure!(refused, "{field} of a pool was changed: {said}");
    }
    // autoAssign alone may change.
    for auto in ["false", "true"] {
        let patch = format!("{{\"spec\":{{\"autoAssign\":{auto}}}}}");
        ctx.kubectl(&["patch", "addresspool", "default-pod-pool", "--type=merge", "-p", &patch])?;
    }
    Ok(())
}

/// Garbage and silence on every way in: the daemons stay, the sessions stay, others are served.
pub(super) fn garbage(ctx: &mut Ctx) -> Result<()> {
    let programs = ["sartd bgp", "sartd agent"];
    let pids = |ctx: &Ctx| -> Result<Vec<Vec<i32>>> {
        programs.iter().map(|program| ctx.lab.processes(WORKER, program)).collect()
    };
    let before = pids(ctx)?;
    let sockets = ctx.lab.run(WORKER, &["find", "/run/sart", "-type", "s"])?;
    let mut ways: Vec<String> = sockets.lines().map(|socket| format!("-U {socket}")).collect();
    ways.extend(["8000", "8001", "5000", "179"].map(|port| format!("-w 2 127.0.0.1 {port}")));
    for way in &ways {
        for what in [
            "head -c 1000000 /dev/urandom",
            "printf 'GET / HTTP/1.1\\r\\n\\r\\n'",
            "printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\377\\377\\377'",
            "head -c 65536 /dev/zero",
            "printf '{\\n'",
        ] {
            let script = format!("{what} | timeout 3 nc {way} >/dev/null 2>&1; true");
            ctx.lab.run(WORKER, &["sh", "-c", &script])?;
        }
    }
    // From a peer's own address too, where the router expects a neighbor: a marker that is none,
    // a length that is none, and a second OPEN's worth of nothing (RFC 4271 §6.1).
    let octets = |n: usize| "\\377".repeat(n);
    for header in [
        "\\000".repeat(19),
        format!("{}\\000\\023\\011", octets(16)),
        format!("{}\\377\\377\\001", octets(16)),
        format!("{}\\000\\022\\004", octets(16)),
        octets(4096),
    ] {
        let script = format!(
            "printf '{header}' | timeout 2 nc -w 1 -s 9.9.9.9 169.254.2.2 179 >/dev/null 2>&1; true"
        );
        ctx.lab.run("spine0", &["sh", "-c", &script])?;
    }
    ensure!(pids(ctx)? == before, "a daemon has ended over garbage");
    ctx.established(ctx.nodes().len() * 2, s(20))?;
    goes_on(ctx, "after-garbage")?;
    audit(ctx, s(30))
}

/// What a runtime, or a person, may give the plugin.
pub(super) fn cni_config(ctx: &mut Ctx) -> Result<()> {
    let run = |environment: &str, input: &str| -> Result<(i32, Value)> {
        let script = format!(
            "printf '%s' '{input}' | env -i PATH=/opt/cni/bin:/usr/bin:/bin {environment} \
             timeout 30 /opt/cni/bin/sart-cni"
        );
        let output = ctx.lab.exec(WORKER, &["sh", "-c", &script])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = serde_json::from_str(&text)
            .with_context(|| format!("the plugin printed {text:?} for {input:?}"))?;
        Ok((output.status.code().unwrap_or(-1), said))
    };
    let config = r#"{"cniVersion":"1.0.0","name":"sart-network","type":"sart-cni"}"#;
    let add = "CNI_COMMAND=ADD CNI_CONTAINERID=x CNI_NETNS=/run/netns/none CNI_IFNAME=eth0";
    for (environment, input, code) in [
        // Codes of the CNI specification: 6 undecodable, 7 invalid configuration, 4 environment.
        (add, "this is no JSON", 6),
        (add, "{\"cniVersion\":\"1.0.0\",", 6),
        (add, "{\"cniVersion\":\"1.0.0\",\"name\":\"../x\",\"type\":\"sart-cni\"}", 7),
        ("CNI_COMMAND=ADD", config, 4),
        ("CNI_COMMAND=DANCE CNI_CONTAINERID=x CNI_IFNAME=eth0", config, 4),
    ] {
        let (status, said) = run(environment, input)?;
        let own = said.pointer("/code").and_then(Value::as_i64);
        ensure!(status != 0, "{environment} {input}: accepted");
        ensure!(own == Some(code), "{environment} {input}: {said} instead of code {code}");
        ensure!(!text(&said, "/msg").is_empty(), "no words: {said}");
    }
    let (status, said) = run("CNI_COMMAND=VERSION", "{\"cniVersion\":\"1.0.0\"}")?;
    ensure!(status == 0 && !items(&said, "/supportedVersions").is_empty(), "VERSION: {said}");

    // A pod, and a namespace, that nobody knows: never the auto pool by guess, but "try later".
    ctx.lab.run(WORKER, &["ip", "netns", "add", "nobodys"])?;
    let annotated = r#"{"cniVersion":"1.0.0","name":"sart-network","type":"sart-cni",
        "runtimeConfig":{"io.kubernetes.cri.pod-annotations":{}}}"#;
    let pod = "CNI_COMMAND=ADD CNI_CONTAINERID=nobodys CNI_NETNS=/run/netns/nobodys CNI_IFNAME=eth0 \
               CNI_ARGS='K8S_POD_NAMESPACE=nowhere;K8S_POD_NAME=nobody;K8S_POD_UID=none'";
    let later: Result<Vec<_>> = [config, annotated].iter().map(|input| run(pod, input)).collect();
    ctx.lab.run(WORKER, &["ip", "netns", "del", "nobodys"])?;
    for (status, said) in later? {
        let code = said.pointer("/code").and_then(Value::as_i64);
        ensure!(status != 0 && code == Some(11), "an unknown pod: {said}");
        ensure!(said.to_string().contains("api-unavailable"), "no name: {said}");
    }
    goes_on(ctx, "after-cni-config")
}

/// A router's file with a mistake is refused at the start: exit code 2, file, line and column.
pub(super) fn router_config(ctx: &mut Ctx) -> Result<()> {
    let sart = router_program(ctx, WORKER)?;
    let sartd = sart.replace("/usr/local/bin/sart", "/usr/local/bin/sartd");
    for (file, line) in [
        ("asn: 65000\nrouter_id: 10.0.0.2\nholdtime: 3\n", 3),
        ("asn: 0\nrouter_id: 10.0.0.2\n", 1),
        ("asn: 65000\nrouter_id: nobody\n", 2),
        (
            "asn: 65000\nrouter_id: 10.0.0.2\nneighbors:\n\
             - {asn: 1, address: 10.0.0.3}\n- {asn: 2, address: 10.0.0.3}\n",
            5,
        ),
        ("asn: [\n", 1),
    ] {
        let path = "/tmp/router.yaml";
        ctx.lab.run(WORKER, &["sh", "-c", &format!("printf '{file}' > {path}")])?;
        let output = ctx.lab.exec(WORKER, &["timeout", "10", &sartd, "bgp", "-f", path])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{file:?}: {}: {said}", output.status);
        let place = format!("{path}:{line}:");
        ensure!(said.contains(&place), "{file:?}: no {place} in {said:?}");
    }
    Ok(())
}

/// Everything else goes on: a new Service is given an address and answers, a new pod runs.
fn goes_on(ctx: &Ctx, name: &str) -> Result<()> {
    ctx.apply(&list(&[
        namespace(name, &[]),
        deployment(name, "web", 1),
        service(name, "web", "web", &[], json!({})),
    ]))?;
    ctx.ready(name, "app=web", 1)?;
    let addresses: Vec<IpAddr> = ctx.external(name, "web", 1)?;
    for address in addresses {
        ctx.reaches(CLIENT, address)?;
    }
    ctx.kubectl(&["delete", "namespace", name, "--wait=false"])?;
    gone(ctx, &["namespace", name])
}

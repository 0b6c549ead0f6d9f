//! Services of type LoadBalancer: addresses, announcements, and whether they answer.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::common::{CLIENT, gone, scale};
use crate::suite::audit::{Range, audit};
use crate::suite::ctx::{Ctx, Pod, list as items, text};
use crate::suite::manifests::{ADDRESSES, POOL, deployment, list, namespace, service};
use crate::suite::wait::{s, stays, wait_for};

/// Announced from every node; all of the API's promises on one Service.
pub(super) fn cluster_policy(ctx: &mut Ctx) -> Result<()> {
    ctx.apply(&list(&[
        namespace("cluster", &[]),
        deployment("cluster", "web", 2),
        service("cluster", "web", "web", &[], json!({})),
    ]))?;
    ctx.ready("cluster", "app=web", 2)?;
    let address = one(ctx.external("cluster", "web", 1)?)?;
    ensure!(address.to_string() == "10.0.1.0", "the first Service has {address}");
    ctx.reaches(CLIENT, address)?;
    let object = ctx.get(&["service", "-n", "cluster", "web"])?;
    ensure!(text(&object, "/status/loadBalancer/ingress/0/ipMode") == "VIP", "ipMode is not VIP");
    ensure!(finalizers(&object).contains(&FINALIZER), "no finalizer: {:?}", finalizers(&object));
    let advertisement = ctx.get(&["bgpadvertisement", "-n", "cluster", "web-10.0.1.0"])?;
    let label = text(&advertisement, "/metadata/labels/kubernetes.io~1service-name");
    ensure!(label == "web", "the advertisement's label is {label:?}");
    let nodes: BTreeSet<String> = ctx.nodes().into_iter().collect();
    via(ctx, address, &nodes)?;
    wait_for("the advertisement says so of every peer", s(20), || {
        let object = ctx.get(&["bgpadvertisement", "-n", "cluster", "web-10.0.1.0"])?;
        let peers = object.pointer("/status/peers").and_then(Value::as_object);
        let peers = peers.context("no peers in the status")?;
        let all = peers.values().all(|state| state == "Advertised");
        ensure!(all && peers.len() == nodes.len() * 2, "{peers:?}");
        Ok(())
    })?;
    audit(ctx, s(20))?;
    ctx.kubectl(&["delete", "service", "-n", "cluster", "web"])?;
    gone(ctx, &["bgpadvertisement", "-n", "cluster", "web-10.0.1.0"])?;
    audit(ctx, s(20))?;
    remove(ctx, &["cluster"])
}

/// Announced from the nodes with a ready endpoint, while these come and go.
pub(super) fn local_policy_follows_endpoints(ctx: &mut Ctx) -> Result<()> {
    let local = json!({"externalTrafficPolicy": "Local"});
    ctx.apply(&list(&[
        namespace("local", &[]),
        deployment("local", "web", 2),
        service("local", "web", "web", &[], local),
    ]))?;
    let pods = ctx.ready("local", "app=web", 2)?;
    let address = one(ctx.external("local", "web", 1)?)?;
    via(ctx, address, &nodes_of(&pods))?;
    let answer = ctx.reaches(CLIENT, address)?;
    let seen = text(&answer, "/to");
    ensure!(seen.starts_with("192.168.0.2:"), "the client is seen as {seen}");

    scale(ctx, "local", "web", 3)?;
    via(ctx, address, &nodes_of(&ctx.ready("local", "app=web", 3)?))?;
    scale(ctx, "local", "web", 1)?;
    let pods = ctx.ready("local", "app=web", 1)?;
    via(ctx, address, &nodes_of(&pods))?;

    // Not ready: gone from everywhere, though the Service keeps its address.
    let pod = pods.first().context("no pod")?;
    ctx.in_pod(pod, &["touch", "/tmp/down"])?;
    via(ctx, address, &BTreeSet::new())?;
    ensure!(ctx.external("local", "web", 1)? == [address], "the address has changed");
    ctx.in_pod(pod, &["rm", "/tmp/down"])?;
    via(ctx, address, &nodes_of(&pods))?;

    let policy = json!({"spec": {"externalTrafficPolicy": "Cluster"}}).to_string();
    ctx.kubectl(&["patch", "service", "-n", "local", "web", "-p", &policy])?;
    via(ctx, address, &ctx.nodes().into_iter().collect())?;
    audit(ctx, s(20))?;
    remove(ctx, &["local"])
}

/// `loadBalancerIPs` and `addresspool`, alone and together.
pub(super) fn wanted_addresses_and_pools(ctx: &mut Ctx) -> Result<()> {
    let both = "default-lb-pool,non-default-lb-pool";
    ctx.apply(&list(&[
        namespace("wanted", &[]),
        deployment("wanted", "web", 2),
        service("wanted", "by-pool", "web", &[(POOL, "non-default-lb-pool")], json!({})),
        service("wanted", "by-address", "web", &[(ADDRESSES, "10.0.1.99")], json!({})),
        service("wanted", "both", "web", &[(POOL, both), (ADDRESSES, "10.0.100.20")], json!({})),
        service(
            "wanted",
            "two-addresses",
            "web",
            &[(POOL, both), (ADDRESSES, "10.0.1.55,10.0.100.55")],
            json!({}),
        ),
    ]))?;
    ctx.ready("wanted", "app=web", 2)?;
    let (auto, other) = ("10.0.1.0/24", "10.0.100.0/24");
    for (name, expect) in [
        ("by-pool", &[other][..]),
        ("by-address", &["10.0.1.99"]),
        ("both", &[auto, "10.0.100.20"]),
        ("two-addresses", &["10.0.1.55", "10.0.100.55"]),
    ] {
        let found = ctx.external("wanted", name, expect.len())?;
        for range in expect {
            let range = Range::parse(range).context("a range")?;
            let inside = found.iter().any(|ip| range.contains(*ip));
            ensure!(inside, "{name} has {found:?}, none of {range}");
        }
        for address in found {
            ctx.reaches(CLIENT, address)?;
        }
    }
    audit(ctx, s(20))?;
    remove(ctx, &["wanted"])
}

/// One address per family that the Service asks for.
pub(super) fn dual_stack(ctx: &mut Ctx) -> Result<()> {
    let families = json!({"ipFamilyPolicy": "RequireDualStack"});
    let only = json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]});
    ctx.apply(&list(&[
        namespace("families", &[]),
        deployment("families", "web", 2),
        service("families", "both", "web", &[], families),
        service("families", "six", "web", &[], only),
    ]))?;
    ctx.ready("families", "app=web", 2)?;
    let both = ctx.external("families", "both", 2)?;
    ensure!(both.iter().filter(|ip| ip.is_ipv4()).count() == 1, "{both:?}");
    let six = ctx.external("families", "six", 1)?;
    ensure!(six.iter().all(|ip| ip.is_ipv6()), "{six:?}");
    for address in both.into_iter().chain(six) {
        ctx.reaches(CLIENT, address)?;
    }
    audit(ctx, s(20))?;
    remove(ctx, &["families"])
}

/// Whose Services are ours, and what is taken back when one is no more.
pub(super) fn class_and_finalizer(ctx: &mut Ctx) -> Result<()> {
    let class = |name: &str| json!({"loadBalancerClass": name});
    ctx.apply(&list(&[
        namespace("class", &[]),
        deployment("class", "web", 1),
        service("class", "ours", "web", &[], class("sart.terassyi.net/bgp")),
        service("class", "another-s", "web", &[], class("example.com/other")),
        service("class", "changes", "web", &[], json!({})),
    ]))?;
    ctx.external("class", "ours", 1)?;
    let address = one(ctx.external("class", "changes", 1)?)?;
    stays("another's Service is left alone", s(3), || {
        let object = ctx.get(&["service", "-n", "class", "another-s"])?;
        ensure!(items(&object, "/status/loadBalancer/ingress").is_empty(), "it has an address");
        ensure!(finalizers(&object).is_empty(), "it has {:?}", finalizers(&object));
        Ok(())
    })?;
    let patch = json!({"spec": {"type": "ClusterIP"}}).to_string();
    ctx.kubectl(&["patch", "service", "-n", "class", "changes", "-p", &patch])?;
    wait_for("the finalizer and the address go with the type", s(20), || {
        let object = ctx.get(&["service", "-n", "class", "changes"])?;
        ensure!(finalizers(&object).is_empty(), "finalizers {:?}", finalizers(&object));
        let left = items(&object, "/status/loadBalancer/ingress");
        ensure!(left.is_empty(), "addresses {left:?}");
        Ok(())
    })?;
    via(ctx, address, &BTreeSet::new())?;
    audit(ctx, s(20))?;
    remove(ctx, &["class"])
}

/// A Service with a group goes only to the peers of that group.
pub(super) fn groups_of_peers(ctx: &mut Ctx) -> Result<()> {
    let group = ("bgppeer.sart.terassyi.net/group", "to-spine1");
    ctx.apply(&list(&[
        namespace("group", &[]),
        deployment("group", "web", 1),
        service("group", "web", "web", &[group], json!({})),
    ]))?;
    ctx.ready("group", "app=web", 1)?;
    let address = one(ctx.external("group", "web", 1)?)?;
    let nodes: BTreeSet<String> = ctx.nodes().into_iter().collect();
    wait_for("spine1 has it from every node", s(20), || on_spine(ctx, "spine1", address, &nodes))?;
    stays("spine0 hears of it from no node", s(2), || {
        on_spine(ctx, "spine0", address, &BTreeSet::new())
    })?;
    ctx.reaches(CLIENT, address)?;
    ctx.kubectl(&["delete", "namespace", "group", "--wait=false"])?;
    gone(ctx, &["namespace", "group"])?;
    audit(ctx, s(20))
}

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

fn finalizers(object: &Value) -> Vec<&str> {
    items(object, "/metadata/finalizers").iter().filter_map(Value::as_str).collect()
}

fn one(addresses: Vec<IpAddr>) -> Result<IpAddr> {
    addresses.first().copied().context("no address")
}

fn nodes_of(pods: &[Pod]) -> BTreeSet<String> {
    pods.iter().map(|pod| pod.node.clone()).collect()
}

/// Waits until both spines reach the address over exactly these nodes.
fn via(ctx: &Ctx, address: IpAddr, nodes: &BTreeSet<String>) -> Result<()> {
    for spine in ["spine0", "spine1"] {
        wait_for(format_args!("{spine} reaches {address} over {nodes:?}"), s(20), || {
            on_spine(ctx, spine, address, nodes)
        })?;
    }
    Ok(())
}

/// A spine's kernel has the address over exactly these nodes. A path over core0 is none of them.
fn on_spine(ctx: &Ctx, spine: &str, address: IpAddr, nodes: &BTreeSet<String>) -> Result<()> {
    let range = Range::host(address).to_string();
    let family = if address.is_ipv4() { "-4" } else { "-6" };
    let routes = ctx.ip(spine, &[family, "route", "show", &range])?;
    let mut found = BTreeSet::new();
    for route in &routes {
        for hop in items(route, "/nexthops").iter().chain([route]) {
            // eth1 to eth4 lead to the nodes in their order, eth5 to core0.
            let node = match text(hop, "/dev") {
                "eth1" => Some("sart-control-plane"),
                "eth2" => Some("sart-worker"),
                "eth3" => Some("sart-worker2"),
                "eth4" => Some("sart-worker3"),
                _ => None,
            };
            found.extend(node.map(str::to_owned));
        }
    }
    ensure!(found == *nodes, "it goes over {found:?}");
    Ok(())
}

fn remove(ctx: &Ctx, namespaces: &[&str]) -> Result<()> {
    for namespace in namespaces {
        ctx.kubectl(&["delete", "namespace", namespace, "--wait=false"])?;
        gone(ctx, &["namespace", namespace])?;
    }
    audit(ctx, s(30))
}

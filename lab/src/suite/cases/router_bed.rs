//! The second test bed: one router, a link to each node, Services of both families.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use serde_json::json;

use super::common::CLIENT;
use super::established::vtysh;
use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, text};
use crate::suite::manifests::{daemon_set, list, namespace, pool, sart, service};
use crate::suite::wait::{s, wait_for};

pub(super) fn services_behind_one_router(ctx: &mut Ctx) -> Result<()> {
    let nodes = ctx.nodes();
    for (n, node) in (1..).zip(&nodes) {
        // Mode lb installs nothing that it learns: the way back is the administrator's.
        let (v4, v6) = (format!("169.254.{n}.1"), format!("fd00:169:254:{n}::1"));
        ctx.lab.run(node, &["ip", "route", "add", "192.168.0.0/24", "via", &v4])?;
        ctx.lab.run(node, &["ip", "-6", "route", "add", "fd00:192:168::/64", "via", &v6])?;
    }
    let restart = json!({"enabled": true, "restartTime": 120});
    // Each node has its own link, so each its own peer: chosen by the node's name.
    let peers: Vec<_> = (1..)
        .zip(&nodes)
        .map(|(n, node)| {
            json!({
                "peerConfig": {
                    "asn": 65000, "addr": format!("169.254.{n}.1"), "holdTime": 30,
                    "keepaliveTime": 30, "connectRetryTime": 120, "gracefulRestart": restart,
                },
                "nodeBGPSelector": {"kubernetes.io/hostname": node},
            })
        })
        .collect();
    let cluster_bgp = json!({
        "asnSelector": {"from": "label"}, "routerIdSelector": {"from": "internalAddress"},
        "speaker": {"path": "127.0.0.1:5000", "multipath": true}, "peers": peers,
    });
    ctx.apply(&list(&[
        pool("services", "service", "10.0.2.0/24", None, true),
        pool("services-v6", "service", "fd00:10:200::/64", None, true),
        sart("ClusterBGP", "router", cluster_bgp),
        namespace("bed", &[]),
        daemon_set("bed", "web"),
        service(
            "bed",
            "web",
            "web",
            &[],
            json!({"ipFamilyPolicy": "RequireDualStack", "externalTrafficPolicy": "Local"}),
        ),
    ]))?;
    ctx.established(nodes.len(), s(60))?;
    for (n, node) in (1..).zip(&nodes) {
        let expect = format!("{node}-65000-169.254.{n}.1");
        ensure!(ctx.peers()?.contains_key(&expect), "no BGPPeer {expect}");
    }
    ctx.ready("bed", "app=web", nodes.len())?;
    let addresses: Vec<IpAddr> = ctx.external("bed", "web", 2)?;
    for address in &addresses {
        let answer = ctx.reaches(CLIENT, *address)?;
        let seen = text(&answer, "/to");
        let own = if address.is_ipv4() { "192.168.0.2:" } else { "[fd00:192:168::2]:" };
        ensure!(seen.starts_with(own), "the client is seen as {seen}");
    }
    let neighbor = vtysh(ctx, "router0", "show bgp neighbors 169.254.1.2 json")?;
    let hold = neighbor.pointer("/169.254.1.2/bgpTimerHoldTimeMsecs").and_then(|v| v.as_u64());
    ensure!(hold == Some(30_000), "the hold time is {hold:?}");
    wait_for("router0 has four ways to each", s(20), || {
        for address in &addresses {
            let family = if address.is_ipv4() { "-4" } else { "-6" };
            let target = address.to_string();
            let routes = ctx.ip("router0", &[family, "route", "show", &target])?;
            let hops: usize =
                routes.iter().map(|route| crate::suite::ctx::list(route, "/nexthops").len()).sum();
            let ways = hops.max(routes.len());
            ensure!(ways == nodes.len(), "{target} has {ways}");
        }
        Ok(())
    })?;
    audit(ctx, s(30))
}

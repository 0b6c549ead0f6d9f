//! A node restarts: its processes and its kernel's state are gone, and everything comes back.

use anyhow::{Context, Result, ensure};

use super::common::{CLIENT, load};
use crate::suite::audit::audit;
use crate::suite::ctx::{Ctx, list, text};
use crate::suite::wait::{s, wait_for};

pub(super) fn node(ctx: &mut Ctx) -> Result<()> {
    let node = "sart-worker2";
    let load = load(ctx, "reboot")?;
    let before = ctx.get(&["node", node])?;
    let before = text(&before, "/status/nodeInfo/bootID").to_owned();
    let old: Vec<_> = load.on(node)?.addresses.clone();
    ctx.lab.reboot(node)?;
    wait_for(format_args!("{node} is Ready"), s(90), || {
        let object = ctx.get(&["node", node])?;
        let ready = list(&object, "/status/conditions")
            .iter()
            .find(|c| text(c, "/type") == "Ready")
            .context("no condition Ready")?;
        ensure!(text(ready, "/status") == "True", "{}", text(ready, "/message"));
        Ok(())
    })?;
    // All namespaces share the machine's boot id, so what shows a reboot is the pods' new sandboxes.
    let pods = wait_for("its pod has a network again", s(90), || {
        let pods = ctx.ready(&load.namespace, "app=load", ctx.nodes().len())?;
        let pod = pods.iter().find(|pod| pod.node == node).context("no pod on it")?.clone();
        ctx.netns_of(&pod)?;
        Ok(pods)
    })?;
    let new = pods.iter().find(|pod| pod.node == node).context("no pod on it")?;
    ctx.established(ctx.nodes().len() * 2, s(60))?;
    for address in &load.addresses {
        ctx.reaches(CLIENT, *address)?;
    }
    for from in pods.iter().filter(|pod| pod.node != node) {
        for address in &new.addresses {
            let address = address.to_string();
            let what = format!("{} reaches {address} (it was {old:?}, boot {before})", from.node);
            wait_for(what, s(20), || ctx.in_pod(from, &["ping", "-c", "1", "-W", "1", &address]))?;
        }
    }
    audit(ctx, s(60))?;
    load.remove(ctx)
}

//! The lab by itself, without sart: what all the other cases stand on.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::common::{gone, run_on};
use crate::image::{self, Name};
use crate::suite::ctx::{Ctx, text};
use crate::suite::manifests::{daemon_set, list, namespace, pod};
use crate::suite::prober::Prober;
use crate::suite::wait::{s, wait_for};

/// Any registry's name, any pull policy, and a name given while the lab is up.
pub(super) fn images_by_any_name(ctx: &mut Ctx) -> Result<()> {
    let name = |text: &str| text.parse::<Name>();
    image::open(&ctx.lab.images())?
        .tag(&name("test-server")?, &name("registry.example:5000/team/other:1.2")?)?;
    let nodes = ctx.nodes();
    let node = nodes.last().context("no node")?;
    let names = [
        ("short", "test-server"),
        ("other-registry", "quay.example/any/path/test-server:v7"),
        ("tagged", "registry.example:5000/team/other:1.2"),
    ];
    ctx.apply(&namespace("images", &[]).to_string())?;
    for (pod_name, image) in names {
        let mut object = pod("images", pod_name, node, &[]);
        if let Some(container) = object.pointer_mut("/spec/containers/0") {
            container["image"] = image.into();
            container["imagePullPolicy"] = "Always".into();
        }
        ctx.apply(&object.to_string())?;
    }
    for (pod_name, _) in names {
        let pod = ctx.pod("images", pod_name)?;
        ctx.in_pod(&pod, &["sh", "-c", "command -v ping curl ip nc"])?;
        for address in &pod.addresses {
            let answer = ctx.reaches(node, *address)?;
            ensure!(text(&answer, "/from") == address.to_string(), "it says {answer}");
            ensure!(!text(&answer, "/timestamp").is_empty(), "it says {answer}");
        }
    }
    ctx.kubectl(&["delete", "namespace", "images", "--wait=false"])?;
    gone(ctx, &["namespace", "images"])
}

/// A probe loses nothing while all is well, and sees it when it is not.
pub(super) fn probes_count(ctx: &mut Ctx) -> Result<()> {
    let nodes = ctx.nodes();
    ctx.apply(&list(&[namespace("probes", &[]), daemon_set("probes", "probe")]))?;
    let pods = ctx.ready("probes", "app=probe", nodes.len())?;
    let (from, to) = (pods.first().context("no pod")?, pods.last().context("no pod")?);
    for address in &to.addresses {
        ctx.reaches(&from.node, *address)?;
    }
    let start = |ctx: &Ctx| -> Result<Vec<Prober>> {
        let mut probes = ctx.ping(from, to)?;
        for address in &to.addresses {
            probes.push(ctx.connect(&from.node, *address)?);
        }
        Ok(probes)
    };
    let probes = start(ctx)?;
    ensure!(probes.len() == 4, "{} probes for two families", probes.len());
    run_on(3);
    for probe in probes {
        probe.lost_nothing()?;
    }
    let probes = start(ctx)?;
    run_on(2);
    let holes = |action: &str| {
        to.addresses.iter().try_for_each(|address| {
            let words = ["ip", "route", action, "blackhole", &address.to_string()];
            ctx.lab.run(&from.node, &words).map(drop)
        })
    };
    holes("add")?;
    run_on(2);
    holes("del")?;
    for probe in probes {
        let report = probe.finish()?;
        let longest = report.longest();
        ensure!(longest > s(1) && longest < s(10), "2 s without a way: {report}");
    }
    ctx.kubectl(&["delete", "namespace", "probes", "--wait=false"])?;
    gone(ctx, &["namespace", "probes"])
}

/// Killed programs and hosts come back when they are started.
pub(super) fn hosts_come_back(ctx: &mut Ctx) -> Result<()> {
    let control_plane = ctx.lab.control_plane()?.to_owned();
    let answers = |ctx: &Ctx| ctx.kubectl(&["get", "nodes"]).map(drop);
    ctx.lab.kill(&control_plane, Some("kube-apiserver"))?;
    ensure!(answers(ctx).is_err(), "the API server answers though it was killed");
    ctx.lab.start(&control_plane, Some("kube-apiserver"))?;
    wait_for("the API server answers", s(60), || answers(ctx))?;

    let ping = |ctx: &Ctx| {
        ctx.lab.run("client0", &["ping", "-c", "1", "-W", "1", "192.168.0.1"]).map(drop)
    };
    wait_for("client0 reaches core0", s(10), || ping(ctx))?;
    ctx.lab.kill("core0", None)?;
    ensure!(ping(ctx).is_err(), "core0 answers though it was killed");
    ctx.lab.start("core0", None)?;
    wait_for("client0 reaches core0 again", s(20), || ping(ctx))?;
    ctx.lab.unplug("client0", "eth1")?;
    let link = ctx.ip("client0", &["link", "show", "eth1"])?;
    let state = link.first().map(|link| text(link, "/operstate").to_owned());
    ensure!(state != Some("UP".to_owned()), "eth1 has a carrier: {}", json!(link));
    ctx.lab.plug("client0", "eth1")?;
    wait_for("client0 reaches core0 at last", s(10), || ping(ctx))
}

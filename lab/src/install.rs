//! Installing sart into a cluster that is up.

use anyhow::{Context, Result, bail};

use crate::bring_up::{self, Mode, tail};
use crate::places;
use crate::progress::Progress;
use crate::world::Lab;

/// What each mode runs, as `kubectl rollout status` names it.
const WORKLOADS: [&str; 3] =
    ["daemonset/sartd-bgp", "daemonset/sartd-agent", "deployment/sart-controller"];

/// Applies the kustomization of a mode and waits until all of it runs.
///
/// # Errors
/// When something does not come up in a minute: with what its pods say.
pub(crate) fn install(lab: &Lab, mode: Mode, progress: &Progress) -> Result<()> {
    let overlay = match mode {
        Mode::Cni => "cni",
        Mode::Lb => "lb",
        Mode::Dual => "dual",
        Mode::None => return Ok(()),
    };
    let folder = places::checkout().join("deploy").join(overlay);
    if !folder.is_dir() {
        bail!("there is no {}", folder.display());
    }
    let folder = folder.to_string_lossy();
    lab.kubectl(&["apply", "--server-side", "-k", &folder])?;
    progress.say(format_args!("sart applied (deploy/{overlay})"));
    bring_up::each(&WORKLOADS, |workload| {
        lab.kubectl(&["-n", "kube-system", "rollout", "status", workload, "--timeout=60s"])
            .map(drop)
            .with_context(|| trouble(lab, workload))
    })?;
    lab.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=30s"])?;
    progress.say("sart runs, all nodes Ready");
    Ok(())
}

/// What a person would look at next.
fn trouble(lab: &Lab, workload: &str) -> String {
    let show = |args: &[&str]| lab.kubectl(args).unwrap_or_else(|error| format!("{error:#}\n"));
    let mut text = format!("{workload} does not come up\n");
    text += &show(&["-n", "kube-system", "get", "pods", "-o", "wide"]);
    text += &show(&["-n", "kube-system", "get", "events", "--sort-by=.lastTimestamp"]);
    text += &show(&["-n", "kube-system", "logs", workload, "--tail=20", "--all-containers"]);
    if let Some(node) = lab.hosts().first() {
        text += &tail(lab, &node.name, "kubelet");
    }
    text
}

//! `kubectl sart`: runs `sart` in a node's router pod, so that RBAC on `pods/exec` decides.
//!
//! A program of the name `kubectl-sart` on the PATH is `kubectl`'s plugin `sart`: link it to `sart`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use clap::{CommandFactory as _, Parser};

use crate::Failure;

/// Shows and changes the state of a node's router.
#[derive(Parser)]
#[command(
    name = "kubectl sart",
    version,
    after_help = "Examples:\n  kubectl sart --node n1 bgp neighbors\n  kubectl sart --node n1 bgp explain 10.0.1.0/32"
)]
struct Plugin {
    /// The node whose router is meant; may be left out where only one runs.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// The namespace sart runs in.
    #[arg(short, long, default_value = "kube-system", value_name = "NAMESPACE")]
    namespace: String,
    /// What `sart` is to do, for instance: bgp neighbor list
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Whether this program was called as kubectl's plugin.
pub(crate) fn is_plugin(program: Option<&OsString>) -> bool {
    program.and_then(|p| Path::new(p).file_name()).is_some_and(|name| name == "kubectl-sart")
}

/// The plugin's command line.
pub(crate) fn command() -> clap::Command {
    Plugin::command()
}

/// `sart`'s command line with the plugin's own flags before it.
pub(crate) fn with_flags(sart: clap::Command) -> clap::Command {
    let flags = Plugin::command();
    sart.args(flags.get_arguments().filter(|flag| !flag.is_positional()).cloned())
}

/// Becomes `kubectl exec` in the pod of the node's router; comes back only if that fails.
pub(crate) fn run() -> Failure {
    let plugin = Plugin::parse();
    let pod = match router(&plugin) {
        Ok(pod) => pod,
        Err(failure) => return failure,
    };
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["exec", "--namespace", &plugin.namespace, &pod, "--", "sart"]);
    let error = kubectl.args(&plugin.command).exec();
    Failure::Refused(format!("cannot start kubectl: {error}"))
}

/// The name of the router's pod on the node.
fn router(plugin: &Plugin) -> Result<String, Failure> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["get", "pods", "--namespace", &plugin.namespace, "--no-headers"]);
    kubectl.args(["--selector", "app.kubernetes.io/name=sartd-bgp"]);
    kubectl.args(["--output", "custom-columns=NODE:.spec.nodeName,POD:.metadata.name"]);
    let out = kubectl
        .output()
        .map_err(|error| Failure::Refused(format!("cannot start kubectl: {error}")))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        return Err(Failure::Unreachable(said));
    }
    choose(plugin.node.as_deref(), &String::from_utf8_lossy(&out.stdout))
}

/// Picks the pod out of lines of `node pod`.
fn choose(node: Option<&str>, list: &str) -> Result<String, Failure> {
    let pods: Vec<(&str, &str)> =
        list.lines().filter_map(|line| line.trim().split_once(char::is_whitespace)).collect();
    let nodes: Vec<&str> = pods.iter().map(|(node, _)| *node).collect();
    let found = match (node, pods.as_slice()) {
        (_, []) => return Err(Failure::Unreachable("no router runs in this namespace".into())),
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(node), pods) => pods.iter().find(|(on, _)| *on == node),
    };
    let problem = match node {
        None => "which node? --node is one of".to_owned(),
        Some(node) => format!("no router runs on node {node}; there is one on"),
    };
    found
        .map(|(_, pod)| pod.trim().to_owned())
        .ok_or_else(|| Failure::Refused(format!("{problem} {}", nodes.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_of_a_node_is_found_or_the_nodes_are_named() {
        let two = "n1   sartd-bgp-a\nn2   sartd-bgp-b\n";
        let check = |node, list, expect: Result<&str, &str>| {
            let chosen = choose(node, list).map_err(|failure| failure.to_string());
            assert_eq!(chosen.as_deref().map_err(String::as_str), expect);
        };
        check(Some("n2"), two, Ok("sartd-bgp-b"));
        check(None, two, Err("which node? --node is one of n1, n2"));
        check(Some("n3"), two, Err("no router runs on node n3; there is one on n1, n2"));
        check(None, "n1 sartd-bgp-a\n", Ok("sartd-bgp-a"));
        check(None, "", Err("no router runs in this namespace"));
    }

    #[test]
    fn only_its_name_makes_it_the_plugin() {
        assert!(is_plugin(Some(&"/usr/local/bin/kubectl-sart".into())));
        assert!(!is_plugin(Some(&"/usr/local/bin/sart".into())));
        assert!(!is_plugin(None));
    }
}

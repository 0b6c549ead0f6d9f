use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::*;

mod calls;
mod results;
#[cfg(feature = "socket")]
mod sockets;

/// Runs one call as a runtime does; what stdout had, and whether it succeeded.
fn call(
    env: &[(&str, &str)],
    stdin: &str,
    handler: impl FnOnce(Call) -> Result<Answer, Error>,
) -> (Option<Value>, bool) {
    let env: BTreeMap<_, _> = env.iter().copied().collect();
    let get = |name: &str| env.get(name).map(|value| (*value).to_owned());
    let output = answer(&get, stdin.as_bytes(), handler);
    (output.stdout, output.success)
}

/// The environment of a command, as containerd sets it.
fn env(command: &str) -> Vec<(&str, &str)> {
    vec![
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "abc.1_2-3"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_UID="),
        ("CNI_PATH", "/opt/cni/bin"),
    ]
}

fn config(version: &str, more: Value) -> String {
    let mut config = json!({"cniVersion": version, "name": "net", "type": "t"});
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config.to_string()
}

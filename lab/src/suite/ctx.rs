//! What a case on a cluster has in its hands.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::prober::Prober;
use super::wait::{s, wait_for};
use crate::world::Lab;

/// One cluster, and where its failures are written down.
pub(crate) struct Ctx {
    pub(crate) lab: Lab,
    /// A directory for what this group leaves to be read.
    pub(crate) logs: PathBuf,
    /// Seconds from the start of `up` until every session was Established.
    pub(crate) up_took: Duration,
}

/// A pod, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ready: bool,
    pub(crate) host_network: bool,
    pub(crate) ending: bool,
}

/// Text at a JSON pointer; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `metadata.name`.
pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

/// True when a text has a refusal's name in it, as it is (`pool-exhausted`) or as a condition's
/// reason writes it (`PoolExhausted`).
pub(crate) fn names(said: &str, refusal: &str) -> bool {
    let reason: String = refusal
        .split('-')
        .filter_map(|word| word.split_at_checked(1))
        .map(|(first, rest)| first.to_ascii_uppercase() + rest)
        .collect();
    said.contains(refusal) || said.contains(&reason)
}

impl Pod {
    fn read(value: &Value) -> Self {
        let ips = list(value, "/status/podIPs").iter();
        let ready = list(value, "/status/conditions")
            .iter()
            .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
        Self {
            namespace: text(value, "/metadata/namespace").to_owned(),
            name: name(value).to_owned(),
            node: text(value, "/spec/nodeName").to_owned(),
            addresses: ips.filter_map(|ip| text(ip, "/ip").parse().ok()).collect(),
            ready,
            host_network: value.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)),
            ending: value.pointer("/metadata/deletionTimestamp").is_some(),
        }
    }

    /// The address of one family.
    pub(crate) fn v4(&self) -> Result<IpAddr> {
        let found = self.addresses.iter().find(|ip| ip.is_ipv4());
        found.copied().with_context(|| format!("{} has no IPv4 address", self.name))
    }

    /// The address of the other family.
    pub(crate) fn v6(&self) -> Result<IpAddr> {
        let found = self.addresses.iter().find(|ip| ip.is_ipv6());
        found.copied().with_context(|| format!("{} has no IPv6 address", self.name))
    }
}

impl Ctx {
    /// `kubectl` with a limit for each request.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["--request-timeout=20s"];
        all.extend_from_slice(args);
        self.lab.kubectl(&all)
    }

    /// `kubectl get … -o json`.
    pub(crate) fn get(&self, what: &[&str]) -> Result<Value> {
        let mut args = vec!["get", "-o", "json"];
        args.extend_from_slice(what);
        Ok(serde_json::from_str(&self.kubectl(&args)?)?)
    }

    /// All objects of a kind, in all namespaces.
    pub(crate) fn all(&self, kind: &str) -> Result<Vec<Value>> {
        Ok(list(&self.get(&[kind, "-A"])?, "/items").to_vec())
    }

    /// Applies a manifest. A new namespace's ServiceAccount may take a moment, so that its first
    /// pods are tried again.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        let args = ["--request-timeout=20s", "apply", "-f", "-"];
        let end = Instant::now() + s(10);
        loop {
            let output = self.lab.kubectl_output(&args, Some(manifest))?;
            let said = String::from_utf8_lossy(&output.stderr);
            let early = said.contains("serviceaccount \"default\" not found");
            if output.status.success() {
                return Ok(());
            }
            ensure!(early && Instant::now() < end, "kubectl apply: {}", said.trim());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Deletes what a manifest names, and waits until it is gone.
    pub(crate) fn delete(&self, manifest: &str) -> Result<()> {
        let args = ["delete", "--ignore-not-found", "--timeout=60s", "-f", "-"];
        self.lab.kubectl_input(&args, manifest).map(drop)
    }

    /// Applies a manifest that the API server has to refuse with these words.
    pub(crate) fn refused(&self, manifest: &str, words: &str) -> Result<()> {
        let output = self.lab.kubectl_output(&["apply", "-f", "-"], Some(manifest))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "was accepted, not refused with {words:?}:\n{manifest}");
        ensure!(said.contains(words), "refused, but without {words:?}: {said}");
        Ok(())
    }

    /// An Event on an object says these words.
    pub(crate) fn event(&self, object: &str, words: &str) -> Result<()> {
        wait_for(format_args!("an Event on {object} with {words:?}"), s(20), || {
            let events = self.all("events")?;
            let found = events.iter().any(|event| {
                text(event, "/involvedObject/name") == object
                    && ["/reason", "/message"].iter().any(|field| names(text(event, field), words))
            });
            ensure!(found, "none of {} Events", events.len());
            Ok(())
        })
    }

    /// A condition of an object has this reason (or says it in its message).
    pub(crate) fn condition(&self, object: &[&str], words: &str) -> Result<()> {
        wait_for(format_args!("a condition {words:?} of {}", object.join(" ")), s(20), || {
            let value = self.get(object)?;
            let conditions = list(&value, "/status/conditions");
            let found = conditions.iter().any(|c| {
                ["/type", "/reason", "/message"].iter().any(|field| names(text(c, field), words))
            });
            ensure!(found, "there is {}", Value::from(conditions.to_vec()));
            Ok(())
        })
    }

    /// All pods that the API has.
    pub(crate) fn pods(&self) -> Result<Vec<Pod>> {
        Ok(self.all("pods")?.iter().map(Pod::read).collect())
    }

    /// The pods of a namespace with a label, once so many are ready and none is on its way out.
    pub(crate) fn ready(&self, namespace: &str, label: &str, count: usize) -> Result<Vec<Pod>> {
        wait_for(format_args!("{count} ready pods {label} in {namespace}"), s(90), || {
            let pods = self.get(&["pods", "-n", namespace, "-l", label])?;
            let pods: Vec<Pod> = list(&pods, "/items").iter().map(Pod::read).collect();
            let ready = pods.iter().filter(|pod| pod.ready && !pod.ending).count();
            ensure!(ready == count && pods.len() == count, "{ready} of {}", pods.len());
            Ok(pods)
        })
    }

    /// One pod, once it is ready.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Result<Pod> {
        wait_for(format_args!("pod {namespace}/{name} is ready"), s(60), || {
            let pod = Pod::read(&self.get(&["pod", "-n", namespace, name])?);
            ensure!(pod.ready, "it is not");
            Ok(pod)
        })
    }

    /// Runs a command in a pod.
    pub(crate) fn in_pod(&self, pod: &Pod, words: &[&str]) -> Result<String> {
        let mut args = vec!["exec", "-n", &pod.namespace, &pod.name, "--"];
        args.extend_from_slice(words);
        self.lab.kubectl(&args)
    }

    /// The nodes' names.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let cluster = self.lab.world.cluster.iter();
        cluster.flat_map(|c| c.nodes.iter().map(|node| node.name.clone())).collect()
    }

    /// Every BGPPeer's last condition, by name.
    pub(crate) fn peers(&self) -> Result<BTreeMap<String, String>> {
        let peers = self.all("bgppeers.sart.terassyi.net")?;
        let state = |peer: &Value| {
            let last = list(peer, "/status/conditions").last().map(|c| text(c, "/status"));
            (name(peer).to_owned(), last.unwrap_or("none").to_owned())
        };
        Ok(peers.iter().map(state).collect())
    }

    /// Waits until there are so many BGPPeers and all are Established.
    pub(crate) fn established(&self, count: usize, limit: Duration) -> Result<()> {
        wait_for(format_args!("{count} peers Established"), limit, || {
            let peers = self.peers()?;
            let all = peers.values().all(|state| state == "Established");
            ensure!(peers.len() == count && all, "there is {peers:?}");
            Ok(())
        })
    }

    /// A Service's external addresses, once there are so many.
    pub(crate) fn external(
        &self,
        namespace: &str,
        name: &str,
        count: usize,
    ) -> Result<Vec<IpAddr>> {
        wait_for(format_args!("{count} addresses of Service {name}"), s(30), || {
            let service = self.get(&["service", "-n", namespace, name])?;
            let found: Vec<IpAddr> = list(&service, "/status/loadBalancer/ingress")
                .iter()
                .filter_map(|ingress| text(ingress, "/ip").parse().ok())
                .collect();
            ensure!(found.len() == count, "there is {found:?}");
            Ok(found)
        })
    }

    /// `curl` from a host; the server's answer.
    pub(crate) fn curl(&self, host: &str, target: IpAddr) -> Result<Value> {
        let url = match target {
            IpAddr::V4(v4) => format!("http://{v4}/"),
            IpAddr::V6(v6) => format!("http://[{v6}]/"),
        };
        let answer = self.lab.run(host, &["curl", "-sS", "--fail", "--max-time", "2", &url])?;
        serde_json::from_str(&answer).with_context(|| format!("{url} answered {answer:?}"))
    }

    /// Waits until `curl` from a host is answered.
    pub(crate) fn reaches(&self, host: &str, target: IpAddr) -> Result<Value> {
        wait_for(format_args!("{host} reaches {target}"), s(20), || self.curl(host, target))
    }

    /// The network namespace of a host.
    pub(crate) fn netns(&self, host: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/ns/net", self.lab.init(host)?.pid)))
    }

    /// The network namespaces of a node's pods, each with the addresses on its eth0.
    pub(crate) fn pod_netns(&self, node: &str) -> Result<Vec<(PathBuf, Vec<IpAddr>)>> {
        let folder = format!("/proc/{}/root/run/netns", self.lab.init(node)?.pid);
        let mut found = Vec::new();
        let Ok(entries) = std::fs::read_dir(&folder) else {
            return Ok(found);
        };
        for entry in entries {
            let path = entry?.path();
            let output = Command::new("nsenter")
                .arg(format!("--net={}", path.display()))
                .args(["ip", "-j", "addr", "show", "dev", "eth0"])
                .stdin(Stdio::null())
                .output()
                .context("run nsenter")?;
            // A namespace that goes away right now, or that has no eth0 yet, has no addresses.
            let links: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let addresses = list(&links, "")
                .iter()
                .flat_map(|link| list(link, "/addr_info"))
                .filter(|info| text(info, "/scope") == "global")
                .filter_map(|info| text(info, "/local").parse().ok())
                .collect();
            found.push((path, addresses));
        }
        Ok(found)
    }

    /// The network namespace of one pod.
    pub(crate) fn netns_of(&self, pod: &Pod) -> Result<PathBuf> {
        let wanted = pod.addresses.first().context("the pod has no address")?;
        for (path, addresses) in self.pod_netns(&pod.node)? {
            if addresses.contains(wanted) {
                return Ok(path);
            }
        }
        bail!("no namespace on {} has {wanted} of pod {}", pod.node, pod.name)
    }

    /// Pings every 10 ms from one pod to another, over each family that both have.
    pub(crate) fn ping(&self, from: &Pod, to: &Pod) -> Result<Vec<Prober>> {
        let netns = self.netns_of(from)?;
        to.addresses
            .iter()
            .filter(|ip| from.addresses.iter().any(|own| own.is_ipv4() == ip.is_ipv4()))
            .map(|ip| {
                let name = format!("ping {} -> {} ({ip})", from.name, to.name);
                Prober::start(&name, "ping", &netns, *ip)
            })
            .collect()
    }

    /// Connects every 10 ms from a host to a Service's address.
    pub(crate) fn connect(&self, host: &str, target: IpAddr) -> Result<Prober> {
        Prober::start(&format!("connect {host} -> {target}"), "connect", &self.netns(host)?, target)
    }

    /// `ip -j …` in a host: the machine's program in the host's network.
    pub(crate) fn ip(&self, host: &str, words: &[&str]) -> Result<Vec<Value>> {
        let mut command = Command::new("ip");
        command.arg("-j").args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.lab.spawn_network(host, command)?.wait_with_output()?;
        let text = crate::world::success(&format!("{host}: ip {}", words.join(" ")), output)?;
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&text).with_context(|| format!("{host}: ip said {text}"))
    }
}

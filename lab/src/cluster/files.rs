//! The configuration files of a node's programs.

use std::net::IpAddr;

use serde_json::json;

use super::pki::{Pki, base64};
use crate::host::PARTS;
use crate::topology::kind::{Cluster, ProxyMode};

/// Where a node finds the cluster's files.
pub(super) const FOLDER: &str = "/etc/kubernetes";

/// What the API server logs of each request: a test reads who asked for what, and the answer.
pub(super) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// The image that holds a pod's namespaces open.
const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

/// A kubeconfig for one user. JSON is YAML, and needs no quoting rules of its own.
pub(super) fn kubeconfig(server: &str, pki: &Pki, user: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {
            "server": server,
            "certificate-authority-data": base64(pki.ca.cert.as_bytes()),
        }}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
    })
    .to_string()
}

/// containerd: every image comes from the lab's registry, whatever its name.
pub(super) fn containerd() -> String {
    format!(
        r#"version = 3
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.native",
  "io.containerd.differ.v1.erofs",
]
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/opt/cni/bin"]
  conf_dir = "/etc/cni/net.d"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "/usr/sbin/runc"
  SystemdCgroup = false
"#
    )
}

/// containerd's mirror for all registries.
pub(super) fn registry_hosts(registry: &str) -> String {
    format!(
        "server = \"{registry}\"\n[host.\"{registry}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
    )
}

pub(super) fn kubelet(cluster: &Cluster) -> String {
    let dns: Vec<String> = dns_addresses(cluster).iter().map(IpAddr::to_string).collect();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": format!("{FOLDER}/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": false,
        "failSwapOn": false,
        "resolvConf": format!("{FOLDER}/resolv.conf"),
        "clusterDNS": dns,
        "clusterDomain": "cluster.local",
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": false,
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.available": "0%",
        },
    })
    .to_string()
}

pub(super) fn kube_proxy(cluster: &Cluster, node: &str, mode: ProxyMode) -> String {
    let cidrs: Vec<String> = cluster.pod_subnets.iter().map(ToString::to_string).collect();
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": match mode {
            ProxyMode::Nftables => "nftables",
            ProxyMode::Iptables | ProxyMode::None => "iptables",
        },
        "hostnameOverride": node,
        "clientConnection": {"kubeconfig": format!("{FOLDER}/kube-proxy.conf")},
        "clusterCIDR": cidrs.join(","),
        // nf_conntrack_max belongs to the machine.
        "conntrack": {
            "maxPerCore": 0, "min": 0,
            "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
    })
    .to_string()
}

/// The address of the cluster's DNS in each family: the tenth, as everywhere.
pub(super) fn dns_addresses(cluster: &Cluster) -> Vec<IpAddr> {
    cluster.service_subnets.iter().map(|subnet| subnet.nth(10)).collect()
}

/// The conflist of the plain network that a cluster has when it shall have kind's default one:
/// one range of addresses per node, and routes between the nodes.
pub(super) fn default_cni(cluster: &Cluster, index: u16) -> String {
    let ranges: Vec<_> = pod_ranges(cluster, index)
        .iter()
        .map(|range| json!([{"subnet": range.to_string()}]))
        .collect();
    let routes: Vec<_> = cluster
        .pod_subnets
        .iter()
        .map(|s| json!({"dst": if s.address.is_ipv4() { "0.0.0.0/0" } else { "::/0" }}))
        .collect();
    json!({
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            {"type": "ptp", "ipam": {"type": "host-local", "ranges": ranges, "routes": routes}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

/// The part of each pod subnet that belongs to the node with this index.
pub(super) fn pod_ranges(cluster: &Cluster, index: u16) -> Vec<crate::topology::kind::Subnet> {
    cluster
        .pod_subnets
        .iter()
        .map(|subnet| {
            let length = if subnet.address.is_ipv4() { 24 } else { 64 };
            subnet.part(length.max(subnet.length), u128::from(index))
        })
        .collect()
}

/// The cluster's DNS: objects for `kubectl apply`.
pub(super) fn coredns(cluster: &Cluster) -> String {
    let addresses: Vec<String> = dns_addresses(cluster).iter().map(IpAddr::to_string).collect();
    let labels = json!({"k8s-app": "kube-dns"});
    let meta = |name: &str| json!({"name": name, "namespace": "kube-system", "labels": labels});
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("coredns")}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"],
                 "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
                 "verbs": ["list", "watch"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns",
                          "namespace": "kube-system"}],
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("coredns"),
            "data": {"Corefile": "\
.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    cache 30
    loadbalance
}
"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta("kube-dns"),
            "spec": {
                "selector": labels,
                "clusterIP": addresses.first(), "clusterIPs": addresses,
                "ipFamilyPolicy": "PreferDualStack",
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("coredns"),
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": "coredns",
                        "priorityClassName": "system-cluster-critical",
                        "dnsPolicy": "Default",
                        "containers": [{
                            "name": "coredns",
                            "image": "registry.k8s.io/coredns/coredns:v1.15.0",
                            "imagePullPolicy": "IfNotPresent",
                            "args": ["-conf", "/etc/coredns/Corefile"],
                            "volumeMounts": [
                                {"name": "config", "mountPath": "/etc/coredns", "readOnly": true},
                            ],
                            "ports": [
                                {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                                {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                            ],
                            "readinessProbe": {
                                "httpGet": {"path": "/ready", "port": 8181},
                                "periodSeconds": 1,
                            },
                        }],
                        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                    },
                },
            },
        }),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// The program of the lab's own parts.
pub(super) fn part(name: &str) -> String {
    format!("{PARTS}/{name}")
}

//! A Kubernetes cluster out of hosts: what each node gets, and the order in which it starts.

mod files;
mod pki;

use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use crate::host::control::Service;
use crate::host::{Bind, HostSpec, PARTS};
use crate::net;
use crate::topology::kind::{Cluster, Family, Node, ProxyMode, Role};
use files::{FOLDER, part};
use pki::{Pki, token};

/// Settings of the whole machine that a kubelet insists on.
const KUBELET_SYSCTLS: [(&str, &str); 6] = [
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.keys.root_maxbytes", "25000000"),
];

/// Users by name, with their groups: RBAC's built-in bindings go by these names.
const USERS: [(&str, &str); 4] = [
    ("lab-admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:kube-proxy", ""),
];

/// What all nodes of one cluster share while they are made.
pub(crate) struct Plan<'a> {
    cluster: &'a Cluster,
    /// The lab's name, for the specs.
    lab: &'a str,
    parts: &'a Path,
    pki: Pki,
    /// Tokens of [`USERS`], then of the kubelets, in order.
    tokens: Vec<String>,
    server: String,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(lab: &'a str, cluster: &'a Cluster, parts: &'a Path) -> Result<Plan<'a>> {
        let api = node_addresses(cluster, 0);
        let mut names: Vec<String> = api.iter().map(IpAddr::to_string).collect();
        names.extend(cluster.service_subnets.iter().map(|subnet| subnet.nth(1).to_string()));
        names.extend(["127.0.0.1", "::1"].map(str::to_owned));
        names.extend(
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
                .map(str::to_owned),
        );
        names.push("kubernetes.default.svc.cluster.local".to_owned());
        names.extend(cluster.nodes.first().map(|node| node.name.clone()));
        let server = match api.first() {
            Some(IpAddr::V6(v6)) => format!("https://[{v6}]:6443"),
            Some(v4) => format!("https://{v4}:6443"),
            None => "https://127.0.0.1:6443".to_owned(),
        };
        let tokens =
            (0..USERS.len() + cluster.nodes.len()).map(|_| token()).collect::<Result<_>>()?;
        Ok(Plan { cluster, lab, parts, pki: Pki::generate(names)?, tokens, server })
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> String {
        self.user_kubeconfig(0)
    }

    fn user_kubeconfig(&self, index: usize) -> String {
        files::kubeconfig(&self.server, &self.pki, USERS[index].0, &self.tokens[index])
    }

    /// The host that becomes the node with this index.
    pub(crate) fn node(&self, index: usize, node: &Node) -> HostSpec {
        let cluster = self.cluster;
        let mut spec = HostSpec::new(self.lab, &node.name, crate::host::Kind::Node);
        spec.sysctls = net::host_sysctls();
        for key in [
            "net.ipv4.ip_forward",
            "net.ipv6.conf.all.forwarding",
            "net.ipv6.conf.default.forwarding",
        ] {
            spec.sysctls.push((key.to_owned(), "1".to_owned()));
        }
        spec.pretended_sysctls =
            KUBELET_SYSCTLS.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        for plugin in ["loopback", "portmap", "ptp", "host-local"] {
            spec.binds.push(Bind {
                from: self.parts.join(plugin),
                to: Path::new("/opt/cni/bin").join(plugin),
                read_only: true,
            });
        }
        spec.file(&format!("{FOLDER}/ca.crt"), 0o644, &self.pki.ca.cert);
        spec.file(
            &format!("{FOLDER}/resolv.conf"),
            0o644,
            format!("nameserver {}\n", net::GATEWAY),
        );
        let kubelet_token = &self.tokens[USERS.len() + index];
        let kubelet_user = format!("system:node:{}", node.name);
        let kubeconfig = files::kubeconfig(&self.server, &self.pki, &kubelet_user, kubelet_token);
        spec.file(&format!("{FOLDER}/kubelet.conf"), 0o600, kubeconfig);
        spec.file(&format!("{FOLDER}/kubelet.json"), 0o644, files::kubelet(cluster));
        spec.file(&format!("{FOLDER}/kube-proxy.conf"), 0o600, self.user_kubeconfig(3));
        let proxy = files::kube_proxy(cluster, &node.name, cluster.proxy);
        spec.file(&format!("{FOLDER}/kube-proxy.json"), 0o644, proxy);
        spec.file("/etc/containerd/config.toml", 0o644, files::containerd());
        let registry = files::registry_hosts(&registry_url());
        spec.file("/etc/containerd/certs.d/_default/hosts.toml", 0o644, registry);
        if cluster.default_cni {
            let conflist = files::default_cni(cluster, index as u16);
            spec.file("/etc/cni/net.d/10-lab.conflist", 0o644, conflist);
        }
        if node.role == Role::ControlPlane {
            self.control_plane_files(&mut spec);
        }
        spec
    }

    fn control_plane_files(&self, spec: &mut HostSpec) {
        let pki = &self.pki;
        for (name, content) in [
            ("ca.key", &pki.ca.key),
            ("apiserver.crt", &pki.server.cert),
            ("apiserver.key", &pki.server.key),
            ("admin.crt", &pki.admin.cert),
            ("admin.key", &pki.admin.key),
            ("sa.key", &pki.service_accounts),
            ("sa.pub", &pki.service_accounts_public),
            ("admin.conf", &self.admin_kubeconfig()),
            ("kube-controller-manager.conf", &self.user_kubeconfig(1)),
            ("kube-scheduler.conf", &self.user_kubeconfig(2)),
            ("tokens.csv", &self.token_file()),
        ] {
            spec.file(&format!("{FOLDER}/{name}"), 0o600, content);
        }
        spec.file(&format!("{FOLDER}/audit-policy.yaml"), 0o644, files::AUDIT_POLICY);
        spec.env.push(("KUBECONFIG".to_owned(), format!("{FOLDER}/admin.conf")));
    }

    fn token_file(&self) -> String {
        let nodes =
            self.cluster.nodes.iter().map(|n| (format!("system:node:{}", n.name), "system:nodes"));
        let users = USERS.iter().map(|(user, groups)| ((*user).to_owned(), *groups));
        let lines = users.chain(nodes).zip(&self.tokens);
        lines
            .map(|((user, groups), token)| format!("{token},{user},{user},\"{groups}\"\n"))
            .collect()
    }
}

/// Where nodes pull from.
pub(crate) fn registry_url() -> String {
    format!("http://{}:5000", net::GATEWAY)
}

/// The addresses of a node on the management network, of the cluster's families, the first first.
pub(crate) fn node_addresses(cluster: &Cluster, index: usize) -> Vec<IpAddr> {
    // Nodes are the first hosts, numbered from 1.
    let (v4, v6) = net::management(index as u16 + 1);
    match cluster.family {
        Family::Ipv4 => vec![v4.into()],
        Family::Ipv6 => vec![v6.into()],
        Family::Dual => {
            let first = cluster.service_subnets.first().is_none_or(|s| s.address.is_ipv4());
            if first { vec![v4.into(), v6.into()] } else { vec![v6.into(), v4.into()] }
        }
    }
}

/// What runs before the API answers.
pub(crate) fn early(cluster: &Cluster, index: usize) -> Vec<Service> {
    let mut services = Vec::new();
    if index == 0 {
        services.push(Service::new(
            "etcd",
            [
                &part("etcd"),
                "--data-dir=/var/lib/etcd/lab",
                "--unsafe-no-fsync",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--log-level=warn",
            ],
        ));
        services.push(apiserver(cluster));
    }
    services.push(Service::new("containerd", [part("containerd")]));
    kept(services)
}

fn apiserver(cluster: &Cluster) -> Service {
    let subnets: Vec<String> = cluster.service_subnets.iter().map(ToString::to_string).collect();
    let advertise = node_addresses(cluster, 0).first().map(IpAddr::to_string).unwrap_or_default();
    let bind = if cluster.family == Family::Ipv4 { "0.0.0.0" } else { "::" };
    Service::new(
        "kube-apiserver",
        [
            part("kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            format!("--service-cluster-ip-range={}", subnets.join(",")),
            format!("--advertise-address={advertise}"),
            format!("--bind-address={bind}"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--allow-privileged".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--service-account-key-file={FOLDER}/sa.pub"),
            format!("--service-account-signing-key-file={FOLDER}/sa.key"),
            format!("--tls-cert-file={FOLDER}/apiserver.crt"),
            format!("--tls-private-key-file={FOLDER}/apiserver.key"),
            format!("--client-ca-file={FOLDER}/ca.crt"),
            format!("--kubelet-client-certificate={FOLDER}/admin.crt"),
            format!("--kubelet-client-key={FOLDER}/admin.key"),
            format!("--token-auth-file={FOLDER}/tokens.csv"),
            format!("--audit-policy-file={FOLDER}/audit-policy.yaml"),
            "--audit-log-path=/var/log/lab/audit.log".to_owned(),
        ],
    )
}

/// What runs once the API answers.
pub(crate) fn late(cluster: &Cluster, index: usize, node: &Node) -> Vec<Service> {
    let mut services = Vec::new();
    if index == 0 {
        services.push(Service::new(
            "kube-controller-manager",
            [
                part("kube-controller-manager"),
                format!("--kubeconfig={FOLDER}/kube-controller-manager.conf"),
                "--allocate-node-cidrs=false".to_owned(),
                "--use-service-account-credentials".to_owned(),
                format!("--root-ca-file={FOLDER}/ca.crt"),
                format!("--service-account-private-key-file={FOLDER}/sa.key"),
                format!("--cluster-signing-cert-file={FOLDER}/ca.crt"),
                format!("--cluster-signing-key-file={FOLDER}/ca.key"),
            ],
        ));
        services.push(Service::new(
            "kube-scheduler",
            [part("kube-scheduler"), format!("--kubeconfig={FOLDER}/kube-scheduler.conf")],
        ));
    }
    let ips: Vec<String> = node_addresses(cluster, index).iter().map(IpAddr::to_string).collect();
    let labels: Vec<String> =
        node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    services.push(Service::new(
        "kubelet",
        [
            part("kubelet"),
            format!("--kubeconfig={FOLDER}/kubelet.conf"),
            format!("--config={FOLDER}/kubelet.json"),
            format!("--hostname-override={}", node.name),
            format!("--node-ip={}", ips.join(",")),
            format!("--node-labels={}", labels.join(",")),
        ],
    ));
    if cluster.proxy != ProxyMode::None {
        services.push(Service::new(
            "kube-proxy",
            [part("kube-proxy"), format!("--config={FOLDER}/kube-proxy.json")],
        ));
    }
    kept(services)
}

/// As on a real node, where the kubelet and systemd run again what ends: the controller manager and
/// the scheduler count on it, since they end when they cannot renew their lease.
fn kept(services: Vec<Service>) -> Vec<Service> {
    services.into_iter().map(Service::restarted).collect()
}

/// The `ip` commands by which a node of the default network reaches the pods of the others.
pub(crate) fn default_routes(cluster: &Cluster, index: usize) -> String {
    let mut commands = String::new();
    for other in (0..cluster.nodes.len()).filter(|other| *other != index) {
        let gateways = node_addresses(cluster, other);
        for range in files::pod_ranges(cluster, other as u16) {
            let via = gateways.iter().find(|g| g.is_ipv4() == range.address.is_ipv4());
            if let Some(via) = via {
                commands.push_str(&format!("route add {range} via {via}\n"));
            }
        }
    }
    commands
}

/// The objects of the cluster's DNS.
pub(crate) fn dns_objects(cluster: &Cluster) -> String {
    files::coredns(cluster)
}

/// The folder of the lab's programs, with the links that choose one of `kube`'s.
pub(crate) fn parts_bind(parts: &Path) -> Bind {
    Bind { from: parts.to_path_buf(), to: PARTS.into(), read_only: true }
}

use std::path::Path;

use super::kind::{Family, ProxyMode};
use super::*;

const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

fn cluster(text: &str) -> Result<kind::Cluster> {
    kind::parse(Path::new("cluster.yaml"), &format!("{HEAD}{text}"))
}

fn network(text: &str) -> Result<clab::Network> {
    clab::parse(Path::new("net.yaml"), text)
}

/// The error must begin with this place and say this.
fn refused<T: std::fmt::Debug>(result: Result<T>, place: &str, what: &str) {
    let error = result.expect_err("must be refused").to_string();
    assert!(error.starts_with(&format!("{place}: ")), "{error} is not at {place}");
    assert!(error.contains(what), "{error} does not say {what}");
}

#[test]
fn nodes_are_named_as_kind_names_them() {
    let text = "name: sart\nnodes:\n- role: worker\n- role: control-plane\n  labels: {bgp: a}\n- role: worker\n";
    let cluster = cluster(text).unwrap();
    let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["sart-control-plane", "sart-worker", "sart-worker2"]);
    assert_eq!(cluster.nodes[0].labels["bgp"], "a");
}

#[test]
fn an_empty_file_is_kinds_default() {
    let cluster = cluster("").unwrap();
    assert_eq!(cluster.nodes[0].name, "kind-control-plane");
    assert_eq!((cluster.family, cluster.proxy), (Family::Ipv4, ProxyMode::Iptables));
    assert!(cluster.default_cni);
    assert_eq!(cluster.pod_subnets[0].to_string(), "10.244.0.0/16");
}

#[test]
fn dual_stack_takes_one_subnet_per_family() {
    let text = "networking:\n  ipFamily: dual\n  podSubnet: 10.1.0.0/16,fd00:1::/56\n  kubeProxyMode: nftables\n";
    let parsed = cluster(text).unwrap();
    assert_eq!(parsed.pod_subnets[1].part(64, 3).to_string(), "fd00:1:0:3::/64");
    assert_eq!(parsed.service_subnets[0].nth(10).to_string(), "10.96.0.10");
    assert_eq!(parsed.proxy, ProxyMode::Nftables);
    refused(
        cluster("networking:\n  ipFamily: dual\n  podSubnet: 10.1.0.0/16\n"),
        "cluster.yaml:5:14",
        "for each family",
    );
    refused(cluster("networking:\n  podSubnet: 10.1.0.1/16\n"), "cluster.yaml:4:14", "host bits");
}

#[test]
fn what_the_cluster_file_may_not_say() {
    refused(cluster("featureGates: {}\n"), "cluster.yaml:3:1", "featureGates");
    refused(cluster("nodes:\n- role: control-plane\n  image: x\n"), "cluster.yaml:5:3", "image");
    refused(
        cluster("nodes:\n- role: control-plane\n- role: control-plane\n"),
        "cluster.yaml:5:9",
        "one control plane",
    );
    refused(cluster("networking: {kubeProxyMode: ipvs}\n"), "cluster.yaml:3:29", "ipvs");
}

const ROUTER: &str = "\
name: net
topology:
  kinds:
    linux: {image: frrouting/frr:v8.4.0, env: {A: '1'}}
  nodes:
    r0:
      kind: linux
      cmd: sleep inf
      exec:
        - ip addr add 10.0.0.1/24 dev eth1
        - >-
          vtysh -c 'conf t'
          -c \"router bgp 65000\"
      binds: [/etc/hosts:/etc/x:ro]
    c0: {kind: linux, image: alpine, network-mode: 'container:r0'}
  links:
    - endpoints: [r0:eth1, c0:eth2]
";

#[test]
fn a_network_file_is_read_whole() {
    let network = network(ROUTER).unwrap();
    let r0 = network.hosts.iter().find(|host| host.name == "r0").unwrap();
    assert_eq!(r0.cmd, ["sleep", "inf"]);
    assert_eq!(r0.exec[1], ["vtysh", "-c", "conf t", "-c", "router bgp 65000"]);
    assert_eq!(r0.image.as_deref(), Some("frrouting/frr:v8.4.0"));
    assert_eq!(r0.env["A"], "1");
    assert!(r0.binds[0].read_only);
    let c0 = network.hosts.iter().find(|host| host.name == "c0").unwrap();
    assert_eq!((c0.image.as_deref(), c0.net_of.as_deref()), (Some("alpine"), Some("r0")));
    assert_eq!(network.links[0].ends[1].interface, "eth2");
}

#[test]
fn what_the_network_file_may_not_say() {
    let change = |from: &str, to: &str| network(&ROUTER.replacen(from, to, 1));
    refused(change("cmd: sleep", "startup-delay: sleep"), "net.yaml:8:7", "startup-delay");
    refused(change("kind: linux\n", "kind: srl\n"), "net.yaml:7:13", "srl");
    refused(change("r0:eth1, c0", "r1:eth1, c0"), "net.yaml:17:19", "no node \"r1\"");
    refused(change("c0:eth2", "r0:eth1"), "net.yaml:17:28", "has a link already");
    refused(change("c0:eth2", "c0:eth0"), "net.yaml:17:28", "management");
    refused(change("'container:r0'", "host"), "net.yaml:15:52", "network-mode");
    refused(change("'conf t'", "'conf t"), "net.yaml:12:11", "quote");
    refused(change("/etc/hosts:", "missing.conf:"), "net.yaml:14:15", "missing.conf");
}

#[test]
fn the_shipped_topologies_can_be_read() {
    for name in ["sart", "router"] {
        let topology = Topology::load(name).unwrap();
        assert!(topology.cluster.is_some() && topology.network.is_some(), "{name}");
    }
    let routers = Topology::load("routers").unwrap();
    assert!(routers.cluster.is_none() && routers.network.is_some());
    let error = Topology::load("nonesuch").unwrap_err().to_string();
    assert!(error.contains("router, routers, sart"), "{error}");
}

#[test]
fn words_are_split_without_a_shell() {
    for (line, words) in [
        ("a  b\n c", vec!["a", "b", "c"]),
        ("sed -i 's/bgpd=no/bgpd=yes/' f", vec!["sed", "-i", "s/bgpd=no/bgpd=yes/", "f"]),
        (r#"a "b \"c\" \n" ''"#, vec!["a", r#"b "c" \n"#, ""]),
        (r"a\ b", vec!["a b"]),
        ("", vec![]),
    ] {
        assert_eq!(split_words(line).unwrap(), words, "{line}");
    }
    assert!(split_words("a 'b").is_err());
}

#[test]
fn programs_are_known_by_their_image() {
    let runs = |image: &str| {
        let text =
            format!("name: n\ntopology:\n  nodes:\n    a: {{kind: linux, image: \"{image}\"}}\n");
        network(&text).unwrap().hosts[0].runs("frrouting/frr")
    };
    for image in ["frrouting/frr", "frrouting/frr:v8.4.0", "registry.example:443/frrouting/frr:9.1"]
    {
        assert!(runs(image), "{image}");
    }
    for image in ["frr", "alpine:3", "xfrrouting/frr:1", "frrouting/frr-tools:1"] {
        assert!(!runs(image), "{image}");
    }
}

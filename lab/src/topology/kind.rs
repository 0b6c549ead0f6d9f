//! The cluster file: kind's format, as far as the lab does what it says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::{Place, parse_yaml};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    kind: Spanned<String>,
    api_version: Spanned<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    nodes: Vec<FileNode>,
    #[serde(default)]
    networking: Networking,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNode {
    role: Spanned<Role>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    ControlPlane,
    Worker,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Networking {
    #[serde(default)]
    ip_family: Option<Family>,
    #[serde(default, rename = "disableDefaultCNI")]
    disable_default_cni: bool,
    #[serde(default)]
    pod_subnet: Option<Spanned<String>>,
    #[serde(default)]
    service_subnet: Option<Spanned<String>>,
    #[serde(default)]
    kube_proxy_mode: Option<ProxyMode>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
    Dual,
}

/// How kube-proxy does Services.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyMode {
    Iptables,
    Nftables,
    /// No kube-proxy at all.
    None,
}

/// A checked cluster file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// The control plane is the first.
    pub(crate) nodes: Vec<Node>,
    pub(crate) family: Family,
    pub(crate) default_cni: bool,
    pub(crate) proxy: ProxyMode,
    /// One prefix per family, the first family first.
    pub(crate) pod_subnets: Vec<Subnet>,
    pub(crate) service_subnets: Vec<Subnet>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) labels: BTreeMap<String, String>,
}

/// A prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) address: IpAddr,
    pub(crate) length: u8,
}

impl Subnet {
    fn parse(text: &str) -> Option<Subnet> {
        let (address, length) = text.trim().split_once('/')?;
        let subnet = Subnet { address: address.parse().ok()?, length: length.parse().ok()? };
        let width: u32 = if subnet.address.is_ipv4() { 32 } else { 128 };
        let host_bits = width.checked_sub(u32::from(subnet.length))?;
        let low = 1_u128.checked_shl(host_bits).unwrap_or(0).wrapping_sub(1);
        (subnet.bits() & low == 0).then_some(subnet)
    }

    fn bits(&self) -> u128 {
        match self.address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    /// The address so many after the first.
    pub(crate) fn nth(&self, index: u128) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => {
                // An index is a node's or a service's number: small.
                IpAddr::V4(v4.to_bits().wrapping_add(index as u32).into())
            }
            IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().wrapping_add(index).into()),
        }
    }

    /// The subnet so many after the first, of those with this length.
    pub(crate) fn part(&self, length: u8, index: u128) -> Subnet {
        let width: u8 = if self.address.is_ipv4() { 32 } else { 128 };
        let step = 1_u128 << (width - length);
        Subnet { address: self.nth(index * step), length }
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Reads and checks a cluster file.
///
/// # Errors
/// Names the file, line and column of what is unknown or not done here.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Cluster> {
    let file: File = parse_yaml(path, text)?;
    expect(path, &file.kind, "Cluster")?;
    expect(path, &file.api_version, "kind.x-k8s.io/v1alpha4")?;
    let name = file.name.unwrap_or_else(|| "kind".to_owned());
    let family = file.networking.ip_family.unwrap_or(Family::Ipv4);
    Ok(Cluster {
        nodes: nodes(path, &name, file.nodes)?,
        name,
        family,
        default_cni: !file.networking.disable_default_cni,
        proxy: file.networking.kube_proxy_mode.unwrap_or(ProxyMode::Iptables),
        pod_subnets: subnets(
            path,
            family,
            file.networking.pod_subnet,
            ["10.244.0.0/16", "fd00:10:244::/56"],
        )?,
        service_subnets: subnets(
            path,
            family,
            file.networking.service_subnet,
            ["10.96.0.0/16", "fd00:10:96::/112"],
        )?,
    })
}

fn expect(path: &Path, found: &Spanned<String>, wanted: &str) -> Result<()> {
    if found.value != wanted {
        bail!(
            Place::new(path, found.referenced)
                .error(&format!("expected {wanted:?}, found {:?}", found.value))
        );
    }
    Ok(())
}

/// Gives the nodes the names that kind gives them.
fn nodes(path: &Path, cluster: &str, list: Vec<FileNode>) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut workers = 0;
    let mut control_plane = None;
    for node in list {
        let role = node.role.value;
        let name = match role {
            Role::ControlPlane => {
                if control_plane.is_some() {
                    bail!(
                        Place::new(path, node.role.referenced)
                            .error("the lab makes one control plane only")
                    );
                }
                control_plane = Some(nodes.len());
                format!("{cluster}-control-plane")
            }
            Role::Worker => {
                workers += 1;
                match workers {
                    1 => format!("{cluster}-worker"),
                    n => format!("{cluster}-worker{n}"),
                }
            }
        };
        nodes.push(Node { name, role, labels: node.labels });
    }
    match control_plane {
        Some(index) => nodes[..=index].rotate_right(1),
        // An empty list is kind's one-node cluster.
        None if nodes.is_empty() => nodes.push(Node {
            name: format!("{cluster}-control-plane"),
            role: Role::ControlPlane,
            labels: BTreeMap::new(),
        }),
        None => bail!("{}: nodes: no control-plane among them", path.display()),
    }
    Ok(nodes)
}

fn subnets(
    path: &Path,
    family: Family,
    given: Option<Spanned<String>>,
    defaults: [&str; 2],
) -> Result<Vec<Subnet>> {
    let text = match &given {
        Some(given) => given.value.clone(),
        None => match family {
            Family::Ipv4 => defaults[0].to_owned(),
            Family::Ipv6 => defaults[1].to_owned(),
            Family::Dual => defaults.join(","),
        },
    };
    let subnets: Option<Vec<Subnet>> = text.split(',').map(Subnet::parse).collect();
    let families = |list: &[Subnet]| list.iter().map(|s| s.address.is_ipv4()).collect::<Vec<_>>();
    let fits = |list: &Vec<Subnet>| match (family, families(list).as_slice()) {
        (Family::Ipv4, [true]) | (Family::Ipv6, [false]) => true,
        (Family::Dual, [first, second]) => first != second,
        _ => false,
    };
    match (subnets.filter(fits), given) {
        (Some(subnets), _) => Ok(subnets),
        (None, Some(given)) => bail!(Place::new(path, given.referenced).error(&format!(
            "{text:?} is not one prefix without host bits for each family of ipFamily"
        ))),
        (None, None) => bail!("{}: no subnets for {family:?}", path.display()),
    }
}

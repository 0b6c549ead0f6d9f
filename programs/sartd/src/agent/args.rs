//! The agent's flags.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use clap::ValueEnum;
use node_api::Endpoint;
use node_plan::{ClassRule, NodeConfig};

use super::cni::Install;
use crate::logging::LogArgs;
use crate::old_args::OldArgs;

/// What sart does on a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Gives pods their network.
    Cni,
    /// Serves Services of type LoadBalancer, beside any other CNI.
    Lb,
    /// Both.
    Dual,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What sart does on this cluster.
    #[arg(long, value_enum, default_value_t = Mode::Dual)]
    pub(super) mode: Mode,
    /// This node's name in the cluster.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub(super) node_name: String,
    /// Where the node's router is reached.
    #[arg(long, default_value = node_api::DEFAULT_SOCKET, value_name = "SOCKET|ADDRESS")]
    pub(super) router: Endpoint,
    /// Kernel table that routes learned by BGP are written to (modes cni and dual).
    #[arg(long, default_value_t = 254, value_name = "TABLE")]
    pub(super) table_id: u32,
    /// Leave Services without a loadBalancerClass to others.
    #[arg(long)]
    pub(super) require_class: bool,
    /// Directory of the sockets that router, agent and CNI plugin share.
    #[arg(long, default_value = "/run/sart", value_name = "DIR")]
    pub(super) run_dir: PathBuf,
    /// Directory of the CNI plugins on the node.
    #[arg(long, default_value = "/opt/cni/bin", value_name = "DIR")]
    pub(super) cni_bin_dir: PathBuf,
    /// Directory of the CNI configurations on the node.
    #[arg(long, default_value = "/etc/cni/net.d", value_name = "DIR")]
    pub(super) cni_conf_dir: PathBuf,
    /// The plugin that is installed on the node.
    #[arg(long, default_value = "/usr/local/bin/sart-cni", value_name = "FILE")]
    pub(super) cni_plugin: PathBuf,
    /// MTU of the pods' links; the uplink's if left out.
    #[arg(long, value_name = "BYTES")]
    pub(super) mtu: Option<u32>,
    /// Address of health and metrics.
    #[arg(long, default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED), value_name = "ADDRESS")]
    pub(super) http_address: IpAddr,
    /// Port of health and metrics.
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    pub(super) http_port: u16,
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[command(flatten)]
    old: OldArgs,
    /// Without meaning: see --run-dir.
    #[arg(long, hide = true)]
    cni_endpoint: Option<String>,
    /// Without meaning: the router is watched.
    #[arg(long, hide = true)]
    peer_state_watcher: Option<String>,
}

impl Args {
    /// Whether this node gives pods their network.
    pub(super) fn serves_pods(&self) -> bool {
        matches!(self.mode, Mode::Cni | Mode::Dual)
    }

    pub(super) fn node_config(&self) -> NodeConfig {
        NodeConfig {
            node: self.node_name.clone(),
            pods: self.serves_pods(),
            services: matches!(self.mode, Mode::Lb | Mode::Dual),
            fib_table: self.serves_pods().then_some(self.table_id),
            classes: ClassRule { require_class: self.require_class },
        }
    }

    pub(super) fn install(&self) -> Install {
        Install {
            plugin: self.cni_plugin.clone(),
            bin_dir: self.cni_bin_dir.clone(),
            conf_dir: self.cni_conf_dir.clone(),
            mtu: self.mtu,
        }
    }

    pub(super) fn warn_of_what_has_no_meaning(&self) {
        self.old.warn(&[
            ("--cni-endpoint", self.cni_endpoint.is_some()),
            ("--peer-state-watcher", self.peer_state_watcher.is_some()),
        ]);
    }
}

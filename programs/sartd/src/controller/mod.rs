//! `sartd controller`: addresses for Services, blocks, ClusterBGP to NodeBGP to BGPPeer, and
//! collecting what nobody needs any more. Several replicas run; the holder of the Lease works.

mod leftovers;
mod metrics;
mod run;

use std::net::{IpAddr, Ipv6Addr};

use anyhow::Context as _;

use crate::logging::LogArgs;
use crate::old_args::OldArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave Services without a loadBalancerClass to others.
    #[arg(long)]
    require_class: bool,
    /// Address of health and metrics.
    #[arg(long, default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED), value_name = "ADDRESS")]
    http_address: IpAddr,
    /// Port of health and metrics.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    http_port: u16,
    /// This replica's name, unique among them.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kube-system", value_name = "NAMESPACE")]
    namespace: String,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    old: OldArgs,
}

pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    args.log.init()?;
    args.old.warn(&[]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(run::run(args))
}

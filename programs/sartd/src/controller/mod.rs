//! `sartd controller`: addresses for Services, blocks, ClusterBGP to NodeBGP to BGPPeer, and
//! collecting what nobody needs any more. Several replicas run; the holder of the Lease works.

mod leftovers;
mod metrics;
mod run;

use std::net::{IpAddr, Ipv6Addr};

use anyhow::Context as _;

use crate::logging::LogArgs;

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

/// Flags of v0.1 that have no meaning any more.
#[derive(clap::Args)]
struct OldArgs {
    /// Without meaning.
    #[arg(short, long, hide = true)]
    endpoint: Option<String>,
    /// Without meaning.
    #[arg(short, long, hide = true)]
    file: Option<String>,
    /// Without meaning: there are no webhooks any more.
    #[arg(long, hide = true)]
    https_port: Option<u16>,
    /// Without meaning: there are no webhooks any more.
    #[arg(long, hide = true)]
    tls_cert: Option<String>,
    /// Without meaning: there are no webhooks any more.
    #[arg(long, hide = true)]
    tls_key: Option<String>,
}

impl OldArgs {
    fn warn(&self) {
        let given = [
            ("--endpoint", self.endpoint.is_some()),
            ("--file", self.file.is_some()),
            ("--https-port", self.https_port.is_some()),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-key", self.tls_key.is_some()),
        ];
        for (flag, _) in given.into_iter().filter(|(_, given)| *given) {
            tracing::warn!(flag, "this flag of v0.1 has no meaning any more");
        }
    }
}

pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    args.log.init()?;
    args.old.warn();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(run::run(args))
}

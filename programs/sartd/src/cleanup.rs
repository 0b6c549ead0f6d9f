//! `sartd cleanup`: takes from a node what sart left on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kernel::routes::Owner;

/// What is to be cleaned up, and where it is.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory of the sockets and of the router's documents.
    #[arg(long, value_name = "DIR", default_value = crate::bgp::RUN_DIR)]
    run_dir: PathBuf,
    /// Directory of the CNI configurations on the node.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
    /// Directory of the CNI plugins on the node.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
}

/// Removes the CNI configuration and plugin, the routes of router, FIB controller and blocks with their
/// next-hop objects, and the run directory.
/// What is not there is no error. Pods keep their links, which go with them.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    // The configuration first: no pod shall be started with a plugin that goes.
    remove(&args.cni_conf_dir.join("10-sart.conflist"))?;
    remove(&args.cni_bin_dir.join("sart-cni"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut owners = crate::bgp::fib_owners(&args.run_dir);
    owners.extend([Owner::ROUTER, Owner::BLOCKS, Owner::FIB]);
    let routes =
        runtime.block_on(kernel::routes::cleanup(&owners)).context("cannot remove the routes")?;
    crate::bgp::remove_run_dir(&args.run_dir)
        .with_context(|| format!("cannot clean {}", args.run_dir.display()))?;
    println!("{routes} routes removed, {} cleaned", args.run_dir.display());
    Ok(())
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

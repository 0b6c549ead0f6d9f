//! `sartd cleanup`: takes from a node what sart left on it.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kernel::routes::Owner;

use crate::held::hold;

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
/// What is not there is no error. Pods keep their links, which go with them. Nothing is done while a
/// daemon runs with the directory: its routes would be back at once, and its state gone. The routes
/// of one with another directory are not told apart.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let _held = hold_off(&args.run_dir)?;
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

/// Sees that no daemon runs with this directory, and that no router or FIB controller begins to for
/// as long as what is given is held.
fn hold_off(run_dir: &Path) -> anyhow::Result<Vec<File>> {
    let running = |who: &str| {
        let dir = run_dir.display();
        anyhow::anyhow!("still-running: {who} runs with {dir}; end it first, nothing was removed")
    };
    let mut held = Vec::new();
    let locks = [(crate::bgp::LOCK, "a router (`sartd bgp`)"), (crate::fib::LOCK, "a `sartd fib`")];
    for (name, who) in locks {
        let file = run_dir.join(name);
        match hold(&file) {
            Ok(Some(lock)) => held.push(lock),
            Ok(None) => return Err(running(who)),
            // There is no such directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot lock {}", file.display()));
            }
        }
    }
    match UnixStream::connect(run_dir.join("agent.sock")) {
        Ok(_) => Err(running("an agent (`sartd agent`)")),
        Err(_) => Ok(held),
    }
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

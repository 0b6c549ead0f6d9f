//! `sartd cleanup`, the router's part: its routes and its run directory go.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kernel::routes::Owner;

/// What is to be cleaned up.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The router's run directory.
    #[arg(long, value_name = "DIR", default_value = super::RUN_DIR)]
    run_dir: PathBuf,
}

/// Removes the router's routes from every table, and its files; what is not there is no error.
/// Tells in words what was removed.
pub(crate) async fn run(args: &Args) -> anyhow::Result<String> {
    remove(&args.run_dir).await
}

async fn remove(run_dir: &Path) -> anyhow::Result<String> {
    let routes = kernel::routes::cleanup(&[Owner::ROUTER])
        .await
        .context("the router's routes could not be removed")?;
    super::store::remove_all(run_dir)
        .with_context(|| format!("{} could not be cleaned", run_dir.display()))?;
    Ok(format!("{routes} routes of the router removed, {} cleaned", run_dir.display()))
}

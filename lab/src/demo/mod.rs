//! `cargo lab demo`: from nothing to a cluster that announces pods and Services, shown.

use anyhow::Result;

/// `cargo lab demo …`
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Installs Debian packages that are missing
    #[arg(long)]
    install: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    crate::packages::ensure(args.install)?;
    Ok(())
}

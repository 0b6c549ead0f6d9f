//! What is made of the command line itself: completion scripts and man pages.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, Program};
use crate::{Failure, kubectl};

/// The script that completes the program under one of its names.
pub(crate) fn completion(shell: Shell, program: Program) -> String {
    let (name, mut command) = match program {
        Program::Sart => ("sart", Cli::command()),
        // The plugin takes its own flags before the commands of `sart`.
        Program::KubectlSart => ("kubectl-sart", kubectl::with_flags(Cli::command())),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes `sart.1`, a page for each of its commands, and `kubectl-sart.1`.
pub(crate) fn man(directory: &Path) -> Result<(), Failure> {
    let refused =
        |error: std::io::Error| Failure::Refused(format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(refused)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(refused)?;
    let plugin = kubectl::command().name("kubectl-sart").disable_help_subcommand(true);
    clap_mangen::Man::new(plugin).generate_to(directory).map_err(refused)?;
    Ok(())
}

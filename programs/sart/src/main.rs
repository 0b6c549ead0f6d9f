//! Shows and changes the state of a node's router.
//!
//! Exit codes: 0 done, 1 no router answers, 2 wrong usage or refused, with one sentence why.

mod bgp;
mod cli;
mod connect;
mod documents;
mod fib;
mod help;
mod kubectl;
mod output;
mod text;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// No router (or FIB controller) answers there.
    #[error("{0}")]
    Unreachable(String),
    /// Wrong usage, or the router refuses.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    fn refused(why: impl std::fmt::Display) -> Failure {
        Failure::Refused(why.to_string())
    }

    fn not_built_yet(what: &str) -> Failure {
        Failure::Refused(format!("{what} are not built yet"))
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Unreachable(_) => 1,
            Failure::Refused(_) => 2,
        }
    }
}

impl From<node_api::CallError> for Failure {
    fn from(error: node_api::CallError) -> Failure {
        use node_api::CallError::{NotAllowed, NotFound, Refused, Unknown, Unreachable};
        match error {
            Unreachable(..) => Failure::Unreachable(error.to_string()),
            NotAllowed(_) | Refused(_) | NotFound(_) | Unknown => {
                Failure::Refused(error.to_string())
            }
        }
    }
}

fn main() -> ExitCode {
    if kubectl::is_plugin(std::env::args_os().next().as_ref()) {
        return failed(&kubectl::run());
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::Refused(error.to_string())),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Bgp { what } => bgp::run(&cli.common, what).await,
        Command::Fib { what } => fib::run(&cli.common, what).await,
        Command::Watch(watch) => bgp::watch(&cli.common, watch).await,
        Command::Completion { shell, program } => {
            output::line(&documents::completion(shell, program));
            Ok(())
        }
        Command::Man { directory } => documents::man(&directory),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    let hint = match failure {
        Failure::Unreachable(_) => connect::hint(),
        Failure::Refused(_) => String::new(),
    };
    eprintln!("sart: {failure}{hint}");
    ExitCode::from(failure.code())
}

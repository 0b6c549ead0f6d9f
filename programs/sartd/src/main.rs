//! The daemons: `sartd bgp`, `sartd agent` and `sartd controller`, and `sartd cleanup` after them.
//!
//! This file only picks the daemon; each module wires one of them.

mod logging;

#[cfg(feature = "cluster")]
mod agent;
#[cfg(feature = "router")]
mod bgp;
#[cfg(feature = "router")]
mod cleanup;
#[cfg(feature = "cluster")]
mod controller;
#[cfg(feature = "router")]
mod fib;
#[cfg(feature = "router")]
mod held;
#[cfg(feature = "cluster")]
mod old_args;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A Kubernetes CNI and network load balancer that speaks BGP itself.
#[derive(Parser)]
#[command(name = "sartd", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    daemon: Daemon,
}

#[derive(Subcommand)]
enum Daemon {
    /// The node's router: BGP speaker and FIB controller in one process.
    #[cfg(feature = "router")]
    Bgp(bgp::Args),
    /// The FIB controller alone: routes of other programs and tables, by channels.
    #[cfg(feature = "router")]
    Fib(fib::Args),
    /// The node side of Kubernetes: CNI server, address blocks, what this node announces.
    #[cfg(feature = "cluster")]
    Agent(agent::Args),
    /// The cluster side of Kubernetes: addresses, blocks, peers, garbage collection.
    #[cfg(feature = "cluster")]
    Controller(controller::Args),
    /// Takes from this node what sart left on it: routes, CNI plugin and configuration, documents.
    #[cfg(feature = "router")]
    Cleanup(cleanup::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().daemon {
        #[cfg(feature = "router")]
        Daemon::Bgp(args) => bgp::main(args),
        #[cfg(feature = "router")]
        Daemon::Fib(args) => fib::main(args),
        #[cfg(feature = "cluster")]
        Daemon::Agent(args) => agent::main(args),
        #[cfg(feature = "cluster")]
        Daemon::Controller(args) => controller::main(args),
        #[cfg(feature = "router")]
        Daemon::Cleanup(args) => cleanup::main(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `{:#}` prints the whole chain of causes on one line.
            eprintln!("sartd: {error:#}");
            ExitCode::from(2)
        }
    }
}

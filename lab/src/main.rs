//! Networks and Kubernetes clusters out of Linux namespaces: demo, tests and benchmarks.

mod bench;
mod bring_up;
mod cgroup;
mod cli;
mod cluster;
mod demo;
mod faults;
mod fuzz;
mod host;
mod image;
mod images;
mod install;
mod interrupt;
mod machine;
mod net;
mod packages;
mod parts;
mod places;
mod process;
mod progress;
mod registry;
mod status;
mod suite;
mod sys;
mod topology;
mod world;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            // 2: nothing was tried, since something that the user must give is missing.
            ExitCode::from(if error.is::<packages::Missing>() { 2 } else { 1 })
        }
    }
}

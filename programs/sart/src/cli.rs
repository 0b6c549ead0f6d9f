//! The command line.

mod bgp;
mod fib;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use inet::{Family, Prefix};
use node_api::Endpoint;

pub(crate) use self::bgp::{
    AddNeighbor, Apply, Bgp, Bmp, First, Forget, Global, Kind, Mrt, Neighbor, Net, Policy, Reload,
    Reset, Rib, RibAction, Soft, Table, Tables,
};
pub(crate) use self::fib::{Channel, Fib, SetRoutes};
use crate::help;

/// Shows and changes the state of a node's router.
#[derive(Parser, Debug)]
#[command(name = "sart", version, propagate_version = true, after_help = help::ALL)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Where the router (for `fib channel`: the FIB controller) is: a socket's path, or an address
    /// with a port. Without it SART_ENDPOINT (SART_FIB_ENDPOINT) says so; without that
    /// /run/sart/router.sock (fib.sock) is tried first, then localhost:5000 (5001), read-only.
    #[arg(short, long, global = true)]
    pub(crate) endpoint: Option<Endpoint>,
    /// How the answer is written.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// The same as --output.
    #[arg(short = 'd', long = "format", global = true, value_enum)]
    pub(crate) format: Option<Format>,
    /// A file with the token that allows changes over TCP.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

impl Common {
    /// How the answer is written.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or(self.output)
    }

    /// Whether people want all columns.
    pub(crate) fn wide(&self) -> bool {
        self.format() == Format::Wide
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[value(alias = "plain")]
    Text,
    /// For people, with further columns where there are some.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The BGP speaker: its settings, neighbors and tables.
    Bgp {
        #[command(subcommand)]
        what: Bgp,
    },
    /// What is written into the kernel: by the router, and by the FIB controller's channels.
    Fib {
        #[command(subcommand)]
        what: Fib,
    },
    /// Tells what happens, as it happens, until it is stopped.
    #[command(after_help = help::WATCH)]
    Watch(Watch),
    /// Writes a completion script.
    #[command(after_help = help::COMPLETION)]
    Completion {
        /// For which shell.
        #[arg(value_enum)]
        shell: Shell,
        /// For which of the program's names.
        #[arg(long = "for", value_enum, default_value_t = Program::Sart, value_name = "PROGRAM")]
        program: Program,
    },
    /// Writes the man pages into a directory, which is made if need be.
    #[command(after_help = help::MAN)]
    Man {
        /// Where to.
        directory: PathBuf,
    },
}

/// The program's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// On a node.
    Sart,
    /// As kubectl's plugin.
    KubectlSart,
}

/// Which events are told.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// Only changes of best paths to this prefix and longer ones in it.
    #[arg(long)]
    pub(crate) prefix: Option<Prefix>,
    /// Only of this neighbor: its address or name.
    #[arg(long)]
    pub(crate) neighbor: Option<String>,
    /// Only events of this kind; sessions and conditions when left out. May be given several
    /// times.
    #[arg(long = "kind", value_enum)]
    pub(crate) kinds: Vec<EventKind>,
    /// End after so many events.
    #[arg(short = 'n', long, value_name = "EVENTS")]
    pub(crate) count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventKind {
    /// A session has another state.
    Session,
    /// The best paths to a prefix have changed.
    Best,
    /// A condition of the router begins to hold, or holds no longer.
    Condition,
}

/// For commands that change something.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DryRun {
    /// Only say what would change, and which sessions would be reset.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The address family that a command is about.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct FamilyArgs {
    /// Address family: ipv4 (also when left out) or ipv6.
    #[arg(short, long, global = true)]
    pub(crate) afi: Option<Family>,
    /// Subsequent address family.
    #[arg(short, long, global = true, value_enum, default_value_t = Safi::Unicast)]
    pub(crate) safi: Safi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Safi {
    /// Unicast.
    Unicast,
    /// Multicast.
    Multicast,
}

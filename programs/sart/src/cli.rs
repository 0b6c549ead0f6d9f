//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use inet::{Asn, Family, Prefix, RouterId};
use node_api::Endpoint;

/// Shows and changes the state of a node's router.
#[derive(Parser, Debug)]
#[command(name = "sart", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Where the router is: a socket's path, or an address with a port. Without it
    /// /run/sart/router.sock is tried first, then localhost:5000 (read-only).
    #[arg(short, long, global = true, env = "SART_ENDPOINT")]
    pub(crate) endpoint: Option<Endpoint>,
    /// How the answer is written.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Plain)]
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Plain,
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
    /// What the router writes into the kernel.
    Fib {
        #[command(subcommand)]
        what: Fib,
    },
    /// Writes a completion script.
    Completion {
        /// For which shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Bgp {
    /// What holds for the whole speaker.
    Global {
        #[command(subcommand)]
        what: Global,
    },
    /// The peers.
    Neighbor {
        #[command(subcommand)]
        what: Neighbor,
    },
    /// Why a prefix goes the way it does.
    Explain {
        /// A prefix, or an address for its longest match.
        prefix: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Global {
    /// Shows the settings, conditions and owners.
    Get,
    /// Changes settings.
    Set(SetGlobal),
    /// Asks whether the router answers.
    Health,
    /// The policies.
    Policy,
    /// The table of best paths, and the prefixes announced from here.
    Rib(Rib),
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct SetGlobal {
    /// AS number.
    #[arg(long)]
    pub(crate) asn: Option<Asn>,
    /// BGP Identifier, written like an IPv4 address.
    #[arg(long)]
    pub(crate) router_id: Option<RouterId>,
    /// Use all equally good paths.
    #[arg(
        long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub(crate) multi_path: Option<bool>,
}

#[derive(Args, Debug)]
pub(crate) struct Rib {
    #[command(flatten)]
    pub(crate) family: FamilyArgs,
    #[command(subcommand)]
    pub(crate) what: RibAction,
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

#[derive(Subcommand, Debug)]
pub(crate) enum RibAction {
    /// Shows the table.
    Get {
        /// Only this prefix.
        prefix: Option<Prefix>,
    },
    /// Announces prefixes.
    Add {
        /// Which.
        #[arg(required = true)]
        prefixes: Vec<Prefix>,
        /// An attribute: origin=igp|egp|incomplete, local_pref=N, med=N, community=65000:1,
        /// large_community=65000:1:2. May be given several times.
        #[arg(short = 't', long = "attr", value_name = "KEY=VALUE")]
        attributes: Vec<String>,
        /// Only to neighbors in this group. May be given several times.
        #[arg(long = "group")]
        groups: Vec<String>,
    },
    /// Announces prefixes no longer.
    Del {
        /// Which.
        #[arg(required = true)]
        prefixes: Vec<Prefix>,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Neighbor {
    /// Shows one neighbor fully.
    Get {
        /// Its address.
        address: IpAddr,
    },
    /// Shows all neighbors.
    List,
    /// Adds or replaces a neighbor.
    Add(Box<AddNeighbor>),
    /// Removes a neighbor that was added here.
    Del {
        /// Its address.
        address: IpAddr,
    },
    /// Shows what a neighbor sent, or what it is sent.
    Rib {
        /// Its address.
        address: IpAddr,
        /// in: received from it; out: sent to it.
        #[arg(short, long, value_enum, default_value_t = Kind::In)]
        kind: Kind,
        #[command(flatten)]
        family: FamilyArgs,
    },
    /// A neighbor's policies.
    Policy,
}

#[derive(Args, Debug)]
pub(crate) struct AddNeighbor {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Its AS number.
    pub(crate) asn: Asn,
    /// A name for people.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Wait for it to connect, never dial.
    #[arg(long)]
    pub(crate) passive: bool,
    /// Hold time in seconds: 0, or 3 to 65535.
    #[arg(long)]
    pub(crate) hold_time: Option<u16>,
    /// Keepalive interval in seconds.
    #[arg(long)]
    pub(crate) keepalive_time: Option<u16>,
    /// TTL of a session that crosses routers.
    #[arg(long, value_name = "TTL")]
    pub(crate) ebgp_multihop: Option<u8>,
    /// Address to speak from.
    #[arg(long)]
    pub(crate) local_address: Option<IpAddr>,
    /// A group that it is in. May be given several times.
    #[arg(long = "group")]
    pub(crate) groups: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Received.
    In,
    /// Sent.
    Out,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Fib {
    /// Shows the routes that the router wants in the kernel.
    Get {
        /// Only this prefix.
        prefix: Option<Prefix>,
        #[command(flatten)]
        family: FamilyArgs,
    },
    /// The channels of `sartd fib`.
    #[command(subcommand)]
    Channel(Channel),
}

#[derive(Subcommand, Debug)]
pub(crate) enum Channel {
    /// Shows one channel.
    Get {
        /// Its name.
        name: String,
    },
    /// Shows all channels.
    List,
    /// Shows a channel's routes.
    Route {
        /// Its name.
        name: String,
    },
}

//! `sart bgp`.

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use inet::{Asn, Prefix, PrefixError, RouterId, ScopedAddr};

use super::{DryRun, FamilyArgs, Watch};
use crate::help;

#[derive(Subcommand, Debug)]
pub(crate) enum Bgp {
    /// What a person should know first: settings, conditions, owners. The same as `global get`.
    Status,
    /// What holds for the whole speaker.
    Global {
        #[command(subcommand)]
        what: Global,
    },
    /// The peers: shows, adds and removes them, and shows their tables.
    #[command(after_help = help::NEIGHBOR)]
    Neighbor {
        #[command(subcommand)]
        what: Neighbor,
    },
    /// Shows the peers, or one of them fully: why it is not up, its last error decoded, counters.
    #[command(after_help = help::NEIGHBORS)]
    Neighbors {
        /// Address or name of the one.
        neighbor: Option<String>,
    },
    /// Shows a table: best paths, or what a neighbor sent or is sent.
    #[command(after_help = help::TABLES)]
    Rib(Tables),
    /// Why a path is best, and why a neighbor is sent it or not.
    #[command(after_help = help::EXPLAIN)]
    Explain {
        /// A prefix, or an address for its longest match.
        prefix: String,
        /// Only towards this neighbor, with each statement of its policies: its address or name.
        #[arg(long)]
        neighbor: Option<String>,
    },
    /// Begins sessions anew, or only asks for or tells their routes again.
    #[command(after_help = help::RESET)]
    Reset(Reset),
    /// Hands over a document, in place of the one before of the same owner.
    #[command(after_help = help::APPLY)]
    Apply(Apply),
    /// Has the router read its configuration file again, as SIGHUP does.
    #[command(after_help = help::RELOAD)]
    Reload(Reload),
    /// Forgets an owner, and all that it wanted.
    #[command(after_help = help::FORGET)]
    Forget(Forget),
    /// The policies, and the lists that they name.
    #[command(subcommand, after_help = help::POLICY)]
    Policy(Policy),
    /// Shows the BFD sessions that watch neighbors, or one fully.
    #[command(after_help = help::BFD)]
    Bfd {
        /// Address or name of the neighbor.
        neighbor: Option<String>,
    },
    /// The stations that are told all by BMP: whether they are connected, and since when.
    #[command(subcommand, after_help = help::BMP)]
    Bmp(Bmp),
    /// The MRT files of routes and messages.
    #[command(subcommand, after_help = help::MRT)]
    Mrt(Mrt),
    /// The same as `sart watch`.
    #[command(after_help = help::WATCH)]
    Watch(Watch),
}

#[derive(Subcommand, Debug)]
pub(crate) enum Bmp {
    /// Shows the stations.
    List,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Mrt {
    /// Shows what was written, and when the next files begin.
    Show,
}

#[derive(Args, Debug)]
pub(crate) struct Tables {
    /// Which table, loc when left out; or at once the prefix or address.
    #[arg(value_name = "TABLE", value_parser = FirstParser)]
    pub(crate) first: Option<First>,
    /// Only this prefix; of an address, the longest prefix that it is in.
    #[arg(value_name = "PREFIX", value_parser = behind_table)]
    pub(crate) prefix: Option<Net>,
    /// The table's neighbor; of `loc`, only paths that came from it: its address or name.
    #[arg(long)]
    pub(crate) neighbor: Option<String>,
    /// Only this prefix and longer ones in it.
    #[arg(long, value_name = "PREFIX", conflicts_with = "prefix")]
    pub(crate) longer: Option<Prefix>,
    /// Only the longest prefix that this address is in, as with the address alone.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["prefix", "longer"])]
    pub(crate) longest: Option<IpAddr>,
    /// Only paths with this community: 65000:100, 65000:1:2, or with parts that may be any.
    #[arg(long, value_name = "COMMUNITY")]
    pub(crate) community: Option<String>,
    /// Only paths whose AS path matches, written as policies write it: "65001 .* 65002".
    #[arg(long, value_name = "PATTERN")]
    pub(crate) as_path: Option<String>,
    /// Of `in`: as the import policy leaves it, without what it rejects.
    #[arg(long)]
    pub(crate) accepted: bool,
    #[command(flatten)]
    pub(crate) family: FamilyArgs,
}

/// A prefix, or an address in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    Prefix(Prefix),
    Address(IpAddr),
}

/// What stands first after `rib`: people leave the table out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Table(Table),
    Net(Net),
}

impl FromStr for Net {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Net, PrefixError> {
        match text.parse() {
            Ok(address) => Ok(Net::Address(address)),
            Err(_) => text.parse().map(Net::Prefix),
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Net::Prefix(prefix) => prefix.fmt(f),
            Net::Address(address) => address.fmt(f),
        }
    }
}

/// Reads what stands behind the table, where some look for the neighbor.
fn behind_table(text: &str) -> Result<Net, String> {
    text.parse().map_err(|error: PrefixError| format!("{error}; a neighbor goes with --neighbor"))
}

/// Reads it, and names the tables to help and completion.
#[derive(Clone, Copy, Debug)]
struct FirstParser;

impl TypedValueParser for FirstParser {
    type Value = First;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<First, clap::Error> {
        let text = value.to_string_lossy();
        let table = Table::from_str(&text, false).map(First::Table);
        table.or_else(|_| text.parse().map(First::Net)).map_err(|error: PrefixError| {
            let message = format!(
                "{text:?} is neither a table nor a prefix or address [possible values: loc, in, \
                 out]; {error}\n"
            );
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let tables = Table::value_variants().iter();
        Some(Box::new(tables.filter_map(ValueEnum::to_possible_value)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// All paths, the best marked.
    Loc,
    /// Received from a neighbor.
    In,
    /// Sent to a neighbor.
    Out,
}

#[derive(Args, Debug)]
pub(crate) struct Reset {
    /// Address or name of the neighbor.
    pub(crate) neighbor: Option<String>,
    /// All neighbors.
    #[arg(long, conflicts_with = "neighbor")]
    pub(crate) all: bool,
    /// The session stays: only its routes are asked for or told again.
    #[arg(long, value_enum, value_name = "DIRECTION")]
    pub(crate) soft: Option<Soft>,
    /// A word to the people at the other end (RFC 9003), up to 255 octets.
    #[arg(long, value_name = "TEXT", conflicts_with = "soft")]
    pub(crate) message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Soft {
    /// The neighbor is asked for its routes again.
    In,
    /// The neighbor is told all routes again.
    Out,
    /// Both.
    Both,
}

#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// The document, YAML or JSON; `-` is standard input.
    #[arg(short, long)]
    pub(crate) file: PathBuf,
    /// Whose document it is: 1 to 63 of a-z, 0-9 and '-', not `file` or `cli`.
    #[arg(long, default_value = "apply")]
    pub(crate) owner: String,
    /// Refuse it when a session would be reset.
    #[arg(long)]
    pub(crate) keep_sessions: bool,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

#[derive(Args, Debug)]
pub(crate) struct Reload {
    /// Refuse it when a session would be reset.
    #[arg(long)]
    pub(crate) keep_sessions: bool,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

#[derive(Args, Debug)]
pub(crate) struct Forget {
    /// Which owner.
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Policy {
    /// Shows names, owners and users of all.
    List,
    /// Shows one as it is written.
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Global {
    /// Shows the settings, conditions and owners.
    Get,
    /// Changes settings.
    #[command(after_help = help::SET)]
    Set(SetGlobal),
    /// Asks whether the router answers, and which conditions a person should know of.
    Health,
    /// Shows names, owners and users of the policies.
    Policy,
    /// The table of best paths, and the prefixes announced from here.
    #[command(after_help = help::RIB)]
    Rib(Rib),
}

#[derive(Args, Debug)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("settings").required(true).multiple(true))]
pub(crate) struct SetGlobal {
    /// AS number.
    #[arg(long, group = "settings")]
    pub(crate) asn: Option<Asn>,
    /// BGP Identifier, written like an IPv4 address.
    #[arg(long, group = "settings")]
    pub(crate) router_id: Option<RouterId>,
    /// Use all equally good paths.
    #[arg(
        long, group = "settings", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub(crate) multi_path: Option<bool>,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

#[derive(Args, Debug)]
pub(crate) struct Rib {
    #[command(flatten)]
    pub(crate) family: FamilyArgs,
    #[command(subcommand)]
    pub(crate) what: RibAction,
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
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Announces prefixes no longer.
    Del {
        /// Which.
        #[arg(required = true)]
        prefixes: Vec<Prefix>,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum Neighbor {
    /// Shows one neighbor fully.
    Get {
        /// Its address or name.
        neighbor: String,
    },
    /// Shows all neighbors.
    List,
    /// Adds or replaces a neighbor.
    Add(Box<AddNeighbor>),
    /// Removes a neighbor that was added here.
    Del {
        /// Its address; a link-local one with its link (fe80::1%eth0).
        address: ScopedAddr,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Shows what a neighbor sent, or what it is sent.
    Rib {
        /// Its address or name.
        neighbor: String,
        /// in: received from it; out: sent to it.
        #[arg(short, long, value_enum, default_value_t = Kind::In)]
        kind: Kind,
        #[command(flatten)]
        family: FamilyArgs,
    },
    /// Shows the policies of the neighbors, or of one.
    Policy {
        /// Its address or name.
        neighbor: Option<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AddNeighbor {
    /// Its address; a link-local one with its link (fe80::1%eth0).
    pub(crate) address: ScopedAddr,
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
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Received.
    In,
    /// Sent.
    Out,
}

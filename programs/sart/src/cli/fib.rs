//! `sart fib`.

use std::path::PathBuf;

use super::{FamilyArgs, Net};
use crate::help;
use clap::{Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(crate) enum Fib {
    /// Shows all routes that the router wants in the kernel, and whether they are there.
    #[command(after_help = help::FIB)]
    List {
        /// Only this prefix; of an address, the longest prefix that it is in.
        prefix: Option<Net>,
        #[command(flatten)]
        family: FamilyArgs,
    },
    /// Shows one route that the router wants in the kernel, or all.
    #[command(after_help = help::FIB)]
    Get {
        /// Only this prefix; of an address, the longest prefix that it is in.
        prefix: Option<Net>,
        #[command(flatten)]
        family: FamilyArgs,
    },
    /// The channels of `sartd fib`: routes of several sources, the best of each prefix.
    #[command(subcommand, after_help = help::CHANNEL)]
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
    /// Shows a channel's best routes, and how they stand in the kernel's tables.
    Route {
        /// Its name.
        name: String,
    },
    /// Hands over all routes of an owner, in place of those that it had in the channel.
    #[command(after_help = help::SET_ROUTES)]
    Set(SetRoutes),
    /// An owner wants nothing any more.
    Forget {
        /// Only in this channel; in all when left out.
        name: Option<String>,
        /// Whose routes.
        #[arg(long)]
        owner: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct SetRoutes {
    /// The channel's name.
    pub(crate) name: String,
    /// Whose routes: 1 to 63 of a-z, 0-9 and '-'.
    #[arg(long)]
    pub(crate) owner: String,
    /// Of several sources for a prefix the one with the lowest distance wins, 1 to 255.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) distance: u8,
    /// A file with one route a line, `#` before a comment; `-` is standard input.
    #[arg(short, long, conflicts_with = "routes", required_unless_present = "routes")]
    pub(crate) file: Option<PathBuf>,
    /// Routes: "PREFIX via ADDRESS [dev LINK] [weight N] [via …]", "PREFIX dev LINK", "PREFIX
    /// blackhole", "PREFIX unreachable" or "PREFIX prohibit".
    pub(crate) routes: Vec<String>,
}

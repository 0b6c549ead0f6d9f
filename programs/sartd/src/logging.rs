//! Log output: level and format as every daemon takes them.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// The flags that every daemon has for its log.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogArgs {
    /// Least level that is logged: trace, debug, info, warn or error (or a tracing filter).
    #[arg(short, long, default_value = "info", value_name = "LEVEL")]
    level: String,
    /// How a line of log looks.
    #[arg(short = 'd', long = "format", value_enum, default_value_t = Format::Plain)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

impl LogArgs {
    /// Starts logging to standard error.
    pub(crate) fn init(&self) -> anyhow::Result<()> {
        // The Kubernetes client logs each failed connection as an error; who uses it tells of an
        // outage once.
        let filter = EnvFilter::try_new(format!("kube_client=off,{}", self.level))
            .with_context(|| format!("--level {:?} is no log level", self.level))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.format {
            Format::Plain => log.with_ansi(false).init(),
            Format::Json => log.json().flatten_event(true).init(),
        }
        Ok(())
    }
}

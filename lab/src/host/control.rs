//! What is said between the lab and a host's PID 1: one line of JSON each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// A program that PID 1 runs and keeps an eye on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) restart: Restart,
}

/// What PID 1 does when a program ends that nobody has asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Restart {
    /// Nothing.
    #[default]
    Never,
    /// Runs it again after a pause of 1 s, which grows to 10 s while it keeps ending at once.
    Always,
}

impl Service {
    pub(crate) fn new<S: Into<String>>(name: &str, argv: impl IntoIterator<Item = S>) -> Service {
        Service {
            name: name.to_owned(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            restart: Restart::Never,
        }
    }

    /// The same, and it comes back when it ends by itself.
    pub(crate) fn restarted(self) -> Service {
        Service { restart: Restart::Always, ..self }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// Runs a program; an ended one of this name is replaced.
    Run(Service),
    /// Runs again what was run by this name.
    Start(String),
    /// Sends a program the signal to end; it stays away until it is started.
    Signal(String, i32),
    /// What there is.
    List,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    Done,
    Programs(Vec<Program>),
    Refused(String),
}

/// One program as PID 1 knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// Its pid inside the host while it runs.
    pub(crate) pid: Option<i32>,
    /// How it ended, if it does not run.
    pub(crate) ended: Option<String>,
    /// It has ended by itself and is run again soon.
    #[serde(default)]
    pub(crate) again: bool,
    /// How often it was run again since it was last asked for.
    #[serde(default)]
    pub(crate) restarts: u32,
}

/// Sends one request to the PID 1 that listens there.
pub(crate) fn ask(socket: &Path, request: &Request) -> Result<Reply> {
    let mut stream = UnixStream::connect(socket)
        .with_context(|| format!("reach PID 1 at {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).context("read PID 1's reply")?;
    match serde_json::from_str(&reply).context("parse PID 1's reply")? {
        Reply::Refused(reason) => bail!(reason),
        reply => Ok(reply),
    }
}

/// The programs that PID 1 runs or has run.
pub(crate) fn list(socket: &Path) -> Result<Vec<Program>> {
    match ask(socket, &Request::List)? {
        Reply::Programs(programs) => Ok(programs),
        Reply::Done | Reply::Refused(_) => bail!("PID 1 gave no list"),
    }
}

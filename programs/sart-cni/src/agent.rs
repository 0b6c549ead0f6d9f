//! One request to the agent, and its reply, within bounds.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cni::{Config, Error, ErrorCode};
use cni_wire::{LineError, MAX_LINE, Reply, Request, SOCKET_PATH};
use serde_json::Value;

/// For how long an agent that is away is tried: it may be restarting.
const RETRY: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// For how long a reply is waited for. The agent's own limit is shorter.
const REPLY: Duration = Duration::from_secs(40);
/// For STATUS, which the runtime asks every few seconds.
const STATUS: Duration = Duration::from_secs(2);

/// The agent of this node.
pub(crate) struct Agent {
    socket: PathBuf,
    retry: Duration,
}

/// How far one try came.
enum Try {
    Done(Reply),
    /// Nobody is there, or went away in the middle. Every request may be repeated.
    Away(io::Error),
    Failed(Error),
}

impl Agent {
    /// The agent at the usual place, or where the configuration's `socket` says.
    pub(crate) fn of(config: &Config) -> Result<Agent, Error> {
        let socket = match config.raw.get("socket") {
            None => PathBuf::from(SOCKET_PATH),
            Some(Value::String(path)) if path.starts_with('/') => PathBuf::from(path),
            Some(other) => {
                let message = format!("socket {other} is no absolute path");
                return Err(Error::new(ErrorCode::InvalidConfig, message));
            }
        };
        Ok(Agent { socket, retry: RETRY })
    }

    #[cfg(test)]
    pub(crate) fn at(socket: PathBuf, retry: Duration) -> Agent {
        Agent { socket, retry }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, again and again for ten seconds if the agent is away, then CNI error 11.
    pub(crate) fn ask(&self, request: &Request, namespace: Option<&File>) -> Result<Reply, Error> {
        let line = cni_wire::encode_request(request).map_err(broken)?;
        let start = Instant::now();
        loop {
            let left = self.retry.saturating_sub(start.elapsed());
            match self.try_once(&line, namespace, left, REPLY) {
                Try::Done(reply) => return Ok(reply),
                Try::Failed(error) => return Err(error),
                Try::Away(error) if start.elapsed() >= self.retry => {
                    let message =
                        format!("agent-away: nobody serves {}: {error}", self.socket.display());
                    return Err(Error::new(ErrorCode::TryAgainLater, message));
                }
                Try::Away(_) => sleep(PAUSE),
            }
        }
    }

    /// Asks once and quickly; none if the agent is away or doesn't answer.
    pub(crate) fn ask_once(&self, request: &Request) -> Result<Option<Reply>, Error> {
        let line = cni_wire::encode_request(request).map_err(broken)?;
        match self.try_once(&line, None, STATUS, STATUS) {
            Try::Done(reply) => Ok(Some(reply)),
            Try::Away(_) => Ok(None),
            Try::Failed(error) if error.code == ErrorCode::TryAgainLater => Ok(None),
            Try::Failed(error) => Err(error),
        }
    }

    fn try_once(
        &self,
        line: &[u8],
        namespace: Option<&File>,
        connect: Duration,
        reply: Duration,
    ) -> Try {
        let stream = match cni::socket::connect(&self.socket, connect) {
            Ok(stream) => stream,
            Err(error) => return Try::Away(error),
        };
        match exchange(&stream, line, namespace, reply) {
            Ok(line) => match cni_wire::decode_reply(&line) {
                Ok(reply) => Try::Done(reply),
                Err(LineError::Unfinished) => {
                    Try::Away(io::Error::new(io::ErrorKind::UnexpectedEof, "it went away"))
                }
                Err(error) => Try::Failed(broken(error)),
            },
            // A time-out is no reason to repeat: the agent is there and may still be at it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let message = format!("agent-slow: no reply within {} s", reply.as_secs());
                Try::Failed(Error::new(ErrorCode::TryAgainLater, message))
            }
            Err(error) => Try::Away(error),
        }
    }
}

fn exchange(
    mut stream: &UnixStream,
    line: &[u8],
    namespace: Option<&File>,
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let start = Instant::now();
    stream.set_write_timeout(Some(patience))?;
    cni::socket::send(stream, line, namespace.map(|file| file.as_fd()))?;
    let mut reply = Vec::new();
    let mut part = [0; 4096];
    while reply.last() != Some(&b'\n') && reply.len() <= MAX_LINE {
        let left = patience.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            n => reply.extend_from_slice(part.get(..n).unwrap_or_default()),
        }
    }
    Ok(reply)
}

fn broken(error: LineError) -> Error {
    let details = std::error::Error::source(&error).map(ToString::to_string);
    Error {
        code: ErrorCode::Other(100),
        message: format!("{}: plugin and agent don't understand each other: {error}", error.name()),
        details,
    }
}

#[cfg(test)]
mod tests;

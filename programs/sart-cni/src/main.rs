//! The CNI plugin: environment and stdin to the agent's socket, its reply to stdout.
//!
//! It knows only how to ask: which addresses, which links and whether at all is the agent's to
//! say. Every call ends within a minute, whatever the agent does.

mod agent;
mod status;
mod translate;

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use cni::{Answer, Call, Error, ErrorCode};
use cni_wire::{Done, Reply, Request};

use crate::agent::Agent;

fn main() -> ExitCode {
    cni::run(handle)
}

fn handle(call: Call) -> Result<Answer, Error> {
    match call {
        Call::Add { attachment, netns } => {
            let agent = Agent::of(&attachment.config)?;
            let request = translate::add(&attachment, &netns)?;
            let namespace = open(&netns)?;
            let done = ask(&agent, &request, Some(&namespace))?;
            translate::added(done, &netns).map(Answer::Added)
        }
        // The namespace may be gone, and is not needed: its end of the link goes with the node's.
        Call::Del { attachment, netns: _ } => {
            let agent = Agent::of(&attachment.config)?;
            ask(&agent, &translate::del(&attachment), None)?;
            Ok(Answer::Done)
        }
        Call::Check { attachment, netns, previous } => {
            let agent = Agent::of(&attachment.config)?;
            let namespace = open(&netns)?;
            ask(&agent, &translate::check(&attachment, &previous), Some(&namespace))?;
            Ok(Answer::Done)
        }
        Call::Status { config } => {
            status::status(&Agent::of(&config)?)?;
            Ok(Answer::Done)
        }
        Call::Gc { .. } => Err(Error::new(
            ErrorCode::InvalidEnvironment,
            "gc-unsupported: sart-cni has no GC yet; the agent collects what is left over itself",
        )),
    }
}

fn ask(agent: &Agent, request: &Request, namespace: Option<&File>) -> Result<Done, Error> {
    match agent.ask(request, namespace)? {
        Reply::Ok(done) => Ok(done),
        Reply::Error(refusal) => Err(translate::refusal(refusal)),
    }
}

fn open(netns: &Path) -> Result<File, Error> {
    File::open(netns).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ErrorCode::UnknownContainer,
            _ => ErrorCode::Io,
        };
        Error::new(code, format!("the namespace {} can't be opened: {error}", netns.display()))
    })
}

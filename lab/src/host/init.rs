//! PID 1 of a host: reaps, runs programs, does what the lab asks on its socket.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::control::{Program, Reply, Request, Service};
use super::{HostSpec, MARK, PATH};
use crate::sys;

/// A request is short; more is nobody we know.
const LONGEST_REQUEST: u64 = 1 << 20;

enum State {
    Runs(i32),
    Ended(String),
}

/// PID 1's whole state.
pub(super) struct Init {
    listener: UnixListener,
    children_ended: File,
    logs: PathBuf,
    env: Vec<(String, String)>,
    programs: BTreeMap<String, (Service, State)>,
}

impl Init {
    pub(super) fn new(listener: UnixListener, spec: &HostSpec, logs: PathBuf) -> Result<Init> {
        sys::block(&[libc::SIGCHLD]);
        let children_ended =
            File::from(sys::signal_fd(&[libc::SIGCHLD]).context("watch children")?);
        let mut env = vec![
            ("PATH".to_owned(), PATH.to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
            (MARK.to_owned(), spec.lab.clone()),
        ];
        env.extend(spec.env.iter().cloned());
        Ok(Init { listener, children_ended, logs, env, programs: BTreeMap::new() })
    }

    /// Runs until it is killed.
    pub(super) fn serve(&mut self) -> Result<()> {
        loop {
            let (asked, ended) =
                sys::wait_readable(self.listener.as_fd(), self.children_ended.as_fd());
            if ended {
                self.reap();
            }
            if asked && let Ok((stream, _)) = self.listener.accept() {
                // One that hangs or talks nonsense is left; PID 1 goes on.
                self.answer(stream).ok();
            }
        }
    }

    fn reap(&mut self) {
        // One read takes one signal; several children may stand behind it.
        let mut signal = [0; 128];
        while self.children_ended.read(&mut signal).is_ok_and(|length| length > 0) {}
        while let Some((pid, status)) = sys::reap() {
            for (_, state) in self.programs.values_mut() {
                if matches!(state, State::Runs(running) if *running == pid) {
                    *state = State::Ended(sys::describe_status(status));
                }
            }
        }
    }

    fn answer(&mut self, stream: UnixStream) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        let mut line = String::new();
        BufReader::new((&stream).take(LONGEST_REQUEST)).read_line(&mut line)?;
        let reply = serde_json::from_str(&line)
            .context("no request")
            .and_then(|request| self.obey(request))
            .unwrap_or_else(|error| Reply::Refused(format!("{error:#}")));
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        (&stream).write_all(&line)?;
        Ok(())
    }

    fn obey(&mut self, request: Request) -> Result<Reply> {
        match request {
            Request::Run(service) => self.run(service),
            Request::Start(name) => match self.programs.get(&name) {
                None => bail!("no program {name:?} has run here; there is {}", self.names()),
                Some((service, _)) => self.run(service.clone()),
            },
            Request::Signal(name, signal) => match self.programs.get(&name) {
                None => bail!("no program {name:?} here; there is {}", self.names()),
                Some((_, State::Ended(how))) => bail!("{name} has {how} already"),
                Some((_, State::Runs(pid))) => {
                    sys::kill(*pid, signal)?;
                    Ok(Reply::Done)
                }
            },
            Request::List => Ok(Reply::Programs(self.list())),
        }
    }

    fn run(&mut self, service: Service) -> Result<Reply> {
        if let Some((_, State::Runs(_))) = self.programs.get(&service.name) {
            bail!("{} runs already", service.name);
        }
        let (program, args) = service.argv.split_first().context("an empty command")?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.logs.join(format!("{}.log", service.name)))
            .context("open its log")?;
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(self.env.iter().cloned())
            .envs(service.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        // Not waited for by its handle: `reap` takes whatever ends.
        let state = State::Runs(child.id().cast_signed());
        self.programs.insert(service.name.clone(), (service, state));
        Ok(Reply::Done)
    }

    fn names(&self) -> String {
        self.programs.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    fn list(&self) -> Vec<Program> {
        self.programs
            .iter()
            .map(|(name, (_, state))| match state {
                State::Runs(pid) => Program { name: name.clone(), pid: Some(*pid), ended: None },
                State::Ended(how) => {
                    Program { name: name.clone(), pid: None, ended: Some(how.clone()) }
                }
            })
            .collect()
    }
}

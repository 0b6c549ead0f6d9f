//! PID 1 of a host: reaps, runs programs, runs again those that are to stay, does what the lab asks
//! on its socket.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::control::{Program, Reply, Request, Service};
use super::life::Life;
use super::{HostSpec, MARK, PATH};
use crate::sys;

/// A request is short; more is nobody we know.
const LONGEST_REQUEST: u64 = 1 << 20;

/// A program that was asked for.
struct Known {
    service: Service,
    life: Life,
    /// How often it was run again.
    restarts: u32,
}

impl Known {
    /// Moves on; the old state is taken apart.
    fn change(&mut self, next: impl FnOnce(Life) -> Life) {
        self.life = next(self.life.clone());
    }
}

/// PID 1's whole state.
pub(super) struct Init {
    listener: UnixListener,
    children_ended: File,
    logs: PathBuf,
    env: Vec<(String, String)>,
    programs: BTreeMap<String, Known>,
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
            let (asked, ended) = sys::wait_readable(
                self.listener.as_fd(),
                self.children_ended.as_fd(),
                self.until_next_start(),
            );
            if ended {
                self.reap();
            }
            self.start_again();
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
            for known in self.programs.values_mut().filter(|known| known.life.pid() == Some(pid)) {
                let (restart, how) = (known.service.restart, sys::describe_status(status));
                known.change(|life| life.ended(restart, how, Instant::now()));
            }
        }
    }

    /// None when nothing waits to be run again.
    fn until_next_start(&self) -> Option<Duration> {
        let next = self.programs.values().filter_map(|known| known.life.again()).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Runs again what is due.
    fn start_again(&mut self) {
        let now = Instant::now();
        let due = |known: &&mut Known| known.life.again().is_some_and(|again| again <= now);
        for known in self.programs.values_mut().filter(due) {
            known.restarts = known.restarts.saturating_add(1);
            let result = spawn(&known.service, &self.logs, &self.env);
            known.change(|life| life.started_again(result.map_err(|e| format!("{e:#}")), now));
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
                Some(known) => self.run(known.service.clone()),
            },
            Request::Signal(name, signal) => self.end(&name, signal),
            Request::List => Ok(Reply::Programs(self.list())),
        }
    }

    fn run(&mut self, service: Service) -> Result<Reply> {
        if self.programs.get(&service.name).is_some_and(|known| known.life.pid().is_some()) {
            bail!("{} runs already", service.name);
        }
        let life = Life::started(spawn(&service, &self.logs, &self.env)?, Instant::now());
        self.programs.insert(service.name.clone(), Known { service, life, restarts: 0 });
        Ok(Reply::Done)
    }

    fn end(&mut self, name: &str, signal: i32) -> Result<Reply> {
        let names = self.names();
        let Some(known) = self.programs.get_mut(name) else {
            bail!("no program {name:?} here; there is {names}");
        };
        if let Life::Ended { how } = &known.life {
            bail!("{name} has {how} already");
        }
        let (life, pid) = known.life.clone().told_to_end();
        known.life = life;
        if let Some(pid) = pid {
            sys::kill(pid, signal)?;
        }
        Ok(Reply::Done)
    }

    fn names(&self) -> String {
        self.programs.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    fn list(&self) -> Vec<Program> {
        self.programs
            .iter()
            .map(|(name, known)| Program {
                name: name.clone(),
                pid: known.life.pid(),
                ended: known.life.how().map(str::to_owned),
                again: known.life.again().is_some(),
                restarts: known.restarts,
            })
            .collect()
    }
}

/// Starts a program; its output is added to its log.
fn spawn(service: &Service, logs: &Path, env: &[(String, String)]) -> Result<i32> {
    let (program, args) = service.argv.split_first().context("an empty command")?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(logs.join(format!("{}.log", service.name)))
        .context("open its log")?;
    let mut command = Command::new(program);
    // This process has inherited what its starter blocks; a program must hear that it shall end.
    sys::with_signals(&mut command);
    let child = command
        .args(args)
        .env_clear()
        .envs(env.iter().cloned())
        .envs(service.env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {program}"))?;
    // Not waited for by its handle: `reap` takes whatever ends.
    Ok(child.id().cast_signed())
}

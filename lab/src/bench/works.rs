//! The works: what is set up, what is said, what is waited for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cell::{Cell, Usage};
use super::daemon::Daemon;
use super::drive::{self, Until};
use super::feed::{self, Feeds, Way};
use super::kernel::{self, Monitor};
use super::model::Held;
use super::session::Session;
use super::table::Table;
use super::template::Shape;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Work {
    /// A full table from one sender to one receiver, then its withdrawal
    One,
    /// 20 peers, each sends, all learn all
    Mesh20,
    /// 50 peers, each sends, all learn all
    Mesh50,
    /// 100 peers that send as soon as they are Established
    Hundred,
    /// 8 senders of the same table: memory
    Senders,
    /// One sender, 8 receivers
    Receivers,
    /// Into the kernel, and other next hops
    Kernel,
    /// 100 peers and nothing to do
    Idle,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Row {
    Announce,
    Withdraw,
    Mesh20,
    Mesh50,
    Hundred,
    Senders,
    Receivers,
    Install,
    MoveOne,
    MoveMany,
    Idle,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Subject {
    Daemon(Daemon),
    /// Generator to receiver, no router between.
    Generator,
    /// Routes written by the bench itself.
    RawNetlink,
}

/// One figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measure {
    pub(super) seconds: f64,
    pub(super) usage: Usage,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scale {
    /// A tenth of everything
    Small,
    /// What the goals are about
    Full,
}

impl Scale {
    fn of(self, full: usize) -> usize {
        match self {
            Scale::Small => full / 10,
            Scale::Full => full,
        }
    }

    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Scale::Small => 60,
            Scale::Full => 120,
        })
    }
}

/// Long enough to see a daemon change its mind after it was complete.
const SETTLE: Duration = Duration::from_millis(300);
const START: Duration = Duration::from_secs(30);

/// A work made ready: the same bytes for every daemon and run.
pub(super) struct Stage {
    work: Work,
    scale: Scale,
    sartd: PathBuf,
    table: Table,
    announce: Feeds,
    withdraw: Option<Feeds>,
    direct: Option<(Feeds, Feeds)>,
    shape: Shape,
}

impl Stage {
    pub(super) fn new(
        work: Work,
        scale: Scale,
        sartd: PathBuf,
        seed: u64,
        paths: &[Vec<u32>],
    ) -> Stage {
        let (prefixes, peers, senders) = match work {
            Work::One => (scale.of(1_000_000), 2, 1),
            Work::Mesh20 => (20 * scale.of(20_000), 20, 20),
            Work::Mesh50 => (50 * scale.of(2_000), 50, 50),
            Work::Hundred => (100 * scale.of(1_000), 100, 100),
            Work::Senders => (scale.of(100_000), 9, 8),
            Work::Receivers => (scale.of(100_000), 9, 1),
            Work::Kernel => (scale.of(100_000), 1, 1),
            Work::Idle => (1_000, 100, 100),
        };
        let table = Table::generate(seed, prefixes, paths);
        let announce = match work {
            Work::Senders => feed::same(&table, senders),
            _ => feed::announce(&table, senders, Way::Router, seed),
        };
        let one = work == Work::One;
        let withdraw = one.then(|| feed::withdraw(&table, &announce.model, senders));
        let direct = one.then(|| {
            let announce = feed::announce(&table, 1, Way::Direct, seed);
            let withdraw = feed::withdraw(&table, &announce.model, 1);
            (announce, withdraw)
        });
        let shape = Shape { peers, kernel: matches!(work, Work::Kernel | Work::Idle) };
        Stage { work, scale, sartd, table, announce, withdraw, direct, shape }
    }

    /// In words, with this scale's numbers.
    pub(super) fn prefixes(&self) -> usize {
        self.table.real
    }

    pub(super) fn rows(&self) -> &'static [Row] {
        match self.work {
            Work::One => &[Row::Announce, Row::Withdraw],
            Work::Mesh20 => &[Row::Mesh20],
            Work::Mesh50 => &[Row::Mesh50],
            Work::Hundred => &[Row::Hundred],
            Work::Senders => &[Row::Senders],
            Work::Receivers => &[Row::Receivers],
            Work::Kernel => &[Row::Install, Row::MoveOne, Row::MoveMany],
            Work::Idle => &[Row::Idle],
        }
    }

    /// Who takes part beside the daemons.
    pub(super) fn yardstick(&self) -> Option<Subject> {
        match self.work {
            Work::One => Some(Subject::Generator),
            Work::Kernel => Some(Subject::RawNetlink),
            _ => None,
        }
    }

    /// Why this daemon has no part in it.
    pub(super) fn refuses(&self, daemon: Daemon) -> Option<&'static str> {
        let kernel = self.work == Work::Kernel && !daemon.writes_kernel();
        kernel.then_some("it writes no routes into the kernel by itself")
    }

    /// One run: the figures up to the first that failed.
    pub(super) fn run(&self, subject: Subject) -> Vec<(Row, Result<Measure>)> {
        let mut figures = Vec::new();
        let mut put = |measure| figures.push(measure);
        let done = match (subject, self.work) {
            (Subject::Generator, _) => self.direct(&mut put),
            (Subject::RawNetlink, _) => self.raw(&mut put),
            (Subject::Daemon(daemon), Work::Kernel) => self.kernel(daemon, &mut put),
            (Subject::Daemon(daemon), Work::Idle) => self.idle(daemon, &mut put),
            (Subject::Daemon(daemon), _) => self.routes(daemon, &mut put),
        };
        let mut results: Vec<_> =
            self.rows().iter().copied().zip(figures.into_iter().map(Ok)).collect();
        if let Err(error) = done
            && let Some(row) = self.rows().get(results.len())
        {
            results.push((*row, Err(error)));
        }
        results
    }

    fn bed(&self, daemon: Daemon) -> Result<Bed> {
        let deadline = Instant::now() + START;
        let mut cell = Cell::new()?;
        daemon.start(&mut cell, &self.sartd, self.shape, deadline)?;
        let mut bed = Bed { cell, sessions: Vec::new(), limit: self.scale.limit() };
        for number in 0..self.shape.peers {
            let session = Session::dial(number, deadline).map_err(|error| bed.explain(error))?;
            bed.sessions.push(session);
        }
        Ok(bed)
    }

    fn routes(&self, daemon: Daemon, put: &mut dyn FnMut(Measure)) -> Result<()> {
        let mut bed = self.bed(daemon)?;
        let watching = match self.work {
            Work::One | Work::Receivers => 1..self.shape.peers,
            Work::Senders => self.shape.peers - 1..self.shape.peers,
            Work::Mesh20 | Work::Mesh50 | Work::Hundred | Work::Kernel | Work::Idle => {
                0..self.shape.peers
            }
        };
        for number in watching {
            bed.sessions[number].held = Some(Held::new(&self.announce.model, number as u16));
        }
        if self.work == Work::Hundred {
            let before = bed.cell.usage();
            for (session, bytes) in bed.sessions.iter_mut().zip(&self.announce.bytes) {
                session.say_first(Arc::clone(bytes));
            }
            let limit = bed.end();
            let end = drive::run(&mut bed.sessions, None, Until::Complete, limit)
                .map_err(|error| bed.explain(error))?;
            let start = bed.sessions.iter().filter_map(|session| session.established).max();
            let start = start.context("no session")?;
            put(bed.settle(None, before, end.saturating_duration_since(start))?);
            return Ok(());
        }
        bed.establish()?;
        put(bed.phase(&self.announce, None)?);
        if let Some(withdraw) = &self.withdraw {
            put(bed.phase(withdraw, None)?);
        }
        Ok(())
    }

    fn kernel(&self, daemon: Daemon, put: &mut dyn FnMut(Measure)) -> Result<()> {
        let mut bed = self.bed(daemon)?;
        let mut monitor = Monitor::new(bed.cell.netlink()?, &self.table.keys);
        bed.establish()?;
        for (next_hop, counts) in moves() {
            let (bytes, want) = feed::gateways(&self.table, next_hop);
            monitor.expect(want);
            bed.sessions[0].say(Arc::new(bytes));
            let (before, start) = (bed.cell.usage(), Instant::now());
            let limit = bed.end();
            let end = drive::run(&mut bed.sessions, Some(&mut monitor), Until::Complete, limit);
            let took = end.map_err(|error| bed.explain(error))? - start;
            let measure = bed.settle(Some(&mut monitor), before, took)?;
            // What was heard is one thing, what is there another: read the whole table.
            monitor.ask()?;
            let limit = bed.end();
            drive::run(&mut bed.sessions, Some(&mut monitor), Until::Complete, limit)?;
            if counts {
                put(measure);
            }
        }
        Ok(())
    }

    fn idle(&self, daemon: Daemon, put: &mut dyn FnMut(Measure)) -> Result<()> {
        let mut bed = self.bed(daemon)?;
        for (number, session) in bed.sessions.iter_mut().enumerate() {
            session.held = Some(Held::new(&self.announce.model, number as u16));
        }
        bed.establish()?;
        bed.phase(&self.announce, None)?;
        let window = Duration::from_secs(60).min(self.scale.limit() / 2);
        // What the burst left to be done is not idleness.
        drive::run(&mut bed.sessions, None, Until::Over, Instant::now() + window / 6)?;
        let (before, start) = (bed.cell.usage(), Instant::now());
        let end = drive::run(&mut bed.sessions, None, Until::Over, start + window)?;
        let after = bed.cell.usage();
        let usage = Usage { cpu: after.cpu - before.cpu, memory: after.memory };
        put(Measure { seconds: (end - start).as_secs_f64(), usage });
        Ok(())
    }

    fn direct(&self, put: &mut dyn FnMut(Measure)) -> Result<()> {
        let Some((announce, withdraw)) = &self.direct else { return Ok(()) };
        let (sender, mut receiver) = Session::pair(std::net::Ipv4Addr::LOCALHOST)?;
        receiver.held = Some(Held::new(&announce.model, 1));
        let mut sessions = [sender, receiver];
        let end = || Instant::now() + self.scale.limit();
        drive::run(&mut sessions, None, Until::Established, end())?;
        for feeds in [announce, withdraw] {
            if let Some(held) = &mut sessions[1].held {
                held.expect(Arc::clone(&feeds.model));
            }
            sessions[0].say(Arc::clone(&feeds.bytes[0]));
            let start = Instant::now();
            let end = drive::run(&mut sessions, None, Until::Complete, end())?;
            let seconds = (end - start).as_secs_f64();
            put(Measure { seconds, usage: Usage::default() });
        }
        Ok(())
    }

    fn raw(&self, put: &mut dyn FnMut(Measure)) -> Result<()> {
        let cell = Cell::new()?;
        let link = cell.link()?;
        let mut monitor = Monitor::new(cell.netlink()?, &self.table.keys);
        let writer = cell.netlink_writer()?;
        for (next_hop, counts) in moves() {
            let (_, want) = feed::gateways(&self.table, next_hop);
            monitor.expect(want.clone());
            let start = Instant::now();
            kernel::write_raw(&writer, &self.table.keys, &want, link)?;
            let limit = start + self.scale.limit();
            let end = drive::run(&mut [], Some(&mut monitor), Until::Complete, limit)?;
            if counts {
                let seconds = (end - start).as_secs_f64();
                put(Measure { seconds, usage: Usage::default() });
            }
        }
        Ok(())
    }
}

/// The next hop of each attribute set in one step, and whether the step is measured.
type Move = (fn(usize) -> u32, bool);

/// All routes via one next hop, all via another, then spread over 1,000, then over 1,000 others.
fn moves() -> [Move; 4] {
    [
        (|_| 0x0a00_0101, true),
        (|_| 0x0a00_0201, true),
        (|set| 0x0a00_0801 + (set % 1_000) as u32, false),
        (|set| 0x0a00_1001 + (set % 1_000) as u32, true),
    ]
}

/// A daemon with its peers.
struct Bed {
    cell: Cell,
    sessions: Vec<Session>,
    limit: Duration,
}

impl Bed {
    fn end(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// An error with the last that the daemon printed.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let log = self.cell.log();
        if log.is_empty() { error } else { anyhow::anyhow!("{error:#}; the daemon's log: {log}") }
    }

    fn establish(&mut self) -> Result<()> {
        drive::run(&mut self.sessions, None, Until::Established, Instant::now() + START)?;
        drive::run(&mut self.sessions, None, Until::Over, Instant::now() + 2 * SETTLE)?;
        Ok(())
    }

    /// Lets all senders speak and waits for the end that is wanted.
    fn phase(&mut self, feeds: &Feeds, kernel: Option<&mut Monitor>) -> Result<Measure> {
        for session in &mut self.sessions {
            if let Some(held) = &mut session.held {
                held.expect(Arc::clone(&feeds.model));
            }
        }
        let before = self.cell.usage();
        let start = Instant::now();
        for (session, bytes) in self.sessions.iter_mut().zip(&feeds.bytes) {
            session.say(Arc::clone(bytes));
        }
        let end = self.end();
        let end = drive::run(&mut self.sessions, None, Until::Complete, end)
            .map_err(|error| self.explain(error))?;
        self.settle(kernel, before, end - start)
    }

    /// Looks on for a moment: what was complete stays so.
    fn settle(
        &mut self,
        mut kernel: Option<&mut Monitor>,
        before: Usage,
        took: Duration,
    ) -> Result<Measure> {
        let end = Instant::now() + SETTLE;
        drive::run(&mut self.sessions, kernel.as_deref_mut(), Until::Over, end)?;
        let complaint = drive::complaint(&self.sessions, kernel.as_deref());
        if !complaint.is_empty() {
            bail!("it was complete and then was not: {complaint}");
        }
        let after = self.cell.usage();
        let usage = Usage { cpu: after.cpu - before.cpu, memory: after.memory };
        Ok(Measure { seconds: took.as_secs_f64(), usage })
    }
}

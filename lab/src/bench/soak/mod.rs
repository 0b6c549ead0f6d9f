//! `cargo lab bench soak`: a large table that changes all the time, short hold times, and every
//! core busy with others' work. No session may be lost, and the end must be exact.

mod churn;
mod markers;
mod others;
mod page;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;

use super::cell::{self, Cell};
use super::daemon::Daemon;
use super::drive::{self, Until};
use super::feed::{self, Way};
use super::kernel::Monitor;
use super::model::{ABSENT, Held, Index, Model};
use super::session::Session;
use super::table::Table;
use super::template::Shape;
use super::{SEED, built, real};
use churn::Churn;
use markers::{Markers, Ways};
use others::Others;

/// Each has its share of the table and announces it.
const SENDERS: usize = 2;
/// Each learns everything.
const RECEIVERS: usize = 2;
/// Seconds; the least that RFC 4271 §4.2 allows.
const HOLD_TIME: u16 = 3;
/// How long the daemon is left alone before its memory is read.
const QUIET: Duration = Duration::from_secs(1);
/// From one look at what is due to the next.
const STEP: Duration = Duration::from_millis(4);
/// How long the first table, the rest of the changes and the way back may take each.
const LIMIT: Duration = Duration::from_secs(60);
/// The memory at the end may be this much of that at the start: an allocator keeps some of what a
/// peak needed, while a leak of a few bytes a change shows.
const RETURNS: f64 = 1.3;

#[derive(Args)]
pub(crate) struct SoakArgs {
    /// Seconds under changes
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Prefixes of all senders together
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1_000..=2_000_000))]
    prefixes: u32,
    /// Changes in a second
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Has the router write its routes into the kernel, too
    #[arg(long)]
    kernel: bool,
    /// Writes the result as a page of the documentation
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// The sartd to load, instead of building the one that is shipped
    #[arg(long, value_name = "PATH")]
    sartd: Option<PathBuf>,
    /// Takes the load generator as it is built, be it without optimisation: it is idle mostly
    #[arg(long, hide = true)]
    pub(super) as_built: bool,
}

/// What a run gave.
struct Outcome {
    /// From the first byte of the table until all receivers hold all of it.
    table: Duration,
    /// Time under changes.
    under: Duration,
    changes: u64,
    /// From the last change until all receivers hold the exact end.
    rest: Duration,
    ways: Ways,
    /// The longest time for which some session heard nothing.
    silence: Duration,
    /// The router's kernel has held the routes, too.
    kernel: bool,
    /// CPU seconds of the router while it was under changes, and of the others.
    cpu: [f64; 2],
    /// Resident bytes before the changes, at the peak, and once all is as before.
    memory: [u64; 3],
}

/// Runs the soak.
///
/// # Errors
/// When a session is lost, a receiver's table or the kernel's is not exact in the end, a marker does not get
/// through, the load was not what it shall be, or memory does not return.
pub(super) fn run(args: SoakArgs) -> Result<()> {
    let sartd = match &args.sartd {
        Some(path) => std::path::absolute(path)?,
        None => built()?,
    };
    let version = Daemon::Sart.version(&sartd).map_err(|why| anyhow!(why))?;
    // Before any thread is started: all of them shall be in the new namespace.
    cell::enter_own_network()?;
    let (paths, _) = real::paths(SEED);
    let table = Table::generate(SEED, args.prefixes as usize, &paths);
    drop(paths);
    let outcome = Soak::start(&args, &table, &sartd)?.run(&args)?;
    print!("{outcome}");
    outcome.judge(&args)?;
    if let Some(file) = &args.markdown {
        let page = page::page(&args, &version, &outcome);
        std::fs::write(file, page).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// The daemon with its peers, and the others on the machine.
struct Soak<'a> {
    table: &'a Table,
    cell: Cell,
    sessions: Vec<Session>,
    /// What the router's kernel holds, where it is to hold the routes.
    kernel: Option<Monitor>,
    feeds: feed::Feeds,
    others: Others,
    silence: Duration,
}

impl<'a> Soak<'a> {
    fn start(args: &SoakArgs, table: &'a Table, sartd: &std::path::Path) -> Result<Soak<'a>> {
        let feeds = feed::announce(table, SENDERS, Way::Router, SEED);
        let others = Others::start()?;
        let deadline = Instant::now() + LIMIT / 2;
        let mut cell = Cell::new()?;
        let listen = || anyhow::Ok(Monitor::new(cell.netlink()?, &table.keys));
        let mut kernel = args.kernel.then(listen).transpose()?;
        kernel.iter_mut().for_each(|kernel| kernel.expect(gateways(&feeds.model)));
        let shape = Shape { peers: SENDERS + RECEIVERS, kernel: args.kernel };
        Daemon::Sart.start(&mut cell, sartd, shape, deadline)?;
        let sessions = Vec::new();
        let silence = Duration::ZERO;
        let mut soak = Soak { table, cell, sessions, kernel, feeds, others, silence };
        for number in 0..shape.peers {
            let mut session = Session::dial_holding(number, HOLD_TIME, deadline)
                .map_err(|error| soak.explain(error))?;
            if number >= SENDERS {
                session.held = Some(Held::new(&soak.feeds.model, number as u16));
            }
            soak.sessions.push(session);
            // Those that are there already want to be kept alive.
            soak.serve(Until::Over, Instant::now())?;
        }
        soak.serve(Until::Established, deadline)?;
        Ok(soak)
    }

    fn run(mut self, args: &SoakArgs) -> Result<Outcome> {
        let model = Arc::clone(&self.feeds.model);
        let start = Instant::now();
        for (session, bytes) in self.sessions.iter_mut().zip(&self.feeds.bytes) {
            session.say(Arc::clone(bytes));
        }
        let table = self.exact(start).context("the first table")?;
        let before = self.cell.resident();
        self.silence = Duration::ZERO;

        let mut churn = Churn::new(self.table, SENDERS, SEED);
        let mut markers = Markers::new(self.table, SENDERS, RECEIVERS);
        for session in &mut self.sessions {
            if let Some(held) = &mut session.held {
                held.watch(markers.prefixes());
            }
        }
        let (cpu, others) = (self.cell.usage().cpu, self.others.cpu());
        let start = Instant::now();
        let changes = self.change(args, start, &mut churn, &mut markers)?;
        let under = start.elapsed();
        let cpu = [self.cell.usage().cpu - cpu, self.others.cpu() - others];

        let mut paths = model.paths.clone();
        let want = churn.want(&model.want, &mut paths);
        let index = Index::new(&model.keys);
        let (keys, from) = (model.keys.clone(), model.from.clone());
        let end = Model { keys, index, paths, next_hop: model.next_hop, want, from };
        self.expect(&Arc::new(end));
        // Behind the last change; the model is made before, since nobody is served meanwhile.
        let last = Instant::now();
        for (sender, session) in self.sessions.iter_mut().take(SENDERS).enumerate() {
            session.say(Arc::new(markers.leave(sender)));
        }
        let rest = self.exact(last).context("after the last change")?;
        self.look(&mut markers);

        for (sender, session) in self.sessions.iter_mut().take(SENDERS).enumerate() {
            let mut out = Vec::new();
            churn.restore(sender, &mut out);
            session.say(Arc::new(out));
        }
        self.expect(&model);
        self.exact(Instant::now()).context("back to the first table")?;
        let memory = [before, self.cell.usage().memory, self.cell.resident()];
        let ways = markers.ways()?;
        let (kernel, silence) = (self.kernel.is_some(), self.silence);
        Ok(Outcome { table, under, changes, rest, ways, silence, kernel, cpu, memory })
    }

    /// Makes changes at the rate that is wanted and sends the markers on their way.
    fn change(
        &mut self,
        args: &SoakArgs,
        start: Instant,
        churn: &mut Churn<'_>,
        markers: &mut Markers<'_>,
    ) -> Result<u64> {
        let end = start + Duration::from_secs(args.seconds.into());
        let mut made = 0;
        while let now = Instant::now()
            && now < end
        {
            let due = (now - start).as_secs_f64() * f64::from(args.rate) - made as f64;
            let each = due.max(0.0) as usize / SENDERS;
            for (sender, session) in self.sessions.iter_mut().take(SENDERS).enumerate() {
                let mut out = Vec::new();
                made += churn.changes(sender, each, &mut out) as u64;
                markers.send(sender, Instant::now(), &mut out);
                if !out.is_empty() {
                    session.say(Arc::new(out));
                }
            }
            self.serve(Until::Over, now + STEP)
                .with_context(|| format!("lost after {:.1} s", start.elapsed().as_secs_f32()))?;
            self.look(markers);
        }
        Ok(made)
    }

    fn expect(&mut self, model: &Arc<Model>) {
        for session in &mut self.sessions {
            if let Some(held) = &mut session.held {
                held.expect(Arc::clone(model));
            }
        }
        if let Some(kernel) = &mut self.kernel {
            kernel.expect(gateways(model));
        }
    }

    /// Waits until every receiver, and the kernel where it takes part, holds exactly what it shall
    /// hold; it must stay so. Gives the time since `start` at which it was so.
    fn exact(&mut self, start: Instant) -> Result<Duration> {
        let took = self.serve(Until::Complete, start + LIMIT)? - start;
        self.serve(Until::Over, Instant::now() + QUIET)?;
        if let Some(kernel) = &mut self.kernel {
            // What was heard is one thing, what is there another: the whole table is read.
            kernel.ask()?;
            self.serve(Until::Complete, Instant::now() + LIMIT)?;
        }
        let complaint = drive::complaint(&self.sessions, self.kernel.as_ref());
        ensure!(complaint.is_empty(), "it was complete and then was not: {complaint}");
        Ok(took)
    }

    /// Serves the sessions, with an eye on our own hold timers.
    fn serve(&mut self, until: Until, deadline: Instant) -> Result<Instant> {
        loop {
            // In slices, so that silence is seen when there is some.
            let slice = deadline.min(Instant::now() + Duration::from_secs(1));
            let done = drive::run(&mut self.sessions, self.kernel.as_mut(), until, slice);
            let now = Instant::now();
            for (number, session) in self.sessions.iter().enumerate() {
                let silence = now.saturating_duration_since(session.heard);
                self.silence = self.silence.max(silence);
                if silence > Duration::from_secs(HOLD_TIME.into()) {
                    bail!("peer {number} heard nothing for {silence:.1?}: its hold timer expires");
                }
            }
            match done {
                Ok(at) if until != Until::Over || now >= deadline => return Ok(at),
                // The slice is over, or the deadline has passed before it began.
                Ok(_) => {}
                Err(error) if now >= deadline || !error.to_string().starts_with("not done") => {
                    return Err(self.explain(error));
                }
                Err(_) => {}
            }
        }
    }

    fn look(&mut self, markers: &mut Markers<'_>) {
        for (receiver, session) in self.sessions.iter_mut().skip(SENDERS).enumerate() {
            let seen = session.held.as_mut().map(Held::take_seen).unwrap_or_default();
            markers.seen(receiver, &seen);
        }
    }

    /// An error with the last that the daemon printed.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let log = self.cell.log();
        if log.is_empty() { error } else { anyhow!("{error:#}; the daemon's log: {log}") }
    }
}

/// The gateway of each prefix in the router's kernel: its sender, 0 where there is none.
fn gateways(model: &Model) -> Vec<u32> {
    let each = model.want.iter().zip(&model.from);
    each.map(|(want, from)| if *want == ABSENT { 0 } else { feed::address((*from).into()) })
        .collect()
}

impl Outcome {
    /// Whether the run was what it shall be. That no session was lost and the tables were exact has
    /// been seen before: a run does not get here otherwise.
    fn judge(&self, args: &SoakArgs) -> Result<()> {
        let rate = self.changes as f64 / self.under.as_secs_f64();
        ensure!(
            rate > 0.95 * f64::from(args.rate),
            "the generator made {rate:.0} changes a second, not {}",
            args.rate
        );
        let share = self.cpu[1] / self.under.as_secs_f64() / others::cores() as f64;
        ensure!(share > 0.2, "the others had {:.0} % of the cores: no load", share * 100.0);
        let [before, _, after] = self.memory;
        let grown = after as f64 / before as f64;
        ensure!(grown <= RETURNS, "memory grew to {grown:.2} of what it was before the changes");
        let late = self.ways.late;
        ensure!(late == 0, "{late} markers were not through by their next turn");
        Ok(())
    }
}

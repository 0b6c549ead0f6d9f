//! `lab __probe`: asks again and again from inside a network namespace and counts what is lost.
//!
//! It runs as a process of its own, so that whatever the test kills or starts meanwhile leaves it
//! alone. It ends when its standard input does, and then prints its [`Report`] as JSON.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::sys;

mod connect;
mod ping;
#[cfg(test)]
mod tests;

/// How a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// One ICMP echo at a time
    Ping,
    /// One new TCP connection and HTTP GET at a time
    Connect,
}

/// `lab __probe KIND …`
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {
    kind: Kind,
    /// The network namespace to ask from
    #[arg(long)]
    netns: PathBuf,
    /// The address to ask
    #[arg(long)]
    target: IpAddr,
    /// The port of `connect`
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// Milliseconds from one question to the next
    #[arg(long, default_value_t = 10)]
    interval: u64,
    /// Seconds until it ends by itself
    #[arg(long, default_value_t = 600)]
    limit: u64,
}

/// A question unanswered for this long is lost. Below the first repetition of a lost SYN (1 s), so
/// that the kernel's own repair does not hide a loss.
pub(crate) const PATIENCE: Duration = Duration::from_millis(900);

/// One question: when it was asked, counted from the start, and after what time the answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) at: Duration,
    pub(crate) took: Option<Duration>,
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) sent: usize,
    pub(crate) lost: usize,
    /// Runs of lost questions, in order.
    pub(crate) gaps: Vec<Gap>,
    /// Milliseconds that the slowest answer took.
    pub(crate) slowest: u64,
    /// The first error that was no mere silence.
    pub(crate) error: Option<String>,
}

/// Questions lost one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// Milliseconds from the probe's start.
    pub(crate) at: u64,
    /// Milliseconds from the first lost question to the next answered one.
    pub(crate) length: u64,
    pub(crate) lost: usize,
}

impl Report {
    pub(crate) fn new(outcomes: &[Outcome], interval: Duration, error: Option<String>) -> Self {
        let mut gaps: Vec<Gap> = Vec::new();
        for run in outcomes.chunk_by(|a, b| a.took.is_some() == b.took.is_some()) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            if first.took.is_none() {
                let length = last.at + interval - first.at;
                gaps.push(Gap {
                    at: first.at.as_millis() as u64,
                    length: length.as_millis() as u64,
                    lost: run.len(),
                });
            }
        }
        let lost = gaps.iter().map(|gap| gap.lost).sum();
        let slowest = outcomes.iter().filter_map(|outcome| outcome.took).max().unwrap_or_default();
        Self { sent: outcomes.len(), lost, gaps, slowest: slowest.as_millis() as u64, error }
    }

    /// The longest gap.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.gaps.iter().map(|gap| gap.length).max().unwrap_or(0))
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} lost", self.lost, self.sent)?;
        for gap in self.gaps.iter().take(5) {
            write!(f, ", {} ms at {:.2} s", gap.length, gap.at as f64 / 1e3)?;
        }
        if self.gaps.len() > 5 {
            write!(f, ", and {} more gaps", self.gaps.len() - 5)?;
        }
        write!(f, ", the slowest answer after {} ms", self.slowest)?;
        match &self.error {
            Some(error) => write!(f, " (first error: {error})"),
            None => Ok(()),
        }
    }
}

/// Tells the asking threads when to stop.
#[derive(Clone)]
pub(crate) struct Clock {
    start: Instant,
    interval: Duration,
    end: Instant,
    stop: Arc<AtomicBool>,
}

impl Clock {
    /// Waits for the next question's time; `None` when there is no next. A question that comes
    /// late is not skipped: each of them counts.
    pub(crate) fn next(&self, number: u32) -> Option<Duration> {
        let at = self.interval * number;
        let due = self.start + at;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let over = self.stop.load(Ordering::Relaxed) || due >= self.end;
        (!over).then_some(at)
    }
}

/// Runs a probe to its end and prints its report.
pub(crate) fn run(args: &ProbeArgs) -> Result<()> {
    let netns = File::open(&args.netns).with_context(|| format!("{}", args.netns.display()))?;
    sys::setns(netns.as_fd(), sys::NET.1).context("enter the network namespace")?;
    if args.interval == 0 {
        bail!("--interval must be at least 1");
    }
    let start = Instant::now();
    let interval = Duration::from_millis(args.interval);
    let stop = Arc::new(AtomicBool::new(false));
    let end = start + Duration::from_secs(args.limit);
    let clock = Clock { start, interval, end, stop: Arc::clone(&stop) };
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Any end of the input, broken or not, is the sign.
        let _ = std::io::stdin().take(1 << 16).read_to_end(&mut rest);
        stop.store(true, Ordering::Relaxed);
    });
    let (outcomes, error) = match args.kind {
        Kind::Ping => ping::run(args.target, &clock)?,
        Kind::Connect => connect::run((args.target, args.port).into(), &clock),
    };
    let report = Report::new(&outcomes, interval, error);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

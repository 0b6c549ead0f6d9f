//! Figures to medians, ratios and the word about each goal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::daemon::Daemon;
use super::works::{Measure, Row, Subject};

/// All runs of everybody.
#[derive(Default)]
pub(super) struct Figures {
    runs: BTreeMap<(Row, Subject), Vec<Measure>>,
    failures: BTreeMap<(Row, Subject), String>,
    /// Prefixes of each row, all senders together.
    prefixes: BTreeMap<Row, usize>,
}

/// The middle of several runs and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let even = values.len().is_multiple_of(2);
        let median = if even { (values[half - 1] + values[half]) / 2.0 } else { values[half] };
        Some(Spread { median, min, max })
    }

    /// Ours by theirs; 1.0 when they are not apart: one's median lies among the other's runs.
    pub(super) fn ratio(self, theirs: Spread) -> f64 {
        let among = |x: f64, of: Spread| (of.min..=of.max).contains(&x);
        if among(self.median, theirs) || among(theirs.median, self) {
            1.0
        } else {
            self.median / theirs.median
        }
    }
}

/// What a goal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Time,
    Cpu,
    Memory,
}

impl Metric {
    fn of(self, measure: &Measure) -> f64 {
        match self {
            Metric::Time => measure.seconds,
            Metric::Cpu => measure.usage.cpu,
            Metric::Memory => measure.usage.memory as f64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Metric::Time => "time",
            Metric::Cpu => "CPU",
            Metric::Memory => "memory",
        }
    }
}

/// What sart is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Against {
    /// The best of all peers, times this.
    Best(f64),
    Bird(f64),
    RawNetlink(f64),
    /// Bytes for each prefix.
    EachPrefix(f64),
    /// Bytes.
    Bytes(f64),
    /// CPU seconds per second.
    Core(f64),
}

const GOALS: &[(Row, Metric, Against)] = &[
    (Row::Announce, Metric::Time, Against::Best(0.8)),
    (Row::Announce, Metric::Cpu, Against::Best(0.8)),
    (Row::Announce, Metric::Memory, Against::EachPrefix(180.0)),
    (Row::Announce, Metric::Memory, Against::Bird(1.0)),
    (Row::Withdraw, Metric::Time, Against::Best(1.0)),
    (Row::Mesh20, Metric::Time, Against::Best(0.6)),
    (Row::Mesh20, Metric::Cpu, Against::Best(0.5)),
    (Row::Mesh50, Metric::Time, Against::Best(0.9)),
    (Row::Mesh50, Metric::Cpu, Against::Best(0.5)),
    (Row::Hundred, Metric::Time, Against::Best(0.9)),
    (Row::Senders, Metric::Memory, Against::Bird(1.2)),
    (Row::Receivers, Metric::Time, Against::Best(0.9)),
    (Row::Install, Metric::Time, Against::Best(0.7)),
    (Row::Install, Metric::Time, Against::RawNetlink(1.5)),
    (Row::MoveOne, Metric::Time, Against::Best(0.7)),
    (Row::MoveOne, Metric::Time, Against::RawNetlink(1.5)),
    (Row::MoveMany, Metric::Time, Against::Best(0.7)),
    (Row::MoveMany, Metric::Time, Against::RawNetlink(1.5)),
    (Row::Idle, Metric::Cpu, Against::Core(0.001)),
    (Row::Idle, Metric::Memory, Against::Bytes(20.0 * 1024.0 * 1024.0)),
];

/// The share of the best peer's time above which the generator itself is what is measured.
const FLOOR: f64 = 0.3;

/// Whoever takes this many times as long as the fastest is not run again.
pub(super) const FAR_BEHIND: f64 = 25.0;

impl Row {
    fn title(self, prefixes: usize) -> String {
        match self {
            Row::Announce => format!("{prefixes} prefixes, one sender to one receiver"),
            Row::Withdraw => format!("withdrawal of {prefixes}"),
            Row::Mesh20 => format!("mesh of 20 × {}, all learn all", prefixes / 20),
            Row::Mesh50 => format!("mesh of 50 × {}, all learn all", prefixes / 50),
            Row::Hundred => format!("100 × {}, from the last Established", prefixes / 100),
            Row::Senders => format!("8 senders of the same {prefixes}"),
            Row::Receivers => format!("{prefixes} to 8 receivers"),
            Row::Install => format!("{prefixes} into the kernel"),
            Row::MoveOne => format!("next hop of all {prefixes} in the kernel changed"),
            Row::MoveMany => "the same, spread over 1,000 next hops".to_owned(),
            Row::Idle => "idle with 100 peers, hold time 90 s".to_owned(),
        }
    }
}

impl Subject {
    pub(super) fn name(self) -> &'static str {
        match self {
            Subject::Daemon(daemon) => daemon.name(),
            Subject::Generator => "no router",
            Subject::RawNetlink => "raw netlink",
        }
    }
}

impl Figures {
    pub(super) fn put(&mut self, row: Row, subject: Subject, prefixes: usize, measure: Measure) {
        self.prefixes.insert(row, prefixes);
        self.runs.entry((row, subject)).or_default().push(measure);
    }

    /// A run that has not come to its end, and why. The first reason is kept.
    pub(super) fn fail(&mut self, row: Row, subject: Subject, prefixes: usize, why: String) {
        self.prefixes.insert(row, prefixes);
        self.failures.entry((row, subject)).or_insert(why);
    }

    /// Whom further runs of these rows cannot bring nearer to the fastest.
    pub(super) fn far_behind(&self, rows: &BTreeSet<Row>) -> BTreeSet<Subject> {
        let times = |row: Row| {
            let of_row = self.runs.keys().filter(move |(of, _)| *of == row);
            of_row.filter_map(move |(_, subject)| {
                Some((*subject, self.spread(row, *subject, Metric::Time)?.median))
            })
        };
        let behind = rows.iter().flat_map(|row| {
            let daemons = times(*row).filter(|(who, _)| matches!(who, Subject::Daemon(_)));
            let best = daemons.map(|(_, time)| time).fold(f64::INFINITY, f64::min);
            times(*row).filter(move |(_, time)| *time > FAR_BEHIND * best)
        });
        behind.map(|(subject, _)| subject).collect()
    }

    fn spread(&self, row: Row, subject: Subject, metric: Metric) -> Option<Spread> {
        if self.failures.contains_key(&(row, subject)) {
            return None;
        }
        let runs = self.runs.get(&(row, subject))?;
        Spread::of(runs.iter().map(|measure| metric.of(measure)).collect())
    }

    fn best_peer(&self, row: Row, metric: Metric) -> Option<(Daemon, Spread)> {
        let peers = self.runs.keys().filter_map(|(of, subject)| match subject {
            Subject::Daemon(daemon) if *of == row && *daemon != Daemon::Sart => Some(*daemon),
            Subject::Daemon(_) | Subject::Generator | Subject::RawNetlink => None,
        });
        let spreads = peers.filter_map(|daemon| {
            Some((daemon, self.spread(row, Subject::Daemon(daemon), metric)?))
        });
        spreads.min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))
    }

    /// A table for each work, as Markdown that also reads well on a terminal.
    pub(super) fn tables(&self) -> String {
        let mut out = String::new();
        for (row, prefixes) in &self.prefixes {
            let _ = writeln!(out, "### {}\n", row.title(*prefixes));
            out.push_str("| | time, s | CPU, s | memory, MiB | sart: time | CPU | memory |\n");
            out.push_str("|---|---|---|---|---|---|---|\n");
            let subjects = self.runs.keys().chain(self.failures.keys());
            let mut subjects: Vec<_> =
                subjects.filter(|(of, _)| of == row).map(|(_, subject)| *subject).collect();
            subjects.sort_unstable();
            subjects.dedup();
            for subject in subjects {
                self.line(*row, subject, &mut out);
            }
            out.push('\n');
        }
        out
    }

    fn line(&self, row: Row, subject: Subject, out: &mut String) {
        let name = subject.name();
        if let Some(why) = self.failures.get(&(row, subject)) {
            let why = why.replace('\n', " / ").replace('|', "/");
            let _ = writeln!(out, "| {name} | failed: {why} | | | | | |");
            return;
        }
        let cell = |metric: Metric| -> String {
            let daemon = matches!(subject, Subject::Daemon(_));
            let Some(spread) = self.spread(row, subject, metric) else { return String::new() };
            match metric {
                Metric::Time => show(spread, 1.0),
                Metric::Cpu if daemon => show(spread, 1.0),
                Metric::Memory if daemon => show(spread, f64::from(1 << 20)),
                Metric::Cpu | Metric::Memory => String::new(),
            }
        };
        let ratio = |metric: Metric| -> String {
            let ours = self.spread(row, Subject::Daemon(Daemon::Sart), metric);
            let comparable = subject != Subject::Daemon(Daemon::Sart)
                && (metric == Metric::Time || matches!(subject, Subject::Daemon(_)))
                && !(row == Row::Idle && metric == Metric::Time);
            match (ours, self.spread(row, subject, metric)) {
                (Some(ours), Some(theirs)) if comparable => format!("{:.2}", ours.ratio(theirs)),
                _ => String::new(),
            }
        };
        let metrics = [Metric::Time, Metric::Cpu, Metric::Memory];
        let cells = metrics.map(cell).join(" | ");
        let ratios = metrics.map(ratio).join(" | ");
        let _ = writeln!(out, "| {name} | {cells} | {ratios} |");
    }

    /// A line for each goal whose work was done.
    pub(super) fn goals(&self) -> String {
        let mut out = String::from("| work | goal | measured | |\n|---|---|---|---|\n");
        for (row, metric, against) in GOALS {
            let Some(prefixes) = self.prefixes.get(row) else { continue };
            let title = row.title(*prefixes);
            let (goal, measured, verdict) = self.judge(*row, *metric, *against, *prefixes);
            let _ = writeln!(out, "| {title} | {goal} | {measured} | {verdict} |");
        }
        out
    }

    fn judge(
        &self,
        row: Row,
        metric: Metric,
        against: Against,
        prefixes: usize,
    ) -> (String, String, String) {
        let name = metric.name();
        let ours = self.spread(row, Subject::Daemon(Daemon::Sart), metric);
        let versus = |theirs: Option<(&'static str, Spread)>, limit: f64, who: &str| {
            let goal = format!("{name} ≤ {limit} × {who}");
            match (ours, theirs) {
                (Some(ours), Some((who, theirs))) => {
                    let ratio = ours.ratio(theirs);
                    (goal, format!("{ratio:.2} × {who}"), verdict(ratio, limit))
                }
                (None, _) => (goal, "sart did not finish".to_owned(), "missed".to_owned()),
                (_, None) => (goal, String::new(), "nobody to compare with".to_owned()),
            }
        };
        let value = |value: Option<f64>, limit: f64, goal: String, show: &dyn Fn(f64) -> String| {
            match value {
                Some(value) => (goal, show(value), verdict(value, limit)),
                None => (goal, "sart did not finish".to_owned(), "missed".to_owned()),
            }
        };
        let median = ours.map(|ours| ours.median);
        match against {
            Against::Best(limit) => {
                let best = self.best_peer(row, metric);
                let mut line = versus(best.map(|(d, s)| (d.name(), s)), limit, "the best peer");
                if metric == Metric::Time
                    && let (Some(floor), Some((_, best))) =
                        (self.spread(row, Subject::Generator, Metric::Time), best)
                    && floor.median > FLOOR * best.median
                {
                    let share = 100.0 * floor.median / best.median;
                    line.2 = format!(
                        "not judged: the generator alone takes {share:.0} % of the best peer's time"
                    );
                }
                line
            }
            Against::Bird(limit) => {
                let bird = self.spread(row, Subject::Daemon(Daemon::Bird), metric);
                versus(bird.map(|spread| ("BIRD", spread)), limit, "BIRD")
            }
            Against::RawNetlink(limit) => {
                let raw = self.spread(row, Subject::RawNetlink, metric);
                versus(raw.map(|spread| ("raw netlink", spread)), limit, "raw netlink")
            }
            Against::EachPrefix(limit) => {
                let each = median.map(|bytes| bytes / prefixes as f64);
                value(each, limit, format!("≤ {limit} bytes a prefix"), &|v| {
                    format!("{v:.0} bytes")
                })
            }
            Against::Bytes(limit) => {
                let mib = |v: f64| format!("{:.1} MiB", v / f64::from(1 << 20));
                value(median, limit, format!("≤ {}", mib(limit)), &mib)
            }
            Against::Core(limit) => {
                let time = self.spread(row, Subject::Daemon(Daemon::Sart), Metric::Time);
                let share = median.zip(time).map(|(cpu, time)| cpu / time.median);
                let percent = |v: f64| format!("{:.3} % of a core", v * 100.0);
                value(share, limit, format!("≤ {}", percent(limit)), &percent)
            }
        }
    }
}

fn verdict(value: f64, limit: f64) -> String {
    let part = 100.0 * (value / limit - 1.0);
    if value <= limit { "met".to_owned() } else { format!("missed by {part:.0} %") }
}

fn show(spread: Spread, unit: f64) -> String {
    let text = |value: f64| {
        let value = value / unit;
        if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
    };
    if spread.min == spread.max {
        text(spread.median)
    } else {
        format!("{} ({}–{})", text(spread.median), text(spread.min), text(spread.max))
    }
}

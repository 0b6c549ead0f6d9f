//! What a run gave, for the terminal and as a page of the documentation.

use std::fmt;
use std::time::Duration;

use super::{HOLD_TIME, Outcome, RECEIVERS, SENDERS, SoakArgs};
use crate::bench::machine;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let s = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
        let rate = self.changes as f64 / self.under.as_secs_f64();
        let share = |cpu: f64| format!("{:.0} % of a core", 100.0 * cpu / self.under.as_secs_f64());
        let [before, peak, after] = self.memory;
        let lines = [
            ("sessions lost", "0".to_owned()),
            ("prefixes missing or stale at the end", "0".to_owned()),
            ("changes", format!("{} in {}, {rate:.0} a second", self.changes, s(self.under))),
            ("a marker's way through: p50", ms(self.ways.per_mille(500))),
            ("p99", ms(self.ways.per_mille(990))),
            ("longest", ms(self.ways.per_mille(1000))),
            ("markers measured", self.ways.count().to_string()),
            ("markers not through by their next turn", self.ways.late.to_string()),
            ("longest time a session heard nothing", ms(self.silence)),
            ("the first table, until all hold it", s(self.table)),
            ("after the last change, until all are exact", s(self.rest)),
            ("the router's CPU under changes", share(self.cpu[0])),
            ("the others' CPU meanwhile", share(self.cpu[1])),
            ("memory before the changes", mib(before)),
            ("at its peak", mib(peak)),
            ("with the first table again", mib(after)),
        ];
        f.write_str("| | |\n|---|---|\n")?;
        if self.kernel {
            f.write_str("| routes missing, stale or wrong in the kernel at the end | 0 |\n")?;
        }
        lines.iter().try_for_each(|(name, value)| writeln!(f, "| {name} | {value} |"))
    }
}

pub(super) fn page(args: &SoakArgs, version: &str, outcome: &Outcome) -> String {
    let machine = machine();
    let kernel = match args.kernel {
        true => {
            "The router also writes every route into the kernel, whose whole table is read at the \
             end and must be exact too. "
        }
        false => "",
    };
    format!(
        "# Soak of the router\n\n\
         Written by `cargo lab bench soak --markdown`; do not edit by hand.\n\n\
         {machine}; {version}.\n\n\
         {prefixes} prefixes from {SENDERS} senders to {RECEIVERS} receivers, {rate} changes a second for \
         {seconds} s: prefixes get other attributes, or go and come back. The hold time of every session \
         is {HOLD_TIME} s. One process on each core is busy all the time, and the load generator runs on \
         the same machine. {kernel}A session that ends, or hears nothing for its hold time, fails the \
         run, as does a receiver that does not hold exactly what the model says after the last change \
         and once more when the first table is back. Markers are prefixes of their own that come or go, \
         one every 20 ms, behind the changes that are sent before; their way is from the sender's \
         socket to each receiver.\n\n\
         {outcome}",
        prefixes = args.prefixes,
        rate = args.rate,
        seconds = args.seconds,
    )
}

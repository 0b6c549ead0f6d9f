//! Answers as text for people.

mod change;
mod channels;
mod events;
mod explain;
mod monitors;
mod neighbors;
mod policies;
mod routes;

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use node_api::v1;

pub(crate) use self::change::{applied, reset};
pub(crate) use self::channels::{channel, channel_routes, channels};
pub(crate) use self::events::event;
pub(crate) use self::explain::explanation;
pub(crate) use self::monitors::{mrt, stations};
pub(crate) use self::neighbors::{bfd, bfd_of, neighbor, neighbors};
pub(crate) use self::policies::{neighbor_policies, policies, policy_texts};
pub(crate) use self::routes::{Whose, part_of_routes, routes};
use crate::output::{Table, table};

pub(crate) fn global(global: &v1::Global) -> String {
    let mut text = String::new();
    let asn = if global.asn == 0 { "not set".to_owned() } else { global.asn.to_string() };
    let id = if global.router_id.is_empty() { "not set" } else { &global.router_id };
    let _ = writeln!(text, "AS number:   {asn}");
    let _ = writeln!(text, "Router id:   {id}");
    let _ = writeln!(text, "Multipath:   {}", yes(global.multi_path));
    let _ = writeln!(text, "Transit:     {}", yes(global.transit));
    let _ = writeln!(text, "Port:        {}", global.port);
    let fib = global.fib_table.map_or("not written".to_owned(), |table| format!("table {table}"));
    let _ = writeln!(text, "Kernel:      {fib}");
    let _ = writeln!(text, "Neighbors:   {} of {}", global.established, global.neighbors);
    let _ = writeln!(text, "Prefixes:    {} ({} paths)", global.prefixes, global.paths);
    let _ = writeln!(text, "Version:     {}, up {}", global.version, age(global.started));
    for condition in &global.conditions {
        let _ = writeln!(text, "Condition:   {}: {}", condition.name, condition.message);
    }
    if !global.owners.is_empty() {
        let rows = global.owners.iter().map(|owner| {
            let spoken = if owner.has_spoken { "" } else { "stored" };
            [
                owner.name.clone(),
                owner.generation.to_string(),
                spoken.to_owned(),
                owner.conflicts.join("; "),
            ]
        });
        let _ = writeln!(text, "\n{}", table(["OWNER", "GENERATION", "STATE", "CONFLICTS"], rows));
    }
    text
}

pub(crate) fn fib(entries: &[v1::FibEntry]) -> String {
    fib_table(entries).to_string()
}

/// The same, as a part of a long table.
pub(crate) fn fib_table(entries: &[v1::FibEntry]) -> Table {
    let rows = entries.iter().map(|e| {
        [
            e.prefix.clone(),
            e.next_hops.join(" "),
            e.kernel_next_hops.join(" "),
            e.source.clone(),
            e.table.to_string(),
            yes(e.installed).to_owned(),
            e.error.clone(),
        ]
    });
    let titles = ["PREFIX", "WANTED", "KERNEL HOLDS", "SOURCE", "TABLE", "IN KERNEL", "ERROR"];
    Table::new(titles, rows)
}

pub(crate) fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

pub(crate) fn number(number: Option<u32>) -> String {
    number.map(|n| n.to_string()).unwrap_or_default()
}

/// How long ago a Unix time was, in its two greatest units.
pub(crate) fn age(unix_seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    duration(now.saturating_sub(unix_seconds))
}

/// A Unix time as RFC 3339 writes it, in UTC.
pub(crate) fn time(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{}m", minutes % 60),
        (_, _, _) => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_days_of_the_calendar() {
        let check = |seconds, expect: &str| assert_eq!(super::time(seconds), expect);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_399, "2000-02-28T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_735_689_599, "2024-12-31T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }

    #[test]
    fn durations_are_short() {
        let check = |seconds, expect: &str| assert_eq!(super::duration(seconds), expect);
        check(0, "0s");
        check(59, "59s");
        check(61, "1m1s");
        check(3 * 3600 + 120, "3h2m");
        check(2 * 86400 + 3600, "2d1h");
    }
}

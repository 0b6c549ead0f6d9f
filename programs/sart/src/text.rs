//! Answers as text for people.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use node_api::v1;

use crate::output::table;

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

pub(crate) fn neighbors(list: &v1::NeighborList) -> String {
    let rows = list.neighbors.iter().map(|n| {
        let (received, advertised) = n
            .families
            .iter()
            .fold((0, 0), |(r, a), family| (r + family.received, a + family.advertised));
        let error = n.last_error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        let up = n.state() == v1::SessionState::Established;
        [
            n.address.clone(),
            if n.name == n.address { String::new() } else { n.name.clone() },
            n.asn.to_string(),
            n.state().words().to_owned(),
            age(n.since),
            received.to_string(),
            advertised.to_string(),
            if up { String::new() } else { error },
        ]
    });
    let header = ["ADDRESS", "NAME", "ASN", "STATE", "SINCE", "RECEIVED", "SENT", "ERROR"];
    let mut text = table(header, rows);
    for condition in &list.conditions {
        let _ = write!(text, "\n{}: {}", condition.name, condition.message);
    }
    text
}

pub(crate) fn neighbor(n: &v1::Neighbor) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Neighbor {} ({})", n.address, n.name);
    let _ = writeln!(text, "  Remote AS:     {}", n.asn);
    let _ = writeln!(text, "  Wanted by:     {}", n.owner);
    let _ = writeln!(text, "  State:         {} since {}", n.state().words(), age(n.since));
    if n.passive {
        let _ = writeln!(text, "  Passive:       yes");
    }
    if !n.groups.is_empty() {
        let _ = writeln!(text, "  Groups:        {}", n.groups.join(", "));
    }
    if let Some(error) = &n.last_error {
        let (by, ago) = (error.by().words(), age(error.at));
        let _ = writeln!(text, "  Last error:    {} (by {by}, {ago} ago)", error.message);
    }
    let _ = writeln!(text, "  Times lost:    {}", n.flaps);
    if let Some(s) = &n.session {
        let _ = writeln!(text, "  Router id:     {}", s.remote_router_id);
        let _ = writeln!(text, "  Local address: {}", s.local_address);
        let _ = writeln!(text, "  Opened by:     {}", s.by().words());
        let _ =
            writeln!(text, "  Hold time:     {} s, keepalive {} s", s.hold_time, s.keepalive_time);
        let _ = writeln!(text, "  Capabilities:  {}", s.capabilities.join(", "));
        let _ = writeln!(text, "  Messages:      {} in, {} out", s.messages_in, s.messages_out);
        let _ = writeln!(text, "  Updates:       {} in, {} out", s.updates_in, s.updates_out);
    }
    let rows = n.families.iter().map(|f| {
        [
            f.family.clone(),
            yes(f.negotiated).to_owned(),
            f.received.to_string(),
            f.accepted.to_string(),
            f.advertised.to_string(),
            f.stale.to_string(),
        ]
    });
    let header = ["FAMILY", "IN USE", "RECEIVED", "ACCEPTED", "SENT", "STALE"];
    let _ = writeln!(text, "\n{}", table(header, rows));
    text
}

pub(crate) fn routes(routes: &[v1::Route]) -> String {
    let rows = routes.iter().map(|r| {
        let mark = match (r.best, r.multipath) {
            (true, _) => "best",
            (false, true) => "multipath",
            (false, false) => "",
        };
        [
            mark.to_owned(),
            r.prefix.clone(),
            r.next_hop.clone(),
            if r.neighbor.is_empty() { "here".to_owned() } else { r.neighbor.clone() },
            r.as_path.clone(),
            r.origin.clone(),
            number(r.local_pref),
            number(r.med),
            r.communities.iter().chain(&r.large_communities).cloned().collect::<Vec<_>>().join(" "),
            r.reason.clone(),
        ]
    });
    let header = [
        "BEST",
        "PREFIX",
        "NEXT HOP",
        "FROM",
        "AS PATH",
        "ORIGIN",
        "PREF",
        "MED",
        "COMMUNITIES",
        "REASON",
    ];
    table(header, rows)
}

pub(crate) fn explanation(explanation: &v1::Explanation) -> String {
    if explanation.prefix.is_empty() {
        return "no route".to_owned();
    }
    let mut text = format!("{}\n\nPaths, the best first:\n", explanation.prefix);
    let _ = writeln!(text, "{}", routes(&explanation.paths));
    if !explanation.advertisements.is_empty() {
        let rows = explanation
            .advertisements
            .iter()
            .map(|a| [a.neighbor.clone(), yes(a.sent).to_owned(), a.reason.clone()]);
        let _ = writeln!(text, "\n{}", table(["NEIGHBOR", "SENT", "REASON"], rows));
    }
    if let Some(entry) = &explanation.fib {
        let _ = writeln!(text, "\n{}", fib(std::slice::from_ref(entry)));
    }
    text
}

pub(crate) fn fib(entries: &[v1::FibEntry]) -> String {
    let rows = entries.iter().map(|e| {
        let next_hops = e.next_hops.join(" ");
        let table = e.table.to_string();
        [
            e.prefix.clone(),
            next_hops,
            e.source.clone(),
            table,
            yes(e.installed).to_owned(),
            e.error.clone(),
        ]
    });
    table(["PREFIX", "NEXT HOPS", "SOURCE", "TABLE", "IN KERNEL", "ERROR"], rows)
}

/// What a change did.
pub(crate) fn applied(reply: &v1::ApplyReply) -> String {
    let mut text = String::new();
    for change in &reply.changes {
        let _ = writeln!(text, "{change}");
    }
    for reset in &reply.resets {
        let _ = writeln!(text, "session with {} is reset: {}", reset.neighbor, reset.reason);
    }
    for conflict in &reply.conflicts {
        let _ = writeln!(text, "without effect: {conflict}");
    }
    if text.is_empty() { "already so".to_owned() } else { text }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn number(number: Option<u32>) -> String {
    number.map(|n| n.to_string()).unwrap_or_default()
}

/// How long ago a Unix time was, in its two greatest units.
fn age(unix_seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    duration(now.saturating_sub(unix_seconds))
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
    fn durations_are_short() {
        let check = |seconds, expect: &str| assert_eq!(super::duration(seconds), expect);
        check(0, "0s");
        check(59, "59s");
        check(61, "1m1s");
        check(3 * 3600 + 120, "3h2m");
        check(2 * 86400 + 3600, "2d1h");
    }
}

//! Neighbors, and the BFD sessions that watch them.

use std::fmt::Write as _;

use node_api::v1;

use super::{age, time, yes};
use crate::bgp::Watched;
use crate::output::table;

/// A line for each neighbor; `wide`: with more columns.
pub(crate) fn neighbors(list: &v1::NeighborList, wide: bool) -> String {
    let rows = list.neighbors.iter().map(|n| {
        let sum = |count: fn(&v1::FamilyStatus) -> u64| {
            n.families.iter().map(count).fold(0, u64::saturating_add).to_string()
        };
        let error = n.last_error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        let up = n.state() == v1::SessionState::Established;
        let mut row = vec![
            n.address.clone(),
            if n.name == n.address { String::new() } else { n.name.clone() },
            asn_of(n),
            match n.idle_reason.as_str() {
                "" => n.state().words().to_owned(),
                why => format!("{} ({why})", n.state().words()),
            },
            age(n.since),
            sum(|family| family.received),
            sum(|family| family.advertised),
        ];
        if wide {
            let session = n.session.as_ref();
            row.extend([
                sum(|family| family.accepted),
                sum(|family| family.stale),
                n.flaps.to_string(),
                n.queued_bytes.to_string(),
                n.bfd.as_ref().map(bfd_state).unwrap_or_default(),
                session.map(|s| s.remote_router_id.clone()).unwrap_or_default(),
                session.map(|s| s.local_address.clone()).unwrap_or_default(),
                n.owner.clone(),
                n.groups.join(","),
            ]);
        }
        let error = if n.key_error.is_empty() { error } else { n.key_error.clone() };
        // With all columns, the last error stays to be seen after the session is up again.
        row.push(if up && !wide { String::new() } else { error });
        row
    });
    let mut header = vec!["ADDRESS", "NAME", "ASN", "STATE", "SINCE", "RECEIVED", "SENT"];
    if wide {
        header.extend([
            "ACCEPTED",
            "STALE",
            "LOST",
            "QUEUED",
            "BFD",
            "ROUTER ID",
            "LOCAL",
            "OWNER",
            "GROUPS",
        ]);
    }
    header.push("ERROR");
    let mut text = table(header, rows);
    for condition in &list.conditions {
        let _ = write!(text, "\n{}: {}", condition.name, condition.message);
    }
    text
}

/// One neighbor, fully.
pub(crate) fn neighbor(n: &v1::Neighbor) -> String {
    let mut text = format!("Neighbor {} ({})\n", n.address, n.name);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {:<14} {value}", format!("{name}:"));
        }
    };
    line("Remote AS", asn_of(n));
    line("Wanted by", n.owner.clone());
    let word = if n.state() == v1::SessionState::Established { "up" } else { "since" };
    line("State", format!("{}, {word} {}", n.state().words(), age(n.since)));
    line("Idle because", idle(n));
    line("Key", n.key_error.clone());
    if let Some(error) = &n.last_error {
        for (name, value) in last_error(error) {
            line(name, value);
        }
    }
    line("Perhaps", perhaps(n).to_owned());
    line("Times lost", n.flaps.to_string());
    line("Times up", n.established.to_string());
    line("Retries", some(n.connect_retries));
    line("Passive", if n.passive { "yes".to_owned() } else { String::new() });
    line("Dynamic", n.dynamic.clone());
    line("Interface", n.interface.clone());
    line("Groups", n.groups.join(", "));
    line("Import", n.import.join(", "));
    line("Export", n.export.join(", "));
    line("Signed by", n.authentication.clone());
    line("Its keys", ao_keys(&n.tcp_ao_keys));
    line("Least TTL", some(n.minimum_ttl.into()));
    if let Some(s) = &n.session {
        for (name, value) in session(s) {
            line(name, value);
        }
    } else {
        line("Hold time", format!("{} s configured", n.configured_hold_time));
    }
    line("Offered", n.capabilities_sent.join("; "));
    line("It offers", n.capabilities_received.join("; "));
    line("Queued", format!("{} bytes", n.queued_bytes));
    if let Some(status) = &n.bfd {
        line("BFD", bfd_words(status));
    }
    if let (Some(received), Some(sent)) = (&n.received, &n.sent) {
        let _ = writeln!(text, "\n{}", messages(received, sent));
    }
    let rows = n.families.iter().map(|f| {
        [
            f.family.clone(),
            yes(f.negotiated).to_owned(),
            f.received.to_string(),
            f.accepted.to_string(),
            f.advertised.to_string(),
            f.stale.to_string(),
            some(f.max_prefixes),
        ]
    });
    let header = ["FAMILY", "IN USE", "RECEIVED", "ACCEPTED", "SENT", "STALE", "LIMIT"];
    let _ = writeln!(text, "\n{}", table(header, rows));
    text
}

/// What may be behind silence: a segment that is signed otherwise, or not at all, is dropped without
/// a word (RFC 2385 section 2, RFC 5925 section 7.3).
fn perhaps(n: &v1::Neighbor) -> &'static str {
    let is_silent = |error: &v1::SessionError| error.message.ends_with("no answer in time");
    let silent = n.last_error.as_ref().is_some_and(is_silent);
    let down = n.state() != v1::SessionState::Established;
    match (silent && down, n.authentication.as_str()) {
        (false, _) | (true, "") => "",
        (true, _) => "nobody is there, or the key is another one at the other end",
    }
}

/// The ids of keys of TCP-AO, as they are sent and received.
fn ao_keys(keys: &[v1::TcpAoKey]) -> String {
    let words = keys.iter().enumerate().map(|(nth, key)| {
        let v1::TcpAoKey { send_id, recv_id, algorithm, include_options } = key;
        let id = match send_id == recv_id {
            true => send_id.to_string(),
            false => format!("{send_id}/{recv_id}"),
        };
        let first = if nth == 0 && keys.len() > 1 { " first" } else { "" };
        let options = if *include_options { "" } else { " without options" };
        format!("{id}{first} ({algorithm}{options})")
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Its AS number, once it is known.
fn asn_of(n: &v1::Neighbor) -> String {
    match n.asn {
        0 => "-".to_owned(),
        asn => asn.to_string(),
    }
}

/// Why no session is tried, and until when.
fn idle(n: &v1::Neighbor) -> String {
    match (n.idle_reason.as_str(), n.idle_until) {
        ("", _) => String::new(),
        // A stop of that kind ends by itself only if it says when.
        (why, 0) => format!("{why}, until it is reset or changed"),
        (why, until) => format!("{why}, until {}", time(until)),
    }
}

/// Why the last session ended, with its NOTIFICATION decoded (RFC 4271 section 4.5).
fn last_error(error: &v1::SessionError) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("Last error", error.message.clone()),
        ("  ended by", format!("{}, {} ago", error.by().words(), age(error.at))),
    ];
    if error.state() != v1::SessionState::Unknown {
        lines.push(("  in state", error.state().words().to_owned()));
    }
    if error.code != 0 {
        let words = match (error.code_words.as_str(), error.subcode_words.as_str()) {
            (code, "") => code.to_owned(),
            (code, subcode) => format!("{code}, {subcode}"),
        };
        lines.push(("  code", format!("{}/{} {words}", error.code, error.subcode)));
    }
    lines.push(("  its data", error.data.clone()));
    lines.extend(error.details.iter().map(|detail| ("  decoded", detail.clone())));
    lines
}

/// What both have agreed on.
fn session(s: &v1::Session) -> Vec<(&'static str, String)> {
    let asn = match s.local_asn {
        0 => String::new(),
        asn => asn.to_string(),
    };
    let hold = match s.send_hold_time {
        0 => String::new(),
        send => format!(", send hold {send} s"),
    };
    vec![
        ("Router id", s.remote_router_id.clone()),
        ("Local address", s.local_address.clone()),
        ("Local AS", asn),
        ("Opened by", s.by().words().to_owned()),
        ("Hold time", format!("{} s, keepalive {} s{hold}", s.hold_time, s.keepalive_time)),
        ("Its role", s.remote_role.clone()),
        ("Restart time", s.restart_time.map(|time| format!("{time} s")).unwrap_or_default()),
        ("In use", s.capabilities.join(", ")),
        ("Messages", format!("{} in, {} out", s.messages_in, s.messages_out)),
        ("Updates", format!("{} in, {} out", s.updates_in, s.updates_out)),
    ]
}

fn messages(received: &v1::Messages, sent: &v1::Messages) -> String {
    let row = |name: &str, of: fn(&v1::Messages) -> u64| {
        [name.to_owned(), of(received).to_string(), of(sent).to_string()]
    };
    let rows = [
        row("OPEN", |m| m.open),
        row("UPDATE", |m| m.update),
        row("NOTIFICATION", |m| m.notification),
        row("KEEPALIVE", |m| m.keepalive),
        row("ROUTE-REFRESH", |m| m.route_refresh),
    ];
    table(["MESSAGES", "RECEIVED", "SENT"], rows)
}

/// A line for each BFD session; `wide`: with more columns.
pub(crate) fn bfd(watched: &[Watched], wide: bool) -> String {
    let rows = watched.iter().map(|Watched { neighbor, name, bfd }| {
        let mut row = vec![
            neighbor.clone(),
            if name == neighbor { String::new() } else { name.clone() },
            bfd_state(bfd),
            bfd.remote_state.clone(),
            if bfd.since == 0 { String::new() } else { age(bfd.since) },
            millis(bfd.transmit_interval),
            millis(bfd.detection_time),
            bfd.downs.to_string(),
        ];
        if wide {
            row.extend([
                yes(bfd.multihop).to_owned(),
                bfd.ups.to_string(),
                bfd.packets_sent.to_string(),
                bfd.packets_received.to_string(),
                bfd.remote_diagnostic.clone(),
            ]);
        }
        row.push(if bfd.error.is_empty() { bfd.diagnostic.clone() } else { bfd.error.clone() });
        row
    });
    let mut header =
        vec!["NEIGHBOR", "NAME", "STATE", "ITS STATE", "SINCE", "INTERVAL", "DETECTION", "DOWNS"];
    if wide {
        header.extend(["MULTIHOP", "UPS", "SENT", "RECEIVED", "IT SAYS"]);
    }
    header.push("DIAGNOSTIC");
    table(header, rows)
}

/// One BFD session, fully.
pub(crate) fn bfd_of(Watched { neighbor, name, bfd }: &Watched) -> String {
    let since = if bfd.since == 0 { String::new() } else { format!(", {}", age(bfd.since)) };
    let mut text = format!("BFD with {neighbor} ({name})\n");
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {:<14} {value}", format!("{name}:"));
        }
    };
    line("State", format!("{}{since}", bfd_state(bfd)));
    line("Error", bfd.error.clone());
    line("We say", bfd.diagnostic.clone());
    line("Its state", bfd.remote_state.clone());
    line("It says", bfd.remote_diagnostic.clone());
    line("Multihop", yes(bfd.multihop).to_owned());
    line("Sent every", millis(bfd.transmit_interval));
    line("Detection", millis(bfd.detection_time));
    line("Packets", format!("{} out, {} in", bfd.packets_sent, bfd.packets_received));
    line("Went", format!("{} times up, {} times down", bfd.ups, bfd.downs));
    text
}

fn bfd_words(status: &v1::BfdStatus) -> String {
    if !status.error.is_empty() {
        return format!("no session: {}", status.error);
    }
    // Up has nothing to explain.
    let why = match (status.state.as_str(), status.diagnostic.as_str()) {
        ("Up", _) | (_, "") => String::new(),
        (_, diagnostic) => format!(" ({diagnostic})"),
    };
    let detection = match status.detection_time {
        0 => String::new(),
        time => format!(", detects in {time} ms"),
    };
    format!("{}{why}, {}{detection}", bfd_state(status), age(status.since))
}

fn bfd_state(status: &v1::BfdStatus) -> String {
    if status.state.is_empty() { "none".to_owned() } else { status.state.clone() }
}

fn millis(time: u32) -> String {
    if time == 0 { String::new() } else { format!("{time} ms") }
}

/// A number that says something only when it is not zero.
fn some(number: u64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_with_a_key_may_be_another_key() {
        let neighbor = |authentication: &str, message: &str| v1::Neighbor {
            authentication: authentication.to_owned(),
            last_error: Some(v1::SessionError {
                message: message.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let silent = "cannot connect: no answer in time";
        for (authentication, message, hint) in [
            ("md5", silent, true),
            ("tcp-ao", silent, true),
            ("", silent, false),
            ("md5", "cannot connect: Connection refused (os error 111)", false),
        ] {
            let text = super::neighbor(&neighbor(authentication, message));
            assert_eq!(text.contains("the key is another one"), hint, "{text}");
        }
    }
}

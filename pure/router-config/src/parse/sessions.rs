//! The keys of a peer that its session knows: timers, capabilities, limits, BFD.

use std::collections::BTreeMap;

use inet::Family;

use super::neighbor::{bad, families, switch};
use crate::fields::{Fields, Report};
use crate::peer::{
    AddPath, AddPathSend, Bfd, GracefulRestart, LocalAs, LongLived, MaxPrefixes, MaxPrefixesAction,
    Neighbor,
};
use crate::tree::{Node, Value, place};

/// The hold time that a peer has when none is written; the speaker's default.
const DEFAULT_HOLD_TIME: u16 = 90;

/// The longest shutdown communication, in octets (RFC 9003 §2).
const MAX_COMMUNICATION: usize = 255;

pub(super) fn read(f: &mut Fields<'_>, neighbor: &mut Neighbor, r: &mut Report<'_>) {
    timers(f, neighbor, r);
    neighbor.families = f.take("families").and_then(|n| families(n, r));
    neighbor.extended_next_hop =
        f.take("extended_next_hop").and_then(|n| r.bool(n, "extended_next_hop"));
    neighbor.extended_messages =
        f.take("extended_messages").and_then(|n| r.bool(n, "extended_messages"));
    neighbor.graceful_restart = f.take("graceful_restart").and_then(|n| graceful_restart(n, r));
    if let Some(n) = f.take("long_lived_graceful_restart") {
        neighbor.long_lived_graceful_restart = long_lived(n, r);
        // RFC 9494 §4.2: without graceful restart the capability is ignored.
        if neighbor.graceful_restart.is_some_and(|gr| gr.enabled == Some(false)) {
            bad(n, "long_lived_graceful_restart", "it needs `graceful_restart`", r);
        }
    }
    neighbor.add_path = f.take("add_path").and_then(|n| add_path(n, r));
    neighbor.local_as = f.take("local_as").and_then(|n| local_as(n, r));
    neighbor.role = f.take("role").and_then(|n| r.read(n, "role", str::parse));
    if let Some(n) = f.take("role_strict") {
        neighbor.role_strict = r.bool(n, "role_strict");
        if neighbor.role_strict == Some(true) && neighbor.role.is_none() {
            bad(n, "role_strict", "it needs a `role`", r);
        }
    }
    neighbor.max_prefixes = f.take("max_prefixes").map(|n| max_prefixes(n, r)).unwrap_or_default();
    neighbor.bfd = f.take("bfd").and_then(|n| bfd(n, r));
    neighbor.shutdown = f.take("shutdown").and_then(|n| shutdown(n, r));
}

fn timers(f: &mut Fields<'_>, neighbor: &mut Neighbor, r: &mut Report<'_>) {
    if let Some(n) = f.take("hold_time") {
        neighbor.hold_time = r.number(n, "hold_time", 0..=u16::MAX);
        // RFC 4271 §4.2: zero, or at least three seconds.
        if matches!(neighbor.hold_time, Some(1 | 2)) {
            bad(n, "hold_time", "it is 0 or at least 3 seconds", r);
        }
    }
    let hold = neighbor.hold_time.unwrap_or(DEFAULT_HOLD_TIME);
    if let Some(n) = f.take("keepalive_time") {
        neighbor.keepalive_time = r.number(n, "keepalive_time", 1..=u16::MAX);
        if hold != 0 && neighbor.keepalive_time.is_some_and(|keepalive| keepalive > hold) {
            bad(n, "keepalive_time", format!("it is more than the hold time, {hold}"), r);
        }
    }
    neighbor.connect_retry_time =
        f.take("connect_retry_time").and_then(|n| r.number(n, "connect_retry_time", 1..=u16::MAX));
    if let Some(n) = f.take("send_hold_time") {
        neighbor.send_hold_time = r.number(n, "send_hold_time", 1..=u16::MAX);
        // RFC 9687 §3: it is more than the hold time.
        if neighbor.send_hold_time.is_some_and(|send| send <= hold) {
            bad(n, "send_hold_time", format!("it is not more than the hold time, {hold}"), r);
        }
    }
}

fn graceful_restart(node: &Node, r: &mut Report<'_>) -> Option<GracefulRestart> {
    if let Some(enabled) = switch(node) {
        return Some(GracefulRestart { enabled: Some(enabled), restart_time: None });
    }
    let mut f = r.fields(node, "graceful_restart")?;
    let enabled = f.take("enabled").and_then(|n| r.bool(n, "enabled"));
    let restart_time = f.take("restart_time").and_then(|n| r.number(n, "restart_time", 1..=4095));
    f.finish(&[], r);
    Some(GracefulRestart { enabled, restart_time })
}

fn long_lived(node: &Node, r: &mut Report<'_>) -> Option<LongLived> {
    let mut f = r.fields(node, "long_lived_graceful_restart")?;
    let most = bgp_packet::LongLived::MAX_STALE_TIME;
    let stale_time = f.need("stale_time", r).and_then(|n| r.number(n, "stale_time", 1..=most));
    f.finish(&[], r);
    stale_time.map(|stale_time| LongLived { stale_time })
}

/// `true`: receive, and send all.
fn add_path(node: &Node, r: &mut Report<'_>) -> Option<AddPath> {
    if let Some(on) = switch(node) {
        return on.then_some(AddPath { send: Some(AddPathSend::All), receive: Some(true) });
    }
    let mut f = r.fields(node, "add_path")?;
    let send = f.take("send").and_then(|n| match &n.value {
        Value::Text(text) if text == "all" => Some(AddPathSend::All),
        Value::Text(text) if text == "best" => Some(AddPathSend::Best),
        Value::Integer(count) => match u8::try_from(*count) {
            Ok(1) => Some(AddPathSend::Best),
            Ok(count @ 2..) => Some(AddPathSend::BestN(count)),
            Ok(0) | Err(_) => {
                r.mistyped(n, "send", "all, best or a number from 1 to 255");
                None
            }
        },
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => {
            r.mistyped(n, "send", "all, best or a number from 1 to 255");
            None
        }
    });
    let receive = f.take("receive").and_then(|n| r.bool(n, "receive"));
    f.finish(&[], r);
    Some(AddPath { send, receive })
}

/// A number alone is the AS number.
fn local_as(node: &Node, r: &mut Report<'_>) -> Option<LocalAs> {
    let Value::Map(_) = node.value else {
        let asn = r.read(node, "local_as", str::parse)?;
        return Some(LocalAs { asn, prepend: None, replace: None });
    };
    let mut f = r.fields(node, "local_as")?;
    let asn = f.need("asn", r).and_then(|n| r.read(n, "asn", str::parse));
    let prepend = f.take("prepend").and_then(|n| r.bool(n, "prepend"));
    let replace = f.take("replace").and_then(|n| r.bool(n, "replace"));
    f.finish(&[], r);
    asn.map(|asn| LocalAs { asn, prepend, replace })
}

/// By family; a number alone is the limit.
fn max_prefixes(node: &Node, r: &mut Report<'_>) -> BTreeMap<Family, MaxPrefixes> {
    let mut map = BTreeMap::new();
    let Some(mut f) = r.fields(node, "max_prefixes") else {
        return map;
    };
    for (key, family) in [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)] {
        let Some(n) = f.take(key) else {
            continue;
        };
        map.extend(limit(n, key, r).map(|limit| (family, limit)));
    }
    f.finish(&[], r);
    map
}

fn limit(node: &Node, key: &str, r: &mut Report<'_>) -> Option<MaxPrefixes> {
    let Value::Map(_) = node.value else {
        let limit = r.number(node, key, 1..=u32::MAX)?;
        return Some(MaxPrefixes { limit, warn_at: None, action: None, restart_after: None });
    };
    let mut f = r.fields(node, key)?;
    let limit = f.need("limit", r).and_then(|n| r.number(n, "limit", 1..=u32::MAX));
    let warn_at = f.take("warn_at").and_then(|n| r.number(n, "warn_at", 1..=100));
    let action = f.take("action").and_then(|n| {
        r.read(n, "action", |text| match text {
            "warn" => Ok(MaxPrefixesAction::Warn),
            "restart" => Ok(MaxPrefixesAction::Restart),
            "shut" => Ok(MaxPrefixesAction::Shut),
            _ => Err(format!("{text:?} is not warn, restart or shut")),
        })
    });
    let mut restart_after = None;
    if let Some(n) = f.take("restart_after") {
        restart_after = r.number(n, "restart_after", 1..=86_400);
        match action {
            Some(MaxPrefixesAction::Restart) | None => {}
            Some(MaxPrefixesAction::Warn | MaxPrefixesAction::Shut) => {
                bad(n, "restart_after", "it needs the action `restart`", r);
            }
        }
    }
    f.finish(&[], r);
    limit.map(|limit| MaxPrefixes { limit, warn_at, action, restart_after })
}

fn bfd(node: &Node, r: &mut Report<'_>) -> Option<Bfd> {
    if let Some(on) = switch(node) {
        return Some(Bfd { enabled: Some(on), ..Bfd::default() });
    }
    let mut f = r.fields(node, "bfd")?;
    let enabled = f.take("enabled").and_then(|n| r.bool(n, "enabled"));
    let interval = f.take("interval").and_then(|n| r.number(n, "interval", 10..=60_000));
    let transmit = f.take("transmit").and_then(|n| r.number(n, "transmit", 10..=60_000));
    let receive = f.take("receive").and_then(|n| r.number(n, "receive", 10..=60_000));
    let multiplier = f.take("multiplier").and_then(|n| r.number(n, "multiplier", 1..=u8::MAX));
    let multihop = f.take("multihop").and_then(|n| r.bool(n, "multihop"));
    let passive = f.take("passive").and_then(|n| r.bool(n, "passive"));
    f.finish(&[], r);
    // `interval` is both directions in one word.
    let (transmit, receive) = (transmit.or(interval), receive.or(interval));
    Some(Bfd { enabled, transmit, receive, multiplier, multihop, passive })
}

/// `true`, or the communication that the peer is told.
fn shutdown(node: &Node, r: &mut Report<'_>) -> Option<String> {
    match &node.value {
        Value::Bool(true) => Some(String::new()),
        Value::Bool(false) => None,
        Value::Text(text) if text.len() <= MAX_COMMUNICATION => Some(text.clone()),
        Value::Text(text) => {
            let message =
                format!("shutdown: {} octets are too many, {MAX_COMMUNICATION} fit", text.len());
            r.add(place(node), crate::Reason::BadValue, message);
            None
        }
        Value::Null | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            r.mistyped(node, "shutdown", "true, false or a text for the peer");
            None
        }
    }
}

//! sart's side: its document, its process, and what it says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::feature::{Feature, View};
use super::peer::{PEERS, Peer, put};
use crate::host::control::Service;
use crate::suite::ctx::{Ctx, list, text};
use crate::suite::wait::{s, wait_for};

pub(super) const HUB: &str = "sart0";
/// Under its host's PID 1.
const NAME: &str = "interop";

/// The neighbors that a peer is to sart: most are one.
pub(super) fn neighbors(feature: &Feature, peer: &Peer) -> Vec<Map<String, Value>> {
    let cell = feature.cell(peer);
    let entry = |(at, (address, families)): (usize, &(&str, &[&str]))| {
        let mut entry = Map::new();
        let name = if at == 0 { peer.host.to_owned() } else { format!("{}-{}", peer.host, at + 1) };
        entry.insert("name".into(), json!(name));
        entry.insert("address".into(), json!(address));
        entry.insert("asn".into(), json!(65000 + u32::from(peer.number)));
        entry.insert("connect_retry_time".into(), json!(1));
        if !families.is_empty() {
            entry.insert("families".into(), json!(families));
        }
        for (key, value) in feature.neighbor.iter().chain(&cell.neighbor) {
            match value {
                // A key without a value: not said.
                Value::Null => entry.remove(key),
                value => entry.insert(key.clone(), filled(peer, value)),
            };
        }
        entry
    };
    // With an address of the feature's own it is one session.
    let sessions = if cell.neighbor.contains_key("address") { 1 } else { peer.sessions.len() };
    peer.sessions.iter().take(sessions).enumerate().map(entry).collect()
}

/// The addresses of those; the name of one without an address.
pub(super) fn entries(feature: &Feature, peer: &Peer) -> Vec<String> {
    let key = |entry: &Map<String, Value>| {
        let key = entry.get("address").or_else(|| entry.get("name"))?;
        Some(key.as_str()?.to_owned())
    };
    neighbors(feature, peer).iter().filter_map(key).collect()
}

/// A value with the peer's numbers in its texts.
fn filled(peer: &Peer, value: &Value) -> Value {
    match value {
        Value::String(text) => json!(peer.fill(text)),
        Value::Array(list) => list.iter().map(|item| filled(peer, item)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, item)| (key.clone(), filled(peer, item))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The whole document.
fn document(feature: &Feature) -> Value {
    let mut document = Map::new();
    document.insert("asn".into(), json!(65000));
    document.insert("router_id".into(), json!("10.255.0.100"));
    document.insert("multi_path".into(), json!(true));
    document.insert("fib".into(), json!({"table": 254}));
    document.insert("paths".into(), json!([{"prefixes": ["10.9.0.0/24", "fd00:10:9::/64"]}]));
    let neighbors: Vec<Map<String, Value>> = PEERS
        .iter()
        .filter(|peer| feature.cell(peer).takes_part())
        .flat_map(|peer| neighbors(feature, peer))
        .collect();
    document.insert("neighbors".into(), json!(neighbors));
    for (key, value) in &feature.sart {
        match value {
            Value::Null => document.remove(key),
            value => document.insert(key.clone(), value.clone()),
        };
    }
    Value::Object(document)
}

/// Writes the document and starts the router.
pub(super) fn start(ctx: &Ctx, feature: &Feature) -> Result<()> {
    put(ctx, HUB, "router.yaml", &serde_json::to_string_pretty(&document(feature))?)?;
    let mut words = vec!["sartd", "bgp", "-f", "/run/interop/router.yaml"];
    words.extend(feature.args.iter().map(String::as_str));
    ctx.lab.service(HUB, Service::new(NAME, words))?;
    let log = ctx.lab.logs(HUB).join(format!("{NAME}.log"));
    wait_for("sart answers", s(10), || {
        if let Some(program) = ctx.lab.programs(HUB)?.iter().find(|p| p.name == NAME)
            && let Some(ended) = &program.ended
        {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Ok(Err(anyhow::anyhow!("sartd has ended ({ended}): {}", said.trim())));
        }
        ctx.lab.run(HUB, &["sart", "bgp", "global", "health"]).map(|_| Ok(()))
    })?
}

/// Ends whatever router runs on its host, politely.
pub(super) fn stop(ctx: &Ctx) -> Result<()> {
    for program in ctx.lab.programs(HUB)?.iter().filter(|program| program.pid.is_some()) {
        ctx.lab.stop(HUB, &program.name)?;
    }
    Ok(())
}

/// Ends it with SIGKILL.
pub(super) fn crash(ctx: &Ctx) -> Result<()> {
    ctx.lab.kill(HUB, Some(NAME))
}

/// Its view of a neighbor.
pub(super) fn neighbor(ctx: &Ctx, key: &str) -> Result<Value> {
    let said = ask(ctx, &["bgp", "neighbor", "list"])?;
    let is_it = |entry: &&Value| text(entry, "/address") == key || text(entry, "/name") == key;
    let found = list(&said, "/neighbors").iter().find(is_it);
    found.cloned().with_context(|| format!("sart has no neighbor {key}"))
}

/// The paths of a prefix in a table.
pub(super) fn paths(ctx: &Ctx, view: View, address: &str, prefix: &str) -> Result<Vec<Value>> {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    let said = match view {
        View::In => ask(ctx, &["bgp", "neighbor", "rib", address, "-k", "in", "-a", family])?,
        View::Out => ask(ctx, &["bgp", "neighbor", "rib", address, "-k", "out", "-a", family])?,
        View::Loc => ask(ctx, &["bgp", "global", "rib", "-a", family, "get", prefix])?,
        View::Neighbor => bail!("a neighbor is no table"),
    };
    let of_it = |path: &&Value| {
        text(path, "/prefix") == prefix
            && match view {
                View::Loc => text(path, "/neighbor") == address,
                View::In | View::Out | View::Neighbor => true,
            }
    };
    Ok(list(&said, "").iter().filter(of_it).cloned().collect())
}

fn ask(ctx: &Ctx, words: &[&str]) -> Result<Value> {
    let mut all = vec!["sart", "-o", "json"];
    all.extend(words);
    let said = ctx.lab.run(HUB, &all)?;
    serde_json::from_str(&said).with_context(|| format!("sart said {said:?}"))
}

/// What is at JSON pointers must be what was said: equal; a list has it; a text that begins with
/// `~` is part of it; `{min: N}` is at most it.
pub(super) fn check(found: &Value, wanted: &BTreeMap<String, Value>) -> Result<()> {
    for (pointer, wanted) in wanted {
        let found = found.pointer(pointer).unwrap_or(&Value::Null);
        ensure!(fits(found, wanted), "{pointer} is {found}, not {wanted}");
    }
    Ok(())
}

fn fits(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(_), Value::Array(all)) if !all.is_empty() => {
            all.iter().all(|wanted| fits(found, wanted))
        }
        (Value::Array(list), wanted) if !wanted.is_array() => {
            list.iter().any(|found| fits(found, wanted))
        }
        (Value::String(found), Value::String(wanted)) => match wanted.strip_prefix('~') {
            Some(part) => found.contains(part),
            None => found == wanted,
        },
        (Value::Number(found), Value::Object(range)) => {
            range.get("min").and_then(Value::as_f64) <= found.as_f64()
        }
        (found, wanted) => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_values_fit_as_the_text_says() {
        for (found, wanted, fit) in [
            (json!(3), json!(3), true),
            (json!(3), json!({"min": 3}), true),
            (json!(2), json!({"min": 3}), false),
            (json!(["a", "b"]), json!("b"), true),
            (json!(["a", "b"]), json!(["b", "a"]), true),
            (json!(["a"]), json!(["b", "a"]), false),
            (json!(["a"]), json!([]), false),
            (json!([]), json!([]), true),
            (json!("Cease: x"), json!("~Cease"), true),
            (json!("Cease: x"), json!("Cease"), false),
            (Value::Null, json!(1), false),
        ] {
            assert_eq!(fits(&found, &wanted), fit, "{found} {wanted}");
        }
    }
}

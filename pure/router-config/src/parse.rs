//! The tree to a checked document.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use inet::{Asn, Family, Prefix};

use crate::document::{AttributeSet, Document, Fib, GracefulRestart, Neighbor, PathGroup};
use crate::fields::Report;
use crate::problem::{Place, Problem, Reason};
use crate::text::{parse_community, parse_large_community, parse_origin};
use crate::tree::{Node, Value, place, read};

/// Keys of a document that later versions will have.
const PLANNED: [&str; 3] = ["policies", "peer_groups", "bfd"];

/// Keys of a neighbor that later versions will have.
const PLANNED_OF_NEIGHBOR: [&str; 11] = [
    "password_file",
    "ttl_security",
    "route_reflector_client",
    "add_path",
    "max_prefixes",
    "bfd",
    "interface",
    "import",
    "export",
    "import_policies",
    "export_policies",
];

impl Document {
    /// Reads a document from YAML or JSON text; `name` is what it is called in problems.
    ///
    /// An empty text is the empty document. All problems that can be found in one go are given.
    pub fn parse(text: &str, name: &str) -> Result<Document, Vec<Problem>> {
        if text.trim().is_empty() {
            return Ok(Document::default());
        }
        let tree = read(text, name).map_err(|problem| vec![problem])?;
        let mut report = Report::new(name);
        let document = match tree.value {
            Value::Null => Document::default(),
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => document(&tree, &mut report),
        };
        report.problems.sort_by_key(|problem| problem.place);
        if report.problems.is_empty() { Ok(document) } else { Err(report.problems) }
    }
}

fn document(node: &Node, r: &mut Report<'_>) -> Document {
    let Some(mut f) = r.fields(node, "the document") else {
        return Document::default();
    };
    let document = Document {
        asn: f.take("asn").and_then(|n| r.read(n, "asn", str::parse::<Asn>)),
        router_id: f.take("router_id").and_then(|n| r.read(n, "router_id", str::parse)),
        multi_path: f.take("multi_path").and_then(|n| r.bool(n, "multi_path")),
        transit: f.take("transit").and_then(|n| r.bool(n, "transit")),
        port: f.take("port").and_then(|n| r.number(n, "port", 1..=u16::MAX)),
        grpc: f.take("grpc").and_then(|n| {
            r.parsed::<SocketAddr>(n, "grpc", "an address with a port (127.0.0.1:5000)")
        }),
        health_port: f.take("health_port").and_then(|n| r.number(n, "health_port", 1..=u16::MAX)),
        fib: f.take("fib").and_then(|n| fib(n, r)),
        fib_endpoint: f.take("fib_endpoint").and_then(|n| r.string(n, "fib_endpoint")),
        fib_table: f.take("fib_table").and_then(|n| r.number(n, "fib_table", 1..=u32::MAX)),
        exporter: f.take("exporter").and_then(|n| r.string(n, "exporter")),
        neighbors: f.take("neighbors").map(|n| neighbors(n, r)).unwrap_or_default(),
        paths: f.take("paths").map(|n| paths(n, r)).unwrap_or_default(),
    };
    f.finish(&PLANNED, r);
    document
}

fn fib(node: &Node, r: &mut Report<'_>) -> Option<Fib> {
    let mut f = r.fields(node, "fib")?;
    let table = match f.take("table") {
        Some(n) => r.number(n, "table", 1..=u32::MAX),
        None => Some(crate::DEFAULT_FIB_TABLE),
    };
    f.finish(&[], r);
    table.map(|table| Fib { table })
}

fn neighbors(node: &Node, r: &mut Report<'_>) -> Vec<Neighbor> {
    let mut list: Vec<Neighbor> = Vec::new();
    let mut addresses: BTreeMap<IpAddr, Place> = BTreeMap::new();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    for item in r.list(node, "neighbors") {
        let Some(neighbor) = neighbor(item, r) else {
            continue;
        };
        let at = place(item);
        if let Some(first) = addresses.insert(neighbor.address, at) {
            let message = format!(
                "neighbor {} is there twice, first on line {}",
                neighbor.address, first.line
            );
            r.add(at, Reason::Doubled, message);
        }
        if let Some(name) = &neighbor.name
            && let Some(first) = names.insert(name.clone(), at)
        {
            let message = format!("the name {name:?} is there twice, first on line {}", first.line);
            r.add(at, Reason::Doubled, message);
        }
        list.push(neighbor);
    }
    list
}

fn neighbor(node: &Node, r: &mut Report<'_>) -> Option<Neighbor> {
    let before = r.problems.len();
    let mut f = r.fields(node, "a neighbor")?;
    let address = f.need("address", r).and_then(|n| peer_address(n, r));
    let asn = f.need("asn", r).and_then(|n| r.read(n, "asn", str::parse::<Asn>));
    // Read on with stand-ins, so that the problems of the other keys are found too.
    let seen_address = address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    let mut neighbor = Neighbor::new(seen_address, asn.unwrap_or(Asn::TRANS));
    neighbor.name = f.take("name").and_then(|n| r.string(n, "name"));
    neighbor.router_id = f.take("router_id").and_then(|n| r.read(n, "router_id", str::parse));
    neighbor.port = f.take("port").and_then(|n| r.number(n, "port", 1..=u16::MAX));
    neighbor.passive = f.take("passive").and_then(|n| r.bool(n, "passive"));
    if let Some(n) = f.take("local_address") {
        neighbor.local_address = r.parsed(n, "local_address", "an address");
        if let (Some(local), Some(peer)) = (neighbor.local_address, address)
            && Family::of(&local) != Family::of(&peer)
        {
            let message = format!("local_address: {local} is not of the family of {peer}");
            r.add(place(n), Reason::BadValue, message);
        }
    }
    neighbor.ebgp_multihop = f.take("ebgp_multihop").and_then(|n| match n.value {
        Value::Bool(true) => Some(u8::MAX),
        Value::Bool(false) => None,
        Value::Null
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => r.number(n, "ebgp_multihop", 1..=u8::MAX),
    });
    if let Some(n) = f.take("hold_time") {
        neighbor.hold_time = r.number(n, "hold_time", 0..=u16::MAX);
        // RFC 4271 §4.2: zero, or at least three seconds.
        if matches!(neighbor.hold_time, Some(1 | 2)) {
            r.add(place(n), Reason::BadValue, "hold_time: it is 0 or at least 3 seconds");
        }
    }
    if let Some(n) = f.take("keepalive_time") {
        neighbor.keepalive_time = r.number(n, "keepalive_time", 1..=u16::MAX);
        let hold = neighbor.hold_time.unwrap_or(DEFAULT_HOLD_TIME);
        if hold != 0 && neighbor.keepalive_time.is_some_and(|keepalive| keepalive > hold) {
            let message = format!("keepalive_time: it is more than the hold time, {hold}");
            r.add(place(n), Reason::BadValue, message);
        }
    }
    neighbor.connect_retry_time =
        f.take("connect_retry_time").and_then(|n| r.number(n, "connect_retry_time", 1..=u16::MAX));
    neighbor.families = f.take("families").and_then(|n| families(n, r));
    neighbor.graceful_restart = f.take("graceful_restart").and_then(|n| graceful_restart(n, r));
    neighbor.groups = f.take("groups").map(|n| r.strings(n, "groups")).unwrap_or_default();
    f.finish(&PLANNED_OF_NEIGHBOR, r);
    (r.problems.len() == before).then_some(neighbor)
}

/// The hold time that a peer has when none is written; the speaker's default.
const DEFAULT_HOLD_TIME: u16 = 90;

fn peer_address(node: &Node, r: &mut Report<'_>) -> Option<IpAddr> {
    let address: IpAddr = r.parsed(node, "address", "an address")?;
    let refused = match address {
        a if a.is_unspecified() || a.is_multicast() => "no host has this address",
        IpAddr::V4(a) if a.is_broadcast() => "no host has this address",
        IpAddr::V6(a) if a.is_unicast_link_local() => {
            "a link-local address needs an interface, which is not built yet"
        }
        IpAddr::V6(a) if a.to_ipv4_mapped().is_some() => "write it as an IPv4 address",
        IpAddr::V4(_) | IpAddr::V6(_) => return Some(address),
    };
    r.add(place(node), Reason::BadValue, format!("address: {address}: {refused}"));
    None
}

fn families(node: &Node, r: &mut Report<'_>) -> Option<BTreeSet<Family>> {
    let mut set = BTreeSet::new();
    for item in r.list(node, "families") {
        let family = r.read(item, "families", str::parse::<Family>)?;
        if !set.insert(family) {
            r.add(place(item), Reason::Doubled, format!("families: {family} is there twice"));
        }
    }
    if set.is_empty() {
        r.add(place(node), Reason::BadValue, "families: at least one is needed");
    }
    Some(set)
}

fn graceful_restart(node: &Node, r: &mut Report<'_>) -> Option<GracefulRestart> {
    if let Value::Bool(enabled) = node.value {
        return Some(GracefulRestart { enabled: Some(enabled), restart_time: None });
    }
    let mut f = r.fields(node, "graceful_restart")?;
    let enabled = f.take("enabled").and_then(|n| r.bool(n, "enabled"));
    let restart_time = f.take("restart_time").and_then(|n| r.number(n, "restart_time", 1..=4095));
    f.finish(&[], r);
    Some(GracefulRestart { enabled, restart_time })
}

fn paths(node: &Node, r: &mut Report<'_>) -> Vec<PathGroup> {
    let mut seen: BTreeMap<Prefix, Place> = BTreeMap::new();
    let mut list = Vec::new();
    for item in r.list(node, "paths") {
        let Some(mut f) = r.fields(item, "a path") else {
            continue;
        };
        let mut group = PathGroup::default();
        if let Some(prefixes) = f.need("prefixes", r) {
            let items = r.list(prefixes, "prefixes");
            if items.is_empty() && matches!(prefixes.value, Value::List(_)) {
                r.add(place(prefixes), Reason::BadValue, "prefixes: at least one is needed");
            }
            for item in items {
                let Some(prefix) = r.read(item, "prefixes", str::parse::<Prefix>) else {
                    continue;
                };
                if let Some(first) = seen.insert(prefix, place(item)) {
                    let message =
                        format!("prefix {prefix} is there twice, first on line {}", first.line);
                    r.add(place(item), Reason::Doubled, message);
                }
                group.prefixes.push(prefix);
            }
        }
        if let Some(n) = f.take("attributes") {
            group.attributes = attributes(n, r);
        }
        group.groups = f.take("groups").map(|n| r.strings(n, "groups")).unwrap_or_default();
        f.finish(&["policies"], r);
        list.push(group);
    }
    list
}

fn attributes(node: &Node, r: &mut Report<'_>) -> AttributeSet {
    let Some(mut f) = r.fields(node, "attributes") else {
        return AttributeSet::default();
    };
    let set = AttributeSet {
        origin: f.take("origin").and_then(|n| r.read(n, "origin", parse_origin)),
        local_pref: f.take("local_pref").and_then(|n| r.number(n, "local_pref", 0..=u32::MAX)),
        med: f
            .take("med")
            .or(f.take("multi_exit_disc"))
            .and_then(|n| r.number(n, "med", 0..=u32::MAX)),
        communities: f
            .take("communities")
            .map(|n| texts(n, "communities", r, parse_community))
            .unwrap_or_default(),
        large_communities: f
            .take("large_communities")
            .map(|n| texts(n, "large_communities", r, parse_large_community))
            .unwrap_or_default(),
    };
    f.finish(&["as_path_prepend", "next_hop", "extended_communities"], r);
    set
}

/// A list of values read from text; a single one may stand without the list.
fn texts<T, E: std::fmt::Display>(
    node: &Node,
    key: &str,
    r: &mut Report<'_>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|n| r.read(n, key, &parse)).collect(),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Map(_) => r.read(node, key, &parse).into_iter().collect(),
    }
}

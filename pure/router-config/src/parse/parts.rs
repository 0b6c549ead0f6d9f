//! The parts of the document beside peers, policies and paths.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use inet::{Family, LinkName, Prefix, is_link_local};

use crate::document::Fib;
use crate::fields::{Kind, Report};
use crate::parts::{
    Aggregate, Bmp, BmpTable, Channel, ChannelEnd, Discard, Distances, FibOptions, Mrt, MultiPath,
    Redistribute, RouterEnd,
};
use crate::problem::Reason;
use crate::tree::{Node, Value, place};

/// `true`, `false`, or a mapping, which is `true` with rules.
pub(super) fn multi_path(node: &Node, r: &mut Report<'_>) -> (Option<bool>, Option<MultiPath>) {
    match &node.value {
        Value::Bool(on) => (Some(*on), None),
        Value::Map(_) => {
            let Some(mut f) = r.fields(node, "multi_path") else {
                return (None, None);
            };
            let rules = MultiPath {
                ebgp: f.take("ebgp").and_then(|n| r.number(n, "ebgp", 1..=64)),
                ibgp: f.take("ibgp").and_then(|n| r.number(n, "ibgp", 1..=64)),
                relax_as_path: f.take("relax_as_path").and_then(|n| r.bool(n, "relax_as_path")),
                link_bandwidth: f.take("link_bandwidth").and_then(|n| r.bool(n, "link_bandwidth")),
            };
            f.finish(&[], r);
            (Some(true), Some(rules))
        }
        Value::Null | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            r.mistyped(node, "multi_path", "true, false or a mapping");
            (None, None)
        }
    }
}

pub(super) fn fib(node: &Node, r: &mut Report<'_>) -> (Option<Fib>, FibOptions) {
    let mut options = FibOptions::default();
    let Some(mut f) = r.fields(node, "fib") else {
        return (None, options);
    };
    let (table, vrf) = (f.take("table"), f.take("vrf"));
    if let (Some(_), Some(vrf)) = (table, vrf) {
        let message = "fib: `table` and `vrf` exclude each other: a VRF has its own table";
        r.add(place(vrf), Reason::BadValue, message);
    }
    let table = match table {
        Some(n) => r.number(n, "table", 1..=u32::MAX),
        None => Some(crate::DEFAULT_FIB_TABLE),
    };
    options.vrf = vrf.and_then(|n| r.read(n, "vrf", str::parse));
    options.metric = f.take("metric").and_then(|n| r.number(n, "metric", 1..=u32::MAX));
    options.next_hop_objects = f.take("next_hop_objects").and_then(|n| next_hop_objects(n, r));
    if let Some(n) = f.take("distance")
        && let Some(mut f) = r.fields(n, "distance")
    {
        options.distance = Distances {
            ebgp: f.take("ebgp").and_then(|n| r.number(n, "ebgp", 1..=u8::MAX)),
            ibgp: f.take("ibgp").and_then(|n| r.number(n, "ibgp", 1..=u8::MAX)),
            local: f.take("local").and_then(|n| r.number(n, "local", 1..=u8::MAX)),
        };
        f.finish(&[], r);
    }
    f.finish(&[], r);
    (table.map(|table| Fib { table }), options)
}

/// `auto` is as left out; `on` and `off` are texts for YAML, and stand for true and false.
fn next_hop_objects(node: &Node, r: &mut Report<'_>) -> Option<bool> {
    match &node.value {
        Value::Bool(value) => return Some(*value),
        Value::Text(text) => match text.as_str() {
            "auto" => return None,
            "on" => return Some(true),
            "off" => return Some(false),
            _ => {}
        },
        Value::Null | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {}
    }
    r.mistyped(node, "next_hop_objects", "auto, on or off");
    None
}

pub(super) fn redistribute(node: &Node, r: &mut Report<'_>) -> Vec<Redistribute> {
    let mut list: Vec<Redistribute> = Vec::new();
    for item in r.list(node, "redistribute") {
        let Some(mut f) = r.fields(item, "redistribute") else {
            continue;
        };
        let source = f.need("source", r).and_then(|n| r.read(n, "source", str::parse));
        let table = f.take("table").and_then(|n| r.number(n, "table", 1..=u32::MAX));
        let policy = f.take("policy").and_then(|n| policy(n, r));
        f.finish(&[], r);
        let Some(source) = source else {
            continue;
        };
        if list.iter().any(|other| (other.source, other.table) == (source, table)) {
            r.add(place(item), Reason::Doubled, format!("redistribute: {source} is there twice"));
        }
        list.push(Redistribute { source, table, policy });
    }
    list
}

/// The name of a policy that must be there.
fn policy(node: &Node, r: &mut Report<'_>) -> Option<String> {
    let name = r.string(node, "policy")?;
    r.refer(node, "policy", Kind::Policy, &name);
    Some(name)
}

pub(super) fn aggregates(node: &Node, r: &mut Report<'_>) -> Vec<Aggregate> {
    let mut list: Vec<Aggregate> = Vec::new();
    for item in r.list(node, "aggregates") {
        let Some(mut f) = r.fields(item, "an aggregate") else {
            continue;
        };
        let prefix = f.need("prefix", r).and_then(|n| r.read(n, "prefix", str::parse::<Prefix>));
        let summary_only = f.take("summary_only").and_then(|n| r.bool(n, "summary_only"));
        let discard = f.take("discard").and_then(|n| r.read(n, "discard", discard));
        let attributes = f.take("attributes").map(|n| super::attributes(n, r)).unwrap_or_default();
        let policy = f.take("policy").and_then(|n| policy(n, r));
        let groups = f.take("groups").map(|n| r.strings(n, "groups")).unwrap_or_default();
        f.finish(&[], r);
        let Some(prefix) = prefix else {
            continue;
        };
        if list.iter().any(|other| other.prefix == prefix) {
            r.add(place(item), Reason::Doubled, format!("aggregate {prefix} is there twice"));
        }
        list.push(Aggregate { prefix, summary_only, discard, attributes, policy, groups });
    }
    list
}

fn discard(text: &str) -> Result<Discard, String> {
    match text {
        "blackhole" => Ok(Discard::Blackhole),
        "unreachable" => Ok(Discard::Unreachable),
        "none" => Ok(Discard::None),
        _ => Err(format!("{text:?} is not one of blackhole, unreachable and none")),
    }
}

pub(super) fn bmp(node: &Node, r: &mut Report<'_>) -> Vec<Bmp> {
    let mut list: Vec<Bmp> = Vec::new();
    for item in r.list(node, "bmp") {
        let Some(mut f) = r.fields(item, "a station") else {
            continue;
        };
        let address: Option<IpAddr> =
            f.need("address", r).and_then(|n| r.read(n, "address", station_address));
        let port = f.need("port", r).and_then(|n| r.number(n, "port", 1..=u16::MAX));
        let mut tables = BTreeSet::new();
        if let Some(n) = f.take("tables") {
            for n in r.items(n, "tables") {
                tables.extend(r.read(n, "tables", bmp_table));
            }
        }
        let statistics_interval = f
            .take("statistics_interval")
            .and_then(|n| r.number(n, "statistics_interval", 1..=86_400));
        let connect_retry_time = f
            .take("connect_retry_time")
            .and_then(|n| r.number(n, "connect_retry_time", 1..=u16::MAX));
        let buffer = f.take("buffer").and_then(|n| r.number(n, "buffer", 1..=1024));
        f.finish(&[], r);
        let (Some(address), Some(port)) = (address, port) else {
            continue;
        };
        if list.iter().any(|other| (other.address, other.port) == (address, port)) {
            let station = SocketAddr::from((address, port));
            r.add(place(item), Reason::Doubled, format!("bmp: {station} is there twice"));
        }
        list.push(Bmp { address, port, tables, statistics_interval, connect_retry_time, buffer });
    }
    list
}

fn station_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("{text:?} is not an address"))?;
    match is_link_local(&address) || address.is_unspecified() || address.is_multicast() {
        false => Ok(address),
        true => Err(format!("{address} is no address that can be dialled")),
    }
}

fn bmp_table(text: &str) -> Result<BmpTable, String> {
    match text {
        "pre_policy" => Ok(BmpTable::PrePolicy),
        "post_policy" => Ok(BmpTable::PostPolicy),
        "loc_rib" => Ok(BmpTable::LocRib),
        _ => Err(format!("{text:?} is not a table (pre_policy, post_policy or loc_rib)")),
    }
}

pub(super) fn mrt(node: &Node, r: &mut Report<'_>) -> Option<Mrt> {
    let mut f = r.fields(node, "mrt")?;
    let directory = f.need("directory", r).and_then(|n| r.read(n, "directory", absolute));
    let week = 7 * 24 * 3600;
    let (table, updates) = (f.take("table_interval"), f.take("updates_interval"));
    let table_interval = table.and_then(|n| r.number(n, "table_interval", 60..=week));
    let updates_interval = updates.and_then(|n| r.number(n, "updates_interval", 60..=week));
    if table.is_none() && updates.is_none() {
        let message = "mrt: `table_interval` or `updates_interval` is needed";
        r.add(f.place(), Reason::Missing, message);
    }
    f.finish(&[], r);
    Some(Mrt { directory: directory?, table_interval, updates_interval })
}

/// A path that means the same wherever the program was started.
fn absolute(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} does not begin with /")),
    }
}

pub(super) fn channels(node: &Node, r: &mut Report<'_>) -> Vec<Channel> {
    let mut list: Vec<Channel> = Vec::new();
    for item in r.list(node, "channels") {
        let Some(mut f) = r.fields(item, "a channel") else {
            continue;
        };
        let name = f.need("name", r).and_then(|n| r.string(n, "name"));
        let ip_version =
            f.need("ip_version", r).and_then(|n| r.read(n, "ip_version", str::parse::<Family>));
        let subscribers = f.take("subscribers").map(|n| ends(n, "subscribers", r));
        let publishers = f.take("publishers").map(|n| ends(n, "publishers", r));
        f.finish(&[], r);
        let (Some(name), Some(ip_version)) = (name, ip_version) else {
            continue;
        };
        if list.iter().any(|other| other.name == name) {
            r.add(place(item), Reason::Doubled, format!("the channel {name:?} is there twice"));
        }
        let (subscribers, publishers) =
            (subscribers.unwrap_or_default(), publishers.unwrap_or_default());
        list.push(Channel { name, ip_version, subscribers, publishers });
    }
    list
}

fn router_end(text: &str) -> Result<RouterEnd, String> {
    if text.starts_with('/') {
        return Ok(RouterEnd::Socket(text.to_owned()));
    }
    text.parse().map(RouterEnd::Tcp).map_err(|_| {
        format!(
            "{text:?} is neither the path of a socket ({}) nor an address with a port \
             (127.0.0.1:5000)",
            RouterEnd::DEFAULT_SOCKET
        )
    })
}

fn ends(node: &Node, key: &'static str, r: &mut Report<'_>) -> Vec<ChannelEnd> {
    let mut list = Vec::new();
    for item in r.list(node, key) {
        let Some(mut f) = r.fields(item, key) else {
            continue;
        };
        let protocol = f.need("protocol", r).and_then(|n| {
            r.read(n, "protocol", |text| match text {
                "kernel" => Ok(true),
                "bgp" => Ok(false),
                _ => Err(format!("{text:?} is not a protocol (kernel or bgp)")),
            })
        });
        match protocol {
            Some(true) => {
                let (mut tables, mut vrfs) = (Vec::new(), Vec::new());
                let of_vrfs = f.take("vrfs");
                if let Some(n) = of_vrfs {
                    for n in r.items(n, "vrfs") {
                        vrfs.extend(r.read(n, "vrfs", str::parse::<LinkName>));
                    }
                }
                let given = if of_vrfs.is_some() { f.take("tables") } else { f.need("tables", r) };
                if let Some(n) = given {
                    for n in r.items(n, "tables") {
                        tables.extend(r.number(n, "tables", 1..=u32::MAX));
                    }
                }
                list.push(ChannelEnd::Kernel { tables, vrfs });
                f.finish(&[], r);
            }
            Some(false) => {
                let endpoint = match f.take("endpoint") {
                    Some(n) => r.read(n, "endpoint", router_end),
                    None => Some(RouterEnd::Socket(RouterEnd::DEFAULT_SOCKET.to_owned())),
                };
                list.extend(endpoint.map(|endpoint| ChannelEnd::Bgp { endpoint }));
                f.finish(&[], r);
            }
            None => {}
        }
    }
    list
}

//! The tree to a checked document.

mod ao;
mod neighbor;
mod parts;
mod policy;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use inet::{Asn, Prefix};

use crate::document::{AttributeSet, Document, PathGroup};
use crate::fields::Report;
use crate::parts::FibOptions;
use crate::problem::{Place, Problem, Reason};
use crate::text::{parse_community, parse_large_community, parse_origin};
use crate::tree::{Node, Value, place, read};

/// Whether all that a document names must stand in it.
#[derive(Clone, Copy)]
enum Extent {
    Whole,
    Part,
}

impl Document {
    /// Reads a document from YAML or JSON text; `name` is what it is called in problems.
    ///
    /// An empty text is the empty document. All problems that can be found in one go are given.
    pub fn parse(text: &str, name: &str) -> Result<Document, Vec<Problem>> {
        Document::read(text, name, Extent::Whole)
    }

    /// As [`Document::parse`], but for what is laid over another document with
    /// [`Document::merge`]: the policies and lists that it names may stand in that one.
    /// [`Document::desired`] tells what is missing then.
    pub fn parse_part(text: &str, name: &str) -> Result<Document, Vec<Problem>> {
        Document::read(text, name, Extent::Part)
    }

    fn read(text: &str, name: &str, extent: Extent) -> Result<Document, Vec<Problem>> {
        if text.trim().is_empty() {
            return Ok(Document::default());
        }
        let tree = read(text, name).map_err(|problem| vec![problem])?;
        let mut report = Report::new(name, text);
        let document = match tree.value {
            Value::Null => Document::default(),
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => document(&tree, extent, &mut report),
        };
        report.problems.sort_by_key(|problem| problem.place);
        // What is wrong in a template is found once for each neighbor that has it.
        let mut seen = BTreeSet::new();
        report.problems.retain(|problem| {
            let sentence = problem.message.split(';').next().unwrap_or_default();
            seen.insert((problem.place, sentence.to_owned()))
        });
        if report.problems.is_empty() { Ok(document) } else { Err(report.problems) }
    }
}

fn document(node: &Node, extent: Extent, r: &mut Report<'_>) -> Document {
    let Some(mut f) = r.fields(node, "the document") else {
        return Document::default();
    };
    let asn = f.take("asn").and_then(|n| r.read(n, "asn", str::parse::<Asn>));
    let router_id = f.take("router_id").and_then(|n| r.read(n, "router_id", str::parse));
    let cluster_id = f.take("cluster_id").and_then(|n| r.read(n, "cluster_id", str::parse));
    let (multi_path, multi_path_rules) =
        f.take("multi_path").map_or((None, None), |n| parts::multi_path(n, r));
    let transit = f.take("transit").and_then(|n| r.bool(n, "transit"));
    let require_policy = f.take("require_policy").and_then(|n| r.bool(n, "require_policy"));
    let default_local_pref =
        f.take("default_local_pref").and_then(|n| r.number(n, "default_local_pref", 0..=u32::MAX));
    let port = f.take("port").and_then(|n| r.number(n, "port", 1..=u16::MAX));
    let socket = "an address with a port (127.0.0.1:5000)";
    let grpc = f.take("grpc").and_then(|n| r.parsed::<SocketAddr>(n, "grpc", socket));
    let health_port = f.take("health_port").and_then(|n| r.number(n, "health_port", 1..=u16::MAX));
    let (fib, fib_options) = match f.take("fib") {
        Some(n) => parts::fib(n, r),
        None => (None, FibOptions::default()),
    };
    let fib_endpoint = f.take("fib_endpoint").and_then(|n| r.string(n, "fib_endpoint"));
    let fib_table = f.take("fib_table").and_then(|n| r.number(n, "fib_table", 1..=u32::MAX));
    let exporter = f.take("exporter").and_then(|n| r.string(n, "exporter"));
    let endpoint = f.take("endpoint").and_then(|n| r.parsed(n, "endpoint", socket));
    let channels = f.take("channels").map(|n| parts::channels(n, r)).unwrap_or_default();
    let definitions = policy::definitions(&mut f, r);
    let peers = neighbor::peers(&mut f, r);
    let document = Document {
        asn,
        router_id,
        cluster_id,
        multi_path,
        multi_path_rules,
        transit,
        require_policy,
        default_local_pref,
        port,
        grpc,
        health_port,
        fib,
        fib_options,
        fib_endpoint,
        fib_table,
        exporter,
        endpoint,
        channels,
        definitions,
        neighbors: peers.neighbors,
        unnumbered: peers.unnumbered,
        dynamic_neighbors: peers.dynamic,
        redistribute: f.take("redistribute").map(|n| parts::redistribute(n, r)).unwrap_or_default(),
        aggregates: f.take("aggregates").map(|n| parts::aggregates(n, r)).unwrap_or_default(),
        bmp: f.take("bmp").map(|n| parts::bmp(n, r)).unwrap_or_default(),
        mrt: f.take("mrt").and_then(|n| parts::mrt(n, r)),
        paths: f.take("paths").map(|n| paths(n, r)).unwrap_or_default(),
    };
    match extent {
        Extent::Whole => policy::look_up(&document.definitions, r),
        Extent::Part => {}
    }
    f.finish(&[], r);
    document
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

//! What a new document changes, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;

use inet::Prefix;

use crate::document::{AttributeSet, Document, Neighbor};

/// What a new document of an owner changes against the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// One sentence for each thing; empty when the documents want the same.
    pub changes: Vec<String>,
    /// Sessions that a changed neighbor resets, and why. A changed AS number or router id of our
    /// own resets all sessions, which is not said here.
    pub resets: Vec<(IpAddr, String)>,
}

impl Document {
    /// Compares this document with the one that follows it.
    pub fn diff(&self, new: &Document) -> Diff {
        let mut diff = Diff::default();
        diff.value("asn", &self.asn, &new.asn);
        diff.value("router_id", &self.router_id, &new.router_id);
        diff.value("multi_path", &self.multi_path, &new.multi_path);
        diff.value("transit", &self.transit, &new.transit);
        diff.value("port", &self.port, &new.port);
        diff.value("grpc", &self.grpc, &new.grpc);
        diff.value("health_port", &self.health_port, &new.health_port);
        diff.value("fib.table", &self.fib_table(), &new.fib_table());
        diff.neighbors(&self.neighbors, &new.neighbors);
        diff.paths(self, new);
        diff
    }
}

impl Diff {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn value<T: PartialEq + Display>(&mut self, key: &str, old: &Option<T>, new: &Option<T>) {
        if old != new {
            self.changes.push(format!("{key}: {} → {}", words(old), words(new)));
        }
    }

    fn neighbors(&mut self, old: &[Neighbor], new: &[Neighbor]) {
        let before: BTreeMap<IpAddr, &Neighbor> = old.iter().map(|n| (n.address, n)).collect();
        let after: BTreeMap<IpAddr, &Neighbor> = new.iter().map(|n| (n.address, n)).collect();
        for (address, neighbor) in &after {
            match before.get(address) {
                None => {
                    self.changes.push(format!("neighbor {address} AS {} is added", neighbor.asn));
                }
                Some(was) if was == neighbor => {}
                Some(was) => self.neighbor(was, neighbor),
            }
        }
        for address in before.keys().filter(|address| !after.contains_key(*address)) {
            self.changes.push(format!("neighbor {address} is removed"));
            self.resets.push((*address, "it is removed".to_owned()));
        }
    }

    fn neighbor(&mut self, old: &Neighbor, new: &Neighbor) {
        let (was, is) = (old.config(), new.config());
        let mut live = Vec::new();
        let mut hard = Vec::new();
        // The same split as the session makes; see `bgp_session::Session::reconfigure`.
        differing(&mut hard, "asn", &was.asn, &is.asn);
        differing(&mut hard, "families", &was.families, &is.families);
        differing(&mut hard, "local_address", &was.local_address, &is.local_address);
        differing(&mut hard, "ebgp_multihop", &was.ebgp_multihop, &is.ebgp_multihop);
        differing(&mut hard, "graceful_restart", &was.graceful_restart, &is.graceful_restart);
        differing(&mut live, "router_id", &was.router_id, &is.router_id);
        differing(&mut live, "name", &was.name, &is.name);
        differing(&mut live, "port", &was.port, &is.port);
        differing(&mut live, "passive", &was.passive, &is.passive);
        differing(&mut live, "hold_time", &was.hold_time, &is.hold_time);
        differing(&mut live, "keepalive_time", &was.keepalive_time, &is.keepalive_time);
        differing(&mut live, "connect_retry_time", &was.connect_retry_time, &is.connect_retry_time);
        differing(&mut live, "groups", &was.groups, &is.groups);
        if !hard.is_empty() {
            self.resets.push((new.address, format!("{} changed", hard.join(", "))));
        }
        hard.extend(live);
        if !hard.is_empty() {
            let keys = hard.join(", ");
            self.changes.push(format!("neighbor {}: {keys} changed", new.address));
        }
    }

    fn paths(&mut self, old: &Document, new: &Document) {
        let (before, after) = (by_prefix(old), by_prefix(new));
        for (prefix, attributes) in &after {
            match before.get(prefix) {
                None => self.changes.push(format!("path {prefix} is added")),
                Some(was) if was == attributes => {}
                Some(_) => self.changes.push(format!("path {prefix} has other attributes")),
            }
        }
        for prefix in before.keys().filter(|prefix| !after.contains_key(*prefix)) {
            self.changes.push(format!("path {prefix} is removed"));
        }
    }
}

type Attributes<'a> = (&'a AttributeSet, &'a BTreeSet<String>);

fn by_prefix(document: &Document) -> BTreeMap<Prefix, Attributes<'_>> {
    let groups = document.paths.iter();
    groups.flat_map(|g| g.prefixes.iter().map(move |p| (*p, (&g.attributes, &g.groups)))).collect()
}

fn differing<T: PartialEq>(keys: &mut Vec<&'static str>, key: &'static str, a: &T, b: &T) {
    if a != b {
        keys.push(key);
    }
}

fn words<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "not set".to_owned(), ToString::to_string)
}

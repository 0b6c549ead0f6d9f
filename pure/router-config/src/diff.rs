//! What a new document changes, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use bgp_speaker::AoChange;
use inet::{Prefix, ScopedAddr};

use crate::ao::TcpAo;
use crate::document::{AttributeSet, Document};
use crate::parts::FibOptions;
use crate::peer::{Neighbor, NextHopMode};

/// What a new document of an owner changes against the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// One sentence for each thing; empty when the documents want the same.
    pub changes: Vec<String>,
    /// Sessions that a changed neighbor resets, and why. A changed AS number or router id of our
    /// own resets all sessions, which is not said here.
    pub resets: Vec<(ScopedAddr, String)>,
    /// The same for unnumbered neighbors (by interface) and dynamic ones (by prefix).
    pub other_resets: Vec<(String, String)>,
}

impl Document {
    /// Compares this document with the one that follows it.
    pub fn diff(&self, new: &Document) -> Diff {
        let mut diff = Diff::default();
        diff.value("asn", &self.asn, &new.asn);
        diff.value("router_id", &self.router_id, &new.router_id);
        diff.value("cluster_id", &self.cluster_id, &new.cluster_id);
        diff.value("multi_path", &self.multi_path, &new.multi_path);
        diff.differs("the rules of multi_path", &self.multi_path_rules, &new.multi_path_rules);
        diff.value("transit", &self.transit, &new.transit);
        diff.value("require_policy", &self.require_policy, &new.require_policy);
        diff.value("default_local_pref", &self.default_local_pref, &new.default_local_pref);
        diff.value("port", &self.port, &new.port);
        diff.value("grpc", &self.grpc, &new.grpc);
        diff.value("health_port", &self.health_port, &new.health_port);
        diff.value("fib.table", &self.fib_table(), &new.fib_table());
        diff.value("fib.vrf", &self.fib_options.vrf, &new.fib_options.vrf);
        let options = |document: &Document| FibOptions { vrf: None, ..document.fib_options };
        diff.differs("the options of fib", &options(self), &options(new));
        diff.value("endpoint", &self.endpoint, &new.endpoint);
        diff.differs("channels", &self.channels, &new.channels);
        let (was, is) = (&self.definitions, &new.definitions);
        diff.named("prefix list", &was.prefix_lists, &is.prefix_lists);
        diff.named("community list", &was.community_lists, &is.community_lists);
        diff.named("AS path list", &was.as_path_lists, &is.as_path_lists);
        diff.named("policy", &was.policies, &is.policies);
        diff.neighbors(&self.neighbors, &new.neighbors);
        diff.unnumbered(self, new);
        diff.dynamic(self, new);
        diff.differs("redistribute", &self.redistribute, &new.redistribute);
        diff.differs("aggregates", &self.aggregates, &new.aggregates);
        diff.differs("bmp", &self.bmp, &new.bmp);
        diff.differs("mrt", &self.mrt, &new.mrt);
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

    fn differs<T: PartialEq>(&mut self, what: &str, old: &T, new: &T) {
        if old != new {
            self.changes.push(format!("{what} changed"));
        }
    }

    fn named<T: PartialEq>(
        &mut self,
        kind: &str,
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
    ) {
        for (name, value) in new {
            match old.get(name) {
                None => self.changes.push(format!("{kind} {name} is added")),
                Some(was) if was == value => {}
                Some(_) => self.changes.push(format!("{kind} {name} changed")),
            }
        }
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.changes.push(format!("{kind} {name} is removed"));
        }
    }

    fn neighbors(&mut self, old: &[Neighbor], new: &[Neighbor]) {
        let before: BTreeMap<ScopedAddr, &Neighbor> =
            old.iter().map(|n| (n.scoped_address(), n)).collect();
        let after: BTreeMap<ScopedAddr, &Neighbor> =
            new.iter().map(|n| (n.scoped_address(), n)).collect();
        for (address, neighbor) in &after {
            let what = format!("neighbor {address}");
            let reset = self.peer(&what, before.get(address).copied(), neighbor);
            self.resets.extend(reset.map(|why| (*address, why)));
        }
        for address in before.keys().filter(|address| !after.contains_key(*address)) {
            self.changes.push(format!("neighbor {address} is removed"));
            self.resets.push((*address, "it is removed".to_owned()));
        }
    }

    fn unnumbered(&mut self, old: &Document, new: &Document) {
        let by_key = |d: &Document| -> BTreeMap<String, Neighbor> {
            let all = d.unnumbered.iter();
            all.map(|n| (n.interface.to_string(), n.settings.clone())).collect()
        };
        self.others("neighbor on", &by_key(old), &by_key(new));
    }

    fn dynamic(&mut self, old: &Document, new: &Document) {
        let by_key = |d: &Document| -> BTreeMap<String, Neighbor> {
            let all = d.dynamic_neighbors.iter();
            all.map(|n| (n.prefix.to_string(), n.settings.clone())).collect()
        };
        self.others("dynamic neighbors", &by_key(old), &by_key(new));
        for is in &new.dynamic_neighbors {
            let was = old.dynamic_neighbors.iter().find(|was| was.prefix == is.prefix);
            if was.is_some_and(|was| was.limit != is.limit) {
                self.changes.push(format!("dynamic neighbors {}: limit changed", is.prefix));
            }
        }
    }

    fn others(
        &mut self,
        kind: &str,
        old: &BTreeMap<String, Neighbor>,
        new: &BTreeMap<String, Neighbor>,
    ) {
        for (key, neighbor) in new {
            let reset = self.peer(&format!("{kind} {key}"), old.get(key), neighbor);
            self.other_resets.extend(reset.map(|why| (key.clone(), why)));
        }
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.changes.push(format!("{kind} {key} is removed"));
            self.other_resets.push((key.clone(), "it is removed".to_owned()));
        }
    }

    /// Notes what changes of one peer; gives why its session is reset, if it is.
    fn peer(&mut self, what: &str, old: Option<&Neighbor>, new: &Neighbor) -> Option<String> {
        let Some(old) = old else {
            self.changes.push(format!("{what} AS {} is added", new.asn_text()));
            return None;
        };
        let (hard, live) = peer_keys(old, new);
        let reset = (!hard.is_empty()).then(|| format!("{} changed", hard.join(", ")));
        let all = [hard, live].concat();
        if !all.is_empty() {
            self.changes.push(format!("{what}: {} changed", all.join(", ")));
        }
        reset
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

/// The keys of a peer that are different: those that reset its session, and the others. Written out
/// or left out, a default is the same. The session itself says which is which; a peer that may have
/// several AS numbers is reset only if the one it has is none of them any more, which is not known
/// here.
fn peer_keys(old: &Neighbor, new: &Neighbor) -> (Vec<&'static str>, Vec<&'static str>) {
    let planned = old.config().change_to(&new.config());
    let keys = |fields: Vec<&'static str>| -> Vec<&'static str> {
        fields.into_iter().map(key_of).collect()
    };
    let (mut hard, mut live) = (keys(planned.resets), keys(planned.live));
    live.dedup();
    match TcpAo::change(old.tcp_ao.as_ref(), new.tcp_ao.as_ref()) {
        AoChange::Nothing => {}
        AoChange::Live => live.push("tcp_ao"),
        AoChange::Reset => hard.push("tcp_ao"),
    }
    let h = &mut hard;
    differing(h, "interface", &old.interface, &new.interface);
    differing(h, "ttl_security", &old.ttl_security, &new.ttl_security);
    let l = &mut live;
    // The peer may change its own in time.
    differing(l, "password", &old.password, &new.password);
    differing(l, "password_file", &old.password_file, &new.password_file);
    let on = |value: Option<bool>, default: bool| value.unwrap_or(default);
    differing(l, "allow_own_as", &old.allow_own_as.unwrap_or(0), &new.allow_own_as.unwrap_or(0));
    let sets = |n: &Neighbor| on(n.accept_as_sets, false);
    differing(l, "accept_as_sets", &sets(old), &sets(new));
    differing(l, "as_override", &on(old.as_override, false), &on(new.as_override, false));
    let private = |n: &Neighbor| on(n.remove_private_as, false);
    differing(l, "remove_private_as", &private(old), &private(new));
    let next_hop = |n: &Neighbor| n.next_hop.unwrap_or(NextHopMode::Auto);
    differing(l, "next_hop", &next_hop(old), &next_hop(new));
    let client = |n: &Neighbor| on(n.route_reflector_client, false);
    differing(l, "route_reflector_client", &client(old), &client(new));
    differing(l, "import", &old.import, &new.import);
    differing(l, "export", &old.export, &new.export);
    differing(l, "max_prefixes", &old.max_prefixes, &new.max_prefixes);
    differing(l, "bfd", &old.bfd, &new.bfd);
    let sent = |n: &Neighbor| n.add_path.and_then(|add_path| add_path.send);
    if !hard.contains(&"add_path") {
        differing(l, "add_path", &sent(old), &sent(new));
    }
    (hard, live)
}

/// The document's key for a field that [`bgp_speaker::Plan`] or [`bgp_session::Planned`] names.
pub fn key_of(field: &'static str) -> &'static str {
    match field {
        "add_path_send" => "add_path",
        "asn_match" => "asn",
        "long_lived" => "long_lived_graceful_restart",
        "ipv4_over_ipv6" => "extended_next_hop",
        same => same,
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

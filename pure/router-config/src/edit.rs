//! Changing a part of a document.

use inet::{Prefix, ScopedAddr};

use crate::document::Document;
use crate::peer::Neighbor;

impl Document {
    /// Lays another document over this one: its keys replace ours, its neighbors those with the
    /// same address, its policies and lists those with the same name, its prefixes are taken out of
    /// where they were. The rest stays.
    pub fn merge(&mut self, over: Document) {
        let Document {
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
            neighbors,
            unnumbered,
            dynamic_neighbors,
            redistribute,
            aggregates,
            bmp,
            mrt,
            paths,
        } = over;
        replace(&mut self.asn, asn);
        replace(&mut self.router_id, router_id);
        replace(&mut self.cluster_id, cluster_id);
        // The two are one key.
        if multi_path.is_some() {
            (self.multi_path, self.multi_path_rules) = (multi_path, multi_path_rules);
        }
        replace(&mut self.transit, transit);
        replace(&mut self.require_policy, require_policy);
        replace(&mut self.default_local_pref, default_local_pref);
        replace(&mut self.port, port);
        replace(&mut self.grpc, grpc);
        replace(&mut self.health_port, health_port);
        if fib.is_some() {
            (self.fib, self.fib_options) = (fib, fib_options);
        }
        replace(&mut self.fib_endpoint, fib_endpoint);
        replace(&mut self.fib_table, fib_table);
        replace(&mut self.exporter, exporter);
        replace(&mut self.endpoint, endpoint);
        replace_items(&mut self.channels, channels, |a, b| a.name == b.name);
        self.definitions.prefix_lists.extend(definitions.prefix_lists);
        self.definitions.community_lists.extend(definitions.community_lists);
        self.definitions.as_path_lists.extend(definitions.as_path_lists);
        self.definitions.policies.extend(definitions.policies);
        replace_items(&mut self.neighbors, neighbors, |a, b| {
            a.scoped_address() == b.scoped_address()
        });
        replace_items(&mut self.unnumbered, unnumbered, |a, b| a.interface == b.interface);
        replace_items(&mut self.dynamic_neighbors, dynamic_neighbors, |a, b| a.prefix == b.prefix);
        replace_items(&mut self.redistribute, redistribute, |a, b| {
            (a.source, a.table) == (b.source, b.table)
        });
        replace_items(&mut self.aggregates, aggregates, |a, b| a.prefix == b.prefix);
        replace_items(&mut self.bmp, bmp, |a, b| (a.address, a.port) == (b.address, b.port));
        replace(&mut self.mrt, mrt);
        for group in paths {
            for prefix in &group.prefixes {
                self.remove_path(prefix);
            }
            self.paths.push(group);
        }
    }

    /// Takes a neighbor out; false when there was none. The link of a link-local address may be left
    /// out where there is only one.
    pub fn remove_neighbor(&mut self, address: &ScopedAddr) -> bool {
        let alone =
            |neighbor: &Neighbor| address.is_ambiguous() && neighbor.address == address.address();
        let several = self.neighbors.iter().filter(|neighbor| alone(neighbor)).count() > 1;
        let before = self.neighbors.len();
        self.neighbors.retain(|neighbor| {
            neighbor.scoped_address() != *address && (several || !alone(neighbor))
        });
        self.neighbors.len() < before
    }

    /// Takes a prefix out; false when it was not there.
    pub fn remove_path(&mut self, prefix: &Prefix) -> bool {
        let mut found = false;
        for group in &mut self.paths {
            let before = group.prefixes.len();
            group.prefixes.retain(|p| p != prefix);
            found |= group.prefixes.len() < before;
        }
        self.paths.retain(|group| !group.prefixes.is_empty());
        found
    }
}

fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

/// Each new item takes the place of the old one that is the same thing.
fn replace_items<T>(old: &mut Vec<T>, new: Vec<T>, same: impl Fn(&T, &T) -> bool) {
    for item in new {
        match old.iter_mut().find(|other| same(other, &item)) {
            Some(place) => *place = item,
            None => old.push(item),
        }
    }
}

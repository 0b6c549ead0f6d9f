//! Changing a part of a document.

use std::net::IpAddr;

use inet::Prefix;

use crate::document::Document;

impl Document {
    /// Lays another document over this one: its keys replace ours, its neighbors those with the
    /// same address, its prefixes are taken out of where they were. The rest stays.
    pub fn merge(&mut self, over: Document) {
        let Document {
            asn,
            router_id,
            multi_path,
            transit,
            port,
            grpc,
            health_port,
            fib,
            fib_endpoint,
            fib_table,
            exporter,
            neighbors,
            paths,
        } = over;
        replace(&mut self.asn, asn);
        replace(&mut self.router_id, router_id);
        replace(&mut self.multi_path, multi_path);
        replace(&mut self.transit, transit);
        replace(&mut self.port, port);
        replace(&mut self.grpc, grpc);
        replace(&mut self.health_port, health_port);
        replace(&mut self.fib, fib);
        replace(&mut self.fib_endpoint, fib_endpoint);
        replace(&mut self.fib_table, fib_table);
        replace(&mut self.exporter, exporter);
        for neighbor in neighbors {
            match self.neighbors.iter_mut().find(|n| n.address == neighbor.address) {
                Some(old) => *old = neighbor,
                None => self.neighbors.push(neighbor),
            }
        }
        for group in paths {
            for prefix in &group.prefixes {
                self.remove_path(prefix);
            }
            self.paths.push(group);
        }
    }

    /// Takes a neighbor out; false when there was none.
    pub fn remove_neighbor(&mut self, address: &IpAddr) -> bool {
        let before = self.neighbors.len();
        self.neighbors.retain(|neighbor| neighbor.address != *address);
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

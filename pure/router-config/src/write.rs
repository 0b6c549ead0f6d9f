//! The document as it is written: what is left out stays left out.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::document::Document;
use crate::peer::{AsnMatch, DynamicNeighbors, Neighbor, Unnumbered};

/// A mapping that leaves out what is not there.
struct Entries<M>(M);

impl<M: SerializeMap> Entries<M> {
    fn value<T: Serialize>(&mut self, key: &'static str, value: T) -> Result<(), M::Error> {
        self.0.serialize_entry(key, &value)
    }

    fn some<T: Serialize>(&mut self, key: &'static str, value: &Option<T>) -> Result<(), M::Error> {
        value.as_ref().map_or(Ok(()), |value| self.value(key, value))
    }

    fn list<T>(&mut self, key: &'static str, list: T) -> Result<(), M::Error>
    where
        T: Serialize + IntoIterator + Copy,
    {
        match list.into_iter().next() {
            Some(_) => self.value(key, list),
            None => Ok(()),
        }
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut to = Entries(s.serialize_map(None)?);
        to.some("asn", &self.asn)?;
        to.some("router_id", &self.router_id)?;
        to.some("cluster_id", &self.cluster_id)?;
        match &self.multi_path_rules {
            Some(rules) => to.value("multi_path", rules)?,
            None => to.some("multi_path", &self.multi_path)?,
        }
        to.some("transit", &self.transit)?;
        to.some("require_policy", &self.require_policy)?;
        to.some("default_local_pref", &self.default_local_pref)?;
        to.some("port", &self.port)?;
        to.some("grpc", &self.grpc)?;
        to.some("health_port", &self.health_port)?;
        to.some("fib", &self.fib.map(|_| FibAsWritten(self)))?;
        to.some("fib_endpoint", &self.fib_endpoint)?;
        to.some("fib_table", &self.fib_table)?;
        to.some("exporter", &self.exporter)?;
        to.some("endpoint", &self.endpoint)?;
        to.list("channels", &self.channels)?;
        to.list("prefix_lists", &self.definitions.prefix_lists)?;
        to.list("community_lists", &self.definitions.community_lists)?;
        to.list("as_path_lists", &self.definitions.as_path_lists)?;
        to.list("policies", &self.definitions.policies)?;
        if !(self.neighbors.is_empty() && self.unnumbered.is_empty()) {
            to.value("neighbors", Neighbors(self))?;
        }
        to.list("dynamic_neighbors", &self.dynamic_neighbors)?;
        to.list("redistribute", &self.redistribute)?;
        to.list("aggregates", &self.aggregates)?;
        to.list("bmp", &self.bmp)?;
        to.some("mrt", &self.mrt)?;
        to.list("paths", &self.paths)?;
        to.0.end()
    }
}

struct FibAsWritten<'d>(&'d Document);

impl Serialize for FibAsWritten<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let options = &self.0.fib_options;
        let mut to = Entries(s.serialize_map(None)?);
        match options.vrf {
            Some(vrf) => to.value("vrf", vrf)?,
            None => to.some("table", &self.0.fib.map(|fib| fib.table))?,
        }
        to.some("metric", &options.metric)?;
        to.some("next_hop_objects", &options.next_hop_objects)?;
        if options.distance != crate::Distances::default() {
            to.value("distance", options.distance)?;
        }
        to.0.end()
    }
}

struct Neighbors<'d>(&'d Document);

impl Serialize for Neighbors<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = s.serialize_seq(None)?;
        for neighbor in &self.0.neighbors {
            seq.serialize_element(neighbor)?;
        }
        for unnumbered in &self.0.unnumbered {
            seq.serialize_element(unnumbered)?;
        }
        seq.end()
    }
}

impl Serialize for Neighbor {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut to = Entries(s.serialize_map(None)?);
        to.some("name", &self.name)?;
        if self.address != Neighbor::NO_ADDRESS {
            to.value("address", self.address)?;
        }
        self.settings(&mut to)?;
        to.0.end()
    }
}

impl Serialize for Unnumbered {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut to = Entries(s.serialize_map(None)?);
        to.some("name", &self.settings.name)?;
        to.value("interface", self.interface)?;
        self.settings.settings(&mut to)?;
        to.0.end()
    }
}

impl Serialize for DynamicNeighbors {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut to = Entries(s.serialize_map(None)?);
        to.some("name", &self.settings.name)?;
        to.value("prefix", self.prefix)?;
        to.some("limit", &self.limit)?;
        self.settings.settings(&mut to)?;
        to.0.end()
    }
}

impl Neighbor {
    fn settings<M: SerializeMap>(&self, to: &mut Entries<M>) -> Result<(), M::Error> {
        match &self.asn_match {
            AsnMatch::Exactly => to.value("asn", self.asn)?,
            AsnMatch::External | AsnMatch::Internal => to.value("asn", self.asn_text())?,
            AsnMatch::Ranges(ranges) => {
                let ranges = ranges.iter().map(|r| format!("{}..{}", r.start(), r.end()));
                to.value("asn", ranges.collect::<Vec<_>>())?;
            }
        }
        to.some("router_id", &self.router_id)?;
        to.some("port", &self.port)?;
        to.some("passive", &self.passive)?;
        to.some("local_address", &self.local_address)?;
        to.some("interface", &self.interface)?;
        to.some("ebgp_multihop", &self.ebgp_multihop)?;
        to.some("ttl_security", &self.ttl_security)?;
        to.some("password", &self.password.as_ref().map(inet::Secret::reveal))?;
        to.some("password_file", &self.password_file)?;
        to.some("tcp_ao", &self.tcp_ao)?;
        to.some("hold_time", &self.hold_time)?;
        to.some("keepalive_time", &self.keepalive_time)?;
        to.some("connect_retry_time", &self.connect_retry_time)?;
        to.some("send_hold_time", &self.send_hold_time)?;
        to.some("families", &self.families)?;
        to.some("extended_next_hop", &self.extended_next_hop)?;
        to.some("extended_messages", &self.extended_messages)?;
        to.some("graceful_restart", &self.graceful_restart)?;
        to.some("long_lived_graceful_restart", &self.long_lived_graceful_restart)?;
        to.some("add_path", &self.add_path)?;
        to.some("local_as", &self.local_as)?;
        to.some("allow_own_as", &self.allow_own_as)?;
        to.some("accept_as_sets", &self.accept_as_sets)?;
        to.some("as_override", &self.as_override)?;
        to.some("remove_private_as", &self.remove_private_as)?;
        to.some("next_hop", &self.next_hop)?;
        to.some("route_reflector_client", &self.route_reflector_client)?;
        to.some("role", &self.role.map(|role| role.to_string()))?;
        to.some("role_strict", &self.role_strict)?;
        to.list("import", &self.import)?;
        to.list("export", &self.export)?;
        to.list("max_prefixes", &self.max_prefixes)?;
        to.some("bfd", &self.bfd)?;
        to.some("shutdown", &self.shutdown)?;
        to.list("groups", &self.groups)
    }
}

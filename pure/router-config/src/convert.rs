//! The document to what the speaker wants.

use bgp_packet::Origin;
use bgp_session::{GracefulRestartConfig, PeerConfig};
use bgp_speaker::{Desired, Global, Origination};

use crate::document::{Document, GracefulRestart, Neighbor, PathGroup};
use crate::problem::{Problem, Reason};

impl Document {
    /// What the speaker is to do for this owner. AS number and router id come together or not at
    /// all; `name` is what the document is called in the problem.
    pub fn desired(&self, name: &str) -> Result<Desired, Problem> {
        let missing = |key: &str, other: &str| Problem {
            document: name.to_owned(),
            place: None,
            reason: Reason::Missing,
            message: format!("`{key}` is missing: it comes together with `{other}`"),
        };
        let global = match (self.asn, self.router_id) {
            (Some(asn), Some(router_id)) => Some(Global {
                asn,
                router_id,
                multi_path: self.multi_path.unwrap_or(false),
                transit: self.transit.unwrap_or(true),
            }),
            (None, None) => None,
            (None, Some(_)) => return Err(missing("asn", "router_id")),
            (Some(_), None) => return Err(missing("router_id", "asn")),
        };
        Ok(Desired {
            global,
            peers: self.neighbors.iter().map(Neighbor::config).collect(),
            originate: self.paths.iter().flat_map(PathGroup::originations).collect(),
        })
    }
}

impl Neighbor {
    /// The speaker's configuration of this peer, defaults filled in.
    pub fn config(&self) -> PeerConfig {
        let mut config = PeerConfig::new(self.address, self.asn);
        config.name.clone_from(&self.name);
        config.router_id = self.router_id;
        config.port = self.port.unwrap_or(config.port);
        config.passive = self.passive.unwrap_or(config.passive);
        config.local_address = self.local_address;
        config.ebgp_multihop = self.ebgp_multihop;
        config.hold_time = self.hold_time.unwrap_or(config.hold_time);
        config.keepalive_time = self.keepalive_time;
        config.connect_retry_time = self.connect_retry_time.unwrap_or(config.connect_retry_time);
        if let Some(families) = &self.families {
            config.families.clone_from(families);
        }
        if let Some(GracefulRestart { enabled, restart_time }) = self.graceful_restart {
            let default = GracefulRestartConfig::default();
            config.graceful_restart = GracefulRestartConfig {
                enabled: enabled.unwrap_or(default.enabled),
                restart_time: restart_time.unwrap_or(default.restart_time),
            };
        }
        config.groups.clone_from(&self.groups);
        config
    }
}

impl PathGroup {
    fn originations(&self) -> impl Iterator<Item = Origination> + '_ {
        self.prefixes.iter().map(|prefix| Origination {
            prefix: *prefix,
            origin: self.attributes.origin.unwrap_or(Origin::Igp),
            local_pref: self.attributes.local_pref,
            med: self.attributes.med,
            communities: self.attributes.communities.clone(),
            large_communities: self.attributes.large_communities.clone(),
            groups: self.groups.clone(),
        })
    }
}

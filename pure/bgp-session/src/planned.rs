//! What a new configuration does to a session, said before or after it is done.

use crate::{AsnMatch, PeerConfig};

/// What a new configuration did to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing is different.
    Nothing,
    /// Taken over without touching the session; a hold time counts from the next session on.
    Live,
    /// The session was ended with a Cease: it begins anew, or stays down with
    /// [`PeerConfig::shutdown`].
    Reset,
}

/// What a new configuration will do: the names of the fields of [`PeerConfig`] that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// These end the session.
    pub resets: Vec<&'static str>,
    /// These are taken over without touching it.
    pub live: Vec<&'static str>,
}

impl Planned {
    /// What it comes to.
    pub fn change(&self) -> Change {
        match (self.resets.is_empty(), self.live.is_empty()) {
            (false, _) => Change::Reset,
            (true, false) => Change::Live,
            (true, true) => Change::Nothing,
        }
    }

    /// A field that was thought to be taken over live ends this session.
    pub(crate) fn resets_after_all(&mut self, field: &'static str) {
        self.live.retain(|live| *live != field);
        if !self.resets.contains(&field) {
            self.resets.push(field);
        }
    }
}

impl PeerConfig {
    /// What this configuration's replacement by another one does to a session.
    ///
    /// `asn_match`, `router_id` and `role_strict` are live here: they end a session only if the
    /// peer at its other end is not what is wanted now, which [`crate::Session::planned`] knows.
    pub fn change_to(&self, new: &PeerConfig) -> Planned {
        // Without `..`: a new field must be given its place here.
        let PeerConfig {
            address,
            name,
            asn,
            asn_match,
            local_as,
            router_id,
            port,
            passive,
            shutdown,
            local_address,
            ebgp_multihop,
            hold_time,
            keepalive_time,
            send_hold_time,
            connect_retry_time,
            idle_hold,
            families,
            graceful_restart,
            long_lived,
            extended_messages,
            add_path,
            ipv4_over_ipv6,
            role,
            role_strict,
            groups,
        } = self;
        // Between two exact numbers only; else the peer's own number decides.
        let exact = *asn_match == AsnMatch::Exactly && new.asn_match == AsnMatch::Exactly;
        let open_asn = |config: &PeerConfig| config.local_as.map(|local| local.asn);
        let other_number = open_asn(self) != open_asn(new);
        let shut_down = shutdown.is_none() && new.shutdown.is_some();
        let resets = [
            ("address", *address != new.address),
            ("asn", exact && *asn != new.asn),
            // Only an OPEN tells it.
            ("local_as", other_number),
            ("shutdown", shut_down),
            ("local_address", *local_address != new.local_address),
            ("ebgp_multihop", *ebgp_multihop != new.ebgp_multihop),
            ("families", *families != new.families),
            ("graceful_restart", *graceful_restart != new.graceful_restart),
            ("long_lived", *long_lived != new.long_lived),
            ("extended_messages", *extended_messages != new.extended_messages),
            ("add_path", *add_path != new.add_path),
            ("ipv4_over_ipv6", *ipv4_over_ipv6 != new.ipv4_over_ipv6),
            ("role", *role != new.role),
        ];
        let live = [
            ("name", *name != new.name),
            ("asn", !exact && *asn != new.asn),
            ("asn_match", *asn_match != new.asn_match),
            ("local_as", !other_number && *local_as != new.local_as),
            ("router_id", *router_id != new.router_id),
            ("port", *port != new.port),
            ("passive", *passive != new.passive),
            ("shutdown", !shut_down && *shutdown != new.shutdown),
            ("hold_time", *hold_time != new.hold_time),
            ("keepalive_time", *keepalive_time != new.keepalive_time),
            ("send_hold_time", *send_hold_time != new.send_hold_time),
            ("connect_retry_time", *connect_retry_time != new.connect_retry_time),
            ("idle_hold", *idle_hold != new.idle_hold),
            ("role_strict", *role_strict != new.role_strict),
            ("groups", *groups != new.groups),
        ];
        let names = |fields: &[(&'static str, bool)]| {
            fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect()
        };
        Planned { resets: names(&resets), live: names(&live) }
    }
}

//! OPEN messages: what we say, and what follows from what the peer says.

use std::collections::BTreeSet;

use bgp_packet::{Capability, GracefulRestart, Notification, Open, Options, PeerKind};
use inet::Family;

use crate::{Conn, LocalConfig, Negotiated, PeerConfig};

/// Whether the peer is in our AS.
pub(crate) fn peer_kind(config: &PeerConfig, local: &LocalConfig) -> PeerKind {
    if config.asn == local.asn { PeerKind::Internal } else { PeerKind::External }
}

/// Our OPEN. `was_up`: this process has had the session before, so that what it forwards for the
/// peer's sake is still there (RFC 4724 §3, RFC 8538 §2: the F bit).
pub(crate) fn our_open(config: &PeerConfig, local: &LocalConfig, was_up: bool) -> Open {
    let families = || config.families.iter().copied();
    let mut capabilities: Vec<_> = families().map(Capability::Multiprotocol).collect();
    capabilities.push(Capability::RouteRefresh);
    capabilities.push(Capability::EnhancedRouteRefresh);
    capabilities.push(Capability::FourOctetAs(local.asn));
    if config.graceful_restart.enabled {
        let preserved = |f: &Family| was_up || local.preserved.contains(f);
        capabilities.push(Capability::GracefulRestart(GracefulRestart {
            restarted: local.restarting,
            notification: true,
            restart_time: config.graceful_restart.restart_time,
            families: families().map(|f| (f, preserved(&f))).collect(),
        }));
    }
    Open { asn: local.asn, hold_time: config.hold_time, router_id: local.router_id, capabilities }
}

/// Judges the peer's OPEN (RFC 4271 §6.2); decoding has checked all that needs no configuration.
pub(crate) fn negotiate(
    config: &PeerConfig,
    local: &LocalConfig,
    conn: Conn,
    open: &Open,
) -> Result<Negotiated, Notification> {
    if open.asn != config.asn {
        return Err(Notification::new(2, 2));
    }
    let kind = peer_kind(config, local);
    // RFC 6286 §2.2: inside an AS no two may be equal; another AS may use ours.
    let ours_again = kind == PeerKind::Internal && open.router_id == local.router_id;
    let not_wanted = config.router_id.is_some_and(|wanted| wanted != open.router_id);
    if ours_again || not_wanted {
        return Err(Notification::with_data(2, 3, open.router_id.get().to_be_bytes()));
    }
    let families: BTreeSet<_> = config.families.intersection(&open.families()).copied().collect();
    if families.is_empty() {
        // RFC 5492 §3: the data names the capabilities that are missing.
        let mut data = Vec::new();
        for family in &config.families {
            Capability::Multiprotocol(*family).encode(&mut data);
        }
        return Err(Notification::with_data(2, 7, data));
    }
    let four_octet_as = open.capabilities.iter().any(|c| matches!(c, Capability::FourOctetAs(_)));
    let hold_time = config.hold_time.min(open.hold_time);
    Ok(Negotiated {
        conn,
        options: Options {
            kind,
            four_octet_as,
            // We do not offer it.
            extended_message: false,
            ipv4: families.contains(&Family::Ipv4),
            ipv6: families.contains(&Family::Ipv6),
        },
        families,
        asn: open.asn,
        router_id: open.router_id,
        hold_time,
        keepalive_time: keepalive_time(config, hold_time),
        route_refresh: open.has(&Capability::RouteRefresh),
        enhanced_refresh: open.has(&Capability::EnhancedRouteRefresh),
        graceful_restart: open
            .graceful_restart()
            .filter(|_| config.graceful_restart.enabled)
            .cloned(),
        stale: BTreeSet::new(),
    })
}

/// Seconds between KEEPALIVEs: as configured, but never so rarely that losing two of them would
/// end the session (RFC 4271 §4.4).
pub(crate) fn keepalive_time(config: &PeerConfig, hold_time: u16) -> u16 {
    match hold_time {
        0 => 0,
        hold_time => {
            let third = (hold_time / 3).max(1);
            config.keepalive_time.map_or(third, |wanted| wanted.clamp(1, third))
        }
    }
}

/// Whether this connection outlives a collision: the one that was dialled by the end with the
/// higher BGP Identifier (RFC 4271 §6.8), at equal ones with the higher AS (RFC 6286 §2.3).
pub(crate) fn wins(local: &LocalConfig, peer: &Negotiated) -> bool {
    let ours_is_higher =
        (local.router_id.get(), local.asn.get()) > (peer.router_id.get(), peer.asn.get());
    match peer.conn {
        Conn::Outgoing(_) => ours_is_higher,
        Conn::Incoming(_) => !ours_is_higher,
    }
}

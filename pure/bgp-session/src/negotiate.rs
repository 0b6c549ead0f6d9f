//! OPEN messages: what we say, and what follows from what the peer says.

use std::collections::{BTreeMap, BTreeSet};

use bgp_packet::{
    AddPathMode, Capability, FamilyFlags, GracefulRestart, LongLived, Notification, Open, Options,
    PeerKind, Role,
};
use inet::{Asn, Family};

use crate::{AsnMatch, Conn, Detail, LocalConfig, Negotiated, PeerConfig};

/// The least send hold time that is used without a configured one (RFC 9687 §4).
const SEND_HOLD: u32 = 480;

/// Why an OPEN is refused.
pub(crate) struct Refusal {
    /// What is said to the peer.
    pub(crate) notification: Notification,
    /// What people here are told beside it.
    pub(crate) detail: Option<Detail>,
}

/// Our OPEN. `was_up`: this process has had the session before, so that what it forwards for the
/// peer's sake is still there (RFC 4724 §3, RFC 8538 §2: the F bit).
pub(crate) fn our_open(config: &PeerConfig, local: &LocalConfig, was_up: bool) -> Open {
    let asn = config.own_asn(local.asn);
    let families = || config.families.iter().copied();
    let mut capabilities: Vec<_> = families().map(Capability::Multiprotocol).collect();
    capabilities.push(Capability::RouteRefresh);
    capabilities.push(Capability::EnhancedRouteRefresh);
    capabilities.push(Capability::FourOctetAs(asn));
    if config.extended_messages {
        capabilities.push(Capability::ExtendedMessage);
    }
    if config.ipv4_over_ipv6 && config.families.contains(&Family::Ipv4) {
        capabilities.push(Capability::ExtendedNextHop(vec![Family::Ipv4]));
    }
    // RFC 9234 §4: between ASes only.
    let external = config.expected_kind(local.asn) == PeerKind::External;
    capabilities.extend(config.role.filter(|_| external).map(Capability::Role));
    let add_path: Vec<_> =
        families().filter_map(|f| config.add_path.get(&f).map(|mode| (f, *mode))).collect();
    if !add_path.is_empty() {
        capabilities.push(Capability::AddPath(add_path));
    }
    if config.graceful_restart.enabled {
        let preserved = |f: &Family| was_up || local.preserved.contains(f);
        capabilities.push(Capability::GracefulRestart(GracefulRestart {
            restarted: local.restarting,
            notification: true,
            restart_time: config.graceful_restart.restart_time,
            families: families().map(|f| (f, preserved(&f))).collect(),
        }));
        let stale_time = config.stale_time();
        if stale_time > 0 {
            let long_lived =
                |family| LongLived { family, forwarding: preserved(&family), stale_time };
            let families = families().map(long_lived).collect();
            capabilities.push(Capability::LongLivedGracefulRestart(families));
        }
    }
    Open { asn, hold_time: config.hold_time, router_id: local.router_id, capabilities }
}

/// Judges the peer's OPEN (RFC 4271 §6.2); decoding has checked all that needs no configuration.
pub(crate) fn negotiate(
    config: &PeerConfig,
    local: &LocalConfig,
    conn: Conn,
    open: &Open,
) -> Result<Negotiated, Refusal> {
    let own_asn = config.own_asn(local.asn);
    if !config.admits(open.asn, local.asn) {
        let detail = Detail::PeerAsn { got: open.asn, wanted: wanted_asn(config, own_asn) };
        return Err(refusal(Notification::new(2, 2), detail));
    }
    // The peer knows us by our number of this session: by that it is inside or outside
    // (RFC 7705 §4).
    let kind = if open.asn == own_asn { PeerKind::Internal } else { PeerKind::External };
    // RFC 6286 §2.2: inside an AS no two may be equal; another AS may use ours.
    let ours_again = kind == PeerKind::Internal && open.router_id == local.router_id;
    let not_wanted = config.router_id.is_some_and(|wanted| wanted != open.router_id);
    if ours_again || not_wanted {
        let data = open.router_id.get().to_be_bytes();
        let detail = Detail::RouterId { got: open.router_id, wanted: config.router_id };
        return Err(refusal(Notification::with_data(2, 3, data), detail));
    }
    let role = agreed_role(config, kind, open)?;
    let families: BTreeSet<_> = config.families.intersection(&open.families()).copied().collect();
    if families.is_empty() {
        // RFC 5492 §3: the data names the capabilities that are missing.
        let mut data = Vec::new();
        for family in &config.families {
            Capability::Multiprotocol(*family).encode(&mut data);
        }
        let notification = Notification::with_data(2, 7, data);
        return Err(Refusal { notification, detail: None });
    }
    let hold_time = config.hold_time.min(open.hold_time);
    let graceful_restart =
        open.graceful_restart().filter(|_| config.graceful_restart.enabled).cloned();
    // RFC 9494 §3.1: without the Graceful Restart capability it means nothing.
    let told = open.graceful_restart().map(|_| open.long_lived()).unwrap_or_default();
    Ok(Negotiated {
        conn,
        options: options(config, kind, open, &families),
        asn: open.asn,
        router_id: open.router_id,
        hold_time,
        keepalive_time: keepalive_time(config, hold_time),
        route_refresh: open.has(&Capability::RouteRefresh),
        enhanced_refresh: open.has(&Capability::EnhancedRouteRefresh),
        stale: BTreeSet::new(),
        own_asn,
        role,
        long_lived: match graceful_restart {
            Some(_) => long_lived(config, &families, &told),
            None => BTreeMap::new(),
        },
        long_lived_forwarding: told.iter().filter(|l| l.forwarding).map(|l| l.family).collect(),
        knows_long_lived: told.iter().map(|l| l.family).collect(),
        send_hold_time: send_hold_time(config, hold_time),
        graceful_restart,
        families,
    })
}

fn refusal(notification: Notification, detail: Detail) -> Refusal {
    Refusal { notification, detail: Some(detail) }
}

/// How messages are read and written from now on.
fn options(
    config: &PeerConfig,
    kind: PeerKind,
    open: &Open,
    families: &BTreeSet<Family>,
) -> Options {
    let peer_extended = open.has(&Capability::ExtendedMessage);
    // RFC 7911 §4: path ids go one way if one end offers to send and the other to receive.
    let add_path = |ours: fn(AddPathMode) -> bool, theirs: fn(AddPathMode) -> bool| {
        let agreed = |family: &Family| {
            config.add_path.get(family).copied().is_some_and(ours)
                && open.add_path(*family).is_some_and(theirs)
        };
        families.iter().copied().filter(agreed).collect::<FamilyFlags>()
    };
    Options {
        four_octet_as: open.capabilities.iter().any(|c| matches!(c, Capability::FourOctetAs(_))),
        // RFC 8654 §4: sent only to who offered it, taken only if we did.
        extended_message: config.extended_messages && peer_extended,
        extended_receive: config.extended_messages,
        ipv4: families.contains(&Family::Ipv4),
        ipv6: families.contains(&Family::Ipv6),
        add_path_receive: add_path(AddPathMode::receives, AddPathMode::sends),
        add_path_send: add_path(AddPathMode::sends, AddPathMode::receives),
        // RFC 8950 §4: both must have told it.
        ipv4_over_ipv6: config.ipv4_over_ipv6
            && families.contains(&Family::Ipv4)
            && open.extended_next_hop().has(Family::Ipv4),
        ..Options::new(kind)
    }
}

/// The peer's role, where the two fit (RFC 9234 §4.2).
fn agreed_role(config: &PeerConfig, kind: PeerKind, open: &Open) -> Result<Option<Role>, Refusal> {
    match (kind, config.role, open.role()) {
        // Inside an AS there are no roles.
        (PeerKind::Internal, _, _) => Ok(None),
        // We told none: nothing can be wrong.
        (PeerKind::External, None, told) => Ok(told.unwrap_or_default()),
        (PeerKind::External, Some(ours), Ok(Some(theirs))) if ours.fits(theirs) => Ok(Some(theirs)),
        (PeerKind::External, Some(_), Ok(None)) if !config.role_strict => Ok(None),
        (PeerKind::External, Some(ours), told) => {
            let theirs = told.unwrap_or_default();
            Err(refusal(Notification::role_mismatch(), Detail::Roles { ours, theirs }))
        }
    }
}

/// How long the peer's routes are kept beyond its restart time: as it asks, but no longer than we
/// would ask ourselves (RFC 9494 §4.2).
fn long_lived(
    config: &PeerConfig,
    families: &BTreeSet<Family>,
    told: &[LongLived],
) -> BTreeMap<Family, u32> {
    let most = config.stale_time();
    let times = told.iter().map(|l| (l.family, l.stale_time.min(most)));
    times.filter(|(family, time)| *time > 0 && families.contains(family)).collect()
}

fn wanted_asn(config: &PeerConfig, own: Asn) -> String {
    match &config.asn_match {
        AsnMatch::Exactly => format!("AS {}", config.asn),
        AsnMatch::External => format!("any but AS {own}"),
        AsnMatch::Internal => format!("AS {own}"),
        AsnMatch::Ranges(ranges) => {
            let words = ranges.iter().map(|r| format!("{}-{}", r.start(), r.end()));
            format!("one of {}", words.collect::<Vec<_>>().join(", "))
        }
    }
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

/// Seconds that the peer may take nothing of what we send. Without a hold time there is none
/// (RFC 9687 §3.3).
pub(crate) fn send_hold_time(config: &PeerConfig, hold_time: u16) -> u32 {
    match (hold_time, config.send_hold_time) {
        (0, _) => 0,
        (_, Some(wanted)) => wanted.into(),
        (hold_time, None) => SEND_HOLD.max(2 * u32::from(hold_time)),
    }
}

/// Whether this connection outlives a collision: the one that was dialled by the end with the
/// higher BGP Identifier (RFC 4271 §6.8), at equal ones with the higher AS (RFC 6286 §2.3).
pub(crate) fn wins(local: &LocalConfig, peer: &Negotiated) -> bool {
    let ours_is_higher =
        (local.router_id.get(), peer.own_asn.get()) > (peer.router_id.get(), peer.asn.get());
    match peer.conn {
        Conn::Outgoing(_) => ours_is_higher,
        Conn::Incoming(_) => !ours_is_higher,
    }
}

//! The machines' values as the API shows them.

use std::time::Duration;

use bfd::Hop;
use bgp_packet::{Attributes, Capability, FamilyFlags};
use bgp_policy::{CommunityKind, ExtendedPattern, Policy};
use bgp_session::{
    AsnMatch, By, Conn, Counters, FailureReport, Negotiated, State, capability_words,
};
use bgp_speaker::{PeerSnapshot, PeerSource, RouteView, TableRow, Traffic};
use inet::{Family, Prefix};
use node_api::v1;
use route_table::{KernelTarget, Leg, LinkIndex, RouteState};

use super::bfd_task::Standing;
use super::clock::Clock;
use super::installs::AGGREGATES;
use super::keys;
use super::place::Place;
use super::tables;

/// How many capabilities of an OPEN are shown.
const MOST_CAPABILITIES: usize = 64;

/// A peer.
pub(super) fn neighbor(clock: &Clock, peer: &PeerSnapshot) -> v1::Neighbor {
    let PeerSnapshot { owner, config, status, wanted, .. } = peer;
    let negotiated = status.negotiated.as_deref();
    let session = negotiated.map(|negotiated| session(peer, negotiated));
    let families = peer.families.iter().filter(|(family, _)| config.families.contains(family)).map(
        |(family, counts)| v1::FamilyStatus {
            family: family.to_string(),
            negotiated: negotiated.is_some_and(|n| n.families.contains(family)),
            received: counts.received.received.into(),
            accepted: counts.received.accepted.into(),
            advertised: counts.sent.into(),
            stale: counts.received.stale.into(),
            left_out: counts.received.left_out.into(),
            max_prefixes: counts.max_prefixes.map_or(0, |max| max.limit.into()),
        },
    );
    let policies = |policy: &Option<Policy>| -> Vec<String> {
        let names = policy.iter().flat_map(Policy::definitions);
        names.map(|(name, _)| name.to_owned()).collect()
    };
    let mut shown = v1::Neighbor {
        name: config.name.clone().unwrap_or_else(|| wanted.key().to_string()),
        address: wanted.key().to_string(),
        // Of a peer that may have one of several, the one that it has.
        asn: match (negotiated, &config.asn_match) {
            (Some(negotiated), _) => negotiated.asn.get(),
            (None, AsnMatch::Exactly) => config.asn.get(),
            (None, AsnMatch::External | AsnMatch::Internal | AsnMatch::Ranges(_)) => 0,
        },
        owner: owner.clone(),
        state: state(status.state) as i32,
        since: clock.unix(status.since),
        last_error: peer.last_failure.as_ref().map(|last| error(clock, last)),
        session,
        flaps: status.flaps,
        families: families.collect(),
        groups: config.groups.iter().cloned().collect(),
        passive: config.passive,
        idle_reason: status.idle.map(|idle| idle.reason.to_string()).unwrap_or_default(),
        idle_until: status.idle.and_then(|idle| idle.until).map_or(0, |at| clock.unix(at)),
        interface: wanted.tcp.interface.map(|link| link.to_string()).unwrap_or_default(),
        import: policies(&wanted.rules.import),
        export: policies(&wanted.rules.export),
        authentication: keys::authentication(&wanted.tcp).to_owned(),
        tcp_ao_keys: keys::shown(wanted.tcp.ao.as_ref()),
        minimum_ttl: wanted.tcp.min_ttl().map_or(0, u32::from),
        dynamic: match peer.source {
            PeerSource::Dynamic(prefix) => prefix.to_string(),
            PeerSource::Configured | PeerSource::Unnumbered(_) => String::new(),
        },
        established: status.established,
        connect_retries: status.connect_retries,
        configured_hold_time: config.hold_time.into(),
        capabilities_sent: offered(&status.offered),
        capabilities_received: offered(&status.received_capabilities),
        ..Default::default()
    };
    traffic(&peer.traffic(), &mut shown);
    shown
}

/// Lays a peer's traffic over what it was before.
pub(super) fn traffic(traffic: &Traffic, to: &mut v1::Neighbor) {
    let Traffic { received, sent, waiting } = traffic;
    (to.received, to.sent) = (Some(messages(received)), Some(messages(sent)));
    to.queued_bytes = *waiting as u64;
    if let Some(session) = &mut to.session {
        (session.messages_in, session.messages_out) = (received.total(), sent.total());
        (session.updates_in, session.updates_out) = (received.update, sent.update);
    }
}

/// What an OPEN has offered; a peer may say much.
fn offered(capabilities: &[Capability]) -> Vec<String> {
    let mut names: Vec<String> =
        capabilities.iter().take(MOST_CAPABILITIES).map(capability_words).collect();
    let more = capabilities.len().saturating_sub(MOST_CAPABILITIES);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

fn session(peer: &PeerSnapshot, negotiated: &Negotiated) -> v1::Session {
    v1::Session {
        local_address: peer.local.map(|address| address.to_string()).unwrap_or_default(),
        remote_router_id: negotiated.router_id.to_string(),
        hold_time: negotiated.hold_time.into(),
        keepalive_time: negotiated.keepalive_time.into(),
        capabilities: capabilities(negotiated),
        by: match negotiated.conn {
            Conn::Outgoing(_) => v1::By::Us as i32,
            Conn::Incoming(_) => v1::By::Peer as i32,
        },
        remote_asn: negotiated.asn.get(),
        local_asn: negotiated.own_asn.get(),
        send_hold_time: negotiated.send_hold_time,
        remote_role: negotiated.role.map(|role| role.to_string()).unwrap_or_default(),
        restart_time: negotiated.graceful_restart.as_ref().map(|gr| gr.restart_time.into()),
        ..Default::default()
    }
}

fn messages(counters: &Counters) -> v1::Messages {
    let Counters { open, update, notification, keepalive, route_refresh } = *counters;
    v1::Messages { open, update, notification, keepalive, route_refresh }
}

fn error(clock: &Clock, last: &FailureReport) -> v1::SessionError {
    let notification = last.notification.as_ref();
    let subcode = notification.and_then(|n| n.subcode_words);
    let data = notification.map(|n| n.data.as_slice()).unwrap_or_default();
    v1::SessionError {
        message: last.words.clone(),
        by: match last.by {
            By::Us => v1::By::Us,
            By::Peer => v1::By::Peer,
            By::Network => v1::By::Network,
        }
        .into(),
        at: clock.unix(last.at),
        code: notification.map_or(0, |n| n.code.into()),
        subcode: notification.map_or(0, |n| n.subcode.into()),
        code_words: notification.map_or("", |n| n.code_words).to_owned(),
        subcode_words: subcode.unwrap_or_default().to_owned(),
        data: data.iter().map(|byte| format!("{byte:02x}")).collect(),
        details: last.details.iter().map(ToString::to_string).collect(),
        state: state(last.state).into(),
    }
}

/// How BFD with a peer stands.
pub(super) fn bfd(clock: &Clock, standing: &Standing, hop: Hop) -> v1::BfdStatus {
    let multihop = hop == Hop::Multi;
    let status = match standing {
        Standing::Session(status) => status,
        Standing::Without(error) => {
            return v1::BfdStatus { multihop, error: error.clone(), ..Default::default() };
        }
    };
    let millis = |time: Option<Duration>| {
        time.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
    };
    v1::BfdStatus {
        state: format!("{:?}", status.state),
        remote_state: format!("{:?}", status.remote_state),
        since: clock.unix(status.since),
        diagnostic: status.diagnostic.to_string(),
        remote_diagnostic: status.remote_diagnostic.to_string(),
        multihop,
        transmit_interval: millis(status.transmit_interval),
        detection_time: millis(status.detection_time),
        packets_sent: status.counters.sent,
        packets_received: status.counters.received,
        ups: status.counters.ups,
        downs: status.counters.downs,
        error: String::new(),
    }
}

pub(super) fn state(state: State) -> v1::SessionState {
    match state {
        State::Idle => v1::SessionState::Idle,
        State::Connect => v1::SessionState::Connect,
        State::Active => v1::SessionState::Active,
        State::OpenSent => v1::SessionState::OpenSent,
        State::OpenConfirm => v1::SessionState::OpenConfirm,
        State::Established => v1::SessionState::Established,
    }
}

fn capabilities(negotiated: &Negotiated) -> Vec<String> {
    let families = negotiated.families.iter().map(|family| format!("{family}-unicast"));
    let options = &negotiated.options;
    let flags = [
        (options.four_octet_as, "four-octet-as"),
        (options.extended_message, "extended-message"),
        (options.ipv4_over_ipv6, "extended-next-hop"),
        (options.add_path_receive != FamilyFlags::NONE, "add-path-receive"),
        (options.add_path_send != FamilyFlags::NONE, "add-path-send"),
        (negotiated.route_refresh, "route-refresh"),
        (negotiated.enhanced_refresh, "enhanced-route-refresh"),
        (negotiated.graceful_restart.is_some(), "graceful-restart"),
        (!negotiated.long_lived.is_empty(), "long-lived-graceful-restart"),
        (negotiated.role.is_some(), "role"),
    ];
    let flags = flags.into_iter().filter(|(has, _)| *has).map(|(_, name)| name.to_owned());
    families.chain(flags).collect()
}

/// A path of a table.
pub(super) fn route(prefix: &Prefix, view: &RouteView) -> v1::Route {
    let (best, multipath, reason) = tables::words(Some(&view.state));
    let neighbor = view.peer.map(|address| address.to_string()).unwrap_or_default();
    let path = path(prefix, &view.attributes);
    v1::Route {
        neighbor,
        source: view.source.to_string(),
        best,
        multipath,
        reason,
        stale: view.stale,
        path_id: view.path_id.0,
        weight: view.weight,
        discard: view.discard,
        ..path
    }
}

/// A row of a page. Of what is sent, the neighbor is not said: it is the one asked for.
pub(super) fn row(row: &TableRow) -> v1::Route {
    let (best, multipath, reason) = tables::words(row.state.as_ref());
    let neighbor = row.peer.filter(|_| row.state.is_some());
    v1::Route {
        neighbor: neighbor.map(|address| address.to_string()).unwrap_or_default(),
        source: row.source.map(|source| source.to_string()).unwrap_or_default(),
        best,
        multipath,
        reason,
        stale: row.stale,
        path_id: row.path_id.0,
        weight: row.weight,
        discard: row.discard,
        ..path(&row.prefix, &row.attributes)
    }
}

/// A prefix with its attributes.
pub(super) fn path(prefix: &Prefix, attributes: &Attributes) -> v1::Route {
    let communities = attributes.communities.iter();
    let large = attributes.large_communities.iter();
    let aggregator = attributes.aggregator;
    v1::Route {
        prefix: prefix.to_string(),
        next_hop: attributes.next_hop.address.to_string(),
        origin: attributes.origin.to_string(),
        as_path: attributes.as_path.to_string(),
        local_pref: attributes.local_pref,
        med: attributes.med,
        communities: communities.map(|c| format!("{}:{}", c >> 16, c & 0xFFFF)).collect(),
        large_communities: large.map(|[a, b, c]| format!("{a}:{b}:{c}")).collect(),
        extended_communities: attributes
            .extended_communities
            .iter()
            .map(|c| format!("{:016x}", u64::from_be_bytes(*c)))
            .collect(),
        extended_communities_text: attributes
            .extended_communities
            .iter()
            .map(ExtendedPattern::write)
            .collect(),
        originator: attributes.originator_id.map(|id| id.to_string()).unwrap_or_default(),
        cluster_list: attributes.cluster_list.iter().map(ToString::to_string).collect(),
        only_to_customer: attributes.only_to_customer.map(|asn| asn.get()),
        aggregator: aggregator.map(|(asn, id)| format!("{asn} {id}")).unwrap_or_default(),
        atomic_aggregate: attributes.atomic_aggregate,
        ..Default::default()
    }
}

/// A prefix of the FIB, whose routes are in this place. `name_of` names links.
pub(super) fn fib(
    view: &route_table::RouteView,
    place: Place,
    name_of: impl Fn(LinkIndex) -> String,
) -> v1::FibEntry {
    let error = match view.state {
        RouteState::Installed => String::new(),
        RouteState::Pending => "pending".to_owned(),
        RouteState::Unresolved => "next-hop-unresolved".to_owned(),
        RouteState::Blocked => "foreign-route".to_owned(),
        RouteState::Failed(errno) => std::io::Error::from_raw_os_error(errno.0).to_string(),
        RouteState::Stale => "stale".to_owned(),
        RouteState::NotInstalled => "not-written".to_owned(),
    };
    v1::FibEntry {
        prefix: view.prefix.to_string(),
        next_hops: next_hops(view.wanted.as_ref(), &name_of),
        source: match view.winner {
            Some((AGGREGATES, _)) => "aggregate".to_owned(),
            Some(_) => "bgp".to_owned(),
            None => String::new(),
        },
        table: place.table,
        installed: matches!(view.state, RouteState::Installed | RouteState::Stale),
        error,
        kernel_next_hops: next_hops(view.actual.as_ref(), &name_of),
        object: view.object.map_or(0, |object| object.0),
        metric: place.metric,
        distance: view.winner.map_or(0, |(_, distance)| distance.into()),
    }
}

/// Where a route leads, one text for each leg.
fn next_hops(target: Option<&KernelTarget>, name_of: &impl Fn(LinkIndex) -> String) -> Vec<String> {
    let leg = |leg: &Leg| {
        let weight = if leg.weight == 1 { String::new() } else { format!("*{}", leg.weight) };
        match leg.gateway {
            Some(gateway) => format!("{gateway}%{}{weight}", name_of(leg.link)),
            None => format!("{}{weight}", name_of(leg.link)),
        }
    };
    match target {
        Some(KernelTarget::Legs(legs)) => legs.iter().map(leg).collect(),
        Some(KernelTarget::Blackhole) => vec!["blackhole".to_owned()],
        Some(KernelTarget::Unreachable) => vec!["unreachable".to_owned()],
        Some(KernelTarget::Prohibit) => vec!["prohibit".to_owned()],
        None => Vec::new(),
    }
}

/// The family that a request names; IPv4 when it names none.
pub(super) fn family(text: &str) -> Result<Family, inet::PrefixError> {
    if text.is_empty() { Ok(Family::Ipv4) } else { text.parse() }
}

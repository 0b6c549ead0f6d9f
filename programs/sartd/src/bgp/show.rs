//! The machines' values as the API shows them.

use bgp_packet::Attributes;
use bgp_session::{Conn, Failure, Negotiated, State};
use bgp_speaker::{PathState, PeerSnapshot, RouteView};
use inet::{Family, Prefix};
use node_api::v1;
use route_table::{KernelTarget, LinkIndex, RouteState};

use super::clock::Clock;

/// A peer.
pub(super) fn neighbor(clock: &Clock, peer: &PeerSnapshot) -> v1::Neighbor {
    let PeerSnapshot { owner, config, status, local, families } = peer;
    let last_error = status.last_failure.as_ref().map(|last| v1::SessionError {
        message: last.failure.to_string(),
        by: by(&last.failure) as i32,
        at: clock.unix(last.at),
    });
    let negotiated = status.negotiated.as_deref();
    let session = negotiated.map(|negotiated| v1::Session {
        local_address: local.map(|address| address.to_string()).unwrap_or_default(),
        remote_router_id: negotiated.router_id.to_string(),
        hold_time: negotiated.hold_time.into(),
        keepalive_time: negotiated.keepalive_time.into(),
        capabilities: capabilities(negotiated),
        messages_in: status.received.total(),
        messages_out: status.sent.total(),
        updates_in: status.received.update,
        updates_out: status.sent.update,
        by: match negotiated.conn {
            Conn::Outgoing(_) => v1::By::Us as i32,
            Conn::Incoming(_) => v1::By::Peer as i32,
        },
    });
    let families = families.iter().filter(|(family, _)| config.families.contains(family)).map(
        |(family, counts)| v1::FamilyStatus {
            family: family.to_string(),
            negotiated: negotiated.is_some_and(|n| n.families.contains(family)),
            received: counts.received.received.into(),
            accepted: counts.received.accepted.into(),
            advertised: counts.sent.into(),
            stale: counts.received.stale.into(),
        },
    );
    v1::Neighbor {
        name: config.name.clone().unwrap_or_else(|| config.address.to_string()),
        address: config.address.to_string(),
        asn: config.asn.get(),
        owner: owner.clone(),
        state: state(status.state) as i32,
        since: clock.unix(status.since),
        last_error,
        session,
        flaps: status.flaps,
        families: families.collect(),
        groups: config.groups.iter().cloned().collect(),
        passive: config.passive,
    }
}

fn state(state: State) -> v1::SessionState {
    match state {
        State::Idle => v1::SessionState::Idle,
        State::Connect => v1::SessionState::Connect,
        State::Active => v1::SessionState::Active,
        State::OpenSent => v1::SessionState::OpenSent,
        State::OpenConfirm => v1::SessionState::OpenConfirm,
        State::Established => v1::SessionState::Established,
    }
}

fn by(failure: &Failure) -> v1::By {
    match failure {
        Failure::Sent(_) | Failure::Stopped => v1::By::Us,
        Failure::Received(_) | Failure::PeerRestarted => v1::By::Peer,
        Failure::TcpClosed(reason) if reason.is_empty() => v1::By::Peer,
        Failure::TcpClosed(_) | Failure::TcpFailed(_) => v1::By::Network,
    }
}

fn capabilities(negotiated: &Negotiated) -> Vec<String> {
    let families = negotiated.families.iter().map(|family| format!("{family}-unicast"));
    let flags = [
        (negotiated.options.four_octet_as, "four-octet-as"),
        (negotiated.options.extended_message, "extended-message"),
        (negotiated.route_refresh, "route-refresh"),
        (negotiated.enhanced_refresh, "enhanced-route-refresh"),
        (negotiated.graceful_restart.is_some(), "graceful-restart"),
    ];
    let flags = flags.into_iter().filter(|(has, _)| *has).map(|(_, name)| name.to_owned());
    families.chain(flags).collect()
}

/// A path of a table.
pub(super) fn route(prefix: &Prefix, view: &RouteView<'_>) -> v1::Route {
    let (best, multipath, reason) = match view.state {
        PathState::Best(step) => (true, false, step.to_string()),
        PathState::Multipath => (false, true, String::new()),
        PathState::Lost(step) => (false, false, step.to_string()),
        PathState::Ineligible(why) => (false, false, why.to_string()),
    };
    let neighbor = view.peer.map(|address| address.to_string()).unwrap_or_default();
    let path = path(prefix, view.attributes);
    v1::Route { neighbor, best, multipath, reason, stale: view.stale, ..path }
}

/// A prefix with its attributes.
pub(super) fn path(prefix: &Prefix, attributes: &Attributes) -> v1::Route {
    let communities = attributes.communities.iter();
    let large = attributes.large_communities.iter();
    v1::Route {
        prefix: prefix.to_string(),
        next_hop: attributes.next_hop.address.to_string(),
        origin: attributes.origin.to_string(),
        as_path: attributes.as_path.to_string(),
        local_pref: attributes.local_pref,
        med: attributes.med,
        communities: communities.map(|c| format!("{}:{}", c >> 16, c & 0xFFFF)).collect(),
        large_communities: large.map(|[a, b, c]| format!("{a}:{b}:{c}")).collect(),
        ..Default::default()
    }
}

/// A prefix of the FIB. `name_of` names links.
pub(super) fn fib(
    view: &route_table::RouteView,
    table: u32,
    name_of: impl Fn(LinkIndex) -> String,
) -> v1::FibEntry {
    let target = view.wanted.as_ref().or(view.actual.as_ref());
    let next_hops = match target {
        Some(KernelTarget::Legs(legs)) => legs
            .iter()
            .map(|leg| match leg.gateway {
                Some(gateway) => format!("{gateway}%{}", name_of(leg.link)),
                None => name_of(leg.link),
            })
            .collect(),
        Some(KernelTarget::Blackhole) => vec!["blackhole".to_owned()],
        Some(KernelTarget::Unreachable) => vec!["unreachable".to_owned()],
        None => Vec::new(),
    };
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
        next_hops,
        source: if view.winner.is_some() { "bgp".to_owned() } else { String::new() },
        table,
        installed: matches!(view.state, RouteState::Installed | RouteState::Stale),
        error,
    }
}

/// The family that a request names; IPv4 when it names none.
pub(super) fn family(text: &str) -> Result<Family, inet::PrefixError> {
    if text.is_empty() { Ok(Family::Ipv4) } else { text.parse() }
}

//! The driver's small language: texts to values and back.

use inet::{NextHop, Prefix, RouteTarget};

use super::driver::{METRIC, PROTOCOL};
use crate::*;

/// What a route of ours in the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Direct(KernelTarget),
    Via(ObjectId),
}

pub(super) fn own_route(prefix: Prefix, own: &Own) -> KernelRoute {
    let (target, object) = match own {
        Own::Direct(target) => (target.clone(), None),
        Own::Via(id) => (KernelTarget::Legs(Vec::new()), Some(*id)),
    };
    KernelRoute { prefix, table: 254, protocol: PROTOCOL, metric: METRIC, target, object }
}

pub(super) fn link(index: u32, up: bool) -> Link {
    let name = format!("eth{index}").parse().unwrap();
    Link { index: LinkIndex(index), name, up, master: None, vrf_table: None }
}

pub(super) fn is_part(part: &KernelTarget, whole: &KernelTarget) -> bool {
    match (part, whole) {
        (KernelTarget::Legs(part), KernelTarget::Legs(whole)) => {
            part.iter().all(|leg| whole.contains(leg))
        }
        (part, whole) => part == whole,
    }
}

pub(super) fn news(verb: &str) -> RouteNews {
    match verb.as_bytes().last() {
        Some(b'=') => RouteNews::Replaced,
        Some(b'-') => RouteNews::Removed,
        _ => RouteNews::Added,
    }
}

pub(super) fn source_of(name: &str) -> (SourceId, u8) {
    match name {
        "static" => (SourceId(1), 1),
        "aggregate" => (SourceId::AGGREGATES, 200),
        _ => (SourceId(2), 20),
    }
}

/// `blackhole`, `unreachable`, or legs `gateway%link` or `%link` with commas.
pub(super) fn target_of(text: &str) -> KernelTarget {
    let leg = |leg: &str| {
        let (gateway, link) = leg.split_once('%').unwrap();
        let gateway = (!gateway.is_empty()).then(|| gateway.parse().unwrap());
        let (link, weight) = link.split_once('*').unwrap_or((link, "1"));
        let weight = weight.parse().unwrap();
        Leg { gateway, link: LinkIndex(link.parse().unwrap()), weight }
    };
    match text {
        "blackhole" => KernelTarget::Blackhole,
        "unreachable" => KernelTarget::Unreachable,
        "prohibit" => KernelTarget::Prohibit,
        legs => KernelTarget::Legs(legs.split(',').map(leg).collect()),
    }
}

/// `-`, `blackhole`, `unreachable`, `dev=NAME` or next hops with commas.
pub(super) fn wanted_of(text: &str) -> Option<RouteTarget> {
    match text {
        "-" => None,
        "blackhole" => Some(RouteTarget::Blackhole),
        "unreachable" => Some(RouteTarget::Unreachable),
        text => Some(match text.strip_prefix("dev:") {
            Some(name) => RouteTarget::Link(name.parse().unwrap()),
            None => RouteTarget::Via(text.split(',').map(hop_of).collect()),
        }),
    }
}

pub(super) fn hop_of(text: &str) -> NextHop {
    match text.split_once('%') {
        None => NextHop::from(text.parse::<std::net::IpAddr>().unwrap()),
        Some((address, name)) => NextHop {
            interface: Some(name.parse().unwrap()),
            ..NextHop::from(address.parse::<std::net::IpAddr>().unwrap())
        },
    }
}

pub(super) fn show(target: &KernelTarget) -> String {
    match target {
        KernelTarget::Blackhole => "blackhole".into(),
        KernelTarget::Unreachable => "unreachable".into(),
        KernelTarget::Prohibit => "prohibit".into(),
        KernelTarget::Legs(legs) => {
            legs.iter().map(Leg::to_string).collect::<Vec<String>>().join(",")
        }
    }
}

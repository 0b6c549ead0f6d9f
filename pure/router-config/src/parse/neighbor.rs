//! Peers: by address, by interface, by prefix, and the templates that they share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use inet::{Asn, Family, Prefix, Secret};

use super::{ao, sessions};
use crate::fields::{Fields, Kind, Report};
use crate::peer::{AsnMatch, DynamicNeighbors, Neighbor, NextHopMode, Unnumbered};
use crate::problem::{Place, Reason};
use crate::tree::{Node, Value, place};

/// All peers of a document.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) neighbors: Vec<Neighbor>,
    pub(super) unnumbered: Vec<Unnumbered>,
    pub(super) dynamic: Vec<DynamicNeighbors>,
}

type Templates<'n> = BTreeMap<&'n str, &'n Node>;

pub(super) fn peers(f: &mut Fields<'_>, r: &mut Report<'_>) -> Peers {
    let templates = f.take("templates").map(|n| templates(n, r)).unwrap_or_default();
    let mut peers = Peers::default();
    let mut seen = Seen::default();
    for item in f.take("neighbors").map(|n| r.list(n, "neighbors")).unwrap_or_default() {
        let before = r.problems.len();
        let Some(mut f) = fields(item, "a neighbor", &templates, r) else {
            continue;
        };
        let interface = f.take("interface").and_then(|n| r.read(n, "interface", str::parse));
        let address = match (interface, f.take("address")) {
            (Some(interface), None) => Err(interface),
            (interface, Some(n)) => Ok(peer_address(n, interface.is_some(), r)),
            (None, None) => {
                let message = "`address` or `interface` is missing";
                r.add(f.place(), Reason::Missing, message);
                Ok(None)
            }
        };
        let at = place(item);
        match address {
            Ok(address) => {
                // Read on with a stand-in, so that the problems of the other keys are found too.
                let mut neighbor = settings(&mut f, address.unwrap_or(Neighbor::NO_ADDRESS), r);
                neighbor.interface = interface;
                f.finish(&[], r);
                if r.problems.len() == before {
                    seen.key(format!("neighbor {}", neighbor.scoped_address()), at, r);
                    seen.name(neighbor.name.as_deref(), at, r);
                    peers.neighbors.push(neighbor);
                }
            }
            Err(interface) => {
                let settings = settings(&mut f, Neighbor::NO_ADDRESS, r);
                f.finish(&[], r);
                if r.problems.len() == before {
                    seen.key(format!("neighbor on {interface}"), at, r);
                    seen.name(settings.name.as_deref(), at, r);
                    peers.unnumbered.push(Unnumbered { interface, settings });
                }
            }
        }
    }
    for item in f.take("dynamic_neighbors").map(|n| r.list(n, "dynamic_neighbors")).unwrap_or(&[]) {
        let before = r.problems.len();
        let Some(mut f) = fields(item, "dynamic neighbors", &templates, r) else {
            continue;
        };
        let prefix = f.need("prefix", r).and_then(|n| r.read(n, "prefix", str::parse::<Prefix>));
        let limit = f.take("limit").and_then(|n| r.number(n, "limit", 1..=100_000));
        let settings = settings(&mut f, Neighbor::NO_ADDRESS, r);
        f.finish(&[], r);
        if let (Some(prefix), true) = (prefix, r.problems.len() == before) {
            seen.key(format!("dynamic neighbors {prefix}"), place(item), r);
            seen.name(settings.name.as_deref(), place(item), r);
            peers.dynamic.push(DynamicNeighbors { prefix, limit, settings });
        }
    }
    peers
}

/// Keys and names that must not be there twice.
#[derive(Default)]
struct Seen {
    keys: BTreeMap<String, Place>,
    names: BTreeMap<String, Place>,
}

impl Seen {
    fn key(&mut self, key: String, at: Place, r: &mut Report<'_>) {
        let message = format!("{key} is there twice");
        if let Some(first) = self.keys.insert(key, at) {
            r.add(at, Reason::Doubled, format!("{message}, first on line {}", first.line));
        }
    }

    fn name(&mut self, name: Option<&str>, at: Place, r: &mut Report<'_>) {
        if let Some(name) = name
            && let Some(first) = self.names.insert(name.to_owned(), at)
        {
            let message = format!("the name {name:?} is there twice, first on line {}", first.line);
            r.add(at, Reason::Doubled, message);
        }
    }
}

/// Templates by name; each is checked, used or not.
fn templates<'n>(node: &'n Node, r: &mut Report<'_>) -> Templates<'n> {
    let mut templates = Templates::new();
    let Some(f) = r.fields(node, "templates") else {
        return templates;
    };
    for (name, node) in f.into_entries() {
        templates.insert(&name.value, node);
        let Some(mut f) = r.fields(node, "a template") else {
            continue;
        };
        // A template need not have an AS number; its peers must.
        let asn = f.take("asn");
        asn.and_then(|n| asn_match(n, r));
        common(&mut f, &mut Neighbor::new(Neighbor::NO_ADDRESS, Asn::TRANS), r);
        f.finish(&[], r);
    }
    templates
}

/// A peer's keys, with those of its template where it has none itself.
fn fields<'n>(
    node: &'n Node,
    what: &str,
    templates: &Templates<'n>,
    r: &mut Report<'_>,
) -> Option<Fields<'n>> {
    let mut f = r.fields(node, what)?;
    if let Some(n) = f.take("template")
        && let Some(name) = r.string(n, "template")
    {
        match templates.get(name.as_str()) {
            Some(template) => f.inherit(template),
            None => {
                let message = format!("template: there is no template {name:?}");
                r.add(place(n), Reason::BadValue, message);
            }
        }
    }
    Some(f)
}

fn settings(f: &mut Fields<'_>, address: IpAddr, r: &mut Report<'_>) -> Neighbor {
    let asn = f.need("asn", r).and_then(|n| asn_match(n, r));
    let (asn, matches) = asn.unwrap_or((Asn::TRANS, AsnMatch::Exactly));
    let mut neighbor = Neighbor::new(address, asn);
    neighbor.asn_match = matches;
    neighbor.name = f.take("name").and_then(|n| {
        // It is shown in tables, and logged.
        let name = r.string(n, "name")?;
        if name.chars().any(char::is_control) {
            let message = format!("name: {name:?} is not one line of text");
            r.add(place(n), Reason::BadValue, message);
            return None;
        }
        Some(name)
    });
    common(f, &mut neighbor, r);
    neighbor
}

/// The keys that a template may have too, but `asn`.
fn common(f: &mut Fields<'_>, neighbor: &mut Neighbor, r: &mut Report<'_>) {
    neighbor.router_id = f.take("router_id").and_then(|n| r.read(n, "router_id", str::parse));
    neighbor.port = f.take("port").and_then(|n| r.number(n, "port", 1..=u16::MAX));
    neighbor.passive = f.take("passive").and_then(|n| r.bool(n, "passive"));
    local_address(f, neighbor, r);
    neighbor.ebgp_multihop = f.take("ebgp_multihop").and_then(|n| match n.value {
        Value::Bool(true) => Some(u8::MAX),
        Value::Bool(false) => None,
        Value::Null
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => r.number(n, "ebgp_multihop", 1..=u8::MAX),
    });
    if let Some(n) = f.take("ttl_security") {
        neighbor.ttl_security = r.number(n, "ttl_security", 1..=254);
        if neighbor.ebgp_multihop.is_some() {
            let message = "ttl_security: it goes not together with `ebgp_multihop`";
            r.add(place(n), Reason::BadValue, message);
        }
    }
    if let Some(n) = f.take("password") {
        neighbor.password = secret(n, "password", r);
    }
    if let Some(n) = f.take("password_file") {
        neighbor.password_file = r.string(n, "password_file");
        if neighbor.password.is_some() {
            let message = "password_file: it goes not together with `password`";
            r.add(place(n), Reason::BadValue, message);
        }
    }
    ao::read(f, neighbor, r);
    sessions::read(f, neighbor, r);
    if let Some(n) = f.take("allow_own_as") {
        neighbor.allow_own_as = r.number(n, "allow_own_as", 0..=10);
    }
    neighbor.accept_as_sets = f.take("accept_as_sets").and_then(|n| r.bool(n, "accept_as_sets"));
    neighbor.as_override = f.take("as_override").and_then(|n| r.bool(n, "as_override"));
    neighbor.remove_private_as =
        f.take("remove_private_as").and_then(|n| r.bool(n, "remove_private_as"));
    next_hop(f, neighbor, r);
    neighbor.route_reflector_client =
        f.take("route_reflector_client").and_then(|n| r.bool(n, "route_reflector_client"));
    neighbor.import = f.take("import").map(|n| policies(n, "import", r)).unwrap_or_default();
    neighbor.export = f.take("export").map(|n| policies(n, "export", r)).unwrap_or_default();
    neighbor.groups = f.take("groups").map(|n| r.strings(n, "groups")).unwrap_or_default();
}

/// `address` may be a link-local one when the interface is given.
fn peer_address(node: &Node, on_interface: bool, r: &mut Report<'_>) -> Option<IpAddr> {
    let address: IpAddr = r.parsed(node, "address", "an address")?;
    let refused = match address {
        a if a.is_unspecified() || a.is_multicast() => "no host has this address",
        IpAddr::V4(a) if a.is_broadcast() => "no host has this address",
        IpAddr::V6(a) if a.is_unicast_link_local() && !on_interface => {
            "a link-local address needs an `interface`"
        }
        IpAddr::V6(a) if a.to_ipv4_mapped().is_some() => "write it as an IPv4 address",
        IpAddr::V4(_) | IpAddr::V6(_) => return Some(address),
    };
    r.add(place(node), Reason::BadValue, format!("address: {address}: {refused}"));
    None
}

fn local_address(f: &mut Fields<'_>, neighbor: &mut Neighbor, r: &mut Report<'_>) {
    let Some(n) = f.take("local_address") else {
        return;
    };
    neighbor.local_address = r.parsed(n, "local_address", "an address");
    let peer = neighbor.address;
    if let Some(local) = neighbor.local_address
        && peer != Neighbor::NO_ADDRESS
        && Family::of(&local) != Family::of(&peer)
    {
        let message = format!("local_address: {local} is not of the family of {peer}");
        r.add(place(n), Reason::BadValue, message);
    }
}

/// A number, `external`, `internal`, a range, or a list of numbers and ranges.
fn asn_match(node: &Node, r: &mut Report<'_>) -> Option<(Asn, AsnMatch)> {
    if let Value::List(_) = node.value {
        let items = r.items(node, "asn");
        let ranges: Vec<_> = items.iter().filter_map(|n| r.read(n, "asn", asn_range)).collect();
        return (!ranges.is_empty()).then_some((Asn::TRANS, AsnMatch::Ranges(ranges)));
    }
    r.read(node, "asn", |text| match text {
        "external" => Ok((Asn::TRANS, AsnMatch::External)),
        "internal" => Ok((Asn::TRANS, AsnMatch::Internal)),
        _ if text.contains("..") => Ok((Asn::TRANS, AsnMatch::Ranges(vec![asn_range(text)?]))),
        _ => text
            .parse()
            .map(|asn| (asn, AsnMatch::Exactly))
            .map_err(|error: inet::AsnError| error.to_string()),
    })
}

fn asn_range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let number =
        |text: &str| text.trim().parse::<Asn>().map(Asn::get).map_err(|error| error.to_string());
    let (min, max) = (number(min)?, number(max)?);
    if min > max {
        return Err(format!("the range {min}..{max} ends before it begins"));
    }
    Ok(min..=max)
}

/// The key itself never stands in a problem.
pub(super) fn secret(node: &Node, key: &str, r: &mut Report<'_>) -> Option<Secret> {
    let secret = match &node.value {
        Value::Text(text) => Secret::new(text).ok(),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::List(_)
        | Value::Map(_) => None,
    };
    if secret.is_none() {
        let message = format!(
            "{key}: it is not a text of 1 to {} octets; a number stands in quotes",
            Secret::MAX
        );
        r.add(place(node), Reason::BadValue, message);
    }
    secret
}

/// `next_hop: auto|self|unchanged`, or `next_hop_self: true`.
fn next_hop(f: &mut Fields<'_>, neighbor: &mut Neighbor, r: &mut Report<'_>) {
    neighbor.next_hop = f.take("next_hop").and_then(|n| {
        r.read(n, "next_hop", |text| match text {
            "auto" => Ok(NextHopMode::Auto),
            "self" => Ok(NextHopMode::Own),
            "unchanged" => Ok(NextHopMode::Unchanged),
            _ => Err(format!("{text:?} is not auto, self or unchanged")),
        })
    });
    let Some(n) = f.take("next_hop_self") else {
        return;
    };
    match (r.bool(n, "next_hop_self"), neighbor.next_hop) {
        (Some(true), None) => neighbor.next_hop = Some(NextHopMode::Own),
        (Some(true), Some(_)) => {
            let message = "next_hop_self: it goes not together with `next_hop`";
            r.add(place(n), Reason::BadValue, message);
        }
        (Some(false) | None, _) => {}
    }
}

fn policies(node: &Node, key: &'static str, r: &mut Report<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for n in r.items(node, key) {
        let Some(name) = r.string(n, key) else {
            continue;
        };
        r.refer(n, key, Kind::Policy, &name);
        if names.contains(&name) {
            r.add(place(n), Reason::Doubled, format!("{key}: {name:?} is there twice"));
        }
        names.push(name);
    }
    names
}

/// A set of families, from a list.
pub(super) fn families(node: &Node, r: &mut Report<'_>) -> Option<BTreeSet<Family>> {
    let mut set = BTreeSet::new();
    for item in r.list(node, "families") {
        let family = r.read(item, "families", str::parse::<Family>)?;
        if !set.insert(family) {
            r.add(place(item), Reason::Doubled, format!("families: {family} is there twice"));
        }
    }
    if set.is_empty() {
        r.add(place(node), Reason::BadValue, "families: at least one is needed");
    }
    Some(set)
}

/// A value that is `true`, `false` or something else: the first two as they are.
pub(super) fn switch(node: &Node) -> Option<bool> {
    match node.value {
        Value::Bool(on) => Some(on),
        Value::Null
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

/// Notes that `key` at `node` needs something else.
pub(super) fn bad(node: &Node, key: &str, problem: impl Display, r: &mut Report<'_>) {
    r.add(place(node), Reason::BadValue, format!("{key}: {problem}"));
}

//! Policies and their lists.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use bgp_policy::{
    Action, Adjust, CommunityEdit, CommunityKind, CommunityPattern, Conditions, Definition,
    Definitions, NextHopChange, NumberRange, PathPattern, PeerTerm, PrefixRange, Prepend,
    PrependAs, Sets, Statement, Term, Terms, Verdict, is_name,
};
use inet::{Family, Prefix};

use crate::fields::{Fields, Kind, Reference, Report};
use crate::problem::Reason;
use crate::text::parse_origin;
use crate::tree::{Node, Value, place};

pub(super) fn definitions(f: &mut Fields<'_>, r: &mut Report<'_>) -> Definitions {
    let prefix_lists = f.take("prefix_lists").map(|n| {
        named(n, "prefix_lists", r, |n, r| {
            r.list(n, "a prefix list").iter().filter_map(|n| prefix_range(n, r)).collect()
        })
    });
    let community_lists = f.take("community_lists").map(|n| {
        named(n, "community_lists", r, |n, r| {
            let list = r.list(n, "a community list").iter();
            list.filter_map(|n| r.read(n, "a community list", str::parse)).collect()
        })
    });
    let as_path_lists = f.take("as_path_lists").map(|n| {
        named(n, "as_path_lists", r, |n, r| {
            let list = r.list(n, "an AS path list").iter();
            list.filter_map(|n| r.read(n, "an AS path list", str::parse)).collect()
        })
    });
    let policies = f.take("policies").map(|n| named(n, "policies", r, policy));
    Definitions {
        prefix_lists: prefix_lists.unwrap_or_default(),
        community_lists: community_lists.unwrap_or_default(),
        as_path_lists: as_path_lists.unwrap_or_default(),
        policies: policies.unwrap_or_default(),
    }
}

/// Refuses names that stand for nothing, or for communities of another kind.
pub(super) fn look_up(definitions: &Definitions, r: &mut Report<'_>) {
    for Reference { place, key, kind, name } in std::mem::take(&mut r.references) {
        let (what, found) = match kind {
            Kind::PrefixList => ("prefix list", definitions.prefix_lists.contains_key(&name)),
            Kind::AsPathList => ("AS path list", definitions.as_path_lists.contains_key(&name)),
            Kind::Policy => ("policy", definitions.policies.contains_key(&name)),
            Kind::CommunityList(is_of_kind) => {
                let list = definitions.community_lists.get(&name);
                if let Some(other) = list.into_iter().flatten().find(|entry| !is_of_kind(entry)) {
                    let message = format!(
                        "{key}: the community list {name:?} has {other}, which is none of `{key}`"
                    );
                    r.add(place, Reason::BadValue, message);
                }
                ("community list", list.is_some())
            }
        };
        if !found {
            r.add(place, Reason::BadValue, format!("{key}: there is no {what} {name:?}"));
        }
    }
}

/// A mapping of names.
fn named<T>(
    node: &Node,
    key: &'static str,
    r: &mut Report<'_>,
    mut read: impl FnMut(&Node, &mut Report<'_>) -> T,
) -> BTreeMap<String, T> {
    let mut map = BTreeMap::new();
    let Some(fields) = r.fields(node, key) else {
        return map;
    };
    for (name, value) in fields.into_entries() {
        if !is_name(&name.value) {
            let message = format!(
                "{key}: {:?} is not a name (a letter, then up to 62 letters, digits, -, _ or .; no well-known community)",
                name.value
            );
            r.add(place(name), Reason::BadValue, message);
        }
        let value = read(value, r);
        map.insert(name.value.clone(), value);
    }
    map
}

fn prefix_range(node: &Node, r: &mut Report<'_>) -> Option<PrefixRange> {
    let Value::Map(_) = node.value else {
        return r.read(node, "a prefix list", str::parse);
    };
    let mut f = r.fields(node, "a prefix list")?;
    let prefix = f.need("prefix", r).and_then(|n| r.read(n, "prefix", str::parse::<Prefix>));
    let ge = f.take("ge").and_then(|n| r.number(n, "ge", 0..=128));
    let le = f.take("le").and_then(|n| r.number(n, "le", 0..=128));
    f.finish(&[], r);
    match PrefixRange::new(prefix?, ge, le) {
        Ok(range) => Some(range),
        Err(error) => {
            r.add(place(node), Reason::BadValue, error.to_string());
            None
        }
    }
}

/// A list of statements, or a mapping that has a default too.
fn policy(node: &Node, r: &mut Report<'_>) -> Definition {
    if let Value::List(list) = &node.value {
        let statements = list.iter().map(|n| statement(n, r)).collect();
        return Definition { statements, default: None };
    }
    let Some(mut f) = r.fields(node, "a policy") else {
        return Definition::default();
    };
    let statements = f.take("statements").map(|n| r.list(n, "statements")).unwrap_or_default();
    let statements = statements.iter().map(|n| statement(n, r)).collect();
    let default = f.take("default").and_then(|n| {
        r.read(n, "default", |text| match text {
            "accept" => Ok(Verdict::Accept),
            "reject" => Ok(Verdict::Reject),
            _ => Err(format!("{text:?} is not accept or reject")),
        })
    });
    f.finish(&[], r);
    Definition { statements, default }
}

fn statement(node: &Node, r: &mut Report<'_>) -> Statement {
    let Some(mut f) = r.fields(node, "a statement") else {
        return Statement::default();
    };
    let name = f.take("name").and_then(|n| r.string(n, "name"));
    let conditions = f.take("match").map(|n| conditions(n, r)).unwrap_or_default();
    let set_node = f.take("set");
    let set = set_node.map(|n| sets(n, r)).unwrap_or_default();
    let action_node = f.take("action");
    let action = action_node.and_then(|n| r.read(n, "action", action)).unwrap_or_default();
    match (action, action_node, set_node) {
        (Action::Reject, _, Some(n)) => {
            r.add(place(n), Reason::BadValue, "set: a rejected route is not changed");
        }
        (_, None, None) => {
            r.add(f.place(), Reason::Missing, "a statement without `set` needs an `action`");
        }
        (Action::Accept | Action::Reject | Action::Next, _, _) => {}
    }
    f.finish(&[], r);
    Statement { name, conditions, set, action }
}

fn action(text: &str) -> Result<Action, String> {
    match text {
        "accept" => Ok(Action::Accept),
        "reject" => Ok(Action::Reject),
        "next" => Ok(Action::Next),
        _ => Err(format!("{text:?} is not an action (accept, reject or next)")),
    }
}

fn conditions(node: &Node, r: &mut Report<'_>) -> Conditions {
    let Some(mut fields) = r.fields(node, "match") else {
        return Conditions::default();
    };
    let f = &mut fields;
    let conditions = Conditions {
        prefix: prefixes(f, "prefix", r),
        family: f.take("family").and_then(|n| r.read(n, "family", str::parse::<Family>)),
        next_hop: prefixes(f, "next_hop", r),
        peer: peers(f, "peer", r),
        peer_asn: ranges(f, "peer_asn", r),
        learned_from: peers(f, "learned_from", r),
        source: several(f, "source", r, str::parse),
        origin: several(f, "origin", r, parse_origin),
        local_pref: range(f, "local_pref", r),
        med: range(f, "med", r),
        weight: range(f, "weight", r),
        communities: communities(f, r),
        extended_communities: communities(f, r),
        large_communities: communities(f, r),
        community_count: range(f, "community_count", r),
        as_path: f.take("as_path").map(|n| {
            terms(n, "as_path", Quantifiers::All, r, |n, r| {
                term::<PathPattern>(n, "as_path", Kind::AsPathList, r)
            })
        }),
        as_path_length: range(f, "as_path_length", r),
        as_path_contains: ranges(f, "as_path_contains", r),
        origin_as: ranges(f, "origin_as", r),
        neighbor_as: ranges(f, "neighbor_as", r),
    };
    fields.finish(&[], r);
    conditions
}

/// Which of `any`, `all` and `none` make sense.
#[derive(Clone, Copy, PartialEq)]
enum Quantifiers {
    AnyNone,
    All,
}

/// A list, or a mapping of `any`, `all` and `none`.
fn terms<T>(
    node: &Node,
    key: &'static str,
    quantifiers: Quantifiers,
    r: &mut Report<'_>,
    mut read: impl FnMut(&Node, &mut Report<'_>) -> Option<T>,
) -> Terms<T> {
    let Value::Map(_) = node.value else {
        return Terms::any(r.items(node, key).iter().filter_map(|n| read(n, r)));
    };
    let mut terms = Terms::default();
    let Some(mut f) = r.fields(node, key) else {
        return terms;
    };
    let mut some = |n: Option<&Node>, r: &mut Report<'_>| -> Vec<T> {
        let items = n.map(|n| r.items(n, key)).unwrap_or_default();
        items.iter().filter_map(|n| read(n, r)).collect()
    };
    terms.any = some(f.take("any"), r);
    if quantifiers == Quantifiers::All {
        terms.all = some(f.take("all"), r);
    }
    terms.none = some(f.take("none"), r);
    if matches!(&node.value, Value::Map(map) if map.is_empty()) {
        r.add(place(node), Reason::BadValue, format!("{key}: at least one is needed"));
    }
    f.finish(&[], r);
    terms
}

/// The name of a list, or a value.
fn term<T: FromStr<Err: Display>>(
    node: &Node,
    key: &'static str,
    kind: Kind,
    r: &mut Report<'_>,
) -> Option<Term<T>> {
    let text = r.string(node, key)?;
    if is_name(&text) {
        r.refer(node, key, kind, &text);
        return Some(Term::List(text));
    }
    r.read(node, key, str::parse).map(Term::Value)
}

fn prefixes(
    f: &mut Fields<'_>,
    key: &'static str,
    r: &mut Report<'_>,
) -> Option<Terms<Term<PrefixRange>>> {
    let node = f.take(key)?;
    Some(terms(node, key, Quantifiers::AnyNone, r, |n, r| {
        term::<PrefixRange>(n, key, Kind::PrefixList, r)
    }))
}

fn peers(f: &mut Fields<'_>, key: &'static str, r: &mut Report<'_>) -> Option<Terms<PeerTerm>> {
    let node = f.take(key)?;
    Some(terms(node, key, Quantifiers::AnyNone, r, |n, r| r.read(n, key, str::parse)))
}

fn community_list<K: CommunityKind>() -> Kind {
    Kind::CommunityList(|entry: &CommunityPattern| K::of(entry).is_some())
}

fn communities<K: CommunityKind>(f: &mut Fields<'_>, r: &mut Report<'_>) -> Option<Terms<Term<K>>> {
    let node = f.take(K::KEY)?;
    Some(terms(node, K::KEY, Quantifiers::All, r, |n, r| {
        term::<K>(n, K::KEY, community_list::<K>(), r)
    }))
}

fn several<T, E: Display>(
    f: &mut Fields<'_>,
    key: &'static str,
    r: &mut Report<'_>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let Some(node) = f.take(key) else {
        return Vec::new();
    };
    r.items(node, key).iter().filter_map(|n| r.read(n, key, &parse)).collect()
}

fn ranges(f: &mut Fields<'_>, key: &'static str, r: &mut Report<'_>) -> Vec<NumberRange> {
    several(f, key, r, str::parse)
}

fn range(f: &mut Fields<'_>, key: &'static str, r: &mut Report<'_>) -> Option<NumberRange> {
    let node = f.take(key)?;
    r.read(node, key, str::parse)
}

fn sets(node: &Node, r: &mut Report<'_>) -> Sets {
    let Some(mut f) = r.fields(node, "set") else {
        return Sets::default();
    };
    let sets = Sets {
        local_pref: f.take("local_pref").and_then(|n| adjust(n, "local_pref", false, r)),
        med: f.take("med").and_then(|n| adjust(n, "med", true, r)),
        weight: f.take("weight").and_then(|n| adjust(n, "weight", false, r)),
        origin: f.take("origin").and_then(|n| r.read(n, "origin", parse_origin)),
        next_hop: f.take("next_hop").and_then(|n| r.read(n, "next_hop", next_hop)),
        prepend: f.take("prepend").and_then(|n| prepend(n, r)),
        discard: f.take("discard").and_then(|n| r.bool(n, "discard")),
        communities: edit(&mut f, r),
        extended_communities: edit(&mut f, r),
        large_communities: edit(&mut f, r),
    };
    f.finish(&[], r);
    sets
}

fn adjust(node: &Node, key: &str, removable: bool, r: &mut Report<'_>) -> Option<Adjust> {
    match &node.value {
        Value::Text(text) if removable && text == "remove" => Some(Adjust::Remove),
        Value::Map(_) => {
            let mut f = r.fields(node, key)?;
            let add = f.take("add").and_then(|n| r.number(n, "add", 0..=u32::MAX));
            let subtract = f.take("subtract").and_then(|n| r.number(n, "subtract", 0..=u32::MAX));
            f.finish(&[], r);
            match (add, subtract) {
                (Some(number), None) => Some(Adjust::Add(number)),
                (None, Some(number)) => Some(Adjust::Subtract(number)),
                (Some(_), Some(_)) | (None, None) => {
                    let message = format!("{key}: either `add` or `subtract` is needed");
                    r.add(place(node), Reason::BadValue, message);
                    None
                }
            }
        }
        // It would be read as the number itself.
        Value::Integer(number) if r.has_plus(node) => {
            let message = format!("{key}: to add to it, write {{add: {number}}}");
            r.add(place(node), Reason::BadValue, message);
            None
        }
        Value::Integer(number) if *number < 0 => {
            let message =
                format!("{key}: to take from it, write {{subtract: {}}}", number.unsigned_abs());
            r.add(place(node), Reason::BadValue, message);
            None
        }
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_) => r.number(node, key, 0..=u32::MAX).map(Adjust::Set),
    }
}

fn next_hop(text: &str) -> Result<NextHopChange, String> {
    match text {
        "self" => Ok(NextHopChange::Own),
        "unchanged" => Ok(NextHopChange::Unchanged),
        "peer" => Ok(NextHopChange::Peer),
        _ => match text.parse() {
            Ok(address) => Ok(NextHopChange::Address(address)),
            Err(_) => Err(format!("{text:?} is not an address, self, peer or unchanged")),
        },
    }
}

/// How often our own number, or a number and how often.
fn prepend(node: &Node, r: &mut Report<'_>) -> Option<Prepend> {
    let Value::Map(_) = node.value else {
        let count = r.number(node, "prepend", 1..=Prepend::MAX)?;
        return Some(Prepend { asn: PrependAs::Own, count });
    };
    let mut f = r.fields(node, "prepend")?;
    let asn = match f.take("asn") {
        Some(n) => r.read(n, "asn", str::parse),
        None => Some(PrependAs::Own),
    };
    let count = match f.take("count") {
        Some(n) => r.number(n, "count", 1..=Prepend::MAX),
        None => Some(1),
    };
    f.finish(&[], r);
    Some(Prepend { asn: asn?, count: count? })
}

/// A list, which replaces; or a mapping of `replace`, `remove` and `add`.
fn edit<K: CommunityKind>(f: &mut Fields<'_>, r: &mut Report<'_>) -> Option<CommunityEdit<K>> {
    let node = f.take(K::KEY)?;
    let values = |n: &Node, r: &mut Report<'_>| -> Vec<K::Value> {
        r.list(n, K::KEY).iter().filter_map(|n| r.read(n, K::KEY, K::read)).collect()
    };
    let Value::Map(_) = node.value else {
        return Some(CommunityEdit { replace: Some(values(node, r)), ..CommunityEdit::default() });
    };
    let mut f = r.fields(node, K::KEY)?;
    let replace = f.take("replace").map(|n| values(n, r));
    let remove_node = f.take("remove");
    let remove = remove_node.map(|n| r.items(n, K::KEY)).unwrap_or_default();
    let remove = remove.iter().filter_map(|n| term(n, K::KEY, community_list::<K>(), r)).collect();
    let add = f.take("add").map(|n| values(n, r)).unwrap_or_default();
    if let (Some(_), Some(n)) = (&replace, remove_node) {
        let message = format!("{}: with `replace` there is nothing to remove", K::KEY);
        r.add(place(n), Reason::BadValue, message);
    }
    if matches!(&node.value, Value::Map(map) if map.is_empty()) {
        let message = format!("{}: `replace`, `remove` or `add` is needed", K::KEY);
        r.add(place(node), Reason::BadValue, message);
    }
    f.finish(&[], r);
    Some(CommunityEdit { replace, remove, add })
}

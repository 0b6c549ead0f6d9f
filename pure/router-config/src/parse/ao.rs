//! TCP-AO of a peer: its keys and their ids.

use std::collections::BTreeMap;

use super::neighbor::{bad, secret};
use crate::ao::{AoKey, AoSecret, TcpAo};
use crate::fields::{Fields, Report};
use crate::peer::Neighbor;
use crate::problem::{Place, Reason};
use crate::tree::{Node, Value, place};

pub(super) fn read(f: &mut Fields<'_>, neighbor: &mut Neighbor, r: &mut Report<'_>) {
    let Some(n) = f.take("tcp_ao") else { return };
    neighbor.tcp_ao = tcp_ao(n, r);
    let password = [
        ("password", neighbor.password.is_some()),
        ("password_file", neighbor.password_file.is_some()),
    ];
    if let Some((other, _)) = password.iter().find(|(_, set)| *set) {
        bad(n, "tcp_ao", format!("it goes not together with `{other}`"), r);
    }
}

fn tcp_ao(node: &Node, r: &mut Report<'_>) -> Option<TcpAo> {
    let mut f = r.fields(node, "tcp_ao")?;
    let mut keys = Vec::new();
    let mut seen = BTreeMap::new();
    if let Some(n) = f.need("keys", r) {
        let items = r.list(n, "keys");
        if matches!(&n.value, Value::List(_)) && items.is_empty() {
            bad(n, "keys", "at least one is needed", r);
        }
        for item in items {
            keys.extend(key(item, &mut seen, r));
        }
    }
    let include_options = f.take("include_options").and_then(|n| r.bool(n, "include_options"));
    f.finish(&[], r);
    Some(TcpAo { keys, include_options })
}

/// Ids that were given before: what we send, or what we take, and where it was.
type Seen = BTreeMap<(Way, u8), Place>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Send,
    Receive,
}

fn key(node: &Node, seen: &mut Seen, r: &mut Report<'_>) -> Option<AoKey> {
    let mut f = r.fields(node, "a key")?;
    let both = f.take("id");
    let (send, receive) = (f.take("send_id"), f.take("recv_id"));
    if let (Some(n), Some(_), _) | (Some(n), _, Some(_)) = (both, send, receive) {
        bad(n, "id", "it goes not together with `send_id` and `recv_id`", r);
    }
    let id = |key: &'static str, node: Option<&Node>, r: &mut Report<'_>| {
        node.and_then(|n| r.number(n, key, 0..=u8::MAX).map(|id| (id, place(n))))
    };
    let ids = match (both, send, receive) {
        (Some(_), _, _) => id("id", both, r).map(|id| (id, id)),
        (None, Some(_), Some(_)) => id("send_id", send, r).zip(id("recv_id", receive, r)),
        (None, _, _) => {
            let message = "`id` is missing, or `send_id` and `recv_id`";
            r.add(f.place(), Reason::Missing, message);
            None
        }
    };
    // RFC 5925 §3.1: the ids of a connection's keys do not overlap.
    if let Some((send, receive)) = ids {
        let first = twice(seen, Way::Send, send, if both.is_some() { "id" } else { "send_id" }, r);
        if first || both.is_none() {
            twice(seen, Way::Receive, receive, "recv_id", r);
        }
    }
    let algorithm = f.take("algorithm").and_then(|n| r.read(n, "algorithm", str::parse));
    let (text, file) = (f.take("key"), f.take("key_file"));
    let key = match (text, file) {
        (Some(n), None) => secret(n, "key", r).map(AoSecret::Key),
        (None, Some(n)) => r.string(n, "key_file").map(AoSecret::File),
        (Some(_), Some(n)) => {
            bad(n, "key_file", "it goes not together with `key`", r);
            None
        }
        (None, None) => {
            r.add(f.place(), Reason::Missing, "`key` or `key_file` is missing");
            None
        }
    };
    f.finish(&[], r);
    let ((send_id, _), (recv_id, _)) = ids?;
    Some(AoKey { send_id, recv_id, algorithm, key: key? })
}

/// Notes an id; false when another key has it, which is told.
fn twice(seen: &mut Seen, way: Way, (id, at): (u8, Place), key: &str, r: &mut Report<'_>) -> bool {
    let Some(first) = seen.get(&(way, id)) else {
        seen.insert((way, id), at);
        return true;
    };
    let message = format!("{key}: {id} is there twice, first on line {}", first.line);
    r.add(at, Reason::Doubled, message);
    false
}

//! What each sender says, as bytes ready to send, and the model of where it ends.

use std::sync::Arc;

use super::model::{ABSENT, Index, Model, Paths};
use super::random::Random;
use super::table::Table;
use super::wire;

/// AS number of the daemon under test.
pub(super) const ROUTER_ASN: u32 = 65_000;
/// Its address.
pub(super) const ROUTER: u32 = 0x0a00_0001;

/// The AS number of a peer, counted from 0.
pub(super) fn asn(peer: usize) -> u32 {
    ROUTER_ASN + 1 + peer as u32
}

/// The address of a peer, counted from 0.
pub(super) fn address(peer: usize) -> u32 {
    0x0a00_0101 + peer as u32
}

/// Whether a router stands between sender and receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Router,
    Direct,
}

/// What all senders say together.
pub(super) struct Feeds {
    pub(super) model: Arc<Model>,
    /// The bytes of each sender.
    pub(super) bytes: Vec<Arc<Vec<u8>>>,
}

/// The table split among `senders` by attribute set. Within the stream one prefix in a hundred is
/// withdrawn and announced again, one is announced with another path before, and one ghost comes
/// and goes.
pub(super) fn announce(table: &Table, senders: usize, way: Way, seed: u64) -> Feeds {
    let mut paths = Paths::default();
    let mut want = vec![ABSENT; table.keys.len()];
    let mut from = vec![0; table.keys.len()];
    let first = |sender: usize| match way {
        Way::Router => vec![ROUTER_ASN, asn(sender)],
        Way::Direct => vec![asn(sender)],
    };
    for (number, set) in table.sets.iter().enumerate() {
        let sender = number % senders;
        let path = paths.number(wire::path_value(&first(sender), &set.path));
        for prefix in table.members(number) {
            want[*prefix as usize] = path;
            from[*prefix as usize] = sender as u16;
        }
    }
    for (ghost, from) in from.iter_mut().enumerate().skip(table.real) {
        *from = (ghost % senders) as u16;
    }
    let bytes = (0..senders)
        .map(|sender| Arc::new(stream(table, sender, senders, address(sender), seed)))
        .collect();
    let next_hop = match way {
        Way::Router => ROUTER,
        Way::Direct => address(0),
    };
    let index = Index::new(&table.keys);
    let model = Model { keys: table.keys.clone(), index, paths, next_hop, want, from };
    Feeds { model: Arc::new(model), bytes }
}

fn stream(table: &Table, sender: usize, senders: usize, next_hop: u32, seed: u64) -> Vec<u8> {
    let mut order: Vec<usize> = (sender..table.sets.len()).step_by(senders).collect();
    Random::new(seed ^ sender as u64).shuffle(&mut order);
    let ghosts: Vec<u32> = (table.real..table.keys.len())
        .filter(|ghost| ghost % senders == sender)
        .map(|ghost| ghost as u32)
        .collect();
    let keys = |list: &[u32]| {
        list.iter().map(|prefix| table.keys[*prefix as usize]).collect::<Vec<_>>().into_iter()
    };
    let attributes = |set: usize| {
        let set = &table.sets[set];
        wire::attributes(set, &wire::path_value(&[asn(sender)], &set.path), next_hop)
    };
    // One prefix of every seventh set in a quarter of all sets is about one in a hundred.
    let some = |sets: &[usize]| -> Vec<(usize, u32)> {
        sets.iter().step_by(7).filter_map(|s| Some((*s, *table.members(*s).first()?))).collect()
    };
    let quarter = order.len() / 4;
    let early = some(&order[3 * quarter..]);
    let again = some(&order[..quarter]);
    let mut out = Vec::new();
    for (place, set) in order.iter().enumerate() {
        if place == quarter {
            let members: Vec<u32> = early.iter().map(|(_, prefix)| *prefix).collect();
            let other = attributes(order[0]);
            wire::announce(&other, keys(&ghosts).chain(keys(&members)), &mut out);
        }
        if place == 2 * quarter {
            wire::withdraw(again.iter().map(|(_, p)| table.keys[*p as usize]), &mut out);
        }
        if place == 3 * quarter {
            wire::withdraw(keys(&ghosts), &mut out);
        }
        wire::announce(&attributes(*set), keys(table.members(*set)), &mut out);
    }
    for (set, prefix) in &again {
        wire::announce(&attributes(*set), keys(&[*prefix]), &mut out);
    }
    if order.len() < 4 {
        wire::withdraw(keys(&ghosts), &mut out);
    }
    wire::end_of_rib(&mut out);
    out
}

/// Every sender withdraws all that it has announced.
pub(super) fn withdraw(table: &Table, before: &Model, senders: usize) -> Feeds {
    let bytes = (0..senders).map(|sender| {
        let mut out = Vec::new();
        let mine = (0..table.real).filter(|p| usize::from(before.from[*p]) == sender);
        wire::withdraw(mine.map(|p| table.keys[p]), &mut out);
        Arc::new(out)
    });
    let bytes = bytes.collect();
    let model = Model {
        keys: table.keys.clone(),
        index: Index::new(&table.keys),
        paths: Paths::default(),
        next_hop: before.next_hop,
        want: vec![ABSENT; table.keys.len()],
        from: before.from.clone(),
    };
    Feeds { model: Arc::new(model), bytes }
}

/// All senders announce the same table, the first with the shortest paths. Each then announces a
/// prefix of its own, so that the receiver sees when it was heard to the end: a ghost of the table.
pub(super) fn same(table: &Table, senders: usize) -> Feeds {
    let receiver = senders as u16;
    let mut paths = Paths::default();
    let mut want = vec![ABSENT; table.keys.len()];
    let mut bytes = vec![Vec::new(); senders];
    for (number, set) in table.sets.iter().enumerate() {
        let members = table.members(number);
        let path = paths.number(wire::path_value(&[ROUTER_ASN, asn(0)], &set.path));
        for prefix in members {
            want[*prefix as usize] = path;
        }
        for (sender, out) in bytes.iter_mut().enumerate() {
            let own: &[u32] = if sender == 0 { &[asn(0)] } else { &[asn(sender), 64_500] };
            let value = wire::path_value(own, &set.path);
            let attributes = wire::attributes(set, &value, address(sender));
            wire::announce(&attributes, members.iter().map(|p| table.keys[*p as usize]), out);
        }
    }
    let set = &table.sets[0];
    for (sender, out) in bytes.iter_mut().enumerate() {
        let marker = table.real + sender;
        want[marker] = paths.number(wire::path_value(&[ROUTER_ASN, asn(sender)], &set.path));
        let value = wire::path_value(&[asn(sender)], &set.path);
        let attributes = wire::attributes(set, &value, address(sender));
        wire::announce(&attributes, std::iter::once(table.keys[marker]), out);
        wire::end_of_rib(out);
    }
    // Nothing is from the receiver; what a sender gets back from others is not looked at.
    let from = vec![receiver + 1; table.keys.len()];
    let index = Index::new(&table.keys);
    let model = Model { keys: table.keys.clone(), index, paths, next_hop: ROUTER, want, from };
    Feeds { model: Arc::new(model), bytes: bytes.into_iter().map(Arc::new).collect() }
}

/// One sender announces the table with `next_hop(set)` as next hops: its bytes, and the gateway of
/// each prefix.
pub(super) fn gateways(table: &Table, next_hop: impl Fn(usize) -> u32) -> (Vec<u8>, Vec<u32>) {
    let mut want = vec![0; table.keys.len()];
    let mut out = Vec::new();
    for (number, set) in table.sets.iter().enumerate() {
        let value = wire::path_value(&[asn(0)], &set.path);
        let attributes = wire::attributes(set, &value, next_hop(number));
        let members = table.members(number);
        wire::announce(&attributes, members.iter().map(|p| table.keys[*p as usize]), &mut out);
        for prefix in members {
            want[*prefix as usize] = next_hop(number);
        }
    }
    (out, want)
}

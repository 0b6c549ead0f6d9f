//! What a peer is sent next.

use std::net::IpAddr;

use bgp_packet::{
    BgpNextHop, PeerKind, RefreshKind, encode_attributes, encode_route_refresh, end_of_rib, pack,
    pack_withdrawn,
};
use inet::{Family, Prefix};

use crate::attrs::AttrId;
use crate::family::{FamilyRib, World};
use crate::group::{Group, NOBODY, Place, Shared, Then};
use crate::peer::{PeerId, at};
use crate::rib::Rib;
use crate::table::Entry;

/// Most prefixes in one chunk.
const PREFIXES: usize = 512;
/// About as many bytes of attributes in one chunk; messages are bounded by this and [`PREFIXES`].
const ATTRIBUTE_BYTES: usize = 32 * 1024;
/// Most entries a walk looks at for one chunk.
const ENTRIES: u32 = 4096;

/// What there is for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The peer was sent all.
    Nothing,
    /// A walk goes on; ask again.
    Busy,
    /// Whole messages.
    Bytes {
        /// One or more messages, one after another.
        bytes: Vec<u8>,
        /// How many of them are UPDATEs.
        updates: u64,
        /// How many are ROUTE-REFRESHes.
        refreshes: u64,
    },
}

/// Prefixes to be announced and withdrawn, before they are bytes.
#[derive(Default)]
struct Chunk {
    announce: Vec<(AttrId, u16, Prefix)>,
    withdraw: Vec<Prefix>,
    not_for: Vec<u16>,
    attribute_bytes: usize,
}

impl Rib {
    /// The next messages for a peer, some ten kilobytes; to be sent now, since what they say is
    /// taken as told. Not to be called while the connection has no room: what waits is kept as
    /// prefixes, and several changes of one become one.
    pub fn fill(&mut self, id: PeerId) -> Fill {
        if !self.settled {
            return Fill::Nothing;
        }
        let mut busy = false;
        for family in Family::ALL {
            match self.fill_family(id, family) {
                Fill::Nothing => {}
                Fill::Busy => busy = true,
                bytes @ Fill::Bytes { .. } => return bytes,
            }
        }
        if busy { Fill::Busy } else { Fill::Nothing }
    }

    /// Whether there is anything for the peer.
    pub fn waits(&self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(usize::from(id.0)) else { return false };
        self.settled
            && peer.groups.iter().zip(&self.families).any(|(group, rib)| {
                let group = group.and_then(|at| rib.groups.get(at)?.as_ref());
                group.is_some_and(|g| g.member(id).is_some_and(|member| g.waiting(member)))
            })
    }

    fn fill_family(&mut self, id: PeerId, family: Family) -> Fill {
        let Some(peer) = self.peers.get(usize::from(id.0)) else { return Fill::Nothing };
        let Some(slot) = peer.groups[at(family)] else { return Fill::Nothing };
        let next_hop = peer.session.as_ref().and_then(|facts| facts.next_hops.of(family));
        let keyed = self.keyed;
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        // Out of its slot while it is worked on together with the table.
        let Some(mut group) = rib.groups.get_mut(slot).and_then(Option::take) else {
            return Fill::Nothing;
        };
        let (fill, gone) = fill_from(&world, rib, &mut group, id, next_hop);
        rib.groups[slot] = Some(group);
        for idx in gone {
            rib.free_if_unused(keyed, idx);
        }
        fill
    }
}

fn fill_from(
    world: &World,
    rib: &mut FamilyRib,
    group: &mut Group,
    id: PeerId,
    next_hop: Option<IpAddr>,
) -> (Fill, Vec<u32>) {
    let nothing = (Fill::Nothing, Vec::new());
    let Some(member) = group.member(id) else { return nothing };
    if !group.waiting(member) {
        return nothing;
    }
    let options = *group.options();
    let first_change = group.next_change(id);
    let Some(member) = group.member_mut(id) else { return nothing };
    if !member.leftovers.is_empty() {
        let from = member.leftovers.len().saturating_sub(PREFIXES);
        let messages = pack_withdrawn(member.leftovers.drain(from..), &options);
        let fill =
            Fill::Bytes { updates: messages.len() as u64, refreshes: 0, bytes: messages.concat() };
        return (fill, Vec::new());
    }
    member.turn = !member.turn;
    let place = match (member.walk, first_change) {
        (Some(cursor), Some(_)) if member.turn => Place::Walk(cursor),
        (_, Some(change)) => Place::Change(group.seq(change)),
        (Some(cursor), None) => Place::Walk(cursor),
        (None, None) => return nothing,
    };
    let (mut bytes, mut updates, then) =
        chunk(world, rib, group, id, next_hop, place, first_change);
    let mut refreshes = 0;
    let mut gone = Vec::new();
    match then {
        Then::Change(next) => gone = group.advance(id, next),
        Then::Walk(next) => {
            if next.is_none() {
                group.end_walk(id);
            }
            let Some(member) = group.member_mut(id) else { return nothing };
            member.walk = next;
            if member.framed && !std::mem::replace(&mut member.begun, true) {
                let mut begin = encode_route_refresh(rib.family, RefreshKind::Begin);
                begin.append(&mut bytes);
                bytes = begin;
                refreshes += 1;
            }
            if next.is_none() {
                if std::mem::take(&mut member.end_of_rib) {
                    bytes.extend(end_of_rib(rib.family));
                    updates += 1;
                }
                if std::mem::take(&mut member.framed) {
                    bytes.extend(encode_route_refresh(rib.family, RefreshKind::End));
                    refreshes += 1;
                    member.begun = false;
                }
            }
        }
    }
    let waits = group.member(id).is_some_and(|member| group.waiting(member));
    let fill = match bytes.is_empty() {
        false => Fill::Bytes { bytes, updates, refreshes },
        true if waits => Fill::Busy,
        true => Fill::Nothing,
    };
    (fill, gone)
}

/// The bytes from a place on, and the place after them.
fn chunk(
    world: &World,
    rib: &FamilyRib,
    group: &mut Group,
    id: PeerId,
    next_hop: Option<IpAddr>,
    place: Place,
    first_change: Option<u32>,
) -> (Vec<u8>, u64, Then) {
    let resync = group.member(id).is_some_and(|member| member.resync);
    if !resync && let Some(shared) = group.shared(place, next_hop, id) {
        return (shared.bytes.clone(), shared.updates, shared.then);
    }
    let mut chunk = Chunk::default();
    let says = Says { world, me: id.0, next_hop };
    let then = match place {
        Place::Walk(cursor) => {
            let mut idx = cursor;
            let end = rib.table.end().min(cursor.saturating_add(ENTRIES));
            while idx < end && !chunk.is_full() {
                if let Some(entry) = rib.table.get(idx) {
                    let now = rib.source(world, group, idx);
                    group.walked(idx, now);
                    // With resync the peer may hold anything.
                    let held = if resync { PeerId::LOCAL.0 } else { NOBODY };
                    says.add(&mut chunk, group, entry, now, held);
                }
                idx += 1;
            }
            Then::Walk(Some(idx).filter(|idx| *idx < rib.table.end()))
        }
        Place::Change(_) => {
            let mut next = first_change;
            while let Some(idx) = next.filter(|_| !chunk.is_full()) {
                let out = *group.out(idx);
                if let Some(entry) = rib.table.get(idx) {
                    says.add(&mut chunk, group, entry, out.now, out.held);
                }
                next = group.after(idx);
            }
            Then::Change(next)
        }
    };
    let mine = chunk.not_for.contains(&id.0);
    let not_for = std::mem::take(&mut chunk.not_for);
    let (bytes, updates) = says.encode(group, chunk);
    if !resync && !mine && group.members.len() > 1 {
        let bytes = bytes.clone();
        group.share(Shared { place, next_hop, bytes, updates, not_for, then });
    }
    (bytes, updates, then)
}

/// What one peer is told.
struct Says<'a> {
    world: &'a World<'a>,
    me: u16,
    next_hop: Option<IpAddr>,
}

impl Says<'_> {
    fn add(&self, chunk: &mut Chunk, group: &Group, entry: &Entry, now: u16, held: u16) {
        for source in [now, held] {
            // Peers come one after another: looking at the last is mostly enough.
            if source != PeerId::LOCAL.0 && chunk.not_for.last() != Some(&source) {
                chunk.not_for.push(source);
            }
        }
        let best = entry.best().filter(|path| path.peer.0 == now && now != self.me);
        match best {
            Some(_) if self.own_next_hop(group, now) && self.next_hop.is_none() => {}
            Some(path) => {
                if chunk.announce.last().is_none_or(|(set, ..)| *set != path.attr) {
                    let set = self.world.attrs.get(path.attr);
                    chunk.attribute_bytes += set.map_or(0, |set| set.raw_len());
                }
                chunk.announce.push((path.attr, now, entry.prefix));
                return;
            }
            None => {}
        }
        if held != NOBODY && held != self.me {
            chunk.withdraw.push(entry.prefix);
        }
    }

    /// Whether we are the next hop: towards other ASes, and of own routes (RFC 4271 §5.1.3).
    fn own_next_hop(&self, group: &Group, source: u16) -> bool {
        group.options().kind == PeerKind::External || source == PeerId::LOCAL.0
    }

    fn encode(&self, group: &Group, mut chunk: Chunk) -> (Vec<u8>, u64) {
        let options = group.options();
        let mut announced = Vec::new();
        let mut updates = 0;
        // Stable: prefixes of one set keep their order.
        chunk.announce.sort_by_key(|(set, ..)| *set);
        for run in chunk.announce.chunk_by(|a, b| a.0 == b.0) {
            let Some((id, source, _)) = run.first().copied() else { continue };
            let Some(set) = self.world.attrs.get(id) else { continue };
            let own = self.own_next_hop(group, source);
            let address = if own { self.next_hop } else { Some(set.attributes.next_hop.address) };
            let Some(address) = address else { continue };
            let attributes = encode_attributes(&group.key.outgoing(set, PeerId(source)), options);
            let prefixes = run.iter().map(|(.., prefix)| *prefix);
            let next_hop = BgpNextHop { address, link_local: None };
            match pack(&attributes, &next_hop, prefixes.clone(), options) {
                Ok(messages) => {
                    updates += messages.len() as u64;
                    announced.extend(messages.into_iter().flatten());
                }
                // RFC 4271 §9.2: what does not fit into a message is not announced.
                Err(_) => chunk.withdraw.extend(prefixes),
            }
        }
        let withdrawn = pack_withdrawn(chunk.withdraw, options);
        updates += withdrawn.len() as u64;
        let mut bytes = withdrawn.concat();
        bytes.append(&mut announced);
        (bytes, updates)
    }
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.announce.len() + self.withdraw.len() >= PREFIXES
            || self.attribute_bytes >= ATTRIBUTE_BYTES
    }
}

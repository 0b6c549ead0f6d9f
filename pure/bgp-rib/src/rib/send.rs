//! What a peer is sent next.

use std::collections::BTreeMap;

use bgp_packet::{
    BgpNextHop, PathId, RefreshKind, encode_attributes, encode_route_refresh, end_of_rib,
    pack_paths,
};
use inet::{Family, Prefix};

use crate::family::{FamilyRib, World};
use crate::group::{End, Group, NOBODY, Place, Said, Shared, Then, To};
use crate::peer::{NextHops, PeerId, at};
use crate::rib::Rib;
use crate::steps;
use crate::table::{Path, Table};

/// Most prefixes in one chunk.
const PREFIXES: usize = 1024;
/// About as many bytes of attributes in one chunk; messages are bounded by this and [`PREFIXES`].
const ATTRIBUTE_BYTES: usize = 48 * 1024;
/// Most entries a walk looks at for one chunk.
const ENTRIES: u32 = 4096;
/// The same where a policy is asked about each.
const ASKED_ENTRIES: u32 = 512;
/// Most chunks without anything for the peer that are passed over in one call.
const BARREN: usize = 8;

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
    announce: Vec<(Path, PathId, Prefix)>,
    withdraw: Vec<(PathId, Prefix, To)>,
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
        let next_hops = peer.session.as_ref().map(|facts| facts.next_hops).unwrap_or_default();
        let keyed = self.keyed;
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        // Out of its slot while it is worked on together with the table.
        let Some(mut group) = rib.groups.get_mut(slot).and_then(Option::take) else {
            return Fill::Nothing;
        };
        let resync = group.member(id).is_some_and(|member| member.resync);
        let mut gone = Vec::new();
        let mut fill = Fill::Busy;
        for _ in 0..BARREN {
            let walks = group.member(id).is_some_and(|member| member.walk.is_some());
            fill = fill_from(&world, rib, &mut group, id, next_hops, &mut gone);
            if walks || fill != Fill::Busy {
                break;
            }
        }
        let walked = resync && group.member(id).is_some_and(|member| !member.resync);
        rib.groups[slot] = Some(group);
        rib.free_unused(keyed, &gone);
        if walked {
            rib.let_go(keyed, id);
        }
        fill
    }
}

fn fill_from(
    world: &World,
    rib: &mut FamilyRib,
    group: &mut Group,
    id: PeerId,
    next_hops: NextHops,
    gone: &mut Vec<u32>,
) -> Fill {
    let nothing = Fill::Nothing;
    let Some(member) = group.member(id) else { return nothing };
    if !group.waiting(member) {
        return nothing;
    }
    let first_change = group.next_change(id);
    let Some(member) = group.member_mut(id) else { return nothing };
    member.turn = !member.turn;
    let place = match (member.walk, first_change) {
        (Some(cursor), Some(_)) if member.turn => Place::Walk(cursor),
        (_, Some(change)) => Place::Change(group.seq(change)),
        (Some(cursor), None) => Place::Walk(cursor),
        (None, None) => return nothing,
    };
    let (mut bytes, mut updates, then) =
        chunk(world, rib, group, id, next_hops, place, first_change);
    let mut refreshes = 0;
    match then {
        Then::Change(next) => {
            let (entries, more) = group.advance(id, next);
            gone.extend(entries);
            rib.untrimmed |= more;
        }
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
    match bytes.is_empty() {
        false => Fill::Bytes { bytes, updates, refreshes },
        true if waits => Fill::Busy,
        true => Fill::Nothing,
    }
}

/// The bytes from a place on, and the place after them.
fn chunk(
    world: &World,
    rib: &FamilyRib,
    group: &mut Group,
    id: PeerId,
    next_hops: NextHops,
    place: Place,
    first_change: Option<u32>,
) -> (Vec<u8>, u64, Then) {
    let options = *group.options();
    let resync = group.member(id).is_some_and(|member| member.resync);
    let walk_end = match place {
        Place::Walk(_) => group.walk_end(id, rib.table.end()),
        Place::Change(_) => 0,
    };
    // Others that walk are not told what is not for them; and a walk that ends where it begins is
    // nobody else's.
    let shares = group.members.len() > 1
        && match place {
            Place::Walk(cursor) => !resync && cursor < walk_end,
            Place::Change(_) => true,
        };
    if shares && let Some(shared) = group.shared(place, &next_hops, walk_end) {
        let (bytes, updates) = shared.said.to(id.0, &options);
        return (bytes, updates, then(group, shared.end, walk_end));
    }
    let mut chunk = Chunk::default();
    let says = Says { world, table: &rib.table, next_hops };
    let end = match place {
        Place::Walk(cursor) => {
            let mut idx = cursor;
            let entries = if group.key.policy().is_some() { ASKED_ENTRIES } else { ENTRIES };
            let end = walk_end.min(cursor.saturating_add(entries));
            let former = resync.then(|| Former::of(rib, group, id));
            while idx < end && !chunk.is_full() {
                if rib.table.exists(idx) {
                    says.walk(&mut chunk, rib, group, idx, former);
                }
                idx += 1;
            }
            End::Walk(idx)
        }
        Place::Change(first) => {
            says.table.read_ahead(group.read_changes(first, PREFIXES));
            let mut end = End::Change(0, first);
            let mut next = first_change;
            // Some changes are kept for who has moved, and say nothing to others.
            for _ in 0..PREFIXES {
                let Some(idx) = next.filter(|_| !chunk.is_full()) else { break };
                steps::add(1);
                if group.has_paths() {
                    let several = group.several(idx);
                    says.add_paths(&mut chunk, idx, &several.now, &several.held);
                } else {
                    let out = group.out(idx);
                    says.add(&mut chunk, idx, out.now, out.held);
                }
                end = End::Change(idx, group.seq(idx));
                next = group.after(idx);
            }
            end
        }
    };
    let said = says.encode(group, chunk);
    let (bytes, updates) = said.to(id.0, &options);
    if shares {
        group.share(Shared { place, next_hops, said, end });
    }
    (bytes, updates, then(group, end, walk_end))
}

fn then(group: &Group, end: End, walk_end: u32) -> Then {
    match end {
        End::Walk(next) => Then::Walk(Some(next).filter(|next| *next < walk_end)),
        End::Change(last, _) => Then::Change(group.after(last)),
    }
}

/// Next hop and attributes, as they are said.
type Outgoing = (BgpNextHop, Vec<u8>);

/// The group that keeps what a peer was not told before its rules changed, and may hold.
#[derive(Clone, Copy)]
struct Former<'a> {
    elsewhere: Option<&'a Group>,
    /// The peer has come back to it.
    here: bool,
}

impl<'a> Former<'a> {
    fn of(rib: &'a FamilyRib, group: &Group, peer: PeerId) -> Former<'a> {
        let mut others = rib.groups.iter().flatten();
        let elsewhere = others.find(|other| group.has_paths() && other.keeps_for(peer));
        Former { elsewhere, here: group.keeps_for(peer) }
    }
}

/// What a group is told.
struct Says<'a> {
    world: &'a World<'a>,
    table: &'a Table,
    next_hops: NextHops,
}

impl Says<'_> {
    /// A walk comes to an entry. A peer to resync may hold any of its paths, and what its former
    /// group has not told it is gone.
    fn walk(
        &self,
        chunk: &mut Chunk,
        rib: &FamilyRib,
        group: &mut Group,
        idx: u32,
        resync: Option<Former<'_>>,
    ) {
        if !group.has_paths() {
            let now = rib.source(self.world, group, idx);
            group.walked(idx, now);
            let held = if resync.is_some() { PeerId::LOCAL.0 } else { NOBODY };
            self.add(chunk, idx, now, held);
            return;
        }
        let told = rib.told(self.world, group, idx);
        let now: Vec<(u16, u16)> = told.iter().map(|path| (path.local, path.peer.0)).collect();
        let all: Vec<u16> = self.table.paths(idx).iter().map(|path| path.local).collect();
        let mut held = Vec::new();
        if let Some(Former { elsewhere, here }) = resync {
            held.extend(&all);
            held.extend(elsewhere.iter().flat_map(|other| &other.several(idx).held));
            if here {
                held.extend(&group.several(idx).held);
            }
            held.sort_unstable();
            held.dedup();
        }
        self.add_paths(chunk, idx, &now, &held);
        group.walked_paths(idx, now, &all);
    }

    fn add(&self, chunk: &mut Chunk, idx: u32, now: u16, held: u16) {
        let Some(prefix) = self.table.prefix(idx) else { return };
        match self.table.best(idx).filter(|path| path.peer.0 == now) {
            Some(path) => {
                self.announce(chunk, path, PathId::NONE, prefix);
                // A peer is not told its own path, and loses what it held before.
                if held != NOBODY && held != now && now != PeerId::LOCAL.0 {
                    chunk.withdraw.push((PathId::NONE, prefix, To::Only(now)));
                }
            }
            None if held != NOBODY => {
                chunk.withdraw.push((PathId::NONE, prefix, To::AllBut(held)));
            }
            None => {}
        }
    }

    /// The same with path ids: a withdrawal of one that the peer does not hold does no harm.
    fn add_paths(&self, chunk: &mut Chunk, idx: u32, now: &[(u16, u16)], held: &[u16]) {
        let Some(prefix) = self.table.prefix(idx) else { return };
        for id in held {
            let to = match now.iter().find(|(local, _)| local == id) {
                None => To::AllBut(NOBODY),
                Some((_, source)) if *source == PeerId::LOCAL.0 => continue,
                Some((_, source)) => To::Only(*source),
            };
            chunk.withdraw.push((PathId(u32::from(*id)), prefix, to));
        }
        for (id, _) in now {
            let path = self.table.paths(idx).iter().find(|path| path.local == *id);
            if let Some(path) = path {
                self.announce(chunk, *path, PathId(u32::from(*id)), prefix);
            }
        }
    }

    fn announce(&self, chunk: &mut Chunk, path: Path, id: PathId, prefix: Prefix) {
        if chunk.announce.last().is_none_or(|(last, ..)| last.post != path.post) {
            chunk.attribute_bytes += self.world.set(&path).map_or(0, |set| set.raw_len());
        }
        chunk.announce.push((path, id, prefix));
    }

    fn encode(&self, group: &Group, mut chunk: Chunk) -> Said {
        let options = group.options();
        let uniform = group.key.is_uniform();
        // Stable: prefixes of one set keep their order.
        chunk.announce.sort_by_key(|(path, ..)| (path.peer, path.post.set()));
        let same = |a: &Path, b: &Path| a.post == b.post && a.peer == b.peer;
        let mut said = Said::new();
        let mut parts: BTreeMap<Outgoing, Vec<(PathId, Prefix)>> = BTreeMap::new();
        for run in chunk.announce.chunk_by(|a, b| same(&a.0, &b.0)) {
            let step = if uniform { run.len() } else { 1 };
            let source = run.first().map_or(NOBODY, |(path, ..)| path.peer.0);
            let gone = |(id, prefix)| (id, prefix, To::AllBut(source));
            for part in run.chunks(step) {
                let Some((path, _, prefix)) = part.first() else { continue };
                let prefixes = part.iter().map(|(_, id, prefix)| (*id, *prefix));
                match group.key.outgoing(self.world, path, prefix, &self.next_hops) {
                    Ok(out) => {
                        let key = (out.next_hop, encode_attributes(&out, options));
                        parts.entry(key).or_default().extend(prefixes);
                    }
                    // What the policy or the next hop said when it was chosen holds no more.
                    Err(_) => chunk.withdraw.extend(prefixes.map(gone)),
                }
            }
            while let Some(((next_hop, attributes), prefixes)) = parts.pop_first() {
                match pack_paths(&attributes, &next_hop, prefixes.iter().copied(), options) {
                    Ok(messages) => said.announce(source, &messages),
                    // RFC 4271 §9.2: what does not fit into a message is not announced.
                    Err(_) => chunk.withdraw.extend(prefixes.into_iter().map(gone)),
                }
            }
        }
        said.withdraw(chunk.withdraw, options);
        said
    }
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.announce.len() + self.withdraw.len() >= PREFIXES
            || self.attribute_bytes >= ATTRIBUTE_BYTES
    }
}

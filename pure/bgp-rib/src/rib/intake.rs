//! What peers send, and what is originated here: into the tables.

use bgp_packet::{
    Attributes, BgpNextHop, Malformation, Nlri, Notification, Options, PathId, RawAttributes,
    Update, Verdict,
};
use inet::{Family, LinkName, Prefix, ScopedAddr, is_link_local};

use crate::ahead::AHEAD;
use crate::attrs::{self, AttrId, Facts, Key, Maker, Post};
use crate::decision::Ineligible;
use crate::hops::HopId;
use crate::import::Imported;
use crate::peer::{PeerId, at};
use crate::rib::{OwnRoute, Rib, Updated, own};
use crate::table::{Path, Sought};

impl Rib {
    /// Takes in an UPDATE of the peer's session.
    pub fn update(&mut self, id: PeerId, options: &Options, update: &Update<'_>) -> Updated {
        let mut updated = Updated { malformed: update.malformed.clone(), ..Updated::default() };
        for nlri in &update.withdrawn {
            self.withdraw_all(id, nlri);
        }
        for reach in &update.reach {
            let raw = &update.attributes;
            let set = match self.intern(id, options, raw, reach.next_hop, &mut updated) {
                Ok(set) => set,
                Err(reset) => {
                    updated.reset = Some(reset);
                    return updated;
                }
            };
            for (path_id, prefix) in reach.nlri.paths() {
                let Some(set) = set else {
                    self.withdraw(id, &prefix, path_id);
                    continue;
                };
                if !self.announce(id, &prefix, path_id, set) && self.leave_out(id, &prefix) {
                    updated.left_out = Some(prefix);
                }
            }
            if let Some(set) = set {
                self.release(set);
            }
        }
        updated
    }

    /// Originates a prefix here, or no longer.
    pub fn originate(&mut self, prefix: &Prefix, route: Option<&OwnRoute>) {
        let Some(route) = route else {
            self.withdraw(PeerId::LOCAL, prefix, PathId::NONE);
            return;
        };
        self.originate_as(prefix, PathId::NONE, route, Maker::Own);
    }

    pub(super) fn originate_as(
        &mut self,
        prefix: &Prefix,
        id: PathId,
        route: &OwnRoute,
        maker: Maker,
    ) {
        let mut key = std::mem::take(&mut self.key);
        let attributes = own::attributes(route, maker, &self.settings);
        own::key(&mut key, self.generation, route, maker, &attributes);
        let set = self.attrs.acquire(self.keyed, &key).unwrap_or_else(|| {
            let (asn, id) = (self.settings.asn, self.settings.router_id);
            let facts = Facts::of(self.keyed, &attributes, 0, HopId::SELF, asn, id);
            self.attrs.insert(self.keyed, &key, facts)
        });
        self.key = key;
        self.announce(PeerId::LOCAL, prefix, id, set);
        self.release(set);
    }

    /// The set of a reach, with a reference of its own; none: treat as withdraw (RFC 7606 §2).
    pub(super) fn intern(
        &mut self,
        id: PeerId,
        options: &Options,
        raw: &RawAttributes<'_>,
        next_hop: BgpNextHop,
        updated: &mut Updated,
    ) -> Result<Option<AttrId>, Notification> {
        let session = self.peers.get(usize::from(id.0)).and_then(|peer| peer.session.as_ref());
        let link = self.link_of(id);
        let family = Family::of(&next_hop.address);
        if session.is_some_and(|facts| facts.next_hops.of(family) == Some(next_hop.address)) {
            // RFC 4271 §5.1.3, §6.3: semantically wrong, the route is ignored.
            let reason = "the next hop is our own address";
            updated.malformed.push(Malformation { code: 3, reason });
            return Ok(None);
        }
        let mut key = std::mem::take(&mut self.key);
        Key::received(self.generation, options, next_hop, link, &raw.bytes).write(&mut key);
        let found = self.attrs.acquire(self.keyed, &key);
        let result = match found {
            Some(set) => Ok(Some(set)),
            None => match raw.view(options, next_hop) {
                Verdict::Accept(view, discarded) => {
                    updated.malformed.extend(discarded);
                    let mut attributes = view.to_attributes();
                    attrs::received(&mut attributes, options.kind);
                    let set = self.insert(&key, &attributes, link, 0, false);
                    if view.as_path.has_sets() {
                        self.attrs.note_as_set(set);
                    }
                    Ok(Some(set))
                }
                Verdict::TreatAsWithdraw(why) => {
                    updated.malformed.extend(why);
                    Ok(None)
                }
                Verdict::Reset(notification) => Err(notification),
            },
        };
        self.key = key;
        result
    }

    /// A set under a key that is not there yet.
    pub(super) fn insert(
        &mut self,
        key: &[u8],
        attributes: &Attributes,
        link: Option<LinkName>,
        weight: u32,
        discard: bool,
    ) -> AttrId {
        let hop = match discard {
            true => HopId::SELF,
            false => self.hops.acquire(ScopedAddr::new(attributes.next_hop.address, link)),
        };
        let (asn, router_id) = (self.settings.asn, self.settings.router_id);
        let facts = Facts::of(self.keyed, attributes, weight, hop, asn, router_id);
        let facts = if discard { facts.discarding() } else { facts };
        self.attrs.insert(self.keyed, key, facts)
    }

    /// What import makes of a received set, with a reference to the set that it becomes.
    pub(super) fn import(
        &mut self,
        id: PeerId,
        prefix: &Prefix,
        raw: AttrId,
        long_lived: bool,
    ) -> Post {
        let peer = self.peers.get(usize::from(id.0));
        let Some((peer, set)) = peer.zip(self.attrs.get(raw)) else {
            return Post::out(Ineligible::Dead);
        };
        let quickly = match &peer.context.rules {
            Some(rules) => rules.quickly(&set.facts, long_lived),
            None => Some(Ok(())),
        };
        let rules = match (quickly, &peer.context.rules) {
            (Some(Err(why)), _) => return Post::out(why),
            (None, Some(rules)) => rules,
            (Some(Ok(())), _) | (None, None) => {
                self.attrs.retain(raw);
                return Post::of(raw);
            }
        };
        let context = match rules.needs_prefix() {
            true => 0,
            false => peer.context.outcome(prefix.family(), long_lived),
        };
        if let Some(post) = set.imported(context) {
            post.set().into_iter().for_each(|set| self.attrs.retain(set));
            return post;
        }
        let Some(before) = set.attributes() else { return Post::out(Ineligible::Dead) };
        let (post, lasts) =
            match rules.import(before.clone(), *prefix, peer.address.address(), long_lived) {
                Err(why) => (Post::out(why), true),
                Ok(imported) if imported.is(&before) => {
                    self.attrs.retain(raw);
                    (Post::of(raw), imported.lasts)
                }
                Ok(imported) => {
                    let link = peer.address.link();
                    let next_hop = imported.attributes.next_hop;
                    // Peers on other links may have the same rules.
                    let lasts = imported.lasts
                        && (next_hop == before.next_hop || !is_link_local(&next_hop.address));
                    (Post::of(self.intern_imported(&imported, link)), lasts)
                }
            };
        if context != 0 && lasts {
            let forgotten = self.attrs.remember(raw, context, post);
            forgotten.into_iter().for_each(|set| self.release(set));
        }
        post
    }

    pub(super) fn intern_imported(
        &mut self,
        imported: &Imported,
        link: Option<LinkName>,
    ) -> AttrId {
        let Imported { attributes, weight, discard, .. } = imported;
        let (weight, discard) = (*weight, *discard);
        let mut bytes = std::mem::take(&mut self.key);
        let (internal, raw) = attrs::encode(attributes);
        let key = Key {
            internal,
            four_octet_as: true,
            maker: Maker::Import,
            kernel: None,
            generation: self.generation,
            next_hop: attributes.next_hop,
            link,
            weight,
            discard,
            groups: &[],
            raw: &raw,
        };
        key.write(&mut bytes);
        let found = self.attrs.acquire(self.keyed, &bytes);
        let set = found.unwrap_or_else(|| self.insert(&bytes, attributes, link, weight, discard));
        self.key = bytes;
        set
    }

    /// The link that the peer's link-local next hops are on.
    fn link_of(&self, id: PeerId) -> Option<LinkName> {
        self.peers.get(usize::from(id.0))?.address.link()
    }

    /// Takes in a path; not one too many of its peer.
    fn announce(&mut self, id: PeerId, prefix: &Prefix, path_id: PathId, set: AttrId) -> bool {
        let family = prefix.family();
        let post = self.import(id, prefix, set, false);
        let Some(peer) = self.peers.get_mut(usize::from(id.0)) else { return true };
        let epoch = peer.ins[at(family)].epoch;
        let path = Path { attr: set, post, peer: id, epoch, id: path_id.0, local: 0 };
        peer.ins[at(family)].count(&path, 1);
        self.attrs.retain(set);
        let keyed = self.keyed;
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        let idx = rib.table.find_or_insert(keyed, prefix);
        let old = rib.alter(&world, idx, false, |table| table.put(idx, path)).flatten();
        match old {
            Some(old) => self.forget(family, &old),
            None => self.families[at(family)].paths += 1,
        }
        old != Some(path)
    }

    /// Counts a path that was not taken; whether it was the first of the session.
    fn leave_out(&mut self, id: PeerId, prefix: &Prefix) -> bool {
        let Some(peer) = self.peer_mut(id) else { return false };
        let left_out = &mut peer.ins[at(prefix.family())].counts.left_out;
        *left_out = left_out.saturating_add(1);
        *left_out == 1
    }

    fn withdraw_all(&mut self, id: PeerId, nlri: &Nlri<'_>) {
        let family = nlri.family();
        let mut sought = Vec::with_capacity(AHEAD);
        let mut paths = nlri.paths();
        loop {
            sought.extend(paths.by_ref().take(AHEAD).map(|(id, prefix)| Sought::new(id, prefix)));
            if sought.is_empty() {
                return;
            }
            let rib = &self.families[at(family)];
            rib.table.find_all(self.keyed, &mut sought);
            let found = || sought.iter().filter_map(|one| one.at);
            rib.read_groups(found());
            let sets = found().filter_map(|idx| rib.table.paths(idx).first());
            self.attrs.read_ahead(sets.map(|path| path.attr));
            for Sought { id: path_id, prefix, at: idx, .. } in sought.drain(..) {
                let Some(idx) = idx else { continue };
                // One before it may have been the same, and its entry is free now or another's.
                if self.families[at(family)].table.prefix(idx) == Some(prefix) {
                    self.withdraw_at(id, &prefix, path_id, idx);
                }
            }
        }
    }

    pub(super) fn withdraw(&mut self, id: PeerId, prefix: &Prefix, path_id: PathId) {
        let table = &self.families[at(prefix.family())].table;
        if let Some(idx) = table.find(self.keyed, prefix) {
            self.withdraw_at(id, prefix, path_id, idx);
        }
    }

    fn withdraw_at(&mut self, id: PeerId, prefix: &Prefix, path_id: PathId, idx: u32) {
        let family = prefix.family();
        let (world, families) = self.parts();
        let rib = &mut families[at(family)];
        let is = |path: &Path| path.peer == id && path.id == path_id.0;
        let Some(old) = rib.table.paths(idx).iter().find(|path| is(path)).copied() else { return };
        rib.alter(&world, idx, false, |table| table.take(idx, is));
        rib.paths -= 1;
        self.forget(family, &old);
    }

    /// A path is out of the table.
    pub(super) fn forget(&mut self, family: Family, path: &Path) {
        if let Some(peer) = self.peer_mut(path.peer) {
            peer.ins[at(family)].count(path, -1);
        }
        self.release_path(path);
    }

    pub(super) fn release_path(&mut self, path: &Path) {
        self.release(path.attr);
        path.post.set().into_iter().for_each(|set| self.release(set));
    }

    pub(super) fn release(&mut self, set: AttrId) {
        let mut next = Some(set);
        while let Some(set) = next {
            let Some(freed) = self.attrs.release(self.keyed, set) else { return };
            if freed.hop != HopId::SELF {
                self.hops.release(freed.hop);
            }
            next = freed.imported;
        }
    }
}

//! What a group is told from one place on, kept so that each member gets but what is for it: a
//! peer is not told its own paths.

use bgp_packet::{Options, PathId, pack_withdrawn_paths};
use inet::Prefix;

use crate::group::{End, Group, Place, Shared};
use crate::peer::NextHops;

/// Most chunks that are kept for other members.
const SHARED: usize = 32;

/// Whom a withdrawal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    AllBut(u16),
    Only(u16),
}

/// Messages for a whole group.
#[derive(Debug)]
pub(crate) struct Said {
    /// Announcements, those of one source after those of another.
    announced: Vec<u8>,
    parts: Vec<Part>,
    withdrawn: Vec<(PathId, Prefix, To)>,
    /// The withdrawals as most members get them, and how many messages they are.
    common: (Vec<u8>, u64),
    /// Who gets others, in order.
    others: Vec<u16>,
}

/// Announcements of paths from one peer.
#[derive(Clone, Copy, Debug)]
struct Part {
    source: u16,
    /// Where its bytes end; they begin where the part before ends.
    end: usize,
    updates: u64,
}

impl To {
    fn includes(self, peer: u16) -> bool {
        match self {
            To::AllBut(other) => peer != other,
            To::Only(only) => peer == only,
        }
    }

    fn exception(self) -> u16 {
        match self {
            To::AllBut(peer) | To::Only(peer) => peer,
        }
    }
}

impl Said {
    pub(crate) fn new() -> Said {
        Said {
            announced: Vec::new(),
            parts: Vec::new(),
            withdrawn: Vec::new(),
            common: (Vec::new(), 0),
            others: Vec::new(),
        }
    }

    /// Adds messages that announce paths of a peer. Sources come one after another.
    pub(crate) fn announce(&mut self, source: u16, messages: &[Vec<u8>]) {
        for message in messages {
            self.announced.extend_from_slice(message);
        }
        let (end, updates) = (self.announced.len(), messages.len() as u64);
        match self.parts.last_mut() {
            Some(part) if part.source == source => {
                (part.end, part.updates) = (end, part.updates + updates);
            }
            Some(_) | None => self.parts.push(Part { source, end, updates }),
        }
    }

    /// Sets what is withdrawn.
    pub(crate) fn withdraw(&mut self, what: Vec<(PathId, Prefix, To)>, options: &Options) {
        let all = what.iter().filter(|(.., to)| matches!(to, To::AllBut(_)));
        self.common = packed(all.map(|(id, prefix, _)| (*id, *prefix)), options);
        self.others = what.iter().map(|(.., to)| to.exception()).collect();
        self.others.sort_unstable();
        self.others.dedup();
        self.withdrawn = what;
    }

    /// The messages for one member, and how many they are.
    pub(crate) fn to(&self, peer: u16, options: &Options) -> (Vec<u8>, u64) {
        let (mut bytes, mut updates) = match self.others.binary_search(&peer) {
            Ok(_) => {
                let mine = self.withdrawn.iter().filter(|(.., to)| to.includes(peer));
                packed(mine.map(|(id, prefix, _)| (*id, *prefix)), options)
            }
            Err(_) => self.common.clone(),
        };
        bytes.reserve_exact(self.announced.len());
        let mut from = 0;
        for part in &self.parts {
            if part.source != peer {
                bytes.extend_from_slice(self.announced.get(from..part.end).unwrap_or_default());
                updates += part.updates;
            }
            from = part.end;
        }
        (bytes, updates)
    }
}

impl Group {
    /// Keeps a chunk for other members.
    pub(crate) fn share(&mut self, shared: Shared) {
        if self.shared.len() >= SHARED {
            self.shared.pop_front();
        }
        self.shared.push_back(shared);
    }

    /// The chunk from a place on, for a member whose walk ends at `walk_end`.
    pub(crate) fn shared(
        &self,
        place: Place,
        next_hops: &NextHops,
        walk_end: u32,
    ) -> Option<&Shared> {
        let fits = |end| match end {
            End::Walk(to) => to <= walk_end,
            End::Change(..) => true,
        };
        // Most members ask for what was made last.
        let mut newest_first = self.shared.iter().rev();
        newest_first.find(|s| s.place == place && s.next_hops == *next_hops && fits(s.end))
    }

    /// Chunks are not for others any more: something has changed that they rest on.
    pub(crate) fn unshare(&mut self) {
        self.shared.clear();
    }

    /// An entry changes, which had a place in the order until now if `seq` is not 0: chunks with
    /// it are not to be sent to anyone else.
    pub(super) fn spoil(&mut self, idx: u32, seq: u64) {
        if self.shared.is_empty() {
            return;
        }
        self.shared.retain(|shared| match (shared.place, shared.end) {
            (Place::Walk(from), End::Walk(to)) => !(from..to).contains(&idx),
            (Place::Change(first), End::Change(_, last)) => !(first..=last).contains(&seq),
            (Place::Walk(_), End::Change(..)) | (Place::Change(_), End::Walk(_)) => false,
        });
    }

    /// Forgets chunks that no member will ask for.
    pub(super) fn unshare_before(&mut self, least: u64) {
        let of_walk = |shared: &Shared| matches!(shared.place, Place::Walk(_));
        let walks = self.shared.iter().any(of_walk)
            && self.members.iter().any(|member| member.walk.is_some());
        self.shared.retain(|shared| match shared.place {
            Place::Walk(_) => walks,
            Place::Change(first) => first >= least,
        });
    }
}

fn packed(paths: impl Iterator<Item = (PathId, Prefix)>, options: &Options) -> (Vec<u8>, u64) {
    let messages = pack_withdrawn_paths(paths, options);
    (messages.concat(), messages.len() as u64)
}

//! Attribute sets, each kept once as bytes; decoded when asked for.

mod facts;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use bgp_packet::{
    Attributes, BgpNextHop, Options, PeerKind, RawAttributes, Verdict, community, encode_attributes,
};
use bgp_policy::{KernelSource, Source};
use inet::{LinkName, is_link_local};

use crate::ahead;
use crate::decision::Ineligible;
use crate::hash::Keyed;
use crate::hops::HopId;
use crate::index::ShardedIndex;
use crate::pages::Slots;

pub(crate) use facts::Facts;

/// The number of an interned attribute set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttrId(pub(crate) u32);

/// What import has made of a received set: the set that is used, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Post(u32);

/// One interned set, shared by all paths that have it.
#[derive(Debug)]
pub(crate) struct AttrSet {
    key: Box<[u8]>,
    refs: u32,
    /// Tells it from a set that had the same number before.
    pub(crate) birth: u32,
    /// What import made of it last, and in which context; 0: in none. Holds a reference, unless
    /// it is the set itself.
    imported: (u32, Post),
    pub(crate) facts: Facts,
}

/// Attribute sets by the raw bytes they came in.
#[derive(Debug, Default)]
pub(crate) struct AttrTable {
    index: ShardedIndex,
    sets: Slots<AttrSet>,
    births: u32,
}

/// What a freed set held.
#[derive(Debug)]
pub(crate) struct Freed {
    pub(crate) hop: HopId,
    pub(crate) imported: Option<AttrId>,
}

/// The key of a set: all that its decoding and its facts depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) internal: bool,
    pub(crate) four_octet_as: bool,
    pub(crate) maker: Maker,
    /// Who had put an own route into the kernel, if anyone.
    pub(crate) kernel: Option<KernelSource>,
    /// Facts depend on our AS number and router id.
    pub(crate) generation: u8,
    pub(crate) next_hop: BgpNextHop,
    /// The link of a link-local next hop.
    pub(crate) link: Option<LinkName>,
    pub(crate) weight: u32,
    /// Import has asked to drop what goes to the prefix.
    pub(crate) discard: bool,
    /// Names of groups, each behind its length in two octets. Own routes only.
    pub(crate) groups: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Who has written a set's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// As received.
    Peer,
    /// Import has changed what was received.
    Import,
    /// Originated here.
    Own,
    /// Originated here, as an aggregate.
    Aggregate,
}

impl Post {
    /// No set has a number so high.
    const OUT: u32 = u32::MAX - 16;

    pub(crate) fn of(set: AttrId) -> Post {
        Post(set.0)
    }

    pub(crate) fn out(why: Ineligible) -> Post {
        Post(Post::OUT + why as u32)
    }

    pub(crate) fn set(self) -> Option<AttrId> {
        if self.0 < Post::OUT { Some(AttrId(self.0)) } else { None }
    }

    /// Why there is no set.
    pub(crate) fn why(self) -> Option<Ineligible> {
        let all = [
            Ineligible::Dead,
            Ineligible::AsLoop,
            Ineligible::OwnOriginator,
            Ineligible::ClusterLoop,
            Ineligible::RejectedByPolicy,
            Ineligible::NoImportPolicy,
            Ineligible::RouteLeak,
            Ineligible::NotLongLived,
            Ineligible::UnresolvedNextHop,
            Ineligible::SelectionDeferred,
            Ineligible::AsSet,
        ];
        all.get(self.0.checked_sub(Post::OUT)? as usize).copied()
    }
}

impl AttrSet {
    /// About as many bytes as the set takes in a message.
    pub(crate) fn raw_len(&self) -> usize {
        self.key.len() + 32
    }

    pub(crate) fn key(&self) -> Option<Key<'_>> {
        Key::parse(&self.key)
    }

    /// The next hop as it came.
    pub(crate) fn next_hop(&self) -> Option<BgpNextHop> {
        self.key().map(|key| key.next_hop)
    }

    /// The set decoded. What cannot be decoded was never interned.
    pub(crate) fn attributes(&self) -> Option<Attributes> {
        self.key()?.decode()
    }

    /// What import made of the set in a context, if that was the last one asked.
    pub(crate) fn imported(&self, context: u32) -> Option<Post> {
        let (of, post) = self.imported;
        if of == context && context != 0 { Some(post) } else { None }
    }
}

impl AttrTable {
    /// The set with this key, with one more reference.
    pub(crate) fn acquire(&mut self, keyed: Keyed, key: &[u8]) -> Option<AttrId> {
        let sets = &self.sets;
        let is = |at| sets.get(at).is_some_and(|set| *set.key == *key);
        let at = self.index.find(keyed.bytes(key), is)?;
        self.retain(AttrId(at));
        Some(AttrId(at))
    }

    /// Adds a set under a key that is not there yet, with one reference.
    pub(crate) fn insert(&mut self, keyed: Keyed, key: &[u8], facts: Facts) -> AttrId {
        self.births = self.births.wrapping_add(1);
        let imported = (0, Post::out(Ineligible::Dead));
        let set = AttrSet { key: key.into(), refs: 1, birth: self.births, imported, facts };
        let at = self.sets.insert(set);
        self.index.insert(keyed.bytes(key), at);
        AttrId(at)
    }

    pub(crate) fn retain(&mut self, id: AttrId) {
        if let Some(set) = self.sets.get_mut(id.0) {
            set.refs += 1;
        }
    }

    /// Gives a reference back; what is to be released when that was the last one.
    pub(crate) fn release(&mut self, keyed: Keyed, id: AttrId) -> Option<Freed> {
        let set = self.sets.get_mut(id.0)?;
        set.refs -= 1;
        if set.refs > 0 {
            return None;
        }
        let set = self.sets.remove(id.0)?;
        self.index.remove(keyed.bytes(&set.key), id.0);
        let (context, post) = set.imported;
        let imported = if context == 0 { None } else { post.set().filter(|post| *post != id) };
        Some(Freed { hop: set.facts.hop, imported })
    }

    /// Remembers what import made of a set, with a reference to that unless it is the set
    /// itself. Gives back the set it remembered before, to be released.
    pub(crate) fn remember(&mut self, id: AttrId, context: u32, post: Post) -> Option<AttrId> {
        if let Some(post) = post.set().filter(|post| *post != id) {
            self.retain(post);
        }
        let set = self.sets.get_mut(id.0)?;
        let (had, old) = std::mem::replace(&mut set.imported, (context, post));
        if had == 0 { None } else { old.set().filter(|old| *old != id) }
    }

    /// There is an AS_SET in what was received, where the merged path does not show it.
    pub(crate) fn note_as_set(&mut self, id: AttrId) {
        if let Some(set) = self.sets.get_mut(id.0) {
            set.facts = set.facts.with_as_set();
        }
    }

    pub(crate) fn get(&self, id: AttrId) -> Option<&AttrSet> {
        self.sets.get(id.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Somebody is about to give these back.
    pub(crate) fn read_ahead(&self, all: impl Iterator<Item = AttrId>) {
        ahead::read(all.map(|id| self.sets.get(id.0).map_or(0, |set| set.refs.into())));
    }
}

impl<'a> Key<'a> {
    /// Of a set as received.
    pub(crate) fn received(
        generation: u8,
        options: &Options,
        next_hop: BgpNextHop,
        link: Option<LinkName>,
        raw: &'a [u8],
    ) -> Key<'a> {
        Key {
            internal: options.kind == PeerKind::Internal,
            four_octet_as: options.four_octet_as,
            maker: Maker::Peer,
            kernel: None,
            generation,
            next_hop,
            link,
            weight: 0,
            discard: false,
            groups: &[],
            raw,
        }
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.clear();
        let maker = match self.maker {
            Maker::Peer => 0,
            Maker::Import => 1,
            Maker::Own => 2,
            Maker::Aggregate => 3,
        };
        let kernel = match self.kernel {
            None => 0,
            Some(KernelSource::Connected) => 1,
            Some(KernelSource::Static) => 2,
            Some(KernelSource::Other) => 3,
        };
        let v6 = self.next_hop.address.is_ipv6();
        let link_local = self.next_hop.link_local;
        to.push(
            u8::from(self.internal)
                | u8::from(self.four_octet_as) << 1
                | maker << 2
                | u8::from(v6) << 4
                | u8::from(link_local.is_some()) << 5
                | kernel << 6,
        );
        to.push(self.generation);
        match self.next_hop.address {
            IpAddr::V4(a) => to.extend(a.octets()),
            IpAddr::V6(a) => to.extend(a.octets()),
        }
        to.extend(link_local.iter().flat_map(|a| a.octets()));
        if is_link_local(&self.next_hop.address) {
            let link = self.link.as_ref().map_or("", LinkName::as_str);
            // At most 15 bytes.
            to.push(link.len() as u8);
            to.extend(link.as_bytes());
        }
        if self.maker != Maker::Peer {
            to.extend(self.weight.to_be_bytes());
            to.push(self.discard.into());
            to.extend((self.groups.len() as u32).to_be_bytes());
            to.extend(self.groups);
        }
        to.extend(self.raw);
    }

    fn parse(bytes: &'a [u8]) -> Option<Key<'a>> {
        let (&[flags, generation], rest) = bytes.split_first_chunk::<2>()?;
        let maker = match flags >> 2 & 3 {
            0 => Maker::Peer,
            1 => Maker::Import,
            2 => Maker::Own,
            _ => Maker::Aggregate,
        };
        let (address, rest) = if flags & 16 == 0 {
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            (IpAddr::from(*octets), rest)
        } else {
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            (IpAddr::from(*octets), rest)
        };
        let (link_local, rest) = if flags & 32 == 0 {
            (None, rest)
        } else {
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            (Some(Ipv6Addr::from(*octets)), rest)
        };
        let (link, rest) = if is_link_local(&address) {
            let (len, rest) = rest.split_first()?;
            let (name, rest) = rest.split_at_checked(usize::from(*len))?;
            (std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()), rest)
        } else {
            (None, rest)
        };
        let (weight, discard, groups, raw) = if maker == Maker::Peer {
            (0, false, &[][..], rest)
        } else {
            let (weight, rest) = rest.split_first_chunk::<4>()?;
            let (discard, rest) = rest.split_first()?;
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let (groups, raw) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            (u32::from_be_bytes(*weight), *discard != 0, groups, raw)
        };
        Some(Key {
            internal: flags & 1 != 0,
            four_octet_as: flags & 2 != 0,
            maker,
            kernel: match flags >> 6 {
                0 => None,
                1 => Some(KernelSource::Connected),
                2 => Some(KernelSource::Static),
                _ => Some(KernelSource::Other),
            },
            generation,
            next_hop: BgpNextHop { address, link_local },
            link,
            weight,
            discard,
            groups,
            raw,
        })
    }

    fn decode(&self) -> Option<Attributes> {
        let kind = if self.internal { PeerKind::Internal } else { PeerKind::External };
        let options = Options { four_octet_as: self.four_octet_as, ..Options::new(kind) };
        let raw = RawAttributes { bytes: Cow::Borrowed(self.raw) };
        match raw.decode(&options, self.next_hop) {
            Verdict::Accept(mut attributes, _) => {
                if self.maker == Maker::Peer {
                    received(&mut attributes, kind);
                }
                Some(attributes)
            }
            Verdict::TreatAsWithdraw(_) | Verdict::Reset(_) => None,
        }
    }

    /// Where an own route is from, for policies and people; none of what is learned.
    pub(crate) fn source(&self) -> Option<Source> {
        match self.maker {
            Maker::Own => Some(self.kernel.map_or(Source::Local, Source::Kernel)),
            Maker::Aggregate => Some(Source::Aggregate),
            Maker::Peer | Maker::Import => None,
        }
    }

    /// The names of groups.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.groups;
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<2>()?;
            let (name, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = after;
            Some(name)
        })
    }
}

/// What holds for all that comes from another AS, whatever the policy.
pub(crate) fn received(attributes: &mut Attributes, kind: PeerKind) {
    if kind == PeerKind::External {
        // RFC 4271 §5.1.5: LOCAL_PREF of another AS means nothing here.
        attributes.local_pref = None;
        // RFC 8326 §4: a route about to go is the last choice.
        if attributes.communities.contains(&community::GRACEFUL_SHUTDOWN) {
            attributes.local_pref = Some(0);
        }
    }
}

/// The bytes of a set made here, and whether they are in the form for inside an AS: so is what
/// has a LOCAL_PREF, which must not be missing there.
pub(crate) fn encode(attributes: &Attributes) -> (bool, Vec<u8>) {
    let internal = attributes.local_pref.is_some();
    let kind = if internal { PeerKind::Internal } else { PeerKind::External };
    (internal, encode_attributes(attributes, &Options::new(kind)))
}

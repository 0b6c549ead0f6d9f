//! Attributes as they stand in the message: checked, understood, and not copied.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::net::Ipv4Addr;

use inet::Asn;

use crate::update::next_attribute;
use crate::verdict::{FLAG_EXTENDED_LEN, FLAG_TRANSITIVE, Seen, expected_flags};
use crate::wire::Reader;
use crate::{AsPath, Attributes, BgpNextHop, Origin, Segment, UnknownAttribute};

/// The path attributes of a route, borrowed from the bytes they came in: what a decision asks is
/// read from there, and only who changes something makes [`Attributes`] of it.
///
/// The fields are those of [`Attributes`]; RFC 7606's verdict on them has been spoken.
#[derive(Clone, Copy, Debug)]
pub struct AttributesView<'a> {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, with AS4_PATH merged in.
    pub as_path: AsPathView<'a>,
    /// The next hop the set was decoded with.
    pub next_hop: BgpNextHop,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR.
    pub aggregator: Option<(Asn, Ipv4Addr)>,
    /// COMMUNITIES.
    pub communities: Items<'a, u32>,
    /// ORIGINATOR_ID.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST.
    pub cluster_list: Items<'a, Ipv4Addr>,
    /// EXTENDED COMMUNITIES.
    pub extended_communities: Items<'a, [u8; 8]>,
    /// LARGE_COMMUNITY; doubles are still there.
    pub large_communities: Items<'a, [u32; 3]>,
    /// OTC.
    pub only_to_customer: Option<Asn>,
    /// The whole set if there is an unknown attribute that travels on, else nothing.
    pub(crate) with_unknown: &'a [u8],
}

impl<'a> AttributesView<'a> {
    pub(crate) fn new(next_hop: BgpNextHop) -> AttributesView<'a> {
        AttributesView {
            origin: Origin::Incomplete,
            as_path: AsPathView::default(),
            next_hop,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Items::default(),
            originator_id: None,
            cluster_list: Items::default(),
            extended_communities: Items::default(),
            large_communities: Items::default(),
            only_to_customer: None,
            with_unknown: &[],
        }
    }

    /// Optional transitive attributes sart does not know, in the order of the message.
    pub fn unknown(&self) -> impl Iterator<Item = UnknownAttribute> + use<'a> {
        let mut reader = Reader::new(self.with_unknown);
        let mut seen = Seen::default();
        std::iter::from_fn(move || {
            loop {
                let raw = next_attribute(&mut reader)?;
                let travels =
                    expected_flags(raw.code).is_none() && raw.flags & FLAG_TRANSITIVE != 0;
                if !seen.before(raw.code) && travels {
                    return Some(UnknownAttribute {
                        flags: raw.flags & !FLAG_EXTENDED_LEN,
                        code: raw.code,
                        value: raw.value.to_vec(),
                    });
                }
            }
        })
    }

    /// All of it, copied.
    pub fn to_attributes(&self) -> Attributes {
        Attributes {
            origin: self.origin,
            as_path: self.as_path.to_path(),
            next_hop: self.next_hop,
            med: self.med,
            local_pref: self.local_pref,
            atomic_aggregate: self.atomic_aggregate,
            aggregator: self.aggregator,
            communities: self.communities.iter().collect(),
            originator_id: self.originator_id,
            cluster_list: self.cluster_list.iter().collect(),
            extended_communities: self.extended_communities.iter().collect(),
            large_communities: without_doubles(self.large_communities.iter()),
            only_to_customer: self.only_to_customer,
            unknown: self.unknown().collect(),
        }
    }
}

/// RFC 8092 §2: large communities that came twice are removed silently, and never sent.
pub(crate) fn without_doubles(all: impl Iterator<Item = [u32; 3]>) -> Vec<[u32; 3]> {
    let mut seen = BTreeSet::new();
    all.filter(|community| seen.insert(*community)).collect()
}

/// A list of values of fixed length, in wire form.
#[derive(Clone, Copy)]
pub struct Items<'a, T> {
    bytes: &'a [u8],
    of: PhantomData<T>,
}

/// What an [`Items`] can hold.
pub trait Item: Sized + PartialEq + private::Read {}

mod private {
    pub trait Read: Sized {
        /// Octets on the wire.
        const LEN: usize;
        /// Reads `LEN` octets; none if there are more or fewer.
        fn read(octets: &[u8]) -> Option<Self>;
    }
}

macro_rules! item {
    ($type:ty, $len:literal, $read:expr) => {
        impl Item for $type {}
        impl private::Read for $type {
            const LEN: usize = $len;
            fn read(octets: &[u8]) -> Option<Self> {
                octets.try_into().ok().map($read)
            }
        }
    };
}

item!(u32, 4, u32::from_be_bytes);
item!(Ipv4Addr, 4, |octets: [u8; 4]| Ipv4Addr::from(octets));
item!([u8; 8], 8, |octets: [u8; 8]| octets);
item!([u32; 3], 12, |[a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]| {
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)
});

impl<T> Default for Items<'_, T> {
    fn default() -> Self {
        Items { bytes: &[], of: PhantomData }
    }
}

impl<'a, T: Item> Items<'a, T> {
    /// None unless the bytes are one value or several, whole.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Items<'a, T>> {
        let whole = !bytes.is_empty() && bytes.len().is_multiple_of(T::LEN);
        whole.then_some(Items { bytes, of: PhantomData })
    }

    /// The values in wire order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(T::LEN).filter_map(T::read)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / T::LEN
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the value is one of them.
    pub fn contains(&self, value: &T) -> bool {
        self.iter().any(|v| v == *value)
    }
}

impl<T: Item + fmt::Debug> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// AS_PATH in wire form, with AS4_PATH in its place where one was merged in (RFC 6793 §4.2.3).
#[derive(Clone, Copy, Default)]
pub struct AsPathView<'a> {
    path: PathBytes<'a>,
    /// With this AS4_PATH, only so many hops of `path` count and it makes up the rest.
    as4: Option<(usize, PathBytes<'a>)>,
    /// There is a set in one of them, also where it does not count.
    sets: bool,
}

/// Checked segments of an AS_PATH or AS4_PATH.
#[derive(Clone, Copy, Default)]
pub(crate) struct PathBytes<'a> {
    bytes: &'a [u8],
    four_octets: bool,
}

/// One segment of an AS_PATH, in wire form.
#[derive(Clone, Copy, Debug)]
pub enum SegmentView<'a> {
    /// AS_SEQUENCE.
    Sequence(Numbers<'a>),
    /// AS_SET.
    Set(Numbers<'a>),
}

/// AS numbers in wire form.
#[derive(Clone, Copy)]
pub struct Numbers<'a> {
    bytes: &'a [u8],
    four_octets: bool,
}

impl<'a> AsPathView<'a> {
    pub(crate) fn new(path: PathBytes<'a>, as4: Option<PathBytes<'a>>) -> AsPathView<'a> {
        // An AS4_PATH longer than AS_PATH is not believed (RFC 6793 §4.2.3).
        let ahead = as4.and_then(|as4| Some((path.hops().checked_sub(as4.hops())?, as4)));
        AsPathView { path, as4: ahead, sets: false }
    }

    /// Notes that one of the two paths as they came has a set, if so.
    pub(crate) fn noting_sets(self, path: PathBytes<'_>, as4: Option<PathBytes<'_>>) -> Self {
        let sets = path.has_sets() || as4.is_some_and(PathBytes::has_sets);
        AsPathView { sets, ..self }
    }

    /// Whether AS_PATH or AS4_PATH, as they came, have an AS_SET or AS_CONFED_SET (RFC 9774 §3):
    /// also where the one stands for the other, or is not believed.
    pub fn has_sets(&self) -> bool {
        self.sets
    }

    /// The segments, nearest AS first. Where AS4_PATH begins, a sequence may follow a sequence.
    pub fn segments(&self) -> impl Iterator<Item = SegmentView<'a>> + use<'a> {
        let (mut ahead, as4) = match self.as4 {
            Some((ahead, as4)) => (ahead, as4),
            None => (usize::MAX, PathBytes::default()),
        };
        let head = self.path.segments().map_while(move |segment| {
            if ahead == 0 {
                return None;
            }
            let part = match segment {
                SegmentView::Sequence(numbers) => SegmentView::Sequence(numbers.head(ahead)),
                SegmentView::Set(numbers) => SegmentView::Set(numbers),
            };
            ahead -= part.hops();
            Some(part)
        });
        head.chain(as4.segments())
    }

    /// See [`AsPath::hops`].
    pub fn hops(&self) -> usize {
        // AS4_PATH stands in for as many hops of AS_PATH as it has itself.
        self.path.hops()
    }

    /// See [`AsPath::contains`].
    pub fn contains(&self, asn: Asn) -> bool {
        self.count(asn) > 0
    }

    /// How often the number stands in the path.
    pub fn count(&self, asn: Asn) -> usize {
        let all = self.segments().flat_map(|segment| segment.numbers());
        all.filter(|number| *number == asn.get()).count()
    }

    /// See [`AsPath::first`].
    pub fn first(&self) -> Option<u32> {
        match self.segments().next()? {
            SegmentView::Sequence(mut numbers) => numbers.next(),
            SegmentView::Set(_) => None,
        }
    }

    /// See [`AsPath::origin`].
    pub fn origin(&self) -> Option<u32> {
        match self.segments().last()? {
            SegmentView::Sequence(numbers) => numbers.last(),
            SegmentView::Set(_) => None,
        }
    }

    /// Whether the route began in the AS of who sent it.
    pub fn is_empty(&self) -> bool {
        self.path.bytes.is_empty()
    }

    /// All of it, copied.
    pub fn to_path(&self) -> AsPath {
        let mut segments: Vec<Segment> = Vec::new();
        // The seam between AS_PATH and AS4_PATH is closed where it cut a sequence in two.
        let mut ahead = self.as4.map_or(usize::MAX, |(ahead, _)| ahead);
        for segment in self.segments() {
            let seam = ahead == 0;
            ahead = if seam { usize::MAX } else { ahead - segment.hops() };
            match (segments.last_mut(), segment) {
                (Some(Segment::Sequence(head)), SegmentView::Sequence(tail))
                    if seam && head.len() + tail.len() <= 255 =>
                {
                    head.extend(tail);
                }
                (_, SegmentView::Sequence(all)) => segments.push(Segment::Sequence(all.collect())),
                (_, SegmentView::Set(all)) => segments.push(Segment::Set(all.collect())),
            }
        }
        AsPath { segments }
    }
}

impl fmt::Debug for AsPathView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_path(), f)
    }
}

impl<'a> PathBytes<'a> {
    /// AS_PATH (RFC 7606 §7.2). Confederation segments are malformed: none of our peers is in a
    /// confederation with us (RFC 5065 §5).
    pub(crate) fn as_path(
        bytes: &'a [u8],
        four_octets: bool,
    ) -> Result<PathBytes<'a>, &'static str> {
        PathBytes { bytes, four_octets }.checked(|kind| matches!(kind, SET | SEQUENCE))
    }

    /// AS4_PATH; confederation segments in it are passed over (RFC 6793 §6).
    pub(crate) fn as4_path(bytes: &'a [u8]) -> Result<PathBytes<'a>, &'static str> {
        let known = |kind| matches!(kind, SET | SEQUENCE | CONFED_SEQUENCE | CONFED_SET);
        PathBytes { bytes, four_octets: true }.checked(known)
    }

    fn checked(self, known: impl Fn(u8) -> bool) -> Result<PathBytes<'a>, &'static str> {
        let mut reader = Reader::new(self.bytes);
        while !reader.is_empty() {
            let (kind, mut numbers) =
                self.next(&mut reader).ok_or("segment longer than the path")?;
            if numbers.bytes.is_empty() {
                return Err("empty segment");
            }
            if numbers.any(|asn| asn == 0) {
                // RFC 7607 §2.
                return Err("AS 0");
            }
            if !known(kind) {
                return Err("unknown segment type");
            }
        }
        Ok(self)
    }

    /// One segment with its type.
    fn next(&self, reader: &mut Reader<'a>) -> Option<(u8, Numbers<'a>)> {
        let (kind, count) = (reader.u8()?, usize::from(reader.u8()?));
        let bytes = reader.take(count * octets(self.four_octets))?;
        Some((kind, Numbers { bytes, four_octets: self.four_octets }))
    }

    fn segments(self) -> impl Iterator<Item = SegmentView<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        let all = std::iter::from_fn(move || self.next(&mut reader));
        all.filter_map(|(kind, numbers)| match kind {
            SET => Some(SegmentView::Set(numbers)),
            SEQUENCE => Some(SegmentView::Sequence(numbers)),
            _ => None,
        })
    }

    fn has_sets(self) -> bool {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(|| self.next(&mut reader))
            .any(|(kind, _)| kind == SET || kind == CONFED_SET)
    }

    fn hops(self) -> usize {
        self.segments().map(|segment| segment.hops()).sum()
    }
}

/// Types of segments (RFC 4271 §4.3, RFC 5065 §3).
const SET: u8 = 1;
const SEQUENCE: u8 = 2;
const CONFED_SEQUENCE: u8 = 3;
const CONFED_SET: u8 = 4;

const fn octets(four_octets: bool) -> usize {
    if four_octets { 4 } else { 2 }
}

impl<'a> SegmentView<'a> {
    /// How much the segment adds to the path's length.
    pub fn hops(&self) -> usize {
        match self {
            SegmentView::Sequence(numbers) => numbers.len(),
            SegmentView::Set(_) => 1,
        }
    }

    /// The AS numbers.
    pub fn numbers(&self) -> Numbers<'a> {
        match self {
            SegmentView::Sequence(numbers) | SegmentView::Set(numbers) => *numbers,
        }
    }
}

impl<'a> Numbers<'a> {
    /// The first `n`, or all.
    fn head(self, n: usize) -> Numbers<'a> {
        let len = n.saturating_mul(octets(self.four_octets));
        Numbers { bytes: self.bytes.get(..len).unwrap_or(self.bytes), ..self }
    }
}

impl Iterator for Numbers<'_> {
    type Item = u32;
    fn next(&mut self) -> Option<u32> {
        let mut reader = Reader::new(self.bytes);
        let number = number(&mut reader, self.four_octets);
        self.bytes = reader.rest();
        number
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.bytes.len() / octets(self.four_octets);
        (len, Some(len))
    }
}

impl ExactSizeIterator for Numbers<'_> {}

impl fmt::Debug for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// One AS number of two or four octets.
pub(crate) fn number(reader: &mut Reader<'_>, four_octets: bool) -> Option<u32> {
    if four_octets { reader.u32() } else { reader.u16().map(u32::from) }
}

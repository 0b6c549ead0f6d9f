//! UPDATE: where things are in it. What the attributes mean is in `verdict`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use inet::Family;

use crate::notification::code;
use crate::verdict::{self, FLAG_EXTENDED_LEN, FLAG_OPTIONAL, FLAG_TRANSITIVE, kind};
use crate::wire::Reader;
use crate::{AttributesView, BgpNextHop, Malformation, Nlri, Notification, Options, Verdict};

/// An UPDATE read from a frame, lazily: NLRI are iterated, attributes are decoded on demand so
/// that a set seen before (same raw bytes) is never decoded twice.
///
/// Every NLRI has been checked while decoding; iterating cannot fail. `withdrawn` comes before
/// `reach`: a prefix that is in both is announced (RFC 4271 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// Prefixes withdrawn: WITHDRAWN ROUTES, MP_UNREACH_NLRI, and those announced in a way that
    /// RFC 7606 treats as a withdrawal (then `malformed` says why).
    pub withdrawn: Vec<Nlri<'a>>,
    /// Prefixes announced: NLRI and MP_REACH_NLRI, each with its own next hop.
    pub reach: Vec<Reach<'a>>,
    /// End-of-RIB for this family (RFC 4724 §2): nothing else is in the message.
    pub end_of_rib: Option<Family>,
    /// The path attributes' raw bytes, less MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub attributes: RawAttributes<'a>,
    /// What was found wrong so far and survived (RFC 7606), for counters and logs.
    pub malformed: Vec<Malformation>,
}

/// Announced prefixes and the next hop they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach<'a> {
    /// The prefixes.
    pub nlri: Nlri<'a>,
    /// Their next hop.
    pub next_hop: BgpNextHop,
}

/// The raw bytes of an attribute set: the key by which sets are interned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAttributes<'a> {
    /// Concatenated attributes in wire order.
    pub bytes: Cow<'a, [u8]>,
}

impl RawAttributes<'_> {
    /// Decodes the set for routes with this next hop ([`Reach::next_hop`]) and says what becomes
    /// of them (RFC 7606 §3, §7). The key to remember the verdict by is the bytes, the options
    /// and the next hop.
    pub fn decode(&self, options: &Options, next_hop: BgpNextHop) -> Verdict {
        self.view(options, next_hop).map(|view| view.to_attributes())
    }

    /// The same verdict with the attributes left where they stand: nothing is copied or
    /// allocated for a set without faults. Who keeps the bytes can look at them so again later.
    pub fn view(&self, options: &Options, next_hop: BgpNextHop) -> Verdict<AttributesView<'_>> {
        verdict::decide(&self.bytes, options, next_hop, true)
    }
}

/// One attribute as it stands in the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawAttribute<'a> {
    pub(crate) flags: u8,
    pub(crate) code: u8,
    pub(crate) value: &'a [u8],
}

/// Takes one attribute; none when its length does not fit (RFC 7606 §4).
pub(crate) fn next_attribute<'a>(reader: &mut Reader<'a>) -> Option<RawAttribute<'a>> {
    let mut ahead = *reader;
    let (flags, code) = (ahead.u8()?, ahead.u8()?);
    let value =
        if flags & FLAG_EXTENDED_LEN != 0 { ahead.counted16()? } else { ahead.counted8()? };
    *reader = ahead;
    Some(RawAttribute { flags, code, value })
}

/// What a walk over the attributes finds before any is understood.
#[derive(Default)]
struct Scan<'a> {
    mp_reach: Option<RawAttribute<'a>>,
    mp_unreach: Option<RawAttribute<'a>>,
    next_hop: Option<RawAttribute<'a>>,
    /// The runs of bytes between MP_REACH_NLRI and MP_UNREACH_NLRI.
    kept: Vec<&'a [u8]>,
    overrun: bool,
}

impl<'a> Scan<'a> {
    fn of(bytes: &'a [u8]) -> Result<Scan<'a>, Notification> {
        let mut scan = Scan::default();
        let mut reader = Reader::new(bytes);
        let mut kept_from = 0;
        while !reader.is_empty() {
            let start = bytes.len() - reader.len();
            let Some(attribute) = next_attribute(&mut reader) else {
                scan.overrun = true;
                scan.keep(bytes, kept_from, start);
                return Ok(scan);
            };
            let slot = match attribute.code {
                kind::MP_REACH => &mut scan.mp_reach,
                kind::MP_UNREACH => &mut scan.mp_unreach,
                kind::NEXT_HOP => {
                    scan.next_hop.get_or_insert(attribute);
                    continue;
                }
                _ => continue,
            };
            // RFC 7606 §3 g: these two must not come twice.
            if slot.replace(attribute).is_some() {
                return Err(Notification::new(code::UPDATE, 1));
            }
            scan.keep(bytes, kept_from, start);
            kept_from = bytes.len() - reader.len();
        }
        scan.keep(bytes, kept_from, bytes.len());
        Ok(scan)
    }

    fn keep(&mut self, bytes: &'a [u8], from: usize, to: usize) {
        let run = bytes.get(from..to).unwrap_or_default();
        if !run.is_empty() {
            self.kept.push(run);
        }
    }

    /// The kept runs as one; copied only when an MP attribute stood between others.
    fn attributes(&self) -> RawAttributes<'a> {
        let bytes = match self.kept.as_slice() {
            [] => Cow::Borrowed(&[][..]),
            [one] => Cow::Borrowed(*one),
            several => Cow::Owned(several.concat()),
        };
        RawAttributes { bytes }
    }
}

/// RFC 4271 §4.3 and §6.3, RFC 4760 §3 and §4, RFC 7606.
pub(crate) fn decode_update<'a>(
    body: &'a [u8],
    options: &Options,
) -> Result<Update<'a>, Notification> {
    // Lengths that do not fit the message leave nothing to go by (RFC 7606 §3 j, §4).
    let malformed_list = || Notification::new(code::UPDATE, 1);
    let mut reader = Reader::new(body);
    let withdrawn = reader.counted16().ok_or_else(malformed_list)?;
    let attributes = reader.counted16().ok_or_else(malformed_list)?;
    let nlri = reader.rest();
    let invalid_field = || Notification::new(code::UPDATE, 10);
    let ipv4 = |bytes| Nlri::new(Family::Ipv4, options.add_path_receive.ipv4, bytes);
    let withdrawn = ipv4(withdrawn).ok_or_else(invalid_field)?;
    let nlri = ipv4(nlri).ok_or_else(invalid_field)?;

    let scan = Scan::of(attributes)?;
    let mut update = Update {
        withdrawn: Vec::new(),
        reach: Vec::new(),
        end_of_rib: None,
        attributes: scan.attributes(),
        malformed: Vec::new(),
    };
    if scan.overrun {
        update.malformed.push(Malformation { code: 0, reason: "attribute longer than the list" });
    }
    // "No reachable NLRI" counts what stands there, also of families not in use (RFC 7606 §5.2).
    let mut announces = !nlri.is_empty();
    let mut empty_unreach = None;
    if let Some(attribute) = scan.mp_unreach {
        let found = mp_unreach(attribute, options)?;
        empty_unreach = found.as_ref().filter(|n| n.is_empty()).map(Nlri::family);
        update.withdraw(found, options);
    }
    if let Some(attribute) = scan.mp_reach {
        let (found, any) = mp_reach(attribute, options)?;
        announces |= any;
        if let Some((nlri, next_hop)) = found {
            update.announce(nlri, next_hop, options);
        }
    }
    if !nlri.is_empty() {
        update.announce(nlri, classic_next_hop(scan.next_hop), options);
    }
    let is_empty = withdrawn.is_empty() && scan.mp_reach.is_none() && scan.kept.is_empty();
    if is_empty && !announces && !scan.overrun {
        // An empty UPDATE, or an empty MP_UNREACH_NLRI alone.
        let family = if scan.mp_unreach.is_some() { empty_unreach } else { Some(Family::Ipv4) };
        update.end_of_rib = family.filter(|f| options.carries(*f));
    }
    update.withdraw(Some(withdrawn), options);
    if !announces {
        check_without_nlri(&update, options)?;
        return Ok(update);
    }
    // RFC 7606 §2: a malformed attribute takes all routes of the message with it. A next hop
    // that is only no host's takes those that have it (RFC 4271 §6.3).
    if update.malformed.iter().any(|m| m.reason != NOT_A_HOST) {
        update.treat_as_withdraw();
    }
    Ok(update)
}

impl<'a> Update<'a> {
    fn withdraw(&mut self, nlri: Option<Nlri<'a>>, options: &Options) {
        let used = |n: &Nlri<'a>| !n.is_empty() && options.carries(n.family());
        self.withdrawn.extend(nlri.filter(used));
    }

    fn announce(
        &mut self,
        nlri: Nlri<'a>,
        next_hop: Result<BgpNextHop, Malformation>,
        options: &Options,
    ) {
        if nlri.is_empty() || !options.carries(nlri.family()) {
            return;
        }
        match next_hop {
            Ok(next_hop) => self.reach.push(Reach { nlri, next_hop }),
            Err(malformation) => {
                self.malformed.push(malformation);
                self.withdrawn.push(nlri);
            }
        }
    }

    /// RFC 7606 §2: what was announced counts as withdrawn.
    fn treat_as_withdraw(&mut self) {
        self.withdrawn.extend(self.reach.drain(..).map(|r| r.nlri));
    }
}

/// Attributes without routes: it is not sure that the routes were found, so what would else be
/// treat-as-withdraw resets (RFC 7606 §5.2).
fn check_without_nlri(update: &Update<'_>, options: &Options) -> Result<(), Notification> {
    if let Some(malformation) = update.malformed.first() {
        return Err(malformation.notification());
    }
    if update.attributes.bytes.is_empty() {
        return Ok(());
    }
    let next_hop = BgpNextHop::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match verdict::decide(&update.attributes.bytes, options, next_hop, false) {
        Verdict::Accept(..) => Ok(()),
        Verdict::TreatAsWithdraw(all) => {
            Err(all.first().map_or(Notification::new(code::UPDATE, 1), Malformation::notification))
        }
        Verdict::Reset(notification) => Err(notification),
    }
}

/// NEXT_HOP of routes in the NLRI field (RFC 4271 §5.1.3, §6.3; RFC 7606 §7.3).
fn classic_next_hop(attribute: Option<RawAttribute<'_>>) -> Result<BgpNextHop, Malformation> {
    let wrong = |reason| Malformation { code: kind::NEXT_HOP, reason };
    let attribute = attribute.ok_or(wrong("NEXT_HOP is missing"))?;
    if attribute.flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE) != FLAG_TRANSITIVE {
        return Err(wrong("wrong flags"));
    }
    let octets = <[u8; 4]>::try_from(attribute.value).map_err(|_| wrong("wrong length"))?;
    let address = Ipv4Addr::from(octets);
    if is_host(IpAddr::V4(address)) {
        Ok(BgpNextHop::from(IpAddr::V4(address)))
    } else {
        Err(wrong(NOT_A_HOST))
    }
}

const NOT_A_HOST: &str = "not a host's address";

/// Whether packets can be sent to the address from another host.
fn is_host(address: IpAddr) -> bool {
    match address {
        // 0/8 and 240/4 with the broadcast address are no hosts'.
        IpAddr::V4(a) => !a.is_loopback() && !a.is_multicast() && (1..240).contains(&a.octets()[0]),
        IpAddr::V6(a) => !a.is_loopback() && !a.is_multicast() && !a.is_unspecified(),
    }
}

/// Routes and their next hop, if the family is one of ours.
type MpReach<'a> = Option<(Nlri<'a>, Result<BgpNextHop, Malformation>)>;

/// MP_REACH_NLRI (RFC 4760 §3); the bool says whether any route stands in it. What keeps the
/// routes from being found resets the session (RFC 7606 §7.11).
fn mp_reach<'a>(
    attribute: RawAttribute<'a>,
    options: &Options,
) -> Result<(MpReach<'a>, bool), Notification> {
    let wrong = || Notification::new(code::UPDATE, 9);
    let mut reader = mp_value(attribute).ok_or_else(wrong)?;
    let family = reader.family().ok_or_else(wrong)?;
    let next_hop = reader.counted8().ok_or_else(wrong)?;
    let _reserved = reader.u8().ok_or_else(wrong)?;
    let Some(family) = family else {
        return Ok((None, !reader.is_empty()));
    };
    let add_path = options.add_path_receive.has(family);
    let nlri = Nlri::new(family, add_path, reader.rest()).ok_or_else(wrong)?;
    let next_hop = mp_next_hop(family, next_hop, options).ok_or_else(wrong)?;
    let next_hop = match is_host(next_hop.address) {
        true => Ok(next_hop),
        false => Err(Malformation { code: kind::MP_REACH, reason: NOT_A_HOST }),
    };
    let any = !nlri.is_empty();
    Ok((Some((nlri, next_hop)), any))
}

/// MP_UNREACH_NLRI (RFC 4760 §4).
fn mp_unreach<'a>(
    attribute: RawAttribute<'a>,
    options: &Options,
) -> Result<Option<Nlri<'a>>, Notification> {
    let wrong = || Notification::new(code::UPDATE, 9);
    let mut reader = mp_value(attribute).ok_or_else(wrong)?;
    let Some(family) = reader.family().ok_or_else(wrong)? else {
        return Ok(None);
    };
    let add_path = options.add_path_receive.has(family);
    Nlri::new(family, add_path, reader.rest()).map(Some).ok_or_else(wrong)
}

/// A reader of the value, if the flags are right: both MP attributes are optional and
/// non-transitive, and flags that say otherwise make them incorrect (RFC 7606 §5.3).
fn mp_value<'a>(attribute: RawAttribute<'a>) -> Option<Reader<'a>> {
    let right = attribute.flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE) == FLAG_OPTIONAL;
    right.then(|| Reader::new(attribute.value))
}

/// A next hop of MP_REACH_NLRI; none when its length is not one of the family's (RFC 2545 §3,
/// RFC 8950 §4 where it was agreed on).
fn mp_next_hop(family: Family, bytes: &[u8], options: &Options) -> Option<BgpNextHop> {
    let mut reader = Reader::new(bytes);
    let ipv6 = family == Family::Ipv6 || options.ipv4_over_ipv6;
    match (family, bytes.len()) {
        (Family::Ipv4, 4) => Some(BgpNextHop::from(IpAddr::V4(reader.ipv4()?))),
        (_, 16) if ipv6 => Some(BgpNextHop::from(IpAddr::V6(reader.ipv6()?))),
        (_, 32) if ipv6 => {
            let (global, second) = (reader.ipv6()?, reader.ipv6()?);
            // Some speakers without a global address leave the first one empty.
            let address = if global.is_unspecified() { second } else { global };
            let link_local = second.is_unicast_link_local().then_some(second);
            Some(BgpNextHop { address: IpAddr::V6(address), link_local })
        }
        (Family::Ipv4 | Family::Ipv6, _) => None,
    }
}

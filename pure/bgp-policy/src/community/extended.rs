use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use bgp_packet::Attributes;

use super::part::Part;
use super::{CommunityKind, CommunityPattern, CommunityTextError};

/// Extended communities (RFC 4360).
///
/// | written | matches |
/// |---|---|
/// | `rt:65000:100` | a route target of this AS, in the two- and the four-octet form |
/// | `rt:10.0.0.1:100` | a route target of this address |
/// | `soo:…` | the same for a route origin |
/// | `bandwidth:65000:125000000` | a link bandwidth in bytes a second, in its transitive form too |
/// | `raw:4004fde84cee6b28` | these eight octets; with `*` at the end, all that begin so |
///
/// Each number may be `*`, and in `rt` and `soo` a range (`100-199`); so may the AS of `bandwidth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtendedPattern {
    /// `rt` and `soo` of an AS number.
    OfAs(Use, Part, Part),
    /// `rt` and `soo` of an IPv4 address.
    OfAddress(Use, Ipv4Addr, Part),
    /// The octets, and how many half octets of them count.
    Raw([u8; 8], u8),
    /// `bandwidth` of an AS number: bytes a second as their binary form, to be comparable; none: any.
    Bandwidth(Part, Option<u32>),
}

/// What a community is for: the sub-type of RFC 4360 §4 and §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Route target.
    Target = 2,
    /// Route origin.
    Origin = 3,
}

const WANTED: &str = "an extended community (rt:65000:100, soo:10.0.0.1:100, bandwidth:65000:125000000, or raw: and 16 hex digits)";
const WANTED_PATTERN: &str = "a pattern of extended communities (rt:65000:*, soo:10.0.0.1:1-9, bandwidth:65000:*, raw:4004*)";

/// Types of a two-octet AS number, an IPv4 address, a four-octet AS number (RFC 4360, 5668).
const TWO_OCTETS: u8 = 0;
const ADDRESS: u8 = 1;
const FOUR_OCTETS: u8 = 2;
/// Link bandwidth is not transitive: type 0x40, sub-type 0x04 (draft-ietf-idr-link-bandwidth).
const BANDWIDTH: [u8; 2] = [0x40, 0x04];

impl CommunityKind for ExtendedPattern {
    type Value = [u8; 8];
    const KEY: &'static str = "extended_communities";

    fn matches(&self, value: &[u8; 8]) -> bool {
        let [kind, sub, a, b, c, d, e, f] = *value;
        match *self {
            ExtendedPattern::OfAs(wanted, asn, number) => {
                sub == wanted as u8
                    && match kind {
                        TWO_OCTETS => {
                            asn.matches(u16::from_be_bytes([a, b]).into())
                                && number.matches(u32::from_be_bytes([c, d, e, f]))
                        }
                        FOUR_OCTETS => {
                            asn.matches(u32::from_be_bytes([a, b, c, d]))
                                && number.matches(u16::from_be_bytes([e, f]).into())
                        }
                        _ => false,
                    }
            }
            ExtendedPattern::OfAddress(wanted, address, number) => {
                (kind, sub) == (ADDRESS, wanted as u8)
                    && address == Ipv4Addr::from([a, b, c, d])
                    && number.matches(u16::from_be_bytes([e, f]).into())
            }
            ExtendedPattern::Raw(octets, digits) => {
                let shift = 64 - 4 * u32::from(digits.min(16));
                let differ = u64::from_be_bytes(octets) ^ u64::from_be_bytes(*value);
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            ExtendedPattern::Bandwidth(asn, bits) => {
                // The transitive form (type 0) counts too.
                (kind & !BANDWIDTH[0], sub) == (0, BANDWIDTH[1])
                    && asn.matches(u16::from_be_bytes([a, b]).into())
                    && bits.is_none_or(|bits| u32::from_be_bytes([c, d, e, f]) == bits)
            }
        }
    }

    fn list(attributes: &Attributes) -> &[[u8; 8]] {
        &attributes.extended_communities
    }

    fn list_mut(attributes: &mut Attributes) -> &mut Vec<[u8; 8]> {
        &mut attributes.extended_communities
    }

    fn read(text: &str) -> Result<[u8; 8], CommunityTextError> {
        let error = || CommunityTextError { text: text.to_owned(), wanted: WANTED };
        let pattern = ExtendedPattern::from_str(text).map_err(|_| error())?;
        pattern.only().ok_or_else(error)
    }

    fn write(value: &[u8; 8]) -> String {
        let [kind, sub, a, b, c, d, e, f] = *value;
        let name = match sub {
            2 => "rt",
            3 => "soo",
            _ => "",
        };
        let two = u16::from_be_bytes([a, b]);
        let four = u32::from_be_bytes([a, b, c, d]);
        let tail = u16::from_be_bytes([e, f]);
        let bits = u32::from_be_bytes([c, d, e, f]);
        let text = match kind {
            TWO_OCTETS if !name.is_empty() => format!("{name}:{two}:{bits}"),
            // A small number in the four-octet form would be read as the two-octet one.
            FOUR_OCTETS if !name.is_empty() && four > u16::MAX.into() => {
                format!("{name}:{four}:{tail}")
            }
            ADDRESS if !name.is_empty() => format!("{name}:{}:{tail}", Ipv4Addr::from(four)),
            _ if [kind, sub] == BANDWIDTH => format!("bandwidth:{two}:{}", f32::from_bits(bits)),
            _ => String::new(),
        };
        // What is not read back as it was is written as its octets.
        match ExtendedPattern::read(&text) {
            Ok(read) if read == *value => text,
            Ok(_) | Err(_) => format!("raw:{:016x}", u64::from_be_bytes(*value)),
        }
    }

    fn of(entry: &CommunityPattern) -> Option<&ExtendedPattern> {
        match entry {
            CommunityPattern::Extended(pattern) => Some(pattern),
            CommunityPattern::Standard(_) | CommunityPattern::Large(_) => None,
        }
    }
}

impl ExtendedPattern {
    /// The community, if the pattern stands for one alone.
    fn only(self) -> Option<[u8; 8]> {
        match self {
            ExtendedPattern::OfAs(wanted, asn, number) => {
                let (asn, number) = (asn.only()?, number.only()?);
                match (u16::try_from(asn), u16::try_from(number)) {
                    (Ok(asn), _) => {
                        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), number.to_be_bytes());
                        Some([TWO_OCTETS, wanted as u8, a, b, c, d, e, f])
                    }
                    (Err(_), Ok(number)) => {
                        let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), number.to_be_bytes());
                        Some([FOUR_OCTETS, wanted as u8, a, b, c, d, e, f])
                    }
                    (Err(_), Err(_)) => None,
                }
            }
            ExtendedPattern::OfAddress(wanted, address, number) => {
                let [a, b, c, d] = address.octets();
                let [e, f] = u16::try_from(number.only()?).ok()?.to_be_bytes();
                Some([ADDRESS, wanted as u8, a, b, c, d, e, f])
            }
            ExtendedPattern::Raw(octets, digits) => (digits == 16).then_some(octets),
            ExtendedPattern::Bandwidth(asn, bits) => {
                let [kind, sub] = BANDWIDTH;
                let asn = u16::try_from(asn.only()?).ok()?;
                let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), bits?.to_be_bytes());
                Some([kind, sub, a, b, c, d, e, f])
            }
        }
    }

    fn raw(hex: &str) -> Option<ExtendedPattern> {
        let (digits, open) = match hex.strip_suffix('*') {
            Some(digits) => (digits, true),
            None => (hex, false),
        };
        let count = u8::try_from(digits.len()).ok()?;
        let fits = if open { (1..16).contains(&count) } else { count == 16 };
        if !fits || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let number = u64::from_str_radix(digits, 16).ok()? << (64 - 4 * u32::from(count));
        Some(ExtendedPattern::Raw(number.to_be_bytes(), count))
    }

    fn parse(text: &str) -> Option<ExtendedPattern> {
        if let Some(hex) = text.strip_prefix("raw:") {
            return ExtendedPattern::raw(hex);
        }
        let (name, rest) = text.split_once(':')?;
        let (who, number) = rest.split_once(':')?;
        let wanted = match name {
            "rt" => Use::Target,
            "soo" => Use::Origin,
            "bandwidth" => {
                let asn = Part::read(who, u16::MAX.into())?;
                if number == "*" {
                    return Some(ExtendedPattern::Bandwidth(asn, None));
                }
                let rate: f32 = number.parse().ok()?;
                if !rate.is_finite()
                    || rate < 0.0
                    || !number.starts_with(|c: char| c.is_ascii_digit())
                {
                    return None;
                }
                return Some(ExtendedPattern::Bandwidth(asn, Some(rate.to_bits())));
            }
            _ => return None,
        };
        if let Ok(address) = who.parse() {
            let number = Part::read(number, u16::MAX.into())?;
            return Some(ExtendedPattern::OfAddress(wanted, address, number));
        }
        let (asn, number) = (Part::read(who, u32::MAX)?, Part::read(number, u32::MAX)?);
        Some(ExtendedPattern::OfAs(wanted, asn, number))
    }
}

impl FromStr for ExtendedPattern {
    type Err = CommunityTextError;
    fn from_str(text: &str) -> Result<ExtendedPattern, CommunityTextError> {
        let error = || CommunityTextError { text: text.to_owned(), wanted: WANTED_PATTERN };
        ExtendedPattern::parse(text).ok_or_else(error)
    }
}

impl fmt::Display for ExtendedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExtendedPattern::OfAs(wanted, asn, number) => write!(f, "{wanted}:{asn}:{number}"),
            ExtendedPattern::OfAddress(wanted, address, number) => {
                write!(f, "{wanted}:{address}:{number}")
            }
            ExtendedPattern::Raw(octets, digits) => {
                let hex = format!("{:016x}", u64::from_be_bytes(*octets));
                let open = if *digits < 16 { "*" } else { "" };
                write!(f, "raw:{}{open}", hex.get(..usize::from(*digits)).unwrap_or(&hex))
            }
            ExtendedPattern::Bandwidth(asn, Some(bits)) => {
                write!(f, "bandwidth:{asn}:{}", f32::from_bits(*bits))
            }
            ExtendedPattern::Bandwidth(asn, None) => write!(f, "bandwidth:{asn}:*"),
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::Target => "rt",
            Use::Origin => "soo",
        })
    }
}

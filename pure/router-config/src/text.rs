//! Values that are written as text: ORIGIN and communities.

use bgp_packet::{Origin, community};
use serde::{Serialize, Serializer};

/// Why a text is no community or ORIGIN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct CommunityError {
    text: String,
    wanted: &'static str,
}

/// The names of well-known communities.
const WELL_KNOWN: [(&str, u32); 8] = [
    ("graceful-shutdown", community::GRACEFUL_SHUTDOWN),
    ("llgr-stale", community::LLGR_STALE),
    ("no-llgr", community::NO_LLGR),
    ("blackhole", community::BLACKHOLE),
    ("no-export", community::NO_EXPORT),
    ("no-advertise", community::NO_ADVERTISE),
    ("no-export-subconfed", community::NO_EXPORT_SUBCONFED),
    ("no-peer", community::NO_PEER),
];

/// Reads `high:low` (each below 2^16), one number below 2^32, or a well-known name.
pub fn parse_community(text: &str) -> Result<u32, CommunityError> {
    let wanted = "a community (65000:100, or a well-known name such as no-export)";
    let error = || CommunityError { text: text.to_owned(), wanted };
    if let Some((_, value)) = WELL_KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(*value);
    }
    match text.split_once(':') {
        None => text.parse().map_err(|_| error()),
        Some((high, low)) => {
            let high: u16 = high.parse().map_err(|_| error())?;
            let low: u16 = low.parse().map_err(|_| error())?;
            Ok(u32::from(high) << 16 | u32::from(low))
        }
    }
}

/// Reads `a:b:c`, each below 2^32 (RFC 8092).
pub fn parse_large_community(text: &str) -> Result<[u32; 3], CommunityError> {
    let wanted = "a large community (65000:1:2)";
    let error = || CommunityError { text: text.to_owned(), wanted };
    let parts: Vec<u32> = text
        .split(':')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_: std::num::ParseIntError| error())?;
    <[u32; 3]>::try_from(parts).map_err(|_| error())
}

/// Reads `igp`, `egp` or `incomplete` in any case, their signs `i`, `e` and `?`, or their codes.
pub fn parse_origin(text: &str) -> Result<Origin, CommunityError> {
    match text.to_ascii_lowercase().as_str() {
        "igp" | "i" | "0" => Ok(Origin::Igp),
        "egp" | "e" | "1" => Ok(Origin::Egp),
        "incomplete" | "?" | "2" => Ok(Origin::Incomplete),
        _ => Err(CommunityError {
            text: text.to_owned(),
            wanted: "an origin (igp, egp or incomplete)",
        }),
    }
}

pub(crate) fn origin<S: Serializer>(origin: &Option<Origin>, s: S) -> Result<S::Ok, S::Error> {
    origin
        .map(|origin| match origin {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        })
        .serialize(s)
}

pub(crate) fn communities<S: Serializer>(list: &[u32], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(list.iter().map(|c| format!("{}:{}", c >> 16, c & 0xFFFF)))
}

pub(crate) fn large_communities<S: Serializer>(list: &[[u32; 3]], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(list.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")))
}

pub(crate) fn display<T: std::fmt::Display, S: Serializer>(
    value: &T,
    s: S,
) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

use std::net::Ipv6Addr;
use std::time::Duration;

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;

/// The least lengths of both (RFC 4861 §4.1, §4.2).
const SOLICITATION_LEN: usize = 8;
const ADVERTISEMENT_LEN: usize = 16;

/// What came over a router has a lower hop limit (RFC 4861 §6.1).
const HOP_LIMIT: u8 = 255;

/// A message of router discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A node asks who is a router.
    Solicitation,
    /// A router says that it is there.
    Advertisement {
        /// For how long it may be a default router; zero: it is none.
        lifetime: Duration,
    },
}

/// Why a message is not listened to (RFC 4861 §6.1.1, §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Its hop limit is not 255: it came over a router.
    #[error("hop limit below 255")]
    HopLimit,
    /// It is no router solicitation and no router advertisement.
    #[error("of another type")]
    Type,
    /// Its code is not 0.
    #[error("code other than 0")]
    Code,
    /// It is too short.
    #[error("too short")]
    Short,
    /// An advertisement must come from a link-local address.
    #[error("not from a link-local address")]
    Source,
    /// An option has length 0, or is longer than the message.
    #[error("malformed option")]
    Option,
}

/// Reads an ICMPv6 message, whose checksum the kernel has verified.
///
/// # Errors
/// The first rule that it breaks.
pub fn decode(bytes: &[u8], source: Ipv6Addr, hop_limit: u8) -> Result<Message, Ignored> {
    if hop_limit != HOP_LIMIT {
        return Err(Ignored::HopLimit);
    }
    let [kind, code, ..] = *bytes else { return Err(Ignored::Short) };
    let least = match kind {
        SOLICITATION => SOLICITATION_LEN,
        ADVERTISEMENT => ADVERTISEMENT_LEN,
        _ => return Err(Ignored::Type),
    };
    if code != 0 {
        return Err(Ignored::Code);
    }
    let mut options = bytes.get(least..).ok_or(Ignored::Short)?;
    while let [_, eights, ..] = *options {
        if eights == 0 {
            return Err(Ignored::Option);
        }
        options = options.get(usize::from(eights) * 8..).ok_or(Ignored::Option)?;
    }
    if !options.is_empty() {
        return Err(Ignored::Option);
    }
    if kind == SOLICITATION {
        return Ok(Message::Solicitation);
    }
    if !source.is_unicast_link_local() {
        return Err(Ignored::Source);
    }
    let [_, _, _, _, _, _, high, low, ..] = *bytes else { return Err(Ignored::Short) };
    let lifetime = Duration::from_secs(u16::from_be_bytes([high, low]).into());
    Ok(Message::Advertisement { lifetime })
}

/// An advertisement of a router that is nobody's default router. The kernel fills in the checksum.
pub fn advertisement() -> Vec<u8> {
    let mut bytes = vec![0; ADVERTISEMENT_LEN];
    if let Some(kind) = bytes.first_mut() {
        *kind = ADVERTISEMENT;
    }
    bytes
}

/// A solicitation. The kernel fills in the checksum.
pub fn solicitation() -> Vec<u8> {
    let mut bytes = vec![0; SOLICITATION_LEN];
    if let Some(kind) = bytes.first_mut() {
        *kind = SOLICITATION;
    }
    bytes
}

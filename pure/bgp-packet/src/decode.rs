//! Frames and messages.

use inet::{Asn, RouterId};

use crate::notification::code;
use crate::update::decode_update;
use crate::wire::{self, Reader};
use crate::{Capability, HEADER_LEN, MAX_LEN, Message, Notification, Open, Options, RefreshKind};

/// The length of the message that `bytes` begin with, or none while fewer than
/// [`crate::HEADER_LEN`] bytes are there. `max` is [`Options::max_receive_len`].
///
/// A wrong marker, length or type is an error whose NOTIFICATION ends the session
/// (RFC 4271 §6.1).
pub fn frame_len(bytes: &[u8], max: usize) -> Result<Option<usize>, Notification> {
    Ok(header(bytes, max)?.map(|(len, _)| len))
}

/// Length and type of the message that begins here.
fn header(bytes: &[u8], max: usize) -> Result<Option<(usize, u8)>, Notification> {
    let mut reader = Reader::new(bytes);
    let (Some(marker), Some(len), Some(kind)) = (reader.array::<16>(), reader.u16(), reader.u8())
    else {
        return Ok(None);
    };
    if marker != [0xFF; 16] {
        return Err(Notification::new(code::HEADER, 1));
    }
    // OPEN and KEEPALIVE stay short whatever was agreed on (RFC 8654 §4).
    let max = match kind {
        wire::OPEN | wire::KEEPALIVE => max.min(MAX_LEN),
        _ => max,
    };
    let legal = match kind {
        wire::OPEN => 29..=max,
        wire::UPDATE => 23..=max,
        wire::NOTIFICATION => 21..=max,
        wire::KEEPALIVE => HEADER_LEN..=HEADER_LEN,
        // Its exact length is checked where the error has a code of its own (RFC 7313 §5).
        wire::ROUTE_REFRESH => HEADER_LEN..=max,
        // With a bad length the type means nothing: the length is told first.
        _ => HEADER_LEN..=max,
    };
    if !legal.contains(&usize::from(len)) {
        return Err(Notification::with_data(code::HEADER, 2, len.to_be_bytes()));
    }
    match kind {
        wire::OPEN..=wire::ROUTE_REFRESH => Ok(Some((usize::from(len), kind))),
        _ => Err(Notification::with_data(code::HEADER, 3, [kind])),
    }
}

/// Reads one whole frame, header included.
///
/// An error is the NOTIFICATION that ends the session. What RFC 7606 lets a session survive is
/// in [`crate::Update::malformed`] and in [`crate::Verdict`].
pub fn decode<'a>(frame: &'a [u8], options: &Options) -> Result<Message<'a>, Notification> {
    let bad_length =
        || Notification::with_data(code::HEADER, 2, wire::len16(frame.len().min(65535)));
    let (len, kind) = header(frame, options.max_receive_len())?.ok_or_else(bad_length)?;
    if len != frame.len() {
        return Err(bad_length());
    }
    let body = frame.get(HEADER_LEN..).unwrap_or_default();
    match kind {
        wire::OPEN => decode_open(body).map(Message::Open),
        wire::UPDATE => decode_update(body, options).map(Message::Update),
        wire::NOTIFICATION => {
            let mut reader = Reader::new(body);
            let (Some(code), Some(subcode)) = (reader.u8(), reader.u8()) else {
                return Err(bad_length());
            };
            Ok(Message::Notification(Notification { code, subcode, data: reader.rest().to_vec() }))
        }
        wire::KEEPALIVE => Ok(Message::Keepalive),
        wire::ROUTE_REFRESH => decode_route_refresh(frame, body),
        _ => Err(Notification::with_data(code::HEADER, 3, [kind])),
    }
}

/// RFC 2918 §3, RFC 7313 §3.2 and §5.
fn decode_route_refresh<'a>(frame: &[u8], body: &[u8]) -> Result<Message<'a>, Notification> {
    let mut reader = Reader::new(body);
    let (Some(afi), Some(subtype), Some(safi), true) =
        (reader.u16(), reader.u8(), reader.u8(), body.len() == 4)
    else {
        return Err(Notification::with_data(code::ROUTE_REFRESH, 1, frame));
    };
    let kind = match subtype {
        0 => RefreshKind::Request,
        1 => RefreshKind::Begin,
        2 => RefreshKind::End,
        // Unknown subtypes are ignored (RFC 7313 §5).
        _ => return Ok(Message::Ignored),
    };
    // A family that was not agreed on is ignored (RFC 2918 §4).
    Ok(match wire::family(afi, safi) {
        Some(family) => Message::RouteRefresh { family, kind },
        None => Message::Ignored,
    })
}

/// RFC 4271 §4.2 and §6.2.
fn decode_open(body: &[u8]) -> Result<Open, Notification> {
    let malformed = || Notification::new(code::OPEN, 0);
    let mut reader = Reader::new(body);
    if reader.u8().ok_or_else(malformed)? != 4 {
        // The data is the highest version we speak.
        return Err(Notification::with_data(code::OPEN, 1, 4u16.to_be_bytes()));
    }
    let two_octet_asn = reader.u16().ok_or_else(malformed)?;
    let hold_time = reader.u16().ok_or_else(malformed)?;
    let router_id = reader.ipv4().ok_or_else(malformed)?;
    let capabilities = decode_parameters(reader).ok_or_else(malformed)??;

    let four_octet_asn = capabilities.iter().find_map(|c| match c {
        Capability::FourOctetAs(asn) => Some(*asn),
        _ => None,
    });
    let zero_as = capabilities.iter().any(
        |c| matches!(c, Capability::Unknown { code: 65, value } if value.as_slice() == [0; 4]),
    );
    let asn = match (four_octet_asn, Asn::new(u32::from(two_octet_asn))) {
        // AS 0 is an error in either place (RFC 6793 §4.2.1, RFC 7607 §2).
        (None, _) if zero_as => return Err(Notification::new(code::OPEN, 2)),
        (Some(asn), _) | (None, Ok(asn)) => asn,
        (None, Err(_)) => return Err(Notification::new(code::OPEN, 2)),
    };
    if matches!(hold_time, 1 | 2) {
        return Err(Notification::new(code::OPEN, 6));
    }
    let router_id = RouterId::new(router_id)
        .map_err(|_| Notification::with_data(code::OPEN, 3, router_id.octets()))?;
    Ok(Open { asn, hold_time, router_id, capabilities })
}

/// The optional parameters (RFC 5492 §4, RFC 9072 §2); none when lengths do not fit.
fn decode_parameters(mut reader: Reader<'_>) -> Option<Result<Vec<Capability>, Notification>> {
    let len = reader.u8()?;
    let mut ahead = reader;
    // RFC 9072 §2: type 255 in the first place announces two-octet lengths.
    let extended = len != 0 && ahead.u8() == Some(255);
    let mut parameters = if extended {
        let parameters = ahead.counted16()?;
        ahead.is_empty().then_some(parameters)?
    } else {
        let parameters = reader.take(usize::from(len))?;
        reader.is_empty().then_some(parameters)?
    };
    let mut capabilities = Vec::new();
    while !parameters.is_empty() {
        let mut reader = Reader::new(parameters);
        let kind = reader.u8()?;
        let value = if extended { reader.counted16()? } else { reader.counted8()? };
        parameters = reader.rest();
        if kind != 2 {
            return Some(Err(Notification::new(code::OPEN, 4)));
        }
        let mut reader = Reader::new(value);
        while !reader.is_empty() {
            let code = reader.u8()?;
            capabilities.push(Capability::decode(code, reader.counted8()?));
        }
    }
    Some(Ok(capabilities))
}

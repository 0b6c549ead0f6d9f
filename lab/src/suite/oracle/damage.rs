//! Damaged UPDATEs: one of ours with attributes or prefixes that are not as they shall be.

use anyhow::{Result, bail};
use inet::Family;

use super::fields::Fields;
use super::generate::{options, routes};
use super::read;
use crate::bench::random::Random;

/// One attribute out of an UPDATE.
#[derive(Clone)]
pub(super) struct Loose {
    flags: u8,
    code: u8,
    value: Vec<u8>,
}

/// The attributes of an UPDATE of ours that withdraws nothing, and the NLRI behind them.
fn taken_apart(frame: &[u8]) -> (Vec<Loose>, Vec<u8>) {
    let (mut loose, mut rest) = (Vec::new(), frame.get(21..).unwrap_or_default());
    let nlri = match rest.split_first_chunk::<2>() {
        Some((length, body)) => {
            let (list, nlri) =
                body.split_at_checked(u16::from_be_bytes(*length).into()).unwrap_or((body, &[]));
            rest = list;
            nlri.to_vec()
        }
        None => Vec::new(),
    };
    while let [flags, code, tail @ ..] = rest {
        let (length, tail) = match (flags & 0x10, tail) {
            (0, [length, tail @ ..]) => (usize::from(*length), tail),
            (_, [high, low, tail @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), tail),
            _ => break,
        };
        let (value, tail) = tail.split_at_checked(length).unwrap_or((tail, &[]));
        loose.push(Loose { flags: flags & !0x10, code: *code, value: value.to_vec() });
        rest = tail;
    }
    (loose, nlri)
}

fn put_together(list: &[Loose], nlri: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for one in list {
        match u8::try_from(one.value.len()) {
            Ok(length) => bytes.extend([one.flags, one.code, length]),
            Err(_) => {
                bytes.extend([one.flags | 0x10, one.code]);
                bytes.extend((one.value.len() as u16).to_be_bytes());
            }
        }
        bytes.extend(&one.value);
    }
    let mut frame = vec![0xff; 16];
    frame.extend((23 + bytes.len() as u16 + nlri.len() as u16).to_be_bytes());
    frame.extend([2, 0, 0]);
    frame.extend((bytes.len() as u16).to_be_bytes());
    frame.extend(bytes);
    frame.extend(nlri);
    frame
}

/// The codes of the attributes, in their order.
pub(super) fn codes(frame: &[u8]) -> Vec<u8> {
    let (list, _) = taken_apart(frame);
    list.iter().map(|one| one.code).collect()
}

/// What is true of a damaged message.
pub(super) enum Damaged {
    /// We read it, and this is what stands in it.
    Read(Fields),
    /// We refuse or discard some of it, with reasons of ours that tshark need not have.
    Refused,
    /// An attribute or a prefix goes on behind its end: whoever looks sees that.
    Overrun,
}

/// A damaged UPDATE of IPv4 routes.
pub(super) fn damaged(random: &mut Random) -> Result<(Vec<u8>, Damaged)> {
    let whole = routes(random, Family::Ipv4, Family::Ipv4, false)?;
    let (mut list, mut nlri) = taken_apart(&whole.frame);
    let (frame, overrun) = match random.below(8) {
        0 => {
            // The last prefix has no end; tshark leaves it out without a word.
            nlri.extend([32, 1, 2]);
            (put_together(&list, &nlri), false)
        }
        1 => {
            nlri.extend([33 + random.below(200) as u8, 1, 2, 3, 4, 5]);
            (put_together(&list, &nlri), true)
        }
        2 => {
            // The last attribute is longer than the list.
            list.push(Loose { flags: 0xc0, code: 32, value: vec![1; 12] });
            let mut frame = put_together(&list, &[]);
            let at = frame.len() - 13;
            frame[at] = 13 + random.below(200) as u8;
            (frame, true)
        }
        _ => {
            for _ in 0..1 + random.below(2) {
                change(random, &mut list);
            }
            (put_together(&list, &nlri), false)
        }
    };
    let judged = judged(&frame, &list);
    match (overrun, judged) {
        (true, Damaged::Refused) => Ok((frame, Damaged::Overrun)),
        (true, _) => bail!("we read what goes on behind its end: {frame:02x?}"),
        (false, judged) => Ok((frame, judged)),
    }
}

fn change(random: &mut Random, list: &mut Vec<Loose>) {
    let at = random.below(list.len() as u64) as usize;
    let Some(one) = list.get_mut(at) else { return };
    match random.below(6) {
        0 => one.flags ^= [0x80, 0x40, 0x20][random.below(3) as usize],
        1 | 2 => {
            let place = random.below(one.value.len() as u64) as usize;
            if let Some(byte) = one.value.get_mut(place) {
                *byte = random.next() as u8;
            }
        }
        3 => one.value.truncate(one.value.len().saturating_sub(1 + random.below(8) as usize)),
        4 => one.value.extend((0..1 + random.below(8)).map(|_| random.next() as u8)),
        _ => drop(list.remove(at)),
    }
}

/// What we make of it.
fn judged(frame: &[u8], list: &[Loose]) -> Damaged {
    match read::fields(frame, &options()) {
        Ok(fields) if !differs(list) => Damaged::Read(fields),
        Ok(_) | Err(_) => Damaged::Refused,
    }
}

/// Where tshark differs with reason.
fn differs(list: &[Loose]) -> bool {
    list.iter().any(|one| match one.code {
        // We read the first four octets of a longer one (RFC 7606 §7.9, RFC 9234 §5).
        9 | 35 => one.value.len() != 4,
        // Reserved communities; kinds of extended ones.
        8 => one.value.chunks(4).any(|c| matches!(c, [0, 0, ..] | [0xff, 0xff, ..])),
        16 => one.value.chunks(8).any(|c| !c.starts_with(&[0, 2])),
        _ => false,
    })
}

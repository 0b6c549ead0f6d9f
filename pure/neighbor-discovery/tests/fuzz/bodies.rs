//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

use std::net::Ipv6Addr;
use std::time::Duration;

use inet::Timestamp;
use neighbor_discovery::{Discovery, Input, Message, Output, advertisement, decode, solicitation};

#[path = "../../../../fuzz/bytes.rs"]
mod bytes;

use bytes::Bytes;

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("discovery_message", message), ("discovery_link", link)];

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 2);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 2);

/// One message, from either kind of address.
pub(crate) fn message(data: &[u8]) {
    for source in [LINK_LOCAL, GLOBAL] {
        assert!(decode(data, source, 254).is_err());
        match decode(data, source, 255) {
            Ok(Message::Solicitation) => assert!(data.len() >= 8 && data[..2] == [133, 0]),
            Ok(Message::Advertisement { lifetime }) => {
                assert!(data.len() >= 16 && data[..2] == [134, 0]);
                assert_eq!(source, LINK_LOCAL);
                assert!(lifetime <= Duration::from_secs(65535));
            }
            Err(ignored) => assert!(!ignored.to_string().is_empty()),
        }
    }
}

/// One end of a link: steps of a byte and what belongs to it.
pub(crate) fn link(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut discovery = Discovery::new(7);
    let mut now = Timestamp::ZERO;
    let mut up = false;
    let mut told = None;
    let mut advertised: Option<Timestamp> = None;
    while let Some(step) = bytes.next() {
        let before = discovery.ignored();
        let outcome = match step % 8 {
            0 => {
                // A link that comes up advertises at once.
                advertised = advertised.filter(|_| up);
                up = true;
                discovery.handle(now, Input::LinkUp)
            }
            1 => {
                up = false;
                discovery.handle(now, Input::LinkDown)
            }
            2 => {
                now = now + Duration::from_millis(u64::from(bytes.u16()));
                Ok(())
            }
            3 => {
                now = discovery.wake_at().map_or(now, |at| now.max(at));
                Ok(())
            }
            7 => {
                // Nobody heard it: the pause counts from the one before.
                advertised = None;
                discovery.handle(now, Input::Unsent)
            }
            kind => {
                let from = bytes.u8();
                let source = if from & 0x80 == 0 { LINK_LOCAL } else { GLOBAL };
                let source = Ipv6Addr::from_bits(source.to_bits() + u128::from(from & 3));
                let hop_limit = if from & 0x40 == 0 { 255 } else { from };
                let packet = match kind {
                    4 => solicitation(),
                    5 => {
                        let mut packet = advertisement();
                        packet[6..8].copy_from_slice(&bytes.u16().to_be_bytes());
                        packet
                    }
                    _ => bytes.counted().to_vec(),
                };
                discovery.handle(now, Input::Packet { bytes: &packet, source, hop_limit })
            }
        };
        assert_eq!(discovery.ignored() - before, u64::from(outcome.is_err()));
        discovery.tick(now);
        assert!(discovery.wake_at().is_none_or(|at| at > now), "nothing due is left");
        for round in 0.. {
            assert!(round < 8, "more than can be new");
            match discovery.poll() {
                Some(Output::Advertise(bytes)) => {
                    assert_eq!(bytes, advertisement());
                    let pause = advertised.map(|at| now.since(at));
                    assert!(pause.is_none_or(|pause| pause >= Duration::from_secs(3)));
                    advertised = Some(now);
                    assert!(up, "said on a link that is down");
                }
                Some(Output::Solicit(bytes)) => {
                    assert_eq!(bytes, solicitation());
                    assert!(up, "asked on a link that is down");
                }
                Some(Output::Neighbor(neighbor)) => told = neighbor,
                None => break,
            }
        }
        assert_eq!(told, discovery.neighbor());
        assert!(told.is_none_or(|address| address.is_unicast_link_local()));
        assert!(up || (told.is_none() && discovery.wake_at().is_none()));
    }
}

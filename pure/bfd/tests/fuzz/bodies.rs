//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use bfd::{
    Arrival, Bfd, Config, Diagnostic, Hop, Input, Key, LEN, Output, Packet, Seed, State, decode,
    encode,
};
use inet::Timestamp;

#[path = "../../../../fuzz/bytes.rs"]
mod bytes;

use bytes::Bytes;

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("bfd_packet", packet), ("bfd_machine", machine)];

/// Fewer sessions than there are keys, so that some are refused.
const SESSIONS: usize = 3;

/// Any packet: what is accepted is written as it was read, apart from what is not understood.
pub(crate) fn packet(data: &[u8]) {
    match decode(data) {
        Ok(packet) => {
            assert!(data.len() >= LEN && packet.multiplier > 0);
            let plain = Packet { authenticated: false, ..packet };
            assert_eq!(decode(&encode(&plain)), Ok(plain));
        }
        Err(reason) => assert!(!reason.to_string().is_empty()),
    }
}

/// All sessions of a process: steps of a byte and what belongs to it.
pub(crate) fn machine(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut bfd = Bfd::new(Seed([7; 16]), SESSIONS);
    let mut now = Timestamp::ZERO;
    let mut names = Names::default();
    while let Some(step) = bytes.next() {
        // A wish may say goodbye to each session and refuse each of the keys.
        let most = 4 * SESSIONS + 4;
        match step % 8 {
            0 => {
                let chosen = bytes.u8();
                let wanted = (0..4).filter(|n| chosen & 1 << n != 0);
                let wanted = wanted.map(|n| (key(n), config(bytes.u8(), bytes.u8()))).collect();
                bfd.handle(now, Input::Wanted(wanted));
            }
            1 => now = now + Duration::from_millis(u64::from(bytes.u16())),
            2 | 3 => now = bfd.wake_at().map_or(now, |at| now.max(at)),
            4 => {
                let arrival = arrival(bytes.u8());
                bfd.handle(now, Input::Packet { bytes: bytes.counted(), arrival });
            }
            _ => {
                // A packet that the session may like.
                let which = bytes.u8();
                let (bits, times) = (bytes.u8(), bytes.u8());
                let ours = names.of(&key(which & 3));
                let packet = Packet {
                    diagnostic: Diagnostic::None,
                    state: [State::AdminDown, State::Down, State::Init, State::Up]
                        [usize::from(bits & 3)],
                    poll: bits & 4 != 0,
                    final_: bits & 12 == 8,
                    control_plane_independent: bits & 16 != 0,
                    authenticated: false,
                    demand: bits & 32 != 0,
                    multiplier: [3, 1, 255, 7][usize::from(times & 3)],
                    my_discriminator: NonZeroU32::new(9 + u32::from(times >> 6)).unwrap(),
                    your_discriminator: if bits & 64 != 0 { 0 } else { ours },
                    desired_min_tx: [10_000, 0, u32::MAX, 50_000][usize::from(times >> 2 & 3)],
                    required_min_rx: [50_000, 0, u32::MAX, 1][usize::from(times >> 4 & 3)],
                    required_min_echo_rx: 0,
                };
                let arrival = arrival(which);
                bfd.handle(now, Input::Packet { bytes: &encode(&packet), arrival });
            }
        }
        drain(&mut bfd, &mut names, most);
        bfd.tick(now);
        assert!(bfd.wake_at().is_none_or(|at| at > now), "nothing due is left");
        drain(&mut bfd, &mut names, most);
        assert!(bfd.statuses().count() <= SESSIONS);
    }
    // What is not wanted any more goes, and soon.
    bfd.handle(now, Input::Wanted(BTreeMap::new()));
    let end = now + Duration::from_secs(30);
    let mut rounds = 0;
    while let Some(at) = bfd.wake_at() {
        drain(&mut bfd, &mut names, 4 * SESSIONS + 4);
        assert!(at <= end, "a session stays");
        rounds += 1;
        assert!(rounds < 20_000, "the timers do not go on");
        bfd.tick(at);
    }
    drain(&mut bfd, &mut names, 4 * SESSIONS + 4);
    assert_eq!(bfd.statuses().count(), 0);
    assert!(names.0.is_empty());
}

/// The name and the state of each session, as was told.
#[derive(Default)]
struct Names(BTreeMap<Key, (u32, bool)>);

impl Names {
    /// Our discriminator of the session; one that nobody has when there is none.
    fn of(&self, key: &Key) -> u32 {
        self.0.get(key).map_or(1, |(name, _)| *name)
    }
}

fn drain(bfd: &mut Bfd, names: &mut Names, most: usize) {
    for count in 0.. {
        assert!(count <= most, "outputs without end");
        match bfd.poll() {
            Some(Output::Send { key, bytes }) => {
                let packet = decode(&bytes).unwrap();
                assert!(!packet.demand);
                assert!(!(packet.poll && packet.final_));
                let fast = packet.desired_min_tx < 1_000_000;
                assert!(packet.state == State::Up || !fast, "{packet:?}");
                let ours = packet.my_discriminator.get();
                names.0.entry(key).or_insert((ours, false)).0 = ours;
            }
            Some(Output::Changed { key, change }) => {
                names.0.entry(key).or_insert((1, false)).1 = change.up;
                assert!(!(change.up && change.is_failure()));
            }
            Some(Output::Gone { key }) => {
                if let Some((_, up)) = names.0.remove(&key) {
                    assert!(!up, "gone without a word");
                }
            }
            Some(Output::Refused { key, error }) => {
                let there = bfd.statuses().any(|status| status.key == key);
                assert!(!error.to_string().is_empty() && (!there || !is_full(&error)));
            }
            None => break,
        }
    }
    for status in bfd.statuses() {
        let up = names.0.get(&status.key).is_some_and(|(_, up)| *up);
        assert_eq!(up, status.state == State::Up, "what was told last is so");
        names.0.entry(status.key).or_insert((1, false)).0 = status.discriminator.get();
    }
}

fn is_full(error: &bfd::ConfigError) -> bool {
    matches!(error, bfd::ConfigError::TooMany(_))
}

fn peer(which: u8) -> IpAddr {
    match which & 3 {
        0 => [10, 0, 0, 1].into(),
        1 => Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 1).into(),
        2 => [10, 0, 0, 3].into(),
        _ => Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1).into(),
    }
}

fn key(which: u8) -> Key {
    let hop = if which & 3 == 2 { Hop::Multi } else { Hop::Single };
    Key { hop, peer: peer(which), local: None, link: u32::from(which & 3 == 1) * 3 }
}

fn arrival(which: u8) -> Arrival {
    let remote = peer(which);
    let local = if remote.is_ipv4() { [10, 0, 0, 9].into() } else { Ipv6Addr::LOCALHOST.into() };
    let hop = if which & 4 != 0 { Hop::Multi } else { key(which).hop };
    Arrival { hop, remote, local, link: 3, ttl: if which & 8 != 0 { which } else { 255 } }
}

/// Mostly legal.
fn config(times: u8, bits: u8) -> Config {
    let time = |choice: u8| {
        Duration::from_millis([300, 10, 60_000, 50, 1000, 9, 0, 60_001][usize::from(choice & 7)])
    };
    Config {
        desired_min_tx: time(times),
        required_min_rx: time(times >> 3),
        multiplier: [3, 1, 255, 0][usize::from(times >> 6)],
        passive: bits & 1 != 0,
        control_plane_independent: bits & 2 != 0,
        minimum_ttl: bits >> 4,
        shutdown: bits & 4 != 0,
    }
}

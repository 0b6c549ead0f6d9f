//! The table of states, and each rule by which a packet is discarded (RFC 5880 §6.8.6).

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use bfd::{
    Arrival, Bfd, Cause, Config, ConfigError, Diagnostic, Discard, Hop, Input, Key, Output, Packet,
    Seed, State, decode, encode,
};
use common::{ADDRESSES, arrival, at, key, ms};
use inet::Timestamp;
use proptest::prelude::*;

fn packet(state: State, your_discriminator: u32) -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state,
        poll: false,
        final_: false,
        control_plane_independent: false,
        authenticated: false,
        demand: false,
        multiplier: 3,
        my_discriminator: NonZeroU32::new(77).unwrap(),
        your_discriminator,
        desired_min_tx: 300_000,
        required_min_rx: 300_000,
        required_min_echo_rx: 0,
    }
}

fn machine(config: Config) -> Bfd {
    let mut bfd = Bfd::new(Seed([7; 16]), 16);
    bfd.handle(Timestamp::ZERO, Input::Wanted(BTreeMap::from([(key(0), config)])));
    bfd
}

fn give(bfd: &mut Bfd, bytes: &[u8], arrival: Arrival) {
    bfd.handle(at(ms(10)), Input::Packet { bytes, arrival });
}

fn mine(bfd: &Bfd) -> u32 {
    bfd.status(&key(0)).unwrap().discriminator.get()
}

/// A machine in a state, its words taken.
fn in_state(state: State) -> Bfd {
    let mut bfd = machine(Config { shutdown: state == State::AdminDown, ..Config::default() });
    let heard: &[State] = match state {
        State::AdminDown | State::Down => &[],
        State::Init => &[State::Down],
        State::Up => &[State::Down, State::Init],
    };
    for heard in heard {
        let bytes = encode(&packet(*heard, mine(&bfd)));
        give(&mut bfd, &bytes, arrival(0));
    }
    assert_eq!(bfd.status(&key(0)).unwrap().state, state);
    while bfd.poll().is_some() {}
    bfd
}

#[test]
fn states() {
    use State::{AdminDown, Down, Init, Up};
    let neighbor = Some(Cause::NeighborDown);
    let admin = Some(Cause::NeighborAdminDown);
    let table = [
        (AdminDown, AdminDown, AdminDown, None),
        (AdminDown, Down, AdminDown, None),
        (AdminDown, Init, AdminDown, None),
        (AdminDown, Up, AdminDown, None),
        (Down, AdminDown, Down, None),
        (Down, Down, Init, None),
        (Down, Init, Up, Some(Cause::Up)),
        (Down, Up, Down, None),
        (Init, AdminDown, Down, None),
        (Init, Down, Init, None),
        (Init, Init, Up, Some(Cause::Up)),
        (Init, Up, Up, Some(Cause::Up)),
        (Up, AdminDown, Down, admin),
        (Up, Down, Down, neighbor),
        (Up, Init, Up, None),
        (Up, Up, Up, None),
    ];
    for (from, heard, to, cause) in table {
        let mut bfd = in_state(from);
        let bytes = encode(&packet(heard, mine(&bfd)));
        give(&mut bfd, &bytes, arrival(0));
        let status = bfd.status(&key(0)).unwrap();
        assert_eq!(status.state, to, "{from} hears {heard}");
        let mut told = None;
        let mut sent = Vec::new();
        while let Some(output) = bfd.poll() {
            match output {
                Output::Changed { change, .. } => told = Some(change),
                Output::Send { bytes, .. } => sent.push(decode(&bytes).unwrap()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told.map(|change| change.cause), cause, "{from} hears {heard}");
        assert_eq!(told.map(|change| change.up), cause.map(|cause| cause == Cause::Up));
        let failed = told.is_some_and(|change| change.is_failure());
        assert_eq!(failed, cause == neighbor, "{from} hears {heard}");
        // The neighbor hears of a change at once, and only of a change.
        assert_eq!(sent.first().map(|packet| packet.state), (from != to).then_some(to));
        if matches!(from, Init | Up) && to == Down {
            assert_eq!(status.diagnostic, Diagnostic::NeighborDown);
        }
    }
}

#[test]
fn discards() {
    /// Changes one byte of a good packet.
    fn with(at: usize, byte: u8) -> impl Fn(&mut Vec<u8>, &mut Arrival) {
        move |bytes, _| bytes[at] = byte
    }
    type Spoil = Box<dyn Fn(&mut Vec<u8>, &mut Arrival)>;
    let table: Vec<(&str, Discard, bool, Spoil)> = vec![
        ("empty", Discard::Short, true, Box::new(|bytes, _| bytes.clear())),
        ("three bytes", Discard::Short, true, Box::new(|bytes, _| bytes.truncate(3))),
        ("version 0", Discard::Version, true, Box::new(with(0, 0x00))),
        ("version 2", Discard::Version, true, Box::new(with(0, 0x40))),
        ("length 23", Discard::Length, true, Box::new(with(3, 23))),
        ("length 25 with A", Discard::Length, true, {
            Box::new(|bytes, _| {
                bytes[1] |= 0x04;
                bytes[3] = 25;
                bytes.push(0);
            })
        }),
        ("length 25 of 24", Discard::Overlong, true, Box::new(with(3, 25))),
        ("cut at 23", Discard::Overlong, true, Box::new(|bytes, _| bytes.truncate(23))),
        ("multiplier 0", Discard::Multiplier, true, Box::new(with(2, 0))),
        ("multipoint", Discard::Multipoint, true, Box::new(|bytes, _| bytes[1] |= 0x01)),
        ("sender 0", Discard::MyDiscriminator, true, Box::new(|bytes, _| bytes[4..8].fill(0))),
        ("unknown name", Discard::UnknownDiscriminator, true, {
            Box::new(|bytes, _| bytes[8] ^= 0xFF)
        }),
        ("nameless and up", Discard::YourDiscriminator, true, {
            Box::new(|bytes, _| bytes[8..12].fill(0))
        }),
        ("a stranger", Discard::UnknownPeer, false, {
            Box::new(|bytes, arrival| {
                bytes[1] = 0x40;
                bytes[8..12].fill(0);
                arrival.remote = ADDRESSES[0];
            })
        }),
        ("authenticated", Discard::Authentication, true, {
            Box::new(|bytes, _| {
                bytes[1] |= 0x04;
                bytes[3] = 26;
                bytes.extend([1, 2]);
            })
        }),
        ("ttl 254", Discard::Ttl, true, Box::new(|_, arrival| arrival.ttl = 254)),
        ("multihop port", Discard::Port, true, Box::new(|_, arrival| arrival.hop = Hop::Multi)),
    ];
    for (name, reason, claimed, spoil) in table {
        let mut bfd = in_state(State::Up);
        let mut bytes = encode(&packet(State::Up, mine(&bfd))).to_vec();
        let mut from = arrival(0);
        spoil(&mut bytes, &mut from);
        let before = bfd.status(&key(0)).unwrap();
        give(&mut bfd, &bytes, from);
        let mut after = bfd.status(&key(0)).unwrap();
        let counted = after.counters.discarded.get(&reason).copied();
        if claimed {
            assert_eq!(counted, Some(1), "{name}: {:?}", after.counters);
        } else {
            assert_eq!(bfd.unclaimed().discarded.get(&reason), Some(&1), "{name}");
        }
        after.counters = before.counters.clone();
        assert_eq!(before, after, "{name}: nothing else has changed");
    }
    // Bytes after the length are no part of the packet.
    let mut bfd = in_state(State::Up);
    let mut bytes = encode(&packet(State::Up, mine(&bfd))).to_vec();
    bytes.extend([0xAA; 40]);
    give(&mut bfd, &bytes, arrival(0));
    assert_eq!(bfd.status(&key(0)).unwrap().counters.received, 3);
}

#[test]
fn multihop_judges_the_ttl_by_its_own_rule() {
    let far = Key { hop: Hop::Multi, local: Some(ADDRESSES[0]), ..key(0) };
    let config = Config { minimum_ttl: 250, ..Config::default() };
    let mut bfd = Bfd::new(Seed([7; 16]), 16);
    bfd.handle(Timestamp::ZERO, Input::Wanted(BTreeMap::from([(far, config)])));
    let bytes = encode(&packet(State::Down, 0));
    let from = |ttl| Arrival { hop: Hop::Multi, ttl, ..arrival(0) };
    give(&mut bfd, &bytes, from(249));
    assert_eq!(bfd.status(&far).unwrap().state, State::Down);
    // To another of our addresses: not this session.
    give(&mut bfd, &bytes, Arrival { local: ADDRESSES[1], ..from(255) });
    assert_eq!(bfd.unclaimed().discarded.get(&Discard::UnknownPeer), Some(&1));
    give(&mut bfd, &bytes, from(250));
    assert_eq!(bfd.status(&far).unwrap().state, State::Init);
}

#[test]
fn the_link_tells_link_local_neighbors_apart() {
    let peer = "fe80::1".parse().unwrap();
    let on = |link| Key { hop: Hop::Single, peer, local: None, link };
    let mut bfd = Bfd::new(Seed([7; 16]), 16);
    let wanted = [on(0), on(3), on(4)].map(|key| (key, Config::default())).into();
    bfd.handle(Timestamp::ZERO, Input::Wanted(wanted));
    let refused = std::iter::from_fn(|| bfd.poll())
        .find(|output| matches!(output, Output::Refused { .. }))
        .unwrap();
    assert_eq!(refused, Output::Refused { key: on(0), error: ConfigError::NoLink(peer) });
    let from = Arrival { remote: peer, local: "fe80::2".parse().unwrap(), ..arrival(0) };
    give(&mut bfd, &encode(&packet(State::Down, 0)), from);
    assert_eq!(bfd.status(&on(3)).unwrap().state, State::Init);
    assert_eq!(bfd.status(&on(4)).unwrap().state, State::Down);
    // Nor does the neighbor on the one link speak for that on the other, by whatever name.
    let name = bfd.status(&on(4)).unwrap().discriminator;
    let named = encode(&packet(State::Init, name.get()));
    give(&mut bfd, &named, from);
    let status = bfd.status(&on(4)).unwrap();
    assert_eq!(status.state, State::Down);
    assert_eq!(status.counters.discarded.get(&Discard::Link), Some(&1));
    give(&mut bfd, &named, Arrival { link: 4, ..from });
    assert_eq!(bfd.status(&on(4)).unwrap().state, State::Up);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let key = key(0);
    let check = |config: Config| config.check(&key).map_err(|error| error.to_string());
    let good = Config::default();
    assert_eq!(check(good), Ok(()));
    assert_eq!(check(Config { required_min_rx: ms(0), ..good }), Ok(()));
    assert!(check(Config { desired_min_tx: ms(9), ..good }).unwrap_err().contains("transmit"));
    assert!(check(Config { required_min_rx: ms(9), ..good }).unwrap_err().contains("receive"));
    assert!(check(Config { multiplier: 0, ..good }).unwrap_err().contains("multiplier"));
}

#[test]
fn sessions_are_bounded_and_their_names_secret() {
    let keys: Vec<Key> = (0..3).map(|link| Key { link, ..key(0) }).collect();
    let all = |keys: &[Key]| keys.iter().map(|key| (*key, Config::default())).collect();
    let mut bfd = Bfd::new(Seed([7; 16]), 2);
    bfd.handle(Timestamp::ZERO, Input::Wanted(all(&keys)));
    assert_eq!(bfd.statuses().count(), 2);
    let refused = Output::Refused { key: keys[2], error: ConfigError::TooMany(2) };
    assert_eq!(bfd.poll(), Some(refused));
    let mut other = Bfd::new(Seed([8; 16]), 2);
    other.handle(Timestamp::ZERO, Input::Wanted(all(&keys[..2])));
    let names = bfd.statuses().chain(other.statuses()).map(|status| status.discriminator);
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), 4);
    let shown = format!("{:?} {bfd:?}", Seed([7; 16]));
    assert!(!shown.contains("7, 7"), "{shown}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        ttl in any::<u8>(),
    ) {
        let mut bfd = in_state(State::Up);
        let _ = decode(&bytes);
        give(&mut bfd, &bytes, Arrival { ttl, ..arrival(0) });
        prop_assert!(bfd.wake_at().is_some());
    }

    #[test]
    fn a_spoiled_packet_does_no_harm(
        spoils in prop::collection::vec((0_usize..24, any::<u8>()), 1..4),
        state in 0_usize..4,
    ) {
        let state = [State::AdminDown, State::Down, State::Init, State::Up][state];
        let mut bfd = in_state(state);
        let mut bytes = encode(&packet(State::Up, mine(&bfd)));
        for (at, byte) in spoils {
            bytes[at] = byte;
        }
        give(&mut bfd, &bytes, arrival(0));
        // At most an answer and a word of the change.
        prop_assert!(std::iter::from_fn(|| bfd.poll()).take(10).count() <= 3);
        for step in 1..100 {
            bfd.tick(at(ms(10 + step * 1000)));
            while bfd.poll().is_some() {}
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        code in any::<u8>(), flags in any::<u8>(), words in any::<[u32; 5]>(), multiplier in 1_u8..,
    ) {
        let mut bytes = vec![0x20 | (code & 0x1F), (flags | 0x40) & !0x05, multiplier, 24];
        bytes.extend(words.into_iter().flat_map(u32::to_be_bytes));
        if words[0] != 0 && words[1] != 0 {
            prop_assert_eq!(&encode(&decode(&bytes).unwrap())[..], &bytes[..]);
        }
    }
}

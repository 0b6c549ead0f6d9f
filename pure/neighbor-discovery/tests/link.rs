//! Two ends of a link on a virtual clock, and what is not listened to.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use inet::Timestamp;
use neighbor_discovery::{
    Discovery, Ignored, Input, Message, Output, SILENCE, advertisement, decode, solicitation,
};
use proptest::prelude::*;

const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs(seconds))
}

fn outputs(discovery: &mut Discovery) -> Vec<Output> {
    std::iter::from_fn(|| discovery.poll()).collect()
}

fn hear(discovery: &mut Discovery, now: u64, source: Ipv6Addr, bytes: &[u8]) -> Vec<Output> {
    discovery.handle(at(now), Input::Packet { bytes, source, hop_limit: 255 }).unwrap();
    discovery.tick(at(now));
    outputs(discovery)
}

fn up() -> Discovery {
    let mut discovery = Discovery::new(5);
    discovery.handle(at(0), Input::LinkUp).unwrap();
    discovery.tick(at(0));
    assert_eq!(outputs(&mut discovery), [Output::Advertise(advertisement())]);
    discovery
}

fn with_lifetime(seconds: u16) -> Vec<u8> {
    let mut bytes = advertisement();
    bytes[6..8].copy_from_slice(&seconds.to_be_bytes());
    bytes
}

#[test]
fn a_neighbor_is_found_and_kept() {
    let mut discovery = up();
    let found = hear(&mut discovery, 5, NEIGHBOR, &advertisement());
    assert_eq!(
        found,
        [Output::Neighbor(Some(NEIGHBOR)), Output::Advertise(advertisement())],
        "and is answered at once"
    );
    assert_eq!(hear(&mut discovery, 9, NEIGHBOR, &advertisement()), []);
    // Another one on the link waits until the first is silent.
    assert_eq!(hear(&mut discovery, 10, OTHER, &advertisement()), []);
    assert_eq!(discovery.neighbor(), Some(NEIGHBOR));
    let later = 9 + SILENCE.as_secs();
    let words = hear(&mut discovery, later, OTHER, &advertisement());
    assert!(words.contains(&Output::Neighbor(Some(OTHER))));
    // The link goes.
    discovery.handle(at(later), Input::LinkDown).unwrap();
    assert_eq!(outputs(&mut discovery), [Output::Neighbor(None)]);
    assert_eq!(discovery.wake_at(), None);
}

#[test]
fn a_lifetime_ends() {
    let mut discovery = up();
    hear(&mut discovery, 1, NEIGHBOR, &with_lifetime(30));
    discovery.tick(at(30));
    assert_eq!(discovery.neighbor(), Some(NEIGHBOR));
    discovery.tick(at(31));
    assert!(outputs(&mut discovery).contains(&Output::Neighbor(None)));
}

#[test]
fn it_speaks_at_its_pace_and_answers_not_each_question() {
    let mut discovery = up();
    let (mut adverts, mut solicits) = (0, 0);
    for second in 0..100 {
        discovery.tick(at(second));
        for output in outputs(&mut discovery) {
            match output {
                Output::Advertise(_) => adverts += 1,
                Output::Solicit(_) => solicits += 1,
                Output::Neighbor(_) => panic!("{output:?}"),
            }
        }
    }
    // Each 7.5 to 10 s, looked at once a second; the first one is out already.
    assert!((9..=13).contains(&adverts), "{adverts}");
    assert_eq!(solicits, 3);
    let mut answers = 0;
    for second in 100..160 {
        answers += hear(&mut discovery, second, Ipv6Addr::UNSPECIFIED, &solicitation()).len();
    }
    assert!((15..=20).contains(&answers), "{answers}");
}

/// When the next words are said, in order, until there are so many.
fn said(discovery: &mut Discovery, count: usize) -> Vec<(Duration, Output)> {
    let mut said = Vec::new();
    while said.len() < count {
        let due = discovery.wake_at().unwrap();
        discovery.tick(due);
        said.extend(outputs(discovery).into_iter().map(|output| (due.elapsed(), output)));
    }
    said
}

/// RFC 4861 §6.2.4, §6.2.6 and §6.3.7.
#[test]
fn times_are_by_chance_within_what_the_rfc_allows() {
    let (mut firsts, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..100 {
        let mut discovery = Discovery::new(seed);
        discovery.handle(at(0), Input::LinkUp).unwrap();
        let words = said(&mut discovery, 14);
        let of = |wanted: Output| {
            let kind = words.iter().filter(move |(_, output)| *output == wanted);
            kind.map(|(at, _)| *at).collect::<Vec<_>>()
        };
        let (adverts, solicits) =
            (of(Output::Advertise(advertisement())), of(Output::Solicit(solicitation())));
        assert_eq!((adverts[0], solicits.len()), (Duration::ZERO, 3));
        assert!(solicits[0] <= Duration::from_secs(1), "{solicits:?}");
        for two in adverts.windows(2) {
            let pause = two[1] - two[0];
            assert!((Duration::from_millis(7500)..=Duration::from_secs(10)).contains(&pause));
        }
        firsts.insert(adverts[1]);
        // A solicitation is answered within half a second, but not at the same moment by all; and
        // never sooner than 3 s after the last word. The next word of its own is far away then.
        for (asked_at, due) in [(1, 3), (4, 4)] {
            let mut asked = Discovery::new(seed);
            asked.handle(at(0), Input::LinkUp).unwrap();
            asked.tick(at(0));
            outputs(&mut asked);
            let bytes = &solicitation();
            let input = Input::Packet { bytes, source: NEIGHBOR, hop_limit: 255 };
            asked.handle(at(asked_at), input).unwrap();
            let answer = loop {
                let due = asked.wake_at().unwrap();
                asked.tick(due);
                if outputs(&mut asked).contains(&Output::Advertise(advertisement())) {
                    break due.elapsed();
                }
            };
            let delay = answer.checked_sub(Duration::from_secs(due)).expect("no answer too soon");
            assert!(delay <= Duration::from_millis(500), "{delay:?}");
            answers.insert(delay);
        }
    }
    assert!(firsts.len() > 90, "{firsts:?}");
    assert!(answers.len() > 50, "{answers:?}");
    assert!(answers.last().is_some_and(|most| *most > Duration::from_millis(450)), "{answers:?}");
}

/// A link that has just come up still looks for others with its address (RFC 4862 §5.4), and sends
/// nothing meanwhile.
#[test]
fn what_could_not_be_sent_is_said_again_soon() {
    let mut discovery = up();
    discovery.handle(at(0), Input::Unsent).unwrap();
    let words = said(&mut discovery, 2);
    let advert = words.iter().find(|(_, output)| *output == Output::Advertise(advertisement()));
    assert_eq!(advert.unwrap().0, Duration::from_secs(1));
    // The same after the link was down.
    discovery.handle(at(20), Input::LinkDown).unwrap();
    discovery.handle(at(20), Input::Unsent).unwrap();
    assert_eq!(discovery.wake_at(), None);
    discovery.handle(at(21), Input::LinkUp).unwrap();
    discovery.tick(at(21));
    assert_eq!(outputs(&mut discovery), [Output::Advertise(advertisement())]);
}

#[test]
fn what_is_not_listened_to() {
    let good = with_lifetime(1800);
    let lifetime = Duration::from_secs(1800);
    assert_eq!(decode(&good, NEIGHBOR, 255), Ok(Message::Advertisement { lifetime }));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let more = |options: &[u8]| [&good[..], options].concat();
    let global = "2001:db8::1".parse().unwrap();
    let table = [
        (good.clone(), NEIGHBOR, 254, Ignored::HopLimit),
        (with(0, 135), NEIGHBOR, 255, Ignored::Type),
        (with(1, 1), NEIGHBOR, 255, Ignored::Code),
        (good[..15].to_vec(), NEIGHBOR, 255, Ignored::Short),
        (vec![134], NEIGHBOR, 255, Ignored::Short),
        (good.clone(), global, 255, Ignored::Source),
        (more(&[1, 0, 0, 0, 0, 0, 0, 0]), NEIGHBOR, 255, Ignored::Option),
        (more(&[1, 2, 0, 0, 0, 0, 0, 0]), NEIGHBOR, 255, Ignored::Option),
        (more(&[1]), NEIGHBOR, 255, Ignored::Option),
    ];
    for (bytes, source, hop_limit, reason) in table {
        assert_eq!(decode(&bytes, source, hop_limit), Err(reason));
        let mut discovery = up();
        let input = Input::Packet { bytes: &bytes, source, hop_limit };
        assert_eq!(discovery.handle(at(1), input), Err(reason));
        assert_eq!((discovery.neighbor(), discovery.ignored()), (None, 1));
    }
    let options = more(&[1, 1, 2, 0, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 220]);
    assert!(decode(&options, NEIGHBOR, 255).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&bytes, NEIGHBOR, 255);
        let advert = [vec![134, 0], bytes].concat();
        let _ = decode(&advert, NEIGHBOR, 255);
    }
}

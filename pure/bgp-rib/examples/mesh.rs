//! How long the tables take where everyone learns everything: `senders` peers announce `each`
//! prefixes of their own, and every peer (with `receivers` more that announce nothing) is told
//! all of them. Arguments: senders, each, receivers, sets of each sender, messages that come in
//! before all are told what waits.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Message, Options, Origin, PeerKind, Segment, decode,
    encode_attributes, pack, pack_withdrawn,
};
use bgp_rib::{Fill, NextHops, PeerId, Rib, SessionFacts, Settings, Track};
use inet::{Asn, Family, Prefix, RouterId};

type Error = Box<dyn std::error::Error>;

/// What was told, and how long the parts have taken.
#[derive(Debug, Default)]
struct Told {
    bytes: usize,
    updates: u64,
    chunks: u64,
    time: Duration,
}

fn main() -> Result<(), Error> {
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<u32>());
    let mut argument = |default| numbers.next().transpose().map(|n| n.unwrap_or(default));
    let (senders, each, receivers) = (argument(20)?, argument(20_000)?, argument(0)?);
    let (sets, burst) = (argument(each / 4)?.clamp(1, each), argument(64)?.max(1));
    let options = Options::new(PeerKind::External);
    let id = |n: u32| RouterId::try_from(Ipv4Addr::from(n));
    let mut rib = Rib::new(1, Settings::new(Asn::new(65000)?, id(1)?));
    let mut peers = Vec::new();
    for n in 1..=senders + receivers {
        let peer = rib.add_peer(address(n)).ok_or("no more peers")?;
        let next_hops = NextHops { ipv4: Some("10.0.0.100".parse()?), ..NextHops::default() };
        let facts = SessionFacts::new(id(n + 1)?, Asn::new(65000 + n)?, options);
        rib.session_up(peer, SessionFacts { next_hops, ..facts });
        peers.push(peer);
    }
    let mut told = Told::default();
    tell(&mut rib, &peers, &mut told);
    let all = || (1..=senders).map(|sender| (sender - 1) * each..sender * each);
    let announced: Vec<Vec<Vec<u8>>> =
        all().zip(1..).map(|(own, sender)| announce(sender, own, sets, &options)).collect();
    let gone: Vec<Vec<Vec<u8>>> =
        all().map(|own| pack_withdrawn(own.map(prefix), &options)).collect();
    for (what, messages) in [("announced", announced), ("withdrawn", gone)] {
        let (took, told) = run(&mut rib, &peers, &options, &messages, burst)?;
        println!("{what}: in {took:?}, out {told:?}, {:?}", rib.counts());
    }
    Ok(())
}

/// All senders' messages, in turn; after each burst everyone is told what there is.
fn run(
    rib: &mut Rib,
    peers: &[PeerId],
    options: &Options,
    messages: &[Vec<Vec<u8>>],
    burst: u32,
) -> Result<(Duration, Told), Error> {
    let mut told = Told::default();
    let mut took = Duration::ZERO;
    let longest = messages.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|n| {
        let at = move |sender: usize| messages[sender].get(n).map(|message| (sender, message));
        (0..messages.len()).filter_map(at)
    });
    let mut start = now();
    for (n, (sender, message)) in turns.enumerate() {
        let Ok(Message::Update(update)) = decode(message, options) else {
            return Err("not an UPDATE".into());
        };
        rib.update(peers[sender], options, &update);
        while let Some(track) = rib.poll_track() {
            if let Track::Begin(address) = track {
                rib.next_hop(address, Some(1));
            }
        }
        if (n as u32 + 1).is_multiple_of(burst) {
            while rib.has_work() {
                rib.work(1000);
            }
            while rib.poll_best().is_some() {}
            took += now() - start;
            tell(rib, peers, &mut told);
            start = now();
        }
    }
    while rib.poll_best().is_some() {}
    took += now() - start;
    tell(rib, peers, &mut told);
    Ok((took, told))
}

/// Everyone in turn, until nobody waits.
fn tell(rib: &mut Rib, peers: &[PeerId], told: &mut Told) {
    let start = now();
    loop {
        let mut idle = true;
        for peer in peers {
            match rib.fill(*peer) {
                Fill::Nothing => {}
                Fill::Busy => idle = false,
                Fill::Bytes { bytes, updates, .. } => {
                    idle = false;
                    told.bytes += bytes.len();
                    told.updates += updates;
                    told.chunks += 1;
                }
            }
        }
        if idle {
            break;
        }
    }
    told.time += now() - start;
}

fn announce(sender: u32, own: std::ops::Range<u32>, sets: u32, options: &Options) -> Vec<Vec<u8>> {
    let hop = BgpNextHop::from(address(sender));
    let each = own.len() as u32;
    let mut messages = Vec::new();
    for set in 0..sets {
        let len = 2 + set % 5;
        let number = |i| if i == 0 { 65000 + sender } else { 1 + (set * 7 + i * 13) % 60_000 };
        let segments = vec![Segment::Sequence((0..len).map(number).collect())];
        let attributes = Attributes {
            communities: (0..set % 4).map(|c| 65001 << 16 | (set + c) & 0xffff).collect(),
            ..Attributes::new(Origin::Igp, AsPath { segments }, hop)
        };
        let raw = encode_attributes(&attributes, options);
        let (from, to) = (set as u64 * u64::from(each), (set as u64 + 1) * u64::from(each));
        let at = |n: u64| own.start + (n / u64::from(sets)) as u32;
        let run = (at(from)..at(to)).map(prefix);
        messages.extend(pack(&raw, &hop, run, options).unwrap_or_default());
    }
    messages
}

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a01_0000 + n).into()
}

fn prefix(n: u32) -> Prefix {
    let address = Ipv4Addr::from(0x1400_0000 + (n << 8));
    Prefix::truncated(address.into(), 24).unwrap_or(Prefix::default_route(Family::Ipv4))
}

/// An example is no part of the library: it may look at the clock.
#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

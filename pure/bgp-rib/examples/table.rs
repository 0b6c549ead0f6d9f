//! How many bytes the tables keep a prefix, and how long a full table takes to come, to be withdrawn
//! prefix by prefix, and to go with its session: one peer in, one out. Arguments: prefixes and sets.

use std::net::IpAddr;

use bgp_packet::{Message, Options, PeerKind, decode};
use bgp_rib::{Fill, NextHops, PeerId, Rib, SessionFacts, Settings};
use inet::{Asn, RouterId};

/// Messages that are taken before the peer is told.
const BURST: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<u32>());
    let prefixes = numbers.next().transpose()?.unwrap_or(1_000_000);
    let sets = numbers.next().transpose()?.unwrap_or(266_000).clamp(1, prefixes);
    let messages = table::messages(prefixes, sets);
    let options = Options::new(PeerKind::External);
    let before = resident()?;
    let id = |n: u32| RouterId::try_from(std::net::Ipv4Addr::from(n));
    let mut rib = Rib::new(1, Settings::new(Asn::new(65000)?, id(1)?));
    let mut peer = |n: u32| -> Result<PeerId, Box<dyn std::error::Error>> {
        let address = IpAddr::from([10, 0, 0, n as u8]);
        let peer = rib.add_peer(address).ok_or("no more peers")?;
        let next_hops = NextHops { ipv4: Some("10.0.0.100".parse()?), ..NextHops::default() };
        let facts = SessionFacts::new(id(n + 1)?, Asn::new(65000 + n)?, options);
        rib.session_up(peer, SessionFacts { next_hops, ..facts });
        Ok(peer)
    };
    let (from, to) = (peer(1)?, peer(2)?);
    // The table is empty yet: End-of-RIB.
    while rib.fill(to) != Fill::Nothing {}
    let start = now();
    for (n, message) in messages.iter().enumerate() {
        let Ok(Message::Update(update)) = decode(message, &options) else {
            return Err("not an UPDATE".into());
        };
        rib.update(from, &options, &update);
        if n == 0 {
            rib.next_hop("10.0.0.1".parse::<IpAddr>()?, Some(1));
            rib.work(1000);
        }
    }
    let taken = now();
    let mut best = 0u64;
    while rib.poll_best().is_some() {
        best += 1;
    }
    let chosen = now();
    let (mut bytes, mut updates) = (0, 0);
    loop {
        match rib.fill(to) {
            Fill::Nothing => break,
            Fill::Busy => {}
            Fill::Bytes { bytes: more, updates: count, .. } => {
                bytes += more.len();
                updates += count;
            }
        }
    }
    let told = now();
    let kept = resident()?.saturating_sub(before);
    println!("{:?}", rib.counts());
    println!("best {best}, {updates} updates of {bytes} bytes out");
    println!("in {:?}, best {:?}, out {:?}", taken - start, chosen - taken, told - chosen);
    println!("{} MiB, {} bytes a prefix", kept >> 20, kept / u64::from(prefixes));
    let withdrawals = table::withdrawals(prefixes);
    let start = now();
    let (mut bytes, mut updates) = (0, 0);
    for burst in withdrawals.chunks(BURST) {
        for message in burst {
            let Ok(Message::Update(update)) = decode(message, &options) else {
                return Err("not an UPDATE".into());
            };
            rib.update(from, &options, &update);
        }
        while rib.poll_best().is_some() {}
        while let Fill::Bytes { bytes: more, updates: count, .. } = rib.fill(to) {
            bytes += more.len();
            updates += count;
        }
        while rib.fill(from) != Fill::Nothing {}
    }
    println!("withdrawn in {:?}, {updates} updates of {bytes} bytes out", now() - start);
    println!("{:?}, {} bytes a prefix still", rib.counts(), {
        resident()?.saturating_sub(before) / u64::from(prefixes)
    });
    for message in &messages {
        let Ok(Message::Update(update)) = decode(message, &options) else {
            return Err("not an UPDATE".into());
        };
        rib.update(from, &options, &update);
    }
    rib.next_hop("10.0.0.1".parse::<IpAddr>()?, Some(1));
    while rib.has_work() {
        rib.work(1000);
    }
    while rib.poll_best().is_some() {}
    while rib.fill(to) != Fill::Nothing {}
    let start = now();
    rib.session_down(from, &Default::default());
    while rib.has_work() {
        rib.work(1000);
    }
    while rib.poll_best().is_some() {}
    while rib.fill(to) != Fill::Nothing {}
    println!("gone after {:?}, {:?}", now() - start, rib.counts());
    Ok(())
}

/// An example is no part of the library: it may look at the clock.
#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Bytes of this process in memory.
fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = status.split(' ').nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * 4096)
}

/// A table like the Internet's: prefixes of mostly /24, attribute sets shared by some.
mod table {
    use std::net::Ipv4Addr;

    use bgp_packet::{AsPath, Attributes, BgpNextHop, Options, Origin, PeerKind, Segment};
    use bgp_packet::{encode_attributes, pack, pack_withdrawn};
    use inet::{Family, Prefix};

    /// UPDATE messages of `prefixes` prefixes in `sets` attribute sets, from AS 65001.
    pub(super) fn messages(prefixes: u32, sets: u32) -> Vec<Vec<u8>> {
        let options = Options::new(PeerKind::External);
        let each = prefixes / sets;
        let mut next = 0u32;
        let mut messages = Vec::new();
        for set in 0..sets {
            let len = 2 + set % 5;
            let numbers =
                (0..len).map(|i| if i == 0 { 65001 } else { 1 + (set * 7 + i * 13) % 70_000 });
            let segments = vec![Segment::Sequence(numbers.collect())];
            let hop = BgpNextHop::from(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
            let attributes = Attributes {
                communities: (0..set % 4).map(|c| 65001 << 16 | (set + c) & 0xffff).collect(),
                large_communities: vec![[65001, set, 0]; usize::from(set % 3 == 0)],
                ..Attributes::new(Origin::Igp, AsPath { segments }, hop)
            };
            let raw = encode_attributes(&attributes, &options);
            let count = each + u32::from(set < prefixes % sets);
            let run = (next..next + count).map(prefix);
            next += count;
            messages.extend(pack(&raw, &hop, run, &options).unwrap_or_default());
        }
        messages
    }

    /// Their withdrawal, in another order than they came in.
    pub(super) fn withdrawals(prefixes: u32) -> Vec<Vec<u8>> {
        // A prime: each is met once.
        let step = |n: u32| u64::from(n) * 15_485_863 % u64::from(prefixes);
        let all = (0..prefixes).map(|n| prefix(step(n) as u32));
        pack_withdrawn(all, &Options::new(PeerKind::External))
    }

    fn prefix(n: u32) -> Prefix {
        let address = Ipv4Addr::from(0x0100_0000 + (n << 8));
        Prefix::truncated(address.into(), 24).unwrap_or(Prefix::default_route(Family::Ipv4))
    }
}

//! How long the calls of a speaker with a large table take, for each of the things that might take
//! long: the median, nine tenths and the longest. On a busy machine the longest ones were interrupted.
//! One peer sends, one is told. Argument: prefixes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Capability, KEEPALIVE, Open, Options, Origin, PathId, PeerKind,
    Segment, encode_attributes, pack, pack_withdrawn_paths,
};
use bgp_policy::{Action, Conditions, Definition, Definitions, Sets, Statement};
use bgp_session::PeerConfig;
use bgp_speaker::{ConnId, Desired, Global, Input, Peer, Speaker, SpeakerConfig};
use inet::{Asn, Family, Prefix, RouterId, Timestamp};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SENDER: u8 = 2;
const RECEIVER: u8 = 3;

struct Clocked {
    speaker: Speaker,
    now: Timestamp,
    handle: Vec<Duration>,
    tick: Vec<Duration>,
    poll: Vec<Duration>,
}

fn main() -> Result<()> {
    let count = std::env::args().nth(1).map(|n| n.parse()).transpose()?.unwrap_or(1_000_000u32);
    let now = Timestamp::from_elapsed(Duration::from_secs(100));
    let speaker = Speaker::new(now, SpeakerConfig { seed: 1, restarting: None });
    let (handle, tick, poll) = Default::default();
    let mut clocked = Clocked { speaker, now, handle, tick, poll };
    clocked.want(None)?;
    clocked.tell(Input::OwnersReady);
    let (sender, receiver) = (clocked.connect(SENDER)?, clocked.connect(RECEIVER)?);
    clocked.tell(Input::Room { conn: receiver, bytes: usize::MAX >> 1 });
    clocked.done("connected");
    for bytes in messages(0..count, false)? {
        clocked.tell(Input::Frame { conn: sender, bytes });
    }
    let address = address(SENDER).into();
    clocked.tell(Input::NextHop { address, metric: Some(1) });
    clocked.go_on();
    clocked.done("ordinary UPDATEs");
    for bytes in messages(count..2 * count, true)? {
        clocked.tell(Input::Frame { conn: sender, bytes });
        clocked.go_on();
    }
    clocked.done("UPDATEs of 64 KiB");
    clocked.tell(Input::Room { conn: receiver, bytes: 0 });
    let paths = prefixes(0..count).map(|prefix| (PathId::NONE, prefix));
    for bytes in pack_withdrawn_paths(paths, &options(true)) {
        clocked.tell(Input::Frame { conn: sender, bytes });
        clocked.go_on();
    }
    clocked.done("withdrawals of 64 KiB, told to nobody yet");
    clocked.want(Some("20.0.0.0/8 le 32"))?;
    clocked.done("another export policy, with all of that still to be told");
    clocked.go_on();
    clocked.tell(Input::Room { conn: receiver, bytes: usize::MAX >> 1 });
    clocked.go_on();
    clocked.done("all of it told");
    clocked.tell(Input::NextHop { address, metric: None });
    clocked.go_on();
    clocked.done("the next hop lost");
    clocked.tell(Input::NextHop { address, metric: Some(1) });
    clocked.go_on();
    clocked.done("the next hop there again");
    clocked.tell(Input::Closed { conn: sender, reason: String::new() });
    clocked.go_on();
    clocked.done("the sender gone");
    println!("{:?}", clocked.speaker.counts());
    Ok(())
}

impl Clocked {
    fn tell(&mut self, input: Input) {
        let start = clock();
        self.speaker.handle(self.now, input);
        self.handle.push(start.elapsed());
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            let start = clock();
            let output = self.speaker.poll();
            self.poll.push(start.elapsed());
            if output.is_none() {
                return;
            }
        }
    }

    fn go_on(&mut self) {
        while self.speaker.wake_at().is_some_and(|(at, _)| at <= self.now) {
            let start = clock();
            self.speaker.tick(self.now);
            self.tick.push(start.elapsed());
            self.poll();
        }
    }

    fn done(&mut self, what: &str) {
        println!("{what}:");
        let calls =
            [("handle", &mut self.handle), ("tick", &mut self.tick), ("poll", &mut self.poll)];
        for (name, mut times) in calls.map(|(name, times)| (name, std::mem::take(times))) {
            times.sort_unstable();
            let part = |tenths: usize| {
                times.get((times.len() * tenths / 10).min(times.len().saturating_sub(1)))
            };
            let parts = [5, 9, 10].map(|tenths| part(tenths).copied().unwrap_or_default());
            println!("  {} × {name}: {parts:?}", times.len());
        }
    }

    /// The document, with an export policy that rejects these.
    fn want(&mut self, rejects: Option<&str>) -> Result<()> {
        let mut receiver = peer(RECEIVER)?;
        if let Some(range) = rejects {
            let within = bgp_policy::Terms::any([bgp_policy::Term::Value(range.parse()?)]);
            let conditions = Conditions { prefix: Some(within), ..Conditions::default() };
            let reject =
                Statement { name: None, conditions, set: Sets::default(), action: Action::Reject };
            let statements = vec![reject, Statement::new(Action::Accept)];
            let definition = Definition { statements, default: None };
            let policy = definition.resolve("export", &Definitions::default());
            receiver.rules.export = Some(policy.map_err(|_| "no policy")?);
        }
        let router_id = RouterId::try_from(Ipv4Addr::new(1, 1, 1, 1))?;
        let doc = Desired {
            global: Some(Global::new(Asn::new(65000)?, router_id)),
            peers: vec![peer(SENDER)?, receiver],
            ..Desired::default()
        };
        self.tell(Input::Desired { owner: "file".into(), doc });
        Ok(())
    }

    fn connect(&mut self, n: u8) -> Result<ConnId> {
        let conn = ConnId::Accepted(n.into());
        let asn = Asn::new(65000 + u32::from(n))?;
        let capabilities = vec![
            Capability::Multiprotocol(Family::Ipv4),
            Capability::FourOctetAs(asn),
            Capability::ExtendedMessage,
        ];
        let router_id = RouterId::try_from(Ipv4Addr::new(2, 2, 2, n))?;
        let open = Open { asn, hold_time: 90, router_id, capabilities };
        self.tell(Input::Accepted { conn, local: address(1), remote: address(n).into() });
        self.tell(Input::Frame { conn, bytes: open.encode() });
        self.tell(Input::Frame { conn, bytes: KEEPALIVE.to_vec() });
        Ok(conn)
    }
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

fn peer(n: u8) -> Result<Peer> {
    let config = PeerConfig::new(address(n), Asn::new(65000 + u32::from(n))?);
    Ok(Peer::from(PeerConfig { passive: true, ..config }))
}

fn options(long: bool) -> Options {
    Options { extended_message: long, ..Options::new(PeerKind::External) }
}

fn prefixes(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Prefix> {
    let prefix = |n: u32| Prefix::truncated(Ipv4Addr::from(0x0100_0000 + (n << 7)).into(), 25);
    numbers.filter_map(move |n| prefix(n).ok())
}

fn messages(numbers: std::ops::Range<u32>, long: bool) -> Result<Vec<Vec<u8>>> {
    let next_hop = BgpNextHop::from(address(SENDER));
    let as_path = AsPath { segments: vec![Segment::Sequence(vec![65000 + u32::from(SENDER)])] };
    let options = options(long);
    let raw = encode_attributes(&Attributes::new(Origin::Igp, as_path, next_hop), &options);
    Ok(pack(&raw, &next_hop, prefixes(numbers), &options).map_err(|_| "too long")?)
}

/// An example is no part of the library: it may look at the clock.
#[allow(clippy::disallowed_methods)]
fn clock() -> Instant {
    Instant::now()
}

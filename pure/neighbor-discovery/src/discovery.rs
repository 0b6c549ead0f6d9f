use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use inet::Timestamp;

use crate::message::{Ignored, Message, advertisement, decode, solicitation};

/// The longest time between two advertisements; the shortest is three quarters of it
/// (RFC 4861 §6.2.1). It is short enough for the first ones too (§6.2.4).
pub const INTERVAL: Duration = Duration::from_secs(10);

/// After a neighbor has been silent for so long, another one may take its place.
pub const SILENCE: Duration = Duration::from_secs(30);

/// How often a solicitation is repeated while nobody answers (RFC 4861 §6.3.7).
const SOLICIT_EVERY: Duration = Duration::from_secs(4);
const SOLICITATIONS: u8 = 3;

/// The least time between two advertisements, asked for or not (RFC 4861 §10).
const PAUSE: Duration = Duration::from_secs(3);

/// What was asked for comes after up to so long (RFC 4861 §6.2.6, MAX_RA_DELAY_TIME), and the first
/// question too (§6.3.7, MAX_RTR_SOLICITATION_DELAY): many may have heard the same.
const ANSWER_DELAY: Duration = Duration::from_millis(500);
const SOLICIT_DELAY: Duration = Duration::from_secs(1);

/// What could not be sent is said again after so long.
const UNSENT: Duration = Duration::from_secs(1);

/// A neighbor that gives no lifetime is forgotten after the longest that routers give
/// (RFC 4861 §6.2.1).
const LONGEST: Duration = Duration::from_secs(9000);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The link is up. Its link-local address may still be looked for on the link by others.
    LinkUp,
    /// The link is down.
    LinkDown,
    /// What was said last could not be sent: the link has no address to send from yet.
    Unsent,
    /// A message came.
    Packet {
        /// ICMPv6, from its type on.
        bytes: &'a [u8],
        /// From where.
        source: Ipv6Addr,
        /// With which hop limit.
        hop_limit: u8,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to all nodes (`ff02::1`), with hop limit 255.
    Advertise(Vec<u8>),
    /// Send this to all routers (`ff02::2`), with hop limit 255.
    Solicit(Vec<u8>),
    /// The neighbor's link-local address, or that there is none now.
    Neighbor(Option<Ipv6Addr>),
}

/// One link's end of the discovery.
#[derive(Debug)]
pub struct Discovery {
    up: bool,
    neighbor: Option<Neighbor>,
    advertised_at: Option<Timestamp>,
    advertise_at: Option<Timestamp>,
    solicit_at: Option<Timestamp>,
    solicitations: u8,
    /// At most one of each kind waits, and two words about the neighbor.
    outputs: VecDeque<Output>,
    ignored: u64,
    random: u64,
}

#[derive(Debug)]
struct Neighbor {
    address: Ipv6Addr,
    heard_at: Timestamp,
    until: Timestamp,
}

impl Discovery {
    /// The link is down, and nobody is known. `seed` is for delays by chance: another one on each
    /// link, or those that came up together speak together for ever.
    pub fn new(seed: u64) -> Discovery {
        Discovery {
            up: false,
            neighbor: None,
            advertised_at: None,
            advertise_at: None,
            solicit_at: None,
            solicitations: 0,
            outputs: VecDeque::new(),
            ignored: 0,
            random: seed,
        }
    }

    /// Takes what happened.
    ///
    /// # Errors
    /// Why a message was not listened to; it is counted too.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Result<(), Ignored> {
        match (self.up, input) {
            (false, Input::LinkUp) => {
                self.up = true;
                self.advertise_at = Some(now);
                self.solicit_at = Some(now + self.chance(Duration::ZERO, SOLICIT_DELAY));
                self.solicitations = SOLICITATIONS;
            }
            (true, Input::Unsent) => self.unsent(now + UNSENT),
            (_, Input::LinkDown) => {
                self.up = false;
                self.advertise_at = None;
                self.solicit_at = None;
                self.lose();
            }
            (true, Input::Packet { bytes, source, hop_limit }) => {
                let message = decode(bytes, source, hop_limit);
                match message.inspect_err(|_| self.ignored = self.ignored.saturating_add(1))? {
                    Message::Solicitation => {
                        let delay = self.chance(Duration::ZERO, ANSWER_DELAY);
                        self.asked(now, delay);
                    }
                    Message::Advertisement { lifetime } => self.heard(now, source, lifetime),
                }
            }
            (true, Input::LinkUp) | (false, Input::Packet { .. } | Input::Unsent) => {}
        }
        Ok(())
    }

    /// Does what is due by the clock.
    pub fn tick(&mut self, now: Timestamp) {
        if self.neighbor.as_ref().is_some_and(|neighbor| neighbor.until <= now) {
            self.lose();
        }
        if self.advertise_at.is_some_and(|at| at <= now) {
            self.advertised_at = Some(now);
            self.advertise_at = Some(now + self.chance(INTERVAL * 3 / 4, INTERVAL));
            self.say(Output::Advertise(advertisement()));
        }
        if self.solicit_at.is_some_and(|at| at <= now) {
            self.solicitations = self.solicitations.saturating_sub(1);
            self.solicit_at = (self.solicitations > 0).then(|| now + SOLICIT_EVERY);
            self.say(Output::Solicit(solicitation()));
        }
    }

    /// When `tick` is to be called.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let until = self.neighbor.as_ref().map(|neighbor| neighbor.until);
        [until, self.advertise_at, self.solicit_at].into_iter().flatten().min()
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The neighbor's address.
    pub fn neighbor(&self) -> Option<Ipv6Addr> {
        self.neighbor.as_ref().map(|neighbor| neighbor.address)
    }

    /// How many messages were not listened to.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Answers a solicitation, but not each one.
    fn asked(&mut self, now: Timestamp, delay: Duration) {
        let earliest = self.advertised_at.map_or(now, |at| (at + PAUSE).max(now)) + delay;
        self.advertise_at = Some(self.advertise_at.map_or(earliest, |at| at.min(earliest)));
    }

    fn heard(&mut self, now: Timestamp, address: Ipv6Addr, lifetime: Duration) {
        let until = now + if lifetime.is_zero() { LONGEST } else { lifetime };
        match &self.neighbor {
            // A link with several routers: the one that was there stays while it is heard.
            Some(known) if known.address != address && now.since(known.heard_at) < SILENCE => {
                return;
            }
            Some(known) if known.address == address => {}
            Some(_) | None => {
                self.say(Output::Neighbor(Some(address)));
                // A newcomer need not wait for our next word.
                self.asked(now, Duration::ZERO);
            }
        }
        self.solicit_at = None;
        self.neighbor = Some(Neighbor { address, heard_at: now, until });
    }

    /// Nobody has heard what was said last: it counts as not said.
    fn unsent(&mut self, soon: Timestamp) {
        let sooner = |at: Option<Timestamp>| Some(at.map_or(soon, |at| at.min(soon)));
        self.advertised_at = None;
        self.advertise_at = sooner(self.advertise_at);
        if self.neighbor.is_none() {
            self.solicit_at = sooner(self.solicit_at);
            self.solicitations = SOLICITATIONS;
        }
    }

    /// A time between two others, in whole milliseconds (SplitMix64).
    fn chance(&mut self, least: Duration, most: Duration) -> Duration {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let steps = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(z % steps.saturating_add(1).max(1))
    }

    fn lose(&mut self) {
        if self.neighbor.take().is_some() {
            self.say(Output::Neighbor(None));
        }
    }

    /// Queues a word in place of an older one of its kind: only the last one counts.
    fn say(&mut self, output: Output) {
        let kind = std::mem::discriminant(&output);
        self.outputs.retain(|waiting| std::mem::discriminant(waiting) != kind);
        self.outputs.push_back(output);
    }
}

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;

use inet::{Timestamp, is_link_local};

use crate::config::{Config, ConfigError, Hop, Key, TTL};
use crate::counters::{Counters, Discard};
use crate::packet::{LEN, Packet, decode};
use crate::random::Random;
use crate::session::{Said, Session};
use crate::status::{Change, Status};

/// How many sessions there may be, unless said otherwise.
pub const DEFAULT_MAX_SESSIONS: usize = 4096;

/// A secret that the discriminators and the jitter are drawn from. It is never shown.
#[derive(Clone, Copy)]
pub struct Seed(pub [u8; 16]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// By the port that it came to.
    pub hop: Hop,
    /// From where.
    pub remote: IpAddr,
    /// To where.
    pub local: IpAddr,
    /// The index of the interface; 0 when not known.
    pub link: u32,
    /// With which TTL or hop limit.
    pub ttl: u8,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// All sessions that are wanted from now on. Those that were there and are not named leave
    /// with a word; those whose values changed take them without going down.
    Wanted(BTreeMap<Key, Config>),
    /// A datagram came to one of BFD's ports.
    Packet {
        /// What it holds.
        bytes: &'a [u8],
        /// How it came.
        arrival: Arrival,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this from the session's own source port, with TTL 255, to the port of its kind.
    Send {
        /// The session.
        key: Key,
        /// The packet.
        bytes: [u8; LEN],
    },
    /// A session went up or down.
    Changed {
        /// The session.
        key: Key,
        /// How.
        change: Change,
    },
    /// A session that left has said its goodbye: its socket may be closed.
    Gone {
        /// The session.
        key: Key,
    },
    /// A session that is wanted cannot be; one that was there under this key goes on as it was.
    Refused {
        /// The session.
        key: Key,
        /// Why.
        error: ConfigError,
    },
}

/// All BFD sessions of a process.
///
/// Packets that wait in a socket are to be given before `tick` is called: a process that slept
/// must not take its own silence for the neighbor's.
#[derive(Debug)]
pub struct Bfd {
    random: Random,
    max_sessions: usize,
    sessions: BTreeMap<NonZeroU32, Session>,
    by_key: BTreeMap<Key, NonZeroU32>,
    timers: BTreeSet<(Timestamp, NonZeroU32)>,
    ready: VecDeque<NonZeroU32>,
    /// Words about sessions that are not there: at most one for each key of the last document.
    others: VecDeque<Output>,
    unclaimed: Counters,
}

impl Bfd {
    /// No sessions. The seed must be secret and new in each run.
    pub fn new(seed: Seed, max_sessions: usize) -> Bfd {
        Bfd {
            random: Random::new(seed.0),
            max_sessions,
            sessions: BTreeMap::new(),
            by_key: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            others: VecDeque::new(),
            unclaimed: Counters::default(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        match input {
            Input::Wanted(wanted) => self.want(now, &wanted),
            Input::Packet { bytes, arrival } => self.packet(now, bytes, &arrival),
        }
    }

    /// Does what is due by the clock.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, discriminator)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            let Some(session) = self.sessions.get_mut(&discriminator) else { continue };
            session.filed = None;
            session.tick(now, &mut self.random);
            if session.leaves_at.is_some_and(|at| at <= now) {
                self.drop_session(discriminator);
            } else {
                self.file(discriminator);
            }
        }
    }

    /// When `tick` is to be called; never without sessions.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What is to be done next. Send at once: the timers take it as sent.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.others.pop_front() {
            return Some(output);
        }
        while let Some(discriminator) = self.ready.front() {
            let Some(session) = self.sessions.get_mut(discriminator) else {
                self.ready.pop_front();
                continue;
            };
            let key = session.key;
            match session.say() {
                Some(Said::Packet(bytes)) => return Some(Output::Send { key, bytes }),
                Some(Said::Changed(change)) => return Some(Output::Changed { key, change }),
                None => {
                    session.queued = false;
                    self.ready.pop_front();
                }
            }
        }
        None
    }

    /// A session as people see it.
    pub fn status(&self, key: &Key) -> Option<Status> {
        let session = self.sessions.get(self.by_key.get(key)?)?;
        Some(session.status())
    }

    /// All sessions, those that are saying goodbye too, in the order of their keys.
    pub fn statuses(&self) -> impl Iterator<Item = Status> + '_ {
        self.by_key.values().filter_map(|id| self.sessions.get(id)).map(Session::status)
    }

    /// What was discarded that belonged to no session.
    pub fn unclaimed(&self) -> &Counters {
        &self.unclaimed
    }

    fn want(&mut self, now: Timestamp, wanted: &BTreeMap<Key, Config>) {
        self.others.retain(|output| !matches!(output, Output::Refused { .. }));
        let unwanted: Vec<Key> =
            self.by_key.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in unwanted {
            self.leave(now, &key);
        }
        for (key, config) in wanted {
            if let Err(error) = self.want_one(now, *key, *config) {
                self.others.push_back(Output::Refused { key: *key, error });
            }
        }
    }

    fn want_one(&mut self, now: Timestamp, key: Key, config: Config) -> Result<(), ConfigError> {
        config.check(&key)?;
        if let Some(discriminator) = self.by_key.get(&key).copied() {
            if let Some(session) = self.sessions.get_mut(&discriminator)
                && (session.config != config || session.leaves_at.is_some())
            {
                session.reconfigure(now, config, &mut self.random);
                self.file(discriminator);
            }
            return Ok(());
        }
        if self.sessions.len() >= self.max_sessions {
            // Room comes before manners: one that is saying goodbye makes place.
            let leaving = self.sessions.values().find(|session| session.leaves_at.is_some());
            let leaving = leaving.map(|session| session.discriminator);
            self.drop_session(leaving.ok_or(ConfigError::TooMany(self.max_sessions))?);
        }
        let sessions = &self.sessions;
        let discriminator = self.random.discriminator(|taken| sessions.contains_key(&taken));
        let session = Session::new(now, key, config, discriminator, &mut self.random);
        self.sessions.insert(discriminator, session);
        self.by_key.insert(key, discriminator);
        self.file(discriminator);
        Ok(())
    }

    fn leave(&mut self, now: Timestamp, key: &Key) {
        let Some(discriminator) = self.by_key.get(key).copied() else { return };
        if let Some(session) = self.sessions.get_mut(&discriminator) {
            session.leave(now, &mut self.random);
            self.file(discriminator);
        }
    }

    fn drop_session(&mut self, discriminator: NonZeroU32) {
        let Some(mut session) = self.sessions.remove(&discriminator) else { return };
        if let Some(at) = session.filed.take() {
            self.timers.remove(&(at, discriminator));
        }
        self.ready.retain(|other| *other != discriminator);
        self.by_key.remove(&session.key);
        let key = session.key;
        while let Some(said) = session.say() {
            match said {
                Said::Packet(bytes) => self.others.push_back(Output::Send { key, bytes }),
                Said::Changed(change) => self.others.push_back(Output::Changed { key, change }),
            }
        }
        self.others.push_back(Output::Gone { key });
    }

    /// Puts a session where its next moment and its words belong.
    fn file(&mut self, discriminator: NonZeroU32) {
        let Some(session) = self.sessions.get_mut(&discriminator) else { return };
        let wake_at = session.wake_at();
        if session.filed != wake_at {
            if let Some(at) = session.filed {
                self.timers.remove(&(at, discriminator));
            }
            if let Some(at) = wake_at {
                self.timers.insert((at, discriminator));
            }
            session.filed = wake_at;
        }
        if session.has_to_say() && !session.queued {
            session.queued = true;
            self.ready.push_back(discriminator);
        }
    }

    fn packet(&mut self, now: Timestamp, bytes: &[u8], arrival: &Arrival) {
        let taken = self.select(bytes, arrival).and_then(|(discriminator, packet)| {
            match self.sessions.get_mut(&discriminator) {
                Some(session) => {
                    let received = session.receive(now, &packet, &mut self.random);
                    self.file(discriminator);
                    received.map_err(|reason| (Some(discriminator), reason))
                }
                None => Err((None, Discard::UnknownDiscriminator)),
            }
        });
        if let Err((discriminator, reason)) = taken {
            let session = discriminator.and_then(|id| self.sessions.get_mut(&id));
            session.map_or(&mut self.unclaimed, |session| &mut session.counters).discard(reason);
        }
    }

    /// The session that a packet is for, or why it is discarded and at whose cost.
    fn select(
        &self,
        bytes: &[u8],
        arrival: &Arrival,
    ) -> Result<(NonZeroU32, Packet), (Option<NonZeroU32>, Discard)> {
        let neighbor = self.by_address(arrival);
        let fail = |reason| (neighbor, reason);
        // RFC 5881 §5: before anything of it is believed.
        if arrival.hop == Hop::Single && arrival.ttl != TTL {
            return Err(fail(Discard::Ttl));
        }
        let packet = decode(bytes).map_err(fail)?;
        let session = match NonZeroU32::new(packet.your_discriminator) {
            // The discriminator alone decides: addresses may change (RFC 5880 §6.3).
            Some(named) => self.sessions.get(&named).ok_or(fail(Discard::UnknownDiscriminator))?,
            None => neighbor
                .and_then(|discriminator| self.sessions.get(&discriminator))
                .ok_or((None, Discard::UnknownPeer))?,
        };
        let fail = |reason| (Some(session.discriminator), reason);
        if session.key.hop != arrival.hop {
            return Err(fail(Discard::Port));
        }
        // A link-local address is one on its link only (RFC 4007 §6). Where another interface is
        // named it may be a VRF, which packets do not say they came over.
        let Key { peer, link, .. } = session.key;
        if is_link_local(&peer) && arrival.link != link {
            return Err(fail(Discard::Link));
        }
        if packet.authenticated {
            return Err(fail(Discard::Authentication));
        }
        if arrival.ttl < session.config.least_ttl(session.key.hop) {
            return Err(fail(Discard::Ttl));
        }
        Ok((session.discriminator, packet))
    }

    /// The session with the sender of a packet: the one that names most of its way.
    fn by_address(&self, arrival: &Arrival) -> Option<NonZeroU32> {
        let locals = [Some(arrival.local), None];
        let ways = locals.into_iter().flat_map(|local| [(local, arrival.link), (local, 0)]);
        ways.into_iter().find_map(|(local, link)| {
            let key = Key { hop: arrival.hop, peer: arrival.remote, local, link };
            self.by_key.get(&key).copied()
        })
    }
}

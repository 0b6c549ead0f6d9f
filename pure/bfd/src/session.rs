//! One session: its state, its timers, its poll sequences (RFC 5880 §6.8).

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use inet::Timestamp;

use crate::config::{Config, Key};
use crate::counters::{Counters, Discard};
use crate::packet::{Diagnostic, LEN, Packet, State, encode};
use crate::random::Random;
use crate::status::{Cause, Change, Status};

/// While a session is not up, it sends no faster than this (RFC 5880 §6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// How long a session that is no longer wanted says so, at least and at most.
const GOODBYE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(30));

/// A poll sequence (RFC 5880 §6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    Idle,
    /// P is sent until F comes.
    Running,
    /// As `Running`; the values changed meanwhile, so that its F will not speak of the last ones.
    Outdated,
    /// One packet without P comes between two sequences, so that their answers are told apart.
    Gap,
}

/// What a session has to say.
pub(crate) enum Said {
    Packet([u8; LEN]),
    Changed(Change),
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: Key,
    pub(crate) config: Config,
    pub(crate) discriminator: NonZeroU32,
    pub(crate) counters: Counters,
    /// It is no longer wanted, and goes at this moment.
    pub(crate) leaves_at: Option<Timestamp>,
    /// It stands in the machine's queue of those that have something to say.
    pub(crate) queued: bool,
    /// The moment by which the machine has it in its order of timers.
    pub(crate) filed: Option<Timestamp>,
    state: State,
    since: Timestamp,
    diagnostic: Diagnostic,
    last_down: Option<Diagnostic>,
    remote: Remote,
    /// `bfd.DesiredMinTxInterval` as it is in use; raised only when a poll sequence has ended.
    transmit: Duration,
    /// `bfd.RequiredMinRxInterval` as it is in use; lowered only when a poll sequence has ended.
    receive: Duration,
    poll: Poll,
    heard_at: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    send_at: Option<Timestamp>,
    detect_at: Option<Timestamp>,
    packet_due: bool,
    final_due: bool,
    changes: VecDeque<Change>,
}

/// What the neighbor said last.
#[derive(Debug)]
struct Remote {
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    control_plane_independent: bool,
    demand: bool,
    multiplier: u8,
    desired_min_tx: Duration,
    required_min_rx: Duration,
}

impl Remote {
    /// What holds before anything is heard (RFC 5880 §6.8.1).
    const UNHEARD: Remote = Remote {
        discriminator: 0,
        state: State::Down,
        diagnostic: Diagnostic::None,
        control_plane_independent: false,
        demand: false,
        multiplier: 0,
        desired_min_tx: Duration::ZERO,
        required_min_rx: Duration::from_micros(1),
    };

    fn of(packet: &Packet) -> Remote {
        Remote {
            discriminator: packet.my_discriminator.get(),
            state: packet.state,
            diagnostic: packet.diagnostic,
            control_plane_independent: packet.control_plane_independent,
            demand: packet.demand,
            multiplier: packet.multiplier,
            desired_min_tx: Duration::from_micros(packet.desired_min_tx.into()),
            required_min_rx: Duration::from_micros(packet.required_min_rx.into()),
        }
    }
}

impl Session {
    pub(crate) fn new(
        now: Timestamp,
        key: Key,
        config: Config,
        discriminator: NonZeroU32,
        random: &mut Random,
    ) -> Session {
        let mut session = Session {
            key,
            config,
            discriminator,
            counters: Counters::default(),
            leaves_at: None,
            queued: false,
            filed: None,
            state: if config.shutdown { State::AdminDown } else { State::Down },
            since: now,
            diagnostic: Diagnostic::None,
            last_down: None,
            remote: Remote::UNHEARD,
            transmit: SLOW.max(config.desired_min_tx),
            receive: config.required_min_rx,
            poll: Poll::Idle,
            heard_at: None,
            sent_at: None,
            send_at: None,
            detect_at: None,
            packet_due: false,
            final_due: false,
            changes: VecDeque::new(),
        };
        if config.shutdown {
            session.diagnostic = Diagnostic::AdministrativelyDown;
        }
        session.retime(now, random);
        session
    }

    /// Takes other values. A session that is up stays up (RFC 5880 §6.8.3).
    pub(crate) fn reconfigure(&mut self, now: Timestamp, config: Config, random: &mut Random) {
        self.leaves_at = None;
        let before = (self.desired_min_tx(), self.config.required_min_rx);
        let old = std::mem::replace(&mut self.config, config);
        match (self.state, config.shutdown) {
            (State::AdminDown, false) => {
                self.go(now, State::Down, Diagnostic::None, Cause::AdminDown, random);
            }
            (State::Down | State::Init | State::Up, true) => self.hold_down(now, random),
            (State::AdminDown, true) | (State::Down | State::Init | State::Up, false) => {}
        }
        let after = (self.desired_min_tx(), self.config.required_min_rx);
        if before != after && self.remote.discriminator != 0 {
            self.begin_poll();
        }
        let told = |config: &Config| {
            (config.multiplier, config.control_plane_independent, config.required_min_rx)
        };
        if before != after || told(&old) != told(&config) {
            self.packet_due |= self.sends();
        }
        self.retime(now, random);
    }

    /// Is no longer wanted: says so for a while, so that the neighbor sees no failure
    /// (RFC 5880 §6.8.16), then goes.
    pub(crate) fn leave(&mut self, now: Timestamp, random: &mut Random) {
        if self.leaves_at.is_some() {
            return;
        }
        let heard = self.remote.discriminator != 0;
        let (least, most) = GOODBYE;
        let silence = self.interval() * u32::from(self.config.multiplier);
        self.leaves_at = Some(if heard { now + silence.clamp(least, most) } else { now });
        if self.state != State::AdminDown {
            self.hold_down(now, random);
        }
    }

    fn hold_down(&mut self, now: Timestamp, random: &mut Random) {
        let diagnostic = Diagnostic::AdministrativelyDown;
        self.go(now, State::AdminDown, diagnostic, Cause::AdminDown, random);
    }

    /// Takes a packet that belongs to this session (RFC 5880 §6.8.6).
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        packet: &Packet,
        random: &mut Random,
    ) -> Result<(), Discard> {
        self.remote = Remote::of(packet);
        if packet.final_ {
            self.poll = match self.poll {
                Poll::Idle | Poll::Running => Poll::Idle,
                Poll::Outdated | Poll::Gap => Poll::Gap,
            };
        }
        self.heard_at = Some(now);
        self.retime(now, random);
        let down = Diagnostic::NeighborDown;
        match (self.state, packet.state) {
            (State::AdminDown, _) => return Err(Discard::AdminDown),
            (State::Init | State::Up, State::AdminDown) => {
                self.go(now, State::Down, down, Cause::NeighborAdminDown, random);
            }
            (State::Up, State::Down) => {
                self.go(now, State::Down, down, Cause::NeighborDown, random);
            }
            (State::Down, State::Down) => {
                self.go(now, State::Init, self.diagnostic, Cause::Up, random);
            }
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.go(now, State::Up, Diagnostic::None, Cause::Up, random);
            }
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => {}
        }
        self.final_due |= packet.poll;
        self.counters.received += 1;
        Ok(())
    }

    /// Does what is due by the clock.
    pub(crate) fn tick(&mut self, now: Timestamp, random: &mut Random) {
        if self.detect_at.is_some_and(|at| at <= now) {
            // RFC 5880 §6.8.1: the discriminator is forgotten in any state; with it, what the
            // neighbor had wished.
            let heard = std::mem::replace(&mut self.remote, Remote::UNHEARD);
            self.remote.diagnostic = heard.diagnostic;
            self.remote.control_plane_independent = heard.control_plane_independent;
            self.heard_at = None;
            self.poll = Poll::Idle;
            let diagnostic = Diagnostic::DetectionTimeExpired;
            match self.state {
                State::Init | State::Up => {
                    self.go(now, State::Down, diagnostic, Cause::DetectionTimeExpired, random);
                }
                State::AdminDown | State::Down => self.retime(now, random),
            }
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.packet_due = true;
            self.sent_at = Some(now);
            self.send_at = Some(now + random.jitter(self.interval(), self.config.multiplier));
        }
    }

    /// When `tick` is to be called.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        [self.send_at, self.detect_at, self.leaves_at].into_iter().flatten().min()
    }

    pub(crate) fn has_to_say(&self) -> bool {
        self.packet_due || self.final_due || !self.changes.is_empty()
    }

    pub(crate) fn say(&mut self) -> Option<Said> {
        if let Some(change) = self.changes.pop_front() {
            return Some(Said::Changed(change));
        }
        if self.final_due {
            self.final_due = false;
            // The same words: the periodic packet is spared, unless it has a P to carry.
            self.packet_due &= self.poll != Poll::Idle;
            return Some(self.packet(false, true));
        }
        if self.packet_due {
            self.packet_due = false;
            let poll = match self.poll {
                Poll::Running | Poll::Outdated => true,
                Poll::Idle => false,
                Poll::Gap => {
                    self.poll = Poll::Running;
                    false
                }
            };
            return Some(self.packet(poll, false));
        }
        None
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            key: self.key,
            config: self.config,
            state: self.state,
            remote_state: self.remote.state,
            since: self.since,
            diagnostic: self.diagnostic,
            remote_diagnostic: self.remote.diagnostic,
            last_down: self.last_down,
            discriminator: self.discriminator,
            remote_discriminator: self.remote.discriminator,
            control_plane_independent: self.remote.control_plane_independent,
            transmit_interval: self.sends().then(|| self.interval()),
            detection_time: self.detection_time(),
            counters: self.counters.clone(),
        }
    }

    fn packet(&mut self, poll: bool, final_: bool) -> Said {
        self.counters.sent += 1;
        Said::Packet(encode(&Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll,
            final_,
            control_plane_independent: self.config.control_plane_independent,
            authenticated: false,
            demand: false,
            multiplier: self.config.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: micros(self.desired_min_tx()),
            required_min_rx: micros(self.config.required_min_rx),
            required_min_echo_rx: 0,
        }))
    }

    /// Enters a state, and tells the neighbor at once (RFC 5880 §6.8.7, at its end).
    fn go(
        &mut self,
        now: Timestamp,
        state: State,
        diagnostic: Diagnostic,
        cause: Cause,
        random: &mut Random,
    ) {
        let was_up = self.state == State::Up;
        self.state = state;
        self.since = now;
        self.diagnostic = diagnostic;
        let up = state == State::Up;
        // Coming up lowers the interval, which a poll sequence tells. A session that is not up
        // tells its slow one in each packet, and owes no sequence for it.
        self.poll = if up { Poll::Running } else { Poll::Idle };
        if was_up {
            self.counters.downs += 1;
            self.last_down = Some(diagnostic);
        }
        if up {
            self.counters.ups += 1;
        }
        if up != was_up {
            let control_plane_independent = self.remote.control_plane_independent;
            self.change(Change { up, cause, diagnostic, control_plane_independent });
        }
        self.retime(now, random);
        if self.sends() {
            self.packet_due = true;
            self.sent_at = Some(now);
            self.send_at = Some(now + random.jitter(self.interval(), self.config.multiplier));
        }
    }

    /// Notes a change for the owner: at most two wait, and the last is always the present state.
    fn change(&mut self, change: Change) {
        if self.changes.len() >= 2 {
            // The owner has not heard of the two before: down and up again, and now down, is down.
            self.changes.clear();
        }
        self.changes.push_back(change);
    }

    fn begin_poll(&mut self) {
        self.poll = match self.poll {
            Poll::Idle => Poll::Running,
            Poll::Gap => Poll::Gap,
            Poll::Running | Poll::Outdated => Poll::Outdated,
        };
    }

    /// What is told as Desired Min TX Interval (RFC 5880 §6.8.3).
    fn desired_min_tx(&self) -> Duration {
        match self.state {
            State::Up => self.config.desired_min_tx,
            State::AdminDown | State::Down | State::Init => self.config.desired_min_tx.max(SLOW),
        }
    }

    /// Whether periodic packets are sent (RFC 5880 §6.8.7).
    fn sends(&self) -> bool {
        let waits = self.config.passive && self.remote.discriminator == 0;
        let both_up = self.state == State::Up && self.remote.state == State::Up;
        let demanded = self.remote.demand && both_up && self.poll == Poll::Idle;
        !waits && !demanded && !self.remote.required_min_rx.is_zero()
    }

    /// The interval between packets, before jitter (RFC 5880 §6.8.2).
    fn interval(&self) -> Duration {
        self.transmit.max(self.remote.required_min_rx)
    }

    /// How long the neighbor may be silent (RFC 5880 §6.8.4); nothing while it is not heard, or
    /// was told to send nothing.
    fn detection_time(&self) -> Option<Duration> {
        if self.receive.is_zero() || self.remote.discriminator == 0 {
            return None;
        }
        let interval = self.receive.max(self.remote.desired_min_tx);
        Some(interval * u32::from(self.remote.multiplier))
    }

    /// Brings the intervals in use and the timers up to date with all that they follow from.
    fn retime(&mut self, now: Timestamp, random: &mut Random) {
        let (desired, required) = (self.desired_min_tx(), self.config.required_min_rx);
        // RFC 5880 §6.8.3: what could make one side call the other down waits for the poll's end.
        let bound = self.state == State::Up && self.poll != Poll::Idle;
        if !(bound && desired > self.transmit) {
            self.transmit = desired;
        }
        if !(bound && required < self.receive) {
            self.receive = required;
        }
        self.send_at = self.sends().then(|| {
            let Some(sent_at) = self.sent_at else { return now };
            let interval = self.interval();
            let latest = sent_at + interval;
            match self.send_at {
                Some(at) if at <= latest => at,
                Some(_) | None => {
                    let at = sent_at + random.jitter(interval, self.config.multiplier);
                    at.max(now)
                }
            }
        });
        self.detect_at = match (self.detection_time(), self.heard_at) {
            (Some(silence), Some(heard_at)) if self.detect_at.is_some() => Some(heard_at + silence),
            // The watch begins now: what was heard before it says nothing.
            (Some(silence), Some(_)) => Some(now + silence),
            (Some(_), None) | (None, Some(_) | None) => None,
        };
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

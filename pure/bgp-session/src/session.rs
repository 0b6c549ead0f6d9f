use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bgp_packet::{Cease, KEEPALIVE, Notification, Update};
use inet::{Family, Timestamp};

use crate::link::{Link, Stage};
use crate::negotiate::{keepalive_time, our_open};
use crate::timer::{Jitter, Timer, TimerTable};
use crate::{Change, Conn, Effect, Event, Failure, LocalConfig, PeerConfig, State, Status, Stop};

/// How long an OPEN is waited for (RFC 4271 §8.2.2: a large value, 4 minutes are suggested).
pub(crate) const OPEN_HOLD: Duration = Duration::from_secs(240);

/// One peer. Stopped until [`Event::Start`].
///
/// It has at most one connection dialled and one accepted that are on their way, and at most one
/// that is established.
#[derive(Debug)]
pub struct Session {
    pub(crate) config: PeerConfig,
    pub(crate) local: LocalConfig,
    pub(crate) mode: Mode,
    pub(crate) links: Vec<Link>,
    pub(crate) timers: TimerTable,
    pub(crate) jitter: Jitter,
    /// Families whose routes from before are held as stale.
    pub(crate) stale: BTreeSet<Family>,
    /// Errors in a row, for the idle hold time.
    pub(crate) errors: u32,
    pub(crate) next_conn: u64,
    pub(crate) status: Status,
    pub(crate) effects: VecDeque<Effect>,
}

/// Whether connections are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not started, or stopped.
    Stopped,
    /// Waiting after an error; the IdleHold timer runs, connections are refused.
    Holding,
    /// Dialling and accepting.
    Running,
}

impl Session {
    /// A stopped session. `seed` is for jitter; give each session its own.
    pub fn new(config: PeerConfig, local: LocalConfig, seed: u64) -> Session {
        Session {
            config,
            local,
            mode: Mode::Stopped,
            links: Vec::new(),
            timers: TimerTable::default(),
            jitter: Jitter::new(seed),
            stale: BTreeSet::new(),
            errors: 0,
            next_conn: 1,
            status: Status::default(),
            effects: VecDeque::new(),
        }
    }

    /// Something happened. Call [`Session::poll`] until it is empty afterwards.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Start => self.start(now),
            Event::Stop(how) => self.stop(now, how),
            Event::TcpConnected { conn } => self.tcp_connected(now, conn),
            Event::TcpAccepted { conn } => self.tcp_accepted(now, conn),
            Event::TcpFailed { conn, reason } => {
                self.tcp_ended(now, conn, Failure::TcpFailed(reason));
            }
            Event::TcpClosed { conn, reason } => {
                self.tcp_ended(now, conn, Failure::TcpClosed(reason));
            }
            Event::Reset { conn, notification } => self.refuse(now, conn, notification),
        }
        self.show(now);
    }

    /// A whole frame came. An UPDATE of the established session is handed back for the tables:
    /// take it in after the effects that [`Session::poll`] then has, since the [`Effect::Up`] of
    /// the very session may be among them. (A [`Effect::FlushStale`] belongs to an End-of-RIB, which has no routes.)
    pub fn frame<'a>(&mut self, now: Timestamp, conn: Conn, frame: &'a [u8]) -> Option<Update<'a>> {
        let update = self.receive(now, conn, frame);
        self.show(now);
        update
    }

    /// Does what is due. Early calls do nothing.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((due, timer, conn)) = self.next_timer() {
            if due > now {
                break;
            }
            match conn.and_then(|c| self.link_mut(c)) {
                Some(link) => link.timers.clear(timer),
                None => self.timers.clear(timer),
            }
            self.expired(now, timer, conn);
        }
        self.show(now);
    }

    /// When [`Session::tick`] is to be called, and what for.
    pub fn wake_at(&self) -> Option<(Timestamp, &'static str)> {
        self.next_timer().map(|(due, timer, _)| (due, timer.words()))
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A new configuration of the peer. `address` must be the same: another one is another peer.
    ///
    /// Reset: AS number, families, local address, TTL, graceful restart; a wanted router id that
    /// the peer does not have. All else is taken over live; a hold time counts from the next
    /// session on, since only OPEN messages can tell it.
    pub fn reconfigure(&mut self, now: Timestamp, config: PeerConfig) -> Change {
        if config == self.config {
            return Change::Nothing;
        }
        let old = std::mem::replace(&mut self.config, config);
        let new = &self.config;
        let other_id = |link: &Link| {
            let wanted = new.router_id;
            link.negotiated().is_some_and(|n| wanted.is_some_and(|id| id != n.router_id))
        };
        let hard = old.asn != new.asn;
        let reset = hard
            || old.families != new.families
            || old.local_address != new.local_address
            || old.ebgp_multihop != new.ebgp_multihop
            || old.graceful_restart != new.graceful_restart
            || self.links.iter().any(other_id);
        if reset {
            self.restart(now, hard);
            return Change::Reset;
        }
        for link in &mut self.links {
            if let Some(negotiated) = link.negotiated_mut() {
                negotiated.keepalive_time = keepalive_time(&self.config, negotiated.hold_time);
            }
        }
        if let Some(shown) = &mut self.status.negotiated {
            shown.keepalive_time = keepalive_time(&self.config, shown.hold_time);
        }
        match (old.passive, self.config.passive) {
            (false, true) => {
                self.timers.clear(Timer::ConnectRetry);
                self.hang_up();
            }
            (true, false) => self.retry(now, Duration::ZERO),
            (true, true) | (false, false) => {}
        }
        self.show(now);
        Change::Live
    }

    /// A new AS number or router id of ours resets the session; the rest is for the next OPEN.
    pub fn reconfigure_local(&mut self, now: Timestamp, local: LocalConfig) -> Change {
        if local == self.local {
            return Change::Nothing;
        }
        let old = std::mem::replace(&mut self.local, local);
        if old.asn == self.local.asn && old.router_id == self.local.router_id {
            return Change::Live;
        }
        self.restart(now, true);
        Change::Reset
    }

    /// Whether the next OPEN messages say that we have restarted (RFC 4724 §4.1).
    pub fn set_restarting(&mut self, restarting: bool) {
        self.local.restarting = restarting;
    }

    /// Counts messages of the tables that were given to the connection: UPDATEs and
    /// ROUTE-REFRESHes.
    pub fn count_sent(&mut self, updates: u64, route_refreshes: u64) {
        self.status.sent.update += updates;
        self.status.sent.route_refresh += route_refreshes;
    }

    /// How the session is, for people.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The configuration in force.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    fn start(&mut self, now: Timestamp) {
        match self.mode {
            Mode::Stopped | Mode::Holding => {
                self.mode = Mode::Running;
                self.errors = 0;
                self.timers.clear(Timer::IdleHold);
                self.retry(now, Duration::ZERO);
            }
            Mode::Running => {}
        }
    }

    fn stop(&mut self, now: Timestamp, how: Stop) {
        let flush = match &how {
            Stop::Keep => false,
            Stop::Cease { .. } => true,
        };
        for link in std::mem::take(&mut self.links) {
            let failure = match (&how, &link.stage) {
                (Stop::Keep, _) | (Stop::Cease { .. }, Stage::Dialling) => Failure::Stopped,
                (Stop::Cease { why, communication }, _) => {
                    let cease = Notification::cease(*why, communication.as_deref());
                    self.say_goodbye(&link, cease, true)
                }
            };
            self.effects.push_back(Effect::Close { conn: link.conn });
            self.lost(now, &link, failure);
        }
        for timer in [Timer::ConnectRetry, Timer::IdleHold, Timer::Collision] {
            self.timers.clear(timer);
        }
        // With `Keep` the tables stay as they are: the process ends and the kernel keeps them.
        if flush {
            self.flush_stale();
        }
        self.mode = Mode::Stopped;
        self.errors = 0;
    }

    /// Ends what there is for another configuration and begins anew. `hard`: routes of before
    /// mean nothing any more, so none are kept as stale (RFC 8538 §3.1).
    fn restart(&mut self, now: Timestamp, hard: bool) {
        for link in std::mem::take(&mut self.links) {
            let failure = match &link.stage {
                Stage::Dialling => Failure::Stopped,
                Stage::OpenSent | Stage::OpenConfirm { .. } | Stage::Established(_) => {
                    let cease = Notification::cease(Cease::ConfigurationChange, None);
                    self.say_goodbye(&link, cease, hard)
                }
            };
            self.effects.push_back(Effect::Close { conn: link.conn });
            self.lost(now, &link, failure);
        }
        if hard {
            self.flush_stale();
        }
        if self.mode != Mode::Stopped {
            self.mode = Mode::Running;
            self.errors = 0;
            self.timers.clear(Timer::IdleHold);
            self.timers.clear(Timer::Collision);
            self.timers.clear(Timer::ConnectRetry);
            self.retry(now, Duration::ZERO);
        }
        self.show(now);
    }

    /// Sends a NOTIFICATION; as a Hard Reset where the peer would otherwise keep our routes
    /// (RFC 8538 §3.1).
    fn say_goodbye(&mut self, link: &Link, notification: Notification, hard: bool) -> Failure {
        let may_keep = |l: &Link| {
            l.negotiated()
                .and_then(|n| n.graceful_restart.as_ref())
                .is_some_and(|gr| gr.notification)
        };
        let notification = match hard && may_keep(link) {
            true => notification.into_hard_reset(),
            false => notification,
        };
        self.send_notification(link.conn, &notification);
        Failure::Sent(notification)
    }

    fn tcp_connected(&mut self, now: Timestamp, conn: Conn) {
        match self.link(conn).map(Link::state) {
            Some(State::Connect) => self.open(now, conn),
            Some(State::OpenSent | State::OpenConfirm | State::Established) => {}
            // One that we gave up while it came about.
            Some(State::Idle | State::Active) | None => {
                self.effects.push_back(Effect::Close { conn });
            }
        }
    }

    fn tcp_accepted(&mut self, now: Timestamp, conn: Conn) {
        let Conn::Incoming(_) = conn else { return };
        if self.link(conn).is_some() {
            return;
        }
        match self.mode {
            Mode::Stopped | Mode::Holding => self.effects.push_back(Effect::Close { conn }),
            Mode::Running => {
                // A peer that dials again has given up the connection it dialled before, unless
                // that is established: then the OPEN decides (RFC 4271 §8.2.2, RFC 4724 §5).
                let given_up = |l: &Link| !l.is_outgoing() && l.state() != State::Established;
                while let Some(at) = self.links.iter().position(given_up) {
                    let old = self.links.remove(at);
                    self.effects.push_back(Effect::Close { conn: old.conn });
                }
                self.links.push(Link::new(conn, Stage::Dialling));
                self.open(now, conn);
                // Should it stay silent, we still dial.
                let up = self.links.iter().any(|l| l.state() == State::Established);
                if !up && self.timers.get(Timer::ConnectRetry).is_none() {
                    self.retry(now, self.connect_retry());
                }
            }
        }
    }

    fn tcp_ended(&mut self, now: Timestamp, conn: Conn, failure: Failure) {
        if let Some(link) = self.take(conn) {
            self.recover(now, link, failure);
        }
    }

    /// TCP is there: OPEN goes out (RFC 4271 §8.2.2, Connect and Active, events 16 and 17).
    fn open(&mut self, now: Timestamp, conn: Conn) {
        let open = our_open(&self.config, &self.local, self.status.established > 0);
        self.effects.push_back(Effect::Send { conn, bytes: open.encode() });
        self.status.sent.open += 1;
        if let Some(link) = self.link_mut(conn) {
            link.stage = Stage::OpenSent;
            link.timers.set(Timer::Hold, now + OPEN_HOLD);
        }
    }

    fn expired(&mut self, now: Timestamp, timer: Timer, conn: Option<Conn>) {
        match (timer, conn) {
            (Timer::Hold, Some(conn)) => self.refuse(now, conn, Notification::new(4, 0)),
            (Timer::Keepalive, Some(conn)) => self.keepalive(now, conn),
            (Timer::ConnectRetry, _) => self.dial(now),
            (Timer::IdleHold, _) => {
                self.mode = Mode::Running;
                self.dial(now);
            }
            (Timer::Restart | Timer::StalePath, _) => self.flush_stale(),
            (Timer::Collision, _) => self.settle(now, true),
            // These two belong to connections only.
            (Timer::Hold | Timer::Keepalive, None) => {}
        }
    }

    /// Sends a KEEPALIVE and sets the time for the next one.
    pub(crate) fn keepalive(&mut self, now: Timestamp, conn: Conn) {
        self.effects.push_back(Effect::Send { conn, bytes: KEEPALIVE.to_vec() });
        self.status.sent.keepalive += 1;
        let seconds = self.link(conn).and_then(Link::negotiated).map_or(0, |n| n.keepalive_time);
        if seconds > 0 {
            // RFC 4271 §10: 75 to 100 percent.
            let wait = self.jitter.spread(Duration::from_secs(u64::from(seconds)), 75, 100);
            if let Some(link) = self.link_mut(conn) {
                link.timers.set(Timer::Keepalive, now + wait);
            }
        }
    }

    pub(crate) fn send_notification(&mut self, conn: Conn, notification: &Notification) {
        self.effects.push_back(Effect::Send { conn, bytes: notification.encode() });
        self.status.sent.notification += 1;
    }

    pub(crate) fn link(&self, conn: Conn) -> Option<&Link> {
        self.links.iter().find(|l| l.conn == conn)
    }

    pub(crate) fn link_mut(&mut self, conn: Conn) -> Option<&mut Link> {
        self.links.iter_mut().find(|l| l.conn == conn)
    }

    pub(crate) fn take(&mut self, conn: Conn) -> Option<Link> {
        let at = self.links.iter().position(|l| l.conn == conn)?;
        Some(self.links.remove(at))
    }

    fn next_timer(&self) -> Option<(Timestamp, Timer, Option<Conn>)> {
        let own = self.timers.next().map(|(due, timer)| (due, timer, None));
        let of_links = self.links.iter().filter_map(|link| {
            link.timers.next().map(|(due, timer)| (due, timer, Some(link.conn)))
        });
        own.into_iter().chain(of_links).min_by_key(|(due, timer, _)| (*due, *timer as usize))
    }

    /// Says so when the state that people see is another one.
    fn show(&mut self, now: Timestamp) {
        let state = match self.mode {
            Mode::Stopped | Mode::Holding => State::Idle,
            Mode::Running => self.links.iter().map(Link::state).max().unwrap_or(State::Active),
        };
        if state != self.status.state {
            self.status.state = state;
            self.status.since = now;
            self.effects.push_back(Effect::StateChanged(state));
        }
    }
}

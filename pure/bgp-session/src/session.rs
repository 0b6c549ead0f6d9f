use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bgp_packet::{Capability, Cease, KEEPALIVE, Notification, PeerKind, Update};
use inet::{Family, Timestamp};

use crate::link::{Link, Queue, Stage};
use crate::negotiate::{keepalive_time, our_open, send_hold_time};
use crate::stale::Kept;
use crate::timer::{Jitter, Timer, TimerTable};
use crate::{
    Change, Conn, Effect, Event, Failure, Idle, IdleReason, LocalConfig, PeerConfig, Planned,
    State, Status,
};

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
    pub(crate) stale: BTreeMap<Family, Kept>,
    /// Errors in a row, for the idle hold time.
    pub(crate) errors: u32,
    /// Sessions in a row that did not last.
    pub(crate) brief: u32,
    pub(crate) next_conn: u64,
    /// When a person's or the configuration's NOTIFICATION was sent: the peer needs time to read it.
    pub(crate) goodbye: Option<Timestamp>,
    pub(crate) status: Status,
    pub(crate) effects: VecDeque<Effect>,
}

/// Whether connections are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not started, or stopped.
    Stopped,
    /// Started, but the configuration wants it down.
    Shutdown,
    /// Too many prefixes; the IdleHold timer runs where it ends by itself.
    Blocked,
    /// Waiting after an error; the IdleHold timer runs, connections are refused.
    Holding,
    /// The same since sessions do not last.
    Damped,
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
            stale: BTreeMap::new(),
            errors: 0,
            brief: 0,
            next_conn: 1,
            goodbye: None,
            status: Status {
                idle: Some(Idle { reason: IdleReason::Stopped, until: None }),
                ..Status::default()
            },
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
            Event::Written { conn, waiting } => self.written(now, conn, waiting),
            Event::BfdDown { control_plane_independent } => {
                self.bfd_down(now, control_plane_independent);
            }
            Event::BfdUp => self.bfd_up(now),
            Event::MaxPrefixes { family, limit, action } => {
                self.max_prefixes(now, family, limit, action);
            }
            Event::AdminReset { hard, communication } => {
                self.admin_reset(now, hard, communication.as_deref());
            }
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

    /// A whole frame came on the established connection that is handed to [`Session::frame`]
    /// later, behind what came before it: the peer lives.
    pub fn heard(&mut self, now: Timestamp, conn: Conn) {
        if self.link(conn).is_some_and(|link| link.state() == State::Established) {
            self.alive(now, conn);
        }
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

    /// What a new configuration would do to this session as it is now.
    pub fn planned(&self, new: &PeerConfig) -> Planned {
        let mut planned = self.config.change_to(new);
        for agreed in self.links.iter().filter_map(Link::negotiated) {
            let external = agreed.options.kind == PeerKind::External;
            let no_role = external && new.role.is_some() && agreed.role.is_none();
            // The peer at the other end is another one than is wanted from now on.
            let wrong = [
                ("asn_match", !new.admits(agreed.asn, self.local.asn)),
                ("router_id", new.router_id.is_some_and(|id| id != agreed.router_id)),
                ("role_strict", new.role_strict && no_role),
            ];
            for (field, wrong) in wrong {
                if wrong && planned.live.contains(&field) {
                    planned.resets_after_all(field);
                }
            }
        }
        planned
    }

    /// A new configuration of the peer. `address` must be the same: another one is another peer.
    ///
    /// [`Session::planned`] says before what it does. A hold time counts from the next session
    /// on, since only OPEN messages can tell it.
    pub fn reconfigure(&mut self, now: Timestamp, config: PeerConfig) -> Change {
        let planned = self.planned(&config);
        let change = planned.change();
        let old = std::mem::replace(&mut self.config, config);
        match (old.shutdown.is_some(), self.config.shutdown.is_some(), change) {
            (false, true, _) => self.shut_down(now),
            (_, _, Change::Nothing) => {}
            (_, _, Change::Reset) => {
                // Routes of another peer mean nothing any more.
                let hard =
                    planned.resets.iter().any(|f| matches!(*f, "asn" | "asn_match" | "local_as"));
                let cease = Notification::cease(Cease::ConfigurationChange, None);
                self.restart(now, &cease, hard);
            }
            (_, _, Change::Live) => self.reconfigured(now, old.passive),
        }
        if old.shutdown.is_some() && self.config.shutdown.is_none() {
            self.shutdown_over(now);
        }
        self.show(now);
        change
    }

    /// Takes over what does not touch the session.
    fn reconfigured(&mut self, now: Timestamp, was_passive: bool) {
        let config = &self.config;
        let links = self.links.iter_mut().filter_map(Link::negotiated_mut);
        for negotiated in links.chain(self.status.negotiated.as_deref_mut()) {
            negotiated.keepalive_time = keepalive_time(config, negotiated.hold_time);
            negotiated.send_hold_time = send_hold_time(config, negotiated.hold_time);
        }
        match (was_passive, config.passive) {
            (false, true) => {
                self.timers.clear(Timer::ConnectRetry);
                self.hang_up();
            }
            (true, false) => self.retry(now, Duration::ZERO),
            (true, true) | (false, false) => {}
        }
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
        let cease = Notification::cease(Cease::ConfigurationChange, None);
        self.restart(now, &cease, true);
        self.show(now);
        Change::Reset
    }

    /// Something that connections are made with has changed: Cease with subcode 6 (RFC 4486), then
    /// anew. Stopped and shut down sessions stay so.
    pub fn reset_for_change(&mut self, now: Timestamp) {
        self.restart(now, &Notification::cease(Cease::ConfigurationChange, None), false);
        self.show(now);
    }

    /// Whether the next OPEN messages say that we have restarted (RFC 4724 §4.1).
    pub fn set_restarting(&mut self, restarting: bool) {
        self.local.restarting = restarting;
    }

    /// Counts messages of the tables that were given to the connection: UPDATEs and
    /// ROUTE-REFRESHes.
    pub fn count_sent(&mut self, now: Timestamp, updates: u64, route_refreshes: u64) {
        self.status.sent.update += updates;
        self.status.sent.route_refresh += route_refreshes;
        if let Some(conn) = self.status.negotiated.as_ref().map(|n| n.conn) {
            self.queued(now, conn);
        }
    }

    /// How the session is, for people.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The configuration in force.
    pub fn config(&self) -> &PeerConfig {
        &self.config
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
            Mode::Stopped | Mode::Shutdown | Mode::Blocked | Mode::Holding | Mode::Damped => {
                self.effects.push_back(Effect::Close { conn });
            }
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
        let offered: Arc<[Capability]> = open.capabilities.into();
        // What the peer has said in an attempt before says nothing of this one.
        let heard = self.links.iter().any(|l| l.conn != conn && l.negotiated().is_some());
        self.told(offered.clone(), if heard { None } else { Some(Arc::default()) });
        if let Some(link) = self.link_mut(conn) {
            link.stage = Stage::OpenSent;
            link.offered = offered;
            link.timers.set(Timer::Hold, now + OPEN_HOLD);
        }
    }

    /// The capabilities of an OPEN, for people; those of the session that is up stay.
    pub(crate) fn told(&mut self, offered: Arc<[Capability]>, received: Option<Arc<[Capability]>>) {
        if self.links.iter().any(|l| l.state() == State::Established) {
            return;
        }
        self.status.offered = offered;
        if let Some(received) = received {
            self.status.received_capabilities = received;
        }
    }

    fn expired(&mut self, now: Timestamp, timer: Timer, conn: Option<Conn>) {
        match (timer, conn) {
            (Timer::Hold, Some(conn)) => self.refuse(now, conn, Notification::new(4, 0)),
            (Timer::Keepalive, Some(conn)) => self.keepalive(now, conn),
            // RFC 9687 §3.1, event 29. The NOTIFICATION goes behind what is stuck: it is an
            // attempt, and the connection is closed whatever becomes of it.
            (Timer::SendHold, Some(conn)) => {
                self.refuse(now, conn, Notification::send_hold_timer_expired());
            }
            (Timer::ConnectRetry, _) => self.dial(now),
            (Timer::IdleHold, _) => {
                self.mode = Mode::Running;
                self.dial(now);
            }
            (Timer::Restart, _) => self.restart_time_over(now),
            (Timer::StalePath, _) => self.flush_stale(),
            (Timer::LongLived, _) => self.long_lived_over(now),
            (Timer::Collision, _) => self.settle(now, true),
            // These belong to connections only.
            (Timer::Hold | Timer::Keepalive | Timer::SendHold, None) => {}
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
        self.queued(now, conn);
    }

    /// Something was given to the connection.
    fn queued(&mut self, now: Timestamp, conn: Conn) {
        match self.link(conn).map(|l| l.queue) {
            Some(Queue::Empty) => {
                if let Some(link) = self.link_mut(conn) {
                    link.queue = Queue::Waiting;
                }
                self.send_hold(now, conn);
            }
            Some(Queue::Unwatched | Queue::Waiting) | None => {}
        }
    }

    /// TCP has taken something: the peer reads.
    fn written(&mut self, now: Timestamp, conn: Conn, waiting: usize) {
        if let Some(link) = self.link_mut(conn) {
            link.queue = if waiting == 0 { Queue::Empty } else { Queue::Waiting };
        }
        self.send_hold(now, conn);
    }

    /// The send hold time begins anew where something waits (RFC 9687 §3.2).
    pub(crate) fn send_hold(&mut self, now: Timestamp, conn: Conn) {
        let Some(link) = self.link_mut(conn) else { return };
        let seconds = match (&link.stage, link.queue) {
            (Stage::Established(negotiated), Queue::Waiting) => negotiated.send_hold_time,
            (Stage::Established(_), Queue::Unwatched | Queue::Empty) => 0,
            (Stage::Dialling | Stage::OpenSent | Stage::OpenConfirm { .. }, _) => 0,
        };
        match seconds {
            0 => link.timers.clear(Timer::SendHold),
            seconds => {
                link.timers.set(Timer::SendHold, now + Duration::from_secs(seconds.into()));
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
        let idle = match self.mode {
            Mode::Running => None,
            Mode::Stopped => Some(IdleReason::Stopped),
            Mode::Shutdown => Some(IdleReason::Shutdown),
            Mode::Blocked => Some(IdleReason::MaxPrefixes),
            Mode::Holding => Some(IdleReason::Error),
            Mode::Damped => Some(IdleReason::Oscillation),
        };
        let until = self.timers.get(Timer::IdleHold);
        self.status.idle = idle.map(|reason| Idle { reason, until });
        let state = match idle {
            Some(_) => State::Idle,
            None => self.links.iter().map(Link::state).max().unwrap_or(State::Active),
        };
        if state != self.status.state {
            self.status.state = state;
            self.status.since = now;
            self.effects.push_back(Effect::StateChanged(state));
        }
    }
}

//! What BFD says of the path to the peer (RFC 5882 §4.2, §4.3 and §10.2).

use bgp_packet::{Cease, Notification};
use inet::Timestamp;

use crate::session::{Mode, Session};
use crate::{Conn, Effect, Failure, State};

/// How a session ends whose path BFD has lost.
enum End {
    /// Cease with subcode 10 (RFC 9384); as a Hard Reset where the peer would otherwise keep
    /// our routes.
    Cease { hard: bool },
    /// TCP is closed without a word, since a NOTIFICATION would not be graceful.
    Silent,
}

impl Session {
    /// BFD has lost the peer.
    pub(crate) fn bfd_down(&mut self, now: Timestamp, control_plane_independent: bool) {
        self.status.bfd_up = Some(false);
        let up = self.links.iter().find(|l| l.state() == State::Established).map(|l| l.conn);
        match (up, control_plane_independent) {
            (Some(conn), independent) => self.path_lost(now, conn, independent),
            // RFC 5882 §4.3.1: forwarding has failed as well, so there is nothing to keep.
            (None, true) => self.flush_stale(),
            // RFC 5882 §4.3.2: BFD went away with the control plane, which restarts.
            (None, false) => {}
        }
    }

    /// BFD sees the peer: no need to wait any longer.
    pub(crate) fn bfd_up(&mut self, now: Timestamp) {
        let was_down = self.status.bfd_up.replace(true) != Some(true);
        match self.mode {
            Mode::Running if was_down && self.links.is_empty() => self.dial(now),
            Mode::Running
            | Mode::Stopped
            | Mode::Shutdown
            | Mode::Blocked
            | Mode::Holding
            | Mode::Damped => {}
        }
    }

    fn path_lost(&mut self, now: Timestamp, conn: Conn, independent: bool) {
        let Some(link) = self.take(conn) else { return };
        let restart = link.negotiated().and_then(|n| n.graceful_restart.as_ref());
        let end = match (independent, restart.map(|gr| gr.notification)) {
            (false, Some(false)) => End::Silent,
            (false, Some(true) | None) => End::Cease { hard: false },
            (true, _) => End::Cease { hard: true },
        };
        let failure = match end {
            End::Silent => Failure::BfdDown,
            End::Cease { hard } => {
                let cease = Notification::cease(Cease::BfdDown, None);
                self.say_goodbye(&link, cease, hard)
            }
        };
        self.effects.push_back(Effect::Close { conn });
        self.recover(now, link, failure);
    }
}

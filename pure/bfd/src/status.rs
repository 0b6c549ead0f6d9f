use std::num::NonZeroU32;
use std::time::Duration;

use inet::Timestamp;

use crate::config::{Config, Key};
use crate::counters::Counters;
use crate::packet::{Diagnostic, State};

/// Why a session has gone up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is up.
    Up,
    /// Nothing was heard for the detection time.
    DetectionTimeExpired,
    /// The neighbor says that it does not hear us.
    NeighborDown,
    /// A person holds it down at the neighbor: no sign of a failure (RFC 5882 §3.2).
    NeighborAdminDown,
    /// A person holds it down here, or it is no longer wanted.
    AdminDown,
}

/// A session that has gone up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether it is up now.
    pub up: bool,
    /// Why.
    pub cause: Cause,
    /// What we tell the neighbor.
    pub diagnostic: Diagnostic,
    /// The neighbor's C bit as last heard: its BFD does not share its control plane's fate. A
    /// failure then is one of forwarding, and graceful restart does not help (RFC 5882 §4.3).
    pub control_plane_independent: bool,
}

impl Change {
    /// Whether what runs over this path is to be taken as broken.
    pub fn is_failure(&self) -> bool {
        match self.cause {
            Cause::DetectionTimeExpired | Cause::NeighborDown => true,
            Cause::Up | Cause::NeighborAdminDown | Cause::AdminDown => false,
        }
    }
}

/// A session as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is between.
    pub key: Key,
    /// What is wanted of it.
    pub config: Config,
    /// Our state.
    pub state: State,
    /// The neighbor's, as last heard.
    pub remote_state: State,
    /// Since when our state is as it is.
    pub since: Timestamp,
    /// What we say about our state.
    pub diagnostic: Diagnostic,
    /// What the neighbor last said about its own.
    pub remote_diagnostic: Diagnostic,
    /// The diagnostic of the last transition from Up.
    pub last_down: Option<Diagnostic>,
    /// Our name of the session.
    pub discriminator: NonZeroU32,
    /// The neighbor's name of it; 0 while unknown.
    pub remote_discriminator: u32,
    /// The neighbor's C bit.
    pub control_plane_independent: bool,
    /// The interval that packets are sent at, before jitter; nothing while none are.
    pub transmit_interval: Option<Duration>,
    /// How long the neighbor may be silent; nothing while it does not matter.
    pub detection_time: Option<Duration>,
    /// What it has seen.
    pub counters: Counters,
}

//! Names of enum values, as people and JSON see them.

use serde::Serializer;

use crate::v1::{By, ResetKind, SessionState};

impl SessionState {
    /// The state's name as RFC 4271 §8.2.2 writes it.
    pub fn words(self) -> &'static str {
        match self {
            SessionState::Unknown => "Unknown",
            SessionState::Idle => "Idle",
            SessionState::Connect => "Connect",
            SessionState::Active => "Active",
            SessionState::OpenSent => "OpenSent",
            SessionState::OpenConfirm => "OpenConfirm",
            SessionState::Established => "Established",
        }
    }
}

impl By {
    /// Who it was: `us`, `peer`, `network` or `unknown`.
    pub fn words(self) -> &'static str {
        match self {
            By::Unknown => "unknown",
            By::Us => "us",
            By::Peer => "peer",
            By::Network => "network",
        }
    }
}

impl ResetKind {
    /// The kind's name: `soft-in`, `soft-out`, `soft`, `hard` or `unknown`.
    pub fn words(self) -> &'static str {
        match self {
            ResetKind::Unknown => "unknown",
            ResetKind::SoftIn => "soft-in",
            ResetKind::SoftOut => "soft-out",
            ResetKind::Soft => "soft",
            ResetKind::Hard => "hard",
        }
    }
}

pub(crate) fn serialize_reset<S: Serializer>(kind: &i32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(ResetKind::try_from(*kind).unwrap_or(ResetKind::Unknown).words())
}

pub(crate) fn serialize_state<S: Serializer>(state: &i32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(SessionState::try_from(*state).unwrap_or(SessionState::Unknown).words())
}

pub(crate) fn serialize_by<S: Serializer>(by: &i32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(By::try_from(*by).unwrap_or(By::Unknown).words())
}

use std::collections::BTreeMap;

/// Why a packet was discarded (RFC 5880 §6.8.6, in its order; RFC 5881 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Discard {
    /// It has fewer bytes than a header needs.
    #[error("shorter than a BFD packet")]
    Short,
    /// Its version is not 1.
    #[error("BFD version other than 1")]
    Version,
    /// Its length field is below 24, or below 26 with authentication.
    #[error("length field below the least")]
    Length,
    /// Its length field is above what came.
    #[error("length field beyond the packet")]
    Overlong,
    /// Its multiplier is 0.
    #[error("multiplier zero")]
    Multiplier,
    /// It is of a multipoint session.
    #[error("multipoint bit set")]
    Multipoint,
    /// Its own discriminator is 0.
    #[error("sender's discriminator zero")]
    MyDiscriminator,
    /// No session has the discriminator that it names.
    #[error("no session has this discriminator")]
    UnknownDiscriminator,
    /// It names no session, though its state is Init or Up.
    #[error("discriminator zero in state Init or Up")]
    YourDiscriminator,
    /// It names no session, and none is with this sender.
    #[error("no session with this sender")]
    UnknownPeer,
    /// It is authenticated; no session here is.
    #[error("authenticated, which no session here is")]
    Authentication,
    /// It has passed more routers than it may have.
    #[error("TTL too low")]
    Ttl,
    /// It came to the port of the other kind of session, whose TTL is judged otherwise.
    #[error("came to the port of the other kind of session")]
    Port,
    /// It came over another link than the link-local neighbor is on: one there may have the same
    /// address.
    #[error("came over another link")]
    Link,
    /// The session is administratively down.
    #[error("administratively down")]
    AdminDown,
}

/// What a session, or a process with all that belonged to no session, has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets sent.
    pub sent: u64,
    /// Packets received and not discarded.
    pub received: u64,
    /// Packets discarded, by reason.
    pub discarded: BTreeMap<Discard, u64>,
    /// Transitions to Up.
    pub ups: u64,
    /// Transitions from Up to another state.
    pub downs: u64,
}

impl Counters {
    pub(crate) fn discard(&mut self, reason: Discard) {
        *self.discarded.entry(reason).or_default() += 1;
    }
}

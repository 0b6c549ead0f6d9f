use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A connection, dialled or accepted. A number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(crate) u64);

impl ConnId {
    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What happened. Events of a connection come in order; none comes after its `Closed`,
/// `ConnectFailed`, or after it was closed from here and the channel has been emptied.
#[derive(Debug)]
pub enum Event {
    /// The port is heard on, for this address.
    Listening {
        /// `0.0.0.0` or `::`, and the port.
        address: SocketAddr,
    },
    /// The port cannot be heard on; it is tried again until it can.
    ListenFailed {
        /// `0.0.0.0` or `::`, and the port.
        address: SocketAddr,
        /// Why, as the kernel says it.
        reason: String,
    },
    /// A known peer has connected. Nothing is read before [`crate::Sockets::adopt`].
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// Its end.
        remote: SocketAddr,
    },
    /// A connection that was dialled is there.
    Connected {
        /// Which one.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// Its end.
        remote: SocketAddr,
    },
    /// A connection that was dialled is not to be had.
    ConnectFailed {
        /// Which one.
        conn: ConnId,
        /// Why, as the kernel says it.
        reason: String,
    },
    /// One whole message, header included.
    Frame {
        /// Where it came in.
        conn: ConnId,
        /// Its bytes, 19 to 65535.
        bytes: Vec<u8>,
    },
    /// There is room on the connection, at first or again: see [`crate::Sockets::room`].
    Room {
        /// Which one.
        conn: ConnId,
    },
    /// The other end closed the connection, or it broke.
    Closed {
        /// Which one.
        conn: ConnId,
        /// Why; empty for an orderly end.
        reason: String,
    },
}

/// An address as it is configured: an IPv4 address that came in by an IPv6 socket is one.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The address that peers are known by.
pub(crate) fn peer(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

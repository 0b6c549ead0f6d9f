use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bgp_packet::{MAX_EXTENDED_LEN, frame_len};

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
    /// One whole message, header included; of [`crate::Sockets::batched`] one or more, one after
    /// another.
    Frame {
        /// Where it came in.
        conn: ConnId,
        /// Its bytes, 19 to 65535; of several messages up to 128 KiB.
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

/// The messages of an [`Event::Frame`], each with its header. A wrong header is the last.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = match frame_len(rest, MAX_EXTENDED_LEN) {
            Ok(Some(len)) => len,
            Ok(None) | Err(_) => rest.len(),
        };
        let (frame, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        rest = after;
        if frame.is_empty() { None } else { Some(frame) }
    })
}

/// An address as it is configured: an IPv4 address that came in by an IPv6 socket is one.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        // The link of a link-local address is a part of it.
        (IpAddr::V6(_), SocketAddr::V6(v6)) => SocketAddr::V6(v6),
        (ip, address) => SocketAddr::new(ip, address.port()),
    }
}

/// The address that peers are known by.
pub(crate) fn peer(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

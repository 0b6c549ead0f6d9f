use std::net::IpAddr;

use inet::Family;

use super::{Down, Message, Peer, PeerKind, Statistic, Termination, Up, View};
use crate::wire::{NotWhole, Put, WallTime, whole};

/// The version of RFC 7854.
const VERSION: u8 = 3;

/// The peer's address is IPv6 (RFC 7854 §4.2).
const FLAG_V6: u8 = 0x80;
/// The Loc-RIB is filtered (RFC 9069 §4.2).
const FLAG_FILTERED: u8 = 0x80;
/// After policy.
const FLAG_POST_POLICY: u8 = 0x40;
/// AS paths of two octets.
const FLAG_TWO_OCTET_AS: u8 = 0x20;
/// Adj-RIB-Out (RFC 8671 §4).
const FLAG_OUT: u8 = 0x10;

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A BGP message in it is cut short, or several.
    #[error(transparent)]
    NotWhole(#[from] NotWhole),
    /// A Loc-RIB's peer belongs to the view `Loc`, and no other does (RFC 9069 §4.1).
    #[error("a route of view {0:?} does not belong to a peer of this kind")]
    WrongView(View),
}

/// Appends a message. Nothing is appended when it is refused.
pub fn encode(message: &Message<'_>, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = to.len();
    let result = body(message, to);
    match result {
        Ok(()) => {
            let length = to.len().saturating_sub(start);
            to.length_at(start + 1, length);
        }
        Err(_) => to.truncate(start),
    }
    result
}

/// The UPDATE that ends a table of one family (RFC 4724 §2).
pub fn end_of_rib(family: Family) -> Vec<u8> {
    let mut update = vec![0xff; 16];
    match family {
        Family::Ipv4 => update.bytes(&[0, 23, 2, 0, 0, 0, 0]),
        // An MP_UNREACH_NLRI without prefixes.
        Family::Ipv6 => update.bytes(&[0, 29, 2, 0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]),
    }
    update
}

fn body(message: &Message<'_>, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match *message {
        Message::RouteMonitoring { peer, at, view, two_octet_as, update } => {
            whole(update)?;
            header(to, 0);
            let flags = view_flags(peer, view)?;
            let two = if two_octet_as && view != View::Loc { FLAG_TWO_OCTET_AS } else { 0 };
            peer_header(to, peer, at, flags | two);
            to.bytes(update);
        }
        Message::Statistics { peer, at, statistics } => {
            header(to, 1);
            peer_header(to, peer, at, 0);
            to.u32(u32::try_from(statistics.len()).unwrap_or(u32::MAX));
            for one in statistics {
                statistic(to, *one);
            }
        }
        Message::PeerDown { peer, at, down } => {
            header(to, 2);
            peer_header(to, peer, at, 0);
            peer_down(to, down)?;
        }
        Message::PeerUp { peer, at, up } => {
            header(to, 3);
            peer_header(to, peer, at, 0);
            peer_up(to, peer, up)?;
        }
        Message::Initiation { name, description, information } => {
            header(to, 4);
            for text in information {
                tlv(to, 0, text.as_bytes());
            }
            // Both must be there (RFC 7854 §4.3).
            tlv(to, 1, description.as_bytes());
            tlv(to, 2, name.as_bytes());
        }
        Message::Termination { reason, information } => {
            header(to, 5);
            if !information.is_empty() {
                tlv(to, 0, information.as_bytes());
            }
            let code: u16 = match reason {
                Termination::Administrative => 0,
                Termination::Unspecified => 1,
                Termination::OutOfResources => 2,
                Termination::Redundant => 3,
                Termination::AdministrativeForGood => 4,
            };
            tlv(to, 1, &code.to_be_bytes());
        }
    }
    Ok(())
}

/// RFC 7854 §4.1; the length is filled in at the end.
fn header(to: &mut Vec<u8>, kind: u8) {
    to.u8(VERSION);
    to.u32(0);
    to.u8(kind);
}

fn view_flags(peer: &Peer, view: View) -> Result<u8, EncodeError> {
    let loc_rib = matches!(peer.kind, PeerKind::LocRib { .. });
    match view {
        View::Loc if loc_rib => Ok(0),
        View::InPrePolicy if !loc_rib => Ok(0),
        View::InPostPolicy if !loc_rib => Ok(FLAG_POST_POLICY),
        View::OutPrePolicy if !loc_rib => Ok(FLAG_OUT),
        View::OutPostPolicy if !loc_rib => Ok(FLAG_OUT | FLAG_POST_POLICY),
        View::Loc
        | View::InPrePolicy
        | View::InPostPolicy
        | View::OutPrePolicy
        | View::OutPostPolicy => Err(EncodeError::WrongView(view)),
    }
}

/// RFC 7854 §4.2, RFC 9069 §5.1.
fn peer_header(to: &mut Vec<u8>, peer: &Peer, at: WallTime, flags: u8) {
    let (kind, distinguisher, own_flags) = match peer.kind {
        PeerKind::Global => (0, 0, address_flag(peer.address)),
        PeerKind::Distinguished(distinguisher) => (1, distinguisher, address_flag(peer.address)),
        PeerKind::Local(distinguisher) => (2, distinguisher, address_flag(peer.address)),
        PeerKind::LocRib { distinguisher, filtered } => {
            (3, distinguisher, if filtered { FLAG_FILTERED } else { 0 })
        }
    };
    to.u8(kind);
    to.u8(flags | own_flags);
    to.u64(distinguisher);
    wide_address(to, peer, peer.address);
    to.u32(peer.asn);
    to.address(IpAddr::V4(peer.router_id));
    to.u32(at.seconds);
    to.u32(at.micros);
}

fn address_flag(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => FLAG_V6,
    }
}

/// Sixteen bytes, an IPv4 address in the last four; zeros for a Loc-RIB.
fn wide_address(to: &mut Vec<u8>, peer: &Peer, address: IpAddr) {
    match (peer.kind, address) {
        (PeerKind::LocRib { .. }, _) => to.bytes(&[0; 16]),
        (PeerKind::Global | PeerKind::Distinguished(_) | PeerKind::Local(_), IpAddr::V4(v4)) => {
            to.bytes(&[0; 12]);
            to.bytes(&v4.octets());
        }
        (PeerKind::Global | PeerKind::Distinguished(_) | PeerKind::Local(_), IpAddr::V6(v6)) => {
            to.bytes(&v6.octets());
        }
    }
}

fn peer_down(to: &mut Vec<u8>, down: &Down) -> Result<(), NotWhole> {
    match down {
        Down::WeNotified(pdu) => {
            whole(pdu)?;
            to.u8(1);
            to.bytes(pdu);
        }
        Down::WeClosed(event) => {
            to.u8(2);
            to.u16(*event);
        }
        Down::PeerNotified(pdu) => {
            whole(pdu)?;
            to.u8(3);
            to.bytes(pdu);
        }
        Down::PeerClosed => to.u8(4),
        Down::Unmonitored => to.u8(5),
        Down::LocRibGone(table) => {
            to.u8(6);
            tlv(to, 3, table.as_bytes());
        }
    }
    Ok(())
}

fn peer_up(to: &mut Vec<u8>, peer: &Peer, up: &Up) -> Result<(), NotWhole> {
    whole(&up.sent_open)?;
    whole(&up.received_open)?;
    wide_address(to, peer, up.local_address);
    let loc_rib = matches!(peer.kind, PeerKind::LocRib { .. });
    to.u16(if loc_rib { 0 } else { up.local_port });
    to.u16(if loc_rib { 0 } else { up.remote_port });
    to.bytes(&up.sent_open);
    to.bytes(&up.received_open);
    for text in &up.information {
        tlv(to, 0, text.as_bytes());
    }
    if let Some(table) = &up.table {
        tlv(to, 3, table.as_bytes());
    }
    Ok(())
}

fn statistic(to: &mut Vec<u8>, one: Statistic) {
    match one {
        Statistic::RejectedPrefixes(count) => tlv(to, 0, &count.to_be_bytes()),
        Statistic::DuplicateAnnouncements(count) => tlv(to, 1, &count.to_be_bytes()),
        Statistic::DuplicateWithdrawals(count) => tlv(to, 2, &count.to_be_bytes()),
        Statistic::ClusterListLoops(count) => tlv(to, 3, &count.to_be_bytes()),
        Statistic::AsPathLoops(count) => tlv(to, 4, &count.to_be_bytes()),
        Statistic::OriginatorIds(count) => tlv(to, 5, &count.to_be_bytes()),
        Statistic::RoutesIn(count) => tlv(to, 7, &count.to_be_bytes()),
        Statistic::RoutesLoc(count) => tlv(to, 8, &count.to_be_bytes()),
        Statistic::RoutesInOf(family, count) => family_gauge(to, 9, family, count),
        Statistic::RoutesLocOf(family, count) => family_gauge(to, 10, family, count),
        Statistic::WithdrawnUpdates(count) => tlv(to, 11, &count.to_be_bytes()),
        Statistic::WithdrawnPrefixes(count) => tlv(to, 12, &count.to_be_bytes()),
        Statistic::RoutesOutPrePolicy(count) => tlv(to, 14, &count.to_be_bytes()),
        Statistic::RoutesOut(count) => tlv(to, 15, &count.to_be_bytes()),
        Statistic::RoutesOutOf(family, count) => family_gauge(to, 17, family, count),
    }
}

/// AFI, SAFI 1 and a gauge of eight bytes.
fn family_gauge(to: &mut Vec<u8>, kind: u16, family: Family, count: u64) {
    let mut value = Vec::with_capacity(11);
    value.u16(match family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    });
    value.u8(1);
    value.u64(count);
    tlv(to, kind, &value);
}

/// A text longer than its length field can say is cut.
fn tlv(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    to.u16(kind);
    to.u16(length);
    to.bytes(value.get(..usize::from(length)).unwrap_or(value));
}

//! Peers as stations are told of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_monitor::bmp::{Down, Peer, PeerKind, Up};
use bgp_monitor::{Input, PeerKey, WallTime};
use bgp_packet::{Capability, Open};
use bgp_session::Failure;
use inet::{Asn, Family, RouterId, ScopedAddr};

use super::Session;

/// The router's own table, which is a peer to stations (RFC 9069 §4.1).
pub(super) const OWN_TABLE: PeerKey = PeerKey(0);

/// What the router's own table is called (RFC 9069 §5.2.1).
pub(super) const OWN_TABLE_NAME: &str = "global";

/// ManualStop as an event of RFC 4271 §8.1.2.
const MANUAL_STOP: u16 = 2;

/// A session that is up, as stations are told.
pub(super) fn peer_up(session: &Session) -> Input {
    let Session { key, established, at, ports } = session;
    let unspecified = match established.peer.address() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Input::PeerUp {
        key: *key,
        peer: Peer {
            kind: PeerKind::Global,
            address: established.peer.address(),
            asn: established.asn.get(),
            router_id: established.router_id.get().into(),
        },
        at: *at,
        up: Up {
            local_address: established.local.unwrap_or(unspecified),
            local_port: ports.0,
            remote_port: ports.1,
            sent_open: established.sent_open.clone(),
            received_open: established.received_open.clone(),
            information: information(established.peer),
            table: None,
        },
        families: established.families.iter().copied().collect(),
    }
}

/// A peer's header has no link, which a link-local address means nothing without: it is told in words
/// (RFC 7854 §4.10).
fn information(peer: ScopedAddr) -> Vec<String> {
    peer.link().map(|_| format!("neighbor {peer}")).into_iter().collect()
}

/// RFC 9069 §5.2: both OPENs are made up, with what its UPDATEs need.
pub(super) fn own_table_up((asn, router_id): (Asn, RouterId), at: WallTime) -> Input {
    let families = Family::ALL.map(Capability::Multiprotocol);
    let more = [Capability::FourOctetAs(asn), Capability::ExtendedNextHop(vec![Family::Ipv4])];
    let capabilities = families.into_iter().chain(more).collect();
    let open = Open { asn, hold_time: 0, router_id, capabilities }.encode();
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Input::PeerUp {
        key: OWN_TABLE,
        peer: Peer {
            kind: PeerKind::LocRib { distinguisher: 0, filtered: false },
            address: nobody,
            asn: asn.get(),
            router_id: router_id.get().into(),
        },
        at,
        up: Up {
            local_address: nobody,
            local_port: 0,
            remote_port: 0,
            sent_open: open.clone(),
            received_open: open,
            information: Vec::new(),
            table: Some(OWN_TABLE_NAME.to_owned()),
        },
        families: Family::ALL.to_vec(),
    }
}

/// Why a session has ended.
pub(super) fn down(failure: &Failure) -> Down {
    match failure {
        Failure::Sent(notification) => Down::WeNotified(notification.encode()),
        Failure::Received(notification) => Down::PeerNotified(notification.encode()),
        Failure::TcpClosed(_) | Failure::TcpFailed(_) | Failure::PeerRestarted => Down::PeerClosed,
        Failure::Stopped => Down::WeClosed(MANUAL_STOP),
        Failure::BfdDown => Down::WeClosed(0),
    }
}

#[cfg(test)]
mod tests {
    use super::information;

    #[test]
    fn a_station_is_told_on_which_link_a_peer_is() {
        assert_eq!(information("10.0.0.1".parse().unwrap()), [""; 0]);
        assert_eq!(information("fe80::1%eth0".parse().unwrap()), ["neighbor fe80::1%eth0"]);
    }
}

//! OPEN messages: what is agreed on, and what is refused.

use bgp_packet::{Capability, GracefulRestart, KEEPALIVE, Message, Open, Options, decode};
use inet::Family;

use super::{
    IN, OUT, asn, at, drain, established, local, peer, plain_open, session, their_open, words,
};
use crate::{Effect, Event, Negotiated, PeerConfig, Session, State};

/// What is agreed on, or why not.
pub(super) fn negotiated(config: PeerConfig, open: &Open) -> Result<Negotiated, String> {
    let mut s = Session::new(config, local(65001, "10.0.0.1"), 1);
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    s.frame(at(0.0), OUT, &open.encode());
    s.frame(at(0.0), OUT, &KEEPALIVE);
    match &s.status().negotiated {
        Some(negotiated) => Ok((**negotiated).clone()),
        None => Err(s.status().last_failure.as_ref().unwrap().failure.to_string()),
    }
}

#[test]
fn ours_says_what_we_can() {
    let mut config = peer(65002);
    config.hold_time = 30;
    config.graceful_restart.restart_time = 99;
    let mut ours = local(4_200_000_000, "10.0.0.1");
    ours.restarting = true;
    ours.preserved = [Family::Ipv6].into();
    let mut s = Session::new(config, ours, 1);
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    let effects = drain(&mut s);
    let Some(Effect::Send { bytes, .. }) =
        effects.iter().find(|e| matches!(e, Effect::Send { .. }))
    else {
        panic!("{effects:?}")
    };
    let kind = bgp_packet::PeerKind::External;
    let Ok(Message::Open(open)) = decode(bytes, &Options::new(kind)) else { panic!() };
    assert_eq!((open.asn.get(), open.hold_time), (4_200_000_000, 30));
    let expected = [
        Capability::Multiprotocol(Family::Ipv4),
        Capability::Multiprotocol(Family::Ipv6),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::FourOctetAs(asn(4_200_000_000)),
        Capability::ExtendedMessage,
        Capability::GracefulRestart(GracefulRestart {
            restarted: true,
            notification: true,
            restart_time: 99,
            families: vec![(Family::Ipv4, false), (Family::Ipv6, true)],
        }),
    ];
    assert_eq!(open.capabilities, expected);
}

#[test]
fn once_up_the_next_open_says_that_we_still_forward() {
    let mut s = established(&plain_open());
    s.handle(at(1.0), Event::TcpClosed { conn: OUT, reason: String::new() });
    s.handle(at(1.0), Event::TcpAccepted { conn: IN });
    let effects = drain(&mut s);
    let open = effects.iter().find_map(|e| match e {
        Effect::Send { bytes, .. } => Some(bytes.clone()),
        _ => None,
    });
    let kind = bgp_packet::PeerKind::External;
    let Ok(Message::Open(open)) = decode(&open.unwrap(), &Options::new(kind)) else { panic!() };
    let gr = open.graceful_restart().unwrap();
    assert!(!gr.restarted && gr.families.iter().all(|(_, preserved)| *preserved), "{gr:?}");
}

#[test]
fn the_lower_hold_time_counts_and_keepalives_are_a_third_at_most() {
    let check = |ours: u16, keepalive: Option<u16>, theirs: u16, expected: (u16, u16)| {
        let mut config = peer(65002);
        config.hold_time = ours;
        config.keepalive_time = keepalive;
        let n = negotiated(config, &Open { hold_time: theirs, ..their_open() }).unwrap();
        assert_eq!((n.hold_time, n.keepalive_time), expected);
    };
    check(90, None, 180, (90, 30));
    check(90, None, 3, (3, 1));
    check(90, Some(10), 90, (90, 10));
    check(30, Some(30), 30, (30, 10));
    check(0, None, 90, (0, 0));
    check(90, Some(5), 0, (0, 0));
    check(4, None, 4, (4, 1));
}

#[test]
fn families_are_what_both_name() {
    let mut open = plain_open();
    let n = negotiated(peer(65002), &open).unwrap();
    assert_eq!(n.families, Family::ALL.into());
    assert!(n.options.four_octet_as && n.route_refresh && !n.enhanced_refresh);
    // No Multiprotocol at all: IPv4.
    open.capabilities.clear();
    let n = negotiated(peer(65002), &open).unwrap();
    assert_eq!(n.families, [Family::Ipv4].into());
    assert!(n.options.ipv4 && !n.options.ipv6 && !n.options.four_octet_as && !n.route_refresh);
    // Nothing in common.
    open.capabilities.push(Capability::Multiprotocol(Family::Ipv4));
    let v6_only = PeerConfig { families: [Family::Ipv6].into(), ..peer(65002) };
    let words = "sent Open Message Error: Unsupported Capability (2/7)";
    assert_eq!(negotiated(v6_only, &open).unwrap_err(), words);
}

#[test]
fn wrong_peers_are_refused_in_words() {
    let check = |config: PeerConfig, open: Open, expected: &str| {
        assert_eq!(negotiated(config, &open).unwrap_err(), expected);
    };
    let mut other_as = plain_open();
    other_as.asn = asn(65003);
    other_as.capabilities.pop();
    check(peer(65002), other_as, "sent Open Message Error: Bad Peer AS (2/2)");
    let wanted = PeerConfig { router_id: Some("1.1.1.1".parse().unwrap()), ..peer(65002) };
    let bad_id = "sent Open Message Error: Bad BGP Identifier (2/3)";
    check(wanted, plain_open(), bad_id);
    let mut ibgp = plain_open();
    ibgp.asn = asn(65001);
    ibgp.router_id = "10.0.0.1".parse().unwrap();
    ibgp.capabilities.pop();
    check(peer(65001), ibgp, bad_id);
    // Another AS may use our id (RFC 6286 §2.1).
    let mut ebgp = plain_open();
    ebgp.router_id = "10.0.0.1".parse().unwrap();
    assert!(negotiated(peer(65002), &ebgp).is_ok());
    let short = Open { hold_time: 2, ..plain_open() };
    check(peer(65002), short, "sent Open Message Error: Unacceptable Hold Time (2/6)");
}

/// Brings both connections to where `first` has its OPEN accepted, then gives `second` its own;
/// says what happens then, and which connection is up in the end.
fn collide(their_id: &str, their_as: u32, first_is_out: bool) -> (String, Option<crate::Conn>) {
    let mut s = Session::new(peer(their_as), local(65010, "10.0.0.5"), 3);
    let mut open = plain_open();
    open.asn = asn(their_as);
    open.router_id = their_id.parse().unwrap();
    open.capabilities.pop();
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpAccepted { conn: IN });
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    drain(&mut s);
    let (first, second) = if first_is_out { (OUT, IN) } else { (IN, OUT) };
    s.frame(at(0.1), first, &open.encode());
    s.frame(at(0.1), second, &open.encode());
    s.frame(at(0.2), first, &KEEPALIVE);
    s.frame(at(0.2), second, &KEEPALIVE);
    (words(&drain(&mut s)), s.status().negotiated.as_ref().map(|n| n.conn))
}

#[test]
fn of_two_connections_the_higher_ids_one_stays() {
    // Ours is higher: what we dialled stays, in either order.
    assert_eq!(collide("10.0.0.4", 65002, true), ("6/7 close-in KEEPALIVE up".into(), Some(OUT)));
    assert_eq!(
        collide("10.0.0.4", 65002, false),
        ("KEEPALIVE 6/7 close-in KEEPALIVE up".into(), Some(OUT))
    );
    // Theirs is higher.
    assert_eq!(
        collide("10.0.0.6", 65002, true),
        ("KEEPALIVE 6/7 close KEEPALIVE up".into(), Some(IN))
    );
    assert_eq!(collide("10.0.0.6", 65002, false), ("6/7 close KEEPALIVE up".into(), Some(IN)));
    // Equal ids: the higher AS (RFC 6286 §2.3); ours is 65010.
    assert_eq!(collide("10.0.0.5", 65009, true).1, Some(OUT));
    assert_eq!(collide("10.0.0.5", 65011, true).1, Some(IN));
}

#[test]
fn a_loser_waits_for_the_winner_but_not_for_long() {
    // The peer's id is higher, so its connection would win; it stays silent.
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpAccepted { conn: IN });
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    s.frame(at(0.0), OUT, &plain_open().encode());
    s.frame(at(1.0), OUT, &KEEPALIVE);
    drain(&mut s);
    assert_eq!(s.status().state, State::OpenConfirm);
    s.tick(at(5.9));
    assert_eq!(s.status().state, State::OpenConfirm);
    s.tick(at(6.0));
    assert_eq!(words(&drain(&mut s)), "6/7 close-in up");
    assert_eq!(s.status().state, State::Established);
}

#[test]
fn routes_on_the_waiting_connection_decide_for_it() {
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpAccepted { conn: IN });
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    s.frame(at(0.0), OUT, &plain_open().encode());
    s.frame(at(1.0), OUT, &KEEPALIVE);
    drain(&mut s);
    let frame = bgp_packet::end_of_rib(Family::Ipv4);
    let update = s.frame(at(1.0), OUT, &frame).unwrap();
    assert_eq!(update.end_of_rib, Some(Family::Ipv4));
    assert_eq!(words(&drain(&mut s)), "6/7 close-in up");
}

#[test]
fn a_second_connection_beside_a_session() {
    let second = |open: &Open, when: f64| {
        let mut s = established(open);
        s.handle(at(when), Event::TcpAccepted { conn: IN });
        s.frame(at(when), IN, &open.encode());
        words(&drain(&mut s))
    };
    // Without graceful restart it is refused (RFC 4271 §6.8).
    assert_eq!(second(&plain_open(), 100.0), "OPEN 6/7 close-in");
    // With it, the peer has restarted and the old connection is dead (RFC 4724 §5),
    assert_eq!(second(&their_open(), 60.0), "OPEN close down-stale KEEPALIVE");
    // unless the session is so young that the two have only crossed.
    assert_eq!(second(&their_open(), 1.0), "OPEN 6/7 close-in");
}

#[test]
fn a_peer_that_dials_again_replaces_its_connection_and_may_still_be_dialled() {
    let mut s = session();
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpFailed { conn: OUT, reason: "refused".into() });
    s.handle(at(0.1), Event::TcpAccepted { conn: IN });
    s.frame(at(0.1), IN, &plain_open().encode());
    let (retry, _) = s.wake_at().unwrap();
    s.tick(retry);
    drain(&mut s);
    s.handle(at(6.0), Event::TcpAccepted { conn: crate::Conn::Incoming(2) });
    assert_eq!(words(&drain(&mut s)), "close-in OPEN");
    assert_eq!(s.wake_at().unwrap().1, "connect retry");
}

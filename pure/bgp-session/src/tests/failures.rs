//! What is told of a failure.

use bgp_packet::{Capability, Cease, Notification, Role};
use inet::{Asn, Family};

use super::{OUT, at, drain, established, local, peer, plain_open};
use crate::{By, Detail, Event, FailureReport, PeerConfig, Session, State};

/// The report after a session of this configuration got this OPEN.
fn refused(config: PeerConfig, open: &bgp_packet::Open) -> FailureReport {
    let mut s = Session::new(config, local(65001, "10.0.0.1"), 1);
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    s.frame(at(3.0), OUT, &open.encode());
    drain(&mut s);
    let report = s.status().last_failure.as_ref().unwrap().report();
    assert_eq!((report.at, report.by, report.state), (at(3.0), By::Us, State::OpenSent));
    report
}

fn received(notification: &Notification) -> FailureReport {
    let mut s = established(&plain_open());
    s.frame(at(1.0), OUT, &notification.encode());
    let report = s.status().last_failure.as_ref().unwrap().report();
    assert_eq!((report.by, report.state), (By::Peer, State::Established));
    report
}

#[test]
fn refused_opens_say_what_was_wanted() {
    let asn = |n| Asn::new(n).unwrap();
    let report = refused(peer(65009), &plain_open());
    let wanted = "AS 65009".to_owned();
    assert_eq!(report.details, [Detail::PeerAsn { got: asn(65002), wanted }]);
    assert_eq!(
        report.words,
        "sent Open Message Error: Bad Peer AS (2/2): the peer is AS 65002, wanted is AS 65009"
    );
    let id = "1.1.1.1".parse().unwrap();
    let report = refused(PeerConfig { router_id: Some(id), ..peer(65002) }, &plain_open());
    assert!(report.words.ends_with("the router id is 10.0.0.2, wanted is 1.1.1.1"), "{report:?}");
    assert_eq!(report.details.len(), 1);
    let mut v6_only = plain_open();
    v6_only.capabilities.remove(0);
    let config = PeerConfig { families: [Family::Ipv4].into(), ..peer(65002) };
    let report = refused(config, &v6_only);
    assert_eq!(report.details, [Detail::Capabilities(vec!["multiprotocol ipv4".into()])]);
    assert_eq!(report.notification.unwrap().data, [1, 4, 0, 1, 0, 1]);
    let mut customer = plain_open();
    customer.capabilities.push(Capability::Role(Role::Customer));
    let config = PeerConfig { role: Some(Role::Customer), ..peer(65002) };
    let report = refused(config, &customer);
    assert!(report.words.ends_with("(2/11): we are customer, the peer says customer"));
}

#[test]
fn bytes_are_decoded() {
    let check = |code, subcode, data: &[u8], expected: &str| {
        let report = received(&Notification::with_data(code, subcode, data));
        let notification = report.notification.as_ref().unwrap();
        assert_eq!((notification.code, notification.subcode), (code, subcode));
        assert_eq!(notification.data, data);
        let details: Vec<_> = report.details.iter().map(ToString::to_string).collect();
        assert_eq!(details.join("; "), expected);
    };
    check(1, 2, &[16, 1], "length 4097");
    check(1, 3, &[9], "message type 9");
    check(2, 1, &[0, 4], "version 4 is spoken");
    check(2, 3, &[1, 2, 3, 4], "router id 1.2.3.4");
    check(2, 3, &[0, 0, 0, 0], "");
    let missing = "missing multiprotocol ipv6, multiprotocol 25/70, four-octet-as, capability 99";
    let data = [1, 4, 0, 2, 0, 1, 1, 4, 0, 25, 0, 70, 65, 4, 0, 0, 0, 1, 99, 0, 3, 200];
    check(2, 7, &data, missing);
    check(2, 7, &[], "");
    check(3, 5, &[0x40, 3, 1, 9], "attribute 3, 4 bytes");
    check(3, 1, &[1, 2], "");
    check(5, 3, &[1], "message type 1");
    check(6, 1, &[0, 1, 1, 0, 0, 1, 0], "more than 256 ipv4 prefixes");
    check(6, 2, b"\x08new fans", "\"new fans\"");
    check(6, 2, b"\x04a\x1b[m", "\"a\u{fffd}[m\"");
    check(6, 8, &[1, 2, 3], "");
    check(99, 9, &[1], "");
    let hard = Notification::cease(Cease::AdministrativeReset, Some("soon")).into_hard_reset();
    let words = "hard reset for Cease: Administrative Reset (6/4), \"soon\"; \"soon\"";
    check(6, 9, &hard.data, words);
    let report = received(&Notification::new(6, 10));
    let notification = report.notification.unwrap();
    assert_eq!((notification.code_words, notification.subcode_words), ("Cease", Some("BFD Down")));
    assert_eq!(report.words, "received Cease: BFD Down (6/10)");
}

#[test]
fn long_lists_of_capabilities_are_cut() {
    let report = received(&Notification::with_data(2, 7, [2, 0].repeat(1000)));
    let [Detail::Capabilities(missing)] = report.details.as_slice() else { panic!() };
    assert_eq!(missing.len(), 16);
}

#[test]
fn the_network_is_blamed_for_what_it_does() {
    let report = |event: fn(crate::Conn) -> Event| {
        let mut s = established(&plain_open());
        s.handle(at(1.0), event(OUT));
        s.status().last_failure.as_ref().unwrap().report()
    };
    let broke = report(|conn| Event::TcpClosed { conn, reason: "link eth0 is down".into() });
    assert_eq!((broke.by, broke.words.as_str()), (By::Network, "TCP broke: link eth0 is down"));
    let closed = report(|conn| Event::TcpClosed { conn, reason: String::new() });
    assert_eq!((closed.by, closed.notification, closed.details), (By::Peer, None, vec![]));
}

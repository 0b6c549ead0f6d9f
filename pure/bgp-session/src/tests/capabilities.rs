//! What is agreed on by capabilities, each side and both.

use bgp_packet::{AddPathMode, Capability, FamilyFlags, Open, PeerKind, Role};
use inet::Family;

use super::opens::negotiated;
use super::{IN, OUT, asn, at, drain, local, peer, plain_open, words};
use crate::{AsnMatch, Event, LocalAs, PeerConfig, Session, capability_words};

fn with(capability: Capability) -> Open {
    let mut open = plain_open();
    open.capabilities.push(capability);
    open
}

#[test]
fn what_each_side_has_offered_is_shown() {
    let of = |list: &[Capability]| list.iter().map(capability_words).collect::<Vec<_>>();
    let mut config = peer(65002);
    config.families = [Family::Ipv4].into();
    config.add_path.insert(Family::Ipv4, AddPathMode::Both);
    let mut s = Session::new(config, local(65001, "10.0.0.1"), 7);
    assert_eq!(s.status().offered.len() + s.status().received_capabilities.len(), 0);
    s.handle(at(0.0), Event::Start);
    s.handle(at(0.0), Event::TcpConnected { conn: OUT });
    let ours = [
        "ipv4-unicast",
        "route-refresh",
        "enhanced-route-refresh",
        "four-octet-as 65001",
        "extended-message",
        "add-path ipv4 send and receive",
        "graceful-restart 120 s, notification, ipv4",
    ];
    assert_eq!(of(&s.status().offered), ours);
    assert_eq!(of(&s.status().received_capabilities), [""; 0]);
    // An OPEN that is refused is shown too: it mostly says why.
    let mut wrong = with(Capability::Unknown { code: 73, value: b"name".to_vec() });
    wrong.asn = asn(65009);
    s.frame(at(0.0), OUT, &wrong.encode());
    let told = of(&s.status().received_capabilities).join("; ");
    assert!(told.starts_with("ipv4-unicast; ipv6-unicast; route-refresh; "), "{told}");
    assert!(told.ends_with("; capability 73, 4 bytes"), "{told}");
    // That of the session stays, whatever another connection says.
    let mut s = super::established(&super::their_open());
    s.handle(at(1.0), Event::TcpAccepted { conn: IN });
    s.frame(at(1.0), IN, &plain_open().encode());
    let told = of(&s.status().received_capabilities);
    let restart = "graceful-restart 60 s, notification, ipv4 (forwarding), ipv6";
    assert_eq!(told.last().unwrap(), restart);
    drain(&mut s);
}

/// What the peer said in an attempt that has failed is not what it says in the next one.
#[test]
fn a_new_attempt_has_not_heard_the_peer_yet() {
    let mut s = super::established(&super::their_open());
    assert!(!s.status().received_capabilities.is_empty());
    s.handle(at(1.0), Event::TcpClosed { conn: OUT, reason: "cut".into() });
    // Until then the last word stands: it may say why.
    assert!(!s.status().received_capabilities.is_empty());
    s.handle(at(2.0), Event::TcpAccepted { conn: IN });
    while s.wake_at().is_some_and(|(due, _)| due <= at(30.0)) && s.status().negotiated.is_none() {
        let Some((due, _)) = s.wake_at() else { break };
        s.tick(due);
        let dialled = drain(&mut s).into_iter().find_map(|effect| match effect {
            crate::Effect::Connect { conn } => Some(conn),
            _ => None,
        });
        if let Some(conn) = dialled {
            s.handle(due, Event::TcpConnected { conn });
            break;
        }
    }
    assert!(!s.status().offered.is_empty());
    assert_eq!(s.status().received_capabilities.len(), 0);
}

/// A frame that is looked at later keeps the session alive from when it came.
#[test]
fn what_waits_to_be_read_was_heard() {
    let ends_at = |heard: &[f64]| {
        let mut s = super::established(&plain_open());
        // A connection that is not Established has a time of its own.
        s.handle(at(1.0), Event::TcpAccepted { conn: IN });
        s.heard(at(1.0), IN);
        for seconds in heard {
            s.heard(at(*seconds), OUT);
        }
        while s.status().negotiated.is_some() {
            let (due, _) = s.wake_at().unwrap();
            s.tick(due);
            if s.status().negotiated.is_none() {
                return due;
            }
        }
        unreachable!("it ends when the hold time is over")
    };
    assert_eq!(ends_at(&[]), at(90.0));
    assert_eq!(ends_at(&[40.0]), at(130.0));
    assert_eq!(ends_at(&[40.0, 41.0]), at(131.0));
}

#[test]
fn long_messages_need_both() {
    let check = |ours, theirs, expected: (bool, bool)| {
        let config = PeerConfig { extended_messages: ours, ..peer(65002) };
        let open = if theirs { with(Capability::ExtendedMessage) } else { plain_open() };
        let options = negotiated(config, &open).unwrap().options;
        assert_eq!((options.extended_message, options.extended_receive), expected);
    };
    check(true, true, (true, true));
    check(true, false, (false, true));
    check(false, true, (false, false));
    check(false, false, (false, false));
}

#[test]
fn path_ids_go_each_way_on_their_own() {
    use AddPathMode::{Both, Receive, Send};
    let check = |ours: Option<AddPathMode>, theirs: Option<AddPathMode>, expected: (bool, bool)| {
        let mut config = peer(65002);
        config.add_path = ours.map(|mode| (Family::Ipv6, mode)).into_iter().collect();
        let theirs = theirs.map(|mode| vec![(Family::Ipv4, Both), (Family::Ipv6, mode)]);
        let open = with(Capability::AddPath(theirs.unwrap_or_default()));
        let options = negotiated(config, &open).unwrap().options;
        let v6 = |on| if on { FamilyFlags::NONE.with(Family::Ipv6) } else { FamilyFlags::NONE };
        assert_eq!(options.add_path_receive, v6(expected.0), "{ours:?} {theirs:?}", theirs = open);
        assert_eq!(options.add_path_send, v6(expected.1));
    };
    check(None, Some(Both), (false, false));
    check(Some(Both), None, (false, false));
    check(Some(Both), Some(Both), (true, true));
    check(Some(Both), Some(Send), (true, false));
    check(Some(Both), Some(Receive), (false, true));
    check(Some(Receive), Some(Both), (true, false));
    check(Some(Receive), Some(Receive), (false, false));
    check(Some(Send), Some(Send), (false, false));
    check(Some(Send), Some(Receive), (false, true));
}

#[test]
fn ipv4_over_ipv6_needs_both_and_is_wanted_of_link_local_peers() {
    assert!(!peer(65002).ipv4_over_ipv6);
    assert!(PeerConfig::new("fe80::1".parse().unwrap(), asn(65002)).ipv4_over_ipv6);
    assert!(!PeerConfig::new("2001:db8::1".parse().unwrap(), asn(65002)).ipv4_over_ipv6);
    let check = |ours, capability: Option<Capability>, families: &[Family], expected| {
        let mut config = PeerConfig { ipv4_over_ipv6: ours, ..peer(65002) };
        config.families = families.iter().copied().collect();
        let open = capability.map_or_else(plain_open, with);
        assert_eq!(negotiated(config, &open).unwrap().options.ipv4_over_ipv6, expected);
    };
    let told = || Some(Capability::ExtendedNextHop(vec![Family::Ipv4]));
    check(true, told(), &Family::ALL, true);
    check(true, told(), &[Family::Ipv6], false);
    check(true, None, &Family::ALL, false);
    check(false, told(), &Family::ALL, false);
}

#[test]
fn roles_must_fit() {
    let check = |ours: Option<Role>, strict, theirs: &[Capability], expected: Result<_, ()>| {
        let config = PeerConfig { role: ours, role_strict: strict, ..peer(65002) };
        let mut open = plain_open();
        open.capabilities.extend_from_slice(theirs);
        let got = negotiated(config, &open).map(|n| n.role);
        let mismatch = "sent Open Message Error: Role Mismatch (2/11)".to_owned();
        assert_eq!(got, expected.map_err(|()| mismatch), "{ours:?} {strict} {theirs:?}");
    };
    let tell = Capability::Role;
    for ours in Role::ALL {
        for theirs in Role::ALL {
            let expected = if ours.fits(theirs) { Ok(Some(theirs)) } else { Err(()) };
            check(Some(ours), false, &[tell(theirs)], expected);
            // The same told twice is told once (RFC 9234 §4.2).
            check(Some(ours), true, &[tell(theirs), tell(theirs)], expected);
        }
        check(Some(ours), false, &[], Ok(None));
        check(Some(ours), true, &[], Err(()));
    }
    let peer_role = Some(Role::Peer);
    check(peer_role, false, &[tell(Role::Peer), tell(Role::Customer)], Err(()));
    let unknown = |value: Vec<u8>| Capability::Unknown { code: 9, value };
    check(peer_role, false, &[unknown(vec![77])], Err(()));
    check(peer_role, false, &[unknown(vec![])], Ok(None));
    // Who tells none has nothing to compare.
    check(None, true, &[tell(Role::Customer)], Ok(Some(Role::Customer)));
    check(None, false, &[unknown(vec![77])], Ok(None));
}

#[test]
fn roles_are_for_other_ases_only() {
    let config =
        PeerConfig { role: Some(Role::Peer), role_strict: true, ..PeerConfig::clone(&peer(65001)) };
    let mut open = with(Capability::Role(Role::Customer));
    open.asn = asn(65001);
    open.capabilities.retain(|c| c.code() != 65);
    assert_eq!(negotiated(config, &open).unwrap().role, None);
}

#[test]
fn which_as_numbers_may_come() {
    let check = |asn_match: AsnMatch, theirs: u32, expected: Option<PeerKind>| {
        let config = PeerConfig { asn_match, ..peer(65002) };
        let mut open = plain_open();
        open.asn = asn(theirs);
        open.capabilities.retain(|c| c.code() != 65);
        let got = negotiated(config, &open).map(|n| (n.options.kind, n.asn.get()));
        match expected {
            Some(kind) => assert_eq!(got, Ok((kind, theirs))),
            None => assert!(got.unwrap_err().contains("Bad Peer AS")),
        }
    };
    let (external, internal) = (Some(PeerKind::External), Some(PeerKind::Internal));
    check(AsnMatch::Exactly, 65002, external);
    check(AsnMatch::Exactly, 65003, None);
    check(AsnMatch::External, 65003, external);
    check(AsnMatch::External, 65001, None);
    check(AsnMatch::Internal, 65001, internal);
    check(AsnMatch::Internal, 65002, None);
    let ranges = || AsnMatch::Ranges(vec![64512..=64600, 65001..=65003]);
    check(ranges(), 64512, external);
    check(ranges(), 64601, None);
    check(ranges(), 65001, internal);
    check(AsnMatch::Ranges(vec![]), 65002, None);
}

#[test]
fn another_number_of_ours_is_told_and_decides_what_is_inside() {
    let local_as = Some(LocalAs::new(asn(64999)));
    let config = || PeerConfig { local_as, ..peer(65002) };
    let n = negotiated(config(), &plain_open()).unwrap();
    assert_eq!((n.own_asn, n.options.kind), (asn(64999), PeerKind::External));
    // The peer is in the AS that we say we are in (RFC 7705 §4).
    let inside = PeerConfig { asn: asn(64999), ..config() };
    assert_eq!(inside.expected_kind(asn(65001)), PeerKind::Internal);
    let mut open = plain_open();
    open.asn = asn(64999);
    open.capabilities.retain(|c| c.code() != 65);
    assert_eq!(negotiated(inside, &open).unwrap().options.kind, PeerKind::Internal);
    // In our real one: to it we are outside.
    let real = PeerConfig { asn: asn(65001), ..config() };
    open.asn = asn(65001);
    assert_eq!(negotiated(real, &open).unwrap().options.kind, PeerKind::External);
    let not_us = PeerConfig { asn_match: AsnMatch::External, ..config() };
    assert!(negotiated(not_us, &open).is_ok());
}

#[test]
fn a_collision_at_equal_ids_goes_by_the_number_in_the_open() {
    // The peer is AS 65002 with our id; we are 65001, or 65003 to it.
    let up = |local_as| {
        let config = PeerConfig { local_as, ..peer(65002) };
        let mut s = Session::new(config, local(65001, "10.0.0.2"), 3);
        s.handle(at(0.0), Event::Start);
        s.handle(at(0.0), Event::TcpAccepted { conn: IN });
        s.handle(at(0.0), Event::TcpConnected { conn: OUT });
        drain(&mut s);
        s.frame(at(0.1), OUT, &plain_open().encode());
        words(&drain(&mut s))
    };
    assert_eq!(up(None), "KEEPALIVE");
    assert_eq!(up(Some(LocalAs::new(asn(65003)))), "6/7 close-in KEEPALIVE");
}

//! What those who watch are told, against a scripted peer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use bgp_packet::{
    AsPath, Attributes, BgpNextHop, Capability, Cease, Notification, Options, Origin, PathId,
    PeerKind, RefreshKind, Segment, encode_attributes, encode_route_refresh, end_of_rib, pack,
};
use bgp_policy::Action;
use bgp_session::Failure;
use bgp_speaker::*;
use inet::Family;

use common::*;

const ALL: Watch = Watch { sessions: true, updates: true, used: true };

fn watched(bench: &mut Bench) -> Vec<Watched> {
    std::iter::from_fn(|| bench.speaker.poll_watched()).collect()
}

#[test]
fn nobody_who_does_not_watch_is_told() {
    let (mut bench, conn) = Bench::established(&["10.8.0.0/24"]);
    bench.announce(conn, &[prefix("10.9.0.0/24")]);
    bench.handle(Input::Closed { conn, reason: String::new() });
    assert_eq!(watched(&mut bench), []);
}

#[test]
fn who_comes_later_finds_the_sessions_with_both_opens() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.speaker.watch(ALL);
    assert_eq!(watched(&mut bench), [], "they are asked for");
    let found: Vec<Established> = bench.speaker.established().collect();
    assert_eq!(found.len(), 1);
    let session = &found[0];
    assert_eq!((session.peer, session.conn, session.asn), (ip(PEER).into(), conn, asn(65002)));
    assert_eq!((session.local, session.own_asn), (Some(ip("10.0.0.1")), asn(65000)));
    assert_eq!(session.received_open, open().encode());
    assert_eq!((session.sent_open[18], session.sent_open[19]), (1, 4), "no OPEN of version 4");

    let notification = Notification::cease(Cease::AdministrativeShutdown, None);
    bench.handle(Input::Frame { conn, bytes: notification.encode() });
    let failure = Failure::Received(notification);
    assert_eq!(watched(&mut bench), [Watched::Down { peer: ip(PEER).into(), failure }]);
    let conn = bench.connect(&open());
    let [Watched::Up(session)] = &watched(&mut bench)[..] else { panic!("not told") };
    assert_eq!((session.conn, &session.received_open), (conn, &open().encode()));
}

#[test]
fn updates_are_told_as_they_came_and_changes_by_prefix() {
    let (mut bench, conn) = Bench::established(&["10.8.0.0/24"]);
    bench.speaker.watch(ALL);
    bench.announce(conn, &[prefix("10.9.0.0/24"), prefix("10.7.0.0/24")]);
    let told = watched(&mut bench);
    let [Watched::Update { peer: of, bytes, paths, malformed: false }, used @ ..] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((*of, bytes[18]), (ip(PEER).into(), 2));
    let both = [prefix("10.9.0.0/24"), prefix("10.7.0.0/24")];
    assert_eq!(*paths, both.map(|prefix| (prefix, PathId::NONE)));
    let has = |prefix| used.contains(&Watched::Used(prefix));
    assert!(both.into_iter().all(has), "{used:?}");
    let best = bench.speaker.best_path(&both[0]).unwrap();
    assert_eq!(best.as_path.first(), Some(65002));
    assert!(bench.speaker.best_path(&prefix("10.8.0.0/24")).is_some(), "our own is one too");

    // What is originated here is told too.
    bench.desired("file", doc(&[peer(PEER)], &["10.6.0.0/24"]));
    let told = watched(&mut bench);
    for changed in ["10.6.0.0/24", "10.8.0.0/24"] {
        assert!(told.contains(&Watched::Used(prefix(changed))), "{told:?}");
    }
    assert_eq!(bench.speaker.best_path(&prefix("10.8.0.0/24")), None);

    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv4) });
    let told = watched(&mut bench);
    let [Watched::Update { paths, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*paths, []);
}

#[test]
fn another_import_policy_is_told_and_both_forms_can_be_seen() {
    let (mut bench, conn) = Bench::established(&[]);
    let nine = prefix("10.9.0.0/24");
    bench.announce(conn, &[nine]);
    bench.speaker.watch(ALL);
    let path =
        |bench: &Bench, accepted| bench.speaker.path_in(ip(PEER), &nine, PathId::NONE, accepted);
    assert!(path(&bench, true).is_some() && path(&bench, true) == path(&bench, false));
    let mut wanted = doc(&[peer(PEER)], &[]);
    wanted.peers[0].rules.export = Some(policy("none", Action::Reject));
    bench.desired("file", wanted.clone());
    assert_eq!(watched(&mut bench), [], "that is not import's");
    wanted.peers[0].rules.import = Some(policy("none", Action::Reject));
    bench.desired("file", wanted);
    assert!(!bench.speaker.is_walking());
    let told = watched(&mut bench);
    assert!(told.contains(&Watched::Imported { peer: ip(PEER).into() }), "{told:?}");
    assert!(told.contains(&Watched::Used(nine)), "{told:?}");
    assert!(path(&bench, true).is_none() && path(&bench, false).is_some());
    assert_eq!(bench.speaker.best_path(&nine), None);
    // What is of no session any more is not there.
    bench.handle(Input::Closed { conn, reason: String::new() });
    assert_eq!(path(&bench, false), None);
}

#[test]
fn paths_that_are_not_sent_again_in_a_refresh_are_told_of() {
    let mut bench = Bench::new(None);
    bench.desired("file", doc(&[peer(PEER)], &[]));
    bench.handle(Input::OwnersReady);
    let mut open = open();
    open.capabilities.push(Capability::EnhancedRouteRefresh);
    let conn = bench.connect(&open);
    bench.announce(conn, &[prefix("10.9.0.0/24"), prefix("10.7.0.0/24")]);
    bench.handle(Input::Frame { conn, bytes: end_of_rib(Family::Ipv4) });
    bench.speaker.watch(Watch { used: false, ..ALL });
    let refresh = |kind| encode_route_refresh(Family::Ipv4, kind);
    for (again, swept) in [(&["10.9.0.0/24", "10.7.0.0/24"][..], false), (&["10.9.0.0/24"], true)] {
        bench.handle(Input::Frame { conn, bytes: refresh(RefreshKind::Begin) });
        bench.announce(conn, &again.iter().map(|text| prefix(text)).collect::<Vec<_>>());
        bench.handle(Input::Frame { conn, bytes: refresh(RefreshKind::End) });
        let told = watched(&mut bench);
        let is = |told: &Watched| *told == Watched::Swept { peer: ip(PEER).into() };
        assert_eq!(told.iter().any(is), swept, "{told:?}");
    }
}

#[test]
fn a_message_that_was_not_taken_as_it_stands_says_so() {
    let (mut bench, conn) = Bench::established(&[]);
    let nine = prefix("10.9.0.0/24");
    bench.announce(conn, &[nine]);
    bench.speaker.watch(ALL);
    // Our own address as the next hop: the route is ignored (RFC 4271 §6.3).
    let options = Options::new(PeerKind::External);
    let next_hop = BgpNextHop { address: ip("10.0.0.1"), link_local: None };
    let as_path = AsPath { segments: vec![Segment::Sequence(vec![65002])] };
    let raw = encode_attributes(&Attributes::new(Origin::Igp, as_path, next_hop), &options);
    for bytes in pack(&raw, &next_hop, [nine], &options).unwrap() {
        bench.handle(Input::Frame { conn, bytes });
    }
    let told = watched(&mut bench);
    let of_nine = |told: &Watched| match told {
        Watched::Update { paths, malformed, .. } => {
            *malformed && paths[..] == [(nine, PathId::NONE)]
        }
        _ => false,
    };
    assert!(told.iter().any(of_nine), "{told:?}");
    assert_eq!(bench.speaker.path_in(ip(PEER), &nine, PathId::NONE, false), None);
}

//! The same two sessions with what is newer than RFC 4271.

use std::time::Duration;

use bgp_packet::{AddPathMode, FamilyFlags, PeerKind, Role};
use inet::{Family, Timestamp};

use super::pair::{Pair, config, local_of};
use super::{asn, at};
use crate::{
    AsnMatch, Event, IdleReason, LocalAs, LocalConfig, LongLivedConfig, MaxPrefixesAction,
    Negotiated, PeerConfig, State,
};

/// Two sessions with these changes of their configurations, after 10 s.
fn pair(seed: u64, change: [fn(&mut PeerConfig); 2]) -> Pair {
    let mut pair = Pair::new(seed);
    for (side, change) in change.into_iter().enumerate() {
        let mut config = config(side);
        change(&mut config);
        pair.sessions[side].reconfigure(Timestamp::ZERO, config);
        pair.tell(side, Event::Start);
    }
    pair.run_until(at(10.0));
    pair
}

fn agreed(pair: &Pair) -> [&Negotiated; 2] {
    pair.check_up("agreed");
    [0, 1].map(|side| pair.sessions[side].status().negotiated.as_deref().unwrap())
}

#[test]
fn both_ends_read_what_the_other_writes() {
    for seed in 0..20 {
        let pair = pair(
            seed,
            [
                |c| {
                    c.ipv4_over_ipv6 = true;
                    c.add_path = Family::ALL.map(|family| (family, AddPathMode::Both)).into();
                    c.role = Some(Role::Provider);
                },
                |c| {
                    c.ipv4_over_ipv6 = true;
                    c.add_path =
                        [(Family::Ipv4, AddPathMode::Send), (Family::Ipv6, AddPathMode::Receive)]
                            .into();
                    c.role = Some(Role::Customer);
                    c.role_strict = true;
                },
            ],
        );
        let [a, b] = agreed(&pair);
        assert_eq!(a.options.add_path_receive, b.options.add_path_send);
        assert_eq!(a.options.add_path_send, b.options.add_path_receive);
        assert_eq!(a.options.add_path_receive, FamilyFlags::NONE.with(Family::Ipv4));
        assert!(a.options.ipv4_over_ipv6 && b.options.ipv4_over_ipv6);
        assert!(a.options.extended_message && b.options.extended_message);
        assert_eq!([a.role, b.role], [Some(Role::Customer), Some(Role::Provider)]);
    }
}

#[test]
fn roles_that_do_not_fit_keep_both_down_with_few_words() {
    let mut pair = pair(1, [|c| c.role = Some(Role::Provider), |c| c.role = Some(Role::Peer)]);
    pair.run_until(at(600.0));
    for s in &pair.sessions {
        assert!(s.status().state < State::Established);
        let failure = s.status().last_failure.as_ref().unwrap().failure.to_string();
        assert!(failure.ends_with("Open Message Error: Role Mismatch (2/11)"), "{failure}");
        assert!(s.status().sent.open < 60, "{}", s.status().sent.open);
    }
}

#[test]
fn another_as_number_is_seen_by_the_peer() {
    let pair = pair(
        2,
        [
            |c| c.local_as = Some(LocalAs::new(asn(64999))),
            |c| c.asn_match = AsnMatch::Ranges(vec![64990..=64999]),
        ],
    );
    let [a, b] = agreed(&pair);
    assert_eq!((a.own_asn, b.asn, b.own_asn), (asn(64999), asn(64999), asn(65002)));
    assert_eq!([a.options.kind, b.options.kind], [PeerKind::External; 2]);
}

#[test]
fn a_long_absence_is_bridged() {
    let long = |c: &mut PeerConfig| {
        c.long_lived = Some(LongLivedConfig { stale_time: 3600 });
    };
    for seed in 0..50 {
        let mut pair = pair(seed, [long, long]);
        let preserved = Family::ALL.into();
        let restarted = LocalConfig { restarting: true, preserved, ..local_of(1) };
        pair.crash(1, restarted, seed + 999);
        pair.run_until(at(1000.0));
        let (down, stale) = pair.downs[0].first().unwrap();
        let restart_time_over = *down + Duration::from_secs(120);
        let until = restart_time_over + Duration::from_secs(3600);
        assert_eq!(stale.as_ref().unwrap().until, restart_time_over);
        let expected = Family::ALL.map(|family| (restart_time_over, family, until));
        assert_eq!(pair.long_lived[0], expected);
        // Back before they are gone.
        let mut config = config(1);
        long(&mut config);
        pair.sessions[1].reconfigure(pair.now, config);
        pair.revive(1);
        pair.run_until(at(1010.0));
        let [a, _] = agreed(&pair);
        assert_eq!(a.stale, Family::ALL.into());
        assert!(pair.flushed[0].is_empty());
    }
}

#[test]
fn a_peer_that_reads_nothing_is_left_though_it_speaks() {
    let mut pair = pair(3, [|c| c.send_hold_time = Some(100), |_| {}]);
    let conn = agreed(&pair)[0].conn;
    // Side 0's bytes pile up from here on; what is told is the last progress.
    pair.tell(0, Event::Written { conn, waiting: 5000 });
    pair.run_until(at(109.9));
    pair.check_up("still");
    pair.run_until(at(110.0));
    let failure = &pair.sessions[0].status().last_failure.as_ref().unwrap().failure;
    assert_eq!(failure.to_string(), "sent Send Hold Timer Expired (8/0)");
    pair.run_until(at(140.0));
    pair.check_up("again");
}

#[test]
fn a_shutdown_is_read_on_the_other_side_and_taken_back() {
    let mut pair = pair(4, [|_| {}, |_| {}]);
    let shut = PeerConfig { shutdown: Some("new fans".into()), ..config(0) };
    pair.sessions[0].reconfigure(pair.now, shut);
    pair.effects(0);
    pair.run_until(at(60.0));
    assert!(pair.downs.iter().all(|d| matches!(d.as_slice(), [(_, None)])));
    // What it told is still shown while it refuses connections.
    let report = pair.sessions[1].status().last_failure.as_ref().unwrap().report();
    assert!(report.words.contains("new fans"), "{report:?}");
    assert_eq!(pair.sessions[0].status().idle.unwrap().reason, IdleReason::Shutdown);
    pair.sessions[0].reconfigure(pair.now, config(0));
    pair.effects(0);
    pair.run_until(at(70.0));
    pair.check_up("taken back");
}

#[test]
fn resets_by_people_keep_routes_or_not_on_both_sides() {
    for hard in [false, true] {
        let mut pair = pair(5, [|_| {}, |_| {}]);
        pair.tell(0, Event::AdminReset { hard, communication: None });
        pair.run_until(at(20.0));
        pair.check_up("again");
        for downs in &pair.downs {
            let [(_, stale)] = downs.as_slice() else { panic!("{downs:?}") };
            assert_eq!(stale.is_none(), hard);
        }
    }
}

#[test]
fn too_many_prefixes_cost_the_peer_its_time() {
    let mut pair = pair(6, [|_| {}, |_| {}]);
    let action = MaxPrefixesAction::Restart { after: 300 };
    pair.tell(0, Event::MaxPrefixes { family: Family::Ipv4, limit: 10, action });
    pair.run_until(at(309.0));
    assert_eq!(pair.sessions[0].status().idle.unwrap().reason, IdleReason::MaxPrefixes);
    assert!(pair.downs.iter().all(|d| matches!(d.as_slice(), [(_, None)])));
    assert!(pair.sessions[1].status().state < State::Established);
    pair.run_until(at(460.0));
    pair.check_up("the time is over");
}

#[test]
fn bfd_ends_it_long_before_the_hold_time() {
    for control_plane_independent in [false, true] {
        let mut pair = pair(7, [|_| {}, |_| {}]);
        pair.cut = true;
        for side in 0..2 {
            pair.tell(side, Event::BfdDown { control_plane_independent });
        }
        for downs in &pair.downs {
            let [(when, stale)] = downs.as_slice() else { panic!("{downs:?}") };
            assert_eq!((*when, stale.is_none()), (at(10.0), control_plane_independent));
        }
        pair.run_until(at(30.0));
        pair.cut = false;
        for side in 0..2 {
            pair.tell(side, Event::BfdUp);
        }
        pair.run_until(at(40.0));
        pair.check_up("mended");
    }
}

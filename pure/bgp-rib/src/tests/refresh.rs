//! Tables that are sent anew, to us and by us (RFC 4724, RFC 7313), while other things happen.

use super::*;

/// So many prefixes that a walk over them takes several chunks.
fn many() -> Vec<String> {
    (0..3000).map(|n| format!("10.{}.{}.0/24", n / 250, n % 250)).collect()
}

/// A peer at 10.0.0.2 that is being told of many routes.
fn many_routes() -> (Bench, PeerId) {
    let mut bench = Bench::new();
    for text in many() {
        bench.rib.originate(&prefix(&text), Some(&own()));
    }
    let to = bench.peer(2, PeerKind::External);
    (bench, to)
}

/// The session as before, but in a group of its own.
fn moved() -> SessionFacts {
    SessionFacts { groups: ["rack".to_owned()].into(), ..session(2, PeerKind::External) }
}

fn kinds(bench: &Bench, id: PeerId) -> Vec<RefreshKind> {
    bench.heard[&id].frames.iter().map(|(_, kind)| *kind).collect()
}

#[test]
fn end_of_rib_comes_also_after_a_change_of_group_before_or_during_the_first_walk() {
    for chunks in 0..3 {
        let (mut bench, to) = many_routes();
        (0..chunks).for_each(|_| assert!(bench.hear(to)));
        assert!(bench.heard[&to].end_of_rib.is_empty());
        bench.rib.session_changed(to, moved());
        bench.settle();
        assert_eq!(bench.heard[&to].end_of_rib, Family::ALL.into(), "after {chunks} chunks");
        bench.agree();
    }
    let mut bench = Bench::new();
    bench.rib.defer();
    let to = bench.peer(2, PeerKind::External);
    bench.rib.session_changed(to, moved());
    bench.rib.select();
    bench.settle();
    assert_eq!(bench.heard[&to].end_of_rib, Family::ALL.into());
}

#[test]
fn a_frame_that_has_begun_ends_also_after_a_change_of_group() {
    let frame = [RefreshKind::Begin, RefreshKind::End];
    for chunks in 0..3 {
        let (mut bench, to) = many_routes();
        bench.settle();
        bench.rib.refresh(to, Family::Ipv4, true);
        (0..chunks).for_each(|_| assert!(bench.hear(to)));
        assert_eq!(kinds(&bench, to), frame[..chunks.min(1)]);
        bench.rib.session_changed(to, moved());
        bench.settle();
        assert_eq!(kinds(&bench, to), frame, "after {chunks} chunks");
        bench.agree();
    }
}

#[test]
fn nothing_is_framed_before_end_of_rib() {
    let (mut bench, to) = many_routes();
    bench.hear(to);
    bench.rib.refresh(to, Family::Ipv4, true);
    bench.settle();
    assert_eq!(bench.heard[&to].end_of_rib, Family::ALL.into());
    assert_eq!(kinds(&bench, to), []);
    bench.rib.refresh(to, Family::Ipv4, true);
    bench.settle();
    assert_eq!(kinds(&bench, to), [RefreshKind::Begin, RefreshKind::End]);
}

#[test]
fn what_was_kept_once_is_kept_until_it_is_flushed() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let route = attributes(&[65001], "10.0.0.1");
    bench.announce(from, &route, &["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"]);
    bench.settle();
    let stale = |bench: &Bench| bench.rib.in_counts(from, Family::Ipv4).stale;
    for (lost, again) in [(3, "10.1.0.0/24"), (3, "10.2.0.0/24")] {
        bench.heard.clear();
        bench.rib.session_down(from, &Family::ALL.into());
        bench.settle();
        assert_eq!((bench.installed.len(), stale(&bench)), (3, lost));
        bench.up(from, session(1, PeerKind::External));
        bench.announce(from, &route, &[again]);
        bench.settle();
        assert_eq!((bench.installed.len(), stale(&bench)), (3, lost - 1));
    }
    bench.withdraw(from, &["10.3.0.0/24"]);
    assert_eq!(stale(&bench), 1);
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(bench.installed.keys().copied().collect::<Vec<_>>(), [prefix("10.2.0.0/24")]);
    assert_eq!(
        bench.rib.in_counts(from, Family::Ipv4),
        InCounts { received: 1, accepted: 1, stale: 0, left_out: 0 }
    );
}

#[test]
fn a_refresh_that_begins_anew_loses_nothing() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let route = attributes(&[65001], "10.0.0.1");
    bench.announce(from, &route, &["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"]);
    bench.rib.mark_stale(from, Family::Ipv4);
    bench.announce(from, &route, &["10.1.0.0/24"]);
    bench.rib.mark_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(bench.installed.len(), 3);
    bench.announce(from, &route, &["10.1.0.0/24", "10.2.0.0/24"]);
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(bench.installed.len(), 2);
}

#[test]
fn what_becomes_stale_beside_long_lived_routes_is_long_lived_too() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let route = attributes(&[65001], "10.0.0.1");
    let both = ["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(from, &route, &both);
    let away = |bench: &mut Bench| {
        bench.heard.clear();
        bench.rib.session_down(from, &Family::ALL.into());
        bench.rib.long_lived(from, Family::Ipv4);
        bench.settle();
    };
    let marked = |bench: &Bench| {
        let marked = |text| {
            let paths = bench.rib.paths(&prefix(text));
            paths[0].attributes.communities.contains(&community::LLGR_STALE)
        };
        both.map(marked)
    };
    away(&mut bench);
    assert_eq!(marked(&bench), [true, true]);
    bench.up(from, session(1, PeerKind::External));
    bench.announce(from, &route, &both[..1]);
    bench.settle();
    assert_eq!(marked(&bench), [false, true]);
    away(&mut bench);
    assert_eq!(marked(&bench), [true, true]);
}

#[test]
fn a_peer_that_begins_without_end_keeps_no_more_than_it_could() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let route = attributes(&[65001], "10.0.0.1");
    bench.announce(from, &route, &["10.1.0.0/24"]);
    for _ in 0..=u32::from(u16::MAX) {
        bench.rib.mark_stale(from, Family::Ipv4);
        bench.announce(from, &route, &["10.2.0.0/24"]);
        bench.rib.work(10);
    }
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert_eq!(bench.installed.keys().copied().collect::<Vec<_>>(), [prefix("10.2.0.0/24")]);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).received, 1);
}

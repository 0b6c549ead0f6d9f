//! What is wanted of peers beyond a plain session, against a scripted peer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use std::collections::BTreeSet;

use bgp_packet::Capability;
use bgp_policy::{Action, KernelSource};
use bgp_session::{IdleReason, State};
use bgp_speaker::*;
use inet::{AoAlgorithm, AoKey, Family, Prefix, Secret};

use common::*;

fn prefixes(n: u8) -> Vec<Prefix> {
    (0..n).map(|i| prefix(&format!("10.9.{i}.0/24"))).collect()
}

/// A document with this peer alone.
fn with(change: impl FnOnce(&mut Peer)) -> Desired {
    let mut doc = doc(&[peer(PEER)], &["10.1.0.0/24"]);
    change(&mut doc.peers[0]);
    doc
}

fn limited(limit: u32, action: MaxPrefixesAction) -> Desired {
    let max = MaxPrefixes { limit, warn_at: 80, action };
    with(|peer| peer.max_prefixes = [(Family::Ipv4, max)].into())
}

fn idle(bench: &Bench) -> Option<IdleReason> {
    bench.speaker.peer(ip(PEER)).unwrap().status.idle.map(|idle| idle.reason)
}

fn max_events(bench: &mut Bench) -> Vec<(u32, bool)> {
    let events = bench.events().into_iter();
    let events = events.filter_map(|event| match event {
        Event::MaxPrefixes { count, exceeded, .. } => Some((count, exceeded.is_some())),
        _ => None,
    });
    events.collect()
}

#[test]
fn too_many_prefixes_are_told_of_then_end_the_session() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.desired("file", limited(10, MaxPrefixesAction::Restart { after: 30 }));
    assert_eq!(bench.state(PEER), State::Established, "taken over live");
    bench.outputs.clear();
    bench.announce(conn, &prefixes(7));
    assert_eq!(max_events(&mut bench), []);
    bench.announce(conn, &prefixes(8));
    bench.announce(conn, &prefixes(9));
    assert_eq!(max_events(&mut bench), [(8, false)], "told once");
    bench.announce(conn, &prefixes(11));
    assert_eq!(idle(&bench), Some(IdleReason::MaxPrefixes));
    let said = bench.outputs.clone();
    assert_eq!(bench.said(), ["notification 6/1"]);
    bench.outputs = said;
    assert_eq!(max_events(&mut bench), [(11, true)]);
    assert_eq!(bench.speaker.counts().paths, 1, "only our own");
    bench.wait(29);
    assert_eq!(idle(&bench), Some(IdleReason::MaxPrefixes));
    bench.wait(2);
    assert_eq!(idle(&bench), None);
}

#[test]
fn a_lowered_limit_counts_at_once_and_a_person_ends_the_shut() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.announce(conn, &prefixes(5));
    bench.desired("file", limited(5, MaxPrefixesAction::Warn));
    assert_eq!(bench.state(PEER), State::Established);
    bench.desired("file", limited(4, MaxPrefixesAction::Warn));
    assert_eq!(bench.state(PEER), State::Established, "only told of");
    bench.desired("file", limited(4, MaxPrefixesAction::Shut));
    assert_eq!(idle(&bench), Some(IdleReason::MaxPrefixes));
    bench.wait(100_000);
    assert_eq!(idle(&bench), Some(IdleReason::MaxPrefixes));
    let reset = Reset::Hard { communication: None };
    bench.handle(Input::AdminReset { peer: ip(PEER).into(), reset });
    assert_eq!(idle(&bench), None);
}

#[test]
fn routes_of_the_kernel_are_announced_as_the_policy_says() {
    let (mut bench, _) = Bench::established(&[]);
    let rule =
        |source, action| Redistribution { source, table: 254, policy: Some(policy("p", action)) };
    let mut wanted = doc(&[peer(PEER)], &[]);
    wanted.redistribute = vec![
        rule(KernelSource::Static, Action::Accept),
        rule(KernelSource::Connected, Action::Reject),
    ];
    bench.outputs.clear();
    bench.desired("file", wanted.clone());
    let asked = BTreeSet::from([(KernelSource::Static, 254), (KernelSource::Connected, 254)]);
    assert!(bench.outputs.contains(&Output::Redistribute(asked)));
    bench.said();
    let route = |text, source| (prefix(text), Some(KernelRoute { source, table: 254 }));
    let changes = vec![
        route("10.5.0.0/24", KernelSource::Static),
        route("10.6.0.0/24", KernelSource::Connected),
        route("10.7.0.0/24", KernelSource::Other),
    ];
    bench.handle(Input::Redistribute { changes });
    assert_eq!(bench.said(), ["+10.5.0.0/24"]);
    wanted.redistribute =
        vec![Redistribution { source: KernelSource::Connected, table: 254, policy: None }];
    bench.desired("file", wanted.clone());
    let mut said = bench.said();
    said.sort();
    assert_eq!(said, ["+10.6.0.0/24", "-10.5.0.0/24"]);
    // What a document says of a prefix is stronger.
    wanted.originate =
        vec![Origination { med: Some(7), ..Origination::new(prefix("10.6.0.0/24")) }];
    bench.desired("file", wanted);
    let view = &bench.speaker.route(&prefix("10.6.0.0/24"))[0];
    assert_eq!(view.attributes.med, Some(7));
    bench.handle(Input::Redistribute { changes: vec![(prefix("10.6.0.0/24"), None)] });
    assert_eq!(bench.why("10.6.0.0/24"), "announced");
}

/// RFC 4724 §4.2, RFC 8538 §3: the Cease of a change is graceful where both have the N bit.
#[test]
fn a_change_that_needs_a_new_open_keeps_routes_where_both_can() {
    for notification in [true, false] {
        let mut open = open();
        for capability in &mut open.capabilities {
            if let Capability::GracefulRestart(restart) = capability {
                restart.notification = notification;
            }
        }
        let mut bench = Bench::new(None);
        bench.desired("file", with(|_| {}));
        bench.handle(Input::OwnersReady);
        let conn = bench.connect(&open);
        bench.handle(Input::Room { conn, bytes: 1 << 20 });
        bench.announce(conn, &prefixes(1));
        let gone = |bench: &mut Bench| {
            let outputs = std::mem::take(&mut bench.outputs).into_iter();
            let best = outputs.filter_map(|output| match output {
                Output::Best(best) if best.prefix == prefixes(1)[0] => Some(best.paths.is_empty()),
                _ => None,
            });
            best.last()
        };
        assert_eq!(gone(&mut bench), Some(false));
        let changed = with(|peer| peer.session.extended_messages = false);
        let plan = bench.speaker.plan("file", &changed);
        assert_eq!(plan.resets, [(ip(PEER).into(), vec!["extended_messages"])]);
        bench.desired("file", changed);
        if !notification {
            assert_eq!(gone(&mut bench), Some(true));
            continue;
        }
        assert_eq!(gone(&mut bench), None, "kept");
        // Back, and still forwarding: until it has told all again.
        let conn = bench.connect(&open);
        bench.handle(Input::Room { conn, bytes: 1 << 20 });
        assert_eq!(gone(&mut bench), None, "kept");
        bench.handle(Input::Frame { conn, bytes: bgp_packet::end_of_rib(Family::Ipv4) });
        assert_eq!(gone(&mut bench), Some(true), "not told again");
    }
}

#[test]
fn a_plan_says_what_will_be_done_and_does_nothing() {
    let (mut bench, _) = Bench::established(&["10.1.0.0/24"]);
    let mut second = peer("10.0.0.3");
    second.name = Some("two".into());
    bench.desired("other", Desired { peers: vec![second.into()], ..Desired::default() });
    bench.outputs.clear();
    let plan = bench.speaker.plan("file", &with(|_| {}));
    assert!(plan.is_empty(), "{plan:?}");
    let live = with(|peer| {
        peer.rules.export = Some(policy("p", Action::Accept));
        peer.session.hold_time = 30;
        peer.tcp.password = Some(Secret::new("secret").unwrap());
    });
    let plan = bench.speaker.plan("file", &live);
    assert_eq!(plan.live, [(ip(PEER).into(), vec!["hold_time", "export", "password"])]);
    let hard = with(|peer| peer.tcp.ttl_security = Some(1));
    assert_eq!(bench.speaker.plan("file", &hard).resets, [(ip(PEER).into(), vec!["ttl_security"])]);
    // RFC 5925 §7: a connection has TCP-AO from its first segment or never.
    let secret = Secret::new("secret").unwrap();
    let algorithm = AoAlgorithm::default();
    let key = AoKey { send_id: 1, receive_id: 1, algorithm, include_options: true, secret };
    let signed = with(|peer| peer.tcp.ao = Some(TcpAo { keys: vec![key.clone()] }));
    assert_eq!(bench.speaker.plan("file", &signed).resets, [(ip(PEER).into(), vec!["tcp_ao"])]);
    let mut numbers = with(|_| {});
    numbers.global.as_mut().unwrap().asn = asn(65009);
    let all = bench.speaker.plan("file", &numbers).resets;
    assert_eq!(all.len(), 2, "{all:?}");
    let other = bench.speaker.plan("file", &doc(&[peer("10.0.0.3"), peer("10.0.0.4")], &[]));
    assert_eq!((other.added, other.removed), (vec![ip("10.0.0.4").into()], vec![ip(PEER).into()]));
    assert_eq!(other.conflicts.len(), 1);
    assert_eq!(bench.outputs, []);
    // And so it is.
    bench.desired("file", live);
    assert_eq!(bench.state(PEER), State::Established);
    bench.desired("file", hard);
    assert_ne!(bench.state(PEER), State::Established);
    // RFC 4486 §4: a change, also where only TCP is another one.
    assert!(bench.said().contains(&"notification 6/6".to_owned()));
}

#[test]
fn a_person_asks_for_routes_or_resets() {
    let (mut bench, conn) = Bench::established(&["10.1.0.0/24"]);
    bench.announce(conn, &prefixes(2));
    bench.said();
    let reset = |reset| Input::AdminReset { peer: ip(PEER).into(), reset };
    bench.handle(reset(Reset::SoftIn));
    let said = bench.said();
    assert_eq!(said.len(), 2, "one for each family: {said:?}");
    assert!(said.iter().all(|text| text.contains("Refresh")), "{said:?}");
    bench.handle(reset(Reset::SoftOut));
    assert_eq!(bench.said(), ["+10.1.0.0/24"]);
    assert_eq!(bench.speaker.counts().paths, 3);
    bench.handle(reset(Reset::Hard { communication: Some("new cable".into()) }));
    assert_eq!(bench.said(), ["notification 6/4"]);
    assert_eq!(bench.speaker.counts().paths, 1);
    let words = bench.speaker.peer(ip(PEER)).unwrap().last_failure.unwrap().words;
    assert!(words.contains("new cable"), "{words}");
    // Of nobody nothing comes.
    bench.handle(Input::AdminReset { peer: ip("10.0.0.77").into(), reset: Reset::Soft });
}

#[test]
fn bfd_ends_a_session_if_it_is_wanted() {
    let (mut bench, _) = Bench::established(&[]);
    let down = Input::Bfd { peer: ip(PEER).into(), up: false, control_plane_independent: true };
    bench.handle(down.clone());
    assert_eq!(bench.state(PEER), State::Established, "nobody has asked for BFD");
    bench.outputs.clear();
    bench.desired("file", with(|peer| peer.bfd = Some(BfdOptions::default())));
    let session = bench.outputs.iter().find_map(|output| match output {
        Output::Bfd(sessions) => Some(sessions.clone()),
        _ => None,
    });
    let session = session.unwrap();
    assert_eq!(
        (session.len(), session[0].peer, session[0].hop),
        (1, ip(PEER).into(), bfd::Hop::Single)
    );
    let up = Input::Bfd { peer: ip(PEER).into(), up: true, control_plane_independent: true };
    bench.handle(up);
    assert!(bench.events().contains(&Event::Bfd { peer: ip(PEER).into(), up: true }));
    bench.handle(down);
    assert_eq!(bench.said(), ["notification 6/10"]);
    // Administratively down there is nothing to watch.
    bench.desired(
        "file",
        with(|peer| {
            peer.bfd = Some(BfdOptions::default());
            peer.session.shutdown = Some(String::new());
        }),
    );
    assert!(bench.outputs.contains(&Output::Bfd(vec![])));
}

#[test]
fn tcp_knows_its_peers_before_they_are_dialled() {
    let mut bench = Bench::new(None);
    let mut wanted = with(|peer| {
        peer.session.passive = false;
        peer.tcp.password = Some(Secret::new("open sesame").unwrap());
        peer.tcp.ttl_security = Some(2);
    });
    bench.desired("file", wanted.clone());
    assert!(!format!("{:?}", bench.outputs).contains("sesame"), "the key is not shown");
    let at = |wanted: &dyn Fn(&Output) -> bool| bench.outputs.iter().position(wanted).unwrap();
    let peers = at(&|output| matches!(output, Output::Peers(_)));
    assert!(peers < at(&|output| matches!(output, Output::Connect { ttl: 255, .. })));
    let Output::Peers(peers) = &bench.outputs[peers] else { unreachable!() };
    assert_eq!(peers[0].tcp.min_ttl(), Some(254));
    assert_eq!(peers[0].tcp.password.as_ref().unwrap().reveal(), "open sesame");
    // Another owner's change alone does not tell it again.
    bench.outputs.clear();
    wanted.originate.clear();
    bench.desired("file", wanted);
    assert!(!bench.outputs.iter().any(|output| matches!(output, Output::Peers(_))));
}

#[test]
fn without_a_policy_nothing_passes_where_one_is_required() {
    let (mut bench, conn) = Bench::established(&["10.1.0.0/24"]);
    bench.announce(conn, &prefixes(2));
    bench.outputs.clear();
    let mut wanted = with(|_| {});
    wanted.global.as_mut().unwrap().require_policy = true;
    bench.desired("file", wanted.clone());
    assert_eq!(bench.why("10.1.0.0/24"), "no-export-policy");
    assert!(bench.said().join(" ").contains("-10.1.0.0/24"));
    let counts = |bench: &Bench| {
        let received = bench.speaker.peer(ip(PEER)).unwrap().families[&Family::Ipv4].received;
        (received.received, received.accepted)
    };
    assert_eq!(counts(&bench), (2, 0));
    wanted.peers[0].rules.import = Some(policy("all", Action::Accept));
    wanted.peers[0].rules.export = Some(policy("all", Action::Accept));
    bench.desired("file", wanted);
    assert_eq!(counts(&bench), (2, 2));
    assert!(bench.said().join(" ").contains("+10.1.0.0/24"));
    assert_eq!(bench.state(PEER), State::Established);
}

#[test]
fn people_see_tables_and_reasons() {
    let (mut bench, conn) = Bench::established(&["10.1.0.0/24"]);
    bench.announce(conn, &prefixes(3));
    bench.desired(
        "file",
        with(|peer| {
            peer.rules.import = Some(policy("in", Action::Accept));
            peer.rules.export = Some(policy("out", Action::Accept));
        }),
    );
    let rows = |table, filter| {
        let page = bench.speaker.page(Family::Ipv4, table, filter, Cursor::default(), 100);
        page.unwrap().rows.into_iter().map(|row| (row.prefix, row.peer)).collect::<Vec<_>>()
    };
    let own = (prefix("10.1.0.0/24"), None);
    assert_eq!(rows(Table::Used, Filter::All).len(), 4);
    assert!(rows(Table::Paths, Filter::All).contains(&own));
    assert_eq!(rows(Table::Received(ip(PEER).into()), Filter::All).len(), 3);
    assert_eq!(
        rows(Table::Accepted(ip(PEER).into()), Filter::Within(prefix("10.9.0.0/23"))).len(),
        2
    );
    let longest = Filter::LongestMatch(ip("10.9.2.7"));
    assert_eq!(rows(Table::Used, longest), [(prefix("10.9.2.0/24"), Some(ip(PEER).into()))]);
    assert_eq!(rows(Table::Sent(ip(PEER).into()), Filter::All), [(own.0, Some(ip(PEER).into()))]);
    let unknown = Table::Sent(ip("10.0.0.77").into());
    assert_eq!(bench.speaker.page(Family::Ipv4, unknown, Filter::All, Cursor::default(), 1), None);
    let best = bench.speaker.explain_best(&prefix("10.9.0.0/24"));
    assert_eq!(best.paths[0].peer, Some(ip(PEER).into()));
    let sent = bench.speaker.explain_export(ip(PEER), &own.0).unwrap();
    assert_eq!((sent.reason, sent.paths[0].from), (Reason::Announced, None));
    assert!(sent.paths[0].policy.is_some());
    let back = bench.speaker.explain_export(ip(PEER), &prefix("10.9.0.0/24")).unwrap();
    assert_eq!(back.reason, Reason::SplitHorizon);
    assert!(bench.speaker.explain_import(ip(PEER), &prefix("10.9.0.0/24")).is_some());
    let snapshot = bench.speaker.peer(ip(PEER)).unwrap();
    assert!(!snapshot.behind);
}

/// RFC 9687: its keepalives come, but it takes nothing of what it is sent.
#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.desired("file", with(|_| {}));
    bench.handle(Input::Room { conn, bytes: 1000 });
    assert!(bench.speaker.peer(ip(PEER)).unwrap().waiting > 1 << 19);
    bench.said();
    for second in 0..480 {
        assert_eq!(bench.state(PEER), State::Established, "after {second} seconds");
        bench.wait(1);
        bench.handle(Input::Frame { conn, bytes: bgp_packet::KEEPALIVE.to_vec() });
    }
    bench.wait(1);
    assert_ne!(bench.state(PEER), State::Established);
    assert!(bench.said().contains(&"notification 8/0".to_owned()));
}

#[test]
fn long_lived_stale_routes_are_kept_beyond_the_restart_time() {
    let (mut bench, conn) = Bench::established(&[]);
    let long_lived = with(|peer| {
        peer.session.long_lived = Some(bgp_session::LongLivedConfig { stale_time: 1000 });
    });
    bench.desired("file", long_lived);
    assert_ne!(bench.state(PEER), State::Established, "only an OPEN tells it");
    let mut open = open();
    let family = |family| bgp_packet::LongLived { family, forwarding: true, stale_time: 600 };
    let families = Family::ALL.map(family).to_vec();
    open.capabilities.push(Capability::LongLivedGracefulRestart(families));
    let _ = conn;
    bench.wait(1);
    let conn = bench.connect(&open);
    bench.handle(Input::Room { conn, bytes: 1 << 20 });
    bench.announce(conn, &prefixes(2));
    bench.handle(Input::Closed { conn, reason: "cut".into() });
    let stale = |bench: &Bench| {
        bench.speaker.route(&prefix("10.9.0.0/24")).first().map(|view| {
            assert!(view.stale);
            view.attributes.communities.contains(&bgp_packet::community::LLGR_STALE)
        })
    };
    assert_eq!(stale(&bench), Some(false));
    bench.wait(61);
    assert_eq!(stale(&bench), Some(true));
    let helping = bench.speaker.peer(ip(PEER)).unwrap().helping;
    assert!(helping[&Family::Ipv4].long_lived);
    bench.wait(600);
    assert_eq!(stale(&bench), None);
}

#[test]
fn what_the_kernel_does_before_there_is_an_as_number_is_looked_at_once() {
    let mut bench = Bench::new(None);
    let source = KernelSource::Static;
    let route = |text: &str| (prefix(text), Some(KernelRoute { source, table: 254 }));
    for n in 0..50_000 {
        let gone = format!("10.{}.{}.0/24", 100 + n / 256 % 100, n % 256);
        let changes = vec![
            route("10.5.0.0/24"),
            (prefix("10.5.0.0/24"), None),
            route(&gone),
            (prefix(&gone), None),
            route("10.6.0.0/24"),
        ];
        bench.speaker.handle(bench.now, Input::Redistribute { changes });
    }
    let redistribute = vec![Redistribution { source, table: 254, policy: None }];
    let mut wanted = Desired { redistribute, ..doc(&[], &["10.7.0.0/24"]) };
    let global = wanted.global.take();
    bench.speaker.handle(bench.now, Input::Desired { owner: "file".into(), doc: wanted.clone() });
    wanted.global = global;
    bench.speaker.handle(bench.now, Input::Desired { owner: "file".into(), doc: wanted });
    let mut walks = 0;
    while let Some((at, "table walk")) = bench.speaker.wake_at() {
        assert!(at <= bench.now && walks < 20, "it ends soon");
        walks += 1;
        bench.speaker.tick(bench.now);
        while bench.speaker.poll().is_some() {}
    }
    let there = |text| !bench.speaker.route(&prefix(text)).is_empty();
    assert!(there("10.6.0.0/24") && there("10.7.0.0/24") && !there("10.5.0.0/24"));
}

//! AS numbers, roles, next hops, multipath and long-lived staleness.

use bgp_packet::{FamilyFlags, Message, Role, Segment, decode, pack};

use super::*;

const PREFIX: &str = "10.1.0.0/24";

/// What a peer under these rules hears of a path from another AS.
fn heard_with(rules: Rules, kind: PeerKind, path: &[u32]) -> Option<Attributes> {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer_with(2, kind, rules);
    bench.announce(from, &attributes(path, "10.0.0.1"), &[PREFIX]);
    bench.settle();
    bench.hears(to, PREFIX).cloned()
}

fn path_with(rules: Rules, path: &[u32]) -> String {
    heard_with(rules, PeerKind::External, path).unwrap().as_path.to_string()
}

#[test]
fn the_as_path_towards_a_peer_is_as_its_rules_say() {
    let plain = Rules::default;
    assert_eq!(path_with(plain(), &[65001, 65002]), "65000 65001 65002");
    let rules = Rules { as_override: true, ..plain() };
    assert_eq!(path_with(rules, &[65001, 65002]), "65000 65001 65000");
    let rules = Rules { remove_private_as: true, ..plain() };
    assert_eq!(path_with(rules, &[65001, 3, 4_200_000_000, 65002]), "65000 3 65002");
    let local = |replace| {
        let local = LocalAs { asn: asn(64999), prepend: true, replace };
        Rules { local_as: Some(local), ..plain() }
    };
    assert_eq!(path_with(local(false), &[65001]), "64999 65000 65001");
    assert_eq!(path_with(local(true), &[65001]), "64999 65001");
}

#[test]
fn our_own_number_in_a_path_is_a_loop_unless_allowed_so_often() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    bench.announce(from, &attributes(&[65001, AS, AS], "10.0.0.1"), &[PREFIX]);
    bench.settle();
    assert_eq!(bench.state(PREFIX), Some(PathState::Ineligible(Ineligible::AsLoop)));
    for (allowed, accepted) in [(1, 0), (2, 1), (0, 0)] {
        let rules = Rules { allow_own_as: allowed, ..Rules::default() };
        bench.rib.session_changed(from, with_rules(1, PeerKind::External, rules));
        bench.settle();
        assert_eq!(bench.rib.in_counts(from, Family::Ipv4).accepted, accepted);
    }
}

#[test]
fn a_local_as_is_put_before_what_the_peer_sends() {
    for (prepend, expect) in [(true, "64999 65001"), (false, "65001")] {
        let local_as = Some(LocalAs { asn: asn(64999), prepend, replace: false });
        let mut bench = Bench::new();
        let rules = Rules { local_as, ..Rules::default() };
        let from = bench.peer_with(1, PeerKind::External, rules);
        bench.announce(from, &attributes(&[65001], "10.0.0.1"), &[PREFIX]);
        bench.announce(from, &attributes(&[65001, 64999], "10.0.0.1"), &["10.2.0.0/24"]);
        bench.settle();
        let paths = bench.rib.paths(&prefix(PREFIX));
        assert_eq!(paths[0].attributes.as_path.to_string(), expect);
        let looped = Some(PathState::Ineligible(Ineligible::AsLoop));
        assert_eq!(bench.state("10.2.0.0/24"), looped);
    }
}

#[test]
fn next_hops_are_ours_or_unchanged_as_the_rules_say() {
    let hop = |next_hop, kind| {
        let rules = Rules { next_hop, ..Rules::default() };
        heard_with(rules, kind, &[65001]).unwrap().next_hop.address
    };
    let (ours, theirs) = (ip("10.0.0.100"), ip("10.0.0.1"));
    assert_eq!(hop(NextHopMode::Auto, PeerKind::External), ours);
    assert_eq!(hop(NextHopMode::Auto, PeerKind::Internal), theirs);
    assert_eq!(hop(NextHopMode::Own, PeerKind::Internal), ours);
    assert_eq!(hop(NextHopMode::Unchanged, PeerKind::External), theirs);
}

#[test]
fn ipv4_routes_go_over_ipv6_next_hops_only_where_agreed() {
    let over = |n: u8, agreed| {
        let mut facts = session(n, PeerKind::External);
        facts.options.ipv4_over_ipv6 = agreed;
        facts.next_hops.ipv4 = Some(ip("fe80::1"));
        facts
    };
    let mut bench = Bench::new();
    let ids = [1, 2, 3].map(|n| bench.rib.add_peer(ip(&format!("10.0.0.{n}"))).unwrap());
    bench.up(ids[0], over(1, true));
    bench.up(ids[1], over(2, true));
    bench.up(ids[2], over(3, false));
    bench.announce(ids[0], &attributes(&[65001], "fe80::9"), &[PREFIX]);
    bench.settle();
    assert_eq!(bench.hears(ids[1], PREFIX).unwrap().next_hop.address, ip("fe80::1"));
    assert_eq!(bench.why(ids[2], PREFIX), "no-next-hop");
    assert_eq!(bench.installed[&prefix(PREFIX)], [ip("fe80::9")]);
}

/// RFC 9234 §5: by our role towards who sends and who gets it, and the OTC it comes with.
#[test]
fn routes_leak_neither_in_nor_out_under_roles() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let told = |from_role, otc: Option<u32>, to_role| {
        let mut bench = Bench::new();
        let role = |role| Rules { role: Some(role), ..Rules::default() };
        let from = bench.peer_with(1, PeerKind::External, role(from_role));
        let to = bench.peer_with(2, PeerKind::External, role(to_role));
        let learned =
            Attributes { only_to_customer: otc.map(asn), ..attributes(&[65001], "10.0.0.1") };
        bench.announce(from, &learned, &[PREFIX]);
        bench.settle();
        match bench.hears(to, PREFIX) {
            Some(heard) => Ok(heard.only_to_customer.map(Asn::get)),
            None => Err((bench.state(PREFIX).unwrap(), bench.why(to, PREFIX))),
        }
    };
    let leak = PathState::Ineligible(Ineligible::RouteLeak);
    // From a customer or a client: with OTC it leaks.
    for role in [Provider, RouteServer] {
        assert_eq!(told(role, Some(7), Customer).unwrap_err().0, leak);
        assert_eq!(told(role, None, Customer), Ok(None));
        assert_eq!(told(role, None, Provider), Ok(Some(AS)));
    }
    // From a peer: only its own OTC is right.
    assert_eq!(told(Peer, Some(7), Provider).unwrap_err().0, leak);
    assert_eq!(told(Peer, Some(65001), Provider), Ok(Some(65001)));
    // From providers, peers and route servers: to customers only.
    for role in [Customer, Peer, RouteServerClient] {
        assert_eq!(told(role, None, Provider), Ok(Some(65001)));
        for to in [Customer, Peer, RouteServerClient] {
            assert_eq!(told(role, None, to).unwrap_err().1, "only-to-customer");
        }
    }
}

#[test]
fn own_routes_towards_customers_and_peers_carry_our_number() {
    let mut bench = Bench::new();
    let rules = Rules { role: Some(Role::Peer), ..Rules::default() };
    let to = bench.peer_with(1, PeerKind::External, rules);
    bench.rib.originate(&prefix(PREFIX), Some(&own()));
    bench.settle();
    assert_eq!(bench.hears(to, PREFIX).unwrap().only_to_customer, Some(asn(AS)));
}

#[test]
fn as_many_paths_are_used_as_multipath_says_and_unlike_as_paths_only_when_relaxed() {
    let used = |multipath| {
        let mut bench = Bench::new();
        bench.rib.configure(Settings { multipath, ..settings() });
        for n in 1..=3u8 {
            let from = bench.peer(n, PeerKind::External);
            let first = 65000 + u32::from(n);
            bench.announce(from, &attributes(&[first], &format!("10.0.0.{n}")), &[PREFIX]);
        }
        bench.settle();
        bench.installed[&prefix(PREFIX)].len()
    };
    assert_eq!(used(Multipath::NONE), 1);
    assert_eq!(used(Multipath { ebgp: 2, ..Multipath::ALL }), 2);
    assert_eq!(used(Multipath { ibgp: 1, ..Multipath::ALL }), 3);
    assert_eq!(used(Multipath { relax_as_path: false, ..Multipath::ALL }), 1);
}

#[test]
fn link_bandwidth_gives_paths_their_parts_where_all_have_one() {
    let weights = |bandwidths: [Option<f32>; 2]| {
        let mut bench = Bench::new();
        let multipath = Multipath { link_bandwidth: true, ..Multipath::ALL };
        bench.rib.configure(Settings { multipath, ..settings() });
        for (n, bandwidth) in (1..).zip(bandwidths) {
            let from = bench.peer(n, PeerKind::External);
            let encode = |b| community::encode_link_bandwidth(65001, b, true);
            let path = attributes(&[65000 + u32::from(n)], &format!("10.0.0.{n}"));
            let extended_communities = bandwidth.map(encode).into_iter().collect();
            bench.announce(from, &Attributes { extended_communities, ..path }, &[PREFIX]);
        }
        bench.rib.next_hop(ip("10.0.0.1"), Some(1));
        bench.rib.next_hop(ip("10.0.0.2"), Some(1));
        while bench.rib.has_work() {
            bench.rib.work(10);
        }
        let best = std::iter::from_fn(|| bench.rib.poll_best()).last().unwrap();
        best.paths.iter().map(|path| path.weight).collect::<Vec<_>>()
    };
    assert_eq!(weights([Some(1e6), Some(4e6)]), [64, 256]);
    assert_eq!(weights([Some(4e6), Some(4e6)]), [1, 1]);
    assert_eq!(weights([Some(1e6), None]), [1, 1]);
}

#[test]
fn what_is_stale_for_long_is_the_last_choice_and_told_only_to_those_who_know_it() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let plain = bench.peer(2, PeerKind::External);
    let knows = bench.rib.add_peer(ip("10.0.0.3")).unwrap();
    bench
        .up(knows, SessionFacts { long_lived: FamilyFlags::ALL, ..session(3, PeerKind::External) });
    let other = bench.peer(4, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &[PREFIX, "10.2.0.0/24"]);
    let never =
        Attributes { communities: vec![community::NO_LLGR], ..attributes(&[65001], "10.0.0.1") };
    bench.announce(from, &never, &["10.3.0.0/24"]);
    bench.announce(other, &attributes(&[65004, 1, 2, 3], "10.0.0.4"), &["10.2.0.0/24"]);
    bench.settle();
    bench.heard.remove(&from);
    bench.rib.session_down(from, &Family::ALL.into_iter().collect());
    bench.settle();
    assert_eq!(bench.heard[&plain].routes.len(), 3);
    bench.rib.long_lived(from, Family::Ipv4);
    bench.settle();
    let heard = bench.hears(knows, PREFIX).unwrap();
    assert_eq!(heard.communities, [community::LLGR_STALE]);
    assert_eq!(bench.why(plain, PREFIX), "long-lived-stale");
    assert_eq!(bench.state("10.2.0.0/24"), Some(PathState::Best(Step::LongLivedStale)));
    assert_eq!(bench.installed[&prefix("10.2.0.0/24")], [ip("10.0.0.4")]);
    let dropped = PathState::Ineligible(Ineligible::NotLongLived);
    assert_eq!(bench.state("10.3.0.0/24"), Some(dropped));
    assert_eq!(bench.hears(knows, "10.3.0.0/24"), None);
    // Renewed, it is as good as ever.
    bench.up(from, session(1, PeerKind::External));
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &[PREFIX]);
    bench.rib.flush_stale(from, Family::Ipv4);
    bench.settle();
    assert!(bench.hears(plain, PREFIX).is_some());
    assert_eq!(bench.installed.len(), 2);
}

#[test]
fn a_path_with_an_as_set_counts_as_withdrawn_unless_it_is_wanted() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &[PREFIX]);
    bench.settle();
    assert!(bench.hears(to, PREFIX).is_some());
    let mut aggregate = attributes(&[65001], "10.0.0.1");
    aggregate.as_path.segments.push(Segment::Set(vec![7, 8]));
    bench.announce(from, &aggregate, &[PREFIX]);
    bench.settle();
    assert_eq!(bench.state(PREFIX), Some(PathState::Ineligible(Ineligible::AsSet)));
    assert_eq!(bench.hears(to, PREFIX), None);
    assert_eq!(bench.rib.in_counts(from, Family::Ipv4).accepted, 0);
    // Taken over without a reset and without asking the peer again, and back.
    let rules = Rules { accept_as_sets: true, ..Rules::default() };
    bench.rib.session_changed(from, with_rules(1, PeerKind::External, rules));
    bench.settle();
    assert_eq!(bench.hears(to, PREFIX).unwrap().as_path.to_string(), "65000 65001 {7,8}");
    bench.rib.session_changed(from, session(1, PeerKind::External));
    bench.settle();
    assert_eq!(bench.hears(to, PREFIX), None);
}

/// RFC 9774 §3: in AS4_PATH too, whether it is believed or not (RFC 6793 §4.2.3), and in the part of
/// AS_PATH that it stands for.
#[test]
fn a_set_behind_a_two_octet_session_is_seen() {
    let check = |path: &[u8], as4: &[u8], seen: bool| {
        let mut bench = Bench::new();
        let from = bench.peer(1, PeerKind::External);
        let options = Options { four_octet_as: false, ..Options::new(PeerKind::External) };
        let mut bytes = vec![0x40, 1, 1, 0, 0x40, 2, path.len() as u8];
        bytes.extend(path);
        if !as4.is_empty() {
            bytes.extend([0xC0, 17, as4.len() as u8]);
            bytes.extend(as4);
        }
        let next_hop = BgpNextHop::from(ip("10.0.0.1"));
        let frames = pack(&bytes, &next_hop, [prefix(PREFIX)], &options).unwrap();
        let Ok(Message::Update(update)) = decode(&frames[0], &options) else { panic!() };
        assert_eq!(bench.rib.update(from, &options, &update).malformed, []);
        bench.settle();
        let state = Some(PathState::Ineligible(Ineligible::AsSet));
        assert_eq!(bench.state(PREFIX) == state, seen, "{path:?} {as4:?}");
    };
    // AS numbers 1 and 2, a sequence, and 1 with a set behind it.
    let (two, set) = ([2, 2, 0, 1, 0, 2], [2, 1, 0, 1, 1, 2, 0, 7, 0, 8]);
    let two4 = [2, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    check(&two, &two4, false);
    check(&set, &[], true);
    // AS4_PATH stands for the set.
    check(&set, &two4, true);
    // It has one, and is too long to be believed.
    check(&two, &[2, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 0, 0, 0, 7], true);
    check(&two, &[2, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 7], true);
    // AS_CONFED_SET, which is passed over.
    check(&two, &[4, 1, 0, 0, 0, 7, 2, 2, 0, 0, 0, 1, 0, 0, 0, 2], true);
}

/// RFC 3765: by our role it is known who is a peer, and not a customer or a provider.
#[test]
fn no_peer_keeps_a_route_from_peers_alone() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let told = |kind, role| {
        let mut bench = Bench::new();
        let from = bench.peer(1, PeerKind::External);
        let to = bench.peer_with(2, kind, Rules { role, ..Rules::default() });
        let communities = vec![community::NO_PEER];
        let learned = Attributes { communities, ..attributes(&[65001], "10.0.0.1") };
        bench.announce(from, &learned, &[PREFIX]);
        bench.rib.originate(
            &prefix("10.2.0.0/24"),
            Some(&OwnRoute { communities: vec![community::NO_PEER], ..own() }),
        );
        bench.settle();
        // It binds those who receive it.
        assert_eq!(bench.why(to, "10.2.0.0/24"), "announced");
        bench.why(to, PREFIX)
    };
    assert_eq!(told(PeerKind::External, Some(Peer)), "no-peer");
    for role in [Customer, Provider, RouteServer, RouteServerClient] {
        assert_eq!(told(PeerKind::External, Some(role)), "announced");
    }
    assert_eq!(told(PeerKind::External, None), "announced");
    assert_eq!(told(PeerKind::Internal, Some(Peer)), "announced");
}

#[test]
fn the_fib_is_told_when_link_bandwidths_begin_or_cease_to_count() {
    let mut bench = Bench::new();
    for n in [1u8, 2] {
        let from = bench.peer(n, PeerKind::External);
        let bandwidth = community::encode_link_bandwidth(65000, f32::from(n), false);
        let path = attributes(&[65000 + u32::from(n)], &format!("10.0.0.{n}"));
        bench.announce(
            from,
            &Attributes { extended_communities: vec![bandwidth], ..path },
            &[PREFIX],
        );
    }
    bench.settle();
    for (link_bandwidth, expect) in [(true, [128, 256]), (false, [1, 1])] {
        let multipath = Multipath { link_bandwidth, ..Multipath::ALL };
        bench.rib.configure(Settings { multipath, ..settings() });
        while bench.rib.has_work() {
            bench.rib.work(100);
        }
        let best = bench.rib.poll_best().unwrap();
        let weights: Vec<u32> = best.paths.iter().map(|path| path.weight).collect();
        assert_eq!(weights, expect);
    }
}

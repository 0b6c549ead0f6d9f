use super::*;

fn client() -> Rules {
    Rules { reflector_client: true, ..Rules::default() }
}

fn learned(hop: &str) -> Attributes {
    Attributes { local_pref: Some(100), ..attributes(&[], hop) }
}

#[test]
fn a_clients_routes_go_to_all_and_others_to_clients_only() {
    let mut bench = Bench::new();
    let clients = [1, 2].map(|n| bench.peer_with(n, PeerKind::Internal, client()));
    let others = [3, 4].map(|n| bench.peer(n, PeerKind::Internal));
    bench.announce(clients[0], &learned("10.9.9.1"), &["10.1.0.0/24"]);
    bench.announce(others[0], &learned("10.9.9.3"), &["10.3.0.0/24"]);
    bench.settle();
    for id in [clients[1], others[0], others[1]] {
        let heard = bench.hears(id, "10.1.0.0/24").unwrap();
        assert_eq!(heard.originator_id, Some("2.2.2.1".parse().unwrap()));
        assert_eq!(heard.cluster_list, ["1.1.1.1".parse::<std::net::Ipv4Addr>().unwrap()]);
        assert_eq!(heard.next_hop.address, ip("10.9.9.1"));
    }
    assert_eq!(bench.why(clients[0], "10.1.0.0/24"), "split-horizon");
    for id in clients {
        assert!(bench.hears(id, "10.3.0.0/24").is_some());
    }
    assert_eq!(bench.why(others[1], "10.3.0.0/24"), "internal-to-internal");
}

#[test]
fn a_path_with_our_cluster_or_from_ourselves_is_a_loop() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::Internal);
    let id = |text: &str| text.parse().unwrap();
    let through = Attributes { cluster_list: vec![id("5.5.5.5")], ..learned("10.9.9.1") };
    let ours = Attributes { originator_id: Some(id("1.1.1.1")), ..learned("10.9.9.1") };
    bench.announce(from, &through, &["10.1.0.0/24"]);
    bench.announce(from, &ours, &["10.2.0.0/24"]);
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
    let why = PathState::Ineligible(Ineligible::OwnOriginator);
    assert_eq!(bench.state("10.2.0.0/24"), Some(why));
    // The cluster id can change while sessions are up.
    let cluster_id = Some("5.5.5.5".parse().unwrap());
    bench.rib.configure(Settings { cluster_id, ..settings() });
    bench.settle();
    let why = PathState::Ineligible(Ineligible::ClusterLoop);
    assert_eq!(bench.state("10.1.0.0/24"), Some(why));
    assert_eq!(bench.installed.len(), 0);
    bench.rib.configure(settings());
    bench.settle();
    assert_eq!(bench.installed.len(), 1);
}

#[test]
fn a_peer_becomes_a_client_while_its_session_is_up() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::Internal);
    let to = bench.peer(2, PeerKind::Internal);
    bench.announce(from, &learned("10.9.9.1"), &["10.1.0.0/24"]);
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 0);
    bench.rib.session_changed(from, with_rules(1, PeerKind::Internal, client()));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 1);
    bench.rib.session_changed(from, session(1, PeerKind::Internal));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 0);
    bench.rib.session_changed(to, with_rules(2, PeerKind::Internal, client()));
    bench.settle();
    assert_eq!(bench.heard[&to].routes.len(), 1);
}

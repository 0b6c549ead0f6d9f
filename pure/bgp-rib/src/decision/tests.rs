use super::*;

fn at(address: &str) -> &'static ScopedAddr {
    Box::leak(Box::new(address.parse().unwrap()))
}

/// A plain eBGP path; each test changes what it is about.
fn path() -> Candidate<'static> {
    Candidate {
        ineligible: None,
        local: false,
        long_lived_stale: false,
        weight: 0,
        local_pref: 100,
        path_len: 2,
        origin: 0,
        med: 0,
        neighbor_as: 65001,
        external: true,
        metric: 10,
        path_hash: 1,
        discard: false,
        router_id: 5,
        cluster_len: 0,
        address: at("10.0.0.5"),
        path_id: 0,
    }
}

/// The first of `candidates` must win whatever the order, the others go out at `steps`.
fn check(candidates: &[Candidate], steps: &[Step]) {
    for rotation in 0..candidates.len() {
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.rotate_left(rotation);
        let shuffled: Vec<Candidate> = order.iter().map(|i| candidates[*i]).collect();
        let (mut chosen, mut lost) = (Vec::new(), Vec::new());
        decide(&shuffled, &Multipath::NONE, &mut chosen, |i, step| lost.push((order[i], step)));
        assert_eq!(chosen.iter().map(|i| order[*i]).collect::<Vec<_>>(), [0]);
        lost.sort();
        let expect: Vec<_> = steps.iter().enumerate().map(|(i, step)| (i + 1, *step)).collect();
        assert_eq!(lost, expect, "rotated by {rotation}");
    }
}

#[test]
fn each_step_decides_when_all_before_it_are_equal_even_if_all_after_it_say_otherwise() {
    let worst_after = Candidate { router_id: 9, cluster_len: 9, address: at("10.0.0.9"), ..path() };
    check(&[Candidate { local: true, local_pref: 1, ..path() }, path()], &[Step::Local]);
    check(&[Candidate { local_pref: 101, path_len: 9, ..path() }, path()], &[Step::LocalPref]);
    check(&[Candidate { path_len: 1, origin: 2, ..path() }, path()], &[Step::AsPathLength]);
    let egp = Candidate { origin: 1, ..path() };
    check(&[Candidate { med: 7, ..path() }, egp], &[Step::Origin]);
    let med = Candidate { med: 1, ..path() };
    check(&[Candidate { external: false, ..path() }, med], &[Step::Med]);
    let internal = Candidate { external: false, metric: 1, ..path() };
    check(&[Candidate { metric: 99, ..path() }, internal], &[Step::ExternalOverInternal]);
    check(&[worst_after, Candidate { metric: 11, ..path() }], &[Step::NextHopMetric]);
    let id = Candidate { router_id: 6, ..path() };
    check(&[Candidate { cluster_len: 9, ..path() }, id], &[Step::RouterId]);
    let cluster = Candidate { cluster_len: 1, address: at("10.0.0.1"), ..path() };
    check(&[path(), cluster], &[Step::ClusterListLength]);
    let address = Candidate { address: at("10.0.0.6"), ..path() };
    check(&[path(), address], &[Step::PeerAddress]);
    let on = |link: &str, path_id| {
        let address = at(&format!("fe80::1%{link}"));
        Candidate { address, path_id, ..path() }
    };
    check(&[on("eth0", 9), on("eth1", 1)], &[Step::PeerLink]);
    check(&[on("eth0", 1), on("eth0", 9)], &[Step::PathId]);
}

#[test]
fn med_compares_within_one_neighboring_as_whatever_the_order_of_arrival() {
    // The classic: a beats b by router id, b beats c by MED, c beats a by nothing but order.
    let a = Candidate { neighbor_as: 65001, med: 10, router_id: 3, ..path() };
    let b = Candidate { neighbor_as: 65002, med: 5, router_id: 4, ..path() };
    let c = Candidate { neighbor_as: 65002, med: 9, router_id: 1, ..path() };
    check(&[a, b, c], &[Step::RouterId, Step::Med]);
}

#[test]
fn multipath_takes_all_that_are_equal_up_to_the_metric_and_no_other() {
    let candidates = [
        Candidate { router_id: 9, neighbor_as: 65001, ..path() },
        Candidate { router_id: 1, neighbor_as: 65002, ..path() },
        Candidate { metric: 11, ..path() },
        Candidate { external: false, ..path() },
        Candidate { ineligible: Some(Ineligible::UnresolvedNextHop), ..path() },
    ];
    let (mut chosen, mut lost) = (Vec::new(), Vec::new());
    decide(&candidates, &Multipath::ALL, &mut chosen, |i, step| lost.push((i, step)));
    assert_eq!(chosen, [1, 0]);
    assert_eq!(lost, [(3, Step::ExternalOverInternal), (2, Step::NextHopMetric)]);
}

#[test]
fn nothing_eligible_is_nothing_chosen() {
    let dead = Candidate { ineligible: Some(Ineligible::Dead), ..path() };
    let mut chosen = vec![7];
    decide(&[dead], &Multipath::ALL, &mut chosen, |_, _| {
        panic!("an ineligible path does not lose")
    });
    assert!(chosen.is_empty());
}

#[test]
fn no_more_paths_are_used_than_the_limit() {
    let many: Vec<Candidate> =
        (0..100).map(|id| Candidate { router_id: 100 - id, ..path() }).collect();
    let mut chosen = Vec::new();
    let mut lost = 0;
    decide(&many, &Multipath::ALL, &mut chosen, |_, step| {
        assert_eq!(step, Step::RouterId);
        lost += 1;
    });
    assert_eq!((chosen.len(), lost, chosen[0]), (MAX_PATHS, 100 - MAX_PATHS, 99));
}

use super::policy::rejects_within;
use super::*;

#[test]
fn each_step_of_the_decision_is_shown_until_one_path_is_left() {
    let mut bench = Bench::new();
    for (n, path) in [(1u8, &[65001, 1][..]), (2, &[65002]), (3, &[65003])] {
        let from = bench.peer(n, PeerKind::External);
        bench.announce(from, &attributes(path, &format!("10.0.0.{n}")), &["10.1.0.0/24"]);
    }
    bench.rib.configure(Settings { multipath: Multipath::NONE, ..settings() });
    bench.settle();
    let explained = bench.rib.explain_best(&prefix("10.1.0.0/24"));
    let peers: Vec<_> = explained.paths.iter().map(|path| path.peer.0).collect();
    assert_eq!((peers[0], peers.len()), (2, 3));
    let outs: Vec<_> = explained
        .steps
        .iter()
        .filter(|step| !step.out.is_empty())
        .map(|step| (step.step, step.out.iter().map(|i| peers[*i]).collect::<Vec<_>>()))
        .collect();
    assert_eq!(outs, [(Step::AsPathLength, vec![1]), (Step::RouterId, vec![3])]);
    assert_eq!(explained.steps[0].step, Step::Local);
    let last = explained.steps.last().unwrap();
    assert_eq!(last.values[0].as_deref(), Some("2.2.2.2"));
    assert_eq!(last.values.iter().filter(|value| value.is_none()).count(), 1);
    assert_eq!(bench.rib.explain_best(&prefix("10.9.0.0/24")).paths, []);
}

#[test]
fn an_export_says_the_reason_the_statement_and_what_is_sent() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let rules = Rules { export: Some(rejects_within("10.1.0.0/16")), ..Rules::default() };
    let to = bench.peer_with(2, PeerKind::External, rules);
    let both = ["10.1.0.0/24", "10.2.0.0/24"];
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &both);
    bench.settle();
    let refused = bench.rib.explain_export(to, &prefix(both[0]));
    assert_eq!(refused.reason, Reason::RejectedByPolicy);
    let decided = refused.paths[0].policy.as_ref().unwrap().decided.clone();
    let number = match decided {
        bgp_policy::Decided::Statement { number, .. } => number,
        other => panic!("{other:?}"),
    };
    assert_eq!((number, refused.paths[0].sent.as_ref()), (1, None));
    let sent = bench.rib.explain_export(to, &prefix(both[1]));
    assert_eq!(sent.reason, Reason::Announced);
    assert_eq!(sent.paths[0].sent.as_ref(), bench.hears(to, both[1]));
    assert_eq!(bench.rib.explain_export(from, &prefix(both[1])).reason, Reason::SplitHorizon);
}

#[test]
fn pages_give_each_row_once_and_filters_choose() {
    let mut bench = Bench::new();
    let from = bench.peer(1, PeerKind::External);
    let to = bench.peer(2, PeerKind::External);
    let texts: Vec<String> = (0..200).map(|n| format!("10.{}.{n}.0/24", n % 2)).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &all);
    bench.announce(from, &attributes(&[65001], "10.0.0.1"), &["0.0.0.0/0"]);
    bench.settle();
    let prefixes = |view, filter, limit| {
        let query = Query { family: Family::Ipv4, view, filter };
        let (mut seen, mut next) = (Vec::new(), Some(Cursor::default()));
        while let Some(cursor) = next {
            let page = bench.rib.page(&query, cursor, limit);
            assert!(page.rows.len() <= limit);
            seen.extend(page.rows.iter().map(|row| row.prefix));
            next = page.next;
        }
        seen
    };
    for view in [View::Received(from), View::Accepted(from), View::Paths, View::Used] {
        let seen = prefixes(view, Filter::All, 7);
        assert_eq!(seen.len(), 201);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 201);
    }
    assert_eq!(prefixes(View::Sent(to), Filter::All, 50).len(), 201);
    assert_eq!(prefixes(View::Sent(from), Filter::All, 50).len(), 0);
    assert_eq!(prefixes(View::Received(to), Filter::All, 50).len(), 0);
    let within = Filter::Within(prefix("10.1.0.0/16"));
    assert_eq!(prefixes(View::Paths, within, 7).len(), 100);
    let exact = Filter::Exact(prefix("10.1.3.0/24"));
    assert_eq!(prefixes(View::Paths, exact, 7), [prefix("10.1.3.0/24")]);
    let longest = |text| prefixes(View::Used, Filter::LongestMatch(ip(text)), 7);
    assert_eq!(longest("10.1.3.9"), [prefix("10.1.3.0/24")]);
    assert_eq!(longest("11.0.0.1"), [prefix("0.0.0.0/0")]);
}

#[test]
fn of_paths_used_together_it_is_shown_which_one_is_announced_and_why() {
    let mut bench = Bench::new();
    for (n, path) in [(1u8, &[65001, 1][..]), (2, &[65002]), (3, &[65003]), (4, &[65004])] {
        let from = bench.peer(n, PeerKind::External);
        bench.announce(from, &attributes(path, &format!("10.0.0.{n}")), &["10.1.0.0/24"]);
    }
    let explain = |bench: &mut Bench, ebgp| {
        let multipath = Multipath { ebgp, ..Multipath::ALL };
        bench.rib.configure(Settings { multipath, ..settings() });
        bench.settle();
        let explained = bench.rib.explain_best(&prefix("10.1.0.0/24"));
        let peers: Vec<_> = explained.paths.iter().map(|path| path.peer.0).collect();
        let names = |all: &[usize]| all.iter().map(|i| peers[*i]).collect::<Vec<_>>();
        let steps = explained.steps.iter().map(|s| (s.step, names(&s.out), names(&s.behind)));
        let values = explained.steps.last().unwrap().values.clone();
        (steps.filter(|(_, out, behind)| !out.is_empty() || !behind.is_empty()).collect(), values)
    };
    let (steps, values): (Vec<_>, _) = explain(&mut bench, 64);
    let longer = (Step::AsPathLength, vec![1], vec![]);
    assert_eq!(steps, [longer.clone(), (Step::RouterId, vec![], vec![3, 4])]);
    assert_eq!(values.iter().flatten().collect::<Vec<_>>(), ["2.2.2.2", "2.2.2.3", "2.2.2.4"]);
    let (steps, _) = explain(&mut bench, 2);
    assert_eq!(steps, [longer, (Step::RouterId, vec![4], vec![3])]);
}

/// Two links to one router: all that RFC 4271 §9.1.2.2 compares is equal.
#[test]
fn of_parallel_links_the_first_by_name_is_announced_whichever_came_first() {
    for order in [["eth0", "eth1"], ["eth1", "eth0"]] {
        let mut bench = Bench::new();
        bench.rib.configure(Settings { multipath: Multipath::NONE, ..settings() });
        for link in order {
            let address: inet::ScopedAddr = format!("fe80::1%{link}").parse().unwrap();
            let id = bench.rib.add_peer(address).unwrap();
            bench.up(id, session(1, PeerKind::External));
            bench.announce(id, &attributes(&[65001], "fd01::1"), &["fd00:1::/64"]);
        }
        bench.settle();
        let explained = bench.rib.explain_best(&prefix("fd00:1::/64"));
        let best = bench.rib.address(explained.paths[0].peer).unwrap();
        assert_eq!(best.to_string(), "fe80::1%eth0", "{order:?}");
        let last = explained.steps.last().unwrap();
        assert_eq!((last.step.to_string(), &last.out[..]), ("peer-link".to_owned(), &[1][..]));
        assert_eq!(last.values.iter().flatten().collect::<Vec<_>>(), ["eth0", "eth1"]);
    }
}

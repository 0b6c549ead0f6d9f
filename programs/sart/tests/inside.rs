//! Commands that show why: tables, decisions, policies, BFD, events; and resets and documents.

#![allow(clippy::unwrap_used)]

mod world;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use node_api::v1::{self, event::What};
use world::{Router, check, json};

#[test]
fn an_explanation_compares_each_step() {
    let router = Router::start();
    let output = router.sart(&["bgp", "explain", "10.0.1.7"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = text.lines().map(words).collect();
    let has = |line: &[&str]| assert!(lines.iter().any(|l| l == line), "{line:?} is not in {text}");
    has(&["PATH", "local-pref", "as-path-length"]);
    has(&["#1", "100", "2"]);
    has(&["#2", "50", "(out)", "-"]);
    // The third was never compared.
    assert_eq!(lines.iter().filter(|l| l.first().is_some_and(|w| w == "#3")).count(), 1, "{text}");
    has(&["9.9.9.9", "yes", "policy", "from-spines,", "statement", "1"]);
    has(&["9.9.9.9", "no", "split-horizon", "-"]);
    has(&["fe80::1", "no", "policy-rejects", "the", "default", "of", "policy", "to-leaf"]);
    assert!(!text.contains("does not match"), "{text}");
    check(&router, &["bgp", "explain", "10.9.0.0/16"], 0, &["no route"]);
}

#[test]
fn an_explanation_for_a_neighbor_names_each_statement() {
    let router = Router::start();
    let explain = ["bgp", "explain", "10.0.1.7", "--neighbor"];
    let fully = [
        "To fe80::1, the path from 9.9.9.9: policy-rejects",
        "rejected: the default of policy to-leaf",
        "to-leaf statement 1 (ours): does not match: prefix",
    ];
    check(&router, &[&explain[..], &["leaf"]].concat(), 0, &fully);
    let only = json(&router, &[&explain[..], &["eth7"]].concat());
    assert_eq!(only["advertisements"].as_array().unwrap().len(), 1);
    assert_eq!(only["imports"].as_array().unwrap().len(), 0);
    let unknown = "there is no neighbor \"x\"; there are: spine0, leaf";
    check(&router, &[&explain[..], &["x"]].concat(), 2, &[unknown]);
    let wrong = "there is no neighbor 5.5.5.5";
    check(&router, &[&explain[..], &["5.5.5.5"]].concat(), 2, &[wrong]);
}

#[test]
fn tables_are_shown_with_filters() {
    let router = Router::start();
    let rib = |more: &[&str], code, words: &[&str]| {
        check(&router, &[&["bgp", "rib"], more].concat(), code, words);
    };
    rib(&[], 0, &["loc ipv4", "10.1.0.0/16", "10.2.0.0/16", "BEST"]);
    rib(&["loc", "--neighbor", "spine0", "-a", "ipv6"], 0, &["loc ipv6", "9.9.9.9"]);
    rib(&["in", "--neighbor", "leaf", "--accepted"], 0, &["in ipv4 fe80::1", "accepted"]);
    rib(&["out", "--neighbor", "9.9.9.9", "--longer", "2001:db8::/32"], 0, &["out ipv6 9.9.9.9"]);
    rib(&["--longer", "10.0.0.0/8", "--as-path", "65001 .*"], 0, &["10.0.0.0/8 65001 .*"]);
    rib(&["--longest", "2001:db8::7"], 0, &["loc ipv6", "2001:db8::7"]);
    rib(&["in"], 2, &["`in` is the table of one neighbor", "there are: spine0, leaf"]);
    rib(&["loc", "--accepted"], 2, &["--accepted is for the table `in`"]);
    rib(&["--longer", "10.0.0.0/8", "-a", "ipv6"], 2, &["10.0.0.0/8 is not of the family ipv6"]);
    rib(&["loc", "10.0.0.0/8", "--longest", "10.0.0.1"], 2, &["cannot be used with"]);
    rib(&["sideways"], 2, &["[possible values: loc, in, out]"]);
    // The table may be left out, and an address is its longest match.
    rib(&["2001:db8::/32"], 0, &["loc ipv6"]);
    rib(&["2001:db8::7"], 0, &["loc ipv6", "2001:db8::7"]);
    rib(&["in", "10.0.0.7", "--neighbor", "leaf"], 0, &["in ipv4 fe80::1", "10.0.0.7"]);
    rib(&["10.0.0.1", "10.0.0.2"], 2, &["say one prefix or address"]);
    rib(&["10.0.0.1", "--longer", "10.0.0.0/8"], 2, &["cannot be used with --longer"]);
    check(&router, &["bgp", "neighbor", "rib", "leaf", "-k", "out"], 0, &["out ipv4 fe80::1"]);
    check(&router, &["bgp", "neighbor", "get", "spine0"], 0, &["Neighbor 9.9.9.9"]);
    let keys = ["tcp-ao", "1 first (hmac-sha1-96), 2/3 (hmac-sha256 without options)"];
    check(&router, &["bgp", "neighbor", "get", "spine0"], 0, &keys);
    check(&router, &["bgp", "status"], 0, &["AS number:   65010"]);
    // What is sent has no column for where it came from.
    let sent = router.sart(&["bgp", "rib", "out", "--neighbor", "leaf"]);
    assert!(!String::from_utf8_lossy(&sent.stdout).contains("FROM"));
}

#[test]
fn pages_in_the_tables_own_order_are_sorted() {
    let router = Router::start();
    let routes = json(&router, &["bgp", "rib", "--community", "1:1"]);
    let prefixes: Vec<_> = routes.as_array().unwrap().iter().map(|r| &r["prefix"]).collect();
    assert_eq!(prefixes, ["10.3.0.0/16", "10.20.0.0/16"]);
}

#[test]
fn a_long_table_is_written_part_by_part() {
    let router = Router::start();
    let long = ["bgp", "rib", "--community", "2:2"];
    let text = String::from_utf8(router.sart(&long).stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 15_001);
    assert_eq!(lines.iter().filter(|line| line.contains("PREFIX")).count(), 1);
    let routes = json(&router, &long);
    let routes = routes.as_array().unwrap();
    assert_eq!((routes.len(), &routes[14_999]["prefix"]), (15_000, &"10.142.151.0/24".into()));
    let yaml = router.sart(&[&["-o", "yaml"], &long[..]].concat());
    let yaml = String::from_utf8(yaml.stdout).unwrap();
    assert_eq!(yaml.lines().filter(|line| line.starts_with("- prefix: ")).count(), 15_000);
}

#[test]
fn resets_say_what_was_done() {
    let router = Router::start();
    let reset = |more: &[&str], code, words: &[&str]| {
        check(&router, &[&["bgp", "reset"], more].concat(), code, words);
    };
    reset(&["spine0", "--soft", "in"], 0, &["9.9.9.9 soft-in \"\": is asked for its routes again"]);
    let both = ["soft \"\": is asked", "fe80::1: nothing is done: not-established"];
    reset(&["--soft", "both"], 0, &both);
    reset(&["--all", "--message", "new optics"], 0, &["hard \"new optics\": the session begins"]);
    reset(&["leaf", "--soft", "out"], 2, &["nothing is reset: fe80::1 (not-established)"]);
    reset(&[], 2, &["say which neighbor's session ends, or --all"]);
    reset(&["spine0", "--all"], 2, &["cannot be used with"]);
    reset(&["spine0", "--soft", "in", "--message", "x"], 2, &["cannot be used with"]);
}

#[test]
fn a_document_is_planned_before_it_is_applied() {
    let router = Router::start();
    let quiet = router.file("quiet.yaml", "asn: 1\n");
    let harsh = router.file("harsh.yaml", "hold_time: 9\n");
    let wrong = router.file("wrong.yaml", "broken: 1\n");
    let apply = |more: &[&str]| router.sart(&[&["bgp", "apply", "-f"], more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    // The generation after the one that the router has of this owner.
    let done = apply(&[&quiet]);
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()));
    assert_eq!(text(&done.stdout).trim(), "5 of apply");
    let planned = text(&apply(&[&harsh, "--dry-run", "--owner", "x"]).stdout);
    let would = "planned: 1 of x\nsession with 9.9.9.9 would be reset: hold_time changed";
    assert_eq!(planned.trim(), would);

    let done = apply(&[&harsh]);
    let before = "sart: the session with 9.9.9.9 will be reset: hold_time changed\n";
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), before.to_owned()));
    assert!(text(&done.stdout).contains("is reset: hold_time changed"));
    let kept = apply(&[&harsh, "--keep-sessions"]);
    let refusal = "sart: nothing is changed: it resets 9.9.9.9 (hold_time changed)\n";
    assert_eq!((kept.status.code(), text(&kept.stderr)), (Some(2), refusal.to_owned()));

    // The router decides in the one call, whatever the plan was.
    let later = router.file("later.yaml", "meanwhile: 1\n");
    assert_eq!(apply(&[&later]).status.code(), Some(0));
    let kept = apply(&[&later, "--keep-sessions"]);
    let refusal = format!(
        "sart: {later}: nothing is changed: it resets 9.9.9.9 (asn changed) (resets-sessions)\n"
    );
    assert_eq!((kept.status.code(), text(&kept.stderr)), (Some(2), refusal));

    let refused = apply(&[&wrong]);
    let place = format!("sart: {wrong}:1:3: broken is unknown (unknown-key)\n");
    assert_eq!((refused.status.code(), text(&refused.stderr)), (Some(2), place));
    let absent = apply(&["/nonexistent/router.yaml"]);
    assert!(text(&absent.stderr).contains("/nonexistent/router.yaml: No such file"));
}

#[test]
fn changes_can_be_planned() {
    let router = Router::start();
    let planned = |command: &[&str], words: &str| check(&router, command, 0, &[words]);
    planned(&["bgp", "forget", "x", "--dry-run"], "planned: forget x");
    planned(&["bgp", "global", "set", "--asn", "1", "--dry-run"], "planned: asn: 1");
    planned(&["bgp", "neighbor", "add", "10.0.0.1", "1", "--dry-run"], "planned: neighbors:");
    planned(&["bgp", "neighbor", "del", "10.0.0.1", "--dry-run"], "planned: remove neighbor");
    planned(&["bgp", "global", "rib", "add", "10.0.0.0/24", "--dry-run"], "planned: paths:");
    planned(&["bgp", "global", "rib", "del", "10.0.0.0/24", "--dry-run"], "planned: remove path");
    check(&router, &["bgp", "global", "set", "--dry-run"], 2, &["--asn"]);
    let forgotten = router.sart(&["bgp", "forget", "x"]);
    assert_eq!(String::from_utf8_lossy(&forgotten.stdout).trim(), "forget x");
}

#[test]
fn policies_are_listed_and_shown() {
    let router = Router::start();
    let listed = ["from-spines", "9.9.9.9", "prefix-list"];
    check(&router, &["bgp", "policy", "list"], 0, &listed);
    check(&router, &["bgp", "global", "policy"], 0, &listed);
    let list = json(&router, &["bgp", "policy", "list"]);
    assert_eq!(list[0]["import_of"][0], "9.9.9.9");
    let shown = ["# prefix-list ours of file", "written: ours"];
    check(&router, &["bgp", "policy", "show", "ours"], 0, &shown);
    check(&router, &["bgp", "policy", "show", "x"], 2, &["there is no policy x"]);
    check(&router, &["bgp", "neighbor", "policy"], 0, &["spine0", "from-spines", "EXPORT"]);
    let one = ["# import: from-spines", "# export: none", "written: from-spines"];
    check(&router, &["bgp", "neighbor", "policy", "9.9.9.9"], 0, &one);
    check(&router, &["bgp", "neighbor", "policy", "5.5.5.5"], 2, &["there is no neighbor"]);
}

#[test]
fn bfd_sessions_are_shown() {
    let router = Router::start();
    check(&router, &["bgp", "bfd"], 0, &["Down", "AdminDown", "900 ms", "Control Detection Time"]);
    check(&router, &["-o", "wide", "bgp", "bfd"], 0, &["MULTIHOP", "77"]);
    check(&router, &["bgp", "bfd", "spine0"], 0, &["0 times up, 3 times down", "77 out"]);
    assert_eq!(json(&router, &["bgp", "bfd", "spine0"])["bfd"]["detection_time"], 900);
    check(&router, &["bgp", "bfd", "leaf"], 2, &["BFD does not watch the neighbor fe80::1"]);
}

#[test]
fn a_neighbor_says_why_it_is_not_up() {
    let router = Router::start();
    let fully = [
        "Idle because:  max-prefixes, until 2000-02-29T00:00:00Z",
        "code:        6/1 Cease, Maximum Number of Prefixes Reached",
        "in state:    Established",
        "its data:    00010100000064",
        "decoded:     at most 100 prefixes of ipv4",
        "Offered:       route-refresh; four-octet-as 65000",
        "It offers:     ipv4-unicast",
        "4711",
    ];
    check(&router, &["bgp", "neighbors", "leaf"], 0, &fully);
    let told = json(&router, &["bgp", "neighbors", "leaf"]);
    assert_eq!(told["capabilities_received"], serde_json::json!(["ipv4-unicast"]));
    assert!(told["capabilities_sent"].is_array());
    check(&router, &["bgp", "neighbors"], 0, &["Idle (max-prefixes)"]);
    check(&router, &["bgp", "neighbors", "spine0"], 0, &["BFD:           Down (Control"]);
}

/// Starts a watch, and waits until the router knows of it.
#[track_caller]
fn watching(router: &Router, arguments: &[&str]) -> Child {
    let mut command = router.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !router.events().is_watched() {
        assert!(Instant::now() < until, "{arguments:?} does not watch");
        std::thread::yield_now();
    }
    child
}

fn session(neighbor: &str) -> What {
    What::Session(v1::SessionEvent {
        neighbor: neighbor.to_owned(),
        name: "spine0".to_owned(),
        state: v1::SessionState::Idle as i32,
        reason: "hold timer".to_owned(),
    })
}

#[test]
fn events_are_told_as_they_happen() {
    let router = Router::start();
    let child = watching(&router, &["watch", "-n", "2"]);
    router.events().tell(0, What::Best(v1::BestEvent::default()));
    router.events().tell(951_782_400, session("9.9.9.9"));
    let condition =
        v1::Condition { name: "ListenFailed".to_owned(), message: "port 179".to_owned() };
    let holds = v1::ConditionEvent { condition: Some(condition), holds: true };
    router.events().tell(951_782_401, What::Condition(holds));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let expect = "2000-02-29T00:00:00Z  session    9.9.9.9 (spine0) Idle: hold timer\n\
                  2000-02-29T00:00:01Z  condition  ListenFailed: port 179\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expect);
}

#[test]
fn programs_read_one_object_a_line() {
    let router = Router::start();
    let best = ["-o", "json", "bgp", "watch", "--prefix", "10.0.0.0/8"];
    let mut child = watching(&router, &best);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for (prefix, hops) in [("11.0.0.0/8", vec![]), ("10.1.0.0/16", vec!["10.0.0.1".to_owned()])] {
        let best = v1::BestEvent { prefix: prefix.to_owned(), next_hops: hops };
        router.events().tell(7, What::Best(best));
    }
    let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let expect = serde_json::json!(
        {"at": 7, "best": {"prefix": "10.1.0.0/16", "next_hops": ["10.0.0.1"]}}
    );
    assert_eq!(line, expect);
    // A router that stops is an error, not the end of what happens.
    drop(router);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"sart: "));
}

#[test]
fn a_watch_that_can_tell_nothing_is_refused() {
    let router = Router::start();
    let kind = ["watch", "--kind", "session", "--prefix", "10.0.0.0/8"];
    check(&router, &kind, 2, &["--prefix is for events of the kind `best`"]);
    let kind = ["watch", "--kind", "best", "--neighbor", "spine0"];
    check(&router, &kind, 2, &["--neighbor is for events of the kind `session`"]);
    check(&router, &["watch", "--kind", "rain"], 2, &["[possible values: session, best"]);
}

#[test]
fn a_reload_says_what_it_resets_before_it_does() {
    let router = Router::start();
    let reload = ["bgp", "reload"];
    check(
        &router,
        &[&reload[..], &["--dry-run"]].concat(),
        0,
        &["planned: 0 of file", "session with 9.9.9.9 would be reset: hold_time changed"],
    );
    check(
        &router,
        &[&reload[..], &["--keep-sessions"]].concat(),
        2,
        &["nothing is changed: it resets 9.9.9.9 (hold_time changed)"],
    );
    check(&router, &reload, 0, &["0 of file", "session with 9.9.9.9 is reset: hold_time changed"]);
    let said = router.sart(&reload).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("the session with 9.9.9.9 will be reset"), "{said}");
    assert_eq!(json(&router, &reload)["accepted"], true);
}

#[test]
fn stations_and_files_are_shown() {
    let router = Router::start();
    let stations = ["bgp", "bmp", "list"];
    let words = ["10.0.0.9:11019", "Waiting", "pre_policy,loc_rib", "77", "too-slow"];
    check(&router, &stations, 0, &words);
    check(&router, &[&stations[..], &["-o", "wide"]].concat(), 0, &["BYTES", "ERROR AGE"]);
    assert_eq!(json(&router, &stations)[0]["losses"], 3);
    let files = ["bgp", "mrt", "show"];
    let words = ["/var/lib/sart/mrt/rib.20261121.170000.mrt", "2000-02-29T00:00:00Z"];
    check(&router, &files, 0, &words);
    assert_eq!(json(&router, &files)["lost_records"], 0);
}

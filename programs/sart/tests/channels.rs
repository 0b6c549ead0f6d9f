//! `sart fib`, against a router and a FIB controller that answer as told.

#![allow(clippy::unwrap_used)]

mod world;

use world::{Router, check, json, sart};

#[test]
fn what_the_router_wants_in_the_kernel_is_listed() {
    let router = Router::start();
    let words = ["WANTED", "KERNEL HOLDS", "10.0.0.0/8", "ipv4%eth0", "ipv4%eth1*2", "254"];
    check(&router, &["fib", "list"], 0, &words);
    check(&router, &["fib", "list", "-a", "ipv6"], 0, &["ipv6%eth0"]);
    check(&router, &["fib", "get", "2001:db8::/32"], 0, &["ipv6%eth0"]);
    let entry = &json(&router, &["fib", "list"])[0];
    assert_eq!(entry["installed"], false);
    assert_eq!(entry["kernel_next_hops"][0], "ipv4%eth1*2");
}

#[test]
fn channels_are_shown() {
    let router = Router::start();
    let channel = |more: &[&str], code, words: &[&str]| {
        check(&router, &[&["fib", "channel"], more].concat(), code, words);
    };
    channel(&["list"], 0, &["main", "kernel 8", "kernel 254", "ops"]);
    channel(&["get", "main"], 0, &["Takes from: kernel 8", "Gives to:   kernel 254"]);
    channel(&["get", "x"], 2, &["there is no channel \"x\"; there are: main"]);
    let routes = ["10.1.0.0/16", "10.2.0.0/16", "via 10.0.0.1", "254 installed"];
    channel(&["route", "main"], 0, &routes);
    channel(&["route", "x"], 2, &["there is no channel \"x\""]);
    assert_eq!(json(&router, &["fib", "channel", "route", "main"])[1]["distance"], 30);
    assert_eq!(json(&router, &["fib", "channel", "get", "main"])["routes"], 2);
}

#[test]
fn routes_are_handed_over_as_they_are_written() {
    let router = Router::start();
    let set = ["fib", "channel", "set", "main", "--owner", "ops"];
    let set = |more: &[&str], words: &[&str]| {
        check(&router, &[&set[..], more].concat(), 2, words);
    };
    let asked = ["owner: \"ops\"", "channel: \"main\"", "distance: 150", "kind: \"blackhole\""];
    set(&["10.0.0.0/24 blackhole"], &asked);
    let text = "# ours\n10.0.0.0/24 via 10.1.0.1 weight 3 # the first\n\n10.1.0.0/24 dev eth0\n";
    let file = router.file("routes.txt", text);
    let asked = ["distance: 9", "weight: 3", "kind: \"link\"", "interface: \"eth0\""];
    set(&["-f", &file, "--distance", "9"], &asked);
    let file = router.file("wrong.txt", "10.0.0.0/24 via 10.1.0.1\n10.1.0.0/24\nx\n");
    let places = [format!("{file}:2: 10.1.0.0/24: where to?"), format!("{file}:3: ")];
    set(&["-f", &file], &[&places[0], &places[1]]);
    set(&["10.9.0.0/16 prohibit"], &["sart: 10.9.0.0/16: not now"]);
    set(&[], &["--file"]);
    set(&["10.0.0.0/24 blackhole", "--distance", "0"], &["invalid value '0'"]);
}

#[test]
fn an_owner_is_forgotten() {
    let router = Router::start();
    let forget = ["fib", "channel", "forget"];
    let all = [&forget[..], &["--owner", "ops"]].concat();
    check(&router, &all, 0, &["the owner has 0 routes now"]);
    check(&router, &[&forget[..], &["main", "--owner", "x"]].concat(), 2, &["sart: x main"]);
    check(&router, &[&forget[..], &["main"]].concat(), 2, &["--owner"]);
}

#[test]
fn a_controller_that_is_away_is_named() {
    let output = sart(&["-e", "/nonexistent/fib.sock", "fib", "channel", "list"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    let sentence = "sart: the FIB controller at /nonexistent/fib.sock does not answer: ";
    assert!(text.starts_with(sentence), "{text}");
}
